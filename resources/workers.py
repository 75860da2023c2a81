"""Worker processes that can be killed: one pure function over items, in order, each item under its own bounds.

In: an importable function and items that pickle. Out: one value per item, in order: what the function returned,
or `Died(reason)` where it ran over its CPU seconds or memory or took its process down. The other items go on.
An exception of the function is a bug or a bad batch and rises in the parent.

A worker is a fork of a fresh interpreter that has done the imports (`worker_template`): neither a fork of the parent,
which holds Polars and torch threads, nor multiprocessing's spawn, which runs the parent's `__main__` again. A pool
costs one interpreter start and the imports of its function; keep one for a whole step.

Bounds, per item: CPU seconds first by a profiling timer that raises in Python code (the worker lives on), one second
later by RLIMIT_CPU, which ends the process wherever it is, C code included. Memory by RLIMIT_AS above what the worker
held once its imports were done. There is no wall-clock bound: a busy machine must not drop documents.
"""

from __future__ import annotations

import math
import os
import pickle
import resource
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import Connection, Pipe, wait
from types import FrameType, TracebackType
from typing import Any, Final, Literal, TypeVar

from resources.worker_template import HasThreadsError, ImportFailedError, Process, Template, start

Item = TypeVar("Item")
Result = TypeVar("Result")

DeathReason = Literal["timed_out", "out_of_memory", "crashed"]
OUT_OF_MEMORY_EXIT: Final = 71  # how a worker says that a MemoryError ended it


@dataclass(frozen=True, slots=True)
class Died:
    """In place of a result: the item ended its worker. `detail` names the signal, exit status or bound."""

    reason: DeathReason
    detail: str


class WorkerError(RuntimeError):
    """The function raised in a worker; the message holds the worker's traceback."""


@dataclass(slots=True)
class _Chunk:
    """Consecutive items, from position `start` on; `results` holds those answered so far."""

    start: int
    items: Sequence[Any]
    results: list[Any] = field(default_factory=list)

    @property
    def pending(self) -> Sequence[Any]:
        return self.items[len(self.results) :]


class _Worker:
    """The parent's end of one worker process."""

    def __init__(self, template: Template, cpu_s: float, memory_bytes: int) -> None:
        self.connection, theirs = Pipe()
        self.chunk: _Chunk | None = None
        self.answered = 0  # items answered in this process's life
        self.retired = False
        self.cpu_s = 0.0
        try:
            self.process: Process = template.fork(theirs.fileno(), cpu_s, memory_bytes)
        except HasThreadsError:
            code = f"from resources.workers import serve; serve({theirs.fileno()}, {cpu_s!r}, {memory_bytes!r})"
            self.process = start(code, theirs.fileno())
        except ImportFailedError as error:
            raise WorkerError(str(error)) from None
        finally:
            theirs.close()

    def send(self, chunk: _Chunk, function: bytes) -> None:
        """Hand over what is unanswered of `chunk`. The worker is idle, so it reads at once and this cannot block
        for long; one that died between two chunks is noticed when its answer is awaited."""
        self.chunk = chunk
        try:
            self.connection.send_bytes(pickle.dumps((function, list(chunk.pending)), protocol=5))
        except (BrokenPipeError, ConnectionResetError):
            return

    def death(self) -> Died:
        """Why the process ended (call after its connection reached its end)."""
        status = self.process.wait()
        if status == -signal.SIGXCPU:
            return Died("timed_out", "CPU limit")
        if status in (OUT_OF_MEMORY_EXIT, -signal.SIGKILL):
            return Died("out_of_memory", "memory limit" if status == OUT_OF_MEMORY_EXIT else "killed by the system")
        name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return Died("crashed", name)

    def close(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.wait()


class Workers:
    """A pool of `num_workers` killable processes (default: the cores this process may use).

    `cpu_s` bounds the CPU seconds of one item, `memory_bytes` the address space a worker may add to what it holds
    after its imports; `chunk_items` items travel at once. Use as a context manager, or call `close()`.

    >>> with Workers(num_workers=1) as pool:
    ...     list(pool.map(math.sqrt, [4.0, 9.0]))
    [2.0, 3.0]
    """

    def __init__(
        self,
        num_workers: int | None = None,
        cpu_s: float = 20.0,
        memory_bytes: int = 2 << 30,
        chunk_items: int = 16,
    ) -> None:
        self.num_workers = num_workers or len(os.sched_getaffinity(0))
        if self.num_workers < 1 or cpu_s <= 0 or chunk_items < 1:
            raise ValueError(f"bounds must be positive: {num_workers=}, {cpu_s=}, {chunk_items=}")
        self._cpu_bound_s, self._memory_bytes, self._chunk_items = cpu_s, memory_bytes, chunk_items
        self._workers: list[_Worker] = []
        self._template: Template | None = None
        self._past_cpu_s = 0.0

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def cpu_s(self) -> float:
        """CPU seconds spent by the workers so far, as they reported with their last finished chunk."""
        imports_s = self._template.cpu_s if self._template else 0.0
        return self._past_cpu_s + imports_s + sum(worker.cpu_s for worker in self._workers)

    def close(self) -> None:
        """End the workers. The pool may be used again; it then starts fresh ones."""
        for worker in list(self._workers):
            self._drop(worker)
        if self._template:
            self._past_cpu_s += self._template.cpu_s
            self._template.close()
            self._template = None

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result | Died]:
        """`function` of each item, in order; `Died` where an item ended its worker.

        Items are taken lazily, a few chunks ahead of what was yielded.

        Raises:
            ValueError: the function cannot be imported by a worker (a lambda, or defined in `__main__`).
            WorkerError: the function raised.
        """
        reference = _reference(function)
        chunks = _chunked(items, self._chunk_items)
        waiting: deque[_Chunk] = deque()  # started, in order; finished ones leave on the left
        finished = False
        try:
            while True:
                # Look ahead is bounded, so that one slow item cannot pile up the results of all that follow.
                while not finished and len(waiting) < 4 * self.num_workers and (worker := self._idle_worker(reference)):
                    chunk = next(chunks, None)
                    if chunk is None:
                        finished = True
                    else:
                        waiting.append(chunk)
                        worker.send(chunk, reference)
                while waiting and not waiting[0].pending:
                    yield from waiting.popleft().results
                if not waiting and finished and not any(worker.chunk for worker in self._workers):
                    return
                self._collect(reference)
        finally:
            if any(worker.chunk for worker in self._workers):  # the caller stopped early: answers are on their way
                self.close()

    def _idle_worker(self, function: bytes) -> _Worker | None:
        for worker in list(self._workers):
            if worker.retired and worker.chunk is None:
                self._drop(worker)
        for worker in self._workers:
            if worker.chunk is None:
                return worker
        if len(self._workers) < self.num_workers:
            return self._new_worker(function)
        return None

    def _new_worker(self, function: bytes) -> _Worker:
        self._template = self._template or Template(function)
        self._workers.append(_Worker(self._template, self._cpu_bound_s, self._memory_bytes))
        return self._workers[-1]

    def _collect(self, function: bytes) -> None:
        """Wait for an answer of any busy worker, and take what is there."""
        busy = {worker.connection: worker for worker in self._workers if worker.chunk}
        for ready in wait(list(busy)):
            assert isinstance(ready, Connection)
            worker = busy[ready]
            try:
                kind, value = pickle.loads(ready.recv_bytes())
            except (EOFError, ConnectionResetError):
                self._replace(worker, function)
                continue
            assert worker.chunk is not None
            if kind == "result":
                worker.chunk.results.append(value)
                worker.answered += 1
            elif kind == "raised":
                raise WorkerError(value)
            else:  # the end of the chunk
                worker.cpu_s, worker.retired = value
                worker.chunk = None

    def _replace(self, worker: _Worker, function: bytes) -> None:
        """A worker died on the first unanswered item of its chunk: record that, and give the rest to a fresh one.

        Unless it timed out, only the first item of a worker's life is blamed: what an earlier item left behind
        (memory, a damaged heap) must not be laid at a later one's door, so that one is tried again first.
        """
        chunk, death = worker.chunk, worker.death()
        self._drop(worker)
        assert chunk is not None
        if chunk.pending and (worker.answered == 0 or death.reason == "timed_out"):
            chunk.results.append(death)
        if chunk.pending:
            self._new_worker(function).send(chunk, function)

    def _drop(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        self._past_cpu_s += worker.cpu_s
        worker.close()


def _chunked(items: Iterable[Item], size: int) -> Iterator[_Chunk]:
    source, start = iter(items), 0
    while batch := list(islice(source, size)):
        yield _Chunk(start, batch)
        start += len(batch)


def _reference(function: Callable[..., Any]) -> bytes:
    inner = getattr(function, "func", function)  # of a functools.partial
    if getattr(inner, "__module__", None) == "__main__" or "<" in getattr(inner, "__qualname__", ""):
        raise ValueError(f"workers cannot import {inner!r}: define it at the top of a module other than __main__")
    return pickle.dumps(function, protocol=5)


class _OverTimeError(BaseException):
    """Raised by the timer inside the function; not an Exception, so that libraries do not swallow it."""


def serve(descriptor: int, cpu_s: float, memory_bytes: int) -> None:
    """A worker's whole life: answer chunks from the connection until it closes."""

    def over_time(_signal: int, _frame: FrameType | None) -> None:
        raise _OverTimeError

    signal.signal(signal.SIGPROF, over_time)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection = Connection(descriptor)
    ceiling = 0
    try:
        while True:
            reference, items = pickle.loads(connection.recv_bytes())
            try:
                function = pickle.loads(reference)
            except Exception:  # whatever an import raises is for the parent to see
                connection.send_bytes(pickle.dumps(("raised", traceback.format_exc())))
                return
            if not ceiling:
                ceiling = _address_space() + memory_bytes
                resource.setrlimit(resource.RLIMIT_AS, (ceiling, resource.RLIM_INFINITY))
            for item in items:
                _answer(connection, function, item, cpu_s)
            # Libraries keep caches. A worker that used up half its room is replaced before an innocent item pays.
            retired = _address_space() > ceiling - memory_bytes // 2
            connection.send_bytes(pickle.dumps(("chunk", (time.process_time(), retired))))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent closed the pool, or is gone


def _answer(connection: Connection, function: Callable[[Any], Any], item: Any, cpu_s: float) -> None:
    """Run one item under its CPU bound and send its result. Ends the process when memory ran out."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(time.process_time() + cpu_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
    try:
        try:
            signal.setitimer(signal.ITIMER_PROF, cpu_s)
            message = "result", function(item)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    except _OverTimeError:
        message = "result", Died("timed_out", f"{cpu_s:g} CPU seconds")
    except MemoryError:
        os._exit(OUT_OF_MEMORY_EXIT)
    except Exception:  # handed to the parent, which raises it
        message = "raised", traceback.format_exc()
    resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))
    try:
        payload = pickle.dumps(message, protocol=5)
    except MemoryError:
        os._exit(OUT_OF_MEMORY_EXIT)
    connection.send_bytes(payload)


def _address_space() -> int:
    """Bytes of address space this process holds."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


__all__ = ["Died", "WorkerError", "Workers", "serve"]
