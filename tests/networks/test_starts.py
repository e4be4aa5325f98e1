"""Starts have the variances and symmetries that they should, and all that is drawn comes from what is handed in."""

import numpy as np
import pytest
import torch

from afp_utils.networks.mlp import RELU
from afp_utils.networks.starts import antisymmetric_start, balanced_start, ensemble_start, he_start, streams, subsets
from afp_utils.sphere import kernels


def rng(seed=0):
    return np.random.default_rng(seed)


def antisymmetric(m=40, d=3, alpha=1.0, seed=0, **options):
    return antisymmetric_start(m, d, alpha, generator=torch.Generator().manual_seed(seed), **options)


def test_he_start_has_the_variances_it_should():
    net = he_start((200, 300, 400, 10), RELU, rng=rng(), first=0.1)
    assert [w.shape for w in net.weights] == [(300, 200), (400, 300), (10, 400)]
    measured = [float(w.var()) for w in net.weights]
    np.testing.assert_allclose(measured, [0.01 * 2 / 200, 2 / 300, 2 / 400], rtol=0.08)  # 4 sd of 4000 squares is 9 %
    assert net.biases == ()


def test_the_scale_of_the_first_layer_is_one_unless_given():
    one, other = (he_start((3, 4, 2), RELU, rng=rng(), **more) for more in ({}, {"first": 1.0}))
    small = he_start((3, 4, 2), RELU, rng=rng(), first=0.1)
    np.testing.assert_array_equal(one.weights[0], other.weights[0])
    np.testing.assert_allclose(small.weights[0], 0.1 * one.weights[0])
    np.testing.assert_array_equal(small.weights[1], one.weights[1])


def test_ensembles_have_the_promised_spread_and_each_its_own_generator():
    begin = ensemble_start([50, 200, 3], streams(rng(), 6).init, gain=0.5)
    assert [w.shape for w in begin.weights] == [(6, 200, 50), (6, 3, 200)]
    assert begin.weights[0].std() == pytest.approx(0.5 * np.sqrt(2 / 50), rel=0.02)
    assert begin.weights[1].std() == pytest.approx(0.5 * np.sqrt(2 / 200), rel=0.05)
    assert [b.shape for b in begin.biases] == [(6, 200), (6, 3)]
    assert not any(b.any() for b in begin.biases)
    drawn = streams(rng(), 6).init[2].normal(scale=0.5 * np.sqrt(2 / 50), size=(50, 200))  # a column for each neuron
    np.testing.assert_array_equal(begin.weights[0][2], drawn.T)
    alone = ensemble_start([50, 200, 3], streams(rng(), 6).init[2:3], gain=0.5)
    np.testing.assert_array_equal(begin.weights[1][2], alone.weights[1][0])
    usual = ensemble_start([50, 200, 3], streams(rng(), 6).init)
    np.testing.assert_allclose(usual.weights[1], 2 * begin.weights[1])
    assert usual.activation == RELU


def test_the_antisymmetric_start_is_zero_and_its_kernels_are_those_of_infinite_width():
    net, x = antisymmetric(m=20_000, alpha=3.0), kernels.uniform_points(6, 3, rng=rng())
    assert np.abs(net.predict(x)).max() < 1e-10
    np.testing.assert_allclose(net.tangent(x), 9 / 2 * kernels.tangent_kernel(x, x), atol=0.5)
    np.testing.assert_allclose(net.gram(x), 9 / 2 * kernels.random_feature_kernel(x, x), atol=0.35)


def test_the_antisymmetric_start_is_drawn_from_its_generator_alone():
    torch.manual_seed(1)
    first = antisymmetric()
    torch.manual_seed(2)
    np.testing.assert_array_equal(antisymmetric().weights[0], first.weights[0])
    assert not np.allclose(antisymmetric(seed=1).weights[0], first.weights[0])
    assert antisymmetric(dtype=torch.float32).weights[0].dtype == np.float32


@pytest.mark.parametrize("widths", [(5, 8, 4), (5, 7, 6, 9, 4)])
def test_balanced_starts_are_balanced_with_the_values_they_should(widths):
    values = np.array([1.3, 0.8, 0.5, 0.2])
    net = balanced_start(widths, values, rng=rng(2))
    for above, below in zip(net.weights[1:], net.weights):
        np.testing.assert_allclose(above.T @ above, below @ below.T, atol=1e-14)
    whole = np.linalg.multi_dot(net.weights[::-1])
    np.testing.assert_allclose(np.linalg.svd(whole)[1][:4], values ** (len(widths) - 1), rtol=1e-12)


@pytest.mark.parametrize("same", ["same_data", "same_init", "same_order", None])
def test_streams_are_the_same_just_where_asked(same):
    made = streams(rng(7), 4, **({same: True} if same else {}))
    for name in ("data", "init", "order"):
        distinct = len({stream.random() for stream in getattr(made, name)})
        assert distinct == (1 if same == f"same_{name}" else 4)
    np.testing.assert_array_equal(streams(rng(7), 4).init[1].random(3), streams(rng(7), 4).init[1].random(3))


def test_subsets_are_sets():
    chosen = subsets(streams(rng(), 5).data, 12, 7)
    assert chosen.shape == (5, 7)
    assert all(len(set(row)) == 7 for row in chosen)
    assert chosen.min() >= 0
    assert chosen.max() < 12
    shared = subsets(streams(rng(), 5, same_data=True).data, 12, 7)
    assert (shared == shared[0]).all()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: he_start((3,), RELU, rng=rng()), "widths must be two numbers or more"),
        (lambda: he_start((3, 0, 1), RELU, rng=rng()), "widths must be at least 1, got 0 at index 1"),
        (lambda: he_start((3, 1), RELU, rng=rng(), first=0.0), "first must be positive"),
        (lambda: ensemble_start([4], [rng()]), "widths must be two numbers or more"),
        (lambda: ensemble_start([4, 2], [rng()], gain=-1.0), "gain must be positive"),
        (lambda: antisymmetric(m=7), "m must be even, got 7"),
        (lambda: antisymmetric(m=0), "m must be at least 1, got 0"),
        (lambda: antisymmetric(d=0), "d must be at least 1, got 0"),
        (lambda: antisymmetric(alpha=0.0), "alpha must be positive"),
        (lambda: balanced_start((3,), np.ones(1), rng=rng()), "widths must be two numbers or more"),
        (lambda: balanced_start((3, 2, 4), np.ones(3), rng=rng()), r"as many as the least width \(2\), got 3"),
        (lambda: balanced_start((3, 2), np.array([-1.0]), rng=rng()), "values must be non-negative"),
        (lambda: streams(rng(), 0), "models must be at least 1"),
        (lambda: subsets([rng()], 5, 6), r"size must be in \[1, 5\]"),
        (lambda: subsets([rng()], 5, 0), r"size must be in \[1, 5\]"),
    ],
)
def test_bad_input_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()
