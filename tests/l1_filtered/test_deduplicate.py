"""Duplicates by fingerprint: exact and near."""

from __future__ import annotations

import polars as pl

from tier_assets.l1_filtered.deduplicate import duplicates, exact_duplicates, fingerprint, text_hash


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


def prints_of(texts: dict[str, str]) -> pl.DataFrame:
    return fingerprint(pl.Series(list(texts.values()))).insert_column(0, pl.Series("doc_id", list(texts)))


def test_duplicates_exact_near_and_distinct_rows_are_told_apart():
    words = [f"w{number}" for number in range(100)]
    near = [*words[:50], "other", *words[51:]]
    rows = prints_of(
        {
            "a": " ".join(words),
            "b": " ".join(near),
            "c": " ".join(near).upper(),  # a copy of a row that is not kept itself
            "d": " ".join(words) + "!",
            "e": "something else entirely, with words of its own",
        }
    )
    assert sorted(duplicates(rows).rows()) == [
        ("b", "near_duplicate", "a", 0.9010),
        ("c", "near_duplicate", "a", 0.9010),
        ("d", "exact_duplicate", "a", 1.0),
    ]


def test_duplicates_no_rows_give_no_rows():
    assert duplicates(prints_of({"a": "x"}).clear()).is_empty()
