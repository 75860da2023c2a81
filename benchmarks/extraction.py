"""Main text of gold pages: word-F1 by data set and page type, cross-validated by site, and pages per CPU second.

    python -m benchmarks.extraction DATA [--folds 5] [--speed-only]

DATA is the folder of the gold sets `extract_*`. For every fold a model learns from the pages of all other sites (those
of the three sets together), with the settings of the shipped one, and the whole cascade reads the fold's pages with it:
no page is measured by a model that saw its site. Beside it trafilatura's default, in the same run. A page without gold
text counts 0 for both. Speed on the first set: in these folds, page by page in turns; then with the shipped model,
which has seen these pages and is seldom in doubt, each round ours then trafilatura, medians of three. CPU seconds of
one process. About 10 minutes on one core; `--speed-only` takes one.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

SETS: Final = {
    "extract_scrapinghub": "articles.jsonl.gz",
    "extract_wcxb": "wcxb_dev_sample.jsonl.gz",
    "extract_math_llmwebkit": "bench.jsonl.gz",
}
WORD: Final = re.compile(r"\w+")
Found = TypeVar("Found")
REPEATS: Final = 3
NUM_WORST: Final = 3


@dataclass(frozen=True)
class GoldPage:
    """A page and its main text by hand; `kind`: its type, where the set names types."""

    dataset: str
    name: str
    kind: str
    url: str | None
    html: str
    gold: str


@dataclass(frozen=True)
class Score:
    """Word-F1 of one page, ours and trafilatura's, and which extractor made ours; CPU seconds of each."""

    page: GoldPage
    ours: float
    theirs: float
    extractor: str
    ours_s: float
    theirs_s: float


def word_f1(text: str, gold: str) -> float:
    """F1 of the two bags of lower-cased words; 0 where both are empty.

    >>> word_f1("a b b", "B c")
    0.4
    """
    found, wanted = Counter(WORD.findall(text.lower())), Counter(WORD.findall(gold.lower()))
    return 2 * (found & wanted).total() / max(1, found.total() + wanted.total())


def read_gold(folder: Path) -> list[GoldPage]:
    """All pages of the sets that lie in `folder`."""
    from tier_assets.l1_filtered.learn_main_text import read_pages, read_records

    pages = []
    for dataset, file in SETS.items():
        path = folder / dataset / file
        kinds = [record.get("page_type") or "" for record in read_records(path)]
        for (name, html, url, gold), kind in zip(read_pages([path]), kinds, strict=True):
            kind = kind or (name.partition("_")[0] if dataset == "extract_math_llmwebkit" else "article")
            pages.append(GoldPage(dataset, name, kind, url, html, gold))
    return pages


def timed(work: Callable[[], Found]) -> tuple[Found, float]:
    """What `work` returns, and its CPU seconds."""
    start = time.process_time()
    found = work()
    return found, time.process_time() - start


def cross_validate(pages: Sequence[GoldPage], num_folds: int) -> list[Score]:
    """Each page's score, ours by a model that learnt from other sites."""
    import trafilatura

    from tier_assets.l1_filtered.html_text import main_text
    from tier_assets.l1_filtered.learn_main_text import fold_of, labelled, learn

    known = [labelled(page.html, page.url, page.gold) for page in pages]
    folds = [fold_of(page.name, page.url, num_folds) for page in pages]
    scores = []
    main_text(pages[0].html, pages[0].url), trafilatura.extract(pages[0].html)  # what loads on first use
    for held_out in range(num_folds):
        model = learn([k for k, fold in zip(known, folds) if k is not None and fold != held_out])
        for page, fold in zip(pages, folds):
            if fold == held_out:
                found, ours_s = timed(partial(main_text, page.html, page.url, model))
                theirs, theirs_s = timed(partial(trafilatura.extract, page.html, url=page.url))
                _, text, extractor = found or ("", "", "none")
                f1s = word_f1(text, page.gold), word_f1(theirs or "", page.gold)
                scores.append(Score(page, *f1s, extractor, ours_s, theirs_s))
        print(f"fold {held_out + 1} of {num_folds}", file=sys.stderr)
    return scores


def print_scores(scores: Sequence[Score]) -> None:
    """A line for each set and page type; then each set's worst pages."""
    groups: dict[tuple[str, str], list[Score]] = defaultdict(list)
    for score in scores:
        groups[score.page.dataset, "all"].append(score)
        if WORD.search(score.page.gold):
            groups[score.page.dataset, "all with gold text"].append(score)
        groups[score.page.dataset, score.page.kind].append(score)
    print(f"{'word-F1, cross-validated by site':<44} {'pages':>5} {'ours':>6} {'trafilatura':>11}  extractors")
    for (dataset, kind), members in groups.items():
        ours, theirs = statistics.mean(s.ours for s in members), statistics.mean(s.theirs for s in members)
        made = ", ".join(f"{name} {n}" for name, n in Counter(s.extractor for s in members).most_common())
        print(f"{dataset + ' ' + kind:<44} {len(members):>5} {ours:>6.3f} {theirs:>11.3f}  {made}")
    first = [s for s in scores if s.page.dataset == next(iter(SETS))]
    rates = [len(first) / sum(seconds) for seconds in ((s.ours_s for s in first), (s.theirs_s for s in first))]
    print(f"pages per CPU second, not learnt from, in turns: {rates[0]:.0f}, trafilatura {rates[1]:.0f}")
    print(f"\n{'worst pages':<44} {'ours':>6} {'trafilatura':>11}")
    for dataset in SETS:
        members = [s for s in scores if s.page.dataset == dataset and WORD.search(s.page.gold)]
        for s in sorted(members, key=lambda s: s.ours)[:NUM_WORST]:
            print(f"{dataset + ' ' + s.page.name[:16]:<44} {s.ours:>6.3f} {s.theirs:>11.3f}  {s.page.kind}")


def print_speed(pages: Sequence[GoldPage]) -> None:
    """Pages per CPU second on the first set, ours and trafilatura's default in turns."""
    import trafilatura

    from tier_assets.l1_filtered.html_text import main_text

    chosen = [page for page in pages if page.dataset == next(iter(SETS))]
    main_text(chosen[0].html, chosen[0].url)  # compiles

    def rate(read: Callable[[GoldPage], object]) -> float:
        start = time.process_time()
        for page in chosen:
            read(page)
        return len(chosen) / (time.process_time() - start)

    ours, theirs = [], []
    for _ in range(REPEATS):
        ours.append(rate(lambda page: main_text(page.html, page.url)))
        theirs.append(rate(lambda page: trafilatura.extract(page.html, url=page.url)))
    a, b = statistics.median(ours), statistics.median(theirs)
    print(
        f"\npages per CPU second, {len(chosen)} of {chosen[0].dataset}, shipped model: {a:.0f}, trafilatura {b:.0f}: "
        f"{a / b:.1f}x"
    )


def main() -> None:
    """The command of the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--speed-only", action="store_true")
    options = parser.parse_args()
    pages = read_gold(options.data)
    if not options.speed_only:
        print_scores(cross_validate(pages, options.folds))
    print_speed(pages)


if __name__ == "__main__":
    main()
