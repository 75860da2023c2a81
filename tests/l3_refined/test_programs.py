"""Programs over numbered lines: what is read from a reply, what is refused, and that any subset can be undone."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.edit_programs import Operation
from tier_assets.l3_refined.programs import (
    applied,
    apply,
    by_rules,
    idle,
    line_spans,
    numbered,
    overlap,
    placed,
    propose,
    removal,
    removed_share,
    replay,
    texts_that_differ,
    undo,
    validate,
)
from tier_assets.l3_refined.task import Edit, Passage
from tier_assets.l3_refined.undo import edit_rows
from tier_tables.refinement import L3_EDITS

TEXT = "Home\nThe bridge was opened in 1878 .\nIt was built by Thomas Bouch.\nIt fell in 1879.\nHome"
PASSAGE = Passage("d", TEXT, 100, 100 + len(TEXT))


def free(edit: Edit, passage: Passage) -> str | None:
    """A judge that lets everything pass."""
    return None


def program(*operations: dict, passage: Passage = PASSAGE, share: float = 1.0) -> list[Edit]:
    return validate(propose(json.dumps({"operations": list(operations)}), passage), passage, free, share)


def replace_str(line: int, old: str, new: str) -> dict:
    return {"operation": "replace_str", "line": line, "old": old, "new": new}


def remove_lines(line: int, last_line: int) -> dict:
    return {"operation": "remove_lines", "line": line, "last_line": last_line}


def add_line(line: int, new: str) -> dict:
    return {"operation": "add_line", "line": line, "new": new}


DONE = (
    ([{"operation": "keep_all"}], TEXT),
    ([replace_str(2, "1878 .", "1878.")], TEXT.replace("1878 .", "1878.")),
    ([remove_lines(1, 1)], TEXT.removeprefix("Home\n")),
    ([remove_lines(5, 5)], TEXT.removesuffix("\nHome")),
    ([remove_lines(1, 1), remove_lines(5, 5)], TEXT.removeprefix("Home\n").removesuffix("\nHome")),
    ([remove_lines(4, 4), remove_lines(5, 5)], TEXT.removesuffix("It fell in 1879.\nHome")),
    ([add_line(5, "  End.")], TEXT + "\n  End."),
    ([add_line(1, "a"), add_line(1, "b")], TEXT.replace("Home\n", "Home\na\nb\n", 1)),
    ([add_line(4, "End."), remove_lines(5, 5)], TEXT.removesuffix("Home") + "End."),
    ([replace_str(2, "1878 .", "1878."), replace_str(3, "It", "He")],
     TEXT.replace("1878 .", "1878.").replace("It was", "He was")),
)  # fmt: skip


@pytest.mark.parametrize(("operations", "expected"), DONE)
def test_program_of_valid_operations_does_them_all(operations: list[dict], expected: str) -> None:
    edits = program(*operations)
    assert [e.reason for e in edits] == [None] * len(operations)
    assert apply(PASSAGE, edits) == expected


REFUSED = (
    ([remove_lines(6, 6)], "no_such_line: the passage has 5"),
    ([remove_lines(3, 2)], "no_such_line: the passage has 5"),
    ([replace_str(9, "a", "b")], "no_such_line: the passage has 5"),
    ([replace_str(1, "bridge", "tower")], "old_not_in_line"),
    ([replace_str(1, "", "tower")], "old_not_in_line"),
    ([replace_str(2, "e", "E")], "old_not_once_in_line"),
    ([replace_str(2, "bridge", "bridge")], "changes_nothing"),
    ([add_line(2, " ")], "not_one_line"),
    ([add_line(2, "one\ntwo")], "not_one_line"),
    ([{"operation": "keep_all"}, remove_lines(1, 1)], "not_alone"),
    ([{"operation": "remove_all"}], "removes_too_much: 1.00 of the characters gone, at most 1.0"),
    ([remove_lines(2, 3), replace_str(3, "Thomas", "Tom")], "overlaps: remove_lines of model in line 2"),
    ([remove_lines(2, 3), add_line(2, "new")], "overlaps: remove_lines of model in line 2"),
    ([remove_lines(1, 1), remove_lines(1, 1)], "proposed_twice"),
)


@pytest.mark.parametrize(("operations", "reason"), REFUSED)
def test_program_with_an_operation_that_may_not_be_done_refuses_just_that(operations: list[dict], reason: str) -> None:
    edits = program(*operations)
    assert [e.reason for e in edits if e.reason] == [reason]
    assert len(applied(edits)) == len(operations) - 1


@pytest.mark.parametrize(
    "reply", ["no", "[]", "{}", '{"operations": []}', '{"operations": [{"operation": "rename"}]}',
              '{"operations": [3]}',
              '{"operations": [{"operation": "add_line", "line": true, "new": "a"}]}',
              '{"operations": [{"operation": "replace_str", "line": 1, "old": "a"}]}'],
)  # fmt: skip
def test_propose_of_another_form_is_malformed(reply: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|operation|needs"):
        propose(reply, PASSAGE)


def test_validate_at_the_limit_of_what_may_go_is_done_and_over_it_refused() -> None:
    passage = Passage("d", "aaa\nbbbbbbbbb\nccc\nd", 0, 19)  # 16 characters
    both = [remove_lines(1, 1), remove_lines(4, 4)]
    assert [e.reason for e in program(*both, passage=passage, share=0.25)] == [None, None]
    reasons = [e.reason for e in program(*both, passage=passage, share=0.24)]
    assert reasons == [None, "removes_too_much: 0.25 of the characters gone, at most 0.24"]


def test_validate_asks_the_judge_about_the_model_only() -> None:
    rule = placed(Operation(34, 35, " ", ""), PASSAGE, "doubled_space")
    edits = validate([rule, *propose(json.dumps({"operations": [remove_lines(1, 1)]}), PASSAGE)], PASSAGE,
                     lambda edit, passage: "loses_number: 1")  # fmt: skip
    assert [(e.proposer, e.reason) for e in edits] == [("model", "loses_number: 1"), ("doubled_space", None)]
    assert by_rules(edits)
    assert not by_rules([])


def test_operations_stand_in_the_document() -> None:
    edit = program(replace_str(2, "1878", "1879"))[0]
    document = "x" * 100 + TEXT
    assert document[edit.char_start : edit.char_end] == edit.old == "1878"
    assert (edit.line, edit.last_line, edit.proposer) == (2, 2, "model")


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (Operation(0, 5, "Home\n", ""), ("remove_lines", 1, 1)),
        (Operation(len(TEXT) - 5, len(TEXT), "\nHome", ""), ("remove_lines", 5, 5)),
        (Operation(4, 5, "\n", " "), ("replace_str", 1, 2)),
        (Operation(4, 4, "", "\nnew"), ("add_line", 1, 1)),
        (Operation(2, 2, "", "\nnew"), ("replace_str", 1, 1)),
    ],
)
def test_placed_operation_is_named_for_the_lines_it_takes(operation: Operation, expected: tuple) -> None:
    edit = placed(operation, PASSAGE, "model")
    assert (edit.operation, edit.line, edit.last_line) == expected


def test_undo_of_one_operation_leaves_the_others_and_names_what_it_blocked() -> None:
    edits = program(remove_lines(2, 3), replace_str(3, "Thomas", "Tom"), remove_lines(5, 5))
    number = next(i for i, e in enumerate(edits) if e.line == 2)
    text, blocked = undo(PASSAGE, edits, number)
    assert text == TEXT.removesuffix("\nHome")
    assert [e.old for e in blocked] == ["Thomas"]
    with pytest.raises(ValueError, match="is not applied: overlaps"):
        undo(PASSAGE, edits, edits.index(blocked[0]))


def test_idle_program_says_why_nothing_was_done() -> None:
    assert idle(program(remove_lines(1, 1))) == []
    assert idle(program({"operation": "keep_all"}))[0].reason == "unchanged"
    found = idle(program(remove_lines(9, 9), remove_lines(9, 9)))
    assert (found[0].reason, found[0].detail.split(",")[0]) == ("no_safe_edit", "2 no_such_line")


def test_removed_share_of_a_respelling_counts_what_stands_nowhere_in_it() -> None:
    passage = Passage("d", "abcd efgh", 0, 9)
    assert removed_share([placed(Operation(0, 9, "abcd efgh", "EFGH abcd"), passage, "model")], passage.text) == 0.0
    assert removed_share([placed(Operation(0, 4, "abcd", "abc"), passage, "model")], passage.text) == 0.125


def test_numbered_lines_are_those_that_operations_name() -> None:
    assert numbered("a\n\nb") == "1: a\n2: \n3: b"
    assert line_spans("") == [(0, 0)]


TEXTS = st.text(alphabet=st.sampled_from("ab A.\n\n1é😀ß中"), min_size=1, max_size=40)


@st.composite
def programs(draw: st.DrawFn) -> tuple[Passage, list[Edit]]:
    """A passage and a validated program of a model's and rules' operations, some of them refused."""
    text, start = draw(TEXTS), draw(st.integers(0, 9))
    passage = Passage("d", text, start, start + len(text))
    num_lines = len(line_spans(text))
    proposed: list[Edit] = []
    for kind in draw(st.lists(st.sampled_from(["remove", "replace", "insert", "add"]), max_size=8)):
        if kind == "remove":
            line = draw(st.integers(1, num_lines))
            proposed.append(removal(passage, line, draw(st.integers(line, num_lines)), "model"))
            continue
        a = draw(st.integers(0, len(text)))
        b = a if kind == "insert" else draw(st.integers(a, len(text)))
        if kind == "add":
            a = b = line_spans(text)[draw(st.integers(0, num_lines - 1))].end
        new = ("\n" if kind == "add" else "") + draw(st.text(alphabet="xyz", max_size=3))
        proposed.append(placed(Operation(a, b, text[a:b], new), passage, draw(st.sampled_from(["model", "rule"]))))
    return passage, validate(proposed, passage, free, draw(st.sampled_from([0.3, 1.0])))


@settings(max_examples=60)
@given(made=programs(), data=st.data())
def test_any_subset_of_a_program_applies_and_without_all_it_is_the_parent(
    made: tuple[Passage, list[Edit]], data: st.DataObject
) -> None:
    passage, edits = made
    done = applied(edits)
    assert all(not overlap(a, b) for i, a in enumerate(done) for b in done[:i])
    assert apply(passage, []) == passage.text
    subset = [e for e in done if data.draw(st.booleans())]
    slow = passage.text  # from the back, each operation by itself
    for edit in sorted(subset, key=lambda e: (e.char_start, e.char_end))[::-1]:
        a, b = edit.char_start - passage.char_start, edit.char_end - passage.char_start
        assert slow[a:b] == edit.old or not edit.old
        slow = slow[:a] + edit.new + slow[b:]
    assert apply(passage, subset) == slow


@settings(max_examples=60)
@given(made=programs(), data=st.data())
def test_undoing_all_operations_in_any_order_gives_the_parent_to_the_letter(
    made: tuple[Passage, list[Edit]], data: st.DataObject
) -> None:
    passage, edits = made
    text = apply(passage, edits)
    for edit in data.draw(st.permutations(applied(edits))):
        text, _ = undo(passage, edits, edits.index(edit))
        edits = [e for e in edits if e is not edit]
    assert text == passage.text


@settings(max_examples=25)
@given(made=programs())
def test_replayed_rows_give_the_text_and_a_changed_row_is_found(made: tuple[Passage, list[Edit]]) -> None:
    passage, edits = made
    rows = [row | {"corpus": "c", "snapshot": "s"} for row in edit_rows(edits, "r", passage)]
    frame = pl.DataFrame(rows, schema=L3_EDITS.schema)
    text = apply(passage, edits)
    assert replay(passage.text, frame, passage.char_start) == text
    span = {"doc_id": "d", "char_start": passage.char_start, "char_end": passage.char_end}
    records = pl.DataFrame({"record_id": ["r", "none"], "text": [text, "x"], "source_spans": [[span], [span]]})
    documents = pl.DataFrame({"doc_id": ["d"], "text": ["y" * passage.char_start + passage.text]})
    assert texts_that_differ(records, frame, documents).is_empty()
    wrong = records.with_columns(pl.lit(text + "!").alias("text"))
    found = [("r", "the operations make another text")] if edits else []
    assert texts_that_differ(wrong, frame, documents).rows() == found
