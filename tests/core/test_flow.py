import numpy as np
import pytest

from afp_utils.core.flow import flow_at
from afp_utils.linear import models
from afp_utils.networks.flow import gradient_flow
from afp_utils.networks.mlp import TANH
from afp_utils.networks.starts import he_start


def decay(_, y):
    return -y


@pytest.mark.parametrize("method", ["LSODA", "RK45", "DOP853"])
@pytest.mark.parametrize("times", [[0.0], [0.5], [0.0, 0.3, 2.0]])
def test_a_flow_is_seen_at_its_times(method, times):
    start = np.array([1.0, -2.0])
    path = flow_at(decay, start, np.array(times), method=method, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(path, np.exp(-np.array(times))[:, None] * start, rtol=1e-7)


def test_a_flow_that_ends_early_is_refused():
    with pytest.raises(ValueError, match=r"times must be within reach of the solver, got 2\.0"):
        flow_at(lambda _, y: y**2, np.ones(1), np.array([0.5, 2.0]), method="RK45")


def test_flows_may_be_asked_for_their_start_alone():
    x = np.random.default_rng(0).normal(size=(5, 3))
    net = he_start([3, 4, 1], TANH, rng=np.random.default_rng(1))
    run = gradient_flow(net, x, x[:, 0], np.array([0.0]))
    np.testing.assert_array_equal(run.states[0].weights[0], net.weights[0])
    linear = models.gradient_flow(np.ones(2), np.eye(2, 3), np.eye(3), np.ones(3), np.array([0.0]), gamma=1.0)
    np.testing.assert_array_equal(linear.states[0].w, np.eye(2, 3))
