"""A small lake with every tier, made by the real assets with a scripted language model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from resources.encoder import ScriptedEncoder
from resources.encoder_resource import GpuEncoder
from resources.engines import Engines
from resources.lake import Lake
from resources.language_models.resource import GpuLanguageModel
from resources.language_models.scripted import ScriptedModel
from tier_assets.instance import open_instance
from tier_assets.l0_raw.ingest import ingest
from tier_assets.partitions import registered_keys
from tier_assets.runs import Outcome, run

PLACES = ("Dundee", "Perth", "Leith", "Stirling", "Ayr", "Oban", "Paisley", "Kelso", "Wick", "Elgin")


def page(number: int, subject: str = "bridge") -> str:
    """A page of prose that L1 keeps, different for each number."""
    place, year = PLACES[number % 10], 1850 + number
    return " ".join(
        [
            f"The {subject} of {place} was opened in {year} after a long debate in the town council.",
            f"Its builder, Thomas Bouch, had asked for {number + 40} thousand pounds and got a third of it.",
            f"The people of {place} saw the {subject} on the first day, and {number + 300} carts followed.",
            f"It was made of iron that came by ship, and the stone for the {subject} was cut in the hills nearby.",
            f"A storm in the winter of {year + 9} tore the {subject} apart, which was rebuilt the next summer.",
            f"The railway used the {subject} for many years, until a wider one took its place and the piers were left.",
        ]
    )


class ScriptedLanguageModel(GpuLanguageModel):
    """Rates longer documents higher, copies a passage as its edit, and answers with the text's own words."""

    def open(self) -> ScriptedModel:
        """The scripted model."""
        return ScriptedModel(self._answer, self._choose)

    @staticmethod
    def _answer(prompt: str) -> str:
        return json.dumps({"question": "When was it opened?", "answer": "in the winter", "edits": []})

    @staticmethod
    def _choose(prompt: str, options: Sequence[str]) -> list[float]:
        letters = len(prompt)  # longer names of places, longer prompts
        return [1.0 + (letters % 7 if option in "345" else 0) for option in options]


class ScriptedGpuEncoder(GpuEncoder):
    """Texts that share words are alike."""

    @property
    def identity(self) -> str:
        """Its own name."""
        return ScriptedEncoder.name

    def open(self) -> ScriptedEncoder:
        """The scripted encoder."""
        return ScriptedEncoder()


ENGINES = Engines(ScriptedLanguageModel(), ScriptedGpuEncoder())


def write_corpus(folder: Path, numbers: Sequence[int], subject: str = "bridge") -> Path:
    """JSON Lines of pages."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps({"id": n, "text": page(n, subject)}) for n in numbers)
    (folder / "pages.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def make(lake: Lake, to: str = "l4", keys: Sequence[str] | None = None, force: bool = False) -> Outcome:
    """Run the stale steps of the lake, or with `force` all."""
    with open_instance(lake) as instance:
        return run(lake, instance, keys or registered_keys(lake), to, engines=ENGINES, force=force)


@pytest.fixture(scope="session")
def finished_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a finished lake of two corpora; copy it before changing it (`own_lake`)."""
    base = tmp_path_factory.mktemp("finished")
    lake = Lake(str(base / "lake"))
    lake.create("smoke")
    for corpus, subject in (("bridges", "bridge"), ("mills", "mill")):
        folder = write_corpus(base / corpus, range(24), subject)
        ingest(lake, folder, corpus=corpus, snapshot="2026-01", licence="CC0-1.0", format="auto", link=False)
    outcome = make(lake)
    assert not outcome.problems, outcome.problems
    return Path(lake.root)


@pytest.fixture
def own_lake(finished_lake: Path, tmp_path: Path) -> Lake:
    """A copy of the finished lake, moved to a place of its own."""
    shutil.copytree(finished_lake, tmp_path / "lake")
    return Lake(str(tmp_path / "lake"))
