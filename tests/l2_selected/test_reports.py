"""A report says how well values that were not seen order the ratings, and what is clearly worse is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from tier_assets.l2_selected import reports as rp


def noisy(num: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    target = draw.uniform(0, 5, num)
    return target + draw.normal(0, noise, num), target


def made(num: int = 300, noise: float = 1.0, seed: int = 1) -> rp.Report:
    values, target = noisy(num, noise, seed)
    return rp.report_of(values, None, target, pl.Series(["a", "b"] * (num // 2)), values, 0)


def test_report_of_noisy_values_holds_scipys_spearman_within_its_interval() -> None:
    values, target = noisy(300, 1.0, 1)
    found = made()
    assert found.spearman == pytest.approx(spearmanr(values, target)[0], abs=1e-4)
    assert found.spearman_low < found.spearman < found.spearman_high
    assert found.spearman_high - found.spearman_low < 0.1
    assert [(name, num) for name, num, _ in found.by_corpus] == [("a", 150), ("b", 150)]
    assert found == made()


def test_report_of_constant_ratings_has_no_spearman() -> None:
    found = rp.report_of(np.arange(12.0), None, np.full(12, 2.0), pl.Series(["a"] * 12), np.full(12, 2.5), 4)
    assert (found.spearman, found.spearman_low, found.spearman_across) == (None, None, None)
    assert (found.calibration_error, found.num_page_labels) == (0.5, 4)


def test_by_corpus_too_few_labels_have_none() -> None:
    values, target = noisy(21, 0.1, 2)
    corpora = pl.Series(["few"] * 9 + ["many"] * 12)
    found = rp.report_of(values, values, target, corpora, values, 0)
    assert found.by_corpus[0] == ("few", 9, None)
    assert found.by_corpus[1][2] > 0.9


def test_interval_of_rows_that_come_in_bundles_is_wider() -> None:
    values, target = (np.repeat(column, 5) for column in noisy(60, 2.0, 4))
    low, high = rp.interval(values, target)
    wide_low, wide_high = rp.interval(values, target, pl.Series(np.repeat(np.arange(60), 5)))
    assert wide_high - wide_low > 1.5 * (high - low)


def test_folds_of_equal_keys_share_a_fold_of_like_size() -> None:
    keys = pl.Series([f"k{i % 40}" for i in range(80)])
    found = rp.folds_of(keys, 5)
    assert (found[:40] == found[40:]).all()
    assert np.bincount(found).tolist() == [16] * 5


def test_groups_of_rows_chain_through_ids_and_texts() -> None:
    ids = pl.Series(["a", "a", "b", "c", "d"])
    texts = pl.Series(["1", "2", "2", "3", None])
    found = rp.groups_of(ids, texts).to_list()
    assert found[0] == found[1] == found[2]
    assert len(set(found)) == 3


@pytest.mark.parametrize(("new_noise", "refused"), [(1.0, False), (0.8, False), (6.0, True)])
def test_worse_than_only_what_is_clearly_worse_is_refused(new_noise: float, refused: bool) -> None:
    found = rp.worse_than(made(noise=new_noise, seed=9), made())
    assert (found is not None) == refused
    if found:
        assert "the last one had 0.8" in found


def test_worse_than_edge_of_the_interval_decides() -> None:
    old = made()
    assert rp.worse_than(replace(old, spearman_high=old.spearman), old) is None
    assert rp.worse_than(replace(old, spearman_high=old.spearman - 1e-4), old) is not None
    unmeasured = replace(old, spearman=None, spearman_high=None)
    assert "not measurable" in (rp.worse_than(unmeasured, old) or "")
    assert rp.worse_than(old, unmeasured) is None
