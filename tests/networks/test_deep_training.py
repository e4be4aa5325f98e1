"""Training against steps by hand, another solver, conserved quantities, and points where nothing moves."""

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from afp_utils.networks import deep
from afp_utils.networks import deep_training as training
from afp_utils.networks.deep import IDENTITY, RELU, TANH, DeepNetwork
from afp_utils.networks.deep_training import Descent, gradient_flow, penalised_risk, stationary, train, train_together


def network(widths=(3, 5, 4, 2), activation=TANH, seed=0):
    return deep.he_start(widths, activation, rng=np.random.default_rng(seed))


def data(n=12, d=3, outputs=2, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    return x, np.tanh(x @ rng.normal(size=(d, outputs))) + 0.3 * x[:, :1] * x[:, 1:2]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def apart(first, second):
    return max(float(np.abs(a - b).max()) for a, b in zip(first.weights, second.weights))


def test_penalised_risk_by_hand_and_its_slope_by_finite_differences():
    net = DeepNetwork((np.array([[1.0, 2.0]]), np.array([[3.0], [-1.0]])), IDENTITY)
    x, y = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[2.0, 0.0], [6.0, 0.0]])
    # outputs (3, -1), (6, -2): errors 1, 1, 0, 4 squared; weights 1, 4, 9, 1 squared
    assert penalised_risk(net, x, y, 0.2)[0] == pytest.approx((1 + 1 + 0 + 4) / 4 + 0.1 * 15)
    net, (x, y), step = network(), data(), 1e-6
    slopes = penalised_risk(net, x, y, 0.3)[1]
    for layer, (i, j) in ((0, (4, 1)), (1, (2, 3)), (2, (1, 0))):
        values = []
        for change in (step, -step):
            weights = [w.copy() for w in net.weights]
            weights[layer][i, j] += change
            values.append(penalised_risk(DeepNetwork(tuple(weights), TANH), x, y, 0.3)[0])
        assert slopes[layer][i, j] == pytest.approx((values[0] - values[1]) / (2 * step), abs=1e-8)


def test_full_batches_are_gradient_descent():
    net, (x, y) = network(), data()
    run = train(net, x, y, np.array([0, 1, 3]), Descent(100, 0.1, decay=0.05), generator=seeded())
    assert apart(run.states[0], net) == 0
    weights = net.weights
    for state in (1, 2, 3):
        slopes = penalised_risk(DeepNetwork(weights, TANH), x, y, 0.05)[1]
        weights = tuple(w - 0.1 * slope for w, slope in zip(weights, slopes))
        if state != 2:
            assert apart(run.states[1 if state == 1 else 2], DeepNetwork(weights, TANH)) < 1e-14
    np.testing.assert_array_equal(run.time, [0, 1, 3])
    np.testing.assert_allclose(run.risk, [np.mean((state.predict(x) - y) ** 2) for state in run.states])


def test_batches_are_a_permutation_of_the_points_in_each_pass():
    net, (x, y) = network(), data(10)
    run = train(net, x, y, np.array([5]), Descent(4, 0.1), generator=seeded(3))
    other, weights = seeded(3), net.weights
    orders = [torch.randperm(10, generator=other).numpy() for _ in range(2)]
    for rows in (orders[0][:4], orders[0][4:8], orders[0][8:], orders[1][:4], orders[1][4:8]):
        slopes = penalised_risk(DeepNetwork(weights, TANH), x[rows], y[rows])[1]
        weights = tuple(w - 0.1 * slope for w, slope in zip(weights, slopes))
    assert apart(run.states[0], DeepNetwork(weights, TANH)) < 1e-13


@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.Adam])
def test_together_each_learns_as_if_alone(optimiser):
    nets = [network(activation=RELU, seed=seed) for seed in range(3)]
    x, y = (np.stack(part) for part in zip(*(data(seed=seed) for seed in range(3))))
    recipe, steps = Descent(5, 0.02, 0.01, optimiser), np.array([2, 9])
    runs = train_together(nets, x, y, steps, recipe, generators=[seeded(seed) for seed in range(3)])
    for seed, run in enumerate(runs):
        alone = train(nets[seed], x[seed], y[seed], steps, recipe, generator=seeded(seed))
        np.testing.assert_allclose(run.risk, alone.risk, rtol=1e-9)
        assert max(apart(*pair) for pair in zip(run.states, alone.states)) < 1e-9


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")
def test_another_device_learns_the_same():
    runs = [
        train(network(), *data(), np.array([9]), recipe(device=device), generator=seeded())
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(runs[0].risk, runs[1].risk, rtol=1e-9)


def test_the_same_generator_gives_the_same_run_and_the_start_is_left_alone():
    net, (x, y) = network(), data()
    kept = [w.copy() for w in net.weights]
    first, again, other = (
        train(net, x, y, np.array([20]), Descent(4, 0.1), generator=seeded(seed)).states[0] for seed in (0, 0, 1)
    )
    assert apart(first, again) == 0 < apart(first, other)
    assert all(np.array_equal(a, b) for a, b in zip(kept, net.weights))


def test_flow_of_one_linear_layer_is_an_exponential():
    x, y = data(outputs=2)
    net, decay, time = network((3, 2), IDENTITY), 0.2, 1.7
    moment = x.T @ x / len(x) + decay * np.eye(3)
    best = np.linalg.solve(moment, x.T @ y / len(x)).T
    run = gradient_flow(net, x, y, np.array([0.0, time]), decay)
    expected = best + (net.weights[0] - best) @ expm(-time * moment)
    np.testing.assert_allclose(run.states[1].weights[0], expected, atol=1e-7)
    assert apart(run.states[0], net) == 0


def test_flow_is_the_limit_of_small_steps():
    net, (x, y) = network(), data()
    flow = gradient_flow(net, x, y, np.array([0.5]), 0.1).states[0]
    misses = []
    for rate in (0.01, 0.005):
        steps = np.array([round(0.5 / rate)])
        descended = train(net, x, y, steps, Descent(100, rate, 0.1), generator=seeded()).states[0]
        misses.append(apart(flow, descended))
    assert misses[0] < 0.02
    assert misses[0] / misses[1] == pytest.approx(2, abs=0.1)  # first order in the rate


def test_decay_makes_the_imbalance_of_a_linear_network_fall_exponentially():
    net, (x, y) = network((3, 5, 2), IDENTITY), data()

    def imbalance(state):
        return state.weights[1].T @ state.weights[1] - state.weights[0] @ state.weights[0].T

    for decay in (0.0, 0.15):
        first, last = gradient_flow(net, x, y, np.array([0.0, 2.0]), decay).states
        np.testing.assert_allclose(imbalance(last), np.exp(-2 * decay * 2) * imbalance(first), atol=1e-6)


def test_stationary_points_satisfy_fact_and_others_do_not():
    x = np.random.default_rng(0).normal(size=(60, 4))
    y = 2 * x[:, 0] * x[:, 1] + x[:, 2]
    start, decay = network((4, 6, 5, 1), TANH), 0.01
    net = stationary(start, x, y, decay)
    slopes = penalised_risk(net, x, y, decay)[1]
    assert np.sqrt(sum(np.sum(slope**2) for slope in slopes)) < 1e-7
    early = gradient_flow(start, x, y, np.array([3.0]), decay).states[0]
    for layer in (1, 2, 3):
        here, there = (
            np.linalg.norm(deep.fact(one, x, y, layer, decay) - deep.feature_matrix(one, layer))
            / np.linalg.norm(deep.feature_matrix(one, layer))
            for one in (net, early)
        )
        assert here < 1e-4  # |W| slope / (decay |W|^2) is at most about 1e-7 / 1e-2
        assert there > 0.1


def test_a_stationary_point_is_a_minimum():
    x, y = data(40)
    net = stationary(network((3, 4, 2)), x, y, 0.02)
    least = penalised_risk(net, x, y, 0.02)[0]
    rng = np.random.default_rng(5)
    for _ in range(20):
        moved = DeepNetwork(tuple(w + 1e-3 * rng.normal(size=w.shape) for w in net.weights), TANH)
        assert penalised_risk(moved, x, y, 0.02)[0] > least


def recipe(**changes):
    return Descent(**{"batch": 4, "rate": 0.1, **changes})


@pytest.mark.parametrize("size", [1.0, 1e-6, 1e-12])
def test_a_flow_from_a_tiny_start_is_as_precise_as_any_other(size):
    # f = w2 w1 x with w1 = w2 = w and E x^2 = y = 1: w' = w (1 - w^2), so that w^2 / (1 - w^2) grows as exp(2 t)
    start = 0.1 * size
    net = DeepNetwork((np.array([[start]]), np.array([[start]])), IDENTITY)
    times = np.array([0.5, 3.0])
    run = gradient_flow(net, np.array([[1.0], [-1.0]]), np.array([1.0, -1.0]), times)
    odds = start**2 / (1 - start**2) * np.exp(2 * times)
    found = [state.weights[0][0, 0] for state in run.states]
    np.testing.assert_allclose(found, np.sqrt(odds / (1 + odds)), rtol=2e-7)


def test_defaults_are_those_that_are_written_out():
    net, (x, y), times = network(), data(), np.array([1.0])
    one, other = gradient_flow(net, x, y, times), gradient_flow(net, x, y, times, 0.0, 1e-8)
    assert apart(one.states[0], other.states[0]) == 0
    exact = gradient_flow(net, x, y, times, 0.0, 1e-12).states[0]
    assert 0 < apart(one.states[0], exact) < 1e-7
    assert penalised_risk(net, x, y)[0] == penalised_risk(net, x, y, 0.0)[0] < penalised_risk(net, x, y, 0.1)[0]
    settled = stationary(net, x, y, 0.1)
    assert np.sqrt(sum(np.sum(slope**2) for slope in penalised_risk(settled, x, y, 0.1)[1])) < 1e-7
    usual = Descent(batch=4, rate=0.1)
    assert (usual.decay, usual.optimiser, usual.device) == (0.0, torch.optim.SGD, "cpu")


def trained(steps=(1,), rate=0.1, x=None, y=None):
    points, values = data()
    x, y = points if x is None else x, values if y is None else y
    return train(network(), x, y, np.array(steps, dtype=int), recipe(rate=rate), generator=seeded())


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: recipe(batch=0), "batch must be positive"),
        (lambda: recipe(rate=0.0), "rate must be positive"),
        (lambda: recipe(decay=-0.1), "decay must be non-negative"),
        (lambda: recipe(device="abacus"), "device must be one that torch knows, got 'abacus'"),
        (lambda: trained(()), "steps must hold at least one, got none"),
        (lambda: trained((-1, 2)), "steps must be non-negative"),
        (lambda: trained((3, 2)), "steps must be strictly increasing"),
        (lambda: trained((200,), rate=1e4), r"rate must be small enough for the training to converge, got 10000"),
        (lambda: trained(x=np.full((12, 3), np.nan)), "x must be finite"),
        (lambda: trained(y=np.full((12, 2), np.inf)), "y must be finite"),
        (lambda: trained(x=np.ones((0, 3)), y=np.ones((0, 2))), "x must hold at least one point"),
        (lambda: trained(y=np.ones((12, 3))), r"y must have one value per output \(2\)"),
        (lambda: gradient_flow(network(), *data(), np.array([1.0, 0.5])), "times must be strictly increasing"),
        (lambda: gradient_flow(network(), *data(), np.array([-1.0])), "times must be non-negative"),
        (lambda: gradient_flow(network(), *data(), np.array([1.0]), -0.1), "decay must be non-negative"),
        (lambda: gradient_flow(network(), *data(), np.array([1.0]), 0.1, 0.0), "precision must be positive"),
        (lambda: penalised_risk(network(), *data(), -1.0), "decay must be non-negative"),
        (lambda: stationary(network(), *data(), 0.0), "decay must be positive"),
        (lambda: stationary(network(), *data(), 0.1, -1.0), "tolerance must be positive"),
        (lambda: stationary(network(), *data(), 0.1, 1e-30), "tolerance must be within reach, got 1e-30"),
        (
            lambda: train_together(
                [network(), network(activation=RELU)],
                *(np.stack([part, part]) for part in data()),
                np.array([1]),
                recipe(),
                generators=[seeded(), seeded()],
            ),
            "networks must be of one shape, precision and activation, got 2 kinds",
        ),
        (
            lambda: train_together(
                [network()], *(part[None] for part in data()), np.array([1]), recipe(), generators=[]
            ),
            r"networks and generators must be one per run \(1\), got 1, 0",
        ),
    ],
)
def test_refusals(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_nothing_of_the_module_is_seeded_or_printed(capsys):
    state = torch.random.get_rng_state()
    trained((3,))
    assert torch.equal(state, torch.random.get_rng_state())
    assert capsys.readouterr().out == ""
    assert training.__doc__
