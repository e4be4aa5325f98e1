"""The Recursive Feature Machine beside the PyPI package xrfm: the same data, kernel, ridge and number of solves.

xrfm is no dependency of the book: `pip install --no-deps xrfm==0.4.5` in an environment of your own or, with
`--target`, in a folder on PYTHONPATH; else this skips. One thread, seconds of the processor; the peak of memory of each
in a process of its own; and our share of what one core could do if it spent all its time in matrix products.
"""

import os
import subprocess
import sys
import time
from functools import cache

import numpy as np
import pytest

from afp_utils.rfm import kernels, metrics, recursion

UPDATES, BANDWIDTH, RIDGE = 5, 10.0, 1e-3
LEAST = {1000: 0.8, 2000: 1.2, 4000: 2.0}
"""Ratio of times below which something has become slow; the issue asks for 2 at n = 4000."""
LEAST_CHOLESKY = LEAST | {4000: 1.6}
"""Beside xrfm's other solver: 1.88 to 2.3 was seen at n = 4000, so that a bound of 2 would be a matter of luck."""
MEMORY = 0.7
EACH_SIZE = pytest.mark.parametrize("d", [10, 100])
SOLVERS = {"solve": "LU", "cholesky": "Cholesky"}
"""xrfm's names: what it does by default, and the one that knows that the matrix is positive definite."""
NYSTROM, CENTRES = 12_000, 2000


def data(n, d, dtype=np.float32, seed=0):
    """Training, validation and test points with their products of the first two coordinates."""
    rng = np.random.default_rng(seed)
    points = [rng.normal(size=(size, d)).astype(np.float32).astype(dtype) for size in (n, 1000, 2000)]
    return [(x, x[:, 0] * x[:, 1]) for x in points]


def ours(train, validation, normalise=metrics.unit_max):
    recipe = {"kernel": kernels.Laplace(BANDWIDTH), "ridge": RIDGE, "updates": UPDATES, "normalise": normalise}
    return recursion.best_state(recursion.fit(*train, validation=validation, **recipe)).predict


def theirs(train, validation, solver="solve"):
    import torch
    from xrfm.rfm_src import RFM

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.from_numpy(train[0]).dtype)  # in which it makes its identity matrices
    model = RFM("l2", iters=UPDATES, bandwidth=BANDWIDTH, device="cpu", verbose=False, solver=solver)
    pairs = [tuple(torch.from_numpy(a) for a in (x, y[:, None])) for x, y in (train, validation)]
    model.fit(*pairs, iters=UPDATES, reg=RIDGE, solver=solver, early_stop_rfm=False, verbose=False)
    torch.set_default_dtype(torch.float32)
    return lambda x: model.predict(torch.from_numpy(x)).numpy().ravel()


def lifted(metric):
    """xrfm adds 1e-8 to the diagonal before the root of its metric."""
    return metrics.unit_max(metric) + 1e-8 * np.eye(len(metric))


def by_nystrom(train, validation):
    recipe = {"kernel": kernels.Laplace(BANDWIDTH), "ridge": RIDGE, "updates": UPDATES, "validation": validation}
    return recursion.best_state(recursion.fit(*train, centres=train[0][:CENTRES], **recipe)).predict


@cache
def error(fit, n, d, dtype=np.float32):
    train, validation, (fresh, target) = data(n, d, dtype)
    return float(np.mean((fit(train, validation)(fresh) - target) ** 2, dtype=np.float64))


def ours_lifted(train, validation):
    return ours(train, validation, lifted)


@cache
def peaks(n, d, fits=("ours", *(f"lambda *data: theirs(*data, {solver!r})" for solver in SOLVERS))):
    """Growth in MB of the largest resident size by one fit, after a small one, each in a child of a fresh process."""
    code = f"""
import os, sys; sys.path.insert(0, "benchmarks")
from test_rfm import *; import torch
def most(): return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
for fit in ({", ".join(fits)},):
    if not os.fork():
        fit(*data(300, {d})[:2]); train, validation, _ = data({n}, {d}); before = most()
        fit(train, validation); print((most() - before) / 1024, flush=True); os._exit(0)
    assert os.wait()[1] == 0
"""
    single = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=os.environ | single, capture_output=True, encoding="utf-8", check=True)
    return [float(line) for line in done.stdout.split()]


def flops(n, d):
    """Cholesky and lower triangle of distances at each solve, distances and slopes at each update."""
    return (UPDATES + 1) * (n**3 / 3 + n**2 * d) + UPDATES * 4 * n**2 * d


@cache
def rate():
    """Single-precision operations per second of one core in a matrix product."""
    a, best = np.ones((2000, 2000), np.float32), np.inf
    for _ in range(5):
        start = time.process_time()
        a @ a
        best = min(best, time.process_time() - start)
    return 2 * 2000**3 / best


@pytest.mark.parametrize("solver", SOLVERS)
@EACH_SIZE
@pytest.mark.parametrize("n", sorted(LEAST))
def test_rfm_beside_xrfm(beside, record, n, d, solver):
    pytest.importorskip("xrfm", reason="xrfm is not installed: pip install --no-deps xrfm==0.4.5")
    train, validation, _ = data(n, d)
    mine, theirs_ = beside(lambda: ours(train, validation), lambda: theirs(train, validation, solver), rounds=3)
    memory, share = dict(zip(("ours", *SOLVERS), peaks(n, d))), flops(n, d) / mine / rate()
    what = f"{n:,} points, {d} dimensions, {SOLVERS[solver]}"
    record("rfm", what, mine, theirs_, theirs_ / mine, memory["ours"], memory[solver], f"{share:.0%}")
    assert theirs_ > (LEAST_CHOLESKY if solver == "cholesky" else LEAST)[n] * mine
    if n == max(LEAST):
        assert memory["ours"] < MEMORY * memory[solver]


@EACH_SIZE
@pytest.mark.parametrize("n", sorted(LEAST))
def test_errors_of_rfm_and_xrfm(benchmark, record, n, d):
    """In single precision they agree to 1 %, in double, with xrfm's 1e-8 in our metric too, to the third digit."""
    pytest.importorskip("xrfm", reason="xrfm is not installed: pip install --no-deps xrfm==0.4.5")
    single = [error(fit, n, d) for fit in (ours, theirs)]
    double = [error(fit, n, d, np.float64) for fit in (ours, ours_lifted, theirs)]
    benchmark.pedantic(lambda: None, rounds=1)  # nothing is timed, but --benchmark-only skips what does not ask to be
    record("errors", f"{n:,} points, {d} dimensions", *(f"{value:#.5g}" for value in (*single, *double)))
    np.testing.assert_allclose(*single, rtol=0.01)
    np.testing.assert_allclose(*double[1:], rtol=5e-4)


def test_nystrom_on_many_points(benchmark, record):
    """The issue: 12,000 points in under 60 s and 2 GB."""
    began = time.perf_counter()
    (memory,) = benchmark.pedantic(lambda: peaks(NYSTROM, 100, ("by_nystrom",)), rounds=1)
    spent = time.perf_counter() - began
    record("limits", f"Nyström machine, {NYSTROM:,} points, {CENTRES:,} centres", spent, 60.0, memory, 2000.0)
    assert spent < 60
    assert memory < 2000
