"""Numbers are numbers: lists, integers and NumPy's scalars give what floating-point numbers give."""

import numpy as np
import pytest

from afp_utils.linear import models, paths, phases, solution
from tests.forms import FORMS, in_form, same

SIX = (2.0, 1.0, 4.0, 2.0, 1.0, 3.0)
U, W, TIMES = np.array([1.0, 2.0]), np.array([0.0, 1.0]), np.array([0.0, 1.0, 3.0])
BOTH, MOMENT = np.array([[1.0, 0.0], [2.0, 1.0]]), np.array([[2.0, 0.0], [0.0, 1.0]])


def of_problem(function):
    return lambda six, *rest: function(solution.Problem(*six), *rest)


CALLS = {
    "Problem": (solution.Problem, SIX),
    "exact": (of_problem(solution.exact), (SIX, U, W, TIMES)),
    "limit": (of_problem(solution.limit), (SIX, U, W)),
    "time_to_slope": (of_problem(solution.time_to_slope), (SIX, U, W, 2.0)),
    "parts": (of_problem(solution.parts), (SIX, U, W)),
    "invariants": (of_problem(solution.invariants), (SIX, U, W)),
    "height": (of_problem(solution.height), (SIX, U, W)),
    "alignment": (solution.alignment, (3.0, 4.0)),
    "alignment of arrays": (solution.alignment, (U, W)),
    "split": (solution.split, (3.0, 4.0)),
    "split of arrays": (solution.split, (U, W)),
    "at_slope": (of_problem(paths.at_slope), (SIX, U, W, np.array([2.0, 3.0]))),
    "time_under_loss": (of_problem(paths.time_under_loss), (SIX, U, W, 2.0, lambda slope: 1 - slope)),
    "gradient_descent": (of_problem(paths.gradient_descent), (SIX, U, W, np.array([0.0, 1.0]))),
    "Exponents": (phases.Exponents, (1.0, -1.0, 0.0, 0.0, 1.0, 1.0)),
    "phase": (lambda *powers: phases.phase(phases.Exponents(*powers)), (1.0, -1.0, 0.0, 0.0, 1.0, 1.0)),
    "at": (lambda size: tuple(phases.Exponents(gamma=-2).at(size).values()), (4.0,)),
    "LinearNet": (models.LinearNet, (U, BOTH, 2.0)),
    "one_direction": (of_problem(models.one_direction), (SIX, U, BOTH, np.array([0.0, 1.0]), TIMES)),
    "gradient_flow": (
        lambda gamma, *rest: models.gradient_flow(*rest, gamma=gamma),
        (2.0, U, BOTH, MOMENT, np.array([1.0, 1.0]), TIMES),
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("function", "arguments"), CALLS.values(), ids=CALLS)
def test_numbers_are_numbers_in_every_form(function, arguments, form):
    assert same(function(*in_form(arguments, form)), function(*arguments))
