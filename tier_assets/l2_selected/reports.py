"""How well a distilled scorer orders documents as the language model does: what every kind of scorer reports.

In: out-of-fold values, the ratings and where each came from. Out: a `Report`, and whether it is worse than another.
Rank correlations with intervals by a seeded bootstrap over documents: milliseconds for a thousand labels.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from scipy.stats import rankdata

from algorithms import calibration

RESAMPLES: Final = 1_000
SEED: Final = 20_260
INTERVAL: Final = (2.5, 97.5)
BINS: Final = 10
# A corpus of fewer labels has no rank correlation worth a row.
MIN_CORPUS: Final = 10


@dataclass(frozen=True, slots=True)
class Report:
    """Skill on labels that a scorer had not seen.

    `spearman` with its 95% interval is out of fold; `spearman_across` leaves whole corpora out; `by_corpus` holds
    (corpus, labels, spearman within it). None where nothing varies. `calibration_error` is the mean distance of mean
    score and mean rating over ten bins of equal size.
    """

    num_labels: int
    num_page_labels: int
    spearman: float | None
    spearman_low: float | None
    spearman_high: float | None
    spearman_across: float | None
    by_corpus: tuple[tuple[str, int, float | None], ...]
    calibration_error: float


def folds_of(keys: pl.Series, folds: int) -> np.ndarray:
    """Each row's fold, 0 to `folds` - 1: equal keys together, folds of as many keys, the order by a hash.

    >>> found = folds_of(pl.Series(["a", "b", "a"]), 2)
    >>> bool(found[0] == found[2] != found[1])
    True
    """
    hashes = [hashlib.blake2b(str(key).encode(), digest_size=8).hexdigest() for key in keys]
    ranks = pl.Series(hashes, dtype=pl.String).rank("dense").to_numpy().astype(np.int64) - 1
    return np.asarray(ranks % folds)


def groups_of(ids: pl.Series, texts: pl.Series) -> pl.Series:
    """A key for each row such that rows of one id, and rows of equal text, share it (also through others)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = [column.fill_null("").rank("dense").to_numpy().astype(np.int64) - 1 for column in (ids, texts)]
    if len(ids) == 0:
        return pl.Series(dtype=pl.Int32)
    num_ids, num_texts = int(ends[0].max()) + 1, int(ends[1].max()) + 1
    size = num_ids + num_texts
    edges = coo_array((np.ones(len(ids), dtype=np.int8), (ends[0], ends[1] + num_ids)), shape=(size, size))
    return pl.Series(connected_components(edges, directed=False)[1][ends[0]])


def report_of(
    unseen: np.ndarray,
    across: np.ndarray | None,
    target: np.ndarray,
    corpus: pl.Series,
    calibrated: np.ndarray,
    num_page_labels: int,
    keys: pl.Series | None = None,
) -> Report:
    """The report of values `unseen` out of fold [N] and `across` corpora [N] (None where there is one corpus) against
    the ratings `target` [N]; `calibrated` are the scores [N] that the calibration error is of. Rows of one key of
    `keys` [N] are drawn together by the bootstrap; without, every row by itself."""
    low, high = interval(unseen, target, keys)
    return Report(
        num_labels=len(target),
        num_page_labels=num_page_labels,
        spearman=_rounded(spearman(unseen, target)),
        spearman_low=_rounded(low),
        spearman_high=_rounded(high),
        spearman_across=None if across is None else _rounded(spearman(across, target)),
        by_corpus=_by_corpus(unseen, target, corpus),
        calibration_error=round(calibration_error(calibrated, target), 4),
    )


def worse_than(new: Report, old: Report) -> str | None:
    """Why `new` must not take the place of `old`: the upper end of its interval lies below the old one's spearman.

    A scorer whose skill cannot be measured is worse than one whose skill can.
    """
    if old.spearman is None:
        return None
    if new.spearman is None or new.spearman_high is None:
        return f"spearman not measurable on {new.num_labels} labels; the last one had {old.spearman:.3f}"
    if new.spearman_high < old.spearman:
        return f"spearman {new.spearman:.3f} (at most {new.spearman_high:.3f}), the last one had {old.spearman:.3f}"
    return None


def spearman(values: np.ndarray, target: np.ndarray) -> float | None:
    """Rank correlation; None where one side is constant."""
    if len(values) < 2 or np.ptp(values) == 0 or np.ptp(target) == 0:
        return None
    a, b = rankdata(values), rankdata(target)
    return float(np.corrcoef(a, b)[0, 1])


def interval(
    values: np.ndarray, target: np.ndarray, keys: pl.Series | None = None
) -> tuple[float | None, float | None]:
    """The 95% interval of the rank correlation by a bootstrap over keys; (None, None) where it cannot be measured."""
    if spearman(values, target) is None:
        return None, None
    found = [spearman(values[rows], target[rows]) for rows in resamples(len(values), keys)]
    low, high = np.percentile([value for value in found if value is not None], INTERVAL)
    return float(low), float(high)


def resamples(num: int, keys: pl.Series | None = None) -> list[np.ndarray]:
    """RESAMPLES draws of rows with replacement, the rows of one key together; the same draws for the same input."""
    draw = np.random.default_rng(SEED)
    if keys is None:
        return list(draw.integers(0, num, (RESAMPLES, num)))
    codes = keys.rank("dense").to_numpy().astype(np.int64) - 1
    order = np.argsort(codes, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    return [np.concatenate([parts[p] for p in draw.integers(0, len(parts), len(parts))]) for _ in range(RESAMPLES)]


def calibration_error(scores: np.ndarray, target: np.ndarray) -> float:
    """Mean |mean score - mean rating| over bins of equal size in the order of the scores."""
    parts = np.array_split(np.argsort(scores, kind="stable"), BINS)
    gaps = [len(part) * abs(scores[part].mean() - target[part].mean()) for part in parts if len(part)]
    return float(sum(gaps) / len(scores))


def calibrated_out_of_fold(values: np.ndarray, target: np.ndarray, keys: pl.Series, folds: int) -> np.ndarray:
    """Each value [N] calibrated by a calibration that has not seen its fold: what a calibration error is taken of."""
    fold, found = folds_of(keys, folds), np.empty(len(values))
    for part in np.unique(fold):
        seen = fold != part
        if not seen.any():  # everything hangs together: there is nothing else to calibrate by
            seen = ~seen
        found[fold == part] = calibration.apply(calibration.fit(values[seen], target[seen]), values[fold == part])
    return found


def _by_corpus(values: np.ndarray, target: np.ndarray, corpus: pl.Series) -> tuple[tuple[str, int, float | None], ...]:
    names = corpus.to_numpy()
    rows = [(name, np.flatnonzero(names == name)) for name in corpus.unique().sort()]
    return tuple(
        (name, len(held), _rounded(spearman(values[held], target[held])) if len(held) >= MIN_CORPUS else None)
        for name, held in rows
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
