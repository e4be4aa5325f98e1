"""Every model of every mechanism answers the four questions of `core.models.Model` by the same laws.

A new mechanism adds one line to RUNS: its name, the dimension of its inputs, and a function that runs it.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

import afp_utils
from afp_utils.core.measures import MEASURES
from afp_utils.core.models import Model, Probe, Trajectory, observe, white
from afp_utils.index import population, sampling
from afp_utils.linear import models, solution
from afp_utils.networks.descent import Descent, controlled_flow, train
from afp_utils.networks.flow import gradient_flow
from afp_utils.networks.mlp import TANH
from afp_utils.networks.starts import antisymmetric_start, ensemble_start, he_start, streams
from afp_utils.rfm import kernels, recursion
from afp_utils.sequence import flows
from afp_utils.sphere.kernels import RandomFeatureMachine, TangentMachine, uniform_points
from afp_utils.sphere.targets import ridge_teacher

TIMES = np.array([0.0, 0.4, 3.0])
DATA = np.array([1.2, -0.7, 0.3, 0.0])
FEATURES = np.array([0.5, 0.02, 1.5, 0.2])
LINK = np.array([0.3, 0.0, 0.8, 0.6])
DECAY = 1.0 / (1.0 + np.arange(4.0)) ** 2

NEURONS = np.random.default_rng(3).normal(size=(4, 5))
ONE = solution.Problem(0.8, 0.5, 2.0, 1.5, 1.2, 2.0)
POINTS = uniform_points(10, 3, rng=np.random.default_rng(0))
VALUES = ridge_teacher(3, 1.5, rng=np.random.default_rng(1))(POINTS)
TENSORS = [0.3, [0.6, 0.0], [[0.5, 0.2], [0.2, -0.4]]]
OVERLAP = np.array([[0.5, 0.1], [-0.2, 0.4]])


def white_noise():
    rng = np.random.default_rng(1)
    data = sampling.hermite_data([0.3, [0.6, 0, 0]], 3, np.array([0.01]), rng)
    return sampling.white_noise_flow(data, DECAY[:2], sampling.random_directions(1, 3, 1, rng), TIMES)[0]


def samples():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(50, 3))
    y = 0.3 + 0.6 * x[:, 0] + 0.1 * rng.normal(size=50)
    return sampling.sample_flow(x, y, DECAY[:2], sampling.random_directions(1, 3, 1, rng)[0], TIMES)


def relu_network():
    start = antisymmetric_start(60, 3, 0.5, generator=torch.Generator().manual_seed(0))
    return controlled_flow(start, POINTS, VALUES, TIMES)


def ensemble_member():
    made = streams(np.random.default_rng(0), 2)
    x = points(24, 3, 5)
    y = np.sign(x[:, 0])
    both = np.stack([x, x]), np.stack([y, y])
    path = train(ensemble_start([3, 8, 1], made.init), *both, made.order, Descent(6, 0.05), [0, 5, 40])
    states = tuple(pair[0] for pair in path)
    return Trajectory(TIMES, np.array([np.mean((state.predict(x) - y) ** 2) for state in states]), states)


def feature_machine():
    x, unseen = np.random.default_rng(4).normal(size=(2, 80, 3))
    y, target = (z[:, 0] * z[:, 1] + z[:, 0] for z in (x, unseen))
    run = recursion.fit(x, y, kernel=kernels.Laplace(3.0), ridge=0.1, updates=2, validation=(unseen, target))
    return Trajectory(TIMES, run.risk, run.states)  # its clock counts updates


RUNS = {
    "sequence, vanilla": (4, lambda: flows.vanilla_flow(DATA, FEATURES, TIMES)),
    "sequence, depth 0": (4, lambda: flows.gradient_flow(DATA, FEATURES, TIMES)),
    "sequence, depth 2": (4, lambda: flows.gradient_flow(DATA, FEATURES, TIMES, depth=2, b0=0.4)),
    "single-index": (3, lambda: population.single_index(LINK, DECAY, 0.4, TIMES)),
    "multi-index": (5, lambda: population.multi_index(TENSORS, DECAY[:3], OVERLAP, TIMES)),
    "directional": (3, lambda: population.directional(1.5, np.array([0.3, 0.8]), TIMES)),
    "single-index, white noise": (3, white_noise),
    "single-index, samples": (3, samples),
    "sphere, random features": (3, lambda: RandomFeatureMachine.flow(POINTS, VALUES, TIMES)),
    "sphere, tangent": (3, lambda: TangentMachine.flow(POINTS, VALUES, TIMES)),
    "network": (3, relu_network),
    "ensemble member": (3, ensemble_member),
    "deep network": (
        3,
        lambda: gradient_flow(he_start((3, 6, 5, 1), TANH, rng=np.random.default_rng(0)), POINTS, VALUES, TIMES),
    ),
    "recursive feature machine": (3, feature_machine),
    "linear net, one direction": (
        4,
        lambda: models.one_direction(ONE, NEURONS[:, 0], NEURONS[:, 1:], np.eye(4)[2], TIMES),
    ),
    "linear net, all directions": (
        4,
        lambda: models.gradient_flow(NEURONS[:, 0], NEURONS[:, 1:], np.diag([1.0, 0.5, 0.2, 0.1]), DATA, TIMES),
    ),
}
STATES = [
    pytest.param(d, make, index, id=f"{name}, t={TIMES[index]:g}")
    for name, (d, make) in RUNS.items()
    for index in range(len(TIMES))
]


def points(n, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


@pytest.mark.parametrize(("d", "make", "index"), STATES)
class TestModel:
    def test_answers_have_the_shapes_of_the_contract(self, d, make, index):
        state, x = make().states[index], points(5, d)
        assert isinstance(state, Model)
        shapes = [answer(x).shape for answer in (state.predict, state.gradient, state.gram, state.tangent)]
        assert shapes == [(5,), (5, d), (5, 5), (5, 5)]

    def test_points_of_too_few_coordinates_are_refused(self, d, make, index):
        with pytest.raises((ValueError, TypeError, RuntimeError), match="^[^\n]*(coordinates|shape)[^\n]*$"):
            make().states[index].predict(points(5, 1))

    def test_gradient_is_the_slope_of_the_prediction(self, d, make, index):
        state, x, step = make().states[index], points(6, d), 1e-5
        for axis in np.eye(d):
            slope = (state.predict(x + step * axis) - state.predict(x - step * axis)) / (2 * step)
            np.testing.assert_allclose(state.gradient(x) @ axis, slope, rtol=1e-6, atol=1e-8)

    def test_kernels_are_symmetric_and_positive_and_tangent_exceeds_gram(self, d, make, index):
        state, x = make().states[index], points(8, d)
        gram, tangent = state.gram(x), state.tangent(x)
        for kernel in (gram, tangent, tangent - gram):
            np.testing.assert_allclose(kernel, kernel.T, atol=1e-10)
            assert np.linalg.eigvalsh(kernel).min() > -1e-9 * max(1.0, np.abs(tangent).max())

    def test_the_prediction_lies_in_the_span_of_the_features(self, d, make, index):
        state, x = make().states[index], points(12, d)
        levels, basis = np.linalg.eigh(state.gram(x))
        unseen = basis[:, levels <= 1e-11 * levels[-1]]
        assert np.linalg.norm(unseen.T @ state.predict(x)) <= 1e-5 * (1e-9 + np.linalg.norm(state.predict(x)))

    def test_answers_at_a_point_do_not_depend_on_the_other_points(self, d, make, index):
        state, x = make().states[index], points(6, d)
        some = [4, 1]
        np.testing.assert_allclose(state.predict(x[some]), state.predict(x)[some], atol=1e-12)
        np.testing.assert_allclose(state.gradient(x[some]), state.gradient(x)[some], atol=1e-12)
        np.testing.assert_allclose(state.gram(x[some]), state.gram(x)[np.ix_(some, some)], atol=1e-12)
        np.testing.assert_allclose(state.tangent(x[some]), state.tangent(x)[np.ix_(some, some)], atol=1e-12)

    def test_asking_changes_nothing(self, d, make, index):
        state, x = make().states[index], points(5, d)
        kept = x.copy()
        first = [state.predict(x), state.gradient(x), state.gram(x), state.tangent(x)]
        again = [state.predict(x), state.gradient(x), state.gram(x), state.tangent(x)]
        np.testing.assert_array_equal(x, kept)
        for one, other in zip(first, again):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("d", "make"), RUNS.values(), ids=RUNS)
def test_runs_can_be_observed(d, make):
    run = make()
    assert isinstance(run, Trajectory)
    np.testing.assert_array_equal(run.time, TIMES)
    assert run.risk[-1] < run.risk[0]
    x = white(points(9, d))
    seen = observe([run, run], Probe(x=x, target=x[:, 0], target_gradient=np.tile(np.eye(d)[0], (9, 1)), noise=0.1))
    assert seen.gram.shape == (2, 3, 9, 9)
    for name, measure in MEASURES.items():
        values = measure(seen, rank=1) if name == "consensus" else measure(seen)
        assert values.shape == (2, 3), name
        np.testing.assert_array_equal(values[0], values[1])
        assert np.isfinite(values).any(), name


def test_every_room_with_models_is_tried():
    """A class with the four questions of a model is tried above, or made by one that is."""
    rooms = {type(make().states[0]).__module__.split(".")[1] for _, make in RUNS.values()}
    package = Path(afp_utils.__file__).parent
    held = {file.parent.name for file in package.glob("*/*.py") if "def tangent(" in file.read_text(encoding="utf-8")}
    assert rooms == held - {"core"}
