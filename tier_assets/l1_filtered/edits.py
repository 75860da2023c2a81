"""Edits: what turned an extracted text into the one that L1 keeps, each an operation with its span.

    replace_str     the span gave way to `text`
    remove_lines    whole lines went
    remove_all      the text went
    keep_all        no edits

Every stage reads the text of the one before it and gives edits over *that*; `compose` puts two such lists into one over
the first text, so that `apply_edits(extracted, edits)` is the text, and leaving any of them out undoes just these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Operation = Literal["replace_str", "remove_lines", "remove_all"]


@dataclass(frozen=True, slots=True)
class Edit:
    """One change: code points `char_start:char_end` of the extracted text gave way to `text`."""

    op: Operation
    char_start: int
    char_end: int
    text: str


def as_struct(edit: Edit) -> dict[str, object]:
    """The edit as a value of the column `edits` (`dataclasses.asdict` would copy its strings)."""
    return {"op": edit.op, "char_start": edit.char_start, "char_end": edit.char_end, "text": edit.text}


def apply_edits(text: str, edits: Sequence[Edit]) -> str:
    """`text` with `edits` (ordered, not overlapping) made."""
    if not edits:
        return text
    parts, position = [], 0
    for edit in edits:
        parts += [text[position : edit.char_start], edit.text]
        position = edit.char_end
    return "".join([*parts, text[position:]])


def compose(first: Sequence[Edit], second: Sequence[Edit]) -> tuple[Edit, ...]:
    """`second`, whose spans are in the text that `first` makes, after `first`: one list over the text before both.

    Edits of both that meet within a span become one, named by the later; its text is what the later left of the
    earlier's. No edit of `second` may have an empty span.

    >>> compose([Edit("replace_str", 3, 4, "bc")], [Edit("replace_str", 1, 4, "-")])
    (Edit(op='replace_str', char_start=1, char_end=4, text='-c'),)
    """
    if not first or not second:
        return tuple(first or second)
    merged: list[Edit] = []
    shift, i, j = 0, 0, 0  # a place between both, behind first[:i], lies at place + shift in the text before
    while j < len(second):
        start, end, start_shift, first_i, first_j = second[j].char_start, second[j].char_end, shift, i, j
        while i < len(first) and _reaches(first[i], shift) <= start:
            merged.append(first[i])
            shift, i = shift + _shrinkage(first[i]), i + 1
            start_shift, first_i = shift, i
        held: list[tuple[int, str]] = []  # texts of `first` within the group, and where each begins between both
        j += 1
        while True:
            if i < len(first) and first[i].char_start - shift < end:
                place = first[i].char_start - shift
                held.append((place, first[i].text))
                start, end = min(start, place), max(end, place + len(first[i].text))
                shift, i = shift + _shrinkage(first[i]), i + 1
            elif j < len(second) and second[j].char_start < end:
                end, j = max(end, second[j].char_end), j + 1
            else:
                break
        group = second[first_j:j]
        if i == first_i and len(group) == 1:
            merged.append(replace(group[0], char_start=start + start_shift, char_end=end + shift))
        else:
            text = _merged_text(held, group)
            op = "replace_str" if text else group[0].op
            merged.append(Edit(op, start + start_shift, end + shift, text))
    return (*merged, *first[i:])


def _reaches(edit: Edit, shift: int) -> int:
    """Where the text of `edit`, an edit of the first list, ends in the text between both."""
    return edit.char_start - shift + len(edit.text)


def _shrinkage(edit: Edit) -> int:
    return edit.char_end - edit.char_start - len(edit.text)


def _merged_text(held: Sequence[tuple[int, str]], group: Sequence[Edit]) -> str:
    """What `group` leaves of the `held` texts, with its own texts in their places."""
    parts = [(edit.char_start, edit.text) for edit in group]
    for place, text in held:
        position = place
        for edit in group:
            if position < edit.char_start < place + len(text):
                parts.append((position, text[position - place : edit.char_start - place]))
            if edit.char_start < place + len(text):
                position = max(position, edit.char_end)
        parts.append((position, text[position - place :] if position < place + len(text) else ""))
    return "".join(text for _, text in sorted(parts, key=lambda part: part[0]))


__all__ = ["Edit", "Operation", "apply_edits", "as_struct", "compose"]
