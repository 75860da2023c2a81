"""The bundled tokenizer (SmolLM2, 49,152 tokens): what `num_tokens` means everywhere in the lake.

In: text. Out: token counts, or the text cut to a number of tokens. Built once from the vocabulary and merges of the
bundled GGUF file (3 s), cached as `tokenizer.json` (0.1 s to load); needs neither torch nor transformers.
SmolLM2's vocabulary lacks six control characters (U+0004, 06, 13, 14, 16, 1D) and the bytes F1 and F2 of unassigned
planes: they are no token at all. Counts some 40 MB of text a second on a core, 100 once the common words were seen (the
tokenizer itself: 2.6), in a table of at most 40 MB.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from resources.bundled_model import bundled_gguf, bundled_revision, cache_folder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from algorithms.byte_pairs import Merges

# An encoding takes some 100 bytes a token: 2 million characters keep a batch near 50 MB.
BATCH_CHARS = 2_000_000
MAX_PRETOKENS = 1 << 20  # counted ones in memory; beyond them the table starts afresh
NEW_PRETOKENS = 1 << 16  # counted at once
MAX_ROUNDS = 9  # enough for a batch without a word twice; a longer text of noise is left to the tokenizer
# Values of GGUF's tokenizer.ggml.token_type.
CONTROL_TOKEN = 3


def count_tokens(text: pl.Series) -> pl.Series:
    """Tokens of each text (Int64), null where the text is null; no special tokens are added.

    >>> count_tokens(pl.Series(["Water boils at 100 degrees.", "", None])).to_list()
    [9, 0, None]
    """
    if text.is_empty():
        return pl.Series(text.name, [], dtype=pl.Int64)
    whole = text.fill_null("")
    parts = []
    for start, length in _batches(whole):
        counts = _pretokens().count(whole.slice(start, length))
        # Special tokens are cut out before all else, and another Unicode may class what this one does not know.
        left = whole.slice(start, length).str.contains_any(_special_tokens()).to_numpy() | (counts < 0)
        if left.any():
            rest = [whole[start + int(row)] for row in np.flatnonzero(left)]
            counts[left] = [len(e) for e in tokenizer().encode_batch_fast(rest, add_special_tokens=False)]
        parts.append(counts)
    counted = pl.Series(text.name, np.concatenate(parts), dtype=pl.Int64)
    return counted.set(text.is_null(), None)


def cut_tokens(text: str, num_tokens: int) -> str:
    """The longest prefix of `text` that has at most `num_tokens` tokens (none for 0), never half a character.

    >>> cut_tokens("Water boils at 100 degrees.", 4)
    'Water boils at'
    """
    if num_tokens <= 0:
        return ""
    head = text[: (num_tokens + 1) * _longest_token()]
    # A prefix may split into more tokens than it did inside the whole text: give way until it fits.
    keep = num_tokens
    while len(offsets := tokenizer().encode(head, add_special_tokens=False).offsets) > num_tokens:
        # One character may be several tokens: stop before it where the limit falls inside.
        head = head[: min(offsets[keep - 1][1], offsets[keep][0])] if keep else ""
        keep -= 1
    return head


@functools.cache
def tokenizer() -> Tokenizer:
    """The bundled tokenizer, loaded once a process.

    Raises:
        RuntimeError: the bundled model's package is not installed.
    """
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(tokenizer_file()))


def tokenizer_file() -> Path:
    """The cached `tokenizer.json`; built if absent, by temporary name and rename, so that readers see it whole."""
    path = cache_folder() / f"tokenizer-{bundled_revision()}.json"
    if not path.exists():
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        _build(bundled_gguf()).save(str(temporary), pretty=False)
        os.replace(temporary, path)
    return path


def _build(gguf_file: Path) -> Tokenizer:
    """The tokenizer that a GGUF file describes: byte-level BPE, each digit a token of its own.

    The digits are what `tokenizer.ggml.pre` = smollm means (SmolLM2's published tokenizer.json likewise);
    the GGUF conversion of transformers leaves them out.
    """
    from gguf import GGUFReader
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    fields = GGUFReader(gguf_file).fields
    kind = (fields["tokenizer.ggml.model"].contents(), fields["tokenizer.ggml.pre"].contents())
    if kind != ("gpt2", "smollm"):
        raise RuntimeError(f"{gguf_file.name} has tokenizer {kind}; known: ('gpt2', 'smollm')")
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(m.split(" ", 1)) for m in fields["tokenizer.ggml.merges"].contents()]
    built = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    built.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    built.decoder = decoders.ByteLevel()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    built.add_special_tokens(
        [AddedToken(t, normalized=False) for t, k in zip(tokens, kinds, strict=True) if k == CONTROL_TOKEN]
    )
    return built


@functools.cache
def _longest_token() -> int:
    return max(len(t) for t in tokenizer().get_vocab())


class _Pretokens:
    """How many tokens each pre-token has that was met so far, in one open-addressing table."""

    _keys: np.ndarray
    _values: np.ndarray
    _num: int

    def __init__(self, max_pretokens: int = MAX_PRETOKENS, new_pretokens: int = NEW_PRETOKENS) -> None:
        self._max, self._new = max_pretokens, new_pretokens
        self._clear(1 << 16)

    def count(self, texts: pl.Series) -> np.ndarray:
        """Tokens of each text (no null); below 0 where only the tokenizer can say."""
        from algorithms.pretokens import classes, count_known

        array = texts.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
        _, offsets, data = array.buffers()
        ends_D = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
        bytes_B = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
        counts_D = np.full(len(array), -1, np.int64)
        keys, spans = np.empty(self._new, np.uint64), np.empty((self._new, 2), np.int64)
        for _ in range(MAX_ROUNDS):
            if not (todo_D := counts_D == -1).any():
                break
            self._make_room()
            num_new = count_known(bytes_B, ends_D, todo_D, classes(), self._keys, self._values, counts_D, keys, spans)
            self._learn(bytes_B, keys[:num_new], spans[:num_new])
        return counts_D

    def _learn(self, bytes_B: np.ndarray, keys: np.ndarray, spans: np.ndarray) -> None:
        from algorithms.byte_pairs import count_merged
        from algorithms.pretokens import put

        merges = _merges()
        counts = count_merged(bytes_B, spans, merges.byte_V, merges.pair_P, merges.rank_P, merges.token_P)
        long = np.flatnonzero(counts < 0)
        words = [bytes_B[start:end].tobytes().decode() for start, end in spans[long]]
        counts[long] = [len(e) for e in tokenizer().encode_batch_fast(words, add_special_tokens=False)]
        put(self._keys, self._values, keys, counts)
        self._num += len(keys)

    def _make_room(self) -> None:
        """Keep a third of the places free with as many more as one round brings."""
        from algorithms.pretokens import FREE, put

        if self._num + self._new > self._max:
            self._clear(len(self._keys))
        if 3 * (self._num + self._new) > 2 * len(self._keys):
            known = self._values != FREE
            keys, values, num = self._keys[known], self._values[known], self._num
            self._clear(2 * len(self._keys))
            put(self._keys, self._values, keys, values)
            self._num = num

    def _clear(self, size: int) -> None:
        from algorithms.pretokens import FREE

        self._keys, self._values = np.empty(size, np.uint64), np.full(size, FREE, np.int32)
        self._num = 0


@functools.cache
def _pretokens() -> _Pretokens:
    return _Pretokens()


@functools.cache
def _merges() -> Merges:
    from algorithms.byte_pairs import read_merges

    model = json.loads(tokenizer_file().read_text(encoding="utf-8"))["model"]
    return read_merges(model["vocab"], [tuple(pair) for pair in model["merges"]])


@functools.cache
def _special_tokens() -> list[str]:
    return [token.content for token in tokenizer().get_added_tokens_decoder().values()]


def _batches(texts: pl.Series) -> Iterator[tuple[int, int]]:
    """Position and length of consecutive runs of about BATCH_CHARS bytes or one text."""
    filled = texts.str.len_bytes().cum_sum() // BATCH_CHARS
    runs = filled.rle().struct.unnest()["len"].to_list()
    start = 0
    for length in runs:
        yield start, length
        start += length
