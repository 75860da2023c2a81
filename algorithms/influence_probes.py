"""Probes of a training model: what one document more does to its loss on a reference set.

**True probe** (MATES, arXiv 2406.06046, eq. 4: locally probed oracle influence). From weights theta and optimizer state
s, with R the mean loss of the reference:

    effect(x) = R(theta_x) - R(theta),    theta_x, _ = AdamW(theta, s, grad L_x(theta), lr)

One step and one evaluation of the whole reference a sample; weights and state go back between samples.

**First-order probe** (ours). AdamW divides the gradient by sqrt(v), v the second moment with its bias removed. To first
order effect(x) = c - lr a <grad R, grad L_x / sqrt(v)>, c the same for all samples and a the weight of the new gradient
in the momentum. So all samples are scored along one direction d, by a central difference of their own losses:

    d         = grad R / max(sqrt(v), q),     q = FLOOR's quantile of sqrt(v) where v > 0
    slope(x)  = (L_x(theta + h d) - L_x(theta - h d)) / 2h,    h = LENGTH |theta| / |d|
    effect(x) = -lr a slope(x)

Two forward passes a sample, no gradient but that of the reference, once. Without the floor q some hundred weights of
sqrt(v) near 0 make up nearly all of d; without moments (no optimizer state) d = grad R, the plain gradient.

In: tensors a weight, losses by a function. Out: effects in nats a token, below 0 helps. Memory: three times
the weights. Where we differ from MATES: it has true probes alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Values = npt.NDArray[np.float64]

FLOOR: Final = 0.1
LENGTH: Final = 1e-2
# A quantile of more than these is taken of every n-th: a sort of all would cost more than the probes of a large model.
QUANTILE_OF: Final = 1 << 22


def direction(gradient: Sequence[torch.Tensor], moments: Sequence[torch.Tensor] | None) -> list[torch.Tensor]:
    """d, a tensor a weight: the gradient, divided by the root of the floored second `moments` where there are any."""
    roots = [moment.sqrt() for moment in moments or ()]
    floor = quantile(roots, FLOOR)
    if floor is None:
        return list(gradient)
    return [slope / root.clamp_min(floor) for slope, root in zip(gradient, roots, strict=True)]


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


__all__ = ["FLOOR", "LENGTH", "direction", "norm", "quantile", "shifted", "slopes"]
