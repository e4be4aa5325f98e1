"""Unusual right answers to the exercises of the chapter "When learning features hurts"."""

import numpy as np


def linear_part(w, u):
    axes = np.eye(w.shape[1])
    return np.array([np.maximum(w @ e, 0) @ u - np.maximum(-w @ e, 0) @ u for e in axes])


def break_even(dimension, kink):
    surface = dimension - 1
    sparse = 2 * (kink + 0.5) + surface
    lazy = 2 * (surface / 2 + 1 + 2 * kink) + surface
    return min(sparse, lazy) / 2


def lattice_error(shares):
    angle = 2 * np.pi * np.arange(64) / 64
    waves = np.cos(np.outer(angle, np.arange(2, len(shares) + 2)))
    f = (np.cos(angle) + waves @ shares) / (1 + np.sum(shares))
    return np.mean((f - np.cos(angle)) ** 2)


def lower_bound(ridges, x, y, multipliers):
    basis = np.linalg.qr(x)[0]
    free = multipliers - basis @ (basis.T @ multipliers)
    free = free / np.max(np.abs(free @ ridges))
    return max(free @ y, -free @ y)
