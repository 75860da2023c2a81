"""Noise lines: rules and model, what is never touched, and how good both are on lines that people have labelled."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tier_assets.l1_filtered.edits import apply_edits
from tier_assets.l1_filtered.learn_main_text import half_of
from tier_assets.l1_filtered.line_features import NUM_BUCKETS, read_lines, with_context
from tier_assets.l1_filtered.line_noise import MAX_LINES, LineModel, noise_edits, noise_lines, rule_of, shipped_model

GOLD = Path(__file__).parents[3] / "shared" / "data" / "quality_lines_turku" / "lines.jsonl.gz"
RIVER = "The river rose in the night, and nobody in the town had slept when it came over the old wall."


def without_noise(text: str) -> str:
    return apply_edits(text, noise_edits(text))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Read more »", "button"),
        ("- Logga in", "button"),
        ("Weiterlesen …", "button"),
        ("« Previous page", "pagination"),
        ("1 2 3 4 Next »", "pagination"),
        ("Page 2 of 17", "pagination"),
        ("We use cookies to make this site work. By staying you agree.", "cookie_notice"),
        ("© 2020 The Town. All rights reserved.", "licence_notice"),
        ("Please enable JavaScript to view the comments.", "licence_notice"),
        ("share.", None),  # the end of a sentence that a break cut
        ("Share prices rose by 3 percent on Friday.", None),
        ("Read more books, said the mayor.", None),
        ("Chapter 2", None),
        ("copyright notices, and the licence notice saying this Licence applies", None),
        ("", None),
    ],
)
def test_rule_of_line_is(line, reason):
    assert rule_of(line) == reason


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{RIVER}\n\nRead more »\n\n{RIVER}", f"{RIVER}\n\n{RIVER}"),
        (f"{RIVER}\nRead more »\n\n{RIVER}", f"{RIVER}\n\n{RIVER}"),
        (f"{RIVER}\n\nRead more »\n{RIVER}", f"{RIVER}\n\n{RIVER}"),
        (f"{RIVER}\nRead more »\n{RIVER}", f"{RIVER}\n{RIVER}"),
        (f"{RIVER}\n\nShare\n\nMenu\n\n{RIVER}", f"{RIVER}\n\n{RIVER}"),
        (f"Menu\n\n{RIVER}\n\nLog in\n", f"{RIVER}"),
        (f"{RIVER}\n\\\n\n|\n\n{RIVER}", f"{RIVER}\n\n{RIVER}"),
        ("Menu\n\nLog in", ""),
    ],
)
def test_noise_edits_leave_the_rest_as_far_apart_as_it_was(before, after):
    assert without_noise(before) == after


@pytest.mark.parametrize(
    "kept",
    [
        f"{RIVER}\n\n```\nMenu\nLog in\n```\n\n{RIVER}",  # code
        f"{RIVER}\n\n| Menu | Share |\n|---|---|\n| Reply |\n| |\n\n{RIVER}",  # a table
        f"{RIVER}\n\n    Menu\n\n{RIVER}",  # indented code
        f"{RIVER}\n\n$$\nx = 1 \\\\\n$$\n\n> a\n>\n> b",
    ],
)
def test_noise_edits_code_tables_formulas_quotes_stay(kept):
    assert noise_edits(kept) == ()


def test_noise_lines_other_scripts_are_left_to_the_rules():
    rows = ["Меню", "Войти", "Поделиться", "", "Read more"]
    assert noise_lines("\n".join(rows), rows) == {4}


def test_noise_lines_page_of_very_many_lines_is_left_to_the_rules():
    rows = ["Read more", *["2020-11-22 | Home | Contact"] * MAX_LINES]
    assert noise_lines("\n".join(rows), rows) == {0}


@settings(max_examples=100)
@given(st.lists(st.sampled_from((RIVER, "Menu", "Log in", "", "", "\\", "```", "| a |", "|---|", " ")), max_size=12))
def test_noise_edits_any_lines_only_whole_lines_go(rows):
    text = "\n".join(rows)
    kept = [row for row in without_noise(text).split("\n") if row.strip()]
    remaining = iter(row for row in rows if row.strip())
    assert all(row in remaining for row in kept)  # in their order, none changed
    assert kept.count(RIVER) == rows.count(RIVER)


def test_read_lines_measures_each_line():
    lines = read_lines("# Menu\n\n  \nCall 10, 20. Or\tGO!\nMenu")
    assert lines.number_L.tolist() == [0, 3, 4]
    own = {name: lines.own_LF[1, place] for place, name in enumerate(("bytes", "words", "word_bytes", "capitals"))}
    assert own == pytest.approx({"bytes": 19, "words": 5, "word_bytes": 3, "capitals": 4 / 19})
    assert lines.first_L[-1] == len(lines.bucket_W)
    assert lines.bucket_W.max() < NUM_BUCKETS


def test_read_lines_digits_are_alike_and_words_are_not():
    same, other = read_lines("Page 12"), read_lines("Page 37")
    assert same.bucket_W.tolist() == other.bucket_W.tolist()
    assert same.bucket_W.tolist() != read_lines("Side 12").bucket_W.tolist()


def test_with_context_places_neighbours_and_means():
    lines, score_L = read_lines("a\nb\nc"), np.array([0.0, 3.0, 6.0])
    rows = with_context(lines, score_L)
    assert rows[:, -3].tolist() == [3, 3, 3]  # of all lines
    assert rows[:, -2].tolist() == [0, 0, 1.5]  # of those before
    assert rows[:, -1].tolist() == [4.5, 6, 0]  # of those behind


def test_line_model_written_and_read_judges_alike():
    lines = read_lines(f"Menu | Home | Contact\n{RIVER}\nLog in")
    again = LineModel.from_json(shipped_model().to_json())
    assert again.shares(lines) == pytest.approx(shipped_model().shares(lines), abs=1e-6)


@pytest.mark.skipif(not GOLD.exists(), reason="labelled lines (shared/data/quality_lines_turku) are not here")
def test_noise_lines_of_labelled_pages_not_learnt_from_are_noise():
    removed = noise = removed_noise = 0
    with gzip.open(GOLD, "rt", encoding="utf-8") as file:
        pages = [page for page in map(json.loads, file) if half_of(page["id"]) == 1]  # the model learnt from half 0
    for page in pages:
        rows = [line.replace("\n", " ") for line in page["lines"]]
        out = noise_lines("\n".join(rows), rows)
        removed += len(out)
        noise += page["labels"].count(0)
        removed_noise += sum(page["labels"][number] == 0 for number in out)
    assert removed_noise / removed >= 0.97
    assert removed_noise / noise >= 0.30
