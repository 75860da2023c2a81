"""One dynamic set of partition keys, `corpus@snapshot`; only what exists."""

from __future__ import annotations

import warnings

import dagster as dg

from resources.dagster_resources import Gate
from resources.lake import Lake

# Beta in this Dagster, and wanted: without it a backfill of a hundred partitions starts a hundred runs.
warnings.filterwarnings("ignore", message="Parameter `backfill_policy`")

corpora = dg.DynamicPartitionsDefinition(name="corpora")
# One run may work through so many partitions: each run costs seconds to start, and a language model more.
backfill = dg.BackfillPolicy.multi_run(max_partitions_per_run=20)


def key_of(corpus: str, snapshot: str) -> str:
    """The partition key of a corpus's snapshot."""
    return f"{corpus}@{snapshot}"


def partition_of(key: str) -> dict[str, str]:
    """Corpus and snapshot of a partition key.

    Raises:
        ValueError: the key is not `corpus@snapshot`.
    """
    corpus, at, snapshot = key.partition("@")
    if not (corpus and at and snapshot):
        raise ValueError(f"{key!r} is no partition key; a key is corpus@snapshot")
    return {"corpus": corpus, "snapshot": snapshot}


def registered_keys(lake: Lake) -> list[str]:
    """Keys of all corpora and snapshots with registered sources, sorted."""
    return sorted(key_of(s.partition["corpus"], s.partition["snapshot"]) for s in lake.slices("sources"))


def add_keys(instance: dg.DagsterInstance, lake: Lake) -> list[str]:
    """Make Dagster know every registered partition; returns all keys."""
    keys = registered_keys(lake)
    known = set(instance.get_dynamic_partitions("corpora"))
    if missing := [k for k in keys if k not in known]:
        instance.add_dynamic_partitions("corpora", missing)
    return keys


def sound_partitions(context: dg.AssetExecutionContext, gate: Gate, tier: str) -> list[dict[str, str]]:
    """Partitions that a step of `tier` over all of them may read; those that failed a blocking check are named in the
    log."""
    sound = gate.sound(tier)
    for refused in sound.refused:
        context.log.warning(refused.why)
    return [partition_of(key) for key in sound.keys]
