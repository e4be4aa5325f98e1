"""What single neurons contribute, by hand, and the two limits of the scale at which they share the work."""

import numpy as np
import pytest

from afp_utils.networks.descent import fit
from afp_utils.networks.mlp import RELU, Network
from afp_utils.networks.neurons import amplitudes, clusters, participation
from afp_utils.sphere import sparse
from tests.networks.test_fit import problem
from tests.networks.test_mlp import network
from tests.networks.test_starts import antisymmetric


def neurons(w, u, alpha):
    return Network((np.array(w, dtype=float), np.array([u], dtype=float)), RELU, alpha=alpha)


def test_amplitudes_by_hand():
    net = neurons([[3.0, 4.0], [-1.0, 0.0], [0, 1], [0, 2]], [1.0, 2.0, -1.0, 0], 6.0)  # scale 6 / sqrt 4
    np.testing.assert_allclose(amplitudes(net), [15, 6, 3, 0])
    c = np.array([0.3, 2, 5, 1])
    other = neurons(net.weights[0] * c[:, None], net.weights[1][0] / c, 6.0)
    np.testing.assert_allclose(amplitudes(other), amplitudes(net))


def test_participation():
    assert participation(np.ones(8)) == 1
    assert abs(participation(np.array([3.0, 0, 0, 0])) - 0.25) < 1e-15
    assert abs(participation(np.array([3.0, 1.0])) - 0.8) < 1e-15
    wide = antisymmetric(m=200_000, d=200)
    assert abs(participation(amplitudes(wide)) - 2 / np.pi) < 0.01  # |u| of a normal, |w| nearly constant


def test_clusters_by_hand():
    turn = np.radians([0, 3, 7, 90, 1])
    w = np.stack([np.cos(turn), np.sin(turn)], axis=1) * np.array([[2.0], [1], [1], [1], [1]])
    net = neurons(w, [1.0, 1.0, 1.0, 1.0, -1.0], np.sqrt(5))
    np.testing.assert_allclose(clusters(net), [3, 1, 1, 1])  # 0 and 3 degrees; 7; 90; the other sign
    np.testing.assert_allclose(clusters(net, degrees=8.0), [4, 1, 1])
    np.testing.assert_allclose(clusters(net, degrees=0.1).sum(), amplitudes(net).sum())


def test_small_scales_give_few_directions_of_little_weight():
    x, y = problem(n=14, seed=3)
    least = sparse.sparse_interpolant(x, y, rng=np.random.default_rng(0)).norm
    seen = {}
    for alpha in (10.0, 1e-2):
        net = fit(antisymmetric(m=300, alpha=alpha), x, y, tolerance=1e-5, steps=3000).states[-1]
        groups = clusters(net)
        seen[alpha] = len(groups) * participation(groups), amplitudes(net).sum() / (2 * least)
    assert seen[10.0][0] > 100
    assert seen[1e-2][0] < 20
    assert seen[10.0][1] > 5
    assert 0.85 < seen[1e-2][1] < 1.15


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: participation(np.zeros(3)), "amplitudes must be not all zero"),
        (lambda: participation(np.array([1.0, -1.0])), "amplitudes must be non-negative"),
        (lambda: clusters(antisymmetric(), degrees=0.0), "degrees must be positive"),
        (lambda: clusters(neurons(np.ones((2, 3)), [0, 0], 1.0)), "network must have an amplitude that is not zero"),
        *(
            (lambda net=net: amplitudes(net), "one hidden layer, one output and no biases, got shapes")
            for net in (
                network((4, 3, 2)),
                network((4, 3, 2, 1)),
                network((4, 3, 1), biased=True),
                network((4, 3, 1), models=(2,)),
            )
        ),
    ],
)
def test_bad_input_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()
