"""Ensembles of networks side by side: random streams of their own, starts, outputs, and each member as a model.

Each network has its own streams for its data, its start and its order of the data, any of which may be the same for
all. All arrays have the models as first axis, so that every product is a batch of matrix products. How ensembles learn
is in `networks.ensembles_training`.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray as Array

from afp_utils.core.refuse import checked, positive


@checked
@dataclass(frozen=True)
class Streams:
    """Random streams of each model: for its training set, its initial weights and its order of the data."""

    data: tuple[np.random.Generator, ...]
    init: tuple[np.random.Generator, ...]
    order: tuple[np.random.Generator, ...]


@checked
def streams(
    rng: np.random.Generator,
    models: int,
    *,
    same_data: bool = False,
    same_init: bool = False,
    same_order: bool = False,
) -> Streams:
    """Independent streams for each model, except that those marked the same draw the same numbers in every model.

    Raises `ValueError` for fewer than one model.
    """
    if models < 1:
        raise ValueError(f"models must be at least 1, got {models}")

    def split(parent: np.random.Generator, same: bool) -> tuple[np.random.Generator, ...]:
        return tuple(deepcopy(parent) for _ in range(models)) if same else tuple(parent.spawn(models))

    return Streams(*(split(parent, same) for parent, same in zip(rng.spawn(3), (same_data, same_init, same_order))))


@checked
def subsets(data: Sequence[np.random.Generator], pool: int, size: int) -> Int[Array, "model size"]:
    """A training set for each model: `size` of the indices 0 to `pool` - 1, without repetition.

    Raises `ValueError` for a size below 1 or above the pool.
    """
    if not 1 <= size <= pool:
        raise ValueError(f"size must be from 1 to the pool ({pool}), got {size}")
    return np.stack([stream.choice(pool, size, replace=False) for stream in data])


@checked
@dataclass(frozen=True)
class Member:
    """One output of one network, as a model of this book.

    The features that the readout sees are the last hidden activations and the constant 1 of its bias.
    """

    weights: tuple[Float[Array, "_ _"], ...]
    biases: tuple[Float[Array, " _"], ...]
    leak: float
    output: int

    @checked
    def predict(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        return self._layers(x)[-1] @ self.weights[-1][:, self.output] + self.biases[-1][self.output]

    @checked
    def gradient(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return self._pulled_back(self._layers(x))[0]

    @checked
    def gram(self, x: Float[Array, "n d"]) -> Float[Array, "n n"]:
        return _gram(self._layers(x)[-1])

    @checked
    def tangent(self, x: Float[Array, "n d"]) -> Float[Array, "n n"]:
        layers = self._layers(x)
        pulled = self._pulled_back(layers)[1]
        return _gram(layers[-1]) + sum(_gram(below) * (at @ at.T) for below, at in zip(layers, pulled))

    def _layers(self, x: Array) -> list[Array]:
        layers = [x]
        for w, b in zip(self.weights[:-1], self.biases[:-1]):
            layers.append(_rectified(layers[-1] @ w + b, self.leak))
        return layers

    def _pulled_back(self, layers: list[Array]) -> tuple[Array, list[Array]]:
        """Derivatives of the output in the input, and in the values before each rectifier."""
        down, pulled = np.tile(self.weights[-1][:, self.output], (len(layers[0]), 1)), []
        for w, at in zip(self.weights[-2::-1], layers[:0:-1]):
            pulled.append(down * np.where(at > 0, 1, self.leak))
            down = pulled[-1] @ w.T
        return down, pulled[::-1]


@checked
@dataclass(frozen=True)
class Ensemble:
    """Networks of one shape, side by side: layer l maps `a` to rectified `a @ weights[l] + biases[l]`, the last is linear.

    The rectifier is max(z, leak z): ReLU for leak 0, the identity for leak 1.
    """

    weights: tuple[Float[Array, "model _ _"], ...]
    biases: tuple[Float[Array, "model _"], ...]
    leak: float = 0.0

    @checked
    def hidden(self, x: Float[Array, "n d"]) -> Float[Array, "model n width"]:
        """Activations of the last hidden layer of every model."""
        a = np.broadcast_to(x, (len(self.biases[0]), *x.shape))
        for w, b in zip(self.weights[:-1], self.biases[:-1]):
            a = _rectified(a @ w + b[:, None], self.leak)
        return a

    @checked
    def outputs(self, x: Float[Array, "n d"]) -> Float[Array, "model n out"]:
        """Outputs (logits) of every model."""
        return self.hidden(x) @ self.weights[-1] + self.biases[-1][:, None]

    @checked
    def labels(self, x: Float[Array, "n d"]) -> Int[Array, "model n"]:
        """The class of largest output, for every model."""
        return self.outputs(x).argmax(axis=2)

    @checked
    def member(self, model: int, output: int) -> Member:
        """One output of one model, which answers the four questions of `core.models.Model`.

        Raises `ValueError` for a model or an output that is not there.
        """
        models, outputs = self.biases[-1].shape
        if not (0 <= model < models and 0 <= output < outputs):
            raise ValueError(f"model and output must be below {models} and {outputs}, got {model} and {output}")
        return Member(tuple(w[model] for w in self.weights), tuple(b[model] for b in self.biases), self.leak, output)


@checked
def initial(
    widths: Sequence[int], init: Sequence[np.random.Generator], *, gain: float = 1.0, leak: float = 0.0
) -> Ensemble:
    """Networks at their start: weights of variance 2 gain^2 / fan-in (He), biases zero. `widths` runs from input to output.

    Raises `ValueError` for fewer than two widths, one below 1, a gain that is not positive or a leak outside [0, 1].
    """
    if len(widths) < 2 or min(widths) < 1:
        raise ValueError(f"widths must be at least two, each at least 1, got {list(widths)}")
    if not 0 <= leak <= 1:
        raise ValueError(f"leak must be in [0, 1], got {leak}")
    positive(gain=gain)
    weights = tuple(
        np.stack([rng.normal(scale=gain * np.sqrt(2 / fan_in), size=(fan_in, fan_out)) for rng in init])
        for fan_in, fan_out in pairwise(widths)
    )
    return Ensemble(weights, tuple(np.zeros((len(init), width)) for width in widths[1:]), leak)


def _rectified(z: Array, leak: float) -> Array:
    return np.maximum(z, leak * z) if leak else np.maximum(z, 0)


def _gram(features: Array) -> Array:
    """Inner products of features and the constant 1."""
    return features @ features.T + 1
