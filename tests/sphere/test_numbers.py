"""Numbers are numbers: lists, integers and NumPy's scalars give what floating-point numbers give."""

import numpy as np
import pytest

from afp_utils.sphere import deformations, harmonics, images, kernels, sparse, targets, theory
from tests.forms import FORMS, in_form, same

X, Y = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 2.0], [3.0, 1.0]]), np.array([1.0, -1.0, 2.0, 0.0])
Z, SHAPE, TARGET = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([2.0, 1.0, 1.0]), np.array([3.0, 2.0, 1.0])
FIT = sparse.sparse_interpolant(X, Y, rng=np.random.default_rng(0))


def drawn(function, *names):
    """The function with its generator, and with the last arguments by name."""

    def call(*given):
        first = len(given) - len(names)
        return function(*given[:first], rng=np.random.default_rng(0), **dict(zip(names, given[first:])))

    return call


def teacher(dimension, smoothness, size, x):
    return targets.ridge_teacher(dimension, smoothness, rng=np.random.default_rng(0), size=size)(x)


CALLS = {
    "temperature": (deformations.temperature, (2.0, 8, 3)),
    "temperature_window": (deformations.temperature_window, (8, 3)),
    "displacements": (drawn(deformations.displacements), (2, 4, 1.0, 3)),
    "deform": (deformations.deform, (Z[None], np.stack([Z, Z])[None])),
    "stability": (drawn(lambda *both, rng: deformations.stability(lambda x: x[:, 0], *both, rng=rng)), (X, X[::-1])),
    "standardised": (images.standardised, (X,)),
    "photo_patches": (images.photo_patches, (64,)),
    "multiplicity": (harmonics.multiplicity, (3, 4)),
    "gegenbauer": (harmonics.gegenbauer, (3, 4, np.array([-1.0, 0, 1]))),
    "zonal_coefficients": (lambda *sizes: harmonics.zonal_coefficients(np.abs, *sizes), (3, 4)),
    "ridge_coefficients": (harmonics.ridge_coefficients, (1.0, 3, 4)),
    "zonal_sum": (harmonics.zonal_sum, (TARGET, 3, np.array([-1.0, 0, 1]))),
    "power_law_spectrum": (harmonics.power_law_spectrum, (2.0, 3, 6)),
    "even_decay": (harmonics.even_decay, (np.array([0.0, 0, 64, 0, 8, 0, 3, 0, 1]), 2)),
    "uniform_points": (drawn(kernels.uniform_points), (3, 2)),
    "random_feature_kernel": (kernels.random_feature_kernel, (X, Z)),
    "tangent_kernel": (kernels.tangent_kernel, (X, Z)),
    "interpolate": (kernels.TangentMachine.interpolate, (X, Y, 1.0)),
    "flow": (lambda *given: kernels.RandomFeatureMachine.flow(*given).risk, (X, Y, np.array([0.0, 1]))),
    "gradient": (lambda x, y, z: kernels.TangentMachine(x, y).gradient(z), (X, Y, Z)),
    "sparse_interpolant": (drawn(sparse.sparse_interpolant, "resolution"), (X, Y, 9)),
    "refine": (drawn(lambda *given, **more: sparse.refine(FIT, *given, **more), "rounds"), (X, Y, 1)),
    "dictionary": (drawn(sparse.dictionary, "resolution"), (X, 3)),
    "dual_function": (lambda *given: sparse.dual_function(FIT, *given), (X, Z)),
    "tangent": (FIT.tangent, (Z,)),
    "ridge_teacher": (teacher, (2, 2.0, 5, X)),
    "constant": (targets.constant, (X,)),
    "single_index": (targets.single_index, (X, np.array([1.0, 2.0]))),
    "stripe": (targets.stripe, (X,)),
    "neuron_spectrum": (theory.neuron_spectrum, (3, 4)),
    "random_feature_spectrum": (theory.random_feature_spectrum, (3, 4)),
    "tangent_spectrum": (theory.tangent_spectrum, (3, 4)),
    "multiplicities": (theory.multiplicities, (3, 4)),
    "two_tails": (theory.two_tails, (SHAPE, TARGET, 3, 1)),
    "kernel_error": (theory.kernel_error, (SHAPE, TARGET, 3, 2)),
    "predicted_exponent": (lambda *given: theory.predicted_exponent("sparse", *given), (3, 2.0)),
    "fitted_exponent": (theory.fitted_exponent, (np.array([1.0, 2]), np.array([[4.0, 2], [8, 1]]))),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("function", "arguments"), CALLS.values(), ids=CALLS)
def test_numbers_are_numbers_in_every_form(function, arguments, form):
    assert same(function(*in_form(arguments, form)), function(*arguments))
