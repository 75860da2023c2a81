"""Delta tables that were opened before: their log is read again only when it has grown.

Opening a table reads its log (20 ms, and more the longer it is); a step looks at a dozen tables some hundred times. A
local table is the one that was opened where its last commit's file is still that file and no later one stands beside
it: two calls of `stat`. A remote one is asked for what is new.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from resources.delta import active_files

Files = dict[str, list[tuple[str, int]]]
# Of all lakes that this process has opened.
MOST_HELD: Final = 256


@dataclass
class OpenTable:
    """A table as it was when its log was last read; `mark` tells the file of its last commit from any other."""

    delta: DeltaTable
    version: int
    mark: tuple[int, int, int] | None
    files: Files | None = None


_held: OrderedDict[str, OpenTable] = OrderedDict()


def latest(path: str, is_local: bool, storage_options: dict[str, str] | None) -> OpenTable | None:
    """The table at `path` as it stands, or None where there is none."""
    held = _held.get(path)
    if held is not None and _is_current(held, path, is_local):
        _held.move_to_end(path)
        return held
    _held.pop(path, None)
    if not DeltaTable.is_deltatable(path, storage_options):
        return None
    delta = DeltaTable(path, storage_options=storage_options)
    version = delta.version()
    found = OpenTable(delta, version, _mark(path, version) if is_local else None)
    _held[path] = found
    if len(_held) > MOST_HELD:
        _held.popitem(last=False)
    return found


def files_of(table: OpenTable, path: str) -> Files:
    """As `active_files`; not to be changed."""
    if table.files is None:
        table.files = active_files(table.delta, path)
    return table.files


def _is_current(held: OpenTable, path: str, is_local: bool) -> bool:
    if is_local:
        return held.mark is not None and held.mark == _mark(path, held.version) and not _exists(path, held.version + 1)
    try:
        held.delta.update_incremental()
    except DeltaError:  # it was removed, or its log cleaned beyond what was read: open it anew
        return False
    if held.delta.version() != held.version:
        held.version, held.files = held.delta.version(), None
    return True


def _mark(path: str, version: int) -> tuple[int, int, int] | None:
    try:
        found = os.stat(_commit(path, version))
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _exists(path: str, version: int) -> bool:
    return os.path.exists(_commit(path, version))


def _commit(path: str, version: int) -> str:
    return f"{path}/_delta_log/{version:020d}.json"
