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

from tier_assets.l1_filtered.main_text import BlockModel, Chosen, choose_main_text, shipped_model
from tier_assets.l1_filtered.mathematics import dollars

MIN_CHARS: Final = 25  # what is shorter is a stray line, not a main text
# Below this expected F1 an article is read again, and trafilatura's text taken where the two share less than
# MAX_AGREEMENT of their words and its own is no mere scrap. Cross-validated by site, .80 to .90 differ by .008 on
# articles: .83 reads 8% of them again. On other kinds of pages a second reading loses more than it gains, and a learnt
# referee between the two texts loses to this rule.
MIN_CONFIDENCE: Final = 0.83
MAX_AGREEMENT: Final = 0.8
MIN_LENGTH_SHARE: Final = 0.2
MAX_DEPTH: Final = 400  # of elements; trafilatura's time grows with the square of it
MAX_OPENED: Final = 500  # `\(` in the page: with the square of these too, where they are not closed
WORD: Final = re.compile(r"\w+")
logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # every odd page is a warning; we keep verdicts instead


def main_text(page: str, url: str | None, model: BlockModel | None = None) -> tuple[str | None, str, str] | None:
    """Title, main text and extractor of `page`, or None where no extractor finds a main text.

    `model`: another than the shipped one, to measure on pages that it has not learnt from.
    """
    chosen = choose_main_text(page, url, model or shipped_model())
    doubtful = len(chosen.text) < MIN_CHARS or (chosen.article and chosen.confidence < MIN_CONFIDENCE)
    if doubtful and chosen.depth <= MAX_DEPTH and chosen.html.count("\\(") <= MAX_OPENED:
        second = _second_text(chosen.html, url)
        if len(second) >= MIN_CHARS and _prefers(chosen, second):
            return chosen.title, second, "trafilatura"
    return (chosen.title, chosen.text, "blocks") if len(chosen.text) >= MIN_CHARS else None


def _second_text(html: str, url: str | None) -> str:
    """Trafilatura's text of a page that is rid of scripts and holds its formulas as text; empty where it finds none."""
    found = trafilatura.extract(html, url=url, fast=True, include_comments=False, output_format="markdown")
    return dollars(found or "").strip()


def _prefers(chosen: Chosen, second: str) -> bool:
    """Whether the second reader's text is to stand instead of the chosen one."""
    mine, theirs = Counter(WORD.findall(chosen.text.lower())), Counter(WORD.findall(second.lower()))
    num_mine, num_theirs = mine.total(), theirs.total()
    if num_theirs < MIN_LENGTH_SHARE * num_mine:
        return False
    return 2 * (mine & theirs).total() < MAX_AGREEMENT * (num_mine + num_theirs)


__all__ = ["main_text"]
