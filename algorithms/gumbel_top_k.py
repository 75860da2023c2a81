"""Gumbel-top-k: k different items drawn one after another, each with probability softmax(score / temperature) of those
left.

Kool, van Hoof and Welling 2019, "Stochastic Beams and Where to Find Them", arXiv 1903.06059; MATES draws by it
(arXiv 2406.06046). With scores s, temperature T and independent standard Gumbel noise g, the k **largest** of

    s / T + g,    g = -log(-log u),    u uniform in (0, 1)

in falling order are a sample without replacement from softmax(s / T). T -> 0 takes the highest scores, a large T draws
evenly; T = 0 is allowed and means no noise.

Where we differ: from MATES' published selector, which adds the noise and takes the smallest values: that is no sample
from any softmax, and explores far less than its temperature says.

In: scores. Out: keys, or positions in the order drawn. Cost: a sort. Deterministic given the generator.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]


def keys(scores_N: Scores, temperature: float, random: np.random.Generator) -> Scores:
    """s / T + g of each score; the scores themselves at T = 0. The k largest are the draw.

    Raises:
        ValueError: a temperature below 0, or a score that is not finite.
    """
    scores_N = np.asarray(scores_N, dtype=np.float64)
    if not temperature >= 0:
        raise ValueError(f"a temperature is not below 0, but this is {temperature}")
    if not np.isfinite(scores_N).all():
        raise ValueError(f"{int((~np.isfinite(scores_N)).sum())} of {len(scores_N)} scores are not finite")
    if temperature == 0:
        return scores_N
    return scores_N / temperature + random.gumbel(size=len(scores_N))


def gumbel_top_k(scores_N: Scores, k: int, temperature: float, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Positions of the drawn items, first drawn first; all of them where there are no more than `k`.

    Raises:
        ValueError: k below 0, or as `keys`.

    >>> gumbel_top_k(np.array([1.0, 3.0, 2.0]), 2, 0.0, np.random.default_rng(0)).tolist()
    [1, 2]
    """
    if k < 0:
        raise ValueError(f"a draw has no less than 0 items, not {k}")
    return np.argsort(-keys(scores_N, temperature, random), kind="stable")[:k]
