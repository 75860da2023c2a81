"""The hashed model against a slow, obvious one with dictionaries; and what a language model must hold."""

from __future__ import annotations

import math
import random
import re
from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms import ngram_perplexity as ng
from algorithms.ngram_perplexity import LEAST_TEXTS, PIECE, VOCABULARY

MAX_BYTES = 4_000
WORDS = "the river rose in night and a bridge was shut for storm market old mill".split()
END = "</>"
Gram = tuple[str, ...]


def sentences(num: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, weights=range(len(WORDS), 0, -1), k=20)) + "." for _ in range(num)]


def fitted(texts: list[str]) -> ng.Model:
    return ng.fit([pl.Series(texts)], MAX_BYTES, 1_000_000, 100_000)


def nats(model: ng.Model, text: str) -> float:
    return ng.surprise(model, pl.Series([text]), MAX_BYTES).item()


def split(text: str) -> list[str]:
    """Pieces of Latin words, marks; a piece that goes on bears a dash."""
    found = []
    for run in re.findall(r"[a-z]+|[^\sa-z]", text.lower()):
        parts = [run[i : i + PIECE] for i in range(0, len(run), PIECE)]
        found += [parts[0], *(f"-{part}" for part in parts[1:])]
    return found


class SlowModel:
    """The docstring's formulas, with dictionaries."""

    def __init__(self, texts: list[str]) -> None:
        grams: list[Counter[Gram]] = [Counter(), Counter(), Counter()]
        holders: dict[Gram, set[int]] = {}
        for number, text in enumerate(texts):
            tokens = [END, *split(text), END]
            for n in range(3):
                for i in range(max(1, n), len(tokens)):
                    gram = tuple(tokens[i - n : i + 1])
                    grams[n][gram] += 1
                    holders.setdefault(gram, set()).add(number)
        once, twice = ([sum(c == k for c in counts.values()) for counts in grams] for k in (1, 2))
        self.discounts = [min(max(a / max(a + 2 * b, 1), 0.1), 0.9) for a, b in zip(once, twice)]
        self.kept = [{g: c for g, c in counts.items() if len(holders[g]) >= LEAST_TEXTS} for counts in grams]
        self.total = grams[0].total()

    def p(self, history: Gram, word: str) -> float:
        n = len(history)
        lower = self.p(history[1:], word) if n else 1 / VOCABULARY
        if n and history not in self.kept[n - 1]:
            return lower
        whole = self.kept[n - 1][history] if n else self.total
        counts = {g: c for g, c in self.kept[n].items() if g[:-1] == history}
        here = max(counts.get((*history, word), 0) - self.discounts[n], 0)
        rest = 1 - sum(c - self.discounts[n] for c in counts.values()) / whole
        return here / whole + rest * lower

    def nats(self, text: str) -> float:
        tokens = [END, *split(text)]
        return -sum(math.log(self.p(tuple(tokens[max(i - 2, 0) : i]), tokens[i])) for i in range(1, len(tokens))) / (
            len(tokens) - 1
        )


@pytest.mark.parametrize(
    "text", ["the river rose.", "rose river the mill", "a bridgekeeper, the unknown", "and and and", "storm"]
)
def test_surprise_of_a_text_is_as_the_formulas_say(text: str) -> None:
    texts = [*sentences(40), "the bridgeward river", "the bridgeward mill", "a bridgeward storm"]
    assert nats(fitted(texts), text) == pytest.approx(SlowModel(texts).nats(text), rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("ab .", min_size=1, max_size=20), min_size=4, max_size=12), st.text("abc ", max_size=12))
def test_surprise_of_any_text_is_as_the_formulas_say(texts: list[str], text: str) -> None:
    if not any(split(each) for each in texts):
        with pytest.raises(ValueError, match="at least one token"):
            fitted(texts)
    elif split(text):
        assert nats(fitted(texts), text) == pytest.approx(SlowModel(texts).nats(text), rel=1e-5)


@pytest.mark.parametrize("history", ["the", "the old", "zzzz", "mill zzzz", "zzzz the", "was shut ."])
def test_probabilities_after_a_context_sum_to_one(history: str) -> None:
    short = [word for word in WORDS if len(word) <= PIECE]
    draw = random.Random(1)
    texts = [" ".join(draw.choices(short, weights=range(len(short), 0, -1), k=20)) + "." for _ in range(60)]
    model = fitted(texts)
    before = nats(model, history) * len(split(history))

    def p(word: str) -> float:
        return math.exp(before - nats(model, f"{history} {word}") * (len(split(history)) + 1))

    # The end of a text is one of the words, too, but cannot be asked for.
    end = SlowModel(texts).p(tuple([END, *split(history)][-2:]), END)
    known = sum(p(word) for word in [*short, "."])
    assert known + end + p("zzzz") * (VOCABULARY - len(short) - 2) == pytest.approx(1.0, abs=1e-5)


def test_surprise_of_shuffled_words_is_higher_and_of_an_unseen_script_higher_still() -> None:
    texts = [f"{line} The miller and his wife went home before the storm was over." for line in sentences(30)]
    model = fitted(texts)
    plain = "The miller and his wife went home before the storm was over."
    mixed = "over. was the storm before home went wife his and miller The"
    strange = "Мельник и его жена вернулись домой ещё до грозы."
    assert nats(model, plain) < nats(model, mixed) < nats(model, strange) < math.log(VOCABULARY) + 10


@pytest.mark.parametrize(
    "text", ["磨坊主和他的妻子回家了。", "คนโม่แป้งกับภรรยากลับบ้าน", "الطحان وزوجته عادا", "🙂🙃", "\u0000"]
)
def test_surprise_of_any_script_is_finite(text: str) -> None:
    assert math.isfinite(nats(fitted(sentences(10)), text))


def test_surprise_of_no_token_is_null() -> None:
    found = ng.surprise(fitted(sentences(10)), pl.Series(["", " \n\t", None, "river"]), MAX_BYTES)
    assert found.is_null().to_list() == [True, True, True, False]


def test_surprise_counts_neither_case_nor_digits_nor_white_space() -> None:
    model = fitted([f"In {year} the river rose." for year in range(1900, 1950)])
    assert nats(model, "IN 1234\n\nthe   River rose.") == nats(model, "In 1901 the river rose.")


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_surprise_of_a_long_text_reads_all_of_its_parts(place: int) -> None:
    model = fitted(sentences(60))
    parts = [" ".join(sentences(1_000, seed=seed)) for seed in range(4)]
    garbled = [part if number != place else "qzx vvk " * (len(part) // 8) for number, part in enumerate(parts)]
    assert nats(model, " ".join(garbled)) > nats(model, " ".join(parts)) + 1


def test_perplexity_is_the_exponential_of_surprise() -> None:
    model, text = fitted(sentences(20)), pl.Series(["the river rose"])
    assert ng.perplexity(model, text, MAX_BYTES).item() == pytest.approx(math.exp(nats(model, "the river rose")))


def test_fit_in_other_batches_gives_the_same_model() -> None:
    texts = sentences(200)
    one, many = fitted(texts), ng.fit((pl.Series([t]) for t in texts), MAX_BYTES, 1_000_000, 100_000)
    assert one.discounts == many.discounts
    assert all((a.keys == b.keys).all() and (a.followed == b.followed).all() for a, b in zip(one.orders, many.orders))


def test_fit_of_too_many_tokens_counts_a_sample_of_whole_texts() -> None:
    texts = sentences(400)
    whole, part = fitted(texts), ng.fit([pl.Series(texts)], MAX_BYTES, 5_000, 100_000)
    assert whole.num_tokens == pytest.approx(400 * 24, rel=0.2)
    assert 1_000 < part.num_tokens <= 5_000
    assert nats(part, "the river rose.") == pytest.approx(nats(whole, "the river rose."), rel=0.2)


def test_fit_keeps_the_commonest_ngrams() -> None:
    texts = sentences(300)
    whole, part = fitted(texts), ng.fit([pl.Series(texts)], MAX_BYTES, 1_000_000, 50)
    assert all(len(order.keys) <= 50 for order in part.orders)
    for few, many in zip(part.orders, whole.orders):
        left = set(many.keys.tolist()) - set(few.keys.tolist())
        counts = dict(zip(many.keys.tolist(), many.counts.tolist()))
        assert max((counts[key] for key in left), default=0) <= few.counts.min()
