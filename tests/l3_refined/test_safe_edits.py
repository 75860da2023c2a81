from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.edit_programs import Operation, align, apply, inverse, source_span, undo
from tier_assets.l3_refined.safe_edits import kind, safe

# (source, reply, what the safe operations make of it)
EDITS = (
    ("said it\nlowered the rate", "said it lowered the rate", "said it lowered the rate"),
    ("One.\n\nTwo.", "One. Two.", "One.\n\nTwo."),
    ("One day.\n    Two men", "One day.\nTwo men", "One day.\nTwo men"),
    ("first line\n- item", "first line - item", "first line\n- item"),
    ("the cat , it sat", "the cat, it sat", "the cat, it sat"),
    ("an old cat", "anold cat", "an old cat"),
    ("in 1878 , and ( 24 men )", "in 1878, and (24 men)", "in 1878, and (24 men)"),
    ("from 3 - 5 men", "from 3-5 men", "from 3 - 5 men"),
    ("page 3 .5 of it", "page 3.5 of it", "page 3 .5 of it"),
    ("1 000 men", "1000 men", "1 000 men"),
    ("a 3.5 m wall", "a 3. 5 m wall", "a 3.5 m wall"),
    ("Slayer 's album", "Slayer's album", "Slayer's album"),
    ('" No Name " is a song', '"No Name "is a song', '" No Name " is a song'),
    ("it rained. we left", "it rained. We left", "it rained. We left"),
    ("and i left", "and I left", "and I left"),
    ("The Company paid", "The company paid", "The Company paid"),
    ("the US paid", "the us paid", "the US paid"),
    ("the us paid", "the US paid", "the us paid"),
    ("“Yes” it is", '"Yes" it is', '"Yes" it is'),
    ("1990-1995", "1990–1995", "1990-1995"),
    ("pay\nThe men", "pay.\nThe men", "pay.\nThe men"),
    ("pay the men", "pay. the men", "pay the men"),
    ("the men left", "the men left.", "the men left."),
    ("he left and she stayed", "he left, and she stayed", "he left, and she stayed"),
    ("guitarist Jeff came", "guitarist, Jeff came", "guitarist Jeff came"),
    ("Gonzales came", "Gonzáles came", "Gonzáles came"),
    ("Gonzáles came", "Gonzales came", "Gonzáles came"),
    ("the the cat sat", "the cat sat", "the cat sat"),
    ("by Duran Duran now", "by Duran now", "by Duran Duran now"),
    ("he had had tea", "he had tea", "he had had tea"),
    ("he bought car", "he bought a car", "he bought a car"),
    ("he bought few cars", "he bought a few cars", "he bought few cars"),
    ("a apple fell", "an apple fell", "an apple fell"),
    ("up 6.4 pct now", "up 6.4 % now", "up 6.4 % now"),
    ("he dont know", "he don't know", "he don't know"),
    ("its colour", "it's colour", "its colour"),
    ("salt &amp; pepper", "salt & pepper", "salt & pepper"),
    ("It rose.\n Reuter", "It rose.", "It rose."),
    ("It rose.\n Page 3", "It rose.", "It rose.\n Page 3"),
    ("It rose.\n No more was sold", "It rose.", "It rose.\n No more was sold"),
    ("es strotzt davon", "es stroßt davon", "es strotzt davon"),
    ("he did not go", "he did go", "he did not go"),
    ("it weighs 13 kg", "it weighs 21 kg", "it weighs 13 kg"),
    ("it rose", "it rose\n\nI made the following changes", "it rose"),
)


@pytest.mark.parametrize(("source", "reply", "expected"), EDITS)
def test_safe_edit_of_reply_keeps_only_what_cannot_change_the_meaning(source: str, reply: str, expected: str) -> None:
    operations, _ = align(source, reply)
    assert apply(source, safe(operations, source)) == expected


def test_align_shares_all_tokens_of_a_respaced_text() -> None:
    assert align("a , b", "a, b") == ([Operation(1, 2, " ", "")], 1.0)


def test_align_of_another_text_shares_none() -> None:
    assert align("red green", "blue white")[1] == 0.0


def test_kind_names_the_change() -> None:
    assert kind(Operation(5, 6, " ", ""), "hello , you") == "white_space"
    assert kind(Operation(0, 5, "hello", "goodbye"), "hello , you") is None


def test_apply_at_a_wrong_place_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        apply("abc", [Operation(0, 1, "x", "y")])


TEXTS = st.text(alphabet=st.sampled_from("ab A.,'\"\n1é😀\u0301ß中"), max_size=40)


@settings(deadline=None)
@given(source=TEXTS, edited=TEXTS)
def test_align_applied_gives_the_edited_text_and_undone_the_source(source: str, edited: str) -> None:
    operations, share = align(source, edited)
    assert apply(source, operations) == edited
    assert undo(edited, operations) == source
    assert inverse(inverse(operations)) == operations
    assert 0.0 <= share <= 1.0


@settings(deadline=None)
@given(source=TEXTS, edited=TEXTS)
def test_safe_operations_never_change_a_digit_or_add_a_letter_run(source: str, edited: str) -> None:
    operations, _ = align(source, edited)
    refined = apply(source, safe(operations, source))
    assert [c for c in refined if c.isdigit()] == [c for c in source if c.isdigit()]


@pytest.mark.parametrize(
    ("operations", "edited_span", "expected"),
    [
        ([], (2, 5), (2, 5)),
        ([Operation(7, 8, " ", "")], (0, 7), (0, 8)),
        ([Operation(7, 8, " ", "")], (7, 10), (8, 11)),
        ([Operation(7, 8, " ", "")], (4, 8), (4, 9)),
        ([Operation(2, 2, "", "xx")], (2, 6), (2, 4)),
        ([Operation(2, 2, "", "xx")], (4, 6), (2, 4)),
        ([Operation(0, 2, "ab", "c"), Operation(4, 4, "", "d")], (1, 3), (2, 4)),
    ],
)
def test_source_span_of_edited_span_is_where_it_comes_from(
    operations: list[Operation], edited_span: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert source_span(operations, *edited_span) == expected


@settings(deadline=None)
@given(source=TEXTS, edited=TEXTS, data=st.data())
def test_source_span_of_any_span_lies_in_the_source_and_reads_the_same_where_nothing_changed(
    source: str, edited: str, data: st.DataObject
) -> None:
    operations, _ = align(source, edited)
    start = data.draw(st.integers(0, len(edited)))
    end = data.draw(st.integers(start, len(edited)))
    source_start, source_end = source_span(operations, start, end)
    assert 0 <= source_start <= source_end <= len(source)
    if not operations:
        assert source[source_start:source_end] == edited[start:end]
