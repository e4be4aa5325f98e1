"""What sequence models can and do achieve: expected risks without simulation, and the best that any filter could do."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.optimize import isotonic_regression
from scipy.special import zeta

from afp_utils.core.refuse import NonNegative, Positive, Times, at_least, checked
from afp_utils.sequence.flows import Depth, Eigenvalues, Values, gradient_flow

Risks = Float[Array, " time"]
AtLeastOne = Annotated[float, at_least(1)]

REACH = ((8, 10, 9, 1e6), (16, 10, 45, 1e11), (32, 20, 90, 1e16))
"""How far the sums go, by steps: standard deviations of the noise, nodes in each, decades of eigenvalues, signals."""
HEAD = 32
"""Terms of a sum that are added one by one."""
PANEL = 2.5
"""Width of a panel in the logarithm of the index, before any is halved; half a panel is never below `NARROWEST`."""
NARROWEST = 0.01
NODES = np.cos(np.pi * np.arange(17) / 16)
"""Nodes of a panel, on [-1, 1], from right to left. Every other one makes the coarser rule."""
BEYOND = 10
"""What lies beyond the ends of a sum is taken to be at most this many times its last unit."""
TOLERANCE = 0.01
"""Relative error of a risk above which a sum is widened, and at the end refused."""


def _clenshaw_curtis(nodes: Array) -> Array:
    """Weights on Chebyshev nodes that integrate every polynomial through them over [-1, 1]."""
    degree = np.arange(len(nodes))
    moments = np.where(degree % 2 == 0, 2 / (1 - (degree - degree % 2) ** 2.0), 0.0)
    return np.linalg.solve(np.polynomial.chebyshev.chebvander(nodes, len(nodes) - 1).T, moments)


WEIGHTS, COARSE = _clenshaw_curtis(NODES), _clenshaw_curtis(NODES[::2])


@checked
@dataclass(frozen=True)
class PowerLaw:
    """A class of targets and initial eigenvalues: signal(p, q) and lambda_j = j^-gamma at the positions up to `size`.

    p > 0 is the decay of the sorted signal, q >= 1 how far it lies from the front of the spectrum. Infinite `size` is
    the model of the theory; a finite one drops the signal beyond it, from the target and from the risk alike.
    """

    p: Positive
    q: AtLeastOne
    gamma: AtLeastOne
    size: AtLeastOne = math.inf

    @property
    def signals(self) -> float:
        """How many signal positions floor(j^q + 1/2) lie within the size."""
        return float(np.ceil((self.size + 0.5) ** (1 / self.q)) - 1)

    def energy_beyond(self, index: float) -> float:
        """Sum of the squared signals after the one of this index: a difference of zeta functions."""
        last = self.signals
        return float(zeta(self.p + 1, index + 1) - (0.0 if math.isinf(last) else zeta(self.p + 1, last + 1)))

    def problem(self, j: Array) -> tuple[Array, Array]:
        """The signals of indices j, and the eigenvalues where they sit: j^q rounded, which does not matter far out."""
        position = np.where(j <= HEAD, np.floor(j**self.q + 0.5), j**self.q)
        return j ** (-(self.p + 1) / 2), position**-self.gamma


@checked
def expected_risk(law: PowerLaw, noise: NonNegative, times: Times, *, depth: Depth = 0, b0: Positive = 1.0) -> Risks:
    """Expected risk of the adaptive flow on a power-law problem, summed over all coordinates up to `law.size`.

    The first signals are summed one by one, the others over the logarithm of their index; the energy of those too far
    out to be learned is a zeta function. How far, in coordinates and in standard deviations of the noise, grows with
    the time: the sums are widened until their ends and their steps matter to less than 1 % of the risk.

    The mean over the Gaussian noise is taken on an even grid: the trapezium rule is spectrally exact there, and a
    simulation would need thousands of runs, as theta grows exponentially with the noise.

    Raises `ValueError` for times so late that the widest sums do not suffice (the mean is then made by noise of more
    than 30 standard deviations, or by coordinates without end).

    >>> law = PowerLaw(p=1, q=2, gamma=1.5)
    >>> expected_risk(law, noise=1e-3, times=[0, 60]).round(2).tolist()
    [1.64, 0.62]
    """

    def risk(truth: Array, eigenvalues: Array, reach: int, per_unit: int) -> Array:
        x = np.arange(-per_unit * reach, per_unit * reach + 1) / per_unit
        weight = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()
        weights = weight, 2 * weight * (np.arange(len(x)) % 2 == 0), weight * (np.abs(x) > reach - 1)
        z = truth[:, None] + math.sqrt(noise) * x
        path = gradient_flow(z.ravel(), np.repeat(eigenvalues, len(x)), times, depth=depth, b0=b0)
        theta = [state.theta.reshape(z.shape) for state in path.states]  # type: ignore[attr-defined]
        return np.stack([(at - truth[:, None]) ** 2 @ np.transpose(weights) for at in theta]).transpose(2, 0, 1)

    return _summed(law, times, risk)


@checked
def vanilla_risk(law: PowerLaw, noise: NonNegative, times: Times) -> Risks:
    """Expected risk of the vanilla flow: sum e^(-2 lambda t) theta*^2 + noise (1 - e^(-lambda t))^2, as `expected_risk`.

    Raises `ValueError` for times that are too late.

    >>> vanilla_risk(PowerLaw(p=1, q=2, gamma=1.5), noise=1e-3, times=[0, 60]).round(2).tolist()
    [1.64, 0.2]
    """

    def risk(truth: Array, eigenvalues: Array, *_: int) -> Array:
        learned = -np.expm1(-np.outer(times, eigenvalues))
        exact = (1 - learned) ** 2 * truth**2 + noise * learned**2
        return np.stack([exact, exact, 0 * exact])

    return _summed(law, times, risk)


@checked
def ideal_risk(truth: Values, noise: NonNegative) -> float:
    """Risk of an oracle that keeps just the coordinates above the noise: sum min(theta*^2, noise).

    >>> round(ideal_risk([0.1, -1.0, 0.05, 0.5], noise=0.04), 4)
    0.0925
    """
    return float(np.minimum(truth**2, noise).sum())


@checked
def monotone_risk(eigenvalues: Eigenvalues, truth: Values, noise: Positive) -> float:
    """Least risk of any filter theta_j = h(lambda_j) z_j with h non-decreasing, in [0, 1] and h(0) = 0.

    min over h of sum (1 - h)^2 theta*^2 + noise h^2: isotonic regression on theta*^2 / (theta*^2 + noise) with weights
    theta*^2 + noise, tied eigenvalues pooled, as Beran & Dümbgen (1998) fit monotone weights. Between one half of the
    FEM and the FEM.

    >>> round(monotone_risk([2, 1], [2, 1], noise=1), 3)  # in the right order, each has its own weight: 4/5 + 1/2
    1.3
    """
    used = eigenvalues > 0
    level = np.unique(eigenvalues[used], return_inverse=True)[1]
    energy, weight = np.bincount(level, truth[used] ** 2), np.bincount(level, truth[used] ** 2 + noise)
    h = np.zeros_like(truth)
    h[used] = isotonic_regression(energy / weight, weights=weight).x[level] if used.any() else 0.0
    return float(((1 - h) ** 2 * truth**2 + noise * h**2).sum())


# ---- sums over the coordinates of a power law ----


def _summed(law: PowerLaw, times: Array, risk: Callable[[Array, Array, int, int], Array]) -> Array:
    """Sum of risk(truth, eigenvalues): noise alone everywhere, plus what each signal changes, plus the signals far out.

    `risk` gives three answers: the mean, the mean by half of the nodes, the part of the outermost nodes. Nothing is
    summed that cancels: a risk far below the energy of the target would drown in the error of the sum.
    """
    for reach, per_unit, decades, signals in REACH:

        def noise(k: Array, reach: int = reach, per_unit: int = per_unit) -> Array:
            return risk(np.zeros_like(k), k**-law.gamma, reach, per_unit)

        def changed(j: Array, reach: int = reach, per_unit: int = per_unit) -> Array:
            truth, eigenvalues = law.problem(j)
            return risk(truth, eigenvalues, reach, per_unit) - risk(np.zeros_like(j), eigenvalues, reach, per_unit)

        far, farthest = min(law.size, 10 ** max(9, decades / min(law.gamma, 2))), min(law.signals, signals)
        alone, step_alone, end_alone = _total(noise, far)
        extra, step_extra, end_extra = _total(changed, farthest)
        (total, coarse, ends), step = alone + extra, step_alone + step_extra
        unit = far * np.abs(end_alone) * (far < 0.9 * law.size)
        unit += farthest * np.abs(end_extra - farthest ** -(law.p + 1)) * (farthest < 0.9 * law.signals)
        risks = law.energy_beyond(farthest) + total
        sure = np.abs(coarse - total) + step + BEYOND * (np.abs(ends) + unit) <= TOLERANCE * risks
        if sure.all():
            return risks
    raise ValueError(f"times must be early enough for a mean to {TOLERANCE:.0%}, got {times[~sure].min()}")


def _total(terms: Callable[[Array], Array], last: float) -> tuple[Array, Array, Array]:
    """Sum of terms(j), smooth in log j, over j = 1..last: what it comes to, its error by time, and the last term.

    32 terms one by one, then the integral from 32 1/2 to last + 1/2, less one part in 24 of what the slope changes, as
    Euler and Maclaurin have it for midpoints.
    """
    head = terms(np.arange(1.0, min(last, HEAD) + 1))
    total, error, end = head.sum(axis=-1), np.zeros(head.shape[1]), head[0, :, -1]
    if last <= HEAD:
        return total, error, end
    beside = terms(np.array([HEAD, HEAD + 1.0, last, last + 1]))
    total, end = total + (beside[..., 1] - beside[..., 0] - beside[..., 3] + beside[..., 2]) / 24, beside[0, :, 2]
    for part, off in _panels(terms, last, np.abs(head[0]).sum(axis=-1)):
        total, error = total + part, error + off
    return total, error, end


def _panels(terms: Callable[[Array], Array], last: float, scale: Array) -> Iterator[tuple[Array, Array]]:
    """The integral and its error, in rounds: panels in log j by Clenshaw and Curtis's rule.

    A panel is halved as long as half of its nodes would not have been enough, compared with all that there is to sum:
    `scale` for the terms up to `HEAD`, and the whole integral.
    """
    edges = np.linspace(math.log(HEAD + 0.5), math.log(last + 0.5), math.ceil(math.log(last / HEAD) / PANEL) + 1)
    left, half, first = edges[:-1], np.diff(edges) / 2, True
    while len(left):
        j = np.exp(left + half + half * NODES[:, None])  # node, panel
        values = terms(j.ravel())
        values = values.reshape(*values.shape[:2], *j.shape) * (j * half)  # kind, time, node, panel
        if first:
            scale, first = scale + np.abs(np.einsum("n,tnp->t", WEIGHTS, values[0])), False
        fine, coarse = np.einsum("n,ctnp->ctp", WEIGHTS, values), np.einsum("n,tnp->tp", COARSE, values[0, :, ::2])
        off = np.abs(fine[0] - coarse)
        rough = (off > TOLERANCE / 100 * scale[:, None]).any(axis=0) & (half > NARROWEST)
        yield fine[..., ~rough].sum(axis=-1), off[:, ~rough].sum(axis=-1)
        left, half = np.concatenate([left[rough], (left + half)[rough]]), np.tile(half[rough] / 2, 2)
