"""Telemetry from other people's trainers: a real Hugging Face run, and Lightning's events in Lightning's order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from resources.lake import Lake
from tier_assets.m1_training.callbacks import DomainColumn, LightningEvents, example_losses, hugging_face

STEPS = 5
BATCH = 4
ACCUMULATED = 2
TOKENS = 15  # of a text of 16, the first is not predicted


def test_domain_column_is_taken_out_of_the_batch_and_named() -> None:
    batch: dict[str, Any] = {"input_ids": [[1], [2]], "domain": [1, 0]}
    assert DomainColumn("domain", ("web", "code"))(batch) == ["code", "web"]
    assert batch == {"input_ids": [[1], [2]]}
    assert DomainColumn("source")({"source": ["web", "mail"]}) == ["web", "mail"]
    with pytest.raises(ValueError, match=r"no column 'domain' in the batch; it has \['input_ids'\]"):
        DomainColumn("domain")({"input_ids": []})


def trained(
    folder: Path, callback: Any, resume: bool = False, steps: int = STEPS, others: Sequence[Any] = (), **changes: Any
) -> Any:
    """A real Trainer's run of a tiny model over examples of two domains in turn."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

    torch.set_num_threads(1)
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=64, max_position_embeddings=32, **shape))
    ids = [[(7 * row + place) % 64 for place in range(TOKENS + 1)] for row in range(24)]
    rows = [{"input_ids": i, "labels": [-100 if place == 3 else t for place, t in enumerate(i)]} for i in ids]
    if changes.pop("with_domains", True):
        rows = [row | {"domain": number % 2} for number, row in enumerate(rows)]
    arguments = TrainingArguments(
        str(folder), per_device_train_batch_size=BATCH, gradient_accumulation_steps=ACCUMULATED, max_steps=steps,
        save_steps=2, logging_steps=1, report_to=[], remove_unused_columns=False, use_cpu=True, disable_tqdm=True,
        learning_rate=1e-3, **changes,
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=rows, eval_dataset=rows[:4], callbacks=[callback, *others])
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def telemetry_of(lake: Lake) -> pl.DataFrame:
    return lake.scan("training_telemetry").sort("step", "domain").collect()


@pytest.mark.slow
def test_hugging_face_run_reports_each_step_by_domain(lake: Lake, tmp_path: Path) -> None:
    callback = hugging_face(lake, "r", DomainColumn("domain", ("web", "code")))
    log = [entry for entry in trained(tmp_path / "out", callback).state.log_history if "loss" in entry]
    rows = telemetry_of(lake)
    assert rows.select("step", "domain").unique().height == rows.height
    assert rows["step"].unique().sort().to_list() == list(range(1, STEPS + 1))
    assert rows["domain"].unique().sort().to_list() == ["code", "web"]
    each = BATCH * ACCUMULATED * (TOKENS - 1)
    assert rows.group_by("step").agg(pl.col("tokens").first()).sort("step")["tokens"].to_list() == [
        each * step for step in range(1, STEPS + 1)
    ]
    counted = pl.col("domain_tokens") - pl.col("domain_tokens").shift(1).over("domain").fill_null(0)
    by_step = rows.with_columns(counted.alias("own")).group_by("step", maintain_order=True)
    means = by_step.agg(mean=(pl.col("loss") * pl.col("own")).sum() / pl.col("own").sum(), lr=pl.col("lr").first())
    assert means["mean"].to_list() == pytest.approx([entry["loss"] for entry in log], abs=1e-4)
    assert means["lr"].to_list() == pytest.approx([entry["learning_rate"] for entry in log])
    saved = rows.drop_nulls("checkpoint").select("step", "checkpoint", "optimizer").unique().sort("step")
    folders = [str(tmp_path / "out" / f"checkpoint-{step}") for step in (2, 4, STEPS)]
    assert saved.rows() == [(int(f.rsplit("-", 1)[1]), f, f"{f}/optimizer.pt") for f in folders]
    assert lake.scan("telemetry_refused").collect().is_empty()


@pytest.mark.slow
def test_hugging_face_run_without_domains_reports_one_and_no_evaluation(lake: Lake, tmp_path: Path) -> None:
    trained(tmp_path / "out", hugging_face(lake, "r"), with_domains=False, eval_strategy="steps", eval_steps=1)
    rows = telemetry_of(lake)
    assert rows["domain"].to_list() == ["all"] * STEPS
    assert rows["tokens"].to_list() == [BATCH * ACCUMULATED * (TOKENS - 1) * step for step in range(1, STEPS + 1)]


@pytest.mark.slow
def test_hugging_face_run_that_is_resumed_goes_on_counting(lake: Lake, tmp_path: Path) -> None:
    for steps, resume in ((2, False), (STEPS, True)):
        callback = hugging_face(lake, "r", DomainColumn("domain", ("web", "code")))
        trained(tmp_path / "out", callback, resume, steps)
    rows = telemetry_of(lake).group_by("step").agg(pl.col("tokens").first()).sort("step")
    each = BATCH * ACCUMULATED * (TOKENS - 1)
    assert rows.rows() == [(step, each * step) for step in range(1, STEPS + 1)]


@pytest.mark.slow
def test_hugging_face_run_that_fails_has_reported_once_it_is_closed(lake: Lake, tmp_path: Path) -> None:
    from transformers import TrainerCallback

    class Failing(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 3:
                raise RuntimeError("out of memory")

    callback = hugging_face(lake, "r", DomainColumn("domain", ("web", "code")))
    with pytest.raises(RuntimeError, match="out of memory"):
        trained(tmp_path / "out", callback, others=[Failing()])
    callback.close()
    assert telemetry_of(lake)["step"].unique().sort().to_list() == [1, 2, 3]


@pytest.mark.slow
def test_example_losses_are_those_of_each_example_alone() -> None:
    import torch

    logits_BTV = torch.randn(3, 6, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels_BT = torch.tensor([[1, 2, 3, 4, 5, 6], [1, -100, 3, 4, -100, -100], [5, -100, -100, -100, -100, -100]])
    log_p = torch.log_softmax(logits_BTV.float(), -1)
    wanted = [
        sum(-float(log_p[b, t, labels_BT[b, t + 1]]) for t in places) / max(1, len(places))
        for b, places in enumerate([[0, 1, 2, 3, 4], [1, 2], []])
    ]
    counts, means = example_losses(logits_BTV, labels_BT)
    assert counts == [5, 2, 0]
    assert means == pytest.approx(wanted, abs=1e-6)


@pytest.mark.slow
def test_lightning_events_report_optimizer_steps(lake: Lake, tmp_path: Path) -> None:
    events = LightningEvents(lake, "r", lambda outputs, batch: outputs["domains"])
    trainer = SimpleNamespace(global_step=0, is_global_zero=True)
    optimizer = SimpleNamespace(param_groups=[{"lr": 0.5}])
    events.on_train_start(trainer, None)
    for number in range(4):  # two batches a step
        if number % 2:
            optimizer.param_groups[0]["lr"] = 0.5 / (number + 1)
            events.on_before_optimizer_step(trainer, None, optimizer)
            optimizer.param_groups[0]["lr"] = 9.0  # the scheduler's next
            trainer.global_step += 1
        outputs = {"domains": {"web": (10, 1.0 + number), "code": (number, 2.0)}}
        events.on_train_batch_end(trainer, None, outputs, {}, number)
        if number == 1:
            events.saved(tmp_path)
    events.on_exception(trainer, None, RuntimeError())
    rows = telemetry_of(lake).select("step", "domain", "tokens", "domain_tokens", "loss", "lr", "checkpoint").rows()
    assert rows == [
        (1, "code", 21, 1, 2.0, 0.25, str(tmp_path)),
        (1, "web", 21, 20, 1.5, 0.25, str(tmp_path)),
        (2, "code", 46, 6, 2.0, 0.125, None),
        (2, "web", 46, 40, 3.5, 0.125, None),
    ]


@pytest.mark.slow
def test_lightning_run_without_domains_reports_one(lake: Lake) -> None:
    import torch

    events = LightningEvents(lake, "r", None)
    trainer = SimpleNamespace(global_step=0, is_global_zero=True, accumulate_grad_batches=2)
    events.on_train_start(trainer, None)
    for outputs in ({"loss": torch.tensor(2.5)}, torch.tensor(1.5)):
        trainer.global_step += 1
        events.on_train_batch_end(trainer, None, outputs, {"input_ids": torch.zeros(2, 8)}, 0)
    events.on_train_end(trainer, None)
    assert telemetry_of(lake).select("domain", "tokens", "loss").rows() == [("all", 16, 5.0), ("all", 32, 3.0)]
