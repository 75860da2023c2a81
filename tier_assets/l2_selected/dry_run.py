"""A dry run: what would move if a policy, or another round, selected now, and examples, as text.

In, a partition at a time: candidates, the members there are, and what `select` chose. Out: small values that add up
over partitions, examples without their texts (the caller reads the few that are shown), and the text to print. Pure:
nothing is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from tier_assets.l2_selected.select import Selection

SHOWN: Final = 10  # examples a side
CHARACTERS: Final = 200  # of an example's text
MOVED: Final = ("side", "doc_id", "corpus", "snapshot", "quality", "influence", "reason")
MOVES: Final = ("doc_id", "corpus", "snapshot", "from_tier", "to_tier", "reason")


@dataclass(frozen=True, slots=True)
class Compared:
    """One partition as it is and as a policy would have it; each Counter has documents by reason.

    Tokens are those of candidates: a member that is none any more has no text to count.
    """

    corpus: str
    snapshot: str
    candidates: int
    members_now: int
    members_then: int
    tokens_now: int
    tokens_then: int
    kept: Counter[str]
    rejected: Counter[str]
    entering: Counter[str]
    leaving: Counter[str]


def moves_of(current: pl.DataFrame, chosen: Selection) -> pl.DataFrame:
    """What would move against the members there are [doc_id, corpus, snapshot, from_tier, to_tier, reason], by doc_id.

    `current` [doc_id, corpus, snapshot, round] are the members now. They need not be those that the selection started
    from: a round is made again from the round before it.
    """
    entering = chosen.rows.join(current, on="doc_id", how="anti").with_columns(
        from_tier=pl.lit("l1"), to_tier=pl.lit("l2"), reason=pl.format("promoted_{}", "reason")
    )
    why = chosen.verdicts.select("doc_id", "reason")
    leaving = (
        current.join(chosen.rows, on="doc_id", how="anti")
        .join(why, on="doc_id", how="left")
        .with_columns(
            from_tier=pl.lit("l2"),
            to_tier=pl.lit("l1"),
            reason=pl.format("demoted_{}", pl.col("reason").fill_null("not_in_l1")),
        )
    )
    return pl.concat([entering.select(MOVES), leaving.select(MOVES)]).sort("doc_id")


def compared(
    corpus: str, snapshot: str, candidates: pl.DataFrame, current: pl.DataFrame, chosen: Selection
) -> Compared:
    """A partition's `current` members against what a policy chose of its `candidates` [doc_id, num_tokens, ...]."""
    moves = moves_of(current, chosen)
    return Compared(
        corpus,
        snapshot,
        candidates=len(candidates),
        members_now=len(current),
        members_then=len(chosen.rows),
        tokens_now=_tokens(candidates, current),
        tokens_then=_tokens(candidates, chosen.rows),
        kept=Counter(chosen.rows["reason"]),
        rejected=Counter(chosen.verdicts["reason"]),
        entering=Counter(moves.filter(to_tier="l2")["reason"].str.strip_prefix("promoted_")),
        leaving=Counter(moves.filter(to_tier="l1")["reason"].str.strip_prefix("demoted_")),
    )


def _tokens(candidates: pl.DataFrame, members: pl.DataFrame) -> int:
    """Tokens of the candidates that are members."""
    rows = candidates.select("doc_id", "num_tokens").join(members.select("doc_id"), on="doc_id", how="semi")
    return int(rows["num_tokens"].sum())


def margin_examples(chosen: Selection, candidates: pl.DataFrame, num: int = SHOWN) -> pl.DataFrame:
    """The `num` kept and the `num` dropped documents whose values are the closest to the threshold that held for them.

    Dropped ones are those that the threshold dropped, not a bound, a repetition or a full cluster. `candidates` are
    those that were chosen from [doc_id, corpus, snapshot, language, num_tokens, quality, ...].

    Returns:
        [side (kept or dropped), doc_id, corpus, snapshot, language, num_tokens, quality, value, threshold, reason],
        the closest of each side first.
    """
    at = chosen.values.filter(pl.col("threshold").is_finite() & pl.col("value").is_not_null()).with_columns(
        distance=(pl.col("value") - pl.col("threshold")).abs(),
        side=pl.when("kept").then(pl.lit("kept")).otherwise(pl.lit("dropped")),
    )
    wanted = at.filter(pl.col("kept") | (pl.col("reason") == "below_quality_threshold"))
    closest = wanted.sort("side", "distance", "doc_id", descending=[True, False, False]).group_by(
        "side", maintain_order=True
    )
    shown = ["doc_id", "corpus", "snapshot", "language", "num_tokens", "quality"]
    return (
        closest.head(num)
        .join(candidates.select(shown), on="doc_id", how="left", maintain_order="left")
        .select("side", *shown, "value", "threshold", "reason")
    )


def moved_examples(
    current: pl.DataFrame, chosen: Selection, candidates: pl.DataFrame, num: int = SHOWN
) -> pl.DataFrame:
    """Of the documents that would enter the `num` of the highest influence, of those that would leave the lowest.

    Without influence they are ordered by quality. `current` as in `moves_of`; `candidates` are those that were chosen
    from [doc_id, corpus, snapshot, quality, influence, ...].

    Returns:
        [side (promoted or demoted), doc_id, corpus, snapshot, quality, influence, reason], a side in its order.
    """
    moves = moves_of(current, chosen).select(
        "doc_id",
        "corpus",
        "snapshot",
        "reason",
        side=pl.when(pl.col("to_tier") == "l2").then(pl.lit("promoted")).otherwise(pl.lit("demoted")),
    )
    moved = moves.join(candidates.select("doc_id", "quality", "influence"), on="doc_id", how="left")
    return _of_each_side(moved.select(MOVED), num)


def _of_each_side(moved: pl.DataFrame, num: int) -> pl.DataFrame:
    """The first `num` of each side: promotions from the highest influence down, demotions from the lowest up."""
    parts = []
    for side, down in (("promoted", True), ("demoted", False)):
        rows = moved.filter(pl.col("side") == side)
        order = rows.sort("influence", "quality", "doc_id", descending=[down, down, False], nulls_last=True)
        parts.append(order.head(num))
    return pl.concat(parts)


def told_moves(title: str, partitions: Sequence[Compared], examples: pl.DataFrame) -> str:
    """What a dry run of a round prints: the counts, the moves by reason, and promotions and demotions as examples.

    `examples` are the `moved_examples` of all partitions with a column `text` joined in (null where it is gone); of
    each side `SHOWN` are shown.
    """
    parts = [title, "", *_table(partitions), "", *_reasons(partitions)]
    shown = _of_each_side(examples, SHOWN)
    for side, order in (("promoted", "highest"), ("demoted", "lowest")):
        rows = shown.filter(pl.col("side") == side)
        parts += ["", f"{side}: {len(rows)} of the {order} influence" if len(rows) else f"{side}: none"]
        for row in rows.iter_rows(named=True):
            numbers = ", ".join(f"{name} {_number(row[name])}" for name in ("influence", "quality"))
            parts.append(f"{row['doc_id']}  {row['corpus']}@{row['snapshot']}  {numbers}  {row['reason']}")
            parts.append(f"    {_beginning(row['text'])}")
    return "\n".join(parts)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def told(partitions: Sequence[Compared], examples: pl.DataFrame) -> str:
    """What a dry run prints: the partitions' counts, the moves by reason, and examples at the margin.

    `examples` are the `margin_examples` of all partitions with a column `text` joined in (null where it is gone); of
    each side the `SHOWN` closest are shown.
    """
    parts = [*_table(partitions), "", *_reasons(partitions), *_shown(examples, "kept", "just kept")]
    return "\n".join([*parts, *_shown(examples, "dropped", "just dropped")])


def _table(partitions: Sequence[Compared]) -> list[str]:
    line = "{:<28} {:>10} {:>8} {:>8} {:>8} {:>8} {:>13} {:>13}".format
    names = ("candidates", "now", "then", "entering", "leaving", "tokens now", "tokens then")
    rows = {f"{p.corpus}@{p.snapshot}": _numbers(p) for p in partitions}
    head = line("corpus@snapshot", *names)
    total = [sum(column) for column in zip(*rows.values())] or [0] * len(names)
    body = [line(name, *(f"{n:,}" for n in numbers)) for name, numbers in rows.items()]
    return [head, *body, "-" * len(head), line("all", *(f"{n:,}" for n in total))]


def _numbers(p: Compared) -> tuple[int, ...]:
    moving = (p.entering.total(), p.leaving.total())
    return (p.candidates, p.members_now, p.members_then, *moving, p.tokens_now, p.tokens_then)


def _reasons(partitions: Sequence[Compared]) -> list[str]:
    """Documents by reason, of each partition and of all."""
    lines = []
    for p in partitions:
        lines.append(f"{p.corpus}@{p.snapshot}")
        for name in ("kept", "rejected", "entering", "leaving"):
            found: Counter[str] = getattr(p, name)
            if found:
                ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
                lines.append(f"  {name:<9} " + ", ".join(f"{reason} {count:,}" for reason, count in ordered))
    return lines


def _shown(examples: pl.DataFrame, side: str, title: str) -> list[str]:
    """The closest examples of a side, each with the beginning of its text."""
    distance = (pl.col("value") - pl.col("threshold")).abs()
    rows = examples.filter(side=side).sort(distance, "doc_id").head(SHOWN)
    lines = ["", f"{title}: the {len(rows)} closest to the threshold" if len(rows) else f"{title}: none at a threshold"]
    for row in rows.iter_rows(named=True):
        place = f"{row['corpus']}@{row['snapshot']}"
        numbers = f"value {row['value']:.4f}, threshold {row['threshold']:.4f}"
        lines.append(f"{row['doc_id']}  {place}  {numbers}  {row['reason']}")
        lines.append(f"    {_beginning(row['text'])}")
    return lines


def _beginning(text: str | None) -> str:
    """The first characters of a text on one line, nothing in it that a terminal would obey."""
    if text is None:
        return "(no text)"
    line = " ".join(text[: 4 * CHARACTERS].split())[:CHARACTERS]
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
