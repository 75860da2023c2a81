"""Repeated paragraphs leave the texts; what is left is counted and judged again."""

from __future__ import annotations

import polars as pl

from algorithms.repeated_paragraphs import paragraph_hashes, repeated
from tier_assets.l1_filtered.edits import Edit, apply_edits
from tier_assets.l1_filtered.repeats import without_repeats
from tier_tables import L1_TEXTS

NOTICE = "This page is brought to you by the council of the town."
STORY = (
    "The river rose in the night and the bridge was closed to all traffic until the morning came. People from both "
    "banks had to take the long way round by the old mill, which took them an hour. In the end the water fell again "
    "and nobody was hurt, so that the market could be held as it is in every week of the year. The mayor thanked all "
    "who had helped. Sand will lie ready at the bridge from now on."
)


def rows(*texts: str) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "doc_id": [f"d{number}" for number in range(len(texts))],
            "text": list(texts),
            "language": "en",
            "extractor": "blocks",
            "edits": pl.Series([[]] * len(texts), dtype=L1_TEXTS.schema["edits"]),
            "paragraphs": paragraph_hashes(pl.Series(texts)),
        }
    )
    return pl.concat([L1_TEXTS.empty(), frame], how="diagonal")


def test_without_repeats_takes_the_paragraph_and_counts_again() -> None:
    texts = rows(f"{NOTICE}\n\n{STORY}", STORY, f"{STORY}\n\n{NOTICE}")
    hashes = repeated(texts.lazy().filter(pl.col("doc_id") != "d1"), 1)
    notice = paragraph_hashes(pl.Series([NOTICE]))[0]
    changed, rejected = without_repeats(texts, notice)
    assert set(notice) <= set(hashes)
    assert changed["doc_id"].to_list() == ["d0", "d2"]
    assert changed["text"].to_list() == [STORY, STORY]
    assert changed["num_chars"].to_list() == [len(STORY)] * 2
    assert changed["num_words"].to_list() == [len(STORY.split())] * 2
    assert (changed["num_tokens"] > 50).all()
    assert rejected.is_empty()
    for before, after, edits in zip(texts["text"].gather([0, 2]), changed["text"], changed["edits"].to_list()):
        assert apply_edits(before, [Edit(**edit) for edit in edits]) == after


def test_without_repeats_what_is_left_too_short_is_rejected() -> None:
    texts = rows(f"Closed today.\n\n{NOTICE}")
    changed, rejected = without_repeats(texts, paragraph_hashes(pl.Series([NOTICE]))[0])
    assert changed.is_empty()
    assert rejected.select("doc_id", "reason").rows() == [("d0", "too_few_words")]


def test_without_repeats_of_nothing_touches_nothing() -> None:
    changed, rejected = without_repeats(rows(STORY), pl.Series([], dtype=pl.Int64))
    assert (changed.height, rejected.height) == (0, 0)
