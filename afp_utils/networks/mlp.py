"""Fully connected networks of any depth, one or several of one shape side by side, as models of this book.

Layer l maps its input h_(l-1) to a_l = W_l h_(l-1) + b_l, and h_l = activation(a_l), except that the last a, times a
scale, is the output f. Answers, kernels, gradients of training and the matrices of each layer are all made of two things:
the inputs h of each layer, from the forward pass, and the slopes of the outputs in each a, by the chain rule back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray as Array
from torch import Tensor

from afp_utils.core.models import Points
from afp_utils.core.refuse import FINITE, SOME, Positive, checked

Data = Annotated[Points, SOME]
"""Points to learn from."""
Values = Annotated[Float[Array, "n *output"], FINITE]
"""What a network should answer: no output axis is needed for one output."""
Parts = tuple[Float[Array, "..."], ...]
Tensors = Sequence[Tensor]


@checked
@dataclass(frozen=True)
class Activation:
    """A function of one number and its derivative, both elementwise on tensors."""

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]


def _step(a: Tensor) -> Tensor:
    return torch.relu(a).sign_()  # a quarter of the time of turning the truth values of a > 0 into numbers


def _tanh_slope(a: Tensor) -> Tensor:
    return 1 - torch.tanh(a) ** 2


RELU = Activation(torch.relu, _step)
"""max(a, 0); its slope at 0 is taken to be 0."""
TANH = Activation(torch.tanh, _tanh_slope)
IDENTITY = Activation(torch.positive, torch.ones_like)
"""The network is then linear."""


@checked
@dataclass(frozen=True)
class Network:
    """f(x) = scale (W_L activation(W_(L-1) ... activation(W_1 x + b_1) ...) + b_L), in the precision of the weights.

    Without `biases` all b are 0. With `alpha` the scale is alpha / sqrt(m) at m last hidden neurons, else 1. Several
    networks have a leading axis, in weights, biases and every answer, and can be indexed; with one output, answers have no
    output axis.

    Both kernels are inner products of slopes df/dparameters, the scale included, and the biases if there are any: `gram`
    those in the readout W_L, b_L, which are the same for each output; `tangent` those in all parameters, summed over
    outputs. So the features that the readout sees are scale * h_(L-1), and a constant scale if there are biases.

    Raises `ValueError` for layers or biases that do not fit together.

    >>> net = Network(([[1, 2], [-1, 1]], [[2, -1]]), RELU)
    >>> x = [[1, 1], [0, -1]]  # the hidden layer is (3, 0), and (0, 0)
    >>> net.predict(x).tolist(), net.gradient(x).tolist()
    ([6.0, 0.0], [[2.0, 4.0], [0.0, 0.0]])
    >>> net.gram(x).tolist(), net.tangent(x).tolist()
    ([[9.0, 0.0], [0.0, 0.0]], [[17.0, 0.0], [0.0, 0.0]])
    """

    weights: Annotated[tuple[Float[Array, "*networks _ _"], ...], SOME, FINITE]
    activation: Activation
    biases: Annotated[tuple[Float[Array, "*networks _"], ...], FINITE] = ()
    alpha: Positive | None = None

    def __post_init__(self) -> None:
        above = [w.shape[:-1] for w in self.weights]
        for layer, (below, w) in enumerate(zip(above, self.weights[1:]), start=2):
            if below != (*w.shape[:-2], w.shape[-1]):
                raise ValueError(f"weights must fit: layer {layer} must take {below} inputs, got {w.shape}")
        if self.biases and [b.shape for b in self.biases] != above:
            raise ValueError(f"biases must be none or of shapes {above}, got {[b.shape for b in self.biases]}")

    @property
    def scale(self) -> float:
        """What the last layer is multiplied by."""
        return 1.0 if self.alpha is None else self.alpha / float(np.sqrt(self.weights[-1].shape[-1]))

    @property
    def outputs(self) -> int:
        """The number of outputs."""
        return self.weights[-1].shape[-2]

    @checked
    def predict(self, x: Points) -> Float[Array, "..."]:
        answers = self.scale * self._forward(x)[1][-1].numpy()
        return answers[..., 0] if self.outputs == 1 else answers

    @checked
    def gradient(self, x: Points) -> Float[Array, "..."]:
        slopes = np.moveaxis(self.slopes(x)[0] @ self.weights[0], 0, -2)
        return slopes[..., 0, :] if self.outputs == 1 else slopes

    @checked
    def gram(self, x: Points) -> Float[Array, "*networks n n"]:
        return self.scale**2 * self._products(self.inputs(x)[-1])

    @checked
    def tangent(self, x: Points) -> Float[Array, "*networks n n"]:
        """sum_l (h_(l-1) . h'_(l-1), + 1 for a bias) sum_k (df_k / da_l) . (df'_k / da_l)."""
        return sum(self._products(h) * (at @ at.mT).sum(axis=0) for h, at in zip(self.inputs(x), self.slopes(x)))

    @checked
    def labels(self, x: Points) -> Int[Array, "*networks n"]:
        """The class of largest output."""
        return self._forward(x)[1][-1].numpy().argmax(axis=-1)

    @checked
    def inputs(self, x: Points) -> Parts:
        """The input h of each layer: the points, then each hidden layer."""
        return tuple(h.numpy() for h in self._forward(x)[0])

    @checked
    def slopes(self, x: Points) -> tuple[Float[Array, "output *networks n _"], ...]:
        """The slopes df / da of the outputs in the values a of each layer, before its activation."""
        values, k = self._forward(x)[1], self.outputs
        one = self.scale * torch.eye(k, dtype=values[-1].dtype).view(k, *[1] * (values[-1].ndim - 1), k)
        slopes = backward(_tensors(self.weights), self.activation, values, one.expand(k, *values[-1].shape))
        return tuple(slope.numpy() for slope in slopes)

    def __getitem__(self, model: int) -> "Network":
        """One of several networks."""
        weights, biases = (tuple(part[model] for part in parts) for parts in (self.weights, self.biases))
        return replace(self, weights=weights, biases=biases)

    def _forward(self, x: Array) -> tuple[Tensors, Tensors]:
        points = torch.from_numpy(np.ascontiguousarray(x, dtype=self.weights[0].dtype))
        points = points.expand(*self.weights[0].shape[:-2], *x.shape)
        return forward(_tensors(self.weights), _tensors(self.biases), self.activation, points)

    def _products(self, h: Array) -> Array:
        return h @ h.mT + bool(self.biases)


def forward(weights: Tensors, biases: Tensors, activation: Activation, x: Tensor) -> tuple[Tensors, Tensors]:
    """The input h of each layer, and its values a; the last are the outputs without their scale."""
    inputs, values = [x], list[Tensor]()
    for layer, weight in enumerate(weights):
        if layer:
            inputs.append(activation.value(values[-1]))
        a = inputs[-1] @ weight.mT
        values.append(a.add_(biases[layer][..., None, :]) if biases else a)  # in place: the product is a new tensor
    return inputs, values


def backward(weights: Tensors, activation: Activation, values: Tensors, last: Tensor) -> Tensors:
    """Slopes of a number in the values a of each layer, given those in the last."""
    slopes = [last]
    for weight, a in zip(weights[:0:-1], values[-2::-1]):
        slopes.append((slopes[-1] @ weight).mul_(activation.slope(a)))  # in place: the product is a new tensor
    return slopes[::-1]


def _tensors(parts: Sequence[Array]) -> Tensors:
    return [torch.from_numpy(np.ascontiguousarray(part)) for part in parts]
