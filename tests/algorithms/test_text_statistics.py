"""Statistics behind the rules against the slow obvious version."""

from __future__ import annotations

import random
import re
from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.text_statistics import DUP_SIZES, STATISTICS, STOP_WORDS, TOP_SIZES, text_statistics

TOKEN = re.compile(r"\d[\d.,]*\d[A-Za-z\d]*|[A-Za-z\d]+|([^\sA-Za-z\d])\1*")


def slow_statistics(text: str) -> dict[str, float]:
    """Of ASCII text without apostrophes; numbers stand between blanks."""
    tokens = [found[0] for found in TOKEN.finditer(text)]
    words = [token for token in tokens if re.search(r"[A-Za-z\d]", token)]
    lines = [line for line in text.split("\n") if line.strip()]
    repeated_lines = [line for n, line in enumerate(lines) if line in lines[:n]]
    paragraphs = [tuple(line for line in p.split("\n") if line.strip()) for p in re.split(r"\n\s*\n", text)]
    paragraphs = [p for p in paragraphs if p]
    repeated_paragraphs = [p for n, p in enumerate(paragraphs) if p in paragraphs[:n]]
    slow = {
        "num_chars": len(text),
        "num_all_tokens": len(tokens),
        "num_words": len(words),
        "word_chars": sum(map(len, words)),
        "num_alpha_tokens": sum(bool(re.search("[A-Za-z]", token)) for token in tokens),
        "num_stop_words": len(set(STOP_WORDS) & set(tokens)),
        "num_lines": len(lines),
        "bullet_lines": sum(line.strip()[0] in "-*" for line in lines),
        "ellipsis_lines": sum(line.rstrip().endswith("...") for line in lines),
        "terminal_lines": sum(line.rstrip()[-1] in '.!?"' for line in lines),
        "short_lines": sum(len(line) <= 30 for line in lines),
        "num_breaks": text.count("\n"),
        "dup_lines": len(repeated_lines),
        "dup_line_chars": sum(map(len, repeated_lines)),
        "num_paragraphs": len(paragraphs),
        "dup_paragraphs": len(repeated_paragraphs),
        "dup_paragraph_chars": sum(len(line) for p in repeated_paragraphs for line in p),
        "longest_word": max(map(len, words), default=0),
    }
    for n in TOP_SIZES:
        grams = Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
        best, count = grams.most_common(1)[0] if grams else ((), 0)
        slow[f"top_{n}"] = count * len(" ".join(best)) / len(text) if grams else 0
    for n in DUP_SIZES:
        slow[f"dup_{n}"] = slow_repeated(tokens, n) / max(1, len(text))
    return slow


def slow_repeated(tokens: list[str], n: int) -> int:
    """Characters in n-grams seen before; a repeat is stepped over as a whole."""
    seen, chars, i = set(), 0, 0
    while i <= len(tokens) - n:
        gram = tuple(tokens[i : i + n])
        if gram in seen:
            chars, i = chars + len("".join(gram)), i + n
        else:
            seen.add(gram)
            i += 1
    return chars


def check(text: str) -> None:
    row = text_statistics(pl.Series([text])).row(0, named=True)
    assert {name: row[name] for name in slow_statistics(text)} == pytest.approx(slow_statistics(text))


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet="ab ab \n.-#?the(", max_size=200))
def test_text_statistics_of_any_text_equal_the_slow_version(text):
    check(text)


@pytest.mark.parametrize("seed", range(5))
def test_text_statistics_of_repetitive_prose_equal_the_slow_version(seed):
    draw = random.Random(seed)
    sentences = [" ".join(draw.choices(["the", "cat", "and", "dogs", "1,000.5", "run"], k=12)) + "." for _ in range(5)]
    check("\n".join(" ".join(draw.choices(sentences, k=3)) + draw.choice(["", "\n"]) for _ in range(20)))


def test_text_statistics_of_a_batch_equal_those_of_each_text():
    texts = ["", "one two", "Übung – «ja»\n\nπ ≤ 4…", "日本語の文。", "😀 it's", "one two"]
    whole = text_statistics(pl.Series(texts))
    assert whole.columns == list(STATISTICS)
    assert whole.rows() == [text_statistics(pl.Series([text])).row(0) for text in texts]


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("it's don't", "num_all_tokens", 4),  # it 's don 't
        ("日本語の文。", "num_words", 5),
        ("Übung macht", "word_chars", 10),
        ("wait… or... not..", "num_ellipses", 2),
        ("# Heading\na #tag", "num_hashes", 1),
        ("f(x) = [a]", "num_signs", 5),
        ("caf\u0065\u0301 x", "num_words", 2),
    ],
)
def test_text_statistics_count_is(text, name, value):
    assert text_statistics(pl.Series([text]))[name].item() == value
