"""Unusual right answers to the exercises of the chapter "Do a network's weights show what it has learned?"."""

import numpy as np


def missed_directions(found, wanted, d):
    # the projections themselves, in a basis that suits
    first, second = (np.diag(np.arange(d) < k) - k / d * np.eye(d) for k in (found, wanted))
    return np.sum(first * second) / np.sqrt(np.sum(first**2) * np.sum(second**2))


def first_layer_matrix(agop, imbalance):
    # complete the square: (N + c/2)^2 = AGOP + c^2/4
    square = agop + imbalance**2 / 4 * np.eye(len(agop))
    left, levels, right = np.linalg.svd(square)
    root = (left * np.sqrt(levels)) @ right
    return root - imbalance / 2 * np.eye(len(agop))


def correlation_of_strangers(m, d):
    rng, seen = np.random.default_rng(0), []
    for _ in range(300):
        v, w = rng.normal(size=(2, m, d))
        both = np.corrcoef((v.T @ v).ravel(), (w.T @ w).ravel())
        seen.append(both[0, 1])
    return np.mean(seen)
