"""The one demo lake that all slow tests share: made by `lake demo`, as `make demo` does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from resources.lake import Lake

PROJECT = Path(__file__).resolve().parents[2]
LAKE = str(Path(sys.executable).with_name("lake"))


@dataclass(frozen=True)
class Demo:
    """The demo's lake and what making it printed."""

    root: Path
    printed: str

    @property
    def lake(self) -> Lake:
        """The lake, opened."""
        return Lake(str(self.root))


def lake_command(root: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the `lake` command on a lake."""
    environment = os.environ | {"LAKE_ROOT": str(root)}
    done = subprocess.run([LAKE, *arguments], env=environment, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"lake {' '.join(arguments)} exited {done.returncode}: {done.stderr[-2000:]}")
    return done


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo lake; TIERLAKE_DEMO names one that was made before, to work on the tests."""
    ready = os.environ.get("TIERLAKE_DEMO")
    if ready:
        return Demo(Path(ready), "")
    root = tmp_path_factory.mktemp("demo") / "lake"
    done = lake_command(root, "demo")
    return Demo(root, done.stdout)


@pytest.fixture
def run_lake(demo: Demo) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The `lake` command on the demo lake."""

    def run(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return lake_command(demo.root, *arguments, check=check)

    return run


Run = Callable[..., subprocess.CompletedProcess[str]]
Arguments = Sequence[str]
