"""Cleaning: mojibake, invisible and private-use characters, Unicode form, runs of blank lines, noise lines of pages.

In: extracted text (breaks are `\\n` already). Out: clean text and the edits that lead there, each an operation with
its span in the extracted text, so that `apply_edits(extracted, edits) == text`, and leaving one out undoes it.
ASCII text without runs of blank lines, most of English, passes after two scans (GB/s); the rest is cleaned by line.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import ftfy
from ftfy.badness import is_bad

from tier_assets.l1_filtered.edits import Edit, apply_edits, compose
from tier_assets.l1_filtered.line_noise import noise_edits

BLANK_RUN: Final = re.compile(r"\n\n(?:[^\S\n]*\n)+")  # the first two breaks stay
# Zero-width space, word joiner, byte-order mark, soft hyphen, direction marks and overrides, private use.
# ZWJ and ZWNJ stay: Persian, Indic scripts and emoji need them.
INVISIBLE: Final = re.compile("[\u200b\u2060\ufeff\u00ad\u200e\u200f\u202a-\u202e\u2066-\u2069\ue000-\uf8ff\x80-\x9f]")
ODD_SPACE: Final = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
# ftfy's `is_bad` costs 150 ms/MB. All that it looks for holds two characters in a row beyond ASCII, none of them
# Chinese, Japanese or Korean, or one of a few.
SUSPECT: Final = re.compile("[\x80-\u2fff\ue000-\uffff]{2}|[\x80-\x9fÂÃŒœ]")
FTFY: Final = ftfy.TextFixerConfig(
    unescape_html=False, uncurl_quotes=False, fix_latin_ligatures=True, fix_character_width=False, explain=False
)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The text after all edits, in order of position and without overlap."""

    text: str
    edits: tuple[Edit, ...]


def clean(text: str, of_page: bool = False) -> Cleaned:
    """`text` without what no reader sees or wants; `of_page`: without a web page's noise lines too.

    Where a page's text is nothing but noise, the text is empty and its one edit `remove_all`.

    >>> clean("schÃ¶n\\u200b\\n\\n\\n\\nend").text
    'schön\\n\\nend'
    """
    edits = [Edit("remove_lines", found.start() + 2, found.end(), "") for found in BLANK_RUN.finditer(text)]
    if not text.isascii():
        # A blank line may hold an odd space: where its run goes whole, there is nothing left to replace.
        edits += _outside(_line_edits(text), edits)
        edits.sort(key=lambda edit: edit.char_start)
    cleaned = apply_edits(text, edits)
    if of_page and (noise := noise_edits(cleaned)):
        return Cleaned(apply_edits(cleaned, noise), compose(edits, noise))
    return Cleaned(cleaned, tuple(edits))


def _outside(edits: Sequence[Edit], removed: Sequence[Edit]) -> list[Edit]:
    """The edits that begin in none of the `removed` spans (in order, not overlapping)."""
    starts = [span.char_start for span in removed]
    before = (bisect_right(starts, edit.char_start) - 1 for edit in edits)
    return [e for e, i in zip(edits, before) if i < 0 or e.char_start >= removed[i].char_end]


def _line_edits(text: str) -> list[Edit]:
    """One edit for each line that changes, cut to what changes in it."""
    edits, position = [], 0
    for line in text.split("\n"):
        if not line.isascii() and (fixed := _clean_line(line)) != line:
            start, end = _changed_span(line, fixed)
            replacement = fixed[start : len(fixed) - (len(line) - end)]
            edits.append(Edit("replace_str", position + start, position + end, replacement))
        position += len(line) + 1
    return edits


def _clean_line(line: str) -> str:
    if SUSPECT.search(line) and is_bad(line):
        line = ftfy.fix_text(line, FTFY).replace("\n", " ")
    line = INVISIBLE.sub("", ODD_SPACE.sub(" ", line))
    return line if unicodedata.is_normalized("NFC", line) else unicodedata.normalize("NFC", line)


def _changed_span(before: str, after: str) -> tuple[int, int]:
    """Span of `before` outside its longest common prefix and suffix with `after`."""
    # By halves: a comparison of slices costs next to nothing, one of characters in Python adds up.
    limit = min(len(before), len(after))
    start = bisect_left(range(limit), True, key=lambda i: before[: i + 1] != after[: i + 1])
    tail = bisect_left(range(limit - start), True, key=lambda i: before[-1 - i :] != after[-1 - i :])
    return start, len(before) - tail


__all__ = ["Cleaned", "Edit", "apply_edits", "clean"]
