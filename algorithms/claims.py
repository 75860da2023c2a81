"""What a text claims that its source does not: runs of new words, and negations that the source has not or otherwise.

In: an output and its source. Out: the first such place with the value that decided, or an empty string. Sentences are
aligned by the stems they share; a negation is known by the words around it. Questions claim nothing of themselves but
what they presuppose: only a negation that the source has not is held against them.
Where we differ from entailment models: words only. A turned direction ("rose" for "fell") is for `turned_claims`.
Cost: regular expressions, about 1 MB/s of output and source.
"""

from __future__ import annotations

import re
from functools import lru_cache

from algorithms.folded_words import SOURCES_KEPT, content_stems, stem, words
from algorithms.sentences import sentences
from algorithms.word_lists import NEGATIONS, REPORTING, STOPWORDS

# A statement of this many telling stems of which no more than this share stand anywhere in the source is invented.
# Development half of the gold records, PubMedQA: costs 3.9% of the good ones and finds 79% of the invented ones.
SENTENCE_STEMS = 4
MAX_INVENTED_SUPPORT = 0.12
# Beside a question, what follows is its answer and stays closer to the source: new telling stems in a row, a known one
# taking back KNOWN_STEM of them. XQuAD, same half: costs none, finds 93% (English) and 89% (German).
ANSWER_RUN = 5.0
KNOWN_STEM = 1.5
# A statement is about that source sentence which has this share of its stems; only then is a negation put in (or left
# out) a contradiction. PubMedQA, same half: of the good ones .6 costs three times as many as .7, which costs 1%.
SAME_CLAIM_SHARE = 0.7
SAME_NEGATED_SHARE = 0.8
NEAR_SHARE = 0.15
# The words whose negation is meant stand up to so many before and after the negating word.
WORDS_BEFORE, WORDS_AFTER = 2, 5

_QUESTION_END = re.compile(r"[?？]+[\"'”»)]*")
_SENTENCE_END = re.compile(r"[.!?？。！\n]")
# A source sentence that asks or intends claims nothing that an output could contradict.
_AIM = re.compile(
    r"\b(?:whether|aimed|hypothesi[sz]ed|(?:aim|purpose|objective|goal|hypothesis)s? (?:of|was|is|were|are)|unknown"
    r"|unclear|ob|to (?:investigate|evaluate|determine|compare|assess|explore|identify|examine|analy[sz]e))\b",
    re.IGNORECASE,
)
_OR_NOT = re.compile(r"\b(?:or|oder|ob) (?:not|nicht)\b|\bor no\b", re.IGNORECASE)
_REPORTING_STEMS = frozenset(stem(w) for w in REPORTING)


def questions(text: str) -> list[str]:
    """The questions of `text`."""
    return [text[start:end].strip() for start, end in _questions(text)]


def _questions(text: str) -> list[tuple[int, int]]:
    """Where each question stands: from the sentence end before it."""
    found: list[tuple[int, int]] = []
    for match in _QUESTION_END.finditer(text):
        least = found[-1][1] if found else 0
        ends = [m.end() for m in _SENTENCE_END.finditer(text, least, match.start())]
        found.append((ends[-1] if ends else least, match.end()))
    return found


def statements(text: str) -> list[str]:
    """The sentences of `text` that are no questions; what follows a question is a sentence of its own."""
    found, position = [], 0
    for start, end in [*_questions(text), (len(text), len(text))]:
        piece = text[position:start]
        found += [piece[a:b] for a, b in sentences(piece)]
        position = end
    return found


def invented(output: str, source: str) -> str:
    """The first statement of `output` of which the source knows next to nothing."""
    known = _known(source)
    answers = bool(_QUESTION_END.search(output))
    for said in statements(output):
        stems = content_stems(said)
        telling = [w for w in stems if w not in _REPORTING_STEMS]
        share = sum(w in known for w in telling) / max(1, len(telling))
        if len(telling) >= SENTENCE_STEMS and share <= MAX_INVENTED_SUPPORT:
            return f"{share:.2f} of its words are in the source: {said[:80]}"
        if answers and (run := _longest_run(stems, known)) >= ANSWER_RUN:
            return f"{run:g} new words in a row: {said[:80]}"
    return ""


def _longest_run(stems: list[str], known: frozenset[str]) -> float:
    run = longest = 0.0
    for word in stems:
        if word in known:
            run = max(0.0, run - KNOWN_STEM)
        elif word not in _REPORTING_STEMS:
            run += 1
            longest = max(longest, run)
    return longest


def negation_changed(output: str, source: str) -> str:
    """The first sentence of `output` that is negated where the source is not, or the other way round."""
    claims, stems, negated = _asserted(source)
    for question in questions(output):
        if _is_negated(question) and not _borne_out(question, stems, negated):
            return f"{question[:80]!r} denies what no sentence of the source denies"
    for said in statements(output):
        found = set(content_stems(said))
        shares = [len(found & known) / len(found) if found else 0.0 for known in stems]
        best = max(shares, default=0.0)
        if len(found) < 2 or best < SAME_CLAIM_SHARE:
            continue
        number = shares.index(best)
        denied = negated_stems(said)
        if _is_negated(said):
            near = [n for n, share in zip(negated, shares) if share >= best - NEAR_SHARE]
            wrong = not any(denied & n for n in near)
        else:
            dropped = negated[number] & found
            others = [s - n for i, (s, n) in enumerate(zip(stems, negated)) if i != number]
            wrong = best >= SAME_NEGATED_SHARE and len(dropped) >= 2 and not any(dropped <= rest for rest in others)
        if wrong:
            return f"{said[:80]!r} against {claims[number][:80]!r}"
    return ""


@lru_cache(maxsize=SOURCES_KEPT)
def _asserted(source: str) -> tuple[list[str], list[set[str]], list[set[str]]]:
    """The sentences of `source` that assert something, the stems of each, and those that it denies."""
    claims = [source[a:b] for a, b in sentences(source)]
    claims = [claim for claim in claims if not _AIM.search(claim)]
    return claims, [set(content_stems(c)) for c in claims], [negated_stems(c) for c in claims]


@lru_cache(maxsize=SOURCES_KEPT)
def _known(source: str) -> frozenset[str]:
    return frozenset(content_stems(source))


def _borne_out(question: str, stems: list[set[str]], negated: list[set[str]]) -> bool:
    """Whether one of the source's sentences nearest to the question denies something of what the question denies."""
    found, denied = set(content_stems(question)), negated_stems(question)
    shared = [len(found & known) for known in stems]
    least = max(1, max(shared, default=0) - 1)
    return any(denied & n for n, num in zip(negated, shared) if num >= least)


def _is_negated(text: str) -> bool:
    return any(is_negation(w) for w in words(_OR_NOT.sub(" ", text)))


def is_negation(word: str) -> bool:
    """Whether a folded word negates."""
    return word in NEGATIONS or word.endswith("n't")


def negated_stems(text: str) -> set[str]:
    """Stems of the words around each negating word of `text`."""
    found = words(text)
    near: set[str] = set()
    for place, word in enumerate(found):
        if is_negation(word):
            near |= {stem(w) for w in found[max(0, place - WORDS_BEFORE) : place + WORDS_AFTER + 1]} - {stem(word)}
    return near - _CLOSED_STEMS


_CLOSED_STEMS = frozenset(stem(w) for w in STOPWORDS | NEGATIONS)
