"""L3 on documents: ask every task about their passages, keep what is verified, say why the rest is not.

In: selected documents (doc_id, corpus, snapshot, text) and a language model. Out: rows of `l3_refined` and `l3_edits`,
a verdict for every candidate that was not kept, lineage. Candidates = rows + verdicts, to the row.
Costs a few requests a passage; memory is that of the documents under way, whatever their number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, Protocol

import polars as pl

from resources.encoder import Encoder
from resources.language_models import LanguageModel
from tier_assets.l3_refined import entailment, outcomes
from tier_assets.l3_refined.flight import NO_LIMITS, Flight, Limits, Refinement
from tier_assets.l3_refined.passages import cut
from tier_assets.l3_refined.task import Candidate, Passage, Task
from tier_assets.l3_refined.tasks import TASKS
from tier_assets.l3_refined.undo import taken_back
from tier_tables import VERDICTS

# Refined documents between two batches of rows.
BATCH_REFINED: Final = 512
# What `lake try refine` shows of a record.
SHOWN: Final = ("doc_id", "task", "style", "text", "messages", "answer", "tests", "verification_level", "levels")
TRIED: Final = 256


class Progress(Protocol):
    """Told of each document that is finished: documents, tokens written, candidates judged and kept so far."""

    def __call__(self, done: int, *, tokens: int, judged: int, kept: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """What is asked: `num_documents` of a partition, best first; `num_passages` of each, of `passage_tokens` tokens.

    `limits` says how many tasks a passage is given to, and in how many styles each.
    """

    num_documents: int
    num_passages: int
    passage_tokens: int
    min_passage_words: int
    limits: Limits = NO_LIMITS
    tasks: tuple[Task, ...] = TASKS

    def of(self, task: str) -> Settings:
        """These settings with one task, and what it comes after; every style of it is asked.

        Raises:
            ValueError: no such task; the message lists the known ones.
        """
        known = {t.name: t for t in self.tasks}
        if task not in known:
            raise ValueError(f"unknown task {task!r}; known: {', '.join(known)}")
        named = [known[task]]
        while named[0].after is not None:
            named.insert(0, known[named[0].after])
        return replace(self, tasks=tuple(named), limits=NO_LIMITS)


# Each document of the demo is edited, asked for an answer that stands there, and given to one task more.
SMOKE: Final = Settings(
    14, num_passages=1, passage_tokens=128, min_passage_words=20, limits=Limits(1, 1, always=("edit", "lookup"))
)
DEFAULT: Final = Settings(100_000, num_passages=4, passage_tokens=128, min_passage_words=20, limits=Limits(4, 1))


@dataclass(frozen=True, slots=True)
class Refined:
    """Rows of `l3_refined`, `verdicts`, `lineage` and `l3_edits`; `sources` are the passages behind the rows,
    `passages` all that were asked about."""

    rows: pl.DataFrame
    verdicts: pl.DataFrame
    lineage: pl.DataFrame
    edits: pl.DataFrame
    sources: pl.Series
    passages: pl.Series


@dataclass(frozen=True, slots=True)
class Models:
    """`writer` writes; `checker` answers the checks that ask another model; `encoder` scores entailment."""

    writer: LanguageModel
    checker: LanguageModel | None = None
    encoder: Encoder | None = None


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
    """A frame of documents refined at once."""
    found = list(refine_all([docs], Models(model), settings)) or [_rows([], Models(model), {})]
    return Refined(
        rows=pl.concat([f.rows for f in found]),
        verdicts=pl.concat([f.verdicts for f in found]),
        lineage=pl.concat([f.lineage for f in found]),
        edits=pl.concat([f.edits for f in found]),
        sources=pl.concat([f.sources for f in found]),
        passages=pl.concat([f.passages for f in found]),
    )


def refine_all(
    docs: Iterable[pl.DataFrame],
    models: Models,
    settings: Settings,
    undone: Collection[str] = (),
    progress: Progress | None = None,
) -> Iterator[Refined]:
    """`docs`, frames of (doc_id, corpus, snapshot, text), refined by every task of `settings`, batch by batch.

    Operations of edit programs whose ids are in `undone` are left out.
    """
    places: dict[str, tuple[str, str]] = {}

    def opened() -> Iterator[tuple[str, list[Passage]]]:
        for batch in docs:
            for doc_id, corpus, snapshot, text in batch.select("doc_id", "corpus", "snapshot", "text").iter_rows():
                places[doc_id] = (corpus, snapshot)
                yield (
                    doc_id,
                    cut(doc_id, text, settings.passage_tokens, settings.num_passages, settings.min_passage_words),
                )

    def amend(candidate: Candidate, passage: Passage) -> Candidate:
        return taken_back(candidate, passage, undone)

    flight = Flight(opened(), settings.tasks, settings.limits, models.writer, models.checker, amend if undone else None)
    batch: list[Refinement] = []
    for done, refinement in enumerate(flight, 1):
        batch.append(refinement)
        if progress is not None:
            progress(done, tokens=flight.output_tokens, judged=flight.num_judged, kept=flight.num_kept)
        if len(batch) == BATCH_REFINED:
            yield _rows(batch, models, places)
            batch = []
    if batch:
        yield _rows(batch, models, places)


def _rows(batch: Sequence[Refinement], models: Models, places: dict[str, tuple[str, str]]) -> Refined:
    found = [outcome for refinement in batch for outcome in refinement.finish()]
    kept = [o for o in found if o.candidate is not None and not o.reasons]
    if models.encoder is not None:
        passages, texts = [o.writing.passage.text for o in kept], [o.candidate.output for o in kept if o.candidate]
        for outcome, score in zip(kept, entailment.scores(texts, passages, models.encoder), strict=True):
            outcome.entailment = score
    own = {r.doc_id: places.pop(r.doc_id) for r in batch}
    idle = {r.doc_id: "nothing_to_ask" if r.passages else "no_passage" for r in batch if not r.outcomes}
    place = pl.DataFrame(
        [(doc_id, *where) for doc_id, where in own.items()],
        schema={"doc_id": pl.String, "corpus": pl.String, "snapshot": pl.String},
        orient="row",
    )
    rows = outcomes.rows(found, models.writer.name, place)
    return Refined(
        rows=rows,
        verdicts=outcomes.verdicts(found, idle, place),
        lineage=outcomes.lineage(rows),
        edits=outcomes.edits(found, place),
        sources=pl.Series([o.writing.passage.text for o in kept], dtype=pl.String),
        passages=pl.Series([p.text for r in batch for p in r.passages], dtype=pl.String),
    )


def try_refine(
    lines: Iterable[Mapping[str, Any]], model: LanguageModel, task: str | None = None, batch: int = TRIED
) -> Iterator[dict[str, Any]]:
    """For each {id, text} a line {id, records, rejected}, in order: what the tasks, or one, make of one's own texts.

    Raises:
        ValueError: unknown task, or a line has no string `text`; the message names its id.
    """
    settings = SMOKE if task is None else SMOKE.of(task)
    stream = iter(lines)
    while chunk := list(islice(stream, batch)):
        for line in chunk:
            if not isinstance(line.get("text"), str):
                raise ValueError(f"line with id {line.get('id')!r} has no string 'text'")
        keys = [str(i) for i in range(len(chunk))]
        docs = pl.DataFrame({"doc_id": keys, "text": [line["text"] for line in chunk]}).with_columns(
            corpus=pl.lit("try"), snapshot=pl.lit("try")
        )
        refined = refine(docs, model, settings)
        records = refined.rows.select(SHOWN)
        rejected = refined.verdicts.select("doc_id", "task", "reason", "detail", "reply")
        for key, line in zip(keys, chunk, strict=True):
            yield {"id": line.get("id"), "records": _of(records, key), "rejected": _of(rejected, key)}


def _of(frame: pl.DataFrame, doc_id: str) -> list[dict[str, Any]]:
    return frame.filter(pl.col("doc_id") == doc_id).drop("doc_id").to_dicts()
