"""Which sentences of a document are worth stating as facts, and what is wrong with the others.

In: a text. Out: spans of at most so many sentences, chosen by what they carry (numbers, names, place in the text),
and for each the reason against it or none. Rules only; the lists are English, German, French and Spanish, and a
language outside them is judged by length, form and content alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from algorithms import grounding
from algorithms.sentences import Span, sentences
from algorithms.word_lists import DANGLING, FIRST_PERSON, word_set

MIN_WORDS: Final = 5
MAX_WORDS: Final = 60
# Scripts without spaces: "MIN_WORDS" as characters.
MIN_WIDE_CHARS: Final = 8
MAX_CHARS: Final = 500
MIN_CONTENT_WORDS: Final = 4
# Share of letters and digits among the characters that are not white space: tables and code fall under it.
MIN_LETTER_SHARE: Final = 0.75

_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
_ENDS = re.compile(r"[.!…。！｡।॥۔።।][\"'”’»›)\]」』*_]*$")
_QUESTION = re.compile(r"[?？؟][\"'”’»›)\]」』*_]*$")
_BOILERPLATE = re.compile(
    r"\b(?:cookies?\b.{0,40}\b(?:use|accept|policy|website)|all rights reserved|copyright\b|©|click here|read more"
    r"|sign (?:in|up)\b|log ?in\b|subscribe|newsletter|terms (?:of|and) (?:use|service|conditions)|privacy policy"
    r"|follow us|share this|alle rechte vorbehalten|hier klicken|datenschutz|impressum|unsubscribe|free download"
    r"|javascript|powered by)",
    re.IGNORECASE,
)
_VERBS = word_set(
    """
    is are was were be been has have had does do did can could will would shall should may might must became
    becomes become began begins said says made makes took takes gave gives went goes came comes got gets found
    finds held holds led leads left leaves lost loses met meets paid pays put puts ran runs saw sees sold sells
    sent sends set sets shows shown stood stands told tells thought won wins wrote writes built builds bought
    brought broke caught chose cut drew drove fell felt fought grew hit kept knew known lay lies rose sat spoke
    spent spread struck taught threw wore means lets let lives contains includes refers returns allows consists
    exists provides uses needs remains follows defines denotes satisfies implies equals describes forms ist sind
    war waren wird werden wurde wurden hat haben hatte hatten kann können konnte soll sollen sollte muss müssen
    wollen darf dürfen gibt gab ging kam kommt steht stand liegt lag sagte sagt heißt blieb bleibt machte macht
    est sont était étaient ont avait fut sera peut doit fait era eran fue fueron ha han había puede
    tiene tienen será
    """
)
_LISTED_LANGUAGE = re.compile(r"^[\x00-\u024f\u2000-\u2bff\s]*$")


@dataclass(frozen=True, slots=True)
class Rule:
    """`find` gives what is wrong with a sentence, or nothing."""

    reason: str
    find: Callable[[str], str]


def _fragment(sentence: str) -> str:
    return "" if _ENDS.search(sentence) else repr(sentence[-20:])


def _question(sentence: str) -> str:
    return sentence[-20:] if _QUESTION.search(sentence) else ""


def _too_short(sentence: str) -> str:
    if _WIDE.search(sentence):
        return f"{len(sentence)} characters" if len(sentence) < MIN_WIDE_CHARS else ""
    num_words = len(sentence.split())
    return f"{num_words} words" if num_words < MIN_WORDS else ""


def _too_long(sentence: str) -> str:
    num_words = len(sentence.split())
    if num_words > MAX_WORDS or len(sentence) > MAX_CHARS:
        return f"{num_words} words, {len(sentence)} characters"
    return ""


def _boilerplate(sentence: str) -> str:
    found = _BOILERPLATE.search(sentence)
    return found.group() if found else ""


def _not_prose(sentence: str) -> str:
    visible = [c for c in sentence if not c.isspace()]
    share = sum(c.isalnum() for c in visible) / max(1, len(visible))
    starts_low = sentence[:1].islower()
    if share < MIN_LETTER_SHARE or starts_low or "|" in sentence or "```" in sentence:
        return "starts in lower case" if starts_low else f"{share:.2f} letters and digits"
    return ""


def _dangling(sentence: str) -> str:
    first = next(iter(re.findall(r"[^\W\d_]+", grounding.fold(sentence))), "")
    return first if first in DANGLING else ""


def _speaks_of_itself(sentence: str) -> str:
    return next((w for w in re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", grounding.fold(sentence)) if w in FIRST_PERSON), "")


def _no_verb(sentence: str) -> str:
    if _WIDE.search(sentence) or not _LISTED_LANGUAGE.match(sentence):
        return ""
    found = grounding.words(sentence)
    if any(w in _VERBS or (w.endswith(("ed", "te", "ten", "ait")) and len(w) > 4) for w in found):
        return ""
    # A third person ("grows", "wächst") after the first word; nouns end alike, so this only saves long sentences.
    if len(found) >= 8 and any(w.endswith(("s", "t", "en")) and len(w) > 3 for w in found[1:]):
        return ""
    return "no finite verb found"


def _no_content(sentence: str) -> str:
    if grounding.numbers(sentence) or grounding.names(sentence):
        return ""
    num_content = len(set(grounding.content_stems(sentence)))
    return f"{num_content} content words, no name or number" if num_content < MIN_CONTENT_WORDS else ""


RULES: Final = (
    Rule("question", _question),
    Rule("too_short", _too_short),
    Rule("too_long", _too_long),
    Rule("fragment", _fragment),
    Rule("not_prose", _not_prose),
    Rule("boilerplate", _boilerplate),
    Rule("dangling_start", _dangling),
    Rule("first_or_second_person", _speaks_of_itself),
    Rule("no_verb", _no_verb),
    Rule("no_content", _no_content),
)


def judge(sentence: str) -> tuple[str, str] | None:
    """The first reason against `sentence` as a statement and the value that decided; None where nothing is."""
    for rule in RULES:
        detail = rule.find(sentence)
        if detail:
            return rule.reason, detail
    return None


def propose(text: str, num_candidates: int) -> list[Span]:
    """The `num_candidates` sentences of `text` that carry most, in the order of the text.

    A sentence weighs its numbers, names and content words, each counted once up to a few; ties go to the earlier.
    """
    spans = sentences(text)
    ranked = sorted(spans, key=lambda s: (-_weight(text[s.start : s.end]), s.start))
    return sorted(ranked[:num_candidates])


def _weight(sentence: str) -> int:
    num_numbers = len(set(grounding.numbers(sentence)))
    num_names = len(set(grounding.names(sentence)))
    num_content = len(set(grounding.content_stems(sentence)))
    return 3 * min(num_numbers, 2) + 2 * min(num_names, 3) + min(num_content, 8)
