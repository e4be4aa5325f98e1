"""The same path at another pace: the one-direction linear network under other losses, and in steps of finite size."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.integrate import quad

from afp_utils.core.refuse import checked, finite
from afp_utils.linear.solution import Problem, Solution, height, parts


@checked
@dataclass(frozen=True)
class Descent(Solution):
    """A `Solution` at steps 0, 1, ..., with the gain g of each step: p -> (1 + g) p, q -> (1 - g) q."""

    gain: Float[Array, " step"]


@checked
def at_slope(
    problem: Problem, u: Float[Array, " m"], w: Float[Array, " m"], slopes: Float[Array, " slope"]
) -> tuple[Float[Array, "slope m"], Float[Array, "slope m"]]:
    """Weights u and w at given slopes: the path that gradient flow takes under every loss, whatever its clock.

    p(t) = p sqrt(z) and q(t) = q / sqrt(z) with the z > 0 at which P z - Q / z = eta slope / gamma. This book.

    Raises `ValueError` for a slope that the path never has: one of the wrong sign if P or Q is zero.
    """
    finite(slopes=slopes)
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
def time_under_loss(
    problem: Problem, u: Float[Array, " m"], w: Float[Array, " m"], slope: float, force: Callable[[float], float]
) -> float:
    """When gradient flow under another loss L reaches a slope, given its force -dL/dslope as a function of the slope.

    The slope's velocity is tangent * force, so t = integral of dslope / (tangent force) from the first slope on, with
    tangent = 2 gamma^2 sqrt(X^2 + 4 P Q), X = eta slope / gamma. Only the force sees the data. This book.

    Raises `ValueError` if the force does not drive the slope there, or if no path from this start has that slope.
    """
    finite(slope=slope)
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

    return quad(slowness, first, slope, epsabs=0, epsrel=1e-11, limit=200)[0]


@checked
def gradient_descent(
    problem: Problem, u: Float[Array, " m"], w: Float[Array, " m"], noise: Float[Array, " step"]
) -> Descent:
    """Gradient descent with step 1 (step sizes are in the rates): one step for each entry of `noise`, zero or not.

    In step k the cross moment is C + noise_k, as for labels with noise. In the two parts of the weights a step is
    exactly p -> (1 + g) p, q -> (1 - g) q with g = eta gamma r; so P Q and the area shrink by (1 - g^2)^2. This book.

    A run that diverges ends in infinities or nan, without a warning. Raises `ValueError` if an input is not finite.
    """
    finite(noise=noise)
    p, q = parts(problem, u, w)
    root_u, root_w, gamma = math.sqrt(problem.eta_u), math.sqrt(problem.eta_w), problem.gamma
    eta, big_p, big_q = root_u * root_w, float(p @ p), float(q @ q)
    grow, fade, gain = [1.0], [1.0], []
    x = eta * float(u @ w)
    for extra in noise.tolist():
        g = gamma * (eta * (problem.cross_moment + extra) - gamma * problem.second_moment * x)
        gain.append(g)
        grow.append(grow[-1] * (1 + g))
        fade.append(fade[-1] * (1 - g))
        x = big_p * grow[-1] * grow[-1] - big_q * fade[-1] * fade[-1]
    with np.errstate(over="ignore", invalid="ignore"):
        grown, faded = np.outer(grow, p), np.outer(fade, q)
        u_at, w_at = (grown + faded) / root_w, (grown - faded) / root_u
        slope = gamma * np.einsum("tm,tm->t", u_at, w_at)
        tall = height(problem, u, w) * np.abs(np.cumprod([1.0, *(1 - np.square(gain))]))
        size = np.hypot(slope, tall)
        return Descent(
            time=np.arange(len(grow), dtype=float),
            u=u_at,
            w=w_at,
            slope=slope,
            alignment=np.divide(slope, size, out=np.zeros_like(slope), where=size != 0),
            tangent=gamma**2 * (problem.eta_u * (w_at**2).sum(axis=1) + problem.eta_w * (u_at**2).sum(axis=1)),
            risk=problem.least_risk + problem.second_moment / 2 * (slope - problem.target_slope) ** 2,
            gain=np.array(gain),
        )
