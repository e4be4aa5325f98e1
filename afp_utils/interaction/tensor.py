"""The interaction tensor: which model has which feature, and which data point carries it.

The features of a model are the principal components of its last hidden layer on common points; components of different
models that correlate strongly are one feature (greedy clustering); a feature is present at a point where its score is
large. The procedure is that of Jiang et al. (2024) as Kang and Kim (2026) and their public code have it, but reads
presence from absolute scores.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array
from scipy.linalg import eigh, qr, svd
from scipy.optimize import linear_sum_assignment

from afp_utils.core.refuse import FINITE, SOME, Count, Finite, Rule, Share, checked

CLEAR = 1e-4
"""A principal direction of at least this share of the largest keeps eight digits through the products of columns."""
CONSTANT = 100
"""A component whose spread is at most this many units of rounding of its size is constant."""

Part = Annotated[float, Rule("in [0, 1)", lambda value: (value >= 0) & (value < 1))]
Active = Callable[[Array], Array]
"""A rule that says, for the scores (n, component) of one model, at which points each component is present."""


@checked
@dataclass(frozen=True)
class InteractionTensor:
    """Presence of each feature in each model at each point; `cluster` is the feature of each model's component."""

    present: Bool[Array, "model n feature"]
    cluster: Int[Array, "model component"]

    @property
    def learned(self) -> Bool[Array, "model feature"]:
        """Which model has which feature at some point."""
        return np.asarray(self.present.any(axis=1))

    @property
    def shared(self) -> Int[Array, "model model"]:
        """How many features two models have in common."""
        return self.learned.astype(int) @ self.learned.T


@checked
def interaction_tensor(
    activations: Sequence[Float[Array, "n _"]] | Float[Array, "model n width"],
    *,
    components: Count,
    match: Share,
    active: Active,
) -> InteractionTensor:
    """Interaction tensor of models whose last hidden activations are given on common points.

    Per model keep the leading principal `components`; join components of different models whose absolute correlation
    exceeds `match` (`greedy_clusters`); a feature is present in a model at a point if one of its components there is
    `active` (`above` or `top`).

    Raises `ValueError` for no model, different numbers of points, values that are not finite, or more components than a
    model's activations have directions.

    >>> layers = np.random.default_rng(0).normal(size=(3, 50, 4))
    >>> found = interaction_tensor(np.concatenate([layers, -layers]), components=2, match=0.9, active=above(0.5))
    >>> found.present.shape, found.shared[0].tolist()  # models 0 and 3 differ by a sign, which is arbitrary
    ((6, 50, 6), [2, 0, 0, 2, 0, 0])
    """
    if len(sizes := {len(one) for one in activations}) != 1:
        raise ValueError(f"activations must be of one or more models on the same points, got {sorted(sizes)} points")
    scores = np.stack([principal_scores(one, components) for one in activations])
    cluster = greedy_clusters(correlations(scores), match).reshape(len(scores), components)
    present = np.zeros((*scores.shape[:2], int(cluster.max()) + 1), dtype=bool)
    for model, (points, own) in enumerate(zip(scores, cluster)):
        for feature, here in zip(own, active(points).T):
            present[model, :, feature] |= here
    return InteractionTensor(present, cluster)


@checked
def principal_scores(
    activations: Annotated[Float[Array, "n width"], SOME, FINITE], components: Count
) -> Float[Array, "n component"]:
    """Scores of the leading principal components, U S of the centred activations, largest variance first.

    Raises `ValueError` if the centred activations have fewer directions.
    """
    centred = activations - activations.mean(axis=0)
    n, width = centred.shape
    if components <= width <= n:
        # Squaring loses directions smaller than CLEAR of the largest; without those it is the same, and much faster.
        levels, directions = eigh(centred.T @ centred, subset_by_index=(width - components, width - 1))
        if levels[0] > CLEAR**2 * levels[-1]:
            return centred @ directions[:, ::-1]
    # The triangular factor has the same right singular vectors as the tall matrix, and is small.
    triangle = qr(centred, mode="r", check_finite=False)[0][: min(centred.shape)]
    _, sizes, directions = svd(triangle, full_matrices=False, check_finite=False)
    rank = int(np.sum(sizes > sizes[0] * max(centred.shape) * np.finfo(centred.dtype).eps))
    if components > rank:
        raise ValueError(f"components must be at most the rank of the centred activations ({rank}), got {components}")
    return centred @ directions[:components].T


@checked
def correlations(scores: Annotated[Float[Array, "model n component"], FINITE]) -> Float[Array, "all all"]:
    """Absolute correlation over the points between all components of all models, model by model.

    Raises `ValueError` for a component that is constant up to rounding: it correlates with nothing.
    """
    models, n, components = scores.shape
    columns = scores.transpose(1, 0, 2).reshape(n, models * components)
    size = np.linalg.norm(columns, axis=0)
    columns = columns - columns.mean(axis=0)
    spread = np.linalg.norm(columns, axis=0)
    if (constant := spread <= CONSTANT * np.finfo(columns.dtype).eps * size).any():
        model, component = divmod(int(np.argmax(constant)), components)
        raise ValueError(f"scores must vary in each component, got a constant one, {component} of model {model}")
    columns /= spread
    return np.abs(columns.T @ columns)


@checked
def greedy_clusters(correlation: Annotated[Float[Array, "all all"], FINITE], match: Finite) -> Int[Array, " all"]:
    """Cluster of each component, numbered in the order in which clusters are opened.

    Walk through the components. One without a cluster opens a new one, for ever its own; every other component that
    correlates with it by more than `match`, and by more than with its present cluster's founder, moves in. The result
    depends on the order of the walk.
    """
    cluster, best, opened = np.full(len(correlation), -1), np.full(len(correlation), -1.0), 0
    for founder, row in enumerate(correlation):
        if cluster[founder] >= 0:
            continue
        moves = (row > match) & (row > best)
        cluster[moves], best[moves] = opened, row[moves]
        cluster[founder], best[founder] = opened, 2.0  # more than any correlation: a founder never moves
        opened += 1
    return cluster


@checked
def above(threshold: Part) -> Active:
    """Present where the absolute score exceeds a share of the component's largest, |z| > threshold max |z|.

    Absolute, because the sign of a principal component is arbitrary.
    """
    return partial(_above, threshold=threshold)


@checked
def top(share: Part) -> Active:
    """Present where |z| / max |z| is among the largest `share` of all the entries of the model.

    With any share but 0, each component is present at its own largest |z|.
    """
    return partial(_top, share=share)


@checked
@dataclass(frozen=True)
class Score:
    """How well a tensor recovers a planted one, by its entries (model, point, feature). All between 0 and 1."""

    precision: float
    recall: float
    f1: float


@checked
def score(found: Bool[Array, "model n estimated"], truth: Bool[Array, "model n planted"], overlap: Part = 0.5) -> Score:
    """Score a tensor against the planted one.

    Features are matched one to one so that the sum of the Jaccard overlaps of the sets of points that carry them is
    largest; a match counts if its overlap is at least `overlap`. Entries of unmatched features count as wrong.

    Raises `ValueError` if the planted tensor is empty.
    """
    if not truth.any():
        raise ValueError("truth must have at least one entry, got none")
    there, planted = (part.any(axis=0).astype(float) for part in (found, truth))
    both = there.T @ planted
    either = there.sum(axis=0)[:, None] + planted.sum(axis=0) - both
    jaccard = both / np.maximum(either, 1)
    rows, columns = linear_sum_assignment(jaccard, maximize=True)
    good = (jaccard[rows, columns] >= overlap) & (both[rows, columns] > 0)
    entries = np.sum(found[:, :, rows[good]] & truth[:, :, columns[good]])
    precision, recall = _ratio(entries, found.sum()), _ratio(entries, truth.sum())
    return Score(precision, recall, _ratio(2 * precision * recall, precision + recall))


def _above(scores: Array, threshold: float) -> Array:
    return np.abs(scores) > threshold * np.abs(scores).max(axis=0)


def _top(scores: Array, share: float) -> Array:
    relative = np.abs(scores) / np.abs(scores).max(axis=0)
    least = np.quantile(relative, 1 - share)
    # where more components than the share allows tie at their largest, the quantile is that 1
    return relative > (min(least, np.nextafter(1.0, 0.0)) if share > 0 else least)


def _ratio(part: Any, whole: Any) -> float:
    return float(part / whole) if whole else 0.0
