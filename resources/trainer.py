"""Trains a Hugging Face causal language model: steps of AdamW on chunks of token ids, losses, checkpoints.

In: chunks of token ids [num_chunks, context + 1]. Out: losses in nats a token. On CUDA where there is one, else on the
CPU; autocast to bf16 (1.5 to 2 times the speed of fp32 at 0.4 million parameters on a CPU), weights and optimizer
state in fp32. The same seed and chunks give the same losses on the same machine with the same number of threads.
0.4 million parameters train some 40,000 tokens a second on a core.
"""

from __future__ import annotations

import copy
import ctypes
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from algorithms.packing import Tokens
from resources import checkpoints
from resources.checkpoints import OptimizerSettings
from resources.torch_environment import set_environment

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel

Losses = npt.NDArray[np.float64]
Hidden = npt.NDArray[np.float32]

# Logits of a batch without training, the largest array: in fp32 32 MB on a CPU and 1 GB on a GPU.
EVALUATED_LOGITS: Final = {"cpu": 1 << 23, "cuda": 1 << 28}
# glibc's codes and limits: blocks above 64 MB come from the kernel, and 256 MB may stay free at the heap's end.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT_BYTES, MAPPED_BYTES = 256 << 20, 64 << 20


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """A new causal language model: Llama's architecture by these sizes, or the architecture and the other sizes of
    the configuration in `folder` (its weights are not read)."""

    vocab: int
    context: int
    width: int = 96
    layers: int = 2
    heads: int = 4
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class State:
    """Weights, optimizer state and number of steps, copied: training on does not change it."""

    weights: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    step: int


class Trainer:
    """A new model of these settings, its weights drawn by `seed`.

    Raises:
        ValueError: heads that do not divide the width.
    """

    def __init__(self, model: ModelSettings, optimizer: OptimizerSettings, seed: int) -> None:
        set_environment()
        import torch
        from transformers import AutoModelForCausalLM

        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = AutoModelForCausalLM.from_config(_config(model), attn_implementation=_attention())
        self._hold(network, [[name for name, _ in network.named_parameters()]], optimizer)

    @classmethod
    def load(cls, folder: Path, optimizer: OptimizerSettings | None = None) -> Trainer:
        """A trainer that goes on from a checkpoint, bit for bit where `save` wrote it.

        `optimizer` holds where the folder does not say (a Hugging Face folder without `trainer.json`); the decay and
        betas in an optimizer's state come before both. `has_moments` tells whether there was one.

        Raises:
            FileNotFoundError, ValueError: what is wrong with the folder; see `checkpoints.read`.
            ValueError: weights or optimizer state are not those that were saved with `trainer.json`.
        """
        set_environment()
        found = checkpoints.read(Path(folder), _attention())
        trainer = cls.__new__(cls)
        trainer._hold(found.network, found.groups, found.settings or optimizer or OptimizerSettings())
        trainer.num_steps = found.step
        if found.optimizer is not None:
            for group in found.optimizer["param_groups"]:
                group |= {"fused": True, "foreach": None}
            trainer._optimizer.load_state_dict(found.optimizer)
        if found.fingerprint not in (None, trainer.fingerprint()):
            raise ValueError(
                f"weights or optimizer state in {folder} are not those saved with {checkpoints.TRAINER}; "
                f"delete {checkpoints.TRAINER} where they were changed on purpose"
            )
        return trainer

    def save(self, folder: Path) -> None:
        """Write a checkpoint, whole or not at all: `config.json`, `model.safetensors`, `optimizer.pt`, `trainer.json`.

        Raises:
            FileExistsError: the folder holds something other than this state.
        """
        state = self._optimizer.state_dict()
        checkpoints.write(Path(folder), self.model, state, self._settings, self.num_steps, self.fingerprint())

    def _hold(self, network: PreTrainedModel, groups: list[list[str]], optimizer: OptimizerSettings) -> None:
        """Take the network, its weights in the order of `groups`, and a new optimizer."""
        import torch

        self.device = torch.device(device())
        if self.device.type == "cpu":
            _keep_memory()
        # Without dropout: branches of one state differ by their data alone.
        network.to(device())  # type: ignore[arg-type]
        self.model = network.eval()
        self.num_parameters = sum(weights.numel() for weights in self.model.parameters())
        self.num_steps = 0
        self._settings = optimizer
        self._optimizer = torch.optim.AdamW(
            [{"params": [self.model.get_parameter(name) for name in names]} for names in groups],
            lr=0.0,
            betas=optimizer.betas,
            weight_decay=optimizer.weight_decay,
            fused=True,
        )

    @property
    def has_moments(self) -> bool:
        """Whether the optimizer has moments: it has made a step, or was loaded with its state."""
        return bool(self._optimizer.state)

    def fingerprint(self) -> str:
        """A hash of weights, optimizer state and step: equal where every bit is."""
        weights = list(self.model.named_parameters())
        state = self._optimizer.state
        moments = [(f"{key} {name}", state[w][key]) for name, w in weights if w in state for key in sorted(state[w])]
        return checkpoints.fingerprint([*weights, *moments], self.num_steps)

    def step(self, chunks_BC: Tokens, lr: float) -> float:
        """One optimizer step on a batch of chunks; its loss before the step.

        Raises:
            FloatingPointError: the loss or its gradient is not a number.
        """
        return float(self._advance(chunks_BC, lr).mean())

    def step_losses(self, chunks_BC: Tokens, lr: float) -> Losses:
        """One optimizer step on a batch of chunks; the loss of each chunk before the step, [batch].

        Raises:
            FloatingPointError: the loss or its gradient is not a number.
        """
        return _array(self._advance(chunks_BC, lr)).mean(axis=1)

    def _advance(self, chunks_BC: Tokens, lr: float) -> torch.Tensor:
        """One optimizer step; the losses of the tokens before it, [batch, length - 1]."""
        import torch

        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.zero_grad(set_to_none=True)
        losses = self._token_losses(chunks_BC)
        loss = losses.mean()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self._settings.clip)
        value, length = float(loss.detach()), float(norm)
        if not (math.isfinite(value) and math.isfinite(length)):
            raise FloatingPointError(f"step {self.num_steps}: loss {value}, gradient {length}, at a rate of {lr:g}")
        self._optimizer.step()
        self.num_steps += 1
        return losses.detach()

    def token_losses(self, chunks_NC: Tokens) -> Losses:
        """The loss of every token but the first of each chunk: [num_chunks, length - 1]. Nothing is learnt."""
        import torch

        with torch.no_grad():
            parts = [_array(self._token_losses(chunks)) for chunks in self._batches(chunks_NC)]
        return np.concatenate(parts) if parts else np.empty((0, chunks_NC.shape[1] - 1))

    def chunk_losses(self, chunks_NC: Tokens) -> Losses:
        """The mean loss of each chunk, [num_chunks]. Nothing is learnt."""
        return self.token_losses(chunks_NC).mean(axis=1)

    def hidden_means(self, chunks_NC: Tokens) -> Hidden:
        """The mean of each chunk's last hidden states, [num_chunks, width]. Nothing is learnt."""
        import torch

        found = []
        with torch.no_grad():
            for chunks in self._batches(chunks_NC):
                ids = self._ids(chunks)[:, :-1]
                with torch.autocast(self.device.type, dtype=torch.bfloat16):
                    hidden = self.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
                found.append(hidden.float().mean(dim=1).cpu().numpy())
        return np.concatenate(found) if found else np.empty((0, self.model.config.hidden_size), np.float32)

    def coast(self, lr: float) -> None:
        """One optimizer step without a gradient: what momentum and weight decay do by themselves."""
        import torch

        for group in self._optimizer.param_groups:
            group["lr"] = lr
        for weights in self.weights:
            weights.grad = torch.zeros_like(weights)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.num_steps += 1

    def gradient(self, chunks_NC: Tokens) -> list[torch.Tensor]:
        """The gradient of the mean loss of `chunks_NC`, a tensor a weight, in the order of `weights`."""
        self._optimizer.zero_grad(set_to_none=True)
        for chunks in self._batches(chunks_NC):
            (self._token_losses(chunks).mean() * (len(chunks) / len(chunks_NC))).backward()
        found = [weights.new_zeros(weights.shape) if weights.grad is None else weights.grad for weights in self.weights]
        self._optimizer.zero_grad(set_to_none=True)
        return found

    def second_moments(self) -> list[torch.Tensor]:
        """The optimizer's running means of the squared gradient, free of their start at 0: a tensor a weight, in the
        order of `weights`; 0 where a weight never had a gradient.

        Raises:
            ValueError: the optimizer has no moments.
        """
        if not self.has_moments:
            raise ValueError("the optimizer has no moments: it has made no step, and was loaded without a state")
        betas = {
            id(weights): group["betas"][1] for group in self._optimizer.param_groups for weights in group["params"]
        }
        state = self._optimizer.state
        return [
            state[weights]["exp_avg_sq"] / (1 - betas[id(weights)] ** float(state[weights]["step"]))
            if weights in state
            else weights.new_zeros(weights.shape)
            for weights in self.weights
        ]

    @property
    def momentum(self) -> float:
        """The part of a new gradient in the momentum of the next step, its bias removed; 1 at the first step."""
        beta = float(self._optimizer.param_groups[0]["betas"][0])
        steps = max((float(state["step"]) for state in self._optimizer.state.values()), default=0.0)
        return (1 - beta) / (1 - beta ** (steps + 1))

    @property
    def weights(self) -> list[torch.Tensor]:
        """The weights themselves, without their gradients: who changes them returns with `restore`."""
        return list(self.model.parameters())

    def state(self) -> State:
        """A copy of what training changes, to return to with `restore`."""
        return State(
            copy.deepcopy(self.model.state_dict()), copy.deepcopy(self._optimizer.state_dict()), self.num_steps
        )

    def restore(self, state: State) -> None:
        """Go on from `state`, which stays as it is."""
        self.model.load_state_dict(state.weights)
        self._optimizer.load_state_dict(copy.deepcopy(state.optimizer))
        self.num_steps = state.step

    def _token_losses(self, chunks_BC: Tokens) -> torch.Tensor:
        import torch

        ids = self._ids(chunks_BC)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            logits = self.model(input_ids=ids[:, :-1], use_cache=False).logits
        losses = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        return losses.view(ids.shape[0], -1)

    def _batches(self, chunks_NC: Tokens) -> Iterator[Tokens]:
        logits = (chunks_NC.shape[1] - 1) * self.model.config.vocab_size
        rows = max(1, EVALUATED_LOGITS[self.device.type] // logits)
        for start in range(0, len(chunks_NC), rows):
            yield chunks_NC[start : start + rows]

    def _ids(self, chunks_BC: Tokens) -> torch.Tensor:
        import torch

        return torch.from_numpy(chunks_BC.astype(np.int64)).to(self.device)


def device() -> str:
    """`cuda` where there is one, else `cpu`."""
    set_environment()
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _keep_memory() -> None:
    """Have glibc keep what is freed for the next batch: it gives blocks as large as logits back to the kernel and gets
    them anew page by page, which took 29% of the CPU time of a training step (20 of 71 ms at 0.4 million parameters)
    and 40% of an evaluation's. Another C library is left as it is."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def _attention() -> str:
    # PyTorch's fused attention takes 1.7 times as long on a CPU at a width of 96 (90 and 53 ms a step).
    return "eager" if device() == "cpu" else "sdpa"


def _array(losses: torch.Tensor) -> Losses:
    found: Losses = losses.double().cpu().numpy()
    return found


def _config(settings: ModelSettings) -> PreTrainedConfig:
    from transformers import AutoConfig, LlamaConfig

    if settings.folder is not None:
        return AutoConfig.from_pretrained(
            settings.folder, vocab_size=settings.vocab, max_position_embeddings=settings.context
        )
    if settings.width % settings.heads:
        raise ValueError(f"{settings.heads} heads do not divide a width of {settings.width}")
    return LlamaConfig(
        vocab_size=settings.vocab,
        hidden_size=settings.width,
        intermediate_size=round(8 * settings.width / 3 / 16) * 16,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        max_position_embeddings=settings.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )


__all__ = ["Hidden", "Losses", "ModelSettings", "OptimizerSettings", "State", "Trainer", "device"]
