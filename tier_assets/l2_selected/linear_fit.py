"""How the linear scorer learns: ratings by the language model first, then as much of the page labels as these bear.

In: rated windows and page labels. Out: `Learnt`: coefficients and what they said of rows that they had not seen. Two
models on the same columns, whose coefficients add up: one of the ratings, one of kept (+1) against cut (-1). Labels
of pages are many and sure, but say nothing among main texts. So the page model's share is the one with the largest
harmonic mean of two skills out of fold, each over its best: rank correlation with the ratings, and 2 AUC - 1 of kept
against cut windows.

Page labels teach as windows of the judge's size and as the single blocks within them: windows of kept and cut text are
equally long and so say nothing of length, blocks are as long as they are and say what length is worth in a short text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from scipy import sparse
from scipy.stats import rankdata

from algorithms import hashed_ngrams
from tier_assets.l2_selected import reports

# The page model's share, in standard deviations of the ratings' model on the rated windows.
SHARES: Final = (0.0, 0.125, 0.25, 0.375, 0.5, 0.75, 1.0, 1.5, 2.0)
# Of .3 to 30, .3 told kept from cut best on pages that were not learnt from (AUC .97 on 69 news sites; 30: .96).
PAGE_RIDGE: Final = 0.3
PIECE_CHARS: Final = 600
# Of 0 to 3, this share of the windows' weight in single blocks: AUC of blocks .73 to .93, of windows .975 to .972.
LINE_WEIGHT: Final = 0.3
MAX_LINES: Final = 20  # of one window, so that no page of a thousand links outweighs the others


@dataclass(frozen=True, slots=True)
class Learnt:
    """`coefficients` [NUM_COLUMNS, M], quality first; `unseen` [N, M] and `across` [N] are values of windows that a
    model had not seen, by folds and by corpora (None where there is one corpus). `page_auc` is how surely quality puts
    a kept window above a cut one out of fold, and the same without the page labels."""

    names: tuple[str, ...]
    coefficients: np.ndarray
    standard: hashed_ngrams.Standard
    unseen: np.ndarray
    across: np.ndarray | None
    groups: pl.Series
    ridge: float
    page_share: float
    page_auc: float | None
    page_auc_without: float | None


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows to learn from: their columns, targets, weights, corpora and folds. `whole` says which are windows."""

    design: sparse.csr_matrix
    target: np.ndarray
    weights: np.ndarray
    corpus: np.ndarray
    fold: np.ndarray
    whole: np.ndarray


def learn(
    windows: pl.DataFrame,
    dimensions: Sequence[str],
    pages: pl.DataFrame,
    window_bytes: int,
    folds: int,
    ridges: Sequence[float],
) -> Learnt:
    """Models of quality and of `dimensions` from windows [doc_id, corpus, text, quality, dimensions...] and pages
    [doc_id, corpus, kept, text]; the ridge with the best out-of-fold rank correlation wins, the larger on a tie."""
    groups = reports.groups_of(
        pl.concat([windows["doc_id"], pages["doc_id"]]), pl.concat([windows["text"], pages["text"]])
    )
    fold = reports.folds_of(groups, folds)
    found = hashed_ngrams.features(windows["text"], window_bytes)
    standard = hashed_ngrams.standard_of(found)
    design = hashed_ngrams.design_of(found, standard)
    rated = _rated(windows, "quality", design, fold[: len(windows)])
    labelled = _labelled(pages, fold[len(windows) :], standard, window_bytes)
    trials = [(ridge, _by_fold(rated, ridge, rated.fold)) for ridge in ridges]
    ridge, by_fold = max(trials, key=lambda trial: (round(_skill(rated, trial[1]), 3), trial[0]))
    pages_by_fold = _by_fold(labelled, PAGE_RIDGE, labelled.fold) if len(pages) else {}
    share, unit = _page_share(rated, by_fold, labelled, pages_by_fold)
    mixed = _mixed(by_fold, pages_by_fold, share * unit)
    quality = hashed_ngrams.solve(rated.design, rated.target, ridge)
    if share > 0:
        quality = quality + share * unit * hashed_ngrams.solve(
            labelled.design, labelled.target, PAGE_RIDGE, labelled.weights
        )
    coefficients, unseen = [quality], [_values(rated.design, rated.fold, mixed)]
    for name in dimensions:
        own = _rated(windows, name, design, fold[: len(windows)])
        coefficients.append(hashed_ngrams.solve(own.design, own.target, ridge))
        unseen.append(_values(design, rated.fold, _by_fold(own, ridge, own.fold)))
    return Learnt(
        names=("quality", *dimensions),
        coefficients=np.column_stack(coefficients),
        standard=standard,
        unseen=np.column_stack(unseen),
        across=_across(rated, labelled, ridge, share * unit),
        groups=groups[: len(windows)],
        ridge=ridge,
        page_share=share,
        page_auc=_page_auc(labelled, _values(labelled.design, labelled.fold, mixed)) if len(pages) else None,
        page_auc_without=_page_auc(labelled, _values(labelled.design, labelled.fold, by_fold)) if len(pages) else None,
    )


def page_rows(pages: pl.DataFrame) -> pl.DataFrame:
    """The rows that page labels [doc_id, corpus, kept, text] teach by, with their `label` (row of `pages`): pieces of
    PIECE_CHARS characters (`whole`) and the blocks that lie wholly within the window, each text of a corpus once."""
    base = pages.select("corpus", "kept", "text").with_row_index("label")
    pieces = [
        (label, corpus, kept, text[start : start + PIECE_CHARS], True)
        for label, corpus, kept, text in base.iter_rows()
        for start in range(0, max(1, len(text) - PIECE_CHARS + 1), PIECE_CHARS)
    ]
    lines = [
        (label, corpus, kept, line, False)
        for label, corpus, kept, text in base.iter_rows()
        for line in text.split("\n")[1:-1][:MAX_LINES]
    ]
    schema = {"label": pl.Int64, "corpus": pl.String, "kept": pl.Boolean, "text": pl.String, "whole": pl.Boolean}
    rows = pl.DataFrame([*pieces, *lines], schema=schema, orient="row")
    once = rows.filter(~pl.col("whole")).unique(["corpus", "kept", "text"], keep="first", maintain_order=True)
    return pl.concat([rows.filter("whole"), once])


def _rated(windows: pl.DataFrame, name: str, design: sparse.csr_matrix, fold: np.ndarray) -> _Rows:
    """The windows that have a rating of this name."""
    rows = np.flatnonzero(windows[name].is_not_null().to_numpy())
    target = windows[name].drop_nulls().to_numpy().astype(np.float64)
    corpus = windows["corpus"].to_numpy()[rows]
    return _Rows(design[rows], target, np.ones(len(rows)), corpus, fold[rows], np.ones(len(rows), dtype=bool))


def _labelled(pages: pl.DataFrame, fold: np.ndarray, standard: hashed_ngrams.Standard, window_bytes: int) -> _Rows:
    rows = page_rows(pages)
    label = rows["label"].to_numpy()
    target = np.where(rows["kept"].to_numpy(), 1.0, -1.0)
    whole = rows["whole"].to_numpy()
    weights = np.ones(len(rows))
    for side in (-1.0, 1.0):
        lines = ~whole & (target == side)
        weights[lines] = LINE_WEIGHT * (whole & (target == side)).sum() / max(int(lines.sum()), 1)
    design = hashed_ngrams.design_of(hashed_ngrams.features(rows["text"], window_bytes), standard)
    return _Rows(design, target, weights, rows["corpus"].to_numpy(), fold[label], whole)


def _by_fold(rows: _Rows, ridge: float, parts: np.ndarray) -> dict[object, np.ndarray]:
    """For each part the coefficients of a model that has not seen it; none where nothing else is left to learn from."""
    found = {}
    for part in np.unique(parts):
        seen = parts != part
        if seen.any():
            found[part] = hashed_ngrams.solve(rows.design[seen], rows.target[seen], ridge, rows.weights[seen])
    return found


def _values(design: sparse.csr_matrix, parts: np.ndarray, models: dict[object, np.ndarray]) -> np.ndarray:
    """Each row's value by the model of its part [N]; 0 where that has none."""
    values = np.zeros(design.shape[0])
    for part, coefficients in models.items():
        rows = parts == part
        values[rows] = design[rows] @ coefficients
    return values


def _mixed(
    models: dict[object, np.ndarray], of_pages: dict[object, np.ndarray], factor: float
) -> dict[object, np.ndarray]:
    """The sums of both kinds; a part that no page label lies in is judged by any page model, for it saw none of it."""
    if not of_pages or factor == 0:
        return models
    spare = next(iter(of_pages.values()))
    return {part: model + factor * of_pages.get(part, spare) for part, model in models.items()}


def _skill(rated: _Rows, models: dict[object, np.ndarray]) -> float:
    return reports.spearman(_values(rated.design, rated.fold, models), rated.target) or 0.0


def _page_share(
    rated: _Rows, models: dict[object, np.ndarray], labelled: _Rows, of_pages: dict[object, np.ndarray]
) -> tuple[float, float]:
    """The page model's share and the unit that it is in: standard deviations of the ratings' model over its own."""
    if not of_pages:
        return 0.0, 0.0
    alone = _mixed(dict.fromkeys(models, np.zeros(1)), of_pages, 1.0)
    own, pages = (_values(rated.design, rated.fold, each) for each in (models, alone))
    if own.std() == 0 or pages.std() == 0:
        return 0.0, 0.0
    unit = float(own.std() / pages.std())
    told, told_pages = (_values(labelled.design, labelled.fold, each) for each in (models, of_pages))
    skills = np.array([
        (
            max(reports.spearman(own + share * unit * pages, rated.target) or 0.0, 0.0),
            max(2 * _page_auc(labelled, told + share * unit * told_pages) - 1, 0.0),
        )
        for share in SHARES
    ])  # fmt: skip
    relative = skills / np.maximum(skills.max(axis=0), 1e-9)
    means = 2 * relative.prod(axis=1) / np.maximum(relative.sum(axis=1), 1e-9)
    return SHARES[int(np.argmax(means))], unit


def _page_auc(labelled: _Rows, values: np.ndarray) -> float:
    """Chance that a kept window is valued above a cut one, of values [N] by models that had not seen their pages."""
    kept = labelled.target[labelled.whole] > 0
    ranks, num = rankdata(values[labelled.whole]), int(kept.sum())
    return float((ranks[kept].sum() - num * (num + 1) / 2) / (num * (len(kept) - num)))


def _across(rated: _Rows, labelled: _Rows, ridge: float, factor: float) -> np.ndarray | None:
    """Each window's value by models that saw nothing of its corpus; None where there is one corpus."""
    corpora = np.unique(rated.corpus)
    if len(corpora) < 2:
        return None
    models = _by_fold(rated, ridge, rated.corpus)
    of_pages: dict[object, np.ndarray] = {}
    if factor > 0:
        of_pages = _by_fold(labelled, PAGE_RIDGE, labelled.corpus)
        everything = hashed_ngrams.solve(labelled.design, labelled.target, PAGE_RIDGE, labelled.weights)
        of_pages |= {corpus: everything for corpus in corpora if corpus not in set(labelled.corpus)}
        of_pages |= {corpus: np.zeros(len(everything)) for corpus in corpora if corpus not in of_pages}
    return _values(rated.design, rated.corpus, _mixed(models, of_pages, factor))
