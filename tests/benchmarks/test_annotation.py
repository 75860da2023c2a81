"""The benchmark of rating asks both sides the same prompts, long and short ones."""

from __future__ import annotations

from benchmarks.annotation import made_documents, prompts_of
from tier_assets.l2_selected import annotate


def test_made_documents_are_long_and_short_and_the_same_each_time() -> None:
    documents = made_documents(20)
    lengths = documents["text"].str.split(" ").list.len()
    assert documents.equals(made_documents(20))
    assert lengths.min() < 50  # type: ignore[operator]
    assert lengths.max() > 500  # type: ignore[operator]


def test_prompts_of_documents_are_all_that_rate_asks_and_all_different() -> None:
    prompts = prompts_of(made_documents(6), annotate.Settings(max_windows=2))
    assert len(prompts) % (len(annotate.DIMENSIONS) - len(annotate.CODE_DIMENSIONS)) == 0
    assert len(set(prompts)) == len(prompts) > 6 * 7
