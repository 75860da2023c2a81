"""Repeated paragraphs: what counts as the same, counts over documents, and texts before and after."""

from __future__ import annotations

import re
from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.repeated_paragraphs import MIN_WORDS, paragraph_hashes, removals, repeated

NOTICE = "We use cookies to make this site better."
LINKS = "Read more stories by the same author"
OWN = "Only this document says what is said here."


def hashes_of(*texts: str | None) -> list[list[int]]:
    return paragraph_hashes(pl.Series(texts, dtype=pl.String)).to_list()


def without(text: str | None, *paragraphs: str) -> str | None:
    """`text` after the removals of `paragraphs`."""
    repeats = pl.Series([h for found in hashes_of(*paragraphs) for h in found], dtype=pl.Int64)
    edits = removals(pl.Series([text], dtype=pl.String), repeats)[0]
    for edit in reversed(edits.to_list()):
        assert edit["text"] == ""
        text = text[: edit["char_start"]] + text[edit["char_end"] :]
    return text


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (NOTICE, "  we USE cookies, to make this site better!  ", True),
        ("Page 12 of 30: see the list", "Page 47 of 99: see the list", True),
        ("Page 12 of 30: see the list", "Page 7 of 30: see the list", False),
        ("Ärzte und Öl über alles hier", "ärzte und öl ÜBER alles hier", True),
        (NOTICE, NOTICE.replace("better", "worse"), False),
        ("a b c d e", "a b c d e f", False),
        ("ab c d e f", "a bc d e f", False),
        ("हम कि नि लि पि", "हम की नी ली पी", False),
    ],
)
def test_paragraph_hashes_same_words_have_one_hash(left, right, same):
    one, other = hashes_of(left, right)
    assert len(one) == len(other) == 1
    assert (one == other) is same


@pytest.mark.parametrize(
    ("text", "num_paragraphs"),
    [
        ("w " * (MIN_WORDS - 1), 0),
        ("w " * MIN_WORDS, 1),
        ("one two\n\nthree four five", 0),
        ("one two\nthree four five", 1),
        (f"{NOTICE}\n\n{LINKS}\n", 2),
        (f"{NOTICE}\n \t\n{LINKS}", 2),
        (f"\n\n{NOTICE}\n{LINKS}", 1),
        (f"{NOTICE}\n\n\n{NOTICE}", 1),
        ("- - - - - - -", 0),
        ("", 0),
        (None, 0),
    ],
)
def test_paragraph_hashes_what_stands_between_blank_lines_is_one(text, num_paragraphs):
    assert len(hashes_of("before it", text)[1]) == num_paragraphs


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{OWN}\n\n{NOTICE}\n\n{OWN}", f"{OWN}\n\n{OWN}"),
        (f"{NOTICE}\n\n{OWN}", OWN),
        (f"\n{NOTICE}\n\n    {OWN}\n", f"    {OWN}\n"),
        (f"{OWN}\n\n{NOTICE}", OWN),
        (f"{OWN}\n\n{NOTICE}\n", f"{OWN}\n"),
        (f"{OWN}\n\n  {NOTICE}\n \n\n{LINKS}\n\n{OWN}", f"{OWN}\n\n{OWN}"),
        (f"{NOTICE}\n\n{LINKS}\n\n{OWN}\n\n{NOTICE}", OWN),
        (f"Größe 😀 déjà vu\n\n{NOTICE}\n\nλόγος 😀", "Größe 😀 déjà vu\n\nλόγος 😀"),
        (f"{OWN}\n\n{NOTICE.replace(' to ', chr(10) + 'to ')}\n\n{OWN}", f"{OWN}\n\n{OWN}"),
        (f"{NOTICE}\n\n{LINKS}\n", ""),
        (f"{OWN}\n{NOTICE}\n{OWN}", f"{OWN}\n{NOTICE}\n{OWN}"),
        (f"{OWN} {NOTICE}", f"{OWN} {NOTICE}"),
        (OWN, OWN),
        ("", ""),
        (None, None),
    ],
)
def test_removals_repeated_paragraphs_go_with_their_breaks(before, after):
    assert without(before, NOTICE, LINKS) == after


def test_removals_text_of_repeats_only_is_removed_whole():
    repeats = pl.Series(hashes_of(NOTICE)[0])
    texts = pl.Series([f"{OWN}\n\n{NOTICE}", f"\n{NOTICE} \n"])
    start = len(OWN)
    assert removals(texts, repeats).to_list() == [
        [{"op": "remove_lines", "char_start": start, "char_end": start + 2 + len(NOTICE), "text": ""}],
        [{"op": "remove_all", "char_start": 0, "char_end": len(NOTICE) + 3, "text": ""}],
    ]


@pytest.mark.parametrize(("more_than", "expected"), [(1, [NOTICE, LINKS]), (2, [NOTICE]), (3, [])])
def test_repeated_counts_documents_not_occurrences(more_than, expected):
    texts = [f"{NOTICE}\n\n{LINKS}", "\n\n".join([NOTICE, *4 * [OWN]]), f"{LINKS}\n\n{NOTICE}", "x", None]
    documents = pl.DataFrame({"paragraphs": paragraph_hashes(pl.Series(texts))}).lazy()
    assert repeated(documents, more_than).to_list() == sorted(h for text in expected for h in hashes_of(text)[0])


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(-20, 20), unique=True)), st.integers(0, 3), st.integers(1, 50))
def test_repeated_any_hashes_in_any_number_of_passes_equal_a_count(documents, more_than, pass_hashes):
    frame = pl.DataFrame({"paragraphs": documents}, schema={"paragraphs": pl.List(pl.Int64)})
    counts = Counter(h for hashes in documents for h in hashes)
    expected = sorted(h for h, count in counts.items() if count > more_than)
    assert repeated(frame.lazy(), more_than, pass_hashes).to_list() == expected


@settings(max_examples=30)
@given(st.lists(st.sampled_from([NOTICE, LINKS, OWN, "short", f"{OWN}\n{NOTICE}", "", " ", "é😀ß"]), max_size=8))
def test_removals_any_paragraphs_leave_what_is_not_repeated(paragraphs):
    left = without("\n\n".join(paragraphs), NOTICE, LINKS)
    own = [paragraph for paragraph in paragraphs if paragraph not in (NOTICE, LINKS)]
    assert re.split(r"\s*\n\s*\n\s*", left.strip()) == re.split(r"\s*\n\s*\n\s*", "\n\n".join(own).strip())
    if own == paragraphs:
        assert left == "\n\n".join(paragraphs)
