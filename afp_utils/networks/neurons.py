"""Networks of one hidden layer neuron by neuron: what each contributes, how many are in use, which point the same way."""

from typing import Annotated

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from afp_utils.core.refuse import NONNEGATIVE, Positive, Rule, checked
from afp_utils.networks.mlp import Network

Amplitudes = Annotated[Float[Array, " m"], NONNEGATIVE, Rule("not all zero", np.any)]


@checked
def amplitudes(network: Network) -> Float[Array, " m"]:
    """scale |u_h| |w_h|. The sum over neurons is at least twice the norm of `sphere.sparse.sparse_interpolant`.

    Raises `ValueError` unless the network is one, of one hidden layer and one output, without biases.
    """
    w, u = _neurons(network)
    return network.scale * np.abs(u) * np.linalg.norm(w, axis=1)


@checked
def participation(amplitudes: Amplitudes) -> float:
    """Share of neurons in use, (sum a)^2 / (m sum a^2): 1 if all contribute alike, 1/m if one does all.

    >>> participation([1, 1, 1, 1]), participation([3, 0, 0, 0])
    (1.0, 0.25)
    """
    return float(amplitudes.sum() ** 2 / (len(amplitudes) * np.sum(amplitudes**2)))


@checked
def clusters(network: Network, degrees: Positive = 5.0) -> Float[Array, " clusters"]:
    """Total amplitude of each group of neurons of one sign that point the same way, largest first.

    Groups are made greedily: the strongest neuron left takes all of its sign within `degrees` of it. The number of
    atoms in use is the number of groups times their `participation`.

    Raises `ValueError` as `amplitudes`, or if all of them are zero.

    >>> from afp_utils.networks.mlp import RELU
    >>> two_point_the_same_way = Network(([[2, 0], [3, 0], [0, 1]], [[1, 1, -1]]), RELU)
    >>> amplitudes(two_point_the_same_way).tolist(), clusters(two_point_the_same_way).tolist()
    ([2.0, 3.0, 1.0], [5.0, 1.0])
    """
    size, (w, u) = amplitudes(network), _neurons(network)
    # neurons that training has switched off keep amplitudes of rounding size, and directions that mean nothing
    left = np.flatnonzero(size > 1e-12 * size.max(initial=0))
    if not len(left):
        raise ValueError("network must have an amplitude that is not zero, got zeros")
    direction = w / np.linalg.norm(w, axis=1, keepdims=True)
    left, totals = left[np.argsort(-size[left])], []
    while len(left):
        near = direction[left] @ direction[left[0]] >= np.cos(np.radians(degrees))
        near = near & (np.sign(u[left]) == np.sign(u[left[0]]))
        near[0] = True  # itself, whatever rounding says
        totals.append(size[left[near]].sum())
        left = left[~near]
    return np.sort(np.array(totals))[::-1]


def _neurons(network: Network) -> tuple[Array, Array]:
    """The directions w and the readouts u."""
    if len(network.weights) != 2 or network.weights[0].ndim != 2 or network.outputs != 1 or network.biases:
        shapes = [part.shape for part in (*network.weights, *network.biases)]
        raise ValueError(f"network must have one hidden layer, one output and no biases, got shapes {shapes}")
    return network.weights[0], network.weights[1][0]
