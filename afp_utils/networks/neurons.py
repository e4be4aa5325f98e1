"""Networks of one hidden layer neuron by neuron: what each contributes, how many are in use, which point the same way."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from afp_utils.core.refuse import checked, nonnegative, positive
from afp_utils.networks.mlp import Network


@checked
def amplitudes(network: Network) -> Float[Array, " m"]:
    """scale |u_h| |w_h|. The sum over neurons is at least twice the norm of `sparse_regression`.

    Raises `ValueError` for a network of another shape, with another number of outputs, or with biases.
    """
    w, u = _neurons(network)
    return network.scale * np.abs(u) * np.linalg.norm(w, axis=1)


@checked
def participation(amplitudes: Float[Array, " m"]) -> float:
    """Share of neurons in use, (sum a)^2 / (m sum a^2): 1 if all contribute alike, 1/m if one does all.

    Raises `ValueError` for negative amplitudes, or if all are zero.
    """
    nonnegative(amplitudes=amplitudes)
    if not amplitudes.any():
        raise ValueError("amplitudes must not all be zero, got zeros")
    return float(amplitudes.sum() ** 2 / (len(amplitudes) * np.sum(amplitudes**2)))


@checked
def clusters(network: Network, degrees: float = 5.0) -> Float[Array, " clusters"]:
    """Total amplitude of each group of neurons of one sign that point the same way, largest first.

    Groups are made greedily: the strongest neuron left takes all of its sign within `degrees` of it. The number of
    atoms in use is the number of groups times their `participation`.

    Raises `ValueError` as `amplitudes`, for an angle that is not positive, or if all amplitudes are zero.
    """
    positive(degrees=degrees)
    size, (w, u) = amplitudes(network), _neurons(network)
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
