"""The rules: both sides of each edge, and what they must leave alone."""

from __future__ import annotations

import random
from dataclasses import replace

import polars as pl
import pytest

from tier_assets.l1_filtered.rules import AS_DATATROVE, RULES, Kind, judge

WORDS = [
    "river",
    "bridge",
    "night",
    "storm",
    "council",
    "market",
    "school",
    "winter",
    "summer",
    "garden",
    "letter",
    "engine",
    "planet",
    "doctor",
    "history",
    "number",
    "music",
    "people",
    "water",
    "window",
    "mountain",
    "village",
    "paper",
    "story",
    "answer",
    "question",
    "island",
    "family",
    "morning",
    "evening",
]


def prose(num_words: int, seed: int = 0) -> str:
    """Sentences of ten words in paragraphs of five sentences; no n-gram of note repeats."""
    draw = random.Random(seed)
    words = [draw.choice(WORDS) + draw.choice(["", "s", "ly", "ful", "less"]) for _ in range(num_words)]
    words[0:2] = ["the", "and"]
    sentences = [" ".join(words[i : i + 10]) + "." for i in range(0, num_words, 10)]
    return "\n".join(" ".join(sentences[i : i + 5]) for i in range(0, len(sentences), 5))


def short_lines(short: int, long: int) -> str:
    """Lines of three words, and one long one in between for each of `long`."""
    lines = [prose(120, seed=n).replace("\n", " ") for n in range(long)]
    return "\n".join(lines + [f"{WORDS[n]} and {WORDS[n + 1]}." for n in range(short)])


def repeated_lines(num_repeated: int) -> str:
    """300 words in 30 lines, and lines of seven words after them, each there twice."""
    lines = [" ".join(prose(70, seed=n).replace(".", "").split()[3:10]) + "." for n in range(num_repeated)]
    return "\n".join([prose(300, seed=99).replace(". ", ".\n"), *lines, *reversed(lines)])


def lines_of_three(finished_share: float) -> str:
    """Sixty lines of three words of ten characters, some of them with a full stop."""
    words = [f"{word:s<10}"[:10] for word in WORDS]
    lines = [f"{words[n % 30]} {words[(n * 7 + n // 30) % 30]} {words[n * 11 % 29]}" for n in range(60)]
    ended = [line + "." * (n < 60 * finished_share) for n, line in enumerate(lines)]
    return "\n".join(["the rivers and the bridges.", *ended])


def reason(text: str, **columns: str) -> str | None:
    return judge(pl.DataFrame({"text": [text]} | {name: [value] for name, value in columns.items()}))["reason"].item()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (prose(200), None),
        (prose(49), "too_few_words"),
        (prose(50), None),
        (prose(50).replace(" ", " a I of u 9 x "), "words_too_short"),
        (" ".join(w * 3 for w in prose(100).split()), "words_too_long"),
        (prose(100) + " #tag" * 20, "too_many_hashes"),
        ("## Heading\n" * 1 + prose(100), None),
        (prose(100).replace(". ", "... ").replace(".\n", "...\n") + " ..." * 11, "too_many_ellipses"),
        (prose(2000).replace("\n", "...\n"), "too_many_ellipsis_lines"),
        ("- " + prose(2000).replace("\n", "\n- "), "too_many_bullet_lines"),
        (prose(100) + " 12345" * 60, "too_few_words_with_letters"),
        (prose(100).replace("the ", "river "), "too_few_stop_words"),
        ("\n".join([prose(60, seed=i % 3).replace("\n", " ") for i in range(9)]), "repeated_lines"),
        (prose(100) + (" night storm" * 40), "repeated_2_gram"),
        (prose(400).replace("\n", " ") + " and so on", "too_few_finished_lines"),
        (prose(400).replace("\n", " ") + " and \u201cso on\u201d", None),
        (prose(400).replace("\n", " ").replace(".", ","), "too_few_sentences"),
        (prose(30) + "\n" + prose(40, seed=1).replace(".", ";"), "too_few_sentences"),
        (short_lines(2, 1), None),
        (short_lines(3, 1), "too_many_short_lines"),
        (prose(200) + " A {name} was left.", "curly_brackets"),
        (prose(200) + " A $x_{1}$ and `{name}` were left.", None),
        (repeated_lines(5), None),
        (repeated_lines(7), "too_many_repeated_lines"),
        (lines_of_three(0.9), None),
        (lines_of_three(0.14), "too_many_breaks"),
        (prose(400).replace("river", "Lorem ipsum"), "lorem_ipsum"),
        (prose(2000) + " " + "x" * 1001, "word_too_long"),
        ("", "too_few_words"),
    ],
)
def test_judge_page_is_rejected_for(text, expected):
    assert reason(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "bit bucket: the universal data sink, originally the mythical receptacle used to catch bits.",
        "Let $x_1, x_2$ be real with $x_1 < x_2$. Then $f(x_1) \\le f(x_2)$ by Lemma 3.2, so that $f$ is monotone.",
        "On Tue, Ann wrote:\n> Shall we meet?\n\nYes, at 10:30.\n-- \nBob",
        "def add(a, b):\n    return a + b\n\n\ndef subtract(a, b):\n    return a - b\n",
        "\n".join(["Shall I compare thee", "to a summer's day", "thou art more lovely", "and more temperate"]),
    ],
)
def test_judge_record_of_legitimate_kind_is_kept(text):
    assert reason(text, extractor="plain") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nine words are not quite enough for any record", "too_few_words"),
        ("with ten words or more any record will be kept", None),
        ("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 a b", "words_too_short"),
    ],
)
def test_judge_record_of_little_text_is_rejected_for(text, expected):
    assert reason(text, extractor="json_field") == expected


def test_judge_page_of_code_or_mathematics_is_judged_as_such():
    code = "\n".join(f"    total_{n} = compute(first[{n}], second[{n}], scale={n})" for n in range(30))
    assert reason(f"The sums are made and kept so:\n{code}") is None
    assert reason("\n".join(["total = sum(values)"] * 40)) == "repeated_line_characters"


def test_judge_german_page_needs_no_english_stop_words():
    german = prose(200).replace("the ", "der ").replace("and ", "und ")
    assert reason(german, language="de") is None
    assert reason(german, language="en") == "too_few_stop_words"


def test_judge_chinese_page_is_not_counted_by_blanks():
    text = "".join(chr(0x4E00 + (i * 7919) % 5000) + ("。\n" if i % 40 == 39 else "") for i in range(400))
    assert reason(text, language="zh") is None


def test_judge_detail_holds_the_deciding_number():
    assert judge(pl.DataFrame({"text": ["Three short words."]})).row(0) == ("too_few_words", "3.0", None)


@pytest.mark.parametrize(
    ("text", "as_datatrove"),
    [
        (prose(200), None),
        (prose(200).replace(" ", " 9 ", 40), "too_few_words_with_letters"),
        ("\n".join(f"\u201c{line[:-1]}.\u201d" for line in prose(200).splitlines()), "too_few_finished_lines"),
        (prose(1500) + "\n" + "\n".join([prose(20, seed=7).split(". ")[0] + "."] * 3), "too_many_repeated_lines"),
    ],
)
def test_judge_as_datatrove_differs_in_three_readings(text, as_datatrove):
    assert reason(text) is None
    assert judge(pl.DataFrame({"text": [text]}), AS_DATATROVE)["reason"].item() == as_datatrove


def test_judge_as_datatrove_takes_a_page_of_code_for_prose():
    code = "The sums are made so:\n" + "\n".join(f"    total_{n} = compute(first[{n}], scale={n})" for n in range(30))
    assert reason(code) is None
    assert judge(pl.DataFrame({"text": [code]}), AS_DATATROVE)["reason"].item() == "too_few_words_with_letters"


@pytest.mark.parametrize(
    ("num_words", "expected"),
    [(9, None), (10, 0.0), (11, 0.1), (13, 0.3)],
)
def test_judge_margin_is_the_way_from_the_nearest_limit(num_words, expected):
    text = " ".join(WORDS[:num_words])
    found = judge(pl.DataFrame({"text": [text], "extractor": ["plain"]}))
    assert found["margin"].item() == expected
    assert (found["reason"].item() is None) == (expected is not None)


def test_judge_margin_counts_only_rules_that_apply():
    text = "Seventeen words of which none is long and more than enough for any record but no page."
    texts = pl.DataFrame({"text": [text, prose(70)], "extractor": ["plain", "blocks"], "language": ["en", "de"]})
    record, page = judge(texts)["margin"].to_list()
    assert page <= 0.4 < record  # 70 words where a page must have 50; the record has not even these


def test_judge_margin_of_every_kept_text_lies_on_the_scale():
    texts = pl.DataFrame({"text": [prose(n, seed=n) for n in range(10, 400, 13)] + ["", "\u4e00" * 60]})
    texts = texts.with_columns(language=pl.Series(["en"] * (len(texts) - 1) + ["zh"]))
    found = judge(texts)
    assert found["margin"].is_null().equals(found["reason"].is_not_null())
    assert found["margin"].drop_nulls().is_between(0.0, 1.0).all()


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.is_graded], ids=lambda rule: rule.reason)
def test_rule_margin_is_zero_at_its_limit_and_one_far_away(rule):
    at = replace(rule, value=pl.col("value"))
    found = pl.DataFrame({"value": [float(rule.limit), (rule.limit + rule.far) / 2, rule.far]}).select(
        at.margin, no=at.reject
    )
    assert found["value"].to_list() == pytest.approx([0.0, 0.5, 1.0])
    assert not found["no"].any()


def test_judge_no_rows_give_no_rows():
    assert judge(pl.DataFrame({"text": []}, schema={"text": pl.String})).height == 0


def test_rules_name_source_and_kind():
    assert all(rule.source and rule.kinds and rule.reason == rule.reason.lower() for rule in RULES)
    assert {kind for rule in RULES for kind in rule.kinds} == set(Kind)
