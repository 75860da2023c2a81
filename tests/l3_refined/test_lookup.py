from __future__ import annotations

import json

import pytest

from resources.language_models.scripted import ScriptedModel
from tests.l3_refined.test_refine import documents
from tier_assets.l3_refined.answers import num_times
from tier_assets.l3_refined.refine import Refined, Settings, refine
from tier_assets.l3_refined.tasks import Passage
from tier_assets.l3_refined.tasks.lookup import LOOKUP, agrees

SENTENCE = "Queen Victoria opened the iron bridge over the Tay at Dundee on 20 June 1887."
PASSAGE = f"{SENTENCE} A storm destroyed the first bridge in 1879."

# (question that asks for 20 June 1887, reason against it or None)
QUESTIONS = (
    ("When was the iron bridge over the Tay opened?", None),
    ("When did Queen Victoria open the iron bridge?", None),
    ("When was it?", "not_a_question"),
    ("When was the iron bridge opened", "not_a_question"),
    ("Who opened the iron bridge over the Tay?", "wrong_kind_of_question"),
    ("When was the bridge the bridge the bridge the bridge opened?", "repeats_itself"),
    ("When was it that they were there?", "vague_question"),
    ("When was the iron bridge opened in June?", "answer_in_question"),
    ("When was the iron bridge opened on day 20?", "answer_in_question"),
    ("When was the iron bridge at Perth opened?", "new_name"),
    ("When was the iron bridge opened with 12 trains?", "new_number"),
    ("When was the iron bridge not opened at Dundee?", "negation_changed"),
    ("When was the famous wooden tower opened?", "question_off_answer"),
    ("When was the iron bridge openedAgain at Dundee?", "garbled_word"),
    ("When was the iron bridge opened at the...?", "garbled_word"),
    ("When was the railway line to Dundee opened?", "prompt_echo"),
    ("When did Dundee open Victoria's bridge over the queen?", "rearranged_claim"),
)


def asked(question: str, answer: str = "20 June 1887") -> list[str]:
    passage = Passage("d", PASSAGE, 0, len(PASSAGE))
    ask = next(a for a in LOOKUP.plan(passage) if a.given == "20 June 1887")
    candidate = LOOKUP.parse(json.dumps({"question": question}), passage, ask)[0]
    judgement = LOOKUP.accept(candidate, passage)
    assert judgement.level == (0 if judgement.reasons else 1)
    return [r.reason for r in judgement.reasons]


@pytest.mark.parametrize(("question", "reason"), QUESTIONS)
def test_accept_of_question_gives_the_reason_against_it(question: str, reason: str | None) -> None:
    found = asked(question)
    assert reason in found if reason else found == []


def test_plan_asks_for_the_times_of_a_passage_in_the_form_of_their_kind() -> None:
    passage = Passage("d", PASSAGE, 0, len(PASSAGE))
    asks = LOOKUP.plan(passage)
    assert [a.given for a in asks] == ["20 June 1887", "1879"]
    assert asks[0].json_schema is not None
    assert "When" in asks[0].json_schema["properties"]["question"]["pattern"]
    assert LOOKUP.prompt.fill(asks[0].fill).endswith(f"{SENTENCE}\n20 June 1887 ->")


@pytest.mark.parametrize("reply", ["", "no", "[]", '{"answer": "x"}', '{"question": 3}'])
def test_parse_of_anything_but_a_question_is_refused(reply: str) -> None:
    passage = Passage("d", PASSAGE, 0, len(PASSAGE))
    with pytest.raises(ValueError, match="JSON"):
        LOOKUP.parse(reply, passage, LOOKUP.plan(passage)[0])


@pytest.mark.parametrize(
    ("reply", "same"),
    [
        ("It was opened on 20 June 1887.", True),
        ("20 june 1887", True),
        ("In 1887.", False),
        ("On 120 June 1887", False),
        (SENTENCE, False),
    ],
)
def test_agrees_where_the_second_reply_gives_the_answer(reply: str, same: bool) -> None:
    passage = Passage("d", PASSAGE, 0, len(PASSAGE))
    candidate = LOOKUP.parse('{"question": "When was it opened?"}', passage, LOOKUP.plan(passage)[0])[0]
    assert agrees([reply], candidate) is same


def check_of(text: str, question: str, second: str) -> Refined:
    def answer(prompt: str) -> str:
        return json.dumps({"question": question}) if prompt.endswith("->") else second

    settings = Settings(num_documents=1, num_passages=1, passage_tokens=128, min_passage_words=5, tasks=(LOOKUP,))
    return refine(documents(d=text), ScriptedModel(answer), settings)


@pytest.mark.parametrize(("second", "level"), [("On 20 June 1887.", 3), ("In Perth.", 1), ("!timed_out", 1)])
def test_refine_question_for_a_sole_time_is_at_level_3_where_the_second_reply_agrees(second: str, level: int) -> None:
    found = check_of(f"{SENTENCE} A storm came.", "When was the iron bridge opened?", second)
    row = found.rows.row(0, named=True)
    assert (row["verification_level"], row["style"]) == (level, "time")
    assert row["text"] == "When was the iron bridge opened?\n20 June 1887"


@pytest.mark.parametrize(
    ("second", "reasons"),
    [("Queen Victoria did.", []), ("Perth.", ["second_reply_disagrees"]), ("!empty", ["second_reply_disagrees"])],
)
def test_refine_question_for_a_name_is_kept_only_where_the_second_reply_agrees(second: str, reasons: list[str]) -> None:
    text = "Queen Victoria opened the iron bridge over the Tay at Dundee in the rain."
    found = check_of(text, "Who opened the iron bridge?", second)
    assert found.verdicts["reason"].to_list() == reasons
    assert found.rows["verification_level"].to_list() == ([] if reasons else [3])


@pytest.mark.parametrize(
    ("sentence", "num"),
    [("It came in 1887.", 1), ("It came on 20 June 1887.", 1), ("Built 1885, it fell in 1887.", 2), ("It fell.", 0)],
)
def test_num_times_counts_bare_years_too(sentence: str, num: int) -> None:
    assert num_times(sentence) == num
