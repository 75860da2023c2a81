"""The README's commands, run as they are written, on a copy of the demo lake."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from tests.demo.conftest import PROJECT, Demo

pytestmark = pytest.mark.slow
# The suite itself, and the page that serves until it is stopped (tests/ui has it).
NOT_HERE = ("make test", "make up")


def commands() -> list[str]:
    """The lines of the README's shell blocks, in order, without their comments."""
    blocks = re.findall(r"```sh\n(.*?)```", (PROJECT / "README.md").read_text(), flags=re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and line not in NOT_HERE]


def test_readme_names_the_two_commands_first() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (PROJECT / "README.md").read_text(), flags=re.DOTALL)
    assert [line.split("  #")[0].strip() for line in blocks[0].splitlines()] == ["make demo", "make test"]


def test_readme_commands_run_as_written(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> None:
    if not (PROJECT / ".venv" / ".installed").exists():
        pytest.skip("no .venv made by `make setup`: the README's commands need it")
    root = tmp_path_factory.mktemp("readme") / "lake"
    shutil.copytree(demo.root, root)
    found = commands()
    assert len(found) >= 9
    for command in found:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=PROJECT,
            env=os.environ | {"LAKE_ROOT": str(root)},
            input="SELECT count(*) FROM l0_raw;\n",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
        assert done.stdout.strip(), command
