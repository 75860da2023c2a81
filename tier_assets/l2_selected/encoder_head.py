"""The stronger scorer: the linear scorer's value and two ridge regressions on the text's embedding, added up.

    value(d) = linear(d) + full(d) * (a * ratings(e_d) + b * pages(e_d))

In: the windows and page labels that the linear scorer learns from, and their embeddings e. Out: a `Head`, an artefact
of some hundred kB. `ratings` is fitted to the language model's ratings, `pages` to kept (+1) against cut (-1); a and b
are small shares of the linear value's spread: an encoder of lower case without layout (MiniLM) knows what a text is
about and little of how it is written, and with a large a article text is told from boilerplate less surely; full(d)
falls below 1 for texts shorter than what was learnt from, since of a line's embedding nothing was learnt. Scores a
document from windows all over its text and from its embedding, which is of its first 256 tokens: as fast as the linear
scorer once that is there. Same inputs, same artefact.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
import polars as pl

from algorithms import calibration, hashed_ngrams
from tier_assets.l2_selected import linear_fit, reports
from tier_assets.l2_selected.reports import Report

MIN_RATING: Final = 0.0
MAX_RATING: Final = 5.0
DECIMALS: Final = 4
QUALITY: Final = "quality"
# The shortest page label. Blocks of pages, half of them below 40 characters, are told by the embedding at AUC .54, by
# the linear scorer at .90.
FULL_CHARS: Final = 200
# Of the rank correlation out of fold. On 158 ratings of ten corpora it rose from .63 to .66 with a share of .25 and to
# .67 with 1, and main text of unseen pages was told at AUC .977, .977 and .964: so little is not worth it.
MIN_GAIN: Final = 0.03


@dataclass(frozen=True, slots=True)
class Settings:
    """The first five as in `scorer.Settings`. `vector_ridges` are tried for `ratings` by cross-validation; the shares
    are a and b, in standard deviations of the linear value: a is the first of the rising `rating_shares`, or a later
    one that gains MIN_GAIN.
    """

    window_bytes: int = 1_200
    windows: int = 4
    folds: int = 5
    ridges: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
    page_labels: bool = True
    vector_ridges: tuple[float, ...] = (0.3, 1.0, 3.0, 10.0)
    page_ridge: float = 3.0
    rating_shares: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    page_share: float = 0.1


DEFAULT: Final = Settings()
SMOKE: Final = Settings(ridges=(0.1, 1.0))


@dataclass(frozen=True, slots=True)
class Head:
    """The linear scorer's `model`; the embedding's `weights` [D], both regressions in one, and what they give the mean
    window (`centre`); how well the sum did on labels that it had not seen. `vector_ridge` is that of `ratings`."""

    settings: Settings
    model: hashed_ngrams.Linear
    weights: np.ndarray
    centre: float
    calibration: calibration.Calibration
    vector_ridge: float
    report: Report


@dataclass(frozen=True, slots=True)
class _Rows:
    """Vectors to learn from [N, D], their targets [N], and the part (fold or corpus) that each lies in."""

    vectors: np.ndarray
    target: np.ndarray
    part: np.ndarray


@dataclass(frozen=True, slots=True)
class _Mixed:
    """The sum of all three by models that had not seen the row's part: `unseen` [N]; the factors of both regressions,
    and the ridge of the first."""

    unseen: np.ndarray
    factors: tuple[float, float]
    ridge: float


def fit(
    windows: pl.DataFrame, pages: pl.DataFrame, vectors: np.ndarray, page_vectors: np.ndarray, settings: Settings
) -> Head:
    """Learns `quality` from windows [doc_id, corpus, text, quality] and pages [doc_id, corpus, kept, text] (there may
    be none), with the embedding of each text: `vectors` [N, D], `page_vectors` [P, D].

    Raises:
        ValueError: fewer windows than two a fold, a quality outside 0 to 5 or null, or another number of vectors.
    """
    _check(windows, pages, vectors, page_vectors, settings)
    if not settings.page_labels:
        pages, page_vectors = pages.clear(), page_vectors[:0]
    texts = windows.select("doc_id", "corpus", "text", QUALITY)
    learnt = linear_fit.learn(texts, (), pages, settings.window_bytes, settings.folds, settings.ridges)
    groups = reports.groups_of(
        pl.concat([windows["doc_id"], pages["doc_id"]]), pl.concat([windows["text"], pages["text"]])
    )
    fold = reports.folds_of(groups, settings.folds)
    target, kept = windows[QUALITY].to_numpy().astype(np.float64), np.where(pages["kept"].to_numpy(), 1.0, -1.0)
    rated = _Rows(vectors.astype(np.float64), target, fold[: len(windows)])
    labelled = _Rows(page_vectors.reshape(-1, vectors.shape[1]).astype(np.float64), kept, fold[len(windows) :])
    full = _fullness(windows["text"])
    mixed = _mix(learnt.unseen[:, 0], rated, labelled, full, settings)
    by_corpus = replace(rated, part=windows["corpus"].to_numpy())
    pages_by_corpus = replace(labelled, part=pages["corpus"].to_numpy())
    across = (
        mixed.factors[0] * _unseen(by_corpus, by_corpus, full, mixed.ridge)
        + mixed.factors[1] * _unseen(pages_by_corpus, by_corpus, full, settings.page_ridge)
    )  # fmt: skip
    by_rating = _ridge(rated.vectors, target, mixed.ridge)
    by_page = _ridge(labelled.vectors, kept, settings.page_ridge)
    weights = mixed.factors[0] * by_rating + mixed.factors[1] * by_page
    calibrated = reports.calibrated_out_of_fold(mixed.unseen, target, learnt.groups, settings.folds)
    return Head(
        settings=settings,
        model=hashed_ngrams.linear_of(learnt.coefficients, learnt.standard),
        weights=weights,
        centre=float(rated.vectors.mean(axis=0) @ weights),
        calibration=calibration.fit(mixed.unseen, target),
        vector_ridge=mixed.ridge,
        report=reports.report_of(
            mixed.unseen,
            None if learnt.across is None else learnt.across + across,
            target,
            windows["corpus"],
            calibrated,
            len(pages),
            learnt.groups,
        ),
    )


def scores(head: Head, vectors: np.ndarray, texts: pl.Series) -> pl.Series:
    """Each document's quality, 0 to 5, rounded to 1e-4 (Float64), from its embedding [N, D] and its text.

    Raises:
        ValueError: the vectors are of another encoder's size, or not as many as the texts.
    """
    if vectors.shape != (len(texts), len(head.weights)):
        raise ValueError(f"{len(texts)} texts need vectors of {len(head.weights)} numbers, got {vectors.shape}")
    of_text = hashed_ngrams.predict(head.model, texts, head.settings.window_bytes, head.settings.windows)[:, 0]
    of_vector = vectors.astype(np.float64) @ head.weights - head.centre
    values = calibration.apply(head.calibration, of_text + _fullness(texts) * of_vector)
    return pl.Series(QUALITY, np.round(np.clip(values, MIN_RATING, MAX_RATING), DECIMALS), dtype=pl.Float64)


def dump(head: Head) -> bytes:
    """The head as npz bytes: a JSON header and the weights; the same head gives the same bytes."""
    header: dict[str, Any] = {
        "centre": head.centre,
        "vector_ridge": head.vector_ridge,
        "slope": head.calibration.slope,
    }
    header |= {"settings": asdict(head.settings), "report": asdict(head.report)}
    nonzero = np.flatnonzero(head.model.ngrams.any(axis=1)).astype(np.int32)
    file = io.BytesIO()
    np.savez_compressed(
        file,
        header=np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8),
        buckets=nonzero,
        ngrams=head.model.ngrams[nonzero],
        shapes=head.model.shapes,
        dense=head.model.dense,
        text_constant=head.model.constant,
        mean=head.model.standard.mean,
        scale=head.model.standard.scale,
        weights=head.weights,
        knot_values=head.calibration.values,
        knot_targets=head.calibration.targets,
    )
    return file.getvalue()


def load(artefact: bytes) -> Head:
    """The head that `dump` wrote.

    Raises:
        ValueError: the bytes are no head of this version of the code.
    """
    try:
        with np.load(io.BytesIO(artefact), allow_pickle=False) as arrays:
            return _read(json.loads(arrays["header"].tobytes()), dict(arrays))
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"not an encoder head of this version: {error}") from error


def version(artefact: bytes) -> str:
    """The head's version: a hash of what `dump` wrote."""
    return hashlib.sha256(artefact).hexdigest()[:16]


def _check(
    windows: pl.DataFrame, pages: pl.DataFrame, vectors: np.ndarray, page_vectors: np.ndarray, settings: Settings
) -> None:
    if len(windows) < 2 * settings.folds:
        raise ValueError(f"a head needs at least {2 * settings.folds} rated windows, got {len(windows)}")
    if windows[QUALITY].null_count() or not windows[QUALITY].is_between(MIN_RATING, MAX_RATING).all():
        raise ValueError(f"ratings of {QUALITY!r} must lie in {MIN_RATING:g} to {MAX_RATING:g} and not be null")
    if len(vectors) != len(windows) or len(page_vectors) != len(pages):
        raise ValueError(
            f"{len(windows)} windows and {len(pages)} page labels need as many vectors, "
            f"got {len(vectors)} and {len(page_vectors)}"
        )


def _fullness(texts: pl.Series) -> np.ndarray:
    """1 for a text of FULL_CHARS characters or more, less for a shorter one [N]."""
    return np.minimum(1.0, texts.fill_null("").str.len_chars().to_numpy() / FULL_CHARS)


def _ridge(vectors: np.ndarray, target: np.ndarray, ridge: float) -> np.ndarray:
    """Weights [D] of the ridge regression of `target` [N] on `vectors` [N, D], both centred; 0 of no rows."""
    if len(target) == 0:
        return np.zeros(vectors.shape[1])
    centred = vectors - vectors.mean(axis=0)
    gram = centred.T @ centred + ridge * np.eye(vectors.shape[1])
    return np.asarray(np.linalg.solve(gram, centred.T @ (target - target.mean())))


def _unseen(learnt_from: _Rows, judged: _Rows, full: np.ndarray, ridge: float) -> np.ndarray:
    """What each judged row gets from a regression that has not seen its part, above the mean window [N]."""
    values, centre = np.zeros(len(judged.part)), judged.vectors.mean(axis=0)
    for part in np.unique(judged.part):
        seen, own = learnt_from.part != part, judged.part == part
        values[own] = (judged.vectors[own] - centre) @ _ridge(
            learnt_from.vectors[seen], learnt_from.target[seen], ridge
        )
    return full * values


def _mix(linear: np.ndarray, rated: _Rows, labelled: _Rows, full: np.ndarray, settings: Settings) -> _Mixed:
    """The sum at the share and the ridge that cross-validation picks; what does not vary counts nothing."""

    def factor(values: np.ndarray, share: float) -> float:
        return share * float(linear.std()) / float(values.std()) if values.std() > 0 else 0.0

    of_pages = _unseen(labelled, rated, full, settings.page_ridge)
    page_factor = factor(of_pages, settings.page_share)
    of_ratings = {ridge: _unseen(rated, rated, full, ridge) for ridge in settings.vector_ridges}
    chosen: tuple[float, _Mixed] | None = None
    for share in settings.rating_shares:
        trials = []
        for ridge, values in of_ratings.items():
            factors = factor(values, share), page_factor
            mixed = _Mixed(linear + factors[0] * values + page_factor * of_pages, factors, ridge)
            trials.append((round(reports.spearman(mixed.unseen, rated.target) or 0.0, 3), ridge, mixed))
        skill, _, best = max(trials, key=lambda trial: trial[:2])
        if chosen is None or skill >= chosen[0] + MIN_GAIN:
            chosen = skill, best
    if chosen is None:
        raise ValueError("a head needs at least one share of the ratings")
    return chosen[1]


def _read(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Head:
    if arrays["shapes"].shape[0] != hashed_ngrams.SHAPES or arrays["dense"].shape[0] != len(hashed_ngrams.DENSE):
        raise ValueError("its statistics are not those of this version")
    ngrams = np.zeros((hashed_ngrams.BUCKETS, 1), dtype=np.float32)
    ngrams[arrays["buckets"]] = arrays["ngrams"]
    standard = hashed_ngrams.Standard(arrays["mean"], arrays["scale"])
    settings: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in header["settings"].items()
    }
    report = header["report"] | {"by_corpus": tuple(tuple(row) for row in header["report"]["by_corpus"])}
    return Head(
        settings=Settings(**settings),
        model=hashed_ngrams.Linear(ngrams, arrays["shapes"], arrays["dense"], arrays["text_constant"], standard),
        weights=arrays["weights"],
        centre=header["centre"],
        calibration=calibration.Calibration(arrays["knot_values"], arrays["knot_targets"], header["slope"]),
        vector_ridge=header["vector_ridge"],
        report=Report(**report),
    )
