"""A table that was opened before is as it stands now: after commits, from elsewhere, and in the place of another."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from resources.open_tables import files_of, latest


def write(path: Path, value: int, mode: str = "append") -> None:
    """A commit of one row."""
    write_deltalake(str(path), pa.table({"x": [value]}), mode=mode)  # type: ignore[call-overload]


def rows(path: Path) -> list[int]:
    """Rows of the table at the path."""
    return sorted(DeltaTable(str(path)).to_pyarrow_table()["x"].to_pylist())


@pytest.mark.parametrize("is_local", [True, False])
def test_latest_sees_every_commit_and_opens_once_between_them(tmp_path: Path, is_local: bool) -> None:
    path = tmp_path / "t"
    assert latest(str(path), is_local, None) is None
    for version in range(3):
        write(path, version)
        opened = latest(str(path), is_local, None)
        assert opened is not None
        assert opened.version == version
        assert sum(n for files in files_of(opened, str(path)).values() for _, n in files) == version + 1
        assert latest(str(path), is_local, None) is opened


def test_latest_sees_a_commit_that_removes_files(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write(path, 1)
    before = latest(str(path), True, None)
    assert before is not None
    old = files_of(before, str(path))[""]
    write(path, 2, "overwrite")
    now = latest(str(path), True, None)
    assert now is not None
    assert files_of(now, str(path))[""] != old
    assert len(files_of(now, str(path))[""]) == 1


def test_latest_of_another_table_in_the_same_place_is_the_other(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write(path, 1)
    write(path, 2)
    first = latest(str(path), True, None)
    shutil.rmtree(path)
    assert latest(str(path), True, None) is None
    write(path, 7)
    write(path, 8)
    second = latest(str(path), True, None)
    assert first is not None
    assert second is not None
    assert second is not first
    assert files_of(second, str(path)) != files_of(first, str(path))
    assert rows(path) == [7, 8]


def test_latest_after_the_last_commits_were_taken_back_is_the_earlier_version(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write(path, 1)
    write(path, 2)
    assert latest(str(path), True, None).version == 1  # type: ignore[union-attr]
    (path / "_delta_log" / f"{1:020d}.json").unlink()
    assert latest(str(path), True, None).version == 0  # type: ignore[union-attr]
