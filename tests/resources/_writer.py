"""A writer in a process of its own, to be raced or killed: `python _writer.py ROOT WHAT [ARGUMENT ...]`.

Rows and verdicts bear a generation number (`num_chars`, `detail`), so that a reader can tell whose they are.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import polars as pl
from _made_up import NEWS, finish, put, rows

from resources.lake import Lake, RacingWriterError
from resources.step import Step

NUM_ROWS = 5
RACED = 3  # exit code: another writer was first


def generation(number: int, partition: dict[str, str] = NEWS) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows and verdicts that a step of this generation writes."""
    kept = rows("l1_filtered", NUM_ROWS, partition, first=number * 100).with_columns(num_chars=pl.lit(number, pl.Int64))
    dropped = rows("verdicts", 2, {"tier": "l1", **partition}, first=number * 100)
    return kept, dropped.with_columns(detail=pl.lit(str(number)))


def step(lake: Lake, number: int, die_at: str = "", mode: str = "replace") -> None:
    """A whole step on NEWS, or as much of it as comes before `die_at`."""
    kept, dropped = generation(number)
    with Step(lake, "l1", "l1_filtered", NEWS, f"run-{number}", "v1", []) as running:
        verdict_stage, row_stage = running.stage("verdicts", tier="l1"), running.stage("l1_filtered")
        verdict_stage.write(dropped)
        row_stage.write(kept)
        verdict_stage.close()
        row_stage.close()
        die("staged", die_at)
        running.commit(verdict_stage)
        die("verdicts committed", die_at)
        running.commit(row_stage, mode)
        die("rows committed", die_at)
        running.counts(rows_in=NUM_ROWS + 2, rows_kept=NUM_ROWS, rows_rejected=2)


def die(here: str, die_at: str) -> None:
    """Be killed as the kernel's out-of-memory killer would do it."""
    if here == die_at:
        os.kill(os.getpid(), signal.SIGKILL)


def first_write(lake: Lake, number: int, gate: Path) -> None:
    """Stage the first rows of NEWS, wait for the others, commit and finish."""
    stage = lake.stage("l1_filtered", NEWS)
    stage.write(generation(number)[0])
    stage.close()
    pass_together(gate)
    written = lake.commit(stage)
    finish(lake, written)


def many_writes(lake: Lake, number: int, gate: Path) -> None:
    """Eight slices of one's own, one after the other."""
    pass_together(gate)
    for index in range(8):
        partition = {"corpus": f"w{number}-{index}", "snapshot": "1"}
        put(lake, "l1_filtered", partition, generation(number, partition)[0])


def steps_on_one_slice(lake: Lake, number: int, gate: Path) -> None:
    """A whole step on NEWS, again until no other comes between."""
    pass_together(gate)
    for _ in range(100):
        try:
            return step(lake, number)
        except RacingWriterError:
            continue
    raise RuntimeError("never came through")


def pass_together(gate: Path) -> None:
    """Wait until all who race are here: each leaves a file beside the gate, the test makes the gate."""
    gate.with_name(f"ready-{os.getpid()}").touch()
    while not gate.exists():
        time.sleep(0.001)


def generations(lake: Lake, first: int) -> None:
    """One step after the other, each told on stdout once it is finished, until killed."""
    for number in range(first, first + 1_000):
        step(lake, number)
        print(number, flush=True)


def main(root: str, what: str, number: str, argument: str = "", mode: str = "replace") -> None:
    lake = Lake(root)
    if what == "step":
        step(lake, int(number), argument, mode)
    elif what == "generations":
        generations(lake, int(number))
    else:
        race = {"first": first_write, "many": many_writes, "same": steps_on_one_slice}[what]
        try:
            race(lake, int(number), Path(argument))
        except RacingWriterError:
            sys.exit(RACED)


if __name__ == "__main__":
    main(*sys.argv[1:])
