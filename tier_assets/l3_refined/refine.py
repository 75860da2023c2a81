"""L3 on a frame of documents: ask every task about their passages, keep what is verified, say why the rest is not.

In: selected documents (doc_id, corpus, snapshot, text, language, title) and a language model. Out: rows of
`l3_refined`, a verdict for every candidate that was not kept, lineage. Candidates = rows + verdicts, to the row.
Costs a few requests a passage; memory is that of the frame and its replies, so callers pass batches.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

import polars as pl

from resources.language_models import LanguageModel, Reply
from tier_assets.l3_refined.passages import cut
from tier_assets.l3_refined.task import Ask, Candidate, Judgement, Passage, Reason, Task
from tier_assets.l3_refined.tasks import TASKS
from tier_tables import LINEAGE, VERDICTS
from tier_tables.refinement import L3_REFINED

PARENT_TABLE: Final = "l2_selected"
# A document that gave no candidate at all.
IDLE: Final = {
    "no_passage": "no whole sentences of enough words and few enough tokens",
    "nothing_to_ask": "no task found anything to ask in its passages",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What is asked: `num_documents` of a partition, best first; `num_passages` of each, of `passage_tokens` tokens."""

    num_documents: int
    num_passages: int
    passage_tokens: int
    min_passage_words: int
    tasks: tuple[Task, ...] = TASKS


# A document costs about 200 prompt tokens to edit and two questions of 100 beside a prefix that is cached; 96 of them
# fit the demo's share of 60,000.
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
    ask: Ask
    prompt: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A candidate, or a reply without any, and its judgement: it is kept where there are no reasons.

    Tokens are those of the reply, and of the second reply where the candidate was checked.
    """

    request: Request
    record_id: str
    reply: str | None
    candidate: Candidate | None
    level: int
    reasons: tuple[Reason, ...]
    prompt_tokens: int
    output_tokens: int


def choose(docs: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """The documents to refine: the best `num_documents` by `quality`, ties by doc_id. For the others: `left_out`."""
    return docs.sort(["quality", "doc_id"], descending=[True, False], nulls_last=True).head(settings.num_documents)


def left_out(docs: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Verdicts `over_budget` on the documents that `choose` leaves: they were selected, and not attempted."""
    detail = f"the best {settings.num_documents} of {len(docs)} are refined"
    rest = docs.join(choose(docs, settings).select("doc_id"), on="doc_id", how="anti").sort("doc_id")
    named = rest.select(
        "doc_id",
        "corpus",
        "snapshot",
        tier=pl.lit("l3"),
        reason=pl.lit("over_budget"),
        detail=pl.lit(detail),
    )
    return pl.concat([VERDICTS.empty(), named], how="diagonal").select(VERDICTS.schema.names())


def refine(docs: pl.DataFrame, model: LanguageModel, settings: Settings) -> Refined:
    """`docs` (doc_id, corpus, snapshot, text) refined by every task of `settings`."""
    passages = {
        d: cut(d, t, settings.passage_tokens, settings.num_passages, settings.min_passage_words)
        for d, t in docs.select("doc_id", "text").iter_rows()
    }
    outcomes: dict[str, Outcome] = {}
    replies: list[Reply] = []
    for task in settings.tasks:
        requests = plan(task, [p for found in passages.values() for p in found])
        answered = ask(requests, task.prompt.system, task.max_tokens, model)
        judged = [o for q, r in zip(requests, answered, strict=True) for o in judge(q, r, model.name)]
        # The same output about the same document is one candidate, however often it was written.
        fresh = list({o.record_id: o for o in reversed(judged)}.values())[::-1]
        checked, again = check(task, fresh, model)
        outcomes |= {o.record_id: o for o in checked}
        replies += answered + again
    place = docs.select("doc_id", "corpus", "snapshot")
    rows = _rows(outcomes.values(), model.name, place)
    attempted = {o.request.passage.doc_id for o in outcomes.values()}
    idle = {d: "nothing_to_ask" if found else "no_passage" for d, found in passages.items() if d not in attempted}
    return Refined(
        rows=rows,
        verdicts=_verdicts(outcomes.values(), idle, place),
        lineage=_lineage(rows),
        num_requests=len(replies),
        prompt_tokens=sum(r.prompt_tokens for r in replies),
        cached_prompt_tokens=sum(r.cached_prompt_tokens for r in replies),
        output_tokens=sum(r.output_tokens for r in replies),
    )


def plan(task: Task, passages: list[Passage]) -> list[Request]:
    """What `task` asks of the passages, in their order."""
    return [Request(task, p, a, task.prompt.fill(a.fill, a.style)) for p in passages for a in task.plan(p)]


def ask(requests: Sequence[Request], system: str, max_tokens: int, model: LanguageModel) -> list[Reply]:
    """The model's replies, one a request, in order; requests of one form of reply are asked together."""
    forms: dict[str, list[int]] = {}
    for i, request in enumerate(requests):
        forms.setdefault(json.dumps(request.ask.json_schema, sort_keys=True), []).append(i)
    replies: dict[int, Reply] = {}
    for form, places in forms.items():
        prompts = [requests[i].prompt for i in places]
        answered = model.complete(prompts, system=system, max_tokens=max_tokens, json_schema=json.loads(form))
        replies.update(zip(places, answered, strict=True))
    return [replies[i] for i in range(len(requests))]


def judge(request: Request, reply: Reply, model: str) -> list[Outcome]:
    """The candidates of a reply, judged; a reply without a candidate gives one outcome that says why."""
    task = request.task
    if reply.error is not None or reply.text is None:
        return [_failed(request, reply, model, reply.error or "empty", "no reply")]
    if not reply.text.strip():
        return [_failed(request, reply, model, "empty", "blank reply")]
    try:
        candidates = task.parse(reply.text, request.passage, request.ask)
    except ValueError as error:
        # A reply cut off by its token limit is the commonest malformed one: say so.
        cut_off = " (cut off)" if reply.output_tokens >= task.max_tokens else ""
        return [_failed(request, reply, model, "malformed", f"{error}{cut_off}")]
    return [_judged(request, reply, model, c, task.accept(c, request.passage)) for c in candidates] or [
        _failed(request, reply, model, "empty", "no candidate in the reply")
    ]


def _judged(request: Request, reply: Reply, model: str, candidate: Candidate, judgement: Judgement) -> Outcome:
    record_id = _record_id(request, candidate.style, model, candidate.prompt, candidate.output)
    level, reasons = judgement.level, judgement.reasons
    return Outcome(request, record_id, reply.text, candidate, level, reasons, reply.prompt_tokens, reply.output_tokens)


def _failed(request: Request, reply: Reply, model: str, reason: str, detail: str) -> Outcome:
    """The outcome of a request that gave no candidate; its id tells the requests of one document apart."""
    record_id = _record_id(request, request.ask.style, model, request.prompt, reason)
    reasons = (Reason(reason, detail),)
    return Outcome(request, record_id, reply.text, None, 0, reasons, reply.prompt_tokens, reply.output_tokens)


def _record_id(request: Request, style: str | None, model: str, prompt: str, output: str) -> str:
    task = request.task
    parts = [task.name, style, [request.passage.doc_id], model, task.prompt.version, prompt, output]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def check(task: Task, outcomes: list[Outcome], model: LanguageModel) -> tuple[list[Outcome], list[Reply]]:
    """The outcomes, those that a second question bears out at level 3, and the replies to it.

    Where the task needs the second reply to agree and it does not, the candidate is rejected.
    """
    replies: list[Reply] = []
    checked = list(outcomes)
    for asked in task.checks:
        accepted = {
            i: Request(task, o.request.passage, question, asked.prompt.fill(question.fill))
            for i, o in enumerate(checked)
            if o.candidate is not None and not o.reasons
            for question in [asked.ask(o.candidate, o.request.passage)]
            if question is not None
        }
        found = ask(list(accepted.values()), asked.prompt.system, asked.max_tokens, model)
        replies += found
        for i, reply in zip(accepted, found, strict=True):
            candidate = outcomes[i].candidate
            agrees = candidate is not None and reply.text is not None and asked.agrees([reply.text], candidate)
            rejects = not agrees and candidate is not None and asked.needed(candidate)
            differs = Reason(asked.reason, (reply.text or reply.error or "")[:200])
            checked[i] = replace(
                checked[i],
                level=asked.level if agrees else 0 if rejects else checked[i].level,
                reasons=(differs,) if rejects else (),
                prompt_tokens=checked[i].prompt_tokens + reply.prompt_tokens,
                output_tokens=checked[i].output_tokens + reply.output_tokens,
            )
    return checked, replies


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
            "prompt_tokens": o.prompt_tokens,
            "output_tokens": o.output_tokens,
            "source_spans": [
                {
                    "doc_id": o.request.passage.doc_id,
                    "char_start": o.request.passage.char_start,
                    "char_end": o.request.passage.char_end,
                }
            ],
            "answer": o.candidate.answer,
            "tests": o.candidate.tests,
            "temperature": o.request.task.temperature,
            "seed": 0,
            "max_tokens": o.request.task.max_tokens,
            "seconds": 0.0,
            "verification_level": o.level,
            "levels": sorted({1, o.level}),
        }
        for o in outcomes
        if o.candidate is not None and not o.reasons
    ]
    schema = {n: t for n, t in L3_REFINED.schema.items() if n not in ("corpus", "snapshot")}
    frame = pl.DataFrame(kept, schema=schema).join(place, on="doc_id", how="left", maintain_order="left")
    return frame.select(L3_REFINED.schema.names())


def _messages(candidate: Candidate) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.content} for m in candidate.messages]


def _verdicts(outcomes: Iterable[Outcome], idle: Mapping[str, str], place: pl.DataFrame) -> pl.DataFrame:
    rejected = [
        {
            "tier": "l3",
            "doc_id": o.request.passage.doc_id,
            "record_id": o.record_id,
            "task": o.request.task.name,
            "reason": o.reasons[0].reason,
            "detail": "; ".join(f"{r.reason}: {r.detail}" for r in o.reasons),
            "reply": o.reply,
        }
        for o in outcomes
        if o.reasons
    ]
    rejected += [{"tier": "l3", "doc_id": d, "reason": why, "detail": IDLE[why]} for d, why in idle.items()]
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
