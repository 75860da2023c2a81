"""Edit programs: an edit as operations on its source that can be judged, applied, undone and kept as rows.

ProX ("Programming Every Example", arXiv 2409.17115) and UltraX let a model write operations over a document instead of
the document again. Where we differ: the model writes the edited text and the operations are read off the alignment of
both, since a small model copies better than it counts lines.

    source --align(reply)--> operations --judged--> those kept --apply--> source + operations

An operation replaces `source[char_start:char_end]`, which reads `old`, by `text`. Operations are in order and do not
overlap, so that `apply` and `undo` are one pass each. Cost: quadratic in the tokens that differ (difflib).
"""

from __future__ import annotations

import difflib
import html
import re
import unicodedata
from collections.abc import Sequence
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(r"&(?:#\d{1,6}|[a-zA-Z]{2,8});|[^\W\d_]+|\d+|[^\w\s]|_")
# Marks that differ in style only align with each other.
SAME_MARKS: Final = ('"“”„«»‟', "'’‘‚´`", "-–—−")


class Operation(NamedTuple):
    """`source[char_start:char_end] == old` becomes `text`."""

    char_start: int
    char_end: int
    old: str
    text: str


class Token(NamedTuple):
    """A word, a run of digits, an HTML entity or a single mark, and where it stands."""

    text: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """Words, runs of digits, HTML entities and single marks of `text`, in order."""
    return [Token(m.group(), m.start(), m.end()) for m in _TOKEN.finditer(text)]


def align(source: str, edited: str) -> tuple[list[Operation], float]:
    """The operations that turn `source` into `edited`, and the share of the source's tokens that both have.

    >>> align("the cat , it sat", "the cat, it sat")
    ([Operation(char_start=7, char_end=8, old=' ', text='')], 1.0)
    """
    before, after = tokens(source), tokens(edited)
    matcher = difflib.SequenceMatcher(a=_keys(before), b=_keys(after), autojunk=False)
    pairs = [
        (before[block.a + i], after[block.b + i]) for block in matcher.get_matching_blocks() for i in range(block.size)
    ]
    found: list[Operation] = []
    at, at_edited = 0, 0
    for old, new in [*pairs, (Token("", len(source), len(source)), Token("", len(edited), len(edited)))]:
        # Between two anchors, and then the anchor itself, which may differ in case or style.
        found.append(Operation(at, old.start, source[at : old.start], edited[at_edited : new.start]))
        found.append(Operation(old.start, old.end, old.text, new.text))
        at, at_edited = old.end, new.end
    return [o for o in found if o.old != o.text], len(pairs) / max(1, len(before))


def _keys(found: Sequence[Token]) -> list[str]:
    """What must agree for two tokens to be anchors: the case-folded text, or the kind of mark."""
    return [
        next(
            (marks for marks in SAME_MARKS if t.text in marks),
            unicodedata.normalize("NFKC", html.unescape(t.text)).casefold(),
        )
        for t in found
    ]


def apply(source: str, operations: Sequence[Operation]) -> str:
    """`source` with `operations` done.

    Raises:
        ValueError: an operation is out of order, or `source` does not read `old` at its place.
    """
    pieces, at = [], 0
    for operation in operations:
        if operation.char_start < at or source[operation.char_start : operation.char_end] != operation.old:
            raise ValueError(f"operation {operation} does not fit the source")
        pieces += [source[at : operation.char_start], operation.text]
        at = operation.char_end
    return "".join([*pieces, source[at:]])


def undo(edited: str, operations: Sequence[Operation]) -> str:
    """The source again: what `apply(source, operations)` was made from."""
    return apply(edited, inverse(operations))


def inverse(operations: Sequence[Operation]) -> list[Operation]:
    """The operations that lead back, at their places in the edited text."""
    shift, back = 0, []
    for operation in operations:
        start = operation.char_start + shift
        back.append(Operation(start, start + len(operation.text), operation.text, operation.old))
        shift += len(operation.text) - len(operation.old)
    return back


def source_span(operations: Sequence[Operation], start: int, end: int) -> tuple[int, int]:
    """Where the edited text's `start` to `end` stands in the source; what an operation touches is taken whole.

    >>> source_span([Operation(7, 8, " ", "")], 4, 8)
    (4, 9)
    """
    shift = 0  # how much longer the edited text is than the source, up to here
    source_start, source_end = start, end
    for operation in operations:
        at = operation.char_start + shift
        until = at + len(operation.text)
        grown = len(operation.text) - len(operation.old)
        if start >= until:
            source_start = start - shift - grown
        elif start >= at:
            source_start = operation.char_start
        if end >= until:
            source_end = end - shift - grown
        elif end > at:
            source_end = operation.char_end
        shift += grown
    return source_start, source_end
