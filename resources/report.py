"""What a materialisation shows in the Dagster UI: the funnel, drop reasons, a score histogram, samples.

In go small frames (counts and at most a few rows), out comes metadata. Pictures are PNGs inside Markdown, drawn by
matplotlib, imported when the first one is drawn.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

import dagster as dg
import polars as pl

SAMPLE_CHARS = 280


def materialisation(
    counts: Mapping[str, int],
    verdicts: pl.DataFrame,
    samples: pl.DataFrame,
    scores: pl.Series | None = None,
    **more: dg.MetadataValue | int | float | str,
) -> dict[str, dg.MetadataValue | int | float | str]:
    """Metadata of one materialised partition.

    Args:
        counts: the ledger's counts.
        verdicts: columns reason, count.
        samples: a few rows; the column `text`, if there, is cut.
        scores: drawn as a histogram, where given.
        more: further entries.
    """
    found: dict[str, dg.MetadataValue | int | float | str] = {
        "dagster/row_count": counts["rows_kept"],
        "funnel": dg.MetadataValue.md(_funnel(counts)),
        "drop_reasons": dg.MetadataValue.md(_reasons(verdicts)),
        "samples": dg.MetadataValue.md(_table(samples)),
    }
    if scores is not None and len(scores):
        found["score_histogram"] = dg.MetadataValue.md(_histogram(scores))
    return found | more


def _funnel(counts: Mapping[str, int]) -> str:
    lines = ["| | in | kept | rejected |", "|---|---:|---:|---:|"]
    for kind in ("rows", "tokens"):
        numbers = (f"{counts[f'{kind}_{state}']:,}" for state in ("in", "kept", "rejected"))
        lines.append(f"| {kind} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def _reasons(verdicts: pl.DataFrame) -> str:
    if verdicts.is_empty():
        return "nothing was dropped"
    top = verdicts.sort("count", "reason", descending=[True, False]).head(15)
    picture = _picture(lambda axes: axes.barh(top["reason"].to_list()[::-1], top["count"].to_list()[::-1]), len(top))
    return f"{picture}\n\n{_table(top)}"


def _histogram(scores: pl.Series) -> str:
    return _picture(lambda axes: axes.hist(scores.drop_nulls().to_numpy(), bins=30), 8)


def _picture(draw, lines: int) -> str:  # type: ignore[no-untyped-def]
    from matplotlib.figure import Figure  # 0.4 s: only where something is drawn

    figure = Figure(figsize=(6.4, max(1.2, 0.28 * lines + 0.6)), dpi=80, layout="constrained")
    axes = figure.subplots()
    draw(axes)
    axes.spines[["top", "right"]].set_visible(False)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return f"![](data:image/png;base64,{base64.b64encode(file.getvalue()).decode()})"


def _table(frame: pl.DataFrame) -> str:
    if frame.is_empty():
        return "no rows"
    lines = [f"| {' | '.join(frame.columns)} |", "|" + "---|" * frame.width]
    for row in frame.iter_rows():
        cells = (str(value).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;") for value in row)
        lines.append(f"| {' | '.join(cell[:SAMPLE_CHARS] for cell in cells)} |")
    return "\n".join(lines)
