"""Passages of documents: pieces that fit a prompt, cut at sentence ends.

In: texts. Out: for each, its first passages of whole sentences within a number of tokens (bundled tokenizer).
A sentence that is too long for any passage is stepped over: half a sentence would make half a fact.
"""

from __future__ import annotations

import itertools

import polars as pl

from algorithms.sentences import Span, sentences
from resources.tokenizer import count_tokens
from tier_assets.l3_refined.task import Passage


def cut(doc_id: str, text: str, num_tokens: int, num_passages: int, min_words: int) -> list[Passage]:
    """At most `num_passages` passages from the start of `text`, each of at most `num_tokens` tokens.

    Pieces under `min_words` words are left out: there is nothing to ask of a heading.
    """
    head = text[: _enough_chars(num_tokens, num_passages)]
    spans = sentences(head)
    if len(head) < len(text) and spans and spans[-1].end == len(head):
        spans.pop()  # the cut of the head may have fallen into it
    sizes = count_tokens(pl.Series([head[a:b] for a, b in spans], dtype=pl.String)).to_list()
    packed = (Span(run[0].start, run[-1].end) for run in _pack(spans, sizes, num_tokens))
    whole = (s for s in packed if len(text[s.start : s.end].split()) >= min_words)
    kept = itertools.islice(whole, num_passages)
    return [Passage(doc_id, text[s.start : s.end], s.start, s.end) for s in kept]


def _enough_chars(num_tokens: int, num_passages: int) -> int:
    """Characters of a text that are looked at: books are not segmented whole for one passage of their start."""
    return 20 * num_tokens * num_passages + 2_000


def _pack(spans: list[Span], sizes: list[int], num_tokens: int) -> list[list[Span]]:
    """Runs of neighbouring sentences, filled from the start; one token is counted for the space between two."""
    runs: list[list[Span]] = []
    run: list[Span] = []
    total = 0
    for span, size in zip(spans, sizes, strict=True):
        if total + size + 1 > num_tokens:
            runs.append(run)
            run, total = [], 0
        if size < num_tokens:
            run.append(span)
            total += size + 1
    return [r for r in [*runs, run] if r]
