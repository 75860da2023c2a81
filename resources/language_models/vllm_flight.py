"""Requests under way in vLLM's engine: handed over, moved on step by step, read as Replies, ended.

In: requests as token ids. Out: a Reply each, as they finish, with the seconds since it was handed over. Flights of one
process share its engine, from any thread: a flight that steps the engine also moves the requests of the others.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from resources.language_models.protocol import Reply, Request, to_shares

if TYPE_CHECKING:
    from vllm import LLM, RequestOutput, SamplingParams

MOST_PARAMS = 4_096  # different samplings remembered
# Batches of the engine that a flight hands over: the one that runs, and the one that takes its place.
BATCHES = 2
# The token id of each option; raises ValueError where one is not a single token.
OptionIds = Callable[[Sequence[str]], list[int]]
# Held while an engine is started, asked or stepped.
LOCK = threading.RLock()

_REQUEST_IDS = itertools.count()
# Where the output of each request under way goes: a flight that steps the engine also moves those of other flights.
_INBOXES: dict[str, deque[RequestOutput]] = {}


class EngineFlight:
    """The requests of one call that are in the engine; true while there are any."""

    def __init__(self, llm: LLM, option_ids: OptionIds) -> None:
        self._llm = llm
        self._sampling = SamplingOf(option_ids)
        self._under_way: dict[str, tuple[int, Request, float]] = {}
        self._inbox: deque[RequestOutput] = deque()

    def __len__(self) -> int:
        return len(self._under_way)

    @property
    def has_room(self) -> bool:
        """Whether the engine takes another request without holding up more than BATCHES of them."""
        return len(self) < BATCHES * self._llm.llm_engine.vllm_config.scheduler_config.max_num_seqs

    def add(self, place: int, request: Request, ids: list[int]) -> None:
        """Hand a request to the engine."""
        params = self._sampling.params(request)
        name = f"lake-{next(_REQUEST_IDS)}"
        with LOCK:
            _INBOXES[name] = self._inbox
            self._under_way[name] = (place, request, time.perf_counter())
            self._llm.llm_engine.add_request(name, {"prompt_token_ids": ids}, params)

    def finished(self) -> Iterator[tuple[int, Reply]]:
        """Move the engine on by one step; what finished."""
        with LOCK:
            if not self._inbox:
                for output in self._llm.llm_engine.step():
                    if output.finished:
                        _INBOXES.pop(output.request_id).append(output)  # type: ignore[arg-type]
        while self._inbox:
            output = self._inbox.popleft()
            place, request, started = self._under_way.pop(output.request_id)
            yield place, self._reply(request, output, round(time.perf_counter() - started, 4))

    def abort(self) -> None:
        """End what is under way."""
        with LOCK:
            if self._under_way:
                self._llm.llm_engine.abort_request(list(self._under_way))
            for name in self._under_way:
                _INBOXES.pop(name, None)

    def _reply(self, request: Request, output: RequestOutput, seconds: float) -> Reply:
        if request.options:
            return _chosen(output, self._sampling.option_ids(request.options), seconds)
        return _written(output, request.json_schema is not None, seconds)


class SamplingOf:
    """vLLM's parameters of requests; those of requests that differ in nothing but the prompt are one object."""

    def __init__(self, option_ids: OptionIds) -> None:
        self.option_ids = functools.cache(option_ids)
        self._made: dict[tuple[Any, ...], SamplingParams] = {}

    def params(self, request: Request) -> SamplingParams:
        """The request's parameters."""
        seed = request.sample if request.temperature > 0 else None
        schema = None if request.json_schema is None else json.dumps(request.json_schema)
        key = (request.max_tokens, request.temperature, seed, schema, request.options)
        if key not in self._made:
            if len(self._made) >= MOST_PARAMS:
                self._made.clear()
            self._made[key] = self._make(request, seed, schema)
        return self._made[key]

    def _make(self, request: Request, seed: int | None, schema: str | None) -> SamplingParams:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        settings: dict[str, Any] = {"max_tokens": request.max_tokens, "temperature": request.temperature, "seed": seed}
        if schema is not None:
            settings["structured_outputs"] = StructuredOutputsParams(json=schema)
        if request.options:
            ids = self.option_ids(request.options)
            settings |= {"max_tokens": 1, "temperature": 0.0, "logprob_token_ids": ids, "detokenize": False}
        # Else every step would put together every unfinished text anew.
        return SamplingParams(**settings, output_kind=RequestOutputKind.FINAL_ONLY)


def _written(output: RequestOutput, is_json: bool, seconds: float) -> Reply:
    reply = output.outputs[0]
    prompt_tokens, cached = len(output.prompt_token_ids or ()), output.num_cached_tokens or 0
    num_output = len(reply.token_ids)
    if reply.finish_reason not in ("stop", "length"):
        return Reply(None, None, "refused", prompt_tokens, cached, num_output, seconds)
    if not reply.text.strip():
        return Reply(None, None, "empty", prompt_tokens, cached, num_output, seconds)
    # JSON cut off by max_tokens does not parse.
    error = "malformed" if is_json and reply.finish_reason == "length" else None
    return Reply(reply.text, None, error, prompt_tokens, cached, num_output, seconds)


def _chosen(output: RequestOutput, ids: Sequence[int], seconds: float) -> Reply:
    prompt_tokens, cached = len(output.prompt_token_ids or ()), output.num_cached_tokens or 0
    logprobs = output.outputs[0].logprobs
    if not logprobs:
        return Reply(None, None, "refused", prompt_tokens, cached, 0, seconds)
    of_options = [logprobs[0][i].logprob for i in ids]
    best = max(of_options)
    probabilities = to_shares([math.exp(p - best) for p in of_options])
    return Reply(None, probabilities, None, prompt_tokens, cached, len(output.outputs[0].token_ids), seconds)
