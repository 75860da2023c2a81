"""Whether two expressions in LaTeX are the same mathematics: math-verify on sympy, in a process of its own.

In: two strings. Out: yes or no; what cannot be parsed, or takes more than LIMIT_S of processor time or MEMORY_BYTES,
is not the same. math-verify stops itself by a signal, which only a main thread has, and no signal stops a long
operation on integers: a process can be stopped from any thread. It starts with the first pair (1 s), is asked over
pipes (some milliseconds a pair), and ends with its parent.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import resource
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Final

LIMIT_S: Final = 2
# By the clock, for what no signal stops; long, so that a busy machine gives the same answers.
PATIENCE_S: Final = 60
START_S: Final = 300
MEMORY_BYTES: Final = 2 << 30
_SERVE: Final = "import sys; sys.path.insert(0, sys.argv[1]); from algorithms import symbolic_equality as s; s.serve()"


def same_expression(a: str, b: str) -> bool:
    """Whether `a` and `b` (LaTeX, without dollar signs) are equal, one way round or the other.

    Raises:
        RuntimeError: the process does not start, as where math-verify is not installed.
    """
    return _worker.same(a, b)


class _Worker:
    """The process; one at a time asks it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def same(self, a: str, b: str) -> bool:
        with self._lock:
            if self._process is None:
                self._start()
            if not self._write(json.dumps([a, b]).encode() + b"\n"):
                self.stop()
                return False
            reply = self._read(PATIENCE_S)
            if reply is None:
                self.stop()
            return reply == b"1"

    def _start(self) -> None:
        command = [sys.executable, "-P", "-W", "ignore", "-c", _SERVE, str(Path(__file__).parents[1])]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self._read(START_S) != b"ready":
            self.stop()
            raise RuntimeError("the process that compares expressions did not start: is math-verify installed?")

    def _write(self, line: bytes) -> bool:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except BrokenPipeError:
            return False
        return True

    def _read(self, seconds: float) -> bytes | None:
        """The next line; None where the process ended or took longer."""
        assert self._process is not None
        assert self._process.stdout is not None
        waiting = select.poll()  # select() takes no file descriptors from 1024
        waiting.register(self._process.stdout, select.POLLIN)
        line = self._process.stdout.readline() if waiting.poll(seconds * 1000) else b""
        return line.strip() if line.endswith(b"\n") else None

    def forget(self) -> None:
        """Leave the process to its owner: a forked child must not talk on its parent's pipes."""
        self._lock = threading.Lock()
        self._process = None

    def stop(self) -> None:
        """End the process; the next pair starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None


_worker = _Worker()
atexit.register(_worker.stop)
os.register_at_fork(after_in_child=_worker.forget)


class _TooLongError(BaseException):
    """Not an Exception: what sympy catches would swallow it."""


def serve() -> None:
    """Answer pairs from standard input until it ends: a line of JSON in, a line 1 or 0 out."""
    # What a library prints must not come between the replies.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGVTALRM, _too_long)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, hard))
    import math_verify  # noqa: F401 - the first pair should not pay for it

    print("ready", file=replies)
    for line in sys.stdin:
        first, second = json.loads(line)
        print(int(_same(first, second)), file=replies)


def _too_long(number: int, frame: FrameType | None) -> None:
    raise _TooLongError


def _same(a: str, b: str) -> bool:
    from math_verify import LatexExtractionConfig, parse, verify

    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
    try:
        first, second = (parse(f"${s}$", [LatexExtractionConfig()], parsing_timeout=None) for s in (a, b))
        if len(first) < 2 or len(second) < 2:  # only the text again: not parsed
            return False
        return verify(first[0], second[0], timeout_seconds=None) or verify(second[0], first[0], timeout_seconds=None)
    except (_TooLongError, MemoryError, RecursionError):
        return False
    except Exception:  # whatever sympy raises on nonsense means that nothing was shown equal
        return False
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
