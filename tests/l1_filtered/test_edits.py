"""Edits of several stages as one list over the extracted text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tier_assets.l1_filtered.edits import Edit, apply_edits, compose


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ([], [Edit("remove_lines", 0, 2, "")], (Edit("remove_lines", 0, 2, ""),)),
        ([Edit("replace_str", 0, 2, "x")], [], (Edit("replace_str", 0, 2, "x"),)),
        # one behind the other: the second's span moves by what the first took away
        (
            [Edit("replace_str", 0, 3, "x")],
            [Edit("replace_str", 4, 6, "<A>")],
            (Edit("replace_str", 0, 3, "x"), Edit("replace_str", 6, 8, "<A>")),
        ),
        # removed characters at either end of the span stay edits of their own, those within go with it
        (
            [Edit("replace_str", 1, 2, ""), Edit("replace_str", 4, 5, ""), Edit("replace_str", 6, 7, "")],
            [Edit("replace_str", 1, 4, "<A>")],
            (Edit("replace_str", 1, 2, ""), Edit("replace_str", 2, 6, "<A>"), Edit("replace_str", 6, 7, "")),
        ),
        # a span that cuts the first's text keeps the rest of it
        ([Edit("replace_str", 3, 4, "bcd")], [Edit("replace_str", 4, 5, "-")], (Edit("replace_str", 3, 4, "b-d"),)),
        # what is left of a text is no removed line
        ([Edit("replace_str", 3, 4, "bcd")], [Edit("remove_lines", 4, 5, "")], (Edit("replace_str", 3, 4, "bd"),)),
        # a removed line takes with it what was mended in it
        ([Edit("replace_str", 3, 5, "ö")], [Edit("remove_lines", 2, 6, "")], (Edit("remove_lines", 2, 7, ""),)),
    ],
)
def test_compose_edits_become(first, second, both):
    assert compose(first, second) == both


def drawn_edits(draw, text: str) -> list[Edit]:
    """Edits of non-empty spans, in order and without overlap."""
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    spans = zip(cuts[::2], cuts[1::2])
    return [Edit("replace_str", start, end, draw(st.text("xyz", max_size=3))) for start, end in spans]


@settings(max_examples=150)
@given(st.data())
def test_compose_edits_applied_give_what_both_give_in_turn(data):
    text = data.draw(st.text("abcdef", max_size=20))
    first = drawn_edits(data.draw, text)
    between = apply_edits(text, first)
    second = drawn_edits(data.draw, between)
    both = compose(first, second)
    assert apply_edits(text, both) == apply_edits(between, second)
    assert all(a.char_end <= b.char_start for a, b in pairwise(both))
    kept = [edit for edit in both if data.draw(st.booleans())]
    undone = apply_edits(text, kept)  # every subset applies, and changes nothing outside its spans
    assert len(undone) == len(text) + sum(len(e.text) - (e.char_end - e.char_start) for e in kept)
    assert all(0 <= edit.char_start < edit.char_end <= len(text) for edit in both)
