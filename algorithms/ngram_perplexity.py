"""Perplexity of texts under a small word n-gram model: how surprised a reader of the sample would be.

Papers: CCNet, https://arxiv.org/abs/1911.00359, 3.2 (perplexity as quality, by KenLM); Chen and Goodman 1999,
https://doi.org/10.1006/csla.1999.0128 (interpolated absolute discounting, after Ney, Essen and Kneser 1994).

    p(w | h) = max(c(hw) - d_n, 0) / c(h)  +  g(h) * p(w | h')          for n = 3, 2
    p(w)     = max(c(w) - d_1, 0) / T      +  g_1 / V
    g(h)     = 1 - sum_w max(c(hw) - d_n, 0) / c(h)
    surprise = mean over a text's tokens of -ln p(w | h)    nats a token; exp of it is the perplexity

    h, h'   the n-1 tokens before w, and h without its first one
    c       how often an n-gram is in the sample; 0 for those that were pruned, whose mass g(h) passes on
    d_n     n1 / (n1 + 2 n2): from the numbers of n-grams that the sample holds once and twice
    T, V    tokens of the sample; 2^20, so that a token never seen is one of a million equals

The probabilities of all tokens after a context sum to 1 (but for hashes that fall together, one in 4,000).

Where we differ from CCNet: n-grams of three, not five; counts, not Kneser-Ney's continuations; tokens by a cheap
splitter that knows every script, not SentencePiece; one model over all languages of the sample, not one a language:
so a text of a language that the sample holds little of surprises more, and values compare within a language only.

Tokens: a mark or an ideograph; a run of letters and digits, cut into pieces of PIECE, in lower case, all digits 0.
White space counts for nothing. Long texts are read in WINDOWS windows, evenly spread.

In: Polars String series. Out: a `Model` of some MB, or a Float64 series. Deterministic: the sample is drawn by hashes,
whatever the order of texts; no random numbers, no threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Final

import numba
import numpy as np
import polars as pl

from algorithms.code_points import DIGIT, LETTER, SEED, SPACE, class_of, classes, decode, mix

ORDERS: Final = 3
VOCABULARY: Final = 1 << 20
# Code points of a piece: so that compounds and scripts without blanks are made of pieces seen before.
# Of 4, 5 and 6 it tells texts with noise in 5% of their characters best (AUC .91, .88, .86 over all corpora).
PIECE: Final = 4
WINDOWS: Final = 4
BREAK: Final = 0  # the token between two windows
# A discount of a sample so small that nothing is there once, or nothing twice.
LEAST_DISCOUNT, MOST_DISCOUNT = 0.1, 0.9
# Texts that must hold an n-gram, for it to be kept: a text of the sample shall explain itself no better than another
# (in a lake of 3,000 documents by .26 nats; with two texts .5, with one and two occurrences .75).
LEAST_TEXTS: Final = 3


@dataclass(frozen=True, slots=True)
class Counts:
    """The n-grams of one order: `keys` (hashes, sorted uint32), `counts`; and of those that may follow each as one
    n-gram longer, those that are kept: how many (`followers`) and how often in all (`followed`)."""

    keys: np.ndarray
    counts: np.ndarray
    followers: np.ndarray
    followed: np.ndarray


@dataclass(frozen=True)
class Model:
    """Counts by order (1 to 3), their discounts, and the tokens of the sample."""

    orders: tuple[Counts, ...]
    discounts: tuple[float, ...]
    num_tokens: int

    @cached_property
    def lookup(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """An open-addressing table over all orders, keys [S] and values [S, 3] (count less discount, count, g), and
        (1 / T, g_1 / V). A count of 0 is a free place."""
        longer = [*self.discounts[1:], 0.0]
        rows = [
            np.stack([o.counts - d, o.counts, 1.0 - (o.followed - o.followers * e) / np.maximum(o.counts, 1)], axis=1)
            for o, d, e in zip(self.orders, self.discounts, longer, strict=True)
        ]
        keys = np.concatenate([order.keys for order in self.orders])
        size = 1 << max(int(2 * len(keys)).bit_length(), 4)
        table_keys, table_values = np.zeros(size, dtype=np.uint32), np.zeros((size, 3), dtype=np.float32)
        _insert(table_keys, table_values, keys, np.concatenate(rows))
        rest = 1.0 - rows[0][:, 0].sum() / self.num_tokens
        return table_keys, table_values, np.array([1.0 / self.num_tokens, rest / VOCABULARY])


def fit(texts: Iterable[pl.Series], max_bytes: int, max_tokens: int, max_ngrams: int) -> Model:
    """A model of `texts`, of each at most `max_bytes` UTF-8 bytes.

    Of more than `max_tokens` tokens a sample is counted, drawn by hash: half of the texts, a quarter ... Of each order
    the commonest n-grams are kept, at most `max_ngrams`, and only those that LEAST_TEXTS texts hold. Memory: some 60
    bytes a token of the sample, and one batch.

    Raises:
        ValueError: the texts hold no token.
    """
    stream, text_ids = _sample(texts, max_bytes, max_tokens)
    if not (stream != BREAK).any():
        raise ValueError("a model of n-grams needs texts with at least one token")
    orders: list[Counts] = []
    discounts: list[float] = []
    for keys, lasts, contexts in _ngrams(stream):
        firsts, counts, num_texts = _counted(keys, text_ids[lasts])
        discounts.append(_discount(counts))
        shared = num_texts >= LEAST_TEXTS
        kept = np.flatnonzero(shared & (counts >= _least_count(counts[shared], max_ngrams)))
        if orders:
            orders[-1] = _followed(orders[-1], contexts[firsts[kept]], counts[kept])
        none = np.zeros(len(kept), dtype=np.int64)
        orders.append(Counts(keys[firsts[kept]], counts[kept], none, none))
    return Model(tuple(orders), tuple(discounts), len(stream) - 1)


def surprise(model: Model, texts: pl.Series, max_bytes: int) -> pl.Series:
    """Nats a token of each text (Float64), of at most `max_bytes` of its UTF-8 bytes; null where it has no token."""
    data, offsets = _buffers(texts)
    values = _surprises(data, offsets, max_bytes, *_tables(), *model.lookup)
    return pl.Series(texts.name, values, dtype=pl.Float64).fill_nan(None)


def perplexity(model: Model, texts: pl.Series, max_bytes: int) -> pl.Series:
    """Perplexity a token of each text (Float64): exp of `surprise`."""
    return surprise(model, texts, max_bytes).exp()


def _buffers(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """The UTF-8 bytes of all texts and the N+1 offsets into them."""
    array = texts.cast(pl.String).fill_null("").rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    offsets_N1 = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    return np.frombuffer(data if data is not None and data.size else b"\0", dtype=np.uint8), offsets_N1


@cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Class and lower case of every code point of the basic plane; a digit's lower case is 0."""
    kinds = classes()
    lower = [ord(small) if len(small := chr(point).lower()) == 1 else point for point in range(0x10000)]
    return kinds, np.where(kinds == DIGIT, ord("0"), lower).astype(np.int64)


def _sample(texts: Iterable[pl.Series], max_bytes: int, max_tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of the sample, a BREAK first and after every window [N + 1], and the number of each token's text."""
    held: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # tokens, their number by text, hash by text
    level = 0
    for batch in texts:
        data, offsets = _buffers(batch)
        held.append(_thinned(_tokens(data, offsets, max_bytes, *_tables()), level))
        while sum(len(tokens) for tokens, _, _ in held) > max_tokens:
            level += 1
            held = [_thinned(each, level) for each in held]
    lengths = np.concatenate([np.array([1]), *(lengths for _, lengths, _ in held)])
    stream = np.concatenate([np.array([BREAK], dtype=np.uint32), *(tokens for tokens, _, _ in held)])
    return stream, np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)


def _thinned(held: tuple[np.ndarray, np.ndarray, np.ndarray], level: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the texts those whose hash begins with `level` zeros."""
    tokens, lengths, hashes = held
    stays = hashes >> np.uint64(64 - level) == 0 if level else np.ones(len(hashes), dtype=np.bool_)
    return tokens[np.repeat(stays, lengths)], lengths[stays], hashes[stays]


def _ngrams(stream: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """By order, each n-gram of the stream: its key, the place of its last token, and the key of what is before that."""
    lasts = np.arange(1, len(stream))
    yield stream[1:], lasts, stream[:-1]
    pairs = _pair_keys(stream)
    yield pairs, lasts, stream[:-1]
    # After a break nothing is known of what was before it.
    inside = np.flatnonzero(stream[1:-1] != BREAK)
    yield _triple_keys(stream, inside), inside + 2, pairs[inside]


def _counted(keys: np.ndarray, text_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each distinct key, in order: where it is first, how often it is there, and in how many texts."""
    places = np.argsort(keys, kind="stable")
    starts_key = np.diff(keys[places], prepend=~keys[places[:1]]) != 0
    starts_text = np.diff(text_ids[places], prepend=-1) != 0
    starts = np.flatnonzero(starts_key)
    is_new = starts_key | starts_text
    texts_before = np.append(np.cumsum(is_new) - is_new, is_new.sum())
    ends = np.append(starts[1:], len(places))
    return places[starts], ends - starts, texts_before[ends] - texts_before[starts]


def _discount(counts: np.ndarray) -> float:
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return min(max(once / max(once + 2 * twice, 1), LEAST_DISCOUNT), MOST_DISCOUNT)


def _least_count(counts: np.ndarray, most: int) -> int:
    """The least count that at most `most` of the n-grams reach."""
    rest = len(counts) - most
    return int(np.partition(counts, rest - 1)[rest - 1]) + 1 if rest > 0 else 0


def _followed(shorter: Counts, contexts: np.ndarray, counts: np.ndarray) -> Counts:
    """`shorter` with what follows its n-grams: the kept longer ones, by their contexts and counts."""
    num = len(shorter.keys)
    place = np.searchsorted(shorter.keys, contexts)
    here = np.flatnonzero(shorter.keys[np.minimum(place, num - 1)] == contexts) if num else np.zeros(0, dtype=np.int64)
    followers = np.bincount(place[here], minlength=num)
    followed = np.bincount(place[here], weights=counts[here], minlength=num).astype(np.int64)
    # More can follow than there is only where two longer n-grams share a hash.
    return Counts(shorter.keys, shorter.counts, followers, np.minimum(followed, shorter.counts))


@numba.njit(cache=True, inline="always")
def _pair(first: np.uint32, last: np.uint32) -> np.uint32:
    return np.uint32(mix(mix(SEED, np.int64(first) + 1), np.int64(last)) >> np.uint64(32))


@numba.njit(cache=True, inline="always")
def _triple(first: np.uint32, middle: np.uint32, last: np.uint32) -> np.uint32:
    return np.uint32(mix(mix(mix(SEED, -1 - np.int64(first)), np.int64(middle)), np.int64(last)) >> np.uint64(32))


@numba.njit(cache=True)
def _pair_keys(stream: np.ndarray) -> np.ndarray:
    keys = np.empty(len(stream) - 1, dtype=np.uint32)
    for i in range(len(keys)):
        keys[i] = _pair(stream[i], stream[i + 1])
    return keys


@numba.njit(cache=True)
def _triple_keys(stream: np.ndarray, starts: np.ndarray) -> np.ndarray:
    keys = np.empty(len(starts), dtype=np.uint32)
    for n in range(len(starts)):
        i = starts[n]
        keys[n] = _triple(stream[i], stream[i + 1], stream[i + 2])
    return keys


@numba.njit(cache=True)
def _pieces(points, num_points, kinds, lower, tokens, count):  # type: ignore[no-untyped-def]
    """Writes the tokens of `points[:num_points]` to `tokens[count:]`; returns the next `count`."""
    i = 0
    inside = False  # of a word: its later pieces are not the words that they look like
    while i < num_points:
        point = points[i]
        kind = class_of(kinds, point)
        i += 1
        if kind == SPACE:
            inside = False
            continue
        is_word = kind in (LETTER, DIGIT)
        state = mix(SEED, np.int64(inside and is_word))
        state = mix(state, lower[point] if point < 0x10000 else point)
        if is_word:
            length = 1
            while i < num_points and length < PIECE:
                point = points[i]
                kind = class_of(kinds, point)
                if kind not in (LETTER, DIGIT):
                    break
                state = mix(state, lower[point] if point < 0x10000 else point)
                length += 1
                i += 1
            inside = length == PIECE
        else:
            inside = False
        tokens[count] = max(np.uint32(state >> np.uint64(32)), np.uint32(1))
        count += 1
    return count


@numba.njit(cache=True)
def _read(data, start, end, max_bytes, kinds, lower, points, tokens):  # type: ignore[no-untyped-def]
    """Writes the tokens of one text, a BREAK after each window, to `tokens`; returns how many."""
    size, count = end - start, 0
    windows = 1 if size <= max_bytes else WINDOWS
    length = size if windows == 1 else max_bytes // WINDOWS
    for window in range(windows):
        first = start + (size - length) * window // max(windows - 1, 1)
        last = first + length
        if window:  # not in the midst of a word, where its end is near
            stop = min(first + 64, last)
            while first < stop and data[first] > 32:
                first += 1
        while first < last and data[first] & 0xC0 == 0x80:
            first += 1
        while last < end and last > first and data[last] & 0xC0 == 0x80:
            last -= 1
        num_points = decode(data, first, last, points)
        count = _pieces(points, num_points, kinds, lower, tokens, count)
        tokens[count] = BREAK
        count += 1
    return count


@numba.njit(cache=True, nogil=True)
def _tokens(data, offsets, max_bytes, kinds, lower):  # type: ignore[no-untyped-def]
    """The tokens of all texts, and by text their number (its BREAKs among them) and hash."""
    num = len(offsets) - 1
    lengths = np.zeros(num, dtype=np.int64)
    hashes = np.zeros(num, dtype=np.uint64)
    total = 0
    for n in range(num):
        total += min(offsets[n + 1] - offsets[n], max_bytes) + WINDOWS
    out = np.empty(total, dtype=np.uint32)
    points = np.empty(max_bytes + WINDOWS, dtype=np.int64)
    at = 0
    for n in range(num):
        count = _read(data, offsets[n], offsets[n + 1], max_bytes, kinds, lower, points, out[at:])
        state = SEED
        for i in range(at, at + count):
            state = mix(state, np.int64(out[i]))
        # The low bits of a product know little of the high ones, which decide.
        hashes[n] = mix(state, count)
        lengths[n] = count
        at += count
    return out[:at].copy(), lengths, hashes


@numba.njit(cache=True)
def _insert(table_keys, table_values, keys, values):  # type: ignore[no-untyped-def]
    mask = len(table_keys) - 1
    for n in range(len(keys)):
        place = np.int64(keys[n]) & mask
        while table_values[place, 1] > 0:
            place = (place + 1) & mask
        table_keys[place] = keys[n]
        table_values[place] = values[n]


@numba.njit(cache=True, inline="always")
def _find(table_keys, table_values, key):  # type: ignore[no-untyped-def]
    """The place of `key`; -1 where it is not."""
    mask = len(table_keys) - 1
    place = np.int64(key) & mask
    while table_values[place, 1] > 0:
        if table_keys[place] == key:
            return place
        place = (place + 1) & mask
    return -1


@numba.njit(cache=True)
def _nats(tokens, count, table_keys, table_values, scalars):  # type: ignore[no-untyped-def]
    """-ln p of all tokens but BREAKs, and their number."""
    total, num = 0.0, 0
    start = _find(table_keys, table_values, np.uint32(BREAK))
    first = last = np.uint32(BREAK)
    single, double = start, -1  # the places of the last token and of the last two
    for i in range(count):
        token = tokens[i]
        if token == BREAK:
            first = last = token
            single, double = start, -1
            continue
        here = _find(table_keys, table_values, token)
        p = scalars[1]
        if here >= 0:
            p += table_values[here, 0] * scalars[0]
        pair = -1
        if single >= 0:
            pair = _find(table_keys, table_values, _pair(last, token))
            p *= table_values[single, 2]
            if pair >= 0:
                p += table_values[pair, 0] / table_values[single, 1]
        if double >= 0:
            triple = _find(table_keys, table_values, _triple(first, last, token))
            p *= table_values[double, 2]
            if triple >= 0:
                p += table_values[triple, 0] / table_values[double, 1]
        total -= np.log(min(p, 1.0))
        num += 1
        first, last = last, token
        single, double = here, pair
    return total, num


@numba.njit(cache=True, nogil=True)
def _surprises(data, offsets, max_bytes, kinds, lower, table_keys, table_values, scalars):  # type: ignore[no-untyped-def]
    num = len(offsets) - 1
    points = np.empty(max_bytes + WINDOWS, dtype=np.int64)
    tokens = np.empty(max_bytes + WINDOWS, dtype=np.uint32)
    values = np.empty(num, dtype=np.float64)
    for n in range(num):
        count = _read(data, offsets[n], offsets[n + 1], max_bytes, kinds, lower, points, tokens)
        total, seen = _nats(tokens, count, table_keys, table_values, scalars)
        values[n] = total / seen if seen else np.nan
    return values


__all__ = ["Counts", "Model", "fit", "perplexity", "surprise"]
