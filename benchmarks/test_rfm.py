"""The Recursive Feature Machine beside the PyPI package xrfm: the same data, kernel, ridge and number of solves.

xrfm is no dependency of the book: `pip install --no-deps xrfm` in an environment of your own, else this skips. One
thread, seconds of the processor; the peak of memory of each in a process of its own; and our share of what one core
could do if it spent all its time in single-precision matrix products.
"""

import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from afp_utils import rfm

UPDATES, BANDWIDTH, RIDGE = 5, 10.0, 1e-3
LEAST = {1000: 0.8, 2000: 1.2, 4000: 2.0}
"""Ratio of times below which something has become slow; the issue asks for 2 at n = 4000."""
MEMORY = 0.7


def data(n, d, seed=0):
    """Training, validation and test points with their products of the first two coordinates."""
    rng = np.random.default_rng(seed)
    points = [rng.normal(size=(size, d)).astype(np.float32) for size in (n, 1000, 2000)]
    return [(x, x[:, 0] * x[:, 1]) for x in points]


def ours(train, validation):
    run = rfm.fit(*train, kernel=rfm.Laplace(BANDWIDTH), ridge=RIDGE, updates=UPDATES, validation=validation)
    return rfm.best_state(run).predict


def theirs(train, validation, solver="solve"):
    from xrfm.rfm_src import RFM

    torch.set_num_threads(1)
    model = RFM("l2", iters=UPDATES, bandwidth=BANDWIDTH, device="cpu", verbose=False, solver=solver)
    pairs = [tuple(torch.from_numpy(a) for a in (x, y[:, None])) for x, y in (train, validation)]
    model.fit(*pairs, iters=UPDATES, reg=RIDGE, solver=solver, early_stop_rfm=False, verbose=False)
    return lambda x: model.predict(torch.from_numpy(x)).numpy().ravel()


def peak(name, n, d):
    """Growth in MB of the largest resident size by one fit, after a small one, in a fresh process."""
    code = f"""
import sys; sys.path.insert(0, "benchmarks")
from test_rfm import {name} as fit, data
def most(): return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
fit(*data(300, {d})[:2]); train, validation, _ = data({n}, {d}); before = most()
fit(train, validation); print((most() - before) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def flops(n, d):
    """Cholesky and lower triangle of distances at each solve, distances and slopes at each update."""
    return (UPDATES + 1) * (n**3 / 3 + n**2 * d) + UPDATES * 4 * n**2 * d


def rate():
    """Single-precision operations per second of one core in a matrix product."""
    a, best = np.ones((2000, 2000), np.float32), np.inf
    for _ in range(5):
        start = time.process_time()
        a @ a
        best = min(best, time.process_time() - start)
    return 2 * 2000**3 / best


@pytest.mark.parametrize("solver", ["solve", "cholesky"])
@pytest.mark.parametrize("d", [10, 100])
@pytest.mark.parametrize("n", sorted(LEAST))
def test_rfm_beside_xrfm(beside, capsys, benchmark, n, d, solver):
    pytest.importorskip("xrfm", reason="xrfm is not installed: pip install --no-deps xrfm")
    train, validation, (fresh, target) = data(n, d)
    with threadpool_limits(1):
        errors = [np.mean((fit(train, validation)(fresh) - target) ** 2) for fit in (ours, theirs)]
        ratio = beside(lambda: ours(train, validation), lambda: theirs(train, validation, solver), rounds=3)
        start = time.process_time()
        ours(train, validation)
        share = flops(n, d) / (time.process_time() - start) / rate()
    memory = [peak(name, n, d) for name in ("ours", "theirs")]
    benchmark.extra_info.update(errors=errors, memory=memory, share=share)
    with capsys.disabled():
        print(f"  errors {errors[0]:.5f} {errors[1]:.5f}; MB {memory[0]:.0f} {memory[1]:.0f}; {share:.0%} of the limit")
    assert ratio > LEAST[n]
    # in single precision theirs differs from its own result in double precision by up to 0.7 %, ours by 0.01 %
    np.testing.assert_allclose(errors[0], errors[1], rtol=0.01)
    if n == max(LEAST):
        assert memory[0] < MEMORY * memory[1]
