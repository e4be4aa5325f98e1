"""Where the training of one network leads in continuous time, and where nothing moves any more."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy import ndarray as Array
from scipy.optimize import minimize
from torch import Tensor

from afp_utils.core.flow import flow_at
from afp_utils.core.models import Trajectory
from afp_utils.core.refuse import NonNegative, Positive, Times, checked
from afp_utils.networks.descent import Flat, data, half_square, trajectory
from afp_utils.networks.mlp import Data, Network, Parts, Values


@checked
def penalised_risk(network: Network, x: Data, y: Values, decay: NonNegative = 0.0) -> tuple[float, Parts]:
    """mean_i |f(x_i) - y_i|^2 / 2 + (decay / 2) |parameters|^2, and its slope in each W_l, then in each b_l."""
    flat, risk, slope = _penalised(network, x, y, decay)
    slopes = flat.network(torch.from_numpy(slope(flat.start.numpy())))
    return float(risk(flat.start)), (*slopes.weights, *slopes.biases)


@checked
def gradient_flow(
    network: Network, x: Data, y: Values, times: Times, decay: NonNegative = 0.0, precision: Positive = 1e-8
) -> Trajectory:
    """W_l' = minus the slope of `penalised_risk`, over alpha^2 if the network has an alpha; risk = mean squared error.

    Precision is relative to the larger of a parameter and a hundredth of the largest of its layer at the start (of the
    network, for a layer of zeros), so that a tiny start is followed as closely as any other.

    In double precision. The kinks of RELU cost many steps: for such networks see `descent.controlled_flow`.

    >>> from afp_utils.networks.mlp import IDENTITY
    >>> run = gradient_flow(Network(([[0]],), IDENTITY), [[1], [-1]], [1, -1], times=[0, np.log(2)])
    >>> [round(float(state.weights[0][0, 0]), 3) for state in run.states]  # w' = 1 - w
    [0.0, 0.5]
    """
    flat, _, slope = _penalised(network, x, y, decay)
    pace, parts = (network.alpha or 1.0) ** 2, (*network.weights, *network.biases)
    sizes = [float(np.abs(part).max(initial=0.0)) for part in parts]
    scale = np.concatenate([np.full(part.size, size or max(sizes) or 1.0) for part, size in zip(parts, sizes)])
    # a rule of high order, since the precision is high
    settings: dict[str, Any] = {"method": "DOP853", "rtol": precision, "atol": precision * 1e-2 * scale}
    path = flow_at(lambda _, vector: -slope(vector) / pace, flat.start.numpy(), times, **settings)
    return trajectory(times, [flat.network(torch.from_numpy(vector)) for vector in path], x, y)


@checked
def stationary(network: Network, x: Data, y: Values, decay: Positive, tolerance: Positive = 1e-7) -> Network:
    """A minimum of `penalised_risk` near the network: the norm of the slope in all parameters is below the tolerance.

    L-BFGS, then Newton steps in a trust region with the Hessian in all parameters, so for a few hundred of them at most
    and a smooth activation.

    Raises `ValueError` if the tolerance is not reached.

    >>> from afp_utils.networks.mlp import IDENTITY
    >>> end = stationary(Network(([[0]],), IDENTITY), [[1], [-1]], [1, -1], decay=1)
    >>> round(float(end.weights[0][0, 0]), 3)  # the least of ((w - 1)^2 + w^2) / 2
    0.5
    """
    flat, risk, slope = _penalised(network, x, y, decay)

    def least(start: Array, **settings: Any) -> Array:
        return minimize(lambda vector: float(risk(torch.from_numpy(vector))), start, jac=slope, **settings).x

    hessian = torch.func.hessian(risk)
    # ftol 0: a valley that is nearly flat is no minimum; Newton steps then gain the digits that L-BFGS cannot
    near = least(flat.start.numpy(), method="L-BFGS-B", options={"maxiter": 5000, "gtol": 1e-5, "ftol": 0.0})
    end = least(near, method="trust-exact", hess=lambda at: hessian(torch.from_numpy(at)).numpy(), tol=tolerance)
    left = float(np.linalg.norm(slope(end)))
    if left >= tolerance:
        raise ValueError(f"tolerance must be within reach, got {tolerance}, with a slope of {left:.3g} left")
    return flat.network(torch.from_numpy(end))


def _penalised(
    network: Network, x: Array, y: Array, decay: float
) -> tuple[Flat, Callable[[Tensor], Tensor], Callable[[Array], Array]]:
    """The network in one vector of double precision, and the penalised risk and its slope as functions of that vector."""
    flat, points, target = Flat(network, np.dtype(float)), *data(network, x, y, np.dtype(float))

    def risk(vector: Tensor) -> Tensor:
        outputs = flat.forward(vector, points).outputs
        return half_square(outputs, target)[0].mean() + decay / 2 * vector.square().sum()

    def slope(vector: Array) -> Array:
        seen = flat.forward(torch.from_numpy(vector), points)
        return flat.backward(seen, (seen.outputs - target) / len(x)).numpy() + decay * vector

    return flat, risk, slope
