"""Progress of steps as lines, and as bars on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from resources import progress
from resources.progress import bar, duration, figures, shown


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


def test_bar_line_has_tokens_a_second_share_kept_and_time_left(monkeypatch, capsys) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with shown(), bar("refining wikitext@2024", 400) as move:
        now = 160.0
        move(120, tokens=60 * 512, kept=38, judged=100)
        now = 165.0
        move(130, tokens=70 * 512, kept=38, judged=100)  # too soon after the last line
        now = 180.0
        move(400, tokens=80 * 512, kept=38, judged=100)
    assert capsys.readouterr().err == (
        "  refining wikitext@2024: 120 of 400, 512 tokens/s, 38% kept, 2 min left\n"
        "  refining wikitext@2024: 400 of 400, 512 tokens/s, 38% kept\n"
    )


def test_bar_line_of_a_step_without_a_model_has_its_count(monkeypatch, capsys) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with shown(), bar("reading a@1", None) as move:
        now = 20.0
        move(7)
    assert capsys.readouterr().err == "  reading a@1: 7\n"


def test_bar_where_nobody_watches_says_nothing(monkeypatch, capsys) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    with bar("reading a@1", 9) as move:
        move(7, tokens=5, kept=1, judged=2)
    assert capsys.readouterr().err == ""


def test_bar_on_a_terminal_shows_the_figures(monkeypatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(progress, "Console", lambda stderr: Console(file=terminal, width=160, force_terminal=True))
    with shown(), bar("refining a@1", 10) as move:
        move(5, tokens=9_000, kept=1, judged=4)
    assert "refining a@1" in terminal.getvalue()
    assert " tokens/s, 25% kept" in terminal.getvalue()


@pytest.mark.parametrize(
    ("elapsed_s", "tokens", "kept", "judged", "found"),
    [
        (2.0, 1_024, 3, 8, ["512 tokens/s", "38% kept"]),
        (2.0, 0, 0, 8, ["0% kept"]),
        (0.0, 5, 0, 0, []),
        (1.0, 2_345, 0, 0, ["2,345 tokens/s"]),
    ],
)
def test_figures_are_those_that_there_are(elapsed_s, tokens, kept, judged, found) -> None:
    assert figures(elapsed_s, tokens, kept, judged) == found


@pytest.mark.parametrize(("seconds", "said"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5_400, "1.5 h")])
def test_duration_is_in_the_unit_of_waiting(seconds, said) -> None:
    assert duration(seconds) == said
