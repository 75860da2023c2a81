"""The seed sample is stratified and repeatable."""

from __future__ import annotations

import polars as pl
import pytest

from tier_assets.l2_selected.draw import FETCH_COLUMNS, draw_seed


def pool(counts: dict[tuple[str, str, int, float | None], int]) -> pl.DataFrame:
    """L1 rows by (corpus, language, num_tokens, rule_margin)."""
    rows = [
        (f"{corpus}-{language}-{tokens}-{margin}-{i:04}", corpus, "s1", language, tokens, margin, f"text {i}")
        for (corpus, language, tokens, margin), count in counts.items()
        for i in range(count)
    ]
    names = ("doc_id", "corpus", "snapshot", "language", "num_tokens", "rule_margin", "text")
    schema = dict.fromkeys(names, pl.String()) | {"num_tokens": pl.Int64(), "rule_margin": pl.Float64()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_draw_seed_strata_share_by_the_square_root_of_their_size() -> None:
    rows = pool({("a", "en", 100, 0.5): 1600, ("b", "en", 100, 0.5): 100, ("b", "de", 5000, 0.5): 100})
    found = draw_seed(rows.lazy(), 60, 0)
    assert found.columns == list(FETCH_COLUMNS)
    assert dict(found.group_by("corpus").len().iter_rows()) == {"a": 40, "b": 20}


@pytest.mark.parametrize("margins", [(0.05, 0.5), (0.5, None), (0.05, None), (0.2, 0.05)])
def test_draw_seed_bands_of_rule_margin_are_strata_and_no_margin_is_one(margins: tuple[float | None, ...]) -> None:
    common, rare = margins
    found = draw_seed(pool({("a", "en", 100, common): 400, ("a", "en", 100, rare): 4}).lazy(), 22, 0)
    # By the square roots 20 to 2; of one stratum for both, 2 of 404 rows would hardly be drawn in 22.
    assert found["doc_id"].str.contains(f"-{rare}-").sum() == 2


def test_draw_seed_language_that_is_null_is_a_stratum() -> None:
    rows = pool({("a", "en", 100, None): 90, ("a", "??", 100, None): 10})
    rows = rows.with_columns(language=pl.col("language").replace({"??": None}))
    assert len(draw_seed(rows.lazy(), 100, 0)) == 100


def test_draw_seed_order_of_rows_does_not_matter_but_the_seed_does() -> None:
    rows = pool({("a", "en", 100, None): 300, ("a", "en", 900, None): 300})
    first = draw_seed(rows.lazy(), 50, 0)
    assert draw_seed(rows.reverse().lazy(), 50, 0).equals(first)
    assert len(set(draw_seed(rows.lazy(), 50, 1)["doc_id"]) & set(first["doc_id"])) < 20


def test_draw_seed_grown_pool_keeps_most_of_the_sample() -> None:
    before = draw_seed(pool({("a", "en", 100, None): 1000}).lazy(), 100, 0)
    after = draw_seed(pool({("a", "en", 100, None): 1100}).lazy(), 100, 0)
    assert len(set(before["doc_id"]) & set(after["doc_id"])) >= 80


@pytest.mark.parametrize(("pooled", "size", "drawn"), [(5, 10, 5), (5, 5, 5), (5, 2, 2), (0, 5, 0)])
def test_draw_seed_never_draws_more_than_there_is(pooled: int, size: int, drawn: int) -> None:
    rows = pool({("a", "en", 100, 0.5): pooled})
    assert len(draw_seed(rows.lazy(), size, 0)) == drawn


def test_draw_seed_many_batches_equal_one() -> None:
    rows = pool({("a", "en", 100, 0.05): 700, ("b", "de", 300, None): 500})
    cut = pl.concat([rows[i : i + 37].lazy() for i in range(0, len(rows), 37)])
    assert draw_seed(cut, 40, 0).equals(draw_seed(rows.lazy(), 40, 0))
