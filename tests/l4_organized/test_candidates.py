from __future__ import annotations

import pytest

from tier_assets.l4_organized.candidates import MAX_CHARS, MAX_WORDS, RULES, judge, propose

# (sentence, reason against it or None): both sides of every rule
JUDGED = (
    ("Who opened the new bridge in 1878?", "question"),
    ("Queen Victoria opened the new bridge in 1878.", None),
    ("Victoria opened the bridge.", "too_short"),
    ("Victoria opened the new bridge.", None),
    ("狗叫了。", "too_short"),
    ("维多利亚女王在1878年开放了大桥。", None),
    ("In Rome " + "was " * (MAX_WORDS - 3) + "built.", None),
    ("In Rome " + "was " * (MAX_WORDS - 2) + "built.", "too_long"),
    ("The " + "wordwordword" * 40 + " tower was built.", "too_long"),
    ("The bridge over the Tay in Scotland", "fragment"),
    ("The bridge over the Tay was opened…", None),
    ("opened the bridge over the Tay in 1878.", "not_prose"),
    ("The table | has | cells of 3 | numbers.", "not_prose"),
    ("The sum $$ {a} + {b} = {c} $$ is ** 7 ** ((x)).", "not_prose"),
    ("All rights reserved by the Tay Bridge Company in 1878.", "boilerplate"),
    ("Click here to see the bridge that was opened in 1878.", "boilerplate"),
    ("The Tay company reserved all the rights in 1878.", None),
    ("He opened the new bridge over the Tay.", "dangling_start"),
    ("However, Victoria opened the bridge in 1878.", "dangling_start"),
    ("Er eröffnete die neue Brücke im Jahr 1878.", "dangling_start"),
    ("Here Victoria opened the bridge in 1878.", "dangling_start"),
    ("Hereford has opened a new bridge in 1878.", None),
    ("Last year we opened the bridge over the Tay.", "first_or_second_person"),
    ("In 1878 your bridge over the Tay was opened.", "first_or_second_person"),
    ("Im Jahr 1878 haben wir die Brücke gebaut.", "first_or_second_person"),
    ("A bridge of iron over the Tay.", "no_verb"),
    ("A bridge of iron crossed the Tay.", None),
    ("Die Brücke über den Tay wurde 1878 eröffnet.", None),
    ("Мост через реку Тей открыт в 1878 году.", None),
    ("The thing was as it is.", "no_content"),
    ("The iron bridge carried heavy trains north.", None),
)


@pytest.mark.parametrize(("sentence", "reason"), JUDGED)
def test_judge_of_sentence_gives_the_reason_against_it(sentence: str, reason: str | None) -> None:
    found = judge(sentence)
    assert (found[0] if found else None) == reason


def test_rules_are_all_shown_on_both_sides_here() -> None:
    shown = {reason for _, reason in JUDGED}
    assert {rule.reason for rule in RULES} <= shown


def test_judge_of_a_sentence_at_the_character_limit_keeps_it() -> None:
    stem = "Rome was built in many days by "
    assert judge(stem + "x" * (MAX_CHARS - len(stem) - 1) + ".") is None
    assert judge(stem + "x" * (MAX_CHARS - len(stem)) + ".") == ("too_long", f"8 words, {MAX_CHARS + 1} characters")


def test_propose_of_more_sentences_than_wanted_takes_the_weightiest_in_order() -> None:
    text = "It rained. Ada Lovelace met Charles Babbage in 1833. So it goes. The engine weighed 15 tons in London."
    spans = propose(text, 2)
    assert [text[a:b] for a, b in spans] == [
        "Ada Lovelace met Charles Babbage in 1833.",
        "The engine weighed 15 tons in London.",
    ]


def test_propose_of_equal_sentences_takes_the_earlier() -> None:
    assert propose("Rain fell. Snow fell.", 1) == propose("Rain fell.", 1)


def test_propose_of_nothing_is_nothing() -> None:
    assert propose("", 5) == []
