"""How deep networks learn: in batches, several at once, as a flow, and to a point where nothing moves any more."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray as Array
from scipy.optimize import minimize
from torch import Tensor
from tqdm import tqdm

from afp_utils.core.flow import flow_at
from afp_utils.core.models import Trajectory
from afp_utils.core.refuse import checked, increasing, nonnegative, positive
from afp_utils.networks.deep import DeepNetwork, forward, targets


@checked
def penalised_risk(
    network: DeepNetwork, x: Float[Array, "n d"], y: Float[Array, "n *output"], decay: float = 0.0
) -> tuple[float, tuple[Float[Array, "_ _"], ...]]:
    """mean_i |f(x_i) - y_i|^2 / 2 + (decay / 2) sum_l |W_l|^2, and its slope in each W_l.

    Raises `ValueError` for no points, values that are not finite, or a negative decay.
    """
    problem = _Problem.of(network, x, y, decay)
    return problem.value(problem.start), tuple(problem.network(problem.slope(problem.start)).weights)


@checked
@dataclass(frozen=True)
class Descent:
    """How to descend: points of a batch, rate, decay of the weights, torch's optimiser, and the device that does it.

    The objective is that of `penalised_risk`, over a batch.

    Raises `ValueError` for a batch below 1, a rate that is not positive, a negative decay or an unknown device.
    """

    batch: int
    rate: float
    decay: float = 0.0
    optimiser: Callable[..., torch.optim.Optimizer] = torch.optim.SGD
    device: str = "cpu"

    def __post_init__(self) -> None:
        positive(batch=self.batch, rate=self.rate)
        nonnegative(decay=self.decay)
        try:
            torch.device(self.device)
        except RuntimeError:
            raise ValueError(f"device must be one that torch knows, got {self.device!r}") from None


@checked
def train(
    network: DeepNetwork,
    x: Float[Array, "n d"],
    y: Float[Array, "n *output"],
    steps: Int[Array, " time"],
    recipe: Descent,
    *,
    generator: torch.Generator,
) -> Trajectory:
    """Descend in batches, and keep the network after the given numbers of steps, with its mean squared error on the data.

    Batches are taken in turn from a permutation of the points, a new one for each pass. A progress bar shows in a
    terminal.

    Raises `ValueError` for no points, values that are not finite, steps that are none, negative or do not increase, or a
    training that diverges.
    """
    return train_together([network], x[None], y[None], steps, recipe, generators=[generator])[0]


@checked
def train_together(
    networks: Sequence[DeepNetwork],
    x: Float[Array, "run n d"],
    y: Float[Array, "run n *output"],
    steps: Int[Array, " time"],
    recipe: Descent,
    *,
    generators: Sequence[torch.Generator],
) -> tuple[Trajectory, ...]:
    """The same for several networks of one shape, each with its own data and order: one batch of matrix products.

    The loss is the sum over networks, so that each learns as if it were alone.

    Raises `ValueError` as `train`, or for another number of networks or generators, or networks that differ in shape,
    precision or activation.
    """
    _alike(networks)
    _clock(steps=steps)
    if not len(networks) == len(generators) == len(x):
        raise ValueError(
            f"networks and generators must be one per run ({len(x)}), got {len(networks)}, {len(generators)}"
        )
    points = torch.stack([one.points(z) for one, z in zip(networks, x)]).to(recipe.device)
    target = torch.stack([targets(one, *data) for one, *data in zip(networks, x, y)]).to(recipe.device)
    stacked = [torch.from_numpy(np.stack(layer)) for layer in zip(*(one.weights for one in networks))]
    weights = [weight.to(recipe.device).requires_grad_() for weight in stacked]
    optimiser = recipe.optimiser(weights, lr=recipe.rate, weight_decay=recipe.decay)
    batches, run = _batches(x.shape[1], recipe.batch, generators), torch.arange(len(x))[:, None]
    states, activation = [], networks[0].activation
    with tqdm(total=int(steps[-1]), desc="networks", unit="step", disable=None, leave=False, delay=2) as bar:
        for before, now in pairwise([0, *steps.tolist()]):
            for _ in range(before, now):
                rows = next(batches)
                optimiser.zero_grad()
                _half_square(forward(weights, activation, points[run, rows])[1], target[run, rows]).sum().backward()
                optimiser.step()
                bar.update()
            if not all(bool(weight.isfinite().all()) for weight in weights):
                raise ValueError(f"rate must be small enough for the training to converge, got {recipe.rate}")
            kept = [weight.detach().cpu().numpy().copy() for weight in weights]
            states.append([DeepNetwork(tuple(layers), activation) for layers in zip(*kept)])
    return tuple(_run(steps.astype(float), path, *data) for path, *data in zip(zip(*states), x, y))


@checked
def gradient_flow(
    network: DeepNetwork,
    x: Float[Array, "n d"],
    y: Float[Array, "n *output"],
    times: Float[Array, " time"],
    decay: float = 0.0,
    precision: float = 1e-8,
) -> Trajectory:
    """W_l' = minus the slope of `penalised_risk`, solved to a relative precision; risk = mean squared error on the data.

    Precision is relative to the larger of a weight and a hundredth of the largest of its layer at the start (of the
    network, for a layer of zeros), so that a tiny start is followed as closely as any other.

    What takes the place of descent with steps so small that they do not matter. For smooth activations and small
    networks, in double precision.

    Raises `ValueError` for no points, values that are not finite, a negative decay, a precision that is not positive, or
    times that are none, negative or do not increase.
    """
    _clock(times=times)
    positive(precision=precision)
    problem = _Problem.of(network, x, y, decay)
    sizes = [float(np.abs(weight).max(initial=0.0)) for weight in problem.like.weights]
    scale = [np.full(weight.size, size or max(sizes) or 1.0) for weight, size in zip(problem.like.weights, sizes)]
    settings: dict[str, Any] = {"method": "DOP853", "rtol": precision, "atol": precision * 1e-2 * np.concatenate(scale)}
    path = flow_at(lambda _, flat: -problem.slope(flat), problem.start, times, **settings)
    return _run(times, [problem.network(flat) for flat in path], x, y)


@checked
def stationary(
    network: DeepNetwork,
    x: Float[Array, "n d"],
    y: Float[Array, "n *output"],
    decay: float,
    tolerance: float = 1e-7,
) -> DeepNetwork:
    """A minimum of `penalised_risk` near the network: the norm of the slope in all weights is below the tolerance.

    L-BFGS, then Newton steps in a trust region with the Hessian in all weights, so for a few hundred weights at most
    and a smooth activation.

    Raises `ValueError` for no points, values that are not finite, a decay or tolerance that is not positive, or if the
    tolerance is not reached.
    """
    positive(decay=decay, tolerance=tolerance)
    problem = _Problem.of(network, x, y, decay)
    settings: dict[str, Any] = {"maxiter": 5000, "gtol": 1e-5, "ftol": 0.0}
    near = minimize(problem.value, problem.start, jac=problem.slope, method="L-BFGS-B", options=settings)
    found = minimize(
        problem.value,
        near.x,
        jac=problem.slope,
        hess=problem.curvature,
        method="trust-exact",
        options={"gtol": tolerance},
    )
    left = float(np.linalg.norm(problem.slope(found.x)))
    if left >= tolerance:
        raise ValueError(f"tolerance must be within reach, got {tolerance}, with a slope of {left:.3g} left")
    return problem.network(found.x)


@dataclass(frozen=True)
class _Problem:
    """The penalised risk as a function of all weights in one vector, in double precision."""

    like: DeepNetwork
    points: Tensor
    target: Tensor
    decay: float

    @classmethod
    def of(cls, network: DeepNetwork, x: Array, y: Array, decay: float) -> "_Problem":
        nonnegative(decay=decay)
        double = replace(network, weights=tuple(w.astype(np.float64) for w in network.weights))
        return cls(double, double.points(x), targets(double, x, y), decay)

    @property
    def start(self) -> Array:
        return np.concatenate([w.ravel() for w in self.like.weights])

    def network(self, flat: Array) -> DeepNetwork:
        return replace(self.like, weights=tuple(w.numpy().copy() for w in self._layers(torch.from_numpy(flat))))

    def value(self, flat: Array) -> float:
        return float(self._objective(torch.from_numpy(flat)))

    def slope(self, flat: Array) -> Array:
        point = torch.tensor(flat, requires_grad=True)
        return torch.autograd.grad(self._objective(point), point)[0].numpy()  # a third of the time of torch.func.grad

    def curvature(self, flat: Array) -> Array:
        return torch.func.hessian(self._objective)(torch.from_numpy(flat)).numpy()

    def _objective(self, flat: Tensor) -> Tensor:
        outputs = forward(self._layers(flat), self.like.activation, self.points)[1]
        return _half_square(outputs, self.target) + self.decay / 2 * flat.square().sum()

    def _layers(self, flat: Tensor) -> list[Tensor]:
        parts = flat.split([w.size for w in self.like.weights])
        return [part.reshape(w.shape) for part, w in zip(parts, self.like.weights)]


def _half_square(outputs: Tensor, target: Tensor) -> Tensor:
    """Mean over points of half the squared distance; one for each run, if there are several."""
    return (outputs - target).square().sum(dim=-1).mean(dim=-1) / 2


def _batches(n: int, batch: int, generators: Sequence[torch.Generator]) -> Iterator[Tensor]:
    """Rows of each batch (run, row), from a permutation of each run's own."""
    while True:
        orders = [torch.randperm(n, generator=one, device=one.device).cpu() for one in generators]
        yield from torch.stack(orders).split(batch, dim=1)


def _run(times: Array, states: Sequence[DeepNetwork], x: Array, y: Array) -> Trajectory:
    risk = [float(np.mean((state.predict(x).reshape(y.shape) - y) ** 2)) for state in states]
    return Trajectory(times, np.array(risk), tuple(states))


def _clock(**arguments: Array) -> None:
    nonnegative(**arguments)
    increasing(**arguments)
    for name, value in arguments.items():
        if len(value) == 0:
            raise ValueError(f"{name} must hold at least one, got none")


def _alike(networks: Sequence[DeepNetwork]) -> None:
    kinds = {(one.activation, tuple((w.shape, w.dtype.name) for w in one.weights)) for one in networks}
    if len(kinds) != 1:
        raise ValueError(f"networks must be of one shape, precision and activation, got {len(kinds)} kinds")
