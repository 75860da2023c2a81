"""Telemetry from other people's trainers: a callback for Hugging Face's `Trainer`, and one for Lightning's.

    domains = DomainColumn("domain", ("web", "code"))
    trainer = transformers.Trainer(..., callbacks=[hugging_face(lake, "run-7", domains)])
    trainer = lightning.Trainer(..., callbacks=[lightning(lake, "run-7")])

Without domains a run reports one, "all". With them, the loss of each example is that of its own tokens. Both report
every optimizer step, from all ranks of a distributed run together, and hold a step's report back until its checkpoint
can have been written. transformers, lightning and torch are imported when a callback is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from resources.lake import Lake
from tier_assets.m1_training.telemetry import ALL_DOMAINS, TelemetryWriter

if TYPE_CHECKING:
    import torch

IGNORED_LABEL: Final = -100
Losses = Mapping[str, tuple[int, float]]
# Names each example's domain from the arguments of the model's forward, and takes from them what the model lacks.
DomainOf = Callable[[MutableMapping[str, Any]], Sequence[str]]


@dataclass(frozen=True, slots=True)
class DomainColumn:
    """The domain of each example as a column of the batch: places in `names`, or texts where there are no names.

    The Trainer must be told to keep the column (`remove_unused_columns=False`), and its collator must hand it on: that
    of transformers passes over texts.
    """

    column: str
    names: Sequence[str] = ()

    def __call__(self, inputs: MutableMapping[str, Any]) -> list[str]:
        """The names, the column being taken out of the batch.

        Raises:
            ValueError: the batch has no such column.
        """
        if self.column not in inputs:
            raise ValueError(f"no column {self.column!r} in the batch; it has {sorted(inputs)}")
        values = inputs.pop(self.column)
        return [self.names[int(value)] if self.names else str(value) for value in values]


def hugging_face(lake: Lake, run: str, domain_of: DomainOf | None = None) -> Any:
    """A `transformers.TrainerCallback` that reports to the lake.

    It computes the tokens' losses from the model's logits: once more what the loss itself costs. A run that fails has
    reported all but its last steps; `close()` in a `finally` reports those too.
    """
    from transformers import TrainerCallback

    return type("HuggingFaceTelemetry", (HuggingFaceEvents, TrainerCallback), {})(lake, run, domain_of)


def lightning(lake: Lake, run: str, losses_of: Callable[[Any, Any], Losses] | None = None) -> Any:
    """A `lightning.pytorch.Callback` that reports to the lake.

    `losses_of(outputs, batch)` gives domain -> (tokens, mean loss) from what `training_step` returned (in which
    Lightning has divided "loss" by `accumulate_grad_batches`, and nothing else); without it the loss is that of the
    domain "all", over the elements of the batch's `input_ids`. What Lightning saves is no Hugging
    Face folder: whoever writes one says so by `saved(folder)` before the next batch.
    """
    from lightning.pytorch import Callback

    return type("LightningTelemetry", (LightningEvents, Callback), {})(lake, run, losses_of)


@dataclass(slots=True)
class Steps:
    """What has been seen of the step under way, and the report of the step before, which waits for its checkpoint."""

    lake: Lake
    run: str
    writer: TelemetryWriter | None = None
    sums: dict[str, tuple[int, float]] = field(default_factory=dict)
    waiting: tuple[int, dict[str, tuple[int, float]], float] | None = None
    checkpoint: Path | None = None
    lr: float = 0.0

    def add(self, losses: Losses) -> None:
        """Some of the step's tokens by domain, with their mean loss."""
        for domain, (tokens, loss) in losses.items():
            before, total = self.sums.get(domain, (0, 0.0))
            self.sums[domain] = before + tokens, total + (tokens * loss if tokens else 0.0)

    def end(self, step: int, is_writer: bool) -> None:
        """The step is done, on every rank; one of them writes."""
        sums, self.sums = over_ranks(self.sums), {}
        if is_writer:
            self.flush()
            means = {domain: (tokens, total / tokens) for domain, (tokens, total) in sums.items() if tokens}
            self.waiting = step, means, self.lr

    def flush(self) -> None:
        """Hand on the report that waits."""
        if self.waiting is not None:
            self.writer = self.writer or TelemetryWriter(self.lake, self.run)
            step, losses, lr = self.waiting
            optimizer = self.checkpoint / "optimizer.pt" if self.checkpoint is not None else None
            has_optimizer = optimizer is not None and optimizer.exists()
            self.writer.report(step, losses, lr, self.checkpoint, optimizer if has_optimizer else None)
            self.waiting, self.checkpoint = None, None

    def close(self) -> None:
        """Write everything; a run that trains on begins a new writer."""
        self.flush()
        if self.writer is not None:
            self.writer.flush()
            self.writer = None


class HuggingFaceEvents:
    """What the Trainer tells its callbacks; see `hugging_face`."""

    def __init__(self, lake: Lake, run: str, domain_of: DomainOf | None) -> None:
        self._steps = Steps(lake, run)
        self._domain_of = domain_of
        self._domains: Sequence[str] | None = None
        self._hooks: list[Any] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, *, model: Any, **kwargs: Any) -> None:
        """Listen to the model's forward."""
        self._hooks = [
            model.register_forward_pre_hook(self._before_forward, with_kwargs=True),
            model.register_forward_hook(self._after_forward, with_kwargs=True),
        ]

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, *, optimizer: Any, **kwargs: Any) -> None:
        """Note the learning rate: after the step it is the next one's."""
        self._steps.lr = float(optimizer.param_groups[0]["lr"])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Hold the step's report until a checkpoint of it can have been written."""
        self._steps.end(state.global_step, state.is_world_process_zero)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The waiting report's checkpoint."""
        folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
        self._steps.checkpoint = folder if folder.is_dir() else None
        self._steps.flush()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report what is left."""
        self.close()

    def close(self) -> None:
        """Report what is left, and leave the model alone."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self._steps.close()

    def _before_forward(self, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._domain_of is None:
            return None
        self._domains = self._domain_of(kwargs)
        return args, kwargs

    def _after_forward(self, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if not model.training:
            return
        labels, logits = kwargs.get("labels"), getattr(output, "logits", None)
        if labels is None or logits is None:
            raise ValueError("telemetry needs the labels among the forward's arguments, and logits among its outputs")
        domains = self._domains if self._domains is not None else [ALL_DOMAINS] * len(labels)
        if len(domains) != len(labels):
            raise ValueError(f"{len(domains)} domains were named for a batch of {len(labels)}")
        for domain, tokens, loss in zip(domains, *example_losses(logits, labels)):
            self._steps.add({domain: (tokens, loss)})


class LightningEvents:
    """What Lightning's Trainer tells its callbacks; see `lightning`."""

    def __init__(self, lake: Lake, run: str, losses_of: Callable[[Any, Any], Losses] | None) -> None:
        self._steps = Steps(lake, run)
        self._losses_of = losses_of
        self._last_step = 0

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Where a resumed run goes on."""
        self._last_step = trainer.global_step

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Note the learning rate: after the step it is the next one's."""
        self._steps.lr = float(optimizer.param_groups[0]["lr"])

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Add the batch; where it ended an optimizer step, hold the step's report."""
        if self._losses_of is not None:
            self._steps.add(self._losses_of(outputs, batch))
        else:
            self._steps.add(all_losses(outputs, batch, trainer.accumulate_grad_batches))
        if trainer.global_step > self._last_step:
            self._last_step = trainer.global_step
            self._steps.end(trainer.global_step, trainer.is_global_zero)

    def saved(self, folder: str | Path) -> None:
        """A Hugging Face folder was written after the last step."""
        self._steps.checkpoint = Path(folder)
        self._steps.flush()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Report what is left."""
        self._steps.close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """What was seen before an error is reported all the same."""
        self._steps.close()


def all_losses(outputs: Any, batch: Any, accumulated: int) -> Losses:
    """The batch's loss as that of one domain; Lightning has divided it by the number of batches that make a step."""
    loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
    return {ALL_DOMAINS: (int(batch["input_ids"].numel()), float(loss) * accumulated)}


def example_losses(logits_BTV: torch.Tensor, labels_BT: torch.Tensor) -> tuple[list[int], list[float]]:
    """Of each example the tokens that are predicted, and their mean loss in nats; 0 where there are none.

    Each token predicts the next, as in a causal language model. One example at a time: logits are large.
    """
    import torch

    counts, means = [], []
    with torch.no_grad():
        for logits_TV, labels_T in zip(logits_BTV, labels_BT):
            wanted = labels_T[1:]
            tokens = int((wanted != IGNORED_LABEL).sum())
            total = torch.nn.functional.cross_entropy(
                logits_TV[:-1].float(), wanted, ignore_index=IGNORED_LABEL, reduction="sum"
            )
            counts.append(tokens)
            means.append(float(total) / tokens if tokens else 0.0)
    return counts, means


def over_ranks(sums: Mapping[str, tuple[int, float]]) -> dict[str, tuple[int, float]]:
    """(tokens, summed loss) by domain, of all ranks of a distributed run together."""
    import torch.distributed as distributed

    parts: list[Any] = [dict(sums)]
    if distributed.is_available() and distributed.is_initialized():
        parts = [None] * distributed.get_world_size()
        distributed.all_gather_object(parts, dict(sums))
    found: dict[str, tuple[int, float]] = {}
    for part in parts:
        for domain, (tokens, total) in part.items():
            before, so_far = found.get(domain, (0, 0.0))
            found[domain] = before + tokens, so_far + total
    return dict(sorted(found.items()))
