"""Documents through the language model: every task's requests, and what their replies lead to, in one flight.

In: documents and a model. Out: for each document, in order, its passages' outcomes. Requests of all tasks and documents
are under way together; a reply's follow-ups (checks, tasks that come `after` another) are asked before new documents
are begun, so that documents are finished soon. At most MAX_OPEN documents are open at a time: memory is theirs,
whatever their number. Replies may come in any order: outcomes are put in the order of what was planned.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from resources.language_models import LanguageModel, Reply, Request
from tier_assets.l3_refined.outcomes import Amend, Outcome, Writing, judge
from tier_assets.l3_refined.task import Ask, Check, Passage, Reason, Task

# Documents that wait for replies, or for one before them.
MAX_OPEN: Final = 4_096


@dataclass(frozen=True, slots=True)
class Limits:
    """Of the tasks that offer something about a passage, `num_tasks` are asked (None: all), in `num_styles` each.

    Those of `always` are asked beside them.
    """

    num_tasks: int | None = None
    num_styles: int | None = None
    always: tuple[str, ...] = ()


NO_LIMITS: Final = Limits()


@dataclass(slots=True)
class Refinement:
    """A document on its way: what it gave, and how many requests and executions it waits for."""

    doc_id: str
    passages: list[Passage]
    outcomes: list[Outcome] = field(default_factory=list)
    executions: list[tuple[Outcome, Future[tuple[Reason, ...]]]] = field(default_factory=list)
    num_waiting: int = 0

    def finish(self) -> list[Outcome]:
        """The outcomes in order; of the same output written twice the first planned."""
        for outcome, future in self.executions:
            reasons = future.result()
            if reasons:
                outcome.reject(*reasons)
            else:
                outcome.levels.add(4)
        ordered = sorted(self.outcomes, key=lambda o: o.order)
        return list({o.record_id: o for o in reversed(ordered)}.values())[::-1]


@dataclass(frozen=True, slots=True)
class _Written:
    """A reply to it is a record."""

    of: Refinement
    writing: Writing


@dataclass(slots=True)
class _Checked:
    """Replies to it bear an outcome out, or not; the last one decides."""

    of: Refinement
    outcome: Outcome
    number: int
    num_missing: int
    replies: dict[int, Reply] = field(default_factory=dict)


# With the index of the sample.
_Asked = tuple[_Written | _Checked, int]


class Flight:
    """Documents (doc_id, passages) refined by `tasks` with `model`; `checker` answers the checks that are `by_other`.

    `amend` may change a candidate before it is judged; `max_open` is in documents.
    """

    def __init__(
        self,
        documents: Iterable[tuple[str, list[Passage]]],
        tasks: Sequence[Task],
        limits: Limits,
        model: LanguageModel,
        checker: LanguageModel | None = None,
        amend: Amend | None = None,
        max_open: int = MAX_OPEN,
    ) -> None:
        self.output_tokens = 0
        self.num_judged = 0
        self.num_kept = 0
        self._documents = iter(documents)
        self._first = [task for task in tasks if task.after is None]
        self._after = {name: [t for t in tasks if t.after == name] for name in {t.after for t in tasks}}
        self._limits = limits
        self._models = [model, checker] if checker is not None else [model]
        self._queues: list[deque[tuple[Request, _Asked]]] = [deque() for _ in self._models]
        self._open: deque[Refinement] = deque()
        self._exhausted = False
        self._amend = amend
        self._max_open = max_open
        self._executors: ThreadPoolExecutor | None = None

    def __iter__(self) -> Iterator[Refinement]:
        """The documents in order, each when all is known of it."""
        try:
            while not self._exhausted or self._open:
                for which, model in enumerate(self._models):
                    yield from self._fly(which, model)
        finally:
            if self._executors is not None:
                self._executors.shutdown(cancel_futures=True)

    def _fly(self, which: int, model: LanguageModel) -> Iterator[Refinement]:
        """One flight of one model: it ends when there is nothing more to ask of it for now."""
        asked: dict[int, _Asked] = {}
        with closing(model.ask(self._requests(which, asked))) as replies:
            for place, reply in replies:
                about, sample = asked.pop(place)
                self._take(about, sample, reply)
                yield from self._finished()
        yield from self._finished()

    def _requests(self, which: int, asked: dict[int, _Asked]) -> Iterator[Request | None]:
        """What to ask next; None where only a reply that is under way can lead to more."""
        queue, place = self._queues[which], 0
        while True:
            while not queue and which == 0 and not self._exhausted and len(self._open) < self._max_open:
                self._begin()
            if queue:
                request, asked[place] = queue.popleft()
                place += 1
                yield request
            elif asked:
                yield None
            else:
                return

    def _finished(self) -> Iterator[Refinement]:
        while self._open and self._open[0].num_waiting == 0:
            yield self._open.popleft()

    def _begin(self) -> None:
        """Open the next document: queue what is asked of its passages."""
        found = next(self._documents, None)
        if found is None:
            self._exhausted = True
            return
        refinement = Refinement(*found)
        self._open.append(refinement)
        for number, passage in enumerate(refinement.passages):
            for task_number, task, asks in offered(self._first, passage, self._limits):
                for ask_number, ask in asks:
                    self._write(refinement, Writing(task, passage, ask, (number, task_number, ask_number)))

    def _write(self, refinement: Refinement, writing: Writing) -> None:
        refinement.num_waiting += 1
        self._queues[0].append((_request(writing.task, writing.ask), (_Written(refinement, writing), 0)))

    def _take(self, asked: _Written | _Checked, sample: int, reply: Reply) -> None:
        self.output_tokens += reply.output_tokens
        asked.of.num_waiting -= 1
        if isinstance(asked, _Written):
            for outcome in judge(asked.writing, reply, self._models[0].name, self._amend):
                asked.of.outcomes.append(outcome)
                self.num_judged += 1
                self.num_kept += not outcome.reasons
                self._go_on(asked.of, outcome, 0)
            return
        asked.outcome.spend(reply)
        asked.replies[sample] = reply
        asked.num_missing -= 1
        if asked.num_missing == 0:
            self._weigh(asked)

    def _go_on(self, refinement: Refinement, outcome: Outcome, number: int) -> None:
        """Ask the outcome's next check from `number` on; after the last one what comes after it, and run its code."""
        candidate, writing = outcome.candidate, outcome.writing
        if candidate is None or outcome.reasons:
            return None
        for place in range(number, len(writing.task.checks)):
            check = writing.task.checks[place]
            if check.settles and (not outcome.doubts or len(self._models) == 1):
                continue
            ask = check.ask(candidate, writing.passage)
            if ask is not None:
                return self._check(refinement, outcome, place, ask)
        if outcome.doubts:
            self.num_kept -= 1
            return outcome.reject(*outcome.doubts)
        if writing.task.execute is not None:
            self._executors = self._executors or ThreadPoolExecutor(os.cpu_count() or 1)
            refinement.executions.append((outcome, self._executors.submit(writing.task.execute, candidate)))
        for task_number, task in enumerate(self._after.get(writing.task.name, ())):
            if task.plan_from is not None:
                asks = list(enumerate(task.plan_from(candidate, writing.passage)))
                for ask_number, ask in _some(asks, self._limits.num_styles, task.name, outcome.record_id):
                    order = (*outcome.order, task_number, ask_number)
                    self._write(refinement, Writing(task, writing.passage, ask, order, outcome.record_id))
        return None

    def _check(self, refinement: Refinement, outcome: Outcome, number: int, ask: Ask) -> None:
        check = outcome.writing.task.checks[number]
        which = len(self._models) - 1 if check.by_other or check.settles else 0
        asked = _Checked(refinement, outcome, number, check.num_samples)
        outcome.check_model = self._models[which].name
        for sample in range(check.num_samples):
            refinement.num_waiting += 1
            self._queues[which].append((_request(check, ask, sample), (asked, sample)))

    def _weigh(self, asked: _Checked) -> None:
        """All samples of a check are there: the outcome rises, stays or falls."""
        outcome, check = asked.outcome, asked.outcome.writing.task.checks[asked.number]
        candidate = outcome.candidate
        assert candidate is not None
        replies = [asked.replies[sample] for sample in sorted(asked.replies)]
        texts = [reply.text for reply in replies if reply.text is not None and reply.error is None]
        if texts and check.agrees(texts, candidate):
            outcome.levels.add(check.level)
            outcome.doubts = () if check.settles else outcome.doubts
        elif check.settles:
            self.num_kept -= 1
            return outcome.reject(*outcome.doubts, Reason(check.reason, _shown(check, replies)))
        elif check.needed(candidate):
            self.num_kept -= 1
            return outcome.reject(Reason(check.reason, _shown(check, replies)))
        return self._go_on(asked.of, outcome, asked.number + 1)


def _request(asked: Task | Check, ask: Ask, sample: int = 0) -> Request:
    """What the model is asked for an ask of a task or of one of its checks."""
    return Request(
        asked.prompt.fill(ask.fill, ask.style),
        asked.max_tokens,
        system=asked.prompt.system,
        temperature=asked.temperature,
        sample=sample,
        json_schema=ask.json_schema,
        prompt_version=asked.prompt.version,
    )


def _shown(check: Check, replies: Sequence[Reply]) -> str:
    """What the replies said, cut to 200 characters in all."""
    said = [(reply.text or reply.error or "") for reply in replies]
    return " | ".join(s[: 200 // check.num_samples] for s in said)


def offered(tasks: Sequence[Task], passage: Passage, limits: Limits) -> list[tuple[int, Task, list[tuple[int, Ask]]]]:
    """The tasks, with their places, that are asked about a passage, and of each the asks with their places.

    Which ones is drawn by hashes of the passage's place: evenly over a corpus, and the same again next time.
    """
    key = f"{passage.doc_id} {passage.char_start}"
    found: list[tuple[int, Task, list[tuple[int, Ask]]]] = []
    num_drawn = 0
    for place, task in sorted(enumerate(tasks), key=lambda numbered: _hash(numbered[1].name, key)):
        always = task.name in limits.always
        if not always and num_drawn == limits.num_tasks:
            continue
        asks = list(enumerate(task.plan(passage)))
        if asks:
            found.append((place, task, _some(asks, limits.num_styles, task.name, key)))
            num_drawn += not always
    return sorted(found, key=lambda f: f[0])


def _some(asks: list[tuple[int, Ask]], number: int | None, name: str, key: str) -> list[tuple[int, Ask]]:
    """`number` of the asks, in their order, drawn by hash."""
    return sorted(sorted(asks, key=lambda a: _hash(f"{name} {a[0]}", key))[:number], key=lambda a: a[0])


def _hash(name: str, key: str) -> bytes:
    return hashlib.blake2b(f"{name} {key}".encode(), digest_size=8).digest()
