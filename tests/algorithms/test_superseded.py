"""Superseded versions: all of a uri but the last registered, the same by Polars and by the SQL in the docstring."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms import superseded as module
from algorithms.superseded import superseded

START = datetime(2024, 5, 1, tzinfo=UTC)
SCHEMA = {
    "source_id": pl.String,
    "corpus": pl.String,
    "snapshot": pl.String,
    "uri": pl.String,
    "registered_at": pl.Datetime("us", "UTC"),
}


def sources(*rows: tuple[str, str, str, str, int]) -> pl.DataFrame:
    return pl.DataFrame([(*row[:4], START + timedelta(hours=row[4])) for row in rows], SCHEMA, orient="row")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], []),
        ([("a", "c", "s", "x", 0)], []),
        ([("a", "c", "s", "x", 0), ("b", "c", "s", "x", 1)], ["a"]),
        ([("b", "c", "s", "x", 1), ("a", "c", "s", "x", 0), ("c", "c", "s", "x", 2)], ["a", "b"]),
        ([("a", "c", "s", "x", 0), ("b", "c", "s", "y", 1)], []),
        ([("a", "c", "s", "x", 0), ("b", "c", "t", "x", 1), ("d", "e", "s", "x", 1)], []),
        ([("a", "c", "s", "x", 0), ("b", "c", "s", "x", 0)], ["a"]),
    ],
)
def test_superseded_versions_are_all_but_the_last_of_a_uri(rows, expected):
    assert superseded(sources(*rows)).to_list() == expected


names = st.sampled_from("ab")


@given(st.lists(st.tuples(names, names, names, st.integers(0, 4)), max_size=20))
def test_superseded_is_the_query_in_its_docstring(places):
    frame = sources(*((f"{n:02}", *place) for n, place in enumerate(places)))
    query = re.search(r"SELECT .*", module.__doc__ or "", re.DOTALL).group()
    with duckdb.connect() as connection:
        found = connection.register("sources", frame.to_arrow()).execute(query).fetchall()
    assert superseded(frame).to_list() == sorted(source_id for (source_id,) in found)
