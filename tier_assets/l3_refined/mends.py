"""Mends of faults that need no model, and what a model's mend may touch.

In: a passage with faults. Out: operations that are sure, each with its rule as proposer; for a model's operation, what
speaks against it. A mend changes signs, never words: dollars, braces, back-slashes, `\\begin` and `\\end`, white space.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from algorithms.edit_programs import Operation
from tier_assets.l3_refined import edit_rules
from tier_assets.l3_refined.faults import Fault, faults
from tier_assets.l3_refined.programs import placed
from tier_assets.l3_refined.task import Edit, Passage

# What a formula's argument may be for its closing brace to have one place only: "x", "n+1" would have two.
_ONE_TOKEN: Final = re.compile(r"(?:\\[A-Za-z]+|[A-Za-z0-9]+)(?=\s*\$)")
# A command that nobody knows, with a brace behind it that was not opened: "\\textitn}".
_GLUED: Final = re.compile(r"\\(textit|textrm|textbf|mathbb|mathrm|mathcal|mathbf|overline|sqrt)([A-Za-z0-9]+)$")
_ENVIRONMENT: Final = re.compile(r"\\(?:begin|end)\{[A-Za-z]+\*?\}")
_SIGNS: Final = re.compile(r"[\s${}\\]")


def propose(passage: Passage, found: list[Fault]) -> list[Edit]:
    """The sure mends of the faults `found` in the passage."""
    text = passage.text
    return [placed(o, passage, f"mend_{f.kind}") for f in found for o in MENDS.get(f.kind, _none)(f, text)]


def _none(fault: Fault, text: str) -> Iterator[Operation]:
    yield from ()


def _backslash(fault: Fault, text: str) -> Iterator[Operation]:
    yield Operation(fault.start, fault.start, "", "\\")


def _brace(fault: Fault, text: str) -> Iterator[Operation]:
    """A brace that holds one token up to the formula's end is closed after it; one glued to a command is opened."""
    token = _ONE_TOKEN.match(text, fault.end)
    glued = _GLUED.search(text[: fault.start])
    if text[fault.start] == "{" and token:
        yield Operation(token.end(), token.end(), "", "}")
    elif text[fault.start] == "}" and glued:
        yield Operation(glued.start(2), glued.start(2), "", "{")


def _item(fault: Fault, text: str) -> Iterator[Operation]:
    if text[fault.start - 1 : fault.start] == " ":
        yield Operation(fault.start - 1, fault.start, " ", "\n")


def _word(fault: Fault, text: str) -> Iterator[Operation]:
    joined = [o for o in edit_rules.hyphenation(text) if (o.char_start, o.char_end) == (fault.start, fault.end)]
    yield from joined


def _quoted_printable(fault: Fault, text: str) -> Iterator[Operation]:
    """A sign of ASCII as it was; of others the code page is not known."""
    old = text[fault.start : fault.end]
    sign = chr(int(old[1:], 16))
    if sign.isascii():
        yield Operation(fault.start, fault.end, old, sign)


def _mojibake(fault: Fault, text: str) -> Iterator[Operation]:
    from ftfy import fix_encoding

    old = text[fault.start : fault.end]
    new = fix_encoding(old)
    if not any(f.kind == fault.kind for f in faults(new)):
        yield Operation(fault.start, fault.end, old, new)


# A dollar without partner and an environment without end are the model's: on maths notes with one dollar taken out,
# trying every place for one that leaves nothing broken found one right place and two wrong ones in 570.
MENDS: Final[dict[str, Callable[[Fault, str], Iterator[Operation]]]] = {
    "lost_backslash": _backslash,
    "unpaired_brace": _brace,
    "run_on_item": _item,
    "broken_word": _word,
    "quoted_printable": _quoted_printable,
    "mojibake": _mojibake,
}


def refusal(edit: Edit, passage: Passage) -> str | None:
    """Why a model's operation is no mend: it changes more than signs, or takes lines away."""
    if edit.operation in ("remove_lines", "remove_all"):
        return "removes_lines"
    at = edit.char_start - passage.char_start
    before, after = passage.text[:at], passage.text[at + len(edit.old) :]
    if without_signs(passage.text) != without_signs(before + edit.new + after):
        return f"changes_more: {edit.old[:40]!r} -> {edit.new[:40]!r}"
    return None


def without_signs(text: str) -> str:
    """`text` without the signs that a mend may put right: what must be the same before and after."""
    return _SIGNS.sub("", _ENVIRONMENT.sub("", text))


def num_faults(text: str) -> Counter[str]:
    """How many faults of each kind `text` has."""
    return Counter(f.kind for f in faults(text))


def is_mended(before: str, after: str) -> bool:
    """Whether fewer things are broken than before, and none of another kind or more of one kind."""
    old, new = num_faults(before), num_faults(after)
    return new.total() < old.total() and not new - old
