"""The replay cache: whatever a model answered once is read from `model_replies` instead of being asked again.

In: any language model, the lake, the version of the prompt. Out: the same Replies, to the token counts, so that a
re-run writes the same rows; `usage` counts only what was really asked. Costs one scan of the cache's keys a call.
Replies are appended every CHUNK prompts: a killed run asks only the rest. Not kept are time-outs, which may pass,
and prompts that are too long, which are found without the model and depend on its settings.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import polars as pl

from resources.language_models.protocol import JsonSchema, LanguageModel, Progress, Reply, Usage
from tier_tables import table

TABLE = "model_replies"
CHUNK = 256  # prompts between two commits
NOT_KEPT = ("timed_out", "too_long")


class ReplyStore(Protocol):
    """What is needed of the lake."""

    def scan(self, name: str) -> pl.LazyFrame: ...

    def append(self, name: str, rows: pl.DataFrame) -> int: ...


class Replayed:
    """`model` behind the cache in `lake`; `prompt_version` names the prompt's text and enters every key.

    `usage` adds up over the calls since construction.
    """

    def __init__(self, model: LanguageModel, lake: ReplyStore, prompt_version: str) -> None:
        self.name = model.name
        self.prompt_version = prompt_version
        self.usage = Usage()
        self._model = model
        self._lake = lake

    def complete(
        self,
        prompts: Sequence[str],
        *,
        system: str = "",
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        json_schema: JsonSchema | None = None,
        progress: Progress | None = None,
    ) -> list[Reply]:
        """As the model's `complete`; another `seed` is another sample. At temperature 0 the seed changes nothing."""
        parameters = {
            "call": "complete",
            "max_tokens": max_tokens,
            "temperature": temperature,
            "seed": seed if temperature > 0 else 0,
            "json_schema": json_schema,
        }

        def ask(missing: Sequence[str], on_progress: Progress) -> list[Reply]:
            return self._model.complete(
                missing,
                system=system,
                max_tokens=max_tokens,
                temperature=temperature,
                seed=seed,
                json_schema=json_schema,
                progress=on_progress,
            )

        return self._replies(prompts, system, parameters, ask, progress)

    def choose(
        self, prompts: Sequence[str], options: Sequence[str], *, system: str = "", progress: Progress | None = None
    ) -> list[Reply]:
        """As the model's `choose`."""

        def ask(missing: Sequence[str], on_progress: Progress) -> list[Reply]:
            return self._model.choose(missing, options, system=system, progress=on_progress)

        return self._replies(prompts, system, {"call": "choose", "options": list(options)}, ask, progress)

    def _replies(
        self,
        prompts: Sequence[str],
        system: str,
        parameters: dict[str, Any],
        ask: Callable[[Sequence[str], Progress], list[Reply]],
        progress: Progress | None,
    ) -> list[Reply]:
        started = time.monotonic()
        said = {"model": self.name, "prompt_version": self.prompt_version, "system": system, "parameters": parameters}
        keys = _keys(said, prompts)
        known = self._known(keys)
        missing: dict[str, str] = {}  # key -> prompt: one that stands twice is asked once
        for key, prompt in zip(keys, prompts, strict=True):
            if key not in known:
                missing[key] = prompt
        num_replayed = sum(key in known for key in keys)
        report = progress or _silent
        report(num_replayed)
        todo = list(missing.items())
        for start in range(0, len(todo), CHUNK):
            chunk = todo[start : start + CHUNK]
            replies = ask([prompt for _, prompt in chunk], _shifted(report, num_replayed + start))
            if len(replies) != len(chunk):
                raise RuntimeError(f"{self.name} gave {len(replies)} replies to {len(chunk)} prompts")
            fresh = {key: reply for (key, _), reply in zip(chunk, replies, strict=True)}
            self._keep(fresh)
            known |= fresh
            self.usage += _usage(replies)
        report(len(prompts))
        # A prompt that stands twice counts as replayed the second time.
        num_replayed = len(prompts) - len(todo)
        self.usage += Usage(num_replayed=num_replayed, seconds=time.monotonic() - started)
        return [known[key] for key in keys]

    def _known(self, keys: Sequence[str]) -> dict[str, Reply]:
        """What the cache holds of these keys."""
        columns = ("key", "text", "probabilities", "error", "prompt_tokens", "output_tokens", "seconds")
        wanted = pl.LazyFrame({"key": pl.Series(keys, dtype=pl.String)}).unique()
        rows = self._lake.scan(TABLE).select(columns).join(wanted, on="key", how="semi").collect()
        return {
            key: Reply(text, None if shares is None else tuple(shares), error, num_prompt, 0, num_output, seconds)
            for key, text, shares, error, num_prompt, num_output, seconds in rows.iter_rows()
        }

    def _keep(self, replies: dict[str, Reply]) -> None:
        rows = [
            {
                "key": key,
                "model": self.name,
                "prompt_version": self.prompt_version,
                "text": reply.text,
                "probabilities": reply.probabilities,
                "error": reply.error,
                "prompt_tokens": reply.prompt_tokens,
                "output_tokens": reply.output_tokens,
                "seconds": reply.seconds,
            }
            for key, reply in replies.items()
            if reply.error not in NOT_KEPT
        ]
        if rows:
            self._lake.append(TABLE, pl.DataFrame(rows, schema=table(TABLE).schema))


def _keys(said: dict[str, Any], prompts: Sequence[str]) -> list[str]:
    """hash(model, prompt version, system, parameters, prompt) of each prompt."""
    # JSON keeps the parts apart: no two different sets of parts are the same bytes.
    common = hashlib.blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=16)
    keys = []
    for prompt in prompts:
        digest = common.copy()
        digest.update(b"\0" + prompt.encode())
        keys.append(digest.hexdigest())
    return keys


def _silent(num_done: int) -> None:
    """No one watches."""


def _shifted(progress: Progress, num_before: int) -> Progress:
    """`progress` of a later part: what was done before it counts as well."""
    return lambda num_done: progress(num_before + num_done)


def _usage(replies: Sequence[Reply]) -> Usage:
    # A prompt that is too long never reached the model.
    asked = [r for r in replies if r.error != "too_long"]
    return Usage(
        prompt_tokens=sum(r.prompt_tokens for r in asked),
        cached_prompt_tokens=sum(r.cached_prompt_tokens for r in asked),
        output_tokens=sum(r.output_tokens for r in asked),
        num_asked=len(asked),
    )
