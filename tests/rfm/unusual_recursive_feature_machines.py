"""Unusual right answers to the exercises of the chapter "Can a kernel machine learn features?"."""

import numpy as np


def polynomial_agop(x, alpha, metric):
    # f is a quadratic form: its gradient is linear in x
    linear = 2 * metric @ (alpha @ x)
    square = 2 * metric @ (x.T * alpha) @ x @ metric
    rows = [np.outer(g, g) for g in linear + x @ square]
    return np.mean(rows, axis=0)


def bandwidth_in_other_units(bandwidth, factor, power):
    metric = (factor * factor) ** power
    return np.sqrt(metric) * bandwidth


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


def honest_accuracy(x, y, folds, ridges, learn, score):
    # the other folds take turns inside
    total = 0.0
    for k, test in enumerate(folds):
        others, trials = [f for i, f in enumerate(folds) if i != k], []
        for ridge in ridges:
            trials.append(0.0)
            for held in others:
                rest = np.concatenate([f for f in others if f is not held])
                fit = x[rest], y[rest]
                metric = learn(*fit, ridge)
                trials[-1] += score(metric, ridge, *fit, x[held], y[held])
        best, rest = ridges[np.argmax(trials)], np.concatenate(others)
        metric = learn(x[rest], y[rest], best)
        total += score(metric, best, x[rest], y[rest], x[test], y[test])
    return total / len(folds)
