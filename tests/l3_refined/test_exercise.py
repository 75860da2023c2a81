from __future__ import annotations

import json
from dataclasses import replace

import pytest

from resources.language_models.scripted import ScriptedModel
from tests.l3_refined.test_refine import documents, only
from tier_assets.l3_refined.refine import refine
from tier_assets.l3_refined.task import Ask, Candidate, Passage
from tier_assets.l3_refined.tasks.exercise import EXERCISE, sets_numbers
from tier_assets.l3_refined.tasks.knowledge import KNOWLEDGE

STATEMENT = "The area of a rectangle is the product of its length and its width."
TEXT = f"{STATEMENT} A square is a rectangle whose sides are equal. A square of side 3 has an area of 9."
NAME = "area of a rectangle"
GIVEN = "Compute the area of a rectangle of length 4 and width 6."
SUM = "The area of a rectangle is the product of length and width: 4 * 6 = 24."

# (exercise, solution, answer, reason against it or None)
RECORDS = (
    (
        "What is the area of a rectangle the product of?",
        "The area of a rectangle is the product of length and width.",
        "length and width",
        None,
    ),
    (GIVEN, SUM, "24", None),
    (GIVEN, SUM.replace("24", "25"), "25", "wrong_arithmetic"),
    (GIVEN, "The area of a rectangle is the product of length and width.", "24", "new_number"),
    (GIVEN, SUM.replace("4 * 6 = 24", "5 * 6 = 30"), "30", "new_number"),
    ("The area of a rectangle of length 4 and width 6.", SUM, "24", "not_a_question"),
    ("Compute this area of a rectangle of length 4 and width 6.", SUM, "24", "dangling_reference"),
    ("Compute the area of the rectangle in the text.", SUM, "24", "refers_to_text"),
    ("Which rectangle has equal sides?", "A square is a rectangle whose sides are equal.", "square", "off_knowledge"),
    (GIVEN, "Four times six.", "24", "no_reasoning"),
)


def asked(difficulty: str = "easy") -> Ask:
    return next(a for a in EXERCISE.plan_from(knowledge(), passage()) if a.style == difficulty)  # type: ignore[misc]


def passage() -> Passage:
    return Passage("d", TEXT, 0, len(TEXT))


def knowledge() -> Candidate:
    reply = json.dumps({"name": NAME, "statement": STATEMENT})
    return KNOWLEDGE.parse(reply, passage(), Ask((), style="definition"))[0]


def reply(exercise: str, solution: str, answer: str) -> str:
    return json.dumps({"exercise": exercise, "solution": solution, "answer": answer})


@pytest.mark.parametrize(("exercise", "solution", "answer", "reason"), RECORDS)
def test_exercise_accept_of_record_gives_the_reason_against_it(
    exercise: str, solution: str, answer: str, reason: str | None
) -> None:
    candidate = EXERCISE.parse(reply(exercise, solution, answer), passage(), asked())[0]
    judgement = EXERCISE.accept(candidate, passage())
    found = [r.reason for r in judgement.reasons]
    assert reason in found if reason else found == []
    assert judgement.level == (0 if found else 1)


def test_exercise_plans_from_knowledge_one_ask_a_difficulty() -> None:
    assert EXERCISE.after == "knowledge"
    assert EXERCISE.plan(passage()) == []
    assert EXERCISE.plan_from is not None
    asks = EXERCISE.plan_from(knowledge(), passage())
    assert [a.style for a in asks] == ["easy", "medium", "hard"]
    prompt = EXERCISE.prompt.fill(asks[0].fill, asks[0].style)
    assert prompt.startswith(f"Text:\n{TEXT}\n\n")
    assert f"{NAME}: {STATEMENT}" in prompt


@pytest.mark.parametrize("text", ["", "[]", '{"exercise": "x", "solution": "y"}'])
def test_exercise_parse_of_anything_but_three_strings_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        EXERCISE.parse(text, passage(), asked())


def test_exercise_with_numbers_of_its_own_needs_the_second_solver() -> None:
    candidate = EXERCISE.parse(reply(GIVEN, SUM, "24"), passage(), asked())[0]
    assert sets_numbers(candidate)
    assert not sets_numbers(replace(candidate, prompt="What is the area of a rectangle?"))
    assert EXERCISE.checks[1].needed(candidate)


@pytest.mark.parametrize(
    ("solved", "levels", "reasons"),
    [("24", [[1, 2, 3]], []), ("30", [], ["second_solver_disagrees"])],
)
def test_refine_exercise_with_own_numbers_is_kept_only_where_the_second_solver_agrees(
    solved: str, levels: list[list[int]], reasons: list[str]
) -> None:
    def answer(prompt: str) -> str:
        if "What is defined here" in prompt:
            return json.dumps({"name": NAME, "statement": STATEMENT})
        if "an easy textbook exercise" in prompt:
            return reply(GIVEN, SUM, "24")
        if GIVEN in prompt:
            return json.dumps({"reasoning": "It is said.", "evidence": "It is said.", "answer": solved})
        return "{}"

    settings = replace(only(EXERCISE), tasks=(KNOWLEDGE, EXERCISE))
    found = refine(documents(d=TEXT), ScriptedModel(answer), settings)
    rows = found.rows.filter(task="exercise")
    assert rows["levels"].to_list() == levels
    assert rows["parent_record_id"].to_list() == found.rows.filter(task="knowledge")["record_id"].to_list() * len(
        levels
    )
    refused = found.verdicts.filter(task="exercise")["reason"].to_list()
    assert [r for r in refused if r != "malformed"] == reasons
