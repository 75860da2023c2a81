"""Gold records for the gate of L3, in two halves: rules and constants come from the one, figures from the other.

In: the folder of the gold data. Out: good records, corrupted ones, pairs of a right and a wrong output. The halves are
by the hash of a record's (a pair's) id: a record and its corruptions are in one half.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from algorithms.folded_words import WORD, fold, words
from algorithms.grounded_names import names
from tests.l3_refined.corruptions import Record, corrupted, gold
from tests.l3_refined.hard_negatives import LANGUAGES, Pair, other_spans, turned_answers
from tests.l3_refined.held_out_corruptions import held_out

DEVELOPMENT, REPORTING = 0, 1
GOLD_SEED, CORRUPTION_SEED, HELD_OUT_SEED, TURNED_SEED = 0, 1, 5, 3
# Of each good record's corruptions all are made; of each kind and set no more than this are judged.
NUM_EACH: Final = 400

Item = TypeVar("Item", Record, Pair)


def half_of(record_id: str) -> int:
    """DEVELOPMENT or REPORTING."""
    return int(hashlib.sha256(record_id.encode()).hexdigest(), 16) % 2


def in_half(items: Sequence[Item], half: int) -> list[Item]:
    """Those of one half."""
    return [item for item in items if half_of(item.id) == half]


def set_of(record: Record) -> str:
    """The gold set that a record comes from."""
    return record.id.rsplit("-", 1)[0]


def good_records(folder: Path) -> list[Record]:
    """All good records of both halves."""
    return gold(folder, 10**6, GOLD_SEED)


def corruptions(good: Sequence[Record]) -> list[Record]:
    """The frozen corruptions of `good`."""
    return corrupted(good, CORRUPTION_SEED)


def held_out_corruptions(folder: Path, good: Sequence[Record]) -> list[Record]:
    """The second set of corruptions."""
    return held_out(folder, good, HELD_OUT_SEED)


def sampled(records: Sequence[Record], num_each: int = NUM_EACH) -> list[Record]:
    """Up to `num_each` records of each kind and set, by a fixed draw."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.kind, set_of(record)), []).append(record)
    rng = random.Random(GOLD_SEED)
    return [r for _, group in sorted(groups.items()) for r in rng.sample(group, min(num_each, len(group)))]


def titled(folder: Path, records: Sequence[Record]) -> list[Record]:
    """`records` whose sources begin with their document's title: XQuAD's article, PubMedQA's question (the paper's
    title), as the lake's documents do."""
    titles: dict[str, str] = {}
    for code in ("en", "de"):
        data = json.loads((folder / "qa_xquad" / f"xquad.{code}.json").read_text(encoding="utf-8"))["data"]
        for document in data:
            for paragraph in document["paragraphs"]:
                titles |= {f"xquad-{code}-{qa['id']}": document["title"].replace("_", " ") for qa in paragraph["qas"]}
    papers = json.loads((folder / "qa_pubmedqa" / "ori_pqal.json").read_text(encoding="utf-8"))
    titles |= {f"pubmedqa-{key}": entry["QUESTION"] for key, entry in papers.items()}
    return [replace(record, source=f"{titles[record.id]}\n\n{record.source}") for record in records]


def with_proper_name(folder: Path, good: Sequence[Record], swapped: Sequence[Record]) -> list[Record]:
    """Those German records whose swapped-in word is a name in English too: XQuAD's English texts capitalise it within
    sentences and never write it small. The others got a common noun."""
    data = json.loads((folder / "qa_xquad" / "xquad.en.json").read_text(encoding="utf-8"))["data"]
    text = "\n".join(paragraph["context"] for document in data for paragraph in document["paragraphs"])
    small = {word for word in WORD.findall(text) if word.islower()}
    known = {fold(name) for name in names(text)} - small
    before = {record.id: set(words(record.output)) for record in good}
    return [r for r in swapped if set_of(r) == "xquad-de" and (set(words(r.output)) - before[r.id]) & known]


def span_pairs(folder: Path) -> list[Pair]:
    """XQuAD's answers beside other answers of the same paragraph, in all languages."""
    return [pair for language in LANGUAGES for pair in other_spans(folder, language)]


def turned_pairs(folder: Path) -> list[Pair]:
    """PubMedQA's long answers beside turned ones."""
    return turned_answers(folder, TURNED_SEED)
