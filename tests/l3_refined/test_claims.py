from __future__ import annotations

import pytest

from tier_assets.l3_refined.claims import nearest, places, unbound

SOURCE = (
    "Iris Dahl founded the harbour museum in 1931 and the maritime library in 1948. "
    "She was succeeded by Jonas Reed. The museum burned down during a storm, and the harbour guild rebuilt it in 1952."
)

# (claim, part of what is wrong with it or None)
CLAIMS = (
    ("Iris Dahl founded the harbour museum in 1931.", None),
    ("Iris Dahl founded the maritime library in 1948.", None),
    ("Iris Dahl founded the maritime library in 1931.", "1931 stands beside museum"),
    ("The harbour guild rebuilt the museum in 1952.", None),
    ("The harbour guild rebuilt the museum in 1931.", "1931 elsewhere"),
    ("The museum burned down during a storm.", None),
    ("The library burned down during a war.", "of its words"),
    ("Iris Dahl was succeeded by Jonas Reed.", None),
    ("Jonas Reed founded the harbour museum in 1931.", "in one sentence"),
    ("Jonas Reed was succeeded by Iris Dahl.", "dahl elsewhere"),
    ("The harbour guild rebuilt the museum in Dahl.", "Dahl elsewhere"),
)


@pytest.mark.parametrize(("claim", "why"), CLAIMS)
def test_unbound_of_claim_says_why_no_place_says_the_same(claim: str, why: str | None) -> None:
    found = unbound(claim, SOURCE)
    assert (why in found and found != "") if why else found == ""


def test_unbound_of_names_in_another_order_and_the_same_voice_is_refused() -> None:
    source = "The painter Iris Dahl was taught by the sculptor Jonas Reed."
    assert unbound("The painter Iris Dahl was taught by the sculptor Jonas Reed.", source) == ""
    assert unbound("The sculptor Jonas Reed taught the painter Iris Dahl.", source) == ""
    assert unbound("The sculptor Jonas Reed was taught by the painter Iris Dahl.", source) == "names in another order"


def test_unbound_of_idle_words_needs_no_support() -> None:
    claim = "Therefore the answer follows: the museum burned down."
    assert unbound(claim, SOURCE) != ""
    assert unbound(claim, SOURCE, idle=frozenset({"therefor", "answ", "follow"})) == ""


def test_places_begin_with_the_first_sentence_alone() -> None:
    assert [(p.sentence, p.context) for p in places("It rose. It fell. It stood.")] == [
        ("It rose.", "It rose."),
        ("It fell.", "It rose. It fell."),
        ("It stood.", "It fell. It stood."),
    ]
    assert places("") == []


def test_nearest_is_the_sentence_with_most_words_of_the_claim() -> None:
    found = nearest("The guild rebuilt the museum.", SOURCE)
    assert found is not None
    assert found.sentence.startswith("The museum burned")
    assert nearest("The guild.", "") is None
