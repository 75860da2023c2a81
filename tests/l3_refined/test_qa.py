from __future__ import annotations

import json

import pytest

from resources.language_models.scripted import ScriptedModel
from tests.l3_refined.test_refine import documents, only
from tier_assets.l3_refined.refine import refine
from tier_assets.l3_refined.task import Passage
from tier_assets.l3_refined.tasks.qa import QA

TEXT = (
    "Iris Dahl founded the harbour museum of Tornby in 1931. A storm broke the roof of the museum in 1948, and for "
    "four years nobody visited it. The harbour guild sold 120 maps at 5 crowns each, and with this money it rebuilt "
    "the roof."
)
GERMAN = (
    "Der Leuchtturm von Amrum wurde 1875 in Betrieb genommen. Seine Lampe leuchtet etwa 43 Kilometer weit. "
    "Weil der Sand unter dem Turm nachgab, verstärkte die Verwaltung 1936 das Fundament mit Beton."
)
FRENCH = (
    "Le phare de Cordouan se dresse sur un plateau rocheux à l'embouchure de la Gironde. Louis de Foix dirigea les "
    "travaux à partir de 1584. Les gardiens entretiennent le phare et accueillent les visiteurs en été."
)
SPANISH = (
    "El faro de Hércules guía a los barcos que llegan al puerto de La Coruña. Los romanos levantaron la torre en el "
    "siglo primero. Eustaquio Giannini restauró la torre en 1788 con piedra de granito."
)
ROOF = "A storm broke the roof of the museum in 1948."
FOUNDED = "The museum of Tornby was founded by Iris Dahl in 1931."

# (passage, question, reasoning, answer, reason against it or None)
RECORDS = (
    (TEXT, "Who founded the harbour museum of Tornby?", FOUNDED, "Iris Dahl", None),
    (TEXT, "In which year was the harbour museum of Tornby founded?", FOUNDED, "1931", None),
    (
        TEXT,
        "For how many crowns did the harbour guild of Tornby sell 120 maps?",
        "The harbour guild sold 120 maps at 5 crowns each. That makes 120 * 5 = 600 crowns.",
        "600 crowns",
        None,
    ),
    (
        TEXT,
        "For how many crowns did the harbour guild of Tornby sell 120 maps?",
        "The harbour guild sold 120 maps at 5 crowns each. That makes 120 * 5 = 650 crowns.",
        "650 crowns",
        "wrong_arithmetic",
    ),
    (TEXT, "In which year was the harbour museum of Tornby founded", FOUNDED, "1931", "not_a_question"),
    (TEXT, "In which year was the museum founded?", FOUNDED, "1931", "unclear_subject"),
    (TEXT, "When was Tornby there?", FOUNDED, "1931", "vague_question"),
    (TEXT, "When did she found the harbour museum?", FOUNDED, "1931", "dangling_reference"),
    (TEXT, "According to the text, who founded the museum of Tornby?", FOUNDED, "Iris Dahl", "refers_to_text"),
    (TEXT, "Who founded the museum of Tornby?", "The text says: Iris Dahl founded it.", "Iris Dahl", "refers_to_text"),
    (
        TEXT,
        "Who founded the harbour museum of Tornby?",
        "Iris Dahl founded the museum in 1931. Iris Dahl founded the museum of Tornby.",
        "Iris Dahl",
        "repeats_itself",
    ),
    (
        TEXT,
        "How many years did nobody visit the museum of Tornby?",
        "A storm broke the roof of the museum in 1948, and for four years nobody visited it.",
        "four",
        "copied",
    ),
    (
        TEXT,
        "Who founded the harbour museum of Tornby?",
        "The question must be clear to a reader: Iris Dahl founded the museum in 1931.",
        "Iris Dahl",
        "prompt_echo",
    ),
    (TEXT, "Who founded the harbour museum of Perth?", FOUNDED, "Iris Dahl", "new_name"),
    (TEXT, "Who founded the harbour museum of Tornby in 1930?", FOUNDED, "Iris Dahl", "new_number"),
    (TEXT, "Who founded the museum the museum the museum of Tornby?", FOUNDED, "Iris Dahl", "repeats_itself"),
    (TEXT, "Who founded the harbour,museum of Tornby town?", FOUNDED, "Iris Dahl", "garbled_word"),
    (TEXT, "Who founded the harbour museum of Tornby?", "Iris Dahl did.", "Iris Dahl", "no_reasoning"),
    (TEXT, "Who founded the harbour museum of Tornby?", ROOF, "a storm", "question_off_answer"),
    (
        TEXT,
        "When did a storm break the roof of the museum in Tornby?",
        ROOF.replace("1948", "1931"),
        "1931",
        "step_not_in_source",
    ),
    (TEXT, "Who founded the harbour museum of Tornby?", FOUNDED, "the harbour guild", "answer_not_in_reasoning"),
    (TEXT, "Who founded the harbour museum of Tornby?", FOUNDED, "a rich widow", "answer_not_in_source"),
    (TEXT, "Which museum of Tornby did Iris Dahl found?", FOUNDED, "the museum of Tornby", "answer_in_question"),
    (TEXT, "When did Iris Dahl found the museum of Tornby?", FOUNDED, "Iris Dahl", "wrong_answer"),
    (TEXT, "With what money did the guild of Tornby rebuild a roof?", FOUNDED, "Iris Dahl", "question_off_answer"),
    (TEXT, "Who in the town of Tornby did not found the museum?", FOUNDED, "Iris Dahl", "negation_changed"),
    (
        GERMAN,
        "Wie weit leuchtet die Lampe im Leuchtturm von Amrum?",
        "Die Lampe im Leuchtturm von Amrum leuchtet 43 Kilometer weit.",
        "43 Kilometer",
        None,
    ),
    (
        GERMAN,
        "Warum verstärkte die Verwaltung 1936 das Fundament am Leuchtturm von Amrum?",
        "Weil der Sand unter dem Turm nachgab, verstärkte die Verwaltung 1936 das Fundament.",
        "weil der Sand nachgab",
        None,
    ),
    (
        GERMAN,
        "Wann wurde der Leuchtturm von Amrum in Betrieb genommen?",
        "Der Leuchtturm von Amrum wurde 1936 in Betrieb genommen.",
        "1936",
        "step_not_in_source",
    ),
    (
        GERMAN,
        "Was steht in diesem Text über Amrum?",
        "Der Leuchtturm von Amrum wurde 1875 in Betrieb genommen.",
        "1875",
        "refers_to_text",
    ),
    (
        FRENCH,
        "Qui dirigea les travaux du phare de Cordouan ?",
        "Les travaux du phare de Cordouan, Louis de Foix les dirigea à partir de 1584.",
        "Louis de Foix",
        None,
    ),
    (
        FRENCH,
        "Qui dirigea les travaux du phare de Cordouan ?",
        "Les travaux du phare de Cordouan, Jean de Foix les dirigea à partir de 1584.",
        "Jean de Foix",
        "new_name",
    ),
    (
        SPANISH,
        "¿Quién restauró la torre con granito en 1788?",
        "La torre la restauró en 1788 Eustaquio Giannini.",
        "Eustaquio Giannini",
        None,
    ),
    (
        SPANISH,
        "¿Cuándo restauró Giannini la torre de Hércules?",
        "Giannini restauró la torre con piedra de granito en el siglo primero.",
        "en el siglo primero",
        "step_not_in_source",
    ),
)


def reply(question: str, reasoning: str, answer: str) -> str:
    return json.dumps({"question": question, "reasoning": reasoning, "answer": answer})


@pytest.mark.parametrize(("text", "question", "reasoning", "answer", "reason"), RECORDS)
def test_qa_accept_of_record_gives_the_reason_against_it(
    text: str, question: str, reasoning: str, answer: str, reason: str | None
) -> None:
    passage = Passage("d", text, 0, len(text))
    candidate = QA.parse(reply(question, reasoning, answer), passage, QA.plan(passage)[0])[0]
    judgement = QA.accept(candidate, passage)
    found = [r.reason for r in judgement.reasons]
    assert reason in found if reason else found == []
    assert judgement.level == (0 if found else 1)


def test_qa_plan_asks_one_question_a_level_about_another_sentence_each() -> None:
    asks = QA.plan(Passage("d", TEXT, 0, len(TEXT)))
    assert [a.style for a in asks] == ["grade_school", "middle_school", "high_school", "college"]
    told = [dict(a.fill)["sentence"] for a in asks]
    assert told[0].startswith("Iris Dahl")
    assert told[1].startswith("A storm")
    assert told[3] == told[0]
    prompts = [QA.prompt.fill(a.fill, a.style) for a in asks]
    assert all(p.startswith(f"Text:\n{TEXT}\n\n") for p in prompts)
    assert len(set(prompts)) == 4


def test_qa_plan_of_letters_and_headings_asks_nothing() -> None:
    assert QA.plan(Passage("d", "Hi all,\n\nI think we met.\n\nHe left.", 0, 30)) == []


@pytest.mark.parametrize(
    "text", ["", "no", "[]", '{"question": "Why?"}', '{"question": "Q?", "reasoning": 3, "answer": "x"}']
)
def test_qa_parse_of_anything_but_three_strings_is_refused(text: str) -> None:
    passage = Passage("d", TEXT, 0, len(TEXT))
    with pytest.raises(ValueError, match="JSON"):
        QA.parse(text, passage, QA.plan(passage)[0])


def test_qa_parse_gives_reasoning_and_answer_as_one_output() -> None:
    passage = Passage("d", TEXT, 0, len(TEXT))
    ask = QA.plan(passage)[3]
    candidate = QA.parse(reply("Who  founded it?", "Iris Dahl\ndid.", "Iris Dahl"), passage, ask)[0]
    assert candidate.text == "Who founded it?\nIris Dahl did.\nAnswer: Iris Dahl"
    assert (candidate.style, candidate.answer, candidate.source) == ("college", "Iris Dahl", TEXT)
    assert [m.role for m in candidate.messages] == ["user", "assistant"]


@pytest.mark.parametrize(("solved", "levels"), [("Iris Dahl", [1, 2, 3]), ("a storm", [1])])
def test_refine_qa_is_consistent_and_checked_where_the_solvers_give_the_answer(solved: str, levels: list[int]) -> None:
    def answer(prompt: str) -> str:
        if "Ask a child" in prompt:
            return reply("Who founded the harbour museum of Tornby?", FOUNDED, "Iris Dahl")
        if "Ask a" in prompt:
            return "{}"
        return json.dumps({"reasoning": "It is said.", "evidence": "It is said.", "answer": solved})

    found = refine(documents(d=TEXT), ScriptedModel(answer), only(QA))
    assert found.rows["levels"].to_list() == [levels]
    assert found.rows["answer"].to_list() == ["Iris Dahl"]
