"""Selection rounds: which one the lake is in, which influence model it selects by, and how the next is opened.

Round 1 selects by quality alone. A promoted influence model opens the next round, and so does a rollback, which
restores the members of an earlier one. The lake's own table says all of it: L2 does not wait for the loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from resources.lake import Lake
from tier_tables import table


@dataclass(frozen=True, slots=True)
class Round:
    """A selection round: `model_version` of the influence model that it selects by, if any; of a rollback, the round
    whose members it restores."""

    number: int
    kind: str = "first"
    model_version: str | None = None
    restores: int | None = None


def rounds(lake: Lake) -> list[Round]:
    """All rounds, the first among them, in order."""
    rows = lake.scan("influence_rounds").sort("round").select("round", "kind", "model_version", "restores").collect()
    return [Round(1), *(Round(*row) for row in rows.iter_rows())]


def round_in_force(lake: Lake) -> Round:
    """The last round that was opened."""
    return rounds(lake)[-1]


def open_round(lake: Lake, model_version: str) -> Round:
    """Open the round of a promoted model; where it is the model in force already, that round stands."""
    standing = round_in_force(lake)
    if standing.model_version == model_version and standing.kind == "influence":
        return standing
    return _opened(lake, Round(standing.number + 1, "influence", model_version))


def roll_back(lake: Lake, to: int) -> Round:
    """Open a round that restores the members and the model of round `to`.

    Raises:
        ValueError: no such round before the one in force.
    """
    known = rounds(lake)
    earlier = {r.number: r for r in known[:-1]}
    if to not in earlier:
        raise ValueError(f"cannot go back to round {to}; earlier rounds: {sorted(earlier) or 'none'}")
    return _opened(lake, Round(known[-1].number + 1, "rollback", earlier[to].model_version, to))


def _opened(lake: Lake, new: Round) -> Round:
    row = {
        "round": new.number,
        "kind": new.kind,
        "model_version": new.model_version,
        "restores": new.restores,
        "opened_at": datetime.now(UTC),
    }
    lake.append("influence_rounds", pl.DataFrame([row], schema=table("influence_rounds").schema))
    return new
