"""Fits the model of `line_noise.py` on lines that people have labelled, and on the lines that our extractor leaves.

    python -m tier_assets.l1_filtered.learn_line_noise LINES.jsonl.gz TEXTS.jsonl.gz [--half 0]

In: JSON Lines with `id`, `lines` and `labels` (1 text, 0 noise), and others with `id`, `text` (extracted, by a model of
main text that has not seen the page) and `gold` (its main text), where a line is noise if the main text holds neither
the line nor 3 of 10 of its trigrams. Out: `line_noise_model.json` in this folder, and on standard output what each
threshold means on documents that a fold's model had not seen. `--half H` learns only from ids whose sha1 is H modulo 2,
so that the other half can measure. About a minute for 900 documents.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numba
import numpy as np

from algorithms.boosted_trees import Trees, TreeSettings, fit
from tier_assets.l1_filtered.learn_main_text import half_of
from tier_assets.l1_filtered.line_features import NUM_BUCKETS, Lines, read_lines, with_context
from tier_assets.l1_filtered.line_noise import MODEL_FILE, LineModel, word_scores

WORD: Final = re.compile(r"\w+")
MIN_SHARED: Final = 0.3  # of a line's trigrams: so much of a rewritten sentence is still the main text's
TREES: Final = TreeSettings(num_trees=120, depth=5, rate=0.1, l2=10, min_weight=10, feature_share=0.3)
NUM_FOLDS: Final = 5
DOCUMENT_WEIGHT: Final = 20.0  # a document counts by the root of its number of lines
EPOCHS, RATE, L2 = 5, 0.3, 1e-3
Item = TypeVar("Item")
THRESHOLDS: Final = (0.5, 0.7, 0.8, 0.85, 0.9, 0.95)


@dataclass(frozen=True)
class Labelled:
    """A document's lines, and of each whether it is noise; `source`: which file it comes from."""

    source: str
    lines: Lines
    noise_L: np.ndarray


def learn(documents: Sequence[Labelled]) -> LineModel:
    """The whole model; each stage learns from what the one before said of documents that it had not seen."""
    words = [np.zeros(0)] * len(documents)
    shares = list(words)
    for fold in range(NUM_FOLDS):
        weight_W, bias = _fit_words(_outside(documents, fold))
        for n in range(fold, len(documents), NUM_FOLDS):
            words[n] = word_scores(documents[n].lines, weight_W, bias)
    for fold in range(NUM_FOLDS):
        trees = _fit_trees(_outside(documents, fold), _outside(words, fold))
        for n in range(fold, len(documents), NUM_FOLDS):
            shares[n] = trees.predict(with_context(documents[n].lines, words[n]))
    return LineModel(*_fit_words(documents), _fit_trees(documents, words), _fit_trees(documents, shares))


def _outside(items: Sequence[Item], fold: int) -> list[Item]:
    return [item for n, item in enumerate(items) if n % NUM_FOLDS != fold]


def _fit_trees(documents: Sequence[Labelled], score: Sequence[np.ndarray]) -> Trees:
    return fit(
        np.concatenate([with_context(document.lines, score_L) for document, score_L in zip(documents, score)]),
        np.concatenate([document.noise_L for document in documents]),
        np.concatenate([np.full(len(d.noise_L), DOCUMENT_WEIGHT / len(d.noise_L) ** 0.5) for d in documents]),
        TREES,
    )


def _fit_words(documents: Sequence[Labelled]) -> tuple[np.ndarray, float]:
    """A weight for each bucket of words, and the bias."""
    places = np.cumsum([0] + [len(document.lines.bucket_W) for document in documents])
    first_L = np.concatenate([d.lines.first_L[:-1] + place for d, place in zip(documents, places)])
    return _descend(
        np.concatenate([document.lines.bucket_W for document in documents]),
        np.append(first_L, places[-1]),
        np.concatenate([document.noise_L for document in documents]),
    )


@numba.njit(cache=True)
def _descend(bucket_W, first_L, noise_L):  # type: ignore[no-untyped-def]
    """Logistic regression by stochastic descent, each weight at its own pace (AdaGrad)."""
    weight_W, square_W, bias = np.zeros(NUM_BUCKETS), np.ones(NUM_BUCKETS), 0.0
    np.random.seed(0)
    for _ in range(EPOCHS):
        for i in np.random.permutation(len(noise_L)):
            buckets = bucket_W[first_L[i] : first_L[i + 1]]
            part = 1 / np.sqrt(max(len(buckets), 1))
            margin = bias
            for bucket in buckets:
                margin += part * weight_W[bucket]
            error = 1 / (1 + np.exp(-margin)) - noise_L[i]
            bias -= 0.01 * error
            for bucket in buckets:
                slope = part * error + L2 * weight_W[bucket]
                square_W[bucket] += slope * slope
                weight_W[bucket] -= RATE * slope / np.sqrt(square_W[bucket])
    return weight_W, bias


def read_documents(path: Path, half: int | None) -> Iterator[Labelled]:
    """The documents of a file, of one half of the ids or of both; those without lines left out.

    Raises:
        ValueError: a line has neither `lines` and `labels` nor `text` and `gold`, or labels do not match its lines.
    """
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in file:
            record = json.loads(row)
            if half is not None and half_of(record["id"]) != half:
                continue
            if "labels" in record:
                texts = [line.replace("\n", " ") for line in record["lines"]]
                noise_N = 1.0 - np.array(record["labels"])
            elif "gold" in record:
                texts = record["text"].split("\n")
                noise_N = _noise_by(record["gold"], texts)
            else:
                raise ValueError(f"{path}: neither labels nor gold in a line with fields {sorted(record)}")
            if len(texts) != len(noise_N):
                raise ValueError(f"{path}: {len(texts)} lines, but {len(noise_N)} labels in {record['id']!r}")
            lines = read_lines("\n".join(texts))
            if len(lines.number_L):
                yield Labelled(path.name, lines, noise_N[lines.number_L])


def _noise_by(gold: str, texts: Sequence[str]) -> np.ndarray:
    """Of each line whether the main text `gold` lacks it (1) or not (0)."""
    gold_words = WORD.findall(gold.lower())
    whole, trigrams = f" {' '.join(gold_words)} ", set(zip(gold_words, gold_words[1:], gold_words[2:]))
    noise = []
    for text in texts:
        words = WORD.findall(text.lower())
        own = list(zip(words, words[1:], words[2:]))
        shared = sum(trigram in trigrams for trigram in own)
        found = f" {' '.join(words)} " in whole if words else True
        noise.append(not found and (not own or shared < MIN_SHARED * len(own)))
    return np.array(noise, np.float64)


def report(model: LineModel, documents: Sequence[Labelled]) -> Iterator[str]:
    """A line for each source and threshold: precision and recall by lines, share of good bytes lost."""
    for source in sorted({document.source for document in documents}):
        part = [document for document in documents if document.source == source]
        share_L = np.concatenate([model.shares(document.lines) for document in part])
        noise_L = np.concatenate([document.noise_L for document in part]) == 1
        bytes_L = np.concatenate([document.lines.own_LF[:, 0] for document in part])
        for threshold in THRESHOLDS:
            out_L = share_L > threshold
            precision, recall = noise_L[out_L].mean() if out_L.any() else 1.0, out_L[noise_L].mean()
            lost = bytes_L[out_L & ~noise_L].sum() / bytes_L[~noise_L].sum()
            yield f"{source} p > {threshold}: precision {precision:.3f} recall {recall:.3f} text lost {lost:.4f}"


def main() -> None:
    """The command of the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--half", type=int, choices=(0, 1))
    parser.add_argument("--out", type=Path, default=MODEL_FILE)
    options = parser.parse_args()
    documents = [document for path in options.files for document in read_documents(path, options.half)]
    # Interleaved, so that every fold holds of all files alike.
    documents.sort(key=lambda document: (len(document.lines.number_L), document.source))
    part = learn([document for n, document in enumerate(documents) if n % NUM_FOLDS])
    print("documents that the model for this table has not seen:")
    print("\n".join(report(part, documents[::NUM_FOLDS])))
    options.out.write_text(learn(documents).to_json() + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
