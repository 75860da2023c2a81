"""Superseded versions of files: which registered sources a later registration of the same uri has replaced.

In: rows of `sources`. Out: source ids. As SQL, the same:

    SELECT source_id FROM sources
    QUALIFY row_number() OVER (PARTITION BY corpus, snapshot, uri ORDER BY registered_at DESC, source_id DESC) > 1
"""

from __future__ import annotations

import polars as pl


def superseded(sources: pl.DataFrame) -> pl.Series:
    """The source_id of every version of a file but the one registered last, sorted.

    `sources` has corpus, snapshot, uri, source_id and registered_at, each source_id once; of versions registered at
    the same time the one with the highest source_id stands. Another corpus or snapshot supersedes nothing.
    """
    newest_first = sources.sort("registered_at", "source_id", descending=True)
    older = ~newest_first.select(pl.struct("corpus", "snapshot", "uri").is_first_distinct()).to_series()
    return newest_first.filter(older)["source_id"].sort()
