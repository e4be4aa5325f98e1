"""How networks learn by steps: many at once, in batches; or one, in steps so small that the path is that of the flow.

Gradients are written out, since their matrices are small: automatic differentiation takes about twice the time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, pairwise
from math import cos, inf, pi
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray as Array
from torch import Tensor
from torch.optim.adam import adam as adam_step
from torch.optim.sgd import sgd as sgd_step
from tqdm import tqdm

from afp_utils.core.models import Trajectory
from afp_utils.core.refuse import FINITE, INCREASING, SOME, Count, NonNegative, Positive, Times, at_least, checked
from afp_utils.networks.mlp import Data, Network, Tensors, Values, backward, forward

WEIGHT_CHANGE, OUTPUT_CHANGE = 0.05, 0.05
"""The most that one step of `fit` may change: the parameters, relative to the first layer, since one huge early step can
kill all neurons; and an output."""


Stop = tuple[float, float, Tensor]
"""Time, mean loss and parameters."""
Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Generators = Sequence[np.random.Generator | torch.Generator]


def half_square(outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """|f - y|^2 / 2 of each point, and its slope in f."""
    apart = outputs - y
    return apart.square().sum(dim=-1) / 2, apart


def squared_hinge(outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """max(0, 1 - y f)^2 / 2 of each point, and its slope in f, for labels y of -1 and 1."""
    short = (1 - y * outputs).clamp(min=0)
    return short.square().sum(dim=-1) / 2, -y * short


class Pass(NamedTuple):
    """What a forward pass saw: the parameters, each layer's weights, inputs and values, and the outputs."""

    vector: Tensor
    weights: Tensors
    inputs: Tensors
    values: Tensors
    outputs: Tensor


class Flat:
    """A network, or several, whose parameters are one long vector, which a rule can move in one go."""

    def __init__(self, like: Network, dtype: np.dtype[Any]) -> None:
        self.like, parts = like, (*like.weights, *like.biases)
        self.shapes, self.sizes = [part.shape for part in parts], [part.size for part in parts]
        self.start = torch.cat([torch.from_numpy(part.astype(dtype)).flatten() for part in parts])
        self.gradient = torch.empty_like(self.start)
        self.down = self.layers(self.gradient)

    def layers(self, vector: Tensor) -> tuple[Tensors, Tensors]:
        """The weights and the biases, as windows on the vector."""
        parts = [part.view(shape) for part, shape in zip(vector.split(self.sizes), self.shapes)]
        return parts[: len(self.like.weights)], parts[len(self.like.weights) :]

    def network(self, vector: Tensor) -> Network:
        """A copy of the parameters, as a network."""
        weights, biases = (tuple(part.numpy().copy() for part in parts) for parts in self.layers(vector))
        return replace(self.like, weights=weights, biases=biases)

    def forward(self, vector: Tensor, x: Tensor) -> Pass:
        """From points to outputs, the scale included."""
        weights, biases = self.layers(vector)
        inputs, values = forward(weights, biases, self.like.activation, x)
        return Pass(vector, weights, inputs, values, self.like.scale * values[-1])

    def backward(self, seen: Pass, slope: Tensor) -> Tensor:
        """The gradient of a number, given its slope in the outputs. The next call overwrites it."""
        slopes = backward(seen.weights, self.like.activation, seen.values, self.like.scale * slope)
        for h, at, weights in zip(seen.inputs, slopes, self.down[0]):
            torch.matmul(at.mT, h, out=weights)
        for at, biases in zip(slopes, self.down[1]):
            torch.sum(at, dim=-2, out=biases)
        return self.gradient


# ---- many networks at once ----

Move = Callable[[float], object]
"""A step of the parameters at a rate, by what stands in their gradient."""

# Torch's fused rules take one pass over the parameters instead of one for each operation. They are called as functions:
# its optimisers, as objects, import its compiler, which costs a second and 80 MB in every process.


def sgd(vector: Tensor, gradient: Tensor, decay: float, momentum: float = 0.0) -> Move:
    velocity: list[Tensor | None] = [torch.zeros_like(vector)]
    plain: dict[str, Any] = {"dampening": 0.0, "nesterov": False, "maximize": False}
    moved = partial(sgd_step, [vector], [gradient], velocity, fused=True, weight_decay=decay, momentum=momentum)
    return lambda rate: moved(lr=rate, **plain)


def adam(vector: Tensor, gradient: Tensor, decay: float) -> Move:
    """With its usual constants."""
    first, second, count = torch.zeros_like(vector), torch.zeros_like(vector), torch.tensor(0.0)
    plain: dict[str, Any] = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "amsgrad": False, "maximize": False}
    moved = partial(adam_step, [vector], [gradient], [first], [second], [], [count], fused=True, weight_decay=decay)
    return lambda rate: moved(lr=rate, **plain)


MOMENTUM = partial(sgd, momentum=0.9)


@checked
@dataclass(frozen=True)
class Descent:
    """How to descend in batches: points of a batch, rate, L2 decay of all parameters, and the rule of a step (`sgd`,
    `MOMENTUM` or `adam`).

    With `cosine` the rate falls to 0 as half a cosine.
    """

    batch: Count
    rate: Positive
    decay: NonNegative = 0.0
    cosine: bool = False
    rule: Callable[[Tensor, Tensor, float], Move] = sgd


@checked
def train(
    start: Network,
    x: Annotated[Float[Array, "model n d"], SOME, FINITE],
    y: Int[Array, "model n"] | Annotated[Float[Array, "model n *output"], FINITE],
    order: Generators,
    recipe: Descent,
    epochs: Annotated[Int[Array, " time"], SOME, at_least(0), INCREASING],
) -> tuple[Network, ...]:
    """Train every one of several networks on its own points, and keep all after the given numbers of passes.

    The loss is the cross-entropy if y are integers, labels, else half the squared distance, *summed* over networks: with a
    mean, the rate of each would depend on their number. Batches are taken from a new permutation of each network's points
    in each pass, drawn from its generator in `order`. In the precision of `x`; a progress bar shows in a terminal.

    Raises `ValueError` for labels without an output, another number of networks, generators or outputs, or a training
    that diverges.

    >>> from afp_utils.networks.mlp import IDENTITY
    >>> both = Network(([[[0]], [[0]]],), IDENTITY)
    >>> x, order = [[[1], [2]]] * 2, np.random.default_rng(0).spawn(2)
    >>> (end,) = train(both, x, [[3, 6], [-1, -2]] * np.ones(1), order, Descent(batch=2, rate=0.1), epochs=[99])
    >>> end.predict([[1]]).round(3).tolist()
    [[3.0], [-1.0]]
    """
    if len(order) != len(x):
        raise ValueError(f"order must be one generator per network ({len(x)}), got {len(order)}")
    link = partial(torch.softmax, dim=-1) if np.issubdtype(y.dtype, np.integer) else torch.positive
    flat, a_pass, states = Flat(start, x.dtype), -(-x.shape[1] // recipe.batch), list[Network]()
    parameters, batches = flat.start, _batches(*data(start, x, y, x.dtype), order, recipe.batch)
    move, rate = recipe.rule(parameters, flat.gradient, recipe.decay), recipe.rate
    with tqdm(total=a_pass * epochs[-1], desc=f"{len(x)} networks", unit="step", disable=None, leave=False) as bar:
        for before, now in pairwise([0, *epochs]):
            for step in range(a_pass * before, a_pass * now):
                part, wanted = next(batches)
                seen = flat.forward(parameters, part)
                # the slope of either loss; `move` reads the gradient
                flat.backward(seen, (link(seen.outputs) - wanted).div_(part.shape[1]))
                if recipe.cosine:
                    rate = recipe.rate * (1 + cos(pi * step / (a_pass * epochs[-1]))) / 2
                move(rate)
                bar.update()
            if not torch.isfinite(parameters).all():
                raise ValueError(f"recipe must keep the weights finite (lower its rate), got {recipe}")
            states.append(flat.network(parameters))
    return tuple(states)


def data(network: Network, x: Array, y: Array, dtype: np.dtype[Any]) -> tuple[Tensor, Tensor]:
    """Points, and what the outputs should be there: values, or ones at the labels."""
    points, outputs, networks = x.shape[:-1], network.outputs, network.weights[0].shape[:-2]
    if x.shape[:-2] != networks:
        raise ValueError(f"x must have the networks' leading axes {networks}, got {x.shape[:-2]}")
    if np.issubdtype(y.dtype, np.integer):
        if y.min() < 0 or y.max() >= outputs:
            raise ValueError(f"y must be from 0 to {outputs - 1}, got {y.min()} to {y.max()}")
        y = np.eye(outputs)[y]
    if y.size != np.prod(points) * outputs:
        raise ValueError(f"y must have one value per output ({outputs}) at each point, got shape {y.shape}")
    x, y = (np.ascontiguousarray(part, dtype=dtype) for part in (x, y.reshape(*points, outputs)))
    return torch.from_numpy(x), torch.from_numpy(y)


def _batches(x: Tensor, target: Tensor, order: Generators, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Points and targets (network, point, coordinate) of each batch, pass after pass."""
    models, n = np.arange(len(x))[:, None], x.shape[1]
    while True:
        drawn = [torch.randperm(n, generator=g) if isinstance(g, torch.Generator) else g.permutation(n) for g in order]
        rows = np.stack(drawn)
        yield from zip(x[models, rows].split(size, dim=1), target[models, rows].split(size, dim=1))


# ---- one network, with controlled steps ----


@checked
def fit(
    network: Network, x: Data, y: Values, *, loss: Loss = half_square, tolerance: Positive = 1e-4, steps: Count = 20_000
) -> Trajectory:
    """Descend the mean loss until it is below the tolerance or the steps are used up: first and last state.

    The path is that of gradient flow of mean loss / alpha^2 (alpha 1 if the network has none), whose time is the clock;
    the risk is the mean squared error on the data. A step is taken if the loss does not increase and no output changes by
    OUTPUT_CHANGE or more; the rate is then raised by a tenth, else halved. No step changes the parameters by more than
    WEIGHT_CHANGE of the first layer's length.

    Raises `ValueError` for values other than -1 and 1 for `squared_hinge`, another number of outputs than in `y`, or a
    first layer of zeros that would move.

    >>> from afp_utils.networks.mlp import RELU
    >>> run = fit(Network(([[1], [-1]], [[1, 1]]), RELU), [[1], [-2]], [2, 1], tolerance=1e-6)
    >>> run.states[-1].predict([[1], [-2]]).round(2).tolist()
    [2.0, 1.0]
    """
    if loss is squared_hinge and not np.all(np.abs(y) == 1):
        raise ValueError(f"y must hold labels -1 and 1, got {y[np.abs(y) != 1][0]}")
    flat = Flat(network, network.weights[0].dtype)
    for stop in islice(_steps(flat, x, y, loss), steps + 1):
        if stop[1] < tolerance:
            break
    time, _, vector = stop
    states = (network, flat.network(vector)) if time else (network,)
    return trajectory(np.array([0.0, time])[: len(states)], states, x, y)


@checked
def controlled_flow(network: Network, x: Data, y: Values, times: Times) -> Trajectory:
    """Gradient flow of mean |f - y|^2 / (2 alpha^2) by the steps of `fit`, at the given times.

    Good to some per cent, and quick where kinks cost `flow.gradient_flow` many steps: for RELU.

    >>> from afp_utils.networks.mlp import IDENTITY
    >>> run = controlled_flow(Network(([[2]],), IDENTITY), [[1], [-1]], [1, -1], times=[0, 1, 100])
    >>> [round(float(risk), 1) for risk in run.risk]  # exp(-2 t)
    [1.0, 0.1, 0.0]

    Raises `ValueError` as `fit`.
    """
    flat = Flat(network, network.weights[0].dtype)
    path = (vector for time, _, vector in _steps(flat, x, y, half_square, times.tolist()) if time in times)
    return trajectory(times, [flat.network(vector) for vector in islice(path, len(times))], x, y)


def _steps(flat: Flat, x: Array, y: Array, loss: Loss, stops: Sequence[float] = ()) -> Iterator[Stop]:
    """Where the descent stands at the start, after each step, and at all stops; without them, as long as anything moves."""
    points, target = data(flat.like, x, y, flat.like.weights[0].dtype)
    time, alpha = 0.0, flat.like.alpha or 1.0
    rate, here = 1e-3 * alpha, flat.forward(flat.start, points)
    losses, slope = loss(here.outputs, target)
    value = float(losses.mean())
    while True:
        yield time, value, here.vector
        ahead = [stop for stop in stops if stop > time]
        until = min(ahead, default=inf)
        down = flat.backward(here, slope / (len(x) * alpha**2))
        steepness = sum(float(torch.linalg.norm(part)) for parts in flat.down for part in parts)
        if steepness == 0:
            yield from ((stop, value, here.vector) for stop in ahead)
            return
        length = float(torch.linalg.norm(here.weights[0]))
        if length == 0:
            raise ValueError("network must have a first layer that is not zero, the scale of steps, got zeros")
        rate = min(rate, WEIGHT_CHANGE * length / steepness)
        # near the end of training the loss changes by less than its rounding
        most = value + 4 * torch.finfo(here.vector.dtype).eps * value
        while True:
            step = min(rate, until - time)
            there = flat.forward(here.vector - step * down, points)
            losses, slope = loss(there.outputs, target)
            value = float(losses.mean())
            if float((there.outputs - here.outputs).abs().max()) < OUTPUT_CHANGE and value <= most:
                break
            rate = step / 2
        # a step that a stop cut short says nothing of the rate
        here, rate = there, 1.1 * rate if step == rate else rate
        time = min(time + step, until)


def trajectory(times: Array, states: Sequence[Network], x: Array, y: Array) -> Trajectory:
    """With the mean squared error on the data as risk."""
    risk = [np.mean((state.predict(x).reshape(y.shape) - y) ** 2) for state in states]
    return Trajectory(times, np.array(risk, dtype=float), tuple(states))
