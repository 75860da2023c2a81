"""The script of a letter and of a text, by the first word of the letters' Unicode names: LATIN, CYRILLIC, CJK ...

Kana counts as CJK, since Japanese mixes them. Cost: a table look-up a letter, each kept.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import lru_cache

from algorithms.folded_words import SOURCES_KEPT

_JOINED = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "IDEOGRAPHIC": "CJK", "FULLWIDTH": "LATIN", "MODIFIER": "LATIN"}
# A text's letters looked at: its script shows early.
LETTERS = 2_000


@lru_cache(maxsize=4096)
def script(letter: str) -> str:
    """The script of one letter.

    >>> script("é"), script("你"), script("я")
    ('LATIN', 'CJK', 'CYRILLIC')
    """
    first = unicodedata.name(letter, "UNKNOWN").split(" ", 1)[0]
    return _JOINED.get(first, first)


@lru_cache(maxsize=SOURCES_KEPT)
def script_of(text: str) -> str:
    """The script of most letters at the start of `text`; LATIN where it has none."""
    counts = Counter(script(c) for c in text[:LETTERS] if c.isalpha())
    return counts.most_common(1)[0][0] if counts else "LATIN"
