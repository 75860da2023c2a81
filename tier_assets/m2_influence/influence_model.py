"""Influence models: from some thousand probed windows to the influence of every document (MATES, arXiv 2406.06046).

In: labels, the scores of probes with the text of the probed window. Out: `Fitted`: an artefact that `load` reads, and
how well it did on labels that it had not seen. Three kinds behind one interface: `ngram_ridge` reads the text alone and
is the default, `hidden_ridge` reads the training model's mean hidden states beside it, `encoder` is a fine-tuned
sentence encoder, as published.

    value(d)       learnt of asinh((score - median) / spread): a few far labels would take all of a squared error
                   (rank correlation .61 to .62 overall, .45 to .46 within domains on 2,500 labels)
    score(d)       = intercept + slope * value(d), the regression of the labels on values out of fold
    uncertainty(d) = standard deviation of the errors out of fold in the domain of d, drawn towards that of all domains
                     as by PRIOR_LABELS labels; of an unknown domain, that of whole domains left out

Same labels, same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import polars as pl

from tier_assets.m2_influence import cross_validation, encoder_model, ngram_ridge
from tier_assets.m2_influence.cross_validation import Arrays, Learner
from tier_assets.m2_influence.encoder_model import EncoderLearner, EncoderModel
from tier_assets.m2_influence.ngram_ridge import NgramModel, NgramRidge

Kind = Literal["ngram_ridge", "hidden_ridge", "encoder"]
KINDS: Final[tuple[Kind, ...]] = ("ngram_ridge", "hidden_ridge", "encoder")
MIN_LABELS: Final = 50
DECIMALS: Final = 4
PRIOR_LABELS: Final = 20
COLUMNS: Final = ("doc_id", "domain", "text", "score")


@dataclass(frozen=True, slots=True)
class Settings:
    """The kind of model; `ridges` are tried by `folds`-fold cross-validation."""

    kind: Kind = "ngram_ridge"
    folds: int = 5
    ridges: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0, 3.0)


DEFAULT: Final = Settings()


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model and its rank correlations with labels that it had not seen: over all, the mean within domains, with whole
    domains left out (None with one domain, and for an encoder), and that of the domains' means alone.
    `beats_domain_mean`: within domains it is better than chance at 95%, one-sided; else `refused` says why not."""

    artefact: bytes
    version: str
    spearman: float | None
    spearman_within: float | None
    spearman_across: float | None
    spearman_domain_mean: float | None
    beats_domain_mean: bool
    refused: str | None
    setting: float
    num_labels: int
    flops: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Model:
    """A model as `load` reads it: the regression, the calibration, and the errors by domain."""

    kind: Kind
    version: str
    regression: NgramModel | EncoderModel
    slope: float
    intercept: float
    errors: dict[str, float]
    unknown_error: float

    def predict(
        self,
        texts: pl.Series,
        domains: pl.Series,
        hidden_ND: np.ndarray | None = None,
        encoder: Path | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Score and uncertainty of each document, in the unit of the labels, rounded to 1e-4.

        Raises:
            ValueError: as many texts as domains (and hidden states, where the kind reads them) are needed.
        """
        if len(texts) != len(domains):
            raise ValueError(f"{len(texts)} texts need as many domains, got {len(domains)}")
        if isinstance(self.regression, EncoderModel):
            values = self.regression.predict(texts, _folder(encoder))
        else:
            states = _states(hidden_ND, len(texts)) if self.kind == "hidden_ridge" else None
            values = self.regression.predict(texts, domains, states)
        errors = np.array([self.errors.get(name, self.unknown_error) for name in domains], np.float64)
        return np.round(self.intercept + self.slope * values, DECIMALS), np.round(errors, DECIMALS)


def fit(
    labels: pl.DataFrame,
    settings: Settings = DEFAULT,
    hidden_ND: np.ndarray | None = None,
    encoder: Path | None = None,
    tokenizer: str | None = None,
) -> Fitted:
    """Learns `score` (standard deviations) from labels [doc_id, domain, text, score].

    Args:
        hidden_ND: the training model's mean hidden states of the labels' texts, for `hidden_ridge`.
        encoder: the folder of a Hugging Face encoder, for `encoder`; prediction needs the same one.
        tokenizer: the contents of the training model's tokenizer.json: its tokens say most of what it will learn.

    Raises:
        ValueError: fewer than MIN_LABELS labels, nulls, scores that are not finite or all equal, no text at all, or
            nothing given of what the kind reads.
    """
    started = time.process_time()
    _check(labels)
    labels = labels.select(COLUMNS)
    target, domains = labels["score"].to_numpy().astype(np.float64), labels["domain"].to_numpy()
    learner = _learner(labels, settings, hidden_ND, encoder, tokenizer)
    fold = cross_validation.folds_of(labels["doc_id"], settings.folds)
    bent = _bent(target)
    unseen = cross_validation.out_of_fold(learner, bent, domains, fold)
    across = _across(learner, bent, domains, unseen.setting)
    learnt = learner.learn(np.arange(len(target)), bent, unseen.setting)
    header = {"kind": settings.kind, **_calibration(unseen.values, across, target, domains)}
    artefact = _dump(header, learner.packed(learnt))
    inside = cross_validation.within(unseen.values, target, domains)
    means = cross_validation.domain_means(target, domains, fold)
    return Fitted(
        artefact=artefact,
        version=_version(artefact),
        spearman=_rounded(cross_validation.spearman(unseen.values, target)),
        spearman_within=_rounded(inside.spearman),
        spearman_across=None if across is None else _rounded(cross_validation.spearman(across, target)),
        spearman_domain_mean=_rounded(cross_validation.spearman(means, target)),
        beats_domain_mean=inside.beats_chance,
        refused=_refused(inside),
        setting=unseen.setting,
        num_labels=len(labels),
        flops=learner.flops,
        cpu_s=time.process_time() - started,
    )


def load(artefact: bytes) -> Model:
    """The model that `fit` made.

    Raises:
        ValueError: the bytes are no influence model of this version of the code.
    """
    try:
        with np.load(io.BytesIO(artefact), allow_pickle=False) as found:
            arrays = dict(found)
        header = json.loads(arrays.pop("header").tobytes())
        return Model(
            header["kind"],
            _version(artefact),
            EncoderModel(arrays) if header["kind"] == "encoder" else NgramModel(arrays),
            header["slope"],
            header["intercept"],
            header["errors"],
            header["unknown_error"],
        )
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"not an influence model of this version: {error}") from error


def predict_flops(kind: Kind, num_documents: int, num_tokens: int, parameters: int = 0) -> float:
    """Arithmetic of predicting a pool, at most; `parameters` are those of the network that runs over it, if any: the
    training model for `hidden_ridge`, else the encoder."""
    if kind == "encoder":
        return encoder_model.predict_flops(num_documents, num_tokens, parameters)
    text = ngram_ridge.predict_flops(num_tokens)
    return text if kind == "ngram_ridge" else text + 2.0 * parameters * num_tokens


def drift(before: np.ndarray, now: np.ndarray) -> float:
    """1 - Spearman of two models' scores of the same anchors: 0 where they agree, 1 where they have nothing in common
    (or one of them is constant), 2 where they are opposed.

    Raises:
        ValueError: scores of other numbers of anchors, or of fewer than two.

    >>> drift(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 30.0]))
    0.0
    """
    if len(before) != len(now) or len(now) < 2:
        raise ValueError(f"drift needs two scores of the same anchors, got {len(before)} and {len(now)}")
    return round(1.0 - (cross_validation.spearman(before, now) or 0.0), DECIMALS)


def _check(labels: pl.DataFrame) -> None:
    if missing := set(COLUMNS) - set(labels.columns):
        raise ValueError(f"labels lack the columns {sorted(missing)}")
    if len(labels) < MIN_LABELS:
        raise ValueError(f"an influence model needs at least {MIN_LABELS} labels, got {len(labels)}")
    if nulls := [name for name in COLUMNS if labels[name].null_count()]:
        raise ValueError(f"labels with a null in {nulls}")
    score = labels["score"].to_numpy().astype(np.float64)
    if not np.isfinite(score).all():
        raise ValueError(f"{int((~np.isfinite(score)).sum())} labels have a score that is not finite")
    if np.ptp(score) == 0:
        raise ValueError(f"all {len(labels)} labels have the same score, {score[0]:g}: there is nothing to learn")


def _learner(
    labels: pl.DataFrame,
    settings: Settings,
    hidden_ND: np.ndarray | None,
    encoder: Path | None,
    tokenizer: str | None,
) -> Learner:
    if not labels["text"].str.contains(r"\S").any():
        raise ValueError("no label has any text")
    if settings.kind == "encoder":
        return EncoderLearner(labels["text"], _folder(encoder))
    states = _states(hidden_ND, len(labels)) if settings.kind == "hidden_ridge" else None
    return NgramRidge(labels["text"], labels["domain"], settings.ridges, tokenizer, states)


def _states(hidden_ND: np.ndarray | None, num: int) -> np.ndarray:
    if hidden_ND is None or hidden_ND.ndim != 2 or len(hidden_ND) != num:
        shape = None if hidden_ND is None else hidden_ND.shape
        raise ValueError(f"hidden_ridge needs hidden states [{num}, width], got {shape}")
    if not np.isfinite(hidden_ND).all():
        raise ValueError("hidden states that are not finite")
    return hidden_ND


def _folder(encoder: Path | None) -> Path:
    if encoder is None or not (encoder / "config.json").exists():
        raise ValueError(f"the kind `encoder` needs the folder of a Hugging Face encoder, got {encoder}")
    return encoder


def _across(learner: Learner, target: np.ndarray, domains: np.ndarray, setting: float) -> np.ndarray | None:
    if not learner.refits or len(np.unique(domains)) < 2:
        return None
    return cross_validation.left_out(learner, target, domains, setting)


def _bent(target: np.ndarray) -> np.ndarray:
    """The targets with far ones drawn in; the order stays. The spread is that of the middle half."""
    low, median, high = np.quantile(target, [0.25, 0.5, 0.75])
    # A normal distribution's quartiles are 1.349 deviations apart.
    return np.arcsinh((target - median) / ((high - low) / 1.349 or target.std()))


def _calibration(
    values: np.ndarray, across: np.ndarray | None, target: np.ndarray, domains: np.ndarray
) -> dict[str, object]:
    """The line from values out of fold to the unit of the labels, and the errors that are left."""
    slope, intercept = _line(values, target)
    wrong = target - (intercept + slope * values)
    wrong_across = wrong if across is None else target - (intercept + slope * across)
    unknown = float(np.sqrt(np.mean(wrong_across**2)))
    return {"slope": slope, "intercept": intercept, "errors": _errors(wrong, domains), "unknown_error": unknown}


def _line(values: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the regression of `target` on `values`; a slope below 0 is no skill, and is 0."""
    spread = float(values.var())
    slope = max(0.0, float(np.mean((values - values.mean()) * (target - target.mean()))) / spread) if spread else 0.0
    return slope, float(target.mean() - slope * values.mean())


def _errors(wrong: np.ndarray, domains: np.ndarray) -> dict[str, float]:
    everywhere = float(np.mean(wrong**2))
    found = {}
    for name in np.unique(domains):
        own = wrong[domains == name]
        found[str(name)] = float(np.sqrt((own @ own + PRIOR_LABELS * everywhere) / (len(own) + PRIOR_LABELS)))
    return found


def _refused(inside: cross_validation.Within) -> str | None:
    if inside.beats_chance:
        return None
    if inside.spearman is None:
        return f"no domain has {cross_validation.MIN_DOMAIN} labels to be judged within"
    return (
        f"within domains no better than the domain's mean: Spearman {inside.spearman:.3f}, "
        f"{inside.standard_errors:.1f} standard errors above chance ({cross_validation.CRITICAL} wanted)"
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)


def _dump(header: Mapping[str, object], arrays: Arrays) -> bytes:
    file = io.BytesIO()
    written = np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
    np.savez_compressed(file, allow_pickle=False, header=written, **arrays)
    return file.getvalue()


def _version(artefact: bytes) -> str:
    return hashlib.sha256(artefact).hexdigest()[:16]
