"""Expressions as a text writes them: `48 pounds / 2`, `20% of $1,500`, `(3 + 4) * 1/2`; their tokens and exact values.

In: what stands on one side of an equals sign, words around it and all. Out: its tokens, units left out, and the value
of those that make an expression, as a fraction. Nothing is executed: numbers, `+ - * / ^`, brackets and percent.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

# Beyond these a text does no arithmetic, and powers would take long.
MAX_DIGITS: Final = 30
MAX_EXPONENT: Final = 64
MAX_BITS: Final = 4_000
MAX_TOKENS: Final = 60
MAX_UNIT_WORDS: Final = 4
NUMBER: Final = r"\d+(?:[.,'’\u00a0\u202f ](?=\d{3}(?!\d))\d{3})*(?:[.,]\d+)*|(?<!\d)\.\d+|[½¼¾⅓⅔⅛]"
_TOKEN: Final = re.compile(
    rf"""
    (?P<part>\b(?:half|(?:a\ )?third|(?:a\ )?quarter)\ of(?:\ the)?\b)
  | (?P<op>[-+*/^×·÷−–∙](?![^\W\d_]{{2}})|(?<=[\d)\]%])[xX](?=\d)|(?<=\ )[xX](?=\ ?[$€£¥(\d.]))
  | (?P<no_value>\d+-[^\W\d_][\w-]*|[^\W\d_]\w*\d\w*|\d+:\d+|[_{{}}√|\\!]|:(?=\d))
  | (?P<mixed>\d+\ \d{{1,2}}/\d{{1,2}}(?![\d/])|(?<=/\ )\d{{1,9}}/\d{{1,9}}(?![\d/]))
  | (?P<num>{NUMBER})
  | (?P<open>[(\[])
  | (?P<close>[)\]])
  | (?P<percent>%|\bper\ ?cent\b|\bProzent\b)
  | (?P<currency>[$€£¥₹¢])
  | (?P<square>[²³])
  | (?P<spoken>\b(?:times|multiplied\ by|divided\ by|plus|minus|mal|geteilt\ durch|of(?:\ the)?)\b)
  | (?P<unit>/\s*[^\W\d_]{{2,}}|\b(?:per|pro|a|an)\ [^\W\d_]+|[^\W\d_]{{2,}}(?:['’.-][^\W\d_]+)*)
  | (?P<variable>[^\W\d_])
  | (?P<other>\S)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SIGNS: Final = {
    **{"×": "*", "·": "*", "∙": "*", "x": "*", "X": "*", "÷": "/", "−": "-", "–": "-"},
    **{"times": "*", "multiplied by": "*", "mal": "*", "of": "*", "of the": "*", "plus": "+", "minus": "-"},
    **{"divided by": "/", "geteilt durch": "/"},
}
_PARTS: Final = {"half": Fraction(1, 2), "third": Fraction(1, 3), "quarter": Fraction(1, 4)}
# Kinds of token after which an operand is complete.
OPERAND_ENDS: Final = ("num", "close", "percent")
# No units: what joins two statements.
_JOINS: Final = frozenset(
    "and so then that which are was were has have had if because since when but or gives get gets makes he she it they "
    "we you there this these und dann also hat haben wenn weil aber oder er sie es wir that's".split()
)


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is num, op, open, close, percent, unit, or stop (`text` empty where it is a thing without a value)."""

    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Side:
    """A side of an equation: the tokens of an expression, without units, and how it is written."""

    tokens: tuple[Token, ...]
    written: str

    @property
    def numbers(self) -> list[Token]:
        """Its operands."""
        return [t for t in self.tokens if t.kind == "num"]

    @property
    def is_number(self) -> bool:
        """Whether it is a single number, maybe with a sign or in brackets."""
        return len(self.numbers) == 1 and all(t.kind != "op" or t.text == "-" for t in self.tokens)

    @property
    def key(self) -> str:
        """Equal for sides that say the same but for spaces and units."""
        return "".join(t.text for t in self.tokens)


def tokens_of(piece: str, at_end: bool) -> list[Token]:
    """`piece` as tokens, units left out and everything that is no part of an expression made a stop.

    `at_end` says that an equals sign follows, so that words after a number are its unit.
    """
    raw: list[Token] = []
    for match in _TOKEN.finditer(piece):
        kind, text = str(match.lastgroup), match.group()
        start, end = match.span()
        if kind == "currency":
            continue
        if kind == "part":
            named = next(name for name in _PARTS if name in text.casefold())
            raw += [Token("num", named, start, end), Token("op", "*", end, end)]
        elif kind == "square":
            raw += [Token("op", "^", start, start), Token("num", "2" if text == "²" else "3", start, end)]
        elif kind == "spoken" and text.casefold().startswith("of") and not _is_share(raw):
            raw.append(Token("unit", text, start, end))
        elif kind in ("op", "spoken"):
            raw.append(Token("op", _SIGNS.get(text.casefold(), text), start, end))
        elif kind in ("no_value", "variable") or (kind == "unit" and piece[end : end + 1] in ("(", "[")):
            raw.append(Token("stop", "", start, end))
        elif (kind == "unit" and text.casefold() in _JOINS) or kind == "other":
            raw.append(Token("stop", text, start, end))
        else:
            raw.append(Token("num" if kind == "mixed" else kind, text, start, end))
    return _balanced(_without_units(raw, at_end))


def _is_share(tokens: list[Token]) -> bool:
    """Whether "of" after `tokens` multiplies: 20% of, 1/3 of."""
    if tokens and tokens[-1].kind == "percent":
        return True
    return len(tokens) > 2 and tokens[-1].kind == "num" and tokens[-2].text == "/" and tokens[-3].kind == "num"


def _without_units(tokens: list[Token], at_end: bool) -> list[Token]:
    """Words between an operand and an operator, or the end, left out; other words are stops."""
    kept: list[Token] = []
    place = 0
    while place < len(tokens):
        if tokens[place].kind != "unit":
            kept.append(tokens[place])
            place += 1
            continue
        after = place
        while after < len(tokens) and tokens[after].kind == "unit":
            after += 1
        follows = tokens[after].kind if after < len(tokens) else ("op" if at_end else "stop")
        is_unit = kept and kept[-1].kind in OPERAND_ENDS and follows in ("op", "close")
        if not is_unit or after - place > MAX_UNIT_WORDS:
            kept.append(replace(tokens[place], kind="stop"))
        place = after
    return kept


def _balanced(tokens: list[Token]) -> list[Token]:
    """Brackets without their other half made stops."""
    opened: list[int] = []
    lone: set[int] = set()
    for place, token in enumerate(tokens):
        if token.kind == "open":
            opened.append(place)
        elif token.kind == "close":
            if opened:
                opened.pop()
            else:
                lone.add(place)
    lone |= set(opened)
    return [replace(t, kind="stop") if i in lone else t for i, t in enumerate(tokens)]


def plain(written: str, marks: str) -> str:
    """A number as digits with a point; `marks` "en" reads 1,234 as thousands, "de" 1.234.

    Raises:
        ValueError: it can be read in neither way, or has more digits than a text's arithmetic.
    """
    if len(written) > MAX_DIGITS:
        raise ValueError(f"{len(written)} characters")
    bare = re.sub(r"['’\s]", "", written)
    for grouping, point in ((",", "."), (".", ",")) if marks == "en" else ((".", ","), (",", ".")):
        grouped = rf"[1-9]\d{{0,2}}(?:{re.escape(grouping)}\d{{3}})+(?:{re.escape(point)}\d+)?"
        if re.fullmatch(grouped, bare):
            bare = bare.replace(grouping, "").replace(point, ".")
            break
        if re.fullmatch(rf"\d*(?:{re.escape(point)}\d+)?", bare):
            bare = bare.replace(point, ".")
            break
    else:
        raise ValueError(f"no number: {written}")
    return "".join(c if c == "." else str(unicodedata.digit(c)) for c in bare)


def value_of(written: str, marks: str) -> Fraction:
    """The value of a number as written, also of `half`, `½`, `2/5` and `1 1/2`.

    Raises:
        ValueError: see `plain`.
        ZeroDivisionError: a fraction with nothing below.
    """
    if written in _PARTS:
        return _PARTS[written]
    if "/" in written:
        whole, _, part = written.rpartition(" ")
        above, below = part.split("/")
        return int(whole or 0) + Fraction(int(above), int(below))
    if not re.search(r"\d", written):
        return Fraction(unicodedata.numeric(written)).limit_denominator(8)
    return Fraction(plain(written, marks))


class Evaluation:
    """A pass over the tokens of an expression: sums of products of powers of numbers and brackets."""

    def __init__(self, tokens: tuple[Token, ...], marks: str, percent: bool) -> None:
        self._tokens, self._marks, self._percent = tokens, marks, percent
        self._place = 0

    def value(self) -> Fraction:
        """The value of all tokens.

        Raises:
            ValueError: they are no expression, or its numbers are too long.
            ZeroDivisionError: it divides by zero.
        """
        result = self._sum()
        if self._place < len(self._tokens):
            raise ValueError("more follows")
        return result

    def _next(self) -> str:
        """The operator or bracket that comes next; of other tokens the kind."""
        if self._place == len(self._tokens):
            return "end"
        token = self._tokens[self._place]
        return token.text if token.kind == "op" else token.kind

    def _sum(self) -> Fraction:
        result = self._product()
        while (sign := self._next()) in ("+", "-"):
            self._place += 1
            term = self._product()
            result = result + term if sign == "+" else result - term
        return result

    def _product(self) -> Fraction:
        result = self._power()
        while (sign := self._next()) in ("*", "/", "open"):
            self._place += sign != "open"
            factor = self._power()
            result = result / factor if sign == "/" else result * factor
        return result

    def _power(self) -> Fraction:
        if self._next() == "-":
            self._place += 1
            return -self._power()
        base = self._operand()
        if self._next() != "^":
            return base
        self._place += 1
        exponent = self._power()
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if exponent.denominator > 1 or abs(exponent) > MAX_EXPONENT or bits * abs(exponent) > MAX_BITS:
            raise ValueError("no power to evaluate")
        return base ** int(exponent)

    def _operand(self) -> Fraction:
        kind = self._next()
        token = self._tokens[self._place] if kind != "end" else None
        self._place += 1
        if token is None or kind not in ("num", "open"):
            raise ValueError("no operand")
        if kind == "open":
            result = self._sum()
            if self._next() != "close":
                raise ValueError("bracket not closed")
            self._place += 1
        else:
            result = value_of(token.text, self._marks)
        if self._next() == "percent":
            self._place += 1
            return result / 100 if self._percent else result
        return result
