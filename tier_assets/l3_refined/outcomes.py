"""What became of each request of L3: a candidate with the levels it reached, or the reasons against it; and the rows.

In: requests with their replies. Out: rows of `l3_refined`, `l3_edits`, `verdicts` and `lineage`: every outcome is a row
or a verdict.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from resources.language_models import Reply
from tier_assets.l3_refined.programs import by_rules
from tier_assets.l3_refined.task import Ask, Candidate, Passage, Reason, Task
from tier_assets.l3_refined.undo import edit_rows
from tier_tables import LINEAGE, VERDICTS
from tier_tables.refinement import L3_EDITS, L3_REFINED

PARENT_TABLE: Final = "l2_selected"
RULE: Final = "rule"  # in place of a model, where only rules edited
# A document that gave no candidate at all.
IDLE: Final = {
    "no_passage": "no whole sentences of enough words and few enough tokens",
    "nothing_to_ask": "no task found anything to ask in its passages",
}


@dataclass(frozen=True, slots=True)
class Writing:
    """A task's ask about a passage. `order` puts outcomes in the same order whatever order replies come in."""

    task: Task
    passage: Passage
    ask: Ask
    order: tuple[int, ...]
    parent_id: str | None = None


@dataclass(slots=True)
class Outcome:
    """A candidate, or a reply without any: kept where there are no reasons. Costs include those of its checks."""

    writing: Writing
    record_id: str
    order: tuple[int, ...]
    reply: str | None
    candidate: Candidate | None
    reasons: tuple[Reason, ...]
    doubts: tuple[Reason, ...] = ()
    levels: set[int] = field(default_factory=set)
    check_model: str | None = None
    entailment: float | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0

    def spend(self, reply: Reply) -> None:
        """Count what a reply cost."""
        self.prompt_tokens += reply.prompt_tokens
        self.output_tokens += reply.output_tokens
        self.seconds += reply.seconds

    def reject(self, *reasons: Reason) -> None:
        """Reasons found after the candidate was accepted: it is at no level any more."""
        self.reasons += reasons
        self.levels = set()


Amend = Callable[[Candidate, Passage], Candidate]


def judge(writing: Writing, reply: Reply, model: str, amend: Amend | None = None) -> list[Outcome]:
    """The candidates of a reply, judged; a reply without a candidate gives one outcome that says why.

    The first bears the costs of the reply. `amend` may change a candidate before it is judged.
    """
    found = _judged(writing, reply, model, amend)
    found[0].spend(reply)
    return found


def _judged(writing: Writing, reply: Reply, model: str, amend: Amend | None) -> list[Outcome]:
    task = writing.task
    if reply.text is None:
        return [_failed(writing, reply, model, reply.error or "empty", "no reply")]
    if not reply.text.strip():
        return [_failed(writing, reply, model, "empty", "blank reply")]
    try:
        candidates = task.parse(reply.text, writing.passage, writing.ask)
    except ValueError as error:
        # A reply cut off by its token limit is the commonest malformed one: say so.
        cut_off = " (cut off)" if reply.output_tokens >= task.max_tokens else ""
        return [_failed(writing, reply, model, "malformed", f"{error}{cut_off}")]
    if amend is not None:
        candidates = [amend(c, writing.passage) for c in candidates]
    if not candidates:
        return [_failed(writing, reply, model, "empty", "no candidate in the reply")]
    return [_accepted(writing, reply, model, place, c) for place, c in enumerate(candidates)]


def _accepted(writing: Writing, reply: Reply, model: str, place: int, candidate: Candidate) -> Outcome:
    judgement = writing.task.accept(candidate, writing.passage)
    levels = set() if judgement.reasons else {judgement.level}
    record_id = _record_id(writing, candidate.style, model, candidate.prompt, candidate.text)
    order = (*writing.order, place)
    # Beside a reason a doubt is one more.
    reasons = judgement.reasons and judgement.reasons + judgement.doubts
    return Outcome(writing, record_id, order, reply.text, candidate, reasons, judgement.doubts, levels)


def _failed(writing: Writing, reply: Reply, model: str, reason: str, detail: str) -> Outcome:
    """The outcome of a request that gave no candidate; its id tells the requests of one document apart."""
    asked = writing.task.prompt.fill(writing.ask.fill, writing.ask.style)
    record_id = _record_id(writing, writing.ask.style, model, asked, reason)
    return Outcome(writing, record_id, (*writing.order, 0), reply.text, None, (Reason(reason, detail),))


def _record_id(writing: Writing, style: str | None, model: str, prompt: str, output: str) -> str:
    task = writing.task
    parts = [task.name, style, [writing.passage.doc_id], model, task.prompt.version, prompt, output]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def rows(outcomes: Iterable[Outcome], model: str, place: pl.DataFrame) -> pl.DataFrame:
    """Rows of `l3_refined` of what is kept; `place` [doc_id, corpus, snapshot]."""
    kept = [_row(o, o.candidate, model) for o in outcomes if o.candidate is not None and not o.reasons]
    return _placed(kept, L3_REFINED.schema, place)


def _row(outcome: Outcome, candidate: Candidate, model: str) -> dict[str, Any]:
    task, passage = outcome.writing.task, outcome.writing.passage
    return {
        "record_id": outcome.record_id,
        "doc_id": passage.doc_id,
        "task": task.name,
        "style": candidate.style,
        "source_doc_ids": [passage.doc_id],
        "source_spans": [{"doc_id": passage.doc_id, "char_start": passage.char_start, "char_end": passage.char_end}],
        "parent_record_id": outcome.writing.parent_id,
        "messages": [{"role": m.role, "content": m.content} for m in candidate.messages],
        "text": candidate.text,
        "answer": candidate.answer,
        "tests": candidate.tests,
        "model": RULE if by_rules(candidate.edits) else model,
        "prompt_version": task.prompt.version,
        "temperature": task.temperature,
        "seed": 0,
        "max_tokens": task.max_tokens,
        "prompt_tokens": outcome.prompt_tokens,
        "output_tokens": outcome.output_tokens,
        "seconds": round(outcome.seconds, 4),
        "verification_level": max(outcome.levels),
        "levels": sorted(outcome.levels),
        "check_model": outcome.check_model,
        "entailment": outcome.entailment,
    }


def verdicts(outcomes: Iterable[Outcome], idle: Mapping[str, str], place: pl.DataFrame) -> pl.DataFrame:
    """Rows of `verdicts`: what is rejected, and the documents of `idle` with why nothing was asked of them."""
    rejected = [
        {
            "tier": "l3",
            "doc_id": o.writing.passage.doc_id,
            "record_id": o.record_id,
            "task": o.writing.task.name,
            "reason": o.reasons[0].reason,
            "detail": "; ".join(f"{r.reason}: {r.detail}" for r in o.reasons),
            "reply": o.reply,
        }
        for o in outcomes
        if o.reasons
    ]
    rejected += [{"tier": "l3", "doc_id": d, "reason": why, "detail": IDLE[why]} for d, why in idle.items()]
    return _placed(rejected, VERDICTS.schema, place)


def edits(outcomes: Iterable[Outcome], place: pl.DataFrame) -> pl.DataFrame:
    """Rows of `l3_edits`: the operations of every edited candidate, kept or not."""
    found = [
        row
        for outcome in outcomes
        if outcome.candidate is not None
        for row in edit_rows(outcome.candidate.edits, outcome.record_id, outcome.writing.passage)
    ]
    return _placed(found, L3_EDITS.schema, place)


def _placed(found: Sequence[Mapping[str, Any]], schema: pl.Schema, place: pl.DataFrame) -> pl.DataFrame:
    """Rows with the corpus and snapshot of their documents."""
    bare = {name: dtype for name, dtype in schema.items() if name not in ("corpus", "snapshot")}
    frame = pl.DataFrame(found, schema=bare).join(place, on="doc_id", how="left", maintain_order="left")
    return frame.select(schema.names())


def lineage(kept: pl.DataFrame) -> pl.DataFrame:
    """Rows of `lineage`: the documents that each record of `l3_refined` was made from, and its parent record."""
    child = (pl.lit("l3_refined").alias("child_table"), "corpus", "snapshot", pl.col("record_id").alias("child_id"))
    documents = kept.select(*child, pl.lit(PARENT_TABLE).alias("parent_table"), parent_id="source_doc_ids")
    records = kept.drop_nulls("parent_record_id").select(
        *child, pl.lit("l3_refined").alias("parent_table"), parent_id="parent_record_id"
    )
    both = pl.concat([documents.explode("parent_id"), records])
    return both.select(pl.col(n).cast(t) for n, t in LINEAGE.schema.items())
