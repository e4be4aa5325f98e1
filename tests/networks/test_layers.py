"""Matrices of layers against automatic differentiation, identities at any weights, and the exact linear case."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from afp_utils.networks.flow import penalised_risk
from afp_utils.networks.layers import fact, feature_matrix, layer_agop, tangent_covariance
from afp_utils.networks.mlp import IDENTITY, RELU, TANH, Network
from afp_utils.networks.starts import balanced_start, he_start
from tests.networks.test_mlp import EACH, KINDS, SHAPES, module, network, points


def jacobians(net, x, layer):
    """Slopes of the outputs in the input of a layer, by automatic differentiation (point, output, coordinate)."""
    rest = module(net)[2 * (layer - 1) :]
    return np.stack(
        [net.scale * torch.func.jacrev(rest)(torch.tensor(h)).detach().numpy() for h in net.inputs(x)[layer - 1]]
    )


def test_matrices_by_hand():
    net = Network((np.array([[1.0, 2.0], [-1.0, 1.0], [0.0, 3.0]]), np.array([[2.0, 1.0, -1.0]])), RELU)
    x = np.array([[1.0, 1.0], [-2.0, 0.5]])
    np.testing.assert_array_equal(feature_matrix(net, 1), [[2, 1], [1, 14]])
    np.testing.assert_array_equal(layer_agop(net, x, 1), [[2.5, 2], [2, 2.5]])
    np.testing.assert_array_equal(tangent_covariance(net, x, 1), [[2, 0, -1], [0, 0.5, -0.5], [-1, -0.5, 1]])
    np.testing.assert_array_equal(tangent_covariance(net, x, 2), [[1]])
    # errors 1 and -1 at y = (2, 2); slopes of the loss in x are (2, 1) and (1, 2)
    np.testing.assert_array_equal(fact(net, x, np.array([2.0, 2.0]), 1, 0.5), [[0, -2.5], [3, -2]])


@EACH
@KINDS
def test_matrices_of_each_layer_are_those_of_automatic_differentiation(widths, activation, biased, alpha):
    net, x = network(widths, activation, biased, alpha), points(9, widths[0])
    y = points(9, widths[-1], seed=2)
    errors = net.predict(x).reshape(y.shape) - y
    for layer, weight in enumerate(net.weights, start=1):
        slopes, h = jacobians(net, x, layer), net.inputs(x)[layer - 1]
        np.testing.assert_allclose(layer_agop(net, x, layer), np.einsum("ika,ikb->ab", slopes, slopes) / 9, rtol=1e-9)
        pulled = weight.T @ tangent_covariance(net, x, layer) @ weight
        np.testing.assert_allclose(layer_agop(net, x, layer), pulled, rtol=1e-10, atol=1e-10)
        expected = -np.einsum("ik,ika,ib->ab", errors, slopes, h) / (9 * 0.3)
        np.testing.assert_allclose(fact(net, x, y, layer, 0.3), expected, rtol=1e-8, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), decay=st.floats(1e-3, 3.0), which=st.sampled_from(SHAPES))
def test_fact_misses_by_the_slope_of_the_penalised_risk(seed, decay, which):
    net, x = he_start(*which, rng=np.random.default_rng(seed)), points(9, seed=seed)
    y = np.random.default_rng(seed).normal(size=(9, which[0][-1]))
    slopes = penalised_risk(net, x, y, decay)[1]
    for layer, (weight, slope) in enumerate(zip(net.weights, slopes), start=1):
        missing = feature_matrix(net, layer) - fact(net, x, y, layer, decay)
        np.testing.assert_allclose(decay * missing, weight.T @ slope, atol=1e-10)


def test_matrices_turn_with_the_inputs_and_not_with_hidden_units():
    net, x, y = network(), points(), points(6, 3, seed=4)
    q = np.linalg.qr(points(4, seed=3))[0]
    turned = replace(net, weights=(net.weights[0] @ q, *net.weights[1:]))
    np.testing.assert_allclose(layer_agop(turned, x @ q, 1), q.T @ layer_agop(net, x, 1) @ q, rtol=1e-9, atol=1e-9)
    expected = q.T @ fact(net, x, y, 1, 0.3) @ q
    np.testing.assert_allclose(fact(turned, x @ q, y, 1, 0.3), expected, rtol=1e-9, atol=1e-9)
    shuffled = replace(net, weights=(net.weights[0][::-1], net.weights[1][:, ::-1], net.weights[2]))
    np.testing.assert_allclose(feature_matrix(shuffled, 1), feature_matrix(net, 1), atol=1e-12)


@pytest.mark.parametrize("widths", [(5, 8, 4), (5, 6, 7, 4), (5, 7, 6, 9, 4)])
def test_balanced_linear_networks_have_agop_a_power_of_the_feature_matrix(widths):
    net = balanced_start(widths, np.array([1.3, 0.8, 0.5, 0.2]), rng=np.random.default_rng(2))
    x, depth = points(7, 5), len(widths) - 1
    for layer in range(1, depth + 1):
        power = np.linalg.matrix_power(feature_matrix(net, layer), depth - layer + 1)
        np.testing.assert_allclose(layer_agop(net, x, layer), power, atol=1e-13)


def test_linear_networks_out_of_balance_have_not():
    net, x = he_start((5, 6, 4), IDENTITY, rng=np.random.default_rng(0)), points(7, 5)
    square = np.linalg.matrix_power(feature_matrix(net, 1), 2)
    assert np.linalg.norm(layer_agop(net, x, 1) - square) > 0.3 * np.linalg.norm(square)


def test_one_training_point_makes_both_matrices_multiples_of_its_square():
    # W_1 starts at 0 and its slope is (something) x^T, so it stays u x^T; with tanh the last layer sees u . x
    x, u = np.array([[0.5, -1.0, 2.0]]), np.array([0.3, -0.2, 0.9, 0.1])
    net = Network((np.outer(u, x[0]), np.array([[1.0, -2.0, 0.5, 3.0]])), TANH)
    square = np.outer(x[0], x[0])
    slope = (net.weights[1][0] * (1 - np.tanh(u * 5.25) ** 2)) @ u
    np.testing.assert_allclose(feature_matrix(net, 1), (u @ u) * square, atol=1e-14)
    np.testing.assert_allclose(layer_agop(net, x, 1), slope**2 * square, atol=1e-14)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: feature_matrix(network((4, 2)), 2), r"layer must be in \[1, 1\], got 2"),
        (lambda: layer_agop(network((4, 2)), points(), 0), r"layer must be in \[1, 1\], got 0"),
        (lambda: layer_agop(network((4, 2)), points(0), 1), "x must be not empty"),
        (lambda: tangent_covariance(network((4, 2)), points(0), 1), "x must be not empty"),
        (lambda: fact(network((4, 1)), points(), np.ones(6), 1, 0.0), "decay must be positive"),
        (lambda: fact(network((4, 1)), points(), np.full(6, np.inf), 1, 1.0), "y must be finite"),
        (lambda: fact(network((4, 2)), points(), np.ones(6), 1, 1.0), r"y must have one value per output \(2\)"),
    ],
)
def test_refusals(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_wrong_shapes_are_refused():
    with pytest.raises(TypeError, match=r"y must be an array of floats of shape \(n=6, \*output\), got .* \(5,\)"):
        fact(network((4, 1)), points(6), np.ones(5), 1, 1.0)
