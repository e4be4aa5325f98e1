"""What is drawn at random before training: weights of several kinds, and the random streams and data of ensembles."""

from collections.abc import Sequence
from copy import deepcopy
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray as Array

from afp_utils.core.refuse import checked, nonnegative, positive
from afp_utils.networks.mlp import IDENTITY, RELU, Activation, Network


@checked
def he_start(widths: Sequence[int], activation: Activation, *, rng: np.random.Generator, first: float = 1.0) -> Network:
    """Normal weights of variance 2 / fan-in (He), no biases; those of the first layer times `first`. From input to output.

    Raises `ValueError` for fewer than two widths, one below 1, or a scale that is not positive.
    """
    _widths(widths)
    positive(first=first)
    weights = [rng.normal(scale=np.sqrt(2 / below), size=(above, below)) for below, above in pairwise(widths)]
    return Network((first * weights[0], *weights[1:]), activation)


@checked
def ensemble_start(
    widths: Sequence[int], init: Sequence[np.random.Generator], *, gain: float = 1.0, activation: Activation = RELU
) -> Network:
    """A network for each generator: normal weights of variance 2 gain^2 / fan-in, biases zero.

    Raises `ValueError` for fewer than two widths, one below 1, or a gain that is not positive.
    """
    _widths(widths)
    positive(gain=gain)

    def layer(below: int, above: int) -> Array:
        return np.stack([rng.normal(scale=gain * np.sqrt(2 / below), size=(below, above)).T for rng in init])

    biases = tuple(np.zeros((len(init), width)) for width in widths[1:])
    return Network(tuple(layer(*pair) for pair in pairwise(widths)), activation, biases)


@checked
def antisymmetric_start(
    m: int, d: int, alpha: float, *, generator: torch.Generator, dtype: torch.dtype = torch.float64
) -> Network:
    """f(x) = alpha / sqrt(m) sum_h u_h relu(w_h . x) of standard normal weights: each neuron twice, with opposite readout.

    So f = 0 exactly at the start, and the scale alpha alone decides how lazy the training is.

    Raises `ValueError` for an odd or non-positive width, a dimension below 1 or a scale that is not positive.
    """
    if m % 2:
        raise ValueError(f"m must be even, got {m}")
    positive(m=m, d=d)
    w = torch.randn(m // 2, d, generator=generator, dtype=dtype)
    u = torch.randn(m // 2, generator=generator, dtype=dtype)
    return Network((torch.cat([w, w]).numpy(), torch.cat([u, -u])[None].numpy()), RELU, alpha=alpha)


@checked
def balanced_start(widths: Sequence[int], values: Float[Array, " k"], *, rng: np.random.Generator) -> Network:
    """A linear network with W_(l+1)^T W_(l+1) = W_l W_l^T: W_l = U_l diag(values) U_(l-1)^T, U_l random and orthonormal.

    Raises `ValueError` for fewer than two widths, one below 1, values that are negative, or more of them than the
    least width.
    """
    _widths(widths)
    nonnegative(values=values)
    if len(values) > min(widths):
        raise ValueError(f"values must be at most as many as the least width ({min(widths)}), got {len(values)}")
    frames = [np.linalg.qr(rng.normal(size=(width, len(values))))[0] for width in widths]
    return Network(tuple((above * values) @ below.T for below, above in pairwise(frames)), IDENTITY)


# ---- ensembles ----


class Streams(NamedTuple):
    """Random streams of each model: for its training set, its initial weights and its order of the data."""

    data: tuple[np.random.Generator, ...]
    init: tuple[np.random.Generator, ...]
    order: tuple[np.random.Generator, ...]


@checked
def streams(
    rng: np.random.Generator, models: int, *, same_data: bool = False, same_init: bool = False, same_order: bool = False
) -> Streams:
    """Independent streams for each model, except that those marked the same draw the same numbers in every model.

    Raises `ValueError` for fewer than one model.
    """
    if models < 1:
        raise ValueError(f"models must be at least 1, got {models}")

    def split(parent: np.random.Generator, same: bool) -> tuple[np.random.Generator, ...]:
        return tuple(deepcopy(parent) for _ in range(models)) if same else tuple(parent.spawn(models))

    return Streams(*map(split, rng.spawn(3), (same_data, same_init, same_order)))


@checked
def subsets(data: Sequence[np.random.Generator], pool: int, size: int) -> Int[Array, "model size"]:
    """A training set for each model: `size` of the indices 0 to `pool` - 1, without repetition.

    Raises `ValueError` for a size below 1 or above the pool.
    """
    if not 1 <= size <= pool:
        raise ValueError(f"size must be from 1 to the pool ({pool}), got {size}")
    return np.stack([stream.choice(pool, size, replace=False) for stream in data])


def _widths(widths: Sequence[int]) -> None:
    if len(widths) < 2 or min(widths) < 1:
        raise ValueError(f"widths must be at least two, each at least 1, got {list(widths)}")
