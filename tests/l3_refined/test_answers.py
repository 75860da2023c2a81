from __future__ import annotations

import pytest

from tier_assets.l3_refined.answers import answers, stands_alone

# (sentence, what is asked for in it: kind and text, or None)
SENTENCES = (
    ("The line to Dundee was opened on 20 June 1887.", ("time", "20 June 1887")),
    ("The line to Dundee was opened on June 20, 1887.", ("time", "June 20, 1887")),
    ("The line to Dundee was opened in 1887.", ("time", "1887")),
    ("Die Strecke nach Dundee wurde am 20. Juni 1887 eröffnet.", ("time", "20. Juni 1887")),
    ("Die Strecke nach Dundee wurde im Jahr 1887 eröffnet.", ("time", "1887")),
    ("The line to Dundee cost 1887 pounds to build.", None),
    ("The line to Dundee was opened by Queen Victoria.", ("name", "Queen Victoria")),
    ("The Tay Bridge fell down in a storm.", ("name", "Tay Bridge")),
    ("Most trains stop at King's Cross's new hall.", ("name", "King's Cross")),
    ("The line to Dundee was opened by Victoria.", None),
    ("A storm killed 75 people on the bridge.", ("number", "75 people")),
    ("A storm killed 1,075 sheep and twelve dogs there.", ("number", "twelve dogs")),
    ("The price of wool rose by 75 percent.", None),
    ("The storm lasted no longer than two hours.", None),
    ("Was the line opened by Queen Victoria?", None),
    ("He was met by Queen Victoria in Dundee.", None),
    ("Our line was opened by Queen Victoria herself.", None),
    ("Opened by Queen Victoria in Dundee.", ("name", "Queen Victoria")),
    ("By Queen Victoria in 1887.", None),
)


@pytest.mark.parametrize(("sentence", "expected"), SENTENCES)
def test_answers_of_sentence_are_what_can_be_asked_for(sentence: str, expected: tuple[str, str] | None) -> None:
    assert [(a.kind, a.text) for a in answers(sentence, 5)] == ([expected] if expected else [])
    assert all(a.text in a.sentence for a in answers(sentence, 5))


def test_answers_of_passage_are_times_first_and_no_more_than_wanted() -> None:
    passage = (
        "A storm killed 75 people there.\nThe bridge fell down\nagain in 1879. Queen Victoria opened the long bridge."
    )
    found = [a.text for a in answers(passage, 5)]
    assert found == ["1879", "Queen Victoria", "75 people"]
    assert [a.text for a in answers(passage, 2)] == found[:2]
    assert answers(passage, 1)[0].sentence == "The bridge fell down again in 1879."


@pytest.mark.parametrize(
    ("sentence", "alone"),
    [
        ("One two three four five six.", True),
        ("One two three four five.", False),
        ("word " * 39 + "word.", True),
        ("word " * 40 + "word.", False),
        ("There follows a list of all the things:", False),
        ("This was the first of all bridges.", False),
        ("Perhaps it was my first of all bridges.", False),
    ],
)
def test_stands_alone_is_for_sentences_that_need_no_other(sentence: str, alone: bool) -> None:
    assert stands_alone(sentence) is alone
