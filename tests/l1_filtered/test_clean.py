"""Cleaning: before and after, and edits that lead from one to the other."""

from __future__ import annotations

import re

import pytest
from ftfy.badness import BADNESS_RE, is_bad
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tier_assets.l1_filtered.clean import SUSPECT, clean
from tier_assets.l1_filtered.decode import tidy
from tier_assets.l1_filtered.edits import Edit, apply_edits


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("plain text", "plain text"),
        ("schÃ¶n und grÃ¼n", "schön und grün"),
        ("zero\u200bwidth and soft\u00adhyphen", "zerowidth and softhyphen"),
        ("e\u0301te\u0301", "été"),
        ("a\u00a0b", "a b"),
        ("private\ue123use", "privateuse"),
        ("one\n\ntwo", "one\n\ntwo"),
        ("one\n\n\n\ntwo\n\n  \n\nthree", "one\n\ntwo\n\nthree"),
        ("می‌خواهم 👩‍👧", "می‌خواهم 👩‍👧"),  # joiners stay
        ("“quoted” – ½", "“quoted” – ½"),
    ],
)
def test_clean_text_becomes(before, after):
    assert clean(before).text == after


def test_clean_edits_say_where_and_what():
    assert clean("a\nschÃ¶n\n\n\n\nend").edits == (
        Edit("replace_str", 5, 7, "ö"),
        Edit("remove_lines", 10, 12, ""),
    )


def test_clean_good_text_has_no_edits():
    assert clean("Ein schöner Tag.\n\nUnd noch einer.").edits == ()


@example("a\n\n\u00a0\na")  # an odd space in a blank line that goes with its run
@given(st.text(alphabet=st.sampled_from("aÃ¶é\u0301\u200b\u00a0 \n\ue000x中")).map(tidy))
def test_clean_edits_applied_give_the_text_and_do_not_overlap(text):
    cleaned = clean(text)
    assert apply_edits(text, cleaned.edits) == cleaned.text
    assert all(first.char_end <= second.char_start for first, second in zip(cleaned.edits, cleaned.edits[1:]))
    assert all(text[edit.char_start : edit.char_end] != edit.text for edit in cleaned.edits)


BAD_CHARACTERS = "".join(sorted(set(re.sub(r"\\\\.", "", BADNESS_RE.pattern)))) + "aZ .éöœ…中한ñ"


@settings(max_examples=1000)
@given(st.text(st.sampled_from(BAD_CHARACTERS), max_size=6))
def test_suspect_line_is_every_line_that_ftfy_calls_bad(line):
    assert SUSPECT.search(line) or not is_bad(line)


@pytest.mark.parametrize("line", ["Ã ", "aÂ b", "œ ", "\x85", "вЂ", "â€œ", "Ð¿Ñ€Ð¸", "ГўВЂВ. a"])
def test_suspect_line_of_mojibake_is_seen(line):
    assert SUSPECT.search(line)
