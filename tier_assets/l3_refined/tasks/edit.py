"""Task edit: the model cleans a passage; of what it changed, only what cannot change the meaning is kept.

In: a passage. Out: the passage with the safe operations of the model's edit, accepted where the reply is an edit of
the passage at all and at least one operation is safe. Nothing the model made up can stand in the output: it is the
source and operations of the kinds in `safe_edits`, and it is checked against the source like any other record.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from algorithms import grounding
from algorithms.edit_programs import Operation, align, apply
from tier_assets.l3_refined.safe_edits import safe
from tier_assets.l3_refined.task import Ask, Candidate, Judgement, Passage, Reason, Task, judged, read_prompt
from tier_assets.l3_refined.verify import ungrounded

PROMPT: Final = read_prompt(Path(__file__).with_name("edit.txt"))
# Below half, the reply is another text and what agrees is chance (read by eye on 50 replies).
MIN_MATCHED_SHARE: Final = 0.5
SHOWN_OPERATIONS: Final = 5


def plan(passage: Passage) -> list[Ask]:
    """Once the whole passage."""
    return [Ask(fill=(("passage", passage.text),))]


def parse(reply: str, passage: Passage, ask: Ask) -> list[Candidate]:
    """The passage with the safe operations of the reply."""
    source = passage.text
    operations, _ = align(source, reply.strip())
    text = apply(source, safe(operations, source))
    return [Candidate(prompt=source, output=text, text=text, reply=reply.strip(), source=source)]


def accept(candidate: Candidate, passage: Passage) -> Judgement:
    """Level 1 where the reply edits the passage and some of its operations are safe."""
    source, reply = passage.text, candidate.reply
    operations, matched_share = align(source, reply)
    kept = safe(operations, source)
    reasons = []
    if grounding.is_refusal(reply) and not grounding.is_refusal(source):
        reasons.append(Reason("refusal", reply[:80]))
    if matched_share < MIN_MATCHED_SHARE:
        reasons.append(Reason("rewritten", f"{matched_share:.2f} of the passage is in the reply"))
    if not operations:
        reasons.append(Reason("unchanged", "the passage as it was"))
    elif not kept:
        reasons.append(Reason("no_safe_edit", _shown(operations)))
    return judged(reasons + ungrounded(candidate.output, source))


def _shown(operations: Sequence[Operation]) -> str:
    shown = [f"{o.old[:20]!r} -> {o.text[:20]!r}" for o in operations[:SHOWN_OPERATIONS]]
    return ", ".join(shown) + (f" and {len(operations) - len(shown)} more" if len(operations) > len(shown) else "")


# A passage's 128 tokens and room for what is written out; whatever follows is no edit.
EDIT: Final = Task("edit", PROMPT, max_tokens=144, plan=plan, parse=parse, accept=accept)
