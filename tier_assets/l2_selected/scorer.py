"""The light scorer: learns the language model's ratings and the lake's own labels, then scores every document.

In: rated windows (0 to 5: their quality, and a column a dimension) and page labels. Out: a `Scorer`, an artefact of
some hundred kB that `dump` and `load` carry through the `scorers` table. One hashing pass gives quality and all
dimensions: some 10 us a kB, at most 60 us a document, on one core; fitting a thousand windows takes seconds. Same
inputs, same artefact.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import polars as pl

from algorithms import calibration, hashed_ngrams
from tier_assets.l2_selected import reports
from tier_assets.l2_selected.linear_fit import learn
from tier_assets.l2_selected.reports import Report

MIN_RATING: Final = 0.0
MAX_RATING: Final = 5.0
# One place short of Float64's noise between machines; the lake's promise for every score.
DECIMALS: Final = 4
# Columns of a window that are no dimension.
QUALITY: Final = "quality"
WINDOW_COLUMNS: Final = ("doc_id", "corpus", "text", QUALITY)


@dataclass(frozen=True, slots=True)
class Settings:
    """A scorer learns from the first `window_bytes` of a window, about what the language model saw of it, and scores at
    most `windows` windows of that size; `ridges` are tried by `folds`-fold cross-validation. `page_labels`: whether the
    lake's own labels are learnt from."""

    window_bytes: int = 1_200
    windows: int = 4
    folds: int = 5
    ridges: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
    page_labels: bool = True


DEFAULT: Final = Settings()
SMOKE: Final = Settings(ridges=(0.1, 1.0))


@dataclass(frozen=True, slots=True)
class Scorer:
    """Linear models of `names` (quality first), a calibration for each, and how well quality did on labels that it had
    not seen. `page_share` is the page labels' part (`linear_fit`); `page_auc` how surely a kept window scores above a
    cut one, out of fold, and without the page labels. `spearmans` are the models' own, one a name."""

    names: tuple[str, ...]
    settings: Settings
    model: hashed_ngrams.Linear
    calibrations: tuple[calibration.Calibration, ...]
    spearmans: tuple[float | None, ...]
    ridge: float
    page_share: float
    page_auc: float | None
    page_auc_without: float | None
    report: Report


def fit(windows: pl.DataFrame, pages: pl.DataFrame, settings: Settings) -> Scorer:
    """Learns `quality` and every dimension from windows [doc_id, corpus, text, quality, a nullable column a dimension],
    and quality from pages too (rows of `l2_page_labels`; there may be none).

    A dimension with fewer ratings than two a fold is left out.

    Raises:
        ValueError: fewer windows than two a fold, or a rating outside 0 to 5, or a null quality.
    """
    num = len(windows)
    if num < 2 * settings.folds:
        raise ValueError(f"a scorer needs at least {2 * settings.folds} rated windows, got {num}")
    found = [name for name in windows.columns if name not in WINDOW_COLUMNS]
    for name in (QUALITY, *found):
        values = windows[name].drop_nulls()
        if not values.is_between(MIN_RATING, MAX_RATING).all() or (name == QUALITY and len(values) < num):
            raise ValueError(f"ratings of {name!r} must lie in {MIN_RATING:g} to {MAX_RATING:g} and not be null")
    dimensions = [name for name in found if windows[name].count() >= 2 * settings.folds]
    used = pages if settings.page_labels else pages.clear()
    learnt = learn(windows, dimensions, used, settings.window_bytes, settings.folds, settings.ridges)
    target = windows[QUALITY].to_numpy().astype(np.float64)
    calibrations, spearmans = [], []
    for position, name in enumerate(learnt.names):
        rated = windows[name].is_not_null().to_numpy()
        values, own = learnt.unseen[rated, position], windows[name].drop_nulls().to_numpy().astype(np.float64)
        calibrations.append(calibration.fit(values, own))
        spearmans.append(reports.spearman(values, own))
    return Scorer(
        names=learnt.names,
        settings=settings,
        model=hashed_ngrams.linear_of(learnt.coefficients, learnt.standard),
        calibrations=tuple(calibrations),
        spearmans=tuple(None if value is None else round(value, 4) for value in spearmans),
        ridge=learnt.ridge,
        page_share=learnt.page_share,
        page_auc=learnt.page_auc,
        page_auc_without=learnt.page_auc_without,
        report=reports.report_of(
            learnt.unseen[:, 0],
            learnt.across,
            target,
            windows["corpus"],
            reports.calibrated_out_of_fold(learnt.unseen[:, 0], target, learnt.groups, settings.folds),
            len(used),
            learnt.groups,
        ),
    )


def scores(scorer: Scorer, texts: pl.Series) -> pl.DataFrame:
    """Each text's scores on the ratings' scale, 0 to 5, rounded to 1e-4: a Float64 column for each of the names. A
    null text scores as an empty one."""
    settings = scorer.settings
    values = hashed_ngrams.predict(scorer.model, texts, settings.window_bytes, settings.windows)
    columns = {}
    for position, (name, line) in enumerate(zip(scorer.names, scorer.calibrations, strict=True)):
        calibrated = np.clip(calibration.apply(line, values[:, position]), MIN_RATING, MAX_RATING)
        columns[name] = pl.Series(name, np.round(calibrated, DECIMALS), dtype=pl.Float64)
    return pl.DataFrame(columns)


def dump(scorer: Scorer) -> bytes:
    """The scorer as npz bytes: a JSON header and the weights; the same scorer gives the same bytes."""
    header = {
        "names": scorer.names,
        "settings": asdict(scorer.settings),
        "spearmans": scorer.spearmans,
        "ridge": scorer.ridge,
        "page_share": scorer.page_share,
        "page_auc": scorer.page_auc,
        "page_auc_without": scorer.page_auc_without,
        "report": asdict(scorer.report),
        "slopes": [line.slope for line in scorer.calibrations],
        "knots": [len(line.values) for line in scorer.calibrations],
    }
    model = scorer.model
    nonzero = np.flatnonzero(model.ngrams.any(axis=1)).astype(np.int32)
    file = io.BytesIO()
    np.savez_compressed(
        file,
        header=np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8),
        buckets=nonzero,
        ngrams=model.ngrams[nonzero],
        shapes=model.shapes,
        dense=model.dense,
        constant=model.constant,
        mean=model.standard.mean,
        scale=model.standard.scale,
        knot_values=np.concatenate([line.values for line in scorer.calibrations]),
        knot_targets=np.concatenate([line.targets for line in scorer.calibrations]),
    )
    return file.getvalue()


def load(artefact: bytes) -> Scorer:
    """The scorer that `dump` wrote.

    Raises:
        ValueError: the bytes are no scorer of this version of the code.
    """
    try:
        with np.load(io.BytesIO(artefact), allow_pickle=False) as arrays:
            return _read(json.loads(arrays["header"].tobytes()), dict(arrays))
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"not a scorer of this version: {error}") from error


def version(artefact: bytes) -> str:
    """The scorer's version: a hash of what `dump` wrote."""
    return hashlib.sha256(artefact).hexdigest()[:16]


def try_score(lines: Iterable[dict[str, object]], scorer: Scorer, batch: int = 1_024) -> Iterator[dict[str, object]]:
    """For each {id, text} one {id, score, dimensions}, in order; `score` and `dimensions` are null and `error` says why
    where `text` is no string."""
    held: list[dict[str, object]] = []
    for line in lines:
        held.append(line)
        if len(held) == batch:
            yield from _score_lines(held, scorer)
            held = []
    yield from _score_lines(held, scorer)


def _score_lines(lines: list[dict[str, object]], scorer: Scorer) -> Iterator[dict[str, object]]:
    texts = [line["text"] if isinstance(line.get("text"), str) else None for line in lines]
    found = scores(scorer, pl.Series(texts, dtype=pl.String)).iter_rows(named=True)
    for line, text, row in zip(lines, texts, found, strict=True):
        if text is None:
            yield {"id": line.get("id"), "score": None, "dimensions": None, "error": "no_text"}
        else:
            score = row.pop(QUALITY)
            yield {"id": line.get("id"), "score": score, "dimensions": row}


def _read(header: dict, arrays: dict[str, np.ndarray]) -> Scorer:
    """The scorer of a header and arrays.

    Raises:
        ValueError, KeyError, TypeError, IndexError: they are of another version.
    """
    ngrams = np.zeros((hashed_ngrams.BUCKETS, len(header["names"])), dtype=np.float32)
    ngrams[arrays["buckets"]] = arrays["ngrams"]
    standard = hashed_ngrams.Standard(arrays["mean"], arrays["scale"])
    model = hashed_ngrams.Linear(ngrams, arrays["shapes"], arrays["dense"], arrays["constant"], standard)
    outputs = len(header["names"])
    wanted = (hashed_ngrams.SHAPES, outputs), (len(hashed_ngrams.DENSE), outputs), (outputs,)
    if (model.shapes.shape, model.dense.shape, model.constant.shape) != wanted:
        raise ValueError(f"weights of shapes {model.shapes.shape} and {model.dense.shape} where {wanted} are wanted")
    ends = np.cumsum(header["knots"])[:-1]
    values, targets = (np.split(arrays[name], ends) for name in ("knot_values", "knot_targets"))
    settings, report = header["settings"], header["report"]
    return Scorer(
        names=tuple(header["names"]),
        settings=Settings(**settings | {"ridges": tuple(settings["ridges"])}),
        model=model,
        calibrations=tuple(map(calibration.Calibration, values, targets, header["slopes"])),
        spearmans=tuple(header["spearmans"]),
        ridge=header["ridge"],
        page_share=header["page_share"],
        page_auc=header["page_auc"],
        page_auc_without=header["page_auc_without"],
        report=Report(**report | {"by_corpus": tuple(tuple(row) for row in report["by_corpus"])}),
    )
