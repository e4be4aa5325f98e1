"""Hermite features of adaptive directions: the features, the model on them, and the gradient flow of both.

Inputs are x ~ N(0, I_d). The features of directions W (d, p), orthonormal columns, are the Hermite polynomials of
W^T x, those of degree r with eigenvalue `eigenvalues[r]`. A function of W^T x is a list of symmetric tensors, one of r
axes of length p for each degree r.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.special import factorial

from afp_utils.core.flow import flow_at
from afp_utils.core.models import Trajectory
from afp_utils.core.refuse import FINITE, NONNEGATIVE, SOME, Count, Rule, at_least, checked

Eigenvalues = Annotated[Float[Array, " degree"], SOME, NONNEGATIVE]
Link = Annotated[Sequence[Annotated[Float[Array, "..."], FINITE]], SOME]
"""Of a target, one symmetric tensor for each degree r: r axes of length k."""
ORTHONORMAL = Rule(
    "of orthonormal columns",
    lambda w: bool(np.abs(w.swapaxes(-1, -2) @ w - np.eye(w.shape[-1])).max(initial=0.0) <= 1e-8),
)


@checked
def hermite(x: Float[Array, "*points"], size: Count) -> Float[Array, "degree *points"]:
    """Orthonormal Hermite polynomials of degree 0 to size - 1: E[H_r H_s] = 1 if r = s else 0 under N(0, 1).

    x H_r = sqrt(r + 1) H_(r+1) + sqrt(r) H_(r-1), hence H_r' = sqrt(r) H_(r-1).

    >>> hermite([0, 1, 2], size=3).round(3).tolist()  # 1, x, (x^2 - 1) / sqrt(2)
    [[1.0, 1.0, 1.0], [0.0, 1.0, 2.0], [-0.707, 0.0, 2.121]]
    """
    rows = [np.ones_like(x), x]  # the recurrence of the normalised polynomials: factorials would overflow
    for r in range(1, size - 1):
        rows.append((x * rows[r] - np.sqrt(r) * rows[r - 1]) / np.sqrt(r + 1))
    return np.stack(rows[:size])


@checked
def hermite_tensor(z: Float[Array, "n p"], degree: Annotated[int, at_least(0)]) -> Float[Array, "n entry"]:
    """Hermite tensor of one degree, flattened to p^degree entries, with inner products sum_m h_m(z) h_m(z').

    h_m = prod_k H_(m_k)(z_k) over all m with sum(m) = degree; the entry of indices i_1..i_r that hit axis k m_k times is
    sqrt(m! / r!) h_m(z), so that a symmetric tensor G gives a function of squared norm |G|_F^2.

    >>> hermite_tensor([[1, 2]], degree=2).round(3).tolist()  # entries 11, 12, 21, 22
    [[0.0, 1.414, 1.414, 2.121]]
    """
    return _tensor(hermite(z, degree + 1), degree)


@checked
def hermite_tensors(z: Float[Array, "n p"], size: Count) -> list[Float[Array, "n _"]]:
    """The Hermite tensors of degree 0 to size - 1."""
    h = hermite(z, size)
    return [_tensor(h, degree) for degree in range(size)]


def _tensor(h: Array, degree: int) -> Array:
    p = h.shape[2]
    return np.stack([scale * np.prod(h[m, :, range(p)], axis=0) for scale, m in _entries(p, degree)], axis=1)


@cache
def _entries(p: int, degree: int) -> tuple[tuple[float, Array], ...]:
    """Of each entry of a tensor: its scale and how often its indices hit each axis (a flow asks for them at each step)."""
    counts = [np.bincount(hit, minlength=p) for hit in itertools.product(range(p), repeat=degree)]
    return tuple((float(np.sqrt(factorial(m).prod() / factorial(degree))), m) for m in counts)


def refuse_narrow(x: Array, rows: int) -> None:
    """Refuse points of fewer coordinates than a model's directions have rows."""
    if x.shape[1] < rows:
        raise ValueError(f"x must have at least {rows} coordinates, got {x.shape[1]}")


@checked
@dataclass(frozen=True)
class IndexModel:
    """Hermite features of x^T W with their coefficients: f(x) = sum_r sqrt(lambda_r) <B_r, H_r(W^T x)>.

    `directions` W holds the leading rows only: coordinates of x beyond them have weight zero. `coefficients[r]` is the
    symmetric tensor B_r, flattened to p^r entries. Raises `ValueError` for another number of entries, and at points of
    fewer coordinates than W has rows.
    """

    eigenvalues: Eigenvalues
    coefficients: tuple[Float[Array, " _"], ...]
    directions: Float[Array, "k p"]

    def __post_init__(self) -> None:
        sizes = [self.directions.shape[1] ** r for r in range(len(self.eigenvalues))]
        if [len(b) for b in self.coefficients] != sizes:
            raise ValueError(f"coefficients must have {sizes} entries, got {[len(b) for b in self.coefficients]}")

    @property
    def beta(self) -> Float[Array, " all"]:
        """The coefficients of all degrees in one vector (for one direction: one number a degree)."""
        return np.concatenate(self.coefficients)

    def predict(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        return value(self._features(x), self.eigenvalues, self.coefficients)

    def gradient(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        wide = np.zeros((x.shape[1], self.directions.shape[1]))
        wide[: len(self.directions)] = self.directions
        return self.slope(x) @ wide.T

    def gram(self, x: Float[Array, "n d"]) -> Float[Array, "n n"]:
        return sum(scale * h @ h.T for h, scale in zip(self._features(x), self.eigenvalues))

    def tangent(self, x: Float[Array, "n d"]) -> Float[Array, "n n"]:
        """Gram plus the kernel of the directions: x u^T, u the slope, projected on the tangent space at W."""
        z, u = self._index(x), self.slope(x)
        return self.gram(x) + (x @ x.T - z @ z.T / 2) * (u @ u.T) - (z @ u.T) * (u @ z.T) / 2

    def slope(self, x: Float[Array, "n d"]) -> Float[Array, "n p"]:
        """Gradient of f with respect to W^T x."""
        return slope(self._features(x), self.eigenvalues, self.coefficients, self.directions.shape[1])

    def _index(self, x: Array) -> Array:
        refuse_narrow(x, len(self.directions))
        return x[:, : len(self.directions)] @ self.directions

    def _features(self, x: Array) -> list[Array]:
        return hermite_tensors(self._index(x), len(self.eigenvalues))


# ---- what a solver asks for at every step: not checked, since what calls it is ----


def value(features: Sequence[Array], eigenvalues: Array, coefficients: Sequence[Array]) -> Array:
    """f = sum_r sqrt(lambda_r) <B_r, H_r>, from the Hermite tensors H_r (n, p^r) at the points."""
    return sum(np.sqrt(scale) * h @ b for h, scale, b in zip(features, eigenvalues, coefficients))


def slope(features: Sequence[Array], eigenvalues: Array, coefficients: Sequence[Array], p: int) -> Array:
    """Gradient of f in W^T x, (n, p): of degree r, sqrt(r lambda_r) <B_r, H_(r-1)> with one slot of B_r left open."""
    slopes = np.zeros((len(features[0]), p))
    for r, (below, scale, b) in enumerate(zip(features, eigenvalues[1:], coefficients[1:]), 1):
        slopes += np.sqrt(scale * r) * below @ b.reshape(-1, p)
    return slopes


def velocity(tensors: Sequence[Array], eigenvalues: Array, coefficients: Sequence[Array], w: Array) -> list[Array]:
    """Velocities of B_0.. and W, for a batch: tensors (run, d, .., d), coefficients (run, p^r), W (run, d, p)."""
    rates, ascent = [], np.zeros_like(w)
    for r, (tensor, value, b) in enumerate(zip(tensors, eigenvalues, coefficients)):
        if r == 0:
            signal = tensor.reshape(-1, 1)
        else:
            opened = contract(tensor, w)
            signal = (opened @ w).reshape(b.shape)
            ascent += r * np.sqrt(value) * opened.swapaxes(1, 2) @ b.reshape(len(b), -1, w.shape[2])
        rates.append(np.sqrt(value) * signal - value * b)
    return [*rates, along_manifold(ascent, w)]


def along_manifold(ascent: Array, w: Array) -> Array:
    """Ascent (.., d, p) projected on the tangent space of the Stiefel manifold at W: orthonormal columns stay so."""
    inner = w.swapaxes(-1, -2) @ ascent
    return ascent - w @ (inner + inner.swapaxes(-1, -2)) / 2


def contract(tensor: Array, w: Array) -> Array:
    """Symmetric tensors (run, d, .., d) with w (run, d, p) in every slot but one: (run, p^(r-1), d)."""
    runs, d, _ = w.shape
    open_slots = tensor.reshape(runs, -1, d)
    for _ in range(tensor.ndim - 2):
        open_slots = (open_slots @ w).swapaxes(1, 2).reshape(runs, -1, d)
    return open_slots


def orthonormal(w: Array) -> Array:
    """The nearest matrices with orthonormal columns (polar factors), for a batch: a solver leaves the manifold a little."""
    left, _, right = np.linalg.svd(w, full_matrices=False)
    return left @ right


def project(tensor: Array, overlap: Array) -> Array:
    """C = G with Psi in every slot, flattened, for a batch of overlaps (time, k, p): (time, p^r)."""
    batch = np.broadcast_to(tensor, (len(overlap), *tensor.shape))
    return (contract(batch, overlap) @ overlap).reshape(len(overlap), -1) if tensor.ndim else batch[:, None]


# ---- risk and flow ----


@checked
def excess_risk(link: Link, state: IndexModel) -> float:
    """Population risk sum_r |G_r|^2 - |C_r|^2 + |C_r - sqrt(lambda_r) B_r|^2 of a model, W* being the first k axes.

    Raises `ValueError` for a link that has another number of degrees than the model.

    >>> model = IndexModel(eigenvalues=[1, 1], coefficients=([0], [0.5]), directions=[[1], [0]])
    >>> excess_risk([0, [1]], model)  # x_1 is predicted by half of it
    0.25
    """
    if len(link) != len(state.eigenvalues):
        raise ValueError(f"link must have one tensor per eigenvalue ({len(state.eigenvalues)}), got {len(link)}")
    psi, risk = state.directions[: max((len(tensor) for tensor in link[1:]), default=0)], 0.0
    for tensor, scale, b in zip(link, state.eigenvalues, state.coefficients):
        inside = project(tensor, psi[None])[0]
        risk += np.sum(tensor**2) - np.sum(inside**2) + np.sum((inside - np.sqrt(scale) * b) ** 2)
    return float(max(risk, 0.0))  # the first two terms cancel up to rounding once W holds W*


@checked
def flow_on_tensors(
    link: Link, tensors: Sequence[Array], eigenvalues: Array, directions: Array, times: Array, solver: dict[str, Any]
) -> tuple[Trajectory, ...]:
    """Gradient flow on a batch of tensors (run, d, .., d) from directions (run, d, p) and coefficients zero.

    All runs are one system of equations for the solver. The risk is that of the target `link`.
    """
    runs, _, p = directions.shape
    cuts = np.cumsum([p**r for r in range(len(eigenvalues))])

    def unpack(y: Array) -> tuple[list[Array], Array]:
        *b, w = np.split(y.reshape(runs, -1), cuts, axis=1)
        return b, w.reshape(directions.shape)

    def flow(_: float, y: Array) -> Array:
        parts = velocity(tensors, eigenvalues, *unpack(y))
        return np.concatenate([part.reshape(runs, -1) for part in parts], axis=1).ravel()

    start = np.concatenate([np.zeros((runs, cuts[-1])), directions.reshape(runs, -1)], axis=1).ravel()
    turned = [(b, orthonormal(w)) for b, w in map(unpack, flow_at(flow, start, times, **solver))]

    def trajectory(run: int) -> Trajectory:
        states = tuple(IndexModel(eigenvalues, tuple(part[run] for part in b), w[run]) for b, w in turned)
        return Trajectory(times, np.array([excess_risk(link, state) for state in states]), states)

    return tuple(map(trajectory, range(runs)))
