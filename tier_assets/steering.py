"""The run that steers: influence comes from one named training run a lake; how far it is, and its last checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from resources.lake import Lake
from tier_tables import table


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint: its folder as reported, the step it was written at, and the learning rate there."""

    folder: Path
    step: int
    lr: float


def steering_run(lake: Lake) -> str | None:
    """The run that was chosen last, else the one that reported first; None where no run has reported."""
    chosen = lake.scan("steering_runs").sort("chosen_at").select("run").collect()["run"]
    if len(chosen):
        return str(chosen[-1])
    first = lake.scan("training_telemetry").sort("received_at").select("run").head(1).collect()["run"]
    return str(first[0]) if len(first) else None


def steer_by(lake: Lake, run: str) -> None:
    """Let the training run `run` steer the selection from now on.

    Raises:
        ValueError: the run has reported nothing; the message names those that have.
    """
    known = lake.scan("training_telemetry").select("run").unique().collect()["run"].sort().to_list()
    if run not in known:
        raise ValueError(f"no run {run!r} has reported; known: {known}")
    row = {"run": run, "chosen_at": datetime.now(UTC)}
    lake.append("steering_runs", pl.DataFrame([row], schema=table("steering_runs").schema))


def last_step(lake: Lake, run: str) -> int:
    """The last step that the run reported, 0 before the first."""
    steps = lake.scan("training_telemetry").filter(pl.col("run") == run).select(pl.col("step").max()).collect().item()
    return steps or 0


def last_checkpoint(lake: Lake, run: str) -> Checkpoint | None:
    """The run's last checkpoint; None where it has reported none."""
    rows = (
        lake.scan("training_telemetry")
        .filter((pl.col("run") == run) & pl.col("checkpoint").is_not_null())
        .sort("step", "domain")
        .select("checkpoint", "step", "lr")
        .collect()
    )
    return Checkpoint(Path(rows["checkpoint"][-1]), rows["step"][-1], rows["lr"][-1]) if len(rows) else None


def tokens_between(lake: Lake, run: str, after: int, to: int) -> int:
    """Tokens that the run saw in its steps `after` < step <= `to`."""
    rows = lake.scan("training_telemetry").filter((pl.col("run") == run) & (pl.col("step") <= to))
    seen = rows.select(
        to=pl.col("tokens").max(), after=pl.col("tokens").filter(pl.col("step") <= after).max()
    ).collect()
    return int((seen["to"][0] or 0) - (seen["after"][0] or 0))
