"""Starts and problems of every kind that the closed form has to pass."""

import math

import numpy as np

from afp_utils.linear.solution import Problem

U, W = np.array([0.3, -0.2, 0.5]), np.array([0.1, 0.4, -0.3])
CANONICAL = Problem(gamma=0.8, eta_u=0.5, eta_w=2.0, second_moment=1.5, cross_moment=1.2, target_moment=2.0)
TIMES = np.array([0.0, 1e-8, 1e-3, 0.1, 1.0, 7.0, 300.0, 1e6, math.inf])
RNG = np.random.default_rng(0)
BIG, WIDE = RNG.normal(size=(2, 40)), RNG.normal(size=(2, 500))


def problem(gamma=1.0, eta_u=1.0, eta_w=1.0, second_moment=1.0, cross_moment=1.0, target_moment=2.0):
    return Problem(gamma, eta_u, eta_w, second_moment, cross_moment, target_moment)


# Every corner that the closed form has to pass: name -> problem, u, w
CASES = {
    "canonical": (CANONICAL, U, W),
    "negative target": (problem(0.7, 2.0, 0.3, 0.9, -1.1, 4.0), U, W),
    "zero target": (problem(0.7, 2.0, 0.3, 0.9, 0.0, 4.0), U, W),
    "one neuron": (problem(1.3, 0.4, 1.7), np.array([0.6]), np.array([-0.2])),
    "parallel layers": (problem(0.9), 2 * U, 3 * U),
    "one layer zero": (problem(0.9, 1.0, 3.0), U, 0 * W),
    "both zero": (problem(), 0 * U, 0 * W),
    "nothing grows": (problem(), U, -U),
    "nothing grows, negative target": (problem(cross_moment=-1.0), U, U),
    "nothing fades": (problem(), U, U),
    "algebraic": (problem(cross_moment=0.0), U, U),
    "algebraic, mirrored": (problem(cross_moment=0.0), U, -U),
    "tiny start": (problem(), 1e-12 * U, 1e-12 * W),
    "tiny start, negative target": (problem(cross_moment=-1.0), 1e-12 * U, 1e-12 * W),
    "hardly grows": (problem(), np.array([1.0, 0.0]), np.array([-1.0, 1e-15])),
    "tiny scale": (problem(gamma=1e-9), U, W),
    "vanishing scale": (problem(gamma=1e-120), U, W),
    "large start": (problem(0.1, 0.01, 0.02), 300 * BIG[0], 200 * BIG[1]),
    "large start, zero target": (problem(0.1, 0.01, 0.02, cross_moment=0.0), 300 * BIG[0], 200 * BIG[1]),
    "lazy": (problem(500**-0.5), *WIDE),
    "unequal rates": (problem(1.0, 1e-6, 1e6), U, W),
    "large moments": (problem(1e3, 2.0, 0.1, 1e4, -3e3, 1e4), U, W),
}
