"""What is drawn at random before training: weights of several kinds, and the random streams and data of ensembles."""

from collections.abc import Sequence
from copy import deepcopy
from itertools import pairwise
from typing import Annotated, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray as Array
from numpy.random import Generator

from afp_utils.core.refuse import NONNEGATIVE, Count, Positive, Rule, at_least, checked, inside, require
from afp_utils.networks.mlp import IDENTITY, RELU, Activation, Network

Widths = Annotated[Int[Array, " width"], at_least(1), Rule("two numbers or more", lambda widths: len(widths) > 1)]
"""From the inputs to the outputs."""
Even = Annotated[Count, Rule("even", lambda number: number % 2 == 0)]


@checked
def he_start(widths: Widths, activation: Activation, *, rng: Generator, first: Positive = 1.0) -> Network:
    """Normal weights of variance 2 / fan-in, no biases; those of the first layer times `first`.

    So RELU, which halves the mean square, keeps that of the inputs at each layer (He et al. 2015, recalled).

    >>> [w.shape for w in he_start([3, 5, 2], RELU, rng=np.random.default_rng(0)).weights]
    [(5, 3), (2, 5)]
    """
    weights = [rng.normal(scale=np.sqrt(2 / below), size=(above, below)) for below, above in pairwise(widths)]
    return Network((first * weights[0], *weights[1:]), activation)


@checked
def ensemble_start(
    widths: Widths, init: Sequence[Generator], *, gain: Positive = 1.0, activation: Activation = RELU
) -> Network:
    """A network for each generator: normal weights of variance 2 gain^2 / fan-in, biases zero.

    >>> init = streams(np.random.default_rng(0), 4).init
    >>> [part.shape for part in (*ensemble_start([3, 2], init).weights, *ensemble_start([3, 2], init).biases)]
    [(4, 2, 3), (4, 2)]
    """

    def layer(below: int, above: int) -> Array:
        return np.stack([rng.normal(scale=gain * np.sqrt(2 / below), size=(below, above)).T for rng in init])

    biases = tuple(np.zeros((len(init), width)) for width in widths[1:])
    return Network(tuple(layer(*pair) for pair in pairwise(widths)), activation, biases)


@checked
def antisymmetric_start(
    m: Even, d: Count, alpha: Positive, *, generator: torch.Generator, dtype: torch.dtype = torch.float64
) -> Network:
    """f(x) = alpha / sqrt(m) sum_h u_h relu(w_h . x) of standard normal weights: each neuron twice, with opposite readout.

    So f = 0 exactly at the start, and the scale alpha alone decides how lazy the training is.

    >>> start = antisymmetric_start(6, 2, 0.1, generator=torch.Generator().manual_seed(0))
    >>> bool(np.allclose(start.predict([[1, 2], [3, -1]]), 0))
    True
    """
    w = torch.randn(m // 2, d, generator=generator, dtype=dtype)
    u = torch.randn(m // 2, generator=generator, dtype=dtype)
    return Network((torch.cat([w, w]).numpy(), torch.cat([u, -u])[None].numpy()), RELU, alpha=alpha)


@checked
def balanced_start(widths: Widths, values: Annotated[Float[Array, " k"], NONNEGATIVE], *, rng: Generator) -> Network:
    """A linear network with W_(l+1)^T W_(l+1) = W_l W_l^T: W_l = U_l diag(values) U_(l-1)^T, U_l random and orthonormal.

    Raises `ValueError` for more values than the least width.

    >>> one, two = balanced_start([4, 3, 2], [2, 1], rng=np.random.default_rng(0)).weights
    >>> bool(np.allclose(two.T @ two, one @ one.T))
    True
    """
    if len(values) > min(widths):
        raise ValueError(f"values must be at most as many as the least width ({min(widths)}), got {len(values)}")
    frames = [np.linalg.qr(rng.normal(size=(width, len(values))))[0] for width in widths]
    return Network(tuple((above * values) @ below.T for below, above in pairwise(frames)), IDENTITY)


class Streams(NamedTuple):
    """Random streams of each model: for its training set, its initial weights and its order of the data."""

    data: tuple[Generator, ...]
    init: tuple[Generator, ...]
    order: tuple[Generator, ...]


@checked
def streams(
    rng: Generator, models: Count, *, same_data: bool = False, same_init: bool = False, same_order: bool = False
) -> Streams:
    """Independent streams for each model, except that those marked the same draw the same numbers in every model.

    >>> made = streams(np.random.default_rng(0), 3, same_data=True)
    >>> [len({stream.random() for stream in each}) for each in made]
    [1, 3, 3]
    """

    def split(parent: Generator, same: bool) -> tuple[Generator, ...]:
        return tuple(deepcopy(parent) for _ in range(models)) if same else tuple(parent.spawn(models))

    return Streams(*map(split, rng.spawn(3), (same_data, same_init, same_order)))


@checked
def subsets(data: Sequence[Generator], pool: int, size: int) -> Int[Array, "model size"]:
    """A training set for each model: `size` of the indices 0 to `pool` - 1, without repetition.

    Raises `ValueError` for a size below 1 or above the pool.

    >>> sorted(subsets(streams(np.random.default_rng(0), 1).data, 3, 3)[0].tolist())
    [0, 1, 2]
    """
    require(inside(1, pool), size=size)
    return np.stack([stream.choice(pool, size, replace=False) for stream in data])
