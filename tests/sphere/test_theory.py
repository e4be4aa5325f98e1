"""Spectra in closed form against quadrature; the two tails and the theory of finite samples against solved cases."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afp_utils.sphere import harmonics, kernels, theory


def of_inner_product(kernel):
    pole = np.array([[1.0, 0.0]])
    return lambda t: kernel(pole, np.stack([t, np.sqrt(1 - t**2)], axis=1))[0]


@pytest.mark.parametrize("d", [2, 3, 4, 7])
def test_spectra_are_those_of_the_functions(d):
    for found, function in (
        (theory.neuron_spectrum(d, 14), lambda t: np.maximum(t, 0)),
        (theory.random_feature_spectrum(d, 14), of_inner_product(kernels.random_feature_kernel)),
        (theory.tangent_spectrum(d, 14), of_inner_product(kernels.tangent_kernel)),
    ):
        np.testing.assert_allclose(found, harmonics.zonal_coefficients(function, d, 14), atol=3e-11)
        np.testing.assert_array_equal(found[3::2], 0)


@pytest.mark.parametrize("d", [2, 3, 5])
@pytest.mark.parametrize("power", [0.0, 1.0, 2.0, 2.5, 4.0, 5.0])
@pytest.mark.parametrize("odd", [False, True])
def test_ridges_are_those_of_quadrature(d, power, odd):
    sign = np.sign if odd else np.ones_like
    found = harmonics.ridge_coefficients(power, d, 16, odd=odd)
    quadrature = harmonics.zonal_coefficients(lambda t: sign(t) * np.abs(t) ** power, d, 16)
    np.testing.assert_allclose(found, quadrature, atol=3e-11 if power else 1e-5)
    np.testing.assert_array_equal(found[1 - odd :: 2], 0)
    if power % 2 == odd:  # a polynomial
        assert not found[int(power) + 1 :].any()


def test_ridges_of_few_degrees():
    np.testing.assert_allclose(harmonics.ridge_coefficients(1.0, 3, 0), [0.5])
    np.testing.assert_allclose(harmonics.ridge_coefficients(1.0, 3, 1), [0.5, 0])
    np.testing.assert_allclose(harmonics.ridge_coefficients(0.0, 3, 1, odd=True), [0, 0.5])
    np.testing.assert_array_equal(harmonics.ridge_coefficients(0.0, 3, 0, odd=True), [0])


@pytest.mark.parametrize("d", [2, 3, 4, 10])
def test_multiplicities_are_the_exact_ones(d):
    exact = [harmonics.multiplicity(k, d) for k in range(60)]
    np.testing.assert_allclose(theory.multiplicities(d, 59), exact, rtol=1e-12)
    np.testing.assert_array_equal(theory.multiplicities(d, 0), [1])


def test_two_tails_by_hand():
    """On the circle, degrees 0, 2, 4, 6 with two functions each but the first; known up to degree 2."""
    shape = np.array([2.0, 0, 0.5, 0, 0.1, 0, 0.01])
    target = np.array([1.0, 0, 0.2, 0, 0.05, 0, 0.0])
    missing, invented = theory.two_tails(shape, target, 2, 2)
    np.testing.assert_allclose(missing, 2 * 0.05)
    power = (1 / 4 + 2 * 0.2 / 0.25) / 3
    np.testing.assert_allclose(invented, power * 2 * (0.01 + 0.0001))
    np.testing.assert_allclose(theory.two_tails(shape, target, 2, 3), (missing, invented))  # degree 3 has no functions


def test_one_function_is_learned_from_one_point_and_half_of_two():
    """Equal eigenvalues: L = n / N for each of N functions, and an error of (1 - L) of the target."""
    shape = np.array([1.0, 0, 1.0])  # on the circle three functions
    target = np.array([0.5, 0, 0.25])
    np.testing.assert_allclose(theory.kernel_error(shape, target, 2, 1), 2 / 3, rtol=1e-9)


def test_error_of_random_features():
    """Where the formula is sharp: independent Gaussian features with the eigenvalues of the spectrum; mean over draws."""
    shape, target, n = theory.tangent_spectrum(3, 20), harmonics.power_law_spectrum(0.8, 3, 20), 60
    copies = np.where(shape > 0, 2 * np.arange(21) + 1, 0)
    size, variance = np.repeat(shape, copies), np.repeat(target, copies)
    errors = []
    for rng in np.random.default_rng(0).spawn(200):
        z = rng.normal(size=(n, len(size)))
        left = np.eye(len(size)) - (size[:, None] * z.T) @ np.linalg.solve((z * size) @ z.T, z)
        errors.append(np.sum(left**2 @ variance))
    found = theory.kernel_error(shape, target, 3, n)
    assert abs(np.mean(errors) / found - 1) < 0.03
    assert abs(theory.kernel_error(3.7 * shape, target, 3, n) / found - 1) < 1e-8  # the scale does not matter
    assert abs(theory.kernel_error(shape, 2 * target, 3, n) / found - 2) < 1e-9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.neuron_spectrum(3, 0), "degree must be at least 1"),
        (lambda: theory.tangent_spectrum(1, 4), "dimension must be at least 2"),
        (lambda: harmonics.ridge_coefficients(-1.0, 3, 4), "power must be non-negative and finite"),
        (lambda: harmonics.ridge_coefficients(math.inf, 3, 4), "power must be non-negative and finite"),
        (lambda: theory.two_tails(np.ones(5), np.ones(5), 3, 4), r"cutoff must be in \[1, 3\], got 4"),
        (lambda: theory.two_tails(np.ones(5), -np.ones(5), 3, 2), "target must be non-negative"),
        (lambda: theory.kernel_error(np.ones(3), np.ones(3), 3, 5), "between 1 and half of the 9"),
        (lambda: theory.kernel_error(np.ones(3), np.ones(3), 3, 0), "between 1 and half of the 9"),
        (lambda: theory.kernel_error(-np.ones(3), np.ones(3), 3, 1), "eigenvalues must be non-negative"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("d", "smoothness", "expected"),
    [
        (2, 0.5, [1, 1, 1]),
        (2, 2.5, [5, 4, 4]),
        (2, math.inf, [8, 4, 4]),
        (3, 1.5, [1.5, 1.5, 1.5]),
        (3, 3.5, [3.5, 3, 2.5]),
        (3, math.inf, [5, 3, 2.5]),
        (4, 5.5, [11 / 3, 8 / 3, 2]),
        (5, 3.5, [1.75, 1.75, 1.75]),
        (10, math.inf, [24 / 9, 20 / 9, 12 / 9]),
    ],
)
def test_exponents_are_those_of_the_table(d, smoothness, expected):
    found = [theory.predicted_exponent(regime, d, smoothness) for regime in ("random features", "tangent", "sparse")]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@settings(deadline=None)
@given(st.integers(2, 60), st.floats(0.01, 200))
def test_laws_of_the_exponents(d, smoothness):
    features, tangent, sparse = (
        theory.predicted_exponent(regime, d, smoothness) for regime in ("random features", "tangent", "sparse")
    )
    assert features >= tangent >= sparse > 0
    assert (tangent > sparse) == (d > 2 and smoothness > (d + 2) / 2)
    assert (features > sparse) == (smoothness > (d + 2) / 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sparse", 1, 1.0), "dimension must be at least 2"),
        (("sparse", 3, 0.0), "smoothness must be positive"),
        (("sparse", 3, math.nan), "smoothness must be positive"),
    ],
)
def test_exponents_refuse(arguments, message):
    with pytest.raises(ValueError, match=message):
        theory.predicted_exponent(*arguments)
    with pytest.raises(TypeError, match="regime must be 'random features' or 'tangent' or 'sparse', got a str 'rich'"):
        theory.predicted_exponent("rich", 3, 1.0)


def test_fitted_exponent_by_hand():
    sizes = np.array([1.0, 10.0, 100.0])
    errors = np.stack([5 * sizes**-1.0, 0.1 * sizes**-3.0])
    np.testing.assert_allclose(theory.fitted_exponent(sizes, errors), (2.0, 1.0))  # sd sqrt(2), over sqrt(2) runs


def test_standard_error_of_a_fitted_exponent_is_its_spread():
    rng, sizes = np.random.default_rng(0), np.array([16.0, 32, 64, 128])
    fits = [theory.fitted_exponent(sizes, sizes**-2.0 * np.exp(rng.normal(size=(8, 4)))) for _ in range(400)]
    slope, error = np.transpose(fits)
    assert abs(slope.mean() - 2) < 0.05
    np.testing.assert_allclose(np.sqrt(np.mean(error**2)), slope.std(), rtol=0.15)


def test_fitted_exponent_refuses():
    sizes = np.array([1.0, 2.0])
    with pytest.raises(ValueError, match="at least 2 runs"):
        theory.fitted_exponent(sizes, np.ones((1, 2)))
    with pytest.raises(ValueError, match="errors must be positive"):
        theory.fitted_exponent(sizes, np.array([[1.0, 0.0], [1.0, 1.0]]))


def test_two_tails_need_something_to_work_with():
    shape = np.array([0.0, 0, 0, 1, 1])
    with pytest.raises(ValueError, match="shape must have a coefficient that is not 0 up to the cutoff"):
        theory.two_tails(shape, np.ones(5), 3, 2)
    assert np.isfinite(theory.two_tails(shape, np.ones(5), 3, 3)).all()
    with pytest.raises(ValueError, match="shape must be finite"):
        theory.two_tails(np.nan * shape, np.ones(5), 3, 3)
