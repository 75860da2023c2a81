"""Dry runs of a selection: what a policy, an influence model's round or a rollback would move, without moving it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from resources.engines import Engines
from resources.lake import Lake, Slice
from resources.texts import texts_of
from tier_assets.l2_selected import assets as l2
from tier_assets.l2_selected.dry_run import Compared, compared, margin_examples, moved_examples, told, told_moves
from tier_assets.l2_selected.in_force import InForce, in_force
from tier_assets.l2_selected.policy import Policy
from tier_assets.l2_selected.select import Selection
from tier_assets.partitions import key_of, partition_of
from tier_assets.rounds import Round, round_in_force, rounds


def dry_run(lake: Lake, policy: Policy, keys: Sequence[str], engines: Engines) -> str:
    """What `policy` would select of the partitions with the scores that stand, against their members now.

    Raises:
        ValueError: nothing is scored yet, or the policy asks for scores that the lake does not have.
    """
    pair = InForce(in_force(lake).fit, policy)
    found, examples = [], []
    for now in _selected(lake, pair, keys, engines, round_in_force(lake)):
        found.append(now.counts)
        examples.append(margin_examples(now.chosen, now.candidates))
    return told(found, _with_texts(lake, pl.concat(examples)))


def dry_run_round(lake: Lake, model_version: str, keys: Sequence[str], engines: Engines) -> str:
    """What a round of an influence model would move, and ten promotions and ten demotions.

    Raises:
        ValueError: the model has predicted nothing in these partitions, or nothing is scored yet.
    """
    predicted = {
        s.partition["model_version"] for s in lake.slices("influence_scores") if s.num_rows and _key(s) in keys
    }
    if model_version not in predicted:
        known = sorted(predicted) or "none"
        raise ValueError(
            f"no influence scores of model {model_version!r} in these partitions; models that have: {known}"
        )
    standing = round_in_force(lake)
    return _told_round(lake, Round(standing.number + 1, "influence", model_version), keys, engines)


def dry_run_rollback(lake: Lake, to: int, keys: Sequence[str], engines: Engines) -> str:
    """What going back to the members of round `to` would move, and ten promotions and ten demotions.

    Raises:
        ValueError: no such round before the one in force, or nothing is scored yet.
    """
    known = rounds(lake)
    earlier = {r.number: r for r in known[:-1]}
    if to not in earlier:
        raise ValueError(f"cannot go back to round {to}; earlier rounds: {sorted(earlier) or 'none'}")
    back = Round(known[-1].number + 1, "rollback", earlier[to].model_version, to)
    return _told_round(lake, back, keys, engines)


def _told_round(lake: Lake, now: Round, keys: Sequence[str], engines: Engines) -> str:
    found, examples = [], []
    for selected in _selected(lake, in_force(lake), keys, engines, now):
        found.append(selected.counts)
        examples.append(moved_examples(selected.current, selected.chosen, selected.candidates))
    what = f"restores round {now.restores}" if now.restores else f"selects by the influence model {now.model_version}"
    return told_moves(f"round {now.number}, which {what}", found, _with_texts(lake, pl.concat(examples)))


@dataclass(frozen=True)
class Selected:
    """What would be chosen of a partition's candidates, against its members now."""

    candidates: pl.DataFrame
    current: pl.DataFrame
    chosen: Selection
    counts: Compared


def _selected(lake: Lake, pair: InForce, keys: Sequence[str], engines: Engines, now: Round) -> Iterator[Selected]:
    """The scored partitions of `keys`, selected as in round `now`.

    Raises:
        ValueError: none of them is scored yet, or the policy asks for scores that the lake does not have.
    """
    scored = [p for p in map(partition_of, keys) if lake.last_step("l2_scores", p) is not None]
    if not scored:
        raise ValueError("no partition is scored yet: `lake run --to l2` first")
    for partition in scored:
        chosen, candidates, _ = l2.select_partition(lake, partition, pair, engines.encoder, now)
        current = lake.scan("l2_selected", partition).select("doc_id", "corpus", "snapshot", "round").collect()
        counts = compared(partition["corpus"], partition["snapshot"], candidates, current, chosen)
        yield Selected(candidates, current, chosen, counts)


def _key(piece: Slice) -> str:
    return key_of(piece.partition["corpus"], piece.partition["snapshot"])


def _with_texts(lake: Lake, shown: pl.DataFrame) -> pl.DataFrame:
    return shown.join(texts_of(lake, shown), on="doc_id", how="left", maintain_order="left")
