"""What a stage draws: once, to the budget, the same whatever the order of the rows, with a random control beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from algorithms import importance_resampling, ngram_counts
from resources.training_data import encode, learn_tokenizer
from tier_assets.m1_training.draw import ARMS, CONTROL, Arm, NothingToDraw, Settings, draw, shortfall
from tier_tables import table

NONE = pl.Series("doc_id", [], dtype=pl.String)
WORDS = np.array([f"w{n}" for n in range(300)])
REFERENCE = pl.Series("text", [" ".join(WORDS[200:300])] * 4)
GUARD = pl.Series("text", [" ".join(WORDS[:200])] * 4)


def pool(count: int = 60, seed: int = 0) -> pl.DataFrame:
    """Documents of two domains; those of `new` are made of the reference's words, and their influence is higher."""
    random = np.random.default_rng(seed)
    new = np.arange(count) % 3 == 0
    words = [WORDS[200:] if is_new else WORDS[:200] for is_new in new]
    return pl.DataFrame(
        {
            "doc_id": [f"d{n:03d}" for n in range(count)],
            "corpus": "c",
            "snapshot": "1",
            "domain": np.where(new, "new", "old"),
            "num_tokens": random.integers(5, 60, count),
            "influence": new + random.normal(size=count) / 4,
            "text": [" ".join(random.choice(own, 30)) for own in words],
        }
    )


def drawn(
    rows: pl.DataFrame, settings: Settings, budget: int = 400, seed: int = 0, consumed: pl.Series = NONE
) -> pl.DataFrame:
    batches = rows.select("doc_id", "text").iter_slices(7)
    return draw(rows.drop("text"), batches, settings, REFERENCE, GUARD, budget, seed, consumed)


def tokens(rows: pl.DataFrame) -> int:
    return int(rows["num_tokens"].sum())


def longest(rows: pl.DataFrame) -> int:
    return int(rows["num_tokens"].to_numpy().max())


def share(rows: pl.DataFrame, domain: str = "new") -> float:
    """The domain's share of the documents."""
    return rows.filter(domain=domain).height / rows.height


def own(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("arm") != CONTROL)


@pytest.mark.parametrize("arm", ARMS)
def test_draw_of_every_arm_meets_the_budget_within_a_document_and_draws_none_twice(arm: Arm) -> None:
    rows = drawn(pool(), Settings(arm=arm, control_share=0.4))
    assert rows.schema == {name: t for name, t in table("stage_draws").schema.items() if name != "stage"}
    assert rows["doc_id"].is_unique().all()
    assert rows["place"].to_list() == list(range(rows.height))
    assert set(rows["arm"]) == {arm, CONTROL}
    assert 0 <= tokens(rows) - 400 < longest(rows)
    assert shortfall(rows, 400) == 0


@hypothesis_settings(max_examples=20, deadline=None)
@given(
    arm=st.sampled_from(ARMS),
    budget=st.integers(1, 1500),
    seed=st.integers(0, 99),
    redundancy=st.sampled_from([0.0, 0.5]),
)
def test_draw_of_rows_in_another_order_is_the_same(arm: Arm, budget: int, seed: int, redundancy: float) -> None:
    settings = Settings(arm=arm, redundancy=redundancy if arm in ("influence", "dsir") else 0.0)
    rows = pool()
    shuffled = rows[np.random.default_rng(seed).permutation(rows.height)]
    assert drawn(shuffled, settings, budget, seed).equals(drawn(rows, settings, budget, seed))


@pytest.mark.parametrize("part", [0.05, 0.3, 1.0])
def test_draw_gives_the_control_arm_its_share_of_the_budget(part: float) -> None:
    rows = drawn(pool(200), Settings(control_share=part), budget=2000)
    control = rows.filter(arm=CONTROL)
    assert 0 <= tokens(control) - 2000 * part < longest(control)
    assert control["value"].is_null().all()


def test_draw_without_a_control_arm_has_one_arm() -> None:
    assert set(drawn(pool(), Settings(control_share=0.0))["arm"]) == {Settings().arm}
    assert Settings().control_share > 0


def test_draw_of_the_control_arm_is_even_over_the_candidates() -> None:
    rows = pool()
    counts = pl.concat([drawn(rows, Settings("cynical", control_share=0.5), seed=seed) for seed in range(60)])
    assert 0.25 < share(counts.filter(arm=CONTROL)) < 0.42  # a third of the documents


@pytest.mark.parametrize("arm", ARMS)
def test_draw_of_consumed_documents_takes_none_of_them(arm: Arm) -> None:
    rows = pool()
    first = drawn(rows, Settings(arm=arm))
    second = drawn(rows, Settings(arm=arm), consumed=first["doc_id"])
    assert not set(first["doc_id"]) & set(second["doc_id"])


@pytest.mark.parametrize(
    "arm", ["influence", "dsir", "cynical", "cynical_guarded", "cynical_influence", "domain_matched"]
)
def test_draw_of_a_steered_arm_takes_more_of_what_the_reference_is_like(arm: Arm) -> None:
    rows = pool(200)
    steered = own(drawn(rows, Settings(arm=arm, temperature=0.3, quota=0.2), budget=1000))
    assert share(steered) > 0.5


def test_draw_with_a_quota_leaves_the_other_domain_its_share() -> None:
    rows = pool(200)
    bare, held = (drawn(rows, Settings(quota=q, control_share=0.0), 1000) for q in (0.0, 0.5))
    natural, *shares = (tokens(found.filter(domain="old")) / tokens(found) for found in (rows, bare, held))
    assert shares[0] < 0.5 * natural - 0.1
    assert shares[1] > 0.5 * natural - 0.05


def test_draw_matched_to_an_arm_has_its_domain_mix() -> None:
    rows = pool(300)
    arms = (own(drawn(rows, Settings(arm=arm, guard_share=0.3), 2000)) for arm in ("cynical_guarded", "domain_matched"))
    mixes = [tokens(arm.filter(domain="new")) / tokens(arm) for arm in arms]
    assert mixes[0] == pytest.approx(mixes[1], abs=0.05)


def test_draw_with_a_redundancy_penalty_takes_fewer_copies() -> None:
    rows = pool(100)
    best = rows.filter(domain="new").head(1)
    copies = pl.concat([best.with_columns(doc_id=pl.lit(f"x{n}"), influence=pl.lit(9.0)) for n in range(20)])
    both = pl.concat([rows, copies.select(rows.columns)])
    settings = Settings("influence", temperature=0.01, control_share=0.0)
    counts = [
        drawn(both, replace(settings, redundancy=r), 20 * int(best["num_tokens"][0]))["doc_id"]
        .str.starts_with("x")
        .sum()
        for r in (0.0, 50.0)
    ]
    assert counts[0] == 20
    assert counts[1] < 15


@pytest.mark.parametrize("influence", [None, 1.5, float("nan")])
def test_draw_by_influence_that_says_nothing_is_even(influence: float | None) -> None:
    rows = pool().with_columns(influence=pl.lit(influence, dtype=pl.Float64))
    found = pl.concat([own(drawn(rows, Settings("influence", control_share=0.0), seed=seed)) for seed in range(40)])
    assert 0.25 < share(found) < 0.42
    guarded, corrected = (own(drawn(rows, Settings(arm))) for arm in ("cynical_guarded", "cynical_influence"))
    assert corrected["doc_id"].to_list() == guarded["doc_id"].to_list()


def test_draw_with_a_missing_influence_takes_it_for_the_mean() -> None:
    rows = pool().with_columns(influence=pl.when(pl.col("domain") == "new").then(1.0))
    found = own(drawn(rows, Settings("influence", control_share=0.0)))
    old = found.filter(domain="old")
    assert old.height > 0
    assert old["value"].is_null().all()


def test_draw_beyond_the_pool_takes_all_and_says_what_is_missing() -> None:
    rows = pool()
    for arm in ARMS:
        found = drawn(rows, Settings(arm=arm), budget=10**6)
        assert found.height == rows.height
        assert shortfall(found, 10**6) == 10**6 - tokens(rows)


def test_draw_of_documents_without_tokens_leaves_them() -> None:
    rows = pool().with_columns(num_tokens=pl.when(pl.col("domain") == "new").then(0).otherwise("num_tokens"))
    assert set(drawn(rows, Settings(), budget=10**6)["domain"]) == {"old"}


def test_draw_of_nothing_left_raises() -> None:
    rows = pool()
    with pytest.raises(NothingToDraw, match="none of 60 candidates is left: 60 documents were consumed"):
        drawn(rows, Settings(), consumed=rows["doc_id"])
    with pytest.raises(NothingToDraw, match="none of 0"):
        drawn(rows.clear(), Settings())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arm": "best"}, "unknown arm"),
        ({"matched": "domain_matched"}, "another arm"),
        ({"control_share": 1.5}, "control_share"),
        ({"quota": -0.1}, "quota"),
        ({"temperature": -1.0}, "temperature"),
        ({"rounds": 0}, "round"),
    ],
)
def test_settings_that_mean_nothing_raise(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(Settings(), **change)  # type: ignore[arg-type]


def test_draw_with_bad_input_raises() -> None:
    rows = pool()
    with pytest.raises(ValueError, match="at least a token"):
        drawn(rows, Settings(), budget=0)
    with pytest.raises(ValueError, match="stands twice"):
        drawn(pl.concat([rows, rows.head(1)]), Settings())
    with pytest.raises(ValueError, match="each needs one"):
        draw(rows, [rows.head(5).select("doc_id", "text")], Settings("cynical"), REFERENCE, GUARD, 99, 0, NONE)
    with pytest.raises(ValueError, match="no reference texts"):
        draw(rows, [rows], Settings("cynical"), REFERENCE.clear(), GUARD, 99, 0, NONE)
    with pytest.raises(ValueError, match="no guard texts"):
        draw(rows, [rows], Settings("cynical_guarded", guard_share=0.3), REFERENCE, GUARD.clear(), 99, 0, NONE)


def test_draw_of_arms_without_text_reads_none() -> None:
    rows = pool()
    for arm in ("random", "influence"):
        assert draw(rows, iter(()), Settings(arm), REFERENCE, GUARD, 99, 0, NONE).height > 0


def test_draw_by_the_models_tokens_sees_what_words_do_not() -> None:
    spaced, plain = "a , b , c , d , ", "a, b, c, d, "
    text = pl.when(pl.col("domain") == "new").then(pl.lit(spaced)).otherwise(pl.lit(plain))
    rows = pool(60).with_columns(text=text, num_tokens=pl.lit(20))
    reference = pl.Series("text", [spaced])
    tokenizer = learn_tokenizer([spaced, plain] * 9, 300)
    batches = [rows.select("doc_id", "text")]
    shares = [
        share(own(draw(rows, batches, Settings("cynical", units=units), reference, GUARD, 300, 0, NONE, by)))
        for units, by in (("tokens", tokenizer), ("tokens", None), ("words", None))
    ]
    assert shares[:2] == [1.0, 1.0]
    assert shares[2] < 0.6


def test_draw_with_a_residual_takes_what_the_model_lacks() -> None:
    rows = pool(200)
    tokenizer = learn_tokenizer(rows["text"].to_list(), 500)
    new = importance_resampling.totals([ngram_counts.count_tokens(encode(tokenizer, REFERENCE))])
    old = importance_resampling.totals([ngram_counts.count_tokens(encode(tokenizer, GUARD))])
    shares = []
    for residual in (new, old):
        batches = [rows.select("doc_id", "text")]
        rows_drawn = draw(rows, batches, Settings("cynical"), REFERENCE, GUARD, 1000, 0, NONE, tokenizer, residual)
        shares.append(share(own(rows_drawn)))
    assert shares[0] > 0.6
    assert shares[1] < 0.2


def test_draw_with_a_residual_of_other_units_raises() -> None:
    residual = np.ones(ngram_counts.BUCKETS)
    with pytest.raises(ValueError, match="by the same tokenizer"):
        draw(pool(), [], Settings("cynical"), REFERENCE, GUARD, 99, 0, NONE, None, residual)
