"""Numbers are numbers: lists, integers and NumPy's scalars give what floating-point numbers give."""

import numpy as np
import pytest
import torch

from afp_utils.networks import descent, flow, layers, neurons, starts
from afp_utils.networks.mlp import RELU, TANH, Network
from tests.forms import FORMS, in_form, same

WEIGHTS = np.array([[1.0, 2.0], [-1.0, 1.0], [0.0, 3.0]]), np.array([[2.0, 1.0, -1.0]])
BIASES = np.array([1.0, 0.0, -1.0]), np.array([2.0])
X, Y = np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]]), np.array([1.0, -1.0, 2.0])
TIMES, EPOCHS = np.array([0.0, 1.0, 3.0]), np.array([1, 2])


def rng():
    return np.random.default_rng(0)


def net(weights, biases=(), activation=TANH):
    return Network(weights, activation, biases)


def trained(weights, x, epochs):
    both = Network([np.stack([part, part]) for part in weights], RELU)
    return descent.train(both, x, np.stack([Y, Y]), rng().spawn(2), descent.Descent(2, 1e-2), epochs)


# each takes numbers alone, in whatever form they come
CALLS = {
    "Network": (lambda weights, biases, alpha: Network(weights, RELU, biases, alpha), (WEIGHTS, BIASES, 2.0)),
    "predict": (lambda weights, biases, x: net(weights, biases).predict(x), (WEIGHTS, BIASES, X)),
    "gradient": (lambda weights, x: net(weights).gradient(x), (WEIGHTS, X)),
    "gram": (lambda weights, x: net(weights).gram(x), (WEIGHTS, X)),
    "tangent": (lambda weights, x: net(weights).tangent(x), (WEIGHTS, X)),
    "labels": (lambda weights, x: net(weights).labels(x), (WEIGHTS, X)),
    "inputs": (lambda weights, x: net(weights).inputs(x), (WEIGHTS, X)),
    "slopes": (lambda weights, x: net(weights).slopes(x), (WEIGHTS, X)),
    "Descent": (descent.Descent, (5, 2.0, 1.0)),
    "train": (trained, (WEIGHTS, np.stack([X, X]), EPOCHS)),
    "fit": (
        lambda weights, x, y, tolerance, steps: descent.fit(net(weights), x, y, tolerance=tolerance, steps=steps),
        (WEIGHTS, X, Y, 1.0, 5),
    ),
    "controlled_flow": (lambda weights, *rest: descent.controlled_flow(net(weights), *rest), (WEIGHTS, X, Y, TIMES)),
    "gradient_flow": (lambda weights, *rest: flow.gradient_flow(net(weights), *rest), (WEIGHTS, X, Y, TIMES, 1.0)),
    "penalised_risk": (lambda weights, *rest: flow.penalised_risk(net(weights), *rest), (WEIGHTS, X, Y, 1.0)),
    "stationary": (lambda weights, *rest: flow.stationary(net(weights), *rest), (WEIGHTS, X, Y, 1.0, 1.0)),
    "feature_matrix": (lambda weights, layer: layers.feature_matrix(net(weights), layer), (WEIGHTS, 1)),
    "layer_agop": (lambda weights, *rest: layers.layer_agop(net(weights), *rest), (WEIGHTS, X, 2)),
    "tangent_covariance": (lambda weights, *rest: layers.tangent_covariance(net(weights), *rest), (WEIGHTS, X, 1)),
    "fact": (lambda weights, *rest: layers.fact(net(weights), *rest), (WEIGHTS, X, Y, 1, 1.0)),
    "participation": (neurons.participation, (Y**2,)),
    "clusters": (lambda weights, degrees: neurons.clusters(net(weights), degrees), (WEIGHTS, 30.0)),
    "he_start": (lambda widths, first: starts.he_start(widths, TANH, rng=rng(), first=first), (np.array([3, 4]), 2.0)),
    "ensemble_start": (
        lambda widths, gain: starts.ensemble_start(widths, rng().spawn(2), gain=gain),
        (np.array([3, 4]), 2.0),
    ),
    "antisymmetric_start": (
        lambda *given: starts.antisymmetric_start(*given, generator=torch.Generator().manual_seed(0)),
        (4, 3, 2.0),
    ),
    "balanced_start": (lambda *given: starts.balanced_start(*given, rng=rng()), (np.array([3, 4]), np.array([2.0, 1]))),
    "streams": (lambda models: [stream.random() for stream in starts.streams(rng(), models).init], (3,)),
    "subsets": (lambda *given: starts.subsets(rng().spawn(2), *given), (5, 3)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("function", "arguments"), CALLS.values(), ids=CALLS)
def test_numbers_are_numbers_in_every_form(function, arguments, form):
    assert same(function(*in_form(arguments, form)), function(*arguments))
