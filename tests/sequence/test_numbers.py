"""Numbers are numbers: lists, integers and NumPy's scalars give what floating-point numbers give."""

import numpy as np
import pytest

from afp_utils.sequence import flows, rates
from tests.forms import FORMS, in_form, same

Z, EIGENVALUES, TIMES = np.array([1.0, -2.0, 0.0]), np.array([1.0, 2.0, 1.0]), np.array([0.0, 1.0, 3.0])


def of_law(function):
    return lambda law, *rest: function(rates.PowerLaw(*law), *rest)


def flow(z, eigenvalues, times, depth, b0):
    run = flows.gradient_flow(z, eigenvalues, times, depth=depth, b0=b0, truth=z)
    return run.risk, run.states


CALLS = {
    "Diagonal": (flows.Diagonal, (Z, Z, Z, 2)),
    "signal": (flows.signal, (3.0, 2.0, 9)),
    "gradient_flow": (flow, (Z, EIGENVALUES, TIMES, 0, 1.0)),
    "gradient_flow, deep": (flow, (Z, EIGENVALUES, TIMES, 2, 1.0)),
    "vanilla_flow": (flows.vanilla_flow, (Z, EIGENVALUES, TIMES)),
    "half_time": (flows.half_time, (Z[:2], EIGENVALUES[:2])),
    "eigenvalue_law": (flows.eigenvalue_law, (Z, 1)),
    "PowerLaw": (rates.PowerLaw, (1.0, 2.0, 3.0, 50.0)),
    "expected_risk": (of_law(rates.expected_risk), ((1.0, 2.0, 3.0, 50.0), 1.0, TIMES)),
    "vanilla_risk": (of_law(rates.vanilla_risk), ((1.0, 2.0, 3.0, 50.0), 1.0, TIMES)),
    "ideal_risk": (rates.ideal_risk, (Z, 1.0)),
    "monotone_risk": (rates.monotone_risk, (EIGENVALUES, Z, 1.0)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("function", "arguments"), CALLS.values(), ids=CALLS)
def test_numbers_are_numbers_in_every_form(function, arguments, form):
    assert same(function(*in_form(arguments, form)), function(*arguments))
