"""The scorer learns an order that it can see, says how well, survives dump and load, and never changes its mind."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tier_assets.l2_selected import linear_fit
from tier_assets.l2_selected import scorer as sc
from tier_tables import L2_PAGE_LABELS

PROSE = "the heat of water rises because each part of it moves faster, and so it boils. ".split()
MENU = "Home | Login | Cart | Sale! | 50% | OFF | Click | Share | Tweet | > | » | Top | 2024".split()
NO_PAGES = L2_PAGE_LABELS.empty()


def mixed_windows(num: int, seed: int) -> pl.DataFrame:
    """Windows with a known share of prose: their quality; `depth` goes the other way and is null in each second."""
    draw = random.Random(seed)
    shares = [draw.random() for _ in range(num)]
    texts = [" ".join(draw.choice(PROSE if draw.random() < s else MENU) for _ in range(120)) for s in shares]
    quality = pl.Series("quality", [round(5 * s, 4) for s in shares])
    return pl.DataFrame(
        {
            "doc_id": [f"d{seed}-{i // 2}" for i in range(num)],
            "corpus": [("web", "mail")[i // 2 % 2] for i in range(num)],
            "text": texts,
            "quality": quality,
            "depth": [None if i % 2 else 5 - q for i, q in enumerate(quality)],
        }
    )


def labelled_pages(num: int, seed: int) -> pl.DataFrame:
    """Page labels whose kept windows say "alpha" and whose cut ones "omega", which no rated window does."""
    draw = random.Random(seed)
    rows = []
    for i in range(num):
        for kept, word in ((True, "alpha"), (False, "omega")):
            words = [draw.choice([word, "beta", "gamma", "delta"]) for _ in range(60)]
            lines = [" ".join(words[j : j + 10]) for j in range(0, 60, 10)]
            rows.append((f"p{seed}-{i}", "web", "1", kept, "\n".join(lines)))
    return pl.DataFrame(rows, schema=L2_PAGE_LABELS.schema, orient="row")


@pytest.fixture(scope="module")
def fitted() -> sc.Scorer:
    return sc.fit(mixed_windows(160, 1), labelled_pages(20, 1), sc.DEFAULT)


def test_fit_visible_order_is_learnt_and_its_report_holds_on_new_texts() -> None:
    fitted = sc.fit(mixed_windows(160, 1), NO_PAGES, sc.DEFAULT)
    new = mixed_windows(200, 2)
    found = sc.scores(fitted, new["text"])
    seen = pl.DataFrame({"a": found["quality"], "b": new["quality"]}).select(pl.corr("a", "b", method="spearman"))
    report = fitted.report
    assert seen.item() > 0.9
    assert report.spearman == pytest.approx(seen.item(), abs=0.05)
    assert report.spearman_low < report.spearman < report.spearman_high
    assert report.spearman_across > 0.9
    assert [(name, num) for name, num, _ in report.by_corpus] == [("mail", 80), ("web", 80)]
    assert (report.num_labels, report.num_page_labels) == (160, 0)
    assert (found["quality"] - new["quality"]).abs().mean() < 0.5
    assert report.calibration_error < 0.3


def test_fit_dimension_with_nulls_is_learnt_from_its_own_ratings(fitted: sc.Scorer) -> None:
    new = mixed_windows(200, 2)
    found = sc.scores(fitted, new["text"])
    assert fitted.names == tuple(found.columns) == ("quality", "depth")
    both = pl.DataFrame({"a": found["depth"], "b": 5 - new["quality"]})
    assert both.select(pl.corr("a", "b", method="spearman")).item() > 0.9
    assert fitted.spearmans[1] > 0.8


def test_fit_dimension_with_too_few_ratings_is_left_out() -> None:
    windows = mixed_windows(40, 3).with_columns(depth=pl.when(pl.int_range(pl.len()) < 9).then(1.0))
    assert sc.fit(windows, NO_PAGES, sc.SMOKE).names == ("quality",)


def test_fit_page_labels_teach_what_the_ratings_do_not_show(fitted: sc.Scorer) -> None:
    texts = pl.Series(["beta alpha gamma alpha delta " * 8, "beta omega gamma omega delta " * 8])
    kept, cut = sc.scores(fitted, texts)["quality"]
    assert kept > cut
    assert fitted.page_share > 0
    assert fitted.report.num_page_labels == 40
    assert fitted.report.spearman >= linear_fit.BORNE * 0.98
    assert fitted.page_auc > 0.95 > 0.75 > fitted.page_auc_without
    windows, pages = mixed_windows(160, 1), labelled_pages(20, 1)
    without = sc.fit(windows, pages, replace(sc.DEFAULT, page_labels=False))
    assert without.report == sc.fit(windows, NO_PAGES, sc.DEFAULT).report
    assert (without.page_share, without.page_auc, without.report.num_page_labels) == (0.0, None, 0)


def test_fit_page_labels_that_contradict_the_ratings_get_a_small_share() -> None:
    windows = mixed_windows(160, 1)
    turned = windows.sort("quality").with_columns(snapshot=pl.lit("1"), kept=pl.lit(True))
    worst, best = turned.head(30), turned.tail(30).with_columns(kept=pl.lit(False), doc_id=turned.head(30)["doc_id"])
    pages = pl.concat([worst, best]).select(L2_PAGE_LABELS.schema.names())
    found = sc.fit(windows, pages, sc.DEFAULT)
    assert found.page_share < 1.0
    assert found.report.spearman > 0.8


def test_fit_page_labels_of_two_corpora_hold_across_corpora() -> None:
    pages = pl.concat([labelled_pages(10, 1), labelled_pages(10, 2).with_columns(corpus=pl.lit("mail"))])
    assert sc.fit(mixed_windows(160, 1), pages, sc.DEFAULT).report.spearman_across > 0.9


def test_scores_of_a_text_that_goes_on_rise_until_it_is_full(fitted: sc.Scorer) -> None:
    rising = sc.scores(fitted, pl.Series([" ".join(PROSE[:6]), " ".join((PROSE * 9)[:20]), " ".join((PROSE * 9)[:40])]))
    assert rising["quality"].is_sorted()
    longer = sc.scores(fitted, pl.Series([" ".join(PROSE * 9), " ".join(PROSE * 90)]))["quality"]
    assert longer[0] == pytest.approx(longer[1], abs=0.2)


def test_rated_rows_are_windows_and_their_lines_and_sentences() -> None:
    windows = pl.DataFrame({"text": ["One. Two is 2.5 here!\n\nThree", None]})
    assert linear_fit.rated_rows(windows).rows() == [
        (0, "One. Two is 2.5 here!\n\nThree", True),
        (1, "", True),
        (0, "One.", False),
        (0, "Two is 2.5 here!", False),
        (0, "Three", False),
    ]


def test_page_rows_are_pieces_and_whole_blocks_each_once() -> None:
    text = "cut off\n" + "x" * 620 + "\nLogin\nLogin\ncut off"
    pages = pl.DataFrame(
        [("a", "c", "1", False, text), ("b", "c", "1", False, "short")], schema=L2_PAGE_LABELS.schema, orient="row"
    )
    rows = linear_fit.page_rows(pages)
    assert rows.filter("whole").select("label", "text").rows() == [(0, text[:600]), (1, "short")]
    assert rows.filter(~pl.col("whole")).select("label", "text").rows() == [(0, "x" * 620), (0, "Login")]


def test_fit_ratings_without_order_report_no_skill() -> None:
    windows = mixed_windows(100, 3).with_columns(pl.col("quality").shuffle(seed=5))
    found = sc.fit(windows, NO_PAGES, sc.SMOKE)
    assert abs(found.report.spearman) < 0.35


def test_fit_windows_of_a_document_and_copies_share_a_fold() -> None:
    windows = mixed_windows(42, 4)
    copies = windows.with_columns(doc_id=pl.lit("other-") + pl.col("doc_id"))
    both = pl.concat([windows, copies])
    learnt = linear_fit.learn(both, [], NO_PAGES, 1_200, 5, (1.0,))
    assert (learnt.groups[:42] == learnt.groups[42:]).all()
    assert learnt.groups.n_unique() == 21
    assert np.allclose(learnt.unseen[:42], learnt.unseen[42:])


def test_fit_constant_ratings_has_no_spearman_and_scores_the_constant() -> None:
    windows = mixed_windows(20, 6).with_columns(quality=pl.lit(2.5)).drop("depth")
    found = sc.fit(windows, labelled_pages(3, 1), sc.SMOKE)
    assert found.report.spearman is None
    assert sc.scores(found, windows["text"])["quality"].is_between(2.4, 2.6).all()


@pytest.mark.parametrize(
    ("ratings", "message"),
    [([1.0] * 9, "at least 10"), ([1.0] * 9 + [5.1], "0 to 5"), ([1.0] * 9 + [None], "0 to 5")],
)
def test_fit_too_few_or_impossible_ratings_are_refused(ratings: list[float | None], message: str) -> None:
    windows = pl.DataFrame(
        {"doc_id": map(str, range(len(ratings))), "corpus": "c", "text": "t", "quality": ratings}, strict=False
    )
    with pytest.raises(ValueError, match=message):
        sc.fit(windows, NO_PAGES, sc.SMOKE)


def test_scores_any_text_is_rounded_and_within_the_scale(fitted: sc.Scorer) -> None:
    found = sc.scores(fitted, pl.Series(["", None, "!" * 5_000, "水" * 3_000, "word " * 10_000]))
    for name in fitted.names:
        assert found[name].is_between(0, 5).all()
        assert found[name].to_list() == [round(s, 4) for s in found[name]]
    assert found["quality"][0] == found["quality"][1]


def test_dump_and_load_give_the_same_scores_bytes_and_version(fitted: sc.Scorer) -> None:
    windows = mixed_windows(160, 1)
    artefact = sc.dump(fitted)
    time.sleep(2.1)  # a zip archive keeps times in steps of two seconds: none may enter the bytes
    again = sc.dump(sc.fit(windows, labelled_pages(20, 1), sc.DEFAULT))
    loaded = sc.load(artefact)
    assert again == artefact
    assert sc.version(again) == sc.version(artefact)
    assert sc.scores(loaded, windows["text"]).equals(sc.scores(fitted, windows["text"]))
    assert (loaded.report, loaded.settings, loaded.names) == (fitted.report, sc.DEFAULT, fitted.names)


@pytest.mark.parametrize("artefact", [b"", b"no zip", b"PK\x03\x04broken"])
def test_load_bytes_that_are_no_scorer_are_refused(artefact: bytes) -> None:
    with pytest.raises(ValueError, match="not a scorer"):
        sc.load(artefact)


def test_load_scorer_with_other_features_is_refused(fitted: sc.Scorer) -> None:
    other = replace(fitted, model=replace(fitted.model, shapes=fitted.model.shapes[:-1]))
    with pytest.raises(ValueError, match="not a scorer of this version: weights of shapes"):
        sc.load(sc.dump(other))


def test_scores_two_kilobyte_documents_exceeds_five_thousand_a_second(fitted: sc.Scorer) -> None:
    texts = pl.Series([" ".join(PROSE * 25)] * 4_000)
    sc.scores(fitted, texts[:10])
    start = time.process_time()
    sc.scores(fitted, texts)
    assert len(texts) / (time.process_time() - start) > 5_000


def test_try_score_gives_a_line_for_each_line_in_order(fitted: sc.Scorer) -> None:
    lines: list[dict[str, object]] = [{"id": i, "text": f"some text {i}"} for i in range(7)]
    lines[3] = {"id": "bad", "text": 5}
    lines[5] = {"text": None}
    found = list(sc.try_score(iter(lines), fitted, batch=3))
    assert [line["id"] for line in found] == [0, 1, 2, "bad", 4, None, 6]
    assert [line["score"] is None for line in found] == [False, False, False, True, False, True, False]
    assert found[3] == {"id": "bad", "score": None, "dimensions": None, "error": "no_text"}
    quality, depth = sc.scores(fitted, pl.Series(["some text 0"])).row(0)
    assert found[0] == {"id": 0, "score": quality, "dimensions": {"depth": depth}}
