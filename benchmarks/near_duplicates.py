"""Duplicates of a whole lake: documents per CPU second, memory while it runs, recall and soundness on gold pairs.

    python -m benchmarks.near_duplicates DATA [--documents N] [--peers PYTHON]

DATA is the folder of the gold sets `neardup_exact` and `neardup_minhash` and of the corpora that made-up documents are
cut from. PYTHON is that of an environment with rensa and datasketch: both run on the same texts, in turns with ours.
Ours runs with one thread and counts everything from text to clusters. Scale: N documents in 20 partitions, written
beforehand; a twentieth of them copies, a tenth near-copies, a fiftieth of one template just below the threshold and a
fiftieth of one just above.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import polars as pl

CORPORA = ("corpus_news_reuters/reuters", "corpus_reviews_imdb/imdb10k", "corpus_news_de/10kgnad_test")
PARTITIONS = 20
BATCH_ROWS = 2000
REPEATS = 3


def records(path: Path) -> Iterator[dict[str, str]]:
    """The records of a gzipped JSON Lines file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def prints_of(ids: list[str], texts: list[str], snapshot: str = "1") -> pl.DataFrame:
    """Fingerprints as the lake holds them."""
    from tier_assets.l1_filtered.deduplicate import PRINTS, fingerprint

    column = pl.Series("text", texts, dtype=pl.String)
    return (
        fingerprint(column)
        .with_columns(
            doc_id=pl.Series(ids, dtype=pl.String),
            corpus=pl.lit("bench"),
            snapshot=pl.lit(snapshot),
            num_chars=column.str.len_chars().cast(pl.Int64),
            licence=pl.lit(None, pl.String),
        )
        .select(PRINTS.names())
    )


# --- gold ----------------------------------------------------------------------------------------------------------


def shingles(text: str) -> set[str]:
    """The word 5-grams that J is exact over."""
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))} if words else set()


def exact_gold(data: Path) -> None:
    """Recall of pairs with J >= .8 not both kept; share of removed documents with J >= .7 to the very one kept."""
    from tier_assets.l1_filtered.deduplicate import clustered

    texts = {record["id"]: record["text"] for record in records(data / "neardup_exact" / "docs.jsonl.gz")}
    found = clustered(prints_of(list(texts), list(texts.values())).lazy())
    dropped = dict(found.drop_nulls("kept_doc_id").select("doc_id", "kept_doc_id").iter_rows())
    with (data / "neardup_exact" / "pairs.tsv").open() as file:
        pairs = [row for row in csv.DictReader(file, delimiter="\t") if row["id_a"] != row["id_b"]]
    near = [(row["id_a"], row["id_b"]) for row in pairs if float(row["jaccard_word5"]) >= 0.8]
    recall = sum(a in dropped or b in dropped for a, b in near) / len(near)
    alike = []
    for one, other in dropped.items():
        left, right = shingles(texts[one]), shingles(texts[other])
        alike.append(len(left & right) / max(1, len(left | right)) if left | right else 1.0)
    sound = sum(j >= 0.7 for j in alike) / len(alike)
    print(
        f"neardup_exact    recall {recall:.4f} of {len(near)} pairs; {sound:.4f} of {len(dropped)} removed at J >= .7"
    )


def known_pairs(data: Path) -> None:
    """Of the known near-copies of neardup_minhash, how many went, and how many documents went beside them."""
    from tier_assets.l1_filtered.deduplicate import clustered

    texts = {record["id"]: record["text"] for record in records(data / "neardup_minhash" / "articles_1000.jsonl.gz")}
    found = clustered(prints_of(list(texts), list(texts.values())).lazy()).drop_nulls("kept_doc_id")
    pairs = [line.split() for line in (data / "neardup_minhash" / "articles_1000.truth").read_text().splitlines()]
    gone = {frozenset(row) for row in found.select("doc_id", "kept_doc_id").iter_rows()}
    hits = sum(frozenset(pair) in gone for pair in pairs)
    print(f"neardup_minhash  {hits} of {len(pairs)} known pairs; {len(gone) - hits} others removed")


# --- made-up documents --------------------------------------------------------------------------------------------


def source_words(data: Path) -> list[list[str]]:
    """The words of real texts."""
    return [r["text"].split() for name in CORPORA for r in records(data / f"{name}.jsonl.gz") if len(r["text"]) > 200]


def documents(words: list[list[str]], number: int, draw: random.Random) -> Iterator[str]:
    """`number` texts of some 300 words: passages of real texts, and copies as the module says."""
    template = [f"field{place}" for place in range(200)]
    recent: list[list[str]] = []
    for _ in range(number):
        kind = draw.random()
        if kind < 0.05 and recent:
            yield " ".join(draw.choice(recent))
            continue
        if kind < 0.15 and recent:
            text = list(draw.choice(recent))
            for _ in range(max(1, len(text) // 150)):
                text[draw.randrange(len(text))] = f"edit{draw.randrange(1_000_000)}"
        elif kind < 0.19:
            # J of two such is 196 / (196 + 2 * 65) = .60 and 196 / (196 + 2 * 25) = .80.
            text = template + [f"v{draw.randrange(1_000_000_000)}" for _ in range(65 if kind < 0.17 else 25)]
        else:
            text = []
            while len(text) < 300:
                one = draw.choice(words)
                start = draw.randrange(len(one))
                text += one[start : start + draw.randint(20, 120)]
                text.append(f"n{draw.randrange(1_000_000)}")
            # Only some are copied later, so that few documents have to be remembered.
            if draw.random() < 0.1:
                recent = [*recent[-999:], text]
        yield " ".join(text)


def write_documents(data: Path, folder: Path, number: int) -> None:
    """Partitions of texts as Parquet files, numbered."""
    words = source_words(data)
    draw = random.Random(0)
    for part in range(PARTITIONS):
        texts = list(documents(words, number // PARTITIONS, draw))
        ids = [f"{draw.getrandbits(128):032x}" for _ in texts]
        frame = pl.DataFrame({"doc_id": ids, "text": texts})
        frame.write_parquet(folder / f"texts-{part:02}.parquet", row_group_size=BATCH_ROWS)


# --- ours at scale -------------------------------------------------------------------------------------------------


class Memory:
    """Resident memory of this process in MB, looked at ten times a second."""

    def __init__(self) -> None:
        self.seen: list[float] = []
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        pages = Path("/proc/self/statm")
        while True:
            self.seen.append(int(pages.read_text().split()[1]) * resource.getpagesize() / 1e6)
            time.sleep(0.1)

    def line(self, points: int = 20) -> str:
        """The peak of each of so many stretches of the run."""
        step = max(1, -(-len(self.seen) // points))
        return " ".join(f"{max(self.seen[i : i + step]):.0f}" for i in range(0, len(self.seen), step))


def fingerprint_all(folder: Path) -> None:
    """Fingerprints of every partition beside its texts, batch by batch."""
    for file in sorted(folder.glob("texts-*.parquet")):
        snapshot = file.stem.removeprefix("texts-")
        batches = pl.scan_parquet(file).collect_batches(chunk_size=BATCH_ROWS)
        found = [prints_of(b["doc_id"].to_list(), b["text"].to_list(), snapshot) for b in batches]
        pl.concat(found).write_parquet(folder / f"prints-{snapshot}.parquet", row_group_size=10_000)


def at_scale(folder: Path, number: int) -> None:
    """Fingerprint and cluster; one line of time and two of memory."""
    from tier_assets.l1_filtered.deduplicate import clustered

    prints_of(["warm"], ["up"])  # kernels are compiled before the clock starts
    clustered(prints_of(["warm", "up"], ["a b c", "a b c"]).lazy())
    memory = Memory()
    start = time.process_time()
    fingerprint_all(folder)
    between, num_seen = time.process_time(), len(memory.seen)
    found = clustered(pl.scan_parquet(folder / "prints-*.parquet"))
    end = time.process_time()
    reasons = dict(found.group_by("reason").len().sort("reason").iter_rows())
    print(
        f"{number:,} documents: {number / (end - start):,.0f} a CPU second; fingerprints {between - start:.1f} s, "
        f"clusters {end - between:.1f} s; {reasons}"
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:,.0f} MB; resident MB through the run (clusters from {num_seen / len(memory.seen):.0%}):")
    print(memory.line(), flush=True)


def ours(texts: list[str]) -> tuple[float, int]:
    """CPU seconds from texts to clusters, and how many go."""
    from tier_assets.l1_filtered.deduplicate import clustered

    start = time.process_time()
    prints = [
        prints_of([str(n) for n in range(i, min(i + BATCH_ROWS, len(texts)))], texts[i : i + BATCH_ROWS])
        for i in range(0, len(texts), BATCH_ROWS)
    ]
    found = clustered(pl.concat(prints).lazy())
    return time.process_time() - start, found["kept_doc_id"].count()


def beside_peers(data: Path, python: str, folder: Path, number: int) -> None:
    """Documents per CPU second of ours and the peers on the same texts, medians of turns."""
    texts = list(documents(source_words(data), number, random.Random(1)))
    path = folder / "texts.jsonl"
    path.write_text("".join(json.dumps(text) + "\n" for text in texts))
    script = Path(__file__).parent / "peers" / "near_duplicates.py"
    environment = os.environ | {"RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    ours(texts[:100])
    taken: dict[str, list[float]] = {}
    dropped: dict[str, int] = {}
    for _ in range(REPEATS):
        cpu_s, dropped["ours"] = ours(texts)
        taken.setdefault("ours", []).append(cpu_s)
        for peer in ("rensa", "datasketch"):
            answer = json.loads(subprocess.check_output([python, script, peer, path], env=environment, text=True))
            taken.setdefault(peer, []).append(answer["cpu_s"])
            dropped[peer] = len(answer["dropped"])
    for name, cpu in taken.items():
        print(f"{name:16} {number / statistics.median(cpu):>8,.0f} documents a CPU second; {dropped[name]:,} removed")


def main() -> None:
    """Print gold figures, then peers where there are any, then the run at scale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--peers", metavar="PYTHON")
    chosen = parser.parse_args()
    exact_gold(chosen.data)
    known_pairs(chosen.data)
    sys.stdout.flush()
    with tempfile.TemporaryDirectory() as scratch:
        if chosen.peers:
            beside_peers(chosen.data, chosen.peers, Path(scratch), 20_000)
        # Each in a process of its own: the memory of the first is none of the second's.
        for work, arguments in (
            (write_documents, (chosen.data, Path(scratch), chosen.documents)),
            (at_scale, (Path(scratch), chosen.documents)),
        ):
            process = get_context("spawn").Process(target=work, args=arguments)
            process.start()
            process.join()
            if process.exitcode:
                raise RuntimeError(f"{work.__name__} ended with {process.exitcode}")


if __name__ == "__main__":
    os.environ["POLARS_MAX_THREADS"] = "1"
    main()
