"""Influence models on labels whose truth is known: counts of words plus noise."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tier_assets.m2_influence.influence_model import Settings, drift, fit, load

GOOD, BAD = ("river", "stone", "lantern"), ("coupon", "click", "unsubscribe")
FILLER = tuple(f"w{n}" for n in range(60))
SHIFT = {"news": 1.0, "mail": -1.0, "books": 0.0}


def labels(num: int, seed: int = 0, noise: float = 0.3, weight: float = 1.0) -> pl.DataFrame:
    """Windows of 40 words; the score is the domain's shift, plus 1 a good word, minus 1 a bad one, plus noise."""
    random = np.random.default_rng(seed)
    rows = []
    for n in range(num):
        words = random.choice(FILLER, 40).tolist()
        good, bad = random.integers(0, 4, 2)
        words += random.choice(GOOD, good).tolist() + random.choice(BAD, bad).tolist()
        random.shuffle(words)
        domain = sorted(SHIFT)[n % 3]
        score = SHIFT[domain] + weight * float(good - bad) + noise * random.normal()
        rows.append((f"d{seed}-{n}", domain, " ".join(words), score))
    found = pl.DataFrame(rows, schema=["doc_id", "domain", "text", "score"], orient="row")
    return found.with_columns((pl.col("score") - pl.col("score").mean()) / pl.col("score").std())


def test_fit_scores_made_of_words_are_recovered_on_new_texts() -> None:
    fitted = fit(labels(800))
    new = labels(300, seed=1)
    score, uncertainty = load(fitted.artefact).predict(new["text"], new["domain"])
    assert np.corrcoef(score, new["score"])[0, 1] > 0.85
    assert fitted.beats_domain_mean
    assert fitted.refused is None
    assert (uncertainty > 0).all()


def test_fit_only_domains_matter_is_recorded_as_not_beating_their_means() -> None:
    fitted = fit(labels(400, noise=1.0, weight=0.0).with_columns(text=pl.lit("always the same")))
    assert fitted.spearman_domain_mean is not None
    assert fitted.spearman_domain_mean > 0.3
    assert not fitted.beats_domain_mean
    assert fitted.refused is not None
    assert "no better than the domain's mean" in fitted.refused


def test_fit_noise_beats_the_domain_mean_no_more_often_than_chance() -> None:
    found = [fit(labels(150, seed=seed, noise=1.0, weight=0.0)) for seed in range(20)]
    assert sum(fitted.beats_domain_mean for fitted in found) <= 3
    assert abs(np.mean([fitted.spearman_within for fitted in found])) < 0.07


def test_fit_same_labels_give_the_same_bytes() -> None:
    assert fit(labels(200)).artefact == fit(labels(200)).artefact


def test_hidden_ridge_states_that_hold_the_score_are_read() -> None:
    known, random = labels(300, weight=0.0, noise=1.0), np.random.default_rng(0)
    hidden = random.normal(size=(300, 8)).astype(np.float32)
    hidden[:, 3] += 3 * known["score"].to_numpy()
    fitted = fit(known, Settings(kind="hidden_ridge"), hidden)
    assert fitted.spearman is not None
    assert fitted.spearman > 0.9


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (labels(49), "at least 50 labels, got 49"),
        (labels(60).with_columns(score=pl.lit(0.5)), "all 60 labels have the same score"),
        (labels(60).with_columns(score=pl.lit(float("nan"))), "60 labels have a score that is not finite"),
        (labels(60).with_columns(text=pl.lit(" \n")), "no label has any text"),
        (labels(60).with_columns(domain=pl.lit(None, pl.String)), "a null in \\['domain'\\]"),
        (labels(60).drop("text"), "lack the columns \\['text'\\]"),
    ],
)
def test_fit_labels_that_cannot_be_learnt_from_are_refused(bad: pl.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(bad)


def test_drift_is_nothing_for_the_same_order_and_two_for_the_opposite() -> None:
    before = np.array([0.1, 0.2, 0.9])
    assert drift(before, before * 5) == 0.0
    assert drift(before, -before) == 2.0
    assert drift(before, np.ones(3)) == 1.0
