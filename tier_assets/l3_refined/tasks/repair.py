"""Task repair: broken formulae, encoding, words and lists of a passage, mended sign by sign.

In: a passage in which `faults` finds something broken; others are not asked about. Out: the passage with the mends that
hold: those that rules are sure of, then those of the model's program. A model's mend may touch signs only (dollars,
braces, back-slashes, environments, white space), and one without which the passage is no more broken is refused. The
candidate is accepted where fewer faults are left than before and none is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from tier_assets.l3_refined import mends, programs
from tier_assets.l3_refined.faults import Fault, faults
from tier_assets.l3_refined.programs import MODEL, validate
from tier_assets.l3_refined.task import Ask, Candidate, Edit, Judgement, Passage, Reason, Task, judged, read_prompt
from tier_assets.l3_refined.verify import ungrounded

PROMPT: Final = read_prompt(Path(__file__).with_name("repair.txt"))
SHOWN_FAULTS: Final = 4
MODEL_STYLE: Final = "program"


def plan(passage: Passage) -> list[Ask]:
    """One ask where something is broken, none elsewhere."""
    found = faults(passage.text)
    if not found:
        return []
    fill = (
        ("passage", passage.text),
        ("broken", "; ".join(_named(f, passage.text) for f in found[:SHOWN_FAULTS])),
        ("lines", programs.numbered(passage.text)),
    )
    return [Ask(fill, style=MODEL_STYLE, json_schema=programs.SCHEMA)]


def _named(fault: Fault, text: str) -> str:
    line = text.count("\n", 0, fault.start) + 1
    return f"{fault.kind.replace('_', ' ')} {text[fault.start : fault.end][:30]!r} in line {line}"


def parse(reply: str, passage: Passage, ask: Ask) -> list[Candidate]:
    """The passage with the mends that hold.

    Raises:
        ValueError: a reply that is no program, where no rule is sure of a mend.
    """
    sure = mends.propose(passage, faults(passage.text))
    edits = _with_effect(
        validate([*sure, *programs.propose_beside(sure, reply, passage)], passage, mends.refusal), passage
    )
    text = programs.apply(passage, edits)
    style = programs.RULES_STYLE if programs.by_rules(edits) else ask.style
    return [Candidate(passage.text, text, text, reply.strip(), passage.text, style, edits=tuple(edits))]


def _with_effect(edits: Sequence[Edit], passage: Passage) -> list[Edit]:
    """The program with those of the model's operations refused that mend nothing beside the others."""
    kept = list(edits)
    for number, edit in enumerate(edits):
        if edit.reason is None and edit.proposer == MODEL and edit.operation != "keep_all":
            rest, _ = programs.undo(passage, kept, number)
            if not mends.is_mended(rest, programs.apply(passage, kept)):
                kept[number] = replace(edit, reason="mends_nothing")
    return kept


def accept(candidate: Candidate, passage: Passage) -> Judgement:
    """Level 1 where fewer faults are left, none is new, and nothing is said that the passage does not say."""
    reasons = programs.idle(candidate.edits)
    if not reasons and not mends.is_mended(passage.text, candidate.output):
        left = mends.num_faults(candidate.output)
        reasons.append(Reason("still_broken", ", ".join(f"{n} {kind}" for kind, n in sorted(left.items()))))
    return judged(reasons + ungrounded(candidate.output, passage.text))


REPAIR: Final = Task("repair", PROMPT, max_tokens=192, plan=plan, parse=parse, accept=accept)
