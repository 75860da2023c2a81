"""Task exercise: textbook exercises on accepted pieces of knowledge, at three difficulties, with solution and answer.

In: a piece of knowledge and its passage. Out: for each difficulty an exercise on it, accepted under the conditions of
the task qa. Beside them an exercise may set numbers of its own where the solution computes its answer from them by sums
that are right; what the text says then no longer decides, so that the second solver must reach the answer too. The
difficulty is what was asked for, not what was verified.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from algorithms import grounding
from algorithms.arithmetic import derived_numbers
from tier_assets.l3_refined.agreement import consistency, second_solver
from tier_assets.l3_refined.task import Ask, Candidate, Judgement, Passage, Reason, Task, judged, read_prompt
from tier_assets.l3_refined.tasks.knowledge import name_of
from tier_assets.l3_refined.worked import faults, fields, schema

PROMPT: Final = read_prompt(Path(__file__).with_name("exercise.txt"))
MAX_WORDS: Final = {"exercise": 26, "solution": 44, "answer": 10}
# Share of the words of the piece of knowledge that exercise and solution together must have.
MIN_KNOWLEDGE_SHARE: Final = 0.5


def plan(passage: Passage) -> list[Ask]:
    """Nothing: exercises are made from pieces of knowledge."""
    return []


def plan_from(candidate: Candidate, passage: Passage) -> list[Ask]:
    """One ask a difficulty about an accepted piece of knowledge."""
    name, statement = name_of(candidate), candidate.output
    fill = (("passage", passage.text), ("name", name), ("statement", statement))
    form = schema(passage.text, MAX_WORDS)
    return [Ask(fill, name, style=difficulty, json_schema=form) for difficulty in PROMPT.styles]


def parse(reply: str, passage: Passage, ask: Ask) -> list[Candidate]:
    """The exercise, the solution and the answer of a JSON reply; its source is the piece of knowledge.

    Raises:
        ValueError: no JSON object with these three strings.
    """
    exercise, solution, answer = fields(reply, tuple(MAX_WORDS))
    output = f"{solution}\nAnswer: {answer}"
    asked = dict(ask.fill)
    knowledge = f"{asked['name']}: {asked['statement']}"
    return [Candidate(exercise, output, f"{exercise}\n{output}", reply, knowledge, ask.style, answer=answer)]


def accept(candidate: Candidate, passage: Passage) -> Judgement:
    """Level 1 where exercise, solution and answer hold by the passage, or by right sums from the exercise's numbers."""
    exercise, answer = candidate.prompt, candidate.answer or ""
    solution, _, _ = candidate.output.rpartition("\nAnswer: ")
    given = exercise if _computes(exercise, solution, answer, passage.text) else ""
    reasons = faults(exercise, solution, answer, passage.text, PROMPT, given, instructs=True)
    share = grounding.support(candidate.source, candidate.text)
    if share < MIN_KNOWLEDGE_SHARE:
        reasons.append(Reason("off_knowledge", f"{share:.2f} of the statement's words are in the exercise"))
    return judged(reasons)


def _computes(exercise: str, solution: str, answer: str, source: str) -> bool:
    """Whether a solution computes its answer, by sums that are right, from numbers of the source and the exercise."""
    known = [*grounding.numbers(f"{source}\n{exercise}"), *grounding.words(source)]
    derived = derived_numbers(solution, known)
    figures = grounding.numbers(answer)
    return bool(figures) and all(grounding.number_readings(n) & derived for n in figures)


def sets_numbers(candidate: Candidate) -> bool:
    """Whether an exercise has numbers that its piece of knowledge has not."""
    return bool(grounding.missing_numbers(candidate.prompt, candidate.source))


CHECKS: Final = (consistency(), second_solver(needed=sets_numbers))
EXERCISE: Final = Task(
    "exercise", PROMPT, 160, plan, parse, accept, checks=CHECKS, after="knowledge", plan_from=plan_from
)
