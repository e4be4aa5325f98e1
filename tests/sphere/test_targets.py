"""Targets: moments, spectra, laws and refusals."""

import numpy as np
import pytest
from scipy.stats import norm

from afp_utils.sphere import targets
from afp_utils.sphere.harmonics import even_decay, zonal_coefficients
from afp_utils.sphere.kernels import uniform_points


def points(n, d, seed=0):
    return uniform_points(n, d, rng=np.random.default_rng(seed))


@pytest.mark.parametrize(("d", "smoothness"), [(2, 1.5), (3, 1.2), (5, 3.5)])
def test_teacher_has_unit_variance_and_is_even(d, smoothness):
    x = points(20, d)
    draws = [targets.ridge_teacher(d, smoothness, rng=rng, size=200)(x) for rng in np.random.default_rng(1).spawn(800)]
    assert abs(np.mean(np.square(draws)) - 1) < 0.15
    assert abs(np.mean(draws)) < 0.06
    teacher = targets.ridge_teacher(d, smoothness, rng=np.random.default_rng(2))
    np.testing.assert_allclose(teacher(-x), teacher(x), rtol=1e-13)


@pytest.mark.parametrize(("d", "smoothness"), [(3, 1.5), (3, 3.5), (2, 1.0), (4, 2.0)])
def test_spectrum_of_a_teacher_is_that_of_its_smoothness(d, smoothness):
    teacher = targets.ridge_teacher(d, smoothness, rng=np.random.default_rng(0))
    ridge = zonal_coefficients(lambda t: np.abs(t) ** teacher.power, d, 120)
    slope, _ = even_decay(ridge**2, 50)
    assert abs(slope + 2 * smoothness + d - 1) < 0.15


def test_teacher_is_the_same_at_every_call_and_its_own_for_every_generator():
    x = points(5, 3)
    teacher = targets.ridge_teacher(3, 1.5, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(teacher(x), teacher(x))
    assert not np.allclose(teacher(x), targets.ridge_teacher(3, 1.5, rng=np.random.default_rng(1))(x))


def test_simple_targets():
    x = np.array([[0.6, 0.8], [-1.0, 0.0]])
    np.testing.assert_array_equal(targets.constant(x), [1, 1])
    np.testing.assert_allclose(targets.single_index(x, np.array([0.0, 2.0])), [1.6, 0])
    edges = np.array([[-0.31, 9.0], [-0.29, 9.0], [1.18, 9.0], [1.19, 9.0]])
    np.testing.assert_array_equal(targets.stripe(edges), [1, -1, -1, 1])
    assert abs(norm.cdf(targets.STRIPE[1]) - norm.cdf(targets.STRIPE[0]) - 0.5) < 1e-5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rng: targets.ridge_teacher(3, 0.3, rng=rng), "above 1/2"),
        (lambda rng: targets.ridge_teacher(3, 0.5, rng=rng), "above 1/2"),
        (lambda rng: targets.ridge_teacher(3, np.inf, rng=rng), "smoothness must be finite, above 1/2"),
        (lambda rng: targets.ridge_teacher(3, 2.5, rng=rng), "not 1/2 plus an even integer"),
        (lambda rng: targets.ridge_teacher(3, 4.5, rng=rng), "not 1/2 plus an even integer"),
        (lambda rng: targets.ridge_teacher(3, 1.5, rng=rng, size=0), "size must be at least 1"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0))


def test_wrong_shapes_are_refused():
    with pytest.raises(TypeError):
        targets.single_index(points(3, 3), np.ones(2))
    with pytest.raises(TypeError):
        targets.stripe(np.ones(3))
