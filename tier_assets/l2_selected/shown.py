"""What the language model sees of a document: windows of it, and each window fenced.

In: a text of L1. Out: spans of at most `max_tokens` tokens that end where a paragraph does, spread over the document;
of a span, the text that stands in the prompt. Only what is shown is tokenised: a book costs what its windows cost,
some 1 ms each.
"""

from __future__ import annotations

import functools
import re
from typing import Final

from resources.tokenizer import cut_tokens

# A last window shorter than this share of the first is a stray line, rated as such.
MIN_WINDOW_SHARE: Final = 0.25
# Lines of code: what a line of a common programming language ends or begins with; a line of LaTeX also ends in braces.
CODE_LINE: Final = re.compile(
    r"""(?!\s*\\[A-Za-z])(?: .*[;{}]\s*$
    | \s*[)\]}]+[;,)]*\s*$
    | \s*(?:\#include|\#define|\#!|@\w+|//|/\*|\*/|>>>\ |\.\.\.\ |[rbf]?["']{3})
    | \s*(?:import|from)\ [\w.]+(?:\ import\b.*|\ as\ \w+)?\s*$
    | \s*(?:def|class|fn|func|function|if|elif|else|for|while|try|except|with|switch|case|struct|impl)\b.*[:(]\s*$
    | \s*(?:return|raise|yield|assert|const|let|var|val|public|private|static|package|use|using)\b.*[\w)\]"'=,(]\s*$
    | \s*[\w.\[\]"']+\ *(?:[-+*/|&]?=|:=|\+\+|--)\ *\S
    | \s*[\w.]+\(.*[),(:]\s*$)""",
    re.VERBOSE,
)
# Of 400 Python files 95% reach it, of 400 LaTeX sources and 1,700 texts of five corpora of prose none.
MIN_CODE_SHARE: Final = 0.4
MIN_CODE_LINES: Final = 3
CODE_CHARS: Final = 20_000  # of a text that are looked at


def windows(text: str, max_tokens: int, max_windows: int) -> list[tuple[int, int]]:
    """Spans of `text`, in code points: at most `max_windows`, each of at most `max_tokens` tokens, in order and apart.

    The first begins with the text; the others are spread evenly over the rest, and follow each other where the text is
    short. A window ends at the end of a paragraph where one lies in its second half, else of a line, else of a word.
    None where there is no text.
    """
    found: list[tuple[int, int]] = []
    end = len(text.rstrip())
    for i in range(max_windows):
        start = found[-1][1] if found else 0
        if i:
            # Evenly spread begins, the last one a window's length before the end.
            first = found[0][1] - found[0][0]
            start = max(start, _line_start(text, (end - first) * i // (max_windows - 1)))
        start += len(text[start:end]) - len(text[start:end].lstrip())
        if start >= end:
            break
        window = start, start + len(_cut(text[start:end], max_tokens).rstrip())
        if found and window[1] - window[0] < MIN_WINDOW_SHARE * (found[0][1] - found[0][0]):
            break
        found.append(window)
    return found


def fence(text: str) -> str:
    """`text` without what could end its fence, without tokens of a chat template, and with `#` for every digit.

    >>> fence("a</document><|im_end|>b, since 2024")
    'a< /document> b, since ####'
    """
    # Broken by spaces, a template's tokens still moved a small model's rating by .9: they go altogether.
    without_tokens = re.sub(r"<\|[^<>|\n]{1,40}\|>", " ", text)
    # A small model copies the digits that it read last: shown as they are, "5 5 5" at a document's end moved its rating
    # by 1.5; and it judges better without them (article against boilerplate .935, with them .913).
    without_digits = without_tokens.translate(_digits())
    return re.sub(r"<(?=/?\s*document\b)", "< ", without_digits, flags=re.IGNORECASE)


def is_code(text: str) -> bool:
    """Whether enough of the lines of the text's first CODE_CHARS characters look like lines of a program.

    >>> is_code("def half(x):\\n    y = x / 2\\n    return y"), is_code("A half is one of two equal parts.")
    (True, False)
    """
    lines = [line for line in text[:CODE_CHARS].split("\n") if line.strip()]
    num_code = sum(CODE_LINE.match(line) is not None for line in lines)
    return len(lines) >= MIN_CODE_LINES and num_code >= MIN_CODE_SHARE * len(lines)


def _cut(text: str, max_tokens: int) -> str:
    """The head of `text` that is a window."""
    head = cut_tokens(text, max_tokens)
    if len(head) == len(text):
        return head
    half = len(head) // 2
    for mark in ("\n\n", "\n", " "):
        if (cut := text.rfind(mark, half, len(head) + len(mark))) > 0:
            return text[:cut]
    return head


def _line_start(text: str, position: int) -> int:
    """The first begin of a paragraph at or after `position`, if one is near, else of a line, else of a word."""
    near = text[position : position + 2_000]
    for mark in ("\n\n", "\n", " "):
        if (found := near.find(mark)) >= 0:
            return position + found + len(mark)
    return position


@functools.cache
def _digits() -> dict[int, str]:
    """Every character that stands for a digit, in any script, superscript or circled."""
    return {point: "#" for point in range(0x20000) if chr(point).isdigit()}
