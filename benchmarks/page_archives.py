"""WARC files of real pages, for measuring: demo packages' pages and, where they lie, the gold sets' pages.

In: a number of pages. Out: WARC.gz files of response records with those pages, in an order by hash, so that every part
of the file is a mixture. Repeats beyond the pages there are bear another address and a mark in their text: no two
records are alike.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from resources.packages import cache_folder
from tier_assets.l0_raw.corpora import CORPORA, fetch_corpus

GOLD: Final = Path(__file__).parents[2] / "shared" / "data"
GOLD_SETS: Final = ("extract_wcxb/wcxb_dev_sample", "extract_scrapinghub/articles", "extract_math_llmwebkit/bench")
PACKAGED: Final = ("news_pages", "mathematics", "python_docs", "german_help")


@dataclass(frozen=True)
class Page:
    """A page as it was fetched."""

    source: str
    url: str
    html: bytes


def gold_pages() -> Iterator[Page]:
    """The pages of the gold sets that are there."""
    for name in GOLD_SETS:
        path = GOLD / f"{name}.jsonl.gz"
        if path.exists():
            with gzip.open(path, "rt", encoding="utf-8") as rows:
                for number, row in enumerate(map(json.loads, rows)):
                    url = row["url"] or f"https://unknown.example/{number}"
                    yield Page(path.parent.name, url, row["html"].encode("utf-8", "replace"))


def packaged_pages() -> Iterator[Page]:
    """The HTML pages of the demo corpora."""
    for corpus in CORPORA:
        if corpus.name not in PACKAGED:
            continue
        folder = fetch_corpus(corpus, cache_folder(), full=True).folder
        for file in sorted(folder.rglob("*.*htm*")) if folder else ():
            url = f"https://{corpus.name.replace('_', '-')}.example/{file.relative_to(folder)}"
            yield Page(corpus.name, url, file.read_bytes())


def pages(num_pages: int) -> list[Page]:
    """The pages by hash of their address: all of the gold sets', and of each package no more than needed."""
    chosen = list(gold_pages())
    by_source: dict[str, list[Page]] = {}
    for page in packaged_pages():
        by_source.setdefault(page.source, []).append(page)
    for found in by_source.values():
        found.sort(key=lambda page: _rank(page, b"choice"))
    turns = [page for turn in range(num_pages) for found in by_source.values() for page in found[turn : turn + 1]]
    chosen += turns[: max(0, num_pages - len(chosen))]
    return sorted(chosen, key=lambda page: _rank(page, b"order"))[:num_pages]


def write_archive(path: Path, found: list[Page], num_pages: int) -> Counter[str]:
    """A WARC.gz of `num_pages` responses, from the top again where `found` has fewer; returns pages by source."""
    sources: Counter[str] = Counter()
    with path.open("wb") as file:
        for page in islice(_again(found), num_pages):
            file.write(gzip.compress(_record(page), compresslevel=6, mtime=0))
            sources[page.source] += 1
    return sources


def _record(page: Page) -> bytes:
    """The page as a WARC response record."""
    http = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page.html)}\r\n\r\n".encode()
    fields = {
        "WARC-Type": "response",
        "WARC-Record-ID": f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, page.url)}>",
        "WARC-Date": "2025-01-01T00:00:00Z",
        "WARC-Target-URI": page.url,
        "WARC-Identified-Payload-Type": "text/html",
        "Content-Type": "application/http; msgtype=response",
        "Content-Length": str(len(http) + len(page.html)),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"WARC/1.0\r\n{head}\r\n".encode() + http + page.html + b"\r\n\r\n"


def _again(found: list[Page]) -> Iterator[Page]:
    """The pages over and over, in each round another address and another text."""
    yield from found
    round_ = 0
    while found:
        round_ += 1
        for page in found:
            mark = b"<p>Copy %d of this page.</p>" % round_
            before, end, after = page.html.partition(b"</body>")
            yield Page(page.source, f"{page.url}?copy={round_}", before + mark + end + after)


def _rank(page: Page, purpose: bytes) -> bytes:
    return hashlib.blake2b(page.url.encode(), digest_size=8, person=purpose).digest()


__all__ = ["Page", "gold_pages", "packaged_pages", "pages", "write_archive"]
