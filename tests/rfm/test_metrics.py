"""Powers, factors, scale and likeness of metrics: by hand, under rotation, at chance, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.stats import ortho_group

from afp_utils.rfm import metrics


def positive(d, rank, seed=0):
    b = np.random.default_rng(seed).normal(size=(d, rank))
    return b @ b.T


def test_power_by_hand_and_against_scipy():
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    metric = turn @ np.diag([4.0, 0.25]) @ turn.T
    np.testing.assert_allclose(metrics.feature_power(metric, 1.5), turn @ np.diag([8.0, 0.125]) @ turn.T, rtol=1e-13)
    metric = positive(5, 8)
    np.testing.assert_allclose(metrics.feature_power(metric, 0.5), sqrtm(metric), atol=1e-12)
    np.testing.assert_allclose(metrics.feature_power(metric, 3.0), metric @ metric @ metric, rtol=1e-10)


@given(st.integers(1, 6), st.integers(0, 6), st.integers(0, 1000))
def test_factor_rebuilds_the_metric_from_its_rank(d, rank, seed):
    metric = positive(d, rank, seed)
    factor = metrics.metric_factor(metric)
    np.testing.assert_allclose(factor @ factor.T, metric, atol=1e-12)
    assert factor.shape[1] >= min(d, rank) - 1
    np.testing.assert_array_equal(metrics.metric_factor(np.zeros((d, d))), np.zeros((d, 0)))


def test_scales():
    metric = positive(4, 4) * 7.3
    assert np.max(metrics.unit_max(metric)) == np.max(np.diag(metrics.unit_max(metric))) == 1
    np.testing.assert_allclose(np.trace(metrics.unit_trace(metric)), 4, rtol=1e-14)
    np.testing.assert_array_equal(metrics.unnormalised(metric), metric)
    turn = ortho_group.rvs(4, random_state=0)
    turned = turn @ metric @ turn.T  # its largest entry is another, its trace is not
    np.testing.assert_allclose(metrics.unit_trace(turned), turn @ metrics.unit_trace(metric) @ turn.T, atol=1e-13)
    one = np.diag([1.0, 0, 0, 0])
    assert np.trace(metrics.unit_max(turn @ one @ turn.T)) > 1.01 * np.trace(metrics.unit_max(one))
    for normalise in (metrics.unit_max, metrics.unit_trace, metrics.unnormalised):
        np.testing.assert_array_equal(normalise(np.zeros((3, 3))), np.zeros((3, 3)))


def test_deviatoric_cosine_by_hand():
    one, two = np.diag([3.0, 1.0]), np.array([[5.0, 2.0], [2.0, 3.0]])  # deviatoric: diag(1, -1); [[1, 2], [2, -1]]
    assert metrics.deviatoric_cosine(one, two) == pytest.approx(2 / np.sqrt(2 * 10), rel=1e-14)
    assert metrics.deviatoric_cosine(one, -one) == pytest.approx(-1, rel=1e-14)
    assert metrics.deviatoric_cosine(one, 4 * np.eye(2)) == 0


def test_deviatoric_cosine_is_blind_to_rotation_scale_and_identity():
    one, two, turn = positive(5, 2), positive(5, 3, 1), ortho_group.rvs(5, random_state=0)
    value = metrics.deviatoric_cosine(one, two)
    assert metrics.deviatoric_cosine(two, one) == pytest.approx(value, rel=1e-13)
    assert metrics.deviatoric_cosine(turn @ one @ turn.T, turn @ two @ turn.T) == pytest.approx(value, rel=1e-12)
    assert metrics.deviatoric_cosine(3.7 * one + 50 * np.eye(5), two) == pytest.approx(value, rel=1e-11)
    # where all entries correlate nearly perfectly, for free
    assert np.corrcoef((one + 50 * np.eye(5)).ravel(), (two + 50 * np.eye(5)).ravel())[0, 1] > 0.97
    assert value < 0.8


def test_residuals_by_hand():
    rows, columns = np.meshgrid(np.arange(7), np.arange(7), indexing="ij")
    values = np.random.default_rng(0).normal(size=7)
    circulant, hankel = values[(rows - columns) % 7], values[(rows + columns) % 7]
    assert metrics.circulant_residual(circulant) < 1e-28
    assert metrics.hankel_residual(hankel) < 1e-28
    # the average over i - j of c(i + j), for odd p, is the mean of c
    assert metrics.circulant_residual(hankel) == pytest.approx(1, rel=1e-13)
    assert metrics.hankel_residual(circulant) == pytest.approx(1, rel=1e-13)
    # by hand: (1, 2; 3, 6) has diagonals (1, 6) and (2, 3), mean 3
    block = np.array([[1.0, 2.0], [3.0, 6.0]])
    assert metrics.circulant_residual(block) == pytest.approx((2 * 2.5**2 + 2 * 0.5**2) / (4 + 1 + 0 + 9), rel=1e-14)
    assert metrics.circulant_residual(np.full((3, 3), 0.1)) == 0


def test_residual_of_noise_is_near_one():
    p = 60
    noise = np.random.default_rng(0).normal(size=(p, p))
    for residual in (metrics.circulant_residual, metrics.hankel_residual):
        assert residual(noise) == pytest.approx(p / (p + 1), abs=5 / p**1.5)
        assert residual(3 * noise + 4) == pytest.approx(residual(noise), rel=1e-12)
    # the mean of a ratio of squared lengths in p (p - 1) of p^2 - 1 directions; 1 - 1/p is 0.03 less
    for p, draws in ((2, 4000), (5, 4000)):
        rng = np.random.default_rng(p)
        for residual in (metrics.circulant_residual, metrics.hankel_residual):
            seen = [residual(rng.normal(size=(p, p))) for _ in range(draws)]
            assert np.mean(seen) == pytest.approx(p / (p + 1), abs=4 * np.std(seen) / draws**0.5)


def test_degenerate_sizes_have_no_deviatoric_part_and_no_residual():
    assert metrics.deviatoric_cosine(np.array([[2.0]]), np.array([[3.0]])) == 0
    assert metrics.deviatoric_cosine(np.zeros((2, 2)), np.diag([1.0, 2.0])) == 0
    assert metrics.circulant_residual(np.array([[5.0]])) == metrics.hankel_residual(np.array([[5.0]])) == 0
    np.testing.assert_array_equal(metrics.unit_trace(np.zeros((0, 0))), np.zeros((0, 0)))


def test_refusals():
    skew = np.array([[1.0, 2.0], [0.0, 1.0]])
    for function in (lambda m: metrics.feature_power(m, 0.5), metrics.metric_factor):
        with pytest.raises(ValueError, match=r"metric must be symmetric, got 2.0 at index \(0, 1\)"):
            function(skew)
        with pytest.raises(ValueError, match="metric must be finite, got nan"):
            function(np.eye(2) * np.nan)
    with pytest.raises(ValueError, match="power must be positive and finite, got 0"):
        metrics.feature_power(np.eye(2), 0.0)
    with pytest.raises(ValueError, match="positive semi-definite, got an eigenvalue -1"):
        metrics.metric_factor(np.diag([1.0, -1.0]))
    with pytest.raises(ValueError, match="block must be finite"):
        metrics.circulant_residual(np.full((2, 2), np.inf))
    for residual in (metrics.circulant_residual, metrics.hankel_residual):
        with pytest.raises(ValueError, match="block must be not empty"):
            residual(np.zeros((0, 0)))
    with pytest.raises(TypeError):
        metrics.circulant_residual(np.ones((2, 3)))
    with pytest.raises(ValueError, match="second must be finite"):
        metrics.deviatoric_cosine(np.eye(2), np.eye(2) * np.nan)
