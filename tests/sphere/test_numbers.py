"""Numbers are numbers: lists, integers and NumPy's scalars give what floating-point numbers give."""

from dataclasses import astuple, is_dataclass

import numpy as np
import pytest

from afp_utils.sphere import deformations, harmonics, images, kernels, sparse, targets, theory

AS_GIVEN = {
    "list": lambda value: value,
    "array of integers": lambda value: np.array(value) if isinstance(value, list) else np.int64(value),
    "float32": lambda value: np.array(value) if isinstance(value, list) else np.float32(value),
    "0-d array": lambda value: np.array(value),
}
X, Y, Z = [[1, 0], [0, 1], [-1, 2], [3, 1]], [1, -1, 2, 0], [[1, 0], [0, 2]]


def rng():
    return np.random.default_rng(0)


def fit():
    return sparse.sparse_interpolant(X, Y, rng=rng())


# each takes numbers through `real` where floats or arrays are meant, and through `whole` where integers are
CALLS = {
    "temperature": lambda real, whole: deformations.temperature(real(2), whole(8), whole(3)),
    "window": lambda real, whole: deformations.temperature_window(whole(8), whole(3)),
    "displacements": lambda real, whole: deformations.displacements(whole(2), whole(4), real(1), whole(3), rng=rng()),
    "deform": lambda real, whole: deformations.deform(real([Z]), real([[Z, Z]])),
    "stability": lambda real, whole: deformations.stability(lambda x: x[:, 0], real(X), real(X[::-1]), rng=rng()),
    "standardised": lambda real, whole: images.standardised(real(X)),
    "patches": lambda real, whole: images.photo_patches(whole(64)),
    "multiplicity": lambda real, whole: harmonics.multiplicity(whole(3), whole(4)),
    "gegenbauer": lambda real, whole: harmonics.gegenbauer(whole(3), whole(4), real([-1, 0, 1])),
    "zonal coefficients": lambda real, whole: harmonics.zonal_coefficients(np.abs, whole(3), whole(4)),
    "ridge": lambda real, whole: harmonics.ridge_coefficients(real(1), whole(3), whole(4)),
    "zonal sum": lambda real, whole: harmonics.zonal_sum(real([1, 2, 3]), whole(3), real([-1, 0, 1])),
    "power law": lambda real, whole: harmonics.power_law_spectrum(real(2), whole(3), whole(6)),
    "decay": lambda real, whole: harmonics.even_decay(real([0, 0, 64, 0, 8, 0, 3, 0, 1]), whole(2)),
    "points": lambda real, whole: kernels.uniform_points(whole(3), whole(2), rng=rng()),
    "features": lambda real, whole: kernels.random_feature_kernel(real(X), real(Z)),
    "tangent": lambda real, whole: kernels.tangent_kernel(real(X), real(Z)),
    "interpolate": lambda real, whole: kernels.TangentMachine.interpolate(real(X), real(Y), real(1)),
    "flow": lambda real, whole: kernels.RandomFeatureMachine.flow(real(X), real(Y), real([0, 1])).risk,
    "gradient": lambda real, whole: kernels.TangentMachine(real(X), real(Y)).gradient(real(Z)),
    "exponent": lambda real, whole: theory.predicted_exponent("sparse", whole(3), real(2)),
    "fitted": lambda real, whole: theory.fitted_exponent(real([1, 2]), real([[4, 2], [8, 1]])),
    "sparse": lambda real, whole: sparse.sparse_interpolant(real(X), real(Y), rng=rng(), resolution=whole(9)),
    "refine": lambda real, whole: sparse.refine(fit(), real(X), real(Y), rng=rng(), rounds=whole(1)),
    "dictionary": lambda real, whole: sparse.dictionary(real(X), rng=rng(), resolution=whole(3)),
    "dual": lambda real, whole: sparse.dual_function(fit(), real(X), real(Z)),
    "atoms": lambda real, whole: fit().tangent(real(Z)),
    "teacher": lambda real, whole: targets.ridge_teacher(whole(2), real(2), rng=rng(), size=whole(5))(real(X)),
    "constant": lambda real, whole: targets.constant(real(X)),
    "single index": lambda real, whole: targets.single_index(real(X), real([1, 2])),
    "stripe": lambda real, whole: targets.stripe(real(X)),
    "neuron": lambda real, whole: theory.neuron_spectrum(whole(3), whole(4)),
    "tangent spectrum": lambda real, whole: theory.tangent_spectrum(whole(3), whole(4)),
    "tails": lambda real, whole: theory.two_tails(real([2, 1, 1]), real([3, 2, 1]), whole(3), whole(1)),
    "error": lambda real, whole: theory.kernel_error(real([2, 1, 1]), real([3, 2, 1]), whole(3), whole(2)),
}


@pytest.mark.parametrize("kind", AS_GIVEN)
@pytest.mark.parametrize("name", CALLS)
def test_numbers_are_numbers(name, kind):
    given = AS_GIVEN[kind]
    whole = given if kind != "float32" else np.int32
    found = CALLS[name](given, whole)
    expected = CALLS[name](lambda value: np.array(value, dtype=float) if isinstance(value, list) else float(value), int)
    for one, other in zip(*(astuple(result) if is_dataclass(result) else [result] for result in (found, expected))):
        np.testing.assert_array_equal(one, other)
