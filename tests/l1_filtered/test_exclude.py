"""Which documents leave L1 for what stands outside them, and for which of several reasons."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from tier_assets.l1_filtered.exclude import excluded, standing, verdicts
from tier_tables import L1_CONTAMINATED, SOURCES, VERDICTS, WITHDRAWALS

DAY = [datetime(2026, 1, day, tzinfo=UTC) for day in range(1, 10)]
TEXTS = pl.DataFrame(
    {
        "doc_id": ["a", "b", "c", "d"],
        "source_id": ["old", "new", "new", "new"],
        "reason": [None, "too_few_words", None, None],
        "detail": [None, "7", None, None],
        "language": ["en", "en", "de", "und"],
        "language_score": [0.9, 0.9, 0.9, 0.0],
    }
)


def rows(table, *given: dict) -> pl.DataFrame:
    empty = dict.fromkeys(table.schema.names())
    return pl.DataFrame([{**empty, **row} for row in given], schema=table.schema)


NEW = rows(SOURCES, {"source_id": "new", "corpus": "c", "snapshot": "s", "uri": "u", "registered_at": DAY[2]})
BOTH = pl.concat(
    [rows(SOURCES, {"source_id": "old", "corpus": "c", "snapshot": "s", "uri": "u", "registered_at": DAY[1]}), NEW]
)


def found(sources=NEW, withdrawals=(), contaminated=(), languages=()) -> dict[str, tuple[str, str | None]]:
    out = excluded(
        TEXTS, sources, rows(WITHDRAWALS, *withdrawals), rows(L1_CONTAMINATED, *contaminated), list(languages)
    )
    return {doc_id: (reason, detail) for doc_id, reason, detail in out.iter_rows()}


def withdrawal(doc_id: str, reason: str | None, day: int) -> dict:
    return {"doc_id": doc_id, "reason": reason, "withdrawn_at": DAY[day]}


HIT = {"doc_id": "d", "benchmark": "gsm8k", "item": "7", "overlap": 0.755}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, {}),
        ({"sources": BOTH}, {"a": ("superseded", None)}),
        ({"languages": ["en"]}, {"c": ("unexpected_language", "de")}),  # "und" cannot be told
        ({"languages": ["en", "de"]}, {}),
        ({"contaminated": [HIT]}, {"d": ("contaminated", "gsm8k 7: 0.76")}),
        ({"withdrawals": [withdrawal("b", "takedown", 1)]}, {"b": ("withdrawn_takedown", None)}),
        ({"withdrawals": [withdrawal("a", "takedown", 1), withdrawal("a", None, 2)]}, {}),
        ({"sources": BOTH, "withdrawals": [withdrawal("a", "takedown", 1)]}, {"a": ("withdrawn_takedown", None)}),
    ],
)
def test_excluded_each_document_has_the_first_reason_that_holds(given: dict, wanted: dict) -> None:
    assert found(**given) == {"b": ("too_few_words", "7")} | wanted


def test_standing_the_last_word_on_a_document_counts() -> None:
    said = rows(WITHDRAWALS, withdrawal("x", "takedown", 3), withdrawal("x", None, 2), withdrawal("y", None, 1))
    assert standing(said).rows() == [("x", "takedown")]


def test_verdicts_have_the_columns_of_the_table() -> None:
    out = verdicts(pl.DataFrame({"doc_id": ["a"], "corpus": ["c"], "snapshot": ["s"], "reason": ["superseded"]}))
    assert out.schema == VERDICTS.schema
    assert out.row(0, named=True)["tier"] == "l1"
