"""L1 over the whole lake: duplicates across partitions, withdrawal, benchmarks, changed files, expected languages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from resources.lake import Lake
from tests.tier_assets.conftest import make, page
from tier_assets.benchmarks import add_benchmark
from tier_assets.l0_raw.expect import expect_languages
from tier_assets.l0_raw.ingest import ingest
from tier_assets.withdraw import plan_of, withdraw

# Some 20 s in all.
pytestmark = pytest.mark.slow

BRIDGES = {"corpus": "bridges", "snapshot": "2026-01"}
LATER = {"corpus": "bridges", "snapshot": "2026-02"}
GERMAN = (
    "Die Brücke wurde im Jahr 1877 nach langem Streit im Rat der Stadt eröffnet, und der Baumeister hatte dafür "
    "vierzigtausend Pfund verlangt, von denen er nur ein Drittel bekam. Die Leute gingen am ersten Tag hinüber, und "
    "dreihundert Wagen folgten ihnen. Sie war aus Eisen, das mit dem Schiff kam, und der Stein für die Pfeiler wurde "
    "in den Hügeln der Umgebung gebrochen. Ein Sturm riss zwei Bögen fort, die man im Sommer darauf wieder aufbaute."
)


def put(lake: Lake, folder: Path, texts: dict[str, str], name: str = "pages.jsonl", **partition: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps({"title": t, "text": text}) + "\n" for t, text in texts.items()))
    ingest(lake, folder / name, **partition, licence="CC0-1.0", format="auto", link=False)


def verdicts(lake: Lake, **partition: str) -> dict[str, str]:
    rows = lake.scan("verdicts", {"tier": "l1", **partition}).collect()
    return dict(rows.select("doc_id", "reason").iter_rows())


def titles(lake: Lake, table: str = "l1_filtered", **partition: str) -> list[str]:
    return sorted(lake.scan(table, partition).collect()["title"])


def doc_id(lake: Lake, title: str, **partition: str) -> str:
    return lake.scan("l1_texts", partition).filter(pl.col("title") == title).collect()["doc_id"].item()


def l1(lake: Lake) -> list[str]:
    outcome = make(lake, "l1")
    assert not outcome.problems
    return outcome.made


EARLIER_PAGES = {f"p{n}": page(n) for n in range(4)}
LATER_PAGES = {"p1 again": page(1), "p2 nearly": page(2) + " So it was.", "p30": page(30)}


@pytest.fixture(scope="module")
def made_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two snapshots: the later one repeats page 1, nearly repeats page 2, and brings page 30."""
    base = tmp_path_factory.mktemp("two")
    lake = Lake(str(base / "lake"))
    lake.create("smoke")
    put(lake, base / "a", EARLIER_PAGES, **BRIDGES)
    put(lake, base / "b", LATER_PAGES, **LATER)
    l1(lake)
    return Path(lake.root)


@pytest.fixture
def two(made_two: Path, tmp_path: Path) -> Lake:
    """A copy of the lake of two snapshots."""
    shutil.copytree(made_two, tmp_path / "lake")
    return Lake(str(tmp_path / "lake"))


def test_duplicates_of_an_earlier_snapshot_are_dropped_from_the_later_and_name_the_row_kept(two: Lake) -> None:
    assert titles(two, **BRIDGES) == ["p0", "p1", "p2", "p3"]
    assert titles(two, **LATER) == ["p30"]
    rows = two.scan("verdicts", {"tier": "l1", **LATER}).collect().sort("reason")
    kept = [doc_id(two, "p1", **BRIDGES), doc_id(two, "p2", **BRIDGES)]
    assert rows["reason"].to_list() == ["exact_duplicate", "near_duplicate"]
    assert rows["kept_doc_id"].to_list() == kept
    assert rows["similarity"][0] == 1.0
    assert 0.75 <= rows["similarity"][1] < 1


@pytest.mark.slow
def test_duplicates_partitions_in_the_other_order_give_the_same_rows(two: Lake, tmp_path: Path) -> None:
    other = Lake(str(tmp_path / "other"))
    other.create("smoke")
    put(other, tmp_path / "b", LATER_PAGES, **LATER)
    l1(other)
    assert len(titles(other)) == 3
    put(other, tmp_path / "a", EARLIER_PAGES, **BRIDGES)
    l1(other)
    for table in ("l1_filtered", "l1_duplicates"):
        assert other.scan(table).sort("doc_id").collect().equals(two.scan(table).sort("doc_id").collect()), table


@pytest.mark.slow
def test_new_snapshot_touches_no_other_partition(two: Lake, tmp_path: Path) -> None:
    names = ("l1_texts", "l1_duplicates", "l1_filtered")
    before = [two.state(name, BRIDGES) for name in names]
    put(two, tmp_path / "c", {"p3 again": page(3)}, corpus="bridges", snapshot="2026-03")
    made = l1(two)
    assert [two.state(name, BRIDGES) for name in names] == before
    assert not any("2026-01" in name for name in made)
    assert list(verdicts(two, corpus="bridges", snapshot="2026-03").values()) == ["exact_duplicate"]


def test_new_file_only_its_records_are_extracted(two: Lake, tmp_path: Path) -> None:
    before = set(two.slices("l1_texts", BRIDGES)[0].files)
    put(two, tmp_path / "more", {"p9": page(9)}, name="more.jsonl", **BRIDGES)
    l1(two)
    after = two.slices("l1_texts", BRIDGES)[0].files
    assert before < set(after)
    assert [len(pl.read_parquet(file)) for file in after if file not in before] == [1]
    assert titles(two, **BRIDGES) == ["p0", "p1", "p2", "p3", "p9"]


@pytest.mark.slow
def test_changed_file_its_older_rows_are_superseded(two: Lake, tmp_path: Path) -> None:
    put(two, tmp_path / "a", {"p1": page(1), "p5": page(5)}, **BRIDGES)
    l1(two)
    assert titles(two, **BRIDGES) == ["p1", "p5"]
    assert sorted(verdicts(two, **BRIDGES).values()) == ["superseded"] * 4
    # The kept row of "p2 nearly" is gone: it is back.
    assert titles(two, **LATER) == ["p2 nearly", "p30"]


@pytest.mark.slow
def test_withdraw_the_kept_row_its_duplicate_comes_back(two: Lake) -> None:
    gone = doc_id(two, "p2", **BRIDGES)
    documents, plan = plan_of(two, [gone])
    assert plan.may_return["id"].to_list() == [doc_id(two, "p2 nearly", **LATER)]
    withdraw(two, documents, "takedown")
    l1(two)
    assert verdicts(two, **BRIDGES) == {gone: "withdrawn_takedown"}
    assert titles(two, **LATER) == ["p2 nearly", "p30"]
    withdraw(two, documents, None)
    l1(two)
    assert titles(two, **LATER) == ["p30"]


@pytest.mark.slow
def test_withdraw_with_its_duplicates_none_comes_back(two: Lake) -> None:
    documents, plan = plan_of(two, [doc_id(two, "p2", **BRIDGES)], with_duplicates=True)
    assert (len(documents), len(plan.may_return)) == (2, 0)
    withdraw(two, documents, "takedown")
    l1(two)
    assert (titles(two, **BRIDGES), titles(two, **LATER)) == (["p0", "p1", "p3"], ["p30"])


def test_withdraw_unknown_document_or_reason_is_refused(two: Lake) -> None:
    with pytest.raises(ValueError, match="no document of this lake has the id 'nothing'"):
        plan_of(two, ["nothing"])
    documents, _ = plan_of(two, [doc_id(two, "p2", **BRIDGES)])
    with pytest.raises(ValueError, match="reason 'Not nice' is no name"):
        withdraw(two, documents, "Not nice")


@pytest.mark.slow
def test_language_that_the_corpus_does_not_expect_is_dropped(two: Lake, tmp_path: Path) -> None:
    put(two, tmp_path / "d", {"deutsch": GERMAN}, name="de.jsonl", **LATER)
    l1(two)
    assert "deutsch" in titles(two, **LATER)
    expect_languages(two, "bridges", ["en"])
    l1(two)
    assert titles(two, **LATER) == ["p30"]
    assert verdicts(two, **LATER)[doc_id(two, "deutsch", **LATER)] == "unexpected_language"


@pytest.mark.slow
def test_benchmark_added_later_what_descends_from_a_hit_leaves_every_tier(own_lake: Lake, tmp_path: Path) -> None:
    items = tmp_path / "quiz.jsonl"
    items.write_text(json.dumps({"question": page(3).split(".")[0], "answer": "1853"}) + "\n")
    hit = own_lake.scan("l1_filtered", BRIDGES).filter(pl.col("text") == page(3)).collect()["doc_id"].item()
    assert add_benchmark(own_lake, "quiz", items) == 1
    assert add_benchmark(own_lake, "quiz", items) == 0
    assert not make(own_lake).problems
    assert verdicts(own_lake, **BRIDGES)[hit] == "contaminated"
    for table in ("l2_selected", "l4_facts", "l4_evidence"):
        assert own_lake.scan(table).filter(pl.col("doc_id") == hit).collect().is_empty()
    assert own_lake.scan("l3_refined").filter(pl.col("source_doc_ids").list.contains(hit)).collect().is_empty()


@pytest.mark.slow
def test_benchmark_that_nothing_holds_leaves_every_slice_as_it_is(own_lake: Lake, tmp_path: Path) -> None:
    items = tmp_path / "quiz.txt"
    items.write_text(
        "Seven quick otters ferry twelve lemons over a frozen harbour while nobody keeps any score at all\n"
    )
    before = own_lake.state("l1_filtered")
    add_benchmark(own_lake, "quiz", items)
    outcome = make(own_lake)
    assert not outcome.problems
    assert own_lake.state("l1_filtered") == before
    assert not any("l2" in made for made in outcome.made)


@pytest.mark.slow
def test_l1_asked_for_again_by_force_mends_what_was_lost(two: Lake) -> None:
    stage = two.stage("l1_filtered", BRIDGES)
    stage.write(two.scan("l1_filtered", BRIDGES).head(1).collect())
    last = two.last_step("l1_filtered", BRIDGES)
    assert last is not None
    written = two.commit(stage)
    output = {"table": written.table, "slice": written.slice, "version": written.version, "token": written.token}
    two.finish({**last, "output_versions": [output]})
    assert len(titles(two, **BRIDGES)) == 1
    assert not make(two, "l1", force=True).problems
    assert len(titles(two, **BRIDGES)) == 4


def test_ingest_a_language_that_is_no_code_is_refused(lake: Lake) -> None:
    with pytest.raises(ValueError, match="language 'English' is no ISO 639 code"):
        expect_languages(lake, "c", ["English"])
    assert expect_languages(lake, "c", ["en"])
    assert not expect_languages(lake, "c", ["en"])


@pytest.mark.slow
def test_repeated_paragraph_leaves_every_text_of_its_partition(lake: Lake, tmp_path: Path) -> None:
    lake.create("smoke")
    notice = "All of this was written down by the clerk of the council at the time."
    pages = {f"p{n}": f"{page(n)}\n\n{notice}" for n in range(20)} | {"short": f"Closed.\n\n{notice}"}
    put(lake, tmp_path / "a", pages, **BRIDGES)
    put(lake, tmp_path / "b", {"one": f"{page(40)}\n\n{notice}"}, **LATER)
    l1(lake)
    texts = lake.scan("l1_filtered", BRIDGES).collect()
    assert sorted(texts["text"]) == sorted(page(n) for n in range(20))
    assert verdicts(lake, **BRIDGES) == {doc_id(lake, "short", **BRIDGES): "too_few_words"}
    assert lake.scan("l1_filtered", LATER).collect()["text"].item().endswith(notice)  # once there is no repeat
