"""Networks of one hidden layer in torch, from lazy to rich: scale, training with controlled steps, sparsity of neurons.

f(x) = alpha / sqrt(m) sum_h u_h relu(w_h . x). At a large scale alpha the weights hardly move and training is regression
with the tangent kernel (lazy); at a small one they grow by large factors and few directions win (rich). Training is
full-batch gradient descent with steps so small that the path is that of gradient flow.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray as Array
from torch import Tensor

from afp_utils.core.models import Trajectory
from afp_utils.core.refuse import checked, finite, increasing, nonnegative, positive

WEIGHT_CHANGE = 0.05
"""Largest relative change of the weights in one step: without it one huge early step can kill all neurons."""
OUTPUT_CHANGE = 0.05
"""Largest change of an output in one step."""


@checked
@dataclass(frozen=True)
class ReluNetwork:
    """f(x) = alpha / sqrt(m) sum_h u_h relu(w_h . x)."""

    w: Float[Array, "m d"]
    u: Float[Array, " m"]
    alpha: float

    @property
    def scale(self) -> float:
        return self.alpha / float(np.sqrt(len(self.u)))

    @checked
    def predict(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        return self.scale * (np.maximum(x @ self.w.T, 0) @ self.u)

    @checked
    def gradient(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return self.scale * ((x @ self.w.T > 0) * self.u) @ self.w

    @checked
    def gram(self, x: Float[Array, "n d"]) -> Float[Array, "n n"]:
        hidden = self.scale * np.maximum(x @ self.w.T, 0)
        return hidden @ hidden.T

    @checked
    def tangent(self, x: Float[Array, "n d"]) -> Float[Array, "n n"]:
        active = self.scale * (x @ self.w.T > 0) * self.u
        return self.gram(x) + (active @ active.T) * (x @ x.T)

    @property
    def amplitudes(self) -> Float[Array, " m"]:
        """What each neuron contributes: alpha / sqrt(m) |u_h| |w_h|. Their sum is at least twice the norm of `sphere.sparse`."""
        return self.scale * np.abs(self.u) * np.linalg.norm(self.w, axis=1)


@checked
def initial_network(
    m: int, d: int, alpha: float, *, generator: torch.Generator, dtype: torch.dtype = torch.float64
) -> ReluNetwork:
    """Standard normal weights, each neuron twice with opposite readout, so that f = 0 exactly at the start.

    Raises `ValueError` for an odd or non-positive width, a dimension below 1 or a scale that is not positive.
    """
    if m < 2 or m % 2:
        raise ValueError(f"m must be even and at least 2, got {m}")
    if d < 1:
        raise ValueError(f"d must be at least 1, got {d}")
    positive(alpha=alpha)
    w = torch.randn(m // 2, d, generator=generator, dtype=dtype, device=generator.device)
    u = torch.randn(m // 2, generator=generator, dtype=dtype, device=generator.device)
    return ReluNetwork(torch.cat([w, w]).cpu().numpy(), torch.cat([u, -u]).cpu().numpy(), alpha)


@checked
def gradient_flow(
    network: ReluNetwork,
    x: Float[Array, "n d"],
    y: Float[Array, " n"],
    times: Float[Array, " time"],
    device: str = "cpu",
) -> Trajectory:
    """Gradient flow of mean (f - y)^2 / (2 alpha^2), with the states and the mean squared error at the given times.

    Raises `ValueError` for values that are not finite or times that are negative or unsorted.
    """
    finite(x=x, y=y)
    increasing(times=times)
    nonnegative(times=times)
    states, risk, steps = [], [], _descend(network, x, y, half_square, device)
    now = next(steps)
    for time in times:
        while now.time < time:
            now = steps.send(float(time))
        states.append(now.network())
        risk.append(2 * now.loss)
    return Trajectory(times, np.array(risk, dtype=float), tuple(states))


@checked
def fit_values(
    network: ReluNetwork,
    x: Float[Array, "n d"],
    y: Float[Array, " n"],
    *,
    tolerance: float = 1e-4,
    steps: int = 20_000,
    device: str = "cpu",
) -> Trajectory:
    """Descend the mean of (f - y)^2 / 2 until it is below the tolerance or the steps are used up: first and last state.

    The time is that of gradient flow, in units of alpha^2; the risk is the mean squared error on the data.

    Raises `ValueError` for values that are not finite, a tolerance that is not positive or steps below 1.
    """
    return _fit(network, x, y, half_square, tolerance, steps, device)


@checked
def fit_margins(
    network: ReluNetwork,
    x: Float[Array, "n d"],
    y: Float[Array, " n"],
    *,
    tolerance: float = 1e-5,
    steps: int = 20_000,
    device: str = "cpu",
) -> Trajectory:
    """The same for labels -1 and 1 and the mean of the squared hinge max(0, 1 - y f)^2 / 2.

    Raises `ValueError` for other labels, values that are not finite, a tolerance that is not positive or steps below 1.
    """
    if not np.all(np.abs(y) == 1):
        raise ValueError(f"y must hold labels -1 and 1, got {y[np.argmax(np.abs(y) != 1)]}")
    return _fit(network, x, y, squared_hinge, tolerance, steps, device)


def half_square(output: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """(f - y)^2 / 2 and its slope in f."""
    return (output - y) ** 2 / 2, output - y


def squared_hinge(output: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """max(0, 1 - y f)^2 / 2 and its slope in f."""
    short = (1 - y * output).clamp(min=0)
    return short**2 / 2, -y * short


@checked
def participation(amplitudes: Float[Array, " m"]) -> float:
    """Share of neurons in use, (sum a)^2 / (m sum a^2): 1 if all contribute alike, 1/m if one does all.

    Raises `ValueError` for negative amplitudes, or if all are zero.
    """
    nonnegative(amplitudes=amplitudes)
    if not amplitudes.any():
        raise ValueError("amplitudes must not all be zero, got zeros")
    return float(amplitudes.sum() ** 2 / (len(amplitudes) * np.sum(amplitudes**2)))


@checked
def clusters(network: ReluNetwork, degrees: float = 5.0) -> Float[Array, " clusters"]:
    """Total amplitude of each group of neurons of one sign that point the same way, largest first.

    Groups are made greedily: the strongest neuron left takes all of its sign within `degrees` of it. The number of
    atoms in use is the number of groups times their `participation`.

    Raises `ValueError` for an angle that is not positive, or if all amplitudes are zero.
    """
    positive(degrees=degrees)
    size = network.amplitudes
    left = np.flatnonzero(size > 1e-12 * size.max(initial=0))
    if not len(left):
        raise ValueError("network must have an amplitude that is not zero, got zeros")
    direction = network.w / np.linalg.norm(network.w, axis=1, keepdims=True)
    left, totals = left[np.argsort(-size[left])], []
    while len(left):
        near = direction[left] @ direction[left[0]] >= np.cos(np.radians(degrees))
        near = near & (np.sign(network.u[left]) == np.sign(network.u[left[0]]))
        near[0] = True  # itself, whatever rounding says
        totals.append(size[left[near]].sum())
        left = left[~near]
    return np.sort(np.array(totals))[::-1]


@dataclass
class _Now:
    """Where a descent stands."""

    time: float
    loss: float
    w: Tensor
    u: Tensor
    alpha: float

    def network(self) -> ReluNetwork:
        return ReluNetwork(self.w.cpu().numpy().copy(), self.u.cpu().numpy().copy(), self.alpha)


Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def _fit(network: ReluNetwork, x: Array, y: Array, loss: Loss, tolerance: float, steps: int, device: str) -> Trajectory:
    finite(x=x, y=y)
    positive(tolerance=tolerance, steps=steps)
    descent = _descend(network, x, y, loss, device)
    first = now = next(descent)
    for _ in range(steps):
        if now.loss < tolerance:
            break
        now = descent.send(np.inf)
    stops = [first] if now is first else [first, now]
    states = tuple(stop.network() for stop in stops)
    risk = np.array([np.mean((state.predict(x.astype(state.w.dtype)) - y) ** 2) for state in states], dtype=float)
    return Trajectory(np.array([stop.time for stop in stops]), risk, states)


def _descend(network: ReluNetwork, x: Array, y: Array, loss: Loss, device: str) -> Generator[_Now, float, None]:
    """Accepted steps of gradient descent on mean loss / alpha^2. Send the time that the next step must not pass.

    A step is accepted if the loss does not increase and no output changes by more than OUTPUT_CHANGE; the rate is then
    raised by a tenth, else halved. No step changes the weights by more than WEIGHT_CHANGE of their length.
    """
    w, u = (torch.tensor(value, device=device) for value in (network.w, network.u))
    points, labels = (torch.tensor(value, device=device, dtype=w.dtype) for value in (x, y))
    alpha, scale, n = network.alpha, network.scale, len(y)

    def forward(w: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = (points @ w.T).clamp_(min=0)
        output = scale * (hidden @ u)
        return hidden, output, loss(output, labels)[0].mean()

    hidden, output, value = forward(w, u)
    time, rate = 0.0, 1e-3 * alpha
    until = yield _Now(time, float(value), w, u, alpha)
    while True:
        pull = scale / (n * alpha**2) * loss(output, labels)[1]
        down_u = hidden.T @ pull
        # the mask times (pull u) would be two more arrays of all points and neurons
        down_w = u[:, None] * (hidden.sign().T @ (pull[:, None] * points))
        steepness = float(torch.linalg.norm(down_w) + torch.linalg.norm(down_u))
        if steepness == 0:  # nothing moves any more
            time = time if np.isinf(until) else until
            until = yield _Now(time, float(value), w, u, alpha)
            continue
        rounding = 4 * torch.finfo(w.dtype).eps * float(value)
        rate = min(rate, WEIGHT_CHANGE * float(torch.linalg.norm(w)) / steepness)
        while True:
            step = min(rate, until - time)
            tried_w, tried_u = w - step * down_w, u - step * down_u
            tried = forward(tried_w, tried_u)
            small = float((tried[1] - output).abs().max()) < OUTPUT_CHANGE
            if small and float(tried[2]) <= float(value) + rounding:
                break
            rate = step / 2
        w, u, (hidden, output, value) = tried_w, tried_u, tried
        time = until if step == until - time else time + step
        rate = 1.1 * rate if step == rate else rate
        until = yield _Now(time, float(value), w, u, alpha)
