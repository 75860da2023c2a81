"""One sound lake a session; each test changes its own copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from _small_lake import small_lake

from resources.lake import Lake


@pytest.fixture(scope="session")
def sound_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sound") / "lake"
    small_lake(str(root))
    return root


@pytest.fixture
def lake(sound_root: Path, tmp_path: Path) -> Lake:
    return Lake(str(shutil.copytree(sound_root, tmp_path / "lake")))
