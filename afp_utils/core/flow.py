"""Where a flow stands at given times."""

from collections.abc import Callable
from typing import Any

from numpy import ndarray as Array
from scipy.integrate import solve_ivp


def flow_at(velocity: Callable[[float, Array], Array], start: Array, times: Array, **solver: Any) -> Array:
    """The flow that stands at `start` at time 0, at the given times: one row each. The settings are SciPy's.

    Raises `ValueError` if the solver does not reach the last time.
    """
    end = float(times[-1]) or 1.0  # if only time 0 is asked for, the solver still needs somewhere to go
    flow = solve_ivp(velocity, (0.0, end), start, t_eval=times, **solver)
    if not flow.success:
        raise ValueError(f"times must be within reach of the solver, got {times[-1]}: {flow.message}")
    return flow.y.T
