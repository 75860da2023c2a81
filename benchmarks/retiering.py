"""`python -m benchmarks.retiering`: what a new round of influence costs, and how much of L2 it moves.

Cost: a lake of a million made-up documents in eight partitions is selected by quality; then influence scores are
committed and a round is opened. Timed, in a process of its own, is what the round makes of it: members, verdicts,
moves, and the children that fall out of policy (prediction comes before, checks after). Goal: 60 s on two cores, and
the files of L1 are the same files before and after.

Moves: two influence models of one checkpoint, from different probe seeds, are made up as one true influence and two
independent noises, at the Spearman that models reach; real ones share their errors and differ less. Goal: 5% of the
members. `second` is the share of members that a round by the second model moves after one by the first, in and out;
`instead` the share that differs had the second stood in the first one's place; `first` what the first round of
influence moves; `influence` is the mean true influence of the members, in standard deviations.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from resources.encoder_resource import GpuEncoder
from resources.lake import Lake
from resources.step import Step
from tier_assets.l2_selected.assets import retier_partition
from tier_assets.l2_selected.in_force import InForce
from tier_assets.l2_selected.policy import POLICIES, Policy
from tier_assets.l2_selected.select import membership_at, select
from tier_assets.rounds import open_round
from tier_tables import table

MILLION: Final = 1_000_000
PARTITIONS: Final = 8
RECORDS_SHARE: Final = 0.02  # of the members have a record and two facts, as after a first pass of L3
MODEL: Final = "made_up"
ENCODER: Final = GpuEncoder(setting="off")
SEEDS: Final = 5
SIMULATED: Final = 20_000
# Spearman with the truth, all domains and within: hashed n-grams .65 and .57, hidden states .70 and .60.
LEVELS: Final = (0.57, 0.60, 0.65, 0.70, 0.85)


def documents(number: int, num_rows: int) -> pl.DataFrame:
    """Made-up rows of l1_filtered, partition `number`."""
    ids = pl.int_range(num_rows, eager=True)
    words = "A made-up document of a few words that the selection never reads."
    return pl.DataFrame({"doc_id": ids.hash(number).cast(pl.String), "text": words}).with_columns(
        corpus=pl.lit(f"made-up-{number}"),
        snapshot=pl.lit("1"),
        title=pl.lit(None, pl.String),
        language=pl.when(ids % 10 == 0).then(pl.lit("de")).otherwise(pl.lit("en")),
        language_score=pl.lit(0.9),
        domain=pl.concat_str(pl.lit("domain-"), (ids % 3).cast(pl.String)),
        num_chars=pl.lit(len(words)),
        num_words=pl.lit(12),
        num_tokens=pl.lit(14),
        rule_margin=pl.lit(0.5),
        extractor=pl.lit("none"),
        edits=pl.lit([], table("l1_filtered").schema["edits"]),
    )


def write(lake: Lake, step: str, partition: dict[str, str], **slices: pl.DataFrame) -> None:
    """Write slices, `table` or `table__value` of a first partition column, as a finished step."""
    with Step(lake, "l2", step, partition, "bench", "1", []) as made:
        for name, rows in slices.items():
            table_name, _, value = name.partition("__")
            first = {table(table_name).partition_by[0]: value} if value else {}
            stage = made.stage(table_name, **first)
            stage.write(rows)
            made.commit(stage)


def make_lake(root: str, num_rows: int) -> Lake:
    """A lake whose members of round 1 are selected by quality, with records and facts, before any influence."""
    lake, drawn = Lake(root), np.random.default_rng(0)
    lake.create()
    for number in range(PARTITIONS):
        rows = documents(number, num_rows // PARTITIONS)
        partition = {"corpus": rows["corpus"][0], "snapshot": "1"}
        write(lake, "l1_filtered", partition, l1_filtered=rows)
        scores = rows.select("doc_id").with_columns(
            scorer=pl.lit("quality"),
            scorer_version=pl.lit("1"),
            score=pl.Series(drawn.normal(2.5, 0.6, len(rows)).clip(0, 5).round(4)),
            **{column: pl.lit(value) for column, value in partition.items()},
        )
        write(lake, "l2_scores", partition, l2_scores__quality=scores)
        retier_partition(lake, partition, pair(), ENCODER, "bench")
        write_children(lake, partition)
    return lake


def pair() -> InForce:
    """The policy that lakes begin with."""
    return InForce("made_up", POLICIES["best_half"])


def write_children(lake: Lake, partition: dict[str, str]) -> None:
    """A record and two facts of some members, with their lineage."""
    members = lake.scan("l2_selected", partition).select("doc_id", "corpus", "snapshot").collect()
    sources = members.sample(fraction=RECORDS_SHARE, seed=0).with_columns(record_id=pl.format("r-{}", "doc_id"))
    records = sources.with_columns(source_doc_ids=pl.concat_list("doc_id"))
    facts = pl.concat([sources.with_columns(fact_id=pl.format(f"f{n}-{{}}", "doc_id")) for n in range(2)])
    lineage = facts.select(
        "corpus",
        "snapshot",
        child_table=pl.lit("l4_facts"),
        child_id="fact_id",
        parent_table=pl.lit("l3_refined"),
        parent_id="record_id",
    )
    write(lake, "l3_refined", partition, l3_refined=filled("l3_refined", records))
    write(lake, "l4_facts", partition, l4_facts=filled("l4_facts", facts), lineage__l4_facts=lineage)


def filled(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with every column of the table, those that are missing empty."""
    schema = table(name).schema
    empty = [pl.lit(None).cast(dtype).alias(c) for c, dtype in schema.items() if c not in rows.columns]
    return rows.with_columns(empty).select(schema.names())


def write_influence(lake: Lake, model: str) -> None:
    """Made-up influence scores of every document by a model."""
    drawn = np.random.default_rng(1)
    for partition in lake.partitions("l1_filtered"):
        ids = lake.scan("l1_filtered", partition).select("doc_id", "corpus", "snapshot").collect()
        scores = ids.with_columns(
            model_version=pl.lit(model),
            score=pl.Series(drawn.normal(size=len(ids)).round(4)),
            uncertainty=pl.lit(0.5),
        )
        write(lake, "influence_scores", partition, **{f"influence_scores__{model}": scores})


def retier(root: str) -> dict[str, float]:
    """Open the round and re-tier every partition: wall and CPU seconds, MB of resident memory at most."""
    lake = Lake(root)
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    open_round(lake, MODEL)
    moves = marked = 0
    for partition in lake.partitions("l1_filtered"):
        made = retier_partition(lake, partition, pair(), ENCODER, "bench")
        moves += len(made.chosen.moves)
        marked += sum(piece.num_rows for piece in lake.slices("out_of_policy", partition))
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "wall_s": wall,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_mb": peak_mb(),
        "moves": moves,
        "marked": marked,
    }


def peak_mb() -> float:
    """MB of resident memory that this process held at most; `ru_maxrss` would tell its parent's too."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def text_files(lake: Lake) -> list[tuple[str, int, int]]:
    """The files of l1_filtered: path, bytes, time of the last change."""
    files = sorted(Path(lake.path("l1_filtered")).rglob("*.parquet"))
    return [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]


def cost(num_rows: int) -> None:
    """Print what a round costs on a made-up lake.

    Raises:
        RuntimeError: a file of the texts changed.
    """
    with tempfile.TemporaryDirectory() as folder:
        lake = make_lake(f"{folder}/lake", num_rows)
        write_influence(lake, MODEL)
        before = text_files(lake)
        command = [sys.executable, "-m", "benchmarks.retiering", "--retier", lake.root]
        found = json.loads(subprocess.check_output(command, text=True))
        if text_files(lake) != before:
            raise RuntimeError("re-tiering touched the files of l1_filtered")
    print(f"{'documents':>10} {'partitions':>10} {'wall s':>7} {'CPU s':>7} {'peak MB':>8} {'moves':>8} {'marked':>7}")
    print(
        f"{num_rows:>10,} {PARTITIONS:>10} {found['wall_s']:>7.1f} {found['cpu_s']:>7.1f} {found['peak_mb']:>8,.0f} "
        f"{found['moves']:>8,.0f} {found['marked']:>7,.0f}   {len(before)} files of l1_filtered untouched"
    )


def noisy(truth_N: np.ndarray, spearman: float, drawn: np.random.Generator) -> np.ndarray:
    """The truth and independent noise, at this Spearman with it; both are bell curves."""
    pearson = 2 * np.sin(np.pi * spearman / 6)
    return pearson * truth_N + np.sqrt(1 - pearson**2) * drawn.normal(size=len(truth_N))


def rounds_of(policy: Policy, level: float, seed: int) -> dict[str, float]:
    """What rounds by two models of one checkpoint move."""
    drawn = np.random.default_rng(seed)
    truth_N, quality_N = drawn.normal(size=(2, SIMULATED))
    plain = documents(0, SIMULATED).select("doc_id", "corpus", "snapshot", "domain", "language")
    quality = pl.Series((2.5 + 0.6 * quality_N).clip(0, 5))
    plain = plain.with_columns(quality=quality, influence=pl.lit(None, pl.Float64))
    one, two = (plain.with_columns(influence=pl.Series(noisy(truth_N, level, drawn))) for _ in range(2))
    start = select(plain, membership_at(table("tier_moves").empty(), 0), policy, 1)
    first, instead = (select(rows, start.rows, policy, 2) for rows in (one, two))
    second = select(two, first.rows, policy, 3)
    members = len(first.rows)
    other = first.rows.join(instead.rows, on="doc_id", how="anti")
    influence = plain.select("doc_id", truth=pl.Series(truth_N)).join(first.rows, on="doc_id", how="semi")
    return {
        "first": len(first.moves) / 2 / len(start.rows),
        "second": len(second.moves) / 2 / members,
        "instead": len(other) / members,
        "size": members / len(start.rows),
        "influence": float(influence["truth"].mean()),  # type: ignore[arg-type]
    }


def stability(policies: Iterator[Policy] | tuple[Policy, ...]) -> None:
    """Print what two models of one checkpoint move, by policy and by how well the models do."""
    names = ("first", "second", "instead", "size", "influence")
    print(f"{'weight':>6} {'margin':>6} {'Spearman':>8}" + "".join(f"{name:>16}" for name in names))
    for policy in policies:
        for level in LEVELS:
            runs = [rounds_of(policy, level, seed) for seed in range(SEEDS)]
            told = [[run[name] for run in runs] for name in names]
            cells = "".join(f"{np.mean(v):>10.3f}±{np.std(v):.3f}" for v in told)
            print(f"{policy.influence_weight:>6} {policy.margin:>6} {level:>8}{cells}")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=MILLION)
    parser.add_argument("--weights", type=float, nargs="*", help="influence weights to try beside the policy's own")
    parser.add_argument("--margins", type=float, nargs="*", help="margins to try beside the policy's own")
    parser.add_argument("--retier", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.retier:
        print(json.dumps(retier(chosen.retier)))
        return
    cost(chosen.rows)
    base = POLICIES["best_half"]
    weights, margins = chosen.weights or [base.influence_weight], chosen.margins or [base.margin]
    stability(tuple(replace(base, influence_weight=w, margin=m) for w in weights for m in margins))


if __name__ == "__main__":
    main()
