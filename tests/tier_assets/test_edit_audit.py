"""Edit programs of a lake: shown, taken back, done again; what is taken back is found by the next refinement."""

from __future__ import annotations

import json

import polars as pl
import pytest
from typer.testing import CliRunner

from resources.lake import Lake
from tests.resources._made_up import NEWS, put, texts
from tests.resources._made_up import rows as made_up
from tier_assets.cli_edits import edit_commands
from tier_assets.edit_audit import shown_edits, take_back
from tier_assets.l3_refined.programs import replay
from tier_assets.l3_refined.task import Candidate, Passage
from tier_assets.l3_refined.tasks.edit import EDIT
from tier_assets.l3_refined.undo import (
    edit_rows,
    left_out,
    operation_id,
    state,
    taken_back,
    text_of,
    undone_ids,
    without,
)
from tier_tables.refinement import EDIT_UNDOS, L3_EDITS

TEXT = "It rose.  Then the bridge fell in 1879 .\nIt was built again by the town."
DOCUMENT = f"An old story. {TEXT}"
PASSAGE = Passage("d", TEXT, 14, 14 + len(TEXT))
REPLY = json.dumps({"operations": [
    {"operation": "replace_str", "line": 1, "old": "1879 .", "new": "1879."},
    {"operation": "remove_lines", "line": 2, "last_line": 2},
]})  # fmt: skip
SPAN = (PASSAGE.char_start, PASSAGE.char_end)


def made() -> Candidate:
    return EDIT.parse(REPLY, PASSAGE, EDIT.plan(PASSAGE)[1])[0]


def edits_frame(candidate: Candidate) -> pl.DataFrame:
    rows = [row | NEWS for row in edit_rows(candidate.edits, "r", PASSAGE)]
    return pl.DataFrame(rows, schema=L3_EDITS.schema)


@pytest.fixture
def edited(lake: Lake) -> Lake:
    """A lake with one document, an edit of a passage of it, and its program."""
    candidate = made()
    span = [{"doc_id": "d", "char_start": SPAN[0], "char_end": SPAN[1]}]
    record = made_up("l3_refined", 1, NEWS).with_columns(
        record_id=pl.lit("r"),
        doc_id=pl.lit("d"),
        task=pl.lit("edit"),
        style=pl.lit("program"),
        model=pl.lit("m@1"),
        text=pl.lit(candidate.text),
        source_spans=pl.Series([span]),
    )
    put(lake, "l1_filtered", NEWS, texts({"d": DOCUMENT}, NEWS))
    put(lake, "l3_refined", NEWS, record)
    put(lake, "l3_edits", NEWS, edits_frame(candidate))
    return lake


def test_program_of_a_reply_is_two_operations_done_and_one_refused() -> None:
    candidate = made()
    assert candidate.text == "It rose. Then the bridge fell in 1879.\nIt was built again by the town."
    assert [(e.proposer, state(e)) for e in candidate.edits] == [
        ("doubled_space", "applied"),
        ("model", "applied"),
        ("model", "refused"),
    ]
    frame = edits_frame(candidate)
    assert frame["number"].to_list() == [0, 1, 2]
    assert all(DOCUMENT[a:b] == old for a, b, old in frame.select("char_start", "char_end", "old").rows())


def test_operation_id_is_that_of_place_and_change_not_of_the_record() -> None:
    first, second, _ = made().edits
    assert operation_id(first, "d", SPAN) == operation_id(made().edits[0], "d", SPAN)
    others = {operation_id(second, "d", SPAN), operation_id(first, "e", SPAN), operation_id(first, "d", (0, SPAN[1]))}
    assert len(others | {operation_id(first, "d", SPAN)}) == 4


def test_without_marks_the_undone_and_leaves_the_refused() -> None:
    edits = made().edits
    ids = [operation_id(e, "d", SPAN) for e in edits]
    left = without(edits, "d", SPAN, {ids[0], ids[2]})
    assert [state(e) for e in left] == ["undone", "applied", "refused"]
    assert text_of(TEXT, left, PASSAGE.char_start) == TEXT.replace("1879 .", "1879.")
    assert without(edits, "other", SPAN, set(ids)) == list(edits)


def test_taken_back_candidate_is_judged_by_what_is_left() -> None:
    candidate = made()
    ids = [operation_id(e, "d", SPAN) for e in candidate.edits]
    one = taken_back(candidate, PASSAGE, ids[:1])
    assert (one.text, one.output) == (TEXT.replace("1879 .", "1879."),) * 2
    assert EDIT.accept(one, PASSAGE).reasons == ()
    nothing = taken_back(candidate, PASSAGE, ids)
    assert nothing.text == TEXT
    assert [r.reason for r in EDIT.accept(nothing, PASSAGE).reasons] == ["undone"]
    assert taken_back(candidate, PASSAGE, []) is candidate


def test_shown_edits_are_the_parent_the_operations_and_the_text(edited: Lake) -> None:
    shown = shown_edits(edited, "r").split("\n")
    assert shown[0] == "record r of d in news@2024-01: edit, program, by m@1"
    assert "  | It rose.  Then the bridge fell in 1879 ." in shown
    assert "  0  applied: replace_str in line 1 by doubled_space" in shown
    assert any(line.startswith("  2  refused (loses_statement: ") for line in shown)
    assert shown[-2:] == ["  | It rose. Then the bridge fell in 1879.", "  | It was built again by the town."]
    with pytest.raises(ValueError, match="no edit program belongs to 'none'"):
        shown_edits(edited, "none")


def test_take_back_is_pending_until_the_partition_is_refined_and_can_be_done_again(edited: Lake) -> None:
    frame = edits_frame(made())
    first, _, refused = frame["operation_id"]
    said = take_back(edited, first, "the space was meant")
    assert said.endswith("the partition leaves it out: `lake run --corpus news --snapshot 2024-01`")
    undos = edited.scan("edit_undos", NEWS).collect()
    assert undone_ids(undos) == {first}
    assert left_out(frame, undos)["operation_id"].to_list() == [first]
    assert "  0  applied, undone from the next refinement on: replace_str" in shown_edits(edited, "r")
    refined = edits_frame(taken_back(made(), PASSAGE, undone_ids(undos)))
    assert refined["state"].to_list() == ["undone", "applied", "refused"]
    assert replay(TEXT, refined, PASSAGE.char_start) == TEXT.replace("1879 .", "1879.")
    assert left_out(refined, undos).is_empty()
    with pytest.raises(ValueError, match="is undone already"):
        take_back(edited, first, "again")
    assert "does it again" in take_back(edited, first, None)
    undos = edited.scan("edit_undos", NEWS).collect()
    assert undone_ids(undos) == set()
    assert left_out(refined, undos)["operation_id"].to_list() == [first]
    with pytest.raises(ValueError, match="is not undone already"):
        take_back(edited, first, None)
    with pytest.raises(ValueError, match="was refused"):
        take_back(edited, refused, "why not")
    with pytest.raises(ValueError, match="no operation has the id 'none'"):
        take_back(edited, "none", "why not")


def test_undone_ids_go_by_the_last_row_of_an_operation() -> None:
    row = {"doc_id": "d", **NEWS, "operation_id": "o"}
    times = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 3), "1d", time_zone="UTC", eager=True)
    undos = pl.DataFrame(
        [row | {"reason": r, "undone_at": t} for r, t in zip(("a", None, "b"), times, strict=True)],
        schema=EDIT_UNDOS.schema,
    )
    assert undone_ids(undos) == {"o"}
    assert undone_ids(undos.reverse()) == {"o"}
    assert undone_ids(undos.head(2)) == set()


def test_commands_show_take_back_and_do_again(edited: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_ROOT", edited.root)
    first = edits_frame(made())["operation_id"][0]
    runner = CliRunner()
    assert "  0  applied: " in runner.invoke(edit_commands, ["edits", "r"]).output
    assert runner.invoke(edit_commands, ["undo", first]).exit_code == 2
    assert runner.invoke(edit_commands, ["undo", first, "--reason", "meant", "--redo"]).exit_code == 2
    assert "leaves it out" in runner.invoke(edit_commands, ["undo", first, "--reason", "meant"]).output
    assert "does it again" in runner.invoke(edit_commands, ["undo", first, "--redo"]).output
    refused = runner.invoke(edit_commands, ["edits", "none"])
    assert (refused.exit_code, "no edit program belongs to 'none'" in refused.output) == (2, True)
