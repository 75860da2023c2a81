"""Which passages a text repeats: word n-grams of known passages, looked up in the texts of a batch.

Papers: 13-grams, GPT-3, https://arxiv.org/abs/2005.14165, appendix C; the share of 8-grams, PaLM,
https://arxiv.org/abs/2204.02311, section 8.

    w_i      64-bit hash of the i-th word of a text: `\\w+` of the lower-cased text
    P_i      w_0 R^(i-1) + ... + w_(i-1), so that the n-gram at i is P_(i+n) - P_i R^n: one multiplication an n-gram
    long     distinct n-grams of LONG words of a passage that a text holds; `short`: of SHORT words; `whole`: 1 or 0

A passage of LONG words or more is known by its n-grams of LONG and of SHORT words; one of SHORT to LONG - 1 words by
itself, whole; a shorter one is not known at all. Every n-gram begins with SHORT words: a text costs one look-up a word
in a bit filter, and a binary search where that says yes.

Where we differ: n-grams that say little are left out of the index. Those are n-grams of too few distinct telling words
(alphabets, counting, formulas), n-grams of boilerplate, and n-grams that many passages of one set share (instructions,
templates). GPT-3 left out 13-grams of more than 10 training documents, which takes a pass over the corpus and forgives
a test item that leaked often. A code point of a script without spaces is a word.

In: Polars strings. Out: an `Index`; then a row for each pair of text and passage with an n-gram in common. Costs 22
bytes an n-gram of the index, five times as much while it is built. Deterministic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numba
import numpy as np
import polars as pl

from algorithms.minhash import ROLL, _finish, _is_word, _words

LONG: Final = 13
SHORT: Final = 8
UNSPACED: Final = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}])"
# A telling word has a letter and 3 bytes or more. An n-gram of which fewer words than this share are telling ones, each
# counted once, says little: 13-grams of alphabets, counting and arithmetic have 0 to 4, of prose 7 to 13.
TELLING_SHARE: Final = 0.375
LETTER: Final = re.compile(r"[^\W\d_]")
FILTER_BITS: Final = 16  # bits of the filter an n-gram: of words that begin none, 1 in 64 is searched for in vain
LONG_KIND, SHORT_KIND, WHOLE_KIND = 0, 1, 2
OVERLAPS: Final = pl.Schema(
    {"row": pl.Int64, "passage": pl.Int64, "long": pl.Int64, "short": pl.Int64, "whole": pl.Int64}
)


@dataclass(frozen=True)
class Index:
    """The n-grams of I passages.

    `keys_K`: sorted hashes, `posts_P[ends_K[k]:ends_K[k + 1]]` the passages that bear n-gram k (none where k only
    begins a longer one), `kinds_K` its kind; `filter_B`: says of most other hashes that they are not among them.
    `passages`: a row a passage: by how many distinct n-grams it is known (`long`, `short`, `whole`), `num_words`, and
    whether its script has no spaces (`unspaced`).
    """

    keys_K: np.ndarray
    kinds_K: np.ndarray
    ends_K: np.ndarray
    posts_P: np.ndarray
    filter_B: np.ndarray
    passages: pl.DataFrame


def build_index(texts: pl.Series, sets: pl.Series, boilerplate: pl.Series, max_shared: int) -> Index:
    """The index of the passages `texts`, less n-grams that say little.

    Args:
        sets: the name of each passage's set.
        boilerplate: texts whose n-grams are left out.
        max_shared: an n-gram of more passages than this of one set is left out.
    """
    folded = fold(texts)
    hashes_W, ends_I = _hash_words(folded)
    key_N, head_N, kind_N, passage_N = _passage_ngrams(hashes_W, ends_I, _telling(folded, len(hashes_W)))
    order = np.lexsort((passage_N, key_N))
    key_N, head_N, kind_N, passage_N = key_N[order], head_N[order], kind_N[order], passage_N[order]
    # A passage may repeat itself: one entry is enough.
    kept = np.ones(len(key_N), np.bool_)
    kept[1:] = (key_N[1:] != key_N[:-1]) | (passage_N[1:] != passage_N[:-1])
    kept &= ~np.isin(key_N, _every_ngram(*_hash_words(fold(boilerplate))))
    kept &= ~_shared(key_N, sets.rank("dense").to_numpy()[passage_N], kept, max_shared)
    return _finished(key_N[kept], head_N[kept], kind_N[kept], passage_N[kept], np.diff(ends_I), folded)


def overlaps(texts: pl.Series, index: Index) -> pl.DataFrame:
    """Each pair of a text (its `row`) and a passage with n-grams in common, and how many of each kind, as OVERLAPS."""
    bytes_B, ends_D = _buffers(fold(texts))
    sizes = np.zeros(LONG + 1, np.bool_)  # n-grams of these many words are looked up
    sizes[index.passages.filter(pl.col("whole") > 0)["num_words"].unique().to_numpy()] = True
    sizes[[SHORT, LONG]] = True
    arrays = (index.keys_K, index.kinds_K, index.ends_K, index.posts_P, index.filter_B)
    room = np.empty((1024, len(OVERLAPS)), np.int64)
    found = _overlaps(bytes_B, ends_D, _is_word(), *arrays, sizes, index.passages.height, room)
    return pl.DataFrame(found, schema=OVERLAPS.names(), orient="row").cast(OVERLAPS).sort("row", "passage")


def fold(texts: pl.Series) -> pl.Series:
    """The texts lower-cased, with blanks around each code point of a script that has none; null as empty."""
    lower = texts.fill_null("").str.to_lowercase()
    unspaced = lower.str.contains(UNSPACED)
    return lower.zip_with(~unspaced, lower.str.replace_all(UNSPACED, " $1 ")) if unspaced.any() else lower


def _shared(key_N: np.ndarray, set_N: np.ndarray, kept: np.ndarray, max_shared: int) -> np.ndarray:
    """Which of the sorted entries are n-grams that more than `max_shared` kept entries of one set bear."""
    starts = np.flatnonzero(np.append(True, key_N[1:] != key_N[:-1])) if len(key_N) else np.zeros(0, np.int64)
    lengths = np.diff(np.append(starts, len(key_N)))
    often = np.repeat(lengths > max_shared, lengths)  # few: only of these are sets counted
    entries = pl.DataFrame({"key": key_N[often], "set": set_N[often], "kept": kept[often]})
    shared = np.zeros(len(key_N), np.bool_)
    shared[often] = entries.select(pl.col("kept").sum().over("key", "set") > max_shared).to_series().to_numpy()
    return shared


def _finished(
    key_N: np.ndarray,
    head_N: np.ndarray,
    kind_N: np.ndarray,
    passage_N: np.ndarray,
    words_I: np.ndarray,
    folded: pl.Series,
) -> Index:
    """The index of entries sorted by key and passage."""
    own_K, starts_K = np.unique(key_N, return_index=True)
    # What only begins a longer n-gram is looked up too, and bears no passage.
    first_K = np.unique(head_N)
    heads = np.setdiff1d(first_K, own_K, assume_unique=True)
    keys_K = np.concatenate((own_K, heads))
    order = np.argsort(keys_K)
    kinds_K = np.concatenate((kind_N[starts_K], np.full(len(heads), SHORT_KIND, np.int8)))[order]
    keys_K = keys_K[order]
    ends_K = np.append(np.searchsorted(key_N, keys_K), len(key_N)).astype(np.int64)
    counts = {
        name: np.bincount(passage_N[kind_N == kind], minlength=len(words_I)).astype(np.int64)
        for kind, name in enumerate(("long", "short", "whole"))
    }
    unspaced = folded.str.count_matches(UNSPACED).cast(pl.Int64) * 2 > pl.Series(words_I)
    passages = pl.DataFrame({**counts, "num_words": words_I, "unspaced": unspaced})
    return Index(keys_K, kinds_K, ends_K, passage_N, _bit_filter(first_K), passages)


def _bit_filter(keys: np.ndarray) -> np.ndarray:
    """A power of two 64-bit words, FILTER_BITS a key or more: a key's leading bits name its word, in which it sets two
    (Bloom 1970, doi:10.1145/362686.362692, blocked: one cache line a look-up)."""
    log = max(1, int(np.ceil(np.log2(max(1, len(keys)) * FILTER_BITS / 64))))
    filter_B = np.zeros(1 << log, np.uint64)
    np.bitwise_or.at(filter_B, keys >> np.uint64(64 - log), _bits(keys))
    return filter_B


def _telling(folded: pl.Series, num_words: int) -> np.ndarray:
    """Whether each word of the texts is a telling one."""
    known: dict[str, bool] = {}
    told_W, place = np.empty(num_words, np.bool_), 0
    for text in folded:
        for word in re.findall(r"\w+", text):
            told = known.get(word)
            if told is None:
                told = known[word] = len(word.encode()) >= 3 and LETTER.search(word) is not None
            told_W[place] = told
            place += 1
    return told_W


def _buffers(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """UTF-8 bytes of all texts, and where each begins and the last ends."""
    array = texts.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    ends_D = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8), ends_D


def _hash_words(folded: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the words of all texts, and where each text's begin and the last's end."""
    bytes_B, ends_D = _buffers(folded)
    hashes_W, ends_I = np.empty(int(ends_D[-1] - ends_D[0]) // 2 + len(ends_D), np.uint64), np.zeros_like(ends_D)
    num_words = _every_word(bytes_B, ends_D, _is_word(), hashes_W, ends_I)
    return hashes_W[:num_words], ends_I


@numba.njit(cache=True)
def _every_word(data, ends_D, is_word, hashes_W, ends_I):  # type: ignore[no-untyped-def]
    total = 0
    for d in range(len(ends_D) - 1):
        total += _words(data, ends_D[d], ends_D[d + 1], is_word, hashes_W[total:])
        ends_I[d + 1] = total
    return total


@numba.njit(cache=True, inline="always")
def _power(size):  # type: ignore[no-untyped-def]
    power = np.uint64(1)
    for _ in range(size):
        power = power * ROLL
    return power


@numba.njit(cache=True, inline="always")
def _ngram(prefix, first, size, power):  # type: ignore[no-untyped-def]
    """Hash of the n-gram of `size` words at `first`; `power`: of that size."""
    return _finish(prefix[first + size] - prefix[first] * power + np.uint64(size))


@numba.njit(cache=True)
def _prefixes(hashes, count, prefix):  # type: ignore[no-untyped-def]
    prefix[0] = np.uint64(0)
    for i in range(count):
        prefix[i + 1] = prefix[i] * ROLL + hashes[i]


@numba.njit(cache=True)
def _every_ngram(hashes_W, ends_I):  # type: ignore[no-untyped-def]
    """Hashes of all n-grams of SHORT to LONG words."""
    sizes = LONG - SHORT + 1
    out = np.empty(len(hashes_W) * sizes, np.uint64)
    prefix = np.empty(len(hashes_W) + 1, np.uint64)
    total = 0
    for i in range(len(ends_I) - 1):
        count = ends_I[i + 1] - ends_I[i]
        _prefixes(hashes_W[ends_I[i] : ends_I[i + 1]], count, prefix)
        for size in range(SHORT, LONG + 1):
            for first in range(count - size + 1):
                out[total] = _ngram(prefix, first, size, _power(size))
                total += 1
    return out[:total]


@numba.njit(cache=True)
def _says_enough(hashes, telling, first, size):  # type: ignore[no-untyped-def]
    """Whether enough of the n-gram's distinct words are telling ones."""
    distinct = 0
    for i in range(first, first + size):
        new = telling[i]
        for j in range(first, i):
            if hashes[j] == hashes[i]:
                new = False
        distinct += new
    return distinct >= TELLING_SHARE * size


@numba.njit(cache=True)
def _passage_ngrams(hashes_W, ends_I, telling_W):  # type: ignore[no-untyped-def]
    """Of every n-gram that the passages are known by: key, key of its first SHORT words, kind, passage."""
    room = 2 * len(hashes_W)
    key_N, head_N = np.empty(room, np.uint64), np.empty(room, np.uint64)
    kind_N, passage_N = np.empty(room, np.int8), np.empty(room, np.int32)
    prefix = np.empty(len(hashes_W) + 1, np.uint64)
    short_power = _power(SHORT)
    total = 0
    for passage in range(len(ends_I) - 1):
        hashes, telling = hashes_W[ends_I[passage] : ends_I[passage + 1]], telling_W[ends_I[passage] :]
        count = len(hashes)
        if count < SHORT:
            continue
        _prefixes(hashes, count, prefix)
        for kind in range(2):
            size = (LONG if kind == 0 else SHORT) if count >= LONG else count
            if count < LONG and kind == 1:
                break
            power = _power(size)
            for first in range(count - size + 1):
                if _says_enough(hashes, telling, first, size):
                    key_N[total] = _ngram(prefix, first, size, power)
                    head_N[total] = _ngram(prefix, first, SHORT, short_power)
                    kind_N[total] = kind if count >= LONG else WHOLE_KIND
                    passage_N[total] = passage
                    total += 1
    return key_N[:total], head_N[:total], kind_N[:total], passage_N[:total]


@numba.njit(cache=True, inline="always")
def _bits(key):  # type: ignore[no-untyped-def]
    """The two bits that a key sets in its word of the filter."""
    return np.uint64(1) << (key & np.uint64(63)) | np.uint64(1) << (key >> np.uint64(6) & np.uint64(63))


@numba.njit(cache=True, inline="always")
def _place(keys_K, key):  # type: ignore[no-untyped-def]
    """Where `key` stands in `keys_K`; -1 where it does not."""
    low, high = 0, len(keys_K)
    while low < high:
        middle = (low + high) >> 1
        if keys_K[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low if low < len(keys_K) and keys_K[low] == key else -1


@numba.njit(cache=True, nogil=True)
def _overlaps(data, ends_D, is_word, keys_K, kinds_K, ends_K, posts_P, filter_B, sizes, num_passages, out):  # type: ignore[no-untyped-def]
    longest = 1
    for d in range(len(ends_D) - 1):
        longest = max(longest, (ends_D[d + 1] - ends_D[d]) // 2 + 1)
    hashes, prefix = np.empty(longest, np.uint64), np.empty(longest + 1, np.uint64)
    powers = np.empty(LONG + 1, np.uint64)
    for size in range(LONG + 1):
        powers[size] = _power(size)
    shift = np.uint64(64 - np.int64(np.round(np.log2(len(filter_B)))))
    seen_K = np.full(len(keys_K), -1, np.int32)
    counts_I3, touched = np.zeros((num_passages, 3), np.int64), np.empty(num_passages, np.int64)
    total = 0
    for d in range(len(ends_D) - 1):
        count = _words(data, ends_D[d], ends_D[d + 1], is_word, hashes)
        _prefixes(hashes, count, prefix)
        num_touched = 0
        for first in range(count - SHORT + 1):
            head = _ngram(prefix, first, SHORT, powers[SHORT])
            bits = _bits(head)
            if filter_B[head >> shift] & bits != bits:
                continue
            place = _place(keys_K, head)
            if place < 0:
                continue
            for size in range(SHORT, min(LONG, count - first) + 1):
                if not sizes[size]:
                    continue
                if size > SHORT:
                    place = _place(keys_K, _ngram(prefix, first, size, powers[size]))
                if place < 0 or seen_K[place] == d:
                    continue
                seen_K[place] = d
                for passage in posts_P[ends_K[place] : ends_K[place + 1]]:
                    if counts_I3[passage].sum() == 0:
                        touched[num_touched] = passage
                        num_touched += 1
                    counts_I3[passage, kinds_K[place]] += 1
        for passage in touched[:num_touched]:
            if total == len(out):
                out = np.concatenate((out, np.empty_like(out)))
            out[total, 0], out[total, 1] = d, passage
            out[total, 2:] = counts_I3[passage]
            counts_I3[passage] = 0
            total += 1
    return out[:total]


__all__ = ["LONG", "OVERLAPS", "SHORT", "Index", "build_index", "fold", "overlaps"]
