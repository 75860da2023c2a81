"""The final answer of a worked solution, and whether two answers are the same.

In: solutions and answers as people and models write them. Out: the answer, and yes or no. Numbers are compared as
exact fractions and words as folded text, which settles nearly all (40 microseconds); only what is mathematics and no
number goes to math-verify (https://github.com/huggingface/Math-Verify, on sympy) in a process of its own, see
`symbolic_equality`: some milliseconds.

    1,000 = 1000, 18.00 = 18, .5 = 1/2 = \\frac{1}{2}    by value; one comma before three digits is thousands
    0.333 = 1/3                 a decimal of three places or more may be a fraction rounded
    $5.00 = 5 = 5 dollars       a unit may be left out or said at more length; two different units are two answers
    50% = 0.5 and 50% = 50      the question says whether it asks for percent. So 50 and 0.5 both equal 50%, and are
                                not equal to each other: `equivalent` is symmetric and reflexive, not transitive
    5 o'clock, the Queen        words: without case, articles and punctuation
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

from algorithms.grounding import fold
from algorithms.symbolic_equality import same_expression
from algorithms.word_lists import NUMBER_WORDS

# Answers beyond are texts: nothing is computed with them.
MAX_CHARS: Final = 200
MAX_DIGITS: Final = 60
MIN_ROUNDED_PLACES: Final = 3

_MARKS: Final = (
    re.compile(r"####[ \t]*(\S.*)"),
    re.compile(r"(?:^|\n)[*_ ]*(?:A|Answer|Final answer|Antwort|Lösung)[*_]*:[*_ ]*(\S.*)", re.IGNORECASE),
    re.compile(
        r"\b(?:the (?:final |correct )?answer is|answer:|(?:die )?antwort (?:ist|lautet)):?[ \t]*"
        r"(\S.*?)(?=\.(?:\s|$)|\n|$)",
        re.IGNORECASE,
    ),
)
_NUMBER: Final = r"(?:\d[\d,.'’\u00a0\u202f]*\d|\d|(?<![\d])\.\d+)"
_LAST: Final = re.compile(rf"(?<![\w.])[-−]?[$€£¥]?{_NUMBER}(?:\s?/\s?\d+)?%?")
_LATEX: Final = (
    (re.compile(r"\\[dt]?frac\s*(\d)\s*(\d)"), r"(\1)/(\2)"),
    (re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), r"(\1)/(\2)"),
    (re.compile(r"\\(?:text|mathrm|mathbf|mbox)\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\\(?:left|right)(?![a-zA-Z])|\\[,!;: ]"), ""),
    (re.compile(r"\\(?=[$%#&_])"), ""),
    (re.compile(r"\b(mm|cm|km|m|ft|in)\s?\^\{?2\}?"), r"square \1"),
    (re.compile(r"\b(mm|cm|km|m|ft|in)\s?\^\{?3\}?"), r"cubic \1"),
    (re.compile(r"\^?\\(?:circ|degree)(?![a-zA-Z])|°"), " degrees "),
)
_VALUE: Final = re.compile(
    rf"""
    (?P<before>[$€£¥]|(?:US|EUR|USD|GBP)\b)?\ ?(?P<sign>[-+])?\ ?(?P<after>[$€£¥])?\ ?
    (?:\(?(?P<above>-?{_NUMBER})\)?\ ?/\ ?\(?(?P<below>\d+)\)?
     | (?P<whole>\d+)\ (?P<part>\d+)\ ?/\ ?(?P<parts>\d+)
     | (?P<digits>{_NUMBER})(?:\ ?(?:[eE]|(?:×|x|\*|\\times)\ ?10\ ?\^)\ ?\{{?(?P<power>[-+]?\d{{1,2}})\}}?)?)
    \ ?(?P<scale>hundred|thousand|million|billion|trillion)?
    (?![\d/,.])(?P<unit>[^\d=+*^\\<>{{}}()\[\]]*)
    """,
    re.VERBOSE,
)
_SCALES: Final = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_UNITS: Final = {
    **dict.fromkeys(("$", "usd", "us", "dollar", "buck"), "dollar"),
    **dict.fromkeys(("€", "eur", "euro"), "euro"),
    **dict.fromkeys(("¢", "cent"), "cent"),
    **dict.fromkeys(("%", "percent", "prozent"), "percent"),
    **dict.fromkeys(("hr", "hour", "stunde", "h"), "hour"),
    **dict.fromkeys(("min", "minute"), "minute"),
    **dict.fromkeys(("s", "sec", "second", "sekunde"), "second"),
    **dict.fromkeys(("m", "meter", "metre"), "metre"),
    **dict.fromkeys(("km", "kilometer", "kilometre"), "kilometre"),
    **dict.fromkeys(("cm", "centimeter", "centimetre", "zentimeter"), "centimetre"),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), "millimetre"),
    **dict.fromkeys(("kg", "kilogram", "kilogramm"), "kilogram"),
    **dict.fromkeys(("g", "gram", "gramm"), "gram"),
    **dict.fromkeys(("l", "liter", "litre"), "litre"),
    **dict.fromkeys(("£", "gbp"), "pound"),
    **dict.fromkeys(("ft", "feet", "foot"), "foot"),
    **dict.fromkeys(("inch", "inche"), "inch"),
}
_IDLE: Final = frozenset("a an the of per each every in total der die das ein eine einen im pro and".split())
_ARTICLES: Final = frozenset("a an the der die das".split())
_MONTHS: Final = frozenset(
    "january february march april may june july august september october november december "
    "januar februar märz mai juni juli oktober dezember".split()
)
_SAME_SIGNS: Final = str.maketrans({"−": "-", "–": "-", "⁄": "/", "÷": "/", "×": "*"})
# "x = 5", "Total = 5"
_NAMED: Final = re.compile(r"[A-Za-z][A-Za-z' ]{0,30}=\s*(?=[-$€£\d\\(])")
# What may stand in an expression beside single letters.
_FUNCTIONS: Final = frozenset("sin cos tan cot sec csc log ln exp sqrt pi theta alpha beta lambda mod gcd lcm".split())
_SIGN: Final = re.compile(r"[-+*/^=<>≤≥√π∞·|!]|\\[a-zA-Z]|[{(\[]")


@dataclass(frozen=True, slots=True)
class _Value:
    """A number: `places` decimals as written (None for a fraction), the words of its unit."""

    value: Fraction
    places: int | None
    unit: frozenset[str]
    is_percent: bool


def final_answer(text: str) -> str | None:
    """The answer that a solution ends with, as written; None where it has neither a mark nor a number.

    Marks, the last of the first kind that occurs: `#### 42`, `\\boxed{42}`, a line `A: 42` or `Answer: 42`, "the answer
    is 42". Without, the last number.

    >>> final_answer("She has 3 + 4 = 7 eggs.\\n#### 7"), final_answer("So 3 + 4 = $7."), final_answer("No idea.")
    ('7', '$7', None)
    """
    marked = _MARKS[0].findall(text)
    boxed = _boxed(text)
    if not marked and boxed is not None:
        return boxed.strip() or None
    for mark in _MARKS:
        if found := mark.findall(text):
            return found[-1].strip().rstrip(".*_ ").strip() or None
    numbers = _LAST.findall(text)
    return numbers[-1] if numbers else None


def _boxed(text: str) -> str | None:
    """What stands in the last `\\boxed{}`, brackets within it and all."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth = 0
    for place in range(start + len("\\boxed"), len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[start + len("\\boxed{") : place]
    return None


def equivalent(a: str, b: str) -> bool:
    """Whether two answers are the same, as the module says; symmetric, reflexive, for any two strings."""
    return _equivalent(*sorted((a, b)))


@lru_cache(maxsize=65_536)
def _equivalent(a: str, b: str) -> bool:
    first, second = _plain(a), _plain(b)
    if first == second:
        return True
    named = [re.match(_NAMED, s) for s in (first, second)]
    if (named[0] is None) != (named[1] is None):
        first, second = (s[n.end() :] if n else s for s, n in zip((first, second), named, strict=True))
    values = _value(first), _value(second)
    if values[0] is not None and values[1] is not None:
        return _same_value(values[0], values[1])
    tokens = _tokens(first), _tokens(second)
    if tokens[0] and (tokens[0] == tokens[1] or (_is_date(tokens[0]) and sorted(tokens[0]) == sorted(tokens[1]))):
        return True
    if max(len(first), len(second)) > MAX_CHARS or not (_SIGN.search(first) or _SIGN.search(second)):
        return False
    return _is_mathematics(first) and _is_mathematics(second) and same_expression(_as_latex(first), _as_latex(second))


def _plain(answer: str) -> str:
    """`answer` without its wrapping: mathematics signs, boxes, bold, quotation marks and the full stop at its end."""
    for character, meant in (("½", " 1/2"), ("¼", " 1/4"), ("¾", " 3/4"), ("⅓", " 1/3"), ("⅔", " 2/3"), ("⅛", " 1/8")):
        answer = answer.replace(character, meant)
    answer = answer.replace("²", "^2").replace("³", "^3")
    answer = " ".join(unicodedata.normalize("NFKC", answer).translate(_SAME_SIGNS).split())
    boxed = _boxed(answer)
    if boxed is not None and answer.startswith("\\boxed"):
        answer = boxed
    before = None
    while before != answer:
        before = answer
        answer = answer.strip(" \"'*_;,").removesuffix(".")
        if len(answer) > 2 and answer[0] == answer[-1] == "$":
            answer = answer[1:-1]
        if answer.startswith(("\\(", "\\[")) and answer.endswith(("\\)", "\\]")):
            answer = answer[2:-2]
    for pattern, plain in _LATEX:
        answer = pattern.sub(plain, answer)
    return " ".join(answer.split())


def _value(answer: str) -> _Value | None:
    """`answer` as a number with its unit; None where it is more, or none."""
    answer = _in_figures(answer)
    found = _VALUE.fullmatch(answer)
    unit = _unit(found) if found else None
    if found is None or unit is None:
        return None
    places = None
    if found["below"] or found["parts"]:
        above, below = found["above"] or found["part"], found["below"] or found["parts"]
        top = _decimal(above)
        if top is None or int(below) == 0 or len(below) > MAX_DIGITS:
            return None
        value = Fraction(top) / int(below) + int(found["whole"] or 0)
    else:
        decimal = _decimal(found["digits"])
        if decimal is None:
            return None
        value = Fraction(decimal) * Fraction(10) ** int(found["power"] or 0)
        places = None if found["power"] else len(decimal.partition(".")[2])
    value *= _SCALES.get(found["scale"] or "", 1) * (-1 if found["sign"] == "-" else 1)
    return _Value(value, places, frozenset(unit - {"percent"}), "percent" in unit)


def _in_figures(answer: str) -> str:
    """`answer` with the number word that opens it as a number: seven eggs, twenty-one."""
    words = answer.replace("-", " ").casefold().split()
    number = NUMBER_WORDS.get(words[0]) if words else None
    if number is None:
        return answer
    more = NUMBER_WORDS.get(words[1], 0) if len(words) > 1 and number in range(20, 100, 10) else 0
    used = 2 if 0 < more < 10 else 1
    return " ".join([str(number + (more if used == 2 else 0)), *words[used:]])


def _decimal(written: str) -> str | None:
    """A number as digits with a point: the last mark is the point, but a lone comma before three digits groups them."""
    bare = re.sub(r"['’\u00a0\u202f]", "", written)
    if len(bare) > MAX_DIGITS:
        return None
    sign, bare = ("-", bare[1:]) if bare.startswith("-") else ("", bare)
    if re.fullmatch(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?", bare):
        bare = bare.replace(",", "")
    elif re.fullmatch(r"[1-9]\d{0,2}(?:\.\d{3}){2,}|[1-9]\d{0,2}(?:\.\d{3})+,\d+", bare):
        bare = bare.replace(".", "").replace(",", ".")
    elif re.fullmatch(r"\d+,\d+", bare):
        bare = bare.replace(",", ".")
    return sign + bare if re.fullmatch(r"\d*\.?\d+", bare) else None


def _unit(found: re.Match[str]) -> set[str] | None:
    """The unit's words in one form; None where a letter by itself is rather a variable."""
    words = re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|[$€£¥¢%]", found["unit"])
    words += [found[g] for g in ("before", "after") if found[g]]
    unit = set()
    for word in words:
        word = fold(word)
        singular = word[:-1] if word.endswith("s") and len(word) > 2 else word
        known = _UNITS.get(singular)
        if len(word) == 1 and word.isalpha() and known is None and word not in _IDLE:
            return None
        if word not in _IDLE:
            unit.add(known or singular)
    return unit


def _same_value(a: _Value, b: _Value) -> bool:
    factor = Fraction(1)
    if a.unit and b.unit and not (a.unit <= b.unit or b.unit <= a.unit):
        money = {frozenset({"dollar"}): 100, frozenset({"cent"}): 1}
        if a.unit not in money or b.unit not in money:
            return False
        factor = Fraction(money[a.unit], money[b.unit])
    if a.is_percent == b.is_percent:
        return _near(a.value * factor, a.places, b.value, b.places)
    percent, other = (a, b) if a.is_percent else (b, a)
    if other.unit:
        return False
    places = None if percent.places is None else percent.places + 2
    return _near(percent.value, percent.places, other.value, other.places) or _near(
        percent.value / 100, places, other.value, other.places
    )


def _near(a: Fraction, a_places: int | None, b: Fraction, b_places: int | None) -> bool:
    """Equal, or a fraction and its rounded decimal."""
    if a == b:
        return True
    places = b_places if a_places is None else a_places if b_places is None else None
    return places is not None and places >= MIN_ROUNDED_PLACES and abs(a - b) * 2 * 10**places <= 1


def _tokens(answer: str) -> list[str]:
    """The words, numbers and signs of `answer`, without articles and punctuation."""
    found = re.findall(r"\d+(?:[.,:]\d+)*|[^\W\d_]+|(?<![^\W\d_])-|[+*/^=<>≤≥√%$€£|!(){}\[\]\\]", fold(answer))
    return [w.replace(",", "") if w[0].isdigit() else w for w in found if w not in _ARTICLES]


def _is_date(tokens: list[str]) -> bool:
    return any(w in _MONTHS for w in tokens) and any(w.isdigit() for w in tokens)


def _is_mathematics(answer: str) -> bool:
    """Whether all words of `answer` are names of functions: letters of others would be multiplied."""
    words = re.findall(r"[^\W\d_]{2,}", re.sub(r"\\[a-zA-Z]+", " ", answer))
    return bool(answer) and all(w.casefold() in _FUNCTIONS for w in words)


def _as_latex(answer: str) -> str:
    """`answer` with the functions, powers and signs of plain text as LaTeX has them."""
    answer = re.sub(r"(?<![\\a-zA-Z])sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}", answer.replace("**", "^"))
    answer = re.sub(rf"(?<![\\a-zA-Z])({'|'.join(sorted(_FUNCTIONS))})(?![a-zA-Z])", r"\\\1 ", answer)
    answer = re.sub(r"√\s*(\d+|\w)", r"\\sqrt{\1}", answer)
    answer = re.sub(r"\^\s*(-?\d+)", r"^{\1}", answer)
    for character, command in (("≤", "\\leq "), ("≥", "\\geq "), ("π", "\\pi "), ("∞", "\\infty "), ("·", "\\cdot ")):
        answer = answer.replace(character, command)
    return re.sub(r"(?<!\\)%", r"\\%", answer)
