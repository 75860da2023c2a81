"""What every room's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from resources.lake import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake of its own."""
    made = Lake(str(tmp_path / "lake"))
    made.create()
    return made
