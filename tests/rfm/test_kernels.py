"""Kernels and the checked solver: by hand, against scipy's distances, in both precisions, and what they refuse."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from afp_utils.rfm import kernels, recursion
from afp_utils.rfm.kernels import Distances, Kernel, kernel_matrix
from afp_utils.rfm.solve import solve
from tests.rfm.cases import EACH_KERNEL, KERNELS


def points(n, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def test_values_by_hand():
    square = np.array([0.0, 4.0, 9.0])
    np.testing.assert_allclose(kernels.Laplace(2.0).value(square), np.exp([0, -1, -1.5]), rtol=1e-15)
    np.testing.assert_allclose(kernels.Gaussian(2.0).value(square), np.exp([0, -0.5, -1.125]), rtol=1e-15)
    np.testing.assert_allclose(
        kernels.GeneralisedLaplace(2.0, 0.5).value(square), np.exp([0, -1, -(1.5**0.5)]), rtol=1e-15
    )


def test_slopes_by_hand():
    square = np.array([4.0, 9.0])
    np.testing.assert_allclose(kernels.Laplace(3.0).slope(square), [np.exp(-2 / 3) / 6, np.exp(-1) / 9], rtol=1e-15)
    np.testing.assert_allclose(kernels.Gaussian(3.0).slope(square), np.exp([-2 / 9, -0.5]) / 9, rtol=1e-15)


def test_families_meet():
    square = np.array([0.01, 1.7, 30.0])
    laplace, gaussian = kernels.GeneralisedLaplace(1.4, 1.0), kernels.GeneralisedLaplace(1.4 * np.sqrt(2), 2.0)
    for name in ("value", "slope"):
        np.testing.assert_allclose(
            getattr(laplace, name)(square), getattr(kernels.Laplace(1.4), name)(square), rtol=1e-14
        )
        np.testing.assert_allclose(
            getattr(gaussian, name)(square), getattr(kernels.Gaussian(1.4), name)(square), rtol=1e-14
        )


@EACH_KERNEL
@given(r=st.floats(0.05, 8.0))
def test_slope_is_that_of_the_value(kernel, r):
    step = 1e-5 * r
    difference = kernel.value(np.array([(r + step) ** 2])) - kernel.value(np.array([(r - step) ** 2]))
    np.testing.assert_allclose(kernel.slope(np.array([r * r])), -difference / (2 * step) / r, rtol=1e-6, atol=1e-9)


@EACH_KERNEL
def test_matrix_is_the_kernel_of_all_distances(kernel, monkeypatch):
    monkeypatch.setattr(kernels, "ROWS", 7)  # several blocks, the last of them short
    x, z = points(40, 5), points(13, 5, 1)
    np.testing.assert_allclose(kernel_matrix(kernel, x, z), kernel.value(cdist(x, z) ** 2), rtol=1e-13)
    assert isinstance(kernel, Kernel)


def test_matrix_does_not_feel_a_shift():
    x, z = points(20, 4), points(9, 4, 1)
    np.testing.assert_allclose(kernel_matrix(KERNELS[0], x + 1e6, z + 1e6), kernel_matrix(KERNELS[0], x, z), rtol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_coincident_points_have_kernel_one_and_a_finite_slope(dtype):
    x = np.repeat(points(30, 6), 2, axis=0).astype(dtype)
    distances = Distances.between(x, x)
    same = np.equal.outer(np.arange(60) // 2, np.arange(60) // 2)
    assert np.all(distances.values(KERNELS[0], slice(0, 60))[same] == 1)
    assert np.all(np.isfinite(distances.slopes(KERNELS[0], slice(0, 60))))
    assert np.all(np.isfinite(Distances.between(x * 0, x * 0).slopes(KERNELS[2], slice(0, 60))))


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, np.inf, np.nan])
@pytest.mark.parametrize(
    "kind", [kernels.Laplace, kernels.Gaussian, lambda bandwidth: kernels.GeneralisedLaplace(bandwidth, 1.2)]
)
def test_bandwidth_is_positive(kind, bandwidth):
    with pytest.raises(ValueError, match=f"bandwidth must be positive and finite, got {bandwidth}"):
        kind(bandwidth)


@pytest.mark.parametrize("exponent", [0.0, -1.0, 2.1, np.nan])
def test_exponent_is_that_of_a_kernel(exponent):
    with pytest.raises(ValueError, match=rf"exponent must be in \(0, 2\], got {exponent}"):
        kernels.GeneralisedLaplace(1.0, exponent)


# ---- the solver ----


def test_solution_by_hand():
    # two points at distance 2: K = [[1, e], [e, 1]] with e = exp(-2 / L)
    e = np.exp(-2 / 3)
    alpha = solve(kernels.Laplace(3.0), np.array([[5.0], [7.0]]), np.array([2.0, -1.0]), 0.5)
    np.testing.assert_allclose(alpha, np.array([1.5 * 2 + e, -1.5 - 2 * e]) / (1.5**2 - e**2), rtol=1e-14)


@EACH_KERNEL
@pytest.mark.parametrize("outputs", [(), (3,)])
def test_solution_agrees_with_numpy(kernel, outputs, monkeypatch):
    monkeypatch.setattr(kernels, "ROWS", 16)
    x, y = points(50, 3), np.random.default_rng(1).normal(size=(50, *outputs))
    matrix = kernel.value(cdist(x, x) ** 2) + 0.2 * np.eye(50)
    np.testing.assert_allclose(solve(kernel, x, y, 0.2), np.linalg.solve(matrix, y), rtol=1e-10)


def test_inputs_are_not_touched_and_room_is_used():
    x, y, room = points(30, 3), points(30, 1, 1)[:, 0], np.zeros((30, 30))
    kept = x.copy(), y.copy()
    first = solve(KERNELS[0], x, y, 0.1, room)
    assert np.any(room)
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(y, kept[1])
    np.testing.assert_array_equal(solve(KERNELS[0], x, y, 0.1), first)


@pytest.mark.parametrize("ridge", [0.0, 1e-16])
@pytest.mark.parametrize("kernel", KERNELS[:2], ids=str)
def test_singular_matrix_is_refused_in_both_precisions(kernel, ridge):
    x = np.repeat(points(10, 3), 2, axis=0)
    for dtype in (np.float32, np.float64):
        with pytest.raises(ValueError, match=f"positive definite.*larger ridge; got ridge {ridge} and .* at point"):
            solve(kernel, x.astype(dtype), np.arange(20, dtype=dtype), ridge)


def test_pivot_of_mere_rounding_is_refused():
    # pivots 1 and 1 - exp(-2 * 3e-16), which Cholesky and LU both accept
    with pytest.raises(ValueError, match="vanishing pivot at point 1"):
        solve(kernels.Laplace(1.0), np.array([[0.0], [3e-16]]), np.array([1.0, -1.0]), 0.0)


def test_hard_matrix_in_single_precision_is_solved_as_well_as_in_double():
    x = points(300, 3).astype(np.float32)
    y = np.sin(x[:, 0]) * x[:, 1]
    kernel, exact = kernels.Gaussian(10.0), x.astype(np.float64)
    matrix = kernel.value(cdist(exact, exact) ** 2)
    alpha = np.linalg.solve(matrix + 1e-6 * np.eye(300), y)
    found = solve(kernel, x, y, 1e-6)
    assert found.dtype == np.float32
    assert np.linalg.norm(found - alpha) < 1e-5 * np.linalg.norm(alpha)


def test_doubtful_matrix_in_single_precision_is_solved_in_double():
    side = np.arange(-15.5, 16) / 8  # centred and exact in single precision, so that both solve for the same points
    x = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    y = np.sin(2 * x[:, 0]) + x[:, 1]
    for bandwidth in (100.0, 300.0, 1000.0):
        exact = solve(kernels.Laplace(bandwidth), x, y, 0.0)
        found = solve(kernels.Laplace(bandwidth), x.astype(np.float32), y.astype(np.float32), 0.0)
        assert np.linalg.norm(found - exact) < 1e-4 * np.linalg.norm(exact)


def test_factor_that_fails_in_single_precision_is_made_in_double():
    # two distant clusters around the origin: within each, single precision cannot tell distances
    cluster = points(50, 3).astype(np.float32) + np.float32(1000)
    x = np.concatenate([cluster, -cluster])
    y, exact = np.sin(x[:, 0]), x.astype(np.float64)
    alpha = np.linalg.solve(np.exp(-cdist(exact, exact) / 3) + 1e-3 * np.eye(100), y)
    assert np.linalg.norm(solve(KERNELS[0], x, y, 1e-3) - alpha) < 1e-5 * np.linalg.norm(alpha)


@pytest.mark.parametrize("ridge", [1e-3, 1e-6, 1e-9])
def test_ill_conditioned_matrix_against_forty_digits(ridge):
    """Cholesky without refinement: the error is at most rounding times condition times size."""
    x = points(30, 5)
    y = np.sin(x[:, 0]) * x[:, 4]
    with mpmath.workdps(40):
        rows = [[mpmath.mpf(float(a)) for a in row] for row in x]
        squares = [[mpmath.fsum((a - b) ** 2 for a, b in zip(one, two)) for two in rows] for one in rows]
        matrix = mpmath.matrix([[mpmath.exp(-square / 200) for square in row] for row in squares])
        exact = mpmath.lu_solve(matrix + mpmath.mpf(ridge) * mpmath.eye(30), mpmath.matrix(y.tolist()))
        alpha = np.array([float(value) for value in exact])
    condition = np.linalg.cond(np.array(matrix.tolist(), dtype=float) + ridge * np.eye(30))
    found = solve(kernels.Gaussian(10.0), x, y, ridge)
    assert np.linalg.norm(found - alpha) < 30 * np.finfo(float).eps * condition * np.linalg.norm(alpha)


def test_solution_does_not_feel_a_shift():
    x, y = points(40, 3), points(40, 1, 1)[:, 0]
    np.testing.assert_allclose(solve(KERNELS[0], x + 1e4, y, 0.1), solve(KERNELS[0], x, y, 0.1), atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-3, 10), st.sampled_from(KERNELS))
def test_solution_solves(seed, ridge, kernel):
    x, y = points(12, 2, seed), points(12, 2, seed + 1)
    matrix = kernel.value(cdist(x, x) ** 2) + ridge * np.eye(12)
    np.testing.assert_allclose(matrix @ solve(kernel, x, y, ridge), y, atol=1e-11)


def test_solver_refuses():
    x, y = points(5, 2), np.ones(5)
    with pytest.raises(ValueError, match="ridge must be non-negative and finite, got -1.0"):
        solve(KERNELS[0], x, y, -1.0)
    with pytest.raises(ValueError, match="points must be not empty"):
        solve(KERNELS[0], x[:0], y[:0], 1.0)
    with pytest.raises(ValueError, match=r"y must be finite, got nan at index 0"):
        solve(KERNELS[0], x, y * np.nan, 1.0)
    with pytest.raises(TypeError):
        solve(KERNELS[0], x, y[:4], 1.0)
    with pytest.raises(ValueError, match="z must be finite"):
        kernel_matrix(KERNELS[0], x, x + np.inf)


# ---- rounding is a matter of each pair ----


def outlying(seed, d=10):
    """A product of two coordinates from 600 points, one of them ten thousand times as far away; and fresh points."""
    x, fresh = points(600, d, seed), points(600, d, seed + 100)
    y, target = x[:, 0] * x[:, 1], fresh[:, 0] * fresh[:, 1]
    x[0] *= 1e4
    return x, y, fresh, target


def heavy(seed, d=10):
    """Student's t with 1.2 degrees of freedom, columns in units of their deviation: a few points dwarf all others."""
    x = np.random.default_rng(seed).standard_t(1.2, size=(1200, d))
    x /= x.std(axis=0)
    y = np.sign(x[:, 0] * x[:, 1])
    return x[:600], y[:600], x[600:], y[600:]


@pytest.mark.parametrize("sample", [outlying, heavy])
@pytest.mark.parametrize("seed", [0, 1])
def test_distant_points_cost_single_precision_nothing(sample, seed):
    x, y, fresh, target = sample(seed)
    recipe = {"kernel": kernels.Laplace(10.0), "ridge": 1e-3, "updates": 3}
    answers = [
        recursion.fit(x.astype(one), y.astype(one), **recipe).states[-1].predict(fresh.astype(one))
        for one in (np.float64, np.float32)
    ]
    double, single = (1 - np.mean((answer - target) ** 2) / target.var() for answer in answers)
    assert double > 0.25
    assert single == pytest.approx(double, abs=0.01)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_grows_with_the_pair_and_with_no_other_point(dtype):
    x = points(40, 3).astype(dtype)
    far = np.concatenate([x, [[1e5, 0, 0]]]).astype(dtype)
    for name in ("values", "slopes"):
        alone, beside = (getattr(Distances.between(z, z), name)(KERNELS[0], slice(0, 40)) for z in (x, far))
        apart = ~np.eye(40, dtype=bool)
        np.testing.assert_allclose(beside[:, :40][apart], alone[apart], rtol=1e-6)
    # what is rounding for one pair, by hand: 8 units times the larger squared norm
    one, other = np.array([[3.0, 4.0]], dtype), np.array([[0.0, 1.0], [0.0, 10.0]], dtype)
    unit = np.finfo(dtype).eps
    np.testing.assert_allclose(Distances.between(one, other)._floor(slice(0, 1)), [[200 * unit, 800 * unit]], rtol=1e-6)
