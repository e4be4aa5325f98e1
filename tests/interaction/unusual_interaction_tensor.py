"""Unusual right answers to the exercises of the chapter "Models, data and features"."""

from itertools import combinations
from math import comb

import numpy as np

from afp_utils.interaction.framework import FeatureType, accuracy, agreement, gap


def same_reason(t, c, n):
    models, point = [set(one) for one in combinations(range(t), c)], set(range(n))
    return np.mean([bool(a & b & point) for a in models for b in models])


def same_reason_2(t, c, n):  # which of the point's features the first model has, and whether the second has one of them
    shares = [comb(n, j) * comb(t - n, c - j) / comb(t, c) for j in range(min(c, n) + 1)]
    return sum(share * (1 - comb(t - j, c) / comb(t, c)) for j, share in enumerate(shares))


def largest_gap(classes, misleading):
    u = np.linspace(0, 1, 100_001)
    right = 1 / classes + u * (1 - misleading - 1 / classes)
    alike = 1 / classes + (1 - 1 / classes) * u**2
    best = np.argmax(right - alike)
    return u[best], right[best], alike[best], (right - alike)[best]


def largest_gap_2(classes, misleading):  # by the laws of the package; the gap is a parabola through zero
    def kind(known, pool):
        return [FeatureType(1.0, pool, 1, known, misleading)]

    half, whole = (gap(kind(known, 2), classes) for known in (1, 2))
    top = max(0.0, (4 * half - whole) / (8 * half - 4 * whole))
    best = kind(round(10_000 * top), 10_000)
    return top, *(law(best, classes) for law in (accuracy, agreement, gap))


def balancing_noise(p, u, classes):
    low, high, chance = 0.0, 1.0, 1 / classes
    agree = np.sum(p * (chance + (1 - chance) * u**2))
    for _ in range(100):
        middle = (low + high) / 2
        right = np.sum(p * (chance + u * (1 - middle - chance)))
        low, high = (middle, high) if right > agree else (low, middle)
    votes = np.stack([u + (1 - u) / classes] + (classes - 1) * [(1 - u) / classes])
    truth = np.array([1 - low] + (classes - 1) * [low / (classes - 1)])
    return low, np.sum(p * np.abs(votes - truth[:, None]))


def balancing_noise_2(p, u, classes):  # the gap of the package is linear in the noise
    def left(noise):
        return gap([FeatureType(share, 10, 1, round(10 * hit), noise) for share, hit in zip(p.tolist(), u)], classes)

    noise = left(0.0) / (left(0.0) - left(1.0))
    return noise, 2 * np.sum(p * np.abs(1 - noise - 1 / classes - (1 - 1 / classes) * u))


def disagreement_ratio(beta, times, overlap):
    n = 1000.0
    one, other = n**-beta, (times * n) ** -beta
    union = (n + times * n - overlap * n) ** -beta
    return (one + other - union) / np.mean([one, other])
