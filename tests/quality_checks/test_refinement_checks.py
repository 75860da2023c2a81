"""Checks of L3 over a real lake: edits that give the text pass, and what is lost by slice shows."""

from __future__ import annotations

import polars as pl
import pytest
from _small_lake import NEWS, documents, fill, plant, score_rows, selected_rows, text_rows
from test_invariants import edits, put, span

from quality_checks import refinement
from resources.catalog import open_catalog
from resources.lake import Lake
from tier_assets.l3_refined.audit import MIN_ALL, MIN_TASK

AUDITS = (
    refinement.some_candidates_survive,
    refinement.every_task_keeps_something,
    refinement.languages_are_refined,
    refinement.topics_are_refined,
)
Candidates = tuple[int, str, str, str, str | None]


def test_edited_text_that_its_operations_give_is_sound(lake: Lake) -> None:
    plant(lake, "l3_edits", edits("r0"))
    plant(lake, "l3_refined", put("record_id", "r0", text="Bern 😀", source_spans=[span("d0", 0, 8)]))
    assert refinement.edits_give_the_text(lake, "l3", NEWS).collect().is_empty()
    plant(lake, "l3_edits", lambda rows: rows.with_columns(old=pl.lit("Basel!")))
    ((key, _),) = refinement.edits_give_the_text(lake, "l3", NEWS).collect().rows()
    assert key == "r0"


def judged(lake: Lake, *slices: Candidates) -> None:
    """So many candidates of a task, about documents of a language and topic, with a reason or kept."""
    flat = [rest for num, *rest in slices for _ in range(num)]
    names = [f"c{number:03}" for number in range(len(flat))]
    rows = documents(names, NEWS).with_columns(
        task=pl.Series([row[0] for row in flat], dtype=pl.String),
        reason=pl.Series([row[3] for row in flat], dtype=pl.String),
        record_id=pl.Series(names),
    )
    texts = text_rows(dict.fromkeys(names, "A text."), NEWS)
    texts = texts.with_columns(language=pl.Series([row[1] for row in flat], dtype=pl.String))
    plant(lake, "l1_filtered", lambda _: fill("l1_filtered", texts))
    plant(
        lake,
        "l2_selected",
        lambda _: fill("l2_selected", selected_rows(names, [3.0] * len(flat), [1] * len(flat), NEWS)),
    )
    for topic in ("law", "sport"):
        shares = [0.75 if row[2] == topic else 0.25 for row in flat]
        scores = score_rows(names, shares, NEWS).with_columns(scorer=pl.lit(f"topic_{topic}"))
        plant(lake, f"l2_scores/topic_{topic}", lambda _, scores=scores: fill("l2_scores", scores))
    kept = rows.filter(pl.col("reason").is_null()).drop("reason")
    plant(lake, "l3_refined", lambda _: fill("l3_refined", kept))
    gone = rows.drop_nulls("reason").with_columns(tier=pl.lit("l3"))
    plant(lake, "verdicts/l3", lambda _: fill("verdicts", gone))


def test_losses_by_task_language_and_topic_are_a_view(lake: Lake) -> None:
    judged(
        lake, (6, "qa", "en", "law", None), (5, "qa", "en", "law", "echo"), (7, "qa", "de", "sport", "copied"),
        (9, "code", "en", "law", "over_budget"),
    )  # fmt: skip
    with open_catalog(lake) as catalog:
        found = catalog.execute("SELECT * EXCLUDE (corpus, snapshot) FROM l3_losses WHERE corpus = 'news'").fetchall()
    assert sorted(found) == [
        ("language", "de", 7, 0, "copied"),
        ("language", "en", 11, 6, "echo"),
        ("task", "qa", 18, 6, "copied"),
        ("topic", "law", 11, 6, "echo"),
        ("topic", "sport", 7, 0, "copied"),
    ]


@pytest.mark.parametrize(
    ("slices", "found"),
    [
        ([(60, "qa", "en", "law", None), (60, "qa", "de", "sport", None)], {}),
        (
            [(60, "qa", "en", "law", None), (60, "qa", "de", "law", "language_differs")],
            {"languages_are_refined": "language_differs/de"},
        ),
        (
            [(60, "qa", "en", "law", None), (60, "qa", "en", "sport", "new_number")],
            {"topics_are_refined": "new_number/sport"},
        ),
        (
            [(60, "qa", "en", "law", None), (MIN_TASK, "code", "en", "law", "failed_tests")],
            {"every_task_keeps_something": "failed_tests/code"},
        ),
        (
            [(MIN_ALL, "qa", "en", "law", "echo")],
            {"some_candidates_survive": "echo", "every_task_keeps_something": "echo/qa"},
        ),
        ([(60, "qa", "en", "law", None), (MIN_ALL, "qa", "de", "sport", "over_budget")], {}),
    ],
)
def test_audit_names_what_is_lost_and_by_what(lake: Lake, slices: list[Candidates], found: dict[str, str]) -> None:
    judged(lake, *slices)
    rows = {check.__name__: check(lake, "l3", NEWS).collect().rows() for check in AUDITS}
    assert {name: failing[0][0] for name, failing in rows.items() if failing} == found
