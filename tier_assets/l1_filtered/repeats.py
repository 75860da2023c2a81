"""Paragraphs that many documents of a partition hold leave all of them; what is left is counted and judged again.

In: rows of L1_TEXTS, a batch at a time, and the hashes of repeated paragraphs. Out: the rows that hold one, without
it, and those of them that the rules now reject. A partition is looked at by itself: so a new snapshot changes no text
of an older one.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from algorithms.repeated_paragraphs import removals
from tier_assets.l1_filtered.edits import Edit, apply_edits, as_struct, compose
from tier_assets.l1_filtered.filter import COUNTS
from tier_assets.l1_filtered.rules import judge

MORE_THAN: Final = 20  # documents: a paragraph in more of them is no quotation
CODE: Final = "code"  # of which blocks repeat that are no notices, such as the line that starts a test
REJECTED: Final = pl.Schema({"doc_id": pl.String, "reason": pl.String, "detail": pl.String})


def without_repeats(rows: pl.DataFrame, repeats: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The `rows` that hold one of `repeats`, changed, and those of them that are rejected now, as REJECTED."""
    from resources.tokenizer import count_tokens

    touched = rows.filter(pl.col("paragraphs").list.eval(pl.element().is_in(repeats.implode())).list.any())
    if touched.is_empty():
        return touched, pl.DataFrame(schema=REJECTED)
    texts, edits = [], []
    found = zip(touched["text"].to_list(), touched["edits"].to_list(), removals(touched["text"], repeats).to_list())
    for text, before, gone in found:
        later = [Edit(**edit) for edit in gone]
        texts.append(apply_edits(text, later))
        edits.append([as_struct(edit) for edit in compose([Edit(**edit) for edit in before], later)])
    changed = touched.with_columns(
        pl.Series("text", texts, dtype=pl.String), pl.Series("edits", edits, dtype=rows.schema["edits"])
    )
    counted = changed.with_columns(*COUNTS, num_tokens=count_tokens(changed["text"]))
    judged = counted.drop("reason", "detail").hstack(judge(counted))
    rejected = judged.filter(pl.col("reason").is_not_null()).select(REJECTED.names())
    return counted.join(rejected, on="doc_id", how="anti", maintain_order="left"), rejected


__all__ = ["CODE", "MORE_THAN", "REJECTED", "without_repeats"]
