"""A run that is killed in the middle of a flight asks only the rest when it is run again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from resources.lake import Lake
from resources.language_models import Replayed, Request, open_model
from resources.language_models.protocol import LanguageModel
from resources.language_models.scripted import ScriptedModel

NUM_REQUESTS = 400
WINDOW = 8

# Asks through the cache, and writes a line a request as it is asked: what a paid endpoint would have charged for.
CHILD = """
import sys, time
from resources.language_models import kept
from tests.resources.test_replay_killed import replayed, requests
kept.FLUSH_S = float(sys.argv[3])
asked = open(sys.argv[2], "a", buffering=1)
for place, reply in replayed(sys.argv[1], sys.argv[4], asked).ask(requests()):
    pass
"""


def requests() -> list[Request]:
    """Requests of different lengths: their replies do not all come at once."""
    return [Request(f"Count to {i}.", 4 + i % 40) for i in range(NUM_REQUESTS)]


class Noted(LanguageModel):
    """The bundled model, every request noted as it is drawn."""

    def __init__(self, note) -> None:  # type: ignore[no-untyped-def]
        self._model = open_model("bundled")
        self.name = self._model.name
        self._note = note

    def ask(self, requests):  # type: ignore[no-untyped-def]
        def noted():  # type: ignore[no-untyped-def]
            for request in requests:
                if request is not None:
                    self._note(request.prompt)
                yield request

        return self._model.ask(noted())


def replayed(root: str, engine: str, asked) -> Replayed:  # type: ignore[no-untyped-def]
    def slow(prompt: str) -> str:
        asked.write(prompt + "\n")
        time.sleep(0.005)
        return prompt[::-1]

    if engine == "bundled":
        model: LanguageModel = Noted(lambda prompt: asked.write(prompt + "\n"))
    else:
        model = ScriptedModel(slow, window=WINDOW)
    return Replayed(model, Lake(root), "edit@1")


def start(root: Path, asked: Path, flush_s: float, engine: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", CHILD, str(root), str(asked), str(flush_s), engine]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])})


def num_kept(root: Path) -> int:
    return Lake(str(root)).scan("model_replies").select(pl.len()).collect().item()


def killed_then_run_again(folder: Path, flush_s: float, engine: str) -> tuple[int, int, int]:
    """Requests asked by a run killed when a third of the replies were kept; replies kept by it; asked by the next."""
    root, first, second = folder / "lake", folder / "first.txt", folder / "second.txt"
    Lake(str(root)).create()
    child = start(root, first, flush_s, engine)
    while num_kept(root) < NUM_REQUESTS // 3 and child.poll() is None:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    kept = num_kept(root)
    assert start(root, second, flush_s, engine).wait() == 0
    assert num_kept(root) == NUM_REQUESTS
    return len(first.read_text().splitlines()), kept, len(second.read_text().splitlines())


def test_replayed_killed_in_the_middle_asks_only_the_rest(tmp_path) -> None:
    before, kept, after = killed_then_run_again(tmp_path, 0.1, "scripted")
    assert NUM_REQUESTS // 3 <= kept < NUM_REQUESTS
    assert after == NUM_REQUESTS - kept
    # Lost is what was asked since the last time of saving: 0.1 s of 5 ms each, and what came while it was saved.
    assert before - kept <= 100
    assert before + after <= NUM_REQUESTS + 100
    with (tmp_path / "third.txt").open("w") as asked:
        found = dict(replayed(str(tmp_path / "lake"), "scripted", asked).ask(requests()))
    assert [found[i].text for i in range(NUM_REQUESTS)] == [r.prompt[::-1] for r in requests()]
    assert (tmp_path / "third.txt").read_text() == ""


@pytest.mark.slow
def test_replayed_killed_with_the_real_engine_asks_only_the_rest(tmp_path) -> None:
    before, kept, after = killed_then_run_again(tmp_path, 0.5, "bundled")
    assert NUM_REQUESTS // 3 <= kept <= before
    assert after == NUM_REQUESTS - kept
