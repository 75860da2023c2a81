"""datatrove's quality filters as its fineweb.py sets them, over texts: runs in datatrove's own environment.

In: a JSON Lines file with `id` and `text`. Out: one JSON line a text with the reason of the first filter that rejects,
in fineweb.py's order (null: kept).

    python datatrove_rules.py IN.jsonl OUT.jsonl
"""

from __future__ import annotations

import json
import sys
import time

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)

FILTERS = (
    GopherRepetitionFilter(),
    GopherQualityFilter(),
    C4QualityFilter(filter_no_terminal_punct=False),
    FineWebQualityFilter(),
)


def first_reason(document: Document) -> str | None:
    """What the first filter that rejects says; filters edit the document as they go."""
    for each in FILTERS:
        found = each.filter(document)
        if found is not True:
            return found[1]
    return None


def main(source: str, target: str) -> None:
    """Judge every text; the CPU seconds of the filters alone go to standard error."""
    with open(source, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    first_reason(Document(text="Warm up. " * 3, id="0"))
    start = time.process_time()
    reasons = [first_reason(Document(text=row["text"], id=row["id"])) for row in rows]
    cpu_s = time.process_time() - start
    with open(target, "w", encoding="utf-8") as out:
        for row, reason in zip(rows, reasons):
            out.write(json.dumps({"id": row["id"], "reason": reason}) + "\n")
    print(json.dumps({"cpu_s": cpu_s}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
