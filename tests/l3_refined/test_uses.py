"""Training uses: the rule in force by use and task, the records that meet it, and one clear line for a bad rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from typer.testing import CliRunner

from resources.catalog import open_catalog
from resources.lake import Lake
from tier_assets.cli_uses import uses
from tier_assets.l3_refined.uses import USES, row_of, rule_for, standing
from tier_tables import table

NEWS = {"corpus": "news", "snapshot": "2024"}
NONE = table("training_uses").empty()


def rule(use: str, task: str | None, level: int, minute: int = 0) -> pl.DataFrame:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    row = {"use": use, "task": task, "min_level": level, "reason": "asked", "set_at": at}
    return pl.DataFrame([row], schema=NONE.schema)


@pytest.mark.parametrize(
    ("use", "task", "level"),
    [("mid_training", "qa", 1), ("decay", "qa", 2), ("alignment", "qa", 3), *((use, "code", 4) for use in USES)],
)
def test_standing_without_rows_is_the_defaults(use: str, task: str, level: int) -> None:
    found = rule_for(standing(NONE), use, task)
    assert found.min_level == level
    assert len(found.reason) > 20


def test_standing_the_last_row_of_a_use_and_task_counts_and_a_task_goes_before_all() -> None:
    rows = pl.concat(
        [rule("decay", "qa", 3, 5), rule("decay", "qa", 1, 1), rule("decay", None, 4, 9), rule("alignment", "code", 5)]
    )
    rules = standing(rows)
    found = {(use, task): rule_for(rules, use, task).min_level for use in USES for task in ("qa", "rewrite", "code")}
    assert found == {
        ("mid_training", "qa"): 1, ("mid_training", "rewrite"): 1, ("mid_training", "code"): 4,
        ("decay", "qa"): 3, ("decay", "rewrite"): 4, ("decay", "code"): 4,
        ("alignment", "qa"): 3, ("alignment", "rewrite"): 3, ("alignment", "code"): 5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("use", "task", "level", "reason", "said"),
    [
        ("pretraining", None, 1, "why", "unknown use 'pretraining'; known: mid_training, decay, alignment"),
        ("decay", "poem", 1, "why", "unknown task 'poem'; known: code, edit, qa, repair"),
        ("decay", "qa", 0, "why", "unknown level 0; known: 1 grounded"),
        ("decay", "qa", 6, "why", "unknown level 6; known: 1 grounded"),
        ("decay", "qa", 2, " ", "a rule needs a reason"),
    ],
)
def test_row_of_a_bad_rule_names_the_good_values(
    use: str, task: str | None, level: int, reason: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        row_of(use, task, level, reason, ["qa"])


@pytest.mark.parametrize("level", [1, 5])
def test_row_of_a_good_rule_is_a_row_of_the_table(level: int) -> None:
    row = row_of("decay", None, level, " why ", [])
    assert row.schema == NONE.schema
    assert row.drop("set_at").rows() == [("decay", None, level, "why")]


@pytest.fixture
def records(lake: Lake) -> Lake:
    """A record of each of three tasks at each level 1 to 4, and one of a demoted document."""
    described = table("l3_refined")
    rows = [
        {"record_id": f"{task}{level}", "doc_id": "d", **NEWS, "task": task, "verification_level": level}
        for task in ("qa", "rewrite", "code")
        for level in (1, 2, 3, 4)
    ]
    rows.append(rows[3] | {"record_id": "out"})
    put(lake, "l3_refined", pl.DataFrame(rows, schema=described.schema))
    marked = {"child_table": "l3_refined", "child_id": "out", "doc_id": "d", **NEWS, "reason": "demoted", "round": 2}
    put(lake, "out_of_policy", pl.DataFrame([marked], schema=table("out_of_policy").schema))
    return lake


def put(lake: Lake, name: str, rows: pl.DataFrame) -> None:
    written = lake.replace(name, NEWS, rows)
    output = {"table": name, "slice": written.slice, "version": written.version, "token": written.token}
    lake.finish({"tier": "l3", "step": name, **NEWS, "output_versions": [output]})


def fit(lake: Lake) -> dict[str, set[str]]:
    """Use -> ids in the view."""
    with open_catalog(lake) as catalog:
        found: dict[str, set[str]] = {use: set() for use in USES}
        for use, record in catalog.execute("SELECT use, record_id FROM l3_for_training").fetchall():
            found[use].add(record)
    return found


def test_view_for_training_has_the_records_that_meet_each_use(records: Lake) -> None:
    assert fit(records) == {
        "mid_training": {"qa1", "qa2", "qa3", "qa4", "rewrite1", "rewrite2", "rewrite3", "rewrite4", "code4"},
        "decay": {"qa2", "qa3", "qa4", "rewrite2", "rewrite3", "rewrite4", "code4"},
        "alignment": {"qa3", "qa4", "rewrite3", "rewrite4", "code4"},
    }


def test_view_for_training_follows_the_rules_as_they_are_set(records: Lake) -> None:
    told = [
        rule("decay", "qa", 4, 5), rule("decay", "qa", 1, 1), rule("decay", None, 3, 9), rule("alignment", "code", 5),
        rule("mid_training", None, 2, 2), rule("mid_training", "rewrite", 5, 2), rule("mid_training", "rewrite", 1, 3),
    ]  # fmt: skip
    for row in told:
        records.append("training_uses", row)
    rules = standing(records.scan("training_uses").collect())
    every = records.scan("l3_refined").filter(pl.col("record_id") != "out").collect()
    assert fit(records) == {
        use: {
            record
            for record, task, level in every.select("record_id", "task", "verification_level").iter_rows()
            if level >= rule_for(rules, use, task).min_level
        }
        for use in USES
    }


def call(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(uses, list(arguments))
    return done.exit_code, done.stdout, done.stderr.strip()


def test_command_sets_a_rule_and_shows_what_it_leaves(records: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_ROOT", records.root)
    said = "lake: unknown use 'x'; known: mid_training, decay, alignment"
    assert call("set", "x", "--level", "2", "--reason", "r") == (2, "", said)
    status, _, said = call("set", "decay", "--task", "rewrite", "--level", "4", "--reason", "few are borne out")
    assert status == 0
    assert said == "decay takes records of rewrite from level 4 on; SELECT * FROM l3_for_training"
    status, shown, _ = call()
    assert status == 0
    lines = {tuple(cell.strip() for cell in line.strip("│|").split("│")[:5]) for line in shown.splitlines()}
    assert {("decay", "rewrite", "4", "4", "1"), ("decay", "any other", "2", "4", "3")} <= lines, shown


def test_funnel_counts_kept_by_level_and_rejected_by_reason(records: Lake) -> None:
    schema = table("verdicts").schema
    verdicts = [
        {"tier": "l3", "doc_id": "d", **NEWS, "record_id": f"v{number}", "task": task, "reason": reason}
        for number, (task, reason) in enumerate([("qa", "echo"), ("qa", "echo"), (None, "over_budget")])
    ]
    written = records.replace("verdicts", {"tier": "l3", **NEWS}, pl.DataFrame(verdicts, schema=schema))
    output = {"table": "verdicts", "slice": written.slice, "version": written.version, "token": written.token}
    records.finish({"tier": "l3", "step": "judged", **NEWS, "output_versions": [output]})
    with open_catalog(records) as catalog:
        found = catalog.execute("SELECT task, reason, level, count FROM l3_funnel")
        rows = {row for row in found.fetchall() if row[0] != "rewrite"}
    assert rows == {
        *(("code", "kept", level, 1) for level in (1, 2, 3, 4)),
        *(("qa", "kept", level, 1 + (level == 4)) for level in (1, 2, 3, 4)),
        ("qa", "echo", None, 2),
        (None, "over_budget", None, 1),
    }
