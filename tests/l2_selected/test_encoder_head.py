"""The encoder head: what it learns beside the linear scorer, out of fold, and as an artefact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from resources.encoder import ScriptedEncoder
from tier_assets.l2_selected import encoder_head
from tier_assets.l2_selected.encoder_head import Settings

QUICK = Settings(ridges=(1.0,), folds=3)
SUBJECTS = ("alpha", "beta", "gamma", "delta", "omega", "sigma")
TAIL = " the words that follow are alike in all of these texts and long enough to fill a window of its own accord" * 2


def topical(num: int) -> tuple[pl.DataFrame, np.ndarray]:
    """Windows whose text is the same but whose vector tells the rating: what only an embedding can know."""
    ratings = np.arange(num) % 6
    vectors = np.eye(6, 8, dtype=np.float32)[ratings]
    windows = pl.DataFrame({
        "doc_id": [f"d{n}" for n in range(num)],
        "corpus": ["even" if n // 6 % 2 else "odd" for n in range(num)],
        "text": [f"{n} {TAIL}" for n in range(num)],
        "quality": ratings.astype(float) / 2,
        "coherence": pl.Series([None] * num, dtype=pl.Float64),
    })  # fmt: skip
    return windows, vectors


NO_PAGES = pl.DataFrame(schema={"doc_id": pl.String, "corpus": pl.String, "kept": pl.Boolean, "text": pl.String})
NO_VECTORS = np.empty((0, 8), np.float32)


def labelled_pages(num: int) -> tuple[pl.DataFrame, np.ndarray]:
    rows = [
        (f"p{n}", "web", kept, ("said that it was. " if kept else "Login | Cart ") * 30)
        for n in range(num)
        for kept in (True, False)
    ]
    pages = pl.DataFrame(rows, schema=NO_PAGES.schema, orient="row")
    vectors = np.zeros((len(pages), 8), np.float32)
    vectors[:, 7] = np.where(pages["kept"].to_numpy(), 1.0, -1.0)
    return pages, vectors


@pytest.fixture(scope="module")
def head() -> encoder_head.Head:
    windows, vectors = topical(60)
    return encoder_head.fit(windows, NO_PAGES, vectors, NO_VECTORS, QUICK)


def test_fit_what_only_the_embedding_knows_is_learnt(head: encoder_head.Head) -> None:
    windows, vectors = topical(12)
    found = encoder_head.scores(head, vectors, windows["text"]).to_numpy()
    assert head.report.num_labels == 60
    assert head.report.spearman is not None
    assert head.report.spearman > 0.9
    assert head.report.spearman_across is not None
    assert head.report.spearman_across > 0.8
    assert np.corrcoef(found, windows["quality"].to_numpy())[0, 1] > 0.85


def test_fit_without_shares_and_page_labels_is_the_text_alone() -> None:
    windows, vectors = topical(60)
    pages, page_vectors = labelled_pages(12)
    settings = replace(QUICK, rating_shares=(0.0,), page_labels=False)
    without = encoder_head.fit(windows, pages, vectors, page_vectors, settings)
    assert not without.weights.any()
    assert without.report.num_page_labels == 0
    assert without.report.spearman is not None
    assert without.report.spearman < 0.5


def test_fit_page_labels_lift_what_is_like_kept_text() -> None:
    windows, vectors = topical(60)
    vectors[:, 7] = np.arange(60) % 5 / 10
    pages, page_vectors = labelled_pages(12)
    found = encoder_head.fit(windows, pages, vectors, page_vectors, QUICK)
    assert found.report.num_page_labels == 24
    assert found.weights[7] > 0


def test_fit_same_inputs_give_the_same_artefact(head: encoder_head.Head) -> None:
    windows, vectors = topical(60)
    again = encoder_head.fit(windows.clone(), NO_PAGES, vectors.copy(), NO_VECTORS, QUICK)
    assert encoder_head.version(encoder_head.dump(again)) == encoder_head.version(encoder_head.dump(head))


def test_load_gives_back_what_was_dumped(head: encoder_head.Head) -> None:
    windows, vectors = topical(12)
    artefact = encoder_head.dump(head)
    loaded = encoder_head.load(artefact)
    assert encoder_head.dump(loaded) == artefact
    assert loaded.report == head.report
    assert loaded.settings == head.settings
    same = encoder_head.scores(head, vectors, windows["text"])
    assert encoder_head.scores(loaded, vectors, windows["text"]).equals(same)


@pytest.mark.parametrize("artefact", [b"", b"PK\x03\x04 broken"])
def test_load_what_is_no_artefact_raises(artefact: bytes) -> None:
    with pytest.raises(ValueError, match="not an encoder head of this version"):
        encoder_head.load(artefact)


def test_scores_are_rounded_bounded_and_the_same_in_any_batch(head: encoder_head.Head) -> None:
    encoder = ScriptedEncoder(size=8)
    texts = pl.Series([f"{subject} {TAIL}" for subject in SUBJECTS] + ["", None, "x" * 5_000])
    vectors = encoder.encode([text or "" for text in texts])
    whole = encoder_head.scores(head, vectors, texts)
    assert whole.dtype == pl.Float64
    assert whole.is_between(0, 5).all()
    assert whole.equals(whole.round(4))
    single = pl.concat([encoder_head.scores(head, vectors[n : n + 1], texts[n : n + 1]) for n in range(len(texts))])
    assert single.equals(whole)
    assert encoder_head.scores(head, vectors[:0], texts[:0]).is_empty()


def test_scores_the_embedding_counts_less_the_shorter_the_text(head: encoder_head.Head) -> None:
    high, low = np.eye(6, 8, dtype=np.float32)[[5]], np.eye(6, 8, dtype=np.float32)[[0]]
    gaps = []
    for length in (0, 50, 100, 200, 400):
        text = pl.Series(["word " * (length // 5)])
        gaps.append(encoder_head.scores(head, high, text)[0] - encoder_head.scores(head, low, text)[0])
    assert gaps[0] == 0
    assert gaps[0] < gaps[1] < gaps[2] < gaps[3]


@pytest.mark.parametrize(
    ("num", "quality", "vectors", "message"),
    [
        (5, 1.0, 5, "at least 6 rated windows, got 5"),
        (12, 5.5, 12, "must lie in 0 to 5"),
        (12, None, 12, "must lie in 0 to 5"),
        (12, 1.0, 11, "need as many vectors, got 11 and 0"),
    ],
)
def test_fit_unusable_input_raises(num: int, quality: float | None, vectors: int, message: str) -> None:
    windows = topical(num)[0].with_columns(quality=pl.lit(quality, pl.Float64))
    with pytest.raises(ValueError, match=message):
        encoder_head.fit(windows, NO_PAGES, np.zeros((vectors, 8), np.float32), NO_VECTORS, QUICK)


def test_scores_vectors_of_another_encoder_raise(head: encoder_head.Head) -> None:
    with pytest.raises(ValueError, match="need vectors of 8 numbers"):
        encoder_head.scores(head, np.zeros((1, 16), np.float32), pl.Series(["text"]))
