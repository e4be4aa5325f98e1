"""Networks against autograd, hand-made steps, the exact flow of a kernel, and the two limits of the scale."""

import inspect
from itertools import pairwise

import numpy as np
import pytest
import torch

from afp_utils.core.models import Model, Trajectory
from afp_utils.networks import shallow
from afp_utils.sphere import kernels, sparse
from afp_utils.sphere.targets import ridge_teacher


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def problem(n=12, d=3, seed=0):
    rng = np.random.default_rng(seed)
    x = kernels.uniform_points(n, d, rng=rng)
    return x, ridge_teacher(d, 3.5, rng=rng)(x)


def start(m=40, d=3, alpha=1.0, **options):
    return shallow.initial_network(m, d, alpha, generator=seeded(), **options)


def random_network(m=7, d=3, alpha=0.6, seed=1):
    rng = np.random.default_rng(seed)
    return shallow.ReluNetwork(rng.normal(size=(m, d)), rng.normal(size=m), alpha)


def test_a_network_by_hand():
    net = shallow.ReluNetwork(np.array([[3.0, 4.0], [-1.0, 0.0], [0, 1], [0, 2]]), np.array([1.0, 2.0, -1.0, 0]), 6.0)
    x = np.array([[1.0, 1.0], [-2.0, 0.0]])
    np.testing.assert_allclose(net.predict(x), 3 * np.array([7 - 1, 2 * 2]))  # scale 6 / sqrt 4
    np.testing.assert_allclose(net.gradient(x), 3 * np.array([[3, 3], [-2, 0]]))
    np.testing.assert_allclose(net.gram(x), 9 * np.array([[49 + 1 + 4, 0], [0, 4]]))
    active = 9 * np.array([[(1 + 1 + 0) * 2, 0], [0, 4 * 4]])
    np.testing.assert_allclose(net.tangent(x), net.gram(x) + active)
    np.testing.assert_allclose(net.amplitudes, [15, 6, 3, 0])


def test_answers_are_those_of_autograd():
    net = random_network()
    x = np.random.default_rng(2).normal(size=(5, 3))
    w, u, points = (torch.tensor(value) for value in (net.w, net.u, x))

    def forward(w, u, points):
        return net.alpha / len(u) ** 0.5 * torch.relu(points @ w.T) @ u

    by_w, by_u = torch.func.jacrev(forward, argnums=(0, 1))(w, u, points)
    by_x = torch.func.jacrev(forward, argnums=2)(w, u, points).diagonal(dim1=0, dim2=1).T
    rows = torch.cat([by_w.flatten(1), by_u], dim=1)
    assert isinstance(net, Model)
    np.testing.assert_allclose(net.predict(x), forward(w, u, points), atol=1e-14)
    np.testing.assert_allclose(net.gradient(x), by_x, atol=1e-14)
    np.testing.assert_allclose(net.gram(x), by_u @ by_u.T, atol=1e-14)
    np.testing.assert_allclose(net.tangent(x), rows @ rows.T, atol=1e-13)


def test_rescaling_a_neuron_changes_nothing_but_the_kernels():
    net = random_network()
    c = np.linspace(0.3, 2, 7)
    other = shallow.ReluNetwork(net.w * c[:, None], net.u / c, net.alpha)
    x = np.random.default_rng(3).normal(size=(6, 3))
    np.testing.assert_allclose(other.predict(x), net.predict(x), atol=1e-14)
    np.testing.assert_allclose(other.amplitudes, net.amplitudes, rtol=1e-14)
    assert np.abs(other.tangent(x) - net.tangent(x)).max() > 0.1


def test_the_start_is_zero_and_its_tangent_kernel_is_that_of_infinite_width():
    net = start(m=20_000, alpha=3.0)
    x = kernels.uniform_points(6, 3, rng=np.random.default_rng(0))
    assert np.abs(net.predict(x)).max() < 1e-10
    np.testing.assert_allclose(net.tangent(x), 9 / 2 * kernels.tangent_kernel(x, x), atol=0.5)
    np.testing.assert_allclose(net.gram(x), 9 / 2 * kernels.random_feature_kernel(x, x), atol=0.35)


def test_the_start_is_drawn_from_its_generator_alone():
    torch.manual_seed(1)
    first = start()
    torch.manual_seed(2)
    np.testing.assert_array_equal(start().w, first.w)
    other = shallow.initial_network(40, 3, 1.0, generator=seeded(1))
    assert not np.allclose(other.w, first.w)
    assert start(dtype=torch.float32).w.dtype == np.float32


def test_flow_conserves_the_balance_of_every_neuron():
    """Gradient flow keeps u_h^2 - |w_h|^2; descent does so to the order of its steps."""
    x, y = problem()
    run = shallow.gradient_flow(start(), x, y, np.array([0.0, 5.0]))
    first, last = (state.u**2 - np.sum(state.w**2, axis=1) for state in run.states)
    assert np.abs(last - first).max() < 0.03
    assert np.abs(run.states[1].u - run.states[0].u).max() > 0.1


def test_flow_stops_at_its_times_and_does_not_depend_on_how_many_are_asked():
    x, y = problem()
    run = shallow.gradient_flow(start(), x, y, np.array([0.0, 0.3, 2.0]))
    assert isinstance(run, Trajectory)
    np.testing.assert_array_equal(run.time, [0, 0.3, 2.0])
    np.testing.assert_allclose(run.risk, [np.mean((state.predict(x) - y) ** 2) for state in run.states], rtol=1e-10)
    assert np.all(np.diff(run.risk) < 0)
    alone = shallow.gradient_flow(start(), x, y, np.array([2.0]))
    np.testing.assert_allclose(alone.states[0].predict(x), run.states[-1].predict(x), atol=0.01)


def test_a_small_step_is_that_of_the_gradient():
    x, y = problem()
    net, step = random_network(), 1e-7
    moved = shallow.gradient_flow(net, x, y, np.array([step])).states[0]
    w, u = (torch.tensor(value, requires_grad=True) for value in (net.w, net.u))
    output = net.scale * torch.relu(torch.tensor(x) @ w.T) @ u
    (torch.mean((output - torch.tensor(y)) ** 2) / (2 * net.alpha**2)).backward()
    np.testing.assert_allclose((net.w - moved.w) / step, w.grad, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose((net.u - moved.u) / step, u.grad, rtol=1e-5, atol=1e-7)


def test_a_lazy_network_follows_the_flow_of_its_tangent_kernel():
    """At a large scale f(t) on the data is that of the kernel at the start, exponential in time."""
    x, y = problem()
    net, times = start(m=400, alpha=300.0), np.array([0.5, 4.0, 30.0])
    run = shallow.gradient_flow(net, x, y, times)
    levels, vectors = np.linalg.eigh(net.tangent(x) / 300.0**2)
    for time, state in zip(times, run.states):
        exact = y - vectors @ (np.exp(-levels * time / len(x)) * (vectors.T @ y))
        np.testing.assert_allclose(state.predict(x), exact, atol=0.03 * np.abs(y).max())
    change = np.linalg.norm(run.states[-1].w - net.w) / np.linalg.norm(net.w)
    assert change < 1e-3


def test_small_scales_give_few_directions_of_little_weight():
    x, y = problem(n=14, seed=3)
    least = sparse.sparse_interpolant(x, y, rng=np.random.default_rng(0)).norm
    seen = {}
    for alpha in (10.0, 1e-2):
        net = shallow.fit_values(start(m=300, alpha=alpha), x, y, tolerance=1e-5, steps=3000).states[-1]
        groups = shallow.clusters(net)
        seen[alpha] = len(groups) * shallow.participation(groups), net.amplitudes.sum() / (2 * least)
    assert seen[10.0][0] > 100
    assert seen[1e-2][0] < 20
    assert seen[10.0][1] > 5
    assert 0.85 < seen[1e-2][1] < 1.15


@pytest.mark.parametrize("alpha", [1e-2, 1.0, 100.0])
def test_fitting_ends_below_its_tolerance_with_small_steps(alpha):
    x, y = problem()
    run = shallow.fit_values(start(m=60, alpha=alpha), x, y, tolerance=1e-4)
    assert run.risk[-1] < 2e-4 < run.risk[0]
    assert run.time[0] == 0 < run.time[-1]
    stopped = shallow.fit_values(start(m=60, alpha=alpha), x, y, tolerance=1e-4, steps=3)
    assert np.abs(stopped.states[-1].predict(x) - stopped.states[0].predict(x)).max() < 3 * shallow.OUTPUT_CHANGE


@pytest.mark.parametrize(("fit", "tolerance"), [(shallow.fit_values, 1e-4), (shallow.fit_margins, 1e-5)])
def test_default_of_the_tolerance(fit, tolerance):
    x, y = problem()
    sign = np.where(y > np.median(y), 1.0, -1.0)
    stopped, given = fit(start(m=60), x, sign), fit(start(m=60), x, sign, tolerance=tolerance)
    np.testing.assert_array_equal(stopped.states[-1].w, given.states[-1].w)
    looser = fit(start(m=60), x, sign, tolerance=1.5 * tolerance)
    assert looser.time[-1] < stopped.time[-1]
    assert inspect.signature(fit).parameters["steps"].default == 20_000


@pytest.mark.parametrize("alpha", [1e-3, 100.0])
def test_no_step_changes_an_output_or_the_weights_by_much(alpha):
    """By at most a twentieth; and the settings are not smaller than that, or training would take longer than it need."""
    x, y = problem()
    descent = shallow._descend(start(m=60, alpha=alpha), x, y, shallow.half_square, "cpu")
    path = [next(descent).network(), *(descent.send(np.inf).network() for _ in range(300))]
    weights = max(np.linalg.norm(new.w - old.w) / np.linalg.norm(old.w) for old, new in pairwise(path))
    outputs = max(np.abs(new.predict(x) - old.predict(x)).max() for old, new in pairwise(path))
    assert weights < 0.05
    assert 0.035 < outputs < 0.05
    assert alpha > 1 or weights > 0.03


def test_nothing_to_fit_is_one_state():
    x, y = problem()
    run = shallow.fit_values(start(), x, 0 * y)
    assert len(run.states) == 1
    assert run.risk[0] < 1e-20
    still = shallow.gradient_flow(start(), x, 0 * y, np.array([0.0, 1e3]))
    assert np.abs(still.states[-1].predict(x)).max() < 1e-9


def test_margins_separate_the_labels():
    rng = np.random.default_rng(4)
    z = rng.normal(size=(60, 2))
    x, y = np.c_[z, np.ones(60)], np.where(np.abs(z[:, 0]) < 0.6, -1.0, 1.0)
    run = shallow.fit_margins(start(m=100, alpha=1e-3), x, y, tolerance=1e-4)
    margin = y * run.states[-1].predict(x)
    assert margin.min() > 0.8
    assert np.mean(np.maximum(0, 1 - margin) ** 2) / 2 < 1e-4


def test_losses_and_their_slopes():
    y = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    for loss in (shallow.half_square, shallow.squared_hinge):
        output = torch.tensor([0.3, 0.4, 1.5, -2.0], dtype=torch.float64, requires_grad=True)
        value, slope = loss(output, y)
        value.sum().backward()
        torch.testing.assert_close(output.grad, slope.detach())
    values = shallow.squared_hinge(torch.tensor([0.5, 3.0]), torch.tensor([1.0, 1.0]))[0]
    torch.testing.assert_close(values, torch.tensor([0.125, 0.0]))


def test_a_network_in_single_precision_stays_in_it():
    x, y = problem()
    run = shallow.fit_values(start(m=60, dtype=torch.float32), x, y, tolerance=1e-3)
    assert run.states[-1].w.dtype == np.float32
    double = shallow.fit_values(start(m=60), x, y, tolerance=1e-3)
    assert abs(run.risk[-1] - double.risk[-1]) < 2e-3


def test_nothing_is_changed_in_place():
    x, y = problem()
    net = start()
    kept = net.w.copy(), net.u.copy(), x.copy(), y.copy()
    shallow.fit_values(net, x, y, steps=20)
    for before, after in zip(kept, (net.w, net.u, x, y)):
        np.testing.assert_array_equal(before, after)


def test_participation():
    assert shallow.participation(np.ones(8)) == 1
    assert abs(shallow.participation(np.array([3.0, 0, 0, 0])) - 0.25) < 1e-15
    assert abs(shallow.participation(np.array([3.0, 1.0])) - 0.8) < 1e-15
    wide = start(m=200_000, d=200)
    assert abs(shallow.participation(wide.amplitudes) - 2 / np.pi) < 0.01  # |u| of a normal, |w| nearly constant


def test_clusters_by_hand():
    def at(degrees):
        return [np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]

    w = np.array([at(0), at(3), at(7), at(90), at(1)]) * np.array([[2.0], [1], [1], [1], [1]])
    net = shallow.ReluNetwork(w, np.array([1.0, 1.0, 1.0, 1.0, -1.0]), np.sqrt(5))
    np.testing.assert_allclose(shallow.clusters(net), [3, 1, 1, 1])  # 0 and 3 degrees; 7; 90; the other sign
    np.testing.assert_allclose(shallow.clusters(net, degrees=8.0), [4, 1, 1])
    np.testing.assert_allclose(shallow.clusters(net, degrees=0.1).sum(), net.amplitudes.sum())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: start(m=7), "m must be even"),
        (lambda x, y: start(m=0), "m must be even and at least 2"),
        (lambda x, y: start(d=0), "d must be at least 1"),
        (lambda x, y: start(alpha=0.0), "alpha must be positive"),
        (lambda x, y: shallow.fit_values(start(), x, y * np.nan), "y must be finite"),
        (lambda x, y: shallow.fit_values(start(), x, y, tolerance=0.0), "tolerance must be positive"),
        (lambda x, y: shallow.fit_values(start(), x, y, steps=0), "steps must be positive"),
        (lambda x, y: shallow.fit_margins(start(), x, y), "y must hold labels -1 and 1"),
        (lambda x, y: shallow.gradient_flow(start(), x, y, np.array([1.0, 0.5])), "times must be strictly increasing"),
        (lambda x, y: shallow.gradient_flow(start(), x, y, np.array([-1.0, 0.5])), "times must be non-negative"),
        (lambda x, y: shallow.participation(np.zeros(3)), "must not all be zero"),
        (lambda x, y: shallow.participation(np.array([1.0, -1.0])), "amplitudes must be non-negative"),
        (lambda x, y: shallow.clusters(start(), degrees=0.0), "degrees must be positive"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(*problem())


def test_wrong_shapes_are_refused():
    x, y = problem()
    with pytest.raises(TypeError):
        shallow.fit_values(start(), x, y[:5])
    with pytest.raises(TypeError):
        start().predict(x[:, 0])
    with pytest.raises(TypeError):
        shallow.ReluNetwork(np.ones((4, 2)), np.ones(3), 1.0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator")
def test_the_device_does_not_matter():
    x, y = problem()
    here, there = (shallow.gradient_flow(start(), x, y, np.array([2.0]), device) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(there.states[0].predict(x), here.states[0].predict(x), atol=1e-8)
