"""Do other replies give the same answer? Samples of the model (level 2) and a second solver (level 3).

In: a candidate with an `answer`. Out: what to ask about it, and whether the replies agree with it. Self-consistency:
https://arxiv.org/abs/2203.11171; the answer that most of several sampled reasonings reach is more often right than any
one of them.
Where we differ: the paper takes the answer with the most votes; here the answer is the candidate's, and more than half
of the samples must reach it. The second solver gets another prompt, and with `by_other` another model, reads the
passage afresh and never sees the candidate's reasoning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from algorithms import grounding
from algorithms.answer_equivalence import equivalent, final_answer
from tier_assets.l3_refined.task import Ask, Candidate, Check, Passage, Prompt, never, read_prompt
from tier_assets.l3_refined.worked import schema

SOLVE: Final = read_prompt(Path(__file__).parent / "tasks" / "solve.txt")
SOLVE_AGAIN: Final = read_prompt(Path(__file__).parent / "tasks" / "solve_again.txt")
# What a reply holds, and how many words of each.
SOLVE_WORDS: Final = {"reasoning": 80, "answer": 12}
SOLVE_AGAIN_WORDS: Final = {"evidence": 40, "answer": 12}
NUM_SAMPLES: Final = 4
TEMPERATURE: Final = 0.7  # the paper's, for most of its models
# More than this share of the samples: of four, three.
MIN_SHARE: Final = 0.5
# Words beside the answer in a reply that still gives it, and not merely the passage again.
MAX_WORDS_AROUND: Final = 12

_SIGNED: Final = re.compile(r"(?:(?<![\w)])[-−])?\d+(?:[.,:/]\d+)*")
_PERCENT: Final = re.compile(r"%|\bper ?cent\b|\bProzent\b")


def consistency(
    prompt: Prompt = SOLVE, num_samples: int = NUM_SAMPLES, needed: Callable[[Candidate], bool] = never
) -> Check:
    """Level 2: of `num_samples` solutions sampled from `prompt` (places {passage}, {question}), most reach the answer.

    Where `needed`, a candidate that they do not reach is rejected as `samples_disagree`.
    """

    def ask(candidate: Candidate, passage: Passage) -> Ask | None:
        return _ask(candidate, passage, SOLVE_WORDS)

    def agrees(replies: Sequence[str], candidate: Candidate) -> bool:
        # A sample that failed is one that does not agree.
        return consistent([*replies, *[""] * (num_samples - len(replies))], candidate.answer or "")

    return Check(2, prompt, 160, ask, agrees, needed, "samples_disagree", num_samples, TEMPERATURE)


def second_solver(
    prompt: Prompt = SOLVE_AGAIN, by_other: bool = True, needed: Callable[[Candidate], bool] = never
) -> Check:
    """Level 3: another `prompt`, and with `by_other` the checking model where the lake has one, gives the same answer.

    Where `needed`, a candidate with another answer is rejected as `second_solver_disagrees`.
    """

    def ask(candidate: Candidate, passage: Passage) -> Ask | None:
        return _ask(candidate, passage, SOLVE_AGAIN_WORDS)

    def agrees(replies: Sequence[str], candidate: Candidate) -> bool:
        return all(gives(reply, candidate.answer or "") for reply in replies)

    return Check(3, prompt, 96, ask, agrees, needed, "second_solver_disagrees", by_other=by_other)


def _ask(candidate: Candidate, passage: Passage, max_words: Mapping[str, int]) -> Ask | None:
    if not candidate.answer:
        return None
    fill = (("passage", passage.text), ("question", candidate.prompt))
    return Ask(fill, candidate.answer, json_schema=schema(passage.text, max_words))


def consistent(replies: Sequence[str], answer: str, min_share: float = MIN_SHARE) -> bool:
    """Whether more than `min_share` of the replies give `answer`; without replies they do not."""
    return sum(gives(reply, answer) for reply in replies) > min_share * len(replies)


def gives(reply: str, answer: str) -> bool:
    """Whether `reply` gives `answer`: the same value, or its words and numbers in a few words more.

    >>> gives('{"reasoning": "3 + 4 = 7", "answer": "7 eggs"}', "7"), gives("The queen opened it.", "the Queen")
    (True, True)
    """
    return bool(answer.strip()) and any(equivalent(said, answer) or _says(said, answer) for said in stated(reply))


def _says(said: str, answer: str) -> bool:
    """Whether `answer` stands in `said`, with no other number, no other negation and few other words."""
    for what in (_SIGNED.findall, grounding.num_negations, _PERCENT.findall):
        if what(said) != what(answer):
            return False
    wanted, found = _telling(answer), grounding.words(said)
    if len(found) > len(wanted) + MAX_WORDS_AROUND or not (wanted or grounding.numbers(answer)):
        return False
    return f" {' '.join(wanted)} " in f" {' '.join(_telling(said))} "


def _telling(text: str) -> list[str]:
    """Its words, those that carry no meaning left out where others remain."""
    words = grounding.words(text)
    return [w for w in words if w not in grounding.STOPWORDS] or words


def stated(reply: str) -> list[str]:
    """What `reply` may state as its answer: the `answer` of JSON; of plain words the final answer and the last line."""
    try:
        fields = json.loads(reply)
    except json.JSONDecodeError:
        fields = None
    if isinstance(fields, dict):
        return [fields["answer"]] if isinstance(fields.get("answer"), str) else []
    lines = [line.strip() for line in reply.splitlines() if line.strip()]
    return [said for said in (final_answer(reply), *lines[-1:]) if said is not None]
