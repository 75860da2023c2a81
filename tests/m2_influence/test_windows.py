"""Windows to probe: their text is what was tokenised, their place is in the document, and they are drawn by hashes."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.training_data import learn_tokenizer
from tier_assets.m2_influence.windows import CHARS_PER_TOKEN, draw, windows

TOKENIZER = learn_tokenizer(["the river runs over the stones and under the bridge of the town"] * 20, 300)


def documents(*texts: str) -> pl.DataFrame:
    """Documents of these texts."""
    return pl.DataFrame({"doc_id": [f"d{i}" for i in range(len(texts))], "text": list(texts)})


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(alphabet="abc dé漢\n", min_size=1, max_size=200), min_size=1, max_size=4), st.integers(2, 12))
def test_windows_are_the_documents_text_at_their_place(texts: list[str], length: int) -> None:
    rows, chunks_NC = windows(documents(*texts), TOKENIZER, length, 0, 7)
    assert chunks_NC.shape == (len(texts), length)
    for text, start, end, window in zip(texts, rows["char_start"], rows["char_end"], rows["text"], strict=True):
        assert 0 <= start < end <= len(text)
        assert text[start:end] == window
        assert end - start <= CHARS_PER_TOKEN * length


def test_windows_short_document_is_filled_up_with_the_end_token() -> None:
    _, chunks_NC = windows(documents("ab"), TOKENIZER, 6, 9, 0)
    assert chunks_NC[0, 2:].tolist() == [9, 9, 9, 9]
    assert 9 not in chunks_NC[0, :2]


def test_windows_document_without_text_is_left_out() -> None:
    rows, chunks_NC = windows(documents("", "a river"), TOKENIZER, 4, 0, 0)
    assert rows["doc_id"].to_list() == ["d1"]
    assert len(chunks_NC) == 1


def test_windows_begin_at_different_places_of_long_documents() -> None:
    text = "the river runs over the stones " * 200
    rows, _ = windows(documents(*[text] * 20), TOKENIZER, 8, 0, 0)
    assert rows["char_start"].n_unique() > 10
    assert (rows["char_start"] % (CHARS_PER_TOKEN * 8) == 0).all()


def test_draw_depends_on_seed_and_ids_and_keeps_most_of_a_grown_pool() -> None:
    ids = pl.DataFrame({"doc_id": [f"doc-{i}" for i in range(1000)]})
    first = draw(ids, 100, 1)
    assert draw(ids.reverse(), 100, 1).equals(first)
    assert len(set(first["doc_id"]) & set(draw(ids, 100, 2)["doc_id"])) < 30
    grown = pl.concat([ids, pl.DataFrame({"doc_id": [f"more-{i}" for i in range(100)]})])
    assert len(set(first["doc_id"]) & set(draw(grown, 100, 1)["doc_id"])) > 75
    assert first["doc_id"].is_sorted()


@pytest.mark.parametrize("size", [0, 5])
def test_draw_of_less_than_asked_gives_all(size: int) -> None:
    ids = pl.DataFrame({"doc_id": [f"d{i}" for i in range(size)]}, schema={"doc_id": pl.String})
    assert draw(ids, 10, 0).equals(ids)
