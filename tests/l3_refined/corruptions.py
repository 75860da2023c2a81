"""Gold records and seeded corruptions of them: what the gate of L3 is measured on. Frozen before the gate was tuned.

A good record is a gold question with its answer (XQuAD, English and German) or a gold long answer (PubMedQA) beside its
source. A corruption changes one thing in it: a number, a name, a negation, a sentence, the language. Nothing here looks
at the source while corrupting, so a changed number may by chance stand elsewhere in the source.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NAME = re.compile(r"(?<![.!?] )(?<!^)\b[A-ZÄÖÜ][a-zäöüß]+(?: [A-ZÄÖÜ][a-zäöüß]+)*")
_AUXILIARY = re.compile(
    r"\b(is|are|was|were|has|have|had|can|could|will|would|did|does|do|may|should|ist|sind|war|waren|hat|haben|wurde|wurden|kann|wird)\b"
)
_NEGATION = re.compile(r"\b(?:not|nicht|never|no|nie|kein|keine) ")


@dataclass(frozen=True)
class Record:
    """An output of a source; `kind` is `good` or the corruption done to it; `other` is the same in another language."""

    id: str
    source: str
    output: str
    kind: str = "good"
    other: str | None = None


def gold(folder: Path, num_each: int, seed: int) -> list[Record]:
    """Up to `num_each` good records of each of three sets, drawn by `seed`."""
    rng = random.Random(seed)
    sets = (_xquad(folder, "en", "de"), _xquad(folder, "de", "en"), _pubmedqa(folder))
    return [r for records in sets for r in rng.sample(records, min(num_each, len(records)))]


def _xquad(folder: Path, language: str, other: str) -> list[Record]:
    def read(code: str) -> dict[str, tuple[str, str]]:
        data = json.loads((folder / "qa_xquad" / f"xquad.{code}.json").read_text(encoding="utf-8"))["data"]
        return {
            qa["id"]: (p["context"], f"{qa['question']} {qa['answers'][0]['text']}")
            for d in data
            for p in d["paragraphs"]
            for qa in p["qas"]
        }

    translated = read(other)
    return [
        Record(f"xquad-{language}-{key}", source, output, other=translated[key][1])
        for key, (source, output) in read(language).items()
    ]


def _pubmedqa(folder: Path) -> list[Record]:
    data = json.loads((folder / "qa_pubmedqa" / "ori_pqal.json").read_text(encoding="utf-8"))
    return [Record(f"pubmedqa-{k}", "\n".join(v["CONTEXTS"]), v["LONG_ANSWER"]) for k, v in data.items()]


def corrupted(good: Sequence[Record], seed: int) -> list[Record]:
    """Each good record once for each corruption that can be done to it."""
    rng = random.Random(seed)
    found = []
    for record in good:
        for kind, change in CORRUPTIONS:
            output = change(record, good, rng)
            if output is not None and output != record.output:
                found.append(replace(record, output=output, kind=kind))
    return found


def _changed_number(record: Record, good: Sequence[Record], rng: random.Random) -> str | None:
    places = list(_NUMBER.finditer(record.output))
    if not places:
        return None
    match = rng.choice(places)
    digits = list(match.group())
    where = rng.choice([i for i, c in enumerate(digits) if c.isdigit()])
    digits[where] = rng.choice([d for d in "123456789" if d != digits[where]])
    return record.output[: match.start()] + "".join(digits) + record.output[match.end() :]


def _swapped_name(record: Record, good: Sequence[Record], rng: random.Random) -> str | None:
    places = list(_NAME.finditer(record.output))
    if not places:
        return None
    match = rng.choice(places)
    for _ in range(20):
        other = rng.choice(good)
        names = _NAME.findall(other.output)
        if other.source != record.source and names:
            name = rng.choice(names)
            if name != match.group():
                return record.output[: match.start()] + name + record.output[match.end() :]
    return None


def _negation(record: Record, good: Sequence[Record], rng: random.Random) -> str | None:
    found = _NEGATION.search(record.output)
    if found:
        return record.output[: found.start()] + record.output[found.end() :]
    places = list(_AUXILIARY.finditer(record.output))
    if not places:
        return None
    match = rng.choice(places)
    word = "nicht" if record.id.startswith("xquad-de") else "not"
    return f"{record.output[: match.end()]} {word}{record.output[match.end() :]}"


def _invented_sentence(record: Record, good: Sequence[Record], rng: random.Random) -> str | None:
    family = record.id.rsplit("-", 1)[0]
    others = [r for r in good if r.source != record.source and r.id.startswith(family)]
    if not others:
        return None
    sentences = re.split(r"(?<=[.!?]) ", rng.choice(others).source)
    return f"{record.output} {rng.choice(sentences)}"


def _other_language(record: Record, good: Sequence[Record], rng: random.Random) -> str | None:
    return record.other


CORRUPTIONS: tuple[tuple[str, Callable[[Record, Sequence[Record], random.Random], str | None]], ...] = (
    ("number", _changed_number),
    ("name", _swapped_name),
    ("negation", _negation),
    ("invented_sentence", _invented_sentence),
    ("language", _other_language),
)
