"""Targets that tell the Recursive Feature Machine from its kernel: each depends on a few coordinates of many."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from afp_utils.core.refuse import checked
from afp_utils.rfm.kernels import Points


@checked
def product(x: Points) -> Float[Array, " n"]:
    """f(x) = x_1 x_2, the target of the first demonstrations in the code of Radhakrishnan et al. (2024).

    On inputs of mean zero and unit variance, its average gradient outer product is 1 on the first two coordinates.

    >>> product([[2, 3, 5]]).tolist()
    [6.0]
    """
    return parity(x, 2)


@checked
def gated_product(x: Points) -> Float[Array, " n"]:
    """f(x) = x_1 x_2 if x_6 > 0, else 0: a jump across a third direction.

    The target of a notebook of the authors' code, where coordinates are counted from 0.
    """
    _wide(x, 6)
    return product(x) * (x[:, 5] > 0)


@checked
def parity(x: Points, degree: int) -> Float[Array, " n"]:
    """f(x) = x_1 x_2 ... x_degree; on the cube {-1, 1}^d the parity of so many bits.

    No product of fewer coordinates is correlated with it. Raises `ValueError` for a degree that is not in 1, ..., d.

    >>> parity([[2, 3, 5, 7]], 3).tolist()
    [30.0]
    """
    _wide(x, degree)
    return x[:, :degree].prod(axis=1)


@checked
def staircase(x: Points, degree: int) -> Float[Array, " n"]:
    """f(x) = x_1 + x_1 x_2 + ... + x_1 x_2 ... x_degree: each step points at the next.

    Raises `ValueError` for a degree that is not in 1, ..., d.

    >>> staircase([[2, 3, 5, 7]], 3).tolist()
    [38.0]
    """
    _wide(x, degree)
    return np.cumprod(x[:, :degree], axis=1).sum(axis=1)


def _wide(x: Array, degree: int) -> None:
    if not 1 <= degree <= x.shape[1]:
        raise ValueError(f"degree must lie in 1, ..., {x.shape[1]}, the number of coordinates, got {degree}")
