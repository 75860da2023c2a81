"""Labels that the lake makes itself: what L1 kept of a web page, against what it cut from the same page.

In: a page's raw HTML and the text that L1 kept. Out: rows of `l2_page_labels`, a pair of windows of equal length a
page. Both windows are taken from the page's own blocks, white space collapsed (a line break between two blocks, else a
space): L1's Markdown marks, its edits and its layout are in neither, so that a scorer learns from the words and not
from how a text was written down. About 2 ms of CPU a page of 100 kB; runs in killable workers, since a page may be
hostile.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl
from lxml import etree

from resources.workers import Died, Workers
from tier_tables import L2_PAGE_LABELS

# Long enough for four windows of a scorer.
MAX_CHARS: Final = 2_400
MIN_CHARS: Final = 200
# Of its runs of three words, how many a text node has in common with the kept text at least (kept), at most (cut);
# what lies between is neither.
KEPT_SHARE: Final = 0.7
CUT_SHARE: Final = 0.2
MAX_BYTES: Final = 4_000_000
HIDDEN: Final = frozenset(
    {"script", "style", "noscript", "template", "iframe", "svg", "head", "select", "textarea", "object", "math"}
)
WORD: Final = re.compile(r"\w+")
GAP: Final = re.compile(r"\s")
CHARSET: Final = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
# A part of fewer than three words stands in the kept text by chance unless it is this long (a script without spaces).
LONG_PART: Final = 12
INLINE: Final = frozenset(
    "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark q s samp small span strong sub "
    "sup time tt u var wbr".split()
)
HTML_TYPES: Final = ("text/html", "application/xhtml+xml", "")


@dataclass(frozen=True, slots=True)
class Settings:
    """How many pages are labelled; `seed` picks them.

    Corpora take turns, so that few pages keep them in balance: with whole corpora left out, kept text was told from cut
    at AUC .933 by 100 to 150 pages of each of four corpora, at .926 by all 1,601 (58% of them of one).
    """

    size: int = 600
    seed: int = 0


DEFAULT: Final = Settings()
SMOKE: Final = DEFAULT


def open_workers() -> Workers:
    """A pool in which a page is bounded; one that dies of it teaches nothing."""
    return Workers(cpu_s=5.0, memory_bytes=1 << 30)


def draw_pages(candidates: pl.DataFrame, size: int, seed: int) -> pl.DataFrame:
    """At most `size` rows of the candidates [doc_id, corpus, snapshot, ...], sorted by doc_id: corpora take turns, and
    within a corpus a hash of (seed, doc_id) says whose turn it is. A grown lake keeps most of its sample."""
    order = [
        hashlib.blake2b(f"{seed}:{doc_id}".encode(), digest_size=16).hexdigest() for doc_id in candidates["doc_id"]
    ]
    turns = candidates.with_columns(_order=pl.Series(order, dtype=pl.String)).with_columns(
        _turn=pl.int_range(pl.len()).over("corpus", order_by="_order")
    )
    return turns.sort("_turn", "_order").head(size).drop("_order", "_turn").sort("doc_id")


def label_pages(pages: pl.DataFrame, pool: Workers) -> pl.DataFrame:
    """Rows of `l2_page_labels` for pages [doc_id, corpus, snapshot, raw, content_type, text]; two a page, none where
    there is too little on one side, or where the page ended its worker."""
    ids = list(pages.select("doc_id", "corpus", "snapshot").iter_rows())
    rows = []
    for (doc_id, corpus, snapshot), found in zip(ids, pool.map(_label, _items(pages)), strict=True):
        if found is not None and not isinstance(found, Died):
            kept, cut = found
            rows += [(doc_id, corpus, snapshot, True, kept), (doc_id, corpus, snapshot, False, cut)]
    return pl.DataFrame(rows, schema=L2_PAGE_LABELS.schema, orient="row").sort("doc_id", "kept")


def label_page(raw: bytes, content_type: str | None, kept: str) -> tuple[str, str] | None:
    """A window of what the page's author wrote and L1 kept, and one of equal length of what L1 cut; None where either
    has less than MIN_CHARS characters, or `raw` is no page.

    >>> page = b"<p>" + b"The water boils because it is hot. " * 9 + b"</p><ul>" + b"<li>Login</li><li>Cart</li>" * 30
    >>> kept, cut = label_page(page, "text/html", "The water boils because it is hot. " * 9)
    >>> len(kept) == len(cut), "boils" in kept, "boils" in cut
    (True, True, False)
    """
    if (content_type or "").split(";")[0].strip().lower() not in HTML_TYPES or len(raw) > MAX_BYTES:
        return None
    plain = " ".join(kept.lower().split())
    runs = _runs(WORD.findall(plain))
    own: list[str] = []
    rest: list[str] = []
    for part in _parts(raw, content_type):
        share = _share(part, runs, plain)
        if share >= KEPT_SHARE:
            own.append(part)
        elif share <= CUT_SHARE:
            rest.append(part)
    sides = "\n".join(own), "\n".join(rest)
    size = min(MAX_CHARS, *map(len, sides))
    if size < MIN_CHARS:
        return None
    place = int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "big")
    first, second = (_window(side, size, place) for side in sides)
    return first, second


def _label(item: tuple[bytes, str | None, str]) -> tuple[str, str] | None:
    return label_page(*item)


def _items(pages: pl.DataFrame) -> Iterator[tuple[bytes, str | None, str]]:
    yield from pages.select("raw", "content_type", "text").iter_rows()


def _parts(raw: bytes, content_type: str | None) -> Iterator[str]:
    """The visible blocks of the page in its order, each with its white space collapsed."""
    tree = _parse(raw, content_type)
    if tree is None:
        return
    etree.strip_elements(tree, *HIDDEN, etree.Comment, etree.ProcessingInstruction, with_tail=False)
    held: list[str] = []
    for event, element in etree.iterwalk(tree, events=("start", "end")):
        if element.tag not in INLINE and held:
            yield from _collapsed(held)
            held = []
        held.append((element.text if event == "start" else element.tail) or "")
    yield from _collapsed(held)


def _parse(raw: bytes, content_type: str | None) -> etree._Element | None:
    """The page's tree; its charset is the declared one, else UTF-8 where that fits, else what the page itself says."""
    named = CHARSET.search(content_type or "")
    charset = named.group(1) if named else None
    try:
        if charset is None and raw.decode("utf-8"):
            charset = "utf-8"
    except UnicodeDecodeError:
        charset = None
    try:
        return etree.fromstring(raw, parser=etree.HTMLParser(encoding=charset, recover=True))
    except (LookupError, ValueError, etree.ParserError, etree.XMLSyntaxError):
        # An unknown charset or nothing to parse: L1 has its verdict, here it only teaches nothing.
        return None


def _collapsed(held: list[str]) -> Iterator[str]:
    text = " ".join("".join(held).split())
    if text:
        yield text


def _runs(words: list[str]) -> set[tuple[str, ...]]:
    """All runs of three neighbouring words."""
    return set(zip(words, words[1:], words[2:]))


def _share(part: str, runs: set[tuple[str, ...]], kept: str) -> float:
    """How much of `part` stands in the kept text, 0 to 1; a short part that stands there may do so by chance: 1/2."""
    words = WORD.findall(part.lower())
    if len(words) >= 3:
        own = _runs(words)
        return len(own & runs) / len(own)
    if part.lower() not in kept:
        return 0.0
    return 1.0 if len(part) >= LONG_PART else 0.5


def _window(text: str, size: int, place: int) -> str:
    """`size` characters from a place that the number `place` picks, from a word's beginning where one is near."""
    start = place % (len(text) - size + 1)
    gap = GAP.search(text, start, len(text) - size) if start else None
    first = gap.end() if gap else start
    return text[first : first + size]


__all__ = ["DEFAULT", "SMOKE", "Settings", "draw_pages", "label_page", "label_pages", "open_workers"]
