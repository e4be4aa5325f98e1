"""Numbers are numbers: lists, integers and NumPy's scalars give what floating-point numbers give."""

import numpy as np
import pytest

from afp_utils.interaction import framework, planted, tensor, votes
from tests.forms import FORMS, in_form, same

TYPES = ((1.0, 6, 2, 3), (0.0, 9, 4, 2))
LAYERS = np.random.default_rng(0).integers(-9, 9, size=(3, 20, 4)).astype(float)
ANSWERS, LABELS = np.array([[0, 1, 2], [0, 1, 1], [0, 2, 1]]), np.array([0, 1, 0])
OWNERS, CARRIED = np.eye(2, dtype=bool), np.arange(12).reshape(6, 2) % 5 < 2


def of_types(function):
    return lambda types, *rest: function([framework.FeatureType(*one) for one in types], *rest)


def drawn(function):
    return lambda *arguments: function(*arguments, np.random.default_rng(0))


def interaction(layers, components, match, share):
    return tensor.interaction_tensor(layers, components=components, match=match, active=tensor.top(share))


def activations(width, ratio, noise, rng):
    return planted.planted_activations(OWNERS, CARRIED, width, rng, ratio=ratio, noise=noise)


CALLS = {
    "FeatureType": (framework.FeatureType, (1.0, 6, 2, 3, 0.0)),
    "miss_probability": (framework.miss_probability, (6, 2, 2)),
    "split_capacity": (framework.split_capacity, (5, np.array([1.0, 0.0]), np.array([4, 3]))),
    "accuracy": (of_types(framework.accuracy), (TYPES, 3)),
    "agreement": (of_types(framework.agreement), (TYPES, 3)),
    "gap": (of_types(framework.gap), (TYPES, 3)),
    "gap_bound": (of_types(framework.gap_bound), (TYPES, 3)),
    "shared_agreement": (lambda kind, n: framework.shared_agreement(framework.FeatureType(*kind), n), (TYPES[0], 3)),
    "least_agreement": (framework.least_agreement, (np.array([1.0]), 2)),
    "union_law": (framework.union_law, (1.0, 0.0, 0.0, 1.0)),
    "sample": (drawn(of_types(framework.sample)), (TYPES, 3, 50)),
    "planted_owners": (drawn(planted.planted_owners), (4, 1, 3, 2)),
    "planted_activations": (drawn(activations), (5, 2.0, 1.0)),
    "PlantedClasses": (planted.PlantedClasses, (1.0, 8, 4, 2, 1, 0.0)),
    "draw": (drawn(planted.PlantedClasses(0.5, 8, 4, 2, 1, 0.1).draw), (7,)),
    "points": (drawn(planted.PlantedClasses(0.5, 8, 4, 2, 1, 0.1).points), (np.array([0, 1, 1]),)),
    "hit_rates": (planted.PlantedClasses(0.5, 8, 4, 2, 1, 0.1).hit_rates, (3,)),
    "interaction_tensor": (interaction, (LAYERS, 2, 0.0, 0.0)),
    "principal_scores": (tensor.principal_scores, (LAYERS[0], 2)),
    "correlations": (tensor.correlations, (LAYERS,)),
    "greedy_clusters": (tensor.greedy_clusters, (np.eye(3), 0.0)),
    "above": (lambda threshold: tensor.above(threshold)(LAYERS[0]), (0.0,)),
    "score": (tensor.score, (LAYERS > 0, LAYERS > 1, 0.0)),
    "error": (votes.error, (ANSWERS, LABELS)),
    "votes": (votes.votes, (ANSWERS, 3)),
    "disagreement": (votes.disagreement, (ANSWERS,)),
    "disagreement_with_self": (votes.disagreement_with_self, (ANSWERS,)),
    "pair_agreement": (votes.pair_agreement, (ANSWERS,)),
    "calibration": (votes.calibration, (ANSWERS, LABELS, 3)),
    "calibration_error": (votes.calibration_error, (ANSWERS, LABELS, 3)),
    "signed_gap": (votes.signed_gap, (ANSWERS, LABELS, 3)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("function", "arguments"), CALLS.values(), ids=CALLS)
def test_numbers_are_numbers_in_every_form(function, arguments, form):
    assert same(function(*in_form(arguments, form)), function(*arguments))
