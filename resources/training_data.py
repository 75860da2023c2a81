"""What a model trains on: a tokenizer learnt from the texts themselves, and their token ids.

In: texts. Out: token ids. A reference model of under a million parameters would spend most of them on the embedding of
the lake's tokenizer (49,152 tokens), so it gets a small byte-level one, learnt in a second from a sample. The same
texts give the same tokenizer. Encodes about 2 MB a second on a core.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from algorithms.packing import Tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END: Final = "<|end|>"
END_ID: Final = 0
# An encoding takes some 100 bytes a token.
BATCH_TEXTS: Final = 256


def learn_tokenizer(texts: Iterable[str], vocab: int) -> Tokenizer:
    """A byte-level BPE tokenizer of at most `vocab` tokens; END has the id END_ID.

    Raises:
        ValueError: a vocabulary with no room for the 256 bytes and END.
    """
    if vocab < 257:
        raise ValueError(f"a byte-level vocabulary has at least 257 tokens, not {vocab}")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    # A document that spells the end token does not end there.
    tokenizer.encode_special_tokens = True
    return tokenizer


def encode(tokenizer: Tokenizer, texts: pl.Series) -> list[Tokens]:
    """Token ids of each text, in order."""
    found: list[Tokens] = []
    for batch in texts.to_frame().iter_slices(BATCH_TEXTS):
        encodings = tokenizer.encode_batch_fast(batch.to_series().to_list(), add_special_tokens=False)
        found += [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]
    return found


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write the tokenizer beside a model's checkpoint, as Hugging Face's own files name it."""
    tokenizer.save(str(folder / "tokenizer.json"))


def end_id(tokenizer: Tokenizer, eos: int | list[int] | None) -> int:
    """What separates documents: END where the tokenizer has it, else the model's own end of text, else 0."""
    own = tokenizer.token_to_id(END)
    if own is not None:
        return int(own)
    return int(eos[0] if isinstance(eos, list) else eos or 0)


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a checkpoint's folder.

    Raises:
        FileNotFoundError: the folder has no tokenizer.json.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.exists():
        raise FileNotFoundError(f"{folder} has no tokenizer.json: a checkpoint is probed with its own tokenizer")
    tokenizer = Tokenizer.from_file(str(path))
    # Not a part of the file, and the same as when it was learnt.
    tokenizer.encode_special_tokens = True
    return tokenizer
