"""Task qa: a question about a passage, with worked reasoning and a final answer, at four levels of school.

In: a passage. Out: for each level a question that can be understood without the passage, the steps to its answer and
the answer, accepted where question, steps and answer say nothing that the passage does not, and the answer comes out
of the steps. The level is what was asked for, not what was verified.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from algorithms.sentences import sentences
from tier_assets.l3_refined.agreement import consistency, second_solver
from tier_assets.l3_refined.answers import stands_alone
from tier_assets.l3_refined.task import Ask, Candidate, Judgement, Passage, Task, judged, read_prompt
from tier_assets.l3_refined.worked import faults, fields, schema

PROMPT: Final = read_prompt(Path(__file__).with_name("qa.txt"))
MAX_WORDS: Final = {"question": 24, "reasoning": 44, "answer": 10}


def plan(passage: Passage) -> list[Ask]:
    """One ask a level, each about another sentence that stands alone, as far as the passage has them."""
    told = [" ".join(passage.text[a:b].split()) for a, b in sentences(passage.text)]
    alone = [sentence for sentence in told if stands_alone(sentence)]
    if not alone:
        return []
    form = schema(passage.text, MAX_WORDS)
    return [
        Ask((("passage", passage.text), ("sentence", alone[i % len(alone)])), style=level, json_schema=form)
        for i, level in enumerate(PROMPT.styles)
    ]


def parse(reply: str, passage: Passage, ask: Ask) -> list[Candidate]:
    """The question, the reasoning and the answer of a JSON reply.

    Raises:
        ValueError: no JSON object with these three strings.
    """
    question, reasoning, answer = fields(reply, tuple(MAX_WORDS))
    output = f"{reasoning}\nAnswer: {answer}"
    return [Candidate(question, output, f"{question}\n{output}", reply, passage.text, ask.style, answer=answer)]


def accept(candidate: Candidate, passage: Passage) -> Judgement:
    """Level 1 where nothing in question, reasoning and answer goes beyond the passage, and they belong together."""
    reasoning, _, _ = candidate.output.rpartition("\nAnswer: ")
    return judged(faults(candidate.prompt, reasoning, candidate.answer or "", passage.text, PROMPT))


# Samples of the model at level 2, the second solver at level 3: a grounded answer that they do not give keeps level 1.
CHECKS: Final = (consistency(), second_solver())
QA: Final = Task("qa", PROMPT, max_tokens=160, plan=plan, parse=parse, accept=accept, checks=CHECKS)
