"""CSV, XML, JSON arrays, dictionaries, ARC and source files: their records, where these start, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import json
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.l0_raw.samples import ARRAY, ARTICLE, ARTICLES, ARTICLES_OF_DICT, CODE, LINES, TABLE, arc, dictionary, zip_of
from tier_assets.l0_raw.readers import detect_format, json_file, place_of, read_source, xml
from tier_assets.l0_raw.readers.csv_file import Dialect, find_dialect
from tier_assets.l0_raw.readers.xml import DEPTH_LIMIT, find_record_path
from tier_assets.l0_raw.records import BadRecord, Entry, Record, Skipped
from tier_assets.l0_raw.streams import CHUNK_BYTES

MIB = 1024 * 1024


def entries(folder: Path, name: str, data: bytes, format: str = "auto") -> list[Entry]:
    path = folder / name
    path.write_bytes(data)
    return list(read_source(path, format, "f"))


def records(found: list[Entry]) -> list[Record]:
    return [e for e in found if isinstance(e, Record)]


def bad(found: list[Entry]) -> list[tuple[str, str, int]]:
    return [(e.uri, e.reason, e.byte_offset) for e in found if isinstance(e, BadRecord)]


def kinds(found: list[Entry]) -> list[str]:
    return [e.kind for e in found if isinstance(e, Skipped)]


def test_csv_gives_a_record_a_row_at_its_first_byte(tmp_path):
    found = entries(tmp_path, "f.csv.gz", gzip.compress(b"\xef\xbb\xbf" + TABLE + b"\n"))
    assert [json.loads(e.raw) for e in records(found)] == [
        {"id": "1", "text": "a river, a bridge"},
        {"id": "2", "text": "two\nlines"},
        {"id": "3", "text": 'zwö "so"'},
        {"id": "4", "text": "last"},
    ]
    assert [e.uri for e in records(found)] == ["f#2", "f#3", "f#5", "f#6"]
    assert [e.byte_offset - 3 for e in records(found)] == [TABLE.index(b"%d," % n) for n in (1, 2, 3, 4)]
    assert kinds(found) == ["header_row", "blank_line"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("a,b\n1,2\n", Dialect(",", 0, 2)),
        ('a,b\n1,"x;y\nz"\n', Dialect(",", 0, 2)),
        ("a\tb\tc\n1\tx, y\tz\n", Dialect("\t", 0, 3)),
        ('a\tb\n1\t12" wide\n2\t"so" he said\n3\tx\n', Dialect("\t", 3, 2)),
        ("a;b\n1,5;2\n", Dialect(";", 0, 2)),
        ("words without\nany delimiter\n", None),
    ],
)
def test_find_dialect_is_that_of_rows_with_the_same_number_of_fields(lines, expected):
    assert find_dialect(lines.splitlines(keepends=True)) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a,b\n1,2,3\n4,5\n", [("f#2", "wrong_number_of_fields", 4)]),
        (b'a,b\n1,"x"y\n4,"5,5"\n6,"7,7"\n8,9\n', [("f#2", "not_csv", 4)]),
        (b"a,b\n1,2\n4,5\n" + b"6,7\n" * 9 + b'8,"cut', [("f#13", "not_csv", 48)]),
        (b"a,b\n1," + b"x" * 70_000 + b"\n2,\xff\xfe\n3,4\n", [("f#3", "undecodable", 70_007)]),
    ],
)
def test_csv_rows_with_faults_are_verdicts_and_the_others_stay(tmp_path, data, expected):
    found = entries(tmp_path, "f.csv", data)
    assert bad(found) == expected
    assert records(found)


@pytest.mark.parametrize("last", [b"9,y", b'9,"y', b'9,"y\nz'])
def test_csv_that_is_cut_tells_the_row_of_the_cut_once(tmp_path, last):
    rows = b"a,b\n" + b"".join(b"%d,x\n" % n for n in range(9))
    found = entries(tmp_path, "f.csv.gz", gzip.compress(rows + last)[:-8])
    assert (len(records(found)), bad(found)) == (9, [("f#11", "truncated", len(rows))])


def test_csv_without_names_in_latin_1_gives_numbered_columns(tmp_path):
    data = "1,Straße über die Brücke\n2,größer\n".encode("cp1252")
    [first, _] = records(entries(tmp_path, "f.csv", data))
    assert json.loads(first.raw) == {"column_1": "1", "column_2": "Straße über die Brücke"}


def test_csv_quote_that_never_closes_is_bounded(tmp_path):
    data = b'a,b\n1,"' + (b"x" * 1000 + b"\n") * 40_000 + b"2,3\n"
    tracemalloc.start()
    found = entries(tmp_path, "f.csv", data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert bad(found)[0] == ("f#2", "record_too_large", 4)
    assert peak < 200 * MIB


def test_xml_gives_the_repeated_child_as_its_very_bytes(tmp_path):
    found = entries(tmp_path, "f.xml", ARTICLES)
    assert [(e.uri, e.content_type, e.raw) for e in records(found)] == [
        (f"f#{n + 1}", "application/xml; charset=utf-8", ARTICLE % n) for n in range(3)
    ]
    assert [ARTICLES[e.byte_offset :].startswith(e.raw) for e in records(found)] == [True] * 3
    assert kinds(found) == ["element_DeleteCitation"]


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-be", "iso-8859-1"])
def test_xml_in_other_charsets_gives_whole_elements(tmp_path, charset):
    declared = charset.removesuffix("-be")
    text = f"<?xml version='1.0' encoding='{declared}'?><a><b><c>ü</c><d/></b>\n<b><c>ö</c><d/></b><b/></a>"
    data = text.encode(charset)
    if charset == "utf-16-be":
        data = b"\xfe\xff" + data
    found = records(entries(tmp_path, "f.xml", data))
    inner = charset + ("-le" if charset == "utf-16" else "")
    assert [e.raw.decode(inner) for e in found] == ["<b><c>ü</c><d/></b>", "<b><c>ö</c><d/></b>", "<b/>"]
    assert all(data[e.byte_offset :].startswith(e.raw) for e in found)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (ARTICLES, ("PubmedArticleSet", "PubmedArticle")),
        (b"<rss><channel><t/><item><t/><d/></item><item><t/><d/></item></channel></rss>", ("rss", "channel", "item")),
        (b"<doc><p>one <i>x</i></p><p>two</p></doc>", ()),
        (b"<doc><head><a/><b/></head><body><a/><b/></body></doc>", ()),
        (b"<doc/>", ()),
        (b"no xml", ()),
    ],
)
def test_find_record_path_is_the_most_repeated_child_with_fields(tmp_path, data, expected):
    (tmp_path / "f").write_bytes(data)
    assert find_record_path(tmp_path / "f") == expected


def test_xml_path_named_by_the_format_is_taken(tmp_path):
    found = entries(tmp_path, "f", ARTICLES, "xml:Abstract/AbstractText")
    assert [e.raw for e in records(found)] == [
        b'<AbstractText Label="METHODS">We looked &lt; twice.</AbstractText>'
    ] * 3
    assert bad(entries(tmp_path, "f", ARTICLES, "xml:page")) == [("f", "no_records", 0)]


BOMB = b"<!DOCTYPE a [<!ENTITY x '" + b"x" * 1000 + b"'><!ENTITY y '" + b"&x;" * 1000 + b"'>]>"


@pytest.mark.parametrize(
    ("data", "num_records", "reasons"),
    [
        (ARTICLES[:-200], 2, ["damaged"]),
        (ARTICLES.replace(b"<PMID>1<", b"<PMID>1</X><"), 1, ["damaged"]),
        (gzip.compress(ARTICLES)[:-8], 3, ["truncated"]),
        (BOMB + b"<a><b><c>" + b"&y;" * 1000 + b"</c><d/></b><b><c/><d/></b></a>", 2, []),
        (b"<a><b><c/><d/></b><b><c/><d/>x/></b><b><b/></b></a>", 3, []),
        (b"<a><b><c/><d/></b><b>" + b"<b>" * DEPTH_LIMIT + b"</b>" * DEPTH_LIMIT + b"</b></a>", 1, ["damaged"]),
    ],
)
def test_xml_with_faults_gives_what_is_sound_and_a_verdict(tmp_path, data, num_records, reasons):
    found = entries(tmp_path, "f.xml", data)
    assert len(records(found)) == num_records
    assert [reason for _, reason, _ in bad(found)] == reasons
    assert all(b"xxxx" not in e.raw for e in records(found))


@pytest.mark.parametrize("piece", [b"<c>" + b"words " * 99 + b"</c>", b"words and "], ids=["elements", "text"])
def test_xml_element_over_the_limit_is_too_large_in_bounded_memory(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(xml, "RECORD_LIMIT", 2 * MIB)
    inner = piece * (20 * MIB // len(piece))
    (tmp_path / "f.xml").write_bytes(b"<a><b><c>1</c><d/></b><b>" + inner + b"</b><b><c>2</c><d/></b></a>")
    tracemalloc.start()
    found = list(read_source(tmp_path / "f.xml", "xml:b", "f"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [getattr(e, "reason", None) for e in found] == [None, "record_too_large", None]
    assert found[1].raw_sha256 == hashlib.sha256(b"<b>" + inner + b"</b>").hexdigest()
    assert records(found)[1].raw == b"<b><c>2</c><d/></b>"
    assert peak < 10 * MIB


def test_xml_tag_over_the_limit_ends_the_file_with_a_verdict(tmp_path, monkeypatch):
    monkeypatch.setattr(xml, "RECORD_LIMIT", MIB)
    data = b"<a><b><c/><d/></b><b><c/><d/></b><b " + b"x" * 4 * MIB + b"/></a>"
    found = entries(tmp_path, "f.xml", data)
    assert len(records(found)) == 2
    assert "a tag of more than" in found[-1].detail


def test_json_array_gives_a_record_an_object_as_its_very_bytes(tmp_path):
    found = entries(tmp_path, "f.json.gz", gzip.compress(b"\xef\xbb\xbf" + ARRAY))
    assert [json.loads(e.raw) for e in records(found)] == json.loads(ARRAY)
    assert [(e.uri, ARRAY[e.byte_offset - 3 :].startswith(e.raw)) for e in records(found)] == [
        ("f#1", True),
        ("f#2", True),
    ]


def test_json_array_longer_than_its_window_is_read_whole(tmp_path):
    values = [{"text": "ö" * n, "n": n} for n in range(3000)]
    found = entries(tmp_path, "f.json", json.dumps(values, ensure_ascii=False, indent=1).encode())
    assert [json.loads(e.raw) for e in records(found)] == values


def test_json_array_element_across_two_chunks_is_read_whole(tmp_path):
    start = b'[{"text": "'
    data = start + b"x" * (CHUNK_BYTES - len(start) - 6) + b'"}, 1234, {"a": 1}]'  # a chunk ends after the 12
    found = entries(tmp_path, "f.json", data)
    assert bad(found) == [("f#2", "not_json_object", CHUNK_BYTES - 2)]
    assert len(records(found)) == 2


def test_json_array_element_over_the_limit_ends_the_file_with_a_verdict(tmp_path, monkeypatch):
    monkeypatch.setattr(json_file, "RECORD_LIMIT", 2 * MIB)
    found = entries(tmp_path, "f.json", b'[{"a": 1}, {"text": "' + b"x" * 9 * MIB + b'"}]')
    assert (len(records(found)), bad(found)) == (1, [("f#2", "not_json", 11)])
    assert "over 2,097,152 bytes" in found[-1].detail


@pytest.mark.parametrize(
    ("data", "num_records", "expected"),
    [
        (b"[1, 2]", 1, []),
        (b'[{"a": 1}, 2, {"a": 3}]', 2, [("f#2", "not_json_object", 11)]),
        (b'[{"a": 1}, {"a": ', 1, [("f#2", "not_json", 11)]),
        (b'[{"a": 1}', 1, [("f#1", "not_json", 9)]),
        (b'[{"a": 1} {"a": 2}]', 1, [("f#1", "not_json", 10)]),
        (b'[{"a": 1}] []', 1, [("f#1", "not_json", 11)]),
        (b'[{"a": 1}, {"b": "\xff"}]', 0, [("f#0", "invalid_utf8", 0)]),
        (b'[{"a": 1}, {"a":' + b"[" * 100_000 + b"]", 1, [("f#2", "not_json", 11)]),
    ],
)
def test_json_array_with_faults_gives_what_is_sound_and_a_verdict(tmp_path, data, num_records, expected):
    found = entries(tmp_path, "f.json", data)
    assert (len(records(found)), bad(found)) == (num_records, expected)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["dict", "dz"])
def test_dictionary_gives_its_articles_where_the_index_says(tmp_path, pack):
    data, index = dictionary()
    name = "f.dict" if pack is bytes else "f.dict.dz"
    (tmp_path / "f.index").write_bytes(index)
    found = entries(tmp_path, name, pack(data))
    assert [(e.uri, e.raw, e.byte_offset) for e in records(found)] == [
        ("f#river", ARTICLES_OF_DICT[0], 0),
        ("f#bridge", ARTICLES_OF_DICT[1], len(ARTICLES_OF_DICT[0])),
    ]
    assert kinds(found) == ["about_the_dictionary", "another_headword"]
    assert detect_format(tmp_path / "f.index") == "dictd"
    assert list(read_source(tmp_path / "f.index", "auto", "f.index")) == [Skipped("dictionary_index")]


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (None, [("f", "index_missing", 0)]),
        (b"river\tA\tY\nbridge\tZ!\tB\n", [("f#index:2", "damaged", 10)]),
        (b"river\tA\tY\nbridge\tY\t////\n", [("f#bridge", "truncated", 24)]),
        (b"river\tA\tY\nbridge\tY\t//////\n", [("f#bridge", "record_too_large", 24)]),
        (b"river\tA\tY\nbridge\tB\tB\n", [("f#bridge", "overlaps", 1)]),
    ],
)
def test_dictionary_with_a_false_index_gives_verdicts(tmp_path, index, expected):
    if index:
        (tmp_path / "f.index").write_bytes(index)
    found = entries(tmp_path, "f.dict", dictionary()[0])
    assert bad(found) == expected
    assert len(records(found)) == (index is not None)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_arc_gives_the_payload_of_its_responses_where_their_members_start(tmp_path, pack):
    data = arc(pack)
    found = entries(tmp_path, "f.arc", data)
    assert [(e.uri, e.content_type, e.raw) for e in records(found)] == [
        ("http://a.org/1", "text/html", b"<p>one</p>"),
        ("http://a.org/2", "text/html", b"<p>one</p>"),
        ("dns:a.org", "text/dns", b"1.2.3.4"),
    ]
    assert records(found)[0].fetched_at == datetime(2008, 4, 30, 20, 48, 26, tzinfo=UTC)
    assert kinds(found) == ["arc_header"]
    for entry in records(found):
        stored = data[entry.byte_offset :]
        assert (gzip.decompress(stored) if pack is gzip.compress else stored).startswith(entry.uri.encode())


@pytest.mark.parametrize(
    ("data", "num_records", "reasons"),
    [
        (arc()[:-4], 2, ["truncated"]),
        (arc().replace(b"http://a.org/2 1.2.3.4 ", b"nothing "), 1, ["damaged"]),
        (arc(gzip.compress)[:-20], 2, ["damaged"]),
    ],
)
def test_damaged_arc_gives_what_is_sound_and_a_verdict(tmp_path, data, num_records, reasons):
    found = entries(tmp_path, "f.arc", data)
    assert (len(records(found)), [reason for _, reason, _ in bad(found)]) == (num_records, reasons)


def test_arc_header_without_end_is_a_verdict_in_bounded_memory(tmp_path):
    (tmp_path / "f.arc").write_bytes(arc() + b"http://" + b"x" * 30 * MIB)
    tracemalloc.start()
    found = list(read_source(tmp_path / "f.arc", "auto", "f"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(records(found)) == 3
    assert [reason for _, reason, _ in bad(found)] == ["damaged"]
    assert peak < 5 * MIB


def test_code_gets_its_language_and_the_nearest_licence(tmp_path):
    (tmp_path / "in" / "lib").mkdir(parents=True)
    for name in ("COPYING", "in/LICENSE-MIT", "in/lib/rise.py", "in/lib/run"):
        (tmp_path / name).write_bytes(b"#!/usr/bin/perl\n" if name.endswith("run") else CODE)
    [entry] = read_source(tmp_path / "in/lib/rise.py", "auto", "lib/rise.py")
    assert (entry.content_type, entry.raw, entry.licence) == ("text/x-python", CODE, "see LICENSE-MIT")
    [entry] = read_source(tmp_path / "in/lib/run", "auto", "lib/run")
    assert entry.content_type == "text/x-perl"
    (tmp_path / "in/LICENSE-MIT").unlink()
    [entry] = read_source(tmp_path / "in/lib/rise.py", "auto", "lib/rise.py")
    assert entry.licence is None  # COPYING lies above the ingested folder


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ("warc", "byte of the file as stored"),
        ("jsonl", "byte of the file (decompressed)"),
        ("xml:page", "byte of the file (decompressed)"),
        ("parquet", "row"),
        ("zip", "byte of the ZIP, its member's header"),
    ],
)
def test_place_of_says_what_an_offset_counts(format, expected):
    assert place_of(format) == expected


def test_members_of_archives_keep_the_places_of_jsonl_apart_by_their_names(tmp_path):
    found = records(entries(tmp_path, "f.zip", zip_of({"rows.jsonl": LINES})))
    assert [(e.uri, e.byte_offset) for e in found] == [("f!rows.jsonl#1", 0), ("f!rows.jsonl#2", 0)]
