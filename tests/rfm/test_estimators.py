"""scikit-learn's own checks, bundled data, the choice of the update, a planted leak, and what is refused."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from afp_utils.rfm import estimators, kernels, metrics, recursion


@parametrize_with_checks([estimators.RFMRegressor(), estimators.RFMClassifier()])
def test_scikit_learn_accepts(estimator, check):
    check(estimator)


def sample(n, d=8, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, d))
    return x, x[:, 0] * x[:, 1]


def test_regressor_is_the_machine_with_the_chosen_number_of_updates():
    (x, y), (fresh, target) = sample(500), sample(300, seed=1)
    found = estimators.RFMRegressor(kernels.Laplace(5.0), random_state=0).fit(x, y + 7)
    assert found.n_iter_ >= 2
    run = recursion.fit(x, y - y.mean(), kernel=kernels.Laplace(5.0), ridge=1e-3, updates=found.n_iter_)
    np.testing.assert_allclose(found.predict(fresh), run.states[-1].predict(fresh) + y.mean() + 7, atol=1e-8)
    plain = estimators.RFMRegressor(kernels.Laplace(5.0), updates=0).fit(x, y)
    assert found.score(fresh, target + 7) > plain.score(fresh, target) + 0.1


def test_update_zero_is_chosen_where_features_mislead():
    x = np.sign(np.random.default_rng(0).normal(size=(400, 20)))
    assert estimators.RFMRegressor(kernels.Laplace(5.0), random_state=0).fit(x, x[:, :4].prod(axis=1)).n_iter_ == 0


def test_without_held_out_rows_all_updates_are_made():
    x, y = sample(60)
    assert estimators.RFMRegressor(validation_fraction=0.0, updates=2).fit(x, y).n_iter_ == 2
    assert estimators.RFMRegressor(updates=3).fit(x[:4], y[:4]).n_iter_ == 3


def test_held_out_rows_choose_the_update_and_nothing_else(monkeypatch):
    """Neither the mean of the target nor the metric sees them; the rest is fitted on all rows."""
    calls = []

    def noted(x, y, **rest):
        calls.append((x, y, rest))
        return recursion.fit(x, y, **rest)

    monkeypatch.setattr(estimators, "fit", noted)
    x, y = sample(60)
    estimators.RFMRegressor(random_state=3, updates=1).fit(x, y + np.arange(60))
    (kept, target, rest), (everything, _, again) = calls
    out, held = rest["validation"]
    assert (len(kept), len(out)) == (48, 12)
    np.testing.assert_array_equal(np.sort(np.concatenate([kept, out]), axis=0), np.sort(x, axis=0))
    assert abs(target.mean()) < 1e-12
    assert abs(held.mean()) > 1
    np.testing.assert_array_equal(everything, x)
    assert "validation" not in again


def test_settings_are_those_of_fit():
    x, y = sample(80)
    settings = {"centred": True, "diagonal": True, "normalise": metrics.unit_trace, "power": 0.5}
    for change in ({}, {"centred": False}, {"diagonal": False}, {"normalise": metrics.unnormalised}, {"power": 1.0}):
        found = estimators.RFMRegressor(
            kernels.Laplace(5.0), updates=2, validation_fraction=0.0, **settings | change
        ).fit(x, y)
        recipe = {"kernel": kernels.Laplace(5.0), "ridge": 1e-3, "updates": 2} | settings | change
        run = recursion.fit(x, y - y.mean(), **recipe)
        np.testing.assert_allclose(found.machine_.metric, run.states[-1].metric, atol=1e-12)
        assert clone(found).get_params()["normalise"] is recipe["normalise"]


def test_constant_columns_and_repeated_rows_just_work():
    x, y = (np.repeat(a, 2, axis=0) for a in sample(60))
    x = np.hstack([x, np.full((120, 1), 1e3), np.zeros((120, 1))])
    assert estimators.RFMRegressor(kernels.Laplace(5.0), random_state=0).fit(x, y).score(x, y) > 0.99
    labels = np.where(y > 0, "up", "down")
    assert estimators.RFMClassifier(kernels.Laplace(5.0), random_state=0).fit(x, labels).score(x, labels) > 0.99


def test_several_outputs():
    x, y = sample(80)
    both = estimators.RFMRegressor(validation_fraction=0.0).fit(x, np.stack([y, 2 * y - 1], axis=1)).predict(x[:5])
    np.testing.assert_allclose(both[:, 1], 2 * both[:, 0] - 1, atol=1e-9)


def test_tables_that_come_with_scikit_learn():
    iris = make_pipeline(StandardScaler(), estimators.RFMClassifier(random_state=0))
    assert cross_val_score(iris, *load_iris(return_X_y=True), cv=5).mean() > 0.91
    diabetes = make_pipeline(StandardScaler(), estimators.RFMRegressor(ridge=1.0, random_state=0))
    assert cross_val_score(diabetes, *load_diabetes(return_X_y=True), cv=5).mean() > 0.42


def test_search_over_its_settings():
    x, y = sample(120)
    grid = {"kernel": [kernels.Laplace(5.0), kernels.Gaussian(5.0)], "ridge": [1e-3, 1.0]}
    found = GridSearchCV(estimators.RFMRegressor(updates=1, random_state=0), grid, cv=2).fit(x, y)
    assert found.best_params_["ridge"] == 1e-3
    assert clone(found.best_estimator_).get_params()["kernel"] == found.best_params_["kernel"]


def test_a_metric_learned_on_test_points_earns_points_on_noise_and_ours_does_not():
    """Random labels: accuracy above chance is a leak, whether by the metric or by the choice of the update."""
    honest, leaked = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        x, labels = rng.normal(size=(200, 20)), np.repeat([0, 1], 100)
        rng.shuffle(labels)
        signs = 2.0 * labels - 1
        factor = recursion.fit(x, signs, kernel=kernels.Laplace(10.0), ridge=0.1, updates=3).states[-1].factor
        recipe = {"kernel": kernels.Laplace(10.0), "ridge": 0.1, "updates": 0, "validation_fraction": 0.0}
        learner = estimators.RFMClassifier(kernels.Laplace(10.0), ridge=0.1, updates=3, random_state=seed)
        honest.append(cross_val_score(learner, x, labels, cv=4).mean())
        leaked.append(cross_val_score(estimators.RFMClassifier(**recipe), x @ factor, labels, cv=4).mean())
    # 2400 labels: the standard error of an accuracy at chance is about 0.01
    assert np.mean(honest) == pytest.approx(0.5, abs=0.03)
    assert np.mean(leaked) > 0.53


def test_refusals():
    x, y = sample(30)
    with pytest.raises(ValueError, match=r"validation_fraction must lie in \[0, 1\), got 1.0"):
        estimators.RFMRegressor(validation_fraction=1.0).fit(x, y)
    with pytest.raises(ValueError, match="ridge must be non-negative and finite, got -1"):
        estimators.RFMRegressor(ridge=-1).fit(x, y)
    with pytest.raises(ValueError, match="updates must be at least 0, got -2"):
        estimators.RFMRegressor(updates=-2).fit(x, y)
    with pytest.raises(ValueError, match=r"y must hold at least 2 classes, got 1 class: np.float64\(1.0\)"):
        estimators.RFMClassifier().fit(x, np.ones(30))
    with pytest.raises(ValueError, match="power must be positive and finite, got 0"):
        estimators.RFMRegressor(power=0).fit(x, y)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        estimators.RFMRegressor().fit(x * np.nan, y)
    with pytest.raises(ValueError, match="Input y contains infinity"):
        estimators.RFMRegressor().fit(x, y + np.inf)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        estimators.RFMRegressor().fit(x, y[:9])


def test_of_equal_held_out_risks_the_fewest_updates_are_made():
    x, y = sample(60)
    flat = estimators.RFMRegressor(random_state=0).fit(x, np.zeros(60))  # every update has the risk 0
    assert flat.n_iter_ == 0
    usual = estimators.RFMRegressor().get_params()
    assert usual == {
        "kernel": None,
        "ridge": 1e-3,
        "updates": 5,
        "power": 1.0,
        "validation_fraction": 0.2,
        "random_state": None,
        "centred": False,
        "diagonal": False,
        "normalise": metrics.unit_max,
    }
    one, other = (estimators.RFMRegressor(kernel, random_state=0).fit(x, y) for kernel in (None, kernels.Laplace(10.0)))
    np.testing.assert_array_equal(one.predict(x), other.predict(x))


@pytest.mark.parametrize("fraction", [0.0, 0.2])
def test_a_repeated_row_is_named_as_the_caller_counts(fraction):
    """Which rows are held out is drawn; of the others the factor sees one of the two after the other."""
    x = np.random.default_rng(0).normal(size=(60, 3))
    x[59] = x[7]
    found = estimators.RFMRegressor(ridge=0.0, validation_fraction=fraction, random_state=1)
    with pytest.raises(ValueError, match="numerically positive definite.* at point (7|59)$") as refused:
        found.fit(x, x[:, 0])
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)  # on its way from another process


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"x": 1e200}, r"x must be in \[-1e\+120, 1e\+120\], got .*e\+\d+ at index \(0, 0\)"),
        ({"y": 1e200}, r"y must be in \[-1e\+120, 1e\+120\], got"),
        ({"x": 1e25, "dtype": np.float32}, "x must be in .*, got"),
        ({"y": 1e30, "dtype": np.float32}, "y must be in .*, got"),
    ],
)
def test_numbers_whose_squares_overflow_are_refused_as_the_callers(changes, said):
    x = np.random.default_rng(0).normal(size=(60, 3))
    y, kind = x[:, 0] * changes.get("y", 1.0), changes.get("dtype", np.float64)
    with pytest.raises(ValueError, match=f"^{said}"):
        estimators.RFMRegressor(random_state=0).fit((x * changes.get("x", 1.0)).astype(kind), y.astype(kind))


@pytest.mark.filterwarnings("error")
def test_the_largest_numbers_that_are_allowed_fit():
    x = np.random.default_rng(0).normal(size=(60, 3))
    for kind, largest in ((np.float64, 1e119), (np.float32, 1e14)):
        found = estimators.RFMRegressor(random_state=0).fit(
            (x * largest).astype(kind), (x[:, 0] * largest).astype(kind)
        )
        assert np.isfinite(found.predict((x * largest).astype(kind))).all()
