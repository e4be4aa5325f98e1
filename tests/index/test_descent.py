"""The flows of one linear direction and of noisy tensors against the negative gradient of their objective, by differences."""

from collections.abc import Callable

import numpy as np
from scipy.integrate import solve_ivp

from afp_utils.index import population, sampling
from afp_utils.index.features import hermite

TIMES = np.linspace(0, 8, 5)


def descend(loss: Callable[[np.ndarray], float], start: np.ndarray, size: int = 0, width: int = 1) -> np.ndarray:
    """Flow (time, state) against the gradient of `loss`; the first `size` entries are orthonormal columns, `width` of them."""

    def flow(_, state):
        steps = 1e-5 * np.eye(len(state))
        up = np.array([loss(state + step) - loss(state - step) for step in steps]) / -2e-5
        w, g = (part[:size].reshape(-1, width) for part in (state, up))
        inner = w.T @ g
        return np.append(g - w @ (inner + inner.T) / 2, up[size:])

    return solve_ivp(flow, (0, TIMES[-1]), start, t_eval=TIMES, method="LSODA", rtol=1e-9, atol=1e-11).y.T


def test_directional_descends_half_its_mean_square_error():
    run = population.directional(1.5, np.array([0.3, 0.9]), TIMES)
    z, weight = np.polynomial.hermite_e.hermegauss(4)  # exact for the products of two linear functions
    x = np.stack(np.meshgrid(z, z), -1).reshape(-1, 2)
    chances = np.outer(weight, weight).ravel() / weight.sum() ** 2
    rows = np.array([np.append(state.w, state.beta) for state in run.states])
    path = descend(lambda y: chances @ (1.5 * x[:, 0] - y[2] * (x @ y[:2])) ** 2 / 2, rows[0])
    np.testing.assert_allclose(rows, path, atol=1e-7)


def test_white_noise_flow_descends_its_quadratic_form():
    rng, eigenvalues = np.random.default_rng(8), np.array([1, 0.8, 0.6, 0.4])
    third = np.zeros((2, 2, 2))
    third[0, 0, 0] = third[0, 1, 1] = third[1, 0, 1] = third[1, 1, 0] = 0.3
    link = [0.1, np.array([0.3, -0.2]), np.array([[0.8, 0.3], [0.3, 0.6]]), third]
    data = sampling.hermite_data(link, 3, np.array([0.01]), rng)
    run = sampling.white_noise_flow(data, eigenvalues, np.eye(3)[None, :, :2], TIMES)[0]

    def loss(state):
        w, *b = np.split(state, 6 + np.array([0, 1, 3, 7]))
        total = 0.0
        for r, rule in enumerate([",", "a,ai", "ab,ai,bj", "abc,ai,bj,ck"]):
            parts = [data.tensors[r][0], *[w.reshape(3, 2)] * r]
            signal = np.einsum(rule, *parts).ravel() if r else parts[0].ravel()
            total += eigenvalues[r] * b[r] @ b[r] / 2 - np.sqrt(eigenvalues[r]) * b[r] @ signal
        return total

    rows = np.array([np.append(state.directions.ravel(), state.beta) for state in run.states])
    np.testing.assert_allclose(rows, descend(loss, rows[0], 6, 2), atol=1e-5)


def test_single_index_descends_half_its_mean_square_error_from_either_sign():
    link, eigenvalues = np.array([0.2, 0.3, 0.8, 0.6]), np.array([1, 0.8, 0.6, 0.4])
    z, weight = np.polynomial.hermite_e.hermegauss(4)  # exact up to degree 7 an axis
    x = np.stack(np.meshgrid(z, z), -1).reshape(-1, 2)
    chances = np.outer(weight, weight).ravel() / weight.sum() ** 2
    f = link @ hermite(x[:, 0], 4)
    for start in (0.25, -0.25):
        run = population.single_index(link, eigenvalues, start, TIMES)
        rows = np.array([np.append(state.directions.ravel(), state.beta) for state in run.states])
        size = run.states[0].directions.size

        def loss(y, size=size):
            seen = (np.sqrt(eigenvalues) * y[size:]) @ hermite(x[:, :size] @ y[:size], 4)
            return chances @ (f - seen) ** 2 / 2

        np.testing.assert_allclose(rows, descend(loss, rows[0], size, 1), atol=1e-7)
        np.testing.assert_allclose(run.risk, [2 * loss(row) for row in rows], atol=1e-7)
