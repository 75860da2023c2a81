"""Sentences of a text in any language, by rules, as spans: no model, no state, the same answer every time.

In: a text (plain or light Markdown). Out: spans in code points, in order, that do not overlap. Blocks come first
(blank lines, headings, list items, table rows, code fences, short lines), then sentence ends within a block. The rules
are those of pySBD ("PySBD: Pragmatic Sentence Boundary Disambiguation", arXiv 2010.09657) cut to what decides most
cases: abbreviations, initials, decimals, German ordinals, closing quotes, full-width stops.
Where we differ: one table of abbreviations for all languages, and line breaks are judged by the line's length, since
web text has a paragraph a line and mail has wrapped lines. Cost: linear, about 5 MB/s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from algorithms.word_lists import word_set


class Span(NamedTuple):
    """Half-open positions in code points: `text[start:end]`."""

    start: int
    end: int


# Mail and Gutenberg-like text is wrapped at 60 to 80 characters; a shorter line that ends there was meant to end, and a
# longer one is a paragraph of its own.
WRAPPED_CHARS = (45, 100)

_WIDE_ENDS = "。！？｡"
# “ closes a German quotation; in scripts without spaces it opens the next sentence.
_TERMINAL = re.compile(r"[。！？｡]+[\"'”’»›)\]」』]*|[.!?…।॥؟۔።។]+[\"'“”’»›)\]*_]*")
_MARKER = re.compile(r"\s*(?:#{1,6}\s+|(?:>\s?)+|[-*+•–]\s+|\(?\d{1,3}[.)]\s+|\|)")
_FENCE = re.compile(r"\s*(?:```|~~~)")
_RULE = re.compile(r"\s*(?:[=\-_*]{3,}|[=\-_*](?:\s+[=\-_*]){2,})\s*$")
# A line that ends so is not over, however short it is.
_GOES_ON = re.compile(
    r"(?:,|\b(?:the|an?|its|his|her|their|of|in|on|to|and|or|for|with|by|der|die|das|den|dem|und|von|im))\s*$"
)
_TOKEN_BEFORE = re.compile(r"[^\s(\[\"'“„«‘]*$")
_WORD_BEFORE = re.compile(r"(\w+)\s+\S*$")
_NEXT = re.compile(r"\s*[\"'“„«‘(\[¿¡*_]*(\w*)")
_ACRONYM = re.compile(r"(?:\w\.)+\w")

# Never end a sentence: something always follows.
_ABBREVIATIONS = word_set(
    """
    mr mrs ms dr prof rev hon gen col maj capt lt sgt sen rep gov st mt ft messrs mme mlle sr sra srta dra fig
    figs eq eqs vs cf al approx ca e.g i.e eg ie viz resp vol vols ed eds pp p ch sec art nos nr hr fr frl abs
    bzw bspw evtl ggf inkl exkl sog vgl z.b d.h u.a o.ä i.d.r s.o s.u z.t zzgl dipl ing str tel jan feb mar apr
    jun jul aug sep sept oct nov dec okt dez mär min max bibl op cit trans repr univ dept ave blvd
    """
)
# End one only where the next word opens a sentence.
_MAY_END = word_set("etc usw inc ltd co corp jr bros esq a.m p.m d.c u.s u.k u.n u.s.a ph.d m.d b.a m.a bc ad")
_STARTERS = word_set(
    """
    the a an he she it they we you i this that these those there here his her its their our my in on at by for
    from with as if when while after before since until although but and or so yet however then thus also some
    many most all no not what who why how where one another each both such der die das ein eine er sie es wir
    ihr dies diese dieser dieses im am auf aber und oder doch auch als wenn nach vor seit für mit bei zu man le
    la les un une il elle ils elles ce cette dans mais et pour el los las una ella este esta en pero y para
    """
)
_ORDINAL_NOUNS = word_set(
    """
    januar jänner februar märz april mai juni juli august september oktober november dezember jahrhundert
    jahrhunderts jahrtausend jh jahrestag geburtstag platz rang runde bezirk stock klasse auflage weltkrieg mal
    tag
    """
)
_ORDINAL_LEADS = word_set(
    "am vom im der die das den dem des zum zur beim seit bis ab jeden jeder jede dieser bereits ihr sein"
)


def sentences(text: str) -> list[Span]:
    """The sentences of `text`, in order; white space, list markers and rules between them belong to none.

    >>> [text[a:b] for text in ["Dr. Low paid 3.5 m. It rained."] for a, b in sentences(text)]
    ['Dr. Low paid 3.5 m.', 'It rained.']
    """
    return [s for block in blocks(text) for s in ([block] if _FENCE.match(text, block.start) else _split(text, block))]


def blocks(text: str) -> Iterator[Span]:
    """Paragraphs, headings, list items, table rows, code blocks: what no sentence reaches across."""
    start = end = -1
    previous = ""
    fenced = False
    for line_start, line in _lines(text):
        fence = bool(_FENCE.match(line))
        new = not fenced and (fence or _begins_block(previous, line))
        if (new or not line.strip()) and start >= 0 and not fenced:
            yield Span(start, end)
            start = -1
        if fence:
            fenced = not fenced
        if line.strip() and not (_RULE.match(line) and not fenced):
            if start < 0:
                marker = None if fence or fenced else _MARKER.match(line)
                start = line_start + (marker.end() if marker else len(line) - len(line.lstrip()))
            end = line_start + len(line.rstrip())
        if fence and not fenced and start >= 0:
            yield Span(start, end)
            start = -1
        previous = line
    if 0 <= start < end:
        yield Span(start, end)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without their break, each with its position."""
    position = 0
    for line in text.split("\n"):
        yield position, line
        position += len(line) + 1


def _begins_block(previous: str, line: str) -> bool:
    """Whether `line` opens a block although no blank line stands before it."""
    if _MARKER.match(line) or _RULE.match(line) or _RULE.match(previous):
        return True
    if previous.lstrip().startswith(("#", "|")):
        return True
    shortest, longest = WRAPPED_CHARS
    wrapped = shortest <= len(previous) <= longest or bool(_GOES_ON.search(previous))
    return not wrapped and not line.lstrip()[:1].islower()


def _split(text: str, block: Span) -> Iterator[Span]:
    start = block.start
    for match in _TERMINAL.finditer(text, block.start, block.end):
        if _ends_sentence(text, match, block):
            span = _trim(text, start, match.end())
            if span:
                yield span
            start = match.end()
    span = _trim(text, start, block.end)
    if span:
        yield span


def _trim(text: str, start: int, end: int) -> Span | None:
    """The span without white space around it, or None where no letter or digit is left."""
    piece = text[start:end]
    if not any(c.isalnum() for c in piece):
        return None
    start += len(piece) - len(piece.lstrip())
    return Span(start, start + len(piece.strip()))


def _ends_sentence(text: str, match: re.Match[str], block: Span) -> bool:
    if match.end() >= block.end or match.group()[0] in _WIDE_ENDS:
        return True
    if not text[match.end()].isspace():
        return False
    following = _NEXT.match(text, match.end(), block.end)
    word = following.group(1) if following else ""
    if word[:1].islower():
        return False
    if match.group().rstrip("\"'“”’»›)]*_") != ".":
        return True
    return not _is_abbreviation(text, block.start, match.start(), word)


def _is_abbreviation(text: str, block_start: int, dot: int, next_word: str) -> bool:
    """Whether the full stop at `dot` belongs to the word before it."""
    before = text[max(block_start, dot - 40) : dot]
    found = _TOKEN_BEFORE.search(before)
    token = found.group() if found else ""
    low, opens = token.lower(), next_word.lower() in _STARTERS
    if low in _ABBREVIATIONS:
        return True
    if low == "no":
        return next_word[:1].isdigit()
    if low in _MAY_END or _ACRONYM.fullmatch(token) or (len(token) == 1 and token.isalpha() and token.isupper()):
        return not opens
    if token.isdigit() and len(token) <= 2:
        if len(before) == len(token) and dot - block_start == len(token):
            return True  # an enumeration: "1. First"
        lead = _WORD_BEFORE.search(before)
        ordinal = bool(lead and lead.group(1).lower() in _ORDINAL_LEADS) and not opens
        return next_word.lower() in _ORDINAL_NOUNS or ordinal
    return False
