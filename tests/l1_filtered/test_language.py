"""Language identification with the bundled model."""

from __future__ import annotations

import pytest

from tier_assets.l1_filtered.language import STARTS, detect_language, unexpected_language


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


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("哪位德国统治者邀请胡格诺派移民?", "und"),  # the model says English
        ("复杂性类 RP、BPP、PP、BQP、MA 和 PH 在哪里可以找到？", "zh"),  # Latin names within
        ("Ђорђе је отишао кући, а Јелена је остала.", "sr"),
        ("Ünlü bir söz, güzel bir gün.", "tr"),
    ],
)
def test_detect_language_in_a_script_it_is_never_written_in_is_undetermined(text, language):
    assert detect_language(text)[0] == language


@pytest.mark.parametrize(
    ("language", "score", "expected", "reason"),
    [
        ("de", 0.99, ["en"], "unexpected_language"),
        ("de", 0.65, ["en"], "unexpected_language"),
        ("de", 0.64, ["en"], None),  # not sure enough
        ("de", 0.99, ["en", "de"], None),
        ("de", 0.99, [], None),
        ("und", 0.0, ["en"], None),
        ("hr", 0.9, ["sr"], None),  # neighbours
        ("nn", 0.9, ["no"], None),
        ("ms", 0.9, ["nb"], "unexpected_language"),
    ],
)
def test_unexpected_language_of_a_corpus_is(language, score, expected, reason):
    assert unexpected_language(language, score, expected) == reason


def test_scripts_begin_in_order():
    assert sorted(STARTS) == list(STARTS)
