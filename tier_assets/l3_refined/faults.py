"""What is broken in a passage: formulae of LaTeX, encoding, words and lists that lost their lines.

In: a text. Out: faults, each with its kind and the place where it shows. Code, in fences or between back-quotes, is
not looked at. Signs of LaTeX are only read in a text that writes LaTeX: elsewhere a dollar is money. Cost: a few
regular expressions and one pass over the formulae, about 1 MB/s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from algorithms.sentences import Span

# Commands that cannot be words of the text when they stand in a formula without their back-slash.
COMMANDS: Final = frozenset(
    "frac dfrac tfrac sqrt sum prod int lim infty cdot cdots ldots dots times leq geq neq equiv approx cong pmod "
    "mathbb mathrm mathcal mathbf textit textrm textbf overline langle rangle rightarrow leftarrow mapsto subset "
    "subseteq setminus cup cap wedge otimes alpha beta gamma delta epsilon varepsilon theta kappa lambda mu nu xi "
    "rho sigma tau phi varphi psi omega Gamma Delta Theta Lambda Sigma Phi Psi Omega forall exists partial "
    "nabla".split()
)
_COMMAND: Final = re.compile(r"\\([A-Za-z]+)")
_NAME: Final = re.compile(r"(?<![\\A-Za-z])([A-Za-z]+)")
_CODE: Final = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_DOLLAR: Final = re.compile(r"(?<!\\)\$\$?")
_ENVIRONMENT: Final = re.compile(r"\\(begin|end)\{([A-Za-z]+\*?)\}")
_BRACE: Final = re.compile(r"(?<!\\)[{}]")
# Words that join prose; in a formula they only stand in \text{...}.
_PROSE: Final = re.compile(r"(?<![\\A-Za-z])(?:the|is|are|of|and|for|with|that|which|we|where|has|then)(?![A-Za-z])")
_IN_WORDS: Final = re.compile(r"\\(?:text|mbox|hbox|operatorname|mathop)[a-z]*\s*\{[^{}]*\}")
_HYPHENATED: Final = re.compile(r"(?<![\w-])[^\W\d_]{2,}-\n[ \t]*[a-zäöüß]{2,}")
# "1)" and what follows a comma or "and" is counted within a sentence.
_ITEM: Final = re.compile(r"(?:^|(?<=[.;:!?)\w] ))(?<!and )(?<!or )(\d{1,2})\. (?=\S)")
_QUOTED_PRINTABLE: Final = re.compile(
    r"(?<=[^\W\d_.,!?])=(?:20|3D|2E|E[249]|F[6C]|DF|C4|D6|DC|A0|92|93|94)(?![0-9A-Fa-f])"
)
# A formula beyond doubt: no space inside its dollars, a mark or space right outside, and a sign of mathematics.
_FORMULA: Final = re.compile(r"(?<![\w$])\$(?=[^\s$])([^$\n]*[^$\s])\$(?=[\s.,;:!?)-]|$)")
_MATHEMATICS: Final = re.compile(r"[\\^_{]|^[A-Za-z]$")
_ENCODED_MAIL: Final = re.compile(r"=3D[\"'#]|=C3=|=E2=80|[a-z]=\n[a-z]|=20\n.*=20\n")
MIN_ITEMS: Final = 3
MIN_COMMANDS: Final = 2


class Fault(NamedTuple):
    """Something broken: what, and where it shows."""

    kind: str
    start: int
    end: int


def faults(text: str) -> list[Fault]:
    """All faults of `text`, in its order."""
    readable = prose(text)
    found = [f for find in (*FINDERS, *(LATEX_FINDERS if is_latex(readable) else ())) for f in find(readable)]
    return sorted(found, key=lambda f: (f.start, f.end, f.kind))


def prose(text: str) -> str:
    """`text` with blanks in the place of code."""
    return _CODE.sub(lambda m: " " * len(m.group()), text)


def is_latex(text: str) -> bool:
    """Whether `text` writes formulae: by commands that are no words of Python or of paths, or by a sure formula."""
    known = {m.group(1) for m in _COMMAND.finditer(text)} & (COMMANDS | {"begin", "end", "in", "mid", "pi", "left"})
    if len(known) >= MIN_COMMANDS or (known and "$" in text):
        return True
    sure = (m.group(1) for m in _FORMULA.finditer(text))
    return any(_MATHEMATICS.search(f) or COMMANDS & set(_NAME.findall(f)) for f in sure)


def formulae(text: str) -> list[Span]:
    """What stands between one dollar, or pair of dollars, and the next of its kind; an unpaired one opens none.

    No formula goes over the end of a paragraph.
    """
    spans: list[Span] = []
    for start, end in _paragraphs(text):
        opened: re.Match[str] | None = None
        for mark in _DOLLAR.finditer(text, start, end):
            if opened is None:
                opened = mark
            elif opened.group() == mark.group():
                spans.append(Span(opened.end(), mark.start()))
                opened = None
    return spans


def _paragraphs(text: str) -> Iterator[Span]:
    at = 0
    for paragraph in text.split("\n\n"):
        yield Span(at, at + len(paragraph))
        at += len(paragraph) + 2


def _dollars(text: str) -> Iterator[Fault]:
    """Paragraphs in which a dollar has no partner, or prose stands between two: then one before is missing.

    One fault a paragraph: a single dollar that is missing turns all that follows inside out.
    """
    inside = formulae(text)
    for start, end in _paragraphs(text):
        said = [f for f in inside if start <= f.start < end and _PROSE.search(_IN_WORDS.sub("", text[f.start : f.end]))]
        marks = list(_DOLLAR.finditer(text, start, end))
        if said:
            yield Fault("unpaired_dollar", said[0].start - 1, said[0].end + 1)
        elif sum(len(m.group()) for m in marks) % 2:
            yield Fault("unpaired_dollar", marks[-1].start(), marks[-1].end())


def _braces(text: str) -> Iterator[Fault]:
    """Braces without partner in a formula; without formulae, in the whole text. Not where dollars lack a partner."""
    if any(_dollars(text)):
        return
    for start, end in formulae(text) or [Span(0, len(text))]:
        opened: list[int] = []
        for match in _BRACE.finditer(text, start, end):
            if match.group() == "{":
                opened.append(match.start())
            elif opened:
                opened.pop()
            else:
                yield Fault("unpaired_brace", match.start(), match.end())
        yield from (Fault("unpaired_brace", at, at + 1) for at in opened)


def _environments(text: str) -> Iterator[Fault]:
    opened: list[tuple[str, int, int]] = []
    for match in _ENVIRONMENT.finditer(text):
        word, name = match.groups()
        if word == "begin":
            opened.append((name, match.start(), match.end()))
        elif opened and opened[-1][0] == name:
            opened.pop()
        else:
            yield Fault("unpaired_environment", match.start(), match.end())
    yield from (Fault("unpaired_environment", start, end) for _, start, end in opened)


def lost_backslashes(text: str) -> Iterator[Fault]:
    """Names of commands in formulae, or before a brace, that have no back-slash; none where dollars lack a partner."""
    inside = [] if any(_dollars(text)) else formulae(text)
    for match in _NAME.finditer(text):
        in_formula = any(start <= match.start() < end for start, end in inside)
        if match.group() in COMMANDS and (in_formula or text[match.end() : match.end() + 1] == "{"):
            yield Fault("lost_backslash", match.start(), match.end())


def _mojibake(text: str) -> Iterator[Fault]:
    """Words in a wrong encoding, by ftfy's list of what never stands together."""
    if text.isascii():
        return
    from ftfy.badness import is_bad

    for match in re.finditer(r"\S+", text):
        if not match.group().isascii() and is_bad(match.group()):
            yield Fault("mojibake", match.start(), match.end())


def run_on_items(text: str) -> Iterator[Fault]:
    """Items 2, 3 ... of a numbered list that stand in one line with item 1."""
    line_start = 0
    for line in text.split("\n"):
        items: list[re.Match[str]] = []
        for match in _ITEM.finditer(line):
            if int(match.group(1)) == len(items) + 1:
                items.append(match)
        if len(items) >= MIN_ITEMS and "|" not in line:  # the cells of a table stay in their row
            yield from (Fault("run_on_item", line_start + m.start(), line_start + m.end()) for m in items[1:])
        line_start += len(line) + 1


def _quoted_printable(text: str) -> Iterator[Fault]:
    """Signs of mail's encoding, where something in the text can be nothing else: "n=20" alone is mathematics."""
    if _ENCODED_MAIL.search(text):
        yield from (Fault("quoted_printable", m.start(), m.end()) for m in _QUOTED_PRINTABLE.finditer(text))


def _matches(kind: str, pattern: re.Pattern[str]) -> Callable[[str], Iterator[Fault]]:
    return lambda text: (Fault(kind, m.start(), m.end()) for m in pattern.finditer(text))


FINDERS: Final = (
    _mojibake,
    run_on_items,
    _matches("broken_word", _HYPHENATED),
    _quoted_printable,
)
LATEX_FINDERS: Final = (_dollars, _braces, _environments, lost_backslashes)
