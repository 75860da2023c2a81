"""Statistics behind the rules against the slow obvious version."""

from __future__ import annotations

import random
import re
from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.prose_lines import NOTICES
from algorithms.rule_tokens import ABBREVIATIONS
from algorithms.text_statistics import DUP_SIZES, STATISTICS, STOP_WORDS, TOP_SIZES, text_statistics

INSIDE = (
    r"(?<=[A-Z\d])\.(?=[A-Za-z\d])|(?<=[a-z])\.(?=[a-z\d])|(?<=\d),(?=[A-Za-z\d])|,(?=\d)"
    r"|(?<=[A-Za-z])-(?=\d)|[/:](?=\d)"
)
TOKEN = re.compile(rf"[A-Za-z\d](?:[A-Za-z\d]|{INSIDE})*|([^\sA-Za-z\d])\1*")
SYMBOLS = "$+<=>^`|~"


def slow_tokens(text: str) -> list[tuple[int, str]]:
    """Positions and tokens of ASCII text without apostrophes."""
    tokens, position = [], 0
    while found := TOKEN.search(text, position):
        token, position = found[0], found.end()
        initial = re.search(r"(?<![A-Z])[A-Z]$", token)
        if re.match(r"\.(?!\.)(?![A-Za-z\d$+<=>^`|~])", text[position:]) and (initial or token in ABBREVIATIONS):
            token, position = token + ".", position + 1
        tokens.append((found.start(), token))
    return tokens


def slow_prose(text: str) -> dict[str, float]:
    """What C4 leaves of ASCII text without apostrophes, code and formulas."""
    lines = [line.strip() for line in text.split("\n")]
    lines = [line for line in lines if len(line.split()) >= 3 and not any(n in line.lower() for n in NOTICES)]
    return {
        "prose_lines": len(lines),
        "stopped_lines": sum(line[-1] in ".!?" for line in lines),
        "quoted_lines": sum(line[-1] == '"' for line in lines),
        "short_lines": sum(len(line) <= 30 for line in lines),
        "prose_chars": sum(map(len, lines)),
        "dup_prose_chars": sum(len(line) for n, line in enumerate(lines) if line in lines[:n]),
        "prose_tokens": sum(len(slow_tokens(line)) for line in lines),
        "num_sentences": sum(map(slow_sentences, lines)),
        "num_curly": sum(line.count("{") for line in lines),
    }


def slow_sentences(line: str) -> int:
    count, stopped = 1, False
    for start, token in slow_tokens(line):
        before, after = line[:start][-1:], line[start + len(token) :][:1]
        if token[0].isalnum() or token[0] in SYMBOLS:
            count, stopped = count + stopped, False
        elif token[0] in "!?" or token == ".":
            last = after.strip() == "" or not (after.isalnum() or after in SYMBOLS)
            alone = before.strip() == ""
            stopped |= (last or alone) if token != "." else last if alone else before not in SYMBOLS or before == "+"
    return count


def slow_statistics(text: str) -> dict[str, float]:
    """Of ASCII text without apostrophes, code and formulas."""
    tokens = [token for _, token in slow_tokens(text)]
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
        "bullet_lines": sum(line.strip()[0] == "-" or bool(re.match(r"\s*\*\s", line + " ")) for line in lines),
        "ellipsis_lines": sum(line.rstrip().endswith("...") for line in lines),
        "num_breaks": text.count("\n"),
        "dup_lines": len(repeated_lines),
        "dup_line_chars": sum(map(len, repeated_lines)),
        "num_paragraphs": len(paragraphs),
        "dup_paragraphs": len(repeated_paragraphs),
        "dup_paragraph_chars": sum(len(line) for p in repeated_paragraphs for line in p),
        "longest_word": max(map(len, words), default=0),
    }
    slow |= slow_prose(text)
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
@given(st.text(alphabet="ab ab \n.-#?the(AB9,/*{", max_size=200))
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
        ("the U.S. of Mr. Smith, i.e. them", "num_all_tokens", 8),
        ("on 9/10 the TF-1 at and/or end.Next", "num_all_tokens", 11),
        ("don\u2019t", "num_words", 2),
        ("He saw J. P. Morgan in the U.S. and left. Then?! Yes.", "num_sentences", 3),
        ('"Why?" he said. "No."', "num_sentences", 3),
        ("one two three.Four five", "num_sentences", 2),
        ("version 3.5 is out. 4 is not", "num_sentences", 2),
        ("Please enable JavaScript now.", "num_sentences", 0),
        ("See our Privacy Policy for more.", "prose_lines", 0),
        ("See our privacy for more.", "prose_lines", 1),
        ("two words\nnow three words", "prose_lines", 1),
        (f"a b {'x' * 1001}", "prose_lines", 0),
        ("日本語。文です。", "num_sentences", 2),
        ("a curly {bracket} here", "num_curly", 1),
        ("where $x_{1}$ and `{code}` stand", "num_curly", 0),
        ("```\nfor (x) { do }\n```\na {b} c", "num_curly", 1),
        ("$$\nx_{1} + x_{2} = 3\n$$\na {b} c", "num_curly", 1),
        ("*** spoilers ahead ***", "bullet_lines", 0),
        ("* item", "bullet_lines", 1),
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
