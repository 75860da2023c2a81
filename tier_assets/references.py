"""`lake reference set`: what influence is measured on from the next probes on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from resources.lake import Lake
from tier_assets.m2_influence.references import SOURCES, read_items
from tier_tables import table

ROLES = ("reference", "guard")


def choose_reference(lake: Lake, source: str, role: str, name: str | None) -> str:
    """Ask for a set: a table's held-out items by its name, or a file's; returns what to tell.

    Raises:
        ValueError: unknown role or source, or a file whose lines are no items.
        OSError: the file cannot be read.
    """
    if role not in ROLES:
        raise ValueError(f"unknown role {role!r}; known: {', '.join(ROLES)}")
    items: list[dict[str, str | None]] = []
    kind = source
    if source not in SOURCES or source == "file":
        if not Path(source).is_file():
            known = ", ".join(s for s in SOURCES if s != "file")
            raise ValueError(f"{source!r} is no file and no source; known: {known}")
        items, kind = read_items(Path(source)).to_dicts(), "file"
    called = name or Path(source).stem
    row = {"name": called, "role": role, "source": kind, "items": items, "added_at": datetime.now(UTC)}
    lake.append("reference_sets", pl.DataFrame([row], schema=table("reference_sets").schema))
    return f"{role}: {called} ({kind}{f', {len(items)} items' if items else ''}); the next probes are measured on it"
