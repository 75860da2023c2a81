from __future__ import annotations

import json
import re

import pytest

from resources.language_models.scripted import ScriptedModel
from tests.l3_refined.test_refine import documents
from tier_assets.l3_refined.refine import Settings, refine
from tier_assets.l3_refined.task import Ask, Candidate, Passage
from tier_assets.l3_refined.tasks.conversation import CONVERSATION, PROMPT, STYLES

TEXT = (
    "Queen Victoria opened the iron bridge over the Tay at Dundee on 20 June 1887. "
    "The first bridge had been destroyed by a storm in 1879 while a train was crossing it. "
    "Nobody on the train survived the fall."
)
PASSAGE = Passage("d", TEXT, 0, len(TEXT))
ASKED = (
    "Who opened the iron bridge over the Tay?",
    "It was opened by Queen Victoria in 1887.",
    "What happened to the first bridge?",
    "A storm destroyed the first bridge in 1879.",
)


def asked(style: str) -> Ask:
    return next(a for a in CONVERSATION.plan(PASSAGE) if a.style == style)


def reply(style: str, *turns: str) -> str:
    speakers = (STYLES[style].first, STYLES[style].second)
    return json.dumps({"turns": [{"speaker": speakers[i % 2], "text": t} for i, t in enumerate(turns)]})


def parsed(style: str, *turns: str) -> Candidate:
    (candidate,) = CONVERSATION.parse(reply(style, *turns), PASSAGE, asked(style))
    return candidate


def changed(place: int, turn: str) -> tuple[str, ...]:
    return (*ASKED[:place], turn, *ASKED[place + 1 :])


# (turns of an interview, reason against them or None)
INTERVIEWS = (
    (ASKED, None),
    (changed(1, "It was opened by Queen Victoria in 1888."), "new_number"),
    (changed(1, "It was opened at Perth by Queen Victoria."), "new_name"),
    (changed(0, "Who opened the iron bridge at Perth?"), "new_name"),
    (changed(0, "Who opened the 12 iron bridges?"), "new_number"),
    (changed(3, "No storm destroyed the first bridge in 1879."), "negation_changed"),
    (changed(3, "A storm improved iron production and fashion."), "unsupported_claim"),
    (changed(3, "Purple elephants often devour ripe bananas."), "invented_sentence"),
    (changed(2, "Would an elephant like the first bridge?"), None),  # a question states nothing
    (changed(2, "Which elephants did the storm please in the zoo?"), "off_the_question"),
    (changed(0, "When was it opened?"), "dangling_reference"),
    (changed(2, "What does the text say of the first bridge?"), "refers_to_text"),
    (changed(3, "The queen destroyed the fall in 1879."), "rearranged_claim"),
    (("When was the iron bridge over the Tay opened?", "Victoria opened it at Dundee.", *ASKED[2:]), "wrong_answer"),
    (changed(3, "It was opened by queen Victoria in 1887."), "turn_repeated"),
    (changed(3, "..."), "empty_turn"),
    (changed(2, "The first bridge was there."), "not_of_its_style"),
    (changed(3, "What do you think?"), "not_of_its_style"),
    (changed(3, "I'm sorry, but I cannot say more about the bridge."), "refusal"),
    (changed(3, "It says what the text says, in other words, of the bridge."), "prompt_echo"),
)


@pytest.mark.parametrize(("turns", "reason"), INTERVIEWS)
def test_accept_of_interview_gives_the_reason_against_it(turns: tuple[str, ...], reason: str | None) -> None:
    judgement = CONVERSATION.accept(parsed("interview", *turns), PASSAGE)
    found = [r.reason for r in (*judgement.reasons, *judgement.doubts)]
    assert reason in found if reason else found == []


@pytest.mark.parametrize(
    ("second", "reasons"),
    [
        ("But a storm destroyed the first bridge in 1879.", []),
        ("Nobody on the train survived in the first bridge's fall.", []),
        ("A storm destroyed the first bridge in 1879.", ["not_of_its_style"]),
    ],
)
def test_accept_of_debate_asks_for_an_objection(second: str, reasons: list[str]) -> None:
    turns = (
        "Queen Victoria opened the iron bridge over the Tay.",
        second,
        "The iron bridge was opened at Dundee in June 1887.",
        "The storm destroyed the first bridge with a train crossing.",
    )
    found = CONVERSATION.accept(parsed("debate", *turns), PASSAGE).reasons
    assert [r.reason for r in found] == reasons


def test_accept_of_turn_of_all_words_of_the_form_is_cut_off() -> None:
    long = "In 1879 a storm destroyed the first bridge while a train was crossing it and nobody survived."
    assert len(long.split()) == 17
    assert "cut_off" in [r.reason for r in CONVERSATION.accept(parsed("interview", *changed(3, long)), PASSAGE).reasons]
    short = long.replace(" and nobody survived", "")
    assert CONVERSATION.accept(parsed("interview", *changed(3, short)), PASSAGE).level == 1


@pytest.mark.parametrize(
    ("style", "text", "fits"),
    [
        ("interview", "Who opened it?", True),
        ("interview", "It was opened in 1,887.5 (z.B. so).", False),
        ("debate", "It was opened in 1,887.5 (z.B. so).", True),
        ("debate", "Yes. It was, I think, here!", True),
        ("debate", "It is over", False),
        ("debate", "It's...it's...it's.", False),
        ("debate", "w " * 15 + "w.", True),
        ("debate", "w " * 16 + "w.", False),
    ],
)
def test_schema_holds_turns_of_few_words_that_end(style: str, text: str, fits: bool) -> None:
    form = asked(style).json_schema
    assert form is not None
    pattern = form["properties"]["turns"]["prefixItems"][0]["properties"]["text"]["pattern"]
    assert bool(re.match(pattern, text)) is fits


def test_accept_of_passage_cut_into_turns_is_copied() -> None:
    turns = (*(f"{s}." for s in TEXT.rstrip(".").split(". ")), "Nobody on the train survived.")
    found = [r.reason for r in CONVERSATION.accept(parsed("two_professors", *turns), PASSAGE).reasons]
    assert "copied" in found


def test_accept_of_little_talk_tells_too_little() -> None:
    turns = ("Who opened the iron bridge?", "It was Queen Victoria.", "Which bridge?", "The iron bridge.")
    found = [r.reason for r in CONVERSATION.accept(parsed("interview", *turns), PASSAGE).reasons]
    assert found == ["too_little_told"]


def test_plan_of_prose_asks_for_every_style_in_a_form_of_its_own() -> None:
    asks = CONVERSATION.plan(PASSAGE)
    assert [a.style for a in asks] == list(STYLES) == list(PROMPT.styles)
    assert len(STYLES) == 7
    assert all(a.json_schema is not None and STYLES[a.style or ""].second in json.dumps(a.json_schema) for a in asks)
    assert CONVERSATION.prompt.fill(asks[0].fill, asks[0].style).startswith(f"Text:\n{TEXT}\n\nWrite")
    assert CONVERSATION.plan(Passage("d", "Name: a\nPlace: b", 0, 16)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "[]",
        '{"turns": 3}',
        reply("interview", *ASKED[:3]),
        reply("interview", *ASKED, *ASKED[:3]),
        reply("debate", *ASKED),
        '{"turns": [1, 2, 3, 4]}',
        reply("interview", *ASKED).replace("Expert", "Interviewer"),
    ],
)
def test_parse_of_anything_but_turns_of_both_speakers_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|turn"):
        CONVERSATION.parse(wrong, PASSAGE, asked("interview"))


def test_parse_of_odd_turns_drops_the_last_which_nobody_answers() -> None:
    candidate = parsed("interview", *ASKED, "Thank you?")
    assert [m.content for m in candidate.turns] == list(ASKED)


def test_refine_conversation_is_messages_and_text_with_the_names_of_the_speakers() -> None:
    def answer(prompt: str) -> str:
        return reply("teacher_student", *ASKED) if "Student, who asks" in prompt else "{}"

    settings = Settings(num_documents=1, num_passages=1, passage_tokens=128, min_passage_words=5, tasks=(CONVERSATION,))
    found = refine(documents(d=TEXT), ScriptedModel(answer), settings)
    (row,) = found.rows.to_dicts()
    assert (row["style"], row["verification_level"]) == ("teacher_student", 1)
    assert [m["role"] for m in row["messages"]] == ["user", "assistant"] * 2
    assert [m["content"] for m in row["messages"]] == list(ASKED)
    assert row["text"].startswith(f"Student: {ASKED[0]}\nTeacher: {ASKED[1]}\n")
    assert found.verdicts["reason"].to_list() == ["malformed"] * 6
