"""Progress of long steps, on standard error: bars on a terminal, a line now and then elsewhere.

A step calls `bar("rating documents", total)` and moves it on; where nobody asked to see progress (a run started by
the Dagster daemon), the calls do nothing. A step that has a language model write also says how many tokens were
written so far and how many of the records judged were kept:

    refining wikitext@2024: 120 of 400, 512 tokens/s, 38% kept, 2 min left
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
    """Moves a bar to an absolute position; `tokens` written, records `kept` and `judged` count from its start too."""

    def __call__(self, done: int, *, tokens: int = 0, kept: int = 0, judged: int = 0) -> None: ...


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
    figures = TextColumn("{task.fields[figures]}")
    with Progress(*columns, TimeRemainingColumn(), figures, console=Console(stderr=True)) as progress:
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
    started = last = time.monotonic()
    if _shown is not None:
        progress = _shown
        task = progress.add_task(description, total=total, figures="")

        def move(done: int, *, tokens: int = 0, kept: int = 0, judged: int = 0) -> None:
            found = ", ".join(figures(time.monotonic() - started, tokens, kept, judged))
            progress.update(task, completed=done, figures=found)

        yield move
        progress.update(task, total=total or progress.tasks[task].completed or 1)
        return

    def say(done: int, *, tokens: int = 0, kept: int = 0, judged: int = 0) -> None:
        nonlocal last
        now = time.monotonic()
        if _lines and now - last >= LINE_EVERY_S:
            last = now
            elapsed_s = now - started
            parts = [f"{done}{f' of {total}' if total else ''}", *figures(elapsed_s, tokens, kept, judged)]
            if total and 0 < done < total:
                parts.append(f"{duration(elapsed_s * (total - done) / done)} left")
            sys.stderr.write(f"  {description}: {', '.join(parts)}\n")

    yield say


def figures(elapsed_s: float, tokens: int, kept: int, judged: int) -> list[str]:
    """Tokens a second and the share kept, those of them that there are.

    >>> figures(2.0, 1024, 3, 8)
    ['512 tokens/s', '38% kept']
    """
    found = [f"{tokens / elapsed_s:,.0f} tokens/s"] if tokens and elapsed_s > 0 else []
    return [*found, f"{kept / judged:.0%} kept"] if judged else found


def duration(seconds: float) -> str:
    """Seconds to the unit that a reader waits in.

    >>> duration(8.2), duration(119), duration(5_400)
    ('8 s', '2 min', '1.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"
