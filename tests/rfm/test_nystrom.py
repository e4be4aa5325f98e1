"""Fewer centres than points: by least squares, against the exact machine where they meet, and what is refused."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from afp_utils.rfm import kernels, metrics, recursion
from afp_utils.rfm.solve import solve_nystrom


def sample(n=200, d=5, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, d))
    return x, x[:, 0] * x[:, 1]


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("outputs", [(), (2,)])
def test_solution_is_that_of_least_squares(ridge, outputs):
    x, centres = sample(90)[0] + 3, sample(12, seed=1)[0] + 3
    y, kernel = np.random.default_rng(2).normal(size=(90, *outputs)), kernels.Laplace(3.0)
    root = np.linalg.cholesky(np.exp(-cdist(centres, centres) / 3))
    design = np.vstack([np.exp(-cdist(x, centres) / 3), np.sqrt(ridge) * root.T])
    expected = np.linalg.lstsq(design, np.concatenate([y, np.zeros((12, *outputs))]))[0]
    np.testing.assert_allclose(solve_nystrom(kernel, x, y, centres, ridge), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kernel", [kernels.Laplace(3.0), kernels.GeneralisedLaplace(3.0, 1.3)], ids=str)
def test_with_all_points_as_centres_it_is_the_exact_machine(kernel):
    (x, y), (fresh, _) = sample(), sample(50, seed=1)
    recipe = {"kernel": kernel, "ridge": 0.1, "updates": 2, "power": 0.5, "centred": True}
    exact, other = recursion.fit(x, y, **recipe), recursion.fit(x, y, centres=x, **recipe)
    for one, two in zip(exact.states, other.states):
        np.testing.assert_allclose(two.metric, one.metric, atol=1e-5)
        np.testing.assert_allclose(two.predict(fresh), one.predict(fresh), atol=1e-5)
    np.testing.assert_allclose(other.risk, exact.risk, rtol=1e-3)


def test_it_learns_the_metric_from_all_points():
    (x, y), (fresh, target) = sample(1500, 10), sample(300, 10, 1)
    for dtype in (np.float64, np.float32):
        run = recursion.fit(
            x.astype(dtype),
            y.astype(dtype),
            centres=x[:300].astype(dtype),
            kernel=kernels.Laplace(10.0),
            ridge=1e-3,
            updates=3,
            validation=(fresh, target),
        )
        gradients = run.states[0].gradient(x.astype(dtype))
        np.testing.assert_allclose(run.states[1].metric, metrics.unit_max(gradients.T @ gradients / 1500), atol=1e-5)
        assert run.risk[-1] < 0.5 * run.risk[0]
        assert run.states[-1].coefficients.dtype == np.float64
        assert set(np.argsort(np.diag(run.states[-1].metric))[-2:]) == {0, 1}
    diagonal = recursion.fit(x, y, centres=x[:50], kernel=kernels.Laplace(10.0), ridge=0.1, updates=1, diagonal=True)
    assert np.count_nonzero(diagonal.states[1].metric) == 10
    np.testing.assert_allclose(
        diagonal.risk, [np.mean((state.predict(x) - y) ** 2) for state in diagonal.states], rtol=1e-12
    )


def test_more_outputs_than_centres_and_than_points():
    x, _ = sample(12, 3)
    y = np.random.default_rng(2).normal(size=(12, 20))
    found = solve_nystrom(kernels.Laplace(2.0), x, y, x[:4], 0.1)
    for column, one in zip(found.T, y.T):
        np.testing.assert_allclose(column, solve_nystrom(kernels.Laplace(2.0), x, one, x[:4], 0.1), rtol=1e-10)
    run = recursion.fit(x, y, centres=x[:4], kernel=kernels.Laplace(2.0), ridge=0.1, updates=1)
    slopes = run.states[0].gradient(x).reshape(-1, 3)
    np.testing.assert_allclose(run.states[1].metric, metrics.unit_max(slopes.T @ slopes / 12), rtol=1e-8)


def test_refusals():
    (x, y), recipe = sample(20), {"kernel": kernels.Laplace(1.0), "ridge": 0.1, "updates": 1}
    with pytest.raises(ValueError, match="centres must be finite, got nan"):
        recursion.fit(x, y, centres=x * np.nan, **recipe)
    with pytest.raises(ValueError, match="centres must be not empty"):
        recursion.fit(x, y, centres=x[:0], **recipe)
    with pytest.raises(ValueError, match="numerically positive definite"):
        recursion.fit(x, y, centres=np.repeat(x[:3], 2, axis=0), **recipe)
    with pytest.raises(ValueError, match="updates must be at least 0"):
        recursion.fit(x, y, centres=x, **recipe | {"updates": -1})
    with pytest.raises(TypeError):
        recursion.fit(x, y, centres=x[:, :3], **recipe)
