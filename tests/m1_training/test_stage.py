"""A stage trains each drawn document once, in the mixture's proportions, and reports every domain of every step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest

from algorithms.packing import Tokens
from resources.trainer import ModelSettings
from resources.training_data import learn_tokenizer
from tier_assets.m1_training import stage


class Counting:
    """Notes what it is trained on; a chunk's loss is its first token."""

    def __init__(self) -> None:
        self.num_steps = 0
        self.batches: list[Tokens] = []
        self.rates: list[float] = []

    def step_losses(self, chunks_BC: Tokens, lr: float) -> np.ndarray:
        self.num_steps += 1
        self.batches.append(chunks_BC)
        self.rates.append(lr)
        return chunks_BC[:, 0].astype(np.float64)


class Fixed:
    """Gives the same weights whatever comes."""

    def __init__(self, weights: dict[str, float]) -> None:
        self.weights = weights
        self.seen: Counter[str] = Counter()

    def update(self, losses: Mapping[str, float], counts: Mapping[str, int]) -> dict[str, float]:
        self.seen.update(counts)
        return self.weights


SETTINGS = stage.Settings("test", steps=100, warmup=2, batch=4, model=ModelSettings(vocab=300, context=8))


def chunks(**sizes: int) -> dict[str, Tokens]:
    """Chunks of each domain, their first token its number."""
    return {
        name: np.full((size, 9), number, np.int32) + np.arange(size)[:, None] * 0
        for number, (name, size) in enumerate(sizes.items(), 1)
    }


def test_train_stage_every_chunk_trains_once_and_the_rest_of_a_batch_is_left() -> None:
    trainer, mixture = Counting(), Fixed({"a": 0.5, "b": 0.5})
    reports = list(stage.train_stage(trainer, chunks(a=10, b=9), SETTINGS, mixture))  # type: ignore[arg-type]
    assert [report.step for report in reports] == [1, 2, 3, 4]
    assert sum(len(batch) for batch in trainer.batches) == 16
    assert mixture.seen == {"a": 8 * 8, "b": 8 * 8}


def test_train_stage_domains_follow_the_weights_to_within_a_chunk() -> None:
    trainer = Counting()
    weights = {"a": 0.7, "b": 0.2, "c": 0.1}
    list(stage.train_stage(trainer, chunks(a=100, b=100, c=100), SETTINGS, Fixed(weights)))  # type: ignore[arg-type]
    taken = np.concatenate([batch[:, 0] for batch in trainer.batches])[4:104]  # the first batch is the draw's own mix
    assert {number: abs((taken == number).mean() - share) < 0.02 for number, share in zip((1, 2, 3), weights.values())}
    for number, share in zip((1, 2, 3), weights.values()):
        assert abs((taken == number).sum() - 100 * share) <= 2


def test_train_stage_losses_and_tokens_are_by_domain_and_rates_warm_up_over_the_run() -> None:
    trainer = Counting()
    trainer.num_steps = 1
    (first, *_) = stage.train_stage(trainer, chunks(a=8, b=8), SETTINGS, Fixed({"a": 0.5, "b": 0.5}))  # type: ignore[arg-type]
    assert first.losses == {"a": (16, 1.0), "b": (16, 2.0)}
    assert first.step == 2
    assert first.lr == SETTINGS.peak_lr
    assert first.weights == {"a": 0.5, "b": 0.5}


def test_train_stage_less_than_a_batch_is_refused() -> None:
    with pytest.raises(stage.TooLittle, match="the draw makes 3 chunks of 8 tokens; a batch has 4"):
        next(stage.train_stage(Counting(), chunks(a=3), SETTINGS, Fixed({"a": 1.0})))  # type: ignore[arg-type]


def test_chunks_of_keeps_the_order_of_the_draw_within_a_domain() -> None:
    texts = pl.DataFrame({"domain": ["b", "a", "b"], "text": ["first of b " * 3, "only of a " * 9, "second of b " * 3]})
    tokenizer = learn_tokenizer(texts["text"], 300)
    found = stage.chunks_of(texts, tokenizer, SETTINGS)
    assert list(found) == ["a", "b"]
    assert tokenizer.decode(found["b"][0].tolist()).startswith("first")
    assert sum(stage.shares(found).values()) == pytest.approx(1.0)
