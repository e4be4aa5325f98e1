"""Unusual right answers to the exercises of the chapter "One language for learned features"."""

import numpy as np

from afp_utils.core.measures import feature_error_measure


def tangent_kernel(w, u, x):
    rows = [np.concatenate([(w @ p) ** 2, (2 * (u * (w @ p))[:, None] * p).ravel()]) for p in x]
    return np.array(rows) @ np.array(rows).T


def feature_error(eigenvalues, coefficients, noise):
    levels = sorted(set(eigenvalues[eigenvalues > 0].tolist()), reverse=True)
    best = total = float(np.sum(coefficients**2))
    for level in levels:
        here = eigenvalues == level
        total += noise * here.sum() - np.sum(coefficients[here] ** 2)
        best = min(best, total)
    return best


feature_error_2 = feature_error_measure


def lazy_enough(z, tolerance):
    low, high = 1e-6, 1e6
    for _ in range(200):
        middle = np.sqrt(low * high)
        too_rich = (np.sqrt(1 + 4 * z**2 / middle**4) - 1) / 2 > tolerance
        low, high = (middle, high) if too_rich else (low, middle)
    return high


def gradient_alignment(gradient, target_gradient):
    cross = np.sum((gradient @ target_gradient.T) ** 2)
    scale = np.linalg.norm(gradient @ gradient.T) * np.linalg.norm(target_gradient @ target_gradient.T)
    return cross / scale if scale else 0.0
