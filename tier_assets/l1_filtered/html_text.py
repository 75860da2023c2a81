"""Main text of a web page, as Markdown: a fast engine for all pages, a slow one where the fast one is in doubt.

In: an HTML string and its address. Out: title, text and the name of the extractor that made it. The fast engine is the
learnt choice of blocks (`main_text.py`); trafilatura (fast settings) reads the articles that it expects to get wrong,
and the pages in which it finds nothing.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from typing import Final

import trafilatura

from tier_assets.l1_filtered.main_text import Chosen, choose_main_text

MIN_CHARS: Final = 25  # what is shorter is a stray line, not a main text
# Below this expected F1 an article is read again, and trafilatura's text taken where the two share less than
# MAX_AGREEMENT of their words and its own is no mere scrap. Chosen on the half of the pages that the model has not
# seen when it learnt from the other one: .85 to .90 differ by .002.
MIN_CONFIDENCE: Final = 0.87
MAX_AGREEMENT: Final = 0.8
MIN_LENGTH_SHARE: Final = 0.2
MAX_DEPTH: Final = 400  # of elements; trafilatura's time grows with the square of it
WORD: Final = re.compile(r"\w+")
logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # every odd page is a warning; we keep verdicts instead


def main_text(page: str, url: str | None) -> tuple[str | None, str, str] | None:
    """Title, main text and extractor of `page`, or None where no extractor finds a main text."""
    chosen = choose_main_text(page, url)
    doubtful = len(chosen.text) < MIN_CHARS or (chosen.article and chosen.confidence < MIN_CONFIDENCE)
    if doubtful and chosen.depth <= MAX_DEPTH:
        second = trafilatura.extract(page, url=url, fast=True, include_comments=False, output_format="markdown")
        if second and len(second) >= MIN_CHARS and _prefers(chosen, second):
            return chosen.title, second, "trafilatura"
    return (chosen.title, chosen.text, "blocks") if len(chosen.text) >= MIN_CHARS else None


def _prefers(chosen: Chosen, second: str) -> bool:
    """Whether the second reader's text is to stand instead of the chosen one."""
    mine, theirs = Counter(WORD.findall(chosen.text.lower())), Counter(WORD.findall(second.lower()))
    num_mine, num_theirs = mine.total(), theirs.total()
    if num_theirs < MIN_LENGTH_SHARE * num_mine:
        return False
    return 2 * (mine & theirs).total() < MAX_AGREEMENT * (num_mine + num_theirs)


__all__ = ["main_text"]
