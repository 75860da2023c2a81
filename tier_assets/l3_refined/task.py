"""What a task of L3 is: a prompt file, a parser of replies, a judge of what was parsed, and what is asked to check it.

In: a passage of a selected document, and a model's reply to what was asked about it. Out: what to ask, candidate
records, and for each the verification levels it reaches and what speaks against it. Pure functions, but for `execute`.

Levels (column `verification_level` is the highest that holds, `levels` lists all):
    0 parsed       the reply has the form asked for
    1 grounded     what it says stands in the source or follows from it
    2 consistent   samples of the model agree
    3 checked      another prompt or model, given the source, agrees
    4 executed     its code passes its tests in the sandbox
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

JsonSchema = dict[str, Any]
LEVELS: Final = {0: "parsed", 1: "grounded", 2: "consistent", 3: "checked", 4: "executed"}
_PLACE: Final = re.compile(r"\{([a-z_]+)\}")
_BLOCK: Final = re.compile(r"^---(?: ([a-z_]+))?$", re.MULTILINE)


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
class Message:
    """One turn of a record: `role` is system, user or assistant."""

    role: str
    content: str


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
class Edit:
    """One operation of an edit program, judged: a row of `l3_edits`. Lines are numbered from 1 within the passage.

    `operation` is one of keep_all, remove_all, remove_lines, replace_str, add_line. `char_start` to `char_end` are
    those of the passage's document. `reason` says why it is not in the record; None where it is applied.
    """

    operation: str
    line: int
    last_line: int
    old: str
    new: str
    char_start: int
    char_end: int
    proposer: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record as parsed: `prompt` is what a user would say, `output` the answer; `reply` what the model wrote.

    `source` is the part of the passage that the record is about. `turns` are the record's messages where they are more
    than `prompt` and `output`. `answer` is the final answer of worked reasoning; `tests` what code must pass; `edits`
    the program that made an edited text.
    """

    prompt: str
    output: str
    text: str
    reply: str
    source: str
    style: str | None = None
    turns: tuple[Message, ...] = ()
    answer: str | None = None
    tests: str | None = None
    edits: tuple[Edit, ...] = ()

    @property
    def messages(self) -> tuple[Message, ...]:
        """The record as chat messages."""
        return self.turns or (Message("user", self.prompt), Message("assistant", self.output))


@dataclass(frozen=True, slots=True)
class Judgement:
    """`level` is that of a task's own judge, 1 grounded or, with reasons, 0.

    `doubts` are what words alone do not settle: they reject, unless a check that `settles` finds otherwise.
    """

    level: int
    reasons: tuple[Reason, ...]
    doubts: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt file: a system message, a user message with places such as `{passage}`, and what `{style}` stands for.

    `version` is the file's name and the start of its hash: another wording is another version.
    """

    version: str
    system: str
    user: str
    styles: Mapping[str, str] = field(default_factory=dict)

    def fill(self, values: tuple[tuple[str, str], ...], style: str | None = None) -> str:
        """The user message with its places filled, in one pass: a value may itself hold braces.

        Raises:
            KeyError: the prompt has a place that `values` and the styles do not fill.
        """
        known = {"style": self.styles[style]} if style is not None and style in self.styles else {}
        known |= dict(values)
        return _PLACE.sub(lambda m: known[m.group(1)], self.user)

    @property
    def instructions(self) -> str:
        """All that the prompt says itself, for finding it again in a reply."""
        return "\n".join([self.system, _PLACE.sub("", self.user), *self.styles.values()])


def never(candidate: Candidate) -> bool:
    """A candidate that a check does not bear out keeps the level that it has."""
    return False


@dataclass(frozen=True, slots=True)
class Check:
    """Further requests about an accepted candidate; where their replies bear it out, it reaches `level` (2 or 3).

    `ask` gives None where the check does not apply. `agrees` reads the replies, one a sample, that are no errors; it is
    not called without any. Where the check is `needed`, replies that do not agree reject the candidate as `reason`.
    `by_other` asks the checking model, where the lake has one beside the writing model. A check that `settles` is asked
    only about candidates with doubts, and only of a checking model: who wrote a doubtful claim does not judge it.
    """

    level: int
    prompt: Prompt
    max_tokens: int
    ask: Callable[[Candidate, Passage], Ask | None]
    agrees: Callable[[Sequence[str], Candidate], bool]
    needed: Callable[[Candidate], bool] = never
    reason: str = "second_reply_disagrees"
    num_samples: int = 1
    temperature: float = 0.0
    by_other: bool = False
    settles: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of record: what to ask of a passage, how to read the reply and judge it.

    `plan` gives every ask that the passage offers, one a style or level; how many of them are asked is the lake's
    setting. A task with `after` asks about the accepted candidates of that task, by `plan_from`, and not by `plan`.
    `execute`, where a task has one, runs the candidate in the sandbox: without reasons it reaches level 4.
    """

    name: str
    prompt: Prompt
    max_tokens: int
    plan: Callable[[Passage], list[Ask]]
    parse: Callable[[str, Passage, Ask], list[Candidate]]
    accept: Callable[[Candidate, Passage], Judgement]
    temperature: float = 0.0
    checks: tuple[Check, ...] = ()
    after: str | None = None
    plan_from: Callable[[Candidate, Passage], list[Ask]] | None = None
    execute: Callable[[Candidate], tuple[Reason, ...]] | None = None

    @property
    def prompt_versions(self) -> tuple[str, ...]:
        """Versions of all that the task asks: what a cache of its records must look at."""
        return (self.prompt.version, *(check.prompt.version for check in self.checks))


def read_prompt(path: Path) -> Prompt:
    """The prompt in a text file: system message, a line `---`, user message, and for each style `--- name`, its words.

    Raises:
        ValueError: the separator or every place such as `{passage}` is missing, or there are styles without `{style}`.
    """
    content = path.read_text(encoding="utf-8")
    system, *blocks = _BLOCK.split(content)
    named = dict(zip(blocks[::2], (b.strip() for b in blocks[1::2]), strict=True))
    user = named.pop(None, "")
    if not _PLACE.search(user):
        raise ValueError(f"prompt file {path.name} needs a line '---' and a place such as '{{passage}}'")
    if bool(named) != ("{style}" in user):
        raise ValueError(f"prompt file {path.name} needs '{{style}}' and blocks '--- name', both or neither")
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    return Prompt(version=f"{path.stem}-{digest}", system=system.strip(), user=user, styles=named)


def json_object(reply: str) -> dict[str, Any]:
    """The JSON object that a reply is.

    Raises:
        ValueError: it is none.
    """
    try:
        found = json.loads(reply)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError("JSON, but no object")
    return found


def judged(reasons: list[Reason], doubts: Sequence[Reason] = ()) -> Judgement:
    """Level 1 where nothing speaks against a candidate, else level 0."""
    return Judgement(level=0 if reasons else 1, reasons=tuple(reasons), doubts=tuple(doubts))
