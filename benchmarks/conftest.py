"""Benchmarks: ours and the alternative side by side in one run, on one thread, as a ratio of CPU times."""

import statistics
import time
from collections.abc import Callable

import pytest


@pytest.fixture
def beside(benchmark, capsys) -> Callable[..., float]:
    """Time two functions in turn, show and return how many times longer the second takes (median of the rounds)."""

    def compare(ours: Callable[[], object], other: Callable[[], object], rounds: int = 5, scale: float = 1.0) -> float:
        spent: dict[str, list[float]] = {"ours": [], "other": []}
        for _ in range(rounds):
            for name, function in (("ours", ours), ("other", other)):
                start = time.process_time()
                function()
                spent[name].append(time.process_time() - start)
        ratio = scale * statistics.median(spent["other"]) / statistics.median(spent["ours"])
        benchmark.extra_info["ratio"] = ratio
        benchmark.pedantic(ours, rounds=1)
        with capsys.disabled():
            print(
                f"\n{benchmark.name}: ours {statistics.median(spent['ours']):.3g} s, "
                f"other {scale * statistics.median(spent['other']):.3g} s, ratio {ratio:.3g}"
            )
        return ratio

    return compare
