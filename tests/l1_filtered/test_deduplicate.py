"""Exact duplicates by hash."""

from __future__ import annotations

import polars as pl

from tier_assets.l1_filtered.deduplicate import exact_duplicates, text_hash


def hashes_of(texts: dict[str, str]) -> pl.DataFrame:
    return pl.DataFrame(
        {"doc_id": list(texts), "text_hash": text_hash(pl.Series(list(texts.values()), dtype=pl.String))}
    )


def test_exact_duplicates_first_row_is_kept_and_named():
    found = exact_duplicates(hashes_of({"a": "One two.", "b": "Other", "c": "One two.", "d": "one,  TWO"}))
    assert found.rows() == [
        ("c", "exact_duplicate", "a", 1.0),
        ("d", "exact_duplicate", "a", 1.0),
    ]


def test_exact_duplicates_distinct_texts_are_all_kept():
    assert exact_duplicates(hashes_of({"a": "x1", "b": "x2", "c": "übel", "d": "ubel"})).is_empty()


def test_exact_duplicates_no_rows_give_no_rows():
    assert exact_duplicates(hashes_of({})).is_empty()


def test_text_hash_texts_of_signs_only_differ():
    first, second = text_hash(pl.Series(["!!!", "???"]))
    assert first != second
