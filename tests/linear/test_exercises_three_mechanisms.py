from importlib import import_module

import numpy as np
import pytest
from scipy.integrate import solve_ivp

final_alignment = import_module("afp_utils.linear.exercises_three_mechanisms").final_alignment


def test_the_exercise_on_weight_decay_agrees_with_a_solver() -> None:
    u, w = np.array([0.3, -0.2, 0.5]), np.array([0.1, 0.4, -0.3])
    gamma, rates, decay = 0.8, (0.5, 2.0), (0.1, 0.3)

    def velocity(_: float, state: np.ndarray) -> np.ndarray:
        u, w = state[:3], state[3:]
        r = gamma * (1.2 - 1.5 * gamma * (u @ w))
        return np.append(rates[0] * r * w - decay[0] * u, rates[1] * r * u - decay[1] * w)

    end = solve_ivp(velocity, (0, 1.7), np.append(u, w), "DOP853", rtol=1e-11, atol=1e-13).y[:, -1]
    last_u, last_w = end[:3], end[3:]
    cosine = last_u @ last_w / np.linalg.norm(last_u) / np.linalg.norm(last_w)
    answer = final_alignment.solution
    assert answer(u, w, gamma, decay, 1.7, gamma * last_u @ last_w) == pytest.approx(cosine, rel=1e-9)
