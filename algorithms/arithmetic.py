"""The arithmetic that a text shows, done again: every `a op b = c`, exactly, in fractions.

In: a text in English or German, LaTeX or plain, with currency, percent, units and thousands, also with `<<48/2=24>>`
as GSM8K marks it (arXiv 2110.14168). Out: its equations, each with whether it holds, and the numbers that follow from
known ones. No model: a side that holds a variable, a clock time or anything else without a value gives no equation.

    12 / 5 = 2.4, 2 / 3 = 0.67   a decimal may be rounded or cut at its last digit, a whole number may not
    40 / 3 ≈ 13                  after ≈ or beside "about", "rounded" it may
    60% + 20% = 80%, 20% of 50   x% is a hundredth of x, or x where the equation holds only so (12/48 * 100 = 25%)
    1,234 and 1.234,50           thousands by the marks; of two possible readings, English first, then German
    4 * 25 cents = $1            cents against dollars may differ by a hundred
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from algorithms.expressions import MAX_TOKENS, NUMBER, OPERAND_ENDS, Evaluation, Side, Token, plain, tokens_of
from algorithms.grounding import number_readings
from algorithms.word_lists import NUMBER_WORDS

# Decimals beyond are those of floating point: 0.1 * 3 = 0.30000000000000004.
MAX_DECIMALS: Final = 9
# Factors that everybody knows: each, days, months, hours, weeks, minutes, percent, days of a year, thousands, seconds.
EVERYDAY: Final = frozenset({"1", "7", "12", "24", "52", "60", "100", "0.01", "365", "1000", "3600"})
# What a text says in a word, or its plural, and a solution writes as a number.
FACTORS: Final = {
    **dict.fromkeys(("half", "halves", "halved", "halb", "halbe", "halben", "hälfte"), ("2", "1", "0.5")),
    **dict.fromkeys(("twice", "double", "doubled", "couple", "pair", "both", "twin", "another"), ("2", "1")),
    **dict.fromkeys(("doppelt", "doppelte", "verdoppelt", "zweimal", "paar", "beide"), ("2",)),
    **dict.fromkeys(("thrice", "triple", "tripled", "dreimal", "dreifach"), ("3",)),
    **dict.fromkeys(("third", "drittel"), ("3", "1")),
    **dict.fromkeys(("quarter", "fourth", "viertel"), ("4", "1", "0.25")),
    **dict.fromkeys(("quadruple", "viermal"), ("4",)),
    **dict.fromkeys(("fifth", "fünftel"), ("5", "1", "0.2")),
    **dict.fromkeys(("sixth", "sechstel"), ("6", "1")),
    **dict.fromkeys(("seventh", "siebtel"), ("7", "1")),
    **dict.fromkeys(("eighth", "achtel"), ("8", "1", "0.125")),
    **dict.fromkeys(("ninth", "neuntel"), ("9", "1")),
    **dict.fromkeys(("tenth", "zehntel"), ("10", "1", "0.1")),
    **dict.fromkeys(("dozen", "dutzend"), ("12",)),
}

_REWRITTEN: Final = (
    (re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), r"((\1)/(\2))"),
    (re.compile(r"\\(?:times|cdot|ast)(?![a-z])"), "*"),
    (re.compile(r"\\div(?![a-z])"), "/"),
    (re.compile(r"\\approx(?![a-z])"), "≈"),
    (re.compile(r"\\(?:text|mathrm|mathbf)\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\\(?:left|right)(?![a-z])|\\[,!;: ]|\\(?=[$%])"), ""),
    (re.compile(r"(?<=[\d)])( ?)\*\*( ?)(?=[\d(])"), r"\1^\2"),
    (re.compile(r"\*\*"), ""),  # bold, after the powers
)
_MARKED: Final = re.compile(r"<<([^<>]*)>>")
_EQUALS: Final = re.compile(r"(?<![<>!=:])=(?![=>])|≈|\b(?:is equal to|equals|ergibt|is|ist|sind)\b")
_ROUNDED: Final = re.compile(r"\b(?:about|approx\w*|around|nearly|almost|round\w*|rund|gerundet|etwa|ca)\b", re.I)
_CENTS: Final = re.compile(r"\bcents?\b|¢")
_DOLLARS: Final = re.compile(r"\$|\bdollars?\b")


@dataclass(frozen=True, slots=True)
class Equation:
    """One `left = right`; `holds` where both sides, evaluated exactly, are equal in the sense of this module."""

    text: str
    left: str
    right: str
    holds: bool


def equations(text: str) -> list[Equation]:
    """The equations of `text` in order, each once; those in `<<...>>` before the line around them.

    >>> [(e.left, e.right, e.holds) for e in equations("He sold 48 / 2 = $<<48/2=24>>24, so 3 + 4 = 8 are left.")]
    [('48/2', '24', True), ('3 + 4', '8', False)]
    """
    return [equation for equation, _, _ in _found(text)]


def derived_numbers(text: str, known: Collection[str]) -> set[str]:
    """Numbers that follow from `known` by equations of `text` that hold, in order, as plain decimals.

    `known` are numbers as written, and words, such as "half" or "seven". An equation counts where all its operands are
    known, a hundredth of one known (20% as 0.2), derived before, or a factor or divisor that everybody knows
    (EVERYDAY). With its result, its operands are derived where `known` does not have them in figures.

    >>> sorted(derived_numbers("3 * 60 = 180 and 180 / 2 = 90 and 5 + 7 = 12", ["3", "half"]))
    ['180', '2', '60', '90']
    """
    holding = [(left, right) for equation, left, right in _found(text) if equation.holds]
    if not holding:
        return set()
    figures = {r for written in known for r in _readings(written)}
    have = figures | {meaning for word in known for meaning in _meanings(word)}
    have |= {f"{float(n) / 100:.9f}".rstrip("0") for n in figures if re.fullmatch(r"[1-9]\d?(?:\.\d{1,4})?", n)}
    derived: set[str] = set()
    for left, right in holding:
        if left.is_number:
            left, right = right, left
        operands = [t for t in left.numbers if not t.text.isalpha()]
        if all(_readings(t.text) & (have | EVERYDAY if _is_factor(t, left) else have) for t in operands):
            shown = [_readings(t.text) for t in [*operands, *right.numbers]]
            derived |= {r for readings in shown if not readings & figures for r in readings}
            have |= derived
    return derived


def _meanings(word: str) -> set[str]:
    """The numbers that a word may stand for in a solution; of three-quarters, those of both parts."""
    word = word.casefold()
    if word in NUMBER_WORDS:
        return {str(NUMBER_WORDS[word])}
    if "-" in word:
        return {meaning for part in word.split("-") for meaning in _meanings(part)}
    return set(FACTORS.get(word) or FACTORS.get(word.removesuffix("s")) or ())


def _readings(written: str) -> set[str]:
    """What a number may mean as plain decimals; of `1 1/2`, all three."""
    parts = re.findall(NUMBER, written)
    return {r for part in parts for r in number_readings("0" + part if part.startswith(".") else part)}


def _is_factor(token: Token, side: Side) -> bool:
    """Whether `token` is multiplied or divided, or so many percent."""
    place = side.tokens.index(token)
    beside = [side.tokens[i] for i in (place - 1, place + 1) if 0 <= i < len(side.tokens)]
    return any(t.kind == "percent" or t.text in ("*", "/") for t in beside)


def _found(text: str) -> Iterator[tuple[Equation, Side, Side]]:
    """Equations with their sides; one that says the same as one before is left out."""
    seen: set[tuple[str, str]] = set()
    for line in text.split("\n"):
        if not (_EQUALS.search(line) and re.search(r"\d", line)):
            continue
        for pattern, other in _REWRITTEN:
            line = pattern.sub(other, line)
        for part in [*_MARKED.findall(line), _MARKED.sub("", line)]:
            for equation, left, right in _in_line(part):
                if (left.key, right.key) not in seen:
                    seen.add((left.key, right.key))
                    yield equation, left, right


def _in_line(line: str) -> Iterator[tuple[Equation, Side, Side]]:
    signs = list(_EQUALS.finditer(line))
    edges = [0, *(edge for sign in signs for edge in sign.span()), len(line)]
    pieces = [line[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]
    for sign, before, after in zip(signs, pieces, pieces[1:], strict=False):
        left, right = _left(before), _right(after)
        if left is None or right is None or (left.is_number and right.is_number):
            continue
        # "5 times 3 is 15" is an equation, "the 3-5 range is 2" and "he is 4 + 1 years old" are not.
        said = sign.group() in ("is", "ist", "sind")
        if said and (left.is_number or not right.is_number or any(t.text == "-" for t in left.tokens)):
            continue
        around = after[: right.tokens[0].start] + after[right.tokens[-1].end :][:24]
        loose = sign.group() == "≈" or bool(_ROUNDED.search(around))
        cents = bool(_CENTS.search(before + after)) and bool(_DOLLARS.search(before + after))
        holds = _holds(left, right, loose=loose, cents=cents)
        yield Equation(f"{left.written} = {right.written}", left.written, right.written, holds), left, right


def _left(piece: str) -> Side | None:
    """The expression that ends `piece`; None where there is none with a value."""
    tokens = tokens_of(piece, at_end=True)
    # Two operands side by side: the first belongs to the words before.
    joints = [i for i in range(1, len(tokens)) if tokens[i].kind == "num" and tokens[i - 1].kind in OPERAND_ENDS]
    first = max([0, *joints, *(i + 1 for i, t in enumerate(tokens) if t.kind == "stop")])
    found = tokens[first:]
    if found and found[0].kind == "op":
        # A dash that opens a line is a bullet, one that touches only its number a sign; else it takes off a name.
        touches = len(found) > 1 and found[1].start == found[0].end
        spaced = found[0].start == 0 or piece[found[0].start - 1].isspace()
        no_value = first > 0 and tokens[first - 1].text == ""
        if found[0].text != "-" or no_value or not ((touches and spaced) or first == 0):
            return None
        found = found if touches else found[1:]
    elif first > 0 and tokens[first - 1].text == "":
        return None
    side = _side(found, piece)
    # "on day 2 = 2 * 5": a number by itself is a side only where nothing else stands before the sign.
    return (
        None if side is not None and side.is_number and re.sub(r"[$€£¥₹]", "", piece).strip() != side.written else side
    )


def _right(piece: str) -> Side | None:
    """The expression that begins `piece`; None where there is none with a value."""
    tokens = tokens_of(piece, at_end=False)
    ends = [i for i in range(len(tokens)) if tokens[i].kind == "stop"]
    ends += [i for i in range(1, len(tokens)) if tokens[i].kind == "num" and tokens[i - 1].kind in OPERAND_ENDS]
    last = min(ends, default=len(tokens))
    if last < len(tokens) and tokens[last].text == "":
        return None
    found = tokens[:last]
    if found and found[-1].kind == "op" and found[-1].text == "-" and last < len(tokens):
        found = found[:-1]  # a dash before words
    while found and found[-1].kind == "open":
        found = found[:-1]  # "13 (rounded)"
    return _side(found, piece)


def _side(tokens: list[Token], piece: str) -> Side | None:
    if not tokens or len(tokens) > MAX_TOKENS:
        return None
    side = Side(tuple(tokens), piece[tokens[0].start : tokens[-1].end].strip())
    try:
        Evaluation(side.tokens, "en", percent=True).value()
    except ValueError:
        return None
    except ZeroDivisionError:
        pass  # it is an equation, and it does not hold
    return side


def _holds(left: Side, right: Side, loose: bool, cents: bool) -> bool:
    has_percent = any(t.kind == "percent" for t in left.tokens + right.tokens)
    for marks in ("en", "de"):
        for percent in (True, False) if has_percent else (True,):
            try:
                a, b = (Evaluation(side.tokens, marks, percent).value() for side in (left, right))
            except (ValueError, ZeroDivisionError):
                continue
            step = _last_digit(right if right.is_number else left, marks, percent, loose)
            result, shown = (a, b) if right.is_number else (b, a)
            if _same(result, shown, step) or (cents and (a == 100 * b or 100 * a == b)):
                return True
    return False


def _same(result: Fraction, shown: Fraction, step: Fraction | None) -> bool:
    """Whether `shown` is `result`, or `result` rounded or cut to multiples of `step`."""
    if result == shown or step is None:
        return result == shown
    steps = result / step
    near = {math.floor(steps + Fraction(1, 2)), math.ceil(steps - Fraction(1, 2)), math.trunc(steps)}
    return math.floor(shown / step + Fraction(1, 2)) in near


def _last_digit(side: Side, marks: str, percent: bool, loose: bool) -> Fraction | None:
    """The value of the last digit of a number that may be rounded; None where `side` must be exact."""
    if not side.is_number or "/" in side.numbers[0].text or not re.search(r"\d", side.numbers[0].text):
        return None
    whole, _, decimals = plain(side.numbers[0].text, marks).partition(".")
    if not decimals and not loose:
        return None
    step = (
        Fraction(1, 10 ** min(len(decimals), MAX_DECIMALS))
        if decimals
        else Fraction(10 ** (len(whole) - len(whole.rstrip("0"))))
    )
    return step / 100 if percent and any(t.kind == "percent" for t in side.tokens) else step
