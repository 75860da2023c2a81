from __future__ import annotations

import pytest

from algorithms import turned_claims
from algorithms.turned_claims import FEATURES, WEIGHTS, features, misplaced_numbers, score

SOURCE = (
    "Mortality was significantly lower in the surgery group of 48 patients (p<0.01). "
    "Costs did not differ between the groups. Pain increased in 12 patients of the control group."
)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("Mortality was lower after surgery.", "Mortality was higher after surgery."),
        ("Pain increased in the control group.", "Pain decreased in the control group."),
        ("Surgery has an effect on mortality.", "Surgery has not an effect on mortality."),
        ("There were 48 patients in the surgery group.", "There were 12 patients in the surgery group."),
    ],
)
def test_score_of_turned_claim_is_lower(right: str, wrong: str) -> None:
    assert 0 < score(wrong, SOURCE) < score(right, SOURCE) < 1


def test_features_are_as_many_as_weights_and_zero_of_nothing() -> None:
    assert len(FEATURES) == len(WEIGHTS) == len(features("It rains.", SOURCE))
    assert features("", "") == (0.0,) * len(FEATURES)


@pytest.mark.parametrize(
    ("output", "misplaced"),
    [
        ("In the surgery group there were 48 patients in all.", []),
        ("Cheap hospitals were built for 48 elephants near rivers.", ["48"]),
        ("So 48 = 4 * 12 elephants near rivers live there.", []),
        ("48 elephants", []),
        ("built for 48 of the old elephants", []),  # too few words to tell
        ("What was built? Cheap hospitals for 48 elephants near rivers.", []),
        ("Cheap hospitals were built for 77 elephants near rivers.", []),  # that is for `missing_numbers`
    ],
)
def test_misplaced_number_stands_beside_no_word_of_its_place_in_the_source(output: str, misplaced: list[str]) -> None:
    assert misplaced_numbers(output, SOURCE) == misplaced


def test_opposites_go_both_ways() -> None:
    for word, others in turned_claims._OPPOSITES.items():
        assert all(word in turned_claims._OPPOSITES[other] for other in others)
