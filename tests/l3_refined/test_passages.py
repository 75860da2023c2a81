from __future__ import annotations

from tier_assets.l3_refined.passages import cut

FIRST, SECOND = "The old bridge fell down in the night.", "A new bridge was built in the next year."


def test_cut_text_that_fits_is_one_passage() -> None:
    text = f"  {FIRST} {SECOND}\n"
    assert [(p.text, p.char_start, p.char_end) for p in cut("d", text, 40, 2, 5)] == [(text.strip(), 2, 2 + 79)]


def test_cut_text_at_a_sentence_end_where_the_next_does_not_fit() -> None:
    assert [p.text for p in cut("d", f"{FIRST} {SECOND}", 12, 2, 5)] == [FIRST, SECOND]


def test_cut_text_gives_no_more_passages_than_wanted() -> None:
    assert [p.text for p in cut("d", f"{FIRST} {SECOND}", 12, 1, 5)] == [FIRST]


def test_cut_text_steps_over_a_sentence_that_is_too_long() -> None:
    long = "Then " + "and then " * 50 + "it ended."
    text = f"{FIRST} {long} {SECOND}"
    passages = cut("d", text, 30, 5, 5)
    assert [p.text for p in passages] == [FIRST, SECOND]
    assert all(text[p.char_start : p.char_end] == p.text for p in passages)


def test_cut_text_leaves_out_what_is_shorter_than_the_least() -> None:
    assert cut("d", "Title only", 30, 1, 3) == []
    assert [p.text for p in cut("d", "Title only", 30, 1, 2)] == ["Title only"]
    assert cut("d", "", 30, 1, 1) == []


def test_cut_of_a_book_does_not_end_inside_a_word() -> None:
    text = f"{FIRST} " * 5_000
    passages = cut("d", text, 12, 3, 5)
    assert [p.text for p in passages] == [FIRST] * 3
