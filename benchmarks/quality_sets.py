"""The gold sets of quality, as texts with a truth each: only to measure by, no scorer learns from them.

In: the folder of the gold data (`gold_folder`; a set that is not there is left out). Out: `GoldSet`s, each with the
dimension that it measures. Nothing of them is kept anywhere.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
from lxml import html

NUM_CHARS: Final = 600
EXTRACTION: Final = "extract_scrapinghub/articles.jsonl.gz"
READABILITY: Final = "quality_clear/clear.jsonl.gz"
EDUCATION: Final = "quality_finewebc_da/human.jsonl.gz"
LINES: Final = "quality_lines_turku/lines.jsonl.gz"
ACCEPTABILITY: Final = "quality_cola/train.jsonl.gz"


@dataclass(frozen=True, slots=True)
class GoldSet:
    """`texts` with a `truth` each (Float64; 0 and 1 where `binary`: AUC, else Spearman), white space collapsed. Rows of
    one `group` come from one page or document: the bootstrap draws them together. `measures` says what people judged,
    `dimension` which rated dimension is nearest to it (quality: the mean that selects)."""

    name: str
    measures: str
    dimension: str
    binary: bool
    texts: pl.Series
    truth: pl.Series
    group: pl.Series


def gold_folder() -> Path:
    """The folder of the gold data: TIERLAKE_GOLD, else `shared/data` beside the repository."""
    named = os.environ.get("TIERLAKE_GOLD")
    return Path(named) if named else Path(__file__).parents[2] / "shared" / "data"


def gold_sets(folder: Path) -> Iterator[GoldSet]:
    """All sets that are there. Of the article pages, half 1: half 0 served to compare designs."""
    if (folder / EXTRACTION).exists():
        pages = page_texts(folder, half=1)
        truth = pages["is_article"].cast(pl.Float64)
        yield GoldSet("article / boilerplate", "main text", "quality", True, pages["text"], truth, pages["page"])
    yield from _rated(folder / READABILITY, "clear", "readability, en", "coherence", ("Excerpt", "BT_easiness"), False)
    # 0 is problematic content, 1 no, 2 minimal, 3 basic, 4 good educational value; means over annotators.
    fields = ("text", "float_score")
    yield from _rated(folder / EDUCATION, "finewebc", "educational value, da", "educational_value", fields, False)
    yield from _lines(folder / LINES)
    yield from _rated(folder / ACCEPTABILITY, "cola", "grammar, en", "coherence", ("text", "acceptable"), True)


def page_texts(folder: Path, half: int) -> pl.DataFrame:
    """[page, text, is_article]: two texts of each page of one half, the article and the rest of the page, white space
    collapsed and cut to NUM_CHARS, so that neither length nor layout tells them apart."""
    rows = []
    for page in records(folder / EXTRACTION):
        if hashlib.md5(page["id"].encode()).digest()[0] % 2 != half:
            continue
        article = " ".join(page["gold_text"].split())
        tree = html.fromstring(page["html"].encode(), parser=html.HTMLParser(encoding="utf-8"))
        for hidden in tree.xpath("//script|//style|//noscript|//template|//comment()"):
            if hidden.getparent() is not None:
                hidden.drop_tree()
        parts = (" ".join(part.split()) for part in tree.itertext())
        rest = " ".join(part for part in parts if part and part not in article)
        if min(len(article), len(rest)) >= NUM_CHARS:
            rows += [(page["id"], window(text, page["id"]), text is article) for text in (article, rest)]
    return pl.DataFrame(rows, schema=["page", "text", "is_article"], orient="row")


def window(text: str, seed: str) -> str:
    """NUM_CHARS characters from a place that `seed` picks."""
    start = random.Random(seed).randrange(0, len(text) - NUM_CHARS + 1)
    return text[start : start + NUM_CHARS]


def records(path: Path) -> Iterator[dict]:
    """The JSON lines of a gzip file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _rated(
    path: Path, name: str, measures: str, dimension: str, fields: tuple[str, str], binary: bool
) -> Iterator[GoldSet]:
    """A set of records, `fields` being their text and their truth."""
    if path.exists():
        rows = [(record[fields[0]], float(record[fields[1]])) for record in records(path)]
        frame = pl.DataFrame(rows, schema={"text": pl.String, "truth": pl.Float64}, orient="row")
        group = pl.Series(range(len(frame)))
        yield GoldSet(name, measures, dimension, binary, collapsed(frame["text"]), frame["truth"], group)


def _lines(path: Path) -> Iterator[GoldSet]:
    """Lines of web pages, main text against noise: of all languages, and of each."""
    if not path.exists():
        return
    rows = [
        (page["lang"], page["id"], line, float(label))
        for page in records(path)
        for line, label in zip(page["lines"], page["labels"], strict=True)
    ]
    frame = pl.DataFrame(rows, schema=["language", "page", "text", "truth"], orient="row")
    frame = frame.with_columns(text=collapsed(frame["text"])).filter(pl.col("text") != "")
    by_language = frame.sort("language", maintain_order=True).partition_by("language", as_dict=True)
    for name, part in [("all", frame), *((str(key[0]), part) for key, part in by_language.items())]:
        yield GoldSet(f"lines, {name}", "main text", "quality", True, part["text"], part["truth"], part["page"])


def collapsed(texts: pl.Series) -> pl.Series:
    """Each text with every run of white space as one space."""
    return texts.str.replace_all(r"\s+", " ").str.strip_chars()
