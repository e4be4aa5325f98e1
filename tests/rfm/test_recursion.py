"""The machine, its outer product and its recursion: by hand, autograd, differences, anchors, invariance, refusals."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from scipy.stats import ortho_group

from afp_utils.core.models import Model, Trajectory
from afp_utils.rfm import kernels, metrics, predictor, recursion
from tests.rfm.cases import EACH_KERNEL, KERNELS

PROFILES = [
    lambda r: torch.exp(-r / 3),
    lambda r: torch.exp(-(r**2) / 12.5),
    lambda r: torch.exp(-((r / 3) ** 0.7)),
    lambda r: torch.exp(-((r / 2) ** 1.3)),
]


def points(n, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def by_autograd(x, alpha, metric, profile, centred):
    """Outer product of gradients by automatic differentiation, a centre's own term left out."""
    x, alpha, metric = (torch.tensor(a, dtype=torch.float64) for a in (x, alpha, metric))
    jacobians = []
    for j in range(len(x)):
        others = [i for i in range(len(x)) if i != j]

        def f(point, others=others):
            v = point - x[others]
            return profile(torch.sqrt(torch.einsum("id,de,ie->i", v, metric, v))) @ alpha[others]

        jacobians.append(torch.autograd.functional.jacobian(f, x[j]))
    stacked = torch.stack(jacobians)
    if centred:
        stacked = stacked - stacked.mean(dim=0)
    return torch.einsum("nod,noe->de", stacked, stacked).numpy() / len(x)


def product(n=300, d=6, seed=0, dtype=np.float64):
    x = points(n, d, seed).astype(dtype)
    return x, x[:, 0] * x[:, 1]


# ---- the outer product ----


def test_agop_by_hand():
    # x = 0 and 2 on a line with alpha = (1, -3), Laplace L = 4: the slope at one centre is that of the other's kernel,
    # f'(0) = -3 e / 4 (uphill towards 2 for alpha > 0) and f'(2) = -1 e / 4, with e = exp(-2 / 4)
    e = np.exp(-0.5)
    x, alpha, kernel = np.array([[0.0], [2.0]]), np.array([1.0, -3.0]), kernels.Laplace(4.0)
    np.testing.assert_allclose(predictor.agop(x, alpha, kernel), [[(9 + 1) / 2 * e**2 / 16]], rtol=1e-12)
    np.testing.assert_allclose(predictor.agop(x, alpha, kernel, centred=True), [[e**2 / 16]], rtol=1e-12)
    # in the metric m = 4 distances are twice as long: e = exp(-1), and each slope is twice as steep
    scaled = predictor.agop(x, alpha, kernel, metric=np.array([[4.0]]))
    np.testing.assert_allclose(scaled, [[5 * 4 * np.exp(-2) / 16]], rtol=1e-12)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize(("kernel", "profile"), list(zip(KERNELS, PROFILES)), ids=map(str, KERNELS))
def test_agop_agrees_with_autograd(kernel, profile, centred, monkeypatch):
    monkeypatch.setattr(kernels, "ROWS", 11)
    monkeypatch.setattr(predictor, "COLUMNS", 16)  # two outputs at a time
    x, alpha, b = points(40, 7) + 5, points(40, 3, 1), points(7, 5, 2)
    expected = by_autograd(x, alpha, b @ b.T, profile, centred)
    found = predictor.agop(x, alpha, kernel, b @ b.T, centred)
    assert np.linalg.norm(found - expected) < 1e-12 * np.linalg.norm(expected)
    np.testing.assert_array_equal(found, found.T)


def test_own_term_is_left_out_by_index_not_by_a_threshold():
    # far from the origin, or in single precision, a centre is not at distance zero from itself
    x, alpha = points(60, 5), points(60, 1, 1)[:, 0]
    exact = predictor.agop(x, alpha, kernels.GeneralisedLaplace(2.0, 0.3))
    single = predictor.agop(x.astype(np.float32), alpha.astype(np.float32), kernels.GeneralisedLaplace(2.0, 0.3))
    np.testing.assert_allclose(single, exact, rtol=0, atol=2e-6 * np.abs(exact).max())


def test_coincident_points_pull_nowhere():
    x, alpha = points(30, 4), points(30, 1, 1)[:, 0]
    twice = predictor.agop(np.repeat(x, 2, axis=0), np.repeat(alpha / 2, 2), kernels.Laplace(2.0))
    np.testing.assert_allclose(twice, predictor.agop(x, alpha, kernels.Laplace(2.0)), rtol=1e-5)
    assert np.all(np.isfinite(predictor.agop(np.ones((5, 3)), np.ones(5), kernels.Laplace(2.0))))


@EACH_KERNEL
def test_agop_turns_with_the_points(kernel):
    x, alpha, turn = points(30, 4), points(30, 2, 1), ortho_group.rvs(4, random_state=1)
    found = predictor.agop(x @ turn.T, alpha, kernel, centred=True)
    np.testing.assert_allclose(found, turn @ predictor.agop(x, alpha, kernel, centred=True) @ turn.T, atol=1e-12)


@pytest.mark.parametrize("kind", [kernels.Laplace, kernels.Gaussian])
def test_scale_of_the_metric_is_a_bandwidth(kind):
    x, alpha, scale = points(30, 4), points(30, 1, 1)[:, 0], 2.7
    np.testing.assert_allclose(
        predictor.agop(x, alpha, kind(3.0), scale * np.eye(4)),
        predictor.agop(x, alpha, kind(3.0 / np.sqrt(scale))),
        rtol=1e-10,
    )


# ---- the machine ----


@EACH_KERNEL
@pytest.mark.parametrize("outputs", [(), (2,)])
def test_machine_answers(kernel, outputs):
    centres, alpha, b = points(30, 4), np.random.default_rng(1).normal(size=(30, *outputs)), points(4, 3, 2)
    machine, x, step = predictor.Machine(centres, alpha, kernel, b), points(6, 4, 3), 1e-5
    np.testing.assert_allclose(machine.predict(x), kernel.value(cdist(x @ b, centres @ b) ** 2) @ alpha, atol=1e-12)
    np.testing.assert_allclose(machine.metric, b @ b.T)
    assert machine.gradient(x).shape == (6, *outputs, 4)
    for axis in np.eye(4):
        slope = (machine.predict(x + step * axis) - machine.predict(x - step * axis)) / (2 * step)
        np.testing.assert_allclose(machine.gradient(x) @ axis, slope, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(machine.gram(x), kernel.value(cdist(x @ b, x @ b) ** 2), atol=1e-12)
    np.testing.assert_array_equal(machine.tangent(x), machine.gram(x))
    assert isinstance(machine, Model)
    assert machine.predict(x[:0]).shape == (0, *outputs)


def test_gradient_at_a_centre_is_the_mean_of_both_sides():
    machine = predictor.Machine(points(8, 2), points(8, 1, 1)[:, 0], kernels.Laplace(2.0), np.eye(2))
    centre, step = machine.centres[3:4], 1e-4
    for axis in np.eye(2):
        both = (machine.predict(centre + step * axis) - machine.predict(centre - step * axis)) / (2 * step)
        np.testing.assert_allclose(machine.gradient(centre) @ axis, both, atol=1e-7)


# ---- the recursion ----


@pytest.mark.parametrize("power", [1.0, 0.5])
@pytest.mark.parametrize("centred", [False, True])
def test_two_updates_by_another_route(power, centred):
    x, y = product(60, 4)
    metric, run = np.eye(4), recursion.fit(x, y, kernel=KERNELS[0], ridge=0.1, updates=2, power=power, centred=centred)
    for state in run.states:
        root = np.real(sqrtm(metric))
        matrix = np.exp(-cdist(x @ root, x @ root) / 3)
        alpha = np.linalg.solve(matrix + 0.1 * np.eye(60), y)
        np.testing.assert_allclose(state.metric, metric, atol=1e-9)
        np.testing.assert_allclose(state.coefficients, alpha, rtol=1e-6, atol=1e-8)
        outer = by_autograd(x, alpha[:, None], metric, PROFILES[0], centred)
        metric = np.real(sqrtm(outer)) if power == 0.5 else outer
        metric = metric / metric.max()


def test_update_zero_is_kernel_ridge_regression_and_risks_are_errors():
    x, y = product()
    v, w = product(50, seed=1)
    seen = recursion.fit(x, y, kernel=KERNELS[0], ridge=0.3, updates=3, validation=(v, w))
    blind = recursion.fit(x, y, kernel=KERNELS[0], ridge=0.3, updates=3)
    np.testing.assert_array_equal(seen.time, [0, 1, 2, 3])
    np.testing.assert_array_equal(seen.states[0].metric, np.eye(6))
    for run, data, target in ((seen, v, w), (blind, x, y)):
        errors = [np.mean((state.predict(data) - target) ** 2) for state in run.states]
        np.testing.assert_allclose(run.risk, errors, rtol=1e-9)
    for one, other in zip(seen.states, blind.states):  # the metric comes from the data alone
        np.testing.assert_array_equal(one.metric, other.metric)
        np.testing.assert_array_equal(one.coefficients, other.coefficients)


def test_validation_points_are_measured_from_the_mean_of_the_data_alone():
    # far away they would take the origin with them, and single precision could not tell the data apart
    x, y = product(100, 4, dtype=np.float32)
    far = x[:50] + np.float32(1e6)
    seen, blind = (
        recursion.fit(x, y, kernel=KERNELS[0], ridge=0.1, updates=1, validation=validation)
        for validation in ((far, y[:50]), None)
    )
    for one, other in zip(seen.states, blind.states):
        np.testing.assert_array_equal(one.metric, other.metric)
        np.testing.assert_array_equal(one.coefficients, other.coefficients)
    assert seen.risk[0] == pytest.approx(np.mean(y[:50] ** 2), rel=1e-6)  # nothing is known out there


def test_own_terms_are_left_out_of_the_next_metric():
    x, y = product(60, 5, dtype=np.float32)
    kernel = kernels.GeneralisedLaplace(2.0, 0.3)
    first, second = recursion.fit(x, y, kernel=kernel, ridge=0.1, updates=1).states
    outer = predictor.agop(x.astype(np.float64), first.coefficients.astype(np.float64), kernel)
    np.testing.assert_allclose(second.metric, metrics.unit_max(outer), rtol=0, atol=2e-6)


def test_best_state_may_be_the_plain_kernel():
    rng = np.random.default_rng(0)
    x, v = (np.sign(rng.normal(size=(n, 20))) for n in (300, 300))  # parity of four, too few samples: features mislead
    target = [z[:, :4].prod(axis=1) for z in (x, v)]
    run = recursion.fit(x, target[0], kernel=kernels.Laplace(5.0), ridge=1e-3, updates=3, validation=(v, target[1]))
    assert run.risk[0] < run.risk[1:].min()
    assert recursion.best_state(run) is run.states[0]
    x, y = product(600, 10)
    run = recursion.fit(x, y, kernel=kernels.Laplace(10.0), ridge=1e-3, updates=3, validation=product(200, 10, 1))
    assert recursion.best_state(run) is run.states[3]


def test_predictions_turn_with_the_data_but_not_those_of_a_diagonal_metric():
    x, y = product(400, 8)
    fresh, turn = points(100, 8, 5), ortho_group.rvs(8, random_state=2)

    def last(diagonal, turn):
        recipe = {"kernel": kernels.Laplace(5.0), "ridge": 1e-3, "updates": 3, "normalise": metrics.unit_trace}
        run = recursion.fit(x @ turn, y, diagonal=diagonal, **recipe)
        return run.states[-1], run.states[-1].predict(fresh @ turn)

    np.testing.assert_allclose(last(False, turn)[1], last(False, np.eye(8))[1], atol=1e-8)
    assert np.abs(last(True, turn)[1] - last(True, np.eye(8))[1]).max() > 0.1
    metric = last(True, np.eye(8))[0].metric
    np.testing.assert_array_equal(metric, np.diag(np.diag(metric)))
    assert set(np.argsort(np.diag(metric))[-2:]) == {0, 1}


def test_single_precision_agrees_with_double():
    x, y = product(500, 10, dtype=np.float32)
    fresh = points(100, 10, 3)
    single = recursion.fit(x, y, kernel=kernels.Laplace(10.0), ridge=1e-3, updates=3)
    double = recursion.fit(
        x.astype(np.float64), y.astype(np.float64), kernel=kernels.Laplace(10.0), ridge=1e-3, updates=3
    )
    answers = single.states[-1].predict(fresh), double.states[-1].predict(fresh)
    assert answers[0].dtype == np.float32
    assert np.linalg.norm(answers[0] - answers[1]) < 2e-3 * np.linalg.norm(answers[1])
    smooth = recursion.fit(x, y, kernel=kernels.Gaussian(5.0), ridge=1e-8, updates=1)
    assert smooth.states[-1].coefficients.dtype == np.float64


def test_constant_columns_and_repeated_rows_just_work():
    x, y = product(200, 5)
    padded = np.hstack([x, np.full((200, 2), 1e3)])
    plain, more = (recursion.fit(z, y, kernel=kernels.Laplace(4.0), ridge=1e-2, updates=3) for z in (x, padded))
    np.testing.assert_allclose(more.states[-1].predict(padded), plain.states[-1].predict(x), atol=1e-9)
    # each row twice with twice the ridge is each row once
    twice = recursion.fit(np.repeat(x, 2, axis=0), np.repeat(y, 2), kernel=kernels.Laplace(4.0), ridge=2e-2, updates=3)
    np.testing.assert_allclose(twice.states[-1].predict(x), plain.states[-1].predict(x), atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_points_that_collapse_in_the_metric(dtype):
    x = points(400, 5).astype(dtype)
    run = recursion.fit(x, np.sign(x[:, 0]), kernel=kernels.Laplace(10.0), ridge=1e-3, updates=6)
    assert all(np.all(np.isfinite(state.coefficients)) for state in run.states)
    assert np.argmax(np.diag(run.states[-1].metric)) == 0


def test_constant_target_keeps_its_metric():
    run = recursion.fit(points(20, 3), np.zeros(20), kernel=kernels.Laplace(1.0), ridge=0.1, updates=2)
    np.testing.assert_array_equal(run.states[-1].metric, np.eye(3))
    np.testing.assert_array_equal(run.risk, 0)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(-3, 3), st.sampled_from(KERNELS[:3]))
def test_scale_of_the_target_is_that_of_the_prediction(seed, log_scale, kernel):
    x, y, scale = points(25, 3, seed), points(25, 1, seed + 1)[:, 0], 10**log_scale
    one, other = (recursion.fit(x, s * y, kernel=kernel, ridge=0.1, updates=2).states[-1] for s in (1.0, scale))
    np.testing.assert_allclose(other.predict(x), scale * one.predict(x), rtol=1e-6, atol=1e-6 * scale)


def test_anchor_of_the_authors_tutorial():
    rng = np.random.RandomState(1717)
    x, fresh = rng.normal(size=(2000, 100)), rng.normal(size=(10_000, 100))
    run = recursion.fit(
        x,
        x[:, 0] * x[:, 1],
        kernel=kernels.Laplace(10.0),
        ridge=1e-4,
        updates=5,
        centred=True,
        normalise=metrics.unnormalised,
    )
    target = fresh[:, 0] * fresh[:, 1]
    scores = [1 - np.mean((state.predict(fresh) - target) ** 2) / np.var(target) for state in run.states]
    np.testing.assert_allclose(scores[:5], [0.0790, 0.8448, 0.9052, 0.9209, 0.9231], atol=1e-4)
    assert scores[5] == pytest.approx(0.9231449905104399, abs=1e-8)
    assert 1 - run.risk[5] / np.var(x[:, 0] * x[:, 1]) == pytest.approx(0.999996752594814, abs=1e-9)


def test_anchor_of_the_authors_low_rank_notebook():
    rng = np.random.default_rng(0)
    x, fresh = (rng.normal(size=(n, 20)).astype(np.float32) / 2 for n in (4000, 4000))
    y, target = (z[:, 0] * z[:, 1] * (z[:, 5] > 0) for z in (x, fresh))
    run = recursion.fit(
        x,
        y,
        kernel=kernels.Laplace(10.0),
        ridge=1e-3,
        updates=5,
        normalise=metrics.unnormalised,
        validation=(fresh, target),
    )
    np.testing.assert_allclose(run.risk, [0.0134, 0.0060, 0.0031, 0.00245, 0.0023, 0.0022], rtol=0.15)
    diagonal = np.diag(run.states[-1].metric)
    np.testing.assert_allclose(diagonal[[0, 1, 5]], [0.13, 0.13, 0.15], atol=0.015)
    assert np.delete(diagonal, [0, 1, 5]).max() < 3e-4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": points(10, 2) * np.nan}, r"x must be finite, got nan at index \(0, 0\)"),
        ({"y": np.full(10, np.inf)}, "y must be finite, got inf at index 0"),
        ({"ridge": -0.1}, "ridge must be non-negative and finite, got -0.1"),
        ({"ridge": np.nan}, "ridge must be non-negative and finite, got nan"),
        ({"updates": -1}, "updates must be at least 0, got -1"),
        ({"power": 0.0}, "power must be positive and finite, got 0.0"),
        ({"validation": (points(3, 2), np.full(3, np.nan))}, "validation_y must be finite, got nan"),
        (
            {"validation": (points(3, 2) + np.inf, np.ones(3))},
            r"validation_x must be finite, got inf at index \(0, 0\)",
        ),
        ({"validation": (points(0, 2), np.zeros(0))}, "validation must be not empty"),
        ({"x": points(0, 2), "y": np.zeros(0)}, "x must be not empty"),
        ({"x": np.ones((10, 2)), "ridge": 0.0}, "numerically positive definite.*; got ridge 0.0 and a .* at point 1"),
    ],
)
def test_refused_values(change, message):
    usual = {"x": points(10, 2), "y": np.ones(10), "ridge": 0.1, "updates": 1} | change
    with pytest.raises(ValueError, match=message):
        recursion.fit(usual.pop("x"), usual.pop("y"), kernel=kernels.Laplace(1.0), **usual)


def test_refused_shapes():
    x, y, recipe = points(10, 2), np.ones(10), {"ridge": 0.1, "updates": 1}
    with pytest.raises(
        TypeError, match=r"^x must be an array of floats of shape \(n, d\), got float64 of shape \(10,\)$"
    ):
        recursion.fit(x[:, 0], y, kernel=kernels.Laplace(1.0), **recipe)
    with pytest.raises(
        TypeError, match=r"^y must be an array of floats of shape \(n=10, \*output\), got float64 of shape \(9,\)$"
    ):
        recursion.fit(x, y[:9], kernel=kernels.Laplace(1.0), **recipe)
    with pytest.raises(TypeError):
        recursion.fit(x, y, kernel=kernels.Laplace(1.0), validation=(points(4, 3), np.ones(4)), **recipe)
    machine = recursion.fit(x, y, kernel=kernels.Laplace(1.0), **recipe).states[0]
    with pytest.raises(TypeError):
        predictor.agop(x, y[:9], kernels.Laplace(1.0))
    with pytest.raises(ValueError, match="x must be finite"):
        machine.predict(x * np.nan)
    with pytest.raises(ValueError, match="centres must be not empty"):
        predictor.Machine(x[:0], y[:0], kernels.Laplace(1.0), np.eye(2))
    with pytest.raises(ValueError, match="coefficients must be finite"):
        predictor.Machine(x, y * np.nan, kernels.Laplace(1.0), np.eye(2))


# ---- ties, degenerate sizes, defaults, more outputs than points ----


def test_best_state_is_the_earlier_of_equals():
    run = recursion.fit(*product(30, 3), kernel=kernels.Laplace(2.0), ridge=0.1, updates=3)
    for risk, best in (([2.0, 1.0, 1.0, 3.0], 1), ([0.5, 0.5, 0.5, 0.5], 0), ([3.0, 2.0, 1.0, 1.0], 2)):
        assert recursion.best_state(Trajectory(run.time, np.array(risk), run.states)) is run.states[best]


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("outputs", [5, 9, 40])
def test_more_outputs_than_centres(outputs, centred, monkeypatch):
    x, alpha, b = points(4, 3), points(4, outputs, 1), points(3, 2, 2)
    expected = by_autograd(x, alpha, b @ b.T, PROFILES[0], centred)
    machine = predictor.Machine(x, alpha, KERNELS[0], b)
    slopes = [predictor.Machine(x, column, KERNELS[0], b).gradient(x) for column in alpha.T]
    for columns in (2048, 7, 1):  # all outputs at once, two at a time, one at a time
        monkeypatch.setattr(predictor, "COLUMNS", columns)
        np.testing.assert_allclose(
            predictor.agop(x, alpha, KERNELS[0], b @ b.T, centred), expected, rtol=1e-9, atol=1e-13
        )
        np.testing.assert_allclose(machine.gradient(x), np.stack(slopes, axis=1), atol=1e-13)
        assert machine.predict(x).shape == (4, outputs)
    run = recursion.fit(x, alpha, kernel=KERNELS[0], ridge=0.1, updates=2, centred=centred)
    one = [recursion.fit(x, column, kernel=KERNELS[0], ridge=0.1, updates=0).states[0] for column in alpha.T]
    np.testing.assert_allclose(run.states[0].coefficients.T, [state.coefficients for state in one], atol=1e-12)


def test_a_single_point_and_a_single_coordinate():
    run = recursion.fit(np.ones((1, 3)), np.array([2.0]), kernel=kernels.Laplace(1.0), ridge=1.0, updates=1)
    np.testing.assert_allclose(run.states[0].coefficients, [1.0])
    np.testing.assert_array_equal(run.states[1].metric, np.eye(3))  # no slope, so the metric stays
    np.testing.assert_array_equal(
        predictor.agop(np.ones((1, 3)), np.ones(1), kernels.Laplace(1.0), centred=True), np.zeros((3, 3))
    )
    x = points(30, 1)
    run = recursion.fit(x, x[:, 0], kernel=kernels.Laplace(1.0), ridge=0.1, updates=2)
    np.testing.assert_allclose([state.metric for state in run.states], 1)  # divided by its largest entry, its only one


def test_defaults_are_those_that_are_written_out():
    x, y = product(60, 4)
    recipe = {"kernel": kernels.Laplace(2.0), "ridge": 0.1, "updates": 2}
    written = {"power": 1.0, "centred": False, "diagonal": False, "normalise": metrics.unit_max}
    for one_door in (recipe, recipe | {"centres": x[:20]}):
        one, other = (recursion.fit(x, y, **one_door, **more) for more in ({}, written))
        np.testing.assert_array_equal(one.states[-1].metric, other.states[-1].metric)
        for change in ({"power": 0.5}, {"centred": True}, {"diagonal": True}, {"normalise": metrics.unit_trace}):
            changed = recursion.fit(x, y, **one_door, **written | change)
            assert np.abs(changed.states[-1].metric - one.states[-1].metric).max() > 1e-6
    machine = recursion.fit(x, y, **recipe).states[0]
    plain = predictor.agop(x, machine.coefficients, machine.kernel)
    np.testing.assert_array_equal(plain, predictor.agop(x, machine.coefficients, machine.kernel, np.eye(4), False))
