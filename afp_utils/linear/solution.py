"""The linear network with one hidden layer on data along one direction: its training solved exactly, at any width.

Inputs are x = a n with a fixed unit vector n and a random number a, targets y are arbitrary. The network
f(x) = gamma sum_i u_i (w_i . x) sees only w_i . n, here called w_i: so f = a slope with slope = gamma u . w. Gradient flow
with a rate per layer turns every neuron (u_i, w_i) by one common hyperbolic angle, and that angle solves a Riccati
equation. The idea of an exact solution is that of Xu & Ziyin (2025); the formulas are derived in this book.
"""

import math
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from afp_utils.core.refuse import FINITE, INCREASING, NONNEGATIVE, Finite, NonNegative, Positive, at_least, checked

ROUNDING = 4 * np.finfo(float).eps
"""Vectors whose sine is below this are parallel; moments may be inconsistent by this much, relatively."""
NOTHING = 1e-300
"""A squared length below this is zero: its inverse would overflow."""
LARGE = 1e150
"""Squared lengths, slopes and rates up to this can be multiplied with each other."""

Layer = Annotated[Float[Array, " m"], FINITE]
Clock = Annotated[Float[Array, " time"], at_least(0), INCREASING]
"""Sorted times from 0 on; the last may be infinity."""
Number = float | Float[Array, "*shape"]
Height = NonNegative | Annotated[Float[Array, "*shape"], NONNEGATIVE]


@checked
@dataclass(frozen=True)
class Problem:
    """Scale and learning rates of the network, and all that squared loss sees of the data: three moments.

    `second_moment` A = E a^2, `cross_moment` C = E a y, `target_moment` E y^2. For a finite sample, its means.

    Raises `ValueError` unless C^2 <= A E y^2 (Cauchy and Schwarz), up to rounding.

    >>> problem = Problem(gamma=1, eta_u=1, eta_w=1, second_moment=0.5, cross_moment=1, target_moment=3)
    >>> problem.target_slope, problem.least_risk
    (2.0, 0.5)
    """

    gamma: Positive
    eta_u: Positive
    eta_w: Positive
    second_moment: Positive
    cross_moment: Finite
    target_moment: NonNegative

    def __post_init__(self) -> None:
        least = self.cross_moment**2 / self.second_moment
        if self.target_moment < least * (1 - ROUNDING):
            rule = f"cross_moment**2 / second_moment = {least:.6g}"
            raise ValueError(f"target_moment must be at least {rule}, got {self.target_moment}")

    @property
    def target_slope(self) -> float:
        """Slope of the best predictor, C / A."""
        return self.cross_moment / self.second_moment

    @property
    def least_risk(self) -> float:
        """Half the mean squared error that no slope can avoid, (E y^2 - C^2 / A) / 2."""
        return max(self.target_moment - self.cross_moment * self.target_slope, 0.0) / 2  # rounding may leave it below 0


@checked
@dataclass(frozen=True)
class Solution:
    """Weights and observables, one row per time.

    `slope` = gamma u . w; `alignment` = cosine between u and w (0 if either is zero); `tangent` = the neural tangent kernel
    weighted by the learning rates, divided by a a'; `risk` = E (f - y)^2 / 2.
    """

    time: Float[Array, " time"]
    u: Float[Array, "time m"]
    w: Float[Array, "time m"]
    slope: Float[Array, " time"]
    alignment: Float[Array, " time"]
    tangent: Float[Array, " time"]
    risk: Float[Array, " time"]


@checked
@dataclass(frozen=True)
class Invariants:
    """What gradient flow keeps, under any loss: per neuron eta_w u_i^2 - eta_u w_i^2, and |u|^2 |w|^2 - (u . w)^2."""

    imbalance: Float[Array, " m"]
    area: float


@checked
def exact(problem: Problem, u: Layer, w: Layer, times: Clock) -> Solution:
    """Gradient flow u' = eta_u gamma r w, w' = eta_w gamma r u with r = C - gamma A u . w, in closed form. This book.

    With eta = sqrt(eta_u eta_w), p, q = (sqrt(eta_w) u +- sqrt(eta_u) w) / 2, P = |p|^2, Q = |q|^2, l = exp(-2 kappa t):
    p(t) = p sqrt(z), q(t) = q / sqrt(z), z = [k_q (1-l) + k_+ + k_- l] / [k_p (1-l) + k_- + k_+ l], where
    k_p, k_q = 2 gamma^2 A (P, Q), beta = gamma eta C, kappa^2 = beta^2 + k_p k_q, k_+- = kappa +- beta.

    Times may include 0 and infinity. Relative error about 1e-15 for weights (as vectors) and tangent kernel; for slope and
    alignment a few 1e-14, and more where they pass zero. Squared lengths below 1e-300 count as zero.

    Raises `ValueError` if a squared length, slope or rate exceeds 1e150, or quotients of them overflow.

    >>> path = exact(Problem(1, 1, 1, 1, 1, 2), [1, 0], [0, 1], [0, 1, math.inf])
    >>> path.slope.round(4).tolist(), path.risk.round(4).tolist()
    ([0.0, 0.9066, 1.0], [1.0, 0.5044, 0.5])
    """
    start = _Start(problem, u, w)
    # z ends at 0 or infinity if only one part is there; what else overflows is refused below
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        gain, z, left = _angle(start, times)
        grown = np.where(start.big_p > 0, start.big_p * z, 0.0)
        faded = np.where(start.big_q > 0, start.big_q / z, 0.0)
        x, rest = _product(start, gain, z, left, grown, faded)
        u_at, w_at = _weights(start, gain, z)
        scale = start.gamma / start.eta
        tangent = 2 * start.gamma * start.gamma * (grown + faded)
        risk = problem.least_risk + problem.second_moment / 2 * (scale * rest) ** 2
    if not all(np.isfinite(part).all() for part in (u_at, w_at, x, tangent, risk)):
        raise ValueError("problem, u and w must be of sizes whose quotients are finite, got an overflow")
    turned = np.asarray(alignment(x, np.full_like(x, start.slip)))
    return Solution(time=times, u=u_at, w=w_at, slope=scale * x, alignment=turned, tangent=tangent, risk=risk)


@checked
def limit(problem: Problem, u: Layer, w: Layer) -> Solution:
    """Where gradient flow ends: `exact` at infinite time, one row.

    This is the minimum, or the saddle u = w = 0 if the start has no part that can grow: P = 0 while C > 0, or Q = 0
    while C < 0.

    >>> limit(Problem(1, 1, 1, 1, 1, 2), [1, 2], [-1, -2]).slope.tolist()
    [0.0]
    """
    return exact(problem, u, w, np.array([math.inf]))


@checked
def time_to_slope(problem: Problem, u: Layer, w: Layer, slope: float) -> float:
    """When gradient flow reaches a slope: `exact` solved for the time; infinity for the last slope.

    exp(2 kappa t) = 1 + 2 kappa (z - 1) / [(k_p + k_-) (z_inf - z)], z being that of the slope. This book.

    Raises `ValueError` for a slope that is not on the way, and as `exact` does.
    """
    start = _Start(problem, u, w)
    grows = start.big_p if start.x_star > 0 else start.big_q  # without it the end is the saddle
    x, end, scale = slope * start.eta / start.gamma, start.x_star if grows > 0 else 0.0, start.gamma / start.eta
    if not min(start.x, end) <= x <= max(start.x, end):
        way = f"between {start.x * scale:.6g} and {end * scale:.6g}"
        raise ValueError(f"slope must lie on the way, {way}, got {slope}")
    if x in (start.x, end):
        return 0.0 if x == start.x else math.inf
    if start.big_p == 0:  # w -> -w exchanges p with q
        mirror = replace(problem, cross_moment=-problem.cross_moment)
        return time_to_slope(mirror, u, -w, -slope)
    size = math.hypot(x, 2 * math.sqrt(start.big_p) * math.sqrt(start.big_q))
    z = (size + x) / (2 * start.big_p) if x >= 0 else 2 * start.big_q / (size - x)  # whichever root does not cancel
    # z_inf - z and z - 1 from differences of X, which do not cancel near the ends; z_inf may be 0 if Q = 0
    left = (end - x) / (start.big_p + (start.big_q / (z * start.last) if start.big_q > 0 else 0.0))
    y = (x - start.x) / (start.big_p + start.big_q / z) / ((start.k_p + start.minus) * left)
    pace = 2 * start.kappa
    return math.log1p(pace * y) / (pace * start.gamma) if pace > 0 else y / start.gamma


@checked
def parts(problem: Problem, u: Layer, w: Layer) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
    """The two parts of the weights that train independently: p, q = (sqrt(eta_w) u +- sqrt(eta_u) w) / 2. This book."""
    first, second = math.sqrt(problem.eta_w) * u, math.sqrt(problem.eta_u) * w
    return (first + second) / 2, (first - second) / 2


@checked
def invariants(problem: Problem, u: Layer, w: Layer) -> Invariants:
    """The conserved quantities of a start. The area is computed without cancellation.

    >>> invariants(Problem(1, 1, 1, 1, 1, 2), [2, 0], [1, 3])
    Invariants(imbalance=array([ 3., -9.]), area=36.0)
    """
    return Invariants(problem.eta_w * u**2 - problem.eta_u * w**2, _area(u, w))


@checked
def height(problem: Problem, u: Layer, w: Layer) -> float:
    """gamma sqrt(|u|^2 |w|^2 - (u . w)^2): the height in the half-plane of mechanisms, which learning keeps. This book."""
    return problem.gamma * math.sqrt(invariants(problem, u, w).area)


@checked
def alignment(slope: Number, height: Height) -> Number:
    """Cosine between the layers at a slope: slope / sqrt(slope^2 + height^2), and 0 at 0 / 0. This book.

    >>> float(alignment(3, height=4))
    0.6
    """
    size = np.hypot(slope, height)
    return np.divide(slope, size, out=np.zeros_like(size), where=size > 0)[()]


@checked
def split(slope: Number, height: Height) -> tuple[Number, Number]:
    """Shares of d ln|slope| that are rotation, d ln|alignment|, and rescaling, d ln(|u| |w|): 1 - zeta^2 and zeta^2.

    This book. Not defined at slope = height = 0, where the shares are given as 1 and 0.
    """
    square = np.hypot(slope, height) ** 2
    rescaling = np.divide(np.square(slope), square, out=np.zeros_like(square), where=square > 0)
    rotation = np.divide(np.square(height), square, out=np.ones_like(square), where=square > 0)
    return rotation[()], rescaling[()]


# ---- the closed form; all rates divided by gamma, so that gamma may be tiny ----


class _Start:
    """A start in the coordinates that train independently, with the constants of the Riccati equation."""

    def __init__(self, problem: Problem, u: Array, w: Array) -> None:
        with np.errstate(all="ignore"):  # what overflows is too large, and refused
            self._set(problem, u, w)
        sizes = [self.big_p, self.big_q, abs(self.x_star), self.slip]
        rates = [abs(self.pull), self.k_p, self.k_q, self.kappa]
        for size in (*sizes, *(self.gamma / self.eta * size for size in sizes), *rates):
            if not size <= LARGE:
                rule = f"lengths squared, slopes and rates of at most {LARGE:g}"
                raise ValueError(f"problem, u and w must have {rule}, got {size:.3g}")

    def _set(self, problem: Problem, u: Array, w: Array) -> None:
        root_u, root_w, self.gamma = math.sqrt(problem.eta_u), math.sqrt(problem.eta_w), problem.gamma
        self.eta, self.ratio, strength = root_u * root_w, root_u / root_w, problem.gamma * problem.second_moment
        p, q = parts(problem, u, w)
        self.big_p, self.big_q = (float(half @ half) * bool(half @ half > NOTHING) for half in (p, q))
        self.u, self.w, self.p, self.q = u, w, p * bool(self.big_p) / root_w, q * bool(self.big_q) / root_w
        product = float(u @ w)
        self.x, self.x_star = self.eta * product, self.eta * float(np.divide(problem.cross_moment, strength))
        self.pull = self.eta * (problem.cross_moment - strength * product)
        self.slip = self.eta * math.sqrt(_area(u, w))
        self.k_q, self.k_p = 2 * strength * self.big_q, 2 * strength * self.big_p
        # roots apart: the product of two tiny squared lengths would underflow
        beta, cross = self.eta * problem.cross_moment, 2 * strength * math.sqrt(self.big_p) * math.sqrt(self.big_q)
        self.kappa = math.hypot(beta, cross)
        more = self.kappa + abs(beta)
        less = cross * (cross / more) if more > 0 else 0.0  # the conjugate: kappa - |beta| would cancel
        self.plus, self.minus = (more, less) if beta >= 0 else (less, more)

    @property
    def last(self) -> float:
        """The last z."""
        return float(np.divide(self.k_q + self.plus, self.k_p + self.minus))


def _area(u: Array, w: Array) -> float:
    """|u|^2 |w|^2 - (u . w)^2 from the part of w across u: the difference would cancel for parallel vectors."""
    square = float(u @ u)
    if square <= NOTHING:
        return 0.0
    across = w - u * (float(u @ w) / square)
    sine = math.sqrt(float(across @ across))
    return square * (sine * sine) if sine > ROUNDING * math.sqrt(float(w @ w)) else 0.0


def _angle(start: _Start, times: Array) -> tuple[Array, Array, Array]:
    """z - 1 and z at each time, each without cancellation, and l over the denominator of z (0 without a rate)."""
    if start.kappa > 0:
        clock = -2 * start.gamma * start.kappa * times
        left, done = np.exp(clock), -np.expm1(clock)
        top = start.k_q * done + start.plus + start.minus * left
        bottom = start.k_p * done + start.minus + start.plus * left
        return 2 * start.pull * (done / bottom), top / bottom, left / bottom
    # zero target, and at most one of P and Q is not zero: algebraic
    if start.k_p > 0:
        pace = start.gamma * start.k_p * times
        return -1 / (1 + 1 / pace), 1 / (1 + pace), np.zeros_like(times)
    gain = start.gamma * start.k_q * times if start.k_q > 0 else np.zeros_like(times)
    return gain, 1 + gain, np.zeros_like(times)


def _product(start: _Start, gain: Array, z: Array, left: Array, grown: Array, faded: Array) -> tuple[Array, Array]:
    """X = eta u . w and X* - X, each without cancellation."""
    if start.kappa == 0 or start.big_p == 0 or start.big_q == 0:
        return grown - faded, start.x_star - (grown - faded)
    tail = (start.big_p + start.big_q / (z * start.last)) / (start.k_p + start.minus)
    rest = 4 * start.kappa * start.pull * left * tail
    # three forms of X, with rounding errors in proportion to X0, X* and P z + Q / z: the smallest wins
    nearer = start.x + gain * (start.big_p + faded) if abs(start.x) <= abs(start.x_star) else start.x_star - rest
    return np.where(grown + faded < min(abs(start.x), abs(start.x_star)), grown - faded, nearer), rest


def _weights(start: _Start, gain: Array, z: Array) -> tuple[Array, Array]:
    """u and w at each z: by cosh and sinh of the angle while it is small, by growing and fading parts later."""
    near, root = np.abs(gain) < 0.5, np.sqrt(z)
    parts = [(1 + gain / 2) / root, gain / 2 / root]
    fade = np.where(near | (start.big_q == 0), 0.0, 1 / root)
    grow = np.where(near | (start.big_p == 0), 0.0, root)
    coefficients = np.stack([*(np.where(near, part, 0.0) for part in parts), grow, fade], axis=1)
    u = coefficients @ np.stack([start.u, start.ratio * start.w, start.p, start.q])
    w = coefficients @ np.stack([start.w, start.u / start.ratio, start.p / start.ratio, -start.q / start.ratio])
    return u, w
