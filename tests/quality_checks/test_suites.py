"""Each expectation of each suite: a planted bad row fails it, by name and key; the sound lake passes all."""

from __future__ import annotations

import polars as pl
import pytest
from _small_lake import MAIL, NEWS, TEXTS, plant

from quality_checks.judge import CONTRACT, judge_suite
from quality_checks.suites import suite
from resources.lake import Lake
from tier_tables import MAIN_TABLES, TIERS


def put(column: str, value: object) -> pl.Expr:
    """`column` set to `value` in the second row."""
    dtype = next(t.schema[column] for t in MAIN_TABLES.values() if column in t.schema)
    return pl.when(pl.int_range(pl.len()) == 1).then(pl.lit(value, dtype)).otherwise(pl.col(column)).alias(column)


def span(start: int | None, end: int) -> dict[str, object]:
    return {"doc_id": "d1", "char_start": start, "char_end": end}


# What else a null in the second row fails, beside `<column>_is_set`.
ALSO_FAILS = {
    ("l0", "raw"): {"num_bytes_is_size_of_raw"},
    ("l0", "raw_sha256"): {"sha256_is_that_of_raw"},
    ("l0", "num_bytes"): {"num_bytes_is_size_of_raw"},
    ("l1", "text"): {"num_chars_is_length_of_text"},
    ("l1", "num_chars"): {"num_chars_is_length_of_text"},
    ("l3", "doc_id"): {"doc_id_is_first_source"},
    ("l3", "source_doc_ids"): {"doc_id_is_first_source"},
}
NEVER_NULL = [
    (tier, column.name)
    for tier, described in MAIN_TABLES.items()
    for column in described.columns
    if not column.nullable and column.name not in ("corpus", "snapshot", *described.key)
]

# tier, column, the second row's value, the checks that fail.
BAD = [
    ("l0", "num_bytes", -1, {"num_bytes_is_not_negative", "num_bytes_is_size_of_raw"}),
    ("l0", "num_bytes", 7, {"num_bytes_is_size_of_raw"}),
    ("l0", "raw", b"other", {"num_bytes_is_size_of_raw", "sha256_is_that_of_raw"}),
    ("l0", "raw_sha256", "ABC", {"sha256_has_its_shape", "sha256_is_that_of_raw"}),
    ("l0", "raw_sha256", "0" * 64, {"sha256_is_that_of_raw"}),
    ("l0", "byte_offset", -1, {"byte_offset_is_not_negative"}),
    ("l1", "text", "", {"text_is_not_empty", "text_is_not_blank", "num_chars_is_length_of_text"}),
    ("l1", "text", " " * len(TEXTS["d1"]), {"text_is_not_blank"}),
    ("l1", "text", "a\u0308" + TEXTS["d1"][2:], {"text_is_nfc"}),
    ("l1", "text", "\0" + TEXTS["d1"][1:], {"text_has_no_nul"}),
    ("l1", "num_chars", 1, {"num_chars_is_length_of_text"}),
    ("l1", "num_words", 0, {"num_words_is_positive"}),
    ("l1", "num_tokens", 0, {"num_tokens_is_positive"}),
    ("l1", "language", "English", {"language_has_its_shape"}),
    ("l1", "language_score", 1.5, {"language_score_is_a_probability"}),
    ("l1", "language_score", -0.5, {"language_score_is_a_probability"}),
    ("l1", "edits", [{"op": "remove", "char_start": 5, "char_end": 4, "text": ""}], {"edits_have_spans"}),
    ("l1", "edits", [{"op": "remove", "char_start": -1, "char_end": 4, "text": ""}], {"edits_have_spans"}),
    ("l2", "quality", -0.1, {"quality_is_on_its_scale"}),
    ("l2", "quality", 5.1, {"quality_is_on_its_scale"}),
    ("l2", "quality", float("nan"), {"quality_is_set"}),
    ("l2", "round", 0, {"round_is_positive"}),
    ("l2", "reason", " ", {"reason_says_something"}),
    ("l2", "policy", "", {"policy_says_something"}),
    ("l3", "verification_level", 0, {"verification_level_is_kept", "highest_level_is_that_of_the_row"}),
    ("l3", "verification_level", 5, {"verification_level_is_kept", "highest_level_is_that_of_the_row"}),
    ("l3", "verification_level", 4, {"highest_level_is_that_of_the_row"}),
    ("l3", "levels", [], {"levels_rise_from_grounded"}),
    ("l3", "levels", [2, 1], {"levels_rise_from_grounded"}),
    ("l3", "levels", [1, 1], {"levels_rise_from_grounded"}),
    ("l3", "levels", [1, 2], {"highest_level_is_that_of_the_row"}),
    ("l3", "levels", [1, 5], {"levels_rise_from_grounded", "highest_level_is_that_of_the_row"}),
    ("l3", "task", "code", {"code_is_executed"}),
    ("l3", "source_spans", [], {"source_spans_are_not_empty"}),
    ("l3", "source_spans", [span(3, 3)], {"every_span_has_its_place"}),
    ("l3", "source_spans", [span(0, 3), span(-1, 3)], {"every_span_has_its_place"}),
    ("l3", "source_spans", [span(None, 3)], {"every_span_has_its_place"}),
    ("l3", "entailment", 1.01, {"entailment_is_a_share"}),
    ("l3", "entailment", -0.01, {"entailment_is_a_share"}),
    ("l3", "temperature", -0.1, {"temperature_is_not_negative"}),
    ("l3", "seed", -1, {"seed_is_not_negative"}),
    ("l3", "max_tokens", -1, {"max_tokens_is_not_negative"}),
    ("l3", "seconds", -0.1, {"seconds_are_not_negative"}),
    ("l3", "messages", [], {"messages_are_not_empty"}),
    ("l3", "messages", [{"role": "user", "content": " "}], {"every_message_has_content"}),
    ("l3", "messages", [{"role": "user", "content": None}], {"every_message_has_content"}),
    ("l3", "messages", [{"role": "robot", "content": "a"}], {"every_role_is_known"}),
    ("l3", "source_doc_ids", [], {"source_doc_ids_are_not_empty", "doc_id_is_first_source"}),
    ("l3", "source_doc_ids", ["d2", "d1"], {"doc_id_is_first_source"}),
    ("l3", "text", "\n", {"text_is_not_blank"}),
    ("l3", "prompt_tokens", -1, {"prompt_tokens_are_not_negative"}),
    ("l3", "output_tokens", -1, {"output_tokens_are_not_negative"}),
    ("l4", "statement", " ", {"statement_is_not_blank"}),
    ("l4", "confidence", 1.01, {"confidence_is_a_probability"}),
    ("l4", "confidence", -0.01, {"confidence_is_a_probability"}),
    ("l4", "state", "believed", {"state_is_known"}),
]
# Both ends of every range, and what only looks odd.
GOOD = [
    ("l0", "byte_offset", 0),
    ("l1", "num_words", 1),
    ("l1", "language", "ceb"),
    ("l1", "language_score", 0.0),
    ("l1", "language_score", 1.0),
    ("l1", "title", None),
    ("l1", "edits", [{"op": "remove", "char_start": 0, "char_end": 0, "text": ""}]),
    ("l2", "quality", 0.0),
    ("l2", "quality", 5.0),
    ("l2", "round", 1),
    ("l3", "levels", [0, 1]),
    ("l3", "source_spans", [span(5, 6)]),
    ("l3", "tests", None),
    ("l3", "entailment", 0.0),
    ("l3", "entailment", 1.0),
    ("l3", "temperature", 0.0),
    ("l3", "seed", 0),
    ("l3", "max_tokens", 0),
    ("l3", "seconds", 0.0),
    ("l3", "messages", [{"role": "system", "content": "a"}, {"role": "assistant", "content": "b"}]),
    ("l3", "output_tokens", 0),
    ("l4", "confidence", 0.0),
    ("l4", "confidence", 1.0),
]


def failing(lake: Lake, tier: str) -> dict[str, tuple[str, ...]]:
    """Failing check -> failing keys."""
    return {r.check: r.failing_keys for r in judge_suite(lake, tier, **NEWS) if not r.passed}


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("partition", [NEWS, MAIL])
def test_suite_of_a_sound_lake_passes_in_stable_order(lake: Lake, tier: str, partition: dict[str, str]) -> None:
    results = judge_suite(lake, tier, **partition)
    assert [r.check for r in results] == [CONTRACT, *(e.name for e in suite(tier))]
    assert [r.check for r in results if not r.passed] == []


def cases_of(tier: str) -> list[tuple[str, object, set[str]]]:
    """(column, value, failing checks) of a tier: bad values, allowed ones, and a null wherever none may be."""
    bad = [(column, value, checks) for t, column, value, checks in BAD if t == tier]
    good = [(column, value, set[str]()) for t, column, value in GOOD if t == tier]
    nulls = [(c, None, {f"{c}_is_set"} | ALSO_FAILS.get((tier, c), set())) for t, c in NEVER_NULL if t == tier]
    return bad + good + nulls


@pytest.mark.parametrize("tier", TIERS)
def test_suite_with_a_row_for_each_case_fails_the_named_checks_for_that_row_only(lake: Lake, tier: str) -> None:
    name, (key,) = MAIN_TABLES[tier].name, MAIN_TABLES[tier].key
    cases = {f"{place:02} {c} {str(v)[:20]!r}": (c, v, checks) for place, (c, v, checks) in enumerate(cases_of(tier))}

    def add_cases(rows: pl.DataFrame) -> pl.DataFrame:
        like = rows.slice(1, 1)
        added = [
            like.with_columns(pl.lit(case).alias(key), pl.lit(value, like.schema[column]).alias(column))
            for case, (column, value, _) in cases.items()
        ]
        return pl.concat([rows, *added])

    plant(lake, name, add_cases)
    checks = {check for _, _, named in cases.values() for check in named}
    assert failing(lake, tier) == {
        check: tuple(case for case, (_, _, named) in cases.items() if check in named) for check in checks
    }
    # Every promise but those of the summary and the key is broken by some case.
    rest = {e.name for e in suite(tier) if e.judges == "rows"} - checks
    assert rest == {f"{key}_is_set", f"{key}_is_unique"}


@pytest.mark.parametrize("tier", TIERS)
def test_suite_with_a_key_twice_fails_uniqueness_for_both_rows(lake: Lake, tier: str) -> None:
    name, (key,) = MAIN_TABLES[tier].name, MAIN_TABLES[tier].key
    first = lake.scan(name, NEWS).collect()[key][0]
    plant(lake, name, lambda rows: pl.concat([rows, rows.head(1)]))
    assert failing(lake, tier) == {f"{key}_is_unique": (first, first)}


@pytest.mark.parametrize("tier", TIERS)
def test_suite_with_a_null_key_fails_and_says_null(lake: Lake, tier: str) -> None:
    name, (key,) = MAIN_TABLES[tier].name, MAIN_TABLES[tier].key
    plant(lake, name, lambda rows: rows.with_columns(put(key, None)))
    found = failing(lake, tier)
    assert found[f"{key}_is_set"] == ("null",)
    assert found.keys() - {f"{key}_is_set"} <= {"doc_id_is_first_source"}


def test_suite_with_many_bad_rows_counts_all_and_names_twenty(lake: Lake) -> None:
    ids = [f"k{n:03}" for n in range(100)]
    plant(
        lake,
        "l1_filtered",
        lambda rows: pl.concat(
            [rows.head(1).with_columns(doc_id=pl.lit(i), num_words=pl.lit(0, pl.Int64)) for i in ids]
        ),
    )
    (result,) = [r for r in judge_suite(lake, "l1", **NEWS) if not r.passed]
    assert (result.check, result.num_failed, result.failing_keys) == ("num_words_is_positive", 100, tuple(ids[:20]))
    assert "found num_words=0" in result.detail


def test_suite_with_mixed_languages_warns_and_does_not_block(lake: Lake) -> None:
    plant(lake, "l1_filtered", lambda rows: rows.with_columns(language=pl.Series(["en", "en", "fr", "es"])))
    assert failing(lake, "l1") == {}
    plant(lake, "l1_filtered", lambda rows: rows.with_columns(language=pl.Series(["en", "de", "fr", "es"])))
    (result,) = [r for r in judge_suite(lake, "l1", **NEWS) if not r.passed]
    assert (result.check, result.severity) == ("one_language_prevails", "warn")
    assert result.failing_keys == ("news@2024",)
    assert not result.blocks


@pytest.mark.parametrize(("states", "checks"), [("vww", {"withdrawn_facts_are_few"}), ("vvw", set())])
def test_suite_with_withdrawn_facts_warns_when_they_are_the_most(lake: Lake, states: str, checks: set[str]) -> None:
    words = {"v": "verified", "w": "withdrawn"}
    plant(lake, "l4_facts", lambda rows: rows.with_columns(state=pl.Series([words[s] for s in states])))
    assert set(failing(lake, "l4")) == checks


@pytest.mark.parametrize(
    ("kept", "tokens", "checks"),
    [
        (4, 19, {"mean_length_is_steady"}),  # 10 tokens a document before, 4.75 now
        (4, 20, set()),
        (4, 80, set()),
        (4, 81, {"mean_length_is_steady"}),
        (0, 0, {"some_rows_survive"}),
    ],
)
def test_suite_after_a_rewrite_warns_of_drift_and_of_no_survivors(
    lake: Lake, kept: int, tokens: int, checks: set[str]
) -> None:
    before = lake.last_step("l1_filtered", NEWS)
    assert before is not None
    lake.finish({**before, "output_versions": [], "rows_in": 6, "rows_kept": kept, "tokens_kept": tokens})
    assert set(failing(lake, "l1")) == checks


@pytest.mark.parametrize(("judged", "checks"), [(99, set()), (100, {"some_rows_survive"})])
def test_suite_of_l3_without_a_record_warns_once_enough_were_judged(lake: Lake, judged: int, checks: set[str]) -> None:
    before = lake.last_step("l3_refined", NEWS)
    assert before is not None
    lake.finish({**before, "output_versions": [], "rows_in": judged, "rows_kept": 0, "rows_rejected": judged})
    assert set(failing(lake, "l3")) == checks


def test_suite_of_an_empty_partition_passes(lake: Lake) -> None:
    assert [r.check for r in judge_suite(lake, "l1", "nowhere", "2024") if not r.passed] == []


def test_suite_of_a_file_with_another_schema_fails_the_contract_alone(lake: Lake) -> None:
    (piece,) = lake.slices("l2_selected", NEWS)
    rows = pl.read_parquet(piece.files[0], hive_partitioning=False)
    rows.with_columns(pl.col("round").cast(pl.String), extra=pl.lit(1)).write_parquet(piece.files[0])
    (result,) = judge_suite(lake, "l2", **NEWS)
    assert (result.check, result.passed, result.num_failed) == (CONTRACT, False, 1)
    assert "round is String, not Int64, unknown column extra" in result.detail


def test_suite_of_an_unknown_tier_names_the_known_ones(lake: Lake) -> None:
    with pytest.raises(ValueError, match=r"unknown tier 'l9'; known: \['l0', 'l1', 'l2', 'l3', 'l4'\]"):
        judge_suite(lake, "l9", **NEWS)
