"""Features of a page's text blocks: what a model tells main text from boilerplate by.

Kohlschütter et al. 2010 (doi:10.1145/1718487.1718542), Web2Text (arXiv:1801.02607): shallow text features, those of
the neighbours and of the elements above; then, as in stacked generalisation (Wolpert 1992,
doi:10.1016/S0893-6080(05)80023-1), what a first model said of the blocks around.

    features   of the block (length, links, punctuation, words of `WORD_GROUPS`, tag, place); of the heading before it;
               of copies of it; of its two neighbours on either side; of five elements above it, and their classes; of
               the page and its hints; of all blocks on the same path of tags and classes
    context    a first model's share p of the block itself, of three neighbours on either side, its means over
               windows, over the elements above and over the path

In: `Blocks`. Out: float32 arrays, a row a block. About 0.2 ms a page of 200 blocks.
"""

from __future__ import annotations

from typing import Final

import numba
import numpy as np

from algorithms.page_blocks import (
    ABOVE_MASK,
    ABOVE_TAG,
    BARS,
    BREAKS,
    CAPITALS,
    CHARS,
    COMMAS,
    DEPTH,
    DIGITS,
    E_BLOCKS,
    E_CHARS,
    E_LINK_CHARS,
    E_P_CHARS,
    ELEMENT,
    INLINE,
    IS_P,
    LAST,
    LINK_CHARS,
    MARKS,
    NUM_LINKS,
    OWN_MASK,
    PARENT,
    PATH,
    TAG,
    TEXT_HASH,
    WORD_MASK,
    WORDS,
    Blocks,
)  # fmt: skip
from algorithms.page_hints import NUM_HINTS
from algorithms.page_outline import NUM_OUTLINE, outline
from algorithms.page_words import ABOVE_TAGS, CLASS_GROUPS, NAMED_TAGS, WORD_GROUPS

LEVELS: Final = 5  # elements above a block whose sums are features
NEIGHBOURS: Final = (-2, -1, 1, 2)
NUM_CLASS_GROUPS, NUM_WORD_GROUPS, NUM_ABOVE_TAGS = len(CLASS_GROUPS), len(WORD_GROUPS), len(ABOVE_TAGS)
OWN_FEATURES, PAGE_FEATURES, PATH_FEATURES = 18, 12, 5
IS_LI, IS_H1 = NAMED_TAGS.index("li") + 1, NAMED_TAGS.index("h1") + 1
NUM_FEATURES: Final = (
    OWN_FEATURES + NUM_WORD_GROUPS + NUM_ABOVE_TAGS + 6 * LEVELS + 2 * NUM_CLASS_GROUPS + 7 * len(NEIGHBOURS)
    + NUM_WORD_GROUPS + 4 + PAGE_FEATURES + NUM_OUTLINE + NUM_HINTS + PATH_FEATURES
)  # fmt: skip
CONTEXT_STEPS: Final = 3
CONTEXT_WINDOWS: Final = (5, 15)
CONTEXT_LEVELS: Final = 4
NUM_CONTEXT: Final = 1 + 2 * CONTEXT_STEPS + len(CONTEXT_WINDOWS) + 4 + CONTEXT_LEVELS + 1


def block_features(blocks: Blocks, hints_H: np.ndarray) -> np.ndarray:
    """The features of each block, NUM_FEATURES columns. Sums over the elements of `blocks` are filled in."""
    features_BF = np.zeros((len(blocks.numbers_BK), NUM_FEATURES), np.float32)
    if len(features_BF):
        features_BF[:, NUM_FEATURES - NUM_HINTS - PATH_FEATURES : NUM_FEATURES - PATH_FEATURES] = hints_H
        _features(blocks.numbers_BK, blocks.elements_EK, features_BF)
        outline_BO = np.zeros((len(features_BF), NUM_OUTLINE), np.float32)
        outline(blocks.numbers_BK, blocks.elements_EK, outline_BO)
        last = NUM_FEATURES - NUM_HINTS - PATH_FEATURES
        features_BF[:, last - NUM_OUTLINE : last] = outline_BO
    return features_BF


def context_features(blocks: Blocks, features_BF: np.ndarray, share_B: np.ndarray) -> np.ndarray:
    """`features_BF` with NUM_CONTEXT columns about a first model's `share_B` behind them."""
    out_BF = np.empty((len(features_BF), NUM_FEATURES + NUM_CONTEXT), np.float32)
    out_BF[:, :NUM_FEATURES] = features_BF
    if len(out_BF):
        _context(blocks.numbers_BK, blocks.elements_EK, share_B, out_BF)
    return out_BF


@numba.njit("void(int64[:, ::1], int64[:, ::1])", cache=True)
def _sum_up(blocks_BK, elements_EK):  # type: ignore[no-untyped-def]
    """Characters, link characters, blocks and paragraph characters of every element, those below it included."""
    for b in range(len(blocks_BK)):
        element = blocks_BK[b, ELEMENT]
        if element < 0:
            continue
        elements_EK[element, E_CHARS] += blocks_BK[b, CHARS]
        elements_EK[element, E_LINK_CHARS] += blocks_BK[b, LINK_CHARS]
        elements_EK[element, E_BLOCKS] += 1
        if elements_EK[element, TAG] & 0xFF == IS_P:
            elements_EK[element, E_P_CHARS] += blocks_BK[b, CHARS]
    for e in range(len(elements_EK) - 1, -1, -1):  # children come after their parents
        parent = elements_EK[e, PARENT]
        if parent >= 0:
            for k in (E_CHARS, E_LINK_CHARS, E_BLOCKS, E_P_CHARS):
                elements_EK[parent, k] += elements_EK[e, k]


@numba.njit("UniTuple(int64[::1], 2)(int64[:, ::1])", cache=True)
def _copies(blocks_BK):  # type: ignore[no-untyped-def]
    """Of each block, how many others have its words, and how many of them come before it."""
    order = np.argsort(blocks_BK[:, TEXT_HASH], kind="mergesort")
    copies_B, earlier_B = np.zeros(len(order), np.int64), np.zeros(len(order), np.int64)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and blocks_BK[order[end], TEXT_HASH] == blocks_BK[order[start], TEXT_HASH]:
            earlier_B[order[end]] = end - start
            end += 1
        for i in range(start, end):
            copies_B[order[i]] = end - start - 1
        start = end
    return copies_B, earlier_B


@numba.njit("int64[::1](int64[:, ::1], int64[:, ::1])", cache=True)
def _by_path(blocks_BK, elements_EK):  # type: ignore[no-untyped-def]
    """The blocks in the order of their paths' hashes."""
    paths = np.empty(len(blocks_BK), np.int64)
    for b in range(len(blocks_BK)):
        paths[b] = elements_EK[max(blocks_BK[b, ELEMENT], 0), PATH]
    return np.argsort(paths)


@numba.njit("void(int64[:, ::1], int64[:, ::1], float32[:, ::1])", cache=True)
def _path_features(blocks_BK, elements_EK, features_BF):  # type: ignore[no-untyped-def]
    """The last five features: number, mean length, link share, span and total share of the blocks of the same path."""
    num_blocks, total = len(blocks_BK), 1
    order = _by_path(blocks_BK, elements_EK)
    for b in range(num_blocks):
        total += blocks_BK[b, CHARS]
    start = 0
    while start < num_blocks:
        path = elements_EK[max(blocks_BK[order[start], ELEMENT], 0), PATH]
        end, chars, links, low, high = start, 0, 0, num_blocks, 0
        while end < num_blocks and elements_EK[max(blocks_BK[order[end], ELEMENT], 0), PATH] == path:
            b = order[end]
            chars, links = chars + blocks_BK[b, CHARS], links + blocks_BK[b, LINK_CHARS]
            low, high = min(low, b), max(high, b)
            end += 1
        for i in range(start, end):
            f = features_BF[order[i]]
            f[-5], f[-4], f[-3] = end - start, chars / (end - start), links / max(chars, 1)
            f[-2], f[-1] = (high - low + 1) / num_blocks, chars / total
        start = end


@numba.njit("int64(float32[::1], int64, int64, int64)", cache=True)
def _bits(f, k, mask, count):  # type: ignore[no-untyped-def]
    """The lowest `count` bits of `mask` as features from `k` on; where the next one goes."""
    for bit in range(count):
        f[k + bit] = mask >> bit & 1
    return k + count


@numba.njit("void(int64[::1], int64[::1], float32[::1])", cache=True)
def _own(row, held, f):  # type: ignore[no-untyped-def]
    """Features of the block by itself: f[0] to f[14]."""
    n, words = max(row[CHARS], 1), max(row[WORDS], 1)
    f[0], f[1], f[2] = row[CHARS], row[WORDS], n / words
    f[3], f[4], f[5] = row[LINK_CHARS] / n, row[NUM_LINKS], row[DIGITS] / n
    f[6], f[7], f[8] = row[CAPITALS] / words, row[MARKS] / words, row[COMMAS]
    f[9], f[10] = row[INLINE], row[BREAKS]
    f[11] = row[LAST] == 46 or row[LAST] == 33 or row[LAST] == 63 or row[LAST] == 34 or row[LAST] == 58
    f[12], f[13], f[14] = row[BARS], held[TAG] & 0xFF, held[DEPTH]


@numba.njit("int64(int64[:, ::1], int64, int64, float32[::1], int64)", cache=True)
def _above(elements_EK, element, page_chars, f, k):  # type: ignore[no-untyped-def]
    """Features of the block's element and those above it, from `k` on; where the next one goes."""
    k = _bits(f, k, elements_EK[element, ABOVE_TAG], NUM_ABOVE_TAGS)
    near, up = elements_EK[element, OWN_MASK], element
    for level in range(LEVELS):
        sums = elements_EK[up]
        chars = max(sums[E_CHARS], 1)
        f[k], f[k + 1], f[k + 2] = sums[E_CHARS], sums[E_LINK_CHARS] / chars, sums[E_BLOCKS]
        f[k + 3], f[k + 4], f[k + 5] = sums[E_P_CHARS] / chars, sums[E_CHARS] / page_chars, sums[TAG] & 0xFF
        k += 6
        up = sums[PARENT] if sums[PARENT] >= 0 else up
        if level < 2:
            near |= elements_EK[up, OWN_MASK]
    k = _bits(f, k, near, NUM_CLASS_GROUPS)
    return _bits(f, k, elements_EK[element, ABOVE_MASK], NUM_CLASS_GROUPS)


@numba.njit("int64(int64[:, ::1], int64[:, ::1], int64, float32[::1], int64)", cache=True)
def _beside(blocks_BK, elements_EK, b, f, k):  # type: ignore[no-untyped-def]
    """Features of the neighbours, from `k` on (-1: the page ends there); where the next one goes."""
    held = elements_EK[max(blocks_BK[b, ELEMENT], 0)]
    for offset in NEIGHBOURS:
        if 0 <= b + offset < len(blocks_BK):
            row = blocks_BK[b + offset]
            above = elements_EK[max(row[ELEMENT], 0)]
            f[k], f[k + 1], f[k + 2] = row[CHARS], row[LINK_CHARS] / max(row[CHARS], 1), row[MARKS]
            f[k + 3], f[k + 4] = above[TAG] & 0xFF, above[PATH] == held[PATH]
            f[k + 5], f[k + 6] = above[PARENT] == held[PARENT], row[WORDS]
        else:
            f[k : k + 7] = -1
        k += 7
    return k


@numba.njit("Tuple((float32[::1], int64))(int64[:, ::1], int64[:, ::1])", cache=True)
def _page(blocks_BK, elements_EK):  # type: ignore[no-untyped-def]
    """Features of the page, the same for every block, and the block that is its first h1 (-1: none)."""
    num_blocks, first_h1, tags = len(blocks_BK), -1, 0
    chars = links = p_chars = headings = items = longest = 0
    for b in range(num_blocks):
        tag = elements_EK[max(blocks_BK[b, ELEMENT], 0), TAG] & 0xFF
        chars += blocks_BK[b, CHARS]
        links += blocks_BK[b, LINK_CHARS]
        p_chars += blocks_BK[b, CHARS] if tag == IS_P else 0
        headings += IS_H1 <= tag < IS_H1 + 6
        items += tag == IS_LI
        longest = max(longest, blocks_BK[b, CHARS])
        first_h1 = b if tag == IS_H1 and first_h1 < 0 else first_h1
    for e in range(len(elements_EK)):
        tags |= elements_EK[e, ABOVE_TAG]
    f, whole = np.zeros(PAGE_FEATURES, np.float32), max(chars, 1)
    f[0], f[1], f[2], f[3] = chars, links / whole, p_chars / whole, num_blocks
    f[4], f[5], f[6], f[7] = headings, items / num_blocks, chars / num_blocks, longest
    f[8], f[9], f[10], f[11] = tags & 1, tags >> 1 & 1, first_h1 >= 0, len(elements_EK) / num_blocks
    return f, first_h1


@numba.njit("void(int64[:, ::1], int64[:, ::1], float32[:, ::1])", cache=True)
def _features(blocks_BK, elements_EK, features_BF):  # type: ignore[no-untyped-def]
    """Fill the features of each block but the page's hints."""
    _sum_up(blocks_BK, elements_EK)
    page, first_h1 = _page(blocks_BK, elements_EK)
    copies_B, earlier_B = _copies(blocks_BK)
    page_chars, before, title_words, title_at = max(page[0], 1), 0, 0, -1
    for b in range(len(blocks_BK)):
        f, element = features_BF[b], max(blocks_BK[b, ELEMENT], 0)
        tag = elements_EK[element, TAG] & 0xFF
        _own(blocks_BK[b], elements_EK[element], f)
        f[15], f[16], f[17] = before / page_chars, b, b - first_h1 if first_h1 >= 0 else -1000
        before += blocks_BK[b, CHARS]
        k = _bits(f, OWN_FEATURES, blocks_BK[b, WORD_MASK], NUM_WORD_GROUPS)
        k = _above(elements_EK, element, page_chars, f, k)
        k = _beside(blocks_BK, elements_EK, b, f, k)
        if IS_H1 <= tag < IS_H1 + 6:
            title_words, title_at = blocks_BK[b, WORD_MASK], b
        k = _bits(f, k, title_words, NUM_WORD_GROUPS)
        f[k], f[k + 1], f[k + 2], f[k + 3] = b - title_at, title_at >= 0, copies_B[b], earlier_B[b]
        f[k + 4 : k + 4 + PAGE_FEATURES] = page
    _path_features(blocks_BK, elements_EK, features_BF)


@numba.njit("float64[::1](int64[:, ::1], int64[:, ::1], float64[::1], float64[::1])", cache=True)
def _path_means(blocks_BK, elements_EK, share_B, weight_B):  # type: ignore[no-untyped-def]
    """Mean share of the blocks on each block's path."""
    order, mean_B, start = _by_path(blocks_BK, elements_EK), np.zeros(len(blocks_BK)), 0
    while start < len(order):
        end, path = start, elements_EK[max(blocks_BK[order[start], ELEMENT], 0), PATH]
        total, weight = 0.0, 0.0
        while end < len(order) and elements_EK[max(blocks_BK[order[end], ELEMENT], 0), PATH] == path:
            total += weight_B[order[end]] * share_B[order[end]]
            weight += weight_B[order[end]]
            end += 1
        for i in range(start, end):
            mean_B[order[i]] = total / weight
        start = end
    return mean_B


@numba.njit("float64[:, ::1](int64[:, ::1], int64[:, ::1], float64[::1], float64[::1])", cache=True)
def _element_sums(blocks_BK, elements_EK, share_B, weight_B):  # type: ignore[no-untyped-def]
    """Of each element the weighted sum of the shares in it, and the weights."""
    sums_E2 = np.zeros((len(elements_EK), 2))
    for b in range(len(blocks_BK)):
        element = max(blocks_BK[b, ELEMENT], 0)
        sums_E2[element, 0] += weight_B[b] * share_B[b]
        sums_E2[element, 1] += weight_B[b]
    for e in range(len(elements_EK) - 1, -1, -1):
        if elements_EK[e, PARENT] >= 0:
            sums_E2[elements_EK[e, PARENT]] += sums_E2[e]
    return sums_E2


@numba.njit("void(int64[:, ::1], int64[:, ::1], float64[::1], float32[:, ::1])", cache=True)
def _context(blocks_BK, elements_EK, share_B, out_BF):  # type: ignore[no-untyped-def]
    """Fill the context columns. Means weigh a block by its words."""
    num_blocks = len(blocks_BK)
    weight_B = blocks_BK[:, WORDS] + 0.3
    sums_E2 = _element_sums(blocks_BK, elements_EK, share_B, weight_B)
    path_B = _path_means(blocks_BK, elements_EK, share_B, weight_B)
    upto_B, weight_upto_B = np.zeros(num_blocks + 1), np.zeros(num_blocks + 1)
    for b in range(num_blocks):
        upto_B[b + 1], weight_upto_B[b + 1] = upto_B[b] + weight_B[b] * share_B[b], weight_upto_B[b] + weight_B[b]
    largest = share_B.max()
    for b in range(num_blocks):
        f = out_BF[b, NUM_FEATURES:]
        f[0], k = share_B[b], 1
        for step in range(1, CONTEXT_STEPS + 1):
            f[k] = share_B[b - step] if b >= step else -1
            f[k + 1] = share_B[b + step] if b + step < num_blocks else -1
            k += 2
        for window in CONTEXT_WINDOWS:
            low, high = max(b - window, 0), min(b + window + 1, num_blocks)
            f[k] = (upto_B[high] - upto_B[low]) / (weight_upto_B[high] - weight_upto_B[low])
            k += 1
        f[k], f[k + 1] = upto_B[b] / max(upto_B[-1], 1e-9), upto_B[-1] / weight_upto_B[-1]
        f[k + 2], f[k + 3] = largest, upto_B[-1]
        k += 4
        up = max(blocks_BK[b, ELEMENT], 0)
        for level in range(CONTEXT_LEVELS):
            f[k + level] = sums_E2[up, 0] / max(sums_E2[up, 1], 1e-9)
            up = elements_EK[up, PARENT] if elements_EK[up, PARENT] >= 0 else up
        f[k + CONTEXT_LEVELS] = path_B[b]


__all__ = ["NUM_CONTEXT", "NUM_FEATURES", "block_features", "context_features"]
