"""Where the training of one network leads in continuous time, and where nothing moves any more."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.optimize import minimize
from torch import Tensor

from afp_utils._checks import checked, nonnegative, positive
from afp_utils._flow import flow_at
from afp_utils.networks.descent import Flat, clock, data, half_square, trajectory
from afp_utils.networks.mlp import Network
from afp_utils.trajectory import Trajectory


@checked
def penalised_risk(
    network: Network, x: Float[Array, "n d"], y: Float[Array, "n *output"], decay: float = 0.0
) -> tuple[float, tuple[Float[Array, "..."], ...]]:
    """mean_i |f(x_i) - y_i|^2 / 2 + (decay / 2) |parameters|^2, and its slope in each W_l, then in each b_l.

    Raises `ValueError` for no points, values that are not finite, or a negative decay.
    """
    problem = _Problem.of(network, x, y, decay)
    slopes = problem.network(problem.slope(problem.start))
    return problem.value(problem.start), (*slopes.weights, *slopes.biases)


@checked
def gradient_flow(
    network: Network,
    x: Float[Array, "n d"],
    y: Float[Array, "n *output"],
    times: Float[Array, " time"],
    decay: float = 0.0,
    precision: float = 1e-8,
) -> Trajectory:
    """W_l' = minus the slope of `penalised_risk`, over alpha^2 if the network has an alpha; risk = mean squared error.

    Precision is relative to the larger of a parameter and a hundredth of the largest of its layer at the start (of the
    network, for a layer of zeros), so that a tiny start is followed as closely as any other.

    What takes the place of descent with steps so small that they do not matter, in double precision. The kinks of RELU
    cost many steps: ask for less precision there.

    Raises `ValueError` for no points, values that are not finite, a negative decay, a precision that is not positive, or
    times that are none, negative or do not increase.
    """
    clock(times=times)
    positive(precision=precision)
    problem, pace = _Problem.of(network, x, y, decay), (network.alpha or 1.0) ** 2
    parts = (*network.weights, *network.biases)
    sizes = [float(np.abs(part).max(initial=0.0)) for part in parts]
    scale = np.concatenate([np.full(part.size, size or max(sizes) or 1.0) for part, size in zip(parts, sizes)])
    settings: dict[str, Any] = {"method": "DOP853", "rtol": precision, "atol": precision * 1e-2 * scale}
    path = flow_at(lambda _, vector: -problem.slope(vector) / pace, problem.start, times, **settings)
    return trajectory(times, [problem.network(vector) for vector in path], x, y)


@checked
def stationary(
    network: Network,
    x: Float[Array, "n d"],
    y: Float[Array, "n *output"],
    decay: float,
    tolerance: float = 1e-7,
) -> Network:
    """A minimum of `penalised_risk` near the network: the norm of the slope in all parameters is below the tolerance.

    L-BFGS, then Newton steps in a trust region with the Hessian in all parameters, so for a few hundred of them at most
    and a smooth activation.

    Raises `ValueError` for no points, values that are not finite, a decay or tolerance that is not positive, or if the
    tolerance is not reached.
    """
    positive(decay=decay, tolerance=tolerance)
    problem = _Problem.of(network, x, y, decay)
    risk: dict[str, Any] = {"fun": problem.value, "jac": problem.slope}
    options: dict[str, Any] = {"maxiter": 5000, "gtol": 1e-5, "ftol": 0.0}
    near = minimize(x0=problem.start, method="L-BFGS-B", options=options, **risk).x
    end = minimize(x0=near, method="trust-exact", hess=problem.curvature, options={"gtol": tolerance}, **risk).x
    left = float(np.linalg.norm(problem.slope(end)))
    if left >= tolerance:
        raise ValueError(f"tolerance must be within reach, got {tolerance}, with a slope of {left:.3g} left")
    return problem.network(end)


@dataclass(frozen=True)
class _Problem:
    """The penalised risk as a function of all parameters in one vector, in double precision."""

    flat: Flat
    points: Tensor
    target: Tensor
    decay: float

    @classmethod
    def of(cls, network: Network, x: Array, y: Array, decay: float) -> "_Problem":
        nonnegative(decay=decay)
        return cls(Flat(network, np.dtype(float)), *data(network, x, y, np.dtype(float)), decay)

    @property
    def start(self) -> Array:
        return self.flat.start.numpy()

    def network(self, vector: Array) -> Network:
        return self.flat.network(torch.from_numpy(vector))

    def value(self, vector: Array) -> float:
        return float(self._objective(torch.from_numpy(vector)))

    def slope(self, vector: Array) -> Array:
        seen = self.flat.forward(torch.from_numpy(vector), self.points)
        down = self.flat.backward(seen, half_square(seen.outputs, self.target)[1] / len(self.points))
        return down.numpy() + self.decay * vector

    def curvature(self, vector: Array) -> Array:
        return torch.func.hessian(self._objective)(torch.from_numpy(vector)).numpy()

    def _objective(self, vector: Tensor) -> Tensor:
        outputs = self.flat.forward(vector, self.points).outputs
        return half_square(outputs, self.target)[0].mean() + self.decay / 2 * vector.square().sum()
