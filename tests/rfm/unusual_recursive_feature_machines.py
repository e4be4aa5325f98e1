"""Unusual right answers to the exercises of the chapter "Can a kernel machine learn features?"."""

import numpy as np


def quadratic_agop(q, b):
    # points on the axes have the second moments of the normal distribution
    d = len(b)
    points = np.sqrt(d) * np.concatenate([np.eye(d), -np.eye(d)])
    slopes = points @ q + points @ q.T + b
    return slopes.T @ slopes / len(points)


def polynomial_agop(x, alpha, metric):
    # f is a quadratic form: its gradient is linear in x
    linear = 2 * metric @ (alpha @ x)
    square = 2 * metric @ (x.T * alpha) @ x @ metric
    rows = [np.outer(g, g) for g in linear + x @ square]
    return np.mean(rows, axis=0)


def bandwidth_in_other_units(bandwidth, factor, power):
    metric = (factor * factor) ** power
    return np.sqrt(metric) * bandwidth
