"""A batch through L1: every row in is kept or has a verdict, whatever its bytes."""

from __future__ import annotations

import json

import polars as pl
import pytest

from resources.workers import Workers
from tier_assets.l1_filtered.clean import Edit, apply_edits
from tier_assets.l1_filtered.extract import extract
from tier_assets.l1_filtered.filter import filter_batch
from tier_assets.l1_filtered.try_stages import try_dedup, try_extract, try_judge
from tier_tables import L1_TEXTS

MAIL = b"Subject: Meeting\n\nShall we meet on Tuesday at ten in the cafe by the river?\nScha\xcc\x88fer\n\n\n\n\nBob\n"
JSON = json.dumps({"title": "T", "text": "The river rose in the night and the bridge was closed to all traffic."})
LONG = b"<html><body>" + b"<p>Some words of a page without end.</p>" * 200_000


@pytest.fixture(scope="module")
def pool():
    with Workers(num_workers=1, cpu_s=10.0, memory_bytes=1 << 30) as workers:
        yield workers


def batch(*records: tuple[bytes, str | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "doc_id": [f"d{number}" for number in range(len(records))],
            "corpus": "c",
            "snapshot": "s",
            "source_id": "f",
            "licence": pl.Series([None] * len(records), dtype=pl.String),
            "uri": "u",
            "content_type": pl.Series([kind for _, kind in records], dtype=pl.String),
            "raw": pl.Series([raw for raw, _ in records], dtype=pl.Binary),
        }
    )


def test_filter_batch_good_and_bad_rows_are_kept_or_have_a_verdict(pool):
    raw = batch(
        (MAIL, "message/rfc822"),
        (JSON.encode(), "application/json"),
        (b"\x89PNG", "image/png"),
        (b"", None),
        (b"too short", "text/plain"),
    )
    rows = filter_batch(raw, pool)
    assert rows.schema == L1_TEXTS.schema
    assert rows.select("doc_id", "reason").rows() == [
        ("d0", None),
        ("d1", None),
        ("d2", "not_text"),
        ("d3", "empty_text"),
        ("d4", "too_few_words"),
    ]
    assert rows["text"].is_null().to_list() == [False, False, True, True, False]  # what a rule rejects can be read
    assert rows["rule_margin"].is_null().to_list() == [False, False, True, True, True]
    assert rows["sketch"].is_null().to_list() == [False, False, True, True, True]


def test_filter_batch_page_beyond_its_cpu_seconds_is_a_verdict():
    with Workers(num_workers=1, cpu_s=1.0) as quick:
        filtered = filter_batch(batch((LONG, "text/html"), (JSON.encode(), "application/json")), quick)
    assert filtered.select("doc_id", "reason").rows() == [("d0", "timed_out"), ("d1", None)]


def test_filter_batch_row_counts_and_edits_match_its_text(pool):
    row = filter_batch(batch((MAIL, "message/rfc822")), pool).row(0, named=True)
    assert (row["title"], row["extractor"], row["language"], row["source_id"]) == ("Meeting", "mail_plain", "en", "f")
    assert row["text"].endswith("Schäfer\n\nBob")
    assert (row["num_chars"], row["num_words"]) == (len(row["text"]), len(row["text"].split()))
    assert 0 < row["num_tokens"] < row["num_chars"]
    edits = [Edit(**edit) for edit in row["edits"]]
    assert apply_edits(extract(MAIL, "message/rfc822", None).text, edits) == row["text"]


def test_filter_batch_no_rows_give_no_rows(pool):
    assert filter_batch(batch(), pool).schema == L1_TEXTS.schema
    assert filter_batch(batch(), pool).height == 0


def test_filter_batch_without_its_columns_is_refused(pool):
    with pytest.raises(ValueError, match="misses columns"):
        filter_batch(pl.DataFrame({"doc_id": ["a"]}), pool)


def test_try_extract_lines_keep_id_and_order():
    page = f"<html><title>A</title><body><p>{'The river rose in the night. ' * 9}</p></body></html>"
    out = list(try_extract(iter([{"id": 1, "html": page}, {"id": 2}, {"id": 3, "html": ""}])))
    assert [line["id"] for line in out] == [1, 2, 3]
    assert out[0]["title"] == "A"
    assert out[0]["text"].startswith("The river rose")
    assert [line.get("error") for line in out] == [None, "expected a string in the field 'html'", "empty_text"]


def test_try_judge_lines_say_keep_and_reason():
    out = list(try_judge(iter([{"id": "a", "text": "short"}, {"id": "b", "text": None}])))
    assert out[0] == {"id": "a", "keep": False, "reason": "too_few_words", "margin": None}
    assert (out[1]["id"], out[1]["keep"], "error" in out[1]) == ("b", False, True)


def test_try_dedup_lines_name_the_line_kept():
    lines = [{"id": 7, "text": "One two"}, {"id": 8}, {"id": 7, "text": "x"}, {"id": 9, "text": "one two!"}]
    out = list(try_dedup(iter(lines)))
    assert [(line["id"], line["kept_id"], line["similarity"]) for line in out] == [
        (7, 9, 1.0),
        (8, 8, None),
        (7, 7, 1.0),
        (9, 9, 1.0),
    ]
