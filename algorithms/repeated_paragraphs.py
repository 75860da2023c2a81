"""Paragraphs that stand in many documents of a corpus: notices, banners, menus, headers of licences.

Wenzek et al. 2020, "CCNet" (arXiv:1911.00359), 3.1: a paragraph is normalised (lower case, each digit to 0, no
punctuation) and known by a 64-bit hash. In: texts, then the hashes of all documents. Out: the hashes that more than N
documents hold, and the edits that take their paragraphs out of a text.

Where we differ: CCNet keeps the first occurrence, so what a document loses hangs on the order of reading. Here a
paragraph goes from all documents or from none, for it says something of the site and nothing of the document, and is
counted once a document. A paragraph is what stands between blank lines, not a line: of hard-wrapped news, LaTeX and
code lines repeat that are no boilerplate (in more than 10 of 19,000 Reuters stories: 2.3% of all characters by lines,
.07% by paragraphs). Those of fewer than MIN_WORDS words, as headings, stay.

    paragraph_hashes(texts)          List[Int64] a document: 8 bytes a paragraph
    repeated(documents, more_than)   hashes; memory holds those of one pass, and there are as many passes as that takes
    removals(texts, hashes)          List[EDIT] a document, spans in code points of the text given
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Final

import numba
import numpy as np
import polars as pl

from tier_tables.documents import EDIT

MIN_WORDS: Final = 5
PASS_HASHES: Final = 1 << 23  # 8 million hashes: some 400 MB while they are counted
# FNV-1a over code points, 64 bits; a word ends in a blank.
BASIS, PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
BLANK: Final = 0
PLACE: Final = ("row", "char_start", "char_end", "num_words", "hash")
SPACE: Final = -1  # white space; other negative: neither word nor space


def paragraph_hashes(texts: pl.Series) -> pl.Series:
    """`paragraphs`: the distinct hashes of each text's paragraphs, ascending; none for a null text."""
    found = _paragraphs_of(texts).filter(pl.col("num_words") >= MIN_WORDS)
    found = found.group_by("row").agg(pl.col("hash").unique().sort().alias("paragraphs"))
    return _by_row(found, len(texts), "paragraphs")


def repeated(documents: pl.LazyFrame, more_than: int, pass_hashes: int = PASS_HASHES) -> pl.Series:
    """The hashes that more than so many documents hold, ascending.

    Args:
        documents: with the column `paragraphs` that `paragraph_hashes` makes; scanned once a pass.
        more_than: the number of documents that is still no repeat.
        pass_hashes: how many hashes a pass takes, about; those of a pass are equal modulo the number of passes.
    """
    hashes = documents.select(pl.col("paragraphs").explode()).drop_nulls()
    num_passes = 1 + documents.select(pl.col("paragraphs").list.len().sum()).collect().item() // pass_hashes
    found = [
        hashes.filter(pl.col("paragraphs").mod(num_passes) == number)
        .group_by("paragraphs")
        .agg(pl.len().alias("count"))
        .filter(pl.col("count") > more_than)
        .select("paragraphs")
        .collect(engine="streaming")
        for number in range(num_passes)
    ]
    return pl.concat(found).to_series().sort()


def removals(texts: pl.Series, repeats: pl.Series) -> pl.Series:
    """`edits`: for each text the operations that take out the paragraphs whose hash is in `repeats`, in order.

    Those that follow each other go as one, with the line breaks before them (at the start of the text those behind).
    Where nothing else is left the operation is `remove_all`.
    """
    places = _paragraphs_of(texts)
    gone = places["hash"].is_in(repeats.implode())
    row, start, end = (places[name].to_numpy() for name in ("row", "char_start", "char_end"))
    lengths = texts.str.len_chars().fill_null(0).to_numpy().astype(np.int64)
    spans = pl.DataFrame(dict(zip(PLACE, _spans(row, start, end, gone.to_numpy(), lengths))))
    length = pl.Series("length", lengths).gather(spans["row"])
    whole = (pl.col("char_start") == 0) & (pl.col("char_end") == pl.col("length"))
    op = pl.when(whole).then(pl.lit("remove_all")).otherwise(pl.lit("remove_lines")).alias("op")
    edits = spans.with_columns(length).select(
        "row", edits=pl.struct(op, "char_start", "char_end", pl.lit("").alias("text"))
    )
    found = edits.group_by("row", maintain_order=True).agg("edits")
    return _by_row(found, len(texts), "edits").cast(pl.List(EDIT))


def _by_row(found: pl.DataFrame, num_rows: int, name: str) -> pl.Series:
    """The lists of `found` at the places that its column `row` says, empty ones elsewhere."""
    rows = pl.DataFrame({"row": pl.int_range(num_rows, eager=True)})
    lists = rows.join(found, on="row", how="left", maintain_order="left").get_column(name)
    return lists.fill_null(pl.Series([[]], dtype=lists.dtype))


def _paragraphs_of(texts: pl.Series) -> pl.DataFrame:
    """Every run of lines that are not blank, as `PLACE`: from its first line's start to its last line's end."""
    array = texts.fill_null("").rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    ends_D = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    bytes_B = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    # At most one for every two line breaks, and one a text.
    most = int((texts.str.count_matches("\n", literal=True).fill_null(0) // 2 + 1).sum())
    found_P5 = np.empty((most, 5), np.int64)
    count = _scan(bytes_B, ends_D, _folded(), found_P5)
    return pl.DataFrame(dict(zip(PLACE, found_P5[:count].T)))


@cache
def _folded() -> np.ndarray:
    """What each code point counts as: within words its lower case, 0 for digits; SPACE; -2 for all else."""
    return np.array([_fold(chr(point)) for point in range(0x110000)], np.int32)


def _fold(character: str) -> int:
    if character.isdecimal():
        return ord("0")
    if character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M":
        lower = character.lower()
        return ord(lower) if len(lower) == 1 else ord(character)
    return SPACE if character.isspace() else -2


@numba.njit(cache=True, nogil=True)
def _scan(data, ends_D, folded, found_P5):  # type: ignore[no-untyped-def]
    """The paragraphs of all texts into `found_P5`; how many."""
    count = 0
    for row in range(len(ends_D) - 1):
        i, place, line = ends_D[row], 0, 0
        start, end, words, state, inside, blank = -1, 0, 0, BASIS, False, True
        while i <= ends_D[row + 1]:
            at_end = i == ends_D[row + 1]
            if at_end or data[i] == 10:
                if not blank:
                    start, end = line if start < 0 else start, place
                if start >= 0 and (blank or at_end):
                    found_P5[count] = row, start, end, words, np.int64(state)
                    count, start, words, state = count + 1, -1, 0, BASIS
                i, place, inside, blank = i + 1, place + 1, False, True
                line = place
                continue
            byte = np.int64(data[i])
            width = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            point = byte if width == 1 else byte & (0x7F >> width)
            for k in range(1, width):
                point = point << 6 | (np.int64(data[i + k]) & 0x3F)
            kind = folded[point]
            if kind >= 0:
                if not inside:
                    state, words = (state ^ np.uint64(BLANK)) * PRIME, words + 1
                state = (state ^ np.uint64(kind)) * PRIME
            inside = kind >= 0
            blank = blank and kind == SPACE
            i, place = i + width, place + 1
    return count


@numba.njit(cache=True)
def _spans(rows, starts, ends, gone, lengths):  # type: ignore[no-untyped-def]
    """Row, start and end of each run of paragraphs that go."""
    found = np.empty((3, len(rows)), np.int64)
    count = first = 0
    while first < len(rows):
        row, after = rows[first], first + 1
        if gone[first]:
            while after < len(rows) and rows[after] == row and gone[after]:
                after += 1
            opens = first == 0 or rows[first - 1] != row
            closes = after == len(rows) or rows[after] != row
            found[0, count] = row
            found[1, count] = 0 if opens else ends[first - 1]
            if opens:
                found[2, count] = lengths[row] if closes else starts[after]
            else:
                found[2, count] = ends[after - 1]
            count += 1
        first = after
    return found[:, :count]


__all__ = ["MIN_WORDS", "paragraph_hashes", "removals", "repeated"]
