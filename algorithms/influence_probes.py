"""Probes of a training model: what one document more does to its loss on a reference set.

**True probe** (MATES, arXiv 2406.06046, eq. 4: locally probed oracle influence). From weights theta and optimizer state
s, with R the mean loss of the reference:

    effect(x) = R(theta_x) - R(theta),    theta_x, _ = AdamW(theta, s, grad L_x(theta), lr)

One step and one evaluation of the whole reference a sample; weights and state go back between samples.

**First-order probe** (ours). AdamW divides the momentum by sqrt(v), v the second moment with its bias removed. A step
on x is the step that momentum and decay make by themselves, to theta', and the part of x. To first order

    effect(x) = R(theta') - R(theta) - lr a <grad R(theta'), grad L_x(theta) / sqrt(v)>,

a the weight of a new gradient in the momentum. The first two terms are the same for all x and are left out; the third
is the slope of L_x along one direction d, taken by a central difference:

    d         = grad R(theta') / max(sqrt(v), q),    q = FLOOR's quantile of sqrt(v) where v > 0
    slope(x)  = (L_x(theta + h d) - L_x(theta - h d)) / 2h,    h = LENGTH |theta| / |d|
    effect(x) = -lr a slope(x)

Two forward passes a sample, over the first READ of its tokens, and no gradient but that of the reference, once. Without
moments (no optimizer state) there is no theta', and d = grad R(theta), the plain gradient.

In: a tensor a weight, losses by a function. Out: slopes in nats a token. Memory: three times the weights. Where we
differ from MATES: it has true probes alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Values = npt.NDArray[np.float64]

# Of six seeds, leaving it out changed the correlation on two: from .877 to .813, and from .793 to .859.
FLOOR: Final = 0.1
LENGTH: Final = 1e-2
# Spearman with true probes at a rate of 4e-3, mean of six runs that `benchmarks.probes` does not report: .944 on whole
# chunks, .919 on .9 of each, .909 on .85, .894 on .8; whole chunks are some 35 times as cheap as true probes.
READ: Final = 0.85
# A quantile of more than these is taken of every n-th: a sort of all would cost more than the probes of a large model.
QUANTILE_OF: Final = 1 << 22


def direction(
    gradient: Sequence[torch.Tensor], moments: Sequence[torch.Tensor] | None, floor: float = FLOOR
) -> list[torch.Tensor]:
    """d, a tensor a weight: the gradient, divided by the root of the second `moments` where there are any; roots below
    the quantile `floor` are taken for it."""
    roots = [moment.sqrt() for moment in moments or ()]
    least = quantile(roots, floor)
    if least is None:
        return list(gradient)
    return [slope / root.clamp_min(least) for slope, root in zip(gradient, roots, strict=True)]


def read(length: int) -> int:
    """How many of a chunk's `length` tokens a first-order probe reads: READ of those it predicts, one before them.

    >>> read(129)
    110
    """
    return 1 + math.ceil(READ * (length - 1))


def quantile(tensors: Sequence[torch.Tensor], share: float) -> float | None:
    """The value below which `share` of all elements above 0 lie, of every n-th where there are more than QUANTILE_OF;
    None where there are none.

    Elements at 0 are left out: rows of an embedding whose tokens were never seen have no moments, and where they are
    more than `share` the floor would be 0.
    """
    import torch

    stride = max(1, -(-sum(tensor.numel() for tensor in tensors) // QUANTILE_OF))
    parts = [tensor.flatten()[::stride] for tensor in tensors]
    values = torch.cat([part[part > 0] for part in parts]) if parts else torch.empty(0)
    if not len(values):
        return None
    return float(values.kthvalue(max(1, round(share * len(values)))).values)


def norm(tensors: Sequence[torch.Tensor]) -> float:
    """The length of all together."""
    return float(sum(float(tensor.detach().double().square().sum()) for tensor in tensors)) ** 0.5


def slopes(losses: Callable[[], Values], weights: Sequence[torch.Tensor], along: Sequence[torch.Tensor]) -> Values:
    """The slope of each loss `along` a direction, by central difference; `weights` are as before afterwards.

    Raises:
        ValueError: the direction has no length, so that there is no slope.
    """
    length = norm(along)
    if not length > 0:
        raise ValueError(f"a direction of length {length:g} has no slope: the reference has no gradient")
    size = LENGTH * norm(weights) / length
    with shifted(weights, along, size):
        above = losses()
    with shifted(weights, along, -size):
        below = losses()
    return (above - below) / (2 * size)


@contextmanager
def shifted(weights: Sequence[torch.Tensor], along: Sequence[torch.Tensor], size: float) -> Iterator[None]:
    """The weights moved by `size` times a direction; put back bit for bit, by a copy."""
    import torch

    with torch.no_grad():
        before = [tensor.clone() for tensor in weights]
        try:
            for tensor, step in zip(weights, along, strict=True):
                tensor.add_(step, alpha=size)
            yield
        finally:
            for tensor, old in zip(weights, before, strict=True):
                tensor.copy_(old)


__all__ = ["FLOOR", "LENGTH", "READ", "direction", "norm", "quantile", "read", "shifted", "slopes"]
