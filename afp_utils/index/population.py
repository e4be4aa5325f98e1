"""Adaptive features that are directions: linear, single-index and multi-index models, trained on the population loss.

Inputs are x ~ N(0, I_d). Gradient flow trains the coefficients, which start at zero, and the directions together. The
frame is that of the problem: the first k axes are the directions of the target, the next p axes hold what the model's
p directions have outside them, and the models ignore all further coordinates of a probe. `noise` is the variance of
one estimated coefficient: sigma^2 / sample size in the white-noise version. For flows on data see `sampling`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.integrate import solve_ivp
from scipy.special import comb

from afp_utils.core.flow import flow_at
from afp_utils.core.models import Trajectory
from afp_utils.core.refuse import FINITE, Count, Finite, NonNegative, Rule, Times, checked, inside
from afp_utils.index.features import Eigenvalues, IndexModel, Link, flow_on_tensors, project, refuse_narrow

Coefficients = Annotated[Float[Array, " degree"], FINITE]
Overlap = Annotated[float, Rule("strictly between -1 and 1", lambda rho: (rho > -1) & (rho < 1))]
COSINES = Rule("in [-1, 1]", inside(-1 - 1e-12, 1 + 1e-12).fits)  # rounding may leave the ends
CONTRACTIONS = Rule(
    "of singular values up to 1", lambda psi: bool(np.linalg.svdvals(psi).max(initial=0.0) <= 1 + 1e-12)
)
Overlaps = Annotated[Float[Array, "k p"], FINITE, CONTRACTIONS]

SOLVER: dict[str, Any] = {"method": "LSODA", "rtol": 1e-10}
"""Looser tolerances show up as false increases of the feature error measure; LSODA because late times are stiff."""


@checked
def single_index(link: Coefficients, eigenvalues: Eigenvalues, overlap: Overlap, times: Times) -> Trajectory:
    """Population gradient flow of one direction w and its Hermite coefficients, rho = <w, w*>.

        d beta_r / dt = sqrt(lambda_r) (g_r rho^r - sqrt(lambda_r) beta_r)
        d rho / dt    = (1 - rho^2) sum_r r sqrt(lambda_r) beta_r g_r rho^(r-1)

    `link[r]` = g_r is the target's r-th orthonormal Hermite coefficient, `overlap` = rho(0), beta(0) = 0.
    The states have w = rho e_1 + sqrt(1 - rho^2) e_2 and w* = e_1, for probes of any dimension d >= 2. The risk is
    the population excess risk. Solved in u = artanh(rho), so that 1 - rho^2 keeps its relative precision.

    >>> run = single_index(link=[0, 0, 1], eigenvalues=[1, 1, 1], overlap=0.1, times=[0, 60])
    >>> run.risk.round(3).tolist(), overlaps(run).round(3).ravel().tolist()
    ([1.0, 0.0], [0.1, 1.0])
    """
    velocity, start, atol, active = _single_index_flow(link, eigenvalues, overlap)
    path = flow_at(velocity, start, times, atol=atol, **SOLVER).T
    beta = np.zeros((len(link), len(times)))
    beta[active] = path[:-1]
    u, g, root = path[-1], link[:, None], np.sqrt(eigenvalues)[:, None]
    rho, across = np.tanh(u), _sech(u)
    power = rho ** np.arange(len(link))[:, None]
    outside = across**2 * np.pad(np.cumsum(power**2, axis=0), [(1, 0), (0, 0)])[:-1]  # 1 - rho^(2r), no cancellation
    risk = np.sum(g**2 * outside + (g * power - root * beta) ** 2, axis=0)
    w = np.stack([rho, across]).T[:, :, None]
    states = tuple(IndexModel(eigenvalues, tuple(b[:, None]), one) for b, one in zip(beta.T, w))
    return Trajectory(times, risk, states)


@checked
def escape_time(link: Coefficients, eigenvalues: Eigenvalues, overlap: Overlap) -> float:
    """First time at which the squared overlap of `single_index` is 1/2; 0 if it is that large at the start.

    `math.inf` if it never is: for overlap 0, and for a link without energy in a degree r >= 1 with lambda_r > 0.
    Otherwise the time is finite, since beta_r >= g_r rho(0)^r (1 - exp(-lambda_r t)) / sqrt(lambda_r) gives
    T <= 1 / lambda_r + (artanh sqrt(1/2) - artanh |rho(0)|) / (r g_r^2 |rho(0)|^(2r-1)) for every r >= 1.

    Raises `ValueError` for an overlap so small that this bound overflows.

    >>> round(escape_time(link=[0, 0, 1], eigenvalues=[1, 1, 1], overlap=0.1), 1)
    29.5
    """
    velocity, start, atol, active = _single_index_flow(link, eigenvalues, overlap)
    goal = math.atanh(math.sqrt(0.5))
    moving = active[active > 0]
    if abs(start[-1]) >= goal:
        return 0.0
    if overlap == 0 or not len(moving):
        return math.inf
    push = moving * link[moving] ** 2 * abs(overlap) ** (2.0 * moving - 1)
    with np.errstate(divide="ignore", over="ignore"):
        horizon = np.min(1 / eigenvalues[moving] + (goal - abs(start[-1])) / push)
    if not horizon < 1e300:
        raise ValueError(f"overlap must be large enough for a time below 1e300, got {overlap}")

    def escaped(_: float, y: Array) -> float:
        return abs(y[-1]) - goal

    escaped.terminal = True  # type: ignore[attr-defined]
    run = solve_ivp(velocity, (0.0, 2 * horizon), start, events=escaped, atol=atol, **SOLVER)
    return float(run.t_events[0][0])


def _sech(u: Array) -> Array:
    decay = np.exp(-np.abs(u))
    return 2 * decay / (1 + decay**2)


def _single_index_flow(
    link: Array, eigenvalues: Array, overlap: float
) -> tuple[Callable[[float, Array], Array], Array, Array, Array]:
    """Right-hand side in (beta of the active degrees, artanh rho), its start, absolute tolerances, active degrees."""
    active = np.flatnonzero((link != 0) & (eigenvalues > 0))
    g, value, root = link[active], eigenvalues[active], np.sqrt(eigenvalues[active])
    push, below = active * root * g, np.maximum(active - 1, 0)

    def velocity(_: float, y: Array) -> Array:
        beta, rho = y[:-1], np.tanh(y[-1])
        return np.append(root * g * rho**active - value * beta, (push * beta) @ rho**below)

    start = np.append(np.zeros(len(active)), math.atanh(overlap))
    scale = np.append(root * np.abs(g) * np.abs(overlap) ** active, abs(start[-1]))
    # each tolerance in the units of its own variable: a start at 1e-30 has to grow from there
    return velocity, start, 1e-12 * np.maximum(scale, 1e-100), active


@checked
def multi_index(link: Link, eigenvalues: Eigenvalues, overlap: Overlaps, times: Times) -> Trajectory:
    """Population gradient flow of p directions W on the Stiefel manifold and their Hermite coefficients B_r.

        dB_r / dt = sqrt(lambda_r) (C_r - sqrt(lambda_r) B_r),   C_r = G_r with Psi = W*^T W in every slot
        dW / dt   = g - W sym(W^T g),   g = W* d/dPsi sum_r sqrt(lambda_r) <B_r, C_r>

    `link[r]` = G_r is a symmetric tensor of r axes of length k, the target being sum_r <G_r, H_r(W*^T x)>;
    `overlap` = Psi(0), B(0) = 0. The states have W* = (e_1..e_k) and W in the first k + p coordinates.

    Raises `ValueError` for a tensor of wrong shape or not symmetric.

    >>> run = multi_index([0, [0.6, 0], [[0, 0], [0, 0.8]]], [1, 1, 1], [[0.3, 0], [0, 0.3]], times=[0, 60])
    >>> run.risk.round(3).tolist()
    [1.0, 0.0]
    """
    refuse_misfit(link, len(eigenvalues), len(overlap))
    tensors = [_embed(tensor, sum(overlap.shape))[None] for tensor in link]
    return flow_on_tensors(link, tensors, eigenvalues, _directions(overlap)[None], times, SOLVER | {"atol": 1e-13})[0]


def _directions(overlap: Array) -> Array:
    """W of orthonormal columns with W*^T W = overlap: below it the root of I - overlap^T overlap, by eigenvalues."""
    left, sines = np.linalg.eigh(np.eye(overlap.shape[1]) - overlap.T @ overlap)[::-1]
    # squared sines of zero may round below it
    return np.concatenate([overlap, left * np.sqrt(np.maximum(sines, 0)) @ left.T])


def _embed(tensor: Array, size: int) -> Array:
    """The tensor in a larger space: zeros beyond its own axes."""
    return np.pad(tensor, [(0, size - length) for length in tensor.shape]) if tensor.ndim else tensor


def refuse_misfit(link: Link, degrees: int, k: int) -> None:
    """Refuse what is not one symmetric tensor of r axes of length k for each degree r."""
    if len(link) != degrees:
        raise ValueError(f"link must have one tensor per eigenvalue ({degrees}), got {len(link)}")
    for r, tensor in enumerate(link):
        if tensor.shape != (k,) * r:
            raise ValueError(f"link[{r}] must have shape {(k,) * r}, got {tensor.shape}")
        if r > 1 and max(np.abs(tensor - np.swapaxes(tensor, i, i + 1)).max() for i in range(r - 1)) > 1e-12:
            raise ValueError(f"link[{r}] must be symmetric in all its axes, got {tensor.tolist()}")


@checked
def single_index_fem(
    link: Coefficients,
    eigenvalues: Eigenvalues,
    overlap: Annotated[Float[Array, "*time"], COSINES],
    noise: NonNegative,
) -> Float[Array, "*time"]:
    """Feature error measure of one direction: min over cuts of sum_r g_r^2 - sum_kept g_r^2 rho^(2r) + noise * kept.

    Degrees of equal eigenvalue enter together, those of eigenvalue zero never (this book; see `core.measures`).

    >>> single_index_fem(link=[0, 0, 1], eigenvalues=[1, 1, 1], overlap=[0, 0.5, 1], noise=0.1).round(3).tolist()
    [1.0, 1.0, 0.3]
    """
    inside = link**2 * np.abs(overlap)[..., None] ** (2 * np.arange(len(link)))
    return _best_cut(inside, np.ones(len(link)), eigenvalues, np.sum(link**2), noise)


@checked
def multi_index_fem(
    link: Link,
    eigenvalues: Eigenvalues,
    overlap: Annotated[Float[Array, "*time k p"], FINITE, CONTRACTIONS],
    noise: NonNegative,
) -> Float[Array, "*time"]:
    """Feature error measure of p directions: degree r holds comb(r + p - 1, r) features and the energy |C_r|^2."""
    *time, k, p = overlap.shape
    refuse_misfit(link, len(eigenvalues), k)
    psi = overlap.reshape(-1, k, p)
    inside = np.stack([np.sum(project(tensor, psi) ** 2, axis=1) for tensor in link], axis=1).reshape(*time, len(link))
    degree = np.arange(len(link))
    energy = sum(np.sum(tensor**2) for tensor in link)
    return _best_cut(inside, comb(degree + p - 1, degree), eigenvalues, energy, noise)


def _best_cut(inside: Array, count: Array, eigenvalues: Array, energy: float, noise: float) -> Array:
    """The measure of every cut between two eigenvalues, or of keeping nothing, whichever is least."""
    kept = (eigenvalues >= np.unique(eigenvalues[eigenvalues > 0])[:, None]).astype(float)
    return np.asarray(np.min(energy - inside @ kept.T + noise * kept @ count, axis=-1, initial=energy))


@checked
@dataclass(frozen=True)
class Directional:
    """A linear predictor in two layers: f(x) = beta <w, x>, with w in the first coordinates."""

    beta: float
    w: Float[Array, " k"]

    def predict(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        return self.beta * self._along(x)

    def gradient(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return np.tile(self.beta * np.pad(self.w, (0, x.shape[1] - len(self.w))), (len(x), 1))

    def gram(self, x: Float[Array, "n d"]) -> Float[Array, "n n"]:
        z = self._along(x)
        return np.outer(z, z)

    def tangent(self, x: Float[Array, "n d"]) -> Float[Array, "n n"]:
        return self.gram(x) + self.beta**2 * x @ x.T

    def _along(self, x: Array) -> Array:
        refuse_narrow(x, len(self.w))
        return x[:, : len(self.w)] @ self.w


@checked
def directional(slope: Finite, w: Annotated[Float[Array, " 2"], FINITE], times: Times) -> Trajectory:
    """Population gradient flow of beta <w, x> towards slope <w*, x>, w free in R^d and beta(0) = 0.

        dw_par / dt = beta (V - beta w_par),  dw_perp / dt = -beta^2 w_perp,  dbeta / dt = V w_par - beta |w|^2

    V is the slope and w = (w_par, w_perp) at the start: along w* = e_1, and outside it (e_2). beta^2 - |w|^2 is
    conserved.

    >>> end = directional(slope=2, w=[0.1, 1], times=[0, 50]).states[-1]
    >>> round(end.beta * float(end.w[0]), 3)  # what <w*, x> is multiplied with
    2.0
    """

    def flow(_: float, y: Array) -> Array:
        beta, along, across = y
        return np.array(
            [slope * along - beta * (along**2 + across**2), beta * (slope - beta * along), -(beta**2) * across]
        )

    path = flow_at(flow, np.array([0.0, *w]), times, atol=1e-14, **SOLVER)
    states = tuple(Directional(float(y[0]), y[1:]) for y in path)
    risk = (slope - path[:, 0] * path[:, 1]) ** 2 + (path[:, 0] * path[:, 2]) ** 2
    return Trajectory(times, risk, states)


@checked
def directional_fem(
    slope: Finite, overlap: Annotated[Float[Array, "*time"], COSINES], noise: NonNegative
) -> Float[Array, "*time"]:
    """Feature error measure of the one feature <w, x> / |w|: V^2 (1 - rho^2) + noise, or V^2 while that is smaller."""
    return np.asarray(np.minimum(slope**2 * (1 - overlap**2) + noise, slope**2))


@checked
def overlaps(run: Trajectory, size: Count = 1) -> Float[Array, "time k p"]:
    """Psi = W*^T W along a run of an index model: the first `size` rows of its directions."""
    return np.stack([state.directions[:size] for state in run.states])  # type: ignore[attr-defined]
