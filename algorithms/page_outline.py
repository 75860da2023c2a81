"""Where a block stands in its page's outline: in the element that holds most of the prose, or before, or after it.

Readability (Arc90, 2009) looks for that element: of all, the one whose own children hold most text outside of links.
Pages with several articles one below the other, or with comments, have text after it that reads like main text.

In: the numbers of `page_blocks`. Out: NUM_OUTLINE columns a block. About 10 microseconds a page.
"""

from __future__ import annotations

from typing import Final

import numba
import numpy as np

from algorithms.page_blocks import CHARS, ELEMENT, LINK_CHARS, PARENT, TAG
from algorithms.page_words import NAMED_TAGS

MIN_PROSE: Final = 50  # characters outside of links that make a paragraph
ENTRIES: Final = 0.5  # an element with at least this share of the most prose is another entry
IS_P, IS_H1, IS_ARTICLE = (NAMED_TAGS.index(tag) + 1 for tag in ("p", "h1", "article"))
# prose of the block's holder, as a share of the page's, and of the most; the most as a share of the page's; whether
# the block is in that element, in its parent, in that one's parent; before (-1), within (0) or after (1) its prose; how
# many characters from there, as a share of the page's; h1 and articles begun before it, articles of the page; holders
# with about as much prose begun before it, and in the page
NUM_OUTLINE: Final = 13


@numba.njit("void(int64[:, ::1], int64[:, ::1], int64[::1], float64[::1])", cache=True)
def _hold(blocks_BK, elements_EK, holder_B, prose_E):  # type: ignore[no-untyped-def]
    """Of each block the element that holds it (a paragraph's parent), of each element the prose it holds."""
    for b in range(len(blocks_BK)):
        element = max(blocks_BK[b, ELEMENT], 0)
        if elements_EK[element, TAG] & 0xFF == IS_P and elements_EK[element, PARENT] >= 0:
            element = elements_EK[element, PARENT]
        holder_B[b] = element
        prose = blocks_BK[b, CHARS] - blocks_BK[b, LINK_CHARS]
        if prose >= MIN_PROSE:
            prose_E[element] += prose


@numba.njit("void(int64[:, ::1], int64[:, ::1], float32[:, ::1])", cache=True)
def outline(blocks_BK, elements_EK, out_BO):  # type: ignore[no-untyped-def]
    """Fill the columns, in the order of the comment above NUM_OUTLINE. There is a block at the least."""
    num_blocks, num_elements = len(blocks_BK), len(elements_EK)
    holder_B, prose_E = np.zeros(num_blocks, np.int64), np.zeros(num_elements + 1)
    _hold(blocks_BK, elements_EK, holder_B, prose_E)
    top = np.argmax(prose_E)
    most, total = max(prose_E[top], 1.0), max(prose_E.sum(), 1.0)
    above = elements_EK[top, PARENT] if top < num_elements and elements_EK[top, PARENT] >= 0 else top
    higher = elements_EK[above, PARENT] if above < num_elements and elements_EK[above, PARENT] >= 0 else above
    inside_E3 = np.zeros((num_elements + 1, 3), np.bool_)
    articles_E = np.zeros(num_elements + 1, np.int64)
    num_articles = 0
    for e in range(num_elements):
        parent = elements_EK[e, PARENT]
        for place, root in enumerate((top, above, higher)):
            inside_E3[e, place] = e == root or (parent >= 0 and inside_E3[parent, place])
        num_articles += elements_EK[e, TAG] & 0xFF == IS_ARTICLE
        articles_E[e] = num_articles
    upto_B, first, last = np.zeros(num_blocks + 1), num_blocks, -1
    for b in range(num_blocks):
        upto_B[b + 1] = upto_B[b] + blocks_BK[b, CHARS]
        if holder_B[b] == top:
            first, last = min(first, b), b
    page_chars, headings, entries = max(upto_B[-1], 1.0), 0, 0
    seen_E = np.zeros(num_elements + 1, np.bool_)
    for b in range(num_blocks):
        f, holder = out_BO[b], holder_B[b]
        element = max(blocks_BK[b, ELEMENT], 0)
        if not seen_E[holder] and prose_E[holder] >= ENTRIES * most:
            seen_E[holder], entries = True, entries + 1
        f[0], f[1], f[2] = prose_E[holder] / total, prose_E[holder] / most, most / total
        f[3], f[4], f[5] = inside_E3[element, 0], inside_E3[element, 1], inside_E3[element, 2]
        f[6], f[7] = 0, 0
        if b < first:
            f[6], f[7] = -1, (upto_B[first] - upto_B[b]) / page_chars
        elif b > last:
            f[6], f[7] = 1, (upto_B[b] - upto_B[last + 1]) / page_chars
        headings += elements_EK[element, TAG] & 0xFF == IS_H1 if num_elements else 0
        f[8], f[9], f[10], f[11] = headings, articles_E[element], num_articles, entries
    out_BO[:, 12] = entries


__all__ = ["NUM_OUTLINE", "outline"]
