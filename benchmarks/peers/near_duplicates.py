"""Near-duplicates by rensa or datasketch, run by a Python that has them and nothing of ours.

In: JSON Lines of texts. Out: one JSON line: positions dropped and CPU seconds. Settings as ours: word 5-grams of
lower-cased `\\w+`, 14 bands of 8 rows, a text goes where one before it is at least 0.75 alike by its MinHash.
"""

from __future__ import annotations

import json
import re
import sys
import time

WORD = re.compile(r"\w+")


def shingles(text: str) -> list[str]:
    """The distinct word 5-grams of a text."""
    words = WORD.findall(text.lower())
    return list({" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))})


def by_rensa(texts: list[str]) -> list[int]:
    """rensa's deduplicator, a thousand texts at a time."""
    from rensa import RMinHashDeduplicator

    dedup = RMinHashDeduplicator(threshold=0.75, num_perm=112, use_lsh=True, num_bands=14)
    kept: list[bool] = []
    for first in range(0, len(texts), 1000):
        some = enumerate(texts[first : first + 1000], first)
        kept += dedup.add_pairs([(str(number), shingles(text)) for number, text in some])
    return [number for number, keep in enumerate(kept) if not keep]


def by_datasketch(texts: list[str]) -> list[int]:
    """datasketch: an index of the texts kept, its candidates verified by their MinHashes."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=112, params=(14, 8))
    kept: dict[str, MinHash] = {}
    dropped = []
    for number, text in enumerate(texts):
        sketch = MinHash(num_perm=112)
        sketch.update_batch([shingle.encode() for shingle in shingles(text)])
        if any(kept[key].jaccard(sketch) >= 0.75 for key in index.query(sketch)):
            dropped.append(number)
        else:
            kept[str(number)] = sketch
            index.insert(str(number), sketch)
    return dropped


def main(name: str, path: str) -> None:
    """Run the peer called `name` on the texts in `path`."""
    with open(path, encoding="utf-8") as file:
        texts = [json.loads(line) for line in file]
    find = {"rensa": by_rensa, "datasketch": by_datasketch}[name]
    find(texts[:100])
    start = time.process_time()
    dropped = find(texts)
    print(json.dumps({"dropped": dropped, "cpu_s": time.process_time() - start}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
