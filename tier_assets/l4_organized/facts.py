"""L4 on a frame of documents: statements, each with the exact span that proves it.

In: selected documents (doc_id, corpus, snapshot, text, title, byte_offset, num_bytes) and L3's rows about them.
Out: rows of `l4_facts`, `l4_evidence`, `lineage`, and a verdict for every candidate that is no fact.
Candidates = facts + verdicts, to the row. A candidate is a sentence of the text, proposed by rules or by a model: the
sentence that an accepted answer of task `lookup` stands in, or a proposed sentence in the words of an accepted `edit`,
which must follow from its quote. No model is asked here. Costs about 1 MB of text a second; memory is that of the
frame, so callers pass batches.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import polars as pl

from algorithms import grounding
from algorithms.edit_programs import align, source_span
from algorithms.sentences import Span, sentences
from tier_assets.l4_organized.candidates import judge, propose
from tier_tables import LINEAGE, VERDICTS
from tier_tables.refinement import L4_EVIDENCE, L4_FACTS

DOCUMENTS: Final = "l2_selected"
RECORDS: Final = "l3_refined"
# What confidence is made of: a verified statement starts at BASE, and each sign that it can be looked up adds.
BASE: Final = 0.6
HAS_NUMBER: Final = 0.1
HAS_NAME: Final = 0.1
SEEN_TWICE: Final = 0.1
ANSWERS_QUESTION: Final = 0.1
TOPIC_CHARS: Final = 120


@dataclass(frozen=True, slots=True)
class Settings:
    """`num_candidates`: sentences of a document that rules propose; records of L3 come on top."""

    num_candidates: int


SMOKE: Final = Settings(num_candidates=6)
DEFAULT: Final = Settings(num_candidates=40)


@dataclass(frozen=True, slots=True)
class Organized:
    """Rows of `l4_facts`, `l4_evidence`, `lineage` and `verdicts`."""

    facts: pl.DataFrame
    evidence: pl.DataFrame
    lineage: pl.DataFrame
    verdicts: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Statement:
    """A claim about a document and where its evidence stands in it.

    `record_ids`: the records of L3 that led to it. `num_documents`: documents of the frame that state it.
    `task`: what proposed it: sentence, edit or lookup. `answers`: whether a kept question asks for what it says.
    """

    text: str
    span: Span
    record_ids: tuple[str, ...] = ()
    num_documents: int = 1
    task: str = "sentence"
    answers: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """A candidate that is no fact; `kept_doc_id` names the document whose fact stands for a duplicate."""

    candidate_id: str | None
    task: str
    reason: str
    detail: str
    reply: str | None = None
    kept_doc_id: str | None = None


def organize(docs: pl.DataFrame, records: pl.DataFrame, settings: Settings) -> Organized:
    """The facts of `docs`; `records` are rows of L3 (record_id, doc_id, task, messages)."""
    wanted = records.filter(pl.col("task").is_in(["lookup", "edit"])).select("record_id", "doc_id", "task", "messages")
    about: dict[str, list[dict[str, Any]]] = {}
    for record in wanted.sort("record_id").iter_rows(named=True):
        about.setdefault(record["doc_id"], []).append(record)
    seen: dict[str, tuple[str, int]] = {}
    found: list[tuple[dict[str, Any], list[Statement]]] = []
    rejected: list[tuple[str, Rejected]] = []
    for doc in docs.sort("doc_id").iter_rows(named=True):
        statements, refused = state(doc["doc_id"], doc["text"], about.get(doc["doc_id"], []), settings)
        fresh = []
        for statement in statements:
            key = grounding.fold(statement.text)
            first = seen.get(key)
            seen[key] = (first[0], first[1] + 1) if first else (doc["doc_id"], 1)
            if first is None:
                fresh.append(statement)
            else:
                refused.append(_duplicate(statement, doc["doc_id"], first[0]))
        found.append((doc, fresh))
        rejected += [(doc["doc_id"], r) for r in refused]
    counted = [(d, [replace(s, num_documents=seen[grounding.fold(s.text)][1]) for s in stated]) for d, stated in found]
    place = docs.select("doc_id", "corpus", "snapshot")
    return _tables(counted, rejected, place)


def state(
    doc_id: str, text: str, records: Sequence[Mapping[str, Any]], settings: Settings
) -> tuple[list[Statement], list[Rejected]]:
    """The statements of one document, in the order of its text, and its candidates that are none."""
    stated: dict[str, Statement] = {}
    rejected: list[Rejected] = []
    spans = propose(text, settings.num_candidates)
    if not spans:
        rejected.append(Rejected(None, "sentence", "no_sentence", f"{len(text)} characters"))
    edited = {span: found for r in records if r["task"] == "edit" for span, found in edited_sentences(text, r).items()}
    for span in spans:
        plain = Statement(one_line(text[span.start : span.end]), span)
        better = edited.get(span)
        if better is None or not _add(better, "edit", doc_id, text, stated, rejected):
            _add(plain, "sentence", doc_id, text, stated, rejected)
    answers = [r for r in records if r["task"] == "lookup"]
    whole = sentences(text) if answers else []
    for record in answers:
        question, answer = (m["content"] for m in record["messages"][:2])
        where = answering_sentence(text, whole, question, answer)
        if where is None:
            candidate_id = _hash(["lookup", doc_id, record["record_id"]])
            rejected.append(Rejected(candidate_id, "lookup", "answer_not_in_text", answer, reply=answer))
        else:
            said = one_line(text[where.start : where.end])
            statement = Statement(said, where, (record["record_id"],), answers=True)
            _add(statement, "lookup", doc_id, text, stated, rejected)
    return sorted(stated.values(), key=lambda s: s.span), rejected


def edited_sentences(text: str, record: Mapping[str, Any]) -> dict[Span, Statement]:
    """The sentences that an edit changed, by the span of `text` that they come from."""
    passage, edited = (m["content"] for m in record["messages"][:2])
    offset = text.find(passage)
    if offset < 0:
        return {}
    operations, _ = align(passage, edited)
    found = {}
    for start, end in sentences(edited):
        source_start, source_end = source_span(operations, start, end)
        span = Span(offset + source_start, offset + source_end)
        statement = one_line(edited[start:end])
        if statement != one_line(text[span.start : span.end]):
            found[span] = Statement(statement, span, (record["record_id"],))
    return found


def _add(
    statement: Statement,
    task: str,
    doc_id: str,
    text: str,
    stated: dict[str, Statement],
    rejected: list[Rejected],
) -> bool:
    """Take `statement` in, join it to the same one of the same document, or say why it is none; whether it stands."""
    fault = judge(statement.text) or _not_proven(text[statement.span.start : statement.span.end], statement.text)
    candidate_id = _hash([task, doc_id, *statement.record_ids, *map(str, statement.span)])
    key = grounding.fold(statement.text)
    if fault:
        rejected.append(Rejected(candidate_id, task, *fault))
    elif key not in stated:
        stated[key] = replace(statement, task=task)
    else:
        same = stated[key]
        record_ids = tuple(dict.fromkeys((*same.record_ids, *statement.record_ids)))
        stated[key] = replace(same, record_ids=record_ids, answers=same.answers or statement.answers)
        rejected.append(Rejected(candidate_id, task, "duplicate", statement.text, kept_doc_id=doc_id))
    return fault is None


def _not_proven(quote: str, statement: str) -> tuple[str, str] | None:
    """Why `statement` does not follow from `quote`; the same words in the same order always follow."""
    if one_line(quote) == statement:
        return None
    faults = grounding.entails(quote, statement)
    return ("not_entailed", ", ".join(faults)) if faults else None


def _duplicate(statement: Statement, doc_id: str, kept_doc_id: str) -> Rejected:
    """The verdict on a statement that another document already gave."""
    return Rejected(fact_id(statement, doc_id), statement.task, "duplicate", statement.text, kept_doc_id=kept_doc_id)


def answering_sentence(text: str, spans: Sequence[Span], question: str, answer: str) -> Span | None:
    """The sentence of `text` that has `answer` and most of the question's words; None where none has the answer."""
    needle = grounding.fold(answer).strip(" .,;:!?\"'")
    having = [s for s in spans if needle and needle in grounding.fold(text[s.start : s.end])]
    return max(having, key=lambda s: (grounding.support(question, text[s.start : s.end]), -s.start), default=None)


def one_line(text: str) -> str:
    """`text` with single spaces."""
    return " ".join(text.split())


def fact_id(statement: Statement, doc_id: str) -> str:
    """hash(statement, doc_id, span)."""
    return _hash([statement.text, doc_id, *map(str, statement.span)])


def confidence(statement: Statement) -> float:
    """0.6, and 0.1 each for a number, a name, a second document that says so, a question that it answers."""
    return round(
        BASE
        + HAS_NUMBER * bool(grounding.numbers(statement.text))
        + HAS_NAME * bool(grounding.names(statement.text))
        + SEEN_TWICE * (statement.num_documents > 1)
        + ANSWERS_QUESTION * statement.answers,
        4,
    )


def topic(title: str | None, text: str) -> str | None:
    """The title, or the commonest content word of the text as it is written most; None where there is neither."""
    if title and title.strip():
        return one_line(title)[:TOPIC_CHARS]
    head = [w for w in grounding.words(text[:20_000]) if w not in grounding.STOPWORDS and len(w) > 3]
    counts = Counter(grounding.stem(w) for w in head)
    if not counts:
        return None
    top = max(counts.items(), key=lambda item: (item[1], item[0]))[0]
    forms = Counter(w for w in head if grounding.stem(w) == top)
    return max(forms.items(), key=lambda item: (item[1], item[0]))[0]


def _hash(parts: list[str]) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _tables(
    found: list[tuple[dict[str, Any], list[Statement]]], rejected: list[tuple[str, Rejected]], place: pl.DataFrame
) -> Organized:
    facts, evidence, lineage = [], [], []
    for doc, statements in found:
        about = topic(doc["title"], doc["text"]) if statements else None
        for statement in statements:
            this, (start, end) = fact_id(statement, doc["doc_id"]), statement.span
            where = {"doc_id": doc["doc_id"], "corpus": doc["corpus"], "snapshot": doc["snapshot"]}
            claim = {"statement": statement.text, "topic": about, "state": "verified"}
            facts.append({"fact_id": this, **where, **claim, "confidence": confidence(statement)})
            record = {"byte_offset": doc["byte_offset"], "num_bytes": doc["num_bytes"]}
            span = {"char_start": start, "char_end": end, "quote": doc["text"][start:end]}
            evidence.append({"fact_id": this, **where, **span, **record})
            parents = [(DOCUMENTS, doc["doc_id"]), *((RECORDS, r) for r in statement.record_ids)]
            child = {"child_table": "l4_facts", "corpus": doc["corpus"], "snapshot": doc["snapshot"], "child_id": this}
            lineage += [{**child, "parent_table": t, "parent_id": i} for t, i in parents]
    return Organized(
        facts=pl.DataFrame(facts, schema=L4_FACTS.schema),
        evidence=pl.DataFrame(evidence, schema=L4_EVIDENCE.schema),
        lineage=pl.DataFrame(lineage, schema=LINEAGE.schema),
        verdicts=_verdicts(rejected, place),
    )


def _verdicts(rejected: list[tuple[str, Rejected]], place: pl.DataFrame) -> pl.DataFrame:
    rows = [
        {
            "tier": "l4",
            "doc_id": doc_id,
            "record_id": r.candidate_id,
            "task": r.task,
            "reason": r.reason,
            "detail": r.detail,
            "reply": r.reply,
            "kept_doc_id": r.kept_doc_id,
            "similarity": 1.0 if r.kept_doc_id else None,
        }
        for doc_id, r in rejected
    ]
    schema = {n: t for n, t in VERDICTS.schema.items() if n not in ("corpus", "snapshot")}
    frame = pl.DataFrame(rows, schema=schema).join(place, on="doc_id", how="left", maintain_order="left")
    return frame.select(VERDICTS.schema.names())
