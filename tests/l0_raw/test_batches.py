"""From sources to rows: every entry is a row, a verdict or a count; nothing is read twice."""

import gzip
import hashlib
from pathlib import Path

import polars as pl
import pytest

from tests.l0_raw.samples import TREE, zip_of
from tier_assets.l0_raw.batches import Batch, read_batches
from tier_assets.l0_raw.records import mint_doc_id
from tier_assets.l0_raw.register import register
from tier_tables import L0_RAW, SOURCES, VERDICTS

LINES = b'{"text": "one"}\n\n[1]\n{"text": "two"}\n'


def sources(folder: Path, files: dict[str, bytes], format: str = "auto") -> pl.DataFrame:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return register(
        folder,
        corpus="c",
        snapshot="s",
        licence="CC0",
        format=format,
        link=True,
        landing=folder / "landing",
        registered=SOURCES.empty(),
    )


def read(frame: pl.DataFrame, seen: frozenset[str] = frozenset(), batch_bytes: int = 1 << 20) -> list[Batch]:
    return list(read_batches(frame, seen=seen, batch_bytes=batch_bytes))


def reasons(batches: list[Batch]) -> list[str]:
    return [reason for batch in batches for reason in batch.verdicts["reason"]]


def test_read_batches_gives_rows_verdicts_and_counts(tmp_path):
    frame = sources(tmp_path, {"a.jsonl": LINES, "b.txt": b"three", "c.png": b"\x89PNG..."})
    [batch] = read(frame)
    assert batch.rows.schema == L0_RAW.schema
    assert batch.verdicts.schema == VERDICTS.schema
    assert batch.rows["uri"].to_list() == ["a.jsonl#1", "a.jsonl#4", "b.txt"]
    assert batch.rows["raw"].to_list() == [b'{"text": "one"}', b'{"text": "two"}', b"three"]
    assert batch.rows["num_bytes"].to_list() == [15, 15, 5]
    assert batch.rows["raw_sha256"][2] == hashlib.sha256(b"three").hexdigest()
    assert batch.rows["source_id"].to_list() == [frame["source_id"][n] for n in (0, 0, 1)]
    assert batch.rows["doc_id"][2] == mint_doc_id("c", "s", "b.txt", 0, batch.rows["raw_sha256"][2])
    assert batch.verdicts.select("tier", "corpus", "snapshot", "reason").rows() == [
        ("l0", "c", "s", "not_json_object"),
        ("l0", "c", "s", "unknown_format"),
    ]
    assert batch.verdicts["detail"][0] == "a.jsonl#3: a list"
    assert batch.skipped == {"blank_line": 1}


@pytest.mark.parametrize(("named", "expected"), [("CC0", "CC0"), (None, "see p-1.0/LICENSE")])
def test_licence_named_at_ingest_goes_before_that_of_the_archive(tmp_path, named, expected):
    frame = sources(tmp_path, {"f.zip": zip_of(TREE)}).with_columns(licence=pl.lit(named, pl.String))
    [batch] = read(frame)
    assert set(batch.rows["licence"]) == {expected}


def test_read_batches_again_gives_the_same_ids_and_nothing_that_was_seen(tmp_path):
    frame = sources(tmp_path, {"a.jsonl": LINES, "b.txt": b"three"})
    [batch] = read(frame)
    seen = frozenset(batch.rows["doc_id"]) | frozenset(batch.verdicts["doc_id"])
    assert len(seen) == 4
    [again] = read(frame, seen)
    assert (len(again.rows), len(again.verdicts)) == (0, 0)
    assert again.skipped == {"already_seen": 4, "blank_line": 1}


def test_one_file_registered_twice_gives_its_records_once(tmp_path):
    frame = sources(tmp_path, {"a.txt": b"one"})
    [batch] = read(pl.concat([frame, frame]))
    assert len(batch.rows) == 1
    assert batch.skipped == {"already_seen": 1}


def test_read_batches_closes_a_batch_at_its_bytes(tmp_path):
    frame = sources(tmp_path, {f"{n}.txt": bytes([97 + n]) * 3000 for n in range(10)})
    batches = read(frame, batch_bytes=10_000)
    assert [len(batch.rows) for batch in batches] == [3, 3, 3, 1]


def test_source_that_is_gone_or_changed_is_a_verdict_and_the_others_are_read(tmp_path):
    frame = sources(tmp_path, {"a.txt": b"one", "b.txt": b"two", "c.txt": b"three"})
    (tmp_path / "a.txt").unlink()
    (tmp_path / "b.txt").write_bytes(b"other")
    batches = read(frame)
    assert reasons(batches) == ["source_missing", "source_changed"]
    assert batches[0].rows["uri"].to_list() == ["c.txt"]


def test_verdict_on_a_gone_source_never_takes_the_id_of_its_record(tmp_path):
    frame = sources(tmp_path, {"a.txt": b"one"})
    [before] = read(frame)
    (tmp_path / "a.txt").unlink()
    [after] = read(frame)
    assert set(before.rows["doc_id"]).isdisjoint(after.verdicts["doc_id"])


def test_every_entry_of_bad_files_is_accounted_for(tmp_path):
    files = {
        "cut.jsonl.gz": gzip.compress(LINES * 100)[:-8],
        "empty.html": b"",
        "utf8.jsonl": b'{"text": "\xff"}\n{"text": "ok"}\n',
        "nul.txt": b"a\x00b" * 10 + b"words and words" * 10,
        "bad.parquet": b"PAR1....",
    }
    [batch] = read(sources(tmp_path, files))
    assert batch.verdicts["reason"].value_counts().sort("reason").rows() == [
        ("damaged", 1),
        ("empty_file", 1),
        ("invalid_utf8", 1),
        ("not_json_object", 100),
        ("truncated", 1),
    ]
    assert len(batch.rows) == 200 + 1 + 1
    assert batch.skipped == {"blank_line": 100}


def test_no_sources_give_no_batches():
    assert read(SOURCES.empty()) == []
