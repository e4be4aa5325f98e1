"""What sequence models can and do achieve: expected risks without simulation, and the best that any filter could do."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.optimize import isotonic_regression
from scipy.special import zeta

from afp_utils.core.refuse import checked, finite, increasing, nonnegative, positive
from afp_utils.sequence.flows import Diagonal, gradient_flow

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

    Raises `ValueError` unless p > 0, q >= 1, gamma >= 1 and size >= 1.
    """

    p: float
    q: float
    gamma: float
    size: float = math.inf

    def __post_init__(self) -> None:
        positive(p=self.p)
        for name in ("q", "gamma", "size"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@checked
def expected_risk(
    law: PowerLaw, noise: float, times: Float[Array, " time"], *, depth: int = 0, b0: float = 1.0
) -> Float[Array, " time"]:
    """Expected risk of the adaptive flow on a power-law problem, summed over all coordinates up to `law.size`.

    The first signals are summed one by one, the others over the logarithm of their index; the energy of those too far
    out to be learned is a zeta function. How far, in coordinates and in standard deviations of the noise, grows with
    the time: the sums are widened until their ends and their steps matter to less than 1 % of the risk.

    Raises `ValueError` as `gradient_flow` does, for a negative noise, and for times so late that the widest sums do not
    suffice (the mean is then made by noise of more than 30 standard deviations, or by coordinates without end).
    """

    def risk(truth: Array, eigenvalues: Array, reach: int, per_unit: int) -> Array:
        return _averaged(truth, eigenvalues, noise, times, depth, b0, reach, per_unit)

    return _summed(law, times, risk)


@checked
def vanilla_risk(law: PowerLaw, noise: float, times: Float[Array, " time"]) -> Float[Array, " time"]:
    """Expected risk of the vanilla flow: sum e^(-2 lambda t) theta*^2 + noise (1 - e^(-lambda t))^2, as `expected_risk`.

    Raises `ValueError` for a negative noise, and for times that are negative, do not increase or are too late.
    """
    nonnegative(noise=noise, times=times)
    increasing(times=times)

    def risk(truth: Array, eigenvalues: Array, *_: int) -> Array:
        learned = -np.expm1(-np.outer(times, eigenvalues))
        exact = (1 - learned) ** 2 * truth**2 + noise * learned**2
        return np.stack([exact, exact, 0 * exact])

    return _summed(law, times, risk)


@checked
def coordinate_risk(
    truth: Float[Array, " d"],
    eigenvalues: Float[Array, " d"],
    noise: float,
    times: Float[Array, " time"],
    *,
    depth: int = 0,
    b0: float = 1.0,
) -> Float[Array, "time d"]:
    """Expectation of (theta_j(t) - truth_j)^2 over the Gaussian noise, for each coordinate, by quadrature.

    z = truth + sqrt(noise) x with x on an even grid: the trapezium rule is spectrally exact on Gaussians, and a
    simulation would need thousands of runs, as theta grows exponentially with x. The grid is widened until its ends and
    its step matter to less than 1 % of every coordinate's risk.

    Raises `ValueError` as `gradient_flow` does, for a negative noise, and for times too late for the widest grid.
    """
    for reach, per_unit, *_ in REACH:
        risk, coarse, ends = _averaged(truth, eigenvalues, noise, times, depth, b0, reach, per_unit)
        sure = np.abs(coarse - risk) + BEYOND * ends <= TOLERANCE * risk
        if sure.all():
            return risk
    raise _too_late(times, sure.all(axis=1))


@checked
def ideal_risk(truth: Float[Array, " d"], noise: float) -> float:
    """Risk of an oracle that keeps just the coordinates above the noise: sum min(theta*^2, noise).

    Raises `ValueError` for a negative noise or a value that is not finite.
    """
    finite(truth=truth)
    nonnegative(noise=noise)
    return float(np.minimum(truth**2, noise).sum())


@checked
def monotone_risk(eigenvalues: Float[Array, " d"], truth: Float[Array, " d"], noise: float) -> float:
    """Least risk of any filter theta_j = h(lambda_j) z_j with h non-decreasing, in [0, 1] and h(0) = 0.

    min over h of sum (1 - h)^2 theta*^2 + noise h^2: isotonic regression on theta*^2 / (theta*^2 + noise) with weights
    theta*^2 + noise, tied eigenvalues pooled, as Beran & Dümbgen (1998) fit monotone weights. Between one half of the FEM and the FEM.

    Raises `ValueError` for a negative eigenvalue, a noise that is not positive, or a value that is not finite.
    """
    nonnegative(eigenvalues=eigenvalues)
    finite(truth=truth)
    positive(noise=noise)
    used = eigenvalues > 0
    level = np.unique(eigenvalues[used], return_inverse=True)[1]
    energy, weight = np.bincount(level, truth[used] ** 2), np.bincount(level, truth[used] ** 2 + noise)
    h = np.zeros_like(truth)
    h[used] = isotonic_regression(energy / weight, weights=weight).x[level] if used.any() else 0.0
    return float(((1 - h) ** 2 * truth**2 + noise * h**2).sum())


# ---- means over the noise, and sums over the coordinates of a power law ----


def _averaged(
    truth: Array, eigenvalues: Array, noise: float, times: Array, depth: int, b0: float, reach: int, per_unit: int
) -> Array:
    """Means over the noise up to `reach` standard deviations: of all nodes, of every other, of the outermost unit."""
    nonnegative(noise=noise)
    x = np.arange(-per_unit * reach, per_unit * reach + 1) / per_unit
    weight = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()
    weights = weight, 2 * weight * (np.arange(len(x)) % 2 == 0), weight * (np.abs(x) > reach - 1)
    z = truth[:, None] + math.sqrt(noise) * x
    path = gradient_flow(z.ravel(), np.repeat(eigenvalues, len(x)), times, depth=depth, b0=b0)
    theta = [state.theta.reshape(z.shape) for state in path.states if isinstance(state, Diagonal)]  # all are
    return np.stack([(at - truth[:, None]) ** 2 @ np.transpose(weights) for at in theta]).transpose(2, 0, 1)


def _summed(law: PowerLaw, times: Array, risk: Callable[[Array, Array, int, int], Array]) -> Array:
    """Sum of risk(truth, eigenvalues): noise alone everywhere, plus what each signal changes, plus the signals far out.

    The energy of signals beyond the reach, which the estimate does not change, is a zeta function. Nothing is summed
    that cancels: a risk far below the energy of the target would drown in the error of the sum.
    """
    last = _signals(law)
    for reach, per_unit, decades, signals in REACH:

        def noise(k: Array, reach: int = reach, per_unit: int = per_unit) -> Array:
            return risk(np.zeros_like(k), k**-law.gamma, reach, per_unit)

        def changed(j: Array, reach: int = reach, per_unit: int = per_unit) -> Array:
            truth, eigenvalues = j ** (-(law.p + 1) / 2), _position(j, law.q) ** -law.gamma
            return risk(truth, eigenvalues, reach, per_unit) - risk(np.zeros_like(j), eigenvalues, reach, per_unit)

        far, farthest = min(law.size, 10 ** max(9, decades / min(law.gamma, 2))), min(last, signals)
        alone, step_alone, end_alone = _total(noise, far)
        extra, step_extra, end_extra = _total(changed, farthest)
        untouched = zeta(law.p + 1, farthest + 1) - (0.0 if math.isinf(last) else zeta(law.p + 1, last + 1))
        (total, coarse, ends), step = alone + extra, step_alone + step_extra
        unit = far * np.abs(end_alone) * (far < 0.9 * law.size)
        unit += farthest * np.abs(end_extra - farthest ** -(law.p + 1)) * (farthest < 0.9 * last)
        risks = untouched + total
        sure = np.abs(coarse - total) + step + BEYOND * (np.abs(ends) + unit) <= TOLERANCE * risks
        if sure.all():
            return risks
    raise _too_late(times, sure)


def _total(terms: Callable[[Array], Array], last: float) -> tuple[Array, Array, Array]:
    """Sum of terms(j), smooth in log j, over j = 1..last: what it comes to, its error by time, and the last term.

    32 terms one by one, then the integral from 32 1/2 to last + 1/2, less one part in 24 of what the slope changes, as
    Euler and Maclaurin have it for midpoints. Panels in log j by Clenshaw and Curtis's rule; a panel is halved as long
    as half of its nodes would not have been enough.
    """
    head = terms(np.arange(1.0, min(last, HEAD) + 1))
    total, error, end = head.sum(axis=-1), np.zeros(head.shape[1]), head[0, :, -1]
    if last <= HEAD:
        return total, error, end
    edges = np.linspace(math.log(HEAD + 0.5), math.log(last + 0.5), math.ceil(math.log(last / HEAD) / PANEL) + 1)
    beside = terms(np.array([HEAD, HEAD + 1.0, last, last + 1]))
    total, end = total + (beside[..., 1] - beside[..., 0] - beside[..., 3] + beside[..., 2]) / 24, beside[0, :, 2]
    left, half, scale = edges[:-1], np.diff(edges) / 2, np.abs(head[0]).sum(axis=-1)
    while len(left):
        j = np.exp(left + half + half * NODES[:, None])  # node, panel
        values = terms(j.ravel()).reshape(*head.shape[:2], *j.shape) * (j * half)
        if len(left) == len(edges) - 1:
            scale = scale + np.abs(np.einsum("n,tnp->t", WEIGHTS, values[0]))
        fine, coarse = np.einsum("n,ctnp->ctp", WEIGHTS, values), np.einsum("n,tnp->tp", COARSE, values[0, :, ::2])
        off = np.abs(fine[0] - coarse)
        rough = (off > TOLERANCE / 100 * scale[:, None]).any(axis=0) & (half > NARROWEST)
        total, error = total + fine[..., ~rough].sum(axis=-1), error + off[:, ~rough].sum(axis=-1)
        left, half = np.concatenate([left[rough], (left + half)[rough]]), np.tile(half[rough] / 2, 2)
    return total, error, end


def _position(j: Array, q: float) -> Array:
    """Where the signals sit, floor(j^q + 1/2); between them, and far out, j^q."""
    return np.where(j <= HEAD, np.floor(j**q + 0.5), j**q)


def _too_late(times: Array, sure: Array) -> ValueError:
    return ValueError(f"times must be early enough for a mean to {TOLERANCE:.0%}, got {times[~sure].min()}")


def _signals(law: PowerLaw) -> float:
    """How many signal positions floor(j^q + 1/2) lie within the size."""
    return np.ceil((law.size + 0.5) ** (1 / law.q)) - 1
