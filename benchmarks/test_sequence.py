"""The exact solutions of the sequence models beside a stiff solver at the accuracy that ours is tested to."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from afp_utils.sequence.flows import gradient_flow

SIZE, SOLVED = 2000, 40
TIMES = np.geomspace(0.1, 100, 50)


def problem(size):
    rng = np.random.default_rng(0)
    return rng.normal(size=size), np.arange(1.0, size + 1) ** -1.5


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_gradient_flow_beside_a_stiff_solver(beside, record, depth):
    z, eigenvalues = problem(SIZE)
    b0, tolerance = 0.3, 1e-8 if depth == 0 else 1e-4

    def flow(_, weights, z):
        a, b, beta = weights
        residual = z - a * b**depth * beta
        by_b = depth * a * b ** max(depth - 1, 0) * beta
        return [b**depth * beta * residual, by_b * residual, a * b**depth * residual]

    def solver():
        for j in range(0, SIZE, SIZE // SOLVED):
            start = [np.sqrt(eigenvalues[j]), b0, 0.0]
            solve_ivp(flow, (0, TIMES[-1]), start, "LSODA", TIMES, rtol=tolerance, atol=1e-10, args=(z[j],))

    mine, theirs = beside(
        lambda: gradient_flow(z, eigenvalues, TIMES, depth=depth, b0=b0), solver, rounds=3, scale=SIZE / SOLVED
    )
    record("mechanisms", f"sequence model, depth {depth}", "stiff solver", mine, theirs, theirs / mine)
    assert theirs > mine
