"""Fits the model of `main_text.py` on pages whose main text is known.

    python -m tier_assets.l1_filtered.learn_main_text PAGES.jsonl[.gz]... [--out MODEL.json]

In: JSON Lines with `id`, `url`, `html` and the main text as `gold_text`, `gold_md` or `gold` (a string, or an object
with `main_content`). Out: `main_text_model.json` in this folder. Each block's label is the share of its words that a
longest common subsequence of the page's and the gold text's words matches. The shipped model has learnt from all
pages; what it does on others, `benchmarks/extraction.py` measures by leaving out sites. A minute for 850 pages.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import html
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numba
import numpy as np

from algorithms.block_features import block_features, context_features
from algorithms.boosted_trees import Trees, TreeSettings, fit
from algorithms.page_blocks import Blocks
from tier_assets.l1_filtered.main_text import MODEL_FILE, BlockModel, read_page

WORD: Final = re.compile(r"\w+")
TAG: Final = re.compile(r"<[^>]*>")
FIRST: Final = TreeSettings(num_trees=150, depth=5, rate=0.08, l2=5, min_weight=5, feature_share=0.3)
SECOND: Final = TreeSettings(num_trees=120, depth=5, rate=0.08, l2=5, min_weight=5, feature_share=0.3)
NUM_FOLDS: Final = 5
PAGE_WEIGHT: Final = 100.0  # every page counts alike, whatever its length
MAX_CELLS: Final = 600_000_000  # of the table of an alignment; longer pages are left out
MIN_RUN: Final = 3  # words matched in a row: a shorter run is chance
NEAR_WORDS: Final = 15  # how far from matched words of the gold text a short block may match


@dataclass(frozen=True)
class Page:
    """A page to learn from: its blocks, their features, the share of each that is main text."""

    blocks: Blocks
    features_BF: np.ndarray
    share_B: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """Weights of the blocks: by words, but long ones less than in proportion; a page's sum is PAGE_WEIGHT."""
        weight_B = np.maximum(self.blocks.num_words, 0.3) ** 0.7
        return PAGE_WEIGHT * weight_B / weight_B.sum()


def learn(pages: Sequence[Page]) -> BlockModel:
    """Both models; the second learns from shares that the first gave to pages it had not seen."""
    folds = [[page for number, page in enumerate(pages) if number % NUM_FOLDS == fold] for fold in range(NUM_FOLDS)]
    seen: list[tuple[Page, np.ndarray]] = []
    for fold in folds:
        held_out = {id(page) for page in fold}
        part = _fit([(page, page.features_BF) for page in pages if id(page) not in held_out], FIRST)
        seen += [
            (page, context_features(page.blocks, page.features_BF, part.predict(page.features_BF))) for page in fold
        ]
    return BlockModel(_fit([(page, page.features_BF) for page in pages], FIRST), _fit(seen, SECOND))


def _fit(pages: Sequence[tuple[Page, np.ndarray]], settings: TreeSettings) -> Trees:
    return fit(
        np.concatenate([features for _, features in pages]),
        np.concatenate([page.share_B for page, _ in pages]),
        np.concatenate([page.weights for page, _ in pages]),
        settings,
    )


def labelled(page: str, url: str | None, gold: str) -> Page | None:
    """The page with a label for each block; None where it has no blocks, no main text or is too long to align."""
    read = read_page(page, url)
    blocks = read.blocks
    words = [_words(blocks, start, end) for start, end in blocks.numbers_BK[:, :2]]
    gold_words = WORD.findall(gold.lower())
    ends = np.cumsum([0] + [len(w) for w in words])
    if not len(words) or not gold_words or ends[-1] * len(gold_words) > MAX_CELLS:
        return None
    numbers: dict[str, int] = {}
    page_N = np.array([numbers.setdefault(word, len(numbers)) for block in words for word in block], np.int64)
    gold_M = np.array([numbers.setdefault(word, len(numbers)) for word in gold_words], np.int64)
    share_B = _shares(_align(page_N, gold_M), ends)
    return Page(blocks, block_features(blocks, read.hints_H), share_B)


def _words(blocks: Blocks, start: int, end: int) -> list[str]:
    text = blocks.page[start:end].tobytes().decode("utf-8", "replace")
    return WORD.findall(html.unescape(TAG.sub("", text)).lower())


@numba.njit(cache=True)
def _align(page_N, gold_M):  # type: ignore[no-untyped-def]
    """For each word of the page the place of the gold word that a longest common subsequence gives it, or -1."""
    num_page, num_gold = len(page_N), len(gold_M)
    step = np.zeros((num_page + 1, num_gold + 1), np.uint8)  # 1: match, 2: skip a page word, 3: skip a gold word
    before, here = np.zeros(num_gold + 1, np.int32), np.zeros(num_gold + 1, np.int32)
    for i in range(1, num_page + 1):
        for j in range(1, num_gold + 1):
            if page_N[i - 1] == gold_M[j - 1]:
                here[j], step[i, j] = before[j - 1] + 1, 1
            elif before[j] >= here[j - 1]:
                here[j], step[i, j] = before[j], 2
            else:
                here[j], step[i, j] = here[j - 1], 3
        before[:] = here
    place_N = np.full(num_page, -1, np.int64)
    i, j = num_page, num_gold
    while i > 0 and j > 0:
        if step[i, j] == 1:
            i, j = i - 1, j - 1
            place_N[i] = j
        elif step[i, j] == 2:
            i -= 1
        else:
            j -= 1
    return place_N


def _shares(place_N: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Share of each block's words that match the gold text: in runs of MIN_RUN words, or as a short block that
    matches whole near to such a run."""
    sure_N = np.zeros(len(place_N), np.bool_)
    start = 0
    while start < len(place_N):
        end = start + 1
        while end < len(place_N) and place_N[start] >= 0 and place_N[end] == place_N[end - 1] + 1:
            end += 1
        sure_N[start:end] = place_N[start] >= 0 and end - start >= MIN_RUN
        start = end
    sure_places = np.sort(place_N[sure_N])
    share_B = np.zeros(len(ends) - 1)
    for block, (first, last) in enumerate(pairwise(ends)):
        places, sure = place_N[first:last], sure_N[first:last].copy()
        if not len(places):
            continue
        if (places >= 0).all() and len(sure_places):
            sure |= np.abs(sure_places - places[0]).min() <= NEAR_WORDS
        if sure.mean() > 0.5:
            sure |= places >= 0
        share_B[block] = sure.mean()
    return share_B


def read_pages(paths: Sequence[Path]) -> Iterator[tuple[str, str, str | None, str]]:
    """Id, HTML, address and main text of each line.

    Raises:
        ValueError: a line has no main text field.
    """
    for path in paths:
        for record in read_records(path):
            yield str(record.get("id") or record.get("name")), record["html"], record.get("url"), _gold(record)


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON Lines file, gzipped or not."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def _gold(record: dict[str, Any]) -> str:
    for field in ("gold_text", "gold_md", "gold"):
        if field in record:
            value = record[field]
            return str((value["main_content"] if isinstance(value, dict) else value) or "")
    raise ValueError(f"no main text in a line with fields {sorted(record)}")


def fold_of(page_id: str, url: str | None, num_folds: int) -> int:
    """Which fold a page belongs to, 0 to `num_folds` - 1: all pages of a site to the same one.

    >>> fold_of("a", "https://news.example.org/1", 5) == fold_of("b", "http://example.org/2", 5)
    True
    """
    host = (url or "").partition("://")[2].partition("/")[0].lower()
    site = ".".join(host.split(".")[-2:]) or page_id
    return int(hashlib.sha1(site.encode()).hexdigest(), 16) % num_folds


def half_of(name: str) -> int:
    """Which half of the records the one of that id belongs to: 0 or 1."""
    return int(hashlib.sha1(name.encode()).hexdigest(), 16) % 2


def main() -> None:
    """The command of the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=MODEL_FILE)
    options = parser.parse_args()
    pages = [labelled(page, url, gold) for _, page, url, gold in read_pages(options.pages)]
    model = learn([page for page in pages if page is not None])
    options.out.write_text(model.to_json() + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
