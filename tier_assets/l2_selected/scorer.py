"""The light scorer: learns a dimension's rating from annotated texts, then scores every document of the lake.

In: texts and the model's ratings (0 to 5), and where each text came from. Out: a `Scorer`, an artefact of a few
hundred kB that `dump` and `load` carry through the `scorers` table. Scoring takes some 20 us a document of 2 kB on one
core; fitting a thousand texts takes seconds. Same inputs, same artefact.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Final

import numpy as np
import polars as pl
from scipy.stats import spearmanr

from algorithms import hashed_ngrams

MIN_RATING: Final = 0.0
MAX_RATING: Final = 5.0
# One place short of Float64's noise between machines; the lake's promise for every score.
DECIMALS: Final = 4


@dataclass(frozen=True, slots=True)
class Settings:
    """The first `max_bytes` of a text count; `ridges` are tried by `folds`-fold cross-validation."""

    max_bytes: int = 6_000
    folds: int = 5
    ridges: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


DEFAULT: Final = Settings()
SMOKE: Final = Settings(ridges=(0.1, 1.0, 10.0))


@dataclass(frozen=True, slots=True)
class Scorer:
    """A linear model, the line that maps its value to a rating, and how well it did on texts that it had not seen.

    `spearman` and `calibration_error` (mean |mean score - mean rating| over ten bins of equal size) are out of fold.
    """

    dimension: str
    settings: Settings
    model: hashed_ngrams.Linear
    slope: float
    intercept: float
    ridge: float
    num_labels: int
    spearman: float | None
    calibration_error: float


def fit(texts: pl.Series, ratings: pl.Series, dimension: str, settings: Settings) -> Scorer:
    """Learns `ratings` (0 to 5) from `texts`; the ridge with the best out-of-fold Spearman wins, the larger on a tie.

    Equal texts share a fold, so that a copy never tells on its twin.

    Raises:
        ValueError: fewer texts than two a fold, or a rating is null or outside 0 to 5.
    """
    target = ratings.to_numpy().astype(np.float64)
    if len(target) < 2 * settings.folds:
        raise ValueError(f"a scorer needs at least {2 * settings.folds} annotated texts, got {len(target)}")
    if not ((target >= MIN_RATING) & (target <= MAX_RATING)).all():
        raise ValueError(f"ratings of {dimension!r} must lie in {MIN_RATING:g} to {MAX_RATING:g} and not be null")
    found = hashed_ngrams.features(texts, settings.max_bytes)
    folds = _folds(texts, settings.folds)
    trials = [(ridge, _out_of_fold(found, target, folds, ridge)) for ridge in settings.ridges]
    ridge, unseen = max(trials, key=lambda trial: (round(_spearman(trial[1], target) or 0.0, 3), trial[0]))
    slope, intercept = _line(unseen, target)
    scores = _clip(slope * unseen + intercept)
    return Scorer(
        dimension=dimension,
        settings=settings,
        model=hashed_ngrams.fit(found, target, ridge),
        slope=slope,
        intercept=intercept,
        ridge=ridge,
        num_labels=len(target),
        spearman=_spearman(unseen, target),
        calibration_error=_calibration_error(scores, target),
    )


def score(scorer: Scorer, texts: pl.Series) -> pl.Series:
    """Each text's score on the ratings' scale, 0 to 5, rounded to 1e-4 (Float64)."""
    values = hashed_ngrams.predict(scorer.model, texts, scorer.settings.max_bytes).to_numpy()
    scores = _clip(scorer.slope * values + scorer.intercept)
    return pl.Series("score", np.round(scores, DECIMALS), dtype=pl.Float64)


def dump(scorer: Scorer) -> bytes:
    """The scorer as npz bytes: a JSON header and the weights; the same scorer gives the same bytes."""
    names = [field.name for field in fields(scorer) if field.name not in ("settings", "model")]
    header = {name: getattr(scorer, name) for name in names} | {"settings": asdict(scorer.settings)}
    nonzero = np.flatnonzero(scorer.model.ngrams).astype(np.int32)
    file = io.BytesIO()
    np.savez_compressed(
        file,
        header=np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8),
        buckets=nonzero,
        ngrams=scorer.model.ngrams[nonzero],
        dense=scorer.model.dense,
        mean=scorer.model.mean,
        scale=scorer.model.scale,
        constant=np.array([scorer.model.constant]),
    )
    return file.getvalue()


def load(artefact: bytes) -> Scorer:
    """The scorer that `dump` wrote.

    Raises:
        ValueError: the bytes are no scorer of this version of the code.
    """
    try:
        with np.load(io.BytesIO(artefact), allow_pickle=False) as arrays:
            header = json.loads(arrays["header"].tobytes())
            ngrams = np.zeros(hashed_ngrams.BUCKETS, dtype=np.float32)
            ngrams[arrays["buckets"]] = arrays["ngrams"]
            model = hashed_ngrams.Linear(
                ngrams, arrays["dense"], arrays["mean"], arrays["scale"], float(arrays["constant"][0])
            )
        settings = header.pop("settings")
        settings["ridges"] = tuple(settings["ridges"])
        found = Scorer(settings=Settings(**settings), model=model, **header)
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"not a scorer of this version: {error}") from error
    if len(model.dense) != len(hashed_ngrams.DENSE):
        raise ValueError(f"the scorer has {len(model.dense)} statistics, this version {len(hashed_ngrams.DENSE)}")
    return found


def version(artefact: bytes) -> str:
    """The scorer's version: a hash of what `dump` wrote."""
    return hashlib.sha256(artefact).hexdigest()[:16]


def try_score(lines: Iterable[dict[str, object]], scorer: Scorer, batch: int = 1_024) -> Iterator[dict[str, object]]:
    """For each {id, text} one {id, score}, in order; `score` is null and `error` says why where `text` is no string."""
    held: list[dict[str, object]] = []
    for line in lines:
        held.append(line)
        if len(held) == batch:
            yield from _score_lines(held, scorer)
            held = []
    yield from _score_lines(held, scorer)


def _score_lines(lines: list[dict[str, object]], scorer: Scorer) -> Iterator[dict[str, object]]:
    texts = [line["text"] if isinstance(line.get("text"), str) else None for line in lines]
    for line, text, value in zip(lines, texts, score(scorer, pl.Series(texts, dtype=pl.String)), strict=True):
        if text is None:
            yield {"id": line.get("id"), "score": None, "error": "no_text"}
        else:
            yield {"id": line.get("id"), "score": value}


def _folds(texts: pl.Series, folds: int) -> np.ndarray:
    """Each text's fold: equal texts together, folds of equal size but for ties."""
    keys = [hashlib.blake2b((text or "").encode(), digest_size=8).hexdigest() for text in texts]
    ranks = pl.Series(keys).rank("dense").to_numpy() - 1
    return ranks.astype(np.int64) % folds


def _out_of_fold(found: hashed_ngrams.Features, target: np.ndarray, folds: np.ndarray, ridge: float) -> np.ndarray:
    """For each text the value of a model that has not seen its fold [N]."""
    values = np.empty(len(target))
    for fold in np.unique(folds):
        seen, unseen = folds != fold, folds == fold
        model = hashed_ngrams.fit(_rows(found, seen), target[seen], ridge)
        values[unseen] = hashed_ngrams.predict_features(model, _rows(found, unseen))
    return values


def _rows(found: hashed_ngrams.Features, rows: np.ndarray) -> hashed_ngrams.Features:
    return hashed_ngrams.Features(found.ngrams[rows], found.dense[rows])


def _line(values: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Slope and intercept that bring out-of-fold values to ratings; a slope that is not positive would turn the order
    round, so a model that learnt nothing scores by its own values."""
    spread = float(np.var(values))
    slope = float(np.mean((values - values.mean()) * (target - target.mean()))) / spread if spread > 0 else 0.0
    if slope <= 0:
        return 1.0, 0.0
    return slope, float(target.mean() - slope * values.mean())


def _clip(scores: np.ndarray) -> np.ndarray:
    return np.clip(scores, MIN_RATING, MAX_RATING)


def _spearman(values: np.ndarray, target: np.ndarray) -> float | None:
    """Rank correlation; None where one side is constant."""
    if np.ptp(values) == 0 or np.ptp(target) == 0:
        return None
    return float(spearmanr(values, target)[0])


def _calibration_error(scores: np.ndarray, target: np.ndarray, bins: int = 10) -> float:
    parts = np.array_split(np.argsort(scores, kind="stable"), bins)
    gaps = [len(part) * abs(scores[part].mean() - target[part].mean()) for part in parts if len(part)]
    return float(sum(gaps) / len(scores))
