"""What any retelling of a passage owes it: statements that stand there, enough of what it says, nothing said twice.

In: what a model wrote and the passage. Out: reasons against it, each with the value that decided. Stricter than the
gate of all tasks (`verify.ungrounded`), which asks of a sentence only that it is not wholly foreign: a retelling that
mixes words of the passage with its own inventions is the common failure of small models, and no answer of one.
Cost: word sets, about 1 ms a record; no model.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from algorithms import grounding
from algorithms.sentences import sentences
from tier_assets.l3_refined.task import Reason

# Text of one sentence has no matter for several turns, and no order that could change.
MIN_SENTENCES: Final = 2
MIN_SENTENCE_WORDS: Final = 5
# Share of a statement's content words that the passage must have.
MIN_CLAIM_SUPPORT: Final = 0.6
MIN_CLAIM_STEMS: Final = 3
# A run of this many words that comes again is a loop where the passage has it but once.
LOOP_WORDS: Final = 6
_ENDS: Final = (".", "!", "?", "…", "。", "！", "？")
_CLOSERS: Final = "\"'”’»)]*_`"


def is_tellable(text: str) -> bool:
    """Whether `text` has whole sentences of enough words: lists of names, headings and mail headers are not told."""
    found = (text[a:b] for a, b in sentences(text))
    whole = [s for s in found if is_finished(s) and len(grounding.words(s)) >= MIN_SENTENCE_WORDS]
    return len(whole) >= MIN_SENTENCES


def is_finished(sentence: str) -> bool:
    """Whether `sentence` ends as one, closing quotation marks and brackets aside."""
    return sentence.rstrip().rstrip(_CLOSERS).endswith(_ENDS)


def statements(text: str) -> list[str]:
    """The sentences of `text` that are no questions."""
    found = (text[a:b] for a, b in sentences(text))
    return [s for s in found if not s.rstrip(_CLOSERS).endswith(("?", "？"))]


def questions(text: str) -> list[str]:
    """The sentences of `text` that are questions."""
    found = (text[a:b] for a, b in sentences(text))
    return [s for s in found if s.rstrip(_CLOSERS).endswith(("?", "？"))]


def unsupported(text: str, source: str) -> list[Reason]:
    """The reason `unsupported_claim` for the statement of `text` of which the passage has the least."""
    known = set(grounding.content_stems(source))
    least, claim = 1.0, ""
    for said in statements(text):
        stems = grounding.content_stems(said)
        share = sum(w in known for w in stems) / max(1, len(stems))
        if len(stems) >= MIN_CLAIM_STEMS and share < least:
            least, claim = share, said
    if least >= MIN_CLAIM_SUPPORT:
        return []
    return [Reason("unsupported_claim", f"{least:.2f} of its words are in the passage: {claim[:80]}")]


def coverage(text: str, source: str) -> float:
    """Share of the passage's numbers, names and content words that `text` has; 1.0 where it has none."""
    wanted = set(grounding.content_stems(source)) | set(grounding.numbers(source))
    found = set(grounding.content_stems(text)) | set(grounding.numbers(text))
    return len(wanted & found) / len(wanted) if wanted else 1.0


def too_little(text: str, source: str, least: float) -> list[Reason]:
    """The reason `too_little_told` where `text` has less than `least` of what the passage says."""
    share = coverage(text, source)
    return [Reason("too_little_told", f"{share:.2f} of the passage's numbers and words")] if share < least else []


def repeated(text: str, source: str) -> list[Reason]:
    """The reason `repeats_itself` where a run of LOOP_WORDS words stands more often in `text` than in the passage.

    What the passage has once may be said once.
    """
    runs, known = (Counter(_runs(grounding.words(t))) for t in (text, source))
    again = [run for run, times in runs.items() if times > max(1, known[run])]
    return [Reason("repeats_itself", " ".join(again[0]))] if again else []


def _runs(words: list[str]) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + LOOP_WORDS]) for i in range(len(words) - LOOP_WORDS + 1)]
