"""Linear networks in any dimension: autodiff, exact against numerical flow, small steps, measures, refusals."""

import math

import numpy as np
import pytest
import torch

from afp_utils.core.measures import ntk_drift
from afp_utils.core.models import Model, Probe, observe, white
from afp_utils.linear import models, solution
from tests.linear.cases import CANONICAL, U, problem


def test_tangent_and_gradient_by_autodiff():
    rng = np.random.default_rng(3)
    net = models.LinearNet(rng.normal(size=4), rng.normal(size=(4, 3)), 0.7)
    x = rng.normal(size=(5, 3))
    assert isinstance(net, Model)

    def forward(u, w, points):
        return 0.7 * points @ w.T @ u

    u, w, points = (torch.tensor(value) for value in (net.u, net.w, x))
    by_u, by_w = torch.func.jacrev(forward, argnums=(0, 1))(u, w, points)
    rows = torch.cat([by_w.flatten(1), by_u], dim=1)
    np.testing.assert_allclose(net.tangent(x), (rows @ rows.T).numpy(), rtol=1e-12)
    np.testing.assert_allclose(net.gram(x), (by_u @ by_u.T).numpy(), rtol=1e-12)
    np.testing.assert_allclose(net.predict(x), forward(u, w, points).numpy(), rtol=1e-12)


def test_one_direction_agrees_with_the_flow_in_all_directions():
    rng = np.random.default_rng(4)
    u, w, direction = rng.normal(size=6), rng.normal(size=(6, 4)), np.array([0.5, 0.5, -0.1, 0.7])
    direction /= np.linalg.norm(direction)
    given = problem(0.6, 1.0, 1.0, 1.3, -0.8)
    times = np.array([0.0, 0.4, 2.0])
    path = models.one_direction(given, u, w, direction, times)
    other = models.gradient_flow(u, w, 1.3 * np.outer(direction, direction), -0.8 * direction, times, gamma=0.6)
    np.testing.assert_allclose(path.risk, other.risk, rtol=1e-7, atol=1e-9)
    for one, two in zip(path.states, other.states):
        np.testing.assert_allclose(one.u, two.u, rtol=1e-7)
        np.testing.assert_allclose(one.w, two.w, rtol=1e-7)
        across = np.eye(4) - np.outer(direction, direction)
        np.testing.assert_allclose(one.w @ across, w @ across, atol=1e-14)
    for one, two in zip(path.states, other.states):  # the accuracy that the docstring states
        assert np.abs(one.w - two.w).max() < 2e-10
        assert np.abs(one.u - two.u).max() < 2e-10
    slopes = solution.exact(given, u, w @ direction, times).slope
    np.testing.assert_allclose([state.theta @ direction for state in path.states], slopes, rtol=1e-12)


def test_flow_in_all_directions_is_the_limit_of_small_steps():
    rng = np.random.default_rng(5)
    u, w = rng.normal(size=3), rng.normal(size=(3, 2))
    second, cross = np.array([[1.0, 0.3], [0.3, 0.5]]), np.array([0.7, -0.2])
    path = models.gradient_flow(u, w, second, cross, np.array([0.0, 0.8]), gamma=0.9)
    ends = []
    for steps in (2000, 4000):
        a, b = u.copy(), w.copy()
        for _ in range(steps):
            r = 0.9 * (cross - second @ (0.9 * a @ b)) * 0.8 / steps
            a, b = a + b @ r, b + np.outer(a, r)
        ends.append(0.9 * a @ b)
    np.testing.assert_allclose(path.states[-1].theta, 2 * ends[1] - ends[0], rtol=1e-6)
    missed = path.states[-1].theta - np.linalg.solve(second, cross)
    assert path.risk[-1] == pytest.approx(missed @ second @ missed, rel=1e-9)


def test_measures_see_the_difference_between_lazy_and_rich():
    rng = np.random.default_rng(6)
    x = white(rng.normal(size=(12, 3)))
    probe = Probe(x=x, target=x[:, 0], target_gradient=np.tile(np.eye(3)[0], (12, 1)), noise=0.1)
    drift = []
    for scale in (0.05, 20.0):
        u, w = rng.normal(size=30), rng.normal(size=(30, 3))
        given = problem(scale / 30, 1 / scale**2, 1 / scale**2)
        run = models.one_direction(given, u, w, np.eye(3)[0], np.array([0.0, math.inf]))
        drift.append(ntk_drift(observe([run], probe))[0, -1])
    assert drift[0] > 20 * drift[1]


def flow(second_moment=((1, 0), (0, 1)), cross_moment=(1, 1), times=(0, 1), gamma=1.0):
    return models.gradient_flow(U, np.ones((3, 2)), second_moment, cross_moment, times, gamma=gamma)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"second_moment": ((1, 0), (0, -1))}, "second_moment must be symmetric positive semi-definite"),
        ({"second_moment": ((1, 0), (0.5, 1))}, "second_moment must be symmetric positive semi-definite"),
        ({"second_moment": ((1, 0), (0, math.nan))}, "second_moment must be finite"),
        ({"second_moment": ((1, 0), (0, 0))}, "cross_moment must lie in the range of second_moment"),
        ({"times": (1, 0)}, "times must be strictly increasing"),
        ({"times": (0, math.inf)}, "times must be non-negative and finite"),
        ({"gamma": 0}, "gamma must be positive"),
    ],
)
def test_flows_without_sense_are_refused(wrong, message):
    flow()
    with pytest.raises(ValueError, match=message):
        flow(**wrong)


def test_the_direction_must_have_length_one():
    with pytest.raises(ValueError, match="direction must have length 1, got 2.0"):
        models.one_direction(CANONICAL, U, np.ones((3, 2)), np.array([0.0, 2.0]), np.ones(1))
