"""How the linear scorer learns: ratings by the language model first, then as much of the page labels as these bear.

In: rated windows and page labels. Out: `Learnt`: coefficients and what they said of rows that they had not seen. Two
models on the same columns, whose coefficients add up: one of the ratings, one of kept (+1) against cut (-1). Labels
of pages are many and sure, but say nothing among main texts. So the page model's share is the largest that costs at
most a tenth of the out-of-fold rank correlation with the ratings.

Both teach as windows of the judge's size and as the single blocks within them. Windows of kept and cut text are equally
long and so say nothing of length; blocks are as long as they are, and say what length is worth in a short text. The
blocks of a rated window bear its rating: the ratings' model then keeps to what it knows when a text is short.
"""

from __future__ import annotations

import re
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
# Of the best rank correlation, what must be left. On 150 ratings of nine corpora and 349 pages: kept windows are told
# from cut ones at AUC .90 without the page model, .96 at .95 of it, .97 at .9 and no more than .98 at .75.
BORNE: Final = 0.9
# Of .3 to 30, .3 told kept from cut best on pages that were not learnt from (AUC .97 on 69 news sites; 30: .96).
PAGE_RIDGE: Final = 0.3
PIECE_CHARS: Final = 600
# Of 0 to 3, this share of the windows' weight in single blocks: AUC of a site's blocks .73 to .93, of its windows .975
# to .972; rank correlation with ratings .66 to .67.
LINE_WEIGHT: Final = 0.3
# What a full text has over an empty one (kept is +1, cut -1), added to what the page model learns of fullness within
# its corpora: with whole corpora left out blocks are told at AUC .76 (0), .80 (2.5) and .80 (5), windows at .86.
FULL_WEIGHT: Final = 5.0
# Lines and sentences.
BLOCK_END: Final = re.compile(r"\n+|(?<=[.!?]) ")
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
    """Rows to learn from: their columns, targets, weights, corpora and folds. `whole` says which are windows; `full` is
    added to what their models learn of fullness."""

    design: sparse.csr_matrix
    target: np.ndarray
    weights: np.ndarray
    corpus: np.ndarray
    fold: np.ndarray
    whole: np.ndarray
    full: float

    def of(self, rows: np.ndarray) -> _Rows:
        """Only these rows."""
        design, target, weights = self.design[rows], self.target[rows], self.weights[rows]
        return _Rows(design, target, weights, self.corpus[rows], self.fold[rows], self.whole[rows], self.full)

    def solve(self, ridge: float) -> np.ndarray:
        """The coefficients of a model of these rows."""
        found = hashed_ngrams.solve(self.design, self.target, ridge, self.weights)
        found[hashed_ngrams.FULL_COLUMN] += self.full
        return found


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
    rows = rated_rows(windows)
    found = hashed_ngrams.features(rows["text"], window_bytes)
    standard = hashed_ngrams.standard_of(hashed_ngrams.features(windows["text"], window_bytes))
    design = hashed_ngrams.design_of(found, standard)
    rated, *others = (_rated(windows, rows, name, design, fold) for name in ("quality", *dimensions))
    judged = rated.of(rated.whole)
    labelled = _labelled(pages, fold[len(windows) :], standard, window_bytes)
    trials = [(ridge, _by_part(rated, ridge, rated.fold)) for ridge in ridges]
    ridge, by_fold = max(trials, key=lambda trial: (round(_skill(judged, trial[1]), 3), trial[0]))
    of_pages = _by_part(labelled, PAGE_RIDGE, labelled.fold) if len(pages) else {}
    share, unit = _page_share(judged, by_fold, of_pages)
    mixed = _mixed(by_fold, of_pages, share * unit)
    quality = rated.solve(ridge) + (share * unit * labelled.solve(PAGE_RIDGE) if share > 0 else 0.0)
    by_name = [mixed, *(_by_part(own, ridge, own.fold) for own in others)]
    return Learnt(
        names=("quality", *dimensions),
        coefficients=np.column_stack([quality, *(own.solve(ridge) for own in others)]),
        standard=standard,
        unseen=np.column_stack([_values(judged.design, judged.fold, models) for models in by_name]),
        across=_across(rated, labelled, ridge, share * unit),
        groups=groups[: len(windows)],
        ridge=ridge,
        page_share=share,
        page_auc=_page_auc(labelled, _values(labelled.design, labelled.fold, mixed)) if len(pages) else None,
        page_auc_without=_page_auc(labelled, _values(labelled.design, labelled.fold, by_fold)) if len(pages) else None,
    )


def rated_rows(windows: pl.DataFrame) -> pl.DataFrame:
    """The rows that windows teach by [window (its row), text, whole]: themselves, and each of their blocks."""
    texts = list(enumerate(windows["text"].fill_null("")))
    whole = [(window, text, True) for window, text in texts]
    blocks = [
        (window, block.strip(), False)
        for window, text in texts
        for block in [block for block in BLOCK_END.split(text) if block.strip()][:MAX_LINES]
    ]
    schema = {"window": pl.Int64, "text": pl.String, "whole": pl.Boolean}
    return pl.DataFrame([*whole, *blocks], schema=schema, orient="row")


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


def _rated(windows: pl.DataFrame, rows: pl.DataFrame, name: str, design: sparse.csr_matrix, fold: np.ndarray) -> _Rows:
    """The rows of `rated_rows` whose window has a rating of this name."""
    window, whole = rows["window"].to_numpy(), rows["whole"].to_numpy()
    held = windows[name].is_not_null().to_numpy()[window]
    target = windows[name].cast(pl.Float64).to_numpy()[window]
    weights = np.where(whole, 1.0, LINE_WEIGHT * (whole & held).sum() / max(int((~whole & held).sum()), 1))
    corpus = windows["corpus"].to_numpy()[window]
    return _Rows(design, target, weights, corpus, fold[window], whole, 0.0).of(held)


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
    return _Rows(design, target, weights, rows["corpus"].to_numpy(), fold[label], whole, FULL_WEIGHT)


def _by_part(rows: _Rows, ridge: float, parts: np.ndarray) -> dict[object, np.ndarray]:
    """For each part the coefficients of a model that has not seen it; none where nothing else is left to learn from."""
    return {part: rows.of(parts != part).solve(ridge) for part in np.unique(parts) if (parts != part).any()}


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


def _skill(judged: _Rows, models: dict[object, np.ndarray]) -> float:
    return reports.spearman(_values(judged.design, judged.fold, models), judged.target) or 0.0


def _page_share(
    judged: _Rows, models: dict[object, np.ndarray], of_pages: dict[object, np.ndarray]
) -> tuple[float, float]:
    """The page model's share and the unit that it is in: standard deviations of the ratings' model over its own."""
    if not of_pages:
        return 0.0, 0.0
    alone = _mixed(dict.fromkeys(models, np.zeros(1)), of_pages, 1.0)
    own, pages = (_values(judged.design, judged.fold, each) for each in (models, alone))
    if own.std() == 0 or pages.std() == 0:
        return 0.0, 0.0
    unit = float(own.std() / pages.std())
    skills = {share: reports.spearman(own + share * unit * pages, judged.target) or 0.0 for share in SHARES}
    best = max(skills.values())
    # Without any skill there is nothing that a share could cost: the ratings then stand alone, and are reported so.
    return (max(s for s in SHARES if skills[s] >= BORNE * best), unit) if best > 0 else (0.0, 0.0)


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
    models = _by_part(rated, ridge, rated.corpus)
    of_pages: dict[object, np.ndarray] = {}
    # Where all page labels are of one corpus, none are left to judge it by.
    if factor > 0 and len(np.unique(labelled.corpus)) > 1:
        everything = labelled.solve(PAGE_RIDGE)
        of_pages = dict.fromkeys(corpora, everything) | _by_part(labelled, PAGE_RIDGE, labelled.corpus)
    judged = rated.of(rated.whole)
    return _values(judged.design, judged.corpus, _mixed(models, of_pages, factor))
