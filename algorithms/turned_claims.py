"""How likely an output says of its source's matters what the source says and not the opposite: directions, negations
and numbers against the words around them. No model.

    x        features of an output and its source (`features`)
    w, b     WEIGHTS, BIAS: a logistic regression on right and turned answers, see there
    score    1 / (1 + exp(-(w x + b)))

In: an output and its source; directions are English words. Out: 0 to 1.
It orders outputs, and is too weak to reject by: an entailment model is what would. Cost: about 1 ms a record.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

from algorithms.folded_words import content_stems, fold, stem, words
from algorithms.grounded_numbers import FIGURES, number_readings
from algorithms.sentences import sentences
from algorithms.word_lists import DENIALS, OPPOSITES, STOPWORDS

FEATURES: Final = (
    "negations of what the source only affirms",
    "negations of what the source denies",
    "stems affirmed that the source only denies",
    "directions as in the nearest source sentence",
    "directions turned against it",
    "share of negated sentences",
    "share of negated sentences, times how far the source's findings are null",
    "number farthest from the source sentence it stands in",
    "number least like its neighbours in the source",
)
# Fitted by `python -m benchmarks.verification_fit` on the development half of PubMedQA's long answers, each as it is
# and turned (direction or number, both of the same weight) by the frozen generator.
WEIGHTS: Final = (-0.16, 0.4, -0.08, 0.08, -0.16, -0.66, 0.54, -0.97, -1.62)
BIAS: Final = 0.8

_TOKEN = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*|\d+(?:\.\d+)?|[^\w\s]")
_P_VALUE = re.compile(r"\bp\s*(?:-?values?)?\s*([<>=≤≥])\s*(0?\.\d+)", re.IGNORECASE)
_NULL = re.compile(
    r"\bn\.?s\.?\b|\bno (?:statistically )?(?:significant|difference|association|correlation|relationship|effect)"
    r"|non-?significant|\b(?:did|was|were) not\b|similar|comparable",
    re.IGNORECASE,
)
# A denial reaches so many content words; the words before and after a number that are compared.
SCOPE, NEIGHBOURS, NEIGHBOUR_CHARS = 5, 3, 60
# An antonym denied ("not lower") says less than the word itself.
DENIED_OPPOSITE = 0.7

# A shorter statement is a fragment.
PLACED_STEMS = 4
_FORMULA = re.compile(r"[=*×÷^\\]|\d\s*[+/]\s*\d")

_Around = tuple[list[str], list[str]]


def _opposites() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for pair in OPPOSITES.split():
        a, b = (stem(w) for w in pair.split(":"))
        found.setdefault(a, set()).add(b)
        found.setdefault(b, set()).add(a)
    return {word: frozenset(others) for word, others in found.items()}


_OPPOSITES: Final = _opposites()


@dataclass(frozen=True, slots=True)
class _Claim:
    """A sentence: its stems, each with whether it is denied."""

    text: str
    said: tuple[tuple[str, bool], ...]
    stems: frozenset[str]


def score(output: str, source: str) -> float:
    """The likelihood that no direction and no number of `output` is turned against `source`, rounded to 1e-4."""
    value = BIAS + sum(w * x for w, x in zip(WEIGHTS, features(output, source), strict=True))
    return round(1 / (1 + math.exp(-value)), 4)


def features(output: str, source: str) -> tuple[float, ...]:
    """The values of FEATURES."""
    claims, known = _claims(output), _claims(source)
    return (
        *_denials(claims, known),
        *_directions(claims, known),
        *_negated_share(claims, known),
        *_numbers(claims, known),
    )


def _claims(text: str) -> list[_Claim]:
    found = []
    for start, end in sentences(text):
        said = tuple(_said(text[start:end]))
        found.append(_Claim(text[start:end], said, frozenset(word for word, _ in said)))
    return found


def _said(sentence: str) -> list[tuple[str, bool]]:
    found, scope = [], 0
    for token in _TOKEN.findall(fold(sentence)):
        if not token[0].isalpha():
            scope = 0 if token in ",;:.()" else scope
        elif token in DENIALS or token.endswith("n't"):
            scope = SCOPE
        elif token in ("but", "although", "however", "whereas", "while"):
            scope = 0
        elif token not in STOPWORDS or stem(token) in _OPPOSITES:
            found.append((stem(token), scope > 0))
            scope = max(0, scope - 1)
    return found


def _denials(claims: list[_Claim], known: list[_Claim]) -> tuple[float, float, float]:
    denied = Counter(word for claim in known for word, no in claim.said if no)
    affirmed = Counter(word for claim in known for word, no in claim.said if not no)
    added = borne_out = dropped = 0
    for claim in claims:
        here = [word for word, no in claim.said if no]
        if any(word in denied for word in here):
            borne_out += 1
        elif any(word in affirmed for word in here):
            added += 1
        dropped += sum(not no and word in denied and word not in affirmed for word, no in claim.said)
    return float(added), float(borne_out), float(dropped)


def _directions(claims: list[_Claim], known: list[_Claim]) -> tuple[float, float]:
    frequency = Counter(word for claim in known for word in claim.stems)
    same = turned = 0
    for claim in claims:
        for word, no in claim.said:
            if word in _OPPOSITES:
                for_it, against = _evidence(word, no, claim, known, frequency)
                same += for_it > against
                turned += against > for_it
    return float(same), float(turned)


def _evidence(word: str, no: bool, claim: _Claim, known: list[_Claim], frequency: Counter[str]) -> tuple[float, float]:
    """How much the best source sentence that says `word`, and that says the opposite, shares with the claim."""
    for_it = against = 0.0
    for other in known:
        shared = (other.stems & claim.stems) - {word} - _OPPOSITES[word]
        weight = sum(1 / frequency[w] for w in sorted(shared))
        for found, denied in other.said:
            if found == word and denied == no:
                for_it = max(for_it, weight)
            elif found == word or (found in _OPPOSITES[word] and denied == no):
                against = max(against, weight)
            elif found in _OPPOSITES[word]:
                for_it = max(for_it, DENIED_OPPOSITE * weight)
    return for_it, against


def _negated_share(claims: list[_Claim], known: list[_Claim]) -> tuple[float, float]:
    share = sum(any(no for _, no in claim.said) for claim in claims) / max(1, len(claims))
    num_null = sum(_is_null(claim.text) for claim in known)
    num_found = sum(_is_finding(claim.text) for claim in known)
    null_share = (num_null + 0.5) / (num_null + num_found + 1)
    return share, share * (null_share - 0.5)


def _is_null(text: str) -> bool:
    return bool(_NULL.search(text)) or any(sign in ">=≥" and float(p) > 0.05 for sign, p in _P_VALUE.findall(text))


def _is_finding(text: str) -> bool:
    below = any(sign in "<=≤" and float(p) <= 0.05 for sign, p in _P_VALUE.findall(text))
    return below or ("significant" in text.casefold() and not _is_null(text))


def misplaced_numbers(output: str, source: str) -> list[str]:
    """Numbers that stand beside no word that the source has beside them, in statements of enough words.

    Formulae are left alone, and outputs with questions: there a number answers words of another sentence.
    """
    if "?" in output or not FIGURES.search(output):
        return []
    places = _number_places(_claims(source))
    found = []
    for claim in _claims(output):
        if _FORMULA.search(claim.text) or len(claim.stems) < PLACED_STEMS:
            continue
        for match in FIGURES.finditer(claim.text):
            known = [around for reading, _, around in places if reading in number_readings(match.group())]
            here = _around(claim.text, match)
            if known and len(here[0]) + len(here[1]) > NEIGHBOURS and not any(_likeness(here, k) for k in known):
                found.append(match.group())
    return found


def _number_places(claims: list[_Claim]) -> list[tuple[str, int, _Around]]:
    """Each reading of each number, with its sentence and the words around it."""
    return [
        (reading, i, _around(claim.text, m))
        for i, claim in enumerate(claims)
        for m in FIGURES.finditer(claim.text)
        for reading in number_readings(m.group())
    ]


def _numbers(claims: list[_Claim], known: list[_Claim]) -> tuple[float, float]:
    """Of the numbers that the source has; those that it has not are for `missing_numbers`."""
    stems = [frozenset(content_stems(claim.text)) for claim in known]
    frequency = Counter(word for each in stems for word in each)
    places = _number_places(known)
    farthest = strangest = 0.0
    for claim in claims:
        own = sorted(set(content_stems(claim.text)))
        covers = [sum(1 / frequency[w] for w in own if w in each) for each in stems]
        best = max(covers, default=0.0) or 1.0
        for match in FIGURES.finditer(claim.text):
            readings = number_readings(match.group())
            found = [(i, around) for reading, i, around in places if reading in readings]
            if found:
                here = _around(claim.text, match)
                farthest = max(farthest, 1 - max(covers[i] for i, _ in found) / best)
                strangest = max(strangest, 1 - max(_likeness(here, around) for _, around in found))
    return farthest, strangest


def _around(text: str, match: re.Match[str]) -> _Around:
    before = [stem(w) for w in words(text[max(0, match.start() - NEIGHBOUR_CHARS) : match.start()])]
    after = [stem(w) for w in words(text[match.end() : match.end() + NEIGHBOUR_CHARS])]
    return before[-NEIGHBOURS:], after[:NEIGHBOURS]


def _likeness(a: _Around, b: _Around) -> float:
    """Words in common before and after, those right beside the number counted twice; four are as good as all."""
    common = len(set(a[0]) & set(b[0])) + len(set(a[1]) & set(b[1]))
    return min(1.0, (common + (a[1][:1] == b[1][:1]) + (a[0][-1:] == b[0][-1:])) / 4)
