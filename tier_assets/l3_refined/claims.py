"""Does one sentence say what the source says in one place? Words, numbers, names and roles, bound together.

In: a sentence and its source. Out: why no sentence of the source, with the one before it, says the same. A model that
takes all its words from the source still errs by joining what does not belong together: the year of another event, the
name of another sentence, the doer as the one it was done to. Rules on words, no parser: what is not bound is refused.
Cost: some 0.2 ms a sentence of the source.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from algorithms import grounding
from algorithms.sentences import sentences
from algorithms.word_lists import word_set

# Shares of a claim's content words in a sentence of the source, and in that and the one before it: the subject of a
# sentence may stand before it, what is said of the subject may not.
MAIN_SUPPORT: Final = 0.6
CONTEXT_SUPPORT: Final = 0.8
_MONTHS: Final = word_set(
    "january february march april may june july august september october november december januar februar märz mai "
    "juni juli oktober dezember janvier février mars avril mai juin juillet août septembre octobre novembre décembre "
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"
)
_IN_NAME: Final = re.compile(r"(?<=\w )([A-ZÄÖÜ][a-zäöüß]+) \d+(?:\.\d+)+")
_HEDGES: Final = word_set("about approximately around nearly almost etwa rund circa ca fast ungefähr environ unos casi")
_AGENT: Final = re.compile(r"\b(?:by|von|vom|durch|par|por)\b")
_CLAUSE_END: Final = re.compile(r"[,;:()]\s")
_TOKEN: Final = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’\-][^\W\d_]+)*")


@dataclass(frozen=True, slots=True)
class Place:
    """A sentence of a source, and the same with the one before it."""

    sentence: str
    context: str


def places(source: str) -> list[Place]:
    """Every sentence of `source` with the one before it."""
    spans = sentences(source)
    first = [spans[0], *spans] if spans else []
    return [Place(source[b.start : b.end], source[a.start : b.end]) for a, b in zip(first, spans, strict=False)]


def unbound(claim: str, source: str, idle: frozenset[str] = frozenset(), least: float = CONTEXT_SUPPORT) -> str:
    """Why no place of `source` says what `claim` says; empty where one does. Stems in `idle` need no support."""
    wanted = [w for w in grounding.content_stems(claim) if w not in idle]
    best, why = -1.0, "the source has no sentence"
    for place in places(source):
        context = _share(wanted, place.context)
        fault = _fault(claim, place, wanted, context, least)
        if not fault:
            return ""
        if context > best:
            best, why = context, fault
    return why


def nearest(claim: str, source: str) -> Place | None:
    """The place of `source` that has the most of the words of `claim`; the first of equals."""
    wanted = grounding.content_stems(claim)
    return max(places(source), key=lambda p: (_share(wanted, p.sentence), _share(wanted, p.context)), default=None)


def _share(wanted: Sequence[str], text: str) -> float:
    known = set(grounding.content_stems(text))
    return sum(w in known for w in wanted) / len(wanted) if wanted else 1.0


def _fault(claim: str, place: Place, wanted: Sequence[str], context: float, least: float) -> str:
    main = _share(wanted, place.sentence)
    if main < MAIN_SUPPORT or context < least:
        return f"{main:.2f} of its words are in one sentence, {context:.2f} with the one before"
    # The 2.4 of "Python 2.4" is part of a name, and a name may stand before.
    bare = _IN_NAME.sub(r"\1", claim)
    elsewhere = grounding.missing_numbers(bare, place.sentence) + grounding.missing_names(claim, place.context)
    elsewhere += grounding.missing_numbers(claim, place.context)
    elsewhere += _joined_on(wanted, place)
    if elsewhere:
        return f"{', '.join(elsewhere)} elsewhere"
    return _misplaced_number(claim, place.sentence) or _swapped(claim, place)


def _joined_on(wanted: Sequence[str], place: Place) -> list[str]:
    """Words that only the sentence before has, in the second half of a claim: there they are no subject."""
    known = set(grounding.content_stems(place.sentence))
    before = set(grounding.content_stems(place.context)) - known
    return [w for w in wanted[(len(wanted) + 1) // 2 :] if w in before]


def _misplaced_number(claim: str, sentence: str) -> str:
    """A number of `claim` whose neighbour in `sentence` the claim leaves out, so that it may be that of another thing.

    >>> _misplaced_number("Laos joined the WTO in 1997.", "Laos joined ASEAN in 1997 and the WTO in 2013.")
    '1997 stands beside asean'
    """
    said = set(grounding.content_stems(claim))
    for number in grounding.numbers(claim):
        readings = grounding.number_readings(number)
        beside = [
            _neighbours(sentence, m.start(), m.end())
            for m in _TOKEN.finditer(sentence)
            if m.group()[0].isdigit() and grounding.number_readings(m.group()) & readings
        ]
        if beside and not any(not near or said & set(near) for near in beside):
            return f"{number} stands beside {', '.join(beside[0])}"
    return ""


def _neighbours(sentence: str, start: int, end: int) -> list[str]:
    """The stem of the last content word before a number in its clause; where there is none, of the two behind it."""
    before = _CLAUSE_END.split(sentence[:start])[-1]
    words = [w for w in grounding.words(before) if w not in _MONTHS and w not in _HEDGES]
    found = grounding.content_stems(" ".join(words))[-1:]
    return found or grounding.content_stems(sentence[end:])[:2]


def _swapped(claim: str, place: Place) -> str:
    """Names of `claim` that come in the other order at `place`, in a sentence of the same voice."""
    if len(_AGENT.findall(claim.casefold())) != len(_AGENT.findall(place.sentence.casefold())):
        return ""
    named = [grounding.fold(name) for name in dict.fromkeys(grounding.names(claim))]
    text = grounding.fold(place.sentence)
    if not all(name in text for name in named):
        text = grounding.fold(place.context)
    order = [re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in named]
    known = [found.start() for found in order if found]
    return "names in another order" if known != sorted(known) else ""
