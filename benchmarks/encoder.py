"""The bundled encoder beside the plain way of its makers, and what its vectors cost afterwards.

    python -m benchmarks.encoder [DATA] [--documents N]

DATA is the folder of the corpora (by default where they lie beside this repository). The peer does what
sentence-transformers does: texts sorted by length, whole texts tokenized and cut to 256 tokens, batches of 32 padded to
their longest, fp32, mean over tokens. In CPU milliseconds a document, medians of interleaved runs, all threads counted.
Prints the smallest cosine between both ways' vectors too.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from algorithms import spherical_kmeans
from benchmarks.lines import Line, cpu, interleaved, show
from benchmarks.page_archives import GOLD
from benchmarks.rules import documents
from resources.encoder import MAX_TOKENS, bundled_folder, open_encoder
from tier_assets.l2_selected import embed, topics

BATCH: Final = 32
CLUSTERS: Final = 64


def plain_model() -> tuple[Any, Any]:
    """Tokenizer and model in fp32, as transformers opens them."""
    from transformers import AutoModel, AutoTokenizer

    folder = bundled_folder()
    return AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()


def plain_encode(texts: list[str], tokenizer: Any, model: Any) -> np.ndarray:
    """Vectors of length 1 [N, D], the peer's way."""
    import torch

    order = np.argsort([-len(text) for text in texts], kind="stable")
    vectors_ND = np.empty((len(texts), model.config.hidden_size), np.float32)
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        held = [texts[row] for row in rows]
        tokens = tokenizer(held, truncation=True, max_length=MAX_TOKENS, padding=True, return_tensors="pt")
        with torch.inference_mode():
            states, mask = model(**tokens).last_hidden_state, tokens["attention_mask"][..., None]
            pooled = (states * mask).sum(1) / mask.sum(1)
            vectors_ND[rows] = torch.nn.functional.normalize(pooled, dim=1).numpy()
    return vectors_ND


def encoding(texts: list[str]) -> Line:
    """CPU milliseconds a document of both ways, and how alike their vectors are."""
    encoder = open_encoder("bundled")
    # First, since it says how OpenMP's threads wait: by spinning, both ways cost 110 ms beside other work.
    ours = encoder.encode(texts)
    plain = plain_model()
    theirs = plain_encode(texts, *plain)
    print(f"smallest cosine with fp32: {(ours * theirs).sum(axis=1).min():.5f}")
    each = interleaved(
        lambda: cpu(lambda: encoder.encode(texts)) / len(texts) * 1000,
        lambda: cpu(lambda: plain_encode(texts, *plain)) / len(texts) * 1000,
    )
    return Line(f"encode {len(texts)} documents, a document", "CPU ms", "transformers, fp32, batches of 32", *each)


def afterwards(texts: list[str]) -> None:
    """Prints what follows on the vectors, in CPU microseconds a document."""
    encoder = open_encoder("bundled")
    vectors = encoder.encode(texts)
    series = pl.Series(texts)
    centroids = spherical_kmeans.fit(vectors, CLUSTERS, seed=0, rounds=5)
    topics.topic_shares(vectors[:1], encoder)
    for what, work in (
        ("hash of the text", lambda: embed.text_hash(series)),
        (f"shares of {len(topics.TOPICS)} topics", lambda: topics.topic_shares(vectors, encoder)),
        (f"nearest of {CLUSTERS} centroids", lambda: spherical_kmeans.assign(vectors, centroids)),
    ):
        print(f"{what:<40} {'CPU us':<7} {cpu(work) / len(texts) * 1e6:>9.3g}")


def main() -> None:
    """Print the lines."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data", type=Path, nargs="?", default=GOLD)
    options.add_argument("--documents", type=int, default=200)
    chosen = options.parse_args()
    kinds = documents(chosen.data, chosen.documents // 4)
    texts = pl.concat([frame["text"] for frame in kinds.values()]).to_list()
    print(f"{'what':<40} {'unit':<7} {'ours':>9} {'peer':>9} {'ratio':>7}  peer is")
    show(encoding(texts))
    afterwards(texts)


if __name__ == "__main__":
    main()
