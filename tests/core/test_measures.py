"""The five measures: hand-solved cases, invariances, negative controls, refusals."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from afp_utils.core.measures import (
    MEASURES,
    ROUNDING,
    agop,
    agop_alignment,
    consensus,
    effective_dimension,
    feature_error_measure,
    fem,
    ntk_drift,
)
from afp_utils.core.models import Observation, Probe, Trajectory, observe, white
from afp_utils.networks.descent import controlled_flow
from afp_utils.networks.starts import antisymmetric_start
from tests.helpers import probe, run

WORKED = np.array([4.0, 3.0, 2.0, 1.0]), np.array([0.1, 1.0, 0.05, 0.5]), 0.04
problems = st.integers(1, 8).flatmap(
    lambda size: st.tuples(
        arrays(float, size, elements=st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0])),
        arrays(float, size, elements=st.floats(-2, 2)),
        st.floats(0, 2),
    )
)


def by_definition(eigenvalues, coefficients, noise):
    """The infimum over thresholds, tried at every level: an independent route to the measure."""
    thresholds = [np.inf, *eigenvalues[eigenvalues > 0]]
    return min(
        np.sum(coefficients[eigenvalues < level] ** 2) + noise * np.sum(eigenvalues >= level) for level in thresholds
    )


# ---- feature_error_measure ----


def test_worked_value():
    # keeping m = 0..4 features costs 1.2625, 1.2925, .3325, .37, .16
    assert feature_error_measure(*WORKED) == pytest.approx(0.16, abs=1e-15)


def test_ties_enter_together():
    # apart, keeping the first alone would cost .01 + .1; together they cost min(1.01, .2)
    assert feature_error_measure(np.array([1.0, 1.0]), np.array([1.0, 0.1]), 0.1) == pytest.approx(0.2)
    assert feature_error_measure(np.array([1.0, 0.9]), np.array([1.0, 0.1]), 0.1) == pytest.approx(0.11)


def test_null_features_are_never_kept():
    assert feature_error_measure(np.array([1.0, 0.0]), np.array([0.5, 3.0]), 0.01) == pytest.approx(9.01)


@given(problems)
def test_equals_its_definition(problem):
    assert feature_error_measure(*problem) == pytest.approx(by_definition(*problem), rel=1e-12, abs=1e-15)


@given(problems, st.permutations(range(8)))
def test_depends_on_the_order_of_eigenvalues_alone(problem, shuffle):
    eigenvalues, coefficients, noise = problem
    value = feature_error_measure(*problem)
    order = [i for i in shuffle if i < len(eigenvalues)]
    assert feature_error_measure(eigenvalues[order], coefficients[order], noise) == pytest.approx(value, abs=1e-12)
    assert feature_error_measure(np.sqrt(eigenvalues) * 7, coefficients, noise) == pytest.approx(value, abs=1e-12)


@given(problems)
def test_lies_between_the_ideal_and_the_whole_energy(problem):
    _, coefficients, noise = problem
    value = feature_error_measure(*problem)
    assert np.sum(np.minimum(coefficients**2, noise)) - 1e-12 <= value <= np.sum(coefficients**2) + 1e-12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eigenvalues": np.array([1.0, -0.5])}, "eigenvalues must be non-negative and finite, got -0.5 at index 1"),
        ({"eigenvalues": np.array([np.nan, 0.5])}, "eigenvalues must be non-negative and finite, got nan at index 0"),
        ({"coefficients": np.array([1.0, np.inf])}, "coefficients must be finite, got inf at index 1"),
        ({"noise": -1.0}, "noise must be non-negative and finite, got -1.0"),
    ],
)
def test_refusals(change, message):
    good = {"eigenvalues": np.array([1.0, 0.5]), "coefficients": np.array([1.0, 2.0]), "noise": 0.1}
    with pytest.raises(ValueError, match=message):
        feature_error_measure(**good | change)


def test_refuses_different_lengths():
    with pytest.raises(TypeError, match="coefficients"):
        feature_error_measure(np.ones(3), np.ones(2), 0.1)


# ---- on observations ----


def sighting(gram, *, tangent=None, gradient=None, target=None, noise=0.04, target_gradient=None):
    """An observation with given answers: gram (run, time, n, n)."""
    runs, times, n, _ = gram.shape
    x = white(np.random.default_rng(5).normal(size=(n, 2)))
    return Observation(
        probe=Probe(
            x=x,
            target=np.ones(n) if target is None else target,
            target_gradient=np.tile([1.0, 0.0], (n, 1)) if target_gradient is None else target_gradient,
            noise=noise,
        ),
        time=np.tile(np.arange(times, dtype=float), (runs, 1)),
        risk=np.ones((runs, times)),
        prediction=np.zeros((runs, times, n)),
        gradient=np.zeros((runs, times, n, 2)) if gradient is None else gradient,
        gram=gram,
        tangent=gram if tangent is None else tangent,
    )


def diagonal(*levels):
    """A Gram matrix with given eigenvalues (of gram / n) in a fixed rotated basis, and that basis."""
    n = len(levels)
    basis = np.linalg.qr(np.random.default_rng(3).normal(size=(n, n)))[0]
    return n * (basis * levels) @ basis.T, basis


def test_fem_reads_the_worked_value_off_a_gram_matrix():
    eigenvalues, coefficients, noise = WORKED
    gram, basis = diagonal(*eigenvalues)
    seen = sighting(gram[None, None], target=np.sqrt(4) * basis @ coefficients, noise=noise)
    np.testing.assert_allclose(fem(seen), [[0.16]], atol=1e-12)


def test_fem_of_a_linear_model_on_a_white_probe_is_its_closed_form():
    at = probe(n=11, d=3)
    weights = np.array([0.3, -1.0, 0.2])
    at = Probe(x=at.x, target=at.x @ weights, target_gradient=np.tile(weights, (11, 1)), noise=0.05)
    scale = np.array([2.0, 0.5, 1.0])
    seen = observe([run([scale], [np.ones(3)])], at)
    expected = feature_error_measure(scale**2, weights, 0.05)
    assert fem(seen)[0, 0] == pytest.approx(expected, rel=1e-10)
    assert expected not in (pytest.approx(0.0), pytest.approx(np.sum(weights**2)))


def test_fem_sees_through_rounding_in_ties_and_null_directions():
    rng = np.random.default_rng(0)
    gram, basis = diagonal(1.0, 1.0, 0.0, 0.0)
    rounding = 1e-15 * rng.normal(size=(4, 4))
    noisy = gram + rounding + rounding.T
    target = 2 * basis @ np.array([1.0, 0.1, 0.7, 0.0])
    seen = sighting(noisy[None, None], target=target, noise=0.1)
    # both or none of the tied pair (1.5 or .49 + .2), never the null direction that holds .49
    np.testing.assert_allclose(fem(seen), [[0.69]], atol=1e-10)


def test_fem_is_invariant_to_rotation_and_scale_of_the_features():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(7, 5))
    turned = 3.0 * features @ np.linalg.qr(rng.normal(size=(5, 5)))[0]
    seen = sighting(np.stack([features @ features.T, turned @ turned.T])[:, None], target=rng.normal(size=7))
    assert fem(seen)[0, 0] == pytest.approx(fem(seen)[1, 0], rel=1e-9)


def test_negative_control_a_permuted_target_makes_fem_worse():
    rng = np.random.default_rng(4)
    x = white(rng.normal(size=(60, 4)))
    weights = np.array([2.0, 1.0, 0.0, 0.0])
    states = run([[3.0, 2.0, 0.2, 0.1]], [np.ones(4)])
    right = Probe(x=x, target=x @ weights, target_gradient=np.tile(weights, (60, 1)), noise=0.01)
    wrong = Probe(x=x, target=rng.permutation(right.target), target_gradient=right.target_gradient, noise=0.01)
    assert fem(observe([states], right))[0, 0] == pytest.approx(0.02, rel=1e-9)
    assert fem(observe([states], wrong))[0, 0] > 4.0


def test_fem_refuses_a_gram_matrix_that_is_not_positive():
    gram, _ = diagonal(1.0, -0.5, 0.2)
    with pytest.raises(ValueError, match="gram must be positive semi-definite, got an eigenvalue -1.5"):
        fem(sighting(gram[None, None]))


@pytest.mark.parametrize(("apart", "value"), [(0.1, 0.2), (10.0, 0.11)])
def test_fem_counts_eigenvalues_as_one_just_within_rounding(apart, value):
    # together the pair costs .1 + .1, apart .1 and the .01 that is left out; `apart` in units of what is one eigenvalue
    features = np.array([1.0, 1.0 - apart * ROUNDING * 2])
    seen = sighting(2 * np.diag(features)[None, None], target=np.sqrt(2) * np.array([1.0, 0.1]), noise=0.1)
    assert fem(seen)[0, 0] == pytest.approx(value)


@pytest.mark.parametrize(("level", "value"), [(0.1, 4.1), (10.0, 0.2)])
def test_fem_counts_an_eigenvalue_as_zero_just_within_rounding(level, value):
    gram = 2 * np.diag([1.0, level * ROUNDING * 2])
    seen = sighting(gram[None, None], target=np.sqrt(2) * np.array([1.0, 2.0]), noise=0.1)
    assert fem(seen)[0, 0] == pytest.approx(value)


def test_fem_forgives_the_rounding_of_a_gram_matrix_and_no_more():
    fem(sighting(np.diag([1.0, -5e-9])[None, None]))
    with pytest.raises(ValueError, match="gram must be positive semi-definite"):
        fem(sighting(np.diag([1.0, -5e-8])[None, None]))


def test_fem_of_features_that_vanish_is_the_energy_of_the_target():
    np.testing.assert_allclose(fem(sighting(np.zeros((1, 1, 4, 4)))), [[1.0]])


def test_drift_by_hand():
    first, second = np.diag([1.0, 0.0, 0.0]), np.diag([1.0, 1.0, 0.0])
    seen = sighting(np.stack([first, second, 5 * first, np.diag([0.0, 0, 2])])[None])
    np.testing.assert_allclose(ntk_drift(seen), [[0, 1 - 1 / np.sqrt(2), 0, 1]], atol=1e-15)


def test_drift_of_vanishing_kernels():
    zero, one = np.zeros((2, 2)), np.eye(2)
    np.testing.assert_array_equal(ntk_drift(sighting(np.stack([zero, zero, one])[None])), [[0, 0, 1]])
    np.testing.assert_allclose(ntk_drift(sighting(np.stack([one, zero])[None])), [[0, 1]], atol=1e-15)


@pytest.mark.parametrize("change", [1e-3, 1e-8, 1e-12])
def test_a_small_drift_is_a_number_and_not_rounding(change):
    kernel, other = np.diag([1.0, 2.0, 3.0]), np.diag([1.0, 0.0, 0.0])
    turned = np.stack([kernel, kernel + change * other])[None]
    # half the square of the part of the change that is orthogonal to the kernel: 1 - 1/14, over |kernel|^2 = 14
    assert ntk_drift(sighting(turned))[0, 1] == pytest.approx(change**2 * (1 - 1 / 14) / 28, rel=1e-2 + change)


def test_consensus_by_hand():
    e = np.eye(4)
    half = (e[0] + e[1]) / np.sqrt(2)
    grams = [
        4 * np.outer(e[0], e[0]) + np.outer(e[1], e[1]),
        4 * np.outer(e[1], e[1]) + np.outer(e[0], e[0]),
        4 * np.outer(half, half) + np.outer(e[2], e[2]),
    ]
    seen = sighting(np.stack(grams)[:, None])
    # rank 1: e0, e1, half: no pair within 26 degrees, but squared cosine 1/2 with `half`
    np.testing.assert_allclose(consensus(seen, 1)[:, 0], [0, 0, 0])
    np.testing.assert_allclose(consensus(seen, 1, 0.5)[:, 0], [0.5, 0.5, 1.0])
    # rank 2: the first two span the same plane; the third shares one direction of two with each
    np.testing.assert_allclose(consensus(seen, 2)[:, 0], [0.75, 0.75, 0.5])


@pytest.mark.parametrize(("square", "share"), [(0.85, 0.0), (0.899, 0.0), (0.901, 1.0), (0.95, 1.0)])
def test_consensus_asks_for_a_squared_cosine_of_nine_tenths(square, share):
    """Unsquared, cosines from .9 on would do: .922, whose square is .85, must not."""
    one, other = np.array([1.0, 0.0]), np.array([np.sqrt(square), np.sqrt(1 - square)])
    seen = sighting(np.stack([np.outer(one, one), np.outer(other, other)])[:, None])
    np.testing.assert_array_equal(consensus(seen, 1), [[share], [share]])


def test_consensus_takes_the_threshold_itself():
    one, other = np.array([1.0, 0.0]), np.array([0.6, 0.8])
    seen = sighting(np.stack([np.outer(one, one), np.outer(other, other)])[:, None])
    np.testing.assert_array_equal(consensus(seen, 1, 0.36), [[1.0], [1.0]])
    np.testing.assert_array_equal(consensus(seen, 1, 0.37), [[0.0], [0.0]])


def test_consensus_is_relative_to_the_larger_of_two_subspaces():
    pair, single = np.diag([1.0, 1.0, 0.0]), np.diag([1.0, 0.0, 0.0])
    np.testing.assert_array_equal(consensus(sighting(np.stack([pair, single])[:, None]), 1), [[0.5], [0.5]])


def test_consensus_averages_over_the_other_runs_at_each_time():
    e = np.eye(3)
    first, second = np.outer(e[0], e[0]), np.outer(e[1], e[1])
    seen = sighting(np.stack([[first, first], [first, second], [second, first], [second, first]]))
    np.testing.assert_allclose(consensus(seen, 1), [[1 / 3, 2 / 3], [1 / 3, 0], [1 / 3, 2 / 3], [1 / 3, 2 / 3]])


def test_consensus_of_random_features_is_chance():
    """In two dimensions a random pair of lines is within arccos(sqrt .9): 2 / pi of it. Pairs are independent by two."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(120, 2, 1))
    seen = sighting((features @ features.swapaxes(1, 2))[:, None])
    chance = 2 * np.arccos(np.sqrt(0.9)) / np.pi
    spread = np.sqrt(chance * (1 - chance) / (120 * 119 / 2))
    assert abs(consensus(seen, 1).mean() - chance) < 3 * spread


def test_consensus_compares_subspaces_when_eigenvalues_tie():
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(rng.normal(size=(5, 3)))[0]
    spun = basis @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    seen = sighting(np.stack([basis @ basis.T, spun @ spun.T])[:, None])
    np.testing.assert_array_equal(consensus(seen, 1), [[1.0], [1.0]])
    np.testing.assert_array_equal(consensus(seen, 2), [[1.0], [1.0]])


def test_consensus_never_counts_null_directions():
    e = np.eye(4)
    seen = sighting(np.stack([np.outer(e[0], e[0]), np.outer(e[1], e[1])])[:, None])
    np.testing.assert_array_equal(consensus(seen, 3), [[0.0], [0.0]])
    empty = sighting(np.stack([np.zeros((4, 4)), np.zeros((4, 4)), np.outer(e[1], e[1])])[:, None])
    np.testing.assert_array_equal(consensus(empty, 1), [[0.5], [0.5], [0.0]])


def test_consensus_starts_at_one_when_runs_share_their_start():
    shared = [[1.0, 2.0], [5.0, 0.1]], [[1.0, 2.0], [0.1, 5.0]]
    seen = observe([run(scales, [[1.0, 1]] * 2) for scales in shared], probe())
    np.testing.assert_array_equal(consensus(seen, 1), [[1, 0], [1, 0]])


@pytest.mark.parametrize(
    ("runs", "arguments", "message"),
    [
        (1, (1,), "seen must hold at least 2 runs to compare, got 1"),
        (2, (0,), "rank must be at least 1, got 0"),
        (2, (4,), "rank must be at most the number of probe points 3, got 4"),
        (2, (1, 0.0), r"threshold must be in \(0, 1\], got 0.0"),
        (2, (1, 1.5), r"threshold must be in \(0, 1\], got 1.5"),
    ],
)
def test_consensus_refusals(runs, arguments, message):
    with pytest.raises(ValueError, match=message):
        consensus(sighting(np.tile(np.eye(3), (runs, 1, 1, 1))), *arguments)


def test_effective_dimension_by_hand():
    grams = np.stack([np.diag([1.0, 0, 0]), np.eye(3), np.diag([3.0, 1, 0]), np.zeros((3, 3))])
    np.testing.assert_allclose(effective_dimension(sighting(grams[None])), [[1, 3, 1.6, 0]])


@given(arrays(float, (5, 3), elements=st.floats(-3, 3)), st.floats(0.01, 100))
def test_effective_dimension_is_between_one_and_the_rank_and_has_no_scale(features, scale):
    seen = sighting(np.stack([features @ features.T, scale * features @ features.T])[None])
    dimension = effective_dimension(seen)[0]
    if np.abs(features).max() > 1e-3:
        assert 1 - 1e-9 <= dimension[0] <= 3 + 1e-9
        assert dimension[1] == pytest.approx(dimension[0])


def test_agop_by_hand():
    gradient = np.array([[1.0, 0.0], [1.0, 2.0]])
    np.testing.assert_allclose(agop(gradient), [[1.0, 1.0], [1.0, 2.0]])


def test_alignment_by_hand():
    at = np.array([[[[1.0, 0]] * 3, [[0, 2.0]] * 3, [[1.0, 1.0]] * 3, [[0, 0.0]] * 3]])
    seen = sighting(np.tile(np.eye(3), (1, 4, 1, 1)), gradient=at)
    # target gradient e1: cosines of e1 e1^T with e1 e1^T, e2 e2^T, (1,1)(1,1)^T / 2 and 0
    np.testing.assert_allclose(agop_alignment(seen), [[1, 0, 0.5, 0]])


def test_a_constant_target_has_alignment_zero():
    seen = sighting(np.eye(3)[None, None], gradient=np.zeros((1, 1, 3, 2)), target_gradient=np.zeros((3, 2)))
    np.testing.assert_array_equal(agop_alignment(seen), [[0.0]])


def test_alignment_is_invariant_to_sign_and_scale_and_turns_with_the_input():
    rng = np.random.default_rng(7)
    gradient, target_gradient = rng.normal(size=(2, 4, 2))
    turn = np.linalg.qr(rng.normal(size=(2, 2)))[0]
    first = sighting(np.eye(4)[None, None], gradient=gradient[None, None], target_gradient=target_gradient)
    other = sighting(
        np.eye(4)[None, None], gradient=-3 * gradient[None, None] @ turn, target_gradient=target_gradient @ turn
    )
    assert 0 < agop_alignment(first)[0, 0] < 1
    assert agop_alignment(other)[0, 0] == pytest.approx(agop_alignment(first)[0, 0])


def antisymmetric(alpha, m=60, seed=0):
    """A network whose neurons cancel in pairs, and a probe for it."""
    x = white(np.random.default_rng(seed).normal(size=(30, 3)))
    net = antisymmetric_start(m, 3, alpha, generator=torch.Generator().manual_seed(seed))
    return net, Probe(x=x, target=x[:, 0], target_gradient=np.tile(np.eye(3)[0], (30, 1)), noise=0.1)


@pytest.mark.parametrize("alpha", [1e-6, 0.1, 1.0, 100.0])
@pytest.mark.parametrize("m", [4, 60, 1000])
def test_a_network_that_is_zero_by_antisymmetry_has_alignment_zero(alpha, m):
    net, at = antisymmetric(alpha, m)
    only = Trajectory(time=np.zeros(1), risk=np.ones(1), states=(net,))
    seen = observe([only], at)
    np.testing.assert_array_equal(agop_alignment(seen), [[0.0]])
    # what rounding leaves is this machine's; here is some of a direction, as large as it may be
    rounding = replace(seen, gradient=np.full_like(seen.gradient, 1e-16 * min(alpha, 1.0)))
    np.testing.assert_array_equal(agop_alignment(rounding), [[0.0]])


def test_alignment_of_an_antisymmetric_network_starts_from_zero_and_grows():
    net, at = antisymmetric(0.1)
    seen = observe([controlled_flow(net, at.x, at.target, np.array([0.0, 0.1, 1.0]))], at)
    assert agop_alignment(seen)[0, 0] == 0.0
    assert (agop_alignment(seen)[0, 1:] > 0.3).all()


@pytest.mark.parametrize(("size", "value"), [(1e-13, 0.0), (1e-11, 0.5), (1e11, 0.5), (1e13, 0.0)])
def test_alignment_counts_as_constant_what_is_within_rounding_of_the_largest_gradient(size, value):
    """A predictor beside the target, and, beyond 1e12, a target beside the predictor."""
    gradient = size * np.ones((1, 1, 3, 2)) / np.sqrt(2)
    assert agop_alignment(sighting(np.eye(3)[None, None], gradient=gradient))[0, 0] == pytest.approx(value)


def test_alignment_counts_as_constant_what_is_within_rounding_of_a_later_state():
    gradient = np.stack([1e-8 * np.ones((3, 2)), 1e5 * np.ones((3, 2))])
    seen = sighting(np.tile(np.eye(3), (1, 2, 1, 1)), gradient=gradient[None])
    np.testing.assert_allclose(agop_alignment(seen), [[0.0, 0.5]])


@pytest.mark.parametrize("scale", [1e-200, 1e-20, 1e20, 1e200])
def test_no_measure_depends_on_the_scale_of_the_features(scale):
    rng = np.random.default_rng(8)
    features = rng.normal(size=(2, 2, 5, 3))
    gram, gradient = features @ features.swapaxes(-1, -2), rng.normal(size=(2, 2, 5, 2))
    plain = sighting(gram, gradient=gradient, target=rng.normal(size=5), target_gradient=rng.normal(size=(5, 2)))
    at = plain.probe
    slopes = Probe(x=at.x, target=at.target, target_gradient=scale * at.target_gradient, noise=at.noise)
    scaled = sighting(scale * gram, gradient=scale * gradient, target=at.target, target_gradient=slopes.target_gradient)
    for name, measure in MEASURES.items():
        arguments = (2,) if name == "consensus" else ()
        np.testing.assert_allclose(measure(scaled, *arguments), measure(plain, *arguments), rtol=1e-9, err_msg=name)
        assert np.isfinite(measure(scaled, *arguments)).all()


def test_measures_on_a_probe_of_one_point_and_one_dimension():
    at = Probe(x=np.array([[-1.0]]), target=np.array([2.0]), target_gradient=np.array([[2.0]]), noise=0.5)
    seen = observe([run([[3.0]], [[1.0]]), run([[1.0]], [[0.0]])], at)
    np.testing.assert_allclose(fem(seen), [[0.5], [0.5]])
    np.testing.assert_allclose(ntk_drift(seen), [[0], [0]])
    np.testing.assert_allclose(consensus(seen, 1), [[1], [1]])
    np.testing.assert_allclose(effective_dimension(seen), [[1], [1]])
    np.testing.assert_allclose(agop_alignment(seen), [[1], [0]])


def test_measures_are_listed_by_their_names_and_give_one_number_per_run_and_time():
    assert all(name == measure.__name__ for name, measure in MEASURES.items())
    seen = observe([run([[1.0, 2]] * 3, [[3.0, 4]] * 3), run([[1.0, 3]] * 3, [[3.0, 4]] * 3)], probe())
    for name, measure in MEASURES.items():
        value = measure(seen, 1) if name == "consensus" else measure(seen)
        assert value.shape == (2, 3), name


def test_fem_equals_the_definition_for_random_features():
    rng = np.random.default_rng(11)
    for _ in range(50):
        features, target = rng.normal(size=(6, 4)), rng.normal(size=6)
        seen = sighting((features @ features.T)[None, None], target=target, noise=0.1)
        level, basis = np.linalg.eigh(features @ features.T / 6)
        level[level < 1e-12] = 0.0
        assert fem(seen)[0, 0] == pytest.approx(by_definition(level, basis.T @ target / np.sqrt(6), 0.1))
