"""What is expected of a corpus's documents; L1 reads it from the table `corpora`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import polars as pl

from resources.lake import Lake
from tier_assets.l0_raw.register import check_name
from tier_tables import CORPORA

CODE: Final = re.compile(r"[a-z]{2,3}")


def expect_languages(lake: Lake, corpus: str, languages: Sequence[str]) -> bool:
    """Say which languages a corpus's documents may have (none: any); False where that was said last.

    Raises:
        ValueError: the corpus's name is not allowed, or a language is no ISO 639 code.
    """
    check_name("corpus", corpus)
    for code in languages:
        if not CODE.fullmatch(code):
            raise ValueError(f"language {code!r} is no ISO 639 code; a code is two or three letters, such as en")
    wanted = sorted(set(languages))
    said = lake.scan("corpora", {"corpus": corpus}).sort("registered_at").collect()["languages"].to_list()
    if (said[-1] if said else []) == wanted:
        return False
    row = {"corpus": corpus, "languages": wanted, "registered_at": datetime.now(UTC)}
    lake.append("corpora", pl.DataFrame([row], schema=CORPORA.schema))
    return True
