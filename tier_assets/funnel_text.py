"""The funnel as text: documents and tokens by tier and corpus, then drop reasons."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from resources.catalog import open_catalog
from resources.lake import Lake

WIDTH = 6  # reasons shown a tier


def funnel_text(lake: Lake, keys: Sequence[str]) -> str:
    """Rows in, kept and rejected of every tier of the partitions `keys`, their tokens, and the top drop reasons."""
    with open_catalog(lake) as connection:
        rows = connection.execute("SELECT *, corpus || '@' || snapshot AS key FROM funnel").pl()
        reasons = connection.execute(
            "SELECT tier, reason, corpus || '@' || snapshot AS key, count(*) AS n FROM verdicts GROUP BY ALL"
        ).pl()
    rows = rows.filter(pl.col("key").is_in(keys)).sort("key", "tier")
    reasons = reasons.filter(pl.col("key").is_in(keys)).group_by("tier", "reason").agg(pl.col("n").sum())
    line = "{:<28} {:<5} {:>10} {:>10} {:>10} {:>12}".format
    out = [line("corpus@snapshot", "tier", "in", "kept", "rejected", "tokens kept")]
    for row in rows.iter_rows(named=True):
        out.append(_row(line, row["key"], row))
    total = rows.group_by("tier").agg(pl.col("rows_in", "rows_kept", "rows_rejected", "tokens_kept").sum())
    out.append("-" * len(out[0]))
    out += [_row(line, "all", row) for row in total.sort("tier").iter_rows(named=True)]
    out.append("")
    for (tier,), found in reasons.sort("tier", "n", "reason", descending=[False, True, False]).group_by(
        ["tier"], maintain_order=True
    ):
        shown = [f"{reason} {n:,}" for reason, n in found.select("reason", "n").head(WIDTH).iter_rows()]
        more = f", and {len(found) - WIDTH} more" if len(found) > WIDTH else ""
        out.append(f"rejected at {tier}: {', '.join(shown)}{more}")
    return "\n".join(out)


def _row(line, name: str, row: dict) -> str:  # type: ignore[no-untyped-def]
    numbers = (f"{row[c]:,}" for c in ("rows_in", "rows_kept", "rows_rejected", "tokens_kept"))
    return line(name, row["tier"], *numbers)
