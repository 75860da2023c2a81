"""Worked answers: a question, the steps to its answer, the answer. What the tasks that teach have in common.

In: a model's JSON reply of strings; a question with its reasoning and answer, and the source they are about. Out: the
strings; what speaks against the worked answer. Beyond the gate (`verify`) it asks that the question can be understood
alone, that it is about what the source says where the answer stands, that the answer comes out of the reasoning, and
that no step says more than a sentence of the source or a sum that is right.
Cost: about 4 ms a record; no model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from algorithms import grounding
from algorithms.arithmetic import equations
from algorithms.sentences import sentences
from algorithms.word_lists import word_set
from tier_assets.l3_refined.claims import nearest, unbound
from tier_assets.l3_refined.self_contained import ASKING_WORDS, mentions_text, unclear
from tier_assets.l3_refined.task import JsonSchema, Prompt, Reason, json_object
from tier_assets.l3_refined.verify import copied, echo, language, ungrounded, wrong_answer

MIN_QUESTION_WORDS: Final = 4
MIN_CONTENT_WORDS: Final = 2
MIN_REASONING_WORDS: Final = 6
MIN_STATEMENT_WORDS: Final = 5
MAX_ANSWER_WORDS: Final = 15
# Strings of a reply that are sentences: their fewest words, and how they end.
SENTENCES: Final = {
    "question": (MIN_QUESTION_WORDS, "?"),
    "exercise": (MIN_QUESTION_WORDS, ".?"),
    "reasoning": (MIN_REASONING_WORDS, "."),
    "solution": (MIN_REASONING_WORDS, "."),
    "statement": (MIN_STATEMENT_WORDS, "."),
}
# What an exercise begins with that is no question.
INSTRUCTIONS: Final = word_set(
    "compute calculate find determine show prove explain state name describe define write give list solve decide "
    "berechne berechnen bestimme bestimmen zeige zeigen erkläre erklären nenne nennen beschreibe beschreiben "
    "calculez calculer déterminez trouvez montrez expliquez décrivez citez énoncez calcule calcular determine "
    "demuestre explique describa enuncie halle"
)
# Latin scripts have one space in six characters, tables and code fewer; scripts without spaces next to none.
MIN_SPACES: Final = 0.05
# Shares of a question's content words: in the sentences where the answer comes from, and beside it either with the
# sentences before them or in the whole source.
QUESTION_SUPPORT_HERE: Final = 0.5
QUESTION_SUPPORT: Final = 0.7
QUESTION_SUPPORT_ANYWHERE: Final = 0.9
# Share of an answer's content words that its reasoning may leave out.
MAX_UNSAID_SHARE: Final = 0.4
_YEAR: Final = re.compile(r"\b(?:1\d|20)\d\d\b")
_FIGURES: Final = re.compile(r"\d+(?:[.,]\d+)*")
# A number, or a word of code.
_SPECIFIC: Final = re.compile(r"\d|`|\w_\w|\w\(|\w\.\w|[^\W\d_]\w*[A-Z]")
# "inBlood", "10.0mln", "a,b", "</": what a small model writes when the grammar keeps it from stopping.
_GARBLED: Final = re.compile(r"[a-zäöüß][A-ZÄÖÜ]|\d[a-zäöüß]{3,}|[a-zäöüß],[a-zäöüß]|\.\.|</|[?!.,]{2}|_{2}")
_REASONING_WORDS: Final = word_set(
    "answer because since therefore thus hence follows follow means mean so first second third then next finally step "
    "know need find question asks difference add adding subtract multiply divide total sum equals equal gives get "
    "result makes antwort weil daher also deshalb folgt folglich bedeutet zuerst dann schließlich schritt frage "
    "gesucht ergibt réponse parce donc ainsi suit signifie abord ensuite enfin question cherche respuesta porque "
    "entonces luego significa primero después finalmente pregunta"
)


def schema(source: str, max_words: Mapping[str, int]) -> JsonSchema:
    r"""The form of a reply: an object of strings, each of at most so many words; SENTENCES have an end and a least.

    Only its tokens bound a reply where words are no measure: a source with backslashes (LaTeX, paths) needs them in its
    replies, and xgrammar 0.2 lets no string with a pattern escape one; other scripts write no spaces.
    """
    by_words = "\\" not in source and source.count(" ") >= MIN_SPACES * len(source)
    # A small model that sees JSON writes templates; where the source has no braces, no reply needs them.
    barred = "" if "{" in source else "{}"
    strings = {name: {"type": "string", "pattern": _pattern(name, most, barred)} for name, most in max_words.items()}
    return {
        "type": "object",
        "properties": strings if by_words else {name: {"type": "string"} for name in max_words},
        "required": list(max_words),
        "additionalProperties": False,
    }


def _pattern(name: str, max_words: int, barred: str) -> str:
    """Words of up to 32 characters: without that bound a small model joins its words to one that never ends."""
    min_words, end = SENTENCES.get(name, (1, ""))
    character = rf'[^ "\\\n{barred}{"?" if end == "?" else ""}]'
    word = f"{character}{{1,32}}"
    first = f"[^ a-z{character[3:]}{character}{{0,31}}" if end else word
    return f"^{first}( {word}){{{min_words - 1},{max_words - 1}}}{f'[{end}]' if end else ''}$"


def fields(reply: str, names: Sequence[str]) -> tuple[str, ...]:
    """The strings of a JSON reply, white space single.

    Raises:
        ValueError: no JSON object, or one of `names` is no string in it or blank.
    """
    found = json_object(reply)
    for name in names:
        if not isinstance(found.get(name), str) or not found[name].strip():
            raise ValueError(f"JSON without a string {name!r}")
    return tuple(" ".join(found[name].split()) for name in names)


def faults(
    question: str, reasoning: str, answer: str, source: str, prompt: Prompt, given: str = "", instructs: bool = False
) -> list[Reason]:
    """All that speaks against a question about `source`, its worked answer, and the two together.

    `given` is the question again where it may set numbers of its own; where it `instructs`, it may be no question.
    """
    reasons = question_faults(question, source, given, instructs)
    reasons += _steps(question, reasoning, answer, source, given)
    reasons += _answer(question, reasoning, answer, f"{source}\n{given}")
    if not any(r.reason in ("answer_not_in_source", "answer_not_in_reasoning") for r in reasons):
        reasons += _together(question, reasoning, source)
    reasons += echo(f"{question}\n{reasoning}\n{answer}", prompt, source)
    return list({r.reason: r for r in reversed(reasons)}.values())[::-1]


def question_faults(question: str, source: str, given: str = "", instructs: bool = False) -> list[Reason]:
    """What speaks against a question by itself: its form, its words, what it takes for known."""
    reasons = []
    found = grounding.words(question)
    asks = question.endswith(("?", "？")) or (instructs and bool(INSTRUCTIONS & set(found)))
    if not asks or len(found) < MIN_QUESTION_WORDS:
        reasons.append(Reason("not_a_question", question))
    if len(set(found)) < 0.7 * len(found):
        reasons.append(Reason("repeats_itself", question))
    if len(_asked_stems(question)) < MIN_CONTENT_WORDS:
        reasons.append(Reason("vague_question", question))
    tongue = language(source)[0]
    reasons += garbled(question, source) + unclear(question, tongue)
    # German writes every noun like a name; there the question's nouns are weighed with its other words.
    exempt = {"new_name"} if tongue == "de" else set()
    exempt |= {"new_number", "misplaced_number"} if given else set()
    return reasons + [r for r in ungrounded(question, source) if r.reason not in exempt]


def garbled(text: str, source: str) -> list[Reason]:
    """The reason `garbled_word` where `text` has words that no language has and the source does not."""
    found = [w for w in text.split() if _GARBLED.search(w) and w.removesuffix(".").strip("?,;:!()'\"") not in source]
    return [Reason("garbled_word", ", ".join(found))] if found else []


def repeats(text: str) -> list[Reason]:
    """The reason `repeats_itself` where four words in a row come twice."""
    found = grounding.words(text)
    runs = [tuple(found[i : i + 4]) for i in range(len(found) - 3)]
    again = next((run for i, run in enumerate(runs) if run in runs[:i]), None)
    return [Reason("repeats_itself", " ".join(again))] if again else []


def _steps(question: str, reasoning: str, answer: str, source: str, given: str) -> list[Reason]:
    """What speaks against the reasoning."""
    reasons = mentions_text(f"{reasoning}\n{answer}") + garbled(f"{reasoning} {answer}", source) + repeats(reasoning)
    reasons += ungrounded(f"{reasoning}\n{answer}", f"{source}\n{given}")
    reasons += copied(f"{question}\n{reasoning}\n{answer}", source)
    wrong = [e.text for e in equations(f"{reasoning}\n{answer}") if not e.holds]
    if wrong:
        reasons.append(Reason("wrong_arithmetic", ", ".join(wrong)))
    if len(grounding.words(reasoning)) < MIN_REASONING_WORDS or "?" in reasoning:
        reasons.append(Reason("no_reasoning", reasoning))
    for start, end in sentences(reasoning):
        step = reasoning[start:end]
        # A sum is right or wrong by itself; what else the step says needs its place.
        idle = (
            _IDLE | _UNITS | set(grounding.content_stems(question)) if any(e.holds for e in equations(step)) else _IDLE
        )
        if idle is not _IDLE and all(w in idle for w in grounding.content_stems(step)):
            continue
        why = unbound(_FIGURES.sub(" ", step) if given else step, source, idle)
        if why:
            reasons.append(Reason("step_not_in_source", f"{why}: {step[:80]}"))
            break
    return reasons


def _answer(question: str, reasoning: str, answer: str, source: str) -> list[Reason]:
    """What speaks against the answer by itself, and as what comes out of the reasoning."""
    reasons = []
    if len(answer.split()) > MAX_ANSWER_WORDS:
        reasons.append(Reason("long_answer", answer))
    stems, figures = grounding.content_stems(answer), grounding.numbers(answer)
    if not stems and not figures and not grounding.has_number_word(answer):
        return [*reasons, Reason("answer_not_in_source", answer)]
    asked = set(grounding.content_stems(question))
    # The unit of a number may be the question's, or what its sum is counted in.
    units = asked | _UNITS if figures else set()
    known = set(grounding.content_stems(source)) | units
    foreign = [w for w in stems if w not in known]
    if foreign:
        reasons.append(Reason("answer_not_in_source", ", ".join(foreign)))
    said = set(grounding.content_stems(reasoning)) | units
    unsaid = [w for w in stems if w not in said]
    figures_unsaid = grounding.missing_numbers(answer, reasoning)
    if figures_unsaid or len(unsaid) > MAX_UNSAID_SHARE * len(stems):
        reasons.append(Reason("answer_not_in_reasoning", ", ".join(unsaid + figures_unsaid)))
    given = [w for w in stems if w in asked]
    in_words = bool(stems) and not figures and 2 * len(given) > len(stems)
    if in_words or (figures and not grounding.missing_numbers(answer, question)):
        reasons.append(Reason("answer_in_question", answer))
    return reasons + wrong_answer(question, answer, source)


def _together(question: str, reasoning: str, source: str) -> list[Reason]:
    """What speaks against question and reasoning as a pair: about other places of the source, or about nobody named."""
    wanted = _asked_stems(question)
    steps = [nearest(reasoning[a:b], source) for a, b in sentences(reasoning)]
    found = [place for place in steps if place is not None]
    where = " ".join(place.context for place in found)
    here, around = _share(wanted, " ".join(place.sentence for place in found)), _share(wanted, where)
    reasons = []
    if here < QUESTION_SUPPORT_HERE or (
        around < QUESTION_SUPPORT and _share(wanted, source) < QUESTION_SUPPORT_ANYWHERE
    ):
        reasons.append(Reason("question_off_answer", f"{here:.2f} of its words are where the answer stands"))
    # What is told of somebody by name, or of a year, cannot be asked for without either.
    named = bool(grounding.names(where) or _YEAR.search(where))
    if named and not (grounding.names(question) or _SPECIFIC.search(question)) and language(source)[0] != "de":
        reasons.append(Reason("unclear_subject", "the text names somebody, the question nobody"))
    return reasons


def _share(wanted: Sequence[str], text: str) -> float:
    known = set(grounding.content_stems(text))
    return sum(w in known for w in wanted) / len(wanted) if wanted else 1.0


def _asked_stems(question: str) -> list[str]:
    """Stems of what a question is about: its content words but those of asking."""
    return [w for w in grounding.content_stems(question) if w not in _ASKING_STEMS]


_ASKING_STEMS: Final = frozenset(grounding.stem(w) for w in ASKING_WORDS)
_UNITS: Final = frozenset(
    grounding.stem(w)
    for w in "year years month months day days jahr jahre monate tage ans mois jours años meses días".split()
)
_IDLE: Final = frozenset(grounding.stem(w) for w in _REASONING_WORDS)
