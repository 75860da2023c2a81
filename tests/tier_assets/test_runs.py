"""The chain L0 to L4 by the real assets, checks and instance; the language model is scripted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from resources.lake import Lake, Written
from resources.step import Step, reads_of
from tests.tier_assets.conftest import ENGINES, make, write_corpus
from tier_assets import plan
from tier_assets.l0_raw.ingest import ingest
from tier_assets.partitions import partition_of

BRIDGES = {"corpus": "bridges", "snapshot": "2026-01"}


def ids(lake: Lake, table: str) -> set[str]:
    return set(lake.scan(table, BRIDGES).collect()["doc_id"])


def test_run_every_tier_rows_in_are_kept_plus_verdicts(own_lake: Lake) -> None:
    for tier, table in (("l0", "l0_raw"), ("l1", "l1_filtered"), ("l2", "l2_selected")):
        rejected = set(own_lake.scan("verdicts", {"tier": tier, **BRIDGES}).collect()["doc_id"])
        assert not ids(own_lake, table) & rejected
        if tier != "l0":
            below = "l0_raw" if tier == "l1" else "l1_filtered"
            assert ids(own_lake, table) | rejected == ids(own_lake, below)
    for step in ("l0_raw", "l1_filtered", "l2_selected", "l3_refined", "l4_facts"):
        row = own_lake.last_step(step, BRIDGES)
        assert row is not None
        assert row["rows_in"] == row["rows_kept"] + row["rows_rejected"] > 0


def test_run_again_redoes_nothing(own_lake: Lake) -> None:
    before = own_lake.version("tier_ledger")
    outcome = make(own_lake)
    assert (outcome.made, outcome.problems, own_lake.version("tier_ledger")) == ([], {}, before)


@pytest.mark.slow
def test_run_same_inputs_again_gives_the_same_rows(own_lake: Lake) -> None:
    tables = ("l1_filtered", "l2_scores", "l2_selected", "l3_refined", "l4_facts", "l4_evidence", "tier_moves")
    before = {t: own_lake.scan(t).collect().sort(pl.all().exclude(pl.List)) for t in tables}
    partition = own_lake.stage("l1_filtered", BRIDGES)
    partition.write(own_lake.scan("l1_filtered", BRIDGES).collect())
    finish(own_lake, "l1", "l1_filtered", own_lake.commit(partition))  # another commit of the same rows: all is stale
    outcome = make(own_lake)
    assert not outcome.problems
    assert any("l2_scores" in made for made in outcome.made)
    for table in tables:
        assert own_lake.scan(table).collect().sort(pl.all().exclude(pl.List)).equals(before[table]), table


@pytest.mark.slow
def test_run_new_corpus_only_its_own_partition_is_made(own_lake: Lake, tmp_path: Path) -> None:
    scorer = own_lake.state("scorers")
    folder = write_corpus(tmp_path / "canals", range(30, 42), "canal")
    ingest(own_lake, folder, corpus="canals", snapshot="2026-02", licence=None, format="auto", link=False)
    outcome = make(own_lake)
    assert not outcome.problems
    assert all("canals@2026-02" in made or made in ("funnel", "l1_duplicates") for made in outcome.made)
    assert own_lake.state("scorers") == scorer
    assert own_lake.last_step("l4_facts", {"corpus": "canals", "snapshot": "2026-02"}) is not None


def test_l0_source_gone_rows_stay(own_lake: Lake, tmp_path: Path) -> None:
    before = own_lake.scan("l0_raw", BRIDGES).collect().sort("doc_id")
    Path(own_lake.root, own_lake.scan("sources", BRIDGES).collect()["path"][0]).unlink()
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "late.jsonl").write_text('{"text": "one more line of text"}\nnot json\n')
    ingest(own_lake, folder, **BRIDGES, licence=None, format="jsonl", link=False)
    assert not make(own_lake, to="l0").problems
    after = own_lake.scan("l0_raw", BRIDGES).collect().sort("doc_id")
    assert after.join(before, on="doc_id", how="semi").equals(before)
    assert len(after) == len(before) + 1
    assert own_lake.scan("verdicts", {"tier": "l0", **BRIDGES}).collect()["reason"].to_list() == ["not_an_object"] or (
        own_lake.scan("verdicts", {"tier": "l0", **BRIDGES}).collect().height == 1
    )


def plant(lake: Lake, tier: str, table: str, rows: pl.DataFrame) -> None:
    """Finish a step that wrote bad rows, as a faulty step of ours would."""
    stage = lake.stage(table, BRIDGES)
    stage.write(rows)
    finish(lake, tier, table, lake.commit(stage))


def finish(lake: Lake, tier: str, step: str, *written: Written) -> None:
    last = lake.last_step(step, BRIDGES)
    assert last is not None
    outputs = [{"table": w.table, "slice": w.slice, "version": w.version, "token": w.token} for w in written]
    others = [o for o in last["output_versions"] if o["table"] not in {w.table for w in written}]  # type: ignore[attr-defined]
    lake.finish({**last, "output_versions": outputs + others, "started_at": datetime.now(UTC)})


@pytest.mark.parametrize(
    ("tier", "table", "column", "bad", "refused"),
    [
        ("l1", "l1_filtered", "text", "", "l2_embeddings"),
        pytest.param("l1", "l1_filtered", "doc_id", "f" * 32, "l2_embeddings", marks=pytest.mark.slow),
        pytest.param("l2", "l2_selected", "doc_id", "e" * 32, "l3_refined", marks=pytest.mark.slow),
        pytest.param("l2", "l2_selected", "quality", 17.0, "l3_refined", marks=pytest.mark.slow),
    ],
)
def test_bad_row_in_a_parent_the_next_tier_refuses_in_a_later_run(
    own_lake: Lake, tier: str, table: str, column: str, bad: object, refused: str
) -> None:
    rows = own_lake.scan(table, BRIDGES).collect()
    first = rows["doc_id"].min()
    plant(
        own_lake,
        tier,
        table,
        rows.with_columns(pl.when(pl.col("doc_id") == first).then(pl.lit(bad)).otherwise(pl.col(column)).alias(column)),
    )
    before = own_lake.last_step(refused, BRIDGES)
    outcome = make(own_lake)
    assert list(outcome.problems) == ["bridges@2026-01"]
    assert outcome.problems["bridges@2026-01"].startswith(f"{refused[:2]} is not made from {table} of bridges@2026-01")
    assert own_lake.last_step(refused, BRIDGES) == before
    assert not make(own_lake, to=tier, keys=["bridges@2026-01"], force=True).problems  # mended as the message says
    assert not make(own_lake).problems


def test_plan_names_what_follows_a_stale_step(own_lake: Lake) -> None:
    key = "mills@2026-01"
    assert plan.stale_assets(own_lake, ENGINES, key) == ()
    reads = reads_of(own_lake, {"l1_filtered": partition_of(key)})
    with Step(own_lake, "l2", "l2_selected", partition_of(key), "r", "another version", reads):
        pass
    assert plan.stale_assets(own_lake, ENGINES, key) == ("l2_selected", "l3_refined", "l4_facts")
    assert plan.stale_assets(own_lake, ENGINES, key, "l1") == ()
