"""The interaction tensor: small cases by hand, a plain double loop, invariances, and planted truth."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afp_utils.interaction import tensor
from afp_utils.interaction.planted import planted_activations, planted_owners
from afp_utils.interaction.tensor import above, greedy_clusters, interaction_tensor, score, top


def world(seed=0, models=6, ratio=1.5):
    rng = np.random.default_rng(seed)
    owners = planted_owners(models, 3, 8, 2, rng)
    carried = rng.random((800, 11)) < np.where(np.arange(11) < 3, 0.3, 0.1)
    return planted_activations(owners, carried, 20, rng, ratio=ratio, noise=0.05), owners[:, None] & carried


def built(activations, components=5, match=0.7, active=None):
    return interaction_tensor(activations, components=components, match=match, active=active or above(0.55))


def plain_clusters(correlation, match):
    """The specification's walk, in loops."""
    size = len(correlation)
    assign, best, count = [None] * size, [-1.0] * size, 0
    for seed in range(size):
        if assign[seed] is not None:
            continue
        assign[seed], best[seed] = count, 2.0
        for other in range(size):
            if correlation[seed][other] > match and correlation[seed][other] > best[other]:
                assign[other], best[other] = count, correlation[seed][other]
        count += 1
    return assign


def test_clusters_by_hand():
    correlation = np.eye(4)
    for i, j, value in [(0, 2, 0.8), (1, 2, 0.9), (0, 3, 0.6), (1, 3, 0.2)]:
        correlation[i, j] = correlation[j, i] = value
    np.testing.assert_array_equal(greedy_clusters(correlation, 0.5), [0, 1, 1, 0])
    np.testing.assert_array_equal(greedy_clusters(correlation, 0.7), [0, 1, 1, 2])
    np.testing.assert_array_equal(greedy_clusters(correlation, 0.95), [0, 1, 2, 3])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 14), st.floats(0.05, 0.95))
def test_clusters_equal_the_plain_loops(seed, size, match):
    raw = np.random.default_rng(seed).random((size, size))
    correlation = np.maximum(raw, raw.T)
    np.fill_diagonal(correlation, 1)
    np.testing.assert_array_equal(greedy_clusters(correlation, match), plain_clusters(correlation.tolist(), match))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 14), st.floats(0.05, 0.95))
def test_every_component_is_with_the_founder_that_it_is_most_like(seed, size, match):
    raw = np.random.default_rng(seed).random((size, size))
    correlation = np.maximum(raw, raw.T)
    np.fill_diagonal(correlation, 1)
    cluster = greedy_clusters(correlation, match)
    founders: list[int] = []
    for j, row in enumerate(correlation):
        if (row[founders] <= match).all():  # no earlier founder is like it
            founders.append(j)
    np.testing.assert_array_equal(cluster[founders], range(len(founders)))
    for j in set(range(size)) - set(founders):
        assert cluster[j] == np.argmax(correlation[j, founders])


def test_a_tie_stays_where_it_is():
    correlation = np.eye(3)
    correlation[[0, 2, 1, 2], [2, 0, 2, 1]] = 0.8
    np.testing.assert_array_equal(greedy_clusters(correlation, 0.5), [0, 1, 0])
    np.testing.assert_array_equal(greedy_clusters(correlation, 0.8), [0, 1, 2])  # above the threshold, not at it


@pytest.mark.parametrize("third", [3, 1e-3, 1e-7])
def test_scores_are_principal_components(third):
    raw = np.random.default_rng(0).normal(size=(50, 6)) * [5, 4, third, third / 2, third / 3, 0] + 7
    scores = tensor.principal_scores(raw, 3)
    u, s, _ = np.linalg.svd(raw - raw.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(scores), np.abs(u[:, :3] * s[:3]), atol=1e-8 * third)
    np.testing.assert_allclose(scores.T @ scores, np.diag(s[:3] ** 2), atol=1e-9)


def test_correlations_equal_those_of_numpy():
    scores = np.random.default_rng(1).normal(size=(3, 40, 2)) + 1.0
    columns = np.concatenate(list(scores), axis=1)
    np.testing.assert_allclose(tensor.correlations(scores), np.abs(np.corrcoef(columns.T)), atol=1e-12)


def test_planted_features_are_recovered():
    activations, truth = world()
    found = built(activations)
    assert score(found.present, truth).f1 > 0.95
    assert found.cluster.shape == (6, 5)


def test_signed_thresholding_loses_recall():
    def signed(scores):
        return scores > 0.55 * np.abs(scores).max(axis=0)

    kept, lost = [], []
    for seed in range(4):
        activations, truth = world(seed)
        kept.append(score(built(activations).present, truth).recall)
        lost.append(score(built(activations, active=signed).present, truth).recall)
    assert np.mean(kept) > 0.95
    assert np.mean(lost) < 0.8


@pytest.mark.parametrize("rule", [above(0.5), top(0.1)])
def test_no_rule_of_presence_sees_a_sign(rule):
    activations, _ = world(2)
    sign = np.array([-1, 1, -1, -1, 1, 1])[:, None, None]
    before, after = (built(layers, active=rule) for layers in (activations, sign * activations))
    np.testing.assert_array_equal(before.present, after.present)
    scores = np.random.default_rng(0).normal(size=(50, 3))
    np.testing.assert_array_equal(rule(scores), rule(scores * [1, -1, -1]))


def test_flipping_turning_scaling_and_moving_a_layer_changes_nothing():
    activations, _ = world(1)
    rng = np.random.default_rng(5)
    before = built(activations)
    turned = activations @ np.linalg.qr(rng.normal(size=(20, 20)))[0] * -3.0 + rng.normal(size=20)
    after = built(turned)
    np.testing.assert_array_equal(before.present, after.present)
    np.testing.assert_array_equal(before.cluster, after.cluster)
    wider = [np.pad(one, ((0, 0), (0, 3))) if i % 2 else one for i, one in enumerate(activations)]
    np.testing.assert_array_equal(built(wider).present, before.present)


def test_order_of_points_does_not_matter_and_sizes_agree():
    activations, _ = world(2)
    shuffle = np.random.default_rng(0).permutation(800)
    before, after = built(activations), built(activations[:, shuffle])
    np.testing.assert_array_equal(before.present[:, shuffle], after.present)
    np.testing.assert_array_equal(before.learned.sum(axis=1), np.diag(before.shared))


def test_spurious_singletons_are_counted_exactly():
    activations, _ = world(3)
    base = built(activations, components=5).present.shape[2]
    for components in (6, 8):
        assert built(activations, components=components).present.shape[2] == base + 6 * (components - 5)


def test_rules_of_presence():
    scores = np.array([[4.0, -1.0], [-3.0, 0.2], [1.0, 0.9], [0.0, 0.0]])
    np.testing.assert_array_equal(above(0.5)(scores), [[1, 1], [1, 0], [0, 1], [0, 0]])
    chosen = top(0.25)(scores)
    assert chosen.sum() == 2
    assert chosen[0].all()
    # Shares are of all entries of the model: here both are of the second component, whatever its scale.
    flat = np.array([[1.0, 9.0], [0.1, -8.5], [0.1, 0.3], [0.1, 0.3]])
    np.testing.assert_array_equal(top(0.3)(flat), [[1, 1], [0, 1], [0, 0], [0, 0]])


def test_components_of_one_model_in_one_cluster_are_joined_by_or():
    rng = np.random.default_rng(8)
    scores = rng.normal(size=(60, 2)) * [3.0, 2.0]
    found = interaction_tensor(scores[None], components=2, match=0.0, active=above(0.4))
    assert found.present.shape == (1, 60, 1)
    each = above(0.4)(tensor.principal_scores(scores, 2))
    assert (each[:, 0] & ~each[:, 1]).any()
    assert (~each[:, 0] & each[:, 1]).any()
    np.testing.assert_array_equal(found.present[0, :, 0], each.any(axis=1))


def test_score_by_hand():
    truth = np.zeros((2, 4, 2), dtype=bool)
    truth[:, :2, 0] = True
    truth[0, 2:, 1] = True
    assert vars(score(truth, truth)) == dict.fromkeys(vars(score(truth, truth)), 1.0)
    swapped = score(truth[:, :, ::-1], truth)
    assert swapped.f1 == 1.0
    worse = truth.copy()
    worse[0, 0, 0] = False  # one of six entries lost
    assert score(worse, truth).recall == pytest.approx(5 / 6)
    spurious = np.concatenate([truth, np.eye(4, dtype=bool)[None, :, :1].repeat(2, axis=0)], axis=2)
    assert score(spurious, truth).precision == pytest.approx(6 / 8)
    one = score(truth[:, :, :1], truth)
    assert [one.precision, one.recall, one.f1] == pytest.approx([1, 4 / 6, 0.8])
    assert score(np.zeros_like(truth), truth).f1 == 0.0


def test_a_feature_found_everywhere_is_not_matched():
    truth = np.zeros((1, 10, 1), dtype=bool)
    truth[0, :3, 0] = True
    everywhere = np.ones((1, 10, 1), dtype=bool)  # contains all planted entries, overlap 3/10
    assert score(everywhere, truth).precision == 0.0
    assert score(everywhere, truth, overlap=0.3).precision == pytest.approx(0.3)
    part = np.zeros((1, 10, 1), dtype=bool)
    part[0, 0, 0] = True  # all that is found is right, overlap 1/3
    assert score(part, truth).precision == 0.0


def test_an_overlap_of_one_half_is_a_match_and_less_is_none():
    truth = np.zeros((1, 20, 1), dtype=bool)
    truth[0, :10, 0] = True
    for size, precision in ((5, 1.0), (4, 0.0)):
        part = np.zeros((1, 20, 1), dtype=bool)
        part[0, :size, 0] = True
        assert score(part, truth).precision == precision


def test_a_small_share_keeps_the_largest_of_each_component():
    scores = np.random.default_rng(0).normal(size=(50, 4))
    largest = np.abs(scores) == np.abs(scores).max(axis=0)
    np.testing.assert_array_equal(top(0.005)(scores), largest)  # one of 200 entries, and four of them are 1
    np.testing.assert_array_equal(top(0.02)(scores), largest)
    assert top(0.03)(scores).sum() == 6


def test_rules_can_be_sent_to_another_process():
    scores = np.random.default_rng(0).normal(size=(20, 3))
    for rule in (above(0.3), top(0.2)):
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(rule))(scores), rule(scores))


def test_extreme_shares_and_a_single_model():
    scores = np.array([[4.0, -1.0], [-3.0, 0.2], [1.0, 0.9]])
    assert not top(0.0)(scores).any()
    np.testing.assert_array_equal(above(0.0)(np.array([[0.0], [-2.0]])), [[0], [1]])
    rng = np.random.default_rng(3)
    alone = built(rng.normal(size=(1, 40, 6)), components=3)
    np.testing.assert_array_equal(alone.cluster, [[0, 1, 2]])
    np.testing.assert_array_equal(alone.shared, [[3]])
    two = built(np.repeat(rng.normal(size=(1, 2, 6)), 3, axis=0), components=1)  # two points have one direction
    assert two.present.shape == (3, 2, 1)


def test_negative_control_shuffled_truth():
    activations, truth = world(4)
    shuffled = truth[:, np.random.default_rng(0).permutation(800)]
    assert score(built(activations).present, shuffled).f1 < 0.2


def test_large_input_keeps_its_precision_and_its_type():
    activations, truth = world()
    single = activations.astype(np.float32)
    found = built(single)
    assert tensor.principal_scores(single[0], 5).dtype == np.float32
    assert score(found.present, truth).f1 > 0.95


def test_bad_input_is_refused():
    activations, truth = world()
    with pytest.raises(ValueError, match="components must be at most the rank .* got 21"):
        built(activations, components=21)
    with pytest.raises(ValueError, match="components must be at least 1"):
        built(activations, components=0)
    with pytest.raises(ValueError, match="match must be in"):
        built(activations, match=1.5)
    with pytest.raises(ValueError, match="one or more models"):
        built([])
    with pytest.raises(ValueError, match="activations must be finite, got nan"):
        built(np.where(activations > 2, np.nan, activations))
    with pytest.raises(ValueError, match="rank"):
        built(np.ones((2, 10, 4)), components=1)
    with pytest.raises(ValueError, match=r"on the same points, got \[5, 800\] points"):
        interaction_tensor([activations[0], activations[1][:5]], components=2, match=0.5, active=above(0.5))
    for rule in (above, top):
        with pytest.raises(ValueError, match="must be in"):
            rule(1.0)
    with pytest.raises(ValueError, match="truth must have at least one entry"):
        score(truth, np.zeros_like(truth))
    with pytest.raises(ValueError, match="overlap must be in"):
        score(truth, truth, overlap=-0.1)
    with pytest.raises(TypeError):
        score(truth, truth[:, :5])
    with pytest.raises(ValueError, match="activations must be not empty"):
        tensor.principal_scores(np.zeros((0, 3)), 1)
    scores = np.random.default_rng(0).normal(size=(2, 30, 3))
    scores[1, :, 2] = 0.1  # whose mean is 0.1 up to rounding
    with pytest.raises(ValueError, match="scores must vary in each component, got a constant one, 2 of model 1"):
        tensor.correlations(scores)
    with pytest.raises(ValueError, match="scores must vary"):
        tensor.correlations(0 * scores)
    with pytest.raises(ValueError, match="scores must be finite"):
        tensor.correlations(scores * np.nan)
    with pytest.raises(ValueError, match="correlation must be finite"):
        greedy_clusters(np.full((2, 2), np.nan), 0.5)
