"""Selection: nothing vanishes, the same inputs give the same rows, members do not flap, moves rebuild membership."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tier_assets.l2_selected.policy import Policy, Rule
from tier_assets.l2_selected.select import DEFAULT, Selection, membership_at, select
from tier_tables import L2_SELECTED, TIER_MOVES
from tier_tables.books import VERDICTS

NOBODY = pl.DataFrame(schema={"doc_id": pl.String, "corpus": pl.String, "snapshot": pl.String, "round": pl.Int64})
HALF = Policy("half", (Rule(keep_share=0.5),), domain_floor=0.0, min_slice=1, margin=0.0)

Row = tuple[str, str, float | None, float | None]


def candidates(rows: list[Row]) -> pl.DataFrame:
    """Candidates d000, d001, ... of (domain, language, quality, influence)."""
    return pl.DataFrame(
        [(f"d{i:03}", "mail", "s1", domain, language, 100, q, f) for i, (domain, language, q, f) in enumerate(rows)],
        schema={
            "doc_id": pl.String,
            "corpus": pl.String,
            "snapshot": pl.String,
            "domain": pl.String,
            "language": pl.String,
            "num_tokens": pl.Int64,
            "quality": pl.Float64,
            "influence": pl.Float64,
        },
        orient="row",
    )


def of_qualities(*qualities: float | None) -> pl.DataFrame:
    return candidates([("mail", "en", q, None) for q in qualities])


def kept(selection: Selection) -> list[str]:
    return selection.rows["doc_id"].to_list()


quality = st.integers(0, 50).map(lambda n: n / 10)
rows = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from(["en", "de", "fi"]),
        st.one_of(quality, st.none()),
        st.one_of(st.floats(-1e-3, 1e-3), st.none()),
    ),
    max_size=40,
)
policies = st.builds(
    lambda share, german, least, floor, small, margin: Policy(
        "p", (Rule(german, language="de"), Rule(share, least)), floor, small, 0.5, margin
    ),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from([0.0, 1.0, 2.5]),
    st.floats(0, 0.5),
    st.integers(1, 8),
    st.floats(0, 1),
)


@settings(max_examples=80, deadline=None)
@given(rows, rows, policies)
def test_select_any_two_rounds_lose_no_row_and_moves_rebuild_membership(
    first: list[Row], second: list[Row], policy: Policy
) -> None:
    one = select(candidates(first), NOBODY, policy, 1)
    two = select(candidates(second), one.rows, policy, 2)
    for given_rows, found in ((first, one), (second, two)):
        judged = [*found.rows["doc_id"], *found.verdicts["doc_id"]]
        assert sorted(judged) == candidates(given_rows)["doc_id"].to_list()
        assert found.rows.schema == L2_SELECTED.schema
        assert found.verdicts.schema == VERDICTS.schema
        assert found.moves.schema == TIER_MOVES.schema
    moves = pl.concat([one.moves, two.moves])
    assert membership_at(moves, 0).is_empty()
    assert membership_at(moves, 1).equals(one.rows.select("doc_id", "corpus", "snapshot", "round"))
    assert membership_at(moves, 2).equals(two.rows.select("doc_id", "corpus", "snapshot", "round"))


@settings(max_examples=60, deadline=None)
@given(rows, policies, st.randoms(use_true_random=False))
def test_select_same_round_again_or_in_another_order_gives_the_same(rows: list[Row], policy: Policy, draw) -> None:  # type: ignore[no-untyped-def]
    found = select(candidates(rows), NOBODY, policy, 1)
    order = list(range(len(rows)))
    draw.shuffle(order)
    again = select(candidates(rows)[order], NOBODY, policy, 1)
    assert found.rows.equals(again.rows)
    assert found.verdicts.equals(again.verdicts)
    assert found.moves.equals(again.moves)


@settings(max_examples=60, deadline=None)
@given(rows, policies)
def test_select_next_round_on_the_same_scores_moves_nothing(rows: list[Row], policy: Policy) -> None:
    one = select(candidates(rows), NOBODY, policy, 1)
    two = select(candidates(rows), one.rows, policy, 2)
    assert two.moves.is_empty()
    assert two.rows["doc_id"].equals(one.rows["doc_id"])
    assert (two.rows["round"] == 1).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(quality, min_size=4, max_size=40), st.data())
def test_select_noise_within_half_the_margin_demotes_nobody(qualities: list[float], data: st.DataObject) -> None:
    policy = Policy("p", (Rule(0.5, min_quality=1.0),), domain_floor=0.2, min_slice=1, margin=0.5)
    one = select(of_qualities(*qualities), NOBODY, policy, 1)
    noise = data.draw(st.lists(st.floats(-0.2, 0.2), min_size=len(qualities), max_size=len(qualities)))
    noisy = of_qualities(*(q + n for q, n in zip(qualities, noise)))
    spread = noisy["quality"].std()
    assert isinstance(spread, float)
    shrunk = min(1.0, 0.99 * policy.margin * spread / 2 / 0.2)
    calm = of_qualities(*(q + n * shrunk for q, n in zip(qualities, noise)))
    calm_spread = calm["quality"].std()
    assert isinstance(calm_spread, float)
    if max(abs(n) for n in noise) * shrunk <= policy.margin * calm_spread / 2 - 1e-5:
        two = select(calm, one.rows, policy, 2)
        assert set(kept(one)) <= set(kept(two))


def test_select_best_half_is_kept_and_the_rest_told_why() -> None:
    found = select(of_qualities(1.0, 4.0, 3.0, 2.0), NOBODY, HALF, 1)
    assert kept(found) == ["d001", "d002"]
    assert found.rows["reason"].to_list() == ["above_threshold"] * 2
    assert found.rows["policy"].unique().to_list() == [HALF.version]
    assert found.verdicts.select("tier", "doc_id", "reason", "detail", "round").rows() == [
        ("l2", "d000", "below_quality_threshold", "value 1.0, threshold 3.0, slice en", 1),
        ("l2", "d003", "below_quality_threshold", "value 2.0, threshold 3.0, slice en", 1),
    ]
    assert found.moves.select("round", "doc_id", "from_tier", "to_tier", "reason").rows() == [
        (1, "d001", "l1", "l2", "promoted_above_threshold"),
        (1, "d002", "l1", "l2", "promoted_above_threshold"),
    ]


def test_select_equal_qualities_keep_exactly_the_share_by_doc_id() -> None:
    assert kept(select(of_qualities(2.0, 2.0, 2.0, 2.0, 2.0), NOBODY, HALF, 1)) == ["d000", "d001", "d002"]


@pytest.mark.parametrize(
    ("margin", "fallen", "reason"),
    [(0.0, 2.99, None), (0.1, 2.95, "within_margin"), (0.1, 2.5, None)],
)
def test_select_member_below_threshold_stays_only_within_the_margin(
    margin: float, fallen: float, reason: str | None
) -> None:
    policy = Policy("half", (Rule(0.5),), domain_floor=0.0, min_slice=1, margin=margin)
    one = select(of_qualities(1.0, 4.0, 3.5, 2.0), NOBODY, policy, 1)
    # d003 rises to 3.0, the new threshold; d002 falls below it.
    two = select(of_qualities(1.0, 4.0, fallen, 3.0), one.rows, policy, 2)
    assert "d003" in kept(two)
    assert ("d002" in kept(two)) == (reason is not None)
    if reason is not None:
        row = two.rows.filter(doc_id="d002")
        assert (row["reason"].item(), row["round"].item()) == (reason, 1)
    else:
        assert two.moves.filter(doc_id="d002")["reason"].item() == "demoted_below_quality_threshold"
    assert two.rows.filter(doc_id="d003")["round"].item() == 2


@pytest.mark.parametrize(("least", "expected"), [(2.5, []), (2.0, ["d000"])])
def test_select_minimum_quality_binds_share_and_floor(least: float, expected: list[str]) -> None:
    policy = Policy("p", (Rule(1.0, min_quality=least),), domain_floor=0.5)
    found = select(of_qualities(2.0, 1.0), NOBODY, policy, 1)
    assert kept(found) == expected
    assert set(found.verdicts["reason"]) == {"below_minimum_quality"}


def test_select_domain_floor_saves_the_best_of_a_weak_domain() -> None:
    policy = Policy("p", (Rule(0.5),), domain_floor=0.5, min_slice=1)
    found = select(candidates([("a", "en", q, None) for q in (5.0, 4.0)] + [("b", "en", q, None) for q in (1.0, 0.5)]),
                   NOBODY, policy, 1)  # fmt: skip
    assert dict(found.rows.select("doc_id", "reason").iter_rows()) == {
        "d000": "above_threshold",
        "d001": "above_threshold",
        "d002": "domain_floor",
    }


def test_select_rules_first_fit_holds_and_small_languages_share_a_slice() -> None:
    policy = Policy("p", (Rule(1.0, language="de"), Rule(0.0, corpus="mail", language="en"), Rule(0.5)),
                    domain_floor=0.0, min_slice=2)  # fmt: skip
    languages = ["de", "de", "en", "en", "fi", "sv"]
    found = select(candidates([("a", code, float(i % 5), None) for i, code in enumerate(languages)]), NOBODY, policy, 1)
    assert kept(found) == ["d000", "d001", "d004"]
    assert found.verdicts.filter(doc_id="d005")["detail"].item() == "value 0.0, threshold 4.0, slice other"


def test_select_influence_lifts_a_document_of_equal_quality_and_missing_counts_as_average() -> None:
    rows: list[Row] = [("a", "en", q, f) for q, f in [(3.0, -1e-3), (3.0, 1e-3), (3.0, None), (1.0, 0.0)]]
    found = select(candidates(rows), NOBODY, HALF, 1)
    assert kept(found) == ["d001", "d002"]
    assert found.rows["influence"].to_list() == [1e-3, None]


def test_select_influence_that_is_the_same_for_all_changes_nothing() -> None:
    found = select(candidates([("a", "en", q, 1e-3) for q in (1.0, 4.0, 3.0, 2.0)]), NOBODY, HALF, 1)
    assert kept(found) == ["d001", "d002"]


def test_select_candidate_without_score_and_member_without_candidate_are_accounted_for() -> None:
    one = select(of_qualities(4.0, 3.0, 2.0, 1.0), NOBODY, HALF, 1)
    two = select(of_qualities(None), one.rows, HALF, 2)
    assert two.verdicts.select("doc_id", "reason", "detail").rows() == [("d000", "not_scored", "no score by quality")]
    assert two.moves.select("doc_id", "reason").rows() == [
        ("d000", "demoted_not_scored"),
        ("d001", "demoted_not_in_l1"),
    ]


def test_select_members_of_its_own_round_or_a_doc_id_twice_are_refused() -> None:
    one = select(of_qualities(4.0, 3.0), NOBODY, HALF, 1)
    with pytest.raises(ValueError, match="starts from the round before"):
        select(of_qualities(4.0, 3.0), one.rows, HALF, 1)
    twice = of_qualities(4.0)
    with pytest.raises(ValueError, match="twice"):
        select(pl.concat([twice, twice]), NOBODY, HALF, 1)


@pytest.mark.parametrize(
    ("rules", "floor", "margin"),
    [((), 0.1, 0.1), ((Rule(0.5, language="de"),), 0.1, 0.1), ((Rule(1.5),), 0.1, 0.1), ((Rule(0.5),), 0.1, -0.1)],
)
def test_policy_that_cannot_hold_is_refused(rules: tuple[Rule, ...], floor: float, margin: float) -> None:
    with pytest.raises(ValueError, match="policy 'p'"):
        Policy("p", rules, domain_floor=floor, margin=margin)


def test_policy_version_changes_with_any_setting() -> None:
    assert DEFAULT.version != Policy(DEFAULT.name, DEFAULT.rules, margin=0.2).version
    assert DEFAULT.version == Policy(DEFAULT.name, DEFAULT.rules).version
