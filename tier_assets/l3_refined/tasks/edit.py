"""Task edit: a passage cleaned by rules and by a model; of what they propose, only what cannot change the meaning is
done.

In: a passage. Out: the passage with the operations that hold. The model proposes in one of two styles: `text`, where it
writes the edited text and the operations are read off the alignment (a small model copies better than it counts lines),
and `program`, where it writes the operations. Rules propose first. Every operation is in the candidate's edits, refused
ones with their reason; the candidate is accepted where at least one is done. Where only rules did something, whatever
the model wrote, its style is `rules`. Nothing the model made up can stand in the output: it is the source and
operations of the kinds in `safe_edits`, and it is checked against the source like any other record.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from algorithms import grounding
from algorithms.edit_programs import Operation, align
from tier_assets.l3_refined import edit_rules, programs
from tier_assets.l3_refined.programs import MODEL, placed, validate
from tier_assets.l3_refined.safe_edits import kind, refusal
from tier_assets.l3_refined.task import Ask, Candidate, Edit, Judgement, Passage, Task, judged, read_prompt
from tier_assets.l3_refined.verify import ungrounded

PROMPT: Final = read_prompt(Path(__file__).with_name("edit.txt"))
# Below half, the reply is another text and what agrees is chance (read by eye on 50 replies).
MIN_MATCHED_SHARE: Final = 0.5


def plan(passage: Passage) -> list[Ask]:
    """Two asks for the whole passage: for the edited text, and for a program."""
    given = ("passage", passage.text)
    lines = ("lines", "\n" + programs.numbered(passage.text))
    return [
        Ask((given, ("lines", "")), style="text"),
        Ask((given, lines), style="program", json_schema=programs.SCHEMA),
    ]


def parse(reply: str, passage: Passage, ask: Ask) -> list[Candidate]:
    """The passage with what holds of the rules' and the reply's operations.

    Raises:
        ValueError: a program that is not of the form asked for, where rules propose nothing.
    """
    sure = edit_rules.propose(passage)
    if ask.style == "text":
        proposed = read_off(reply.strip(), passage)
    else:
        proposed = programs.propose_beside(sure, reply, passage)
    edits = validate([*sure, *proposed], passage, refusal)
    text = programs.apply(passage, edits)
    style = programs.RULES_STYLE if programs.by_rules(edits) else ask.style
    return [Candidate(passage.text, text, text, reply.strip(), passage.text, style, edits=tuple(edits))]


def read_off(reply: str, passage: Passage) -> list[Edit]:
    """The operations by which a reply differs from the passage; a reply that is another text is one refused one."""
    operations, matched_share = align(passage.text, reply)
    whole = placed(Operation(0, len(passage.text), passage.text, reply), passage, MODEL)
    if grounding.is_refusal(reply) and not grounding.is_refusal(passage.text):
        return [replace(whole, reason=f"refusal: {reply[:80]}")]
    if matched_share < MIN_MATCHED_SHARE:
        return [replace(whole, reason=f"rewritten: {matched_share:.2f} of the passage is in the reply")]
    return [_judged(o, passage) for o in operations]


def _judged(operation: Operation, passage: Passage) -> Edit:
    """An operation of the alignment, judged where it stands: its kind depends on what is around it."""
    edit = placed(operation, passage, MODEL)
    return edit if kind(operation, passage.text) else replace(edit, reason="changes_meaning")


def accept(candidate: Candidate, passage: Passage) -> Judgement:
    """Level 1 where at least one operation is done and the text states nothing that the passage does not."""
    return judged(programs.idle(candidate.edits) + ungrounded(candidate.output, passage.text))


# A passage's 128 tokens and room for what is written out, or six operations; whatever follows is no edit.
EDIT: Final = Task("edit", PROMPT, max_tokens=192, plan=plan, parse=parse, accept=accept)
