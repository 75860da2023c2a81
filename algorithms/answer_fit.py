"""How likely a span of a text answers a question, and not another question about the same text. No model.

    x        features of a question, an answer and its source (`features`)
    w, b     WEIGHTS, BIAS: a logistic regression on right and wrong spans, see there
    score    1 / (1 + exp(-(w x + b)))

In: a question and an answer in English, German, Spanish or Chinese, and the source that both are about. Out: 0 to 1. An
answer that does not stand in the source word for word is judged by its kind alone. Cost: about 1 ms a record.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Final

from algorithms import answer_kinds
from algorithms.folded_words import WIDE, stem
from algorithms.grounded_numbers import FIGURES
from algorithms.sentences import sentences
from algorithms.word_lists import STOPWORDS

FEATURES: Final = (
    "share of the question in the answer's sentence, less the best sentence's",
    "the answer's sentence is the best",
    "question's words shortly before the answer",
    "question's words shortly after it",
    "share of the question in the answer's clause",
    "share of the answer in the question",
    "another kind is asked for",
    "time asked for and given",
    "time asked for, none given",
    "number asked for and given",
    "number asked for, none given",
    "person asked for, number given",
    "no kind asked for, number given",
)
# Fitted by `python -m benchmarks.verification_fit` on the development half of XQuAD's questions in four languages,
# each with its answer and with another question's of the same paragraph.
WEIGHTS: Final = (2.3, 0.64, 1.66, 0.39, 1.6, -0.91, -1.86, 0.61, -0.76, 0.32, -0.21, -1.23, -1.2)
BIAS: Final = -0.35

_TOKEN = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*|\d+(?:[.,]\d+)*")
_CLAUSE = re.compile(r"[,;:()—–，；]|\b(?:and|but|which|while|und|aber|y|pero|que)\b")
# Words looked at on either side; each further one counts this much less.
REACH, FADING = 12, 0.85


@dataclass(frozen=True, slots=True)
class _Word:
    start: int
    end: int
    stem: str


def score(question: str, answer: str, source: str) -> float:
    """The likelihood that `answer` is the answer to `question`, rounded to 1e-4."""
    value = BIAS + sum(w * x for w, x in zip(WEIGHTS, features(question, answer, source), strict=True))
    return round(1 / (1 + math.exp(-value)), 4)


def features(question: str, answer: str, source: str) -> tuple[float, ...]:
    """The values of FEATURES; of several places where the answer stands, the one that fits the question best."""
    asked_words = {w.stem for w in _words(_lower(question))}
    answer_words = {w.stem for w in _words(_lower(answer))}
    given_away = len(asked_words & answer_words) / max(1, len(answer_words))
    return (*_place(asked_words, answer, source), given_away, *_kinds(question, answer))


def _kinds(question: str, answer: str) -> tuple[float, ...]:
    asked, given = answer_kinds.asked(question), answer_kinds.kinds(answer)
    figures = bool(FIGURES.search(answer))
    time, number, name = (kind in asked for kind in (answer_kinds.TIME, answer_kinds.NUMBER, answer_kinds.NAME))
    is_time, is_number = answer_kinds.TIME in given, answer_kinds.NUMBER in given
    found = (
        bool(asked) and not asked & given,
        time and is_time,
        time and not is_time,
        number and is_number,
        number and not is_number,
        name and figures,
        not asked and figures,
    )
    return tuple(map(float, found))


def _place(asked_words: set[str], answer: str, source: str) -> tuple[float, ...]:
    text = _plain(source)
    low, needle = _same_length_lower(text), _lower(answer).strip(" .,;:!?\"'")
    found = _words(low)
    frequency = Counter(w.stem for w in found)
    weights = {w: 1 / frequency[w] for w in sorted(asked_words) if frequency[w]}
    total = sum(weights.values()) or 1.0
    spans = sentences(text)
    covers = [_cover(weights, [w.stem for w in found if a <= w.start and w.end <= b]) / total for a, b in spans]
    best: tuple[float, ...] = (0.0,) * 5
    best_sum = -math.inf
    for match in re.finditer(re.escape(needle), low) if needle else ():
        number = next((i for i, (a, b) in enumerate(spans) if a <= match.start() < b), None)
        cover = covers[number] if number is not None else 0.0
        start, end = _clause(low, match, *(spans[number] if number is not None else (0, len(low))))
        own = {w.stem for w in found if match.start() <= w.start < match.end()}
        clause = [w.stem for w in found if start <= w.start and w.end <= end and w.stem not in own]
        before = _near(weights, [w.stem for w in reversed(found) if w.end <= match.start()]) / total
        after = _near(weights, [w.stem for w in found if w.start >= match.end()]) / total
        most = max(covers, default=0.0)
        here = (cover - most, float(cover == most), before, after, _cover(weights, clause) / total)
        if (value := cover + before + after + here[4] / 2) > best_sum:
            best, best_sum = here, value
    return best


def _clause(text: str, match: re.Match[str], start: int, end: int) -> tuple[int, int]:
    """The part of a sentence around `match`, between marks of a clause."""
    marks = [m.end() for m in _CLAUSE.finditer(text, start, match.start())]
    following = _CLAUSE.search(text, match.end(), end)
    return (marks[-1] if marks else start), (following.start() if following else end)


def _cover(weights: dict[str, float], stems: list[str]) -> float:
    have = set(stems)
    return sum(weight for word, weight in weights.items() if word in have)


def _near(weights: dict[str, float], stems: list[str]) -> float:
    return sum(weights.get(word, 0.0) * FADING**distance for distance, word in enumerate(stems[:REACH]))


def _words(text: str) -> list[_Word]:
    """Content words and numbers; of scripts without spaces pairs of characters."""
    found = []
    for match in _TOKEN.finditer(text):
        word, start = match.group(), match.start()
        if WIDE.search(word):
            found += [_Word(start + i, start + i + 2, word[i : i + 2]) for i in range(len(word) - 1)]
        elif word not in STOPWORDS:
            found.append(_Word(start, match.end(), stem(word)))
    return found


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", " ".join(text.split()))


def _lower(text: str) -> str:
    return _plain(text).lower()


def _same_length_lower(text: str) -> str:
    """Lower case, but for the few characters that would become two: positions must stay."""
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
