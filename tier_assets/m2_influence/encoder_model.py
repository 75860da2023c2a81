"""The influence model as published (MATES, arXiv 2406.06046): a sentence encoder, fine-tuned to predict the score.

In: texts, and the folder of a Hugging Face encoder with its tokenizer.json (such as the bundled MiniLM). Out: the
fine-tuned weights in fp16, word embeddings left out: these are not trained, and are read from the folder again. The
mean of the last hidden states, a linear head, squared error on standardised scores, AdamW. A text is read from its
beginning, as far as a label's window reaches.

Dear beside the other kinds: a label costs some .1 CPU seconds an epoch on a CPU, and a prediction 10 ms; each fold
learns anew. On a machine with a GPU it computes there. The same labels give the same weights on one machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from resources.torch_environment import set_environment
from resources.trainer import device
from tier_assets.m2_influence.cross_validation import Arrays

if TYPE_CHECKING:
    import torch

RATE: Final = 1e-4
WEIGHT_DECAY: Final = 0.01
EPOCHS: Final = 2
BATCH: Final = 16
WARMUP_SHARE: Final = 0.1
PREDICTED_BATCH: Final = 64
MAX_TOKENS: Final = 256
READ_WHOLE: Final = 0.9
SEED: Final = 0
# Words' and positions' vectors: half of a MiniLM, and few labels say anything of a word.
FROZEN: Final = "embeddings."


class EncoderLearner:
    """Learns from `texts` [N]; a learner of `cross_validation`."""

    refits = False

    def __init__(self, texts: pl.Series, folder: Path) -> None:
        self.settings: tuple[float, ...] = (RATE,)
        self.flops = 0.0
        self._folder = folder
        self._chars = max(1, int(np.quantile(texts.str.len_chars().to_numpy(), READ_WHOLE)))
        self._ids = _token_ids(folder, texts, self._chars)

    def learn(self, rows: np.ndarray, target: np.ndarray, rate: float) -> Arrays:
        """Weights fine-tuned on `rows`, whose targets are `target` [len(rows)]."""
        import torch

        mean, spread = float(target.mean()), float(target.std()) or 1.0
        random = np.random.default_rng(SEED)
        with torch.random.fork_rng():
            torch.manual_seed(SEED)
            network = _network(self._folder)
            head = torch.nn.Linear(network.config.hidden_size, 1).to(network.device)
        trained = [weights for name, weights in network.named_parameters() if not name.startswith(FROZEN)]
        optimizer = torch.optim.AdamW([*trained, *head.parameters()], lr=rate, weight_decay=WEIGHT_DECAY)
        steps = EPOCHS * -(-len(rows) // BATCH)
        for step, places in enumerate(_shuffled(len(rows), random)):
            share = (step + 1) / steps
            for group in optimizer.param_groups:
                group["lr"] = rate * min(share / WARMUP_SHARE, (1 - share) / (1 - WARMUP_SHARE))
            values = self._forward(network, head, rows[places])
            wanted = torch.from_numpy((target[places] - mean) / spread).to(values)
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.mse_loss(values, wanted).backward()
            optimizer.step()
        self.flops += 6.0 * sum(w.numel() for w in trained) * EPOCHS * sum(len(self._ids[row]) for row in rows)
        learnt = {name: _half(weights) for name, weights in network.named_parameters() if not name.startswith(FROZEN)}
        return learnt | {
            "head.weight": head.weight.detach().cpu().numpy(),
            "head.bias": head.bias.detach().cpu().numpy(),
            "scale": np.array([mean, spread]),
        }

    def values(self, learnt: Arrays, rows: np.ndarray) -> np.ndarray:
        """What `learnt` predicts for `rows`."""
        return _values(self._folder, learnt, [self._ids[row] for row in rows])

    def packed(self, learnt: Arrays) -> Arrays:
        """What `EncoderModel` needs of `learnt`."""
        return learnt | {"chars": np.array([self._chars])}

    def _forward(self, network: Any, head: torch.nn.Linear, rows: np.ndarray) -> torch.Tensor:
        import torch

        with torch.autocast(network.device.type, dtype=torch.bfloat16):
            return _pooled(network, head, [self._ids[row] for row in rows])


class EncoderModel:
    """What `EncoderLearner.packed` holds, ready to predict.

    Raises:
        KeyError: arrays of another kind.
    """

    def __init__(self, arrays: Arrays) -> None:
        self._learnt = dict(arrays)
        self._chars = int(self._learnt.pop("chars")[0])

    def predict(self, texts: pl.Series, folder: Path) -> np.ndarray:
        """The value of each text [N]; `folder` is that of the encoder learnt from."""
        return _values(folder, self._learnt, _token_ids(folder, texts, self._chars))


def predict_flops(num_documents: int, num_tokens: int, parameters: int) -> float:
    """Arithmetic of predicting a pool by an encoder of so many parameters: a window a document."""
    return 2.0 * parameters * min(num_tokens, MAX_TOKENS * num_documents)


def _token_ids(folder: Path, texts: pl.Series, chars: int) -> list[list[int]]:
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.exists():
        raise ValueError(f"the encoder {folder} has no tokenizer.json")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return [found.ids for found in tokenizer.encode_batch_fast(texts.fill_null("").str.head(chars).to_list())]


def _network(folder: Path) -> Any:
    set_environment()
    import torch
    from transformers import AutoModel
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        network = AutoModel.from_pretrained(folder, dtype=torch.float32).to(device()).eval()
    finally:
        if shown:
            logging.enable_progress_bar()
    for name, weights in network.named_parameters():
        weights.requires_grad_(not name.startswith(FROZEN))
    return network


def _shuffled(num: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches of places of every epoch, each in an order of its own."""
    for _ in range(EPOCHS):
        order = random.permutation(num)
        yield from (order[start : start + BATCH] for start in range(0, num, BATCH))


def _pooled(network: Any, head: torch.nn.Linear, ids: list[list[int]]) -> torch.Tensor:
    """The head on the mean of the last hidden states of each text [B]."""
    import torch

    length = max(1, max(len(each) for each in ids))
    tokens_BT, mask_BT = np.zeros((len(ids), length), np.int64), np.zeros((len(ids), length), np.int64)
    for row, each in enumerate(ids):
        tokens_BT[row, : len(each)], mask_BT[row, : len(each)] = each, 1
    mask = torch.from_numpy(mask_BT).to(network.device)
    states = network(input_ids=torch.from_numpy(tokens_BT).to(network.device), attention_mask=mask).last_hidden_state
    mean = (states.float() * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp_min(1)
    return head(mean).float()[:, 0]


def _values(folder: Path, learnt: Arrays, ids: list[list[int]]) -> np.ndarray:
    import torch

    network = _network(folder)
    named = dict(network.named_parameters())
    head = torch.nn.Linear(network.config.hidden_size, 1).to(network.device)
    with torch.inference_mode(), torch.autocast(network.device.type, dtype=torch.bfloat16):
        for name, weights in learnt.items():
            if name in named:
                named[name].copy_(torch.from_numpy(weights.astype(np.float32)))
        head.weight.copy_(torch.from_numpy(learnt["head.weight"]))
        head.bias.copy_(torch.from_numpy(learnt["head.bias"]))
        order = np.argsort([len(each) for each in ids], kind="stable")
        values = np.zeros(len(ids))
        for start in range(0, len(ids), PREDICTED_BATCH):
            rows = order[start : start + PREDICTED_BATCH]
            values[rows] = _pooled(network, head, [ids[row] for row in rows]).double().cpu().numpy()
    mean, spread = learnt["scale"]
    return values * spread + mean


def _half(weights: torch.Tensor) -> np.ndarray:
    return weights.detach().cpu().numpy().astype(np.float16)
