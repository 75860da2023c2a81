from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms import grounding


@pytest.mark.parametrize(
    ("number", "readings"),
    [
        ("12", {"12"}),
        ("007", {"7"}),
        ("3.50", {"3.5"}),
        ("1,5", {"1.5"}),
        ("1,234", {"1234", "1.234"}),
        ("1.234.567", {"1234567"}),
        ("1,234.50", {"1234.5"}),
        ("1.234,50", {"1234.5"}),
        ("1 000 000", {"1000000"}),
        ("1’000", {"1000"}),
        ("٣٤", {"34"}),
        ("３４", {"34"}),
        ("½", {"1/2"}),
    ],
)
def test_number_readings_of_a_written_number_are_what_it_may_mean(number: str, readings: set[str]) -> None:
    assert grounding.number_readings(number) == readings


@pytest.mark.parametrize(
    ("output", "source", "missing"),
    [
        ("in 1990", "in 1990", []),
        ("in 1991", "in 1990", ["1991"]),
        ("1,500 men", "1500 men", []),
        ("1.500 Mann", "1,500 men", []),
        ("seven men", "7 men", []),
        ("7 men", "seven men", []),
        ("eight men", "7 men", ["eight"]),
        ("twenty-one men", "21 men", []),
        ("one man", "he came", []),
        ("3.5 m", "35 m", ["3.5"]),
        ("5 %", "15 %", ["5"]),
        ("zwölf Tage", "12 Tage", []),
    ],
)
def test_missing_numbers_are_those_that_the_source_does_not_give(output: str, source: str, missing: list[str]) -> None:
    assert grounding.missing_numbers(output, source) == missing


@pytest.mark.parametrize(
    ("output", "source", "missing"),
    [
        ("He met Anna.", "Anna came", []),
        ("He met Anna.", "Anne came", ["Anna"]),
        ("He met Anna's son.", "Anna came", []),
        ("in Austria now", "in Australia now", ["Austria"]),
        ("Then he left.", "he left", []),
        ("NASA left.", "they left", ["NASA"]),
        ("of Smith-Jones", "Smith and Jones", []),
        ("für Wien", "WIEN wächst", []),
        ("“The End” came", "the end came", []),
    ],
)
def test_missing_names_are_those_that_the_source_does_not_have(output: str, source: str, missing: list[str]) -> None:
    assert grounding.missing_names(output, source) == missing


@pytest.mark.parametrize(
    ("output", "source", "missing"),
    [
        ('he said "we are here"', "he said: “We are here.”", []),
        ('he said "we are there"', "he said: “We are here.”", ["we are there"]),
        ('the "best" one', "the good one", []),
        ('the "gold standard" here', "the good one", []),
        ("er sagte „wir sind da“", "wir sind da", []),
        ("«ils sont là»", "ils sont partis", ["ils sont là"]),
    ],
)
def test_missing_quotes_are_those_that_the_source_does_not_say(output: str, source: str, missing: list[str]) -> None:
    assert grounding.missing_quotes(output, source) == missing


@pytest.mark.parametrize(
    ("quote", "statement", "reasons"),
    [
        ("The cat sat on the mat in 1990.", "The cat sat on the mat.", []),
        ("The cat sat on the mat in 1990.", "The cat sat in 1991.", ["new_number"]),
        ("The cat sat on the mat.", "The dog sat on the mat.", ["new_word"]),
        ("The cat sat on the mat.", "The cat did not sit on the mat.", ["negation_changed"]),
        ("The cat sat on the mat.", "The cat did not lie on the mat.", ["new_word", "negation_changed"]),
        ("The cat never sat there.", "The cat sat there.", ["negation_changed"]),
        ("In Rome the cat sat.", "The cat sat in Paris.", ["new_name", "new_word"]),
        ("Er sah die Häuser.", "Er sah ein Haus.", ["new_word"]),
        ("They walked home.", "They walk home.", []),
    ],
)
def test_entails_of_statement_names_what_the_quote_does_not_say(quote: str, statement: str, reasons: list[str]) -> None:
    assert grounding.entails(quote, statement) == reasons


def test_support_of_half_known_words_is_a_half() -> None:
    assert grounding.support("the red cat", "a cat") == 0.5
    assert grounding.support("the", "a cat") == 1.0
    assert grounding.support("红猫", "红猫来了") == 1.0


@pytest.mark.parametrize(
    ("text", "refuses"),
    [
        ("I'm sorry, but I cannot do that.", True),
        ("As an AI language model, I do not know.", True),
        ("I am unable to read it.", True),
        ("I can't assist with that.", True),
        ("He was sorry for the delay.", False),
        ("He cannot swim.", False),
    ],
)
def test_is_refusal_of_a_reply_says_whether_a_model_declines(text: str, refuses: bool) -> None:
    assert grounding.is_refusal(text) is refuses


@settings(deadline=None)
@given(st.text(max_size=80))
def test_grounding_of_a_text_in_itself_finds_nothing_missing(text: str) -> None:
    assert grounding.missing_numbers(text, text) == []
    assert grounding.missing_names(text, text) == []
    assert grounding.support(text, text) == 1.0
    assert grounding.entails(text, text) == []
