"""Answers worth asking for: times, counted things and names in a sentence, found by rules.

In: a passage. Out: sentences with an answer in each and its kind, in the order in which they are asked. A small model
that chooses its own answer copies the example's; given the answer, it asks for it (measured: 2 of 50 against 1 of 5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from algorithms import grounding
from algorithms.sentences import sentences
from algorithms.word_lists import DANGLING, FIRST_PERSON, word_set

KINDS: Final = ("time", "name", "number")
MIN_WORDS: Final = 6
MAX_WORDS: Final = 40

_MONTH: Final = (
    "January|February|March|April|May|June|July|August|September|October|November|December"
    "|Januar|Jänner|Februar|März|Mai|Juni|Juli|Oktober|Dezember"
)
_TIME: Final = re.compile(
    rf"\b(?:\d{{1,2}}\.? (?:{_MONTH})(?:,? \d{{4}})?|(?:{_MONTH}) \d{{1,2}}(?:, ?| )\d{{4}}|(?:{_MONTH}) \d{{4}}"
    r"|(?:(?<=[Ii]n )|(?<=[Ss]ince )|(?<=[Bb]y )|(?<=Jahr )|(?<=Jahre )|(?<=seit ))(?:1\d|20)\d\d)\b(?![.,]\d)"
)
_COUNT: Final = (
    r"(?:\d{1,3}(?:[.,]\d{3})+|\d{1,3}|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
    "|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|zwölf)"
)
_THING: Final = "[a-z]{3,}s|people|men|women|children|[A-ZÄÖÜ][a-zäöüß]{3,}"
_COUNTED: Final = re.compile(rf"(?<![\w$€£.,/:-]){_COUNT} ({_THING})\b")
_CAPITALISED: Final = r"[A-ZÄÖÜ][\w’'-]*[a-zäöüß]"
_NAME: Final = re.compile(rf"{_CAPITALISED}(?: (?:(?:of|the|de|van) ){{0,2}}{_CAPITALISED}){{1,5}}(?!\w)")
# "5 March" is a time, and of these nobody asks how many.
_NOT_COUNTED: Final = re.compile(
    rf"(?:{_MONTH}|percent|others|times|plus|minus|hours|Uhr|Prozent|Euro|Grad|Millionen|Milliarden)"
)
# What opens a sentence before a name; "Where the Streets Have No Name" is one.
_LEADS: Final = word_set(
    "The A An In On At By For From With And But As If When While After Before Since Of To Der Die Das Ein Eine Im Am "
    "Bei Für Von Vor Nach Seit Als Wenn Mit Zum Zur Auch Und"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """`text` stands in `sentence` word for word; `kind` is one of KINDS."""

    kind: str
    text: str
    sentence: str


def answers(passage: str, num_answers: int) -> list[Answer]:
    """At most `num_answers` answers, one a sentence: times first, then names, then counted things."""
    found: list[Answer] = []
    for start, end in sentences(passage):
        sentence = " ".join(passage[start:end].split())
        if stands_alone(sentence):
            found += _in_sentence(sentence)[:1]
    return sorted(found, key=lambda a: KINDS.index(a.kind))[:num_answers]


def stands_alone(sentence: str) -> bool:
    """Whether a question about `sentence` can be understood without the sentence before it."""
    found = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", grounding.fold(sentence))
    if not MIN_WORDS <= len(sentence.split()) <= MAX_WORDS or not found or sentence.endswith(("?", ":")):
        return False
    return found[0] not in DANGLING and not any(w in FIRST_PERSON for w in found)


def _in_sentence(sentence: str) -> list[Answer]:
    """The answers of a sentence, the most telling kind first."""
    found = [Answer("time", m.group(), sentence) for m in _TIME.finditer(sentence)]
    names = (_whole_name(m.group()) for m in _NAME.finditer(sentence))
    found += [Answer("name", name, sentence) for name in names if name]
    counted = (m for m in _COUNTED.finditer(sentence) if not _NOT_COUNTED.fullmatch(m.group(1)))
    return found + [Answer("number", m.group(), sentence) for m in counted]


def num_times(sentence: str) -> int:
    """The times in `sentence`; a bare year counts as well."""
    return len(_TIME.findall(sentence)) + len(re.findall(r"\b(?:1\d|20)\d\d\b", _TIME.sub("", sentence)))


def _whole_name(found: str) -> str:
    """`found` without the words that opened the sentence and without a possessive; empty where one word is left."""
    name = re.sub(r"['’]s?$", "", found)
    while " " in name and name.split(" ")[0] in _LEADS:
        name = name.partition(" ")[2]
    return name if " " in name else ""
