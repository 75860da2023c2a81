"""Pictures for the Dagster page: PNG inside Markdown, opened by a click.

In: counts, a few hundred. Out: Markdown. Costs half a second, most of it for the import.
"""

from __future__ import annotations

import base64
import io
from typing import Final

import polars as pl

MAX_REASONS: Final = 12  # colours that an eye tells apart


def stacked_bars(counts: pl.DataFrame, title: str) -> str:
    """A bar for each `name`, made of its `part`s (columns name, part, count); rare parts are summed up as `other`."""
    import matplotlib

    matplotlib.use("Agg", force=True)
    from matplotlib import pyplot

    order = counts.group_by("part").agg(pl.col("count").sum()).sort("count", "part", descending=[True, False])["part"]
    shown = order.head(MAX_REASONS).to_list()
    kept = pl.when(pl.col("part").is_in(shown)).then("part").otherwise(pl.lit("other")).alias("part")
    summed = counts.with_columns(kept).group_by("name", "part").agg(pl.col("count").sum())
    names = sorted(counts["name"].unique(), reverse=True)
    colours = pyplot.get_cmap("tab20")
    figure, axes = pyplot.subplots(figsize=(10, 1.5 + 0.35 * len(names)))
    left = dict.fromkeys(names, 0)
    for number, part in enumerate([*shown, "other"]):
        widths = dict(summed.filter(part=part).select("name", "count").iter_rows())
        if widths:
            bars = [widths.get(name, 0) for name in names]
            axes.barh(names, bars, left=[left[name] for name in names], label=part, color=colours(number))
            left = {name: left[name] + width for name, width in zip(names, bars)}
    axes.set_title(title)
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80, bbox_inches="tight", metadata={"Software": None})
    pyplot.close(figure)
    return f"![{title}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
