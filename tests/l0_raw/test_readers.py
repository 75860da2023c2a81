"""Every format read back: a table of files and the records they hold; detection; offsets; bad input."""

import bz2
import gzip
import hashlib
import json
import lzma
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tests.l0_raw.samples import LINES, MAIL, PAGE, pdf
from tier_assets.l0_raw.readers import FORMATS, READERS, detect_format, read_source
from tier_assets.l0_raw.records import (
    RECORD_LIMIT,
    BadRecord,
    Record,
    Skipped,
    mint_doc_id,
)
from tier_assets.l0_raw.streams import DamagedStream, chunks


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def parquet(folder: Path, columns: dict[str, list], **options) -> Path:
    path = folder / "rows.parquet"
    pq.write_table(pa.table(columns), path, **options)
    return path


def records(path: Path, format: str = "auto", uri: str = "f") -> list[tuple[str, str | None, bytes, int]]:
    entries = list(read_source(path, format, uri))
    assert all(isinstance(e, Record) for e in entries), entries
    return [(e.uri, e.content_type, e.raw, e.byte_offset) for e in entries if isinstance(e, Record)]


def bad(path: Path, format: str = "auto") -> list[tuple[str, str, int]]:
    return [(e.uri, e.reason, e.byte_offset) for e in read_source(path, format, "f") if isinstance(e, BadRecord)]


@pytest.mark.parametrize(
    ("name", "data", "format", "expected"),
    [
        ("page.html", PAGE, "html", [("f", "text/html", PAGE, 0)]),
        ("page", b"<!-- x -->\n<HTML>hi", "html", [("f", "text/html", b"<!-- x -->\n<HTML>hi", 0)]),
        ("page.htm", b"<p>no doctype", "html", [("f", "text/html", b"<p>no doctype", 0)]),
        ("utf16.html", PAGE.decode().encode("utf-16"), "html", [("f", "text/html", PAGE.decode().encode("utf-16"), 0)]),
        ("page.html.gz", gzip.compress(PAGE), "html", [("f", "text/html", PAGE, 0)]),
        ("42.mail", MAIL, "mail", [("f", "message/rfc822", MAIL, 0)]),
        ("a.txt", b"plain words", "text", [("f", "text/plain", b"plain words", 0)]),
        ("nul.txt", b"a NUL \x00 in a text", "text", [("f", "text/plain", b"a NUL \x00 in a text", 0)]),
        ("latin.txt", b"caf\xe9", "text", [("f", "text/plain", b"caf\xe9", 0)]),
        ("note", b"Title: x\nDate: y\n\nno mail", "text", [("f", "text/plain", b"Title: x\nDate: y\n\nno mail", 0)]),
        ("doc.json", b'{\n "a": 1\n}', "json", [("f", "application/json", b'{\n "a": 1\n}', 0)]),
        ("array", b"[1, 2]", "json", [("f", "application/json", b"[1, 2]", 0)]),
        ("a.pdf", pdf(), "pdf", [("f", "application/pdf", pdf(), 0)]),
        ("rise.rs", b"fn rise() {}", "code", [("f", "text/x-source", b"fn rise() {}", 0)]),
        (
            "rows.jsonl",
            LINES,
            "jsonl",
            [("f#1", "application/json", b'{"text": "one"}', 0), ("f#2", "application/json", b'{"text": "two"}', 16)],
        ),
        (
            "box",
            b"From a@x Thu Aug 22 12:36:23 2002\n" + MAIL + b"\nFrom b@x Fri Aug 23 12:36:23 2002\n" + MAIL,
            "mbox",
            [("f#1", "message/rfc822", MAIL[:-1], 34), ("f#2", "message/rfc822", MAIL[:-1], 34 + len(MAIL) + 35)],
        ),
    ],
)  # fmt: skip
def test_read_file_of_each_format_gives_its_records(tmp_path, name, data, format, expected):
    path = written(tmp_path, name, data)
    assert detect_format(path) == format
    assert records(path) == expected


@pytest.mark.parametrize(
    "compress", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress], ids=["gz", "bz2", "xz", "zst"]
)
def test_jsonl_compressed_in_two_members_reads_as_one(tmp_path, compress):
    path = written(tmp_path, "rows", compress(LINES) + compress(b'{"text": "three"}'))
    assert detect_format(path) == "jsonl"
    assert [(r[0], r[3]) for r in records(path)] == [("f#1", 0), ("f#2", 16), ("f#3", 32)]


def test_jsonl_offsets_point_at_the_lines_in_the_decompressed_stream(tmp_path):
    rows = b"".join(json.dumps({"text": "x" * n}).encode() + b"\n" for n in range(0, 90_000, 997))
    path = written(tmp_path, "rows.jsonl.gz", gzip.compress(rows))
    for _, _, raw, offset in records(path):
        assert rows[offset : offset + len(raw)] == raw
        assert rows[offset + len(raw) : offset + len(raw) + 1] == b"\n"


def test_mbox_offsets_point_at_the_mails(tmp_path):
    box = b"".join(b"From a@x Thu Aug 22 12:36:23 2002\r\n" + MAIL.replace(b"\n", b"\r\n") + b"\r\n" for _ in range(3))
    path = written(tmp_path, "box", box)
    found = records(path)
    assert len(found) == 3
    assert all(box[offset : offset + len(raw)] == raw and raw.startswith(b"From: ") for _, _, raw, offset in found)


def test_parquet_with_a_text_column_gives_rows_as_json(tmp_path):
    columns = {"text": ["one", "zwö"], "date": [datetime(2024, 1, 2, tzinfo=UTC), None], "blob": [b"\xff", b"ok"]}
    path = parquet(tmp_path, columns)
    assert detect_format(path) == "parquet"
    first, second = records(path)
    assert (first[0], first[1], first[3], second[3]) == ("f#1", "application/json", 0, 1)
    assert json.loads(first[2]) == {"text": "one", "date": "2024-01-02 00:00:00+00:00", "blob": "/w=="}
    assert json.loads(second[2]) == {"text": "zwö", "date": None, "blob": "ok"}


def test_parquet_with_one_column_of_strings_gives_its_text(tmp_path):
    path = parquet(tmp_path, {"answer": ["one", "two"], "n": [1, 2]}, row_group_size=1)
    assert records(path) == [("f#1", "text/plain", b"one", 0), ("f#2", "text/plain", b"two", 1)]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"n": [1, 2]}, [("f", "no_text_column", -1)]),
        ({"a": ["x"], "b": ["y"]}, [("f", "no_text_column", -1)]),
        ({"text": ["x", None], "n": [1, 2]}, [("f#2", "no_text", 1)]),
    ],
)
def test_parquet_without_text_gives_verdicts(tmp_path, columns, expected):
    assert bad(parquet(tmp_path, columns)) == expected


def test_parquet_row_with_a_string_that_is_no_utf8_is_a_verdict_and_the_others_stay(tmp_path):
    path = parquet(tmp_path, {"text": ["one", "two", "zzz"]}, compression="none", use_dictionary=False)
    path.write_bytes(path.read_bytes().replace(b"two", b"\xfftw", 1))
    assert bad(path) == [("f#2", "invalid_utf8", 1)]
    assert sum(isinstance(e, Record) for e in read_source(path, "auto", "f")) == 2


def test_parquet_with_a_broken_row_group_keeps_the_others(tmp_path):
    path = parquet(tmp_path, {"text": ["a" * 5000 + str(n) for n in range(30)], "n": range(30)}, row_group_size=10)
    data = bytearray(path.read_bytes())
    middle = pq.ParquetFile(path).metadata.row_group(1).column(0)
    start = middle.dictionary_page_offset or middle.data_page_offset
    data[start : start + middle.total_compressed_size] = b"\xff" * middle.total_compressed_size
    path.write_bytes(data)
    entries = list(read_source(path, "parquet", "f"))
    assert [e.byte_offset for e in entries if isinstance(e, Record)] == [*range(10), *range(20, 30)]
    assert [(e.reason, e.byte_offset) for e in entries if isinstance(e, BadRecord)] == [("damaged", 10)]


BAD_INPUT = [
    # format, bytes, (good records, [(uri, reason, offset)])
    ("auto", b"", (0, [("f", "empty_file", -1)])),
    ("html", b"", (0, [("f", "empty_file", -1)])),
    ("auto", b"\x89PNG\r\n\x1a\n0000", (0, [("f", "unknown_format", -1)])),
    ("auto", b"\x00\x01\x02\x03" * 100, (0, [("f", "unknown_format", -1)])),
    ("jsonl", LINES + b"[1, 2]\n" + LINES, (4, [("f#3", "not_json_object", 32)])),
    ("jsonl", b"null\n" + LINES, (2, [("f#1", "not_json_object", 0)])),
    ("jsonl", LINES + b'{"text": \n', (2, [("f#3", "not_json", 32)])),
    ("jsonl", b'{"text": "\xff"}\n' + LINES, (2, [("f#1", "invalid_utf8", 0)])),
    ("jsonl", b'{"text": "\x00"}\n' + LINES, (2, [("f#1", "not_json", 0)])),
    ("jsonl", b"[" * 100_000 + b"\n" + LINES, (2, [("f#1", "not_json", 0)])),
    ("jsonl", b'{"n": ' + b"9" * 5000 + b"}\n" + LINES, (2, [("f#1", "not_json", 0)])),
    ("jsonl", LINES + b'{"text": "cut', (2, [("f#3", "not_json", 32)])),
    ("jsonl", gzip.compress(LINES)[:-9], (2, [("f#3", "truncated", 32)])),
    ("jsonl", gzip.compress(LINES) + b"garbage", (2, [("f#3", "damaged", 32)])),
    ("jsonl", gzip.compress(LINES) + b"\0" * 512, (2, [])),
    ("jsonl", zstandard.compress(LINES) + zstandard.compress(LINES)[:-1], (2, [("f#3", "truncated", 32)])),
    ("jsonl", b"\x1f\x8b\x08", (0, [("f#1", "truncated", 0)])),
    ("jsonl", b"\n\r\n  \n" + LINES, (2, [])),
    ("json", b"{", (0, [("f", "not_json", 0)])),
    ("html", gzip.compress(PAGE)[:20], (0, [("f", "truncated", 0)])),
    ("parquet", b"PAR1 and nothing", (0, [("f", "damaged", -1)])),
    ("warc", b"not a WARC\r\n" * 100, (0, [("f#0", "damaged", 0)])),
    ("warc", b" ", (0, [("f#0", "damaged", 0)])),
    ("mbox", b"no From line\n", (1, [])),
    ("mbox", b"From a@x Thu Aug 22 12:36:23 2002\n", (0, [("f#1", "empty_mail", 34)])),
    ("mbox", gzip.compress(b"From a@x Thu Aug 22 12:36:23 2002\n" + MAIL)[:-4], (0, [("f#1", "truncated", 34)])),
]


@pytest.mark.parametrize(("format", "data", "expected"), BAD_INPUT)
def test_bad_input_is_a_verdict_and_good_records_stay(tmp_path, format, data, expected):
    path = written(tmp_path, "f", data)
    entries = list(read_source(path, format, "f"))
    found = [(e.uri, e.reason, e.byte_offset) for e in entries if isinstance(e, BadRecord)]
    assert (sum(isinstance(e, Record) for e in entries), found) == expected


def test_read_missing_file_or_folder_gives_one_verdict(tmp_path):
    assert bad(tmp_path / "gone", "html") == [("f", "source_missing", -1)]
    assert bad(tmp_path, "html") == [("f", "source_unreadable", -1)]


@pytest.mark.parametrize("format", ["jsonl", "text", "mbox", "html", "json"])
def test_line_of_200_mb_is_too_large_and_held_never_whole(tmp_path, format):
    line = b'{"text": "' + b"x" * (200 * 1024 * 1024) + b'"}'
    path = written(tmp_path, "long", line + b"\n" + LINES)
    tracemalloc.start()
    entries = list(read_source(path, format, "f"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * RECORD_LIMIT
    assert isinstance(entries[0], BadRecord)
    assert entries[0].reason == "record_too_large"
    if format == "jsonl":
        assert entries[0].raw_sha256 == hashlib.sha256(line).hexdigest()
        assert len(entries) == 3


def test_decompression_bomb_is_a_verdict(tmp_path):
    with gzip.open(tmp_path / "bomb.gz", "wb") as file:
        for _ in range(300):
            file.write(b"\0" * (1024 * 1024))
    assert bad(tmp_path / "bomb.gz", "text") == [("f", "decompression_bomb", 0)]


def test_xz_that_asks_for_more_memory_than_is_allowed_is_a_verdict(tmp_path):
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 256 * 1024 * 1024}]
    path = written(tmp_path, "f.txt.xz", lzma.compress(b"words", preset=None, filters=filters))
    assert bad(path, "text") == [("f", "damaged", 0)]


def test_chunks_of_a_damaged_stream_hand_on_all_before_the_damage(tmp_path):
    data = b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(20_000))
    path = written(tmp_path, "f", gzip.compress(data)[:-1000])
    parts: list[bytes] = []
    with pytest.raises(DamagedStream, match="ends early"):
        parts.extend(chunks(path))
    found = b"".join(parts)
    assert data.startswith(found)
    assert len(found) > len(data) - 3000


def test_blank_lines_are_counted(tmp_path):
    path = written(tmp_path, "f", b"\n" + LINES + b"\n")
    assert [e for e in read_source(path, "jsonl", "f") if isinstance(e, Skipped)] == [Skipped("blank_line")] * 2


def test_unknown_format_names_the_bad_value_and_the_good_ones(tmp_path):
    with pytest.raises(ValueError, match=r"unknown format 'docx'; known: auto, arc, code, compressed, csv"):
        read_source(tmp_path, "docx", "f")


def test_formats_are_the_readers_a_user_may_name():
    assert {reader.name for reader in READERS} - {"other"} == set(FORMATS)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("rows.json", LINES, "jsonl"),
        ("one.json", b'{"text": "one"}\n', "json"),
        ("one", b'{"text": "one"}\n', "jsonl"),
        ("rows.jsonl", b"not json\n" + LINES, "jsonl"),
        ("rows.txt", LINES, "jsonl"),
        ("long.jsonl", b'{"text": "' + b"x" * 100_000 + b'"}', "jsonl"),
        ("long", b'{"text": "' + b"x" * 100_000 + b'"}', "jsonl"),
        ("long", b'[\n{"text": "' + b"x" * 100_000 + b'"}]', "json"),
        ("table", b"id\ttext\n" + b"1\tx\n" * 9, "csv"),
        ("table.csv", b"a;b\n", "csv"),
        ("poem.txt", b"The river, it rose\n" * 9, "text"),
        ("feed", b"<?xml version='1.0'?><rss/>", "xml"),
        ("page", b"<?xml version='1.0'?><html/>", "html"),
        ("d.dict.dz", gzip.compress(b"words"), "dictd"),
        ("Makefile", b"all:\n\ttrue\n", "code"),
        ("run", b"#!/usr/bin/env python3\nimport os\n", "code"),
        ("empty.zip", b"PK\x05\x06" + bytes(18), "zip"),
        ("banner.pdf", b"made by x\n%PDF-1.4", "pdf"),
        ("page.txt", PAGE, "html"),
        ("page.html", b"no tags at all", "text"),
        ("readme.md", b"# Title", "text"),
        ("from.txt", b"From the sea to the hills in 1999\nwe walked", "text"),
        ("data.html", b"\x89PNG\r\n\x1a\n<", "other"),
        ("x.gz", gzip.compress(gzip.compress(PAGE)), "compressed"),
    ],
)
def test_format_is_found_by_content(tmp_path, name, data, expected):
    assert detect_format(written(tmp_path, name, data)) == expected


def test_doc_id_differs_by_each_of_its_parts():
    parts = ["news", "2024", "a", 0, "ab"]
    other = ["mail", "2025", "b", 1, "cd"]
    ids = {mint_doc_id(*parts)} | {mint_doc_id(*parts[:n], other[n], *parts[n + 1 :]) for n in range(5)}
    assert len(ids) == 6
    assert all(len(doc_id) == 32 for doc_id in ids)
