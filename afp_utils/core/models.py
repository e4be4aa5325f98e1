"""What every mechanism produces and what every measure sees: models in time, looked at through one probe.

Features are defined only up to rotation, so their Gram matrix on fixed points is the common currency. A model at one
time answers four questions (`Model`); a mechanism returns models along a path (`Trajectory`); `observe` asks all of
them the same questions on the same points (`Probe`) and stacks the answers (`Observation`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.linalg import polar

from afp_utils.core.refuse import FINITE, INCREASING, NONNEGATIVE, SOME, NonNegative, checked

Points = Annotated[Float[Array, "n d"], FINITE]
Values = Annotated[Float[Array, " n"], FINITE]


@runtime_checkable
class Model(Protocol):
    """A predictor frozen at one time, asked at `n` points of `d` coordinates."""

    def predict(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Value of the predictor at each point."""
        ...

    def gradient(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Gradient of the predictor with respect to its input, at each point."""
        ...

    def gram(self, x: Float[Array, "n d"]) -> Float[Array, "n n"]:
        """Inner products of the features that the readout sees."""
        ...

    def tangent(self, x: Float[Array, "n d"]) -> Float[Array, "n n"]:
        """Neural tangent kernel: inner products of parameter gradients; equals `gram` if only the readout is trained."""
        ...


def refuse_dimension(x: Array, dimension: int) -> None:
    """Refuse points that have another number of coordinates than a model.

    Raises `ValueError`.
    """
    if (found := np.shape(x)[-1]) != dimension:
        raise ValueError(f"x must have {dimension} coordinates, got {found}")


@checked
@dataclass(frozen=True)
class Trajectory:
    """A model at increasing times, with its risk (mean squared error to the target of the mechanism) at each.

    The clock is the mechanism's own: flow time, steps or iterations. Across mechanisms compare first and last states,
    or curves against risk.

    Raises `ValueError` if there is not one state per time.
    """

    time: Annotated[Float[Array, " time"], INCREASING]
    risk: Annotated[Float[Array, " time"], NONNEGATIVE]
    states: tuple[Model, ...]

    def __post_init__(self) -> None:
        if len(self.states) != len(self.time):
            raise ValueError(f"states must be one per time ({len(self.time)}), got {len(self.states)}")


@checked
@dataclass(frozen=True)
class Probe:
    """Fixed points at which models are compared, with the target there.

    `x` is white, `x.T @ x / n = I`, so that a linear model's features keep their population geometry on finitely many
    points. `noise` is the variance of one estimated coefficient: sigma^2 / sample size from white training points.

    Raises `ValueError` if `x` is not white.
    """

    x: Points
    target: Values
    target_gradient: Points
    noise: NonNegative

    def __post_init__(self) -> None:
        n, d = self.x.shape
        error = float(np.abs(self.x.T @ self.x / n - np.eye(d)).max())
        if error > 1e-8:
            raise ValueError(f"x must be white (x.T @ x / n = I, use white(x)), got a deviation of {error:.3g}")


@checked
@dataclass(frozen=True)
class Observation:
    """The answers of all states of all runs on one probe. Leading axes: run, time."""

    probe: Probe
    time: Float[Array, "run time"]
    risk: Float[Array, "run time"]
    prediction: Float[Array, "run time n"]
    gradient: Float[Array, "run time n d"]
    gram: Float[Array, "run time n n"]
    tangent: Float[Array, "run time n n"]


@checked
def observe(runs: Annotated[Sequence[Trajectory], SOME], probe: Probe) -> Observation:
    """Ask every state of every run the four questions of `Model` at the points of the probe.

    Raises `ValueError` if the runs have different numbers of states.

    >>> from afp_utils.sequence.flows import gradient_flow
    >>> x = white([[1, 0], [-1, 0], [0, 1], [0, -1]])
    >>> probe = Probe(x, target=x[:, 0], target_gradient=[[1, 0]] * 4, noise=0.1)
    >>> seen = observe([gradient_flow([1, 0], [0.1, 0.1], times=[0, 5])], probe)
    >>> seen.gram.shape  # run, time, point, point
    (1, 2, 4, 4)
    """
    lengths = {len(run.states) for run in runs}
    if len(lengths) > 1:
        raise ValueError(f"runs must have the same number of states, got {sorted(lengths)}")

    def answers(question: Callable[[Model], Array]) -> Array:
        return np.stack([np.stack([question(state) for state in run.states]) for run in runs])

    return Observation(
        probe=probe,
        time=np.stack([run.time for run in runs]),
        risk=np.stack([run.risk for run in runs]),
        prediction=answers(lambda state: state.predict(probe.x)),
        gradient=answers(lambda state: state.gradient(probe.x)),
        gram=answers(lambda state: state.gram(probe.x)),
        tangent=answers(lambda state: state.tangent(probe.x)),
    )


@checked
def white(x: Points) -> Float[Array, "n d"]:
    """The white points nearest to `x`: `x (x^T x / n)^(-1/2)`, so that `x.T @ x / n = I`.

    Raises `ValueError` if the columns of `x` are linearly dependent (always so when n < d).

    >>> x = white([[3, 1], [1, 4], [2, 2]])
    >>> bool(np.allclose(x.T @ x / 3, np.eye(2)))
    True
    """
    n, d = x.shape
    rank = int(np.linalg.matrix_rank(x))
    if rank < d:
        raise ValueError(f"x must have linearly independent columns ({d}), got rank {rank} from {n} points")
    return np.sqrt(n) * polar(x)[0]  # by singular values: forming x^T x would square the condition number
