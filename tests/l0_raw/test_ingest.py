"""Ingest into a lake: what is known is skipped, what changed adds rows, and what lies in the wrong place is told."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from algorithms.superseded import superseded
from resources.lake import Lake
from tests.l0_raw.samples import LINES, PAGE
from tier_assets.l0_raw.batches import read_batches
from tier_assets.l0_raw.ingest import SETTLED_S, Landed, ingest, landing_folder, register_landing

NEWS = {"corpus": "news", "snapshot": "2024", "licence": None, "format": "auto", "link": False}


def write(path: Path, data: bytes, age_s: float = 2 * SETTLED_S) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    then = path.stat().st_mtime - age_s
    os.utime(path, (then, then))
    return path


def uris(lake: Lake) -> list[str]:
    return lake.scan("sources").sort("registered_at").collect()["uri"].to_list()


def test_ingest_again_adds_only_what_changed_and_the_older_version_is_superseded(lake: Lake, tmp_path: Path) -> None:
    write(tmp_path / "in" / "a.jsonl", LINES)
    write(tmp_path / "in" / "b.html", PAGE)
    first = ingest(lake, tmp_path / "in", **NEWS)
    assert len(first) == 2
    assert ingest(lake, tmp_path / "in", **NEWS).is_empty()
    write(tmp_path / "in" / "a.jsonl", LINES + b'{"text": "three"}\n')
    again = ingest(lake, tmp_path / "in", **NEWS)
    assert again["uri"].to_list() == ["a.jsonl"]
    assert superseded(lake.scan("sources").collect()).to_list() == first.filter(uri="a.jsonl")["source_id"].to_list()
    [batch] = read_batches(again.with_columns(path=pl.lit(str(landing_folder(lake) / "news/2024/a.jsonl"))), seen=())
    assert len(batch.rows) == 3
    assert len(ingest(lake, tmp_path / "in", **NEWS | {"snapshot": "2025"})) == 2
    assert len(superseded(lake.scan("sources").collect())) == 1


def test_landing_folder_is_registered_once_and_anew_where_a_file_changed(lake: Lake) -> None:
    file = write(landing_folder(lake) / "news" / "2024" / "a.txt", b"one")
    assert register_landing(lake) == Landed({"news@2024": 1}, [])
    assert register_landing(lake) == Landed({}, [])
    write(file, b"other", age_s=-60)
    assert register_landing(lake) == Landed({}, [])  # still being written
    write(file, b"other")
    assert register_landing(lake) == Landed({"news@2024": 1}, [])
    assert uris(lake) == ["a.txt", "a.txt"]
    assert len(superseded(lake.scan("sources").collect())) == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.txt", "a file here is in no corpus and snapshot; move it to landing/<corpus>/<snapshot>/"),
        ("news/a.txt", "a file here is in no corpus and snapshot; move it to landing/news/<snapshot>/"),
    ],
)
def test_file_above_a_snapshots_folder_is_left_alone_with_the_reason(lake: Lake, name: str, reason: str) -> None:
    write(landing_folder(lake) / name, b"one")
    write(landing_folder(lake) / ".hidden", b"one")
    write(landing_folder(lake) / "news" / "2024" / "b.txt", b"two")
    assert register_landing(lake) == Landed({"news@2024": 1}, [(name, reason)])
    assert uris(lake) == ["b.txt"]


def test_folder_of_a_name_that_is_not_allowed_is_left_alone_with_the_reason(lake: Lake) -> None:
    write(landing_folder(lake) / "Old News" / "2024" / "a.txt", b"one")
    [(name, reason)] = register_landing(lake).refused
    assert name == "Old News/2024"
    assert reason.startswith("corpus 'Old News' is no valid name")
