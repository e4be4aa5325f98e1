"""Other losses and finite steps: against two solvers, plain gradient descent, laws, refusals."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from afp_utils.linear import paths, solution
from afp_utils.linear.solution import Problem
from tests.linear.cases import CANONICAL, CASES, U, W, problem


def test_the_canonical_descent():
    slower = Problem(0.8, 0.05, 0.2, 1.5, 1.2, 2.0)
    path = paths.gradient_descent(slower, U, W, np.zeros(25))
    np.testing.assert_allclose([path.slope[-1], path.alignment[-1]], [0.777761777669, 0.974410190318], rtol=2e-12)
    np.testing.assert_allclose(np.prod(1 - path.gain**2) ** 2, 0.855375285914, rtol=2e-12)


def logistic(slope):
    """-dL/dslope of E ln(1 + exp(-y a slope)) for a = 1, labels +-1 with P(y = 1) = 0.9."""
    return 0.9 / (1 + math.exp(slope)) - 0.1 / (1 + math.exp(-slope))


@pytest.mark.parametrize("force", [lambda s: 1.5 * (0.8 - s), lambda s: (0.8 - s) ** 3, logistic, lambda s: 1.0])
def test_every_loss_takes_the_same_path_by_its_own_clock(force):
    """The weights' own flow under the loss, by DOP853, against path and clock."""

    def flow(_, state):
        u, w = state[:3], state[3:]
        pull = 0.8 * force(0.8 * (u @ w))
        return np.concatenate([0.5 * pull * w, 2.0 * pull * u])

    when = paths.time_under_loss(CANONICAL, U, W, 0.4, force)
    end = solve_ivp(flow, (0, when), np.append(U, W), method="DOP853", rtol=1e-12, atol=1e-14).y[:, -1]
    u, w = paths.at_slope(CANONICAL, U, W, np.array([0.4]))
    np.testing.assert_allclose(np.append(u[0], w[0]), end, rtol=1e-9)


def test_squared_loss_has_the_clock_of_the_closed_form():
    for name in ("canonical", "negative target", "one neuron", "nothing grows"):
        given, u, w = CASES[name]
        at = solution.exact(given, u, w, np.array([0.7]))
        when = paths.time_under_loss(
            given, u, w, float(at.slope[0]), lambda s, g=given: g.cross_moment - g.second_moment * s
        )
        assert when == pytest.approx(0.7, rel=1e-11)
        u_at, w_at = paths.at_slope(given, u, w, at.slope)
        np.testing.assert_allclose(u_at, at.u, rtol=1e-10, atol=1e-10 * np.abs(at.u).max())
        np.testing.assert_allclose(w_at, at.w, rtol=1e-10, atol=1e-10 * np.abs(at.w).max())
    assert paths.time_under_loss(CANONICAL, U, W, float(0.8 * (U @ W)), lambda s: 1.0) == 0.0
    assert paths.time_under_loss(CANONICAL, 0 * U, 0 * W, 0.0, lambda s: 1.0) == 0.0


def test_the_clock_is_right_over_many_orders_of_magnitude():
    """From a tiny start the slowness varies by ten powers of ten on the way: a coarse quadrature would miss its peak."""
    given, u, w = CASES["tiny start"]
    when = solution.time_to_slope(given, u, w, 0.5)
    assert paths.time_under_loss(given, u, w, 0.5, lambda s: 1 - s) == pytest.approx(when, rel=1e-9)


@pytest.mark.parametrize(
    "force",
    [lambda s: 0.0, lambda s: -0.0, lambda s: -1.0, lambda s: 0.2 - s, lambda s: math.nan, lambda s: max(0.1 - s, 0.0)],
)
def test_a_force_that_does_not_drive_the_slope_there_is_refused(force):
    """No force, the wrong sign, a minimum on the way, not a number, none from some slope on."""
    with pytest.raises(ValueError, match="force must drive the slope from -0.16 to 0.4"):
        paths.time_under_loss(CANONICAL, U, W, 0.4, force)


@pytest.mark.parametrize(("u", "w", "slope"), [(U, -U, 0.1), (U, -U, 0.0), (U, U, -0.1), (0 * U, 0 * U, 0.1)])
def test_a_slope_that_no_loss_can_reach_is_refused(u, w, slope):
    with pytest.raises(ValueError, match="slopes must be on the path of the start"):
        paths.time_under_loss(problem(), u, w, slope, lambda s: 1.0 if slope > -0.1 else -1.0)


def test_a_step_lowers_the_height_unless_it_is_very_long():
    """The factor (1 - g^2)^2 is below one just if g^2 < 2."""
    for gain, lowers in ((0.3, True), (1.3, True), (1.5, False)):
        given = problem(cross_moment=gain, target_moment=9.0)
        run = paths.gradient_descent(given, np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.zeros(1))
        assert run.gain[0] == pytest.approx(gain)
        area = solution.invariants(given, run.u[1], run.w[1]).area
        assert area == pytest.approx((1 - gain**2) ** 2)
        assert (area < 1) == lowers


def test_the_catapult_recursion_with_scales_and_rates():
    given = problem(0.7, 0.05, 0.3, 1.5, 0.0, 0.0)
    run = paths.gradient_descent(given, U, W + 1.0, np.zeros(5))
    x, k = 0.7 * 1.5 * math.sqrt(0.05 * 0.3) * run.slope, 1.5 * run.tangent
    np.testing.assert_allclose(x[1:], x[:-1] * (1 - k[:-1] + x[:-1] ** 2), rtol=1e-12)
    np.testing.assert_allclose(k[1:], k[:-1] - x[:-1] ** 2 * (4 - k[:-1]), rtol=1e-12)


def test_descent_is_plain_gradient_descent():
    given, noise = Problem(0.8, 0.05, 0.2, 1.5, 1.2, 2.0), 0.3 * np.random.default_rng(2).normal(size=30)
    path = paths.gradient_descent(given, U, W, noise)
    u, w = U.copy(), W.copy()
    for k in range(31):
        np.testing.assert_allclose(path.u[k], u, rtol=1e-11)
        np.testing.assert_allclose(path.w[k], w, rtol=1e-11)
        assert path.slope[k] == pytest.approx(0.8 * (u @ w), rel=1e-10)
        assert path.alignment[k] == pytest.approx(u @ w / np.linalg.norm(u) / np.linalg.norm(w), rel=1e-10)
        assert path.tangent[k] == pytest.approx(0.64 * (0.05 * w @ w + 0.2 * u @ u), rel=1e-11)
        assert path.risk[k] == pytest.approx((2 - 2.4 * path.slope[k] + 1.5 * path.slope[k] ** 2) / 2, rel=1e-11)
        if k < 30:
            r = 1.2 + noise[k] - 0.8 * 1.5 * (u @ w)
            u, w = u + 0.05 * 0.8 * r * w, w + 0.2 * 0.8 * r * u
            area = solution.invariants(given, u, w).area
            shrunk = solution.invariants(given, path.u[k], path.w[k]).area * (1 - path.gain[k] ** 2) ** 2
            assert area == pytest.approx(shrunk, rel=1e-10)


def test_descent_approaches_the_flow_at_first_order():
    errors = []
    for steps in (100, 200, 400):
        slow = Problem(0.8, 0.5 / steps, 2.0 / steps, 1.5, 1.2, 2.0)
        path = paths.gradient_descent(slow, U, W, np.zeros(steps))
        errors.append(abs(path.slope[-1] - solution.exact(CANONICAL, U, W, np.array([1.0])).slope[0]))
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 2.0, rtol=0.02)


def test_descent_diverges_in_silence():
    path = paths.gradient_descent(problem(cross_moment=0.0), 5 * U, 4 * W + 3, np.zeros(60))
    assert not np.isfinite(path.slope[-1])
    assert np.isfinite(path.slope[0])


def test_slopes_off_the_path_are_refused():
    with pytest.raises(ValueError, match="slopes must be on the path of the start, got 0.1"):
        paths.at_slope(problem(), U, -U, np.array([-0.1, 0.1]))
    with pytest.raises(ValueError, match="force must drive the slope from -0.16 to 0.9"):
        paths.time_under_loss(CANONICAL, U, W, 0.9, lambda s: 0.8 - s)


def test_what_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="noise must be finite, got nan at index 1"):
        paths.gradient_descent(CANONICAL, U, W, np.array([0.0, math.nan]))
    with pytest.raises(ValueError, match="slope must be finite, got inf"):
        paths.time_under_loss(CANONICAL, U, W, math.inf, lambda s: 1.0)
    with pytest.raises(ValueError, match="slopes must be finite, got nan at index 0"):
        paths.at_slope(CANONICAL, U, W, np.array([math.nan]))


def test_descent_does_not_change_its_inputs():
    u, w = U.copy(), W.copy()
    paths.gradient_descent(CANONICAL, u, w, np.zeros(3))
    np.testing.assert_array_equal([u, w], [U, W])
