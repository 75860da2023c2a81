"""Planted and natural overlap with benchmarks: self-made items here, published ones where the data lies beside."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from tier_assets.l1_filtered.benchmark_items import benchmark_items
from tier_assets.l1_filtered.decontaminate import (
    BenchmarkIndex,
    ContaminationSettings,
    benchmark_index,
    boilerplate,
    contaminated,
)

DATA = Path(__file__).parents[3] / "shared" / "data"
QUESTION = (
    "A gardener plants 14 rows of tulips with 23 bulbs in every row, and a storm later washes away half of the bulbs "
    "that stood nearest to the river. How many tulips can still bloom in spring?"
)
ANSWER = (
    "There were 14 * 23 = 322 bulbs before the storm came over the hills.\nHalf of the riverside bulbs means that 161 "
    "remain to bloom, provided that no mouse eats any of them during winter."
)
ITEMS = pl.DataFrame({"benchmark": "garden", "item": ["1"], "text": [f"{QUESTION}\n\n{ANSWER}"]})
PAGE = "Our village paper has reported on the weather for years. {} Next week we shall write of the harvest fair."


def hits(texts: list[str], index: BenchmarkIndex, settings: ContaminationSettings | None = None) -> list[tuple]:
    frame = pl.DataFrame({"doc_id": [f"d{n}" for n in range(len(texts))], "text": texts})
    return contaminated(frame, index, settings or ContaminationSettings()).rows()


PLANTED = [
    (QUESTION, "ngram_13", 1.0),
    (ANSWER, "ngram_13", 1.0),
    (f"{QUESTION} {ANSWER}".upper(), "ngram_13", 1.0),
    (re.sub(r"[ ,.]+", " -- \n", QUESTION), "ngram_13", 1.0),
    (QUESTION.replace("14", "fourteen").replace("23", "thirty"), "ngram_13", None),
    (" ".join(w if n % 15 else "however" for n, w in enumerate(QUESTION.split())), "ngram_13", None),
    (" ".join(w if n % 10 else "however" for n, w in enumerate(QUESTION.split())), "ngram_8", None),
]


@pytest.mark.parametrize(("text", "rule", "overlap"), PLANTED)
def test_contaminated_planted_item_is_found(text: str, rule: str, overlap: float | None) -> None:
    (hit,) = hits([PAGE.format(text)], benchmark_index(ITEMS))
    assert (hit[0], hit[1], hit[2], hit[4]) == ("d0", "garden", "1", rule)
    assert hit[3] == pytest.approx(overlap) if overlap else 0.05 <= hit[3] < 1


@pytest.mark.parametrize(
    "text", [PAGE, "", "A gardener plants 14 rows of tulips with 23 bulbs in some rows", "14 23 322"]
)
def test_contaminated_other_text_is_none(text: str) -> None:
    assert hits([text], benchmark_index(ITEMS)) == []


def test_contaminated_null_text_and_no_texts_give_no_rows() -> None:
    index = benchmark_index(ITEMS)
    assert contaminated(
        pl.DataFrame({"doc_id": ["d"], "text": [None]}, schema_overrides={"text": pl.String}), index
    ).is_empty()
    assert contaminated(pl.DataFrame(schema={"doc_id": pl.String, "text": pl.String}), index).is_empty()
    assert contaminated(pl.DataFrame({"doc_id": "d", "text": QUESTION}), benchmark_index(ITEMS.head(0))).is_empty()


@pytest.mark.parametrize(("num_words", "rule"), [(7, None), (8, "whole_item"), (12, "whole_item"), (13, "ngram_13")])
def test_contaminated_short_item_matches_whole_from_eight_words_on(num_words: int, rule: str | None) -> None:
    item = " ".join(QUESTION.replace("14", "many").replace("23", "forty").split()[:num_words])
    index = benchmark_index(ITEMS.with_columns(text=pl.lit(item)))
    assert [hit[3:] for hit in hits([PAGE.format(item)], index)] == ([(1.0, rule)] if rule else [])
    assert index.unknown.height == (rule is None)


def test_contaminated_line_quoted_from_a_long_item_is_none() -> None:
    context = " ".join(f"word{number} said the old man" for number in range(100))
    index = benchmark_index(ITEMS.with_columns(text=pl.lit(context)))
    words = context.split()
    at_limit = round(0.05 * (len(words) - 12) + 0.5) + 12
    assert hits([" ".join(words[: at_limit - 1])], index) == []
    assert [hit[4] for hit in hits([" ".join(words[:at_limit])], index)] == ["ngram_13"]


def test_contaminated_document_with_two_items_names_the_larger_overlap() -> None:
    items = pl.concat([ITEMS, ITEMS.with_columns(item=pl.lit("2"), text=pl.lit("Why " + PAGE.format("indeed")))])
    part = " ".join(QUESTION.split()[:16])
    assert [hit[2] for hit in hits([f"{part} ... {PAGE.format('indeed')}"], benchmark_index(items))] == ["2"]


def test_contaminated_instruction_of_all_items_is_no_hit() -> None:
    told = "Answer the following question about plants and give your reasoning step by step before the final number"
    rows = [("garden", str(n), f"{told}\n\nHow many of the {n} roses bloom?") for n in range(30)]
    items = pl.DataFrame(rows, schema=ITEMS.schema, orient="row")
    assert hits([PAGE.format(told)], benchmark_index(items)) == []
    ahead = items.with_columns(pl.col("text").str.replace("\n\n", " "))
    assert hits([PAGE.format(told)], benchmark_index(ahead)) == []


def test_contaminated_passage_of_ten_questions_is_found_by_its_first_item() -> None:
    rows = [("read", f"q{n}", f"{QUESTION}\n\nWhy number {n}?") for n in range(10)]
    index = benchmark_index(pl.DataFrame(rows, schema=ITEMS.schema, orient="row"))
    assert [hit[2] for hit in hits([PAGE.format(QUESTION)], index)] == ["q0"]
    assert index.unknown.is_empty()


@pytest.mark.parametrize("text", boilerplate().to_list())
def test_contaminated_boilerplate_within_an_item_is_no_hit(text: str) -> None:
    items = ITEMS.with_columns(text=pl.lit(f"{text} {QUESTION}"))
    index = benchmark_index(items)
    assert hits([PAGE.format(text)], index) == []
    assert [hit[2] for hit in hits([PAGE.format(QUESTION)], index)] == ["1"]


def test_benchmark_index_items_in_another_order_give_the_same_hits() -> None:
    rows = [("b", str(n), f"{QUESTION} Now {n} moles\n\n{ANSWER}") for n in range(9)]
    items = pl.DataFrame(rows, schema=ITEMS.schema, orient="row")
    texts = [PAGE.format(QUESTION), PAGE.format(ANSWER)]
    assert hits(texts, benchmark_index(items)) == hits(texts, benchmark_index(items.reverse()))


def test_contaminated_chinese_name_of_thirteen_characters_is_no_hit() -> None:
    text = "国务院新闻办公室发言人昨天在北京举行的记者招待会上宣布了今年秋天开始实行的三项新的森林保护措施"
    index = benchmark_index(ITEMS.with_columns(text=pl.lit(text)))
    assert hits([f"据{text[:15]}消息,天气很好。"], index) == []
    assert [hit[4] for hit in hits([f"据{text[5:]}。"], index)] == ["ngram_13"]


# Published benchmarks. Settings were chosen on items of an even hash; these are the others.
GSM8K, STORIES = DATA / "qa_gsm8k" / "train.jsonl", DATA / "corpus_news_reuters" / "reuters.jsonl.gz"
CORPORA = ("corpus_news_reuters/reuters", "corpus_reviews_imdb/imdb10k", "corpus_code_python/algorithms")
NUMBERS = "zero one two three four five six seven eight nine ten".split()


def stories(name: str) -> Iterator[str]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt") as file:
        yield from (json.loads(line)["text"] for line in file)


def reworded(text: str, draw: random.Random) -> str:
    return " ".join("however" if draw.random() < 1 / 15 else word for word in text.split())


def renumbered(text: str, draw: random.Random) -> str:
    return re.sub(r"\d+", lambda n: NUMBERS[int(n[0])] if int(n[0]) < 11 else str(int(n[0]) + 7), text)


def respaced(text: str, draw: random.Random) -> str:
    return re.sub(r"[ \n]+", lambda _: draw.choice(["  ", "\n", " - "]), text.upper())


KINDS: list[tuple[str, Callable[[str, random.Random], str], float]] = [
    ("respaced", respaced, 1.0),
    ("1 word in 15 changed", reworded, 0.97),
    ("numbers changed", renumbered, 0.8),
    ("question alone", lambda text, _: text.split("\n\n")[0], 0.99),
    ("answer alone", lambda text, _: text.split("\n\n")[1], 0.97),
]


@pytest.fixture(scope="module")
def gsm8k() -> tuple[pl.DataFrame, BenchmarkIndex]:
    if not GSM8K.exists():
        pytest.skip(f"no benchmark at {GSM8K}")
    items = benchmark_items(GSM8K).insert_column(0, pl.lit("gsm8k").alias("benchmark"))
    return items, benchmark_index(items)


@pytest.mark.parametrize(("kind", "change", "least"), KINDS)
def test_contaminated_gsm8k_planted_in_news_is_found(
    gsm8k: tuple[pl.DataFrame, BenchmarkIndex], kind: str, change: Callable[[str, random.Random], str], least: float
) -> None:
    items, index = gsm8k
    draw = random.Random(7)
    odd = [hashlib.md5(f"gsm8k_train/{item}".encode()).digest()[-1] % 2 == 1 for item in items["item"]]
    chosen = items.filter(pl.Series(odd)).sample(300, seed=7)
    pages = [page for _, page in zip(range(300), stories(CORPORA[0]))]
    planted = [f"{page}\n{change(text, draw)}\n{page[::-1]}" for page, text in zip(pages, chosen["text"])]
    assert len(hits(planted, index)) >= least * 300


def test_contaminated_gsm8k_in_other_corpora_is_rare(gsm8k: tuple[pl.DataFrame, BenchmarkIndex]) -> None:
    texts = [text for name in CORPORA for text in stories(name)]
    assert len(hits(texts, gsm8k[1])) <= len(texts) / 10_000
