"""The words of a text in one form: folded, without closed-class words, without endings. What texts are compared by.

In: a text in any script. Out: words or stems, in order. Cost: regular expressions, about 3 MB/s.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from algorithms.word_lists import BASE_FORMS, NEGATIONS, STOPWORDS

# Many outputs are judged against one source: what is found of the last sources is kept.
SOURCES_KEPT = 64
WORD = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")
WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")


def fold(text: str) -> str:
    """Compatibility form, case folded, apostrophes and quotation marks made plain, white space single."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = plain.translate({0x2019: "'", 0x2018: "'", 0x201C: '"', 0x201D: '"', 0x201E: '"', 0x2013: "-", 0x2014: "-"})
    return " ".join(plain.split())


def words(text: str) -> list[str]:
    """The folded words of `text`; scripts written without spaces give overlapping pairs of characters."""
    folded = fold(text)
    if not WIDE.search(folded):
        return WORD.findall(folded)
    found: list[str] = []
    for word in WORD.findall(folded):
        if WIDE.search(word):
            found += [word[i : i + 2] for i in range(max(1, len(word) - 1))]
        else:
            found.append(word)
    return found


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """`word` as its base form, or without its commonest English and German endings; never under three letters."""
    word = word.removesuffix("'s").removesuffix("n't").removesuffix("'")
    word = BASE_FORMS.get(word, word)
    for suffix in (
        "ingly",
        "edly",
        "ings",
        "ing",
        "ied",
        "ies",
        "ed",
        "ern",
        "en",
        "er",
        "es",
        "em",
        "ly",
        "s",
        "e",
        "n",
    ):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)].rstrip("i")
    return word.rstrip("y") if len(word) > 3 else word


def content_stems(text: str) -> list[str]:
    """Stems of the words that carry meaning, in order."""
    return [stem(w) for w in words(text) if w not in STOPWORDS and w not in NEGATIONS]
