"""Language identification with the bundled model."""

from __future__ import annotations

import pytest

from tier_assets.l1_filtered.language import detect_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The committee met on Tuesday to discuss the budget for next year.", "en"),
        ("Der Ausschuss trat am Dienstag zusammen,\num den Haushalt zu beraten.", "de"),
        ("Le comité s'est réuni mardi pour discuter du budget.", "fr"),
        ("委员会星期二开会讨论明年的预算。", "zh"),
        ("12345 67890 !!!", "und"),
        ("", "und"),
    ],
)
def test_detect_language_of_text_is(text, language):
    assert detect_language(text)[0] == language


def test_detect_language_score_lies_between_zero_and_one():
    assert 0.9 < detect_language("This is certainly an English sentence about the weather.")[1] <= 1.0
