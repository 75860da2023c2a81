"""What a task of L3 is: a prompt file, a parser of replies and a judge of what was parsed.

In: a passage of a selected document and a model's reply to the prompt about it. Out: candidate records, and for each
the verification level it reaches and what speaks against it. Pure functions; a task costs one request a passage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document: `text` is what stands at `char_start` to `char_end` of its L1 text."""

    doc_id: str
    text: str
    char_start: int
    char_end: int


@dataclass(frozen=True, slots=True)
class Reason:
    """What is wrong with a candidate, and the value that decided."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record as parsed: `prompt` is what a user would say, `output` the answer; `reply` what the model wrote."""

    prompt: str
    output: str
    text: str
    reply: str
    style: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """`level` 0 parsed, 1 grounded; a candidate with reasons is never above 0."""

    level: int
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt file: a system message and a user message with the place `{passage}`.

    `version` is the file's name and the start of its hash: another wording is another version.
    """

    version: str
    system: str
    user: str

    def fill(self, passage: str) -> str:
        """The user message about `passage`."""
        return self.user.replace("{passage}", passage)

    @property
    def instructions(self) -> str:
        """All that the prompt says itself, for finding it again in a reply."""
        return f"{self.system}\n{self.user.replace('{passage}', '')}"


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of record: how to ask for it, read it and judge it."""

    name: str
    prompt: Prompt
    json_schema: dict[str, Any] | None
    max_tokens: int
    parse: Callable[[str, Passage], list[Candidate]]
    accept: Callable[[Candidate, Passage], Judgement]


def read_prompt(path: Path) -> Prompt:
    """The prompt in a text file: system message, a line `---`, user message.

    Raises:
        ValueError: the separator or the place of the passage is missing.
    """
    content = path.read_text(encoding="utf-8")
    system, separator, user = content.partition("\n---\n")
    if not separator or "{passage}" not in user:
        raise ValueError(f"prompt file {path.name} needs a line '---' and the place '{{passage}}'")
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    return Prompt(version=f"{path.stem}-{digest}", system=system.strip(), user=user.strip())


def judged(reasons: list[Reason]) -> Judgement:
    """Level 1 where nothing speaks against a candidate, else level 0."""
    return Judgement(level=0 if reasons else 1, reasons=tuple(reasons))
