"""Deep networks against autograd, hand-made cases, identities that hold at any weights, and the exact linear case."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from afp_utils.core.models import Model
from afp_utils.networks import deep
from afp_utils.networks.deep import IDENTITY, RELU, TANH, DeepNetwork
from afp_utils.networks.deep_training import penalised_risk

NETS = [((4, 7, 5, 3), TANH), ((4, 6, 1), RELU), ((4, 5, 6, 5, 2), RELU), ((4, 1), TANH), ((4, 3, 2), IDENTITY)]
EACH = pytest.mark.parametrize(("widths", "activation"), NETS)


def network(widths, activation=TANH, seed=0):
    return deep.he_start(widths, activation, rng=np.random.default_rng(seed))


def points(n=6, d=4, seed=1):
    return np.random.default_rng(seed).normal(size=(n, d))


def by_autograd(net):
    """The network written again, as a function of weights and one point."""
    phi = {TANH: torch.tanh, RELU: torch.relu, IDENTITY: lambda a: a}[net.activation]

    def f(weights, h, first=1):
        for weight in weights[first - 1 : -1]:
            h = phi(weight @ h)
        return weights[-1] @ h

    return f, tuple(torch.tensor(w) for w in net.weights)


def hidden(net, x, layer):
    """Inputs of a layer, by a loop."""
    phi: Any = {TANH: np.tanh, RELU: lambda a: np.maximum(a, 0), IDENTITY: lambda a: a}[net.activation]
    for weight in net.weights[: layer - 1]:
        x = phi(x @ weight.T)
    return x


def jacobians_by_autograd(net, x, layer):
    f, weights = by_autograd(net)
    return np.stack(
        [torch.func.jacrev(f, argnums=1)(weights, torch.tensor(h), layer).numpy() for h in hidden(net, x, layer)]
    )


def test_a_network_by_hand():
    net = DeepNetwork((np.array([[1.0, 2.0], [-1.0, 1.0], [0.0, 3.0]]), np.array([[2.0, 1.0, -1.0]])), RELU)
    x = np.array([[1.0, 1.0], [-2.0, 0.5]])  # before the rectifier: (3, 0, 3) and (-1, 2.5, 1.5)
    np.testing.assert_array_equal(net.predict(x), [2 * 3 - 3, 2.5 - 1.5])
    np.testing.assert_array_equal(net.gradient(x), [[2, 4 - 3], [-1, 1 - 3]])
    np.testing.assert_array_equal(net.gram(x), [[18, 4.5], [4.5, 6.25 + 2.25]])
    # first layer: x . x' times the readouts of neurons active at both
    np.testing.assert_array_equal(net.tangent(x), net.gram(x) + np.array([[2 * 5, -1.5 * 1], [-1.5 * 1, 4.25 * 2]]))
    np.testing.assert_array_equal(deep.feature_matrix(net, 1), [[2, 1], [1, 14]])
    np.testing.assert_array_equal(deep.layer_agop(net, x, 1), [[2.5, 2], [2, 2.5]])
    np.testing.assert_array_equal(deep.layer_agop(net, x, 1, centred=True), [[2.25, 2.25], [2.25, 2.25]])
    np.testing.assert_array_equal(deep.tangent_covariance(net, x, 1), [[2, 0, -1], [0, 0.5, -0.5], [-1, -0.5, 1]])
    np.testing.assert_array_equal(deep.tangent_covariance(net, x, 2), [[1]])
    # errors 1 and -1 at y = (2, 2); slopes of the loss in x are (2, 1) and (1, 2)
    np.testing.assert_array_equal(deep.fact(net, x, np.array([2.0, 2.0]), 1, 0.5), [[0, -2.5], [3, -2]])


@EACH
def test_answers_are_those_of_autograd(widths, activation):
    net, x = network(widths, activation), points()
    f, weights = by_autograd(net)
    outputs = torch.func.vmap(f, in_dims=(None, 0))(weights, torch.tensor(x)).numpy()
    by_weight = torch.func.vmap(torch.func.jacrev(f), in_dims=(None, 0))(weights, torch.tensor(x))
    rows = torch.cat([part.flatten(2) for part in by_weight], dim=2).flatten(1)
    single = widths[-1] == 1
    assert isinstance(net, Model)
    np.testing.assert_allclose(net.predict(x), outputs[:, 0] if single else outputs, atol=1e-13)
    slopes = jacobians_by_autograd(net, x, 1)
    np.testing.assert_allclose(net.gradient(x), slopes[:, 0] if single else slopes, atol=1e-13)
    np.testing.assert_allclose(net.tangent(x), rows @ rows.T, rtol=1e-11, atol=1e-11)
    last = hidden(net, x, len(net.weights))
    np.testing.assert_allclose(net.gram(x), last @ last.T, atol=1e-13)


@EACH
@pytest.mark.parametrize("centred", [False, True])
def test_agop_of_each_layer_is_that_of_autograd(widths, activation, centred):
    net, x = network(widths, activation), points()
    for layer in range(1, len(widths)):
        slopes = jacobians_by_autograd(net, x, layer)
        slopes = slopes - centred * slopes.mean(axis=0)
        expected = sum(one.T @ one for one in slopes) / len(x)
        np.testing.assert_allclose(deep.layer_agop(net, x, layer, centred=centred), expected, atol=1e-13)


@EACH
def test_agop_is_the_tangent_covariance_pulled_back(widths, activation):
    net, x = network(widths, activation), points(20)
    for layer, weight in enumerate(net.weights, start=1):
        pulled = weight.T @ deep.tangent_covariance(net, x, layer) @ weight
        np.testing.assert_allclose(deep.layer_agop(net, x, layer), pulled, rtol=1e-12, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), decay=st.floats(1e-3, 3.0), which=st.sampled_from(NETS))
def test_fact_misses_by_the_slope_of_the_penalised_risk(seed, decay, which):
    net, x = network(*which, seed), points(9, seed=seed)
    y = np.random.default_rng(seed).normal(size=(9, which[0][-1]))
    slopes = penalised_risk(net, x, y, decay)[1]
    for layer, (weight, slope) in enumerate(zip(net.weights, slopes), start=1):
        missing = deep.feature_matrix(net, layer) - deep.fact(net, x, y, layer, decay)
        np.testing.assert_allclose(decay * missing, weight.T @ slope, atol=1e-10)


def test_answers_turn_with_the_inputs_and_not_with_hidden_units():
    net, x = network((4, 7, 5, 3)), points()
    q, y = ortho_group.rvs(4, random_state=3), points(6, 3, seed=4)
    turned = replace(net, weights=(net.weights[0] @ q, *net.weights[1:]))
    np.testing.assert_allclose(turned.predict(x @ q), net.predict(x), atol=1e-13)
    for matrix in (deep.layer_agop(turned, x @ q, 1), deep.fact(turned, x @ q, y, 1, 0.3)):
        assert matrix.shape == (4, 4)
    np.testing.assert_allclose(deep.layer_agop(turned, x @ q, 1), q.T @ deep.layer_agop(net, x, 1) @ q, atol=1e-12)
    np.testing.assert_allclose(deep.fact(turned, x @ q, y, 1, 0.3), q.T @ deep.fact(net, x, y, 1, 0.3) @ q, atol=1e-12)
    order = [3, 0, 6, 1, 5, 2, 4]
    shuffled = replace(net, weights=(net.weights[0][order], net.weights[1][:, order], net.weights[2]))
    np.testing.assert_allclose(shuffled.tangent(x), net.tangent(x), atol=1e-12)
    np.testing.assert_allclose(deep.feature_matrix(shuffled, 1), deep.feature_matrix(net, 1), atol=1e-12)


def test_answers_keep_single_precision():
    net = network((4, 7, 1))
    single = replace(net, weights=tuple(w.astype(np.float32) for w in net.weights))
    assert single.predict(points()).dtype == single.tangent(points()).dtype == np.float32
    np.testing.assert_allclose(single.gradient(points()), net.gradient(points()), atol=1e-5)


# ---- starts ----


def test_he_start_has_the_variances_it_should():
    net = deep.he_start((200, 300, 400, 10), RELU, rng=np.random.default_rng(0), first=0.1)
    assert [w.shape for w in net.weights] == [(300, 200), (400, 300), (10, 400)]
    measured = [float(w.var()) for w in net.weights]
    np.testing.assert_allclose(measured, [0.01 * 2 / 200, 2 / 300, 2 / 400], rtol=0.08)  # 4 sd of 4000 squares is 9 %


@pytest.mark.parametrize("widths", [(5, 8, 4), (5, 6, 7, 4), (5, 7, 6, 9, 4)])
def test_balanced_linear_networks_have_agop_a_power_of_the_feature_matrix(widths):
    values = np.array([1.3, 0.8, 0.5, 0.2])
    net = deep.balanced_start(widths, values, rng=np.random.default_rng(2))
    x, depth = points(7, 5), len(widths) - 1
    for above, below in zip(net.weights[1:], net.weights):
        np.testing.assert_allclose(above.T @ above, below @ below.T, atol=1e-14)
    whole = np.linalg.multi_dot(net.weights[::-1])
    np.testing.assert_allclose(np.linalg.svd(whole)[1][:4], values**depth, rtol=1e-12)
    for layer in range(1, depth + 1):
        power = np.linalg.matrix_power(deep.feature_matrix(net, layer), depth - layer + 1)
        np.testing.assert_allclose(deep.layer_agop(net, x, layer), power, atol=1e-13)


def test_linear_networks_out_of_balance_have_not():
    net, x = network((5, 6, 4), IDENTITY), points(7, 5)
    square = np.linalg.matrix_power(deep.feature_matrix(net, 1), 2)
    assert np.linalg.norm(deep.layer_agop(net, x, 1) - square) > 0.3 * np.linalg.norm(square)


def test_one_training_point_makes_both_matrices_multiples_of_its_square():
    # W_1 starts at 0 and its slope is (something) x^T, so it stays u x^T; with tanh the last layer sees u . x
    x, u = np.array([[0.5, -1.0, 2.0]]), np.array([0.3, -0.2, 0.9, 0.1])
    net = DeepNetwork((np.outer(u, x[0]), np.array([[1.0, -2.0, 0.5, 3.0]])), TANH)
    square = np.outer(x[0], x[0])
    slope = (net.weights[1][0] * (1 - np.tanh(u * 5.25) ** 2)) @ u
    np.testing.assert_allclose(deep.feature_matrix(net, 1), (u @ u) * square, atol=1e-14)
    np.testing.assert_allclose(deep.layer_agop(net, x, 1), slope**2 * square, atol=1e-14)


# ---- refusals ----


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: DeepNetwork((), TANH), "weights must hold at least one layer, got none"),
        (lambda: DeepNetwork((np.ones((3, 2)), np.ones((1, 2))), TANH), "layer 2 must take 3 inputs, got 2"),
        (lambda: DeepNetwork((np.ones((3, 2)), np.full((1, 3), np.nan)), TANH), "weights of layer 2 must be finite"),
        (lambda: network((3,)), "widths must be at least two"),
        (lambda: network((3, 0, 1)), "widths must be at least two, each at least 1"),
        (lambda: deep.he_start((3, 1), RELU, rng=np.random.default_rng(0), first=0.0), "first must be positive"),
        (
            lambda: deep.balanced_start((3, 2, 4), np.ones(3), rng=np.random.default_rng(0)),
            r"values must be at most as many as the least width \(2\), got 3",
        ),
        (
            lambda: deep.balanced_start((3, 2), np.array([-1.0]), rng=np.random.default_rng(0)),
            "values must be non-negative",
        ),
        (lambda: deep.feature_matrix(network((4, 2)), 2), "layer must be from 1 to 1, got 2"),
        (lambda: deep.layer_agop(network((4, 2)), points(), 0), "layer must be from 1 to 1, got 0"),
        (lambda: deep.layer_agop(network((4, 2)), points(0), 1), "x must hold at least one point"),
        (lambda: deep.tangent_covariance(network((4, 2)), points(0), 1), "x must hold at least one point"),
        (lambda: network((4, 2)).predict(points() * np.nan), "x must be finite"),
        (lambda: deep.fact(network((4, 1)), points(), np.ones(6), 1, 0.0), "decay must be positive"),
        (lambda: deep.fact(network((4, 1)), points(), np.full(6, np.inf), 1, 1.0), "y must be finite"),
        (lambda: deep.fact(network((4, 2)), points(), np.ones(6), 1, 1.0), r"y must have one value per output \(2\)"),
    ],
)
def test_refusals(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_wrong_shapes_are_refused():
    with pytest.raises(TypeError):
        network((4, 2)).predict(np.ones(4))
    with pytest.raises(TypeError):
        DeepNetwork((np.ones(3),), TANH)
    with pytest.raises(TypeError):
        deep.fact(network((4, 1)), points(6), np.ones(5), 1, 1.0)


def test_more_outputs_than_points():
    net, x = network((3, 4, 9)), points(2, 3)
    y = np.random.default_rng(2).normal(size=(2, 9))
    jacobian = torch.autograd.functional.jacobian
    weights = [torch.from_numpy(weight) for weight in net.weights]
    slopes = [jacobian(lambda p: torch.tanh(p @ weights[0].T) @ weights[1].T, torch.from_numpy(p)).numpy() for p in x]
    np.testing.assert_allclose(deep.layer_agop(net, x, 1), sum(g.T @ g for g in slopes) / 2, rtol=1e-12)
    mean = sum(slopes) / 2
    centred = sum((g - mean).T @ (g - mean) for g in slopes) / 2
    np.testing.assert_allclose(deep.layer_agop(net, x, 1, centred=True), centred, rtol=1e-10)
    errors = net.predict(x) - y
    pulled = sum(np.outer(g.T @ e, p) for g, e, p in zip(slopes, errors, x))
    np.testing.assert_allclose(deep.fact(net, x, y, 1, 0.3), -pulled / (2 * 0.3), rtol=1e-12)


def test_the_scale_of_the_first_layer_is_one_unless_given():
    one, other = (deep.he_start((3, 4, 2), RELU, rng=np.random.default_rng(0), **more) for more in ({}, {"first": 1.0}))
    small = deep.he_start((3, 4, 2), RELU, rng=np.random.default_rng(0), first=0.1)
    np.testing.assert_array_equal(one.weights[0], other.weights[0])
    np.testing.assert_allclose(small.weights[0], 0.1 * one.weights[0])
    np.testing.assert_array_equal(small.weights[1], one.weights[1])
