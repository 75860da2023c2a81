"""Which operations of an edit are safe: those that cannot change what a passage says.

In: an operation on a source. Out: the kind of safe change it is, or None; for an operation of an edit program, what
speaks against it, or None. White space, marks, case, accents, doubled
words, articles, written-out short forms, entities, a stray line: a table of kinds, asked in order. A changed word is
never safe: the bundled model makes "gewarnt" into "gewarum" as readily as it mends (measured on 50 passages).
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Final

from algorithms import grounding
from algorithms.edit_programs import SAME_MARKS, Operation, align, tokens
from algorithms.word_lists import word_set
from tier_assets.l3_refined.edit_rules import looks_like_code
from tier_assets.l3_refined.task import Edit, Passage
from tier_assets.l3_refined.verify import ungrounded

# Both ways: short forms of news wires, forms and mail.
EQUIVALENT: Final = frozenset(
    {
        ("pct", "%"), ("pct", "percent"), ("percent", "%"), ("dlr", "dollar"), ("dlrs", "dollars"), ("mln", "million"),
        ("bln", "billion"), ("cts", "cents"), ("shr", "share"), ("shrs", "shares"), ("qtr", "quarter"), ("yr", "year"),
        ("vs", "versus"), ("govt", "government"), ("dept", "department"), ("corp", "corp."), ("inc", "inc."),
    }
)  # fmt: skip
_ARTICLES: Final = word_set("a an the")
# "a few" is more than "few"; "its" and "it's" are two words.
_NO_ARTICLE: Final = word_set("few little lot bit")
_TWO_WORDS: Final = word_set("its were well ill shell hell wed id wont cant")
_SENTENCE_ENDS: Final = frozenset(".!?")
_QUOTES: Final = frozenset("\"'`´“”„‘’«»")
# Elsewhere a comma may part what belongs together: "guitarist, Jeff Hanneman and".
_AFTER_COMMA: Final = word_set("and or but which who whose und oder aber sondern")
MAX_LINE_WORDS: Final = 3
# A line of more words, or of this many that end as a sentence, states something; buttons and menus are shorter.
STATEMENT_WORDS: Final = 12
SENTENCE_WORDS: Final = 3


def refusal(edit: Edit, passage: Passage) -> str | None:
    """Why a model's operation on `passage` may not be done: it could change what the passage says, or lose it."""
    if looks_like_code(passage.text):
        return "in_code"
    if edit.operation == "replace_str":
        return _changes_meaning(edit, passage)
    if edit.operation == "add_line":
        return says_more(edit.new, passage.text)
    return loses(edit, passage) if edit.operation == "remove_lines" else None


def _changes_meaning(edit: Edit, passage: Passage) -> str | None:
    source, at = passage.text, edit.char_start - passage.char_start
    whole = [Operation(at + o.char_start, at + o.char_end, o.old, o.text) for o in align(edit.old, edit.new)[0]]
    unsafe = next((o for o in whole if kind(o, source) is None), None)
    return f"changes_meaning: {unsafe.old[:40]!r} -> {unsafe.text[:40]!r}" if unsafe else None


def says_more(added: str, source: str) -> str | None:
    """What an added line says that `source` does not, or says in another order; None where nothing is new."""
    fault = next(iter(ungrounded(added, source)), None)
    if fault is not None:
        return f"{fault.reason}: {fault.detail}"
    stems, known = grounding.content_stems(added), grounding.content_stems(source)
    if not stems or grounding.fold(added) in grounding.fold(source):
        return f"adds_nothing: {added.strip()[:60]!r}"
    new_words = [w for w in stems if w not in set(known)]
    if new_words:
        return f"new_word: {', '.join(new_words[:3])}"
    left = iter(known)  # "man bites dog" has the words of "dog bites man"
    return None if all(w in left for w in stems) else f"new_order: {added.strip()[:60]!r}"


def loses(edit: Edit, passage: Passage) -> str | None:
    """What the passage would no longer say without the lines; None where they state nothing, or nothing more."""
    text, start, end = passage.text, edit.char_start - passage.char_start, edit.char_end - passage.char_start
    if kind(Operation(start, end, edit.old, ""), text) == "stray_line":
        return None
    if not edit.old.strip():
        return None if text[:start].endswith("\n\n") or text[end:].startswith("\n") else "joins_paragraphs"
    before, after, removed = text[:start].rstrip(), text[end:].strip(), edit.old.strip()
    rest = f"{before}\n{after}"
    if {grounding.fold(line) for line in removed.split("\n")} <= {grounding.fold(line) for line in rest.split("\n")}:
        return None  # said elsewhere
    if any(unicodedata.category(sign) == "Sm" for sign in removed):  # of tables too: the bar is one
        return f"loses_formula: {removed[:60]!r}"
    wrapped = len(before.rpartition("\n")[2].split()) > MAX_LINE_WORDS
    cut_before = _runs_on(before) and (wrapped or removed[:1].islower())
    if cut_before or (_runs_on(removed) and after[:1].islower()):
        return f"cuts_sentence: {removed[:60]!r}"
    lost = grounding.missing_numbers(removed, rest)
    if lost:
        return f"loses_number: {', '.join(lost)}"
    if any(_states(line) for line in removed.split("\n")):
        return f"loses_statement: {removed[:60]!r}"
    if not before or removed.startswith("#") or _states(after.partition("\n")[0]):
        return f"loses_heading: {removed[:60]!r}"
    return None


def _states(line: str) -> bool:
    words = grounding.words(line)
    return len(words) > STATEMENT_WORDS or (len(words) >= SENTENCE_WORDS and not _runs_on(line))


def _runs_on(text: str) -> bool:
    """Whether `text` ends within a sentence, as far as its last mark tells."""
    return bool(text) and text.rstrip("\"'”’)»")[-1:] not in _SENTENCE_ENDS | {":"}


def kind(operation: Operation, source: str) -> str | None:
    """The name of the safe change that `operation` is on `source`; None where it is none."""
    return next((name for name, holds in KINDS if holds(operation, source)), None)


def safe(operations: Sequence[Operation], source: str) -> list[Operation]:
    """The operations that cannot change what `source` says."""
    return [o for o in operations if kind(o, source) is not None]


def _around(operation: Operation, source: str) -> tuple[str, str]:
    """The characters before and after the operation's place; empty at the ends."""
    start, end = operation.char_start, operation.char_end
    return source[start - 1 : start] if start else "", source[end : end + 1]


def _white_space(operation: Operation, source: str) -> bool:
    if operation.old.strip() or operation.text.strip():
        return False
    before, after = _around(operation, source)
    if not before or not after:
        return not operation.text
    if before in _QUOTES or after in _QUOTES:
        # A straight mark does not say which side it belongs to, but in "Slayer 's".
        return operation.text == "" and bool(re.match(r"['’]s\b", source[operation.char_end :])) and before.isalpha()
    if operation.text == "":
        return _may_close_up(before, source[operation.char_end : operation.char_end + 2])
    if operation.old == "":
        return before in ",;:.!?)" and after.isalpha()
    if operation.text == "\n":
        return operation.old.count("\n") == 1 and before in _SENTENCE_ENDS and after.isalpha()  # an indent goes
    # Wrapped lines are joined; paragraphs stay, and so does a line that begins an item.
    return operation.text == " " and operation.old.count("\n") <= 1 and (after.isalnum() or "\n" not in operation.old)


def _may_close_up(before: str, after: str) -> bool:
    """ "cat ," and "( 24" may; "the cat" must stay two words, "1 000" and "3 - 5" as they are."""
    if before.isdigit() or after[0].isdigit():
        return (after[0] in ",.;:!?)%" and not after[1:].isdigit()) or before in "([$€£#"
    return not (before.isalnum() and after[0].isalnum())


def _mark_style(operation: Operation, source: str) -> bool:
    before, after = _around(operation, source)
    if before.isdigit() and after.isdigit():
        return False
    old, new = operation.old, operation.text
    return len(old) == len(new) == 1 and any(old in marks and new in marks for marks in SAME_MARKS)


def _mark_inserted(operation: Operation, source: str) -> bool:
    """A sentence's end at the end of a line, or a comma before a word that joins."""
    mark = operation.text.strip()
    before, _ = _around(operation, source)
    following = re.match(r"\s*(\w*)", source[operation.char_end :])
    word = following.group(1) if following else ""
    if operation.old.strip() or not before.isalpha() or "\n\n" in operation.old:
        return False
    if mark in _SENTENCE_ENDS:
        return operation.char_end == len(source) or ("\n" in operation.old and word[:1].isupper())
    return operation.text == ", " and operation.old.isspace() and word in _AFTER_COMMA


def _case(operation: Operation, source: str) -> bool:
    """A sentence's first letter rises, or the word I; a name's letter never falls."""
    old, new = operation.old, operation.text
    before = source[: operation.char_start].rstrip()
    rises = old[:1].islower() and new == old[:1].upper() + old[1:]
    return rises and (old == "i" or not before or before[-1] in _SENTENCE_ENDS)


def _accents(operation: Operation, source: str) -> bool:
    old, new = operation.old.strip(), operation.text.strip()
    return old.isalpha() and new.isalpha() and old.isascii() and _bare(new) == old and operation.text != operation.old


def _bare(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def _doubled_word(operation: Operation, source: str) -> bool:
    """One of two same words goes; "that that" and "had had" are English, and "Duran Duran" is a name."""
    found = [t.text for t in tokens(operation.old)]
    if (
        len(found) != 1
        or not (found[0].isalpha() and found[0].islower())
        or operation.text.strip()
        or found[0] in ("that", "had")
    ):
        return False
    before = re.search(r"(\w+)\s*$", source[: operation.char_start])
    after = re.match(r"\s*(\w+)", source[operation.char_end :])
    return found[0] in {m.group(1).lower() for m in (before, after) if m}


def _article(operation: Operation, source: str) -> bool:
    old, new = operation.old.strip().lower(), operation.text.strip().lower()
    following = re.match(r"\s*([a-z]+)", source[operation.char_end :])
    if {old, new} == {"a", "an"}:
        return True
    inserted = not old and new in _ARTICLES and operation.old.isspace() and operation.text[-1:].isspace()
    return inserted and bool(following) and following is not None and following.group(1) not in _NO_ARTICLE


def _equivalent(operation: Operation, source: str) -> bool:
    pair = (operation.old.strip().lower(), operation.text.strip().lower())
    return pair in EQUIVALENT or pair[::-1] in EQUIVALENT


def _apostrophe(operation: Operation, source: str) -> bool:
    old, new = operation.old.strip(), operation.text.strip()
    return old.isalpha() and re.sub("['’]", "", new) == old and old.lower() not in _TWO_WORDS


def _entity(operation: Operation, source: str) -> bool:
    return "&" in operation.old and html.unescape(operation.old).strip() == operation.text.strip()


def _stray_line(operation: Operation, source: str) -> bool:
    """A line of its own at the end of the passage (a wire's name, a button) goes."""
    if operation.text.strip() or operation.char_end != len(source) or "\n" not in operation.old:
        return False
    words = operation.old.split()
    return 0 < len(words) <= MAX_LINE_WORDS and all(w.isalpha() for w in words)


KINDS: Final[tuple[tuple[str, Callable[[Operation, str], bool]], ...]] = (
    ("white_space", _white_space),
    ("mark_style", _mark_style),
    ("mark_inserted", _mark_inserted),
    ("case", _case),
    ("accents", _accents),
    ("doubled_word", _doubled_word),
    ("article", _article),
    ("equivalent", _equivalent),
    ("apostrophe", _apostrophe),
    ("entity", _entity),
    ("stray_line", _stray_line),
)
