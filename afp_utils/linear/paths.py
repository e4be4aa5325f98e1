"""The same path at another pace: the one-direction linear network under other losses, and in steps of finite size."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.integrate import quad

from afp_utils.core.refuse import FINITE, Finite, checked
from afp_utils.linear.solution import Layer, Problem, Solution, height, parts


@checked
@dataclass(frozen=True)
class Descent(Solution):
    """A `Solution` at steps 0, 1, ..., with the gain g of each step: p -> (1 + g) p, q -> (1 - g) q."""

    gain: Float[Array, " step"]


@checked
def at_slope(
    problem: Problem, u: Layer, w: Layer, slopes: Annotated[Float[Array, " slope"], FINITE]
) -> tuple[Float[Array, "slope m"], Float[Array, "slope m"]]:
    """Weights u and w at given slopes: the path that gradient flow takes under every loss, whatever its clock.

    p(t) = p sqrt(z) and q(t) = q / sqrt(z) with the z > 0 at which P z - Q / z = eta slope / gamma. This book.

    Raises `ValueError` for a slope that the path never has: one of the wrong sign if P or Q is zero.
    """
    p, q = parts(problem, u, w)
    root_u, root_w = math.sqrt(problem.eta_u), math.sqrt(problem.eta_w)
    big_p, big_q, x = p @ p, q @ q, root_u * root_w * slopes / problem.gamma
    size = np.abs(x) + np.hypot(x, 2 * np.sqrt(big_p * big_q))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(x >= 0, size / (2 * big_p), 2 * big_q / size)  # whichever root does not cancel
    bad = ~(np.isfinite(z) & (z > 0))
    if bad.any():
        raise ValueError(f"slopes must be on the path of the start, got {slopes[bad][0]}")
    grown, faded = np.outer(np.sqrt(z), p), np.outer(1 / np.sqrt(z), q)
    return (grown + faded) / root_w, (grown - faded) / root_u


@checked
def time_under_loss(problem: Problem, u: Layer, w: Layer, slope: Finite, force: Callable[[float], float]) -> float:
    """When gradient flow under another loss L reaches a slope, given its force -dL/dslope as a function of the slope.

    The slope's velocity is tangent * force, so t = integral of dslope / (tangent force) from the first slope on, with
    tangent = 2 gamma^2 sqrt(X^2 + 4 P Q), X = eta slope / gamma. Only the force sees the data. This book.

    Raises `ValueError` if the force does not drive the slope there, or if no path from this start has that slope.

    >>> problem, u, w = Problem(1, 1, 1, 1, 1, 2), [1, 0], [0, 1]
    >>> round(time_under_loss(problem, u, w, 0.5, lambda slope: 1 - slope), 6)  # squared loss
    0.331305
    >>> round(time_under_loss(problem, u, w, 0.5, lambda slope: (1 - slope) ** 3), 6)  # quartic loss
    0.707193
    """
    p, q = parts(problem, u, w)
    first, eta = float(problem.gamma * (u @ w)), math.sqrt(problem.eta_u * problem.eta_w)
    if slope == first:
        return 0.0
    at_slope(problem, u, w, np.array([slope]))  # refuses a slope that the path never has
    area = 2 * math.sqrt(p @ p) * math.sqrt(q @ q)

    def slowness(at: float) -> float:
        velocity = 2 * problem.gamma**2 * math.hypot(eta * at / problem.gamma, area) * force(at)
        if not velocity * (slope - first) > 0:
            raise ValueError(f"force must drive the slope from {first:.6g} to {slope}, got {force(at)} at {at:.6g}")
        return 1 / velocity

    # a tiny start is slow over many orders of magnitude of the slope: no absolute tolerance, many intervals
    return quad(slowness, first, slope, epsabs=0, epsrel=1e-11, limit=200)[0]


@checked
def gradient_descent(problem: Problem, u: Layer, w: Layer, noise: Annotated[Float[Array, " step"], FINITE]) -> Descent:
    """Gradient descent with step 1 (step sizes are in the rates): one step for each entry of `noise`, zero or not.

    In step k the cross moment is C + noise_k, as for labels with noise. In the two parts of the weights a step is
    exactly p -> (1 + g) p, q -> (1 - g) q with g = eta gamma r; so P Q and the area shrink by (1 - g^2)^2. This book.

    A run that diverges ends in infinities or nan, without a warning.

    >>> gradient_descent(Problem(1, 0.1, 0.1, 1, 1, 2), [1, 0], [0, 1], [0] * 20).slope[[0, 1, 20]].round(4).tolist()
    [0.0, 0.2, 0.9973]
    """
    p, q = parts(problem, u, w)
    gain = _gains(problem, float(p @ p), float(q @ q), float(u @ w), noise)
    root_u, root_w, gamma = math.sqrt(problem.eta_u), math.sqrt(problem.eta_w), problem.gamma
    with np.errstate(over="ignore", invalid="ignore"):
        grown, faded = (np.outer(np.cumprod([1.0, *(1 + sign * gain)]), half) for sign, half in ((1, p), (-1, q)))
        u_at, w_at = (grown + faded) / root_w, (grown - faded) / root_u
        slope = gamma * np.einsum("tm,tm->t", u_at, w_at)
        # from the factors of the area: that of nearly parallel weights would cancel
        tall = height(problem, u, w) * np.abs(np.cumprod([1.0, *(1 - np.square(gain))]))
        size = np.hypot(slope, tall)
        return Descent(
            time=np.arange(len(slope), dtype=float),
            u=u_at,
            w=w_at,
            slope=slope,
            alignment=np.divide(slope, size, out=np.zeros_like(slope), where=size != 0),
            tangent=gamma**2 * (problem.eta_u * (w_at**2).sum(axis=1) + problem.eta_w * (u_at**2).sum(axis=1)),
            risk=problem.least_risk + problem.second_moment / 2 * (slope - problem.target_slope) ** 2,
            gain=gain,
        )


def _gains(problem: Problem, big_p: float, big_q: float, product: float, noise: Array) -> Float[Array, " step"]:
    """The gain of each step, from the two squared lengths alone: the weights need not be carried along."""
    eta, gamma = math.sqrt(problem.eta_u) * math.sqrt(problem.eta_w), problem.gamma
    x, grow, fade, gains = eta * product, 1.0, 1.0, []
    for extra in noise.tolist():
        g = gamma * (eta * (problem.cross_moment + extra) - gamma * problem.second_moment * x)
        gains.append(g)
        grow *= 1 + g
        fade *= 1 - g
        x = big_p * grow * grow - big_q * fade * fade
    return np.array(gains)
