"""The gold table: figures are AUC and Spearman, intervals are paired, and texts tell nothing by their length."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from benchmarks import quality_sets as qs
from benchmarks.quality import LENGTH, baselines, best_baseline, sampled
from benchmarks.quality_measures import measured


def slow_auc(values: np.ndarray, truth: np.ndarray) -> float:
    pairs = [(a > b) + 0.5 * (a == b) for a in values[truth > 0] for b in values[truth == 0]]
    return float(np.mean(pairs))


def noisy(num: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, 2, num).astype(float)
    return np.round(truth + draw.normal(size=num), 1), truth


def test_measured_binary_is_the_auc_and_its_interval_that_of_redrawn_groups() -> None:
    values, truth = noisy(80, 1)
    group = pl.Series(np.arange(80) // 2)
    found = measured({"a": values}, truth, group, True)
    assert found.figures["a"] == pytest.approx(slow_auc(values, truth))
    draw = np.random.default_rng(0)
    redrawn = []
    for _ in range(300):
        rows = np.concatenate([[2 * g, 2 * g + 1] for g in draw.integers(0, 40, 40)])
        redrawn.append(slow_auc(values[rows], truth[rows]))
    assert found.interval("a") == pytest.approx(tuple(np.percentile(redrawn, (2.5, 97.5))), abs=0.03)


def test_measured_ranks_is_spearman_with_ties() -> None:
    draw = np.random.default_rng(2)
    truth = draw.integers(0, 5, 200).astype(float)
    values = np.round(truth + draw.normal(size=200))
    found = measured({"a": values, "b": -values, "c": np.zeros(200)}, truth, pl.Series(range(200)), False)
    assert found.figures["a"] == pytest.approx(spearmanr(values, truth)[0])
    assert found.figures["b"] == pytest.approx(-found.figures["a"])
    assert found.figures["c"] == 0.0


def test_difference_of_like_columns_is_narrow_since_it_is_paired() -> None:
    values, truth = noisy(400, 3)
    nearly = values + np.random.default_rng(1).normal(0, 0.05, 400)
    found = measured({"a": values, "b": nearly}, truth, pl.Series(range(400)), True)
    _, low, high = found.difference("a", "b")
    assert found.difference("a", "a") == (0.0, 0.0, 0.0)
    assert high - low < 0.4 * (found.interval("a")[1] - found.interval("a")[0])


def write(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True)
    with gzip.open(path, "wt") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    menu = "".join(f"<li>Menu {i}</li>" for i in range(200))
    pages = []
    for i in range(12):
        article = f"Page {i} tells at length of water and of heat.\n\n" * 30
        markup = "".join(f"<p>{line}</p>" for line in article.split("\n\n"))
        pages.append({"id": f"p{i}", "html": f"<script>x()</script>{menu}{markup}", "gold_text": article})
    write(tmp_path / qs.EXTRACTION, pages)
    lines = [
        {"id": "a", "lang": "de", "lines": ["Ein  ganzer Satz.", "", ">>"], "labels": [1, 0, 0]},
        {"id": "b", "lang": "fi", "lines": ["Hei", "x"], "labels": [1, 0]},
    ]
    write(tmp_path / qs.LINES, lines)
    write(tmp_path / qs.READABILITY, [{"Excerpt": "An\neasy text", "BT_easiness": "1.5"}])
    return tmp_path


def test_gold_sets_give_what_is_there_and_leave_the_rest_out(folder: Path) -> None:
    found = {gold.name: gold for gold in qs.gold_sets(folder)}
    assert list(found) == ["article / boilerplate", "clear", "lines, all", "lines, de", "lines, fi"]
    assert found["clear"].texts.to_list() == ["An easy text"]
    assert found["clear"].truth.to_list() == [1.5]
    assert found["lines, all"].texts.to_list() == ["Ein ganzer Satz.", ">>", "Hei", "x"]
    assert found["lines, all"].truth.to_list() == [1, 0, 1, 0]
    assert found["lines, fi"].group.to_list() == ["b", "b"]


def test_page_texts_are_of_equal_length_and_each_page_lies_in_one_half(folder: Path) -> None:
    halves = [qs.page_texts(folder, half) for half in (0, 1)]
    both = pl.concat(halves)
    assert both["text"].str.len_chars().unique().to_list() == [qs.NUM_CHARS]
    assert both["page"].n_unique() == 12
    assert not set(halves[0]["page"]) & set(halves[1]["page"])
    assert both.filter("is_article")["text"].str.contains("water").all()
    assert not both.filter(~pl.col("is_article"))["text"].str.contains("water|x\\(\\)").any()


def test_baselines_speak_for_a_text_the_way_that_they_are_named() -> None:
    texts = pl.Series(["The cat is on the mat, and that was it.", "LOGIN CART SALE", ""])
    found = baselines(texts, None)
    assert found[LENGTH].tolist() == [39, 15, 0]
    for name in ("few capitals", "stop words", "punctuation"):
        assert found[name][0] > found[name][1], name
    assert found["stop words"][0] == pytest.approx(8 / 10)
    truth = np.array([1.0, 0.0, 0.0])
    assert best_baseline(measured(found, truth, pl.Series(range(3)), True)) in found


def test_sampled_takes_whole_groups_and_the_same_each_time(folder: Path) -> None:
    gold = next(gold for gold in qs.gold_sets(folder) if gold.name == "article / boilerplate")
    sample, rows = sampled(gold, 5)
    assert len(sample.texts) == 4
    assert sample.group.n_unique() == 2
    assert sample.texts.to_list() == gold.texts[rows].to_list()
    assert (sampled(gold, 5)[1] == rows).all()
    assert len(sampled(gold, 500)[0].texts) == len(gold.texts)
