"""Over-parameterised sequence models: every coordinate learns its own size and its own feature, exactly solved.

One noisy coefficient per coordinate, z_j = theta*_j + noise. The predictor theta_j = a_j b_j^D beta_j is trained by
gradient flow on the loss (theta_j - z_j)^2 / 2 from a_j(0)^2 = lambda_j, b_j(0) = b0, beta_j(0) = 0: a fixed basis
whose feature eigenvalues (a_j b_j^D)^2 adapt to the data. The coordinates do not interact, and each is solved without
time stepping: in closed form at depth D = 0, by inverting one integral at D >= 1.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.optimize.elementwise import find_root
from scipy.special import expit

from afp_utils.core.models import Trajectory, refuse_dimension
from afp_utils.core.refuse import FINITE, NONNEGATIVE, POSITIVE, Count, Positive, Rule, Times, at_least, checked

Values = Annotated[Float[Array, " d"], FINITE]
Eigenvalues = Annotated[Float[Array, " d"], NONNEGATIVE]
Depth = Annotated[int, at_least(0)]

PANEL = 0.2
"""Width of a quadrature panel in the logit of beta / beta(infinity): the time of a readout is right to 1e-5 of itself."""
NEWTON = 4
"""Newton steps that invert the cubic of a panel, to rounding."""
BLOCK = 1024
"""Coordinates solved at once at depth >= 1, so that the tables stay in the processor's cache."""


@checked
@dataclass(frozen=True)
class Diagonal:
    """The linear predictor x . theta with theta = a b^depth beta, at one time. `core.models.Model` on the coordinates."""

    a: Float[Array, " d"]
    b: Float[Array, " d"]
    beta: Float[Array, " d"]
    depth: int

    @property
    def theta(self) -> Float[Array, " d"]:
        return self.a * self.b**self.depth * self.beta

    @property
    def eigenvalues(self) -> Float[Array, " d"]:
        """Squared feature factors (a b^depth)^2: the eigenvalues of the feature covariance for white inputs."""
        return (self.a * self.b**self.depth) ** 2

    @property
    def sensitivity(self) -> Float[Array, " d"]:
        """Sum over the parameters a, b, beta of (d theta / d parameter)^2: the eigenvalues of the tangent kernel."""
        by_a = self.b**self.depth * self.beta
        by_b = self.depth * self.a * self.b ** max(self.depth - 1, 0) * self.beta
        return self.eigenvalues + by_a**2 + by_b**2

    def predict(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        refuse_dimension(x, len(self.a))
        return x @ self.theta

    def gradient(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return np.tile(self.theta, (len(x), 1))

    def gram(self, x: Float[Array, "n d"]) -> Float[Array, "n n"]:
        return (x * self.eigenvalues) @ x.T

    def tangent(self, x: Float[Array, "n d"]) -> Float[Array, "n n"]:
        return (x * self.sensitivity) @ x.T


@checked
@dataclass(frozen=True)
class Fixed(Diagonal):
    """The same predictor when only the readout beta is trained: its tangent kernel is its Gram matrix, for all time."""

    @property
    def sensitivity(self) -> Float[Array, " d"]:
        return self.eigenvalues


@checked
def signal(p: Positive, q: Annotated[float, at_least(1)], size: Count) -> Float[Array, " size"]:
    """Target coefficients that decay slowly and sit sparsely: theta_(l(j)) = j^(-(p+1)/2), l(j) = floor(j^q + 1/2).

    Setting (4) of Li & Lin (2024): p > 0 is the decay of the sorted signal, q >= 1 the misalignment with the basis.

    >>> signal(p=3, q=2, size=9).round(3).tolist()
    [1.0, 0.0, 0.0, 0.25, 0.0, 0.0, 0.0, 0.0, 0.111]
    """
    j = np.arange(1.0, size + 1)
    position = np.floor(j**q + 0.5)
    j, position = j[position <= size], position[position <= size].astype(int)
    theta = np.zeros(size)
    theta[position - 1] = j ** (-(p + 1) / 2)
    return theta


@checked
def gradient_flow(
    z: Values,
    eigenvalues: Eigenvalues,
    times: Times,
    *,
    depth: Depth = 0,
    b0: Positive = 1.0,
    truth: Values | None = None,
) -> Trajectory:
    """Gradient flow of all factors: a' = b^D beta r, b' = D a b^(D-1) beta r, beta' = a b^D r with r = z - theta.

    Starts from a^2 = eigenvalues, b = b0, beta = 0 (b0 matters from depth 1). a^2 - beta^2 and b^2 - D beta^2 are
    conserved, so that beta' = A(beta) (z - A(beta) beta) with A(s) = sqrt(lambda + s^2) (b0^2 + D s^2)^(D/2).
    Li & Lin (2024), equations of the two-layer and the deep model. For the closed form compare the scalar solutions of
    Saxe et al. (2014), in the variable of Woodworth et al. (2020).

    The risk is sum (theta - truth)^2; without `truth` it is the training error, truth = z. Relative error of theta
    about 1e-14 at depth 0. At depth >= 1 it is that of a time wrong by less than 1e-5 of itself: below 1e-4 as a rule,
    more where theta grows within a small part of the time so far (depth >= 2 and a tiny start).

    >>> start, end = gradient_flow(z=[1.0, -0.5], eigenvalues=[0.1, 0.1], times=[0, 100]).states
    >>> end.theta.round(3).tolist()
    [1.0, -0.5]
    >>> (end.eigenvalues / start.eigenvalues).round(1).tolist()  # the larger signal has made the larger feature
    [10.5, 5.5]
    """
    size = np.abs(z)
    live = (size > 0) & (eigenvalues > 0)  # elsewhere the readout never moves
    beta = np.zeros((len(times), len(z)))
    if depth == 0:
        beta[:, live] = _readout_closed(size[live], eigenvalues[live], times)
    else:
        beta[:, live] = _readout_inverse(size[live], eigenvalues[live], times, depth, b0)
    a = np.sqrt(eigenvalues + beta**2)
    b = np.sqrt(b0**2 + depth * beta**2)
    beta *= np.sign(z)
    return _trajectory(times, tuple(Diagonal(*at, depth) for at in zip(a, b, beta)), z if truth is None else truth)


@checked
def vanilla_flow(z: Values, eigenvalues: Eigenvalues, times: Times, *, truth: Values | None = None) -> Trajectory:
    """Gradient flow of the readout alone, features fixed: theta(t) = (1 - e^(-lambda t)) z. Kernel gradient flow.

    The risk is sum (theta - truth)^2; without `truth` it is the training error, truth = z.

    >>> run = vanilla_flow(z=[1.0], eigenvalues=[0.5], times=[0, 2])
    >>> [round(float(state.theta[0]), 3) for state in run.states]
    [0.0, 0.632]
    """
    a = np.sqrt(eigenvalues)
    theta = -np.expm1(-np.outer(times, eigenvalues)) * z
    beta = np.divide(theta, a, out=np.zeros_like(theta), where=a > 0)
    states = tuple(Fixed(a, np.ones_like(a), readout, 0) for readout in beta)
    return _trajectory(times, states, z if truth is None else truth)


@checked
def half_time(
    z: Annotated[Values, Rule("not zero", lambda z: z != 0)], eigenvalues: Annotated[Float[Array, " d"], POSITIVE]
) -> Float[Array, " d"]:
    """When the two-layer flow (depth 0) reaches theta = z / 2; close to ln(4 |z| / lambda) / (2 |z|) if lambda << |z|.

    The closed form solved for the time at sinh u = |z| / lambda.

    >>> half_time(z=[0.5], eigenvalues=[0.01]).round(3).tolist()
    [5.288]
    """
    size, gain = np.abs(z), np.expm1(np.arcsinh(np.abs(z) / eigenvalues))
    rate, at_rest, fading = _riccati(size, eigenvalues)
    return -np.log((4 * size - gain * at_rest) / (4 * size + gain * fading)) / rate


@checked
def eigenvalue_law(z: Values, depth: Depth) -> Float[Array, " d"]:
    """Feature factor a b^D after training from a vanishing start: D^(D / (2D+4)) |z|^((D+1) / (D+2)).

    The exponent is that of Li & Lin (2024), Proposition 3.4; the prefactor follows from a b^D beta = |z|.

    >>> eigenvalue_law([-4.0, 9.0], depth=0).round(3).tolist()
    [2.0, 3.0]
    """
    return depth ** (depth / (2 * depth + 4)) * np.abs(z) ** ((depth + 1) / (depth + 2))


# ---- the two solutions, for positive z and eigenvalues: the readout beta, one row per time ----


def _riccati(z: Array, eigenvalues: Array) -> tuple[Array, Array, Array]:
    """Constants of y(t) - 1 = 4 z (1 - E) / (at_rest + fading E), E = e^(-rate t), without cancellation."""
    rate = np.hypot(eigenvalues, 2 * z)  # at_rest = rate + lambda - 2 z and fading = rate - lambda + 2 z, rewritten
    at_rest = eigenvalues * (1 + eigenvalues / (rate + 2 * z))
    fading = 2 * z * (1 + 2 * z / (rate + eigenvalues))
    return rate, at_rest, fading


def _readout_closed(z: Array, eigenvalues: Array, times: Array) -> Array:
    """Depth 0: beta = sqrt(lambda) sinh(u / 2), where y = e^u solves a Riccati equation."""
    rate, at_rest, fading = _riccati(z, eigenvalues)
    clock = -np.outer(times, rate)
    u = np.log1p(4 * z * -np.expm1(clock) / (at_rest + fading * np.exp(clock)))
    return np.sqrt(eigenvalues) * np.sinh(u / 2)


def _readout_inverse(z: Array, eigenvalues: Array, times: Array, depth: int, b0: float) -> Array:
    """Depth >= 1: beta(t) from t(beta) = integral_0^beta ds / (A(s) (z - A(s) s)), in blocks of coordinates."""
    starts = range(0, len(z), BLOCK)
    blocks = [_invert(z[i : i + BLOCK], eigenvalues[i : i + BLOCK], times, depth, b0) for i in starts]
    return np.concatenate(blocks).T if blocks else np.zeros((len(times), 0))


def _factor(s: Array, eigenvalues: Array, depth: int, b0: float) -> Array:
    """A(s) = a b^D where beta = s, by the conserved quantities."""
    square = b0**2 + depth * s**2
    return np.sqrt(eigenvalues + s**2) * square ** (depth // 2) * np.sqrt(square) ** (depth % 2)


def _invert(z: Array, eigenvalues: Array, times: Array, depth: int, b0: float) -> Array:
    """Tabulate t at even steps of v, beta = end / (1 + e^-v), by Simpson's rule; invert the cubic of each panel."""
    end = _end(z, eigenvalues, depth, b0)
    # below `first` the flow is linear, beta = A(0) z t; above 16 it is within 1e-7 of its end
    first = np.log(np.minimum(np.minimum(np.sqrt(eigenvalues), b0) / end, 1.0)).min() - 11
    panels = math.ceil((16 - first) / PANEL)
    v = first + PANEL / 2 * np.arange(2 * panels + 1)
    s = end[:, None] * expit(v)
    factor = _factor(s, eigenvalues[:, None], depth, b0)
    pace = s * expit(-v) / (factor * (z[:, None] - factor * s))  # dt / dv
    left, middle, right = pace[:, :-2:2], pace[:, 1::2], pace[:, 2::2]
    reached = s[:, 0] / (z * np.sqrt(eigenvalues) * b0**depth)  # time at `first`
    table = np.cumsum(np.column_stack([reached, PANEL / 6 * (left + 4 * middle + right)]), axis=1)

    found = np.stack([np.searchsorted(row, times, side="right") for row in table]) - 1
    panel = np.clip(found, 0, panels - 1)
    start, stop = (np.take_along_axis(table, panel + k, axis=1) for k in (0, 1))
    paces = [np.take_along_axis(values, panel, axis=1) for values in (left, middle, right)]
    x = _within(np.clip(times, start, stop) - start, stop - start, *paces)
    beta = end[:, None] * expit(first + PANEL * (panel + x))
    return np.where(found < 0, s[:, :1] * times / reached[:, None], np.where(found == panels, end[:, None], beta))


def _end(z: Array, eigenvalues: Array, depth: int, b0: float) -> Array:
    """Where beta comes to rest, A(beta) beta = z: a root in log beta, where it lies in a bracket of known ends."""

    def overshoot(log_s: Array, z: Array, eigenvalues: Array) -> Array:
        return log_s + np.log(_factor(np.exp(log_s), eigenvalues, depth, b0) / z)

    # A(s) is at least depth^(depth/2) s^(depth+1) and grows with s
    most = np.log(z / depth ** (depth / 2)) / (depth + 2)
    least = np.log(z / _factor(np.exp(most), eigenvalues, depth, b0))
    return np.exp(find_root(overshoot, (least - 0.1, most + 0.1), args=(z, eigenvalues)).x)


def _within(since: Array, lasts: Array, left: Array, middle: Array, right: Array) -> Array:
    """The share of a panel, in v, after which the time `since` its start has passed; a panel takes the time `lasts`."""
    bend, twist = 4 * middle - 3 * left - right, 2 * (left - 2 * middle + right)
    wanted = since / PANEL
    x = np.divide(wanted * PANEL, lasts, out=np.zeros_like(wanted), where=lasts > 0)
    for _ in range(NEWTON):  # Newton's method on the integral of the parabola through the three values of the pace
        x -= (x * (left + x * (bend / 2 + x * twist / 3)) - wanted) / (left + x * (bend + x * twist))
    return x


def _trajectory(times: Array, states: tuple[Diagonal, ...], truth: Array) -> Trajectory:
    return Trajectory(time=times, risk=np.array([((at.theta - truth) ** 2).sum() for at in states]), states=states)
