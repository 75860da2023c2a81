"""Task edit: the model cleans a passage: spelling, punctuation, grammar, left-over layout.

In: a passage. Out: the edited passage, accepted where it is an edit of its source: little changed, nothing gutted,
no number, name, quotation, negation or content word that the source does not have, none of its numbers lost.
"""

from __future__ import annotations

import difflib
from collections import Counter
from pathlib import Path
from typing import Final

from algorithms import grounding
from tier_assets.l3_refined.tasks.task import Candidate, Judgement, Passage, Reason, Task, judged, read_prompt
from tier_assets.l3_refined.verify import echo, ungrounded

PROMPT: Final = read_prompt(Path(__file__).with_name("edit.txt"))
# Copy editing of the CoNLL-2014 kind changes about a tenth of the words; past these shares it is another text.
MAX_CHANGED_SHARE: Final = 0.3
MAX_REMOVED_SHARE: Final = 0.15
# A spelling correction keeps most letters: "recieve" to "receive" is .86, "raise" to "reduce" .55.
SPELLING_RATIO: Final = 0.75


def parse(reply: str, passage: Passage) -> list[Candidate]:
    """The reply as the edited passage, without a fence around it."""
    text = reply.strip().removeprefix("```").removesuffix("```").strip()
    return [Candidate(prompt=passage.text, output=text, text=text)]


def accept(candidate: Candidate, passage: Passage) -> Judgement:
    """Level 1 where the output is a bounded, faithful edit of the passage."""
    output, source = candidate.output, passage.text
    reasons = ungrounded(output, source) + echo(output, PROMPT, source)
    if not any(r.reason == "empty" for r in reasons):
        reasons += _not_an_edit(output, source)
    return judged(reasons)


def _not_an_edit(output: str, source: str) -> list[Reason]:
    if output.split() == source.split():
        return [Reason("unchanged", "the passage as it was")]
    before, after = grounding.words(source), grounding.words(output)
    matcher = difflib.SequenceMatcher(a=before, b=after, autojunk=False)
    removed = [w for op, a, b, _, _ in matcher.get_opcodes() if op in ("delete", "replace") for w in before[a:b]]
    added = [w for op, _, _, a, b in matcher.get_opcodes() if op in ("insert", "replace") for w in after[a:b]]
    reasons = []
    changed = max(len(removed), len(added)) / max(1, len(before))
    if changed > MAX_CHANGED_SHARE:
        reasons.append(Reason("rewritten", f"{changed:.2f} of the words changed"))
    gone = (len(before) - len(after)) / max(1, len(before))
    if gone > MAX_REMOVED_SHARE:
        reasons.append(Reason("gutted", f"{gone:.2f} of the words removed"))
    reasons += _facts_changed(output, source)
    invented = _invented(added, removed, source)
    if invented:
        reasons.append(Reason("new_word", ", ".join(invented)))
    return reasons


def _facts_changed(output: str, source: str) -> list[Reason]:
    reasons = []
    lost = grounding.missing_numbers(source, output)
    if lost:
        reasons.append(Reason("lost_number", ", ".join(lost)))
    before, after = grounding.num_negations(source), grounding.num_negations(output)
    if before != after:
        reasons.append(Reason("negation_changed", f"{before} negations before, {after} after"))
    return reasons


def _invented(added: list[str], removed: list[str], source: str) -> list[str]:
    """Added content words that neither the source has nor correct the spelling of a removed word."""
    known = set(grounding.content_stems(source))
    gone = Counter(removed)
    return [
        word
        for word in added
        if word not in grounding.STOPWORDS
        and word not in grounding.NEGATIONS
        and grounding.stem(word) not in known
        and not any(difflib.SequenceMatcher(a=word, b=old).ratio() >= SPELLING_RATIO for old in gone)
    ]


# 1.5 tokens for each of the passage's: an edit that needs more is none.
EDIT: Final = Task("edit", PROMPT, None, max_tokens=190, parse=parse, accept=accept)
