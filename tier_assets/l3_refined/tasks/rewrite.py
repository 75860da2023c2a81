"""Task rewrite: a passage told anew in one of seven styles, from an encyclopedia's article to a lecturer's note.

In: a passage. Out: the rewritten text, accepted where every sentence is borne out by the passage, most of what the
passage says is there, and its words are not the passage's own in their order.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from algorithms import grounding
from algorithms.sentences import sentences
from tier_assets.l3_refined.retelling import (
    CHECK,
    dangling,
    is_finished,
    is_tellable,
    repeated,
    split,
    too_little,
    unsupported,
)
from tier_assets.l3_refined.self_contained import mentions_text
from tier_assets.l3_refined.task import Ask, Candidate, Judgement, Passage, Reason, Task, judged, read_prompt
from tier_assets.l3_refined.verify import copied, echo, ungrounded

PROMPT: Final = read_prompt(Path(__file__).with_name("rewrite.txt"))
STYLES: Final = tuple(PROMPT.styles)
# Words of the rewritten text over those of the passage.
LENGTHS: Final = (0.4, 2.5)
MIN_COVERAGE: Final = 0.4
# "Sure! Here is the text, rewritten as a blog post:" and what models say after their work.
_PREAMBLE: Final = re.compile(
    r"(?:(?:sure|certainly|of course|okay|gern|gerne|natürlich)\b[^\n:]*[!.,:]\s*)?"
    r"(?:(?:here(?:'s| is| are)|hier (?:ist|sind)|below is|(?:the )?rewritten|(?:the )?new text|umgeschrieben)"
    r"[^\n:]{0,120}:\s*|(?:the )?(?:original )?text(?: is)?:\s*)?",
    re.IGNORECASE,
)
# "Note: I have kept ..." on a line of its own at the end.
_AFTERWORD: Final = re.compile(
    r"\n+[ \t]*(?:\(?note:|i (?:have |hope )|i've |this (?:rewritten|version|rewrite)|in this (?:rewrite|version)|"
    r"hinweis:|ich habe )[^\n]*\Z",
    re.IGNORECASE,
)


def plan(passage: Passage) -> list[Ask]:
    """The passage once in each style; nothing where it has no whole sentences."""
    if not is_tellable(passage.text):
        return []
    return [Ask((("passage", passage.text),), style=style) for style in STYLES]


def parse(reply: str, passage: Passage, ask: Ask) -> list[Candidate]:
    """The rewritten text: the reply without what is said before and after it, and without a sentence cut off.

    A user is taken to give the text and to say what shall become of it. Asked for by its topic alone, the same piece
    would teach a model to state what its prompt does not say; so what is verified here, that the passage bears the
    text out, is what the record shows.
    """
    style = ask.style or ""
    text = reply.strip()
    text = text[_leading(text) :]
    text = _finished(_AFTERWORD.sub("", text).strip())
    kind = PROMPT.styles[style].partition(":")[0]
    prompt = f"Rewrite this text as {kind}.\n\n{passage.text}"
    return [Candidate(prompt, text, text, reply, passage.text, style)]


def _leading(text: str) -> int:
    found = _PREAMBLE.match(text)
    return found.end() if found else 0


def _finished(text: str) -> str:
    """`text` without its last sentence where that does not end; the lines of a note before it need not."""
    spans = sentences(text)
    if spans and not is_finished(text[spans[-1].start : spans[-1].end]):
        spans.pop()
    return text[: spans[-1].end] if spans else ""


def accept(candidate: Candidate, passage: Passage) -> Judgement:
    """Level 1 where the text says what the passage says, most of it and in other words."""
    text, source = candidate.output, passage.text
    reasons = _length(text, source)
    reasons += copied(text, source)
    reasons += repeated(text, source)
    reasons += echo(text, PROMPT, source)
    reasons += ungrounded(text, source)
    against, doubts = split(unsupported(text, source), text, source)
    reasons += against
    reasons += dangling(text, source)
    reasons += [] if mentions_text(source) else mentions_text(text)
    reasons += too_little(text, source, MIN_COVERAGE)
    return judged(reasons, doubts)


def _length(text: str, source: str) -> list[Reason]:
    share = len(grounding.words(text)) / max(1, len(grounding.words(source)))
    shown = f"{share:.2f} of the passage's words"
    if share < LENGTHS[0]:
        return [Reason("too_short", shown)]
    return [Reason("too_long_text", shown)] if share > LENGTHS[1] else []


# A passage's 128 tokens, and half as many again.
REWRITE: Final = Task("rewrite", PROMPT, max_tokens=200, plan=plan, parse=parse, accept=accept, checks=(CHECK,))
