"""Spectra in closed form against quadrature; the two tails and the theory of finite samples against solved cases."""

import math

import numpy as np
import pytest

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
