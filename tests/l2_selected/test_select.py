"""Selection: nothing vanishes, the same inputs give the same rows, members do not flap, moves rebuild membership."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from _slow_selection import slow_selection
from hypothesis import given, settings
from hypothesis import strategies as st

from tier_assets.l2_selected.policy import Diversity, Floor, Maximum, Minimum, Policy, Rule
from tier_assets.l2_selected.select import Selection, membership_at, select
from tier_tables import L2_SELECTED, TIER_MOVES
from tier_tables.books import VERDICTS

NOBODY = pl.DataFrame(schema={"doc_id": pl.String, "corpus": pl.String, "snapshot": pl.String, "round": pl.Int64})
HALF = Policy("half", (Rule(keep_share=0.5),), domain_floor=0.0, min_slice=1, margin=0.0)
CENTROIDS = np.array([[np.cos(a), np.sin(a)] for a in (0.1, 2.2, 4.4)], np.float32)

Row = tuple[str, str | None, float | None, float | None]
Full = tuple[str, str | None, float | None, float | None, float | None, float | None, int | None]


def candidates(rows: Sequence[Row]) -> pl.DataFrame:
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


def bounded(rows: Sequence[Full]) -> pl.DataFrame:
    """The same with scores for safety and perplexity."""
    frame = candidates([row[:4] for row in rows])
    scores = {"safety": [row[4] for row in rows], "perplexity": [row[5] for row in rows]}
    return frame.with_columns(pl.Series(name, s, dtype=pl.Float64) for name, s in scores.items())


def vectors(steps: Sequence[int | None]) -> np.ndarray:
    """Unit vectors at so many steps of 10 degrees; None has none, as zeros or not a number."""
    found = np.array(
        [[np.cos(np.radians(10 * (s or 0))), np.sin(np.radians(10 * (s or 0)))] for s in steps], np.float32
    )
    found = found.reshape(-1, 2)
    for i, step in enumerate(steps):
        if step is None:
            found[i] = 0 if i % 2 else np.nan
    return found


def chosen(rows: Sequence[Full], previous: pl.DataFrame, policy: Policy, round_: int) -> Selection:
    return select(bounded(rows), previous, policy, round_, vectors([row[6] for row in rows]), CENTROIDS)


def of_qualities(*qualities: float | None) -> pl.DataFrame:
    return candidates([("mail", "en", q, None) for q in qualities])


def kept(selection: Selection) -> list[str]:
    return selection.rows["doc_id"].to_list()


def reasons(selection: Selection) -> dict[str, str]:
    """Why each candidate is in or out."""
    return dict(selection.values.sort("doc_id").select("doc_id", "reason").iter_rows())


quality = st.integers(0, 50).map(lambda n: n / 10)


def drawn(seed: int, num: int) -> list[Full]:
    """Documents that often say nearly the same, in a common language and rare ones, few without a score."""
    draw = random.Random(seed)
    return [
        (
            draw.choice("aab"),
            draw.choice(["en"] * 5 + ["de", "de", "fi", None]),
            *(None if draw.random() < 0.05 else draw.randrange(51) / 10 for _ in "q"),
            None if draw.random() < 0.3 else draw.uniform(-1e-3, 1e-3),
            *(None if draw.random() < 0.03 else draw.randrange(10, 51) / 10 for _ in "s"),
            *(None if draw.random() < 0.03 else draw.randrange(41) / 10 for _ in "p"),
            None if draw.random() < 0.1 else draw.choice([*range(36), *range(12)]),
        )
        for _ in range(num)
    ]


def shaken(rows: list[Full], seed: int) -> list[Full]:
    """The documents of the next round: most as they were, their scores a little other, one in ten new."""
    draw = random.Random(seed)

    def shake(score: float | None) -> float | None:
        return None if score is None else round(score + draw.choice([0, 0, 0.1, -0.1, 0.4, -0.4]), 1)

    fresh = drawn(seed, len(rows))
    moved = [(*row[:2], shake(row[2]), row[3], shake(row[4]), shake(row[5]), row[6]) for row in rows]
    return [new if draw.random() < 0.1 else row for row, new in zip(moved, fresh)]


def any_policy(seed: int) -> Policy:
    """A policy that uses some of all that a policy may say."""
    draw = random.Random(seed)
    bound = draw.choice([None, 1.5, 2.0])
    floors = (Floor(0.3, domain="b", language="en"), Floor(0.2), Floor(0.5, language="de"))
    repeated, crowded = draw.choice([0.8, 0.98, 1.0]), draw.choice([0.2, 0.4, 1.0])
    return Policy(
        "p",
        (Rule(draw.choice([0.2, 0.8]), language="de"), Rule(draw.choice([0.3, 0.5, 0.8, 1.0]), draw.choice([0, 1, 2]))),
        domain_floor=draw.choice([0.0, 0.1, 0.5]),
        min_slice=draw.choice([1, 4, 8]),
        influence_weight=draw.choice([0.0, 0.5]),
        margin=draw.choice([0.0, 0.1, 0.3, 1.0]),
        rare_share=draw.choice([0.0, 0.4]),
        floors=draw.choice([(), floors[:1], floors[1:2], floors]),
        minimums=() if bound is None else (Minimum("safety", bound),),
        maximums=() if bound is None else (Maximum("perplexity", 5 - bound),),
        diversity=draw.choice([None, *[Diversity(repeated, crowded)] * 3]),
    )


# Cases are drawn by seed: lists that are built of single values come out short and nearly alike.
seeds = st.integers(0, 2**32 - 1)
sizes = st.sampled_from([40, 25, 25, 8, 1, 0])
rows = st.builds(drawn, seeds, sizes)
two_rounds = st.builds(lambda first, seed: (first, shaken(first, seed)), rows, seeds)
policies = st.builds(any_policy, seeds)


@settings(max_examples=40, deadline=None)
@given(two_rounds, policies)
def test_select_any_two_rounds_lose_no_row_and_moves_rebuild_membership(
    rounds: tuple[list[Full], list[Full]], policy: Policy
) -> None:
    first, second = rounds
    one = chosen(first, NOBODY, policy, 1)
    two = chosen(second, one.rows, policy, 2)
    for given_rows, found in ((first, one), (second, two)):
        judged = [*found.rows["doc_id"], *found.verdicts["doc_id"]]
        assert sorted(judged) == found.values["doc_id"].to_list() == bounded(given_rows)["doc_id"].to_list()
        assert found.rows.schema == L2_SELECTED.schema
        assert found.verdicts.schema == VERDICTS.schema
        assert found.moves.schema == TIER_MOVES.schema
        repeated = found.verdicts.filter(pl.col("kept_doc_id").is_not_null())
        assert set(repeated["kept_doc_id"]) <= set(kept(found))
        assert set(repeated["reason"]) <= {"semantic_duplicate"}
        assert len(repeated) == len(found.verdicts.filter(reason="semantic_duplicate", similarity=pl.col("similarity")))
    moves = pl.concat([one.moves, two.moves])
    assert membership_at(moves, 0).is_empty()
    assert membership_at(moves, 1).equals(one.rows.select("doc_id", "corpus", "snapshot", "round"))
    assert membership_at(moves, 2).equals(two.rows.select("doc_id", "corpus", "snapshot", "round"))


@settings(max_examples=100, deadline=None)
@given(two_rounds, policies)
def test_select_any_two_rounds_are_those_of_the_slow_version(
    rounds: tuple[list[Full], list[Full]], policy: Policy
) -> None:
    policy = dataclasses.replace(policy, influence_weight=0.0)
    members: set[str] = set()
    previous = NOBODY
    for round_, given_rows in enumerate(rounds, 1):
        found = chosen(given_rows, previous, policy, round_)
        steps = vectors([row[6] for row in given_rows])
        expected = slow_selection(bounded(given_rows).to_dicts(), members, policy, steps, CENTROIDS)
        assert reasons(found) == expected.reasons
        assert kept(found) == expected.kept
        members, previous = set(kept(found)), found.rows


@settings(max_examples=30, deadline=None)
@given(two_rounds, policies, st.randoms(use_true_random=False))
def test_select_same_round_again_or_in_another_order_gives_the_same(
    rounds: tuple[list[Full], list[Full]],
    policy: Policy,
    draw,  # type: ignore[no-untyped-def]
) -> None:
    before, rows = rounds
    previous = chosen(before, NOBODY, policy, 1).rows
    found = chosen(rows, previous, policy, 2)
    order = list(range(len(rows)))
    draw.shuffle(order)
    steps = vectors([row[6] for row in rows])
    again = select(bounded(rows)[order], previous.sample(fraction=1, shuffle=True, seed=len(rows)), policy, 2,
                   steps[order], CENTROIDS)  # fmt: skip
    assert found.rows.equals(again.rows)
    assert found.verdicts.equals(again.verdicts)
    assert found.moves.equals(again.moves)
    assert found.values.equals(again.values)


@settings(max_examples=80, deadline=None)
@given(rows, policies)
def test_select_next_round_on_the_same_scores_moves_nothing(rows: list[Full], policy: Policy) -> None:
    one = chosen(rows, NOBODY, policy, 1)
    two = chosen(rows, one.rows, policy, 2)
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
    # d003 rises to 4.5, and the new threshold is 4.0; d002 falls below it.
    two = select(of_qualities(1.0, 4.0, fallen + 1.0, 4.5), one.rows, policy, 2)
    assert "d003" in kept(two)
    assert ("d002" in kept(two)) == (reason is not None)
    if reason is not None:
        row = two.rows.filter(doc_id="d002")
        assert (row["reason"].item(), row["round"].item()) == (reason, 1)
    else:
        assert two.moves.filter(doc_id="d002")["reason"].item() == "demoted_below_quality_threshold"
    assert two.rows.filter(doc_id="d003")["round"].item() == 2


@pytest.mark.parametrize(("risen", "enters"), [(4.1, False), (4.3, True)])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_select_document_enters_among_members_only_beyond_the_margin(risen: float, enters: bool, share: float) -> None:
    policy = Policy("p", (Rule(0.5),), domain_floor=0.0, min_slice=1, margin=0.1)
    one = select(of_qualities(1.0, 5.0, 4.0, 3.0, 1.0, 1.0), NOBODY, policy, 1)
    assert kept(one) == ["d001", "d002", "d003"]
    # d005 rises above d002, which is the threshold; a tenth of a standard deviation is .18.
    rows = of_qualities(1.0, 5.0, 4.0, 1.0, 1.0, risen)
    two = select(rows, one.rows, dataclasses.replace(policy, rules=(Rule(share),)), 2)
    assert ("d005" in kept(two)) == (enters or share == 1.0)
    if "d005" not in kept(two):
        assert two.verdicts.filter(doc_id="d005")["detail"].item().startswith("value 4.1, threshold 4.18")
    assert "d005" in kept(select(rows, NOBODY, policy, 1))


def test_select_infinite_influence_counts_as_none() -> None:
    rows: list[Row] = [("a", "en", q, f) for q, f in [(3.0, -1e-3), (3.0, 1e-3), (2.9, float("inf")), (1.0, 0.0)]]
    assert kept(select(candidates(rows), NOBODY, HALF, 1)) == ["d001", "d002"]


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


def test_select_language_that_a_rule_names_is_a_slice_however_small() -> None:
    policy = Policy("p", (Rule(1.0, min_quality=3.0, language="fi"), Rule(0.0)), domain_floor=0.0, min_slice=9)
    found = select(candidates([("a", "fi", 3.0, None), ("a", "fi", 2.9, None), ("a", "sv", 5.0, None)]),
                   NOBODY, policy, 1)  # fmt: skip
    assert reasons(found) == {
        "d000": "above_threshold",
        "d001": "below_minimum_quality",
        "d002": "below_quality_threshold",
    }


def test_select_rare_languages_keep_the_best_of_theirs_beside_a_common_slice() -> None:
    policy = Policy("p", (Rule(0.5),), domain_floor=0.0, min_slice=3, rare_share=0.5)
    languages = [("fi", 5.0), ("fi", 4.0), ("sv", 1.0), ("sv", 0.5), ("en", 2.0), ("en", 1.5), ("en", 0.1)]
    found = select(candidates([("a", code, q, None) for code, q in languages]), NOBODY, policy, 1)
    assert [reasons(found)[f"d{i:03}"] for i in range(7)] == [
        "above_threshold",
        "above_threshold",
        "rare_slice",
        "below_quality_threshold",
        "above_threshold",
        "above_threshold",
        "below_quality_threshold",
    ]


@pytest.mark.parametrize(
    ("floor", "reason", "saved"),
    [
        (Floor(0.5, domain="b"), "domain_floor", ["d002"]),
        (Floor(0.4, language="de"), "language_floor", ["d003"]),
        (Floor(0.6), "corpus_floor", ["d002"]),
        (Floor(1.0, corpus="news"), None, []),
        (Floor(1.0, domain="b", language="de"), "domain_floor", ["d003"]),
    ],
)
def test_select_floor_saves_the_best_of_what_it_names(floor: Floor, reason: str | None, saved: list[str]) -> None:
    policy = Policy("p", (Rule(0.4),), domain_floor=0.0, min_slice=9, floors=(floor,))
    rows = [("a", "en", 5.0), ("a", "en", 4.0), ("b", "en", 3.0), ("b", "de", 2.0), ("a", "de", 1.0)]
    found = reasons(select(candidates([(d, code, q, None) for d, code, q in rows]), NOBODY, policy, 1))
    assert [doc_id for doc_id, why in found.items() if why == reason] == saved
    assert list(found.values()).count("above_threshold") == 2


def with_safety(*pairs: tuple[float, float | None]) -> pl.DataFrame:
    """Candidates of (quality, safety)."""
    return of_qualities(*(q for q, _ in pairs)).with_columns(safety=pl.Series([s for _, s in pairs], dtype=pl.Float64))


@pytest.mark.parametrize(
    ("safety", "minimum", "maximum"),
    [
        (0.99, "below_minimum_safety", "above_threshold"),
        (1.0, "above_threshold", "above_threshold"),
        (1.01, "above_threshold", "above_maximum_safety"),
        (None, "not_scored", "not_scored"),
        (float("nan"), "not_scored", "not_scored"),
    ],
)
def test_select_bound_of_another_scorer_holds_on_both_sides_of_its_edge(
    safety: float | None, minimum: str, maximum: str
) -> None:
    rows = with_safety((5.0, safety), (4.0, 1.0), (1.0, 1.0), (1.0, 1.0))
    least = dataclasses.replace(HALF, minimums=(Minimum("safety", 1.0),))
    most = dataclasses.replace(HALF, maximums=(Maximum("safety", 1.0),))
    for policy, expected in ((least, minimum), (most, maximum)):
        found = select(rows, NOBODY, policy, 1)
        # What a bound takes out of the share is not made up by a worse document.
        assert list(reasons(found).values()) == [expected, "above_threshold"] + ["below_quality_threshold"] * 2


def test_select_bound_says_score_and_limit() -> None:
    policy = dataclasses.replace(HALF, minimums=(Minimum("safety", 1.0),))
    found = select(with_safety((5.0, 0.25), (4.0, None)), NOBODY, policy, 1)
    assert found.verdicts["detail"].to_list() == ["safety 0.25, bound 1.0, slice en", "no score by safety"]


@pytest.mark.parametrize(("fallen", "stays"), [(2.0 - 0.09, True), (2.0 - 0.11, False)])
def test_select_member_out_of_bounds_by_no_more_than_the_margin_stays(fallen: float, stays: bool) -> None:
    # The quartiles of safety are 1.349 apart, so a margin of .1 is .1.
    rest = [(1.0, 2.0), (1.0, 2.0 + 1.349), (1.0, 2.0 + 1.349)]
    policy = dataclasses.replace(HALF, margin=0.1, minimums=(Minimum("safety", 2.0),))
    before = with_safety((5.0, 2.0), (4.0, 2.0), *rest)
    after = with_safety((5.0, fallen), (4.0, 2.0), *rest)
    one = select(before, NOBODY, policy, 1)
    assert "d000" in kept(one)
    assert ("d000" in kept(select(after, one.rows, policy, 2))) == stays
    assert "d000" not in kept(select(after, NOBODY, policy, 2))


ALL = Policy("all", (Rule(1.0),), domain_floor=0.0, min_slice=1, margin=0.5)
TWINS = dataclasses.replace(ALL, diversity=Diversity(max_similarity=0.95))


def with_steps(policy: Policy, previous: pl.DataFrame, *pairs: tuple[float, int | None], round_: int = 1) -> Selection:
    """The selection of candidates of (quality, steps of 10 degrees); 10 degrees are a cosine of .985, 20 of .940."""
    rows = of_qualities(*(q for q, _ in pairs))
    return select(rows, previous, policy, round_, vectors([step for _, step in pairs]), CENTROIDS)


def test_select_lower_valued_of_two_that_say_the_same_is_dropped_and_names_the_other() -> None:
    found = with_steps(TWINS, NOBODY, (1.0, 1), (4.0, 2), (3.0, 4), (2.0, None), (1.5, None))
    assert kept(found) == ["d001", "d002", "d003", "d004"]
    assert found.verdicts.select("doc_id", "reason", "detail", "kept_doc_id", "similarity").rows() == [
        ("d000", "semantic_duplicate", "value 1.0, cluster 0", "d001", 0.9848)
    ]


def test_select_twin_of_a_document_that_is_not_kept_is_kept() -> None:
    policy = dataclasses.replace(TWINS, minimums=(Minimum("safety", 1.0),))
    rows = with_safety((4.0, 0.0), (3.0, 1.0))
    assert kept(select(rows, NOBODY, policy, 1, vectors([0, 0]), CENTROIDS)) == ["d001"]


def test_select_translations_are_no_duplicates() -> None:
    rows = candidates([("a", "en", 4.0, None), ("a", "de", 3.0, None), ("a", "de", 2.0, None)])
    found = select(rows, NOBODY, TWINS, 1, vectors([0, 0, 0]), CENTROIDS)
    assert found.verdicts.select("doc_id", "kept_doc_id").rows() == [("d002", "d001")]


@pytest.mark.parametrize(("risen", "stays"), [(3.3, True), (4.5, False)])
def test_select_kept_twin_stays_unless_the_other_is_better_by_more_than_the_margin(risen: float, stays: bool) -> None:
    others = [(0.0, 9), (5.0, 27)]
    one = with_steps(TWINS, NOBODY, (3.0, 0), (2.9, 0), *others)
    assert kept(one) == ["d000", "d002", "d003"]
    two = with_steps(TWINS, one.rows, (3.0, 0), (risen, 0), *others, round_=2)
    assert ("d000" in kept(two), "d001" in kept(two)) == (stays, not stays)
    assert (two.moves.is_empty()) == stays
    if not stays:
        assert two.moves.select("doc_id", "reason").rows() == [
            ("d000", "demoted_semantic_duplicate"),
            ("d001", "promoted_above_threshold"),
        ]


CAPPED = dataclasses.replace(ALL, diversity=Diversity(cluster_share=0.5))
# Steps of 0 to 5 lie in cluster 0, 12 and 13 in cluster 1.
CROWD = ((4.0, 0), (3.9, 1), (3.8, 2), (3.7, 3), (2.0, 12), (1.0, 13))


def test_select_cluster_takes_its_share_of_the_slice_and_the_rest_is_told_why() -> None:
    found = with_steps(CAPPED, NOBODY, *CROWD)
    assert kept(found) == ["d000", "d001", "d002", "d004", "d005"]
    assert found.verdicts.select("doc_id", "reason", "detail", "kept_doc_id").rows() == [
        ("d003", "cluster_cap", "value 3.7, place 4 of 3 in cluster 0", None)
    ]


def test_select_documents_without_embedding_are_in_no_cluster() -> None:
    assert len(kept(with_steps(CAPPED, NOBODY, *((4.0, None) for _ in range(5))))) == 5


def test_select_full_cluster_keeps_what_a_floor_guarantees_and_gives_it_the_first_places() -> None:
    policy = dataclasses.replace(CAPPED, floors=(Floor(1.0, domain="b"),))
    rows = candidates([("b" if i == 3 else "a", "en", q, None) for i, (q, _) in enumerate(CROWD)])
    found = select(rows, NOBODY, policy, 1, vectors([step for _, step in CROWD]), CENTROIDS)
    assert reasons(found) == {f"d{i:03}": "cluster_cap" if i == 2 else "above_threshold" for i in range(6)}


@pytest.mark.parametrize(("fallen", "stays"), [(3.69, True), (2.5, False)])
def test_select_member_within_the_margin_of_a_floor_keeps_its_place_in_a_full_cluster(
    fallen: float, stays: bool
) -> None:
    policy = dataclasses.replace(CAPPED, margin=0.1, floors=(Floor(0.5, domain="b"),))
    steps = vectors([0, 1, 2, 3, 4, 12])

    def crowd(fourth: float, fifth: float) -> pl.DataFrame:
        values = [4.0, 3.9, 3.8, fourth, fifth, 1.0]
        return candidates([("b" if i in (3, 4) else "a", "en", q, None) for i, q in enumerate(values)])

    one = select(crowd(3.7, 2.4), NOBODY, policy, 1, steps, CENTROIDS)
    assert reasons(one)["d003"] == "above_threshold"
    # The floor now guarantees the fifth, by a little; the fourth would be one too many.
    two = select(crowd(fallen, 3.7), one.rows, policy, 2, steps, CENTROIDS)
    assert ("d003" in kept(two)) == stays


def test_select_of_twins_worth_the_same_the_member_stays() -> None:
    policy = dataclasses.replace(TWINS, margin=0.0)
    one = select(of_qualities(None, 3.0), NOBODY, policy, 1, vectors([0, 0]))
    assert kept(select(of_qualities(3.0, 3.0), one.rows, policy, 2, vectors([0, 0]))) == ["d001"]


def test_select_repetition_in_a_full_cluster_names_no_row_that_is_not_kept() -> None:
    policy = dataclasses.replace(ALL, diversity=Diversity(max_similarity=0.99, cluster_share=0.5))
    found = with_steps(policy, NOBODY, (4.0, 0), (3.9, 2), (3.8, 4), (3.7, 4), (3.6, 4), (2.0, 12))
    assert kept(found) == ["d000", "d001", "d005"]
    assert found.verdicts.select("reason", "kept_doc_id").unique().rows() == [("cluster_cap", None)]


@pytest.mark.parametrize(("risen", "stays"), [(4.2, True), (5.0, False)])
def test_select_place_in_a_full_cluster_changes_hands_only_beyond_the_margin(risen: float, stays: bool) -> None:
    policy = dataclasses.replace(CAPPED, margin=0.4)
    one = with_steps(policy, NOBODY, *CROWD)
    two = with_steps(policy, one.rows, *CROWD[:3], (risen, 3), *CROWD[4:], round_=2)
    assert two.moves.is_empty() == stays
    assert ("d003" in kept(two)) == (not stays)


@pytest.mark.parametrize(("gone", "stays"), [(2, True), (3, True), (4, False)])
def test_select_cluster_that_grew_over_its_cap_keeps_its_members_up_to_the_margin(gone: int, stays: bool) -> None:
    policy = dataclasses.replace(CAPPED, margin=0.25)
    crowd = [(4.0 + i / 100, i % 5) for i in range(4)] + [(2.0, 12), (2.0, 13), (2.0, 12), (2.0, 13)]
    one = with_steps(policy, NOBODY, *crowd)
    assert len(kept(one)) == 8
    two = with_steps(policy, one.rows, *crowd[: 8 - gone], round_=2)
    assert (two.verdicts.is_empty()) == stays


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(quality, st.integers(0, 35)), min_size=4, max_size=30),
    st.sampled_from([Diversity(max_similarity=0.9), Diversity(cluster_share=0.3)]),
    st.data(),
)
def test_select_noise_within_half_the_margin_changes_no_place_among_twins_or_in_clusters(
    pairs: list[tuple[float, int]], diversity: Diversity, data: st.DataObject
) -> None:
    policy = Policy("p", (Rule(0.7),), domain_floor=0.0, min_slice=1, margin=0.5, diversity=diversity)
    one = with_steps(policy, NOBODY, *pairs)
    noise = data.draw(st.lists(st.floats(-1, 1), min_size=len(pairs), max_size=len(pairs)))
    spread = float(np.std([q for q, _ in pairs]))
    # The spread itself moves with the noise, by less than a third.
    calm = [(q + n * policy.margin * spread / 3, step) for (q, step), n in zip(pairs, noise)]
    two = with_steps(policy, one.rows, *calm, round_=2)
    assert set(kept(one)) <= set(kept(two))


def test_select_without_the_embeddings_or_scores_that_the_policy_asks_for_is_refused() -> None:
    rows = of_qualities(4.0, 3.0)
    with pytest.raises(ValueError, match=r"asks for an embedding of each of 2 rows, not none"):
        select(rows, NOBODY, TWINS, 1)
    with pytest.raises(ValueError, match=r"asks for an embedding of each of 2 rows, not 1"):
        select(rows, NOBODY, TWINS, 1, vectors([0]))
    with pytest.raises(ValueError, match=r"caps clusters; no centroids are given"):
        select(rows, NOBODY, CAPPED, 1, vectors([0, 0]))
    with pytest.raises(ValueError, match=r"embedding 1 is of length 2\.0000; 1 was expected"):
        select(rows, NOBODY, TWINS, 1, vectors([0, 0]) * np.array([[1], [2]], np.float32))
    with pytest.raises(ValueError, match=r"asks for columns \['safety'\]"):
        select(rows, NOBODY, dataclasses.replace(HALF, minimums=(Minimum("safety", 1.0),)), 1)


def test_select_twins_without_centroids_are_compared_with_all() -> None:
    found = select(of_qualities(4.0, 3.0), NOBODY, TWINS, 1, vectors([0, 0]))
    assert kept(found) == ["d000"]


def test_select_quality_that_is_not_a_number_is_none() -> None:
    assert reasons(select(of_qualities(float("nan"), 1.0), NOBODY, HALF, 1))["d000"] == "not_scored"
