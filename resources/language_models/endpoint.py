"""An OpenAI-compatible server (`POST /chat/completions`): vLLM's own, or any other.

In: prompts. Out: a Reply each, in order, at most `concurrency` under way at a time. 429, 5xx and time-outs are tried
again with growing, jittered waits; what fails to the end is a value in its row. A wrong key, address or model, or a
server that nobody can connect to, is an error at once, since no prompt could be asked. The key comes from
LAKE_LLM_KEY, goes into the header and nowhere else. The server says its token counts; it sees the prompts.
"""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx

from resources.language_models.protocol import JsonSchema, Progress, Reply, failed, to_shares

NUM_TRIES = 6
FIRST_WAIT_S = 0.5  # doubled at each try: 0.5 to 16 s, some 30 s in all
LONGEST_WAIT_S = 60.0
TOP_LOGPROBS = 20  # the most that the interface allows


class EndpointModel:
    """The model `model` served at `url` (which ends in `/v1` by custom).

    Without `model` the server is asked for its list, of which the first is taken.

    Raises:
        RuntimeError: no model was named and the server names none.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        timeout_s: float = 120.0,
        concurrency: int = 16,
        first_wait_s: float = FIRST_WAIT_S,
    ) -> None:
        key = os.environ.get("LAKE_LLM_KEY")
        self.url = url.rstrip("/")
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=timeout_s,
            limits=httpx.Limits(max_connections=concurrency),
        )
        self._concurrency = concurrency
        self._first_wait_s = first_wait_s
        self._model = model or self._first_model()
        self.name = f"{self._model}@{urlsplit(self.url).netloc.rpartition('@')[2]}"

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
        """A text for each prompt."""
        asked: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
        if json_schema is not None:
            schema = {"name": "reply", "schema": json_schema, "strict": True}
            asked["response_format"] = {"type": "json_schema", "json_schema": schema}
        return self._ask_all(prompts, system, asked, lambda body: _written(body, json_schema is not None), progress)

    def choose(
        self, prompts: Sequence[str], options: Sequence[str], *, system: str = "", progress: Progress | None = None
    ) -> list[Reply]:
        """The probability of each option among the options, from the first token's logprobs.

        The server names only its 20 likeliest tokens: an option not among them has probability 0, and a prompt
        with no option among them is "malformed".
        """
        asked = {"max_tokens": 1, "temperature": 0.0, "logprobs": True, "top_logprobs": TOP_LOGPROBS}
        return self._ask_all(prompts, system, asked, lambda body: _chosen(body, options), progress)

    def _ask_all(
        self,
        prompts: Sequence[str],
        system: str,
        asked: dict[str, Any],
        read: Callable[[dict[str, Any]], Reply],
        progress: Progress | None,
    ) -> list[Reply]:
        before = [{"role": "system", "content": system}] if system else []

        def ask(prompt: str) -> Reply:
            messages = [*before, {"role": "user", "content": prompt}]
            return self._ask({"model": self._model, "messages": messages, **asked}, read)

        replies = []
        pool = ThreadPoolExecutor(self._concurrency)
        try:
            for reply in pool.map(ask, prompts):
                replies.append(reply)
                if progress is not None:
                    progress(len(replies))
        finally:
            pool.shutdown(cancel_futures=True)
        return replies

    def _ask(self, payload: dict[str, Any], read: Callable[[dict[str, Any]], Reply]) -> Reply:
        for attempt in range(NUM_TRIES):
            response = None
            try:
                response = self._client.post(f"{self.url}/chat/completions", json=payload)
            except httpx.TransportError as error:
                # A time-out, or a connection that broke in the middle of a reply: worth another try.
                if isinstance(error, httpx.ConnectError) and attempt == NUM_TRIES - 1:
                    raise RuntimeError(f"no server answers at {self.url}: {error}") from error
            if response is not None and response.status_code != 429 and response.status_code < 500:
                return self._read(response, read)
            if attempt < NUM_TRIES - 1:
                time.sleep(self._wait_s(attempt, response))
        return failed("timed_out")

    def _wait_s(self, attempt: int, response: httpx.Response | None) -> float:
        # Jitter keeps sixteen refused requests from coming back at the same moment.
        wait = self._first_wait_s * 2**attempt * random.uniform(0.5, 1.5)
        asked = response.headers.get("Retry-After", "") if response is not None else ""
        return min(max(wait, float(asked)) if asked.isdigit() else wait, LONGEST_WAIT_S)

    def _read(self, response: httpx.Response, read: Callable[[dict[str, Any]], Reply]) -> Reply:
        if response.status_code in (401, 403, 404):
            raise RuntimeError(
                f"{self.url} refuses model {self._model!r}: {response.status_code} {response.text[:200]!r} "
                "(the key is read from LAKE_LLM_KEY, the model from LAKE_LLM_MODEL or what follows # in the URL)"
            )
        if response.is_error:
            # Servers word it differently; OpenAI and vLLM both name the context length.
            return failed("too_long" if "context" in response.text and "length" in response.text else "refused")
        try:
            return read(response.json())
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            return failed("malformed", text=response.text[:2_000])

    def _first_model(self) -> str:
        try:
            listed = self._client.get(f"{self.url}/models").raise_for_status().json()["data"]
            return str(listed[0]["id"])
        except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
            raise RuntimeError(
                f"{self.url} names no model ({error}); name it in LAKE_LLM_MODEL or after # in the URL"
            ) from error


def _tokens(body: dict[str, Any]) -> tuple[int, int, int]:
    """Tokens of the prompt, of it from the cache, of the output."""
    usage = body.get("usage") or {}
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return int(usage.get("prompt_tokens", 0)), int(cached), int(usage.get("completion_tokens", 0))


def _written(body: dict[str, Any], is_json: bool) -> Reply:
    choice = body["choices"][0]
    text = choice["message"].get("content")
    if choice.get("finish_reason") == "content_filter" or choice["message"].get("refusal"):
        return Reply(None, None, "refused", *_tokens(body))
    if not text or not text.strip():
        return Reply(None, None, "empty", *_tokens(body))
    # JSON cut off by max_tokens does not parse.
    error = "malformed" if is_json and choice.get("finish_reason") == "length" else None
    return Reply(str(text), None, error, *_tokens(body))


def _chosen(body: dict[str, Any], options: Sequence[str]) -> Reply:
    weights = dict.fromkeys(options, 0.0)
    for token in body["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
        # "Yes" and " Yes" are the same answer.
        option = token["token"].strip()
        if option in weights:
            weights[option] += math.exp(token["logprob"])
    if not any(weights.values()):
        return Reply(None, None, "malformed", *_tokens(body))
    return Reply(None, to_shares(list(weights.values())), None, *_tokens(body))
