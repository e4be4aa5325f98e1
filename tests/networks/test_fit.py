"""Descent with controlled steps: where it stops, how far its steps go, and that its path is that of the flow."""

import inspect
from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest
import torch

from afp_utils.networks import descent
from afp_utils.networks.descent import controlled_flow, fit, half_square, squared_hinge
from afp_utils.networks.flow import gradient_flow
from afp_utils.networks.mlp import TANH
from afp_utils.sphere import kernels
from afp_utils.sphere.targets import ridge_teacher
from tests.networks.test_mlp import network
from tests.networks.test_starts import antisymmetric


def problem(n=12, d=3, seed=0):
    rng = np.random.default_rng(seed)
    x = kernels.uniform_points(n, d, rng=rng)
    return x, ridge_teacher(d, 3.5, rng=rng)(x)


def no_first_layer():
    """It would move, but has no length by which its steps could be scaled."""
    net = network((3, 4, 1), TANH)
    return replace(net, weights=(0 * net.weights[0], net.weights[1]))


def steps(net, x, y, number):
    """The states on the way."""
    flat = descent.Flat(net, np.dtype(float))
    path = descent._steps(flat, x, y, half_square)
    return [flat.network(next(path)[2]) for _ in range(number)]


@pytest.mark.parametrize("alpha", [1e-2, 1.0, 100.0])
def test_fitting_ends_below_its_tolerance_with_small_steps(alpha):
    x, y = problem()
    run = fit(antisymmetric(m=60, alpha=alpha), x, y, tolerance=1e-4)
    assert run.risk[-1] < 2e-4 < run.risk[0]
    assert run.time[0] == 0 < run.time[-1]
    np.testing.assert_allclose(run.risk, [np.mean((state.predict(x) - y) ** 2) for state in run.states], rtol=1e-10)
    stopped = fit(antisymmetric(m=60, alpha=alpha), x, y, tolerance=1e-4, steps=3)
    apart = stopped.states[-1].predict(x) - stopped.states[0].predict(x)
    assert 0 < np.abs(apart).max() < 3 * descent.OUTPUT_CHANGE


@pytest.mark.parametrize("net", [antisymmetric(m=10), network((3, 6, 5, 1), TANH, True), network((3, 6, 1), TANH)])
def test_steps_follow_the_flow_of_any_network(net):
    """They stray from it by some per cent; a wrong clock, gradient or scale would lead elsewhere."""
    x, y = problem()
    run = fit(net, x, y, tolerance=1e-9, steps=100)
    seen = controlled_flow(net, x, y, run.time)
    exact = gradient_flow(net, x, y, run.time, precision=1e-5)
    begin, end = (state.predict(x) for state in exact.states)
    for state in (run.states[1], seen.states[1]):
        assert np.linalg.norm(state.predict(x) - end) < 0.1 * np.linalg.norm(end - begin)


def test_the_controlled_flow_stops_at_its_times_and_does_not_depend_on_how_many_are_asked():
    (x, y), times = problem(), np.array([0.0, 0.3, 2.0])
    run = controlled_flow(antisymmetric(), x, y, times)
    np.testing.assert_array_equal(run.time, times)
    np.testing.assert_allclose(run.risk, [np.mean((state.predict(x) - y) ** 2) for state in run.states], rtol=1e-10)
    assert np.all(np.diff(run.risk) < 0)
    alone = controlled_flow(antisymmetric(), x, y, times[2:])
    np.testing.assert_allclose(alone.states[0].predict(x), run.states[2].predict(x), atol=0.01)
    still = controlled_flow(antisymmetric(), x, 0 * y, np.array([0.0, 1e3, 2e3]))
    assert len(still.states) == 3
    assert np.abs(still.states[-1].predict(x)).max() < 1e-9


def test_steps_begin_small_and_grow_by_a_tenth_as_long_as_nothing_stops_them():
    path = descent._steps(descent.Flat(antisymmetric(alpha=2.0), np.dtype(float)), *problem(), half_square)
    lengths = np.diff([time for time, *_ in islice(path, 6)])
    np.testing.assert_allclose(lengths, 2e-3 * 1.1 ** np.arange(5))


def test_the_steps_meet_every_stop():
    """To the last digit, or a time that was asked for would never come."""
    (x, y), stops = problem(), (np.linspace(0, 2, 24) ** 1.5 / 3).tolist()
    path = descent._steps(descent.Flat(antisymmetric(), np.dtype(float)), x, y, half_square, stops)
    seen = [time for time, *_ in islice(path, 2000)]
    assert set(stops) <= set(seen)
    assert seen == sorted(set(seen))


def test_the_controlled_flow_of_a_lazy_network_is_that_of_its_tangent_kernel():
    """At a large scale f(t) on the data is that of the kernel at the start, exponential in time."""
    (x, y), times = problem(), np.array([0.5, 4.0, 30.0])
    net = antisymmetric(m=400, alpha=300.0)
    run = controlled_flow(net, x, y, times)
    levels, vectors = np.linalg.eigh(net.tangent(x) / 300.0**2)
    for time, state in zip(times, run.states):
        exact = y - vectors @ (np.exp(-levels * time / len(x)) * (vectors.T @ y))
        np.testing.assert_allclose(state.predict(x), exact, atol=0.03 * np.abs(y).max())
    change = np.linalg.norm(run.states[-1].weights[0] - net.weights[0]) / np.linalg.norm(net.weights[0])
    assert change < 1e-3


@pytest.mark.parametrize("alpha", [0.05, 1.0])
def test_a_small_step_is_that_of_the_gradient(alpha):
    (x, y), net = problem(), antisymmetric(m=8, alpha=alpha)
    run = fit(net, x, y, tolerance=1e-12, steps=1)
    w, u = (torch.tensor(value, requires_grad=True) for value in net.weights)
    output = alpha / 8**0.5 * torch.relu(torch.tensor(x) @ w.T) @ u.T
    (torch.mean((output[:, 0] - torch.tensor(y)) ** 2) / (2 * alpha**2)).backward()
    for end, begin, part in zip(run.states[1].weights, net.weights, (w, u)):
        np.testing.assert_allclose((end - begin) / run.time[1], -np.asarray(part.grad), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("loss", "tolerance"), [(half_square, 1e-4), (squared_hinge, 1e-5)])
def test_defaults(loss, tolerance):
    x, y = problem()
    sign = np.where(y > np.median(y), 1.0, -1.0)
    given = fit(antisymmetric(m=60), x, sign, loss=loss, tolerance=tolerance)
    looser = fit(antisymmetric(m=60), x, sign, loss=loss, tolerance=1.5 * tolerance)
    assert looser.time[-1] < given.time[-1]
    if loss is half_square:
        np.testing.assert_array_equal(
            fit(antisymmetric(m=60), x, sign).states[-1].weights[0], given.states[-1].weights[0]
        )
    assert inspect.signature(fit).parameters["steps"].default == 20_000


@pytest.mark.parametrize("alpha", [1e-3, 100.0])
def test_no_step_changes_an_output_or_the_weights_by_much(alpha):
    """By at most a twentieth; and the settings are not smaller than that, or training would take longer than it need."""
    x, y = problem()
    path = steps(antisymmetric(m=60, alpha=alpha), x, y, 301)
    first = [state.weights[0] for state in path]
    weights = max(np.linalg.norm(new - old) / np.linalg.norm(old) for old, new in pairwise(first))
    outputs = max(np.abs(new.predict(x) - old.predict(x)).max() for old, new in pairwise(path))
    losses = [np.mean((state.predict(x) - y) ** 2) for state in path]
    assert weights < 0.05
    assert 0.035 < outputs < 0.05
    assert alpha > 1 or weights > 0.03
    assert max(np.diff(losses)) < 1e-12


def test_nothing_to_fit_is_one_state():
    x, y = problem()
    run = fit(antisymmetric(), x, 0 * y)
    assert len(run.states) == 1
    assert run.risk[0] < 1e-20
    dead = network((3, 4, 1), TANH)
    still = fit(type(dead)((0 * dead.weights[0], 0 * dead.weights[1]), TANH), x, y)
    assert len(still.states) == 1
    assert still.risk[0] > 1e-4


def test_margins_separate_the_labels():
    rng = np.random.default_rng(4)
    z = rng.normal(size=(60, 2))
    x, y = np.c_[z, np.ones(60)], np.where(np.abs(z[:, 0]) < 0.6, -1.0, 1.0)
    run = fit(antisymmetric(m=100, alpha=1e-3), x, y, loss=squared_hinge, tolerance=1e-4)
    margin = y * run.states[-1].predict(x)
    assert margin.min() > 0.8
    assert np.mean(np.maximum(0, 1 - margin) ** 2) / 2 < 1e-4


def test_losses_and_their_slopes():
    y = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]], dtype=torch.float64)
    for loss in (half_square, squared_hinge):
        output = torch.tensor([[0.3], [0.4], [1.5], [-2.0]], dtype=torch.float64, requires_grad=True)
        value, slope = loss(output, y)
        value.sum().backward()
        torch.testing.assert_close(output.grad, slope.detach())
    values = squared_hinge(torch.tensor([[0.5], [3.0]]), torch.tensor([[1.0], [1.0]]))[0]
    torch.testing.assert_close(values, torch.tensor([0.125, 0.0]))
    two = half_square(torch.tensor([[0.5, 3.0]]), torch.tensor([[1.0, 1.0]]))[0]
    torch.testing.assert_close(two, torch.tensor([(0.25 + 4) / 2]))


def test_a_network_in_single_precision_stays_in_it():
    x, y = problem()
    run = fit(antisymmetric(m=60, dtype=torch.float32), x, y, tolerance=1e-3)
    assert run.states[-1].weights[0].dtype == np.float32
    assert abs(run.risk[-1] - fit(antisymmetric(m=60), x, y, tolerance=1e-3).risk[-1]) < 2e-3


def test_nothing_is_changed_in_place():
    x, y = problem()
    net = antisymmetric()
    kept = [part.copy() for part in (*net.weights, x, y)]
    fit(net, x, y, steps=20)
    for before, after in zip(kept, (*net.weights, x, y)):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: fit(antisymmetric(), x, y * np.nan), "y must be finite"),
        (lambda x, y: fit(antisymmetric(), x[:0], y[:0]), "x must be not empty"),
        (lambda x, y: fit(antisymmetric(), x, y, tolerance=0.0), "tolerance must be positive"),
        (lambda x, y: fit(antisymmetric(), x, y, steps=0), "steps must be at least 1, got 0"),
        (
            lambda x, y: controlled_flow(antisymmetric(), x, y, np.array([1.0, 0.5])),
            "times must be strictly increasing",
        ),
        (lambda x, y: controlled_flow(antisymmetric(), x, y, np.array([-1.0])), "times must be non-negative"),
        (lambda x, y: controlled_flow(antisymmetric(), x, y, np.array([])), "times must be not empty"),
        (lambda x, y: fit(no_first_layer(), x, y), "network must have a first layer that is not zero"),
        (lambda x, y: controlled_flow(no_first_layer(), x, y, [1]), "network must have a first layer that is not zero"),
        (lambda x, y: fit(antisymmetric(), x, y, loss=squared_hinge), "y must hold labels -1 and 1"),
        (
            lambda x, y: fit(network((3, 2), models=(12,)), x, y),
            r"x must have the networks' leading axes \(12,\), got \(\)",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(*problem())


def test_wrong_shapes_are_refused():
    x, y = problem()
    with pytest.raises(TypeError, match=r"y must be an array of floats of shape \(n=12, \*output\), got .* \(5,\)"):
        fit(antisymmetric(), x, y[:5])
