"""The probe, the trajectory and `observe`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afp_utils.core.measures import MEASURES, agop, feature_error_measure
from afp_utils.core.models import Probe, Trajectory, observe, white
from tests.helpers import probe, run


@given(n=st.integers(3, 40), d=st.integers(1, 3), seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3))
def test_white_points_have_unit_second_moments_and_the_same_column_space(n, d, seed, scale):
    x = scale * np.random.default_rng(seed).normal(size=(n, d))
    y = white(x)
    np.testing.assert_allclose(y.T @ y / n, np.eye(d), atol=1e-10)
    np.testing.assert_allclose(y @ np.linalg.lstsq(y, x, rcond=None)[0], x, atol=1e-8 * scale)


def test_white_leaves_white_points_alone():
    x = np.sqrt(2.0) * np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    np.testing.assert_allclose(white(x), x, atol=1e-14)


def test_white_equals_the_inverse_square_root_of_the_second_moments():
    x = np.random.default_rng(1).normal(size=(9, 3)) * [1.0, 5.0, 0.2]
    level, basis = np.linalg.eigh(x.T @ x / 9)
    np.testing.assert_allclose(white(x), x @ (basis / np.sqrt(level)) @ basis.T, atol=1e-10)


@pytest.mark.parametrize("x", [np.ones((2, 3)), np.array([[1.0, 2], [2, 4], [3, 6]])])
def test_white_refuses_dependent_columns(x):
    with pytest.raises(ValueError, match=r"x must have linearly independent columns \(\d\), got rank"):
        white(x)


def test_white_refuses_nan():
    with pytest.raises(ValueError, match=r"x must be finite, got nan at index \(1, 0\)"):
        white(np.array([[1.0, 0], [np.nan, 1], [0, 1]]))


def test_probe_refuses_points_that_are_not_white():
    x = np.eye(2)
    with pytest.raises(ValueError, match="x must be white .* got a deviation of 0.5"):
        Probe(x=x, target=x[:, 0], target_gradient=x, noise=0.1)


def test_probe_forgives_rounding_of_white_points_and_no_more():
    x = np.sqrt(2) * np.eye(2)
    for factor, refused in [(1 + 1e-9, False), (1 + 1e-7, True)]:
        scaled = {"x": factor * x, "target": x[:, 0], "target_gradient": x, "noise": 0.0}
        if refused:
            with pytest.raises(ValueError, match="x must be white"):
                Probe(**scaled)
        else:
            Probe(**scaled)


def test_probe_refuses_values_that_are_not_finite():
    x = np.sqrt(2) * np.eye(2)
    for field in ("target", "target_gradient"):
        good = {"x": x, "target": x[:, 0].copy(), "target_gradient": x.copy(), "noise": 0.1}
        good[field].flat[1] = np.nan
        with pytest.raises(ValueError, match=f"{field} must be finite, got nan"):
            Probe(**good)


@pytest.mark.parametrize("noise", [-0.1, np.nan, np.inf])
def test_probe_refuses_bad_noise(noise):
    x = np.sqrt(2) * np.eye(2)
    with pytest.raises(ValueError, match="noise must be non-negative and finite, got"):
        Probe(x=x, target=x[:, 0], target_gradient=x, noise=noise)


def test_probe_refuses_a_target_of_another_length():
    x = np.sqrt(2) * np.eye(2)
    with pytest.raises(TypeError, match="target"):
        Probe(x=x, target=np.zeros(3), target_gradient=x, noise=0.1)


@pytest.mark.parametrize(
    ("time", "risk", "message"),
    [
        ([0.0, 0.0], [1.0, 1.0], "time must be strictly increasing, got 0.0 at index 1"),
        ([0.0, np.nan], [1.0, 1.0], "time must be strictly increasing, got nan at index 1"),
        ([np.nan, 1.0], [1.0, 1.0], "time must be strictly increasing, got nan at index 0"),
        ([2.0, 1.0], [1.0, 1.0], "time must be strictly increasing, got 1.0"),
        ([0.0, 1.0], [1.0, -1.0], "risk must be non-negative and finite, got -1.0 at index 1"),
        ([0.0, 1.0], [1.0, np.nan], "risk must be non-negative and finite, got nan"),
    ],
)
def test_trajectory_refuses_bad_clocks_and_risks(time, risk, message):
    states = run([[1.0]] * 2, [[1.0]] * 2).states
    with pytest.raises(ValueError, match=message):
        Trajectory(time=np.array(time), risk=np.array(risk), states=states)


def test_trajectory_refuses_a_missing_state():
    with pytest.raises(ValueError, match=r"states must be one per time \(2\), got 1"):
        Trajectory(time=np.array([0.0, 1.0]), risk=np.ones(2), states=run([[1.0]], [[1.0]]).states)


def test_trajectory_refuses_a_state_that_is_no_model():
    with pytest.raises(TypeError, match="states"):
        Trajectory(time=np.array([0.0]), risk=np.ones(1), states=("not a model",))


def test_observe_stacks_runs_and_times_in_this_order():
    runs = [run([[1.0, 2], [3, 4]], [[5.0, 6], [7, 8]]), run([[1.0, 1], [2, 2]], [[0.0, 1], [1, 0]])]
    seen = observe(runs, probe())
    assert seen.prediction.shape == (2, 2, 6)
    assert seen.gram.shape == seen.tangent.shape == (2, 2, 6, 6)
    assert seen.gradient.shape == (2, 2, 6, 2)
    for i, r in enumerate(runs):
        for j, state in enumerate(r.states):
            np.testing.assert_array_equal(seen.prediction[i, j], state.predict(probe().x))
            np.testing.assert_array_equal(seen.gradient[i, j], state.gradient(probe().x))
            np.testing.assert_array_equal(seen.gram[i, j], state.gram(probe().x))
            np.testing.assert_array_equal(seen.tangent[i, j], state.tangent(probe().x))


def test_observe_refuses_nothing_and_runs_of_different_length():
    with pytest.raises(ValueError, match=r"runs must be not empty, got a list \[\]"):
        observe([], probe())
    with pytest.raises(ValueError, match=r"runs must have the same number of states, got \[1, 2\]"):
        observe([run([[1.0, 1]], [[1.0, 1]]), run([[1.0, 1]] * 2, [[1.0, 1]] * 2)], probe())


def test_integers_and_lists_mean_what_floats_mean():
    x, y = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]]), [1, -1, 0, 0]
    np.testing.assert_array_equal(white(x.tolist()), white(x.astype(float)))
    floats = Probe(x=white(x), target=np.array(y, float), target_gradient=np.tile([1.0, 0.0], (4, 1)), noise=1.0)
    whole = Probe(x=white(x).tolist(), target=y, target_gradient=[[1, 0]] * 4, noise=np.float32(1))
    path = run([[1, 2], [3, 4]], [[1, 0], [0, 1]])
    seen, other = (
        observe(given, at)
        for given, at in (
            ([path] * 2, floats),
            ((Trajectory(time=[0, 1], risk=[np.int64(1), 1], states=list(path.states)),) * 2, whole),
        )
    )
    for name, measure in MEASURES.items():
        with_rank = {"rank": np.int64(1)} if name == "consensus" else {}
        np.testing.assert_array_equal(measure(other, **with_rank), measure(seen, **with_rank), err_msg=name)
    assert feature_error_measure([2, 1], (1, 0), np.int64(1)) == feature_error_measure(
        np.array([2.0, 1.0]), np.array([1.0, 0.0]), 1.0
    )
    np.testing.assert_array_equal(agop([[1, 2]]), agop(np.array([[1.0, 2.0]])))
