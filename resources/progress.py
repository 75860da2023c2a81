"""Progress of long steps, on standard error: bars on a terminal, a line now and then elsewhere.

A step calls `bar("rating documents", total)` and moves it on; where nobody asked to see progress (a run started by
the Dagster daemon), the calls do nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_EVERY_S = 10.0
_shown: Progress | None = None
_lines = False


class Bar(Protocol):
    """Moves a bar to an absolute position."""

    def __call__(self, done: int) -> None: ...


@contextmanager
def shown() -> Iterator[None]:
    """Show the bars of everything that runs inside, in this process."""
    global _shown, _lines
    if not sys.stderr.isatty():
        _lines = True
        try:
            yield
        finally:
            _lines = False
        return
    columns = (TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        _shown = progress
        try:
            yield
        finally:
            _shown = None


def note(line: str) -> None:
    """Say a line beside the bars, where progress is shown."""
    if _shown is not None:
        _shown.console.print(line, highlight=False)
    elif _lines:
        sys.stderr.write(f"  {line}\n")


@contextmanager
def bar(description: str, total: int | None) -> Iterator[Bar]:
    """A bar for one step: call it with the number done so far."""
    if _shown is not None:
        progress = _shown
        task = progress.add_task(description, total=total)

        def move(done: int) -> None:
            progress.update(task, completed=done)

        yield move
        progress.update(task, total=total or progress.tasks[task].completed or 1)
        return
    last = time.monotonic()

    def say(done: int) -> None:
        nonlocal last
        if _lines and time.monotonic() - last >= LINE_EVERY_S:
            last = time.monotonic()
            sys.stderr.write(f"  {description}: {done}{f' of {total}' if total else ''}\n")

    yield say
