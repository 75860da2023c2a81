from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms import claims, grounding

SOURCE = (
    "The aim was to see whether the drug lowers blood pressure. "
    "In 120 patients the drug lowered blood pressure by 12 %. "
    "The drug did not change the weight of the patients. Doctors in Brazil saw type II cases for 25.4 weeks."
)


@pytest.mark.parametrize(
    ("output", "missing"),
    [
        ("It fell by 12 %.", []),
        ("It fell by 12 years.", ["12"]),
        ("It fell by A12 %.", ["12"]),
        ("It fell by 12.", []),
        ("It fell by 88 %.", []),  # the rest to 100 %
        ("It fell by 87 %.", ["87"]),
        ("In type 2 cases.", []),
        ("In type 3 cases.", ["3"]),
        ("For about 25 weeks.", []),
        ("For about 26 weeks.", ["26"]),
        ("For 25 weeks.", ["25"]),
        ("It has (1) a cause and (2) an end.", []),
        ("It has (4) a cause.", ["4"]),
        ("In CA125 patients.", ["125"]),
        ("Which two drugs?", []),
        ("There were six drugs.", ["six"]),
        ("Of the two drugs.", []),
    ],
)
def test_missing_numbers_with_units_lists_and_rounding_are_the_new_ones(output: str, missing: list[str]) -> None:
    assert grounding.missing_numbers(output, SOURCE) == missing


@pytest.mark.parametrize(
    ("output", "source", "missing"),
    [
        ("the Brazilian doctors", "doctors in Brazil", []),
        ("the Argentine doctors", "doctors in Brazil", ["Argentine"]),
        ("was Bendigo large", "near Bedigo", []),
        ("was Benalla large", "near Bedigo", ["Benalla"]),
        ("was Maiziere there", "de Maizière sprach", []),
        ("Wie hieß der Vorschlag der Firma?", "Der Plan der Gesellschaft war gut.", []),
        ("Wie hieß der Gandhi der Firma?", "Der Plan der Gesellschaft war gut.", ["Gandhi"]),
        ("Was war der neue Plan von Tesla?", "Der Plan der Gesellschaft war gut.", ["Tesla"]),
        ("Was war der Plan? die neue Straße", "Der Plan der Gesellschaft war gut.", ["Straße"]),
        ("Was war der Plan? die neue Gesellschaft", "Der Plan der Gesellschaft war gut.", []),
        ("Was war der Plan von Kampfpiloten?", "Der Plan der Gesellschaft war gut.", []),
        ("Was war der Gesellschaftsplan?", "Der Plan der Gesellschaft war gut.", []),
    ],
)
def test_missing_names_of_derived_misspelt_and_german_words_are_the_new_names(
    output: str, source: str, missing: list[str]
) -> None:
    assert grounding.missing_names(output, source) == missing


@pytest.mark.parametrize(
    ("output", "changed"),
    [
        ("The drug lowered blood pressure.", False),
        ("The drug did not lower blood pressure.", True),
        ("The drug did not change the weight.", False),
        ("The drug did change the weight of the patients.", True),
        ("How much did the drug lower blood pressure?", False),
        ("How much did the drug not lower blood pressure?", True),
        ("What did the drug not change?", False),
        ("Is blood pressure lowered or not?", False),
        ("Nobody in Spain likes rain.", False),  # about nothing that the source says
    ],
)
def test_negation_changed_of_sentence_is_found_where_the_source_says_otherwise(output: str, changed: bool) -> None:
    assert bool(claims.negation_changed(output, SOURCE)) is changed


@pytest.mark.parametrize(
    ("output", "invented"),
    [
        ("The drug helped patients.", False),
        ("Purple elephants devour ripe bananas daily.", True),
        ("Purple elephants devour bananas.", True),
        ("Elephants devour bananas.", False),  # too short to tell
        ("Further research is needed to confirm these important findings.", False),
        ("What fell? blood pressure", False),
        ("What fell? blood pressure Purple elephants devour ripe bananas", True),
    ],
)
def test_invented_statement_is_one_of_which_the_source_knows_nothing(output: str, invented: bool) -> None:
    assert bool(claims.invented(output, SOURCE)) is invented


def test_negation_changed_of_what_the_source_only_asks_is_no_change() -> None:
    asked = "We wanted to determine whether the drug lowers blood pressure."
    assert claims.negation_changed("The drug does not lower blood pressure.", asked) == ""
    assert claims.negation_changed("The drug does not lower blood pressure.", "The drug lowers blood pressure.")


@pytest.mark.parametrize(("source", "missing"), [("12 or 15 % of them", []), ("12 years, 15 %", ["12"])])
def test_missing_numbers_of_a_list_with_one_unit_are_none(source: str, missing: list[str]) -> None:
    assert grounding.missing_numbers("It was 12 %.", source) == missing


def test_statements_and_questions_part_where_a_question_ends() -> None:
    text = "It rains. Who came? the old man. He left. Why?"
    assert claims.questions(text) == ["Who came?", "Why?"]
    assert claims.statements(text) == ["It rains.", "the old man.", "He left."]


@settings(deadline=None, max_examples=50)
@given(st.text(alphabet="abc NoTt nicht.?!,1IXV%(）", max_size=60))
def test_text_is_no_invention_against_itself(text: str) -> None:
    assert claims.invented(text, text) == ""
    assert grounding.missing_numbers(text, text) == []
