"""Hostile files: sound ones broken at random, and crafted ones; and what reading one of them must give.

`run_case` runs in a killable worker under bounds of CPU and memory.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import random
import tarfile
import tempfile
import traceback
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import zstandard

from tests.l0_raw.samples import (
    ARTICLES,
    BOX,
    CODE,
    LINES,
    MAIL,
    PAGE,
    TABLE,
    TREE,
    WARC,
    arc,
    dictionary,
    epub,
    long_name,
    pdf,
    tar_of,
    zip_of,
)
from tests.l0_raw.samples import samples as sound
from tier_assets.l0_raw.batches import read_batches
from tier_assets.l0_raw.readers import read_source
from tier_assets.l0_raw.records import BadRecord, Entry, Record, Skipped
from tier_assets.l1_filtered.extract import Extracted, NoText, extract
from tier_tables import SOURCES

MIB = 1024 * 1024
EXTRACTED = 4  # records of a case whose text is extracted
CONTENT_TYPES = (
    "text/html",
    "application/xhtml+xml",
    "application/xml",
    "application/json",
    "application/pdf",
    "message/rfc822",
    "text/plain; charset=utf-16",
    "text/x-python",
    "image/png",
    None,
)


@dataclass(frozen=True)
class Case:
    """One file to read: as the format named, or by its content (`auto`); with text from its records as `content_type`
    says, or as the records say (`as_read`)."""

    label: str
    name: str
    data: bytes
    format: str = "auto"
    content_type: str | None = "as_read"


@dataclass(frozen=True)
class Outcome:
    """What came of a case; `fault` tells what should not have."""

    label: str
    num_records: int = 0
    num_bad: int = 0
    num_skipped: int = 0
    num_texts: int = 0
    fault: str | None = None


def run_case(case: Case) -> Outcome:
    """Reads a case's file in a folder of its own, extracts text, and looks at what was written beside the file."""
    with tempfile.TemporaryDirectory() as folder:
        scratch, inside = Path(folder, "scratch"), Path(folder, "in")
        scratch.mkdir()
        inside.mkdir()
        tempfile.tempdir = str(scratch)
        try:
            (inside / case.name).write_bytes(case.data)
            (inside / "f.index").write_bytes(dictionary()[1])
            outcome = _read(case, inside / case.name)
            left = [p.name for p in Path(folder).rglob("*") if p.is_file() and p.name not in (case.name, "f.index")]
            return Outcome(case.label, fault=f"files were written: {left}") if left else outcome
        except Exception:
            return Outcome(case.label, fault=traceback.format_exc())
        finally:
            tempfile.tempdir = None


def _read(case: Case, path: Path) -> Outcome:
    entries: list[Entry] = []
    num_texts = num_looked_at = 0
    for entry in read_source(path, case.format, case.name):
        assert isinstance(entry, (Record, BadRecord, Skipped)), entry
        if isinstance(entry, Record) and num_looked_at < EXTRACTED:
            num_looked_at += 1
            declared = entry.content_type if case.content_type == "as_read" else case.content_type
            found = extract(entry.raw, declared, entry.uri)
            assert isinstance(found, (Extracted, NoText)), found
            if isinstance(found, Extracted):
                assert found.text.encode("utf-8").strip()
                num_texts += 1
            else:
                assert found.reason
        entries.append(entry)
    kinds = [sum(isinstance(e, kind) for e in entries) for kind in (Record, BadRecord, Skipped)]
    if not entries:
        return Outcome(case.label, fault="neither a record nor a verdict")
    _check_accounts(case, path, len(entries), kinds[2])
    return Outcome(case.label, *kinds, num_texts)


def _check_accounts(case: Case, path: Path, num_entries: int, num_skipped: int) -> None:
    """Entries in = rows + verdicts + counted, to the entry."""
    source = {
        "source_id": "s", "corpus": "c", "snapshot": "s", "uri": case.name, "path": str(path),
        "num_bytes": len(case.data), "sha256": hashlib.sha256(case.data).hexdigest(), "format": case.format,
        "licence": None, "registered_at": datetime.now(UTC),
    }  # fmt: skip
    rows = verdicts = counted = 0
    for batch in read_batches(pl.DataFrame([source], schema=SOURCES.schema), seen=()):
        rows, verdicts = rows + len(batch.rows), verdicts + len(batch.verdicts)
        counted += sum(batch.skipped.values())
    assert rows + verdicts + counted == num_entries, (rows, verdicts, counted, num_entries)
    assert counted >= num_skipped


def broken(data: bytes, chance: random.Random) -> bytes:
    """`data` with a few bits flipped, bytes cut out, put in or said again, numbers made huge, or its end cut off."""
    bytes_ = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = chance.randrange(len(bytes_))
        match chance.randrange(7):
            case 0 | 1:
                bytes_[at] ^= 1 << chance.randrange(8)
            case 2:
                del bytes_[at : at + chance.randrange(1, 60)]
            case 3:
                bytes_[at:at] = chance.randbytes(chance.randrange(1, 60))
            case 4:
                bytes_[at:at] = bytes_[at : at + chance.randrange(1, 200)] * chance.randrange(1, 9)
            case 5:
                bytes_[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"9999"))
            case _:
                del bytes_[max(at, 1) :]
        if not bytes_:
            return b"x"
    return bytes(bytes_)


PACKS: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("plain", bytes),
    ("gz", gzip.compress),
    ("zst", zstandard.compress),
    ("xz", lzma.compress),
)


def broken_cases(num_each: int, seed: str = "") -> Iterator[Case]:
    """Every format broken `num_each` times, half of them read by their names; some compressed before or after."""
    for format, (name, data) in sound().items():
        chance = random.Random(format + seed)
        # git is four processes a case: fewer of them.
        for number in range(num_each if format != "git_bundle" else num_each // 8):
            label, pack = chance.choice(PACKS) if number % 3 == 0 else PACKS[0]
            bad = broken(pack(data), chance) if chance.random() < 0.5 else pack(broken(data, chance))
            named = format if number % 2 else "auto"
            yield Case(f"{format} {label} {number} {named}", name, bad, named)


def lying_cases() -> Iterator[Case]:
    """Every sound file read as every other format, and its records' text taken as every content type."""
    files = sound()
    for format, (name, data) in files.items():
        for other in files:
            if other != "git_bundle":
                yield Case(f"{format} read as {other}", f"f.{other}", data, other)
        for content_type in CONTENT_TYPES:
            yield Case(f"{format} said to be {content_type}", name, data, "auto", content_type)


def crafted_cases() -> Iterator[Case]:
    """Files made to exhaust time or the stack, or to be written where they should not."""
    for label, name, data in (*_deep(), *_paths(), *_entities()):
        yield Case(label, name, data)


def bomb_cases() -> Iterator[Case]:
    """Files made to exhaust memory."""
    for label, name, data in _bombs():
        yield Case(label, name, data)


def _bombs() -> Iterator[tuple[str, str, bytes]]:
    zeros = bytes(80 * MIB)
    for label, pack in (*PACKS[1:], ("bz2", bz2.compress)):
        packed = pack(zeros)
        yield f"bomb {label}", f"f.txt.{label}", packed
        yield f"bomb {label} twice", f"f.txt.{label}.gz", gzip.compress(packed)
        yield f"bomb {label} in a zip", "f.zip", zip_of({f"f.txt.{label}": packed})
        yield f"bomb of lines {label}", f"f.jsonl.{label}", pack(b'{"text": "a"}\n' * 20_000 + bytes(70 * MIB))
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        yield f"bomb zip {method}", "f.zip", zip_of({"f.txt": zeros}, method)
    yield "bomb tar.gz", "f.tar.gz", gzip.compress(tar_of({"f.txt": zeros}))
    yield "bomb of names", "f.tar.gz", gzip.compress(long_name(70 * MIB) + tar_of(TREE))
    yield "bomb warc", "f.warc.gz", gzip.compress(WARC.replace(b"words", zeros).replace(b": 5", b": %d" % len(zeros)))
    yield "bomb arc", "f.arc.gz", gzip.compress(arc() + b"http://" + zeros)
    # Overlapping members: each entry of the directory leads to the same bytes.
    yield "overlapping zip", "f.zip", _overlapping(zip_of({f"{n:03}": b"x" * 5000 for n in range(300)}))
    window = b"\x28\xb5\x2f\xfd\x00\xf8" + b"\x01\0\0"  # asks for a window of 3.75 TiB
    yield "hostile zstd window", "f.zst", window
    yield "hostile xz dictionary", "f.xz", lzma.compress(b"words", preset=9).replace(b"\x21\x01\x1c", b"\x21\x01\x28")
    yield "table of one quote", "f.csv", b"a,b\n" * 9 + b'1,"' + b"x" * 999 + (b"\n" + b"x" * 999) * 20_000
    yield "tag without end", "f.xml", b"<?xml version='1.0'?><a>" + b"<b><c/><d/></b>" * 2 + b"<b " + b"x" * 20 * MIB


def _overlapping(data: bytes) -> bytes:
    place = data.index(b"PK\x01\x02")
    out = bytearray(data)
    while (place := out.find(b"PK\x01\x02", place)) >= 0:
        out[place + 42 : place + 46] = b"\0\0\0\0"
        place += 4
    return bytes(out)


def _deep() -> Iterator[tuple[str, str, bytes]]:
    deep = 100_000
    yield "deep json", "f.json", b'{"a":' * deep + b"1" + b"}" * deep
    yield "deep json array", "f.json", b'[{"a":' + b"[" * deep + b"]" * deep + b"}]"
    yield "deep jsonl", "f.jsonl", b'{"a":' * deep + b"1" + b"}" * deep + b"\n" + LINES
    yield "deep xml", "f.xml", b"<?xml version='1.0'?>" + b"<a>" * deep + b"x" + b"</a>" * deep
    yield "deep xml record", "f.xml", ARTICLES.replace(b"<PMID>1</PMID>", b"<a>" * 400 + b"</a>" * 400)
    yield "deep html", "f.html", b"<html><body>" + b"<div>" * deep + b"words"
    yield "deep table", "f.html", b"<html><body>" + b"<table><tr><td>" * 5000 + b"words"
    yield "deep quotes", "f.html", b"<html><body>" + b"<blockquote><ul><li>" * 5000 + b"words"
    yield "many attributes", "f.html", b"<html><body><p " + b" ".join(b"a%d=1" % n for n in range(10_000)) + b">words"
    yield "deep mail", "f.eml", _deep_mail(3000)
    yield "mail in mails", "f.eml", MAIL.split(b"\n\n")[0] + (b"\nContent-Type: message/rfc822\n\nFrom: a@b.c" * 3000)
    yield (
        "mail of parts",
        "f.eml",
        MAIL.replace(b"\n\n", b"\nContent-Type: multipart/mixed; boundary=b\n\n") + b"--b\n\n" * deep,
    )
    yield "long header", "f.eml", MAIL.replace(b"Hello", b"=?utf-8?q?a?= " * deep)
    for label, pack in (
        ("zip", lambda d: zip_of({"f": d})),
        ("tar", lambda d: tar_of({"f": d})),
        ("gz", gzip.compress),
    ):
        data = PAGE
        for _ in range(60):
            data = pack(data)
        yield f"deep {label}", "f", data
    yield "deep pdf", "f.pdf", pdf().replace(b"[3 0 R]", b"[" * deep + b"3 0 R" + b"]" * deep)
    yield "pdf in circles", "f.pdf", pdf().replace(b"[3 0 R]", b"[2 0 R]")
    yield "many rows", "f.csv", b"a,b\n" + b"1,2\n" * 20_000
    yield "many columns", "f.csv", b",".join(b"a%d" % n for n in range(20_000)) + b"\n" + b"1," * 19_999 + b"1\n"
    yield "marks of mails", "f.mbox", BOX + b"From a@x Thu Aug 22 12:36:23 2002\n\n" * 5000
    yield "blank lines", "f.txt", b"\n" * MIB + b"words"
    yield "one long word", "f.txt", b"x" * MIB
    yield "comments", "f.html", b"<!-- -->" * 50_000 + b"<p>"
    yield "half comments", "f.html", b"<!--" * 100_000
    yield "blanks of a shebang", "f", b"#!/usr/bin/env" + b" " * 60_000 + b"x"


def _deep_mail(depth: int) -> bytes:
    mail = b"From: a@example.org\nTo: b@example.org\nMIME-Version: 1.0\n"
    for n in range(depth):
        mail += b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n)
    return mail + b"Content-Type: text/plain\n\nwords\n"


def _paths() -> Iterator[tuple[str, str, bytes]]:
    names = ("../up.txt", "../../../../tmp/up.txt", "/tmp/abs.txt", "a/../../b.txt", "C:\\x.txt", "..\\x.txt", "//x/y")
    names += ("\0.txt", "a\0/../b", "a" * 5000, "\u202ename", "name\n", ".", "..", "con", "a/./b.txt", "a//b.txt")
    for name in names:
        yield f"path {name[:20]!r} in a tar", "f.tar", tar_of({name: b"words"})
        if name.strip("\0"):
            yield f"path {name[:20]!r} in a zip", "f.zip", zip_of({name: b"words"})
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, b"S", b"Z"):
        info = tarfile.TarInfo("x")
        info.type, info.linkname = kind, "/etc/passwd"
        yield f"member of type {kind!r}", "f.tar", tar_of({}, info)
        after = tar_of({"x/passwd": b"words"})
        yield f"member through one of type {kind!r}", "f.tar", tar_of({}, info)[:512] + after
    link = zipfile.ZipInfo("x")
    link.external_attr = 0o120777 << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(link, "/etc")
        archive.writestr("x/passwd", "words")
    yield "member through a link in a zip", "f.zip", out.getvalue()
    yield "same name twice", "f.tar", tar_of(TREE)[:4096] + tar_of(TREE)
    yield "book that leads out", "f.epub", epub().replace(b"OPS/book.opf", b"../../x.opf\0"[:12])


def _entities() -> Iterator[tuple[str, str, bytes]]:
    laughs = b"".join(b'<!ENTITY l%d "%s">' % (n + 1, b"&l%d;" % n * 10) for n in range(12))
    head = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l0 "ha">' + laughs
    yield "billion laughs", "f.xml", head + b"]><a>&l12;</a>"
    yield "billion laughs in records", "f.xml", head + b"]><a>" + b"<b><c>&l12;</c><d/></b>" * 3 + b"</a>"
    yield "laughs in an attribute", "f.xml", head + b"]><a>" + b'<b x="&l12;"><c/><d/></b>' * 3 + b"</a>"
    outer = (
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a><b><c>&x;</c><d/></b><b/></a>'
    )
    yield "file as an entity", "f.xml", outer
    yield "entity of itself", "f.xml", b'<!DOCTYPE a [<!ENTITY x "&y;"><!ENTITY y "&x;">]><a>&x;</a>'
    yield "elements in an entity", "f.xml", b'<!DOCTYPE a [<!ENTITY x "<b><c/><d/></b>">]><a>&x;&x;<b><c/><d/></b></a>'
    yield (
        "quadratic entity",
        "f.xml",
        b'<!DOCTYPE a [<!ENTITY x "' + b"x" * 50_000 + b'">]><a>' + b"&x;" * 5000 + b"</a>",
    )
    yield "laughs in a page", "f.html", head + b"]><html><body><p>&l12;</p></body></html>"
    yield (
        "laughs in a book",
        "f.epub",
        zip_of(
            {"mimetype": b"application/epub+zip", "META-INF/container.xml": head + b"]><a>&l12;</a>"},
            zipfile.ZIP_STORED,
        ),
    )
    yield "table as xml", "f.xml", TABLE
    yield "code as xml", "f.xml", CODE
