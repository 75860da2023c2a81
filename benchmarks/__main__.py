"""`make bench`: the foundation's benchmarks, one table. Those of L1 stand by themselves: `make bench-l1`,
`python -m benchmarks.rules`, `benchmarks.near_duplicates`.

Each line is ours against a peer doing the same work in the same run; the ratio says how many times less ours costs
(above 1: ours is better). The last line needs the language model, some minutes on two cores; `--quick` leaves it out.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import polars as pl

from benchmarks import delta_writer
from benchmarks.lines import REPEATS, Line, cpu, interleaved, show


def writer(folder: Path) -> list[Line]:
    """One partition of 150,000 rows through the lake's writer, against eager write_deltalake."""
    source = folder / "source"
    source.mkdir()
    delta_writer.make_source(source, 150_000)
    found: dict[str, list[dict[str, float]]] = {way: [] for way in delta_writer.WAYS}
    for repeat in range(REPEATS):
        for number, way in enumerate(delta_writer.WAYS):
            found[way].append(delta_writer.measure(way, source, folder / f"target-{repeat}-{number}"))
    lazy, _, eager = delta_writer.WAYS
    return [
        Line(
            f"write one partition, {name}",
            unit,
            eager,
            *(statistics.median(run[key] for run in found[way]) for way in (lazy, eager)),
        )
        for name, unit, key in (("time", "CPU s", "cpu_s"), ("peak memory", "MB", "peak_mb"))
    ]


def catalog(folder: Path) -> list[Line]:
    """A count through `lake.duckdb`, against delta_scan on the same table."""
    from resources.catalog import catalog_path, delta_extension, refresh
    from resources.lake import Lake
    from resources.step import Step, reads_of

    lake = Lake(str(folder / "lake"))
    for number in range(20):
        partition = {"corpus": f"c{number}", "snapshot": "1"}
        with Step(lake, "l1", "l1_filtered", partition, "bench", "1", reads_of(lake, {})) as step:
            stage = step.stage("l1_filtered")
            texts = pl.Series("text", [f"text {n}" for n in range(100)])
            stage.write(delta_writer.documents(0, 100, texts).with_columns(corpus=pl.lit(partition["corpus"])))
            step.commit(stage)
    refresh(lake)
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{catalog_path(lake)}' AS lake (READ_ONLY)")
        connection.execute(f"LOAD '{delta_extension()}'")
        views = "SELECT count(*) FROM lake.l1_filtered"
        scan = f"SELECT count(*) FROM delta_scan('{lake.path('l1_filtered')}')"

        def timed(query: str) -> float:
            connection.execute(query).fetchall()  # the first run reads footers
            start = time.perf_counter()
            for _ in range(20):
                connection.execute(query).fetchall()
            return (time.perf_counter() - start) / 20 * 1000

        return [
            Line(
                "count over 20 partitions", "ms", "delta_scan", *interleaved(lambda: timed(views), lambda: timed(scan))
            )
        ]


def extraction(folder: Path) -> list[Line]:
    """Main text of the demo's news pages by L1's extractor, against trafilatura's default settings."""
    import trafilatura

    from resources.packages import cache_folder
    from tier_assets.l0_raw.corpora import CORPORA, fetch_corpus
    from tier_assets.l1_filtered.html_text import main_text

    news = next(corpus for corpus in CORPORA if corpus.name == "news_pages")
    fetched = fetch_corpus(news, cache_folder(), full=False)
    if fetched.folder is None:
        print(f"extraction left out: {'; '.join(fetched.skipped)}", file=sys.stderr)
        return []
    pages = [p.read_text(errors="replace") for p in sorted(fetched.folder.rglob("*.htm*"))][:40]
    ours, theirs = interleaved(
        lambda: cpu(lambda: [main_text(page, None) for page in pages]) / len(pages) * 1000,
        lambda: cpu(lambda: [trafilatura.extract(page) for page in pages]) / len(pages) * 1000,
    )
    return [Line(f"main text of a page ({len(pages)} news pages)", "CPU ms", "trafilatura, default", ours, theirs)]


def language_model(folder: Path) -> list[Line]:
    """64 short replies through our engine and replay cache, against vLLM's own generate on the same prompts."""
    from resources.lake import Lake
    from resources.language_models import Replayed, open_model
    from resources.language_models.vllm_engine import engine

    model = open_model()
    subjects = ("bridges", "rivers", "bread", "iron", "winter", "trains", "glass", "bees")
    asked = [f"Write about {subject}, note {n}." for subject in subjects for n in range(8)]
    model.complete(asked[:8], max_tokens=8)  # starts the engine
    bare = engine(str(model._folder), model.max_model_len)  # type: ignore[attr-defined]
    from vllm import SamplingParams

    count = iter(range(1_000))

    def ours() -> float:
        prompts = [f"{next(count)} {prompt}" for prompt in asked]
        start = time.perf_counter()
        Replayed(model, Lake(str(folder / "replies")), "bench").complete(prompts, max_tokens=48)
        return time.perf_counter() - start

    def theirs() -> float:
        chats = [[{"role": "user", "content": f"{next(count)} {prompt}"}] for prompt in asked]
        start = time.perf_counter()
        bare.chat(chats, SamplingParams(max_tokens=48, temperature=0.0), use_tqdm=False)
        return time.perf_counter() - start

    return [Line("64 replies of 48 tokens", "s", "vLLM called bare", *interleaved(ours, theirs))]


# In the order in which they run; each gets an empty folder. The last one needs minutes.
PARTS = (writer, catalog, extraction, language_model)


def main() -> None:
    """Run the parts and print their lines as they come."""
    print(f"{'what':<40} {'unit':<7} {'ours':>9} {'peer':>9} {'ratio':>7}  peer is")
    for part in PARTS[:-1] if "--quick" in sys.argv else PARTS:
        with tempfile.TemporaryDirectory() as scratch:
            for line in part(Path(scratch)):
                show(line)


if __name__ == "__main__":
    main()
