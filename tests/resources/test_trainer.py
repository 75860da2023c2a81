"""A tiny model learns, repeats itself by seed, branches from one state, and says when it diverges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from algorithms.packing import Tokens
from resources.trainer import ModelSettings, OptimizerSettings, Trainer

TINY = ModelSettings(vocab=32, context=8, width=16, layers=1, heads=2)


def chunks(seed: int, count: int = 8) -> Tokens:
    """Counting up from anywhere: each token tells the next."""
    starts = np.random.default_rng(seed).integers(0, 32, count)
    return ((starts[:, None] + np.arange(9)) % 32).astype(np.int32)


def trained(seed: int, steps: int, trainer: Trainer | None = None) -> tuple[Trainer, list[float]]:
    trainer = trainer or Trainer(TINY, OptimizerSettings(), seed)
    return trainer, [trainer.step(chunks(step), 1e-2) for step in range(steps)]


def test_step_on_predictable_tokens_lowers_the_loss_of_unseen_ones() -> None:
    trainer, losses = trained(0, 60)
    assert losses[0] == pytest.approx(np.log(32), abs=0.2)
    assert trainer.token_losses(chunks(1_000)).mean() < 1.0
    assert trainer.num_steps == 60


def test_step_same_seed_gives_the_same_losses_and_another_others() -> None:
    _, first = trained(0, 5)
    assert trained(0, 5)[1] == first
    assert trained(1, 5)[1] != first


def test_trainer_leaves_the_random_numbers_of_others_alone() -> None:
    import torch

    torch.manual_seed(3)
    expected = torch.rand(2).tolist()
    torch.manual_seed(3)
    trained(0, 1)
    assert torch.rand(2).tolist() == expected


def test_restore_branches_from_one_state_go_the_same_way() -> None:
    trainer, _ = trained(0, 10)
    branch = trainer.state()
    _, first = trained(0, 5, trainer)
    trainer.restore(branch)
    assert trainer.num_steps == 10
    # Equal only if the optimizer's moments came back too, and if the first branch left the state as it was.
    assert trained(0, 5, trainer)[1] == first
    trainer.restore(branch)
    assert trained(0, 5, trainer)[1] == first


def test_token_losses_in_batches_are_those_of_each_chunk_and_teach_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, _ = trained(0, 3)
    whole = trainer.token_losses(chunks(5, count=7))
    assert whole.shape == (7, 8)
    # Two chunks of 9 tokens at a time, logits of 32 each.
    monkeypatch.setattr("resources.trainer.EVALUATED_LOGITS", dict.fromkeys(("cpu", "cuda"), 2 * 9 * 32))
    np.testing.assert_allclose(trainer.token_losses(chunks(5, count=7)), whole, atol=0.02)
    assert trainer.token_losses(chunks(5, count=0)).shape == (0, 8)
    assert trainer.num_steps == 3


def test_step_that_diverges_raises_and_names_the_step() -> None:
    trainer, _ = trained(0, 2)
    trainer.step(chunks(2), float("inf"))
    with pytest.raises(FloatingPointError, match="step 3: loss nan"):
        trainer.step(chunks(3), 1e-2)


def test_trainer_of_a_folder_takes_its_architecture_with_the_settings_vocabulary(tmp_path: Path) -> None:
    from transformers import GPT2Config

    GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=999, n_positions=4).save_pretrained(tmp_path)
    trainer = Trainer(ModelSettings(vocab=32, context=8, folder=tmp_path), OptimizerSettings(), 0)
    assert type(trainer.model).__name__ == "GPT2LMHeadModel"
    assert trainer.token_losses(chunks(0)).shape == (8, 8)
    # GPT-2 has dropout; two branches must differ by their data alone.
    branch = trainer.state()
    first = [trainer.step(chunks(step), 1e-2) for step in range(3)]
    trainer.restore(branch)
    assert [trainer.step(chunks(step), 1e-2) for step in range(3)] == first


def test_trainer_heads_that_do_not_divide_the_width_raise() -> None:
    with pytest.raises(ValueError, match="do not divide"):
        Trainer(ModelSettings(vocab=32, context=8, width=16, heads=3), OptimizerSettings(), 0)
