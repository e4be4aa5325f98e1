"""Arithmetic modulo p as a table to be completed: pairs of numbers as data, and the structure that a metric should find.

A pair (a, b) is the vector e_a + e_(p+b), so that a metric on it has four p x p blocks. Its off-diagonal block, metric[:p, p:],
says how the first number is compared with the second, and there is the structure: circulant for sums, Hankel for
differences, and the same for products and quotients once the numbers are in the order of powers of a primitive root.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray as Array
from scipy.linalg import circulant

from afp_utils.core.refuse import Rule, Share, at_least, checked, require
from afp_utils.rfm.metrics import circulant_residual, feature_power, hankel_residual

PRIME = Rule("prime", lambda p: p > 1 and all(p % divisor for divisor in range(2, int(p**0.5) + 1)))
Prime = Annotated[int, PRIME]


@checked
@dataclass(frozen=True)
class Operation:
    """An operation on numbers modulo p: its answers, and the structure that goes with it.

    `reflected`: it undoes the other one, so that its blocks are Hankel and not circulant. `multiplicative`: it is the
    other kind of arithmetic on the logarithms of numbers that are not 0, and p must be prime.
    """

    answer: Callable[[Array, Array, int], Array]
    reflected: bool
    multiplicative: bool

    def residual(self, block: Float[Array, "q q"]) -> float:
        """Share of a block's variance that is not of the structure, numbers (or their logarithms) being in order."""
        return hankel_residual(block) if self.reflected else circulant_residual(block)


def _sum(a: Array, b: Array, p: int) -> Array:
    return (a + b) % p


def _difference(a: Array, b: Array, p: int) -> Array:
    return (a - b) % p


def _product(a: Array, b: Array, p: int) -> Array:
    return (a * b) % p


def _quotient(a: Array, b: Array, p: int) -> Array:
    return (a * np.array([pow(int(number), -1, p) for number in b], dtype=int)) % p


ADD = Operation(_sum, reflected=False, multiplicative=False)
SUBTRACT = Operation(_difference, reflected=True, multiplicative=False)
MULTIPLY = Operation(_product, reflected=False, multiplicative=True)
DIVIDE = Operation(_quotient, reflected=True, multiplicative=True)
"""a / b modulo p. The second number is never 0."""


@checked
def table(p: Annotated[int, at_least(2)], operation: Operation) -> tuple[Float[Array, "pairs d"], Int[Array, " pairs"]]:
    """All pairs of numbers modulo p, the first number slowest, as rows e_a + e_(p+b), and the answer to each.

    There are p^2 of them, or p (p - 1) for quotients. Raises `ValueError` for a p that is not prime and an operation that
    needs it.

    >>> pairs, answers = table(3, SUBTRACT)
    >>> pairs[5].tolist(), int(answers[5])  # 1 - 2 modulo 3
    ([0.0, 1.0, 0.0, 0.0, 0.0, 1.0], 2)
    """
    if operation.multiplicative:
        require(PRIME, p=p)
    divided = operation.reflected and operation.multiplicative
    a, b = (grid.ravel() for grid in np.meshgrid(np.arange(p), np.arange(int(divided), p), indexing="ij"))
    unit = np.eye(p)
    return np.hstack([unit[a], unit[b]]), operation.answer(a, b, p)


@checked
def split(pairs: int, fraction: Share, *, rng: np.random.Generator) -> tuple[Int[Array, " train"], Int[Array, " test"]]:
    """A random share of the rows for training, rounded down, and the others.

    Raises `ValueError` unless both have at least one row.
    """
    count = int(fraction * pairs)
    if not 0 < count < pairs:
        raise ValueError(f"fraction must leave some of {pairs} rows on either side, got {fraction}")
    order = rng.permutation(pairs)
    return order[:count], order[count:]


@checked
def primitive_root(p: Prime) -> int:
    """The least g whose powers 1, g, g^2, ... are all the numbers from 1 to p - 1.

    >>> primitive_root(7)
    3
    """
    return next(g for g in range(1, p) if len(_powers(g, p)) == p - 1)


@checked
def logarithmic_order(p: Prime) -> Int[Array, " units"]:
    """The numbers 1 to p - 1 in the order of powers of the least primitive root, 1, g, g^2, ... modulo p.

    In this order the table of products is that of sums modulo p - 1: g^i g^j = g^(i + j).

    >>> logarithmic_order(7).tolist()
    [1, 3, 2, 6, 4, 5]
    """
    return np.array(_powers(primitive_root(p), p))


@checked
def structured_block(metric: Float[Array, "d d"], operation: Operation) -> Float[Array, "q q"]:
    """The off-diagonal block of a metric on pairs, in the order in which the operation's structure shows.

    For products and quotients without its row and column of the number 0, which has no logarithm.

    Raises `ValueError` for a metric of odd size, or one whose p is not prime where the operation needs it.

    >>> structured_block(np.diag([1, 2, 3], k=3), MULTIPLY).tolist()
    [[2.0, 0.0], [0.0, 3.0]]
    """
    p, odd = divmod(len(metric), 2)
    if odd or p < 2:
        raise ValueError(f"metric must have 2 p rows with p at least 2, got {len(metric)}")
    order = _order(p, operation)
    return metric[:p, p:][np.ix_(order, order)]


@checked
def structure_residual(metric: Float[Array, "d d"], operation: Operation) -> float:
    """Share of the variance of a metric's off-diagonal block that is not the operation's structure, in [0, 1].

    >>> structure_residual(random_metric(5, ADD, rng=np.random.default_rng(0)), ADD) < 1e-20
    True
    """
    return operation.residual(structured_block(metric, operation))


@checked
def random_metric(
    p: Annotated[int, at_least(3)], operation: Operation, *, rng: np.random.Generator
) -> Float[Array, "d d"]:
    """A metric with the operation's structure and nothing else, M = sqrt(S_+): nothing in it was learned.

    S has I - 1 1^T / p as diagonal blocks, and off the diagonal a random circulant or Hankel block, whose entries are uniform
    in [0, 1) less their mean, so that each row sums to 0; S_+ is its positive part. For products and quotients all
    blocks are those of the numbers that are not 0, in logarithmic order, and the others are zero.

    Raises `ValueError` for a p that is not prime and an operation that needs it.
    """
    order = _order(p, operation)
    q = len(order)
    entries = rng.random(q)
    block = circulant(entries - entries.mean())
    if operation.reflected:
        block = block[:, -np.arange(q)]
    rows, whole = np.concatenate([order, p + order]), np.zeros((2 * p, 2 * p))
    own = np.eye(q) - 1 / q
    whole[np.ix_(rows, rows)] = np.block([[own, block], [block.T, own]])
    return feature_power(whole, 0.5)


def _order(p: int, operation: Operation) -> Array:
    return logarithmic_order(p) if operation.multiplicative else np.arange(p)


def _powers(g: int, p: int) -> list[int]:
    """1, g, g^2, ... modulo p, until they repeat."""
    powers = [1]
    while (following := powers[-1] * g % p) != 1:
        powers.append(following)
    return powers
