"""Learning rates by step: warm-up, stable, decay (WSD).

MiniCPM, arXiv 2404.06395. With W steps of warm-up, S stable ones and D of decay, peak rate p, at step s:

    s < W          p * (s + 1) / W
    s < W + S      p
    s < W + S + D  p * f((s - W - S + 1) / D)

What was trained to the end of the stable phase can be branched: each branch decays on data of its own, and all share
the dear part. Where we differ: f(x) = 1 - sqrt(x), which arXiv 2405.18392 found at least as good as the
exponential of MiniCPM and the linear one; and a rate is asked after the step is counted, so that no step is wasted
on a rate of 0 at either end but the very last.
"""

from __future__ import annotations

import math


def wsd(step: int, warmup: int, stable: int, decay: int, peak: float) -> float:
    """The rate of optimizer step `step` (from 0) of `warmup + stable + decay` steps; 0 from there on.

    Raises:
        ValueError: a negative number of steps.

    >>> [wsd(step, 2, 1, 4, 8.0) for step in range(7)]
    [4.0, 8.0, 8.0, 8.0, 4.0, 2.3431457505076194, 1.0717967697244912]
    """
    if min(step, warmup, stable, decay) < 0:
        raise ValueError(f"steps are not negative: {step=}, {warmup=}, {stable=}, {decay=}")
    if step < warmup:
        return peak * (step + 1) / warmup
    into = step - warmup - stable
    if into < 0:
        return peak
    return peak * (1 - math.sqrt(into / decay)) if into < decay else 0.0
