"""The loop's commands: telemetry in, references, steering; one clear line for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resources.lake import Lake
from tests.tier_assets.test_cli import call, lines_file

# Some 15 s and more in all.
pytestmark = pytest.mark.slow

REPORT = {"run": "mine", "step": 1, "domain": "all", "tokens": 100, "loss": 4.0, "lr": 1e-3}


@pytest.fixture
def named(own_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake of its own, named by LAKE_ROOT."""
    monkeypatch.setenv("LAKE_ROOT", own_lake.root)
    return own_lake


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("rollback", "3"), "cannot go back to round 3; earlier rounds: none"),
        (("retier", "--dry-run"), "no influence model is in force yet: `lake loop` learns one"),
        (("steer", "nobody"), "no run 'nobody' has reported; known: []"),
        (
            ("reference", "set", "nothing"),
            "'nothing' is no file and no source; known: rated, general, l3_refined, l4_facts",
        ),
        (("reference", "set", "rated", "--role", "judge"), "unknown role 'judge'; known: reference, guard"),
        (
            ("try", "influence", "README.md"),
            "influence is of a checkpoint on a reference: name them by --checkpoint and --reference",
        ),
    ],
)
def test_bad_value_of_the_loop_one_line_names_it_and_the_good_ones(
    named: Lake, arguments: tuple[str, ...], said: str
) -> None:
    assert call(*arguments) == (2, "", f"lake: {said}")


def test_telemetry_takes_reports_keeps_wrong_ones_with_a_reason_and_lets_a_run_steer(
    named: Lake, tmp_path: Path
) -> None:
    file = lines_file(tmp_path, REPORT, REPORT | {"step": 2, "tokens": 200, "loss": float("nan")}, REPORT)
    status, _, said = call("telemetry", file)
    assert status == 0
    assert "read to byte" in said
    assert named.scan("training_telemetry").collect()["step"].to_list() == [1]
    assert named.scan("telemetry_refused").collect()["reason"].to_list() == ["loss_not_finite"]
    assert call("steer", "mine")[0] == 0
    assert named.scan("steering_runs").collect()["run"].to_list() == ["mine"]


def test_reference_set_of_a_file_keeps_its_items_for_the_next_probes(named: Lake, tmp_path: Path) -> None:
    file = lines_file(tmp_path, {"id": "a", "text": "A text to become better at."}, {"id": 2, "text": "Another."})
    status, _, said = call("reference", "set", file, "--name", "mine")
    assert status == 0
    assert said.startswith("reference: mine (file, 2 items)")
    (row,) = named.scan("reference_sets").collect().to_dicts()
    assert [item["item_id"] for item in row["items"]] == ["a", "2"]


def test_try_ado_gives_a_law_a_domain_and_a_picture_beside_the_file(named: Lake, tmp_path: Path) -> None:
    reports = [
        REPORT | {"step": step, "tokens": 1000 * step, "domain": domain, "loss": floor + 20 * (1000 * step) ** -0.3}
        for step in range(1, 101)
        for domain, floor in (("code", 1.0), ("prose", 2.0))
    ]
    status, printed, said = call("try", "ado", lines_file(tmp_path, *reports))
    assert status == 0, said
    found = {line["domain"]: line for line in map(json.loads, printed.splitlines())}
    assert {domain: round(line["epsilon"], 1) for domain, line in found.items()} == {"code": 1.0, "prose": 2.0}
    assert all(abs(line["alpha"] - 0.3) < 0.02 for line in found.values())
    assert sum(line["weight"] for line in found.values()) == pytest.approx(1.0)
    assert (tmp_path / "lines.svg").read_text().startswith("<")
