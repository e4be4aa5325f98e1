"""The flow against solutions by hand, another solver and conserved quantities; and points where nothing moves."""

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from afp_utils.networks.flow import gradient_flow, penalised_risk, stationary
from afp_utils.networks.layers import fact, feature_matrix
from afp_utils.networks.mlp import IDENTITY, TANH, Network
from afp_utils.networks.starts import he_start
from afp_utils.sphere import kernels
from afp_utils.sphere.targets import ridge_teacher
from tests.networks.test_mlp import KINDS, module
from tests.networks.test_mlp import network as any_network
from tests.networks.test_starts import antisymmetric


def network(widths=(3, 5, 4, 2), activation=TANH, seed=0):
    return he_start(widths, activation, rng=np.random.default_rng(seed))


def data(n=12, d=3, outputs=2, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    return x, np.tanh(x @ rng.normal(size=(d, outputs))) + 0.3 * x[:, :1] * x[:, 1:2]


def apart(first, second):
    return max(
        float(np.abs(a - b).max()) for a, b in zip((*first.weights, *first.biases), (*second.weights, *second.biases))
    )


def test_penalised_risk_by_hand():
    net = Network((np.array([[1.0, 2.0]]), np.array([[3.0], [-1.0]])), IDENTITY)
    x, y = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[2.0, 0.0], [6.0, 0.0]])
    # outputs (3, -1), (6, -2): errors 1, 1, 0, 4 squared; weights 1, 4, 9, 1 squared
    assert penalised_risk(net, x, y, 0.2)[0] == pytest.approx((1 + 1 + 0 + 4) / 4 + 0.1 * 15)


@KINDS
def test_penalised_risk_and_its_slope_are_those_of_automatic_differentiation(biased, alpha):
    net, (x, y) = any_network((3, 5, 4, 2), TANH, biased, alpha), data()
    torch_net = module(net)
    outputs = net.scale * torch_net(torch.tensor(x))
    size = sum(p.square().sum() for p in torch_net.parameters())
    risk = (outputs - torch.tensor(y)).square().sum(dim=1).mean() / 2 + 0.15 * size
    risk.backward()
    value, slopes = penalised_risk(net, x, y, 0.3)
    assert value == pytest.approx(risk.item())
    parameters = sorted(torch_net.parameters(), key=lambda p: -p.ndim)  # weights, then biases
    for slope, parameter in zip(slopes, parameters, strict=True):
        np.testing.assert_allclose(slope, parameter.grad, rtol=1e-10, atol=1e-12)


def test_flow_of_one_linear_layer_is_an_exponential():
    x, y = data(outputs=2)
    net, decay, time = network((3, 2), IDENTITY), 0.2, 1.7
    moment = x.T @ x / len(x) + decay * np.eye(3)
    best = np.linalg.solve(moment, x.T @ y / len(x)).T
    run = gradient_flow(net, x, y, np.array([0.0, time]), decay)
    expected = best + (net.weights[0] - best) @ expm(-time * moment)
    np.testing.assert_allclose(run.states[1].weights[0], expected, atol=1e-7)
    assert apart(run.states[0], net) == 0


@KINDS
def test_flow_is_the_limit_of_small_steps(biased, alpha):
    net, (x, y) = any_network((3, 5, 2), TANH, biased, alpha), data()
    flow = gradient_flow(net, x, y, np.array([0.2]), 0.1).states[0]
    misses = []
    for steps in (40, 80):
        parts, clock = [*net.weights, *net.biases], (alpha or 1.0) ** 2
        for _ in range(steps):
            now = Network(tuple(parts[:2]), TANH, tuple(parts[2:]), alpha)
            slopes = penalised_risk(now, x, y, 0.1)[1]
            parts = [part - 0.2 / steps / clock * slope for part, slope in zip(parts, slopes)]
        misses.append(apart(flow, Network(tuple(parts[:2]), TANH, tuple(parts[2:]), alpha)))
    assert misses[0] < 0.02
    assert misses[0] / misses[1] == pytest.approx(2, abs=0.1)  # first order in the rate


def test_the_start_is_left_alone():
    net, (x, y) = network(), data()
    kept = [w.copy() for w in net.weights]
    gradient_flow(net, x, y, np.array([1.0]))
    stationary(net, x, y, 0.1)
    assert all(np.array_equal(a, b) for a, b in zip(kept, net.weights))


def test_relu_keeps_the_balance_of_every_neuron():
    """Gradient flow keeps u_h^2 - |w_h|^2, kinks or not."""
    x = kernels.uniform_points(12, 3, rng=np.random.default_rng(0))
    y = ridge_teacher(3, 3.5, rng=np.random.default_rng(1))(x)
    run = gradient_flow(antisymmetric(m=10), x, y, np.array([0.0, 5.0]), precision=1e-6)
    first, last = (state.weights[1][0] ** 2 - np.sum(state.weights[0] ** 2, axis=1) for state in run.states)
    assert np.abs(last - first).max() < 1e-4
    assert np.abs(run.states[1].weights[1] - run.states[0].weights[1]).max() > 0.1


def test_flow_stops_at_its_times_and_does_not_depend_on_how_many_are_asked():
    net, (x, y) = network(), data()
    run = gradient_flow(net, x, y, np.array([0.0, 0.3, 2.0]))
    np.testing.assert_array_equal(run.time, [0, 0.3, 2.0])
    np.testing.assert_allclose(run.risk, [np.mean((state.predict(x) - y) ** 2) for state in run.states], rtol=1e-10)
    assert np.all(np.diff(run.risk) < 0)
    assert apart(gradient_flow(net, x, y, np.array([2.0])).states[0], run.states[-1]) < 1e-6


def test_decay_makes_the_imbalance_of_a_linear_network_fall_exponentially():
    net, (x, y) = network((3, 5, 2), IDENTITY), data()

    def imbalance(state):
        return state.weights[1].T @ state.weights[1] - state.weights[0] @ state.weights[0].T

    for decay in (0.0, 0.15):
        first, last = gradient_flow(net, x, y, np.array([0.0, 2.0]), decay).states
        np.testing.assert_allclose(imbalance(last), np.exp(-2 * decay * 2) * imbalance(first), atol=1e-6)


def test_stationary_points_satisfy_fact_and_others_do_not():
    x = np.random.default_rng(0).normal(size=(60, 4))
    y = 2 * x[:, 0] * x[:, 1] + x[:, 2]
    start, decay = network((4, 6, 5, 1), TANH), 0.01
    net = stationary(start, x, y, decay)
    slopes = penalised_risk(net, x, y, decay)[1]
    assert np.sqrt(sum(np.sum(slope**2) for slope in slopes)) < 1e-7
    early = gradient_flow(start, x, y, np.array([3.0]), decay).states[0]
    for layer in (1, 2, 3):
        here, there = (
            np.linalg.norm(fact(one, x, y, layer, decay) - feature_matrix(one, layer))
            / np.linalg.norm(feature_matrix(one, layer))
            for one in (net, early)
        )
        assert here < 1e-4  # |W| slope / (decay |W|^2) is at most about 1e-7 / 1e-2
        assert there > 0.1


def test_a_stationary_point_is_a_minimum():
    x, y = data(40)
    net = stationary(network((3, 4, 2)), x, y, 0.02)
    least = penalised_risk(net, x, y, 0.02)[0]
    rng = np.random.default_rng(5)
    for _ in range(20):
        moved = Network(tuple(w + 1e-3 * rng.normal(size=w.shape) for w in net.weights), TANH)
        assert penalised_risk(moved, x, y, 0.02)[0] > least


@pytest.mark.parametrize("size", [1.0, 1e-6, 1e-12])
def test_a_flow_from_a_tiny_start_is_as_precise_as_any_other(size):
    # f = w2 w1 x with w1 = w2 = w and E x^2 = y = 1: w' = w (1 - w^2), so that w^2 / (1 - w^2) grows as exp(2 t)
    start = 0.1 * size
    net = Network((np.array([[start]]), np.array([[start]])), IDENTITY)
    times = np.array([0.5, 3.0])
    run = gradient_flow(net, np.array([[1.0], [-1.0]]), np.array([1.0, -1.0]), times)
    odds = start**2 / (1 - start**2) * np.exp(2 * times)
    found = [state.weights[0][0, 0] for state in run.states]
    np.testing.assert_allclose(found, np.sqrt(odds / (1 + odds)), rtol=2e-7)


def test_defaults_are_those_that_are_written_out():
    net, (x, y), times = network(), data(), np.array([1.0])
    one, other = gradient_flow(net, x, y, times), gradient_flow(net, x, y, times, 0.0, 1e-8)
    assert apart(one.states[0], other.states[0]) == 0
    exact = gradient_flow(net, x, y, times, 0.0, 1e-12).states[0]
    assert 0 < apart(one.states[0], exact) < 1e-7
    assert penalised_risk(net, x, y)[0] == penalised_risk(net, x, y, 0.0)[0] < penalised_risk(net, x, y, 0.1)[0]
    settled = stationary(net, x, y, 0.1)
    assert np.sqrt(sum(np.sum(slope**2) for slope in penalised_risk(settled, x, y, 0.1)[1])) < 1e-7


def flow(x=None, y=None, times=(1.0,)):
    points, values = data()
    return gradient_flow(network(), points if x is None else x, values if y is None else y, np.array(times))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: flow(x=np.full((12, 3), np.nan)), "x must be finite"),
        (lambda: flow(y=np.full((12, 2), np.inf)), "y must be finite"),
        (lambda: flow(x=np.ones((0, 3)), y=np.ones((0, 2))), "x must be not empty"),
        (lambda: flow(y=np.ones((12, 3))), r"y must have one value per output \(2\)"),
        (lambda: flow(times=[]), "times must be not empty"),
        (lambda: gradient_flow(network(), *data(), np.array([1.0, 0.5])), "times must be strictly increasing"),
        (lambda: gradient_flow(network(), *data(), np.array([-1.0])), "times must be non-negative"),
        (lambda: gradient_flow(network(), *data(), np.array([1.0]), -0.1), "decay must be non-negative"),
        (lambda: gradient_flow(network(), *data(), np.array([1.0]), 0.1, 0.0), "precision must be positive"),
        (lambda: penalised_risk(network(), *data(), -1.0), "decay must be non-negative"),
        (lambda: stationary(network(), *data(), 0.0), "decay must be positive"),
        (lambda: stationary(network(), *data(), 0.1, -1.0), "tolerance must be positive"),
        (lambda: stationary(network(), *data(), 0.1, 1e-30), "tolerance must be within reach, got 1e-30"),
    ],
)
def test_refusals(make, match):
    with pytest.raises(ValueError, match=match):
        make()
