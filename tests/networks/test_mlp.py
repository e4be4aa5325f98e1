"""Networks against torch modules and automatic differentiation, by hand, and by symmetries that hold at any weights."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from afp_utils.core.models import Model
from afp_utils.networks.mlp import IDENTITY, RELU, TANH, Network

MODULES = {RELU: nn.ReLU, TANH: nn.Tanh, IDENTITY: nn.Identity}
SHAPES = [((4, 3), TANH), ((4, 1), RELU), ((4, 6, 1), RELU), ((4, 7, 5, 3), TANH), ((4, 5, 6, 5, 2), RELU)]
EACH = pytest.mark.parametrize(("widths", "activation"), [*SHAPES, ((4, 3, 2), IDENTITY), ((3, 4, 9), TANH)])
KINDS = pytest.mark.parametrize(("biased", "alpha"), [(False, None), (True, None), (False, 0.7), (True, 2.0)])


def network(widths=(4, 7, 5, 3), activation=TANH, biased=False, alpha=None, models=(), seed=0):
    rng = np.random.default_rng(seed)
    weights = tuple(rng.normal(size=(*models, above, below)) for below, above in pairwise(widths))
    biases = tuple(rng.normal(size=(*models, above)) for above in widths[1:]) if biased else ()
    return Network(weights, activation, biases, alpha)


def points(n=6, d=4, seed=1):
    return np.random.default_rng(seed).normal(size=(n, d))


def module(net):
    """The network as torch has it, without the scale."""
    layers = []
    for i, w in enumerate(net.weights):
        linear = nn.Linear(w.shape[1], w.shape[0], bias=bool(net.biases)).double()
        linear.weight.data = torch.tensor(w)
        if net.biases:
            linear.bias.data = torch.tensor(net.biases[i])
        layers += [linear, MODULES[net.activation]()]
    return nn.Sequential(*layers[:-1])


def gradients(output, parameters):
    found = torch.autograd.grad(output, parameters, retain_graph=True)
    return torch.cat([part.flatten() for part in found]).numpy()


def test_a_network_by_hand():
    net = Network((np.array([[1.0, 2.0], [-1.0, 1.0], [0.0, 3.0]]), np.array([[2.0, 1.0, -1.0]])), RELU)
    x = np.array([[1.0, 1.0], [-2.0, 0.5]])  # before the rectifier: (3, 0, 3) and (-1, 2.5, 1.5)
    np.testing.assert_array_equal(net.predict(x), [2 * 3 - 3, 2.5 - 1.5])
    np.testing.assert_array_equal(net.gradient(x), [[2, 4 - 3], [-1, 1 - 3]])
    np.testing.assert_array_equal(net.gram(x), [[18, 4.5], [4.5, 6.25 + 2.25]])
    # first layer: x . x' times the readouts of neurons active at both
    np.testing.assert_array_equal(net.tangent(x), net.gram(x) + np.array([[2 * 5, -1.5 * 1], [-1.5 * 1, 4.25 * 2]]))


def test_scale_and_biases_by_hand():
    """Scale 6 / sqrt 4 in the features; a bias is one more feature of the readout, a constant 3."""
    w, u = np.array([[3.0, 4.0], [-1.0, 0.0], [0, 1], [0, 2]]), np.array([[1.0, 2.0, -1.0, 0]])
    net, x = Network((w, u), RELU, alpha=6.0), np.array([[1.0, 1.0], [-2.0, 0.0]])
    np.testing.assert_allclose(net.predict(x), 3 * np.array([7 - 1, 2 * 2]))
    np.testing.assert_allclose(net.gradient(x), 3 * np.array([[3, 3], [-2, 0]]))
    np.testing.assert_allclose(net.gram(x), 9 * np.array([[49 + 1 + 4, 0], [0, 4]]))
    np.testing.assert_allclose(net.tangent(x) - net.gram(x), 9 * np.array([[(1 + 1) * 2, 0], [0, 4 * 4]]))
    biased = replace(net, biases=(np.zeros(4), np.array([0.5])))
    np.testing.assert_allclose(biased.predict(x), net.predict(x) + 1.5)
    np.testing.assert_allclose(biased.gram(x), net.gram(x) + 9)
    np.testing.assert_allclose(biased.tangent(x), net.tangent(x) + 9 + 9 * np.array([[2, 0], [0, 4]]))


@EACH
@KINDS
def test_answers_are_those_of_automatic_differentiation(widths, activation, biased, alpha):
    net, x = network(widths, activation, biased, alpha), points(d=widths[0])
    torch_net, at = module(net), torch.tensor(x, requires_grad=True)
    outputs = (1 if alpha is None else alpha / widths[-2] ** 0.5) * torch_net(at)
    single, parameters = widths[-1] == 1, list(torch_net.parameters())
    assert isinstance(net, Model)
    expected = outputs.detach().numpy()
    np.testing.assert_allclose(net.predict(x), expected[:, 0] if single else expected, atol=1e-13)
    np.testing.assert_array_equal(net.labels(x), expected.argmax(axis=1))
    slopes = [torch.autograd.grad(f.sum(), at, retain_graph=True)[0].numpy() for f in outputs.T]
    np.testing.assert_allclose(net.gradient(x), slopes[0] if single else np.stack(slopes, axis=1), rtol=1e-10)
    rows = np.array([[gradients(f, parameters) for f in row] for row in outputs])  # point, output, parameter
    np.testing.assert_allclose(net.tangent(x), np.einsum("ikp,jkp->ij", rows, rows), rtol=1e-9, atol=1e-9)
    readout = parameters[-2:] if biased else parameters[-1:]
    own = np.array([gradients(row[0], readout) for row in outputs])  # the same for each output
    np.testing.assert_allclose(net.gram(x), own @ own.T, rtol=1e-10, atol=1e-12)


@EACH
@KINDS
def test_inputs_and_slopes_of_each_layer_are_those_of_automatic_differentiation(widths, activation, biased, alpha):
    net, x = network(widths, activation, biased, alpha), points(d=widths[0])
    h, steps = torch.tensor(x), list(module(net))
    for layer, (inputs, slopes) in enumerate(zip(net.inputs(x), net.slopes(x))):
        np.testing.assert_allclose(inputs, h.detach().numpy(), atol=1e-13)
        a = steps[2 * layer](h).detach().requires_grad_()
        outputs = net.scale * nn.Sequential(*steps[2 * layer + 1 :])(a)
        for k, f in enumerate(outputs.T):
            expected = torch.autograd.grad(f.sum(), a, retain_graph=True)[0].numpy()
            np.testing.assert_allclose(slopes[k], expected, rtol=1e-11, atol=1e-13)
        h = nn.Sequential(*steps[2 * layer : 2 * layer + 2])(h)


@pytest.mark.parametrize("widths", [(4, 3), (4, 6, 1), (4, 6, 5, 3)])
@KINDS
def test_several_networks_answer_as_each_of_them(widths, biased, alpha):
    net, x = network(widths, RELU, biased, alpha, models=(3,)), points()
    assert len(list(net)) == 3
    for i, one in enumerate(net):
        for question in ("predict", "gradient", "gram", "tangent", "labels"):
            np.testing.assert_allclose(getattr(net, question)(x)[i], getattr(one, question)(x), rtol=1e-12, atol=1e-12)
        for all_inputs, inputs, all_slopes, slopes in zip(net.inputs(x), one.inputs(x), net.slopes(x), one.slopes(x)):
            np.testing.assert_allclose(all_slopes[:, i], slopes, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(all_inputs[i], inputs, rtol=1e-12)


def test_answers_turn_with_the_inputs_and_not_with_hidden_units():
    net, x = network(), points()
    q = np.linalg.qr(points(4, seed=3))[0]
    turned = replace(net, weights=(net.weights[0] @ q, *net.weights[1:]))
    np.testing.assert_allclose(turned.predict(x @ q), net.predict(x), atol=1e-12)
    order = [3, 0, 6, 1, 5, 2, 4]
    shuffled = replace(net, weights=(net.weights[0][order], net.weights[1][:, order], net.weights[2]))
    np.testing.assert_allclose(shuffled.tangent(x), net.tangent(x), atol=1e-10)


def test_rescaling_a_neuron_changes_nothing_but_the_kernels():
    net, c, x = network((3, 7, 1), RELU, alpha=0.6), np.linspace(0.3, 2, 7), points(d=3)
    other = replace(net, weights=(net.weights[0] * c[:, None], net.weights[1] / c))
    np.testing.assert_allclose(other.predict(x), net.predict(x), atol=1e-13)
    assert np.abs(other.tangent(x) - net.tangent(x)).max() > 0.1


def test_answers_keep_single_precision_and_arrays_of_any_layout():
    net, x = network(biased=True, alpha=2.0), points()
    parts = [tuple(p.astype(np.float32) for p in parts) for parts in (net.weights, net.biases)]
    single = replace(net, weights=parts[0], biases=parts[1])
    for question in ("predict", "gradient", "gram", "tangent"):
        assert getattr(single, question)(x).dtype == np.float32
        np.testing.assert_allclose(getattr(single, question)(x), getattr(net, question)(x), rtol=1e-3, atol=1e-3)
    backwards = replace(net, weights=tuple(w[::-1].copy()[::-1] for w in net.weights))
    np.testing.assert_allclose(backwards.predict(x[::-1]), net.predict(x)[::-1], rtol=1e-12)


TWO = np.ones((3, 2)), np.ones((1, 3))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Network((), TANH), "weights must be not empty"),
        (lambda: Network((np.ones((3, 2)), np.ones((1, 2))), TANH), r"layer 2 must take \(3,\) inputs, got \(1, 2\)"),
        (lambda: Network((np.ones((2, 3, 2)), np.ones((4, 1, 3))), TANH), r"layer 2 must take \(2, 3\) inputs"),
        (lambda: Network((TWO[0], TWO[1] * np.nan), TANH), r"weights\[1\] must be finite, got nan at index \(0, 0\)"),
        (
            lambda: Network(TWO, TANH, (np.ones(3), np.full(1, np.inf))),
            r"biases\[1\] must be finite, got inf at index 0",
        ),
        (
            lambda: Network(TWO, TANH, (np.ones(3),)),
            r"biases must be none or of shapes \[\(3,\), \(1,\)\], got \[\(3,\)\]",
        ),
        (lambda: Network(TWO, TANH, (np.ones(3), np.ones(2))), r"shapes \[\(3,\), \(1,\)\], got \[\(3,\), \(2,\)\]"),
        (lambda: Network(TWO, TANH, alpha=0.0), "alpha must be positive"),
        (lambda: network().predict(points() * np.nan), "x must be finite"),
    ],
)
def test_refusals(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_wrong_shapes_are_refused():
    with pytest.raises(TypeError, match=r"x must be an array of floats of shape \(n, d\), got float64 of shape \(4,\)"):
        network().predict(np.ones(4))
    with pytest.raises(TypeError, match=r"weights\[0\] must be an array of floats of shape \(\*networks, _, _\)"):
        Network((np.ones(3),), TANH)
    with pytest.raises(TypeError, match=r"weights\[0\] must be an array of floats"):
        network()[0]
    with pytest.raises(IndexError):
        network(models=(2,))[2]
