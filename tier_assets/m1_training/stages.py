"""Stages of training: which one is next, what the run has consumed, and where its checkpoints lie.

A stage begins when its run reports a step after the one it was drawn at. What has begun stays as it was drawn; what has
not may be drawn again when L2 has moved, so that no demoted document is trained on.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from resources.lake import Lake
from tier_assets.steering import last_step

REFERENCE_RUN: Final = "reference"


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage: its number from 1, its name, and the run's step that it follows."""

    number: int
    name: str
    first_step: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a checkpoint will lie."""

    path: Path
    step: int


def next_stage(lake: Lake, run: str) -> Stage:
    """The stage that has not begun."""
    step = last_step(lake, run)
    drawn = lake.scan("mixtures").filter((pl.col("run") == run) & (pl.col("policy") == "draw"))
    begun = drawn.filter(pl.col("step") < step).select(pl.col("stage").n_unique()).collect().item()
    return Stage(begun + 1, f"stage-{begun + 1:03d}", step)


def stands_drawn(lake: Lake, run: str) -> bool:
    """Whether the run's next stage is drawn and waits to begin."""
    now = next_stage(lake, run)
    drawn = (pl.col("run") == run) & (pl.col("policy") == "draw") & (pl.col("stage") == now.name)
    return not lake.scan("mixtures").filter(drawn).head(1).collect().is_empty()


def consumed(lake: Lake, now: Stage) -> pl.Series:
    """Ids of the documents that earlier stages drew."""
    return lake.scan("stage_draws").filter(pl.col("stage") < now.name).select("doc_id").unique().collect()["doc_id"]


def checkpoint_folder(lake: Lake, run: str, step: int) -> Place:
    """Where the reference run's checkpoint of a step lies: below the lake, or below LAKE_CHECKPOINTS.

    Raises:
        ValueError: a remote lake without LAKE_CHECKPOINTS.
    """
    root = os.environ.get("LAKE_CHECKPOINTS") or (f"{lake.root}/checkpoints" if lake.is_local else "")
    if not root:
        raise ValueError(f"the lake {lake.root!r} is remote: name a folder for checkpoints by LAKE_CHECKPOINTS")
    return Place(Path(root, run, f"step-{step:07d}").absolute(), step)
