"""`python -m benchmarks.verification --data DATA [--encoder]`: what the gate of L3 catches, loses and ranks.

In: the folder of the gold data (XQuAD, PubMedQA). Prints, on the reporting half only: the share of corruptions caught
by kind, frozen and held out, with Wilson intervals; the share of good records lost by set, with and without the title
of their document; what `wrong_answer` finds and loses; and the AUC of the gate's score against lexical overlap on hard
negatives, with paired bootstrap intervals. `--encoder` adds the entailment score (minutes on a CPU).
Constants and rules come from the other half. About 2 CPU minutes.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from algorithms import grounding
from benchmarks.quality_measures import measured
from benchmarks.verification_sets import (
    REPORTING,
    corruptions,
    good_records,
    held_out_corruptions,
    in_half,
    sampled,
    set_of,
    span_pairs,
    titled,
    turned_pairs,
    with_proper_name,
)
from tests.l3_refined.corruptions import Record
from tests.l3_refined.hard_negatives import LANGUAGES, Pair
from tier_assets.l3_refined.verify import score, ungrounded, wrong_answer

KINDS: Final = ("number", "name", "language", "negation", "invented_sentence")
SETS: Final = ("xquad-en", "xquad-de", "pubmedqa")
Z: Final = 1.959964  # 95%


def wilson(num: int, total: int) -> tuple[float, float]:
    """The 95% interval of a share.

    >>> [round(edge, 3) for edge in wilson(95, 100)]
    [0.888, 0.978]
    """
    if total == 0:
        return 0.0, 1.0
    share, z2 = num / total, Z * Z / total
    middle = share + z2 / 2
    half = Z * math.sqrt(share * (1 - share) / total + z2 / 4 / total)
    return max(0.0, (middle - half) / (1 + z2)), min(1.0, (middle + half) / (1 + z2))


def share_text(rejected: Sequence[bool]) -> str:
    """Share, interval and number of records."""
    low, high = wilson(sum(rejected), len(rejected))
    return f"{sum(rejected) / max(1, len(rejected)):.3f} [{low:.3f}, {high:.3f}] of {len(rejected):5,}"


def is_rejected(record: Record) -> bool:
    """Whether the gate finds a fault."""
    return bool(ungrounded(record.output, record.source))


def by_group(records: Sequence[Record]) -> dict[tuple[str, str], list[bool]]:
    """Of each kind and set: which records the gate rejects."""
    found: dict[tuple[str, str], list[bool]] = {}
    for record in records:
        found.setdefault((record.kind, set_of(record)), []).append(is_rejected(record))
    return found


def show_caught(title: str, records: Sequence[Record]) -> None:
    """A line for each kind: over all sets (each set counting by its records), then each set."""
    found = by_group(sampled(records))
    print(f"\n{title}: share caught")
    for kind in KINDS:
        groups = {name: found[kind, name] for name in SETS if (kind, name) in found}
        print(f"  {kind:18}{share_text([r for group in groups.values() for r in group])}")
        for name, group in groups.items():
            print(f"    {name:16}{share_text(group)}")


def show_lost(good: Sequence[Record], folder: Path) -> None:
    """The share of good records that the gate rejects, and what for."""
    for title, records in (("source alone", list(good)), ("source with its document's title", titled(folder, good))):
        print(f"\ngood records lost, {title}")
        print(f"  {'all':18}{share_text([is_rejected(r) for r in records])}")
        for name in SETS:
            group = [r for r in records if set_of(r) == name]
            reasons = [[x.reason for x in ungrounded(r.output, r.source)] for r in group]
            counts = {
                reason: sum(reason in each for each in reasons) for reason in sorted({x for e in reasons for x in e})
            }
            print(f"    {name:16}{share_text([bool(each) for each in reasons])}  {counts}")


def show_wrong_answers(pairs: Sequence[Pair]) -> None:
    """What `wrong_answer` says of right answers and of other questions' answers."""
    print("\nwrong_answer: right answers lost, other questions' answers found")
    for language in LANGUAGES:
        own = [pair for pair in pairs if pair.kind == f"span_{language}"]
        lost = [bool(wrong_answer(p.question, p.right, p.source)) for p in own]
        found = [bool(wrong_answer(p.question, p.wrong, p.source)) for p in own]
        print(f"    {language:4}{share_text(lost)}   {share_text(found)}")


def overlap(output: str, source: str) -> float:
    """Lexical overlap: the share of the output's words that stand in the source."""
    said, known = grounding.words(output), set(grounding.words(source))
    return sum(word in known for word in said) / max(1, len(said))


def entailment(texts: Sequence[str], sources: Sequence[str]) -> np.ndarray:
    """The entailment score of each text."""
    from resources.encoder import open_encoder
    from tier_assets.l3_refined.entailment import scores

    return np.array(scores(texts, sources, open_encoder()))


def show_ranks(title: str, pairs: Sequence[Pair], with_encoder: bool) -> None:
    """AUC for right against wrong of the gate's score and of lexical overlap, and their paired difference."""
    rows = [(pair, text) for pair in pairs for text in (pair.right, pair.wrong)]
    texts = [f"{pair.question} {text}".strip() for pair, text in rows]
    columns = {
        "gate": np.array([score(text, pair.source, pair.question) for pair, text in rows]),
        "overlap": np.array([overlap(text, pair.source) for text, (pair, _) in zip(texts, rows, strict=True)]),
    }
    if with_encoder:
        columns["entailment"] = entailment(texts, [pair.source for pair, _ in rows])
    truth = np.tile([1.0, 0.0], len(pairs))
    result = measured(columns, truth, pl.Series([pair.group for pair, _ in rows]), binary=True)
    figures = ", ".join(
        f"{n} {v:.3f} [{lo:.3f}, {hi:.3f}]" for n, v in result.figures.items() for lo, hi in [result.interval(n)]
    )
    more, low, high = result.difference("gate", "overlap")
    print(f"  {title:20}{len(pairs):5,} pairs: {figures}; gate - overlap {more:+.3f} [{low:+.3f}, {high:+.3f}]")


def milliseconds(records: Sequence[Record], judge: Callable[[Record], object]) -> float:
    """CPU milliseconds a record."""
    started = time.process_time()
    for record in records:
        judge(record)
    return 1000 * (time.process_time() - started) / len(records)


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", action="store_true")
    arguments = parser.parse_args()
    folder, everything = arguments.data, good_records(arguments.data)
    good = in_half(everything, REPORTING)
    is_rejected(good[0])
    print(f"{len(good):,} good records of the reporting half; {milliseconds(good, is_rejected):.2f} CPU ms a record")
    frozen = in_half(corruptions(everything), REPORTING)
    show_caught("corruptions (frozen)", frozen)
    proper = with_proper_name(folder, everything, [record for record in frozen if record.kind == "name"])
    print(f"  German, a proper name swapped in: {share_text([is_rejected(r) for r in proper])}")
    show_caught("corruptions (held out)", in_half(held_out_corruptions(folder, everything), REPORTING))
    show_lost(good, folder)
    spans, turned = in_half(span_pairs(folder), REPORTING), in_half(turned_pairs(folder), REPORTING)
    show_wrong_answers(spans)
    print("\nhard negatives, AUC")
    for kind in sorted({pair.kind for pair in (*spans, *turned)}):
        show_ranks(kind, [pair for pair in (*spans, *turned) if pair.kind == kind], arguments.encoder)
    show_ranks("span, all", spans, arguments.encoder)
    show_ranks("pubmedqa, all", turned, arguments.encoder)


if __name__ == "__main__":
    main()
