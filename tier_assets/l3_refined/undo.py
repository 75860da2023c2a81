"""Operations of edit programs told apart, taken back and written down as rows.

In: edits of a passage, rows of `l3_edits` and `edit_undos`. Out: edits without what a person took back, rows of
`l3_edits`, what the next refinement will leave out. An operation's id is that of what it does and where, so that it
outlives the record: the record's id changes with its text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Final

import polars as pl

from algorithms.sentences import Span
from tier_assets.l3_refined import programs
from tier_assets.l3_refined.task import Candidate, Edit, Passage

UNDONE: Final = "undone"


def operation_id(edit: Edit, doc_id: str, span: tuple[int, int]) -> str:
    """hash(doc_id, span of the passage, operation, place, old, new)."""
    place = [edit.line, edit.last_line, edit.char_start, edit.char_end]
    parts = [doc_id, *span, edit.operation, *place, edit.old, edit.new]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def state(edit: Edit) -> str:
    """applied, refused or undone."""
    return "applied" if edit.reason is None else UNDONE if edit.reason == UNDONE else "refused"


def without(edits: Sequence[Edit], doc_id: str, span: tuple[int, int], undone_ids: Collection[str]) -> list[Edit]:
    """The program with the applied operations of `undone_ids` marked as undone; refused ones stay refused."""
    return [
        replace(e, reason=UNDONE) if e.reason is None and operation_id(e, doc_id, span) in undone_ids else e
        for e in edits
    ]


def text_of(passage_text: str, edits: Sequence[Edit], char_start: int) -> str:
    """The passage, which starts at `char_start` of its document, with what is neither refused nor undone done.

    Raises:
        ValueError: the operations do not fit the passage.
    """
    span = Span(char_start, char_start + len(passage_text))
    return programs.apply(Passage("", passage_text, *span), edits)


def taken_back(candidate: Candidate, passage: Passage, undone_ids: Collection[str]) -> Candidate:
    """The candidate of an edit program as it is without the operations of `undone_ids`; others are as they were."""
    span = (passage.char_start, passage.char_end)
    edits = without(candidate.edits, passage.doc_id, span, undone_ids)
    if tuple(edits) == candidate.edits:
        return candidate
    text = programs.apply(passage, edits)
    return replace(candidate, output=text, text=text, edits=tuple(edits))


def edit_rows(edits: Sequence[Edit], record_id: str, passage: Passage) -> list[dict[str, Any]]:
    """Rows of `l3_edits`, but for corpus and snapshot."""
    span = (passage.char_start, passage.char_end)
    return [
        {
            "operation_id": operation_id(e, passage.doc_id, span),
            "doc_id": passage.doc_id,
            "record_id": record_id,
            "number": number,
            "operation": e.operation,
            "line": e.line,
            "last_line": e.last_line,
            "old": e.old,
            "new": e.new,
            "char_start": e.char_start,
            "char_end": e.char_end,
            "proposer": e.proposer,
            "state": state(e),
            "reason": e.reason,
        }
        for number, e in enumerate(edits)
    ]


def undone_ids(undos: pl.DataFrame) -> set[str]:
    """The operations whose last row in `edit_undos` takes them back."""
    last = undos.sort("undone_at", maintain_order=True).unique("operation_id", keep="last", maintain_order=True)
    return set(last.filter(pl.col("reason").is_not_null())["operation_id"])


def left_out(edits: pl.DataFrame, undos: pl.DataFrame) -> pl.DataFrame:
    """Rows of `l3_edits` that do not yet stand as `edit_undos` has them: the next refinement of their partition
    leaves out those that are `applied`, and does again those that are `undone`."""
    taken = pl.col("operation_id").is_in(sorted(undone_ids(undos)))
    pending = (taken & (pl.col("state") == "applied")) | (~taken & (pl.col("state") == UNDONE))
    return edits.filter(pending)
