"""What every room's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from resources.lake import Lake

# The same cases every time, and no case judged by a clock: the machine may be busy.
settings.register_profile("tierlake", derandomize=True, deadline=None)
settings.load_profile("tierlake")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake of its own."""
    made = Lake(str(tmp_path / "lake"))
    made.create()
    return made
