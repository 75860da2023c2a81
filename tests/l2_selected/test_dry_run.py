"""A dry run counts what would move against the members there are, and shows what lies at the margin."""

from __future__ import annotations

import polars as pl
import pytest

from tier_assets.l2_selected.dry_run import (
    Compared,
    compared,
    margin_examples,
    moved_examples,
    moves_of,
    told,
    told_moves,
)
from tier_assets.l2_selected.policy import Maximum, Policy, Rule
from tier_assets.l2_selected.select import Selection, select

NOBODY = pl.DataFrame(schema={"doc_id": pl.String, "corpus": pl.String, "snapshot": pl.String, "round": pl.Int64})
HALF = Policy("half", (Rule(0.5),), domain_floor=0.0, min_slice=1, margin=0.0, maximums=(Maximum("perplexity", 9),))


def candidates(*qualities: float, corpus: str = "mail", perplexity: float = 1.0) -> pl.DataFrame:
    """Documents mail0, mail1, ... of as many tokens as a hundred times their place, counted from 1."""
    return pl.DataFrame({
        "doc_id": [f"{corpus}{i}" for i in range(len(qualities))],
        "corpus": corpus,
        "snapshot": "s1",
        "domain": corpus,
        "language": "en",
        "num_tokens": [100 * (i + 1) for i in range(len(qualities))],
        "quality": qualities,
        "influence": pl.Series([None] * len(qualities), dtype=pl.Float64),
        "perplexity": [perplexity, *[1.0] * (len(qualities) - 1)],
    })  # fmt: skip


def members(*doc_ids: str) -> pl.DataFrame:
    return pl.DataFrame([(doc_id, "mail", "s1", 1) for doc_id in doc_ids], schema=NOBODY.schema, orient="row")


@pytest.fixture(scope="module")
def mail() -> pl.DataFrame:
    return candidates(5.0, 4.0, 3.0, 2.0, perplexity=10.0)


@pytest.fixture(scope="module")
def chosen(mail: pl.DataFrame) -> Selection:
    return select(mail, NOBODY, HALF, 1)


def test_moves_of_members_against_a_selection_are_what_enters_and_leaves(chosen: Selection) -> None:
    moves = moves_of(members("mail0", "mail1", "mail3", "gone"), chosen)
    assert moves.columns == ["doc_id", "corpus", "snapshot", "from_tier", "to_tier", "reason"]
    assert moves.select("doc_id", "from_tier", "to_tier", "reason").rows() == [
        ("gone", "l2", "l1", "demoted_not_in_l1"),
        ("mail0", "l2", "l1", "demoted_above_maximum_perplexity"),
        ("mail3", "l2", "l1", "demoted_below_quality_threshold"),
    ]
    assert moves_of(NOBODY, chosen).select("doc_id", "from_tier", "to_tier", "reason").rows() == [
        ("mail1", "l1", "l2", "promoted_above_threshold")
    ]
    assert moves_of(chosen.rows.select(NOBODY.columns), chosen).is_empty()


def test_compared_partition_counts_documents_and_tokens(mail: pl.DataFrame, chosen: Selection) -> None:
    assert compared("mail", "s1", mail, members("mail3", "gone"), chosen) == Compared(
        "mail",
        "s1",
        candidates=4,
        members_now=2,
        members_then=1,
        tokens_now=400,
        tokens_then=200,
        kept={"above_threshold": 1},
        rejected={"above_maximum_perplexity": 1, "below_quality_threshold": 2},
        entering={"above_threshold": 1},
        leaving={"below_quality_threshold": 1, "not_in_l1": 1},
    )


def test_margin_examples_are_the_closest_to_the_threshold_on_each_side() -> None:
    mail = candidates(1.0, 2.5, 4.0, 3.0, 2.9, 2.0, 5.0, 4.5, perplexity=10.0)
    found = margin_examples(select(mail, NOBODY, HALF, 1), mail, 2)
    assert found.select("side", "doc_id", "value", "threshold", "reason").rows() == [
        ("kept", "mail3", 3.0, 3.0, "above_threshold"),
        ("kept", "mail2", 4.0, 3.0, "above_threshold"),
        ("dropped", "mail4", 2.9, 3.0, "below_quality_threshold"),
        ("dropped", "mail1", 2.5, 3.0, "below_quality_threshold"),
    ]
    assert found.select("corpus", "snapshot", "language", "num_tokens", "quality").row(0) == (
        "mail",
        "s1",
        "en",
        400,
        3.0,
    )


def test_margin_examples_of_a_policy_that_keeps_nothing_are_none() -> None:
    mail = candidates(1.0, 2.0)
    nothing = Policy("nothing", (Rule(0.0),), domain_floor=0.0)
    assert margin_examples(select(mail, NOBODY, nothing, 1), mail).is_empty()


def test_told_dry_run_shows_counts_reasons_and_examples() -> None:
    mail, news = candidates(5.0, 4.0, 3.0, 2.0, perplexity=10.0), candidates(3.0, 2.5, corpus="news")
    both = [(mail, select(mail, NOBODY, HALF, 1)), (news, select(news, NOBODY, HALF, 1))]
    partitions = [
        compared("mail", "s1", mail, members("mail3"), both[0][1]),
        compared("news", "s1", news, NOBODY, both[1][1]),
    ]
    examples = pl.concat([margin_examples(chosen, rows) for rows, chosen in both])
    texts = {"mail1": "Word\n\tword \x1b[31mred " + "long " * 100, "news0": None}
    text = told(partitions, examples.with_columns(text=pl.col("doc_id").replace_strict(texts, default="text")))
    assert text == "\n".join(
        [
            "corpus@snapshot              candidates      now     then entering  leaving    tokens now   tokens then",
            "mail@s1                               4        1        1        1        1           400           200",
            "news@s1                               2        0        1        1        0             0           100",
            "-" * 103,
            "all                                   6        1        2        2        1           400           300",
            "",
            "mail@s1",
            "  kept      above_threshold 1",
            "  rejected  below_quality_threshold 2, above_maximum_perplexity 1",
            "  entering  above_threshold 1",
            "  leaving   below_quality_threshold 1",
            "news@s1",
            "  kept      above_threshold 1",
            "  rejected  below_quality_threshold 1",
            "  entering  above_threshold 1",
            "",
            "just kept: the 2 closest to the threshold",
            "mail1  mail@s1  value 4.0000, threshold 4.0000  above_threshold",
            "    " + ("Word word \N{REPLACEMENT CHARACTER}[31mred " + "long " * 100)[:200],
            "news0  news@s1  value 3.0000, threshold 3.0000  above_threshold",
            "    (no text)",
            "",
            "just dropped: the 3 closest to the threshold",
            "news1  news@s1  value 2.5000, threshold 3.0000  below_quality_threshold",
            "    text",
            "mail2  mail@s1  value 3.0000, threshold 4.0000  below_quality_threshold",
            "    text",
            "mail3  mail@s1  value 2.0000, threshold 4.0000  below_quality_threshold",
            "    text",
        ]
    )


def test_told_of_many_examples_shows_the_ten_closest_of_all_partitions() -> None:
    wide = candidates(*(i / 5 for i in range(25)))
    narrow = candidates(*(i / 100 for i in range(50)), corpus="news")
    both = [(rows, select(rows, NOBODY, HALF, 1)) for rows in (wide, narrow)]
    examples = pl.concat([margin_examples(chosen, rows) for rows, chosen in both]).with_columns(text=pl.lit("text"))
    shown = told([], examples)
    assert (shown.count("news@s1"), shown.count("mail@s1")) == (19, 1)
    assert "just dropped: the 10 closest" in shown


def test_told_of_an_empty_partition_counts_nothing_and_shows_none() -> None:
    nobody = candidates(1.0).head(0)
    chosen = select(nobody, NOBODY, HALF, 1)
    examples = margin_examples(chosen, nobody)
    text = told([compared("mail", "s1", nobody, NOBODY, chosen)], examples.with_columns(text=pl.lit("text")))
    assert text.splitlines()[-1] == "just dropped: none at a threshold"
    both = pl.concat([examples, margin_examples(select(candidates(1.0), NOBODY, HALF, 1), candidates(1.0))])
    assert len(both) == 1


def test_moved_examples_are_promotions_of_high_and_demotions_of_low_influence() -> None:
    influences = [0.5, None, 2.0, 1.0, -1.0, 0.0]
    mail = candidates(3.0, 3.1, 3.2, 3.3, 2.9, 2.8).with_columns(influence=pl.Series(influences))
    best = Policy("p", (Rule(0.5),), domain_floor=0.0, min_slice=1, margin=0.0, influence_weight=3.0)
    chosen = select(mail, NOBODY, best, 1)
    found = moved_examples(members("mail1", "mail4", "mail5", "gone"), chosen, mail, 2)
    assert found.select("side", "doc_id", "influence", "quality", "reason").rows() == [
        ("promoted", "mail2", 2.0, 3.2, "promoted_above_threshold"),
        ("promoted", "mail3", 1.0, 3.3, "promoted_above_threshold"),
        ("demoted", "mail4", -1.0, 2.9, "demoted_below_quality_threshold"),
        ("demoted", "mail5", 0.0, 2.8, "demoted_below_quality_threshold"),
    ]


def test_told_moves_shows_counts_and_examples_with_their_influence() -> None:
    mail = candidates(5.0, 4.0, 3.0, 2.0)
    chosen = select(mail, NOBODY, HALF, 1)
    current = members("mail1", "gone")
    examples = moved_examples(current, chosen, mail).with_columns(text=pl.lit("Some\ntext"))
    text = told_moves("round 2", [compared("mail", "s1", mail, current, chosen)], examples).splitlines()
    assert text[0] == "round 2"
    assert text[3].split() == ["mail@s1", "4", "2", "2", "1", "1", "200", "300"]
    assert text[text.index("promoted: 1 of the highest influence") :] == [
        "promoted: 1 of the highest influence",
        "mail0  mail@s1  influence none, quality 5.0000  promoted_above_threshold",
        "    Some text",
        "",
        "demoted: 1 of the lowest influence",
        "gone  mail@s1  influence none, quality none  demoted_not_in_l1",
        "    Some text",
    ]
