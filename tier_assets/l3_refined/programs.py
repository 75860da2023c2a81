"""Edit programs over numbered lines: read from a model's JSON, validated, applied, any operation left out, replayed.

In: a passage, and what a model or a rule proposes about it. Out: `Edit`s, each placed in the document and applied or
refused with its reason; the refined text is the passage and the operations that are applied. Every operation speaks of
the passage as it was, and no two applied ones touch the same characters: any of them can be left out and the others
still stand, to the letter.

    keep_all      nothing is to be done; alone
    remove_all    the passage is no text; alone
    remove_lines  `line` to `last_line` go, with one line break
    replace_str   `old`, which stands once in `line`, becomes `new`
    add_line      `new` becomes a line of its own after `line`

The operations are those of ProX (arXiv 2409.17115) and UltraX. Where we differ: each is judged by itself and kept as a
row, refused ones too, and the share of the passage that all of them remove is bounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import polars as pl

from algorithms import edit_programs
from algorithms.edit_programs import Operation
from algorithms.sentences import Span
from tier_assets.l3_refined.task import Edit, JsonSchema, Passage, Reason, json_object

MODEL: Final = "model"
# Of the characters that are no white space: L1 has cleaned before, so that more is no cleaning (set by judgement).
MAX_REMOVED_SHARE: Final = 0.25
MAX_OPERATIONS: Final = 6
SHOWN_OPERATIONS: Final = 5
RULES_STYLE: Final = "rules"  # of a record whose program holds rules' operations only
# Reasons against a reply as a whole.
WHOLE: Final = ("rewritten", "refusal", "malformed", "undone")
ALONE: Final = frozenset({"keep_all", "remove_all"})
# Gives what speaks against an operation of a model, or None.
Judge = Callable[[Edit, Passage], str | None]

_LINE: Final = {"type": "integer", "minimum": 1, "maximum": 99}
_STRING: Final = {"type": "string"}
_FIELDS: Final[dict[str, dict[str, JsonSchema]]] = {
    "keep_all": {},
    "remove_all": {},
    "remove_lines": {"line": _LINE, "last_line": _LINE},
    "replace_str": {"line": _LINE, "old": _STRING, "new": _STRING},
    "add_line": {"line": _LINE, "new": _STRING},
}


def _form(operation: str, fields: dict[str, JsonSchema]) -> JsonSchema:
    properties = {"operation": {"const": operation}, **fields}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _list_of(items: JsonSchema, most: int) -> JsonSchema:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": most}


_FORMS: Final = {name: _form(name, fields) for name, fields in _FIELDS.items()}
# The grammar that a reply is held to: one of those that stand alone, or some of the others. The strings are not bound:
# xgrammar 0.2 allows no escapes in a string of bounded length, and LaTeX is full of them.
SCHEMA: Final[JsonSchema] = {
    "type": "object",
    "properties": {
        "operations": {
            "anyOf": [
                *(_list_of(form, 1) for name, form in _FORMS.items() if name in ALONE),
                _list_of({"anyOf": [f for name, f in _FORMS.items() if name not in ALONE]}, MAX_OPERATIONS),
            ]
        }
    },
    "required": ["operations"],
    "additionalProperties": False,
}


def line_spans(text: str) -> list[Span]:
    """Where each line of `text` stands, without its line break; a text has at least one line.

    >>> line_spans("ab\\n\\nc")
    [Span(start=0, end=2), Span(start=3, end=3), Span(start=4, end=5)]
    """
    spans, at = [], 0
    for line in text.split("\n"):
        spans.append(Span(at, at + len(line)))
        at += len(line) + 1
    return spans


def numbered(text: str) -> str:
    """`text` with the number of each line before it, from 1."""
    return "\n".join(f"{i}: {line}" for i, line in enumerate(text.split("\n"), start=1))


def propose(reply: str, passage: Passage) -> list[Edit]:
    """The operations of a model's JSON reply, placed in the document; what has no place is refused.

    Raises:
        ValueError: no JSON of the form of `SCHEMA`.
    """
    fields = json_object(reply)
    operations = fields.get("operations")
    if not isinstance(operations, list) or not operations:
        raise ValueError("JSON without a list 'operations'")
    return [_placed(_checked(o), passage) for o in operations]


def propose_beside(sure: Sequence[Edit], reply: str, passage: Passage) -> list[Edit]:
    """As `propose`; beside operations that are sure, a reply that is no program is one refused operation.

    Raises:
        ValueError: no JSON of the form of `SCHEMA`, and nothing is sure.
    """
    try:
        return propose(reply, passage)
    except ValueError as error:
        if not sure:
            raise
        at = passage.char_start
        return [Edit("keep_all", 1, len(line_spans(passage.text)), "", "", at, at, MODEL, f"malformed: {error}")]


def _checked(fields: Any) -> Mapping[str, Any]:
    known = _FIELDS.get(str(fields.get("operation"))) if isinstance(fields, dict) else None
    if known is None:
        raise ValueError(f"unknown operation {str(fields)[:80]}; known: {', '.join(_FIELDS)}")
    for name, form in known.items():
        wanted = int if form is _LINE else str
        if not isinstance(fields.get(name), wanted) or isinstance(fields[name], bool):
            raise ValueError(f"{fields['operation']} needs {name}, {wanted.__name__}: {str(fields)[:80]}")
    return fields


def _placed(fields: Mapping[str, Any], passage: Passage) -> Edit:
    """A model's operation at its place in the document, or with the reason why it has none."""
    spans = line_spans(passage.text)
    operation, line = fields["operation"], fields.get("line", 1)
    last = fields.get("last_line", len(spans) if operation in ALONE else line)
    old, new = fields.get("old", ""), fields.get("new", "")
    nowhere = Edit(operation, line, last, old, new, passage.char_start, passage.char_start, MODEL)
    if operation == "keep_all":
        return nowhere
    if operation == "remove_all":
        return removal(passage, 1, len(spans), MODEL, operation)
    if not 1 <= line <= last <= len(spans):
        return replace(nowhere, reason=f"no_such_line: the passage has {len(spans)}")
    if operation == "remove_lines":
        return removal(passage, line, last, MODEL)
    start, end = spans[line - 1]
    if operation == "add_line":
        if not new.strip() or "\n" in new:
            return replace(nowhere, reason="not_one_line")
        return placed(Operation(end, end, "", f"\n{new}"), passage, MODEL)
    text = passage.text[start:end]
    at = text.find(old)
    if not old or at < 0:
        return replace(nowhere, reason="old_not_in_line")
    if text.find(old, at + 1) >= 0:
        return replace(nowhere, reason="old_not_once_in_line")
    return placed(Operation(start + at, start + at + len(old), old, new), passage, MODEL)


def removal(passage: Passage, line: int, last_line: int, proposer: str, operation: str = "remove_lines") -> Edit:
    """The removal of whole lines, with the line break after them, or before them where they are the last."""
    spans, text = line_spans(passage.text), passage.text
    start, end = spans[line - 1].start, spans[last_line - 1].end
    if last_line < len(spans):
        end += 1
    elif line > 1:
        start -= 1
    at = passage.char_start
    return Edit(operation, line, last_line, text[start:end], "", at + start, at + end, proposer)


def placed(operation: Operation, passage: Passage, proposer: str) -> Edit:
    """An operation on the passage's characters as an operation on its lines."""
    start, end, old, new = operation
    first = passage.text.count("\n", 0, start) + 1
    last = passage.text.count("\n", 0, end) + 1
    at = passage.char_start
    if old and not new:
        for line, last_line in ((first, last), (first + 1, last), (first, last - 1)):
            whole = removal(passage, line, last_line, proposer) if line <= last_line else None
            if whole is not None and (whole.char_start, whole.char_end) == (at + start, at + end):
                return whole
    adds = not old and new.startswith("\n") and new.count("\n") == 1 and passage.text[end : end + 1] in ("\n", "")
    return Edit("add_line" if adds else "replace_str", first, last, old, new, at + start, at + end, proposer)


def validate(
    edits: Sequence[Edit], passage: Passage, judge: Judge, max_removed_share: float = MAX_REMOVED_SHARE
) -> list[Edit]:
    """The program in the order of the text; an operation that may not be done bears its reason.

    Earlier operations go before later ones where two touch the same characters or would remove too much together.
    `judge` is asked about a model's operations: a rule answers for its own.
    """
    done: list[Edit] = []
    judged: list[Edit] = []
    for proposed in edits:
        edit = _own_lines_only(proposed, done)
        reason = edit.reason or _form_fault(edit, edits, done)
        if reason is None and edit.proposer == MODEL:
            reason = judge(edit, passage)
        if reason is None:
            share = removed_share([*done, edit], passage.text)
            if edit.operation == "remove_all" or share > max_removed_share:
                reason = f"removes_too_much: {share:.2f} of the characters gone, at most {max_removed_share}"
        judged.append(replace(edit, reason=reason))
        if reason is None:
            done.append(edit)
    return sorted(judged, key=lambda e: (e.char_start, e.char_end))


def _form_fault(edit: Edit, program: Sequence[Edit], done: Sequence[Edit]) -> str | None:
    """What is wrong with an operation beside the others of its program."""
    if edit.operation in ALONE and sum(e.proposer == edit.proposer for e in program) > 1:
        return "not_alone"
    if edit.old == edit.new and edit.operation != "keep_all":
        return "changes_nothing"
    if any(_key(e) == _key(edit) for e in done):
        return "proposed_twice"
    touched = next((e for e in done if overlap(e, edit)), None)
    return f"overlaps: {touched.operation} of {touched.proposer} in line {touched.line}" if touched else None


def _key(edit: Edit) -> tuple[int, int, str]:
    return edit.char_start, edit.char_end, edit.new


def _own_lines_only(edit: Edit, done: Sequence[Edit]) -> Edit:
    """The last lines go without the line break before them, where the lines before them went with it already."""
    shorter = replace(edit, old=edit.old[1:], char_start=edit.char_start + 1)
    taken = edit.operation == "remove_lines" and edit.old.startswith("\n") and any(overlap(e, edit) for e in done)
    return shorter if taken and not any(overlap(e, shorter) for e in done) else edit


def overlap(one: Edit, other: Edit) -> bool:
    """Whether two operations touch the same characters, or put something in at one place, but for two new lines."""
    (a, b), (c, d) = (one.char_start, one.char_end), (other.char_start, other.char_end)
    if "keep_all" in (one.operation, other.operation):
        return False
    if a == b and c == d:
        return a == c and not one.operation == other.operation == "add_line"
    # Where one of them only puts something in, both comparisons are strict: at the border it touches nothing.
    return max(a, c) < min(b, d) or (a == b and c < a < d) or (c == d and a < c < b)


def removed_share(edits: Sequence[Edit], text: str) -> float:
    """The share of the characters of `text`, white space and case aside, that stand in no replacement."""
    lost = sum((_signs(e.old) - _signs(e.new)).total() for e in edits)
    return lost / max(1, _signs(text).total())


def _signs(text: str) -> Counter[str]:
    return Counter("".join(text.casefold().split()))


def applied(edits: Sequence[Edit]) -> list[Edit]:
    """The operations that are in the text, in its order."""
    return [e for e in edits if e.reason is None]


def apply(passage: Passage, edits: Sequence[Edit]) -> str:
    """The passage with its applied operations done.

    Raises:
        ValueError: two of them touch the same characters, or the passage does not read `old` at a place.
    """
    rows = [(e.char_start, e.char_end, e.old, e.new) for e in applied(edits)]
    return _done(passage.text, rows, passage.char_start)


def _done(text: str, rows: Sequence[tuple[int, int, str, str]], char_start: int) -> str:
    operations = [Operation(a - char_start, b - char_start, old, new) for a, b, old, new in rows]
    # Stable: what is put in at one place stays in the program's order, and before what is replaced there.
    return edit_programs.apply(text, sorted(operations, key=lambda o: (o.char_start, o.char_end)))


def undo(passage: Passage, edits: Sequence[Edit], number: int) -> tuple[str, list[Edit]]:
    """The passage with all operations but that of `number` done, and the refused ones that it stood in the way of.

    No applied operation depends on another: they all speak of the passage as it was. What was refused because it
    overlaps the undone one stays refused; it is named so that it can be proposed again.

    Raises:
        ValueError: that operation is not applied.
    """
    taken = edits[number]
    if taken.reason is not None:
        raise ValueError(f"operation {number} is not applied: {taken.reason}")
    rest = [e for i, e in enumerate(edits) if i != number]
    blocked = [e for e in rest if (e.reason or "").startswith("overlaps") and overlap(e, taken)]
    return apply(passage, rest), blocked


def by_rules(edits: Sequence[Edit]) -> bool:
    """Whether all that is changed comes from rules: then the record's model is `rule`."""
    done = [e for e in applied(edits) if e.operation != "keep_all"]
    return bool(done) and all(e.proposer != MODEL for e in done)


def idle(edits: Sequence[Edit]) -> list[Reason]:
    """Why a program did nothing: nothing was proposed, or nothing that may be done."""
    if any(e.operation != "keep_all" for e in applied(edits)):
        return []
    refused = [e for e in edits if e.reason is not None]
    if not refused:
        return [Reason("unchanged", "the passage as it was")]
    whole = [e.reason.partition(": ") for e in refused if e.reason and e.reason.startswith(WHOLE)]
    if whole:
        return [Reason(whole[0][0], whole[0][2])]
    counts = Counter((e.reason or "").partition(":")[0] for e in refused)
    shown = [f"{e.old[:20]!r} -> {e.new[:20]!r}" for e in refused[:SHOWN_OPERATIONS]]
    return [Reason("no_safe_edit", ", ".join([*(f"{n} {reason}" for reason, n in sorted(counts.items())), *shown]))]


def replay(passage_text: str, edits: pl.DataFrame, char_start: int) -> str:
    """The text that rows of `l3_edits` of one record make of its parent's span, which starts at `char_start`.

    Raises:
        ValueError: they do not fit the span.
    """
    rows = edits.filter(pl.col("state") == "applied").sort("number")
    return _done(passage_text, rows.select("char_start", "char_end", "old", "new").rows(), char_start)


def texts_that_differ(records: pl.DataFrame, edits: pl.DataFrame, documents: pl.DataFrame) -> pl.DataFrame:
    """The records (record_id, text, source_spans) whose text is not what their rows of `l3_edits` make of their parent.

    `documents`: doc_id and text of L1. Records without operations are passed over. Gives record_id and detail.
    """
    programs = edits.partition_by("record_id", as_dict=True)
    texts = dict(documents.select("doc_id", "text").iter_rows())
    found = []
    for record_id, text, spans in records.select("record_id", "text", "source_spans").iter_rows():
        program = programs.get((record_id,))
        if program is None:
            continue
        span = spans[0]
        parent = texts[span["doc_id"]][span["char_start"] : span["char_end"]]
        try:
            same = replay(parent, program, span["char_start"]) == text
            detail = None if same else "the operations make another text"
        except ValueError as error:
            detail = str(error)
        if detail is not None:
            found.append((record_id, detail))
    return pl.DataFrame(found, schema={"record_id": pl.String, "detail": pl.String}, orient="row")
