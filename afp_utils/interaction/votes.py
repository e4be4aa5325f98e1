"""Error, disagreement and calibration of an ensemble's votes, and the exact identity that ties them together.

Write h_y(x) for the share of models that answer y at x. Pairs *with self* include a model paired with itself: they are
what the identities need; what is reported is the mean over distinct pairs, larger by the factor M / (M - 1).
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray as Array

from afp_utils.core.refuse import SOME, Count, checked, inside, require

Answers = Annotated[Int[Array, "model n"], SOME]
Labels = Annotated[Int[Array, " n"], SOME]


@checked
def error(predictions: Answers, labels: Labels) -> float:
    """Mean share of wrong answers over models and points.

    >>> round(error([[0, 1, 2], [0, 1, 1], [0, 2, 1]], [0, 1, 0]), 3)
    0.444
    """
    return float(np.mean(predictions != labels))


@checked
def votes(predictions: Answers, classes: Count) -> Int[Array, "n class"]:
    """How many models answer each class at each point.

    Raises `ValueError` for an answer outside 0 to classes - 1.
    """
    require(inside(0, classes - 1), predictions=predictions)
    n = predictions.shape[1]
    return np.bincount((np.arange(n) * classes + predictions).ravel(), minlength=n * classes).reshape(n, classes)


@checked
def disagreement(predictions: Answers) -> float:
    """Share of points on which two models differ, mean over distinct pairs.

    Raises `ValueError` for fewer than two models, or a negative answer.

    >>> round(disagreement([[0, 1, 2], [0, 1, 1], [0, 2, 1]]), 3)
    0.444
    """
    models = len(predictions)
    if models < 2:
        raise ValueError(f"predictions must hold at least two models, got {models}")
    return disagreement_with_self(predictions) * models / (models - 1)


@checked
def disagreement_with_self(predictions: Answers) -> float:
    """The same over all ordered pairs, each model paired with itself too: 1 - mean over points of sum_y h_y^2.

    Raises `ValueError` for a negative answer.
    """
    share = votes(predictions, int(predictions.max()) + 1) / len(predictions)
    return float(1 - np.mean(np.sum(share**2, axis=1)))


@checked
def pair_agreement(predictions: Answers) -> Float[Array, "model model"]:
    """Share of points on which each pair of models answers alike."""
    return np.stack([np.mean(one == predictions, axis=1) for one in predictions])


@checked
@dataclass(frozen=True)
class Calibration:
    """What an ensemble's votes are worth. One bin for each possible share s of votes, 0 to 1 in steps of 1/M.

    `weight`: how many classes per point have that share of the votes (sums to the number of classes); `accuracy`: how
    often such a class is the label (0 where the bin is empty).
    """

    share: Float[Array, " bin"]
    weight: Float[Array, " bin"]
    accuracy: Float[Array, " bin"]


@checked
def calibration(predictions: Answers, labels: Labels, classes: Count) -> Calibration:
    """Class-aggregated calibration, binned by the exact number of votes: no choice of bins.

    Raises `ValueError` for a label or an answer outside 0 to classes - 1.
    """
    require(inside(0, classes - 1), labels=labels)
    counts, models, n = votes(predictions, classes), len(predictions), len(labels)
    weight = np.bincount(counts.ravel(), minlength=models + 1)
    right = np.bincount(counts[np.arange(n), labels], minlength=models + 1)
    return Calibration(np.arange(models + 1) / models, weight / n, right / np.maximum(weight, 1))


@checked
def calibration_error(predictions: Answers, labels: Labels, classes: Count) -> float:
    """Class-aggregated calibration error, CACE = sum_s |rho(s) - s| nu(s)."""
    bins = calibration(predictions, labels, classes)
    return float(np.sum(np.abs(bins.accuracy - bins.share) * bins.weight))


@checked
def signed_gap(predictions: Answers, labels: Labels, classes: Count) -> float:
    """Disagreement with self minus error, read off the calibration alone: sum_s s (rho(s) - s) nu(s).

    Exact in every sample, because Dis = 1 - E sum_y h_y^2 and Err = 1 - E h_Y. As sum_s (rho - s) nu = 0, s may be
    replaced by s - 1/2, so that |Dis - Err| <= CACE / 2.
    """
    bins = calibration(predictions, labels, classes)
    return float(np.sum(bins.share * (bins.accuracy - bins.share) * bins.weight))
