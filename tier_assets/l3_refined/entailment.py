"""How far a source bears an output out, 0 to 1: each output sentence against the source sentences most like it.

In: outputs and their sources. Out: a score each, to be kept in the row. It shows inventions (development half of the
gold records: AUC .94 for invented sentences) and the gate does not ask it: an encoder hardly sees a turned direction
or another answer (.51 and .54; added to the gate's own score it lowers that). Cost: each distinct sentence of a batch
is encoded once; with MiniLM 130 CPU ms a record whose source is an abstract.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from algorithms import grounding
from algorithms.sentences import sentences
from resources.encoder import Encoder

# Half the likeness of the vectors, half the share of the sentence's words that stand in the source: for invented
# sentences AUC .94, either alone .84 and .93.
LEXICAL_SHARE: Final = 0.5
# Vectors of so many records are held at a time: some 10,000 sentences, 15 MB.
RECORDS_AT_ONCE: Final = 512


def scores(outputs: Sequence[str], sources: Sequence[str], encoder: Encoder) -> list[float]:
    """The score of each output by its own source: the mean over its sentences, rounded to 1e-4; 0.0 of no sentence.

    Raises:
        ValueError: there are not as many sources as outputs.
    """
    if len(outputs) != len(sources):
        raise ValueError(f"{len(outputs)} outputs and {len(sources)} sources")
    found: list[float] = []
    for start in range(0, len(outputs), RECORDS_AT_ONCE):
        found += _batch(outputs[start : start + RECORDS_AT_ONCE], sources[start : start + RECORDS_AT_ONCE], encoder)
    return found


def _batch(outputs: Sequence[str], sources: Sequence[str], encoder: Encoder) -> list[float]:
    said, known = [_sentences(text) for text in outputs], [_claims(text) for text in sources]
    distinct = sorted({text for texts in (*said, *known) for text in texts})
    place = {text: row for row, text in enumerate(distinct)}
    vectors_ND = encoder.encode(distinct)
    found = []
    for output, claims, source in zip(said, known, sources, strict=True):
        if not output or not claims:
            found.append(0.0)
            continue
        likeness_OS = vectors_ND[[place[t] for t in output]] @ vectors_ND[[place[t] for t in claims]].T
        best_O = np.clip(likeness_OS.max(axis=1), 0.0, 1.0)
        support_O = np.array([grounding.support(t, source) for t in output])
        score = float(np.mean((1 - LEXICAL_SHARE) * best_O + LEXICAL_SHARE * support_O))
        found.append(round(min(1.0, max(0.0, score)), 4))
    return found


def _sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


def _claims(text: str) -> list[str]:
    """The sentences of a source, and each with its next: an output may say in one what the source says in two."""
    single = _sentences(text)
    return single + [f"{a} {b}" for a, b in pairwise(single)]
