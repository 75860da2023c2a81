"""`lake select`: what a policy would change, without changing it; and its adoption."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from resources.engines import Engines
from resources.lake import Lake
from tier_assets.l2_selected import assets as l2
from tier_assets.l2_selected.dry_run import compared, margin_examples, told
from tier_assets.l2_selected.in_force import InForce, in_force
from tier_assets.l2_selected.policy import Policy
from tier_assets.partitions import partition_of


def dry_run(lake: Lake, policy: Policy, keys: Sequence[str], engines: Engines) -> str:
    """What `policy` would select of the partitions with the scores that stand, against their members now.

    Raises:
        ValueError: nothing is scored yet, or the policy asks for scores that the lake does not have.
    """
    pair = InForce(in_force(lake).fit, policy)
    found, examples = [], []
    for key in keys:
        partition = partition_of(key)
        if lake.last_step("l2_scores", partition) is None:
            continue
        chosen, candidates, _ = l2.select_partition(lake, partition, pair, engines.encoder)
        current = lake.scan("l2_selected", partition).select("doc_id", "corpus", "snapshot", "round").collect()
        found.append(compared(partition["corpus"], partition["snapshot"], candidates, current, chosen))
        examples.append(margin_examples(chosen, candidates))
    if not found:
        raise ValueError("no partition is scored yet: `lake run --to l2` first")
    shown = pl.concat(examples)
    return told(found, shown.join(_texts(lake, shown), on="doc_id", how="left", maintain_order="left"))


def _texts(lake: Lake, shown: pl.DataFrame) -> pl.DataFrame:
    """The texts of the examples [doc_id, text], each partition's read once."""
    parts = [lake.scan("l1_filtered").head(0).select("doc_id", "text").collect()]
    for part in shown.partition_by("corpus", "snapshot"):
        partition = {column: part[column][0] for column in ("corpus", "snapshot")}
        wanted = part.select("doc_id").lazy()
        texts = lake.scan("l1_filtered", partition).select("doc_id", "text")
        parts.append(texts.join(wanted, on="doc_id", how="semi").collect(engine="streaming"))
    return pl.concat(parts).unique("doc_id")
