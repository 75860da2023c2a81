"""What a tier promises of its own rows: a great-expectations suite each, as tuples of values.

In goes the tier's main table; great-expectations sees only the columns that `row_columns` derives from it (never a
text or blob: their sizes and flags instead) and one summary row a partition. What the table contract says (columns
that are never null, the unique key) comes from `tier_tables`; the rest stands below, with its reason.
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl

from quality_checks.check_result import Partition, Severity, partition_key
from resources.lake import Lake
from tier_tables import MAIN_TABLES, Column, Table

TIMES_SEEN = "times_seen"
# Strings that may be as long as a document: great-expectations gets their lengths.
TEXTS = ("text", "statement", "title")


@dataclass(frozen=True)
class Expectation:
    """One great-expectations expectation: `type` and `kwargs` are its own words.

    `judges` says whether it looks at every row or at the partition's one summary row; `name` is the check's name.
    """

    name: str
    type: str
    kwargs: Mapping[str, object]
    severity: Severity
    reason: str
    judges: Literal["rows", "summary"] = "rows"


def between(
    name: str,
    column: str,
    low: float | None,
    high: float | None,
    reason: str,
    severity: Severity = "error",
    judges: Literal["rows", "summary"] = "rows",
) -> Expectation:
    """`column` lies in [low, high]; None leaves that side open, a null row passes."""
    kwargs = {"column": column, "min_value": low, "max_value": high}
    return Expectation(name, "expect_column_values_to_be_between", kwargs, severity, reason, judges)


def holds(name: str, reason: str, severity: Severity = "error") -> Expectation:
    """The flag derived under this very name is true; a null row passes."""
    kwargs = {"column": name, "value_set": [True]}
    return Expectation(name, "expect_column_values_to_be_in_set", kwargs, severity, reason)


def matches(name: str, column: str, regex: str, reason: str) -> Expectation:
    """`column` matches `regex`; a null row passes."""
    kwargs = {"column": column, "regex": regex}
    return Expectation(name, "expect_column_values_to_match_regex", kwargs, "error", reason)


def among(name: str, column: str, values: tuple[str, ...], reason: str) -> Expectation:
    """`column` is one of `values`; a null row passes."""
    kwargs = {"column": column, "value_set": list(values)}
    return Expectation(name, "expect_column_values_to_be_in_set", kwargs, "error", reason)


def _sha256_holds(raw_and_hash: pl.Series) -> pl.Series:
    rows = zip(raw_and_hash.struct.field("raw"), raw_and_hash.struct.field("raw_sha256"))
    return pl.Series([None if raw is None else hashlib.sha256(raw).hexdigest() == found for raw, found in rows])


def _is_nfc(text: pl.Series) -> pl.Series:
    # The standard library knows most texts for NFC from a table, without normalising them.
    return pl.Series([None if t is None else unicodedata.is_normalized("NFC", t) for t in text], dtype=pl.Boolean)


_raw, _text = pl.col("raw"), pl.col("text")


def _each(column: str, holds: pl.Expr) -> pl.Expr:
    """Whether `holds` is true of every item of a list of structs; where it is null, it does not hold."""
    return pl.col(column).list.eval(holds.fill_null(False)).list.all()


def _item(field: str) -> pl.Expr:
    return pl.element().struct.field(field)


# Columns that great-expectations sees beside those of the contract, by tier.
DERIVED: Mapping[str, Mapping[str, pl.Expr]] = {
    "l0": {
        "sha256_is_that_of_raw": pl.struct("raw", "raw_sha256").map_batches(_sha256_holds, return_dtype=pl.Boolean),
    },
    "l1": {
        "text_is_not_blank": _text.str.contains(r"\S"),
        "text_is_nfc": _text.map_batches(_is_nfc, return_dtype=pl.Boolean),
        "text_has_no_nul": ~_text.str.contains("\0", literal=True),
        "edits_have_spans": _each("edits", (_item("char_start") >= 0) & (_item("char_end") >= _item("char_start"))),
    },
    "l2": {},
    "l3": {
        "text_is_not_blank": _text.str.contains(r"\S"),
        "every_message_has_content": _each("messages", _item("content").str.contains(r"\S")),
        "every_role_is_known": _each("messages", _item("role").is_in(["system", "user", "assistant"])),
        "every_span_has_its_place": _each(
            "source_spans", (_item("char_start") >= 0) & (_item("char_end") > _item("char_start"))
        ),
        "levels_rise_from_grounded": pl.col("levels").list.contains(1)
        & pl.col("levels").list.eval(pl.element().diff().drop_nulls() > 0).list.all()
        & pl.col("levels").list.eval(pl.element().is_between(0, 4).fill_null(False)).list.all(),
        "highest_level_is_that_of_the_row": pl.col("levels").list.last() == pl.col("verification_level"),
        "code_is_executed": (pl.col("task") != "code")
        | ((pl.col("verification_level") == 4) & pl.col("tests").str.contains(r"\S").fill_null(False)),
        "entailment_is_a_share": pl.col("entailment").is_between(0, 1),
        "doc_id_is_first_source": pl.col("source_doc_ids").list.first().eq_missing(pl.col("doc_id")),
    },
    "l4": {"statement_is_not_blank": pl.col("statement").str.contains(r"\S")},
}

_DRIFT = "a rewrite of the partition seldom changes documents by this much: look at what changed in the sources"
# Fewer rows judged and none kept is no news: a small language model may well fail a few dozen candidates.
MIN_JUDGED = {"l0": 1, "l1": 1, "l2": 1, "l3": 100, "l4": 100}
SURVIVORS = between(
    "some_rows_survive", "rows_kept", 1, None, "a partition that loses every row needs a look", "warn", "summary"
)
STEADY_LENGTH = between(
    "mean_length_is_steady", "mean_tokens_ratio", 0.5, 2.0, f"mean tokens a document: {_DRIFT}", "warn", "summary"
)

PROMISES: Mapping[str, tuple[Expectation, ...]] = {
    "l0": (
        between("num_bytes_is_not_negative", "num_bytes", 0, None, "a size"),
        Expectation(
            "num_bytes_is_size_of_raw",
            "expect_column_pair_values_to_be_equal",
            {"column_A": "num_bytes", "column_B": "raw_size"},
            "error",
            "evidence is traced by byte ranges",
        ),
        matches("sha256_has_its_shape", "raw_sha256", r"^[0-9a-f]{64}$", "64 lower-case hexadecimal digits"),
        holds("sha256_is_that_of_raw", "the bytes are those that were fetched"),
        between("byte_offset_is_not_negative", "byte_offset", 0, None, "a position in the source file"),
    ),
    "l1": (
        between("text_is_not_empty", "text_size", 1, None, "every kept document has text"),
        holds("text_is_not_blank", "white space alone is no text"),
        Expectation(
            "num_chars_is_length_of_text",
            "expect_column_pair_values_to_be_equal",
            {"column_A": "num_chars", "column_B": "text_size"},
            "error",
            "evidence is cited in code points of the text",
        ),
        between("num_words_is_positive", "num_words", 1, None, "a text has a word"),
        between("num_tokens_is_positive", "num_tokens", 1, None, "a text has a token"),
        matches("language_has_its_shape", "language", r"^[a-z]{2,3}$", "an ISO 639 code of two or three letters"),
        between("language_score_is_a_probability", "language_score", 0, 1, "a probability"),
        holds("text_is_nfc", "one spelling a character, so that equal words are equal strings"),
        holds("text_has_no_nul", "a NUL ends strings in many a reader"),
        holds("edits_have_spans", "an edit that has no span cannot be undone"),
        between(
            "one_language_prevails",
            "main_language_share",
            0.5,
            None,
            "a corpus has one main language unless it says otherwise: look at its extraction and its language filter",
            "warn",
            "summary",
        ),
        SURVIVORS,
        STEADY_LENGTH,
    ),
    "l2": (
        between("quality_is_on_its_scale", "quality", 0, 5, "ratings go from 0 to 5"),
        between("round_is_positive", "round", 1, None, "rounds count from 1"),
        matches("reason_says_something", "reason", r"\S", "each selected row says why it is in"),
        matches("policy_says_something", "policy", r"\S", "each selected row names its policy"),
        SURVIVORS,
        STEADY_LENGTH,
    ),
    "l3": (
        between("verification_level_is_kept", "verification_level", 1, 4, "what was only parsed (0) is not kept"),
        between("messages_are_not_empty", "messages_size", 1, None, "a record is a conversation of at least one turn"),
        holds("every_message_has_content", "an empty turn teaches silence"),
        holds("every_role_is_known", "chat templates know system, user and assistant"),
        between("source_doc_ids_are_not_empty", "source_doc_ids_size", 1, None, "every record has a source"),
        holds("doc_id_is_first_source", "`doc_id` is the first of `source_doc_ids`"),
        between("source_spans_are_not_empty", "source_spans_size", 1, None, "a record leads to the text it is from"),
        holds("every_span_has_its_place", "a span has a begin and an end after it"),
        holds("levels_rise_from_grounded", "what is kept is grounded; levels are named once, in order"),
        holds("highest_level_is_that_of_the_row", "training asks for records by the highest level that holds"),
        holds("code_is_executed", "code is kept where it has passed its tests"),
        holds("entailment_is_a_share", "a share"),
        between("temperature_is_not_negative", "temperature", 0, None, "of the sampling"),
        between("seed_is_not_negative", "seed", 0, None, "the index of the sample"),
        between("max_tokens_is_not_negative", "max_tokens", 0, None, "0 where a rule wrote the record"),
        between("seconds_are_not_negative", "seconds", 0, None, "a duration"),
        holds("text_is_not_blank", "white space alone is no text"),
        between("prompt_tokens_are_not_negative", "prompt_tokens", 0, None, "a count"),
        between("output_tokens_are_not_negative", "output_tokens", 0, None, "a count"),
        SURVIVORS,
    ),
    "l4": (
        holds("statement_is_not_blank", "a fact states something"),
        between("confidence_is_a_probability", "confidence", 0, 1, "a probability"),
        among("state_is_known", "state", ("verified", "withdrawn"), "a fact holds or was withdrawn"),
        between(
            "withdrawn_facts_are_few",
            "withdrawn_share",
            None,
            0.5,
            "more facts withdrawn than standing: the extraction or its sources need a look",
            "warn",
            "summary",
        ),
        SURVIVORS,
    ),
}


def seen_as(column: Column) -> str:
    """The column's name for great-expectations: its own, or `<name>_size` where only its size is shown."""
    heavy = column.dtype == pl.Binary or isinstance(column.dtype, pl.List) or column.name in TEXTS
    return f"{column.name}_size" if heavy else column.name


def size_of(column: Column) -> pl.Expr:
    """Bytes of a blob, items of a list, code points of a text; null where the value is null."""
    value = pl.col(column.name)
    if column.dtype == pl.Binary:
        return value.bin.size().cast(pl.Int64)
    return (value.list.len() if isinstance(column.dtype, pl.List) else value.str.len_chars()).cast(pl.Int64)


def row_columns(tier: str) -> dict[str, pl.Expr]:
    """Name -> expression over the tier's table: all that great-expectations sees of a row."""
    table = MAIN_TABLES[tier]
    columns: dict[str, pl.Expr] = {}
    for column in table.columns:
        if column.nullable or column.name in table.partition_by:
            continue
        columns[seen_as(column)] = pl.col(column.name) if seen_as(column) == column.name else size_of(column)
    return columns | dict(DERIVED[tier])


def of_contract(table: Table) -> tuple[Expectation, ...]:
    """Expectations that the table's description implies: columns that are never null, and the key's uniqueness."""
    never_null = tuple(
        Expectation(
            f"{c.name}_is_set",
            "expect_column_values_to_not_be_null",
            {"column": seen_as(c)},
            "error",
            c.meaning,
        )
        for c in table.columns
        if not c.nullable and c.name not in table.partition_by
    )
    key = " and ".join(table.key)
    return (*never_null, between(f"{key}_is_unique", TIMES_SEEN, 1, 1, "the key identifies a row"))


def suite(tier: str) -> tuple[Expectation, ...]:
    """The tier's whole suite, in order: the contract's expectations, then the tier's own promises."""
    return of_contract(MAIN_TABLES[tier]) + PROMISES[tier]


def rows_to_judge(lake: Lake, tier: str, partition: Partition) -> pl.LazyFrame:
    """The derived columns of every row of the partition, and how often its key occurs in it."""
    table = MAIN_TABLES[tier]
    (key,) = table.key
    rows = lake.scan(table.name, partition)
    # Only keys seen twice are held while the rows stream by.
    repeated = rows.group_by(key).len(TIMES_SEEN).filter(pl.col(TIMES_SEEN) > 1)
    derived = rows.select(e.alias(name) for name, e in row_columns(tier).items())
    return derived.join(repeated, on=key, how="left", nulls_equal=True).with_columns(
        pl.col(TIMES_SEEN).fill_null(1).cast(pl.Int64)
    )


def summary_to_judge(lake: Lake, tier: str, partition: Partition) -> pl.DataFrame:
    """One row about the partition: rows kept, drift since the step before, and the tier's own shares.

    A value that cannot be known (no rows, no earlier step) is null, and passes.
    """
    table = MAIN_TABLES[tier]
    steps = lake.ledger().filter(
        (pl.col("step") == table.name)
        & (pl.col("corpus") == partition["corpus"])
        & (pl.col("snapshot") == partition["snapshot"])
    )
    mean = (steps["tokens_kept"] / steps["rows_kept"]).to_list()
    ratio = mean[-1] / mean[-2] if len(mean) > 1 and mean[-2] and mean[-1] is not None else None
    judged_enough = steps.height > 0 and steps["rows_in"][-1] >= MIN_JUDGED[tier]
    row: dict[str, float | None] = {
        "rows_kept": float(steps["rows_kept"][-1]) if judged_enough else None,
        "mean_tokens_ratio": _known(ratio),
    }
    rows = lake.scan(table.name, partition)
    if tier == "l1":
        counts = rows.group_by("language").len().select(pl.col("len").max() / pl.col("len").sum())
        row["main_language_share"] = _known(counts.collect().item())
    if tier == "l4":
        row["withdrawn_share"] = _known(rows.select((pl.col("state") == "withdrawn").mean()).collect().item())
    values = pl.DataFrame([row], schema=dict.fromkeys(row, pl.Float64))
    return values.with_columns(pl.lit(partition_key(partition)).alias("partition"))


def _known(value: float | None) -> float | None:
    """`value`, or None where a division by zero made it no number."""
    return None if value is None or math.isnan(value) else value
