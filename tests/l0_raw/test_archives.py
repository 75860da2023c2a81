"""Archives: members are read as what they hold, placed and licensed; what is unsafe or without bounds is a verdict."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import zstandard

from tests.l0_raw.samples import CODE, LINES, PAGE, TREE, epub, git_bundle, long_name, parquet, tar_of, zip_of
from tier_assets.l0_raw import streams
from tier_assets.l0_raw.readers import detect_format, nested, read_source, zip_file
from tier_assets.l0_raw.records import BadRecord, Record, Skipped


def entries(folder: Path, name: str, data: bytes) -> list:
    path = folder / name
    path.write_bytes(data)
    return list(read_source(path, "auto", name))


def kept(found: list) -> list[tuple[str, str | None, bytes]]:
    return [(e.uri, e.content_type, e.raw) for e in found if isinstance(e, Record)]


def bad(found: list) -> list[tuple[str, str]]:
    return [(e.uri, e.reason) for e in found if isinstance(e, BadRecord)]


def records_of_tree(archive: str) -> list[tuple[str, str, bytes]]:
    place = f"{archive}!p-1.0"
    one, two = LINES.splitlines()
    return [
        (f"{place}/LICENSE", "text/plain", TREE["p-1.0/LICENSE"]),
        (f"{place}/README.md", "text/markdown", TREE["p-1.0/README.md"]),
        (f"{place}/src/rise.py", "text/x-python", CODE),
        (f"{place}/rows.jsonl#1", "application/json", one),
        (f"{place}/rows.jsonl#2", "application/json", two),
    ]


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.compress], ids=["", "gz", "bz2", "xz", "zst"]
)
def test_tar_gives_the_records_of_its_members_at_their_headers(tmp_path, pack):
    data = tar_of(TREE)
    found = entries(tmp_path, "f.tgz", pack(data))
    assert detect_format(tmp_path / "f.tgz") == "tar"
    assert kept(found) == records_of_tree("f.tgz")
    assert {e.licence for e in found} == {"see p-1.0/LICENSE"}
    for entry in found:
        info = tarfile.TarInfo.frombuf(data[entry.byte_offset : entry.byte_offset + 512], "utf-8", "strict")
        assert entry.uri.startswith(f"f.tgz!{info.name}")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_gives_the_records_of_its_members_at_their_headers(tmp_path, method):
    data = zip_of(TREE, method)
    found = entries(tmp_path, "f.zip", data)
    assert kept(found) == records_of_tree("f.zip")
    for entry in found:
        assert data[entry.byte_offset :].startswith(b"PK\x03\x04")
        name = entry.uri.partition("!")[2].partition("#")[0].encode()
        assert data[entry.byte_offset + 30 :].startswith(name)


def test_git_bundle_gives_the_files_of_its_head(tmp_path):
    found = entries(tmp_path, "f.bundle", git_bundle())
    assert sorted(kept(found)) == sorted(records_of_tree("f.bundle"))
    assert {e.licence for e in found if isinstance(e, Record)} == {"see p-1.0/LICENSE"}
    assert bad(found) == [("f.bundle!link", "link_in_archive"), ("f.bundle!module", "submodule")]
    assert [e for e in found if isinstance(e, Skipped)] == [Skipped("other_branch")]
    places = {e.uri: e.byte_offset for e in found if isinstance(e, Record)}
    # An object's header: its type (3: blob) and the low bits of its length.
    first = git_bundle()[places["f.bundle!p-1.0/LICENSE"]]
    assert ((first >> 4) & 7, first & 15) == (3, len(TREE["p-1.0/LICENSE"]) & 15)


def test_git_bundle_that_only_adds_to_a_repository_is_a_verdict(tmp_path):
    header = b"# v2 git bundle\n-" + b"a" * 40 + b" old\n" + b"b" * 40 + b" HEAD\n\nPACK"
    assert bad(entries(tmp_path, "f", header)) == [("f", "needs_prerequisites")]


def test_epub_gives_its_documents_in_reading_order(tmp_path):
    data = epub()
    found = entries(tmp_path, "book.epub", data)
    assert detect_format(tmp_path / "book.epub") == "epub"
    assert [(e.uri, e.content_type, e.byte_offset) for e in found if isinstance(e, Record)] == [
        ("book.epub!OPS/text/two.xhtml", "application/xhtml+xml", data.index(b"OPS/text/two.xhtml") - 30),
        ("book.epub!OPS/one.xhtml", "application/xhtml+xml", data.index(b"OPS/one.xhtml") - 30),
    ]
    assert b"It begins." in found[0].raw
    assert found.count(Skipped("not_in_reading_order")) == 4


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (epub(order=("c1", "c1", "gone")), []),
        (epub().replace(b"OPS/book.opf", b"OPS/gone.opf", 1), [("f.epub", "damaged")]),
        (epub(order=("c1", "c6")), [("f.epub!OPS/six.xhtml", "truncated")]),
        (zip_of({"mimetype": b"application/epub+zip"}), [("f.epub", "damaged")]),
    ],
)
def test_epub_with_faults_gives_verdicts(tmp_path, data, expected):
    assert bad(entries(tmp_path, "f.epub", data)) == expected


def test_archives_in_archives_are_read_and_placed_in_the_outermost(tmp_path):
    inner = tar_of({"a/page.html": PAGE, "a/rows.parquet": parquet(2)})
    data = zip_of({"first.txt": b"words", "in.tar.gz": gzip.compress(inner), "in.tar.gz.xz": lzma.compress(b"words")})
    found = entries(tmp_path, "f.zip", data)
    assert [e.uri for e in found] == [
        "f.zip!first.txt",
        "f.zip!in.tar.gz!a/page.html",
        "f.zip!in.tar.gz!a/rows.parquet#1",
        "f.zip!in.tar.gz!a/rows.parquet#2",
        "f.zip!in.tar.gz.xz",
    ]
    assert {e.byte_offset for e in found[1:4]} == {data.index(b"in.tar.gz") - 30}


def test_compressed_archive_and_table_are_unpacked_first(tmp_path):
    assert kept(entries(tmp_path, "f.zip.gz", gzip.compress(zip_of(TREE)))) == records_of_tree("f.zip.gz")
    found = entries(tmp_path, "f.parquet.gz", gzip.compress(parquet(3)))
    assert [(e.uri, e.byte_offset) for e in found] == [
        ("f.parquet.gz#1", 0),
        ("f.parquet.gz#2", 1),
        ("f.parquet.gz#3", 2),
    ]


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_tar_members_that_are_no_plain_files_are_verdicts_and_none_is_written(tmp_path):
    names = ["../out.txt", "/abs.txt", "a/../../out.txt", "C:\\abs.txt", "..\\out.txt"]
    others = [link("l", "/etc/passwd"), link("h", "a.txt", tarfile.LNKTYPE), link("pipe", "", tarfile.FIFOTYPE)]
    data = tar_of({"a.txt": b"words", ".git/config": b"x", **dict.fromkeys(names, b"evil")}, *others)
    inside = tmp_path / "one" / "two"
    inside.mkdir(parents=True)
    found = entries(inside, "f.tar", data)
    assert kept(found) == [("f.tar!a.txt", "text/plain", b"words")]
    assert bad(found) == [
        *((f"f.tar!{name}", "unsafe_path") for name in names),
        ("f.tar!l", "link_in_archive"),
        ("f.tar!h", "link_in_archive"),
        ("f.tar!pipe", "special_file"),
    ]
    assert [e for e in found if isinstance(e, Skipped)] == [Skipped("hidden_file")]
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["f.tar"]


def test_zip_members_that_are_no_plain_files_are_verdicts(tmp_path):
    info = zipfile.ZipInfo("l")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
        archive.writestr("../out.txt", "evil")
        archive.writestr("folder/", "")
        archive.writestr("a.txt", "words")
    data = bytearray((tmp_path / "f.zip").read_bytes())
    place = data.rindex(b"PK\x01\x02")
    data[place + 8] |= 1  # the directory says that a.txt is encrypted
    assert [getattr(e, "reason", None) or e.kind for e in entries(tmp_path, "f.zip", bytes(data))] == [
        "link_in_archive",
        "unsafe_path",
        "folder",
        "encrypted",
    ]


def test_archives_nested_too_deep_are_a_verdict(tmp_path):
    data = b"words"
    for depth in range(nested.DEPTH_LIMIT + 1):
        data = zip_of({f"{depth}.zip": data})
        found = entries(tmp_path, "f.zip", data)
        assert bad(found) == (
            [] if depth < nested.DEPTH_LIMIT else [("f.zip!4.zip!3.zip!2.zip!1.zip!0.zip", "nested_too_deep")]
        )


def test_archive_of_too_many_members_ends_with_a_verdict(tmp_path, monkeypatch):
    monkeypatch.setattr(nested, "MEMBERS_LIMIT", 3)
    found = entries(tmp_path, "f.zip", zip_of({f"{n}.txt": b"words" for n in range(9)}))
    assert [getattr(e, "reason", None) for e in found] == [None, None, None, "too_many_members"]


@pytest.mark.parametrize(
    "pack", [lambda d: zip_of({"zeros.txt": d}), lambda d: gzip.compress(tar_of({"zeros.txt": d}))]
)
def test_archive_bomb_is_a_verdict_in_bounded_memory(tmp_path, monkeypatch, pack):
    for module in (streams, nested):
        monkeypatch.setattr(module, "FREE_BYTES", 16 * 1024 * 1024)
    data = pack(bytes(64 * 1024 * 1024))
    tracemalloc.start()
    found = entries(tmp_path, "f", data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [e.reason for e in found] == ["decompression_bomb"]
    assert peak < 20 * 1024 * 1024


@pytest.mark.parametrize(
    ("data", "num_kept", "reasons"),
    [
        (tar_of(TREE)[:4096], 5, ["truncated"]),
        (zip_of({"a.txt": b"x", "empty.py": b""}), 1, ["empty_file"]),
        (tar_of({"a.txt": b"x"})[:1024] + long_name(2 * 1024 * 1024) + tar_of({"b.txt": b"y"}), 1, ["damaged"]),
        (tar_of({"a.txt": b"x" * 3000, "b.txt": b"y"})[:2000], 0, ["truncated"]),
        (tar_of({"a.txt": b"x"})[:1024] + b"garbage!" * 64 + bytes(1024), 1, ["damaged"]),
        (tar_of({"a.txt": b"x"}) + tar_of({"b.txt": b"y"}), 1, ["damaged"]),
        (gzip.compress(tar_of({"a.txt": b"x", "b.txt": b"y"}), mtime=0)[:-12], 2, ["truncated"]),
        (zip_of(TREE)[:-30], 0, ["damaged"]),
        (zip_of({"a.txt": b"x" * 50, "b.txt": b"y"}, zipfile.ZIP_STORED).replace(b"xxx", b"xyx", 1), 1, ["damaged"]),
    ],
)
def test_damaged_archive_gives_what_is_sound_and_a_verdict(tmp_path, data, num_kept, reasons):
    found = entries(tmp_path, "f.tar" if not data.startswith(b"PK") else "f.zip", data)
    assert len(kept(found)) == num_kept
    assert [reason for _, reason in bad(found)] == reasons


def test_zip_directory_of_hostile_size_is_a_verdict(tmp_path, monkeypatch):
    monkeypatch.setattr(zip_file, "DIRECTORY_LIMIT", 1000)
    assert bad(entries(tmp_path, "f.zip", zip_of({f"{n}.txt": b"x" for n in range(5)}))) == []
    assert bad(entries(tmp_path, "f.zip", zip_of({f"{n}.txt": b"x" for n in range(50)}))) == [("f.zip", "damaged")]
