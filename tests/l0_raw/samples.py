"""A small sound file of each format, made here, and ways to make archives of them."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

MAIL = b"From: a@example.org\nTo: b@example.org\nSubject: Hello\n\nHow are you?\n"
PAGE = b"<!DOCTYPE html><html><body><p>The river rose in the night.</p></body></html>"
LINES = b'{"text": "one"}\n{"text": "two"}\n'
BOX = b"From a@x Thu Aug 22 12:36:23 2002\n" + MAIL + b"\n"
WARC = b"WARC/1.0\r\nWARC-Type: resource\r\nContent-Length: 5\r\n\r\nwords\r\n\r\n"
ARRAY = b'[\n {"text": "one"},\n {"text": "zw\xc3\xb6", "n": [1, {"a": "]"}]}\n]\n'
TABLE = 'id,text\n1,"a river, a bridge"\n2,"two\nlines"\n3,"zwö ""so"""\n4,last\n'.encode()
ARTICLE = (
    b"<PubmedArticle><PMID>%d</PMID><Article><ArticleTitle>On <i>rivers</i></ArticleTitle><Abstract>"
    b'<AbstractText Label="METHODS">We looked &lt; twice.</AbstractText></Abstract></Article></PubmedArticle>'
)
ARTICLES = (
    b'<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE PubmedArticleSet SYSTEM "none.dtd">\n<PubmedArticleSet>\n'
    + b"\n".join(ARTICLE % n for n in range(3))
    + b"\n<DeleteCitation><PMID>9</PMID></DeleteCitation></PubmedArticleSet>\n"
)
CODE = b"import os\n\n\ndef rise(river: str) -> str:\n    return os.path.join(river, 'night')\n"
TREE = {
    "p-1.0/LICENSE": b"Permission is hereby granted\n",
    "p-1.0/README.md": b"# Rivers\n",
    "p-1.0/src/rise.py": CODE,
    "p-1.0/rows.jsonl": LINES,
}
ARTICLES_OF_DICT = (b"river\n  water that flows\n", b"bridge\n  a way over a river\n")
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def parquet(num_rows: int = 50) -> bytes:
    """A table of texts in row groups of ten."""
    out = io.BytesIO()
    table = pa.table({"text": ["word " * n for n in range(num_rows)], "n": range(num_rows)})
    pq.write_table(table, out, row_group_size=10)
    return out.getvalue()


def zip_of(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP of files, the same bytes every time."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def tar_of(members: Mapping[str, bytes], *others: tarfile.TarInfo) -> bytes:
    """A tar of files, then of members without bytes (`others`)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in others:
            archive.addfile(info)
    return out.getvalue()


def long_name(size: int) -> bytes:
    """The extended header of a tar member whose name has `size` bytes."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, size
    return info.tobuf(tarfile.GNU_FORMAT) + b"x" * size


def epub(order: tuple[str, ...] = ("c2", "c1")) -> bytes:
    """A book of two chapters, their files in another order than they are read in."""
    container = b'<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>'
    spine = "".join(f'<itemref idref="{name}"/>' for name in order)
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="c1" href="one.xhtml"/>'
        '<item id="c2" href="text/tw%6F.xhtml"/><item id="c6" href="six.xhtml"/></manifest>'
        f"<spine>{spine}</spine></package>"
    )
    chapter = b'<html xmlns="http://www.w3.org/1999/xhtml"><body><p>%s</p></body></html>'
    return zip_of(
        {
            "mimetype": b"application/epub+zip",
            "META-INF/container.xml": container,
            "OPS/book.opf": package.encode(),
            "OPS/one.xhtml": chapter % b"It ends.",
            "OPS/text/two.xhtml": chapter % b"It begins.",
            "OPS/style.css": b"p {}",
        },
        zipfile.ZIP_STORED,
    )


def pdf(text: str = "The river rose in the night.") -> bytes:
    """A page with one line of text."""
    content = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        b"<</Title(Rivers)>>",
    )
    body = b"%PDF-1.4\n" + b"".join(b"%d 0 obj\n%s\nendobj\n" % (n, o) for n, o in enumerate(objects, start=1))
    return body + b"trailer <</Root 1 0 R/Info 6 0 R>>\n%%EOF\n"


def arc(pack=bytes) -> bytes:
    """Two responses and a record of no HTTP, each packed as a member."""
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>one</p>"
    version = b"1 0 Test\nURL IP-address Archive-date Content-type Archive-length\n"
    records = [
        b"filedesc://f.arc 0.0.0.0 20080430204825 text/plain %d\n" % len(version) + version + b"\n",
        b"http://a.org/1 1.2.3.4 20080430204826 text/html %d\n" % len(page) + page + b"\n",
        b"http://a.org/2 1.2.3.4 20080430204827 text/html %d\n" % len(page) + page + b"\n",
        b"dns:a.org 1.2.3.4 20080430204828 text/dns 7\n1.2.3.4\n",
    ]
    return b"".join(map(pack, records))


def dictionary() -> tuple[bytes, bytes]:
    """A `.dict` and its `.index`."""
    first, second = ARTICLES_OF_DICT
    places = [("00-database-info", 0, 0), ("bridge", len(first), len(second)), ("river", 0, len(first))]
    places.append(("rivers", 0, len(first)))
    index = "".join(f"{word}\t{digits(start)}\t{digits(length)}\n" for word, start, length in places)
    return first + second, index.encode()


def digits(number: int) -> str:
    """A number as dictd writes it."""
    return (digits(number // 64) if number >= 64 else "") + DIGITS[number % 64]


@cache
def git_bundle() -> bytes:
    """A bundle of a repository with two commits, a link, a submodule and a path that leads out of it."""
    with tempfile.TemporaryDirectory() as folder:
        env = {"PATH": "/usr/bin:/bin", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "HOME": folder}
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]

        def git(*arguments: str, stdin: bytes = b"") -> str:
            done = subprocess.run(
                ["git", *who, *arguments], cwd=folder, env=env, input=stdin, capture_output=True, check=True
            )
            return done.stdout.decode().strip()

        git("init", "--quiet", "--initial-branch=main", ".")
        for name, data in TREE.items():
            Path(folder, name).parent.mkdir(parents=True, exist_ok=True)
            Path(folder, name).write_bytes(data)
        Path(folder, "link").symlink_to("/etc/passwd")
        git("add", "-A")
        git("commit", "--quiet", "-m", "one")
        commit = git("rev-parse", "HEAD")
        git("update-index", "--add", "--cacheinfo", f"160000,{commit},module")
        git("commit", "--quiet", "-m", "two")
        git("branch", "other", "HEAD~1")
        git("bundle", "create", "--quiet", "b.bundle", "--all")
        return Path(folder, "b.bundle").read_bytes()


def samples() -> dict[str, tuple[str, bytes]]:
    """Format -> (name, bytes)."""
    return {
        "arc": ("f.arc.gz", arc(gzip.compress)),
        "code": ("f.py", CODE),
        "compressed": ("f.html.gz.gz", gzip.compress(gzip.compress(PAGE))),
        "csv": ("f.csv", TABLE),
        "dictd": ("f.dict", dictionary()[0]),
        "epub": ("f.epub", epub()),
        "git_bundle": ("f.bundle", git_bundle()),
        "html": ("f.html", PAGE),
        "json": ("f.json", ARRAY),
        "jsonl": ("f.jsonl", LINES * 9),
        "mail": ("f.eml", MAIL),
        "mbox": ("f.mbox", BOX * 9),
        "parquet": ("f.parquet", parquet()),
        "pdf": ("f.pdf", pdf()),
        "tar": ("f.tar", tar_of(TREE)),
        "text": ("f.txt", b"The river rose in the night.\n" * 9),
        "warc": ("f.warc", WARC * 9),
        "xml": ("f.xml", ARTICLES),
        "zip": ("f.zip", zip_of(TREE)),
    }
