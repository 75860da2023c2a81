"""Hostile files through ingest, L0 and L1: good records are kept, each bad one has a verdict, the run goes on."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl

from resources.lake import Lake
from tests.tier_assets.conftest import make, page
from tier_assets.l0_raw.ingest import ingest

HOSTILE = {"corpus": "hostile", "snapshot": "1"}


def write_hostile(folder: Path) -> None:
    """One file a misdeed; three of them hold a good record too."""
    folder.mkdir()
    good = json.dumps({"text": page(5)})
    (folder / "empty.jsonl").write_bytes(b"")
    (folder / "mixed.jsonl").write_text(f'{good}\n[1, 2]\n"text"\n{{"text": \n')
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress((json.dumps({"text": page(6)}) + "\n").encode() * 400)[:-40])
    (folder / "bytes.txt").write_bytes(page(7).encode() + b" \xff\xfe\xfa ends here.")
    (folder / "nul.txt").write_bytes(page(8).encode().replace(b" the ", b" the\x00 "))
    with (folder / "long.jsonl").open("w") as file:
        file.write(json.dumps({"text": page(9)}) + "\n" + '{"text": "')
        for _ in range(200):
            file.write("x" * (1 << 20))
        file.write('"}\n')
    (folder / "deep.html").write_text("<html><body>" + "<div>" * 100_000 + page(10) + "</body></html>")
    table = "<table><tr><td colspan=9007199254740991>a</td></tr></table>"
    (folder / "wide.html").write_text(f"<html><body><article><p>{page(11)}</p>{table}</article></body></html>")
    pl.DataFrame({"number": [1, 2]}).write_parquet(folder / "numbers.parquet")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    header = b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.test/\r\nContent-Length: 5000\r\n\r\n"
    (folder / "cut.warc").write_bytes(header + b"HTTP/1.1 200")


def test_hostile_files_good_records_are_kept_and_bad_ones_have_verdicts(lake: Lake, tmp_path: Path) -> None:
    write_hostile(tmp_path / "hostile")
    ingest(lake, tmp_path / "hostile", **HOSTILE, licence=None, format="auto", link=True)
    outcome = make(lake, to="l1")
    assert not outcome.problems
    texts = lake.scan("l1_filtered", HOSTILE).collect()["text"].to_list()
    for number in (5, 6, 7, 8, 9, 11):
        opening = f"was opened in {1850 + number} after"
        assert any(opening in text for text in texts), number
    found = lake.scan("verdicts", HOSTILE).collect()
    at_l0 = dict(found.filter(pl.col("tier") == "l0").group_by("reason").len().iter_rows())
    assert {"empty_file", "record_too_large", "no_text_column"} <= set(at_l0)
    assert at_l0.keys() & {"not_json", "not_json_object"} == {"not_json", "not_json_object"}
    assert at_l0.keys() & {"truncated", "damaged"}
    kept_or_judged = {*lake.scan("l1_filtered", HOSTILE).collect()["doc_id"], *found.filter(tier="l1")["doc_id"]}
    assert kept_or_judged == set(lake.scan("l0_raw", HOSTILE).collect()["doc_id"])
    assert not any("\x00" in text for text in texts)
