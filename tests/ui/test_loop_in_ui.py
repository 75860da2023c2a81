"""The loop turns by itself: telemetry with a checkpoint is appended, and the daemon makes L2's second round of it."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from algorithms.packing import pack
from resources.encoder_resource import GpuEncoder
from resources.engines import Engines
from resources.lake import Lake
from resources.trainer import ModelSettings, OptimizerSettings, Trainer
from resources.training_data import END_ID, encode, learn_tokenizer, save_tokenizer
from tests.tier_assets.conftest import ScriptedLanguageModel
from tests.ui._served import eventually, lake_up
from tier_assets.instance import open_instance
from tier_assets.l0_raw.ingest import ingest
from tier_assets.l2_selected.select import membership_at
from tier_assets.m1_training.telemetry import TelemetryWriter
from tier_assets.partitions import registered_keys
from tier_assets.runs import run
from tier_tables import table

KEY, NOTES = "notes@2026-01", {"corpus": "notes", "snapshot": "2026-01"}
CONTEXT, BATCH, STEPS, RATE = 64, 8, 60, 4e-3
NUM_OF_A_KIND = 110
PLACES = ("Dundee", "Perth", "Leith", "Stirling", "Ayr", "Oban", "Paisley", "Kelso", "Wick", "Elgin", "Alloa", "Nairn")
# Two kinds of notes that share few words: the reference is about the first.
WORDS = {
    "bridge": "pier girder arch span rivet pylon cable deck truss anchor caisson abutment viaduct strut beam bolt",
    "bread": "flour yeast dough crust oven loaf butter sugar salt raisin kneading batter pastry biscuit bun wheat",
}


def note(kind: str, number: int) -> str:
    """A note of ten sentences that no other has, in the words of its kind."""
    draw = random.Random(f"{kind}{number}")
    words = WORDS[kind].split()

    def sentence() -> str:
        a, b, c = draw.sample(words, 3)
        place, year, count = draw.choice(PLACES), draw.randrange(1700, 1990), draw.randrange(3, 900)
        return draw.choice([
            f"In {year} the {a} of {place} was made with a {b}, and it took {count} days to find the right {c}.",
            f"They said that every {a} has a {b}, but the people of {place} would have {count} of them with a {c}.",
            f"Before {year} nobody in {place} had seen the {a} and the {b} that came to be known for their {c}.",
            f"It is not the {a} that matters to {place}, they wrote, it is the {b} and the {c} of {year}.",
        ])  # fmt: skip

    return " ".join(sentence() for _ in range(10))


def made_lake(base: Path) -> Lake:
    """A lake whose L2 exists, as `lake up` would have made it but for the language model's replies."""
    lake = Lake(str(base / "lake"))
    lake.create("smoke")
    folder = base / "notes"
    folder.mkdir()
    texts = [note(kind, number) for number in range(NUM_OF_A_KIND) for kind in WORDS]
    lines = (json.dumps({"id": number, "text": text}) for number, text in enumerate(texts))
    (folder / "notes.jsonl").write_text("\n".join(lines) + "\n")
    ingest(lake, folder, corpus="notes", snapshot="2026-01", licence="CC0-1.0", format="auto", link=False)
    items = [{"item_id": f"b{n}", "domain": "bridge", "text": note("bridge", 10_000 + n)} for n in range(20)]
    asked = {"name": "bridges", "role": "reference", "source": "file", "items": items, "added_at": datetime.now(UTC)}
    lake.append("reference_sets", pl.DataFrame([asked], schema=table("reference_sets").schema))
    with open_instance(lake) as instance:
        outcome = run(lake, instance, registered_keys(lake), "l4", engines=engines())
    assert not outcome.problems, outcome.problems
    return lake


def engines() -> Engines:
    """A scripted language model under the bundled one's name, and no encoder."""
    return Engines(ScriptedLanguageModel(), GpuEncoder(setting="off"))


def train(lake: Lake, folder: Path) -> list[float]:
    """A small model trained elsewhere on L1's texts, left as a checkpoint; the loss of each step."""
    texts = lake.scan("l1_filtered", NOTES).sort("doc_id").select("text").collect()["text"]
    tokenizer = learn_tokenizer(texts, 512)
    trainer = Trainer(ModelSettings(vocab=512, context=CONTEXT), OptimizerSettings(), seed=0)
    chunks = pack(encode(tokenizer, texts), CONTEXT + 1, END_ID)
    losses = [
        trainer.step(chunks[[(BATCH * step + n) % len(chunks) for n in range(BATCH)]], RATE) for step in range(STEPS)
    ]
    trainer.save(folder)
    save_tokenizer(tokenizer, folder)
    return losses


@pytest.mark.slow
def test_telemetry_with_a_checkpoint_becomes_the_second_round_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_ENCODER", "off")
    lake = made_lake(tmp_path)
    texts = {piece.files for piece in lake.slices("l1_filtered")}
    before = lake.last_step("l2_selected", NOTES)
    assert before is not None
    assert before["round"] == 1
    losses = train(lake, tmp_path / "checkpoint")
    with lake_up(Path(lake.root), tmp_path / "up.log") as served:
        served.stop_sensor("landing_sensor")  # it would have L3 made again, by the real language model
        with TelemetryWriter(lake, "outside") as writer:
            for step, loss in enumerate(losses, 1):
                left = str(tmp_path / "checkpoint") if step == STEPS else None
                writer.report(step, {"notes": (BATCH * CONTEXT, loss)}, RATE, checkpoint=left)

        def retiered() -> bool:
            models = lake.scan("influence_models").select("promoted", "refused").collect()
            assert models["promoted"].all(), models["refused"].to_list()
            last = lake.last_step("l2_selected", NOTES)
            return last is not None and last["round"] == 2

        eventually(retiered, "L2 is in round 2", every_s=2.0)
        eventually(lambda: all(found["status"] == "SUCCESS" for found in served.runs()), "the runs end")
        asked = [{tag["key"]: tag["value"] for tag in found["tags"]} for found in served.runs()]

    by_sensor = {tags.get("dagster/sensor_name"): tags for tags in asked}
    assert {"telemetry_sensor", "retier_sensor"} <= set(by_sensor)
    assert by_sensor["retier_sensor"]["dagster/partition"] == KEY
    assert {piece.files for piece in lake.slices("l1_filtered")} == texts
    moves = lake.scan("tier_moves", NOTES).collect()
    members = lake.scan("l2_selected", NOTES).select("doc_id", "corpus", "snapshot", "round").sort("doc_id").collect()
    assert membership_at(moves, 2).equals(members)
    second = moves.filter(round=2)
    assert set(second["to_tier"]) == {"l1", "l2"}
    assert set(second["reason"].str.split("_").list.first()) == {"promoted", "demoted"}
    held = lake.scan("held_out").select("doc_id").collect()
    scored = lake.scan("influence_scores").select("doc_id").collect()
    assert set(scored["doc_id"]).isdisjoint(held["doc_id"])
