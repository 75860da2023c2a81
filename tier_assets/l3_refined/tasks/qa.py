"""Task qa: the model asks a question about a passage and answers it with words of the passage.

In: a passage. Out: one question with its answer, accepted where the answer stands in the passage, the question is
about the sentence that answers it, and the kind of answer fits the question's first word.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from algorithms import grounding
from algorithms.sentences import sentences
from tier_assets.l3_refined.tasks.task import Candidate, Judgement, Passage, Reason, Task, judged, read_prompt
from tier_assets.l3_refined.verify import echo, ungrounded

PROMPT: Final = read_prompt(Path(__file__).with_name("qa.txt"))
MAX_ANSWER_WORDS: Final = 25
MIN_QUESTION_WORDS: Final = 4
# Share of the question's content words that the answering sentence and its neighbours must have: the rest is the
# question's own ("name", "happen"). Chosen on 70 replies of the bundled model read by eye.
QUESTION_SUPPORT: Final = 0.6
_OPENINGS: Final = "What|Who|When|Where|Which|Why|How|Was|Wer|Wann|Wo|Wie|Warum|Welche|Welcher|Welches"
SCHEMA: Final = {
    "type": "object",
    "properties": {
        "answer": {"type": "string", "minLength": 1, "maxLength": 100},
        # A grammar can hold the form of a question; the sense is judged below. The bound is on words because xgrammar
        # 0.2 refuses long counts of characters ({8,140}).
        "question": {"type": "string", "pattern": rf'^({_OPENINGS})( [^ ?"\\\n]+){{3,18}}\?$'},
    },
    "required": ["answer", "question"],
    "additionalProperties": False,
}
_HAS_DIGIT = re.compile(r"\d")
_TIME = re.compile(
    r"\d|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day|\b(?:january|february|march|april|may|june|july|august|september"
    r"|october|november|december|morning|evening|night|today|yesterday|tomorrow|week|month|year|day|century|ago|before"
    r"|after|during|januar|februar|märz|mai|juni|juli|oktober|dezember|montag|dienstag|mittwoch|donnerstag|freitag"
    r"|samstag|sonntag|jahr|woche|tag|heute|gestern|morgen)",
    re.IGNORECASE,
)
_KINDS: Final = (
    (re.compile(r"(?:how (?:many|much|old|tall|long|far)|wie ?viele?|wie (?:alt|hoch|lange))\b"), "a number"),
    (re.compile(r"(?:when|wann|(?:in|on|at) (?:what|which) (?:year|month|day|date|century)|what year)\b"), "a time"),
    (re.compile(r"(?:who|whom|wer|wem|wen|where|wo|woher)\b"), "a name"),
)


def parse(reply: str, passage: Passage) -> list[Candidate]:
    """The question and answer in a JSON reply.

    Raises:
        ValueError: no JSON object with two strings `question` and `answer`.
    """
    try:
        fields = json.loads(reply)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(fields, dict) or not all(isinstance(fields.get(k), str) for k in ("question", "answer")):
        raise ValueError("JSON without the strings 'question' and 'answer'")
    question, answer = (" ".join(fields[k].split()) for k in ("question", "answer"))
    return [Candidate(prompt=question, output=answer, text=f"{question}\n{answer}", reply=reply)]


def accept(candidate: Candidate, passage: Passage) -> Judgement:
    """Level 1 where question and answer are grounded in the passage and belong together."""
    question, answer = candidate.prompt, candidate.output
    reasons = _form(question, answer)
    reasons += ungrounded(answer, passage.text)
    known = {r.reason for r in reasons}
    reasons += [r for r in ungrounded(question, passage.text) if r.reason not in known]
    reasons += echo(f"{question}\n{answer}", PROMPT, passage.text)
    reasons += _belong_together(question, answer, passage.text)
    return judged(reasons)


def _form(question: str, answer: str) -> list[Reason]:
    reasons = []
    if not question.endswith(("?", "？", "؟")) or len(question.split()) < MIN_QUESTION_WORDS:
        reasons.append(Reason("not_a_question", question))
    if len(answer.split()) > MAX_ANSWER_WORDS:
        reasons.append(Reason("answer_too_long", f"{len(answer.split())} words"))
    if answer and _inside(grounding.fold(answer).strip(" .!?"), grounding.fold(question)):
        reasons.append(Reason("answer_in_question", answer))
    if not grounding.content_stems(answer) and not grounding.numbers(answer):
        reasons.append(Reason("answer_says_nothing", answer))
    for pattern, kind in _KINDS:
        if pattern.match(question.lower()) and not _is_kind(answer, kind):
            reasons.append(Reason("wrong_kind_of_answer", f"{question.split()[0]} asks for {kind}"))
            break
    return reasons


def _is_kind(answer: str, kind: str) -> bool:
    if kind == "a number":
        return bool(_HAS_DIGIT.search(answer)) or grounding.has_number_word(answer)
    if kind == "a time":
        return bool(_TIME.search(answer))
    return any(w[:1].isupper() for w in answer.split()) or not answer.isascii()


def _inside(needle: str, text: str) -> bool:
    """Whether `needle` stands in `text` as whole words (as characters in scripts without spaces)."""
    found = text.find(needle) if needle else -1
    while found >= 0:
        before, after = text[found - 1 : found] if found else "", text[found + len(needle) : found + len(needle) + 1]
        if not ((needle[0].isascii() and before.isalnum()) or (needle[-1].isascii() and after.isalnum())):
            return True
        found = text.find(needle, found + 1)
    return False


def _belong_together(question: str, answer: str, source: str) -> list[Reason]:
    """The answer stands in the passage, and a sentence that has it also has the question's words."""
    needle = grounding.fold(answer).strip(" .,;:!?\"'")
    if not _inside(needle, grounding.fold(source)):
        return [Reason("answer_not_in_source", answer)]
    spans = sentences(source)
    best = 0.0
    for i, (start, end) in enumerate(spans):
        # The neighbour before may hold the antecedent; an answer across a sentence end is found with it.
        near = source[spans[max(0, i - 1)].start : end]
        if _inside(needle, grounding.fold(source[start:end])) or _inside(needle, grounding.fold(near)):
            best = max(best, grounding.support(question, near))
    if best < QUESTION_SUPPORT:
        return [Reason("question_off_answer", f"{best:.2f} of its words are where the answer stands")]
    return []


QA: Final = Task("qa", PROMPT, SCHEMA, max_tokens=80, parse=parse, accept=accept)
