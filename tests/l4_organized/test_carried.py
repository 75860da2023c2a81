"""Facts of demoted documents stay as they are, unless their evidence or their records are gone."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tier_assets.l4_organized.carried import carry
from tier_assets.l4_organized.facts import DEFAULT, Organized, organize
from tier_tables import VERDICTS

TEXTS = {
    "a": "The bridge of Dundee was opened in the summer of 1878. It fell in a storm the next winter.",
    "b": "Queen Victoria crossed the river by train in June 1879. The engineer was made a knight.",
}


def documents(**texts: str) -> pl.DataFrame:
    return pl.DataFrame({"doc_id": list(texts), "text": list(texts.values())}).with_columns(
        corpus=pl.lit("mail"), snapshot=pl.lit("s1"), title=pl.lit(None, pl.String),
        byte_offset=pl.lit(0), num_bytes=pl.lit(9),
    )  # fmt: skip


@pytest.fixture(scope="module")
def standing() -> Organized:
    no_records = pl.DataFrame(schema=dict.fromkeys(("record_id", "doc_id", "task", "messages"), pl.String))
    made = organize(documents(**TEXTS), no_records, DEFAULT)
    assert set(made.facts["doc_id"]) == set(TEXTS)
    return made


def carried(standing: Organized, texts: dict[str, str], lineage: pl.DataFrame | None = None) -> Organized:
    parents = standing.lineage if lineage is None else lineage
    return carry(documents(**texts), standing.facts, standing.evidence, parents, pl.Series(["r1"]))


def test_carried_facts_of_unchanged_texts_are_the_very_rows(standing: Organized) -> None:
    found = carried(standing, TEXTS)
    assert_frame_equal(found.facts, standing.facts)
    assert_frame_equal(found.evidence, standing.evidence)
    assert_frame_equal(found.lineage, standing.lineage)
    assert found.verdicts.is_empty()
    assert found.verdicts.schema == VERDICTS.schema


def test_carried_fact_whose_quote_moved_gets_a_verdict_instead(standing: Organized) -> None:
    found = carried(standing, TEXTS | {"b": " " + TEXTS["b"]})
    assert set(found.facts["doc_id"]) == {"a"}
    assert set(found.evidence["fact_id"]) == set(found.lineage["child_id"]) == set(found.facts["fact_id"])
    assert set(found.verdicts["reason"]) == {"quote_not_in_text"}
    assert found.verdicts.select("tier", "doc_id").unique().rows() == [("l4", "b")]
    assert {*found.verdicts["record_id"], *found.facts["fact_id"]} == set(standing.facts["fact_id"])


@pytest.mark.parametrize(("record", "stays"), [("r1", True), ("r2", False)])
def test_carried_fact_needs_the_records_that_it_came_from(standing: Organized, record: str, stays: bool) -> None:
    first = standing.facts["fact_id"][0]
    more = standing.lineage.head(1).with_columns(
        child_id=pl.lit(first), parent_table=pl.lit("l3_refined"), parent_id=pl.lit(record)
    )
    found = carried(standing, TEXTS, pl.concat([standing.lineage, more]))
    assert (first in found.facts["fact_id"]) == stays
    assert found.verdicts.select("record_id", "reason", "detail").rows() == (
        [] if stays else [(first, "record_not_kept", "r2")]
    )
    assert len(found.facts) + len(found.verdicts) == len(standing.facts)
