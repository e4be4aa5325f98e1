"""Deformations against the definition, their size against the formula, and stability against linear predictors."""

import math

import numpy as np
import pytest

from afp_utils.sphere import deformations


def test_displacements_are_the_sum_of_sines():
    """One draw compared with the definition written out, with the amplitudes read from the same generator."""
    side, heat, cutoff = 5, 0.02, 2
    tau = deformations.displacements(1, side, heat, cutoff, rng=np.random.default_rng(0))[0, 1]
    normal = np.random.default_rng(0).normal(size=(1, 2, 2, 2))[0, 1]
    grid = np.linspace(0, 1, side)
    expected = np.zeros((side, side))
    for i in (1, 2):
        for j in (1, 2):
            if math.hypot(i, j) < 2.5:
                amplitude = math.sqrt(heat / (i**2 + j**2)) * normal[i - 1, j - 1]
                expected += amplitude * np.outer(np.sin(i * np.pi * grid), np.sin(j * np.pi * grid))
    np.testing.assert_allclose(tau, side * expected, atol=1e-14)


@pytest.mark.parametrize(("side", "cutoff", "ratio"), [(8, 3, 0.735), (16, 3, 0.79), (28, 3, 0.81), (28, 5, 0.83)])
def test_size_of_displacements(side, cutoff, ratio):
    """The root mean square is the nominal size times a factor that is 0.7 to 0.9 for few modes."""
    heat = deformations.temperature(0.7, side, cutoff)
    tau = deformations.displacements(4000, side, heat, cutoff, rng=np.random.default_rng(1))
    assert abs(np.sqrt(np.mean(np.sum(tau**2, axis=1))) / 0.7 - ratio) < 0.02


def test_window_of_temperatures():
    np.testing.assert_allclose(deformations.temperature_window(8, 3), (4.53e-3, 1.305e-2), rtol=2e-3)
    np.testing.assert_allclose(deformations.temperature_window(28, 3), (3.70e-4, 1.305e-2), rtol=2e-3)
    np.testing.assert_allclose(deformations.temperature(2.0, 16, 3), 4 * deformations.temperature(1.0, 16, 3))


def test_displacements_vanish_on_the_border_and_are_smooth():
    tau = deformations.displacements(50, 33, 0.01, 3, rng=np.random.default_rng(2))
    for edge in (tau[..., 0, :], tau[..., -1, :], tau[..., :, 0], tau[..., :, -1]):
        assert np.abs(edge).max() < 1e-12
    assert np.abs(np.diff(tau, axis=-1)).max() < 0.5 * np.abs(tau).max()


def test_deform_moves_by_whole_pixels():
    image = np.random.default_rng(3).normal(size=(1, 6, 6))
    down = np.zeros((1, 2, 6, 6))
    down[:, 0] = 1.0
    moved = deformations.deform(image, down)[0]
    np.testing.assert_allclose(moved[1:], image[0, :-1], atol=1e-12)
    np.testing.assert_allclose(moved[0], image[0, 0], atol=1e-12)  # beyond the border as at the border
    np.testing.assert_array_equal(deformations.deform(image, 0 * down), image)


def test_deform_interpolates_linearly():
    ramp = np.add.outer(2.0 * np.arange(9), 3.0 * np.arange(9))[None]
    shift = np.zeros((1, 2, 9, 9))
    shift[0, 0, 3:6, 3:6], shift[0, 1, 3:6, 3:6] = 0.25, -0.5
    moved = deformations.deform(ramp, shift)[0]
    np.testing.assert_allclose(moved[3:6, 3:6], ramp[0, 3:6, 3:6] - 0.5 + 1.5, atol=1e-12)


def test_stability_of_a_linear_predictor():
    rng = np.random.default_rng(4)
    x, shift, w = rng.normal(size=(4000, 6)), rng.normal(size=(4000, 6)), rng.normal(size=6)
    seen = deformations.stability(lambda z: z @ w, x, x + 0.1 * shift, rng=rng)
    between = 2 * w @ np.cov(x.T) @ w
    np.testing.assert_allclose(seen.deformation, np.mean((0.1 * shift @ w) ** 2) / between, rtol=1e-10)
    # isotropic shifts are noise: both have the same size on average
    assert abs(seen.relative - 1) < 0.1
    along = x + 0.1 * w / np.linalg.norm(w)
    steep = deformations.stability(lambda z: z @ w, x, along, rng=rng)
    assert abs(steep.relative - 6) < 0.5  # noise has one part in six along w


def test_stability_does_not_depend_on_the_scale_of_the_predictor():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(50, 4))
    one, two = (
        deformations.stability(lambda z, c=c: c * np.sin(z[:, 0]), x, x + 0.1, rng=np.random.default_rng(6))
        for c in (1.0, -7.0)
    )
    np.testing.assert_allclose([one.deformation, one.noise], [two.deformation, two.noise])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rng: deformations.temperature(1.0, 8, 1), "cutoff must be at least 2"),
        (lambda rng: deformations.temperature(-1.0, 8, 3), "pixels must be positive"),
        (lambda rng: deformations.displacements(2, 8, 0.0, 3, rng=rng), "temperature must be positive"),
        (lambda rng: deformations.deform(np.full((1, 4, 4), np.nan), np.zeros((1, 2, 4, 4))), "images must be finite"),
        (lambda rng: deformations.stability(np.sum, np.eye(3), np.nan * np.eye(3), rng=rng), "deformed must be finite"),
        (
            lambda rng: deformations.stability(np.sum, np.ones((1, 3)), np.ones((1, 3)), rng=rng),
            "number of images in x must be at least 2",
        ),
        (
            lambda rng: deformations.stability(lambda z: np.ones(len(z)), np.eye(3), 2 * np.eye(3), rng=rng),
            "got a constant",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0))


def test_wrong_shapes_are_refused():
    with pytest.raises(TypeError):
        deformations.deform(np.ones((2, 4, 5)), np.zeros((2, 2, 4, 5)))
