"""L3 on a frame of documents: ask every task about their passages, keep what is verified, say why the rest is not.

In: selected documents (doc_id, corpus, snapshot, text, language, title) and a language model. Out: rows of
`l3_refined`, a verdict for every candidate that was not kept, lineage. Candidates = rows + verdicts, to the row.
Costs one request a passage and task; memory is that of the frame and its replies, so callers pass batches.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import polars as pl

from resources.language_models import LanguageModel, Reply
from tier_assets.l3_refined.passages import cut
from tier_assets.l3_refined.tasks import TASKS, Candidate, Passage, Reason, Task
from tier_tables import LINEAGE, VERDICTS
from tier_tables.refinement import L3_REFINED

PARENT_TABLE: Final = "l2_selected"


@dataclass(frozen=True, slots=True)
class Settings:
    """What is asked: `num_documents` of a partition, best first; `num_passages` of each, of `passage_tokens` tokens."""

    num_documents: int
    num_passages: int
    passage_tokens: int
    min_passage_words: int
    tasks: tuple[Task, ...] = TASKS


# A document costs about 2 x (128 + 90) prompt tokens and at most 270 output tokens: 96 of them fit the demo's share.
SMOKE: Final = Settings(num_documents=16, num_passages=1, passage_tokens=128, min_passage_words=20)
DEFAULT: Final = Settings(num_documents=100_000, num_passages=4, passage_tokens=128, min_passage_words=20)


@dataclass(frozen=True, slots=True)
class Refined:
    """Rows of `l3_refined`, `verdicts` and `lineage`, and what the model's replies cost."""

    rows: pl.DataFrame
    verdicts: pl.DataFrame
    lineage: pl.DataFrame
    num_requests: int
    prompt_tokens: int
    cached_prompt_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt about one passage."""

    task: Task
    passage: Passage
    prompt: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """One candidate (or a reply without any) with its judgement: `record` is kept where there are no reasons."""

    request: Request
    reply: Reply
    record_id: str
    candidate: Candidate | None
    level: int
    reasons: tuple[Reason, ...]


def choose(docs: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """The documents to refine: the best `num_documents` by `quality`, ties by doc_id. The others are no candidates."""
    return docs.sort(["quality", "doc_id"], descending=[True, False], nulls_last=True).head(settings.num_documents)


def refine(docs: pl.DataFrame, model: LanguageModel, settings: Settings) -> Refined:
    """`docs` (doc_id, corpus, snapshot, text) refined by every task of `settings`."""
    passages = {
        d: cut(d, t, settings.passage_tokens, settings.num_passages, settings.min_passage_words)
        for d, t in docs.select("doc_id", "text").iter_rows()
    }
    outcomes: dict[str, Outcome] = {}
    replies: list[Reply] = []
    for task in settings.tasks:
        requests = plan(task, [p for doc_id in passages for p in passages[doc_id]])
        answered = ask(task, requests, model)
        replies += answered
        for request, reply in zip(requests, answered, strict=True):
            # The same output about the same document is one candidate, however often it was written.
            for outcome in judge(request, reply, model.name):
                outcomes.setdefault(outcome.record_id, outcome)
    place = docs.select("doc_id", "corpus", "snapshot")
    too_short = [doc_id for doc_id, found in passages.items() if not found]
    rows = _rows(outcomes.values(), model.name, place)
    return Refined(
        rows=rows,
        verdicts=_verdicts(outcomes.values(), too_short, place),
        lineage=_lineage(rows),
        num_requests=len(replies),
        prompt_tokens=sum(r.prompt_tokens for r in replies),
        cached_prompt_tokens=sum(r.cached_prompt_tokens for r in replies),
        output_tokens=sum(r.output_tokens for r in replies),
    )


def plan(task: Task, passages: list[Passage]) -> list[Request]:
    """The requests of `task`, one a passage."""
    return [Request(task, p, task.prompt.fill(p.text)) for p in passages]


def ask(task: Task, requests: list[Request], model: LanguageModel) -> list[Reply]:
    """The model's replies, one a request, in order."""
    if not requests:
        return []
    prompts = [r.prompt for r in requests]
    return model.complete(prompts, system=task.prompt.system, max_tokens=task.max_tokens, json_schema=task.json_schema)


def judge(request: Request, reply: Reply, model: str) -> list[Outcome]:
    """The candidates of a reply, judged; a reply without a candidate gives one outcome that says why."""
    task = request.task
    if reply.error is not None or reply.text is None:
        return [_failed(request, reply, model, reply.error or "empty", "no reply text")]
    if not reply.text.strip():
        return [_failed(request, reply, model, "empty", "blank reply")]
    try:
        candidates = task.parse(reply.text, request.passage)
    except ValueError as error:
        # A reply cut off by its token limit is the commonest malformed one: say so.
        cut_off = " (cut off)" if reply.output_tokens >= task.max_tokens else ""
        return [_failed(request, reply, model, "malformed", f"{error}{cut_off}")]
    if not candidates:
        return [_failed(request, reply, model, "empty", "no candidate in the reply")]
    outcomes = []
    for candidate in candidates:
        judgement = task.accept(candidate, request.passage)
        record_id = _record_id(task, candidate.style, request.passage, model, candidate.prompt, candidate.output)
        outcomes.append(Outcome(request, reply, record_id, candidate, judgement.level, judgement.reasons))
    return outcomes


def _failed(request: Request, reply: Reply, model: str, reason: str, detail: str) -> Outcome:
    passage = request.passage
    position = f"{passage.char_start}-{passage.char_end}"
    record_id = _record_id(request.task, None, passage, model, position, reason)
    return Outcome(request, reply, record_id, None, 0, (Reason(reason, detail),))


def _record_id(task: Task, style: str | None, passage: Passage, model: str, prompt: str, output: str) -> str:
    parts = [task.name, style, [passage.doc_id], model, task.prompt.version, prompt, output]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _rows(outcomes: Iterable[Outcome], model: str, place: pl.DataFrame) -> pl.DataFrame:
    kept = [
        {
            "record_id": o.record_id,
            "doc_id": o.request.passage.doc_id,
            "task": o.request.task.name,
            "style": o.candidate.style,
            "source_doc_ids": [o.request.passage.doc_id],
            "messages": _messages(o.candidate),
            "text": o.candidate.text,
            "model": model,
            "prompt_version": o.request.task.prompt.version,
            "prompt_tokens": o.reply.prompt_tokens,
            "output_tokens": o.reply.output_tokens,
            "verification_level": o.level,
        }
        for o in outcomes
        if o.candidate is not None and not o.reasons
    ]
    schema = {n: t for n, t in L3_REFINED.schema.items() if n not in ("corpus", "snapshot")}
    frame = pl.DataFrame(kept, schema=schema).join(place, on="doc_id", how="left", maintain_order="left")
    return frame.select(L3_REFINED.schema.names())


def _messages(candidate: Candidate) -> list[dict[str, str]]:
    return [{"role": "user", "content": candidate.prompt}, {"role": "assistant", "content": candidate.output}]


def _verdicts(outcomes: Iterable[Outcome], too_short: list[str], place: pl.DataFrame) -> pl.DataFrame:
    rejected = [
        {
            "tier": "l3",
            "doc_id": o.request.passage.doc_id,
            "record_id": o.record_id,
            "task": o.request.task.name,
            "reason": o.reasons[0].reason,
            "detail": "; ".join(f"{r.reason}: {r.detail}" for r in o.reasons),
            "reply": o.reply.text,
        }
        for o in outcomes
        if o.reasons
    ]
    rejected += [
        {"tier": "l3", "doc_id": d, "reason": "no_passage", "detail": "no passage long enough"} for d in too_short
    ]
    schema = {n: t for n, t in VERDICTS.schema.items() if n not in ("corpus", "snapshot")}
    frame = pl.DataFrame(rejected, schema=schema).join(place, on="doc_id", how="left", maintain_order="left")
    return frame.select(VERDICTS.schema.names())


def _lineage(rows: pl.DataFrame) -> pl.DataFrame:
    parents = rows.select(
        pl.lit("l3_refined").alias("child_table"),
        "corpus",
        "snapshot",
        pl.col("record_id").alias("child_id"),
        pl.lit(PARENT_TABLE).alias("parent_table"),
        pl.col("source_doc_ids").alias("parent_id"),
    )
    return parents.explode("parent_id").select(pl.col(n).cast(t) for n, t in LINEAGE.schema.items())


def try_refine(lines: Iterable[Mapping[str, Any]], model: LanguageModel, batch: int = 256) -> Iterator[dict[str, Any]]:
    """For each {id, text} a line {id, records, rejected}, in order: what the tasks make of one's own texts.

    Raises:
        ValueError: a line has no string `text`; the message names its id.
    """
    stream = iter(lines)
    while chunk := list(islice(stream, batch)):
        for line in chunk:
            if not isinstance(line.get("text"), str):
                raise ValueError(f"line with id {line.get('id')!r} has no string 'text'")
        keys = [str(i) for i in range(len(chunk))]
        docs = pl.DataFrame({"doc_id": keys, "text": [line["text"] for line in chunk]}).with_columns(
            corpus=pl.lit("try"), snapshot=pl.lit("try")
        )
        refined = refine(docs, model, SMOKE)
        records = refined.rows.select("doc_id", "task", "style", "text", "messages", "verification_level")
        rejected = refined.verdicts.select("doc_id", "task", "reason", "detail", "reply")
        for key, line in zip(keys, chunk, strict=True):
            yield {"id": line.get("id"), "records": _of(records, key), "rejected": _of(rejected, key)}


def _of(frame: pl.DataFrame, doc_id: str) -> list[dict[str, Any]]:
    return frame.filter(pl.col("doc_id") == doc_id).drop("doc_id").to_dicts()
