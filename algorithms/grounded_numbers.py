"""Numbers of a text that another text does not give: readings of figures, words, units, Roman numerals, rounding.

In: an output and its source, in any script. Out: what is missing, as written. Cost: regular expressions, about 2 MB/s.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache

from algorithms.folded_words import SOURCES_KEPT, words
from algorithms.word_lists import NUMBER_WORDS, UNITS

# Letters before a figure that are looked at: "Internet2".
NAME_CHARS = 20
FIGURES = re.compile(r"\d+(?:[.,'’\u00a0\u202f ](?=\d{3}(?!\d))\d{3})*(?:[.,]\d+)*|[½¼¾⅓⅔⅛]")
_UNIT = re.compile(
    rf"[\s\u00a0-]?({'|'.join(sorted(map(re.escape, UNITS), key=len, reverse=True))})(?!\w)", re.IGNORECASE
)
_ROMAN_VALUES = {
    numeral: value
    for value, numeral in enumerate(
        "I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI XVII XVIII XIX XX".split(), 1
    )
}
# "I" alone is a pronoun, "V" and "X" are letters: only what counts stages and the like, or has two letters or more.
_ROMAN = re.compile(r"(?:(?<=[a-z] )|(?<=[a-z]{2}-))([IVX]{2,5}|I|V)(?=[\s.,;:)a-c])")
_LISTED = re.compile(r"(?:(?<=\()|(?<![^\n]))(\d{1,2})[.)](?=\s)")
_ABOUT = re.compile(
    r"(?:about|around|approximately|approx\.|roughly|nearly|almost|circa|ca\.|rund|etwa|ungefähr|fast|~|≈)\s*$"
)
_COUNTED = re.compile(
    r"\b(?:the|these|those|all|between|die|den|diese) (two|three|four|zwei|drei|vier)\b", re.IGNORECASE
)
_QUESTION = re.compile(r"[^.!?\n]*\?")


def number_readings(number: str) -> frozenset[str]:
    """What `number` may mean as plain decimals: `1.234` is 1234 or 1.234, `1,5` is 1.5.

    >>> sorted(number_readings("1,234"))
    ['1.234', '1234']
    """
    text = unicodedata.normalize("NFKC", number).replace("⁄", "/")
    bare = re.sub(r"['’\s]", "", text)
    marks = re.findall(r"[.,]", bare)
    readings = {re.sub(r"[.,]", "", bare)} if _grouped(bare) or not marks else set()
    if marks and bare.count(marks[-1]) == 1:
        whole, _, decimals = bare.rpartition(marks[-1])
        readings.add(f"{re.sub(r'[.,]', '', whole)}.{decimals}")
    return frozenset(_canonical(r) for r in readings or {bare})


def _grouped(number: str) -> bool:
    return bool(re.fullmatch(r"\d{1,3}(?:([.,])\d{3})(?:\1\d{3})*", number))


def _canonical(number: str) -> str:
    """Digits of any script as ASCII, without leading zeros and idle decimals."""
    digits = "".join(str(unicodedata.digit(c)) if c.isdigit() else c for c in number)
    whole, dot, decimals = digits.partition(".")
    decimals = decimals.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{decimals}" if dot and decimals else "")


def numbers(text: str) -> list[str]:
    """The numbers of `text` in figures, as written, in order."""
    return FIGURES.findall(text)


def missing_numbers(output: str, source: str) -> list[str]:
    """Numbers of `output`, in figures or words, that `source` has in no reading, or only with another unit.

    What `source` has as a Roman numeral, as the year of a decade ("the 70s"), before rounding ("about 25") or as the
    rest to 100 % is not missing; nor is the numbering of a list.
    """
    measured, found_words = _known(source)
    listed = _list_numbers(output)
    missing = [
        m.group()
        for m in FIGURES.finditer(output)
        if m.start() not in listed and not (_is_known(m, output, measured) and _is_part(m, output, source))
    ]
    asked = _asked_counts(output)
    for word in words(output):
        value = NUMBER_WORDS.get(word)
        if value is not None and value > 1 and not {word} & (found_words | asked) and str(value) not in measured:
            missing.append(word)
    return missing


@lru_cache(maxsize=SOURCES_KEPT)
def _known(source: str) -> tuple[dict[str, set[str]], set[str]]:
    """The units of each reading of the numbers of `source` ("" where there is none), and its words with their parts."""
    measured: dict[str, set[str]] = {}
    for match in FIGURES.finditer(source):
        for reading in number_readings(match.group()):
            measured.setdefault(reading, set()).add(_unit(source, match.end()))
    found_words = {part for word in words(source) for part in (word, *word.split("-"))}
    for spelt in [str(NUMBER_WORDS[w]) for w in found_words if w in NUMBER_WORDS]:
        measured.setdefault(spelt, set()).add("")
    for roman in set(_ROMAN.findall(source)) & _ROMAN_VALUES.keys():
        measured.setdefault(str(_ROMAN_VALUES[roman]), set()).add("")
    return measured, found_words


def _is_known(match: re.Match[str], text: str, measured: dict[str, set[str]]) -> bool:
    unit = _unit(text, match.end())
    for reading in number_readings(match.group()):
        units = measured.get(reading)
        # Without a unit on either side ("12 or 15 %") nothing is said against it.
        if units is not None and (not unit or unit in units or "" in units):
            return True
        if re.match(r"(?:e?r[ns]?|s)\b", text[match.end() :]) and any(known[2:] == reading for known in measured):
            return True
        if unit == "%" and (rest := _rest_to_hundred(reading)) and "%" in measured.get(rest, ()):
            return True
        if _ABOUT.search(text[max(0, match.start() - 16) : match.start()]) and _rounds(reading, measured):
            return True
    return False


def _is_part(match: re.Match[str], text: str, source: str) -> bool:
    """Whether a figure stands alone, or with the letters before it ("Internet2") in `source` too."""
    start = match.start()
    while start > 0 and text[start - 1].isalpha() and match.start() - start < NAME_CHARS:
        start -= 1
    return start == match.start() or text[start : match.end()].casefold() in source.casefold()


def _unit(text: str, end: int) -> str:
    """The unit of the number that ends at `end`, in one spelling for all languages; empty where none is known."""
    match = _UNIT.match(text, end)
    return UNITS[match.group(1).casefold()] if match else ""


def _rest_to_hundred(reading: str) -> str:
    if not re.fullmatch(r"\d{1,2}(?:\.\d+)?", reading):
        return ""
    return _canonical(str(100 - Decimal(reading)))


def _rounds(reading: str, known: Iterable[str]) -> bool:
    """Whether `reading` is one of `known` with fewer digits."""
    if not re.fullmatch(r"\d+(?:\.\d+)?", reading):
        return False
    near = [Decimal(k) for k in known if re.fullmatch(r"\d+(?:\.\d+)?", k)]
    value = Decimal(reading)
    # Half of the last digit that is not zero: 25 stands for 24.5 to 25.5, 300 for 250 to 350.
    digits = re.sub(r"\D", "", reading).rstrip("0") or "0"
    half = value / Decimal(digits) / 2
    return any(abs(k - value) <= half and k != value for k in near) if value else False


def _list_numbers(text: str) -> set[int]:
    """Where the numbers of "(1) ..., (2) ..." and of numbered lines stand, as far as they count up from 1."""
    found, following = set(), 1
    for match in _LISTED.finditer(text):
        if int(match.group(1)) == following:
            found.add(match.start(1))
            following += 1
    return found


def _asked_counts(text: str) -> set[str]:
    """Small numbers in words of a question, "which two", and of what was named before, "the two"."""
    spans = _QUESTION.findall(text) if "?" in text else []
    asked = {word for span in spans for word in words(span) if NUMBER_WORDS.get(word, 9) < 5}
    return asked | {word.casefold() for word in _COUNTED.findall(text)}
