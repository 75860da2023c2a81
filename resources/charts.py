"""Pictures for the Dagster page: PNG inside Markdown, opened by a click.

In: counts, a few hundred. Out: Markdown. Costs half a second, most of it for the import.
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_REASONS: Final = 12  # colours that an eye tells apart


def stacked_bars(counts: pl.DataFrame, title: str) -> str:
    """A bar for each `name`, made of its `part`s (columns name, part, count); rare parts are summed up as `other`."""
    order = counts.group_by("part").agg(pl.col("count").sum()).sort("count", "part", descending=[True, False])["part"]
    shown = order.head(MAX_REASONS).to_list()
    kept = pl.when(pl.col("part").is_in(shown)).then("part").otherwise(pl.lit("other")).alias("part")
    summed = counts.with_columns(kept).group_by("name", "part").agg(pl.col("count").sum())
    names = sorted(counts["name"].unique(), reverse=True)
    figure, axes = _canvas(1.5 + 0.35 * len(names))
    left = dict.fromkeys(names, 0)
    for number, part in enumerate([*shown, "other"]):
        widths = dict(summed.filter(part=part).select("name", "count").iter_rows())
        if widths:
            bars = [widths.get(name, 0) for name in names]
            axes.barh(names, bars, left=[left[name] for name in names], label=part, color=_colour(number))
            left = {name: left[name] + width for name, width in zip(names, bars)}
    return _markdown(figure, axes, title)


def bars(values: pl.DataFrame, title: str, label: str) -> str:
    """A group of bars for each `name`, one a `part` (columns name, part, value > 0), on a logarithmic scale named
    `label`; each bar bears its number."""
    names = sorted(values["name"].unique(), reverse=True)
    parts = values["part"].unique(maintain_order=True).to_list()
    height = 0.8 / max(len(parts), 1)
    figure, axes = _canvas(1.5 + 0.3 * len(values))
    for number, part in enumerate(parts):
        found = dict(values.filter(part=part).select("name", "value").iter_rows())
        places = [place - (number - (len(parts) - 1) / 2) * height for place, name in enumerate(names) if name in found]
        drawn = axes.barh(
            places, [found[name] for name in names if name in found], height, label=part, color=_colour(number)
        )
        axes.bar_label(drawn, fmt=_told, padding=3, fontsize="small")
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel(label)
    return _markdown(figure, axes, title)


def lines(points: pl.DataFrame, title: str, x_label: str, y_label: str) -> str:
    """A line for each `series` (columns series, x, y); where there are columns `low` and `high`, with a band between
    them, such as the error's. A null y is a gap."""
    figure, axes = _canvas(4.5)
    for number, series in enumerate(points["series"].unique(maintain_order=True)):
        own = points.filter(series=series).sort("x")
        x = own["x"].to_numpy()
        axes.plot(x, own["y"].to_numpy(), label=series, color=_colour(2 * number), marker=".", linewidth=1.5)
        if "low" in points.columns:
            axes.fill_between(x, own["low"].to_numpy(), own["high"].to_numpy(), color=_colour(2 * number), alpha=0.2)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    return _markdown(figure, axes, title)


def _canvas(height: float) -> tuple[Figure, Axes]:
    """An empty picture ten inches wide."""
    import matplotlib

    matplotlib.use("Agg", force=True)
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(10, height))
    return figure, axes


def _colour(number: int) -> tuple[float, ...]:
    from matplotlib import pyplot

    colours = pyplot.get_cmap("tab20")
    found: tuple[float, ...] = colours(number % colours.N)
    return found


def _told(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _markdown(figure: Figure, axes: Axes, title: str) -> str:
    """The picture with its title and legend, as Markdown; it is closed."""
    from matplotlib import pyplot

    axes.set_title(title)
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80, bbox_inches="tight", metadata={"Software": None})
    pyplot.close(figure)
    return f"![{title}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
