"""What a layer's weights keep, and what gradients say of it: both sides of the neural feature ansatz and of FACT.

h is the input of a layer, a = W h + b what its activation sees, f the outputs. Layers count from 1.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from afp_utils.core.refuse import Positive, checked, inside, require
from afp_utils.networks.descent import data
from afp_utils.networks.mlp import Data, Network, Values


@checked
def feature_matrix(network: Network, layer: int) -> Float[Array, "d d"]:
    """W_l^T W_l, the metric of layer l = 1, 2, ...: |W_l (h - h')|^2 is the squared distance of two inputs in it.

    The neural feature ansatz is that a power of `layer_agop` is proportional to it (Radhakrishnan et al. 2024).

    >>> from afp_utils.networks.mlp import IDENTITY
    >>> net = Network(([[2, 0], [0, 1]], [[2, 0], [0, 1]]), IDENTITY)  # linear and balanced: the power is 1/2
    >>> feature_matrix(net, 1).tolist(), layer_agop(net, [[1, 1]], 1).tolist()
    ([[4.0, 0.0], [0.0, 1.0]], [[16.0, 0.0], [0.0, 1.0]])
    """
    require(inside(1, len(network.weights)), layer=layer)
    weight = network.weights[layer - 1]
    return weight.T @ weight


@checked
def layer_agop(network: Network, x: Data, layer: int) -> Float[Array, "m m"]:
    """Average gradient outer product in the input h of a layer, summed over outputs: mean_i (df/dh_i)^T (df/dh_i).

    Layer 1 gives that of the predictor.
    """
    return _mean_square(_slopes(network, x, layer) @ network.weights[layer - 1])


@checked
def tangent_covariance(network: Network, x: Data, layer: int) -> Float[Array, "m m"]:
    """T_l = mean_i (df/da_i)^T (df/da_i), in the values a before the activation: AGOP_l = W_l^T T_l W_l."""
    return _mean_square(_slopes(network, x, layer))


@checked
def fact(network: Network, x: Data, y: Values, layer: int, decay: Positive) -> Float[Array, "m m"]:
    """Right-hand side of W_l^T W_l = -(1 / decay) mean_i (d loss_i / dh_i) h_i^T, h being the input of layer l.

    The loss of a point is |f - y|^2 / 2. The equation holds at stationary points of the penalised risk (Boix-Adsera et
    al. 2025); anywhere, the difference of its sides is W_l^T times the slope of `penalised_risk` in W_l, over the decay.

    Raises `ValueError` for a layer that is not there, as all functions here, or another number of outputs than in `y`.
    """
    slopes = _slopes(network, x, layer) @ network.weights[layer - 1]
    wanted = data(network, x, y, network.weights[0].dtype)[1].numpy()
    errors = network.predict(x).reshape(wanted.shape) - wanted
    return -np.einsum("nk,kna->an", errors, slopes) @ network.inputs(x)[layer - 1] / (decay * len(x))


def _slopes(network: Network, x: Array, layer: int) -> Array:
    """df / da of a layer (output, point, neuron)."""
    require(inside(1, len(network.weights)), layer=layer)
    return network.slopes(x)[layer - 1]


def _mean_square(slopes: Array) -> Array:
    """Outer products of slopes (output, point, coordinate), summed over outputs, mean over points."""
    flat = slopes.reshape(-1, slopes.shape[-1])
    return flat.T @ flat / slopes.shape[1]
