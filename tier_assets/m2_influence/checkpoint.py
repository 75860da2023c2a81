"""A checkpoint opened for probing: its model, its tokenizer, and texts as its chunks.

In: a Hugging Face folder with its tokenizer.json. Out: chunks [num_texts, length] of token ids, hidden states.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from algorithms.packing import Tokens, pack
from resources.trainer import Trainer
from resources.training_data import encode, end_id, load_tokenizer
from tier_assets.m2_influence import windows


class OpenedCheckpoint:
    """The checkpoint in `folder`; a window is as long as the model's context, and at most `max_context` tokens.

    Raises:
        FileNotFoundError: no such folder, or no tokenizer in it.
        ValueError: it holds no causal language model, or a torn one.
    """

    def __init__(self, folder: Path, max_context: int) -> None:
        self.folder = folder
        self.trainer = Trainer.load(folder)
        self.tokenizer = load_tokenizer(folder)
        config = self.trainer.model.config
        self.length = min(int(config.max_position_embeddings), max_context) + 1
        self.end = end_id(self.tokenizer, config.eos_token_id)

    @property
    def tokenizer_text(self) -> str:
        """The contents of the tokenizer's file."""
        return (self.folder / "tokenizer.json").read_text(encoding="utf-8")

    def windows(self, documents: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, Tokens]:
        """As `windows.windows`, with this checkpoint's tokenizer."""
        return windows.windows(documents, self.tokenizer, self.length, self.end, seed)

    def chunks(self, texts: pl.Series) -> Tokens:
        """The beginning of each text, filled up where it is shorter than a window."""
        chunks_NC = np.full((len(texts), self.length), self.end, np.int32)
        for number, ids in enumerate(encode(self.tokenizer, texts)):
            chunks_NC[number, : len(ids)] = ids[: self.length]
        return chunks_NC

    def reference_chunks(self, texts: pl.Series, most: int) -> Tokens:
        """At most so many chunks of the reference: the beginning of each long item, then the rest packed together.

        Raises:
            ValueError: all texts together are shorter than one chunk.
        """
        tokens = encode(self.tokenizer, texts)
        first = [ids[: self.length] for ids in tokens if len(ids) >= self.length]
        rest = pack([ids[self.length :] if len(ids) >= self.length else ids for ids in tokens], self.length, self.end)
        chunks = np.concatenate([np.stack(first), rest]) if first else rest
        if not len(chunks):
            raise ValueError(f"the reference is shorter than one chunk of {self.length} tokens")
        return chunks[:most]

    def hidden_states(self, texts: pl.Series) -> npt.NDArray[np.float32]:
        """The model's mean hidden state of each text's beginning, float32 [num_texts, width]."""
        return self.trainer.hidden_means(self.chunks(texts))
