"""Items of a benchmark's file, whatever its layout: JSON Lines, JSON (nested too, as SQuAD), Parquet, CSV, plain text.

In: a file. Out: one row an item, `text` being its question, context and answer with a blank line between fields, as
`decontaminate` wants them. Fields are known by their names; what an item inherits (the paragraph of a question) is its
own too. A benchmark is held in memory.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

ITEMS: Final = pl.Schema({"item": pl.String, "text": pl.String})
FORMATS: Final = (".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".tsv", ".txt", ".md")
# A field counts where one of its words, in the singular, is among these: `LONG_ANSWER`, `choices`, `gold_answers`.
TEXT_WORDS: Final = frozenset(
    "question query prompt problem instruction input context passage paragraph article story document dialogue text "
    "sentence premise hypothesis conclusion statement claim theorem proof fact goal content ctx stem option choice "
    "ending distractor candidate answer target output response solution completion explanation rationale support hint "
    "summary highlight reference translation code test q a b c d e opa opb opc opd exp sol".split()
)
# A field of records is not joined into one text where they ask something by themselves: SQuAD's `paragraphs`.
ASKING_WORDS: Final = frozenset("question query prompt problem instruction input context q".split())
# ... and none among these: `question_id`, `answer_start`, `context_type`.
OTHER_WORDS: Final = frozenset(
    "id idx index uid start end type key num number count length label source url link date lang language split "
    "level category subject topic score name label".split()
)
# Without regard to case or signs: `QuestionId`, `question_id`.
ID_FIELDS: Final = frozenset("id uid qid item itemid questionid taskid exampleid problemid".split())
BLANK_LINES: Final = re.compile(r"\s*\n\s*\n\s*")


def benchmark_items(path: Path) -> pl.DataFrame:
    """The items of a file (`.gz` may follow its suffix), as ITEMS, in their order.

    `item` is the item's own id where each has one and no two share it, else its position from 0.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unknown suffix, a broken line, or no field that holds a question, context or answer.
    """
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"unknown benchmark format {suffix!r} of {path.name!r}; known: {', '.join(FORMATS)} (and .gz)")
    data = gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()
    if suffix == ".parquet":
        value: Any = pl.read_parquet(io.BytesIO(data)).to_dicts()
    elif suffix in (".csv", ".tsv"):
        lines = io.StringIO(data.decode("utf-8-sig"), newline="")
        value = list(csv.DictReader(lines, delimiter="\t" if suffix == ".tsv" else ","))
    elif suffix in (".txt", ".md"):
        value = [{"text": text} for text in _blocks(data.decode("utf-8-sig"))]
    else:
        value = _json(data.decode("utf-8-sig"), path.name)
    found = [(name, "\n\n".join(fields)) for name, fields in _items(value, (), None)]
    if not found:
        fields = sorted(name[:40] for name in _field_names(value))[:20]
        raise ValueError(
            f"no item in {path.name!r}: no field of {fields} is named as a question, context or answer; "
            f"known: {', '.join(sorted(TEXT_WORDS))}"
        )
    names = [name for name, _ in found]
    own = None not in names and len(set(names)) == len(names)
    ids = names if own else [str(number) for number in range(len(names))]
    return pl.DataFrame({"item": ids, "text": [text for _, text in found]}, schema=ITEMS)


def _blocks(text: str) -> list[str]:
    """A plain text's items: its paragraphs; its lines where no blank line parts them."""
    blocks = [block.strip() for block in BLANK_LINES.split(text) if block.strip()]
    return blocks if len(blocks) > 1 else [line.strip() for line in text.splitlines() if line.strip()]


def _json(text: str, name: str) -> Any:
    """One JSON value, or a list of those of a file of JSON Lines."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        values = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            try:
                values.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number} of {name!r} is no JSON: {error}; found {line[:60]!r}") from error
        return values


def _items(value: Any, inherited: tuple[str, ...], key: str | None) -> Iterator[tuple[str | None, tuple[str, ...]]]:
    """(id, texts of its fields) of each innermost record below `value`; `key`: what its parent calls it."""
    if isinstance(value, list):
        for element in value:
            yield from _items(element, inherited, None if isinstance(element, dict) else key)
    elif isinstance(value, str) and not inherited and key is None:
        yield None, (BLANK_LINES.sub("\n", value.strip()),)
    elif isinstance(value, dict):
        nested = {
            name for name, field in value.items() if _holds_records(field) and (not _is_text(name) or _asks(field))
        }
        own = [_joined(field) for name, field in value.items() if _is_text(name) and name not in nested]
        fields = (*inherited, *(text for text in own if text))
        below = [item for name in value if name in nested for item in _items(value[name], fields, name)]
        # Records below that say nothing of their own (an item's metadata) are none.
        if below:
            yield from below
        elif len(fields) > len(inherited):
            yield _id(value, key), fields


def _words(name: str) -> set[str]:
    """The words of a field's name, lower-cased, in the singular."""
    words = (word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name))
    return {word.removesuffix("s") if len(word) > 1 else word for word in words}


def _is_text(name: str) -> bool:
    """Whether a field of this name holds a question, context or answer."""
    words = _words(name)
    return bool(words & TEXT_WORDS) and not words & OTHER_WORDS


def _asks(value: Any) -> bool:
    """Whether a record at or below `value` has a field that asks something."""
    if isinstance(value, dict):
        return any(_words(name) & ASKING_WORDS or _asks(field) for name, field in value.items())
    return isinstance(value, list) and any(map(_asks, value))


def _holds_records(value: Any) -> bool:
    elements = value if isinstance(value, list) else [value]
    return any(
        isinstance(element, dict) or (isinstance(element, list) and _holds_records(element)) for element in elements
    )


def _joined(value: Any) -> str:
    """The strings at or below a field, each once, a line each; blank lines within are closed."""
    return "\n".join(dict.fromkeys(BLANK_LINES.sub("\n", text.strip()) for text in _strings(value) if text.strip()))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for element in value:
            yield from _strings(element)
    elif isinstance(value, dict):
        for name, element in value.items():
            if not _words(name) & OTHER_WORDS:
                yield from _strings(element)


def _id(record: Mapping[str, Any], key: str | None) -> str | None:
    for name, found in record.items():
        if re.sub(r"[^a-z]", "", name.lower()) in ID_FIELDS and isinstance(found, str | int) and str(found).strip():
            return str(found)
    return key


def _field_names(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*(_field_names(field) for field in value.values()))
    return set().union(*(_field_names(element) for element in value)) if isinstance(value, list) else set()


__all__ = ["FORMATS", "ITEMS", "benchmark_items"]
