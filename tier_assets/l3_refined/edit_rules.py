"""Edits that need no model: what is sure to be noise or a typist's slip in a passage, as operations on it.

In: a passage. Out: operations, each with the name of its rule as proposer. A rule acts only where it cannot be wrong
about what the passage says; whatever looks like code, a table or verse is left as it is. Rules are asked in order.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from algorithms.edit_programs import Operation
from tier_assets.l3_refined.programs import line_spans, placed, removal
from tier_assets.l3_refined.task import Edit, Passage

# What buttons, menus and notices of pages and mail say when they stand on a line of their own.
_NAVIGATION: Final = re.compile(
    r"(?:skip to (?:main )?content|back to top|read more|continue reading|share (?:this|on \w+)|tweet|print|email this"
    r"|log ?in|sign (?:in|up)|subscribe|register|search|menu|home|contact(?: us)?|about us|privacy policy|imprint"
    r"|terms of (?:use|service)|next|previous|loading|advertisement|weiterlesen|zum inhalt|impressum"
    r"|datenschutz|startseite|nach oben|drucken|anzeige|mehr)[.…!»>→ ]*",
    re.IGNORECASE,
)
# Ten: shorter rows of one mark underline headings in plain text and part tables.
_RULER: Final = re.compile(r"\s*([-=_*~+#.])\1{9,}\s*")
_EMPTY_QUOTE: Final = re.compile(r"^[ \t]*(?:> ?)+[ \t]*$", re.MULTILINE)
_HYPHENATED: Final = re.compile(r"(?<![\w-])([^\W\d_]+)-\n[ \t]*([^\W\d_]+)")
_DOUBLED_SPACE: Final = re.compile(r"(?<=[^\W\d_][.!?])( {2,3})(?=[A-ZÄÖÜ\"“„(])")
_ENTITY: Final = re.compile(r"&(?:amp|nbsp|quot|lt|gt|apos|mdash|ndash|hellip|rsquo|lsquo|rdquo|ldquo|#\d{2,5});")
_TAG: Final = re.compile(r"</?(?:b|i|u|em|strong|font|span|p|div|center|a)(?: [^<>\n]{0,200})?/?>", re.IGNORECASE)
_BREAK: Final = re.compile(r"\n?[ \t]*<br ?/?>[ \t]*\n?", re.IGNORECASE)
# Of a whole page, which is not one stray tag: half of its tags without the others would be worse.
_PAGE_TAG: Final = re.compile(
    r"</?(?:html|head|title|body|meta|table|t[rdh]|img|hr|[uo]l|li|blockquote|h\d|script|style|form|input)\b[^<>]*>",
    re.IGNORECASE,
)
MAX_TAG_SHARE: Final = 0.2
# A text that speaks of tags and entities means them.
_ABOUT_TAGS: Final = re.compile(r"\b(?:tags?|elements?|html|xml|markup|entit\w+|\w*escap\w+)\b|`", re.IGNORECASE)
_SPACE_BEFORE_MARK: Final = re.compile(r"(?<=[^\W\d_]) (?=[,;](?:\s|$))")
_CODE: Final = re.compile(
    r"```|^(?: {4,}|\t)\S.*[;{}()=]|[{}]$|\) ?;$|^\s*\w+ \w+(?: = .*)?;$|^\s*(?:def|class|import|return|#include)\b",
    re.MULTILINE,
)
MIN_REPEATED_WORDS: Final = 6


@dataclass(frozen=True, slots=True)
class Rule:
    """`find` gives the operations on a text; `name` is their proposer."""

    name: str
    find: Callable[[str], Iterator[Operation]]


@dataclass(frozen=True, slots=True)
class LineRule:
    """A line for which `holds`, given the line above it, goes."""

    name: str
    holds: Callable[[str, str], bool]


def _navigation(line: str, above: str) -> bool:
    """Not where the line above runs on into it: "we went\\nhome"."""
    end = above.rstrip()[-1:]
    runs_on = (end.isalnum() or end == ",") and not _is_menu(above)
    return _is_menu(line) and not runs_on


def _is_menu(line: str) -> bool:
    parts = [p.strip() for p in re.split(r"[|·•»]", line) if p.strip()]
    return bool(parts) and all(_NAVIGATION.fullmatch(p) for p in parts)


def _repeated(line: str, above: str) -> bool:
    return line.strip() == above.strip() and len(line.split()) >= MIN_REPEATED_WORDS


def hyphenation(text: str) -> Iterator[Operation]:
    """A word parted at a line's end is joined where the passage has it whole, or with its hyphen."""
    known = set(re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", text))
    for match in _HYPHENATED.finditer(text):
        first, second = match.groups()
        for joined in (first + second, f"{first}-{second}"):
            if joined in known:
                yield Operation(match.start(), match.end(), match.group(), joined)
                break


def _found(pattern: re.Pattern[str], new: Callable[[str], str]) -> Callable[[str], Iterator[Operation]]:
    """Every place of `pattern`, with what stands there instead."""

    def find(text: str) -> Iterator[Operation]:
        for match in pattern.finditer(text):
            yield Operation(match.start(), match.end(), match.group(), new(match.group()))

    return find


def _mark_up(pattern: re.Pattern[str], new: Callable[[str], str]) -> Callable[[str], Iterator[Operation]]:
    """Tags and entities left in a text that does not speak of them and is no page of them."""
    found = _found(pattern, new)

    def find(text: str) -> Iterator[Operation]:
        bare = _BREAK.sub("\n", _TAG.sub("", text))
        page = _PAGE_TAG.search(bare) or len(text) - len(bare) > MAX_TAG_SHARE * len(text)
        return iter(()) if page or _ABOUT_TAGS.search(bare) else found(text)

    return find


def _ruler(line: str, above: str) -> bool:
    """Under a line of text it may make that a heading."""
    return bool(_RULER.fullmatch(line)) and not above.strip()


LINE_RULES: Final = (
    LineRule("navigation_line", _navigation),
    LineRule("ruler_line", _ruler),
    LineRule("repeated_line", _repeated),
)
RULES: Final = (
    Rule("broken_hyphenation", hyphenation),
    Rule("empty_quote", _found(_EMPTY_QUOTE, lambda old: "")),
    Rule("permalink_mark", _found(re.compile(r"(?<=\S)¶(?=\n|$)"), lambda old: "")),
    Rule("entity", _mark_up(_ENTITY, lambda old: html.unescape(old).replace("\u00a0", " "))),
    Rule("line_break_tag", _mark_up(_BREAK, lambda old: "\n")),
    Rule("tag", _mark_up(_TAG, lambda old: "")),
    Rule("doubled_space", _found(_DOUBLED_SPACE, lambda old: " ")),
    Rule("space_before_mark", _found(_SPACE_BEFORE_MARK, lambda old: "")),
)


def propose(passage: Passage) -> list[Edit]:
    """What the rules would do to the passage, in their order; nothing in code."""
    text = passage.text
    if looks_like_code(text):
        return []
    lines = [text[a:b] for a, b in line_spans(text)]
    gone: dict[int, str] = {}
    for rule in LINE_RULES:
        for number, line in enumerate(lines, start=1):
            if rule.holds(line, lines[number - 2] if number > 1 else ""):
                gone.setdefault(number, rule.name)
    edits = [removal(passage, number, number, name) for number, name in gone.items()]
    return edits + [placed(o, passage, rule.name) for rule in RULES for o in rule.find(text)]


def looks_like_code(text: str) -> bool:
    """Whether a part of `text` is code or a table, where spaces, marks and repetitions mean something."""
    return bool(_CODE.search(text)) or text.count("|") > len(text.split("\n"))
