"""What a page says of its own kind, in its metadata and its address, as features for `block_features`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

# What pages say of their own kind: (words, where to look).
PAGE_HINTS: Final = (
    (("NewsArticle", '"Article"', '"BlogPosting"'), "schema"),
    (("DiscussionForumPosting", "QAPage", '"Question"', '"Answer"', '"Comment"'), "schema"),
    (('"Product"', '"Offer"', "AggregateOffer", "ProductGroup"), "schema"),
    (("ItemList", "CollectionPage", "SearchResultsPage"), "schema"),
    (("article",), "og_type"),
    (("product",), "og_type"),
    (("website",), "og_type"),
    (("discourse", "xenforo", "phpbb", "vbulletin", "flarum", "invision", "stackexchange", "mybb"), "start"),
    (("body",), "marked"),
    (("forum", "thread", "topic", "/t/", "question", "discuss", "communit", "/r/", "answers"), "address"),
    (("/product", "/dp/", "/item", "/p/", "/shop", "/buy", "sku"), "address"),
    (("categor", "collection", "/c/", "/tag", "search", "/browse", "/list", "archive"), "address"),
    (("doc", "/api", "reference", "manual", "guide", "help", "wiki", "tutorial", "learn"), "address"),
    (("news", "blog", "article", "story", "stories", "post", "/19", "/20"), "address"),
    (("service", "solution", "about", "pricing", "feature", "platform"), "address"),
)
ARTICLE_HINTS, FORUM_HINTS, PRODUCT_HINTS, LIST_HINTS = (0, 4, 8), (1, 7, 9), (2, 5), (3, 11)
NUM_HINTS: Final = len(PAGE_HINTS) + 3
MAX_TYPES, TYPE_CHARS = 100, 60  # schema.org types read of a page, and characters of each


@dataclass(frozen=True)
class Metadata:
    """Of a page: its JSON-LD, its `og:type`, its first characters in lower case, whether an element is marked as the
    body of an article, and its address in lower case (empty: unknown)."""

    json_ld: str
    og_type: str
    start: str
    has_body: bool
    address: str


def page_hints(metadata: Metadata) -> np.ndarray:
    """1 or 0 for each of PAGE_HINTS, then the depth of the address (-1: none), the hyphens in its last part and that
    part's length.

    >>> is_article(page_hints(Metadata("", "article", "", False, "")))
    True
    """
    types = "".join(metadata.json_ld[at : at + TYPE_CHARS] for at in _places(metadata.json_ld, '"@type"'))
    texts = {
        "schema": types,
        "og_type": metadata.og_type,
        "start": metadata.start,
        "marked": "body" if metadata.has_body else "",
        "address": metadata.address,
    }
    hints_H = np.zeros(NUM_HINTS, np.float32)
    for position, (words, where) in enumerate(PAGE_HINTS):
        hints_H[position] = any(word in texts[where] for word in words)
    path = metadata.address.split("://")[-1].partition("/")[2].rstrip("/")
    last = path.rpartition("/")[2]
    depth = path.count("/") + bool(path) if metadata.address else -1
    hints_H[-3:] = depth, last.count("-") + last.count("_"), len(last)
    return hints_H


def _places(text: str, word: str) -> Iterator[int]:
    """Where `word` stands in `text`, the first MAX_TYPES times."""
    at = text.find(word)
    for _ in range(MAX_TYPES):
        if at < 0:
            return
        yield at
        at = text.find(word, at + 1)


def is_article(hints_H: np.ndarray) -> bool:
    """Whether the page calls itself an article, and nothing in it a forum, a question or a product."""
    others = [*FORUM_HINTS, *PRODUCT_HINTS]
    return bool(hints_H[list(ARTICLE_HINTS)].any() and not hints_H[others].any())


__all__ = ["NUM_HINTS", "Metadata", "is_article", "page_hints"]
