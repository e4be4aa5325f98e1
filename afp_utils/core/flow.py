"""Where a flow stands at given times."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from numpy import ndarray as Array
from scipy.integrate import solve_ivp

from afp_utils.core.refuse import Times, checked


@checked
def flow_at(
    velocity: Callable[[float, Array], Array], start: Float[Array, " k"], times: Times, **solver: Any
) -> Float[Array, "time k"]:
    """The flow that stands at `start` at time 0, at the given times: one row each. The settings are SciPy's.

    `velocity` maps (time, y) to dy / dt, both of the shape of `start`. Raises `ValueError` if the solver does not reach
    the last time.

    >>> import numpy as np
    >>> path = flow_at(lambda time, y: -y, [1.0, 2.0], [0.0, np.log(2)], rtol=1e-8)
    >>> path.round(3).tolist()
    [[1.0, 2.0], [0.5, 1.0]]
    """
    end = float(times[-1]) or 1.0  # if only time 0 is asked for, the solver still needs somewhere to go
    flow = solve_ivp(velocity, (0.0, end), start, t_eval=times, **solver)
    if not flow.success:
        raise ValueError(f"times must be within reach of the solver, got {times[-1]}: {flow.message}")
    return flow.y.T
