"""The bundled tokenizer (SmolLM2, 49,152 tokens): what `num_tokens` means everywhere in the lake.

In: text. Out: token counts, or the text cut to a number of tokens. Built once from the vocabulary and merges of the
bundled GGUF file (3 s), cached as `tokenizer.json` (0.1 s to load); needs neither torch nor transformers.
SmolLM2's vocabulary lacks six control characters (U+0004, 06, 13, 14, 16, 1D) and the bytes F1 and F2 of unassigned
planes: they are no token at all. Counts some 4 MB of text a second on two cores; batches bound the memory.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from resources.bundled_model import bundled_gguf, bundled_revision, cache_folder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# An encoding takes some 100 bytes a token: 2 million characters keep a batch near 50 MB.
BATCH_CHARS = 2_000_000
BATCH_TEXTS = 1_024
# Values of GGUF's tokenizer.ggml.token_type.
CONTROL_TOKEN = 3


def count_tokens(text: pl.Series) -> pl.Series:
    """Tokens of each text (Int64), null where the text is null; no special tokens are added.

    >>> count_tokens(pl.Series(["Water boils at 100 degrees.", "", None])).to_list()
    [9, 0, None]
    """
    counts: list[int | None] = []
    for batch in _batches(text):
        encoded = tokenizer().encode_batch_fast([t or "" for t in batch], add_special_tokens=False)
        counts += [None if t is None else len(e) for t, e in zip(batch, encoded, strict=True)]
    return pl.Series(text.name, counts, dtype=pl.Int64)


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


def _batches(text: pl.Series) -> Iterator[list[str | None]]:
    """The texts in order, in lists of at most BATCH_TEXTS texts and about BATCH_CHARS characters."""
    batch: list[str | None] = []
    num_chars = 0
    for value in text:
        batch.append(value)
        num_chars += len(value or "")
        if len(batch) == BATCH_TEXTS or num_chars >= BATCH_CHARS:
            yield batch
            batch, num_chars = [], 0
    if batch:
        yield batch
