"""`python -m benchmarks.ado (--data FOLDER | --lake LAKE | --pool FILE.parquet)`: mixture policies on real training
runs, on a simulator, and how fast and how well the laws are fitted.

Arms: the natural and the uniform mix, Adaptive Data Optimization as published and with a uniform prior, the slope rule
for each target, and pilots: the average shares of a slope run of another seed, frozen. Each seed trains every arm from
the same initial weights; differences are paired by seed. Measured on chunks that no arm trains on: the mean over
domains, the mean by the natural shares, the worst domain, and a domain that is held out.

Five seeds of 800 steps and 200 curves take some 11 minutes on two free cores (`--seeds`, `--steps`, `--curves`).
Nothing is written but the picture (`--picture FILE.svg`) and what was measured (`--json FILE`).
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import polars as pl

from benchmarks import miniature
from benchmarks.ado_curves import Compared, compared, of_runs, simulated
from benchmarks.ado_report import fits, picture, runs_report, simulator_report
from benchmarks.ado_training import TEXT_DOMAINS, Arm, Run, Texts, train, use

NATURAL: Final = "natural"
ARMS: Final = (
    Arm(NATURAL, "natural"),
    Arm("uniform", "uniform"),
    Arm("ADO as published", "ado"),
    Arm("ADO, uniform prior", "ado_uniform"),
    Arm("slope, mean", "slope", "mean"),
    Arm("slope, prior", "slope", "prior"),
    Arm("slope, worst", "slope", "worst"),
    Arm("pilot of slope, mean", "pilot", pilot="slope, mean"),
    Arm("pilot of slope, prior", "pilot", pilot="slope, prior"),
)


def texts_of(arguments: argparse.Namespace) -> Texts:
    """The largest domains of the texts, and the reference that is held out."""
    if arguments.pool:
        sources = miniature.of_documents(pl.read_parquet(arguments.pool, columns=["domain", "text"]))
    else:
        sources = miniature.gold(arguments.data) if arguments.data else miniature.of_lake(arguments.lake)
    largest = sorted(sources.pool, key=lambda name: (-int(sources.pool[name].str.len_chars().sum()), name))
    return Texts({name: sources.pool[name] for name in sorted(largest[:TEXT_DOMAINS])}, sources.reference)


def all_runs(texts: Texts, arms: Sequence[Arm], seeds: int, steps: int, processes: int) -> list[Run]:
    """Every arm of every seed; pilots after the runs whose shares they replay."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, initializer=_begin, initargs=(texts,)) as pool:
        work = [(arm, seed, steps, None) for seed in range(seeds) for arm in arms if arm.pilot is None]
        runs = list(_told(pool.imap(_train, work)))
        shares = {(run.arm, run.seed): run.average_shares for run in runs}
        pilots = [
            (arm, seed, steps, shares[arm.pilot, (seed + 1) % seeds])
            for seed in range(seeds)
            for arm in arms
            if arm.pilot is not None
        ]
        return runs + list(_told(pool.imap(_train, pilots)))


def _begin(texts: Texts) -> None:
    logging.disable(logging.WARNING)  # laws on a bound are what the report counts
    use(texts)


def _train(work: tuple[Arm, int, int, dict[str, float] | None]) -> Run:
    return train(*work)


def _told(runs: Iterable[Run]) -> Iterator[Run]:
    for run in runs:
        print(f"  seed {run.seed} {run.arm:<24} {run.cpu_s:5.0f} CPU s", flush=True)
        yield run


def all_fits(runs: Sequence[Run], number: int, processes: int) -> list[Compared]:
    """Fits of simulated curves and, a quarter, of curves of the runs, against L-BFGS."""
    real = of_runs([run for run in runs if run.arm in (NATURAL, "slope, mean")], number // 4)
    curves = [*simulated(number - len(real), seed=1), *real]
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        return pool.map(compared, curves, chunksize=5)


def main() -> None:
    """Train, fit, simulate; print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--data", type=Path, help="folder of text corpora")
    group.add_argument("--lake", help="a lake, whose L1 is trained on")
    group.add_argument("--pool", type=Path, help="documents [domain, text] in Parquet")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--curves", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--picture", type=Path, help="write an SVG here")
    parser.add_argument("--json", type=Path, help="write what was measured here")
    arguments = parser.parse_args()
    texts = texts_of(arguments)
    logging.disable(logging.WARNING)
    print("natural shares: " + ", ".join(f"{name} {share:.3f}" for name, share in texts.prior.items()), flush=True)
    runs = all_runs(texts, ARMS, arguments.seeds, arguments.steps, arguments.processes)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(run) for run in runs]), encoding="utf-8")
    print("\n" + runs_report(runs, texts.prior, NATURAL), flush=True)
    if arguments.picture:
        picture(runs, texts.prior, NATURAL, arguments.picture)
    print("\n" + fits(all_fits(runs, arguments.curves, arguments.processes)), flush=True)
    print("\n" + simulator_report(), flush=True)


if __name__ == "__main__":
    main()
