"""Metadata that the page shows: bars, funnels and samples in text."""

from __future__ import annotations

import dagster as dg
import polars as pl
import pytest

from resources.report import INLINE_CHARS, described, drop_reasons, funnel, histogram, materialisation
from resources.step import COUNTS

NOTHING = dict.fromkeys(COUNTS, 0)


def test_drop_reasons_of_three_are_bars_in_proportion() -> None:
    verdicts = pl.DataFrame({"reason": ["too_few_words", "exact_duplicate", "no_text"], "count": [50, 100, 1]})
    assert drop_reasons(verdicts).splitlines() == [
        "| reason | rows | |",
        "|---|---:|---|",
        "| exact_duplicate | 100 | ████████████████ |",
        "| too_few_words | 50 | ████████ |",
        "| no_text | 1 | ▏ |",
    ]


def test_drop_reasons_of_many_stay_inline_and_sum_up_the_rest() -> None:
    verdicts = pl.DataFrame({"reason": [f"{'too_' * 8}{n:02}" for n in range(40)], "count": list(range(1, 41))})
    drawn = drop_reasons(verdicts)
    assert len(drawn) < INLINE_CHARS
    rows = [line.split("|")[1:3] for line in drawn.splitlines()[2:]]
    assert rows[-1][0].strip() == f"{40 - (len(rows) - 1)} more"
    assert sum(int(count) for _, count in rows) == sum(range(1, 41))


def test_drop_reasons_of_none_say_so() -> None:
    assert drop_reasons(pl.DataFrame({"reason": [], "count": []})) == "nothing was dropped"


def test_histogram_of_few_values_has_a_bar_each() -> None:
    assert histogram(pl.Series("confidence", [0.9, 0.8, 0.8, None])).splitlines()[2:] == [
        "| 0.8 | 2 | ████████████████ |",
        "| 0.9 | 1 | ████████ |",
    ]


def test_histogram_of_many_values_has_equal_bins() -> None:
    drawn = histogram(pl.Series([number / 24 for number in range(25)])).splitlines()[2:]
    assert [line.split("|")[2].strip() for line in drawn] == ["2"] * 11 + ["3"]
    assert drawn[0].startswith("| 0 – 0.0833 |")


@pytest.mark.parametrize("scores", [[0.0, 0.5, 1.0], [2.0, 2.0], [-1e6, 1e6, None], [n / 7 - 1e6 for n in range(99)]])
def test_histogram_counts_every_score_and_stays_inline(scores: list[float | None]) -> None:
    drawn = histogram(pl.Series(scores))
    assert len(drawn) < INLINE_CHARS
    assert sum(int(line.split("|")[2]) for line in drawn.splitlines()[2:]) == sum(s is not None for s in scores)


@pytest.mark.parametrize(
    ("counts", "last"),
    [
        ({"rows_in": 9, "rows_kept": 9}, "| rows | 9 | 9 | 0 |"),  # L0 has no text to count: no line of tokens
        ({"rows_in": 9, "rows_kept": 8, "rows_rejected": 1, "tokens_in": 700, "tokens_kept": 700},
         "| tokens | – | 700 | – |"),  # L1 does not count what its rules reject
        ({"rows_in": 9, "rows_kept": 9, "tokens_in": 700, "tokens_kept": 700}, "| tokens | 700 | 700 | 0 |"),
        ({"rows_in": 9, "rows_kept": 8, "rows_rejected": 1, "tokens_in": 7000, "tokens_kept": 6000,
          "tokens_rejected": 1000}, "| tokens | 7,000 | 6,000 | 1,000 |"),
    ],
)  # fmt: skip
def test_funnel_tokens_not_counted_are_dashes(counts: dict[str, int], last: str) -> None:
    assert funnel(NOTHING | counts).splitlines()[-1] == last


def test_samples_of_long_text_are_cut_to_one_line() -> None:
    samples = pl.DataFrame({"title": ["On bridges"], "num_tokens": [9], "text": ["iron\nand stone " * 50]})
    shown = materialisation(NOTHING, pl.DataFrame({"reason": [], "count": []}), samples)["samples"]
    assert isinstance(shown, dg.TableMetadataValue)
    (record,) = shown.records
    assert record.data["title"] == "On bridges"
    assert record.data["num_tokens"] == 9
    text = record.data["text"]
    assert isinstance(text, str)
    assert text.startswith("iron and stone iron")
    assert text.endswith("…")
    assert len(text) == 201


def test_described_table_lists_its_columns_with_their_meaning() -> None:
    schema = described("l1_filtered")["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)
    title, edits = (next(c for c in schema.columns if c.name == name) for name in ("title", "edits"))
    assert (title.type, title.constraints.nullable) == ("String", True)
    assert title.description == "title, where the source has one"
    assert (edits.type, edits.constraints.nullable) == ("List(Struct)", False)
