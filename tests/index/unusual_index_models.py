"""Unusual right answers to the exercises of the chapter on features that are directions."""

from itertools import permutations

import numpy as np


def worth_of_direction(link, overlap):
    total = sum(g * g for g in link)

    def fem(noise):
        left = best = total
        for r, g in enumerate(link):
            left += noise - (g * overlap**r) ** 2
            best = min(best, left)
        return best

    low, high = 0.0, total
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if fem(middle) < total else (low, middle)
    return high


def escape_times(d, g, eigenvalue):
    angle = np.linspace(0, np.pi / 2, 2001)  # ρ = ρ0 / cos(angle)
    known = np.trapezoid(np.sin(angle), angle) * d**0.5 / (3 * g * g)
    slow = np.trapezoid(np.cos(angle), angle) * d
    return np.array([known, slow / np.sqrt(3 * eigenvalue * g * g)])


def noise_floor(link, d, noise):
    steepness = sum(r * g * g for r, g in enumerate(link))
    push = sum(r * (g / steepness) ** 2 * e for r, (g, e) in enumerate(zip(link, noise)))
    return sum([push] * (d - 1))


def leap(supports):
    def hardest(order):
        known: set[int] = set()
        costs = [0]
        for support in order:
            costs.append(len(support - known))
            known = known | support
        return max(costs)

    return min(hardest(order) for order in permutations(supports))
