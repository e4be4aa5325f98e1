"""Ensembles trained all at once in torch: one batch of matrix products over the models where a loop would have many.

The loss is the *sum* over models of each model's mean over its batch, so that a model learns as if it were alone: the
mean over models would divide everybody's learning rate by their number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import cos, pi

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray as Array
from torch import Tensor
from tqdm import tqdm

from afp_utils.core.refuse import checked, finite, nonnegative, positive
from afp_utils.networks.ensembles import Ensemble

Step = Callable[[Tensor, float], None]
"""Moves the parameters, given their gradient and the share of the training that is done."""


@checked
@dataclass(frozen=True)
class Momentum:
    """Gradient descent with momentum and weight decay; the rate falls to 0 as half a cosine.

    Raises `ValueError` for epochs below 0, a batch below 1, a rate that is not positive, or a negative decay.
    """

    epochs: int
    batch: int
    rate: float
    momentum: float = 0.9
    decay: float = 1e-4

    def __post_init__(self) -> None:
        nonnegative(epochs=self.epochs, momentum=self.momentum, decay=self.decay)
        positive(batch=self.batch, rate=self.rate)

    def stepper(self, parameters: Tensor) -> Step:
        velocity = torch.zeros_like(parameters)

        def step(gradient: Tensor, progress: float) -> None:
            torch.add(gradient, velocity, alpha=self.momentum, out=velocity)
            velocity.add_(parameters, alpha=self.decay)
            parameters.add_(velocity, alpha=-self.rate * (1 + cos(pi * progress)) / 2)

        return step


@checked
@dataclass(frozen=True)
class Adam:
    """Adam with its usual constants (0.9, 0.999, 1e-8) at a constant rate.

    Raises `ValueError` for epochs below 0, a batch below 1 or a rate that is not positive.
    """

    epochs: int
    batch: int
    rate: float

    def __post_init__(self) -> None:
        nonnegative(epochs=self.epochs)
        positive(batch=self.batch, rate=self.rate)

    def stepper(self, parameters: Tensor) -> Step:
        first, second, count = torch.zeros_like(parameters), torch.zeros_like(parameters), 0

        def step(gradient: Tensor, progress: float) -> None:
            nonlocal count
            count += 1
            first.lerp_(gradient, 0.1)
            second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            spread = (second / (1 - 0.999**count)).sqrt_().add_(1e-8)
            parameters.addcdiv_(first, spread, value=-self.rate / (1 - 0.9**count))

        return step


Recipe = Momentum | Adam
"""How to descend: number of passes, batch size, and the rule of a step."""


@checked
def fit_labels(
    start: Ensemble,
    x: Float[Array, "model n d"],
    y: Int[Array, "model n"],
    order: Sequence[np.random.Generator],
    recipe: Recipe,
) -> Ensemble:
    """Train every model on its own points and labels, by the cross-entropy of its outputs. In the precision of `x`.

    Batches are taken from a new permutation of each model's points in each pass, drawn from its stream `order`.

    Raises `ValueError` for values that are not finite, labels without an output, another number of models, or a training that
    diverges.
    """
    outputs = start.biases[-1].shape[1]
    if y.size and (y.min() < 0 or y.max() >= outputs):
        raise ValueError(f"y must be from 0 to {outputs - 1}, got {y.min()} to {y.max()}")
    return _descend(start, x, torch.from_numpy(np.eye(outputs, dtype=x.dtype)[y]), order, recipe, _label_slope)


@checked
def fit_values(
    start: Ensemble,
    x: Float[Array, "model n d"],
    y: Float[Array, "model n out"],
    order: Sequence[np.random.Generator],
    recipe: Recipe,
) -> Ensemble:
    """The same for values, by half the squared distance of the outputs.

    Raises `ValueError` for values that are not finite, another number of models or outputs, or a training that diverges.
    """
    finite(y=y)
    outputs = start.biases[-1].shape[1]
    if y.shape[2] != outputs:
        raise ValueError(f"y must have one value per output ({outputs}), got {y.shape[2]}")
    return _descend(start, x, torch.from_numpy(y.astype(x.dtype)), order, recipe, _value_slope)


def _label_slope(output: Tensor, target: Tensor) -> Tensor:
    return torch.softmax(output, dim=2).sub_(target)


def _value_slope(output: Tensor, target: Tensor) -> Tensor:
    return output - target


def _descend(
    start: Ensemble,
    x: Array,
    target: Tensor,
    order: Sequence[np.random.Generator],
    recipe: Recipe,
    slope: Callable[[Tensor, Tensor], Tensor],
) -> Ensemble:
    finite(x=x)
    models, n, _ = x.shape
    if not len(start.biases[0]) == models == len(order):
        raise ValueError(f"x must be given for each model ({len(start.biases[0])}) with its order, got {models}")
    points, first_rows = torch.from_numpy(x).reshape(models * n, -1), n * torch.arange(models)[:, None]
    target = target.reshape(models * n, -1)
    parameters = torch.cat([torch.from_numpy(p.astype(x.dtype)).flatten() for p in (*start.weights, *start.biases)])
    gradient = torch.empty_like(parameters)
    (weights, biases), (down_w, down_b) = (_views(flat, start) for flat in (parameters, gradient))
    step, steps, done = recipe.stepper(parameters), recipe.epochs * -(-n // recipe.batch), 0
    for _ in tqdm(range(recipe.epochs), desc=f"{models} models", unit="pass", disable=None, leave=False):
        rows = (first_rows + torch.from_numpy(np.stack([stream.permutation(n) for stream in order]))).flatten()
        xs, targets = (values[rows].view(models, n, -1) for values in (points, target))
        for first in range(0, n, recipe.batch):
            part = slice(first, first + recipe.batch)
            layers = _forward(xs[:, part], weights, biases, start.leak)
            pull = slope(layers.pop(), targets[:, part]).div_(min(recipe.batch, n - first))
            _backward(pull, layers, weights, (down_w, down_b), start.leak)
            step(gradient, done / steps)
            done += 1
    if not torch.isfinite(parameters).all():
        raise ValueError(f"recipe must keep the weights finite (lower its rate), got {recipe}")
    return Ensemble(tuple(w.numpy().copy() for w in weights), tuple(b.numpy().copy() for b in biases), start.leak)


def _views(flat: Tensor, like: Ensemble) -> tuple[list[Tensor], list[Tensor]]:
    """The layers' weights and biases as windows on one long vector, which an optimiser can move in one go."""
    shapes = [p.shape for p in (*like.weights, *like.biases)]
    parts = flat.split([int(np.prod(shape)) for shape in shapes])
    views = [part.view(shape) for part, shape in zip(parts, shapes)]
    return views[: len(like.weights)], views[len(like.weights) :]


def _forward(x: Tensor, weights: list[Tensor], biases: list[Tensor], leak: float) -> list[Tensor]:
    layers = [x]
    for w, b in zip(weights[:-1], biases[:-1]):
        layers.append(torch.nn.functional.leaky_relu_(torch.baddbmm(b[:, None], layers[-1], w), leak))
    return [*layers, torch.baddbmm(biases[-1][:, None], layers[-1], weights[-1])]


def _backward(
    pull: Tensor, layers: list[Tensor], weights: list[Tensor], down: tuple[list[Tensor], list[Tensor]], leak: float
) -> None:
    """Write the gradient of all layers, given the slope of the loss in the outputs."""
    for index in range(len(weights) - 1, -1, -1):
        torch.bmm(layers[index].transpose(1, 2), pull, out=down[0][index])
        torch.sum(pull, dim=1, out=down[1][index])
        if index:
            pull = torch.bmm(pull, weights[index].transpose(1, 2))
            pull = torch.ops.aten.leaky_relu_backward(pull, layers[index], leak, True)
