from __future__ import annotations

import pytest

from tier_assets.l3_refined.self_contained import mentions_text, unclear

# (question, language, reason or None): both sides of every rule
QUESTIONS = (
    ("What does the text say about tides?", "en", "refers_to_text"),
    ("According to the passage, what causes tides?", "en", "refers_to_text"),
    ("What is described in the example above?", "en", "refers_to_text"),
    ("What causes tides in the ocean?", "en", None),
    ("What does the text editor highlight in Python files?", "en", "refers_to_text"),  # lost, and rightly cheap
    ("Was steht laut dem Abschnitt über Gezeiten?", "de", "refers_to_text"),
    ("Wodurch entstehen Gezeiten im Meer?", "de", None),
    ("Que dit le texte sur les marées ?", "fr", "refers_to_text"),
    ("Quelle est la cause des marées océaniques ?", "fr", None),
    ("¿Qué dice el texto sobre las mareas?", "es", "refers_to_text"),
    ("¿Qué causa las mareas del océano?", "es", None),
    ("根据本文，潮汐的原因是什么？", "zh", "refers_to_text"),
    ("Why did he leave the harbour?", "en", "dangling_reference"),
    ("Why did Jonas Reed leave his harbour office?", "en", None),
    ("What is the purpose of its handler?", "en", "dangling_reference"),
    ("Why does a boiler need its safety valve?", "en", None),
    ("What does this command return?", "en", "dangling_reference"),
    ("What do we call a ring without unit?", "en", "dangling_reference"),
    ("Is it possible to nest generator expressions?", "en", None),
    ("Warum gibt es zwei Gezeiten am Tag?", "de", None),
    ("Warum wurde sie geschlossen?", "de", "dangling_reference"),
    ("Why did the president resign?", "en", "unclear_subject"),
    ("Why did President Reed resign from the party?", "en", None),
    ("Wann wurde die Stadt gegründet?", "de", "unclear_subject"),
    ("Wann wurde in der Stadt Bad Ems ein Bahnhof gebaut?", "de", None),
)


@pytest.mark.parametrize(("question", "language", "reason"), QUESTIONS)
def test_unclear_of_question_names_what_its_reader_cannot_know(
    question: str, language: str, reason: str | None
) -> None:
    assert [r.reason for r in unclear(question, language)] == ([reason] if reason else [])


def test_mentions_text_of_reasoning_gives_the_words() -> None:
    assert [r.detail for r in mentions_text("As this passage says, tides rise.")] == ["this passage"]
    assert mentions_text("The tides rise twice a day.") == []
