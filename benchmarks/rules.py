"""The rules against datatrove's filters as fineweb.py sets them, on prose: the same keep or drop, and what differs.

    python -m benchmarks.rules [DATA] [--per-kind N]

DATA is the folder of the corpora (by default where they lie beside this repository). Prints, by kind of prose, the
share of documents with the same verdict, with our readings and with datatrove's (`AS_DATATROVE`), and MB/s of both in
CPU seconds; then each class of difference with its count and an id.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl
from lxml import etree

from benchmarks.page_archives import GOLD
from benchmarks.peer import PEERS, peer_python, run_json
from tier_assets.l1_filtered.decode import tidy
from tier_assets.l1_filtered.rules import AS_DATATROVE, RULES, judge

LINE_TAG: Final = re.compile(r"(\s*<br\s*/?>\s*)+")
PASSAGE_WORDS: Final = 400


def documents(data: Path, per_kind: int) -> dict[str, pl.DataFrame]:
    """By kind of prose `per_kind` documents (id, text), chosen by hash of their id."""
    kinds = {
        "news": ((row["id"], row["text"]) for row in _rows(data / "corpus_news_reuters" / "reuters.jsonl.gz")),
        "reviews": (
            (row["id"], LINE_TAG.sub("\n", row["text"]))
            for row in _rows(data / "corpus_reviews_imdb" / "imdb10k.jsonl.gz")
        ),
        "literature": _passages(data / "corpus_literature" / "standardebooks.jsonl.gz"),
        "pages": (
            (row["id"], row["gold"].get("main_content") or "")
            for row in _rows(data / "extract_wcxb" / "wcxb_dev_sample.jsonl.gz")
        ),
    }
    chosen = {}
    for kind, found in kinds.items():
        first = sorted(found, key=lambda each: hashlib.blake2b(each[0].encode()).digest())[:per_kind]
        rows = [(name, tidy(text)) for name, text in first]
        chosen[kind] = pl.DataFrame(rows, schema={"id": pl.String, "text": pl.String}, orient="row")
    return chosen


def _rows(path: Path) -> Iterator[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _passages(path: Path) -> Iterator[tuple[str, str]]:
    """Paragraphs of each chapter, some 400 words at a time."""
    for row in _rows(path):
        tree = etree.fromstring(row["raw"].encode(), parser=etree.XMLParser(recover=True))
        passage: list[str] = []
        for number, paragraph in enumerate(tree.iter("{*}p")):
            passage.append(" ".join("".join(paragraph.itertext()).split()))
            if sum(len(part.split()) for part in passage) > PASSAGE_WORDS:
                yield f"{row['id']}#{number}", "\n".join(passage)
                passage = []


def peer_verdicts(python: Path, texts: pl.DataFrame) -> tuple[pl.Series, float]:
    """datatrove's reason for each text, and its CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "texts.jsonl"), Path(folder, "verdicts.jsonl")
        texts.write_ndjson(source)
        spent = run_json(python, PEERS / "datatrove_rules.py", str(source), str(target))
        return pl.read_ndjson(target, schema={"id": pl.String, "reason": pl.String})["reason"], spent["cpu_s"]


def compare(kind: str, texts: pl.DataFrame, python: Path) -> pl.DataFrame:
    """Prints the line of one kind; returns where the verdicts differ."""
    num_mb = texts["text"].str.len_bytes().sum() / 1e6
    theirs, their_s = peer_verdicts(python, texts)
    start = time.process_time()
    ours = judge(texts)["reason"]
    our_s = time.process_time() - start
    alike = judge(texts, AS_DATATROVE)["reason"]
    found = pl.DataFrame({"id": texts["id"], "ours": ours, "with_its_readings": alike, "datatrove": theirs})
    same = (found["ours"].is_null() == found["datatrove"].is_null()).mean()
    same_readings = (found["with_its_readings"].is_null() == found["datatrove"].is_null()).mean()
    kept = f"{found['ours'].is_null().mean():>9.1%} {found['datatrove'].is_null().mean():>9.1%}"
    speed = f"{num_mb / our_s:>7.1f} {num_mb / their_s:>7.2f}"
    print(f"{kind:<11} {len(texts):>6,} {same:>8.2%} {same_readings:>14.2%} {kept} {speed}", flush=True)
    return found.filter(
        pl.any_horizontal(pl.col("ours", "with_its_readings").is_null() != pl.col("datatrove").is_null())
    )


def differences(found: pl.DataFrame) -> None:
    """Prints the classes of difference: who drops, by which rule, how often, whether its readings explain it."""
    own = pl.col("ours").is_null() != pl.col("datatrove").is_null()
    explained = pl.col("with_its_readings").is_null() == pl.col("datatrove").is_null()
    table = (
        found.filter(own)
        .with_columns(explained=explained)
        .group_by("kind", "ours", "datatrove", "explained")
        .agg(pl.len().alias("documents"), pl.col("id").first().alias("example"))
        .sort("kind", "explained", "documents", "ours", "datatrove", descending=[False, True, True, False, False])
    )
    print(f"\n{'kind':<11} {'ours':<28} {'datatrove':<30} {'its readings':<13} {'documents':>9}  example")
    for kind, ours, theirs, is_reading, count, example in table.iter_rows():
        row = f"{ours or 'kept':<28} {theirs or 'kept':<30} {'explain' if is_reading else '':<13} {count:>9}"
        print(f"{kind:<11} {row}  {example}")


def main() -> None:
    """Compare each kind of prose and print the tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data", type=Path, nargs="?", default=GOLD)
    options.add_argument("--per-kind", type=int, default=1000)
    chosen = options.parse_args()
    python = peer_python("datatrove")
    judge(pl.DataFrame({"text": ["A sentence to compile with. " * 20]}), RULES)
    heads = f"{'same':>8} {'with readings':>14} {'we keep':>9} {'it keeps':>9} {'MB/s':>7} {'its':>7}"
    print(f"{'kind':<11} {'texts':>6} {heads}")
    kinds = documents(chosen.data, chosen.per_kind)
    found = [compare(kind, texts, python).with_columns(kind=pl.lit(kind)) for kind, texts in kinds.items()]
    differences(pl.concat(found))


if __name__ == "__main__":
    main()
