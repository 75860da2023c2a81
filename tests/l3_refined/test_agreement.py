from __future__ import annotations

import json

import pytest

from tier_assets.l3_refined.agreement import SOLVE, SOLVE_AGAIN, consistency, consistent, gives, second_solver
from tier_assets.l3_refined.task import Candidate, Passage

PASSAGE = Passage("d1", "Ada sold 48 clips in April and half as many in May. The fair was opened by the queen.", 0, 86)
CANDIDATE = Candidate("How many clips did Ada sell in all?", "", "", "", PASSAGE.text, answer="72")


def solved(answer: str) -> str:
    return json.dumps({"reasoning": "48 + 24 = 72", "answer": answer})


@pytest.mark.parametrize(
    ("reply", "answer", "agrees"),
    [
        (solved("72"), "72", True),
        (solved("72 clips"), "72", True),
        (solved("24"), "72", False),
        (solved("0.5"), "1/2", True),
        (solved("1 + x"), "x + 1", True),
        ("First 48 / 2 = 24, then 48 + 24 = 72.", "72", True),
        ("First 48 + 24 = 72, then 24 / 2 = 12.", "72", False),
        ("The fair was opened by the queen.", "Queen", True),
        ("The fair was not opened by the queen.", "the queen", False),
        ("It was the mayor.", "the queen", False),
        ("On 20 June 1887 it was opened.", "20 June 1887", True),
        ("On 21 June 1887 it was opened.", "20 June 1887", False),
        ("In the year 1887.", "1887", True),
        (solved("50 km"), "50%", False),
        ("It fell to -5 degrees.", "5", False),
        (PASSAGE.text, "the queen", False),
        (solved("not said"), "72", False),
        ('{"reasoning": "none"}', "72", False),
        ("", "72", False),
        (solved(""), "", False),
    ],
)
def test_reply_gives_an_answer_by_value_or_by_its_words(reply: str, answer: str, agrees: bool) -> None:
    assert gives(reply, answer) is agrees


@pytest.mark.parametrize(("right", "holds"), [(4, True), (3, True), (2, False), (0, False)])
def test_consistent_samples_are_more_than_half(right: int, holds: bool) -> None:
    assert consistent([solved("72")] * right + [solved("24")] * (4 - right), "72") is holds


def test_consistent_without_samples_is_false() -> None:
    assert not consistent([], "72")


def test_consistency_asks_for_samples_with_the_passage_first() -> None:
    check = consistency(num_samples=4)
    ask = check.ask(CANDIDATE, PASSAGE)
    assert ask is not None
    prompt = check.prompt.fill(ask.fill)
    assert prompt.startswith(f"\nText:\n{PASSAGE.text}\n\n") or prompt.startswith(f"Text:\n{PASSAGE.text}\n\n")
    assert CANDIDATE.prompt in prompt
    assert (check.level, check.num_samples, check.temperature > 0) == (2, 4, True)


def test_consistency_counts_a_sample_that_failed_as_no_agreement() -> None:
    check = consistency(num_samples=4)
    assert check.agrees([solved("72")] * 3, CANDIDATE)
    assert not check.agrees([solved("72")] * 2, CANDIDATE)


def test_second_solver_asks_another_prompt_of_the_other_model() -> None:
    check = second_solver()
    assert (check.level, check.by_other, check.num_samples, check.temperature) == (3, True, 1, 0.0)
    assert SOLVE.user != SOLVE_AGAIN.user
    assert SOLVE.system == SOLVE_AGAIN.system
    assert check.agrees([json.dumps({"evidence": "48 clips", "answer": "72"})], CANDIDATE)
    assert not check.agrees([json.dumps({"evidence": "48 clips", "answer": "not said"})], CANDIDATE)


def test_checks_of_a_candidate_without_answer_do_not_apply() -> None:
    no_answer = Candidate("How many?", "", "", "", PASSAGE.text)
    assert consistency().ask(no_answer, PASSAGE) is None
    assert second_solver().ask(no_answer, PASSAGE) is None
    assert not consistency().needed(CANDIDATE)
