"""A line of `make bench`: ours against a peer doing the same work in the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

REPEATS = 3


@dataclass(frozen=True)
class Line:
    """One comparison: what was measured, in which unit (less is better), ours and the peer's median."""

    what: str
    unit: str
    peer: str
    ours: float
    theirs: float


def interleaved(ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[float, float]:
    """Medians of REPEATS runs of each, in turns."""
    pairs = [(ours(), theirs()) for _ in range(REPEATS)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of this process for `work`."""
    start = time.process_time()
    work()
    return time.process_time() - start


def show(line: Line) -> None:
    """Print it; the ratio says how many times less ours costs."""
    figures = f"{line.ours:>9.3g} {line.theirs:>9.3g} {line.theirs / line.ours:>7.2f}"
    print(f"{line.what:<40} {line.unit:<7} {figures}  {line.peer}", flush=True)
