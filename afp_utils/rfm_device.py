"""The recursion's heavy work in torch, on the device that a name says: distances, Cholesky, gradients, eigenvectors."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray as Array
from torch import Tensor

from afp_utils.rfm_kernels import ROUNDING, ROWS, Gaussian, GeneralisedLaplace, Kernel, Laplace
from afp_utils.rfm_machine import COLUMNS, Machine
from afp_utils.rfm_solve import PIVOT, SAFE, singular


@dataclass(frozen=True)
class Profile:
    """phi = exp(-(r / L)^g) and h = (g / L^g) r^(g - 2) phi of squared distances: each kernel, as torch computes it."""

    bandwidth: float
    exponent: float

    @classmethod
    def of(cls, kernel: Kernel) -> "Profile":
        if isinstance(kernel, Laplace):
            return cls(kernel.bandwidth, 1.0)
        if isinstance(kernel, Gaussian):
            return cls(kernel.bandwidth * 2**0.5, 2.0)
        if isinstance(kernel, GeneralisedLaplace):
            return cls(kernel.bandwidth, kernel.exponent)
        raise ValueError(f"kernel must be Laplace, Gaussian or GeneralisedLaplace on a device, got {kernel!r}")

    def value(self, square: Tensor) -> Tensor:
        return torch.exp(-((square * self.bandwidth**-2) ** (self.exponent / 2)))

    def slope(self, square: Tensor) -> Tensor:
        scaled = square * self.bandwidth**-2
        power = scaled ** (self.exponent / 2)
        return (self.exponent / self.bandwidth**2) * power / scaled * torch.exp(-power)


class Distances:
    """As its namesake of `rfm_kernels`: squared distances by one product for each block, rounding told from distance."""

    def __init__(self, points: Tensor, centres: Tensor) -> None:
        norms = [(z * z).sum(dim=1, keepdim=True) for z in (points, centres)]
        self.left = torch.cat([-2 * points, norms[0], torch.ones_like(norms[0])], dim=1)
        self.right = torch.cat([centres, torch.ones_like(norms[1]), norms[1]], dim=1)
        unit = torch.finfo(points.dtype)
        rows, columns = ((ROUNDING * unit.eps * norm).clamp(min=unit.tiny) for norm in norms)
        self.floors = rows, columns.T

    def blocks(self) -> Iterator[slice]:
        for start in range(0, len(self.left), ROWS):
            yield slice(start, min(start + ROWS, len(self.left)))

    def values(self, profile: Profile, rows: slice, columns: int | None = None) -> Tensor:
        square = self.left[rows] @ self.right[:columns].T
        return profile.value(square * (square > self._floor(rows, columns)))

    def slopes(self, profile: Profile, rows: slice) -> Tensor:
        return profile.slope(torch.maximum(self.left[rows] @ self.right.T, self._floor(rows)))

    def _floor(self, rows: slice, columns: int | None = None) -> Tensor:
        return torch.maximum(self.floors[0][rows], self.floors[1][:, :columns])


class Device:
    """The data of a fit on a device, and the steps of `rfm.fit` there. What comes back is in NumPy."""

    def __init__(self, name: str, x: Array, y: Array, kernel: Kernel, ridge: float) -> None:
        self.profile, self.kernel, self.ridge, self.centres = Profile.of(kernel), kernel, ridge, x
        self.name = usable(name)
        self.x, self.y = self._there(x), self._there(y.reshape(len(y), -1))
        self.shape, self.origin = y.shape, self.x.double().mean(dim=0)

    def solved(self, factor: Array) -> Machine:
        alpha = solve(self.profile, self._seen(self.x, factor), self.y, self.ridge)
        return Machine(self.centres, alpha.cpu().numpy().reshape(self.shape), self.kernel, factor)

    def outer(self, state: Machine, centred: bool) -> Array:
        """Average gradient outer product over the centres: one product for each block of rows and outputs."""
        z, factor = self._seen(self.x, state.factor), self._there(state.factor)
        alpha, distances = self._there(state.coefficients).reshape(len(z), -1), Distances(z, z)
        rank, width = z.shape[1], max(1, COLUMNS // (z.shape[1] + 1))
        total = torch.zeros((rank, rank), dtype=torch.float64, device=self.name)
        for part in alpha.split(width, dim=1):
            weights = torch.cat([part, (part[:, :, None] * z[:, None, :]).reshape(len(z), -1)], dim=1)
            count = part.shape[1]
            mean = torch.zeros((count, rank), dtype=torch.float64, device=self.name)
            for rows in distances.blocks():
                slopes = distances.slopes(self.profile, rows)
                slopes[:, rows].fill_diagonal_(0)  # a centre's own term, by index
                sums = slopes @ weights
                block = sums[:, count:].reshape(-1, count, rank) - sums[:, :count, None] * z[rows, None, :]
                mean += block.sum(dim=0, dtype=torch.float64) / len(z)
                flat = block.reshape(-1, rank)
                total += flat.T @ flat / len(z)
            if centred:
                total -= mean.T @ mean
        result = factor @ total @ factor.T
        return ((result + result.T) / 2).cpu().numpy()

    def predict(self, state: Machine, x: Array) -> Array:
        distances = Distances(*(self._seen(points, state.factor) for points in (self._there(x), self.x)))
        alpha = self._there(state.coefficients)
        answers = [distances.values(self.profile, rows) @ alpha for rows in distances.blocks()]
        return torch.cat(answers).cpu().numpy()

    def eigh(self, matrix: Array) -> tuple[Array, Array]:
        levels, vectors = torch.linalg.eigh(self._there(matrix))
        return levels.cpu().numpy(), vectors.cpu().numpy()

    def _there(self, array: Array) -> Tensor:
        return torch.tensor(np.ascontiguousarray(array), device=self.name)

    def _seen(self, x: Tensor, factor: Array) -> Tensor:
        return ((x.double() - self.origin) @ self._there(factor)).to(self.x.dtype)


def usable(name: str) -> torch.device:
    """The device of that name, if it holds and returns a number in double precision here."""
    try:
        device = torch.device(name)
        torch.zeros(1, dtype=torch.float64, device=device).item()
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device must be one that torch can use here in double precision, got {name!r}: {reason}"
        ) from error
    return device


def solve(profile: Profile, z: Tensor, y: Tensor, ridge: float) -> Tensor:
    """As `rfm.solve`, with points around the origin: a checked Cholesky factor, in double precision where single fails."""
    single = z.dtype == torch.float32
    if single and ridge < SAFE:
        return solve(profile, z.double(), y.double(), ridge).float()
    matrix, distances = torch.empty((len(z),) * 2, dtype=z.dtype, device=z.device), Distances(z, z)
    for rows in distances.blocks():
        matrix[rows, : rows.stop] = distances.values(profile, rows, rows.stop)
    matrix.fill_diagonal_(1 + ridge)
    factor, info = torch.linalg.cholesky_ex(matrix)  # reads the lower triangle alone
    failed = int(info)
    pivots = factor.diagonal()[: failed - 1 if failed else None].double() ** 2
    if failed or float(pivots.min()) <= PIVOT * torch.finfo(z.dtype).eps * (1 + ridge):
        if single:
            return solve(profile, z.double(), y.double(), ridge).float()
        raise singular(ridge, failed - 1 if failed else int(pivots.argmin()))
    return torch.cholesky_solve(y, factor)
