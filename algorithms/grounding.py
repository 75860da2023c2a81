"""Is a text grounded in its source? Numbers, names, quotations, words and negations, compared without a model.

In: an output and its source, in any script. Out: what the output says that the source does not. The measures are those
of precision-oriented factuality checks (QAGS/"Asking and Answering Questions", arXiv 2004.04228, names numbers and
entities as the main errors of abstractive models; entity precision: arXiv 2102.09130).
Where we differ: no tagger and no encoder, so a name is what is capitalised where its language would not capitalise it.
Cost: regular expressions, about 2 MB/s.
"""

from __future__ import annotations

import re

from algorithms.claims import is_negation
from algorithms.folded_words import WIDE, content_stems, fold, stem, words
from algorithms.grounded_names import missing_names, names
from algorithms.grounded_numbers import missing_numbers, number_readings, numbers
from algorithms.word_lists import NUMBER_WORDS, STOPWORDS

__all__ = [
    "STOPWORDS",
    "content_stems",
    "entails",
    "fold",
    "has_number_word",
    "is_refusal",
    "missing_names",
    "missing_numbers",
    "missing_quotes",
    "names",
    "num_negations",
    "number_readings",
    "numbers",
    "stem",
    "support",
    "words",
]

# Fewer words in quotation marks are a title or a term ("gold standard").
QUOTED_WORDS = 3
_QUOTED = re.compile(r"“([^”]+)”|„([^“”]+)[“”]|«([^»]+)»|»([^«]+)«|\"([^\"\n]+)\"|「([^」]+)」")
_REFUSALS = re.compile(
    r"\b(?:as an ai\b|i(?:'m| am) (?:sorry|unable|an ai)|i can(?:no|')t (?:assist|help|provide|fulfil)"
    r"|as a language model|i do not have (?:access|the ability)|es tut mir leid, (?:aber )?ich)",
    re.IGNORECASE,
)


def missing_quotes(output: str, source: str) -> list[str]:
    """Quotations of QUOTED_WORDS or more in `output` that do not stand in `source`."""
    known = fold(source)
    quoted = ["".join(groups) for groups in _QUOTED.findall(output)]
    spoken = [q for q in quoted if len(q.split()) >= QUOTED_WORDS or WIDE.search(q)]
    return [q for q in spoken if fold(q).strip(" .,;:!?") not in known]


def support(output: str, source: str) -> float:
    """Share of the content words of `output` whose stem `source` has; 1.0 where there are none."""
    wanted = content_stems(output)
    known = set(content_stems(source))
    return sum(w in known for w in wanted) / len(wanted) if wanted else 1.0


def num_negations(text: str) -> int:
    """Negating words in `text`."""
    return sum(map(is_negation, words(text)))


def entails(quote: str, statement: str) -> list[str]:
    """Why `statement` does not follow from `quote` by its words alone; empty where it does.

    A statement follows if it only says less: no new number, name, quotation or content word, and as many negations.
    """
    reasons = [("new_number", missing_numbers(statement, quote)), ("new_name", missing_names(statement, quote))]
    reasons.append(("new_quote", missing_quotes(statement, quote)))
    found = [reason for reason, missing in reasons if missing]
    if support(statement, quote) < 1.0:
        found.append("new_word")
    if num_negations(statement) != num_negations(quote):
        found.append("negation_changed")
    return found


def is_refusal(text: str) -> bool:
    """Whether `text` speaks as a model that declines."""
    return bool(_REFUSALS.search(text))


def has_number_word(text: str) -> bool:
    """Whether `text` spells a number (zero to ninety, dozen, hundred, thousand; German to twelve)."""
    return any(w in NUMBER_WORDS for w in words(text))
