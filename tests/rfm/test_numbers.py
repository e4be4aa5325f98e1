"""Numbers are numbers: integers, NumPy's scalars and lists give what floats and arrays give."""

import numpy as np
import pytest

from afp_utils.rfm import estimators, kernels, metrics, modular, predictor, recursion, targets
from afp_utils.rfm.solve import solve, solve_nystrom

X, Y, METRIC = [[0, 1], [2, 0], [1, 3], [4, 4]], [1, 0, 2, 3], [[2, 1], [1, 3]]


def machine(number, array):
    return predictor.Machine(array(X), array(Y), kernels.Laplace(number(2)), array(METRIC))


def fit(number, array, **more):
    settings = {"ridge": number(1), "power": number(2), "updates": 1, "validation": (array(X), array(Y))} | more
    run = recursion.fit(array(X), array(Y), kernel=kernels.Gaussian(number(2)), **settings)
    return run.risk, run.states[-1].metric


CASES = {
    "kernels": lambda number, array: [
        (kind.value(array(METRIC)), kind.slope(array(METRIC)))
        for kind in (
            kernels.Laplace(number(2)),
            kernels.Gaussian(number(2)),
            kernels.GeneralisedLaplace(*[number(1)] * 2),
        )
    ],
    "kernel_matrix": lambda number, array: kernels.kernel_matrix(kernels.Laplace(number(2)), array(X), array(X)),
    "solve": lambda number, array: solve(kernels.Laplace(number(2)), array(X), array(Y), number(1)),
    "solve_nystrom": lambda number, array: solve_nystrom(
        kernels.Laplace(number(2)), array(X), array(Y), array(X[:2]), number(1)
    ),
    "machine": lambda number, array: (machine(number, array).predict(array(X)), machine(number, array).gram(array(X))),
    "gradient": lambda number, array: machine(number, array).gradient(array(X)),
    "agop": lambda number, array: predictor.agop(array(X), array(Y), kernels.Laplace(number(2)), array(METRIC)),
    "fit": fit,
    "fit on centres": lambda number, array: fit(number, array, centres=array(X[:2])),
    "estimator": lambda number, array: (
        estimators.RFMRegressor(ridge=number(1), power=number(1)).fit(array(X), array(Y)).predict(array(X))
    ),
    "powers": lambda number, array: (
        metrics.feature_power(array(METRIC), number(2)),
        metrics.metric_factor(array(METRIC)),
    ),
    "scales": lambda number, array: (metrics.unit_max(array(METRIC)), metrics.unit_trace(array(METRIC))),
    "likeness": lambda number, array: metrics.deviatoric_cosine(array(METRIC), array([[1, 0], [0, 2]])),
    "residuals": lambda number, array: (
        metrics.circulant_residual(array(METRIC)),
        metrics.hankel_residual(array(METRIC)),
    ),
    "block": lambda number, array: modular.structured_block(array(np.diag([1, 2, 3], k=3).tolist()), modular.MULTIPLY),
    "targets": lambda number, array: [f(array(X)) for f in (targets.product, lambda x: targets.staircase(x, 2))],
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize(
    ("number", "array"),
    [(int, list), (np.int64, np.array), (np.float32, lambda rows: np.array(rows, np.int32)), (np.array, np.asarray)],
    ids=["int, list", "int64", "float32, int32", "0-d"],
)
def test_any_kind_of_number_will_do(case, number, array):
    given, plain = case(number, array), case(float, lambda rows: np.array(rows, float))
    for one, other in zip(given, plain) if isinstance(plain, tuple | list) else [(given, plain)]:
        np.testing.assert_allclose(one, other, rtol=1e-14)


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.array])
def test_counts_are_numbers_too(kind):
    run = recursion.fit(X, Y, kernel=kernels.Laplace(1), ridge=1, updates=kind(2))
    assert len(run.states) == 3
    assert modular.primitive_root(kind(7)) == 3
    assert len(modular.table(kind(5), modular.DIVIDE)[0]) == 20
    assert len(modular.split(kind(10), 1 / 2, rng=np.random.default_rng(0))[0]) == 5
    np.testing.assert_array_equal(targets.parity(X, kind(2)), [0, 0, 3, 16])
