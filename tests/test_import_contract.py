"""Imports run downward, and looking at a lake needs no machine learning."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "vllm", "transformers", "great_expectations")
ROOMS = sorted(p.name for p in (ROOT / "tier_assets").iterdir() if (p / "assets.py").exists())


def test_imports_run_downward_only() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Imports run downward, and tier rooms never import each other KEPT" in ran.stdout


@pytest.mark.parametrize(
    "module", ["resources.catalog", "resources.step", "tier_assets.cli", "tier_assets.definitions"]
)
def test_import_of_the_lake_loads_nothing_heavy(module: str) -> None:
    program = f"import sys, {module}; print(*(name for name in {HEAVY} if name in sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], cwd="/", capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == []


def imported(file: Path) -> set[str]:
    """Top names of all that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_room_of_a_tier_knows_dagster_in_its_assets_only(room: str) -> None:
    knowing = [f.name for f in (ROOT / "tier_assets" / room).rglob("*.py") if "dagster" in imported(f)]
    assert "assets.py" in knowing
    assert all(name.endswith("assets.py") for name in knowing)
