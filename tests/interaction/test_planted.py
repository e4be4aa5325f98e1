"""Planted data: the counts, directions and chances that they promise."""

import numpy as np
import pytest

from afp_utils.interaction.planted import PlantedClasses, planted_activations, planted_owners

LAW = PlantedClasses(0.6, 8, 20, 2, 1, noise=0.02)


def test_owners_have_their_counts():
    owners = planted_owners(7, 3, 9, 4, np.random.default_rng(0))
    assert owners.shape == (7, 12)
    assert owners[:, :3].all()
    np.testing.assert_array_equal(owners.sum(axis=1), 7)
    assert 0 < owners[:, 3:].mean() < 1


def test_activations_hold_just_the_models_features_with_falling_variance():
    rng = np.random.default_rng(1)
    owners = planted_owners(2, 1, 4, 2, rng)
    carried = rng.random((4000, 5)) < 0.3
    shown = planted_activations(owners, carried, 8, rng, ratio=2.0, noise=0.0)
    for own, layer in zip(owners, shown):
        assert np.linalg.matrix_rank(layer) == 3
        fit = np.linalg.lstsq(carried[:, own].astype(float), layer, rcond=None)[0]
        np.testing.assert_allclose(carried[:, own] @ fit, layer, atol=1e-10)
        lengths = np.linalg.norm(fit, axis=1) * carried[:, own].std(axis=0)
        np.testing.assert_allclose(lengths**2, [1, 0.5, 0.25], rtol=1e-10)
        np.testing.assert_allclose(fit @ fit.T, np.diag(np.diag(fit @ fit.T)), atol=1e-10)


def test_activations_have_the_noise_that_is_asked_for_and_no_default():
    rng = np.random.default_rng(4)
    owners, carried = np.ones((1, 2), dtype=bool), rng.random((4000, 2)) < 0.3
    layer = planted_activations(owners, carried, 9, rng, ratio=1.5, noise=0.2)[0]
    ones = np.ones((4000, 1))
    design = np.concatenate([carried, ones], axis=1)
    rest = layer - design @ np.linalg.lstsq(design, layer, rcond=None)[0]
    assert rest.std() == pytest.approx(0.2, rel=0.02)
    for missing in ({"ratio": 1.5}, {"noise": 0.2}):
        with pytest.raises(TypeError, match="missing"):
            planted_activations(owners, carried, 9, rng, **missing)
    with pytest.raises(TypeError, match="missing"):
        PlantedClasses(0.5, 8, 20)


def test_points_carry_features_of_their_class_and_type():
    x, y, carried = LAW.draw(500, np.random.default_rng(2))
    where = np.arange(28)
    for label, row in zip(y, carried):
        features = where[row]
        assert (features % 2 == label).all()
        assert len(features) == (2 if (features < 8).all() else 1)
        assert (features < 8).all() or (features >= 8).all()
    assert np.mean(carried[:, :8].any(axis=1)) == pytest.approx(0.6, abs=0.09)
    assert np.std(x - carried) == pytest.approx(0.02, rel=0.05)
    labels = np.tile([0, 1], 5)
    np.testing.assert_array_equal(LAW.points(labels, np.random.default_rng(0))[1], labels)


def test_hit_rates_match_counted_ones():
    rng, n = np.random.default_rng(3), 12
    test = LAW.draw(400, rng)[2]
    hits = np.stack([(test & LAW.draw(n, rng)[2].any(axis=0)).any(axis=1) for _ in range(150)])
    easy = test[:, :8].any(axis=1)
    predicted = LAW.hit_rates(n)
    assert hits[:, easy].mean() == pytest.approx(predicted[0], abs=0.02)
    assert hits[:, ~easy].mean() == pytest.approx(predicted[1], abs=0.02)


def test_hit_rates_of_one_point_by_hand():
    # One training point: dominant with 0.6, then of the right class with 1/2, and it carries 2 of that class's 4 features.
    easy, hard = LAW.hit_rates(1)
    assert easy == pytest.approx(1 - (1 - 0.6 / 2 * 2 / 4) ** 2)
    assert hard == pytest.approx(0.4 / 2 / 10)
    assert LAW.hit_rates(0) == (0, 0)


def test_bad_input_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"each must be in \[0, 3\], got 4"):
        planted_owners(2, 1, 3, 4, rng)
    owners, carried = np.ones((1, 3), dtype=bool), rng.random((20, 3)) < 0.5
    with pytest.raises(ValueError, match="width must be at least"):
        planted_activations(owners, carried, 2, rng, ratio=1.5, noise=0.1)
    with pytest.raises(ValueError, match="ratio must be positive"):
        planted_activations(owners, carried, 4, rng, ratio=0.0, noise=0.1)
    with pytest.raises(ValueError, match="noise must be non-negative"):
        planted_activations(owners, carried, 4, rng, ratio=1.5, noise=-1.0)
    with pytest.raises(ValueError, match="carried must vary in each feature, got a constant feature 1"):
        planted_activations(owners, carried | [False, True, False], 4, rng, ratio=1.5, noise=0.1)
    with pytest.raises(ValueError, match="dominant_share must be in"):
        PlantedClasses(1.5, 8, 20, 2, 1, 0.1)
    with pytest.raises(ValueError, match="rare must be even"):
        PlantedClasses(0.5, 8, 21, 2, 1, 0.1)
    with pytest.raises(ValueError, match=r"per_dominant must be in \[1, 4\], got 5"):
        PlantedClasses(0.5, 8, 20, 5, 1, 0.1)
    with pytest.raises(ValueError, match="n must be at least 1"):
        LAW.draw(0, rng)
    with pytest.raises(ValueError, match=r"y must be in \[0, 1\], got 2 at index 1"):
        LAW.points(np.array([0, 2]), rng)
    with pytest.raises(ValueError, match="n must be at least 0, got -1"):
        LAW.hit_rates(-1)
    with pytest.raises(ValueError, match="models must be at least 1"):
        planted_owners(0, 1, 3, 2, rng)
    with pytest.raises(ValueError, match=r"dominant \+ rare must be at least 1"):
        planted_owners(2, 0, 0, 0, rng)
