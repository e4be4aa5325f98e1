"""Networks of any depth without biases, seen layer by layer: what a layer's weights keep, and what gradients say of it.

Layer l maps its input h_(l-1) to a_l = W_l h_(l-1), and h_l = activation(a_l), except that the last a is the output f.
Everything here is made of two things: the inputs h of each layer, and the slopes of the outputs in each a. How such networks learn is in `deep_networks_training`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray as Array
from torch import Tensor

from afp_utils.core.refuse import checked, finite, nonnegative, positive


@checked
@dataclass(frozen=True)
class Activation:
    """A function of one number and its derivative, both elementwise on tensors."""

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]


def _same(a: Tensor) -> Tensor:
    return a


def _step(a: Tensor) -> Tensor:
    return (a > 0).to(a.dtype)


def _tanh_slope(a: Tensor) -> Tensor:
    return 1 - torch.tanh(a) ** 2


RELU = Activation(torch.relu, _step)
"""max(a, 0); its slope at 0 is taken to be 0."""
TANH = Activation(torch.tanh, _tanh_slope)
IDENTITY = Activation(_same, torch.ones_like)
"""The network is then linear."""


@checked
@dataclass(frozen=True)
class DeepNetwork:
    """f(x) = W_L activation(W_(L-1) ... activation(W_1 x)). With a single output, the answers have no output axis.

    The features that the readout sees are the last hidden layer (the input, if there is none). The tangent kernel of
    several outputs is the sum of theirs. In the precision of the weights.

    Raises `ValueError` for no layers, layers that do not fit together, or weights that are not finite.
    """

    weights: tuple[Float[Array, "_ _"], ...]
    activation: Activation

    def __post_init__(self) -> None:
        if not self.weights:
            raise ValueError("weights must hold at least one layer, got none")
        for layer, (below, above) in enumerate(pairwise(self.weights), start=1):
            if len(below) != above.shape[1]:
                raise ValueError(
                    f"weights must fit together: layer {layer + 1} must take {len(below)} inputs, got {above.shape[1]}"
                )
        for layer, weight in enumerate(self.weights, start=1):
            finite(**{f"weights of layer {layer}": weight})

    @checked
    def predict(self, x: Float[Array, "n d"]) -> Float[Array, "n *output"]:
        answers = self.inputs(x)[1].numpy()
        return answers[:, 0] if len(self.weights[-1]) == 1 else answers

    @checked
    def gradient(self, x: Float[Array, "n d"]) -> Float[Array, "n *output d"]:
        slopes = _jacobians(self, x, 1)
        return slopes[:, 0] if len(self.weights[-1]) == 1 else slopes

    @checked
    def gram(self, x: Float[Array, "n d"]) -> Float[Array, "n n"]:
        hidden = self.inputs(x)[0][-1]
        return (hidden @ hidden.T).numpy()

    @checked
    def tangent(self, x: Float[Array, "n d"]) -> Float[Array, "n n"]:
        """sum_l (h_(l-1) . h'_(l-1)) sum_k (df_k / da_l) . (df'_k / da_l)."""
        kernels = [(h @ h.T) * torch.einsum("ika,jka->ij", slope, slope) for h, slope in zip(*self._seen(x))]
        return torch.stack(kernels).sum(dim=0).numpy()

    def inputs(self, x: Array) -> tuple[list[Tensor], Tensor]:
        """The input of each layer, and the outputs."""
        return forward([torch.from_numpy(w) for w in self.weights], self.activation, self.points(x))

    def _seen(self, x: Array) -> tuple[list[Tensor], list[Tensor]]:
        """For each layer its input h_(l-1), and the slopes df / da_l of the outputs (point, output, neuron)."""
        inputs, outputs = self.inputs(x)
        n, count = outputs.shape
        slopes = [torch.eye(count, dtype=outputs.dtype).expand(n, count, count)]
        for weight, below, h in zip(self.weights[:0:-1], self.weights[-2::-1], inputs[-2::-1]):
            before = h @ torch.from_numpy(below).T
            slopes.append((slopes[-1] @ torch.from_numpy(weight)) * self.activation.slope(before)[:, None])
        return inputs, slopes[::-1]

    def points(self, x: Array) -> Tensor:
        """Points in the network's precision."""
        finite(x=x)
        return torch.from_numpy(np.ascontiguousarray(x, dtype=self.weights[0].dtype))


# ---- starts ----


@checked
def he_start(
    widths: Sequence[int], activation: Activation, *, rng: np.random.Generator, first: float = 1.0
) -> DeepNetwork:
    """Normal weights of variance 2 / fan-in (He); those of the first layer times `first`. From input to output width.

    Raises `ValueError` for fewer than two widths, one below 1, or a scale that is not positive.
    """
    _widths(widths)
    positive(first=first)
    weights = [rng.normal(scale=np.sqrt(2 / below), size=(above, below)) for below, above in pairwise(widths)]
    return DeepNetwork((first * weights[0], *weights[1:]), activation)


@checked
def balanced_start(widths: Sequence[int], values: Float[Array, " k"], *, rng: np.random.Generator) -> DeepNetwork:
    """A linear network with W_(l+1)^T W_(l+1) = W_l W_l^T: W_l = U_l diag(values) U_(l-1)^T, U_l random and orthonormal.

    Raises `ValueError` for fewer than two widths, one below 1, values that are negative, or more of them than the
    least width.
    """
    _widths(widths)
    nonnegative(values=values)
    if len(values) > min(widths):
        raise ValueError(f"values must be at most as many as the least width ({min(widths)}), got {len(values)}")
    frames = [np.linalg.qr(rng.normal(size=(width, len(values))))[0] for width in widths]
    return DeepNetwork(tuple((above * values) @ below.T for below, above in pairwise(frames)), IDENTITY)


# ---- a layer's matrices ----


@checked
def feature_matrix(network: DeepNetwork, layer: int) -> Float[Array, "d d"]:
    """W_l^T W_l, the metric of layer l = 1, 2, ...: |W_l (h - h')|^2 is the squared distance of two inputs in it.

    Raises `ValueError` for a layer that is not there.
    """
    weight = _weight(network, layer)
    return weight.T @ weight


@checked
def layer_agop(
    network: DeepNetwork, x: Float[Array, "n d"], layer: int, *, centred: bool = False
) -> Float[Array, "m m"]:
    """Average gradient outer product in the input h of a layer, summed over outputs: mean_i (df/dh_i)^T (df/dh_i).

    Centred: the mean gradient over points is subtracted for each output. Layer 1 gives that of the predictor.

    Raises `ValueError` for a layer that is not there, no points, or values that are not finite.
    """
    _weight(network, layer)
    _some(x)
    slopes = _jacobians(network, x, layer)
    if centred:
        slopes = slopes - slopes.mean(axis=0)
    flat = slopes.reshape(-1, slopes.shape[2])
    return flat.T @ flat / len(x)


@checked
def tangent_covariance(network: DeepNetwork, x: Float[Array, "n d"], layer: int) -> Float[Array, "m m"]:
    """T_l = mean_i (df/da_i)^T (df/da_i), in the values a = W_l h before the activation: AGOP_l = W_l^T T_l W_l.

    Raises `ValueError` for a layer that is not there, no points, or values that are not finite.
    """
    _weight(network, layer)
    _some(x)
    slopes = network._seen(x)[1][layer - 1].flatten(0, 1).numpy()
    return slopes.T @ slopes / len(x)


@checked
def fact(
    network: DeepNetwork, x: Float[Array, "n d"], y: Float[Array, "n *output"], layer: int, decay: float
) -> Float[Array, "m m"]:
    """Right-hand side of W_l^T W_l = -(1 / decay) mean_i (d loss_i / dh_i) h_i^T, h being the input of layer l.

    The loss of a point is |f - y|^2 / 2. The equation holds at stationary points of the penalised risk (Boix-Adsera et
    al. 2025); anywhere, the difference of its sides is W_l^T times the slope of `penalised_risk` in W_l, over the decay.

    Raises `ValueError` for a layer that is not there, no points, values that are not finite, or a decay that is not
    positive.
    """
    _weight(network, layer)
    positive(decay=decay)
    inputs, outputs = network.inputs(x)
    pulled = torch.from_numpy(_jacobians(network, x, layer))
    slopes = torch.einsum("ik,ika->ia", outputs - targets(network, x, y), pulled)
    return (-(slopes.T @ inputs[layer - 1]) / (decay * len(x))).numpy()


# ---- what both modules need ----


def forward(weights: Sequence[Tensor], activation: Activation, x: Tensor) -> tuple[list[Tensor], Tensor]:
    """The input of each layer, and the outputs. The weights may have a leading axis, for several networks at once."""
    inputs = [x]
    for weight in weights[:-1]:
        inputs.append(activation.value(inputs[-1] @ weight.mT))
    return inputs, inputs[-1] @ weights[-1].mT


def _jacobians(network: DeepNetwork, x: Array, layer: int) -> Array:
    """Slopes of the outputs in the input of a layer (point, output, coordinate)."""
    return network._seen(x)[1][layer - 1].numpy() @ network.weights[layer - 1]


def targets(network: DeepNetwork, x: Array, y: Array) -> Tensor:
    """What the outputs should be (point, output), in the network's precision."""
    _some(x)
    finite(y=y)
    outputs = len(network.weights[-1])
    if y.size != len(x) * outputs:
        raise ValueError(f"y must have one value per output ({outputs}) at each point, got shape {y.shape}")
    return torch.from_numpy(np.ascontiguousarray(y.reshape(len(x), outputs), dtype=network.weights[0].dtype))


def _weight(network: DeepNetwork, layer: int) -> Array:
    if not 1 <= layer <= len(network.weights):
        raise ValueError(f"layer must be from 1 to {len(network.weights)}, got {layer}")
    return network.weights[layer - 1]


def _widths(widths: Sequence[int]) -> None:
    if len(widths) < 2 or min(widths) < 1:
        raise ValueError(f"widths must be at least two, each at least 1, got {list(widths)}")


def _some(x: Array) -> None:
    if len(x) == 0:
        raise ValueError("x must hold at least one point, got none")
