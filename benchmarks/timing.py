"""Median time of a call."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

__all__ = ["median_ms"]


def median_ms(call: Callable[[], object], repeats: int) -> float:
    """Median processor time of a call in ms: of one thread, whatever else the machine does."""
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        call()
        times.append(time.process_time() - begin)
    return 1e3 * statistics.median(times)
