"""Numbers are numbers: lists, integers and NumPy's scalars give what floating-point numbers give."""

import numpy as np
import pytest

from afp_utils.index import features, population, sampling
from tests.forms import FORMS, in_form, same

LINK, EIGENVALUES, TIMES = np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 1.0]), np.array([0.0, 1.0])
TENSORS = (np.array(1.0), np.array([1.0, 0.0]), np.diag([1.0, 2.0]))
X, Y, W = np.array([[1.0, 0.0], [-1.0, 2.0], [0.0, 1.0]]), np.array([1.0, -1.0, 0.0]), np.array([[1.0], [0.0]])


def rng():
    return np.random.default_rng(0)


def model(eigenvalues, first, second, w):
    made = features.IndexModel(eigenvalues, (first, second), w)
    return made.predict(X), made.gradient(X), made.gram(X), made.tangent(X)


def directional(beta, w):
    made = population.Directional(beta, w)
    return made.predict(X), made.gradient(X), made.gram(X), made.tangent(X)


def white_noise(noise, eigenvalues, directions, times):
    data = sampling.hermite_data(TENSORS, 3, noise, rng())
    return sampling.white_noise_flow(data, eigenvalues, directions, times)


CALLS = {
    "hermite": (features.hermite, (Y, 3)),
    "hermite_tensor": (features.hermite_tensor, (X, 2)),
    "hermite_tensors": (features.hermite_tensors, (X, 3)),
    "IndexModel": (model, (EIGENVALUES[:2], np.array([1.0]), np.array([2.0]), W)),
    "single_index": (lambda *given: population.single_index(*given[:2], 0.5, given[2]), (LINK, EIGENVALUES, TIMES)),
    "escape_time": (population.escape_time, (LINK, EIGENVALUES, 0.0)),
    "multi_index": (population.multi_index, (TENSORS, EIGENVALUES, np.eye(2), TIMES)),
    "single_index_fem": (population.single_index_fem, (LINK, EIGENVALUES, np.array([0.0, 1.0]), 1.0)),
    "single_index_fem of one": (population.single_index_fem, (LINK, EIGENVALUES, 1.0, 1.0)),
    "multi_index_fem": (population.multi_index_fem, (TENSORS, EIGENVALUES, np.stack([np.eye(2), 0 * X[:2]]), 1.0)),
    "Directional": (directional, (2.0, Y[:2])),
    "directional": (population.directional, (2.0, np.array([1.0, 1.0]), TIMES)),
    "directional_fem": (population.directional_fem, (2.0, np.array([0.0, 1.0]), 1.0)),
    "hermite_data": (lambda *given: sampling.hermite_data(*given, rng()), (TENSORS, 3, np.array([0.0, 1.0]))),
    "random_directions": (lambda *given: sampling.random_directions(*given, rng()), (2, 3, 1)),
    "white_noise_flow": (white_noise, (np.array([1.0]), EIGENVALUES, np.eye(3)[None, :, :1], TIMES)),
    "sample_flow": (sampling.sample_flow, (X, Y, EIGENVALUES, W, TIMES)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("function", "arguments"), CALLS.values(), ids=CALLS)
def test_numbers_are_numbers_in_every_form(function, arguments, form):
    assert same(function(*in_form(arguments, form)), function(*arguments))
