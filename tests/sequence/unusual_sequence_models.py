"""Unusual right answers to the exercises of the chapter on sequence models."""

import numpy as np


def velocity(u, z, eigenvalue, weight):
    return 2 * weight * z - weight * eigenvalue * (np.exp(u) - np.exp(-u)) / 2


def kept(h, ratio):
    return [(ratio + 1) / ratio, np.clip(1 - (1 + 1 / ratio) * (1 - h) ** 2, 0, 1)]


def exponents(s, d, d0, alpha, depth):
    p, q, gamma = 2 * s / d0, d / d0, 2 * alpha / d
    lost = max(1 / ((depth + 2) * gamma), 1 / (p + 1))
    return np.array([1 - q / (p + q), 1 - lost])


def counterexample():
    return [-2.6, 2.0], [2 * 0.573557 * 0.9998, 2.0], 5.0
