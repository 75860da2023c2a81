"""Each invariant: a planted break fails it, by name and key, and fails nothing else; the sound lake holds all."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime

import polars as pl
import pytest
from _small_lake import MAIL, NEWS, QUOTE, START, TEXTS, annotate, plant

from quality_checks.invariants import run_invariants
from resources.lake import Lake
from tier_assets.l2_selected.policy import Policy, Rule, to_toml
from tier_tables import TIERS, table

Change = Callable[[pl.DataFrame], pl.DataFrame]


def put(key: str, row: str, **values: object) -> Change:
    """The row whose `key` is `row` gets these values."""

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        here = pl.col(key) == row
        return rows.with_columns(
            pl.when(here).then(pl.lit(v, rows.schema[c])).otherwise(pl.col(c)).alias(c) for c, v in values.items()
        )

    return change


def drop(key: str, row: str) -> Change:
    """Without the row whose `key` is `row`."""
    return lambda rows: rows.filter(pl.col(key) != row)


def copy(key: str, row: str, **values: object) -> Change:
    """The row whose `key` is `row` once more, with these values."""
    return lambda rows: pl.concat([rows, put(key, row, **values)(rows.filter(pl.col(key) == row))])


def mark(child_id: str, *doc_ids: str, child_table: str = "l3_refined") -> Change:
    """The child is out of policy, once for each of these documents."""
    marked = {"child_table": child_table, "child_id": child_id, "reason": "demoted_below_quality_threshold", "round": 2}
    rows = [{"doc_id": doc_id, **NEWS, **marked} for doc_id in doc_ids]
    return lambda _: pl.DataFrame(rows, schema=table("out_of_policy").schema)


def span(doc_id: str, start: int, end: int) -> dict[str, object]:
    return {"doc_id": doc_id, "char_start": start, "char_end": end}


def edits(record_id: str) -> Change:
    """A program of one operation: the name of the town of `d0` becomes another."""
    row = {
        "operation_id": "o", "doc_id": "d0", **NEWS, "record_id": record_id, "number": 0, "operation": "replace_str",
        "line": 1, "last_line": 1, "old": "Zürich", "new": "Bern", "char_start": 0, "char_end": 6,
        "proposer": "model", "state": "applied", "reason": None,
    }  # fmt: skip
    return lambda _: pl.DataFrame([row], schema=table("l3_edits").schema)


def collapsed(distinct: float) -> Change:
    """The figures of twenty records whose sources have .96 of 4-grams distinct."""
    row = {**NEWS, "task": "qa", "num_records": 20, "num_words": 900, "distinct_2": 0.5, "distinct_4": distinct}
    row |= {"source_distinct_2": 0.5, "source_distinct_4": 0.96}
    return lambda _: pl.DataFrame([row], schema=table("l3_diversity").schema)


# tier judged, slice changed, change, {failing invariant: keys}
COUNTS = {"ledger_counts_rows": ("news@2024",)}
FACT_BREAKS = ("facts_have_parents", "facts_have_documents", "quotes_are_in_the_text", "evidence_names_its_bytes")
BREAKS = [
    ("l0", "l0_raw", copy("doc_id", "d1", doc_id="m0"), {"ids_are_unique_in_the_lake": ("m0",)} | COUNTS),
    (
        "l3",
        "l3_refined",
        put("record_id", "r0", record_id="mr0"),
        {"ids_are_unique_in_the_lake": ("mr0",), "records_have_lineage": ("mr0",)},
    ),
    ("l0", "l0_raw", drop("doc_id", "d1"), COUNTS),
    ("l0", "l0_raw", put("doc_id", "d2", source_id="src-?"), {"sources_are_registered": ("d2",)}),
    ("l1", "l1_filtered", drop("doc_id", "d1"), {"parents_are_accounted_for": ("d1",)} | COUNTS),
    ("l1", "verdicts/l1", drop("doc_id", "d4"), {"parents_are_accounted_for": ("d4",)} | COUNTS),
    ("l1", "l0_raw", drop("doc_id", "d1"), {"documents_have_parents": ("d1",)}),
    ("l1", "l0_raw", drop("doc_id", "d4"), {"documents_have_parents": ("d4",)}),
    ("l1", "l0_raw", copy("doc_id", "d1", doc_id="d7"), {"parents_are_accounted_for": ("d7",)}),
    ("l1", "verdicts/l1", copy("doc_id", "d4"), {"verdicts_are_unique": ("d4",)} | COUNTS),
    ("l1", "verdicts/l1", put("doc_id", "d4", reason="Word filter"), {"verdicts_have_reasons": ("d4",)}),
    ("l1", "verdicts/l1", put("doc_id", "d4", reason=None), {"verdicts_have_reasons": ("d4",)}),
    (
        "l1",
        "verdicts/l1",
        put("doc_id", "d4", doc_id="d1"),
        {"nothing_is_kept_and_rejected": ("d1",), "parents_are_accounted_for": ("d4",)},
    ),
    ("l1", "verdicts/l1", put("doc_id", "d5", kept_doc_id="d4"), {"duplicates_name_a_kept_row": ("d5",)}),
    ("l1", "verdicts/l1", put("doc_id", "d5", kept_doc_id="m0"), {}),
    ("l2", "l1_filtered", drop("doc_id", "d2"), {"documents_have_parents": ("d2",)}),
    ("l2", "l2_selected", put("doc_id", "d0", round=2), {"moves_give_the_membership": ("d0",)}),
    ("l2", "tier_moves/2", drop("doc_id", "d2"), {"moves_give_the_membership": ("d2",)}),
    ("l2", "tier_moves/2", put("doc_id", "d3", to_tier="l2"), {"moves_give_the_membership": ("d3",)}),
    ("l2", "tier_moves/2", copy("doc_id", "d2"), {"moves_are_unique": ("d2",)}),
    (
        "l2",
        "l2_selected",
        drop("doc_id", "d1"),
        {"moves_give_the_membership": ("d1",), "parents_are_accounted_for": ("d1",)} | COUNTS,
    ),
    (
        "l2",
        "l2_scores/quality",
        drop("doc_id", "d3"),
        {"documents_have_one_quality": ("d3",), "scorers_know_every_document": ("quality",)},
    ),
    ("l2", "l2_scores/quality", copy("doc_id", "d3"), {"scores_are_unique": ("d3",)}),
    ("l2", "l2_scores/quality", put("doc_id", "d3", score=5.0), {}),
    ("l2", "l2_scores/quality", put("doc_id", "d3", score=5.0001), {"scores_are_on_their_scales": ("d3",)}),
    ("l2", "l2_scores/quality", put("doc_id", "d3", score=-0.1), {"scores_are_on_their_scales": ("d3",)}),
    ("l2", "l2_scores/perplexity", put("doc_id", "d3", score=math.nan), {"scores_are_on_their_scales": ("d3",)}),
    ("l2", "l2_scores/perplexity", put("doc_id", "d3", score=math.inf), {"scores_are_on_their_scales": ("d3",)}),
    ("l2", "l2_scores/perplexity", put("doc_id", "d3", score=None), {"scores_are_on_their_scales": ("d3",)}),
    ("l2", "l2_scores/perplexity", drop("doc_id", "d1"), {"scorers_know_every_document": ("perplexity",)}),
    ("l2", "l2_scores/quality", put("doc_id", "d1", score=3.0), {"quality_is_the_score_that_selected": ("d1",)}),
    ("l2", "l2_selected", put("doc_id", "d1", quality=3.0), {"quality_is_the_score_that_selected": ("d1",)}),
    ("l2", "l2_selected", put("doc_id", "d1", policy="nobody's"), {"policies_are_known": ("d1",)}),
    ("l2", "embeddings/made_up", put("doc_id", "d1", vector=[0.6, 0.7]), {"embeddings_have_length_one": ("d1",)}),
    ("l2", "embeddings/made_up", put("doc_id", "d1", vector=[]), {"embeddings_have_length_one": ("d1",)}),
    ("l3", "l2_selected", drop("doc_id", "d2"), {"records_have_selected_sources": ("r1",)}),
    ("l2", "out_of_policy", mark("r0", "d3"), {}),
    ("l2", "out_of_policy", mark("r0", "d0"), {"what_is_out_of_policy_has_left": ("r0",)}),
    ("l2", "out_of_policy", mark("r0", "d4"), {"what_is_out_of_policy_has_left": ("r0",)}),
    ("l2", "out_of_policy", mark("r0", "d3", "d3"), {"what_is_out_of_policy_has_left": ("r0",)}),
    ("l3", "l2_selected", copy("doc_id", "d2", doc_id="d3"), {"parents_are_accounted_for": ("d3",)}),
    ("l3", "verdicts/l3", put("record_id", "r9", record_id="r1"), {"nothing_is_kept_and_rejected": ("r1",)}),
    ("l3", "verdicts/l3", copy("record_id", "r9", record_id="r8"), COUNTS),
    ("l3", "lineage/l3_refined", drop("parent_id", "d2"), {"records_have_lineage": ("r1",)}),
    ("l3", "l3_refined", put("record_id", "r0", source_spans=[span("d0", 0, len(TEXTS["d0"]))]), {}),
    (
        "l3",
        "l3_refined",
        put("record_id", "r0", source_spans=[span("d0", 0, len(TEXTS["d0"]) + 1)]),
        {"spans_lie_in_their_documents": ("r0",)},
    ),
    (
        "l3",
        "l3_refined",
        put("record_id", "r0", source_spans=[span("d5", 0, 3)]),
        {"spans_lie_in_their_documents": ("r0",), "spans_are_of_their_sources": ("r0",)},
    ),
    (
        "l3",
        "l3_refined",
        put("record_id", "r0", source_spans=[span("m0", 0, 3)]),
        {"spans_are_of_their_sources": ("r0",)},
    ),
    ("l3", "l3_refined", put("record_id", "r0", parent_record_id="r1"), {}),
    ("l3", "l3_refined", put("record_id", "r0", parent_record_id="mr0"), {"records_have_their_parents": ("r0",)}),
    ("l3", "l3_edits", edits("r9"), {}),
    ("l3", "l3_edits", edits("r7"), {"edits_have_records": ("r7",)}),
    ("l3", "l3_edits", edits("r0"), {"edits_give_the_text": ("r0",)}),
    ("l3", "l3_diversity", collapsed(0.48), {}),
    ("l3", "l3_diversity", collapsed(0.47), {"records_are_as_varied_as_their_sources": ("task_collapsed/qa",)}),
    ("l4", "verdicts/l4", drop("doc_id", "d2"), {"parents_are_accounted_for": ("d2",)} | COUNTS),
    ("l4", "lineage/l4_facts", drop("child_id", "f0"), {"facts_have_parents": ("f0",)}),
    ("l4", "lineage/l4_facts", put("child_id", "f0", parent_id="d9"), {"facts_have_parents": ("f0",)}),
    ("l4", "lineage/l4_facts", put("child_id", "f0", parent_table="l0_raw"), {"facts_have_parents": ("f0",)}),
    ("l4", "lineage/l4_facts", put("child_id", "f0", parent_table="l3_refined", parent_id="mr0"), {}),
    ("l4", "l3_refined", drop("record_id", "r1"), {"facts_have_parents": ("f1",)}),
    (
        "l4",
        "l4_facts",
        put("fact_id", "f1", doc_id="m0"),
        {"facts_have_documents": ("f1",), "parents_are_accounted_for": ("d1",)},
    ),
    ("l4", "l4_facts", put("fact_id", "f2", state="verified"), dict.fromkeys(FACT_BREAKS, ("f2",))),
    ("l4", "l4_evidence", drop("fact_id", "f1"), {"facts_and_evidence_agree": ("f1",)}),
    ("l4", "l4_evidence", copy("fact_id", "f1", fact_id="f8"), {"facts_and_evidence_agree": ("f8",)}),
    ("l4", "l4_evidence", put("fact_id", "f0", char_start=START - 1), {"quotes_are_in_the_text": ("f0",)}),
    ("l4", "l4_evidence", put("fact_id", "f0", char_end=START + len(QUOTE) + 1), {"quotes_are_in_the_text": ("f0",)}),
    (
        "l4",
        "l4_evidence",
        put("fact_id", "f0", char_start=-len(QUOTE) - 1, char_end=-1),
        {"quotes_are_in_the_text": ("f0",)},
    ),
    ("l4", "l4_evidence", put("fact_id", "f0", char_end=START, quote=""), {"quotes_are_in_the_text": ("f0",)}),
    ("l4", "l4_evidence", put("fact_id", "f0", quote="lies on the limmat"), {"quotes_are_in_the_text": ("f0",)}),
    ("l4", "l4_evidence", put("fact_id", "f0", byte_offset=1), {"evidence_names_its_bytes": ("f0",)}),
    ("l4", "l4_evidence", put("fact_id", "f0", num_bytes=1), {"evidence_names_its_bytes": ("f0",)}),
    ("l4", "l4_evidence", put("fact_id", "f2", quote="of a withdrawn fact"), {}),
]


def failing(lake: Lake, tier: str, partition: dict[str, str] = NEWS) -> dict[str, tuple[str, ...]]:
    """Failing invariant -> failing keys."""
    return {f.check: f.failing_keys for f in run_invariants(lake, tier, partition) if not f.passed}


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("partition", [NEWS, MAIL])
def test_invariants_of_a_sound_lake_hold(lake: Lake, tier: str, partition: dict[str, str]) -> None:
    assert failing(lake, tier, partition) == {}


@pytest.mark.parametrize(("tier", "name", "change", "broken"), BREAKS)
def test_invariants_of_a_changed_slice_fail_by_name_and_key(
    lake: Lake, tier: str, name: str, change: Change, broken: dict[str, tuple[str, ...]]
) -> None:
    plant(lake, name, change)
    assert failing(lake, tier) == broken


def test_children_of_a_demoted_document_are_sound_once_they_are_marked(lake: Lake) -> None:
    plant(lake, "l2_selected", drop("doc_id", "d0"))
    plant(lake, "lineage/l4_facts", put("child_id", "f0", parent_table="l2_selected"))
    broken = {"records_have_selected_sources": ("r0",)}
    assert failing(lake, "l3") == broken
    assert failing(lake, "l4") == {"facts_have_parents": ("f0",)}
    plant(lake, "out_of_policy", mark("r0", "d0", child_table="l4_facts"))
    assert failing(lake, "l3") == broken
    plant(lake, "out_of_policy", mark("r0", "d0"))
    assert failing(lake, "l3") == {}
    plant(lake, "out_of_policy", mark("f0", "d0", child_table="l4_facts"))
    assert failing(lake, "l4") == {}
    plant(lake, "l1_filtered", drop("doc_id", "d0"))
    assert "facts_have_parents" in failing(lake, "l4")


def test_annotated_windows_beyond_their_text_fail(lake: Lake) -> None:
    end = len(TEXTS["d0"])
    annotate(lake, ["d0", "d0", "d1", "gone"], [0, end - 1, 0, 0], [end, end, 5, 99_999])
    assert failing(lake, "l2") == {}
    annotate(lake, ["d0", "d1", "d2", "d3"], [0, -1, 5, 0], [end + 1, 5, 5, 3])
    assert failing(lake, "l2") == {"annotations_lie_in_their_documents": ("d0", "d1", "d2")}


def test_quality_is_compared_by_the_scorer_of_an_adopted_policy(lake: Lake) -> None:
    policy = Policy("by_perplexity", (Rule(keep_share=0.5),), scorer="perplexity")
    row = {"policy": policy.version, "settings": to_toml(policy), "adopted_at": datetime.now(UTC)}
    lake.append("policies", pl.DataFrame([row], schema=table("policies").schema))
    plant(lake, "l2_selected", put("doc_id", "d1", policy=policy.version))
    assert failing(lake, "l2") == {"quality_is_the_score_that_selected": ("d1",)}
    plant(lake, "l2_selected", put("doc_id", "d1", quality=4.75))
    plant(lake, "l2_scores/perplexity", put("doc_id", "d1", score=4.75))
    assert failing(lake, "l2") == {}


def test_quality_is_not_compared_with_scores_that_came_after_the_selection(lake: Lake) -> None:
    before = lake.last_step("l2_selected", NEWS)
    assert before is not None
    read = {"table": "l2_scores", "version": 0, "state": lake.state("l2_scores", NEWS)}
    lake.finish({**before, "output_versions": [], "input_versions": [read]})
    plant(lake, "l2_selected", put("doc_id", "d1", quality=3.0))
    assert failing(lake, "l2") == {"quality_is_the_score_that_selected": ("d1",)}
    plant(lake, "l2_scores/quality", put("doc_id", "d1", score=3.25))
    plant(lake, "l2_scores/quality", put("doc_id", "d2", score=1.0))
    assert failing(lake, "l2") == {}


def test_partition_that_was_never_scored_lacks_no_score(lake: Lake) -> None:
    elsewhere = {"corpus": "loose", "snapshot": "2024"}
    loose = lake.scan("l1_filtered", MAIL).with_columns(corpus=pl.lit("loose")).collect()
    plant(lake, "l1_filtered", lambda _: loose, elsewhere)
    assert failing(lake, "l2", elsewhere) == {"parents_are_accounted_for": ("m0",)}
    plant(lake, "l2_scores/quality", lambda rows: rows, elsewhere)
    assert "documents_have_one_quality" in failing(lake, "l2", elsewhere)


def test_invariants_look_at_their_own_partition_only(lake: Lake) -> None:
    plant(lake, "l1_filtered", drop("doc_id", "m0"), MAIL)
    assert failing(lake, "l1", NEWS) == {}
    assert failing(lake, "l1", MAIL) == {"parents_are_accounted_for": ("m0",), "ledger_counts_rows": ("mail@2024",)}


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ({"rows_kept": 5}, "rows_kept=5, but 4 rows in the table"),
        ({"rows_rejected": 3}, "rows_rejected=3, but 2 verdicts"),
        ({"rows_in": 7}, "rows_in=7, but 6 rows + verdicts"),
    ],
)
def test_ledger_with_another_count_fails_and_says_both(lake: Lake, counts: dict[str, int], found: str) -> None:
    before = lake.last_step("l1_filtered", NEWS)
    assert before is not None
    lake.finish({**before, "output_versions": [], **counts})
    (finding,) = [f for f in run_invariants(lake, "l1", NEWS) if not f.passed]
    assert (finding.check, finding.failing_keys) == ("ledger_counts_rows", ("news@2024",))
    assert found in finding.detail


def test_rows_without_a_ledger_row_fail(lake: Lake) -> None:
    elsewhere = {"corpus": "loose", "snapshot": "2024"}
    loose = lake.scan("l1_filtered", MAIL).with_columns(corpus=pl.lit("loose")).collect()
    plant(lake, "l1_filtered", lambda _: loose, elsewhere)
    assert "ledger_counts_rows" in failing(lake, "l1", elsewhere)
