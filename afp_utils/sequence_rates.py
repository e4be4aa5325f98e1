"""What sequence models can and do achieve: expected risks without simulation, and the best that any filter could do."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.optimize import isotonic_regression
from scipy.special import zeta

from afp_utils._checks import checked, finite, increasing, nonnegative, positive
from afp_utils.sequence import Diagonal, gradient_flow


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

    The sum over the signal is that of its energy, known exactly as a zeta function, plus what the estimate changes,
    which vanishes far out: so an infinite size is no approximation. Relative error below 1 %.

    Raises `ValueError` as `gradient_flow` does, and for a negative noise.
    """

    def risk(truth: Array, eigenvalues: Array) -> Array:
        return coordinate_risk(truth, eigenvalues, noise, times, depth=depth, b0=b0)

    return _summed(law, risk)


@checked
def vanilla_risk(law: PowerLaw, noise: float, times: Float[Array, " time"]) -> Float[Array, " time"]:
    """Expected risk of the vanilla flow: sum e^(-2 lambda t) theta*^2 + noise (1 - e^(-lambda t))^2, as `expected_risk`.

    Raises `ValueError` for a negative noise, or times that are negative or do not increase.
    """
    nonnegative(noise=noise, times=times)
    increasing(times=times)

    def risk(truth: Array, eigenvalues: Array) -> Array:
        missing = np.exp(-np.outer(times, eigenvalues))
        return missing**2 * truth**2 + noise * (1 - missing) ** 2

    return _summed(law, risk)


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

    z = truth + sqrt(noise) x with x on an even grid over [-7, 7]: the trapezium rule is spectrally exact on Gaussians,
    and a simulation would need thousands of runs, as theta grows exponentially with x. Relative error below 1e-3.

    Raises `ValueError` as `gradient_flow` does, and for a negative noise.
    """
    nonnegative(noise=noise)
    x = np.linspace(-7, 7, 141)
    weight = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()
    z = truth[:, None] + math.sqrt(noise) * x
    path = gradient_flow(z.ravel(), np.repeat(eigenvalues, len(x)), times, depth=depth, b0=b0)
    theta = [state.theta.reshape(z.shape) for state in path.states if isinstance(state, Diagonal)]  # all are
    return np.stack([(at - truth[:, None]) ** 2 @ weight for at in theta])


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
    theta*^2 + noise, tied eigenvalues pooled. This book; between one half of the FEM and the FEM.

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


# ---- sums over the coordinates of a power law ----


def _summed(law: PowerLaw, risk: Callable[[Array, Array], Array]) -> Array:
    """Sum of risk(truth, eigenvalues): noise alone everywhere, plus at each signal its energy and the difference."""
    k, count = _series(law.size)
    total = risk(np.zeros_like(k), k**-law.gamma) @ count
    last = _signals(law)
    j, count = _series(min(last, 1e9 ** (1 / law.q)))
    truth = j ** (-(law.p + 1) / 2)
    eigenvalues = np.floor(j**law.q + 0.5) ** -law.gamma
    changed = risk(truth, eigenvalues) - truth**2 - risk(np.zeros_like(j), eigenvalues)
    energy = zeta(law.p + 1) - (0.0 if math.isinf(last) else zeta(law.p + 1, last + 1))
    return total + energy + changed @ count


def _series(last: float) -> tuple[Array, Array]:
    """Nodes and weights for the sum of a smooth function over 1..last: 32 terms, then Gauss-Legendre in log j."""
    head = np.arange(1.0, min(last, 32) + 1)
    if last <= 32:
        return head, np.ones_like(head)
    low, high = math.log(32.5), math.log(min(last, 1e9) + 0.5)
    node, weight = np.polynomial.legendre.leggauss(40)
    tail = np.exp(low + (high - low) * (node + 1) / 2)
    return np.append(head, tail), np.append(np.ones_like(head), weight * tail * (high - low) / 2)


def _signals(law: PowerLaw) -> float:
    """How many signal positions floor(j^q + 1/2) lie within the size."""
    return np.ceil((law.size + 0.5) ** (1 / law.q)) - 1
