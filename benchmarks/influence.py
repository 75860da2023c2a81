"""`python -m benchmarks.influence --data FOLDER` (or `--lake LAKE`): how a stage's documents are chosen, arm by arm.

One stage of the miniature (`benchmarks/miniature.py`) after a common warm-up, an arm at a time: the same model, the
same budget, other documents. Pool, reference, guards and initial weights are drawn anew by each seed; differences are
paired by seed, with their standard deviation over seeds. Lower is better. Losses are measured on chunks that no
selection read: other articles of the reference, every domain of the pool, and sets that are neither.

Arms count the model's own tokens; those marked "words" count words as published, without case and white space.

**Within domains**: an arm's reference loss against random documents of the very domain mix that the arm drew.
**Overhead**, as a share of the stage's FLOPs: probes, fitting and prediction over the pool; the audit (true probes) has
a column of its own. Of the n-gram arms it is the passes over their counts.

All settings were chosen on seeds 100 and above, the report is on 0 and above. Two worker processes of one thread each;
five seeds take 12 minutes on two free cores. Nothing is written but the picture (`--picture FILE.svg`) and `--json`.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks import miniature
from benchmarks.influence_report import picture, report
from benchmarks.influence_stages import ARMS, RANDOM, Measured, Task, measure
from benchmarks.miniature import Sources
from resources.workers import Died, Workers

WORKERS: Final = 2
WORKER_CPU_S: Final = 3_600.0
WORKER_BYTES: Final = 32 << 30


def measured(sources: Sources, seeds: list[int], arms: list[str]) -> Iterator[Measured]:
    """What each seed measured, as it comes.

    Raises:
        RuntimeError: a worker died.
    """
    with tempfile.TemporaryDirectory(prefix="tierlake-") as scratch:
        file = Path(scratch) / "sources"
        file.write_bytes(pickle.dumps(sources))
        tasks = [Task(seed, file, tuple(arms)) for seed in seeds]
        with Workers(WORKERS, cpu_s=WORKER_CPU_S, memory_bytes=WORKER_BYTES, chunk_items=1) as workers:
            for task, found in zip(tasks, workers.map(measure, tasks), strict=True):
                if isinstance(found, Died):
                    raise RuntimeError(f"the work on seed {task.seed} died: {found}")
                yield found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    miniature.add_arguments(parser)
    names = [arm.name for arm in ARMS]
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--arms", nargs="+", default=names, choices=names, help="with random among them")
    parser.add_argument("--picture", type=Path, help="write an SVG here")
    parser.add_argument("--json", type=Path, help="write every measured loss here, a JSON line a seed")
    arguments = parser.parse_args()
    if RANDOM not in arguments.arms:
        parser.error(f"differences are to {RANDOM}: name it among the arms")
    found: list[Measured] = []
    for seed in measured(miniature.sources_of(arguments), arguments.seeds, arguments.arms):
        found.append(seed)
        print(f"seed {seed.seed} done", file=sys.stderr, flush=True)
        if arguments.json:
            arguments.json.write_text("".join(json.dumps(asdict(one)) + "\n" for one in found), encoding="utf-8")
    print(report(found))
    if arguments.picture:
        picture(found, arguments.picture)


if __name__ == "__main__":
    main()
