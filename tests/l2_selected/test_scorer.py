"""The scorer learns an order that it can see, says how well, survives dump and load, and never changes its mind."""

from __future__ import annotations

import random
import time

import numpy as np
import polars as pl
import pytest

from tier_assets.l2_selected import scorer as sc


def _words(text: str) -> list[str]:
    return text.split()


PROSE = _words("the heat of water rises because each part of it moves faster, and so it boils. ")
MENU = _words("Home | Login | Cart | Sale! | 50% | OFF | Click | Share | Tweet | > | » | Top | 2024")


def mixed_texts(num: int, seed: int) -> tuple[pl.Series, pl.Series]:
    """Texts with a known share of prose, rated by that share."""
    draw = random.Random(seed)
    shares = [draw.random() for _ in range(num)]
    texts = [" ".join(draw.choice(PROSE if draw.random() < s else MENU) for _ in range(120)) for s in shares]
    return pl.Series(texts), pl.Series([round(5 * s, 4) for s in shares])


@pytest.fixture(scope="module")
def fitted() -> sc.Scorer:
    return sc.fit(*mixed_texts(150, 1), "educational_value", sc.DEFAULT)


def test_fit_visible_order_is_learnt_and_its_report_holds_on_new_texts(fitted: sc.Scorer) -> None:
    texts, ratings = mixed_texts(200, 2)
    scores = sc.score(fitted, texts)
    seen = pl.DataFrame({"a": scores, "b": ratings}).select(pl.corr("a", "b", method="spearman")).item()
    assert seen > 0.9
    assert fitted.spearman == pytest.approx(seen, abs=0.05)
    assert (scores - ratings).abs().mean() < 0.5
    assert fitted.calibration_error < 0.3


def test_fit_ratings_without_order_report_no_skill() -> None:
    texts, ratings = mixed_texts(100, 3)
    found = sc.fit(texts, ratings.shuffle(seed=5), "educational_value", sc.SMOKE)
    assert found.spearman is not None
    assert abs(found.spearman) < 0.35


@pytest.mark.parametrize(
    ("values", "target", "line"),
    [([0, 1, 2], [1, 3, 5], (2, 1)), ([0, 1, 2], [5, 3, 1], (1, 0)), ([1, 1, 1], [5, 3, 1], (1, 0))],
)
def test_line_that_would_turn_the_order_round_is_not_drawn(
    values: list[float], target: list[float], line: tuple[float, float]
) -> None:
    assert sc._line(np.array(values, dtype=float), np.array(target, dtype=float)) == pytest.approx(line)


def test_fit_copies_of_a_text_share_a_fold() -> None:
    texts, _ = mixed_texts(20, 4)
    folds = sc._folds(pl.concat([texts, texts]), 5)
    assert (folds[:20] == folds[20:]).all()
    assert sorted(np.bincount(folds[:20]).tolist()) == [4, 4, 4, 4, 4]


def test_fit_constant_ratings_has_no_spearman_and_scores_the_constant() -> None:
    texts, _ = mixed_texts(20, 6)
    found = sc.fit(texts, pl.Series([2.5] * 20), "educational_value", sc.SMOKE)
    assert found.spearman is None
    assert sc.score(found, texts).is_between(2.4, 2.6).all()


@pytest.mark.parametrize(
    ("ratings", "message"),
    [([1.0] * 9, "at least 10"), ([1.0] * 9 + [5.1], "0 to 5"), ([1.0] * 9 + [None], "0 to 5")],
)
def test_fit_too_few_or_impossible_ratings_are_refused(ratings: list[float | None], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sc.fit(pl.Series([f"t{i}" for i in range(len(ratings))]), pl.Series(ratings), "d", sc.SMOKE)


def test_score_any_text_is_rounded_and_within_the_scale(fitted: sc.Scorer) -> None:
    scores = sc.score(fitted, pl.Series(["", None, "!" * 5_000, "水" * 3_000, "word " * 10_000]))
    assert scores.is_between(0, 5).all()
    assert scores.to_list() == [round(s, 4) for s in scores.to_list()]


def test_dump_and_load_give_the_same_scores_bytes_and_version(fitted: sc.Scorer) -> None:
    texts, ratings = mixed_texts(150, 1)
    artefact = sc.dump(fitted)
    time.sleep(2.1)  # a zip archive keeps times in steps of two seconds: none may enter the bytes
    again = sc.dump(sc.fit(texts, ratings, "educational_value", sc.DEFAULT))
    loaded = sc.load(artefact)
    assert again == artefact
    assert sc.version(again) == sc.version(artefact)
    assert sc.score(loaded, texts).to_list() == sc.score(fitted, texts).to_list()
    assert (loaded.spearman, loaded.settings, loaded.dimension) == (fitted.spearman, sc.DEFAULT, "educational_value")


@pytest.mark.parametrize("artefact", [b"", b"no zip", b"PK\x03\x04broken"])
def test_load_bytes_that_are_no_scorer_are_refused(artefact: bytes) -> None:
    with pytest.raises(ValueError, match="not a scorer"):
        sc.load(artefact)


def test_score_two_kilobyte_documents_exceeds_five_thousand_a_second(fitted: sc.Scorer) -> None:
    texts = pl.Series([" ".join(PROSE * 25)] * 4_000)
    sc.score(fitted, texts[:10])
    start = time.process_time()
    sc.score(fitted, texts)
    assert len(texts) / (time.process_time() - start) > 5_000


def test_try_score_gives_a_line_for_each_line_in_order(fitted: sc.Scorer) -> None:
    lines: list[dict[str, object]] = [{"id": i, "text": f"some text {i}"} for i in range(7)]
    lines[3] = {"id": "bad", "text": 5}
    lines[5] = {"text": None}
    found = list(sc.try_score(iter(lines), fitted, batch=3))
    assert [line["id"] for line in found] == [0, 1, 2, "bad", 4, None, 6]
    assert [line["score"] is None for line in found] == [False, False, False, True, False, True, False]
    assert found[3]["error"] == "no_text"
    assert found[0]["score"] == sc.score(fitted, pl.Series(["some text 0"])).item()
