"""The report: one page, offline, escaped, with what failed and where."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from _small_lake import MAIL, NEWS, plant

from quality_checks.judge import check_names, judge_partition, record
from quality_checks.report import write_report
from resources.lake import Lake


class Page(HTMLParser):
    """Collects tags, attributes that load something, and the text of table rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.open: list[str] = []
        self.rows: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [f"{name}={value}" for name, value in attrs if name in ("src", "href", "action", "background")]
        if tag != "meta":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "tr" in self.open:
            self.rows[-1] += data + "|"


def judged(lake: Lake, *tiers: str) -> Page:
    for partition in (NEWS, MAIL):
        for tier in tiers:
            record(lake, judge_partition(lake, tier, **partition), "test")
    return Page(write_report(lake).read_text(encoding="utf-8"))


def test_report_of_a_sound_lake_shows_each_tier_and_partition_passed(lake: Lake) -> None:
    page = judged(lake, "l0", "l1")
    l0, l1 = (f"✓ {len(check_names(tier))} passed|" for tier in ("l0", "l1"))
    assert f"mail@2024|{l0}{l1}not judged|not judged|not judged|" in page.rows
    assert f"news@2024|{l0}{l1}not judged|not judged|not judged|" in page.rows
    assert Path(lake.root, "reports", "checks.html").exists()
    assert not list(Path(lake.root, "reports").glob("*.tmp"))


def test_report_of_a_failure_names_check_keys_and_expectation(lake: Lake) -> None:
    plant(lake, "l1_filtered", lambda rows: rows.with_columns(num_words=pl.lit(0, pl.Int64)))
    page = judged(lake, "l1")
    (row,) = [r for r in page.rows if r.startswith("l1|news@2024|num_words_is_positive|")]
    assert row.startswith("l1|news@2024|num_words_is_positive|error|4|d0|, |d1|, |d2|, |d3|a text has a word [expect_")
    assert "found num_words=0" in row


def test_report_opens_offline_and_without_script(lake: Lake) -> None:
    page = judged(lake, "l1")
    text = Path(lake.root, "reports", "checks.html").read_text(encoding="utf-8")
    assert page.loads == []
    assert {"script", "link", "img", "iframe", "svg"} & set(page.tags) == set()
    assert re.findall(r"https?://|url\(|@import", text) == []
    assert page.open == []


def test_report_of_hostile_values_escapes_them(lake: Lake) -> None:
    hostile = "<script>alert('d1')</script>\"&"
    plant(lake, "l1_filtered", lambda rows: rows.with_columns(doc_id=pl.lit(hostile), num_words=pl.lit(0, pl.Int64)))
    page = judged(lake, "l1")
    assert "script" not in page.tags
    assert any(hostile in row for row in page.rows)


def test_report_of_a_partition_changed_since_says_so(lake: Lake) -> None:
    judged(lake, "l1")
    plant(lake, "l1_filtered", lambda rows: rows)
    page = Page(write_report(lake).read_text(encoding="utf-8"))
    passed = f"✓ {len(check_names('l1'))} passed|"
    assert f"news@2024|not judged|{passed} |(changed since)|not judged|not judged|not judged|" in page.rows
    assert f"mail@2024|not judged|{passed}not judged|not judged|not judged|" in page.rows


def test_report_of_an_unjudged_lake_says_so(tmp_path: Path) -> None:
    text = write_report(Lake(str(tmp_path / "lake")), tmp_path / "elsewhere.html").read_text(encoding="utf-8")
    assert "Nothing was judged yet" in text


def test_report_of_a_remote_lake_needs_a_path() -> None:
    with pytest.raises(ValueError, match="s3://bucket/lake is remote"):
        write_report(Lake("s3://bucket/lake"))
