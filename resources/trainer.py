"""Trains a Hugging Face causal language model: steps of AdamW on chunks of token ids, losses, branches in memory.

In: chunks of token ids [num_chunks, context + 1]. Out: losses in nats a token. On CUDA where there is one, else on the
CPU; autocast to bf16 (1.5 to 2 times the speed of fp32 at 0.4 million parameters on a CPU), weights and optimizer
state in fp32. The same seed and chunks give the same losses on the same machine with the same number of threads.
0.4 million parameters train some 40,000 tokens a second on a core.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from algorithms.packing import Tokens
from resources.torch_environment import set_environment

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig

Losses = npt.NDArray[np.float64]

# Logits are the largest array: 16k tokens of a vocabulary of 2,048 are 128 MB.
EVALUATED_TOKENS: Final = 4096


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
class OptimizerSettings:
    """AdamW; gradients are cut to the norm `clip`."""

    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.1
    clip: float = 1.0


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

        self.device = torch.device(device())
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            # PyTorch's fused attention takes 1.7 times as long on a CPU at a width of 96 (90 and 53 ms a step).
            attention = "eager" if self.device.type == "cpu" else "sdpa"
            network = AutoModelForCausalLM.from_config(_config(model), attn_implementation=attention)
        # Without dropout: branches of one state differ by their data alone.
        self.model = network.to(self.device).eval()
        self.num_parameters = sum(weights.numel() for weights in self.model.parameters())
        self.num_steps = 0
        self._clip = optimizer.clip
        self._optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=0.0, betas=optimizer.betas, weight_decay=optimizer.weight_decay, fused=True
        )

    def step(self, chunks_BC: Tokens, lr: float) -> float:
        """One optimizer step on a batch of chunks; its loss before the step.

        Raises:
            FloatingPointError: the loss or its gradient is not a number.
        """
        import torch

        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._token_losses(chunks_BC).mean()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self._clip)
        value, length = float(loss.detach()), float(norm)
        if not (math.isfinite(value) and math.isfinite(length)):
            raise FloatingPointError(f"step {self.num_steps}: loss {value}, gradient {length}, at a rate of {lr:g}")
        self._optimizer.step()
        self.num_steps += 1
        return value

    def token_losses(self, chunks_NC: Tokens) -> Losses:
        """The loss of every token but the first of each chunk: [num_chunks, length - 1]. Nothing is learnt."""
        import torch

        rows = max(1, EVALUATED_TOKENS // chunks_NC.shape[1])
        with torch.no_grad():
            parts = [
                self._token_losses(chunks_NC[start : start + rows]).double().cpu().numpy()
                for start in range(0, len(chunks_NC), rows)
            ]
        return np.concatenate(parts) if parts else np.empty((0, chunks_NC.shape[1] - 1))

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

        ids = torch.from_numpy(chunks_BC.astype(np.int64)).to(self.device)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            logits = self.model(input_ids=ids[:, :-1], use_cache=False).logits
        losses = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        return losses.view(ids.shape[0], -1)


def device() -> str:
    """`cuda` where there is one, else `cpu`."""
    set_environment()
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


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
