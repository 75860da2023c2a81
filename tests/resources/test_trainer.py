"""A tiny model learns, repeats itself by seed, branches from one state, and says when it diverges."""

from __future__ import annotations

import shutil
from dataclasses import replace
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
    # Two chunks at a time, of 8 tokens to predict and 32 logits each.
    monkeypatch.setattr("resources.trainer.EVALUATED_LOGITS", dict.fromkeys(("cpu", "cuda"), 2 * 8 * 32))
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


def saved(folder: Path, steps: int = 3) -> Path:
    trained(0, steps)[0].save(folder)
    return folder


def test_save_and_load_goes_on_bit_for_bit_like_the_unsaved_one(tmp_path: Path) -> None:
    trainer, _ = trained(0, 10)
    trainer.save(tmp_path / "step-10")
    loaded = Trainer.load(tmp_path / "step-10", OptimizerSettings(betas=(0.5, 0.5), weight_decay=9.0, clip=1e-9))
    assert loaded.has_moments
    assert loaded.num_steps == 10
    assert loaded.fingerprint() == trainer.fingerprint()
    assert trained(0, 5, loaded)[1] == trained(0, 5, trainer)[1]
    assert loaded.fingerprint() == trainer.fingerprint()


def test_fingerprint_changes_with_a_step_and_comes_back_with_the_state() -> None:
    trainer, _ = trained(0, 2)
    branch, before = trainer.state(), trainer.fingerprint()
    trainer.step(chunks(5), 0.0)
    # Learning nothing, the step leaves all weights but changes the moments.
    assert trainer.fingerprint() != before
    trainer.restore(branch)
    assert trainer.fingerprint() == before


def test_save_makes_a_folder_that_from_pretrained_opens(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    trainer, _ = trained(0, 3)
    trainer.save(tmp_path / "model")
    opened = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert all(torch.equal(a, b) for a, b in zip(opened.parameters(), trainer.weights, strict=True))
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "optimizer.pt",
        "trainer.json",
    }


def test_save_again_leaves_the_same_state_and_refuses_another(tmp_path: Path) -> None:
    trainer, _ = trained(0, 3)
    trainer.save(tmp_path / "model")
    trainer.save(tmp_path / "model")
    trainer.step(chunks(3), 1e-2)
    with pytest.raises(FileExistsError, match="another state"):
        trainer.save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_save_that_fails_leaves_nothing(tmp_path: Path) -> None:
    trainer, _ = trained(0, 1)
    trainer.model.config.label2id = {"a": object()}  # no JSON
    with pytest.raises(TypeError):
        trainer.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_load_without_an_optimizer_state_has_no_moments(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model")
    (folder / "optimizer.pt").unlink()
    (folder / "trainer.json").unlink()
    loaded = Trainer.load(folder)
    assert not loaded.has_moments
    assert loaded.num_steps == 0
    with pytest.raises(ValueError, match="no moments"):
        loaded.second_moments()
    loaded.step(chunks(0), 1e-2)
    assert loaded.has_moments


def test_load_of_a_hugging_face_trainer_takes_its_groups_and_step(tmp_path: Path) -> None:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, TrainingArguments
    from transformers import Trainer as TheirTrainer

    model = GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=32, n_positions=8))
    data = [{"input_ids": chunk, "labels": chunk} for chunk in chunks(0)[:, :8].astype(np.int64)]
    settings = TrainingArguments(
        str(tmp_path), max_steps=4, save_steps=4, weight_decay=0.3, use_cpu=True, report_to=[], disable_tqdm=True
    )
    theirs = TheirTrainer(model, settings, train_dataset=data)
    theirs.train()
    loaded = Trainer.load(tmp_path / "checkpoint-4")
    assert loaded.num_steps == 4
    state = theirs.optimizer.state
    names = dict(theirs.model.named_parameters())
    for (name, _), moment in zip(loaded.model.named_parameters(), loaded.second_moments(), strict=True):
        expected = state[names[name]]["exp_avg_sq"] / (1 - 0.999**4)
        torch.testing.assert_close(moment, expected, rtol=1e-4, atol=0)
    loaded.step(chunks(1), 1e-3)


@pytest.mark.parametrize(
    ("file", "expected", "said"),
    [
        (".", FileNotFoundError, "no such folder"),
        ("config.json", FileNotFoundError, "no config.json"),
        ("model.safetensors", FileNotFoundError, "no weights; model.safetensors is expected"),
    ],
)
def test_load_of_what_is_deleted_says_what_is_missing(
    tmp_path: Path, file: str, expected: type[Exception], said: str
) -> None:
    folder = saved(tmp_path / "model")
    shutil.rmtree(folder) if file == "." else (folder / file).unlink()
    with pytest.raises(expected, match=said):
        Trainer.load(folder)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "optimizer.pt", "trainer.json"])
def test_load_of_a_torn_file_names_it(tmp_path: Path, file: str) -> None:
    folder = saved(tmp_path / "model")
    (folder / file).write_bytes((folder / file).read_bytes()[:-20])
    with pytest.raises(ValueError, match="torn") as raised:
        Trainer.load(folder)
    assert str(folder) in str(raised.value)


def test_load_of_another_models_files_says_so(tmp_path: Path) -> None:
    wide = Trainer(replace(TINY, width=32), OptimizerSettings(), 0)
    wide.step(chunks(0), 1e-2)
    wide.save(tmp_path / "wide")
    deep = Trainer(replace(TINY, layers=2), OptimizerSettings(), 0)
    deep.step(chunks(0), 1e-2)
    deep.save(tmp_path / "deep")
    for file, other, said in (
        ("optimizer.pt", "wide", "of another architecture: .* where the model's .* has"),
        ("optimizer.pt", "deep", "groups of .* weights; the model beside it has"),
        ("model.safetensors", "wide", "no causal language model|not those of its config.json"),
        ("config.json", "deep", "not those of its config.json"),
    ):
        folder = saved(tmp_path / f"{file}-{other}")
        shutil.copy(tmp_path / other / file, folder / file)
        with pytest.raises(ValueError, match=said):
            Trainer.load(folder)


def test_load_of_weights_from_another_step_is_refused(tmp_path: Path) -> None:
    early, late = saved(tmp_path / "early", 2), saved(tmp_path / "late", 3)
    shutil.copy(late / "model.safetensors", early / "model.safetensors")
    with pytest.raises(ValueError, match=r"not those saved with trainer.json"):
        Trainer.load(early)


def test_load_of_a_model_that_is_no_causal_one_is_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForMaskedLM

    tiny = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, vocab_size=32)
    BertForMaskedLM(tiny).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="BertForMaskedLM; a causal language model is needed"):
        Trainer.load(tmp_path)


def test_load_of_an_optimizer_that_is_no_adam_is_refused(tmp_path: Path) -> None:
    import torch

    folder = saved(tmp_path / "model")
    torch.save({"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": []}, folder / "optimizer.pt")
    with pytest.raises(ValueError, match="not AdamW's"):
        Trainer.load(folder)


def test_load_of_code_in_place_of_an_optimizer_runs_nothing(tmp_path: Path) -> None:
    import torch

    folder = saved(tmp_path / "model")
    torch.save({"state": {}, "param_groups": [Opened(tmp_path / "ran")]}, folder / "optimizer.pt")
    with pytest.raises(ValueError, match="cannot be read"):
        Trainer.load(folder)
    assert not (tmp_path / "ran").exists()


class Opened:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.path,)  # type: ignore[return-value]


def test_step_losses_are_those_of_each_chunk_before_the_step() -> None:
    one, _ = trained(0, 3)
    other, _ = trained(0, 3)
    before = one.chunk_losses(chunks(7))
    losses = one.step_losses(chunks(7), 1e-2)
    np.testing.assert_allclose(losses, before, atol=0.02)
    assert losses.mean() == pytest.approx(other.step(chunks(7), 1e-2), rel=1e-6)
    assert one.fingerprint() == other.fingerprint()


def test_hidden_means_are_one_vector_a_chunk_and_teach_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, _ = trained(0, 3)
    before = trainer.fingerprint()
    whole = trainer.hidden_means(chunks(5, count=7))
    assert whole.shape == (7, 16)
    assert whole.dtype == np.float32
    assert trainer.fingerprint() == before
    monkeypatch.setattr("resources.trainer.EVALUATED_LOGITS", dict.fromkeys(("cpu", "cuda"), 2 * 8 * 32))
    np.testing.assert_allclose(trainer.hidden_means(chunks(5, count=7)), whole, atol=0.02)
    assert trainer.hidden_means(chunks(5, count=0)).shape == (0, 16)


def test_gradient_in_batches_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    trainer, _ = trained(0, 3)
    whole = trainer.gradient(chunks(5, count=7))
    monkeypatch.setattr("resources.trainer.EVALUATED_LOGITS", dict.fromkeys(("cpu", "cuda"), 2 * 8 * 32))
    for part, expected in zip(trainer.gradient(chunks(5, count=7)), whole, strict=True):
        torch.testing.assert_close(part, expected, rtol=0.1, atol=2e-3)
    assert all(weights.grad is None for weights in trainer.weights)
