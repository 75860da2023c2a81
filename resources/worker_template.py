"""A process that has imported what workers need and is forked for each of them: the imports are paid for once a pool.

In: an importable function; where its module has a function `warm_up()`, that runs too, so that what it loads is loaded
once. Out: processes that serve a connection, some milliseconds each instead of an interpreter start and a second of
imports. The template is a fresh interpreter with one thread, so a fork of it is whole; where the
imports started threads it says so and forks nothing.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any, Final, Protocol

# Threads of numeric libraries inside a worker would only fight over the cores that the workers already share.
ONE_THREAD: Final = {name: "1" for name in ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


class Process(Protocol):
    """A worker's process, however it came to be."""

    def kill(self) -> None:
        """End it at once, if it has not ended."""

    def wait(self) -> int:
        """Its exit status once it has ended; below 0 the signal that ended it."""


class ImportFailedError(RuntimeError):
    """The function could not be imported; the message holds the traceback."""


class HasThreadsError(RuntimeError):
    """The imports started threads, which a fork would lose."""


def start(code: str, descriptor: int) -> subprocess.Popen[bytes]:
    """A fresh interpreter that runs `code` with this one's module path and keeps `descriptor` open."""
    # Taking apart a thousand modules at the end costs 0.3 s and changes nothing.
    end = "sys.stdout.flush(); os._exit(0)"
    bootstrap = f"import os, sys; sys.path[:] = {[p or os.getcwd() for p in sys.path]!r}; {code}; {end}"
    return subprocess.Popen(
        [sys.executable, "-c", bootstrap],
        pass_fds=(descriptor,),
        stdin=subprocess.DEVNULL,
        stdout=2,  # stdout belongs to results of commands
        env=os.environ | ONE_THREAD,
    )


class Template:
    """The parent's end of the process that is forked. `function`: pickled, what the workers will run."""

    def __init__(self, function: bytes) -> None:
        self.cpu_s = 0.0  # of its own: the imports
        self._connection, theirs = Pipe()
        code = (
            "from resources.workers import serve; from resources.worker_template import serve_forks; "
            f"serve_forks({theirs.fileno()}, serve)"
        )
        self._process = start(code, theirs.fileno())
        theirs.close()
        self._connection.send_bytes(function)

    def fork(self, descriptor: int, cpu_s: float, memory_bytes: int) -> Forked:
        """A worker that serves `descriptor` under these bounds.

        Raises:
            ImportFailedError: the function cannot be imported.
            HasThreadsError: a fork would not be whole.
        """
        kind, value = self._ask(("fork", (cpu_s, memory_bytes)), descriptor)
        if kind == "raised":
            raise ImportFailedError(value)
        if kind == "threads":
            raise HasThreadsError(f"{value} threads after the imports")
        pid, self.cpu_s = value
        return Forked(pid, self)

    def wait(self, pid: int) -> int:
        """The exit status of a forked process, once it has ended."""
        return int(self._ask(("wait", pid))[1])

    def close(self) -> None:
        """End it; its workers have ended and were waited for."""
        self._connection.close()
        self._process.wait()

    def _ask(self, request: tuple[str, Any], descriptor: int | None = None) -> tuple[str, Any]:
        try:
            self._connection.send_bytes(pickle.dumps(request))
            if descriptor is not None:
                send_handle(self._connection, descriptor, self._process.pid)
            return pickle.loads(self._connection.recv_bytes())
        except (EOFError, ConnectionResetError, BrokenPipeError):
            status = self._process.wait()
            raise ImportFailedError(f"the process that imports for the workers ended with status {status}") from None


class Forked:
    """A worker forked from a template."""

    def __init__(self, pid: int, template: Template) -> None:
        self._pid, self._template = pid, template
        self._status: int | None = None

    def kill(self) -> None:
        """End it at once, if it has not ended. Until it is waited for, its id belongs to nobody else."""
        if self._status is None:
            os.kill(self._pid, signal.SIGKILL)

    def wait(self) -> int:
        """Its exit status once it has ended; below 0 the signal that ended it."""
        if self._status is None:
            self._status = self._template.wait(self._pid)
        return self._status


def serve_forks(descriptor: int, serve: Callable[[int, float, int], None]) -> None:
    """The template's whole life: import, then fork and wait as asked, until the connection closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    connection = Connection(descriptor)
    try:
        failure = _imported(connection.recv_bytes())
        while True:
            kind, value = pickle.loads(connection.recv_bytes())
            if kind == "fork":
                descriptor = recv_handle(connection)
                answer = failure or _forked(connection, descriptor, serve, *value)
                os.close(descriptor)
            else:
                answer = "status", os.waitstatus_to_exitcode(os.waitpid(value, 0)[1])
            connection.send_bytes(pickle.dumps(answer))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent closed the pool, or is gone


def _imported(function: bytes) -> tuple[str, Any] | None:
    """Import the pickled function and warm up; what to answer instead of forking, if anything."""
    try:
        loaded = pickle.loads(function)
        inner = getattr(loaded, "func", loaded)  # of a functools.partial
        module = sys.modules.get(getattr(inner, "__module__", ""))  # str.upper has none
        getattr(module, "warm_up", _nothing)()
    except Exception:  # whatever an import raises is for the parent to see
        return "raised", traceback.format_exc()
    num_threads = len(os.listdir("/proc/self/task"))
    return ("threads", num_threads) if num_threads > 1 else None


def _nothing() -> None:
    """The `warm_up` of a module without one."""


def _forked(
    connection: Connection, descriptor: int, serve: Callable[[int, float, int], None], cpu_s: float, memory_bytes: int
) -> tuple[str, Any]:
    pid = os.fork()
    if pid:
        return "pid", (pid, time.process_time())
    status = 1
    try:
        connection.close()
        serve(descriptor, cpu_s, memory_bytes)
        status = 0
    except BaseException:  # nothing above this frame belongs to a worker
        traceback.print_exc()
    finally:
        os._exit(status)


__all__ = [
    "ONE_THREAD",
    "Forked",
    "HasThreadsError",
    "ImportFailedError",
    "Process",
    "Template",
    "serve_forks",
    "start",
]
