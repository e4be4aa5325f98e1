"""Zonal functions against scipy, sums against values, and decays against theory."""

import math

import numpy as np
import pytest
from scipy.special import eval_chebyt, eval_gegenbauer, eval_legendre
from scipy.stats import linregress

from afp_utils.sphere import harmonics

T = np.linspace(-1, 1, 21)


@pytest.mark.parametrize("d", [2, 3, 4, 5, 9])
def test_polynomials_are_those_of_scipy(d):
    k = np.arange(13)[:, None]
    if d == 2:
        expected = eval_chebyt(k, T)
    elif d == 3:
        expected = eval_legendre(k, T)
    else:
        expected = eval_gegenbauer(k, d / 2 - 1, T) / eval_gegenbauer(k, d / 2 - 1, 1.0)
    np.testing.assert_allclose(harmonics.gegenbauer(12, d, T), expected, atol=1e-12)


@pytest.mark.parametrize("d", [2, 3, 5])
def test_polynomials_are_orthogonal_with_the_multiplicity_as_norm(d):
    gram = [harmonics.zonal_coefficients(lambda t, k=k: harmonics.gegenbauer(6, d, t)[k], d, 6) for k in range(7)]
    counts = [harmonics.multiplicity(k, d) for k in range(7)]
    np.testing.assert_allclose(gram, np.diag(1 / np.array(counts)), atol=1e-9)


def test_multiplicities():
    assert [harmonics.multiplicity(k, 2) for k in range(4)] == [1, 2, 2, 2]
    assert [harmonics.multiplicity(k, 3) for k in range(5)] == [1, 3, 5, 7, 9]
    assert [harmonics.multiplicity(k, 4) for k in range(5)] == [1, 4, 9, 16, 25]
    for d in (3, 6):  # homogeneous polynomials of degree k are harmonics of degrees k, k - 2, ...
        assert sum(harmonics.multiplicity(k, d) for k in (0, 2, 4)) == math.comb(4 + d - 1, d - 1)


@pytest.mark.parametrize("d", [2, 3, 6])
def test_a_function_is_the_sum_of_its_parts(d):
    coefficients = harmonics.zonal_coefficients(lambda t: np.exp(0.7 * t) + t**3, d, 14)
    np.testing.assert_allclose(harmonics.zonal_sum(coefficients, d, T), np.exp(0.7 * T) + T**3, atol=1e-8)


@pytest.mark.parametrize("d", [2, 3, 5])
def test_first_coefficients_of_a_neuron(d):
    found = harmonics.zonal_coefficients(lambda t: np.maximum(t, 0), d, 5)
    mean = math.gamma(d / 2) / (math.sqrt(math.pi) * math.gamma((d + 1) / 2))  # E|t|
    np.testing.assert_allclose(found[:2], [mean / 2, 1 / (2 * d)], atol=1e-10)
    assert abs(found[3]) < 1e-10
    assert found[2] > 0 > found[4]


@pytest.mark.parametrize("d", [2, 3, 5])
@pytest.mark.parametrize("smoothness", [0.6, 2.2])
def test_spectra_decay_as_asked_and_have_unit_variance(d, smoothness):
    spectrum = harmonics.power_law_spectrum(smoothness, d, 60)
    slope, error = harmonics.even_decay(spectrum, 2)
    np.testing.assert_allclose(slope, -2 * smoothness - (d - 1), rtol=1e-10)
    assert error < 1e-8
    assert np.all(spectrum[1::2] == 0)
    np.testing.assert_allclose(sum(c * harmonics.multiplicity(k, d) for k, c in enumerate(spectrum)), 1)
    np.testing.assert_allclose(harmonics.zonal_sum(spectrum, d, np.ones(1)), 1)


def test_infinite_smoothness_is_a_constant():
    np.testing.assert_array_equal(harmonics.power_law_spectrum(math.inf, 3, 4), [1, 0, 0, 0, 0])


@pytest.mark.parametrize(("smoothness", "d"), [(0.3, 2), (0.7, 2), (0.5, 3)])
def test_increments_grow_with_the_smoothness(smoothness, d):
    """E|f(x) - f(y)|^2 = 2 (C(1) - C(cos r)) ~ r^(2 nu)."""
    spectrum = harmonics.power_law_spectrum(smoothness, d, 4000)
    r = np.geomspace(0.01, 0.05, 6)
    increment = 1 - harmonics.zonal_sum(spectrum, d, np.cos(r))
    slope = np.polyfit(np.log(r), np.log(increment), 1)[0]
    assert abs(slope - 2 * smoothness) < 0.12


def test_decay_by_hand_and_its_error():
    k = np.arange(1, 41.0)
    slope, error = harmonics.even_decay(np.append(1.0, -3 * k**-2.5), 8)
    assert abs(slope + 2.5) < 1e-12
    assert error < 1e-10
    noisy = harmonics.even_decay(np.append(1.0, k**-2.5 * np.exp(np.random.default_rng(0).normal(size=40))), 8)
    assert noisy[1] > 0.1


def test_the_error_of_a_decay_is_that_of_least_squares():
    k = np.arange(1, 41.0)
    coefficients = np.append(1.0, k**-2.5 * np.exp(0.1 * np.random.default_rng(0).normal(size=40)))
    line = linregress(np.log(k[7::2]), np.log(coefficients[8::2]))
    np.testing.assert_allclose(harmonics.even_decay(coefficients, 8), (line.slope, line.stderr), rtol=1e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: harmonics.multiplicity(-1, 3), "degree must be at least 0"),
        (lambda: harmonics.gegenbauer(2, 1, T), "dimension must be at least 2"),
        (lambda: harmonics.power_law_spectrum(0.0, 3, 4), "smoothness must be positive"),
        (lambda: harmonics.power_law_spectrum(math.nan, 3, 4), "smoothness must be positive"),
        (lambda: harmonics.even_decay(np.ones(6), 4), "leave 3 even degrees"),
        (lambda: harmonics.even_decay(np.zeros(12), 2), "coefficients must be positive"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
