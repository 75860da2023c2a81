"""`lake try influence`: what a training step on each of your texts would do to a reference, by first-order probes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from tier_assets.m2_influence.checkpoint import OpenedCheckpoint
from tier_assets.m2_influence.probe import probe
from tier_assets.m2_influence.references import read_items
from tier_assets.m2_influence.turn import DEFAULT

# Texts are cut into token ids in batches; of each no more is kept than a window.
BATCH_LINES: Final = 1_024
# The order of texts does not depend on it: first-order effects are proportional to the rate.
RATE: Final = 1e-3


def try_influence(lines: Iterable[dict[str, Any]], checkpoint: Path, reference: Path) -> Iterator[dict[str, Any]]:
    """{id, influence} of each line {id, text}, in order: by how many nats a token the mean loss of the reference falls
    for a step at a learning rate of 1e-3 on the beginning of the text, to first order; above 0 the text helps.

    Raises:
        ValueError: a line without text, a reference too short for one chunk, or a folder that holds no model.
        FileNotFoundError: no checkpoint or no reference there.
    """
    items = read_items(reference)
    opened = OpenedCheckpoint(checkpoint, DEFAULT.max_context)
    ids: list[Any] = []
    parts = []
    waiting: list[str] = []
    for line in lines:
        if not isinstance(line.get("text"), str) or not line["text"]:
            raise ValueError(f"line {line.get('id')!r}: `text` is {line.get('text')!r}; a text was expected")
        ids.append(line["id"])
        waiting.append(line["text"])
        if len(waiting) == BATCH_LINES:
            parts.append(opened.chunks(pl.Series(waiting)))
            waiting = []
    parts.append(opened.chunks(pl.Series(waiting, dtype=pl.String)))
    reference_RC = opened.reference_chunks(items["text"], DEFAULT.reference_chunks)
    if not ids:
        return
    found = probe(opened.trainer, np.concatenate(parts), reference_RC, RATE, "first_order")
    for name, effect in zip(ids, found.effect_N, strict=True):
        yield {"id": name, "influence": float(f"{-effect:.6g}")}
