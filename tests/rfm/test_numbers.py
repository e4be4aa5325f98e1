"""Numbers are numbers: lists, integers and NumPy's scalars give what floating-point numbers give."""

import numpy as np
import pytest

from afp_utils.rfm import kernels, metrics, modular, predictor, recursion, targets
from afp_utils.rfm.estimators import RFMRegressor
from afp_utils.rfm.solve import solve, solve_nystrom
from tests.forms import FORMS, in_form, same

X, Y = np.array([[0.0, 1.0], [2.0, 0.0], [1.0, 3.0], [4.0, 4.0]]), np.array([1.0, 0.0, 2.0, 3.0])
METRIC, BLOCKS = np.array([[2.0, 1.0], [1.0, 3.0]]), np.diag([1.0, 2.0, 3.0], k=3)
GAUSSIAN = kernels.Gaussian(2.0)


def of_kernel(*bandwidth_and_exponent):
    kernel = kernels.GeneralisedLaplace(*bandwidth_and_exponent[:-1])
    return kernel.value(bandwidth_and_exponent[-1]), kernel.slope(bandwidth_and_exponent[-1])


def asked(name):
    return lambda *parts: getattr(predictor.Machine(*parts[:2], GAUSSIAN, parts[2]), name)(parts[3])


def fit(x, y, ridge, power, updates):
    run = recursion.fit(x, y, kernel=GAUSSIAN, ridge=ridge, power=power, updates=updates, validation=(x, y))
    return run.risk, run.states[-1].metric


def fit_on_centres(x, y, centres, ridge):
    run = recursion.fit(x, y, kernel=GAUSSIAN, ridge=ridge, updates=1, centres=centres)
    return run.risk, run.states[-1].metric


CALLS = {
    "GeneralisedLaplace": (of_kernel, (2.0, 1.0, METRIC)),
    "Laplace": (lambda bandwidth, square: kernels.Laplace(bandwidth).value(square), (2.0, METRIC)),
    "Gaussian": (lambda bandwidth, square: kernels.Gaussian(bandwidth).slope(square), (2.0, METRIC)),
    "kernel_matrix": (lambda *both: kernels.kernel_matrix(GAUSSIAN, *both), (X, X[:2])),
    "solve": (lambda *given: solve(GAUSSIAN, *given), (X, Y, 1.0)),
    "solve_nystrom": (lambda *given: solve_nystrom(GAUSSIAN, *given), (X, Y, X[:2], 1.0)),
    "predict": (asked("predict"), (X, Y, METRIC, X)),
    "gradient": (asked("gradient"), (X, Y, METRIC, X)),
    "gram": (asked("gram"), (X, Y, METRIC, X)),
    "agop": (lambda x, y, metric: predictor.agop(x, y, GAUSSIAN, metric), (X, Y, METRIC)),
    "fit": (fit, (X, Y, 1.0, 2.0, 2)),
    "fit on centres": (fit_on_centres, (X, Y, X[:2], 1.0)),
    "RFMRegressor": (
        lambda x, y, ridge, power: RFMRegressor(None, ridge, 2, power).fit(x, y).predict(x),
        (X, Y, 1.0, 1.0),
    ),
    "feature_power": (metrics.feature_power, (METRIC, 2.0)),
    "metric_factor": (metrics.metric_factor, (METRIC,)),
    "unit_max": (metrics.unit_max, (METRIC,)),
    "unit_trace": (metrics.unit_trace, (METRIC,)),
    "deviatoric_cosine": (metrics.deviatoric_cosine, (METRIC, np.diag([1.0, 2.0]))),
    "circulant_residual": (metrics.circulant_residual, (METRIC,)),
    "hankel_residual": (metrics.hankel_residual, (METRIC,)),
    "structured_block": (lambda metric: modular.structured_block(metric, modular.MULTIPLY), (BLOCKS,)),
    "table": (lambda p: modular.table(p, modular.DIVIDE), (5,)),
    "split": (lambda pairs: modular.split(pairs, 0.5, rng=np.random.default_rng(0)), (10,)),
    "primitive_root": (modular.primitive_root, (7,)),
    "logarithmic_order": (modular.logarithmic_order, (7,)),
    "random_metric": (lambda p: modular.random_metric(p, modular.ADD, rng=np.random.default_rng(0)), (5,)),
    "product": (targets.product, (X,)),
    "parity": (targets.parity, (X, 2)),
    "staircase": (targets.staircase, (X, 2)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("function", "arguments"), CALLS.values(), ids=CALLS)
def test_numbers_are_numbers_in_every_form(function, arguments, form):
    assert same(function(*in_form(arguments, form)), function(*arguments))
