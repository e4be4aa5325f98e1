"""A kernel machine in a learned metric, and the average gradient outer product of its predictions in closed form."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from afp_utils.core.models import refuse_dimension
from afp_utils.core.refuse import FINITE, checked
from afp_utils.rfm.kernels import Distances, Kernel, SomePoints, Values, kernel_matrix
from afp_utils.rfm.metrics import Matrix, metric_factor

Seen = Annotated[Float[Array, "p d"], FINITE]
COLUMNS = 2048
"""Columns of one matrix product in the gradients: outputs beyond that many are taken in turn, to bound the memory."""


@checked
@dataclass(frozen=True)
class Machine:
    """f(x) = sum_i coefficients_i phi(|x - centres_i|_M), with the metric M = factor factor^T and |v|_M = |factor^T v|.

    One column of coefficients for each output; with a single output they may have one axis, as the other mechanisms.
    The features are those of the kernel, and only their readout is fitted, so that `tangent` equals `gram`.

    >>> from afp_utils.rfm.kernels import Gaussian
    >>> machine = Machine([[0, 0]], [2], Gaussian(1), [[1], [0]])  # one centre, and only the first coordinate counts
    >>> machine.predict([[0, 7], [2, 7]]).round(3).tolist()
    [2.0, 0.271]
    """

    centres: SomePoints
    coefficients: Values
    kernel: Kernel
    factor: Annotated[Float[Array, "d rank"], FINITE]

    @property
    def metric(self) -> Float[Array, "d d"]:
        """M = factor factor^T."""
        return self.factor @ self.factor.T

    @checked
    def predict(self, x: Seen) -> Float[Array, "p *output"]:
        distances = Distances.between(self._seen(x), self._seen(self.centres))
        answers = [distances.values(self.kernel, rows) @ self.coefficients for rows in distances.blocks()]
        return np.concatenate([np.empty((0, *self.coefficients.shape[1:]), self.coefficients.dtype), *answers])

    @checked
    def gradient(self, x: Seen) -> Float[Array, "p *output d"]:
        """At a centre, where the Laplace kernel has a kink, the centre's own term is zero: the mean of both sides."""
        z, centres = self._seen(x), self._seen(self.centres)
        columns = self.coefficients.reshape(len(centres), -1)
        inner = np.empty((len(x), columns.shape[1], z.shape[1]))
        for rows, outputs, block in _gradients(z, centres, columns, self.kernel):
            inner[rows, outputs] = block
        return (inner @ self.factor.T).reshape(len(x), *self.coefficients.shape[1:], x.shape[1])

    @checked
    def gram(self, x: Seen) -> Float[Array, "p p"]:
        seen = self._seen(x)
        matrix = kernel_matrix(self.kernel, seen, seen)
        np.fill_diagonal(matrix, 1)
        return matrix

    @checked
    def tangent(self, x: Seen) -> Float[Array, "p p"]:
        return self.gram(x)

    def _seen(self, x: Array) -> Array:
        """Points as the metric sees them, around the mean of the centres."""
        refuse_dimension(x, self.centres.shape[1])
        origin = self.centres.mean(axis=0, dtype=np.float64)  # whose rounding would move all points
        return ((x - origin) @ self.factor).astype(self.coefficients.dtype)


@checked
def agop(
    points: SomePoints, coefficients: Values, kernel: Kernel, metric: Matrix | None = None, centred: bool = False
) -> Float[Array, "d d"]:
    """Average gradient outer product of f = sum_i alpha_i phi(|. - x_i|_M) over its own centres, summed over outputs:

        B A B^T,  A = (1/n) sum_k G_k^T G_k,  G_k = H (alpha_k * Z) - (H alpha_k) * Z,  Z = X B,  M = B B^T,

    with H_ij = h(|z_i - z_j|) and H_ii = 0 by index: a centre's own term is the kink of its kernel, whose two sides
    cancel. Centred: the mean gradient over points is subtracted for each output. The metric defaults to I.

    Raises `ValueError` for a metric that is not symmetric and positive semi-definite.

    >>> from afp_utils.rfm.kernels import Laplace
    >>> agop([[0], [2]], [1, -3], Laplace(4)).round(3).tolist()  # slopes -3 e / 4 and -e / 4 with e = exp(-1 / 2)
    [[0.115]]
    """
    factor = np.eye(points.shape[1]) if metric is None else metric_factor(metric.astype(np.float64))
    return outer_products(Machine(points, coefficients, kernel, factor), points, centred, own=True)


@checked
def outer_products(machine: Machine, x: Seen, centred: bool, *, own: bool) -> Float[Array, "d d"]:
    """The same over any points; `own` says that they are the machine's centres, in their order."""
    z, centres = machine._seen(x), machine._seen(machine.centres)
    columns = machine.coefficients.reshape(len(centres), -1)
    total = np.zeros((z.shape[1],) * 2)
    mean = np.zeros((columns.shape[1], z.shape[1]))
    for _, outputs, block in _gradients(z, centres, columns, machine.kernel, own=own):
        mean[outputs] += block.sum(axis=0, dtype=np.float64) / len(x)
        flat = block.reshape(-1, z.shape[1])
        total += flat.T @ flat / len(x)
    if centred:  # at the end, since only all blocks together know the mean
        total -= mean.T @ mean
    result = machine.factor @ total @ machine.factor.T
    return (result + result.T) / 2  # which rounding would not leave quite symmetric


def _gradients(
    z: Array, centres: Array, alpha: Array, kernel: Kernel, own: bool = False
) -> Iterator[tuple[slice, slice, Array]]:
    """Gradients in the coordinates z, in blocks (rows, outputs, (row, output, coordinate)); one product for each."""
    distances, (n, rank) = Distances.between(z, centres), centres.shape
    width = max(1, COLUMNS // (rank + 1))
    for start in range(0, alpha.shape[1], width):
        outputs = slice(start, min(start + width, alpha.shape[1]))
        part = alpha[:, outputs]
        weights = np.hstack([part, (part[:, :, None] * centres[:, None, :]).reshape(n, -1)])
        count = part.shape[1]
        for rows in distances.blocks():
            slopes = distances.slopes(kernel, rows)
            if own:
                slopes[np.arange(len(slopes)), np.arange(rows.start, rows.stop)] = 0
            sums = slopes @ weights
            towards = sums[:, count:].reshape(len(sums), count, rank)
            yield rows, outputs, towards - sums[:, :count, None] * z[rows, None, :]
