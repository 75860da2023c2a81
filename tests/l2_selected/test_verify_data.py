"""What is held out never trains, samples are the same every time, and too little text is said to be too little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from algorithms.held_out import role
from resources.trainer import ModelSettings
from tier_assets.l2_selected.verify_data import (
    PASSAGE_TOKENS,
    Settings,
    TooLittle,
    assemble,
    choose,
    collect,
    tokenise,
)

SMALL = Settings(
    "small",
    gates=False,
    seeds=2,
    warmup=2,
    stable=8,
    anneal=10,
    batch=4,
    model=ModelSettings(vocab=400, context=16),
    reference_chunks=12,
    general_chunks=16,
    passages=12,
)
LENGTH = SMALL.model.context + 1


def lake(count: int = 200) -> pl.DataFrame:
    """Documents of two domains, each of its own numbers, so that a text tells its document."""
    return pl.DataFrame(
        {
            "doc_id": [f"d{i:04}" for i in range(count)],
            "domain": ["mail" if i % 3 else "books" for i in range(count)],
            "text": [" ".join(f"{i} and {i + j}," for j in range(40 + i % 60)) for i in range(count)],
        }
    )


def rated(documents: pl.DataFrame) -> pl.DataFrame:
    return documents.select("doc_id", quality=pl.int_range(pl.len()).cast(pl.Float64))


def evens(documents: pl.DataFrame) -> pl.Series:
    return documents["doc_id"].gather_every(2)


def test_role_shares_are_those_of_the_held_out() -> None:
    roles = pl.Series([role(f"doc-{i}") for i in range(5000)]).value_counts().sort("")
    shares = dict(roles.with_columns(pl.col("count") / 5000).iter_rows())
    assert shares == pytest.approx({"general": 0.1, "pool": 0.7, "reference": 0.2}, abs=0.02)


def test_assemble_documents_stand_where_their_role_says() -> None:
    documents = lake()
    data = assemble(documents, evens(documents), rated(documents), SMALL)
    parts = {"base": data.base, "candidate": data.candidate, "reference": data.reference, "general": data.general}
    for name, expected in (("base", "pool"), ("candidate", "pool"), ("reference", "reference"), ("general", "general")):
        assert {role(doc_id) for doc_id in parts[name]["doc_id"]} == {expected}, name
    assert set(data.candidate["doc_id"]) <= set(evens(documents))
    # Of the held-out rated documents, the best 30%; quality rises with the number.
    held_out = [doc_id for doc_id in documents["doc_id"] if role(doc_id) == "reference"]
    assert len(held_out) > 27
    assert set(data.reference["doc_id"]) == set(held_out[-round(0.3 * len(held_out)) :])


@pytest.mark.parametrize(("num_rated", "num_best"), [(16, 8), (20, 8), (40, 12)])
def test_choose_reference_is_a_third_of_many_and_half_of_few(num_rated: int, num_best: int) -> None:
    documents = lake().with_columns(num_chars=pl.col("text").str.len_chars())
    held_out = documents.filter(pl.col("doc_id").map_elements(role, return_dtype=pl.String) == "reference")
    few = rated(held_out.head(num_rated))
    chosen = choose(documents, evens(documents), few, SMALL).filter(pl.col("part") == "reference")
    assert chosen["doc_id"].n_unique() == num_best


def test_assemble_windows_are_the_text_at_their_place() -> None:
    documents = lake()
    data = assemble(documents, evens(documents), rated(documents), SMALL)
    texts = dict(documents.select("doc_id", "text").iter_rows())
    for row in data.base.iter_rows(named=True):
        assert row["text"] == texts[row["doc_id"]][row["char_start"] : row["char_start"] + 4 * LENGTH]
    assert data.base.select("doc_id", "char_start").is_duplicated().sum() == 0


def test_assemble_order_of_the_rows_does_not_matter() -> None:
    documents = lake()
    first = assemble(documents, evens(documents), rated(documents), SMALL)
    again = assemble(documents.reverse(), evens(documents).reverse(), rated(documents).reverse(), SMALL)
    assert first.base.equals(again.base)
    assert first.candidate.equals(again.candidate)
    assert first.reference.equals(again.reference)
    assert first.general.equals(again.general)


def test_choose_takes_one_window_of_each_held_out_document_before_a_second() -> None:
    documents = lake().with_columns(num_chars=pl.col("text").str.len_chars())
    chosen = choose(documents, evens(documents), rated(documents), replace(SMALL, reference_chunks=7))
    counts = chosen.filter(pl.col("part") == "reference").group_by("doc_id").len()["len"]
    assert counts.max() == 1
    assert counts.sum() == 14


def test_choose_a_document_without_text_is_no_window() -> None:
    documents = lake().with_columns(num_chars=pl.col("text").str.len_chars())
    empty = documents.with_columns(num_chars=pl.lit(0, pl.UInt32)).with_columns(doc_id="e" + pl.col("doc_id"))
    chosen = choose(pl.concat([documents, empty]), evens(documents), rated(documents), SMALL)
    assert not any(doc_id.startswith("e") for doc_id in chosen["doc_id"])


def test_collect_a_missing_text_raises() -> None:
    documents = lake().with_columns(num_chars=pl.col("text").str.len_chars())
    chosen = choose(documents, evens(documents), rated(documents), SMALL)
    with pytest.raises(ValueError, match="no text for 1 chosen documents"):
        collect(chosen, documents.filter(pl.col("doc_id") != chosen["doc_id"][0]), SMALL)


def test_choose_too_few_rated_documents_are_too_little() -> None:
    documents = lake()
    with pytest.raises(TooLittle, match="about 80 documents must be rated"):
        assemble(documents, evens(documents), rated(documents).head(20), SMALL)


def test_choose_too_few_selected_documents_are_too_little() -> None:
    documents = lake()
    with pytest.raises(TooLittle, match="candidate: 0 characters; small needs 51 tokens"):
        assemble(documents, pl.Series([], dtype=pl.String), rated(documents), SMALL)


def test_choose_too_few_documents_are_too_little() -> None:
    documents = lake(30)
    with pytest.raises(TooLittle, match="held-out documents of all domains; 8 are needed"):
        assemble(documents, evens(documents), rated(documents), SMALL)


def test_tokenise_too_few_chunks_are_too_little() -> None:
    documents = lake()
    data = assemble(documents, evens(documents), rated(documents), SMALL)
    with pytest.raises(TooLittle, match=r"candidate: \d chunks of 16 tokens; small needs 3"):
        tokenise(replace(data, candidate=data.candidate.head(1)), SMALL)


def test_tokenise_shared_windows_are_chunks_of_both() -> None:
    documents = lake()
    data = assemble(documents, evens(documents), rated(documents), SMALL)
    sample = tokenise(data, SMALL)
    assert sample.chunks_NC.shape[1] == LENGTH
    assert (sample.in_base_N | sample.in_candidate_N).all()
    everything = tokenise(replace(data, candidate=data.base), SMALL)
    assert (everything.in_base_N & everything.in_candidate_N).all()
    apart = tokenise(replace(data, base=data.base.filter(~pl.col("doc_id").is_in(evens(documents).implode()))), SMALL)
    assert not (apart.in_base_N & apart.in_candidate_N).any()


def test_tokenise_one_window_gives_at_most_one_held_out_chunk() -> None:
    documents = lake()
    data = assemble(documents, evens(documents), rated(documents), SMALL)
    # A byte of a script that the tokenizer never saw is a token.
    wide = data.reference.with_columns(text=pl.lit("水" * 4 * LENGTH))
    sample = tokenise(replace(data, reference=wide.head(9)), replace(SMALL, reference_chunks=100))
    assert len(sample.reference_RC) == 9 * (LENGTH + 1) // LENGTH


def test_tokenise_same_data_give_the_same_sample() -> None:
    documents = lake()
    data = assemble(documents, evens(documents), rated(documents), SMALL)
    first, again = tokenise(data, SMALL), tokenise(data, SMALL)
    np.testing.assert_array_equal(first.chunks_NC, again.chunks_NC)
    np.testing.assert_array_equal(first.passages_PKL, again.passages_PKL)
    np.testing.assert_array_equal(first.reference_RC, again.reference_RC)


def test_tokenise_passages_share_their_beginning_and_end_differently() -> None:
    documents = lake()
    sample = tokenise(assemble(documents, evens(documents), rated(documents), SMALL), SMALL)
    count, options, length = sample.passages_PKL.shape
    assert (count, options, length) == (12, 4, min(PASSAGE_TOKENS, SMALL.model.context))
    shown = sample.passages_PKL[:, :, : length // 2]
    assert (shown == shown[:, :1]).all()
    endings = sample.passages_PKL[:, :, length // 2 :]
    assert all(len({tuple(ending) for ending in passage}) == 4 for passage in endings)
    # The first is what follows in the text: both halves are of one window.
    assert sample.general[0][0] == "books"


def test_settings_of_one_seed_raise() -> None:
    with pytest.raises(ValueError, match="two seeds"):
        replace(SMALL, seeds=1)
