from __future__ import annotations

import pytest

from algorithms import answer_kinds
from algorithms.answer_fit import FEATURES, WEIGHTS, features, score

SOURCE = (
    "Queen Victoria opened the bridge over the Tay in 1878. The bridge fell in December 1879, when 75 people were on a "
    "train from Dundee. Sir Thomas Bouch, who had built it, died in the next year."
)


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        ("Who opened the bridge over the Tay?", "Queen Victoria", "Sir Thomas Bouch"),
        ("When did the bridge fall?", "December 1879", "1878"),
        ("How many people were on the train?", "75", "1878"),
        ("Who had built it?", "Sir Thomas Bouch", "Queen Victoria"),
    ],
)
def test_score_of_another_questions_answer_is_lower(question: str, right: str, wrong: str) -> None:
    assert 0 < score(question, wrong, SOURCE) < score(question, right, SOURCE) < 1


def test_score_of_chinese_answer_near_the_questions_words_is_higher() -> None:
    source = "维多利亚女王于一八七八年开通了大桥。托马斯爵士建造了灯塔。"
    assert score("谁开通了大桥?", "维多利亚女王", source) > score("谁开通了大桥?", "托马斯爵士", source)


def test_features_are_as_many_as_weights_for_any_answer() -> None:
    assert len(FEATURES) == len(WEIGHTS)
    for answer in ("", "?", "not there at all", "İstanbul"):
        assert len(features("Who?", answer, SOURCE)) == len(FEATURES)


@pytest.mark.parametrize(
    ("question", "kinds"),
    [
        ("When did it fall?", {"time"}),
        ("In welchem Jahr fiel sie?", {"time"}),
        ("¿Cuántos murieron?", {"number"}),
        ("有多少人?", {"number"}),
        ("Wer baute sie?", {"name"}),
        ("What fell?", set()),
    ],
)
def test_asked_of_question_is_the_kind_that_its_form_names(question: str, kinds: set[str]) -> None:
    assert answer_kinds.asked(question) == kinds


@pytest.mark.parametrize(
    ("answer", "kinds"),
    [
        ("1878", {"time", "number"}),
        ("Queen Victoria", {"name"}),
        ("in spring", {"time", "name"}),
        ("seven men", {"number", "name"}),
    ],
)
def test_kinds_of_answer_are_what_it_can_pass_for(answer: str, kinds: set[str]) -> None:
    assert answer_kinds.kinds(answer) == kinds
