"""What rules and the gate make of edit programs: tasks edit and repair, sure rules, faults and their mends."""

from __future__ import annotations

import json

import pytest

from tier_assets.l3_refined import edit_rules, mends
from tier_assets.l3_refined.faults import faults
from tier_assets.l3_refined.programs import apply, propose, validate
from tier_assets.l3_refined.safe_edits import refusal
from tier_assets.l3_refined.task import Ask, Candidate, Passage, Task
from tier_assets.l3_refined.tasks.edit import EDIT
from tier_assets.l3_refined.tasks.repair import REPAIR

STORY = "The bridge of Dundee was opened in 1878.\nIt was built by Thomas Bouch for the railway.\nThe dog bit the man."
PAGE = f"{STORY}\nThe council met again that year.\nshare this page\nWinter\nA storm came in December.\n\nIt fell."


def passage(text: str, start: int = 7) -> Passage:
    return Passage("d", text, start, start + len(text))


def program(*operations: dict) -> str:
    return json.dumps({"operations": list(operations)})


def line(operation: str, number: int, **fields: object) -> dict:
    return {"operation": operation, "line": number, **fields}


GATE = (
    (line("remove_lines", 5, last_line=5), None),
    (line("remove_lines", 1, last_line=1), "loses_number"),
    (line("remove_lines", 2, last_line=2), "loses_statement"),
    (line("remove_lines", 6, last_line=6), "loses_heading"),
    (line("remove_lines", 8, last_line=8), "joins_paragraphs"),
    (line("replace_str", 3, old="bit", new="bites"), "changes_meaning"),
    (line("replace_str", 2, old="It was", new="It  was"), "changes_meaning"),
    (line("add_line", 1, new="It fell in 1879."), "new_number"),
    (line("add_line", 1, new="The railway was closed."), "new_word"),
    (line("add_line", 3, new="The man bit the dog."), "new_order"),
    (line("add_line", 3, new="The dog bit the man."), "adds_nothing"),
    (line("add_line", 3, new="bridge of the railway"), None),
    (line("add_line", 3, new="1878"), "adds_nothing"),
)


@pytest.mark.parametrize(("operation", "reason"), GATE)
def test_refusal_of_a_models_operation_names_what_it_would_change(operation: dict, reason: str | None) -> None:
    where = passage(PAGE)
    found = refusal(propose(program(operation), where)[0], where)
    assert (found or "").partition(":")[0] == (reason or "")


@pytest.mark.parametrize(
    ("text", "number", "reason"),
    [
        ("The men who came\nfrom the old city\nwere led by a queen.", 2, "cuts_sentence"),
        ("The men came.\nFrom the old city\nwere led by a queen.", 2, "cuts_sentence"),
        ("Winter\nHome page\nA storm came in December.", 1, "loses_heading"),
        ("One thing.\n# Of bees\nBees\nThey make honey.", 2, "loses_heading"),
        ("The length is this.\nx = y + z\nand that was all of it.", 2, "loses_formula"),
        ("One thing.\n# Of bees\nBees make honey.", 2, "loses_heading"),
        ("A menu stands here.\nhome page\nanother thing.\nhome page\nmore of it", 2, None),
        ("One thing.\n\n\nAnother thing.", 2, None),
        ("It was said.\n```\nx\n```", 1, "in_code"),
    ],
)
def test_refusal_of_removed_lines_looks_at_what_is_around_them(text: str, number: int, reason: str | None) -> None:
    where = passage(text)
    found = refusal(propose(program(line("remove_lines", number, last_line=number)), where)[0], where)
    assert (found or "").partition(":")[0] == (reason or "")


SURE: tuple[tuple[str, str | None, list[str]], ...] = (
    ("Skip to content\nThe town grew.", "The town grew.", ["navigation_line"]),
    ("Home | About us | Contact\nThe town grew.", "The town grew.", ["navigation_line"]),
    ("Home\nContact\n\nThe town grew.", "\nThe town grew.", ["navigation_line", "navigation_line"]),
    ("Home is where we went.", None, []),
    ("At last we went\nhome", None, []),
    ("It ended.\n\n----------\nIt began.", "It ended.\n\nIt began.", ["ruler_line"]),
    ("A title\n----------\nIt began.", None, []),
    ("Title\n-----\nIt began.", None, []),
    ("We came to the old town.\nWe came to the old town.\nOh yes!\nOh yes!",
     "We came to the old town.\nOh yes!\nOh yes!", ["repeated_line"]),
    ("> It was so.\n> >\n> No.", "> It was so.\n\n> No.", ["empty_quote"]),
    ("A heading¶\n\nText of § 4¶ here", "A heading\n\nText of § 4¶ here", ["permalink_mark"]),
    ("salt &amp; pepper&nbsp;", "salt & pepper ", ["entity", "entity"]),
    ("It <b>fell</b> in the year of the great storm.<br>It rose.",
     "It fell in the year of the great storm.\nIt rose.", ["tag", "tag", "line_break_tag"]),
    ("A long line of the old story\n<br>goes on and on.",
     "A long line of the old story\ngoes on and on.", ["line_break_tag"]),
    ("The <b> tag makes text bold.", None, []),
    ("<td>It <b>fell</b> in the year of the storm.", None, []),
    ("<b><i><b><i>It fell.", None, []),
    ("It replaces &amp; when it escapes a text.", None, []),
    ("It is written `&amp;` there.", None, []),
    ("It rose.  Then it fell.", "It rose. Then it fell.", ["doubled_space"]),
    ("a  b   c", None, []),
    ("the cat , it sat", "the cat, it sat", ["space_before_mark"]),
    ("The water-\nway is a waterway.", "The waterway is a waterway.", ["broken_hyphenation"]),
    ("A well-\nknown man is well-known.", "A well-known man is well-known.", ["broken_hyphenation"]),
    ("A well-\nknown man.", None, []),
    ("```\nx = 1  # The  same.  Then\n----------\n```", None, []),
    ("| a  | It rose.  B |\n| It rose.  B | d |", None, []),
)  # fmt: skip


@pytest.mark.parametrize(("text", "expected", "rules"), SURE)
def test_rules_do_what_is_sure_and_leave_the_rest(text: str, expected: str | None, rules: list[str]) -> None:
    where = passage(text)
    edits = validate(edit_rules.propose(where), where, refusal, 1.0)
    assert sorted(e.proposer for e in edits) == sorted(rules)
    assert apply(where, edits) == (text if expected is None else expected)


def candidate(task: Task, text: str, reply: str, style: str) -> tuple[Candidate, list[str]]:
    """The one candidate of a reply, and the reasons against it."""
    where = passage(text)
    ask = next(a for a in task.plan(where) if a.style == style)
    found = task.parse(reply, where, ask)
    assert len(found) == 1
    assert apply(where, found[0].edits) == found[0].output == found[0].text
    return found[0], [r.reason for r in task.accept(found[0], where).reasons]


SLIP = STORY.replace("1878.", "1878 .")


def test_edit_asks_for_the_text_and_for_a_program() -> None:
    asks = EDIT.plan(passage(SLIP))
    prompts = [EDIT.prompt.fill(a.fill, a.style) for a in asks]
    assert [(a.style, a.json_schema is None) for a in asks] == [("text", True), ("program", False)]
    assert all(p.startswith(f"Text:\n{SLIP}\n\n") for p in prompts)
    assert "\n2: It was built by Thomas Bouch" not in prompts[0]
    assert "\n2: It was built by Thomas Bouch" in prompts[1]


def test_edit_of_a_reply_keeps_what_it_did_and_what_was_refused() -> None:
    made, reasons = candidate(EDIT, SLIP, STORY.replace("built", "paid"), "text")
    assert (made.output, made.style, reasons) == (STORY, "text", [])
    assert [(e.operation, e.line, e.old, e.new, e.proposer, e.reason) for e in made.edits] == [
        ("replace_str", 1, " ", "", "model", None),
        ("replace_str", 2, " built ", " paid ", "model", "changes_meaning"),
    ]


def test_edit_by_program_keeps_what_it_did_and_what_was_refused() -> None:
    reply = program(line("replace_str", 1, old="1878 .", new="1878."), line("remove_lines", 9, last_line=9))
    made, reasons = candidate(EDIT, SLIP, reply, "program")
    assert (made.output, made.style, reasons) == (STORY, "program", [])
    assert sorted(e.reason or "" for e in made.edits) == ["", "no_such_line: the passage has 3"]


def test_edit_by_rules_alone_is_a_record_of_its_own_style_whatever_the_model_wrote() -> None:
    text = STORY.replace("\nThe dog", "  The dog")
    made, reasons = candidate(EDIT, text, "Here is something else entirely.", "text")
    assert (made.output, made.style, reasons) == (STORY.replace("\nThe dog", " The dog"), "rules", [])
    assert {(e.proposer, (e.reason or "").partition(":")[0]) for e in made.edits} == {
        ("doubled_space", ""),
        ("model", "rewritten"),
    }


@pytest.mark.parametrize(
    ("reply", "style", "reason"),
    [
        (STORY, "text", "unchanged"),
        ("Bridges of iron fell down everywhere.", "text", "rewritten"),
        ("I'm sorry, I cannot help with that.", "text", "refusal"),
        (STORY.replace("built", "paid"), "text", "no_safe_edit"),
        (program({"operation": "keep_all"}), "program", "unchanged"),
        (program({"operation": "remove_all"}), "program", "no_safe_edit"),
    ],
)
def test_edit_without_anything_done_is_rejected(reply: str, style: str, reason: str) -> None:
    made, reasons = candidate(EDIT, STORY, reply, style)
    assert made.output == STORY
    assert reasons == [reason]


BROKEN: tuple[tuple[str, list[str]], ...] = (
    ("The sum $x^2 + \\alpha is large. Then \\beta is small.", ["unpaired_dollar"]),
    ("We have $x^2$ and the root $\\sqrt{y$ of it.", ["unpaired_brace"]),
    ("We have $x^2$ and $\\textity}$ of it.", ["unpaired_brace"]),
    ("We have $x^2$ and $a \\leq frac{b}{2}$ here.", ["lost_backslash"]),
    ("The sum $x^2 + \\alpha is large.\n\nThe sum $y^2 + \\beta is small.", ["unpaired_dollar"] * 2),
    ("The sum $x^{2 + \\alpha is large.", ["unpaired_dollar"]),
    ("The sum x^{2 + \\alpha + \\beta is large.", ["unpaired_brace"]),
    ("| We take 1. flour 2. water 3. salt | x |", []),
    ("A word alpha and $x^2 \\leq 2$ here.", []),
    ("\\begin{align} x \\leq y \\cdot 2", ["unpaired_environment"]),
    ("It costs $5 and then $6 {or so.", []),
    ("Type `$x^2 {` and $\\alpha \\leq 2$.", []),
    ("We take 1. flour 2. water 3. salt for it.", ["run_on_item", "run_on_item"]),
    ("We take 1. flour and 2. water for it.", []),
    ("We take 1. flour, 2. water, 3. salt for it.", []),
    ("We take 1) flour 2) water 3) salt for it.", []),
    ("my $A_B = '$(C)$(D)/e'; my $F_G = 1; $H", []),
    ("The water-\nway is old.", ["broken_word"]),
    ('An e-mail of=20 <a href=3D"x">two</a> lines.', ["quoted_printable"] * 2),
    ("We take n=20 points in the mode=3D of it.", []),
    ("The cafÃ© is open.", ["mojibake"]),
    ("The café is open.", []),
)


@pytest.mark.parametrize(("text", "kinds"), BROKEN)
def test_faults_of_a_text_are_those_that_are_broken(text: str, kinds: list[str]) -> None:
    assert [f.kind for f in faults(text)] == kinds
    assert len(REPAIR.plan(passage(text))) == bool(kinds)


MENDED = (
    ("We have $x^2$ and the root $\\sqrt{y$ of it.", "We have $x^2$ and the root $\\sqrt{y}$ of it."),
    ("We have $x^2$ and the root $\\sqrt{y + z$ of it.", None),
    ("We have $x^2$ and $\\textity}$ of it.", "We have $x^2$ and $\\textit{y}$ of it."),
    ("We have $x^2$ and $a \\leq frac{b}{2}$ here.", "We have $x^2$ and $a \\leq \\frac{b}{2}$ here."),
    ("The sum $x^2 + \\alpha is a sum of times. $x$ is large.", None),
    ("We take 1. flour 2. water 3. salt for it.", "We take 1. flour\n2. water\n3. salt for it."),
    ("The water-\nway is a waterway.", "The waterway is a waterway."),
    ("The water-\nway is old.", None),
    ("An e-mail of=20\ntwo long lines=20\nand the end of it=2E", "An e-mail of \ntwo long lines \nand the end of it."),
    ('Gr=FC=DFe von <a href=3D"x">Hans</a>', 'Gr=FC=DFe von <a href="x">Hans</a>'),
    ("The cafÃ© is open.", "The café is open."),
)


@pytest.mark.parametrize(("text", "expected"), MENDED)
def test_mends_that_are_sure_leave_less_broken_and_others_are_not_made(text: str, expected: str | None) -> None:
    where = passage(text)
    mended = apply(where, validate(mends.propose(where, faults(text)), where, mends.refusal))
    assert mended == (text if expected is None else expected)
    assert expected is None or mends.is_mended(text, mended)


def test_mended_text_has_fewer_faults_and_none_of_another_kind() -> None:
    assert mends.is_mended("1. a 2. b 3. c", "1. a 2. b\n3. c")
    assert not mends.is_mended("1. a 2. b 3. c", "1. a 2. b 3. c")
    assert not mends.is_mended("1. a 2. b 3. c", "The cafÃ©")


FORMULA = "The sum of $x^2 + \\alpha is large. It is positive for $x > 0$ and all \\beta here."


def test_repair_by_a_models_program_is_kept_where_signs_alone_change() -> None:
    reply = program(line("replace_str", 1, old="\\alpha is", new="\\alpha$ is"))
    made, reasons = candidate(REPAIR, FORMULA, reply, "program")
    assert (made.output, made.style, reasons) == (FORMULA.replace("\\alpha is", "\\alpha$ is"), "program", [])


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (line("replace_str", 1, old="x > 0", new="x > 1"), "changes_more"),
        (line("replace_str", 1, old="\\alpha is", new="\\beta$ is"), "changes_more"),
        (line("remove_lines", 1, last_line=1), "removes_lines"),
        (line("replace_str", 1, old="for $x", new="for x"), "mends_nothing"),
        (line("replace_str", 1, old="sum of", new="sum  of"), "mends_nothing"),
        (line("add_line", 1, new="This is positive."), "changes_more"),
    ],
)
def test_repair_that_mends_nothing_or_changes_more_is_rejected(operation: dict, reason: str) -> None:
    made, reasons = candidate(REPAIR, FORMULA, program(operation), "program")
    assert (made.output, reasons) == (FORMULA, ["no_safe_edit"])
    assert [(e.reason or "").partition(":")[0] for e in made.edits] == [reason]


def test_repair_of_an_environment_takes_its_missing_end() -> None:
    text = "\\begin{align}\nx \\leq y \\cdot 2"
    made, reasons = candidate(REPAIR, text, program(line("add_line", 2, new="\\end{align}")), "program")
    assert (made.output, reasons) == (text + "\n\\end{align}", [])


def test_repair_by_rules_alone_says_so() -> None:
    made, reasons = candidate(REPAIR, "The cafÃ© is open.", program({"operation": "keep_all"}), "program")
    assert (made.output, made.style, reasons) == ("The café is open.", "rules", [])


@pytest.mark.parametrize("task", [EDIT, REPAIR])
def test_program_that_is_no_json_is_malformed(task: Task) -> None:
    ask = Ask((), style="program")
    with pytest.raises(ValueError, match="not JSON"):
        task.parse("{", passage(FORMULA), ask)


def test_program_that_is_no_json_leaves_what_rules_are_sure_of() -> None:
    made, reasons = candidate(REPAIR, "The cafÃ© is open.", "{", "program")
    assert (made.output, made.style, reasons) == ("The café is open.", "rules", [])
    assert [(e.proposer, (e.reason or "").partition(":")[0]) for e in made.edits] == [
        ("model", "malformed"),
        ("mend_mojibake", ""),
    ]
    made, reasons = candidate(EDIT, "It rose.  Then it fell.", "{", "program")
    assert (made.output, reasons) == ("It rose. Then it fell.", [])
