"""WARC: which records become rows, where they start, and what is kept of a broken file."""

import gzip
import io
import random
import tracemalloc
import zlib
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard
from fastwarc.warc import ArchiveIterator

from tier_assets.l0_raw.readers import detect_format, read_source
from tier_assets.l0_raw.readers.warc import DAMAGE_LIMIT, payload
from tier_assets.l0_raw.records import BadRecord, Record, Skipped

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "warc"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; charset=UTF-8; x=y\r\n"


def record(block: bytes, kind: str = "response", uri: str = "http://example.org/") -> bytes:
    media_type = "application/http" if kind == "response" else "text/plain"
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {uri}\r\nWARC-Date: 2024-05-01T10:00:00Z\r\n"
        f"Content-Type: {media_type}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


PARTS = [
    record(b"software: x\r\n", "warcinfo"),
    record(b"GET / HTTP/1.1\r\n\r\n", "request"),
    record(OK + b"\r\n<p>one</p>"),
    record(b"free text", "resource", "<http://example.org/two>"),
    record(b"", "revisit"),
    record(b"HTTP/1.1 404 Not Found\r\n\r\ngone", uri="http://example.org/three"),
    record(b"x: y", "metadata"),
]
RAW = [b"<p>one</p>", b"free text", b"gone"]


def entries(tmp_path: Path, data: bytes) -> list:
    path = tmp_path / "f.warc"
    path.write_bytes(data)
    return list(read_source(path, "warc", "f"))


def kept(found: list) -> list[bytes]:
    return [e.raw for e in found if isinstance(e, Record)]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress], ids=["plain", "gzip", "zstd"])
def test_warc_gives_response_and_resource_records_and_counts_the_others(tmp_path, pack):
    members = [pack(part) for part in PARTS]
    found = entries(tmp_path, b"".join(members))
    assert detect_format(tmp_path / "f.warc") == "warc"
    assert kept(found) == RAW
    assert Counter(e.kind for e in found if isinstance(e, Skipped)) == dict.fromkeys(
        ("warcinfo", "request", "revisit", "metadata"), 1
    )
    rows = [e for e in found if isinstance(e, Record)]
    assert [r.uri for r in rows] == ["http://example.org/", "http://example.org/two", "http://example.org/three"]
    assert [r.content_type for r in rows] == ["text/html; charset=utf-8", "text/plain", None]
    assert rows[0].fetched_at == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert [r.byte_offset for r in rows] == [sum(map(len, members[:n])) for n in (2, 3, 5)]


@pytest.mark.parametrize("size", [10, 5_000, 200_000])
@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_warc_with_several_records_a_member_gives_the_members_start_as_offset(tmp_path, pack, size):
    chance = random.Random(size)
    starts, data = [], b""
    for member in range(6):
        uris = [f"http://example.org/{member}/{n}" for n in range(chance.choice((1, 2, 3)))]
        starts += [(uri, len(data)) for uri in uris]
        data += pack(b"".join(record(chance.randbytes(size), "resource", uri) for uri in uris))
    assert [(e.uri, e.byte_offset) for e in entries(tmp_path, data)] == starts


@pytest.mark.parametrize(
    ("header", "body", "expected"),
    [
        (b"", b"abc", b"abc"),
        (b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"Content-Encoding: gzip\r\n", gzip.compress(b"abc"), b"abc"),
        (b"Content-Encoding: deflate\r\n", zlib.compress(b"abc"), b"abc"),
        (b"Content-Encoding: deflate\r\n", zlib.compress(b"abc")[2:-4], b"abc"),
        (b"Content-Encoding: zstd\r\n", zstandard.compress(b"abc"), b"abc"),
        (
            b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            b"%x\r\n%b\r\n0\r\n\r\n" % (len(gzip.compress(b"abc")), gzip.compress(b"abc")),
            b"abc",
        ),
        (b"Content-Encoding: gzip\r\n", b"not gzip", b"not gzip"),
        (b"Content-Encoding: br\r\n", b"not brotli", b"not brotli"),
        (b"Transfer-Encoding: chunked\r\n", b"not chunked", b"not chunked"),
        (b"Content-Encoding: rot13\r\n", b"abc", b"abc"),
    ],
)
def test_payload_undoes_encodings_and_keeps_what_does_not_decode(header, body, expected):
    assert payload(OK + header + b"\r\n" + body) == ("text/html; charset=utf-8", expected)


@pytest.mark.parametrize("block", [b"", b"no http at all", b"HTTP/1.1 200 OK without an end"])
def test_payload_of_what_is_no_http_is_the_block(block):
    assert payload(block) == (None, block)


def test_body_that_lies_about_its_coding_leaves_the_next_record_whole(tmp_path):
    lie = record(OK + b"Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\nnope")
    assert kept(entries(tmp_path, lie + PARTS[2])) == [b"nope", b"<p>one</p>"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_warc_cut_anywhere_keeps_the_whole_records_and_tells_the_cut(tmp_path, pack):
    members = [pack(part) for part in PARTS]
    ends = [sum(map(len, members[: n + 1])) for n in range(len(members))]
    whole = b"".join(members)
    # What ends a record is a blank line: a cut within it, or between records, loses nothing.
    harmless = {end - n for end in ends for n in (range(5) if pack is bytes else range(1))}
    if pack is bytes:  # the empty revisit record: the blank line of its header too
        harmless |= {ends[4] - n for n in range(9)}
    for cut in range(1, len(whole)):
        found = entries(tmp_path, whole[:cut])
        complete = sum(end <= cut for end in ends)
        expected = sum(n < complete for n in (2, 3, 5))
        assert len(kept(found)) >= expected, cut
        assert kept(found) == RAW[: len(kept(found))], cut
        num_bad = sum(isinstance(e, BadRecord) for e in found)
        assert num_bad == (0 if cut in harmless else 1), (cut, found[-1])


def test_wet_conversion_records_are_records(tmp_path):
    found = entries(tmp_path, PARTS[0] + record(b"plain words\n", "conversion"))
    assert [(e.uri, e.content_type, e.raw) for e in found if isinstance(e, Record)] == [
        ("http://example.org/", "text/plain", b"plain words\n")
    ]


def test_record_of_an_unknown_type_is_a_verdict(tmp_path):
    found = entries(tmp_path, record(b"x", "respons") + PARTS[2])
    assert [(getattr(e, "reason", None), getattr(e, "detail", None)) for e in found] == [
        ("unknown_record_type", "WARC-Type 'respons'"),
        (None, None),
    ]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_warc_with_garbage_between_records_goes_on_after_it(tmp_path, pack):
    members = [pack(part) for part in PARTS]
    found = entries(tmp_path, b"".join(members[:3]) + b"garbage " * 40 + b"\n" + b"".join(members[3:]))
    assert kept(found) == RAW
    assert [(e.reason, e.byte_offset) for e in found if isinstance(e, BadRecord)] == [
        ("damaged", sum(map(len, members[:2])))
    ]


def test_gzip_member_that_does_not_decode_is_one_verdict(tmp_path):
    members = [gzip.compress(part) for part in PARTS]
    members[3] = members[3][:12] + b"\xff" * (len(members[3]) - 12)
    found = entries(tmp_path, b"".join(members))
    assert kept(found) == [RAW[0], RAW[2]]
    assert sum(isinstance(e, BadRecord) for e in found) == 1


def test_warc_record_over_the_limit_is_too_large_and_the_next_is_kept(tmp_path):
    path = tmp_path / "f.warc"
    with path.open("wb") as file:
        file.write(record(b"", "resource").replace(b"Content-Length: 0", b"Content-Length: 104857600")[:-4])
        for _ in range(100):
            file.write(b"x" * 1024 * 1024)
        file.write(b"\r\n\r\n" + PARTS[2])
    tracemalloc.start()
    found = list(read_source(path, "warc", "f"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [getattr(e, "reason", None) for e in found] == ["record_too_large", None]
    assert kept(found) == RAW[:1]
    assert peak < 10 * 1024 * 1024


def test_bomb_in_a_body_is_too_large(tmp_path):
    block = OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"\0" * (100 * 1024 * 1024))
    found = entries(tmp_path, record(block) + PARTS[2])
    assert [getattr(e, "reason", None) for e in found] == ["record_too_large", None]


def test_warc_of_nothing_but_marks_ends_after_the_limit_of_damages(tmp_path):
    found = entries(tmp_path, b"WARC/1.0\n" * 100_000)
    assert len(found) == DAMAGE_LIMIT + 1
    assert "not read" in found[-1].detail


@pytest.mark.skipif(not REAL.is_dir(), reason="real WARC files are not beside this checkout")
@pytest.mark.parametrize(
    ("name", "num_records", "num_skipped"),
    [("example.warc.gz", 299, 523), ("sample-0000.warc.gz", 24, 24), ("whirlwind.warc.gz", 1, 3)],
)
def test_real_warc_is_read_whole_and_every_offset_leads_back_to_its_record(name, num_records, num_skipped):
    path = REAL / name
    found = list(read_source(path, "warc", name))
    rows = [e for e in found if isinstance(e, Record)]
    assert (len(rows), len(found) - len(rows)) == (num_records, num_skipped)
    data = path.read_bytes()
    for row in rows:
        member = zlib.decompressobj(31).decompress(data[row.byte_offset :])
        again = next(iter(ArchiveIterator(io.BytesIO(member), parse_http=False)))
        assert (again.headers["WARC-Target-URI"] or "").strip("<>") == row.uri
        block = again.reader.read()
        assert (payload(block)[1] if block.startswith(b"HTTP/") else block) == row.raw
