"""`lake try clean`, `private`, `language`: a line out for each line in."""

from __future__ import annotations

import pytest

from tier_assets.l1_filtered.edits import Edit, apply_edits
from tier_assets.l1_filtered.try_stages import try_clean, try_language, try_private

RIVER = "The river rose in the night, and nobody in the town had slept when it came over the old wall."
NO_TEXT = "expected a string in the field 'text'"


def test_try_clean_lines_show_text_and_edits():
    text = f"{RIVER}\n\nRead more »\n\nschÃ¶n"
    (line,) = try_clean(iter([{"id": 7, "text": text}]))
    assert (line["id"], line["text"]) == (7, f"{RIVER}\n\nschön")
    assert [edit["op"] for edit in line["edits"]] == ["remove_lines", "replace_str"]
    assert apply_edits(text, [Edit(**edit) for edit in line["edits"]]) == line["text"]


def test_try_clean_line_of_another_extractor_keeps_its_lines():
    (line,) = try_clean(iter([{"id": 7, "text": f"{RIVER}\n\nRead more »", "extractor": "mail_plain"}]))
    assert line["edits"] == []


def test_try_private_lines_show_text_and_counts():
    (line,) = try_private(iter([{"id": "a", "text": "jane@bahn.de, joe@bahn.de, +49 30 901820"}]))
    assert line == {"id": "a", "text": "<EMAIL>, <EMAIL>, <PHONE>", "counts": {"<EMAIL>": 2, "<PHONE>": 1}}


def test_try_language_lines_show_language_and_score():
    (line,) = try_language(iter([{"id": 1, "text": "Der Hund schläft unter dem Tisch."}]))
    assert line["language"] == "de"
    assert 0.9 < line["score"] <= 1


@pytest.mark.parametrize(
    ("stage", "fields"),
    [(try_clean, ("text", "edits")), (try_private, ("text", "counts")), (try_language, ("language", "score"))],
)
@pytest.mark.parametrize("bad", [{"id": 3}, {"id": 3, "text": None}, {"id": 3, "text": 5}])
def test_try_stage_line_without_text_has_an_error(stage, fields, bad):
    (line,) = stage(iter([bad]))
    assert line == {"id": 3, **dict.fromkeys(fields), "error": NO_TEXT}
