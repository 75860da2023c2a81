"""What an asset and a materialisation show in the Dagster UI: columns, the funnel, drop reasons, scores, samples.

In go small frames (counts and at most a few rows), out comes metadata. The page shows Markdown at once as long as it
is short, and behind a click otherwise: so bars are drawn as text, which stays short.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final

import dagster as dg
import numpy as np
import polars as pl

from tier_tables import table

SAMPLE_CHARS: Final = 200
INLINE_CHARS: Final = 1_000  # Dagster 1.13's page shows Markdown of this length or more only behind a click
BAR_WIDTH: Final = 16
EIGHTHS: Final = "▏▎▍▌▋▊▉█"
NUM_BINS: Final = 12


def described(name: str) -> dict[str, str | dg.TableSchema]:
    """Metadata of the asset that makes a table: the page lists its columns with type and meaning."""
    contract = table(name)
    columns = [
        dg.TableColumn(c.name, _type_name(c.dtype), c.meaning, dg.TableColumnConstraints(nullable=c.nullable))
        for c in contract.columns
    ]
    return {"dagster/table_name": name, "dagster/column_schema": dg.TableSchema(columns)}


def _type_name(dtype: pl.DataType | pl.datatypes.DataTypeClass) -> str:
    """A type in a word or two: a list names what it holds, a struct not its fields."""
    inner = f"({_type_name(dtype.inner)})" if isinstance(dtype, pl.List) else ""
    return f"{dtype.base_type().__name__}{inner}"


def materialisation(
    counts: Mapping[str, int],
    verdicts: pl.DataFrame,
    samples: pl.DataFrame,
    scores: pl.Series | None = None,
    **more: dg.MetadataValue | int | float | str,
) -> dict[str, dg.MetadataValue | int | float | str]:
    """Metadata of one materialised partition; numbers are plotted over partitions and time by the page.

    Args:
        counts: the ledger's counts.
        verdicts: columns reason, count.
        samples: a few rows; long texts are cut.
        scores: drawn as a histogram, where given.
        more: further entries.
    """
    numbers = ("rows_rejected", "tokens_kept", "prompt_tokens", "output_tokens")
    found: dict[str, dg.MetadataValue | int | float | str] = {
        "dagster/row_count": counts["rows_kept"],
        **{name: counts[name] for name in numbers if counts[name]},
        "funnel": dg.MetadataValue.md(funnel(counts)),
        "drop_reasons": dg.MetadataValue.md(drop_reasons(verdicts)),
    }
    if scores is not None and len(scores.drop_nulls()):
        found["score_histogram"] = dg.MetadataValue.md(histogram(scores))
    told = [column.name for column in samples if column.null_count() < len(samples)]
    if told:
        found["samples"] = _sample_table(samples.select(told))
    return found | more


def funnel(counts: Mapping[str, int]) -> str:
    """Rows and tokens in, kept and rejected, as a Markdown table; a dash for tokens that a tier does not count."""
    lines = ["| | in | kept | rejected |", "|---|---:|---:|---:|"]
    for kind in ("rows", "tokens"):
        came, kept, rejected = (counts[f"{kind}_{state}"] for state in ("in", "kept", "rejected"))
        counted = kind == "rows" or rejected or (came and not counts["rows_rejected"])
        cells = (came if counted else None, kept or (0 if counted else None), rejected if counted else None)
        if any(cell is not None for cell in cells):
            lines.append(f"| {kind} | {' | '.join('–' if cell is None else f'{cell:,}' for cell in cells)} |")
    return "\n".join(lines)


def drop_reasons(verdicts: pl.DataFrame) -> str:
    """Bars of the rows by reason, most first, as a Markdown table; reasons that do not fit are summed up."""
    if verdicts.is_empty():
        return "nothing was dropped"
    ordered = verdicts.sort("count", "reason", descending=[True, False])
    return _bars(("reason", "rows"), ordered["reason"].to_list(), ordered["count"].to_list())


def histogram(scores: pl.Series) -> str:
    """Bars of the rows by score, in equal bins or by value where there are few, as a Markdown table."""
    scores = scores.drop_nulls()
    if scores.n_unique() <= NUM_BINS:
        values = scores.value_counts().sort(scores.name)
        return _bars(("score", "rows"), [f"{value:.4g}" for value in values[scores.name]], values["count"].to_list())
    counts, edges = np.histogram(scores.to_numpy(), bins=NUM_BINS)
    names = [f"{low:.3g} – {high:.3g}" for low, high in pairwise(edges)]
    return _bars(("score", "rows"), names, counts.tolist())


def _bars(head: tuple[str, str], names: Sequence[str], counts: Sequence[int]) -> str:
    lines = [f"| {head[0]} | {head[1]} | |", "|---|---:|---|"]
    longest = max(counts)
    for number, (name, count) in enumerate(zip(names, counts, strict=True)):
        line = f"| {name} | {count:,} | {_bar(count / longest)} |"
        # 40 characters: the line that sums up what does not fit.
        if len("\n".join([*lines, line])) + 40 > INLINE_CHARS:
            lines.append(f"| {len(names) - number} more | {sum(counts[number:]):,} | |")
            break
        lines.append(line)
    return "\n".join(lines)


def _bar(share: float) -> str:
    eighths = max(1, round(share * BAR_WIDTH * 8)) if share else 0
    full, part = divmod(eighths, 8)
    return EIGHTHS[-1] * full + (EIGHTHS[part - 1] if part else "")


def _sample_table(samples: pl.DataFrame) -> dg.TableMetadataValue:
    columns = [dg.TableColumn(name, type=str(dtype)) for name, dtype in samples.schema.items()]
    records = [dg.TableRecord(dict(zip(samples.columns, _shown(row), strict=True))) for row in samples.iter_rows()]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))


def table_of(frame: pl.DataFrame) -> dg.TableMetadataValue:
    """A small frame as a table of the page; lists are left to their own entries."""
    return _sample_table(frame)


def _shown(row: Iterable[object]) -> list[str | int | float | bool | None]:
    """A row's values as a table of the page takes them; texts in one line, cut."""
    return [value if isinstance(value, int | float | None) else _cut(str(value)) for value in row]


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SAMPLE_CHARS else line[:SAMPLE_CHARS] + "…"
