"""Unusual right answers to the exercises of the chapter "Alignment, disalignment, rescaling"."""

import math

import numpy as np


def final_alignment(u, w, gamma, decay, time, slope):
    across = w - u * (u @ w) / (u @ u)
    height = gamma * np.linalg.norm(u) * np.linalg.norm(across)
    for rate in decay:
        height *= np.exp(-rate * time)
    return np.cos(np.arctan2(height, slope))


def final_alignment_2(u, w, gamma, decay, time, slope):  # in place
    start = u @ w
    u *= np.exp(-decay[0] * time)
    w *= np.exp(-decay[1] * time)
    start *= np.exp(-sum(decay) * time)
    return slope / np.sqrt(slope**2 + gamma**2 * ((u @ u) * (w @ w) - start**2))


def mean_kernel_change(target_slope, m):
    node, weight = np.polynomial.hermite_e.hermegauss(20)
    return weight @ (target_slope**2 - node**2) / weight.sum() / 2 / m


def rate_power(gamma, sigma_u, sigma_w):
    return -max(gamma, 2 * gamma + 1 + 2 * max(sigma_u, sigma_w))


def largest_step(u, w, gamma, second_moment, ratio):
    low, high = 0.0, 100.0
    for _ in range(60):
        step = (low + high) / 2 * gamma**2 * second_moment
        x = step * math.sqrt(ratio) * (u @ w)
        k = step * (w @ w + ratio * (u @ u))
        for _ in range(50):
            x, k = x * (1 - k + x * x), k - x * x * (4 - k)
            if k > 4:
                break
        middle = (low + high) / 2
        low, high = (low, middle) if k > 4 else (middle, high)
    return low
