"""A web page as a row of text blocks with features, and the page cut down to chosen blocks.

Kohlschütter, Fankhauser & Nejdl 2010, "Boilerplate Detection using Shallow Text Features"
(doi:10.1145/1718487.1718542): what is main text shows in each block's length and link density and in its neighbours';
Vogels, Ganea & Eickhoff 2018, Web2Text (arXiv:1801.02607): and in the tags and class names around it
(features: `algorithms/block_features.py`).

    block      text between two block-level tags, with its inline markup
    element    every block knows the element it is in; every element its parent, its tags and classes, and those
               above it

Where we differ: class names count by groups of words (`page_words.CLASS_GROUPS`), one bit each. In: HTML as a DOM
serialises it (every element closed, attributes in double quotes, no scripts), so that one pass over its bytes suffices;
about 0.3 ms a page of 100 kB. Out: `Blocks`, then the bytes of the chosen ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numba
import numpy as np

from algorithms.page_words import FNV_BASIS, FNV_PRIME, NAMED_TAGS, TABLES

BLOCK_NUMBERS: Final = (
    "start", "end", "element", "chars", "words", "link_chars", "num_links", "digits", "capitals", "marks", "commas",
    "last_point", "words_mask", "inline_tags", "breaks", "bars", "innermost", "text_hash",
)  # fmt: skip
(
    START, END, ELEMENT, CHARS, WORDS, LINK_CHARS, NUM_LINKS, DIGITS, CAPITALS, MARKS, COMMAS, LAST, WORD_MASK,
    INLINE, BREAKS, BARS, INNERMOST, TEXT_HASH,
) = range(len(BLOCK_NUMBERS))  # fmt: skip
ELEMENT_NUMBERS: Final = (
    "parent", "tag", "own_classes", "classes_above", "tags_above", "path", "depth", "chars", "link_chars", "blocks",
    "p_chars", "open", "open_end", "close", "close_end",
)  # fmt: skip
(
    PARENT, TAG, OWN_MASK, ABOVE_MASK, ABOVE_TAG, PATH, DEPTH, E_CHARS, E_LINK_CHARS, E_BLOCKS, E_P_CHARS,
    OPEN, OPEN_END, CLOSE, CLOSE_END,
) = range(len(ELEMENT_NUMBERS))  # fmt: skip
# Stands where block-level elements were left out between texts, so that these do not run together.
SEPARATOR: Final = np.frombuffer(bytearray(b"<div></div>"), np.uint8)
IS_P: Final = NAMED_TAGS.index("p") + 1


@dataclass(frozen=True)
class Blocks:
    """`numbers_BK`: BLOCK_NUMBERS of each block; `elements_EK`: ELEMENT_NUMBERS of each element, parents before their
    children; `page`: the bytes that were read."""

    page: np.ndarray
    numbers_BK: np.ndarray
    elements_EK: np.ndarray

    @property
    def num_words(self) -> np.ndarray:
        """Words of each block."""
        return self.numbers_BK[:, WORDS]


def read_blocks(page: str) -> Blocks:
    """The blocks of a serialised page, in order."""
    data = np.frombuffer(bytearray(page.encode("utf-8", "replace")), np.uint8)  # writable, as the kernels are typed
    num_tags = int(np.count_nonzero(data == 60)) + 2
    blocks_BK = np.zeros((num_tags, len(BLOCK_NUMBERS)), np.int64)
    elements_EK = np.zeros((num_tags, len(ELEMENT_NUMBERS)), np.int64)
    num_blocks, num_elements = _scan(data, *TABLES, blocks_BK, elements_EK)
    return Blocks(data, blocks_BK[:num_blocks], elements_EK[:num_elements])


def cut(blocks: Blocks, keep_B: np.ndarray) -> str:
    """The page with only the blocks of `keep_B` (bool) and the elements around them."""
    keep_E = np.zeros(len(blocks.elements_EK), np.bool_)
    out = np.empty(len(blocks.page) + len(SEPARATOR) * (int(keep_B.sum()) + 1), np.uint8)
    size = _cut(
        blocks.page, TABLES[0], TABLES[1], blocks.numbers_BK, blocks.elements_EK, keep_B, keep_E, SEPARATOR, out
    )
    return out[:size].tobytes().decode("utf-8", "replace")


@numba.njit("int64(uint64[::1], int64[::1], uint64)", cache=True)
def _look_up(keys, values, key):  # type: ignore[no-untyped-def]
    """The value of `key`, 0 if it has none."""
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return values[low] if low < len(keys) and keys[low] == key else 0


@numba.njit("Tuple((int64, int64, uint64))(uint8[::1], int64, uint64[::1], int64[::1])", cache=True)
def _class_mask(data, i, keys, values):  # type: ignore[no-untyped-def]
    """Groups of the words of an attribute's value that starts at `i` (words end at capitals too), where it ends, and a
    hash of its letters (numbers left out, so that item-1 and item-2 are alike)."""
    state, mask, whole = np.uint64(FNV_BASIS), 0, np.uint64(FNV_BASIS)
    before = np.uint8(0)
    while i < len(data) and data[i] != 34:
        byte = data[i]
        lower = byte + np.uint8(32) if 65 <= byte <= 90 else byte
        if 97 <= lower <= 122:
            if 65 <= byte <= 90 and 97 <= before <= 122:
                mask |= _look_up(keys, values, state)
                state = np.uint64(FNV_BASIS)
            state = (state ^ np.uint64(lower)) * np.uint64(FNV_PRIME)
            whole = (whole ^ np.uint64(lower)) * np.uint64(FNV_PRIME)
        else:
            mask |= _look_up(keys, values, state)
            state = np.uint64(FNV_BASIS)
        before = byte
        i += 1
    return mask | _look_up(keys, values, state), i, whole


@numba.njit("int64(uint8[::1], int64)", cache=True)
def _comment_end(data, i):  # type: ignore[no-untyped-def]
    """Where the comment, doctype or instruction that starts at `i` (its `<`) ends."""
    if i + 3 < len(data) and data[i + 2] == 45 and data[i + 3] == 45:
        i += 4
        while i + 2 < len(data) and not (data[i] == 45 and data[i + 1] == 45 and data[i + 2] == 62):
            i += 1
        return i + 3
    while i < len(data) and data[i] != 62:
        i += 1
    return i + 1


@numba.njit(
    "Tuple((int64, int64, int64, uint64))(uint8[::1], int64, uint64[::1], int64[::1], uint64[::1], int64[::1],"
    "uint64[::1])",
    cache=True,
)
def _read_tag(data, i, tag_keys, tag_values, class_keys, class_values, attributes):  # type: ignore[no-untyped-def]
    """Of the start tag whose name begins at `i`: its code, where it ends, its class groups and a hash of both."""
    name = np.uint64(FNV_BASIS)
    while i < len(data) and data[i] != 62 and data[i] != 32 and data[i] != 47:
        name = (name ^ np.uint64(data[i])) * np.uint64(FNV_PRIME)
        i += 1
    code, mask, path = _look_up(tag_keys, tag_values, name), 0, name
    while i < len(data) and data[i] != 62:
        if data[i] == 32 or data[i] == 47:
            i += 1
            continue
        attribute, first = np.uint64(FNV_BASIS), i  # a name may begin with `=`
        while i < len(data) and (data[i] != 61 or i == first) and data[i] != 62 and data[i] != 32:
            attribute = (attribute ^ np.uint64(data[i])) * np.uint64(FNV_PRIME)
            i += 1
        if i + 1 < len(data) and data[i] == 61 and data[i + 1] == 34:
            i += 2
            wanted = False
            for known in attributes:
                wanted = wanted or known == attribute
            if wanted:
                groups, i, whole = _class_mask(data, i, class_keys, class_values)
                mask |= groups
                path ^= whole
            else:
                while i < len(data) and data[i] != 34:
                    i += 1
            i += 1
    return code, i + 1, mask, path


@numba.njit("int64(uint8[::1], int64, int64, uint64[::1], int64[::1], int64[::1])", cache=True)
def _read_text(data, i, links, word_keys, word_values, row):  # type: ignore[no-untyped-def]
    """Count the text from `i` up to the next tag into the block's row; where it ends."""
    size, state, inside, blank = len(data), np.uint64(FNV_BASIS), False, True
    while i < size and data[i] != 60:
        byte = data[i]
        if byte == 38:  # an entity: no letter
            ahead = i + 1
            while ahead < size and ahead < i + 8 and data[ahead] != 59 and data[ahead] != 60:
                ahead += 1
            i = ahead if ahead < size and data[ahead] == 59 else i
        lower = byte + np.uint8(32) if 65 <= byte <= 90 else byte
        word = 97 <= lower <= 122 or 48 <= byte <= 57 or byte >= 128
        if word:
            if not inside:
                row[WORDS] += 1
                row[CAPITALS] += 65 <= byte <= 90
                state, inside = np.uint64(FNV_BASIS), True
            row[DIGITS] += 48 <= byte <= 57
            state = (state ^ np.uint64(lower)) * np.uint64(FNV_PRIME)
        elif inside:
            row[WORD_MASK] |= _look_up(word_keys, word_values, state)
            row[TEXT_HASH] = (row[TEXT_HASH] ^ np.int64(state)) * 1099511628211
            inside = False
        space = byte == 32 or byte == 10 or byte == 9 or byte == 13
        if not (space and blank) and byte & 0xC0 != 0x80:
            row[CHARS] += 1
            row[LINK_CHARS] += links > 0
        blank = space
        if not space:
            row[LAST] = byte
            row[COMMAS] += byte == 44
            row[MARKS] += byte == 46 or byte == 33 or byte == 63
            row[BARS] += byte == 124
        i += 1
    if inside:
        row[WORD_MASK] |= _look_up(word_keys, word_values, state)
        row[TEXT_HASH] = (row[TEXT_HASH] ^ np.int64(state)) * 1099511628211
    return i


@numba.njit("void(int64[:, ::1], int64, int64, int64, int64, uint64, int64)", cache=True)
def _open_element(elements_EK, number, parent, code, mask, path, depth):  # type: ignore[no-untyped-def]
    """Fill the row of an element that opens; what is above it includes itself."""
    row = elements_EK[number]
    row[PARENT], row[TAG], row[OWN_MASK], row[DEPTH] = parent, code, mask, depth
    row[ABOVE_MASK], row[ABOVE_TAG], row[PATH] = mask, code >> 16, np.int64(path)
    if parent >= 0:
        row[ABOVE_MASK] |= elements_EK[parent, ABOVE_MASK]
        row[ABOVE_TAG] |= elements_EK[parent, ABOVE_TAG]
        row[PATH] ^= elements_EK[parent, PATH] * 31


@numba.njit("int64(uint8[::1], int64)", cache=True)
def _skip_blanks(data, i):  # type: ignore[no-untyped-def]
    while i < len(data) and (data[i] == 32 or data[i] == 10 or data[i] == 9 or data[i] == 13):
        i += 1
    return i


@numba.njit("int64(uint8[::1], int64)", cache=True)
def _tag_end(data, i):  # type: ignore[no-untyped-def]
    """Where the end tag that `i` is in ends."""
    while i < len(data) and data[i] != 62:
        i += 1
    return i + 1


@numba.njit(
    "UniTuple(int64, 2)(uint8[::1], uint64[::1], int64[::1], uint64[::1], int64[::1], uint64[::1], int64[::1],"
    "uint64[::1], int64[:, ::1], int64[:, ::1])",
    cache=True,
)
def _scan(  # type: ignore[no-untyped-def]
    data, tag_keys, tag_values, class_keys, class_values, word_keys, word_values, attributes, blocks_BK, elements_EK
):
    """Fill blocks and elements from the page; how many of each."""
    stack = np.full(len(elements_EK) + 1, -1, np.int64)  # open elements, from [1] on
    holders = np.full(len(elements_EK) + 1, -1, np.int64)  # of each of them the nearest block-level element
    depth, links, num_blocks, num_elements, is_open, i = 0, 0, 0, 0, False, 0
    while i < len(data):
        if data[i] != 60:  # text up to the next tag; blanks alone open no block
            start, i = i, _skip_blanks(data, i)
            if i < len(data) and data[i] != 60:
                if not is_open:
                    row, is_open, num_blocks = blocks_BK[num_blocks], True, num_blocks + 1
                    row[START], row[ELEMENT], row[INNERMOST] = start, holders[depth], stack[depth]
                    row[NUM_LINKS] = links > 0
                i = _read_text(data, i, links, word_keys, word_values, blocks_BK[num_blocks - 1])
        elif i + 1 < len(data) and (data[i + 1] == 33 or data[i + 1] == 63):
            i = _comment_end(data, i)
            continue
        else:
            start = i
            if i + 1 < len(data) and data[i + 1] == 47:
                i = _tag_end(data, i)
                if depth == 0:
                    continue
                code = elements_EK[stack[depth], TAG]
                elements_EK[stack[depth], CLOSE], elements_EK[stack[depth], CLOSE_END] = start, min(i, len(data))
                links -= code >> 10 & 1
                depth -= 1
            else:
                code, i, mask, path = _read_tag(data, i + 1, tag_keys, tag_values, class_keys, class_values, attributes)
                if is_open and code >> 8 & 1:
                    kind = BREAKS if code >> 9 & 1 else INLINE
                    blocks_BK[num_blocks - 1, kind] += 1
                    blocks_BK[num_blocks - 1, NUM_LINKS] += code >> 10 & 1
                if code >> 9 & 1 == 0:  # not void
                    _open_element(elements_EK, num_elements, stack[depth], code, mask, path, depth)
                    elements_EK[num_elements, OPEN], elements_EK[num_elements, OPEN_END] = start, min(i, len(data))
                    depth += 1
                    stack[depth] = num_elements
                    holders[depth] = holders[depth - 1] if code >> 8 & 1 else num_elements
                    num_elements += 1
                    links += code >> 10 & 1
            is_open = is_open and code >> 8 & 1 == 1
        if is_open:
            blocks_BK[num_blocks - 1, END] = i
    return num_blocks, num_elements


@numba.njit("void(int64[:, ::1], int64[:, ::1], boolean[::1], boolean[::1])", cache=True)
def _keep_elements(blocks_BK, elements_EK, keep_B, keep_E):  # type: ignore[no-untyped-def]
    """Mark the elements around kept blocks and those that open in one."""
    first = 0
    for b in range(len(blocks_BK)):
        if not keep_B[b]:
            continue
        element = blocks_BK[b, INNERMOST]
        while element >= 0 and not keep_E[element]:
            keep_E[element] = True
            element = elements_EK[element, PARENT]
        while first < len(elements_EK) and elements_EK[first, OPEN] < blocks_BK[b, START]:
            first += 1
        while first < len(elements_EK) and elements_EK[first, OPEN] < blocks_BK[b, END]:
            keep_E[first] = True
            first += 1


@numba.njit("boolean(uint8[::1], int64, int64, uint64[::1], int64[::1])", cache=True)
def _has_break(data, i, end, tag_keys, tag_values):  # type: ignore[no-untyped-def]
    """Whether a block-level tag stands from `i` to `end`."""
    while i < end:
        if data[i] != 60:
            i += 1
        elif data[i + 1] == 33 or data[i + 1] == 63:
            i = _comment_end(data, i)
        else:
            i += 2 if data[i + 1] == 47 else 1
            name = np.uint64(FNV_BASIS)
            while i < end and data[i] != 62 and data[i] != 32 and data[i] != 47:
                name = (name ^ np.uint64(data[i])) * np.uint64(FNV_PRIME)
                i += 1
            if _look_up(tag_keys, tag_values, name) >> 8 & 1 == 0:
                return True
            i = _tag_end(data, i)
    return False


@numba.njit(
    "int64(uint8[::1], uint64[::1], int64[::1], int64[:, ::1], int64[:, ::1], boolean[::1], boolean[::1], uint8[::1],"
    "uint8[::1])",
    cache=True,
)
def _cut(data, tag_keys, tag_values, blocks_BK, elements_EK, keep_B, keep_E, separator, out):  # type: ignore[no-untyped-def]
    """Write the tags of kept elements and the whole of kept blocks; how many bytes."""
    _keep_elements(blocks_BK, elements_EK, keep_B, keep_E)
    pieces = np.empty((len(keep_B) + 2 * len(keep_E), 3), np.int64)  # start, end, whether it is a block-level tag
    num = 0
    for b in range(len(keep_B)):
        if keep_B[b]:
            pieces[num, 0], pieces[num, 1], pieces[num, 2] = blocks_BK[b, START], blocks_BK[b, END], 0
            num += 1
    for e in range(len(keep_E)):
        if keep_E[e]:
            breaks = elements_EK[e, TAG] >> 8 & 1 == 0
            pieces[num, 0], pieces[num, 1], pieces[num, 2] = elements_EK[e, OPEN], elements_EK[e, OPEN_END], breaks
            pieces[num + 1, 0], pieces[num + 1, 1] = elements_EK[e, CLOSE], elements_EK[e, CLOSE_END]
            pieces[num + 1, 2] = breaks
            num += 2
    position, written, apart = 0, 0, True
    for piece in np.argsort(pieces[:num, 0], kind="mergesort"):
        start, end = pieces[piece, 0], pieces[piece, 1]
        if start < position or end == start:
            continue  # within a block that is written already
        breaks = pieces[piece, 2] == 1
        if not apart and not breaks and _has_break(data, position, start, tag_keys, tag_values):
            out[written : written + len(separator)] = separator
            written += len(separator)
        out[written : written + end - start] = data[start:end]
        position, written, apart = end, written + end - start, breaks
    return written


__all__ = ["BLOCK_NUMBERS", "ELEMENT_NUMBERS", "Blocks", "cut", "read_blocks"]
