"""What a task of L3 is: a prompt file, a parser of replies and a judge of what was parsed.

In: a passage of a selected document, and a model's reply to what was asked about it. Out: what to ask, candidate
records, and for each the verification level it reaches and what speaks against it. Pure functions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

JsonSchema = dict[str, Any]
_PLACE: Final = re.compile(r"\{([a-z_]+)\}")


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
class Ask:
    """One question to the model: what fills the prompt, the form of the reply, the style of the record.

    `given` is what the task knows beforehand and needs again when it reads the reply, such as the answer asked for.
    """

    fill: tuple[tuple[str, str], ...]
    given: str = ""
    style: str | None = None
    json_schema: JsonSchema | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record as parsed: `prompt` is what a user would say, `output` the answer; `reply` what the model wrote.

    `source` is the part of the passage that the record is about.
    """

    prompt: str
    output: str
    text: str
    reply: str
    source: str
    style: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """`level` 0 parsed, 1 grounded, 3 independently checked; a candidate with reasons is never above 0."""

    level: int
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt file: a system message and a user message with places such as `{passage}`.

    `version` is the file's name and the start of its hash: another wording is another version.
    """

    version: str
    system: str
    user: str

    def fill(self, values: tuple[tuple[str, str], ...]) -> str:
        """The user message with its places filled, in one pass: a value may itself hold braces.

        Raises:
            KeyError: the prompt has a place that `values` does not fill.
        """
        known = dict(values)
        return _PLACE.sub(lambda m: known[m.group(1)], self.user)

    @property
    def instructions(self) -> str:
        """All that the prompt says itself, for finding it again in a reply."""
        return f"{self.system}\n{_PLACE.sub('', self.user)}"


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of record: what to ask of a passage, how to read the reply and judge it.

    `check`, where a task has one, asks the model again about an accepted candidate, with another prompt;
    a reply that bears the candidate out raises it to level 3.
    """

    name: str
    prompt: Prompt
    max_tokens: int
    plan: Callable[[Passage], list[Ask]]
    parse: Callable[[str, Passage, Ask], list[Candidate]]
    accept: Callable[[Candidate, Passage], Judgement]
    check: Check | None = None

    @property
    def prompt_versions(self) -> tuple[str, ...]:
        """Versions of all that the task asks: what a cache of its records must look at."""
        return (self.prompt.version, *((self.check.prompt.version,) if self.check else ()))


@dataclass(frozen=True, slots=True)
class Check:
    """A second question about an accepted candidate; where it is `needed`, a reply that disagrees rejects."""

    prompt: Prompt
    max_tokens: int
    ask: Callable[[Candidate, Passage], Ask]
    agrees: Callable[[str, Candidate], bool]
    needed: Callable[[Candidate], bool]


def read_prompt(path: Path) -> Prompt:
    """The prompt in a text file: system message, a line `---`, user message.

    Raises:
        ValueError: the separator or every place such as `{passage}` is missing.
    """
    content = path.read_text(encoding="utf-8")
    system, separator, user = content.partition("\n---\n")
    if not separator or not _PLACE.search(user):
        raise ValueError(f"prompt file {path.name} needs a line '---' and a place such as '{{passage}}'")
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    return Prompt(version=f"{path.stem}-{digest}", system=system.strip(), user=user.strip())


def judged(reasons: list[Reason]) -> Judgement:
    """Level 1 where nothing speaks against a candidate, else level 0."""
    return Judgement(level=0 if reasons else 1, reasons=tuple(reasons))
