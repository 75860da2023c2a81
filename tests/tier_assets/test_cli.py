"""The `lake` command: results on standard output, one clear line for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from resources.lake import Lake
from tests.tier_assets.conftest import page
from tier_assets import plan
from tier_assets.cli import app

MISSING = f"no file or folder {str(Path('missing').absolute())!r}"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for a lake, named by LAKE_ROOT."""
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path / "lake"))
    return tmp_path / "lake"


def call(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout, done.stderr.strip()


def lines_file(folder: Path, *lines: object) -> str:
    file = folder / "lines.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(file)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--corpus", "nope"), "unknown corpus 'nope'; known: bridges, mills"),
        (("run", "--corpus", "mills", "--snapshot", "1999"), "unknown snapshot '1999'; known: 2026-01"),
        (("run", "--to", "l7"), "unknown tier 'l7'; known: l0, l1, l2, l3, l4"),
        (("check", "--tier", "l9"), "unknown tier 'l9'; known: l0, l1, l2, l3, l4"),
        (("sql", "SELECT 1", "--format", "xml"), "unknown format 'xml'; known: table, csv, json"),
        (("trace", "nope"), "no fact, record or document has the id 'nope'; ids are in l4_facts, l3_refined, l0_raw"),
        (("ingest", "missing", "--corpus", "c", "--snapshot", "s"), MISSING),
        (
            ("ingest", "README.md", "--corpus", "../c", "--snapshot", "s"),
            "corpus '../c' is no valid name; a name is 1 to 63 of a-z 0-9 _ . -, the first a letter or digit",
        ),
    ],
)
def test_bad_value_one_line_names_it_and_the_good_ones(
    finished_lake: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.setenv("LAKE_ROOT", str(finished_lake))
    assert call(*arguments) == (2, "", f"lake: {said}")


def test_ingest_unknown_format_names_the_known_ones(root: Path) -> None:
    status, printed, said = call("ingest", "README.md", "--corpus", "c", "--snapshot", "s", "--format", "docx")
    assert (status, printed) == (2, "")
    assert "'docx'" in said
    assert "jsonl" in said


def test_empty_lake_says_what_to_do(root: Path) -> None:
    assert call("run") == (2, "", f"lake: the lake {root} is empty: `lake ingest` files first, or `make demo`")


@pytest.mark.parametrize("command", [("sql", "SELECT 1"), ("why", "x"), ("trace", "x"), ("search", "words")])
def test_place_without_a_lake_is_one_clear_line(root: Path, command: tuple[str, ...]) -> None:
    said = f"lake: there is no lake at {root}: `lake ingest` files first, or `make demo`"
    assert call(*command) == (2, "", said)
    assert not root.exists()


def test_sql_error_is_one_message_without_a_traceback(finished_lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_ROOT", str(finished_lake))
    status, printed, said = call("sql", "SELECT nothing FROM l0_raw")
    assert (status, printed) == (2, "")
    assert said.startswith("lake: Binder Error")


def test_lake_of_another_format_is_refused(root: Path) -> None:
    root.mkdir()
    (root / "lake.json").write_text('{"format_version": 99}')
    status, _, said = call("status")
    assert status == 2
    assert said == f"lake: {root} was written by lake format 99; this version reads format 5"


def test_sql_csv_and_json_keep_every_row(finished_lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_ROOT", str(finished_lake))
    query = "SELECT doc_id, raw FROM l0_raw ORDER BY doc_id"
    csv_lines = call("sql", query, "--format", "csv")[1].splitlines()
    rows = [json.loads(line) for line in call("sql", query, "--format", "json")[1].splitlines()]
    assert len(rows) == len(csv_lines) - 1 == 48
    assert json.loads(bytes.fromhex(rows[0]["raw"]))["text"]


def test_status_names_what_is_stale(own_lake: Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAKE_ROOT", own_lake.root)
    (tmp_path / "new.txt").write_text(page(77))
    assert call("ingest", str(tmp_path / "new.txt"), "--corpus", "canals", "--snapshot", "1")[0] == 0
    stale = ", ".join(step.asset for step in plan.STEPS)
    assert f"stale: {stale} of canals@1" in call("status")[1]


def test_ingest_again_registers_nothing(root: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(page(1))
    arguments = ("ingest", str(tmp_path / "a.txt"), "--corpus", "c", "--snapshot", "s")
    assert call(*arguments)[1].endswith("1 new sources in c@s\n")
    assert call(*arguments)[1].endswith("0 new sources in c@s\n")


def test_try_extract_judge_dedup_a_line_for_each_line(root: Path, tmp_path: Path) -> None:
    article = f"<html><head><title>T</title></head><body><article><p>{page(3)}</p></article></body></html>"
    file = lines_file(tmp_path, {"id": 1, "url": "http://a.test/", "html": article}, {"id": 2, "url": "", "html": ""})
    out = [json.loads(line) for line in call("try", "extract", file)[1].splitlines()]
    assert [line["id"] for line in out] == [1, 2]
    assert page(3)[:60] in out[0]["text"]
    assert out[0]["title"] == "T"
    file = lines_file(
        tmp_path, {"id": "a", "text": page(4)}, {"id": "b", "text": "too short"}, {"id": "c", "text": page(4)}
    )
    judged = [json.loads(line) for line in call("try", "judge", file)[1].splitlines()]
    assert [(line["id"], line["keep"]) for line in judged] == [("a", True), ("b", False), ("c", True)]
    assert judged[1]["reason"] == "too_few_words"
    found = [json.loads(line) for line in call("try", "dedup", file)[1].splitlines()]
    assert [(line["id"], line["kept_id"]) for line in found] == [("a", "a"), ("b", "b"), ("c", "a")]
    assert found[2]["similarity"] == 1.0


@pytest.mark.parametrize(
    ("stage", "content", "said"),
    [
        ("polish", "{}", "unknown stage 'polish'; known: extract, clean, private, language, judge"),
        ("judge", "no json\n", "line 1: no JSON"),
        ("judge", "[1]\n", "line 1: each line is a JSON object with an id, got '[1]'"),
        ("score", '{"id": 1, "text": "x"}\n', "no scorer is published in this lake yet"),
    ],
)
def test_try_bad_input_is_one_clear_line(root: Path, tmp_path: Path, stage: str, content: str, said: str) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text(content)
    status, printed, error = call("try", stage, str(file))
    assert (status, printed) == (2, "")
    assert said in error
    assert "\n" not in error
