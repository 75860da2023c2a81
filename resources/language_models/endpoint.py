"""An OpenAI-compatible server (`POST /chat/completions`): vLLM's own, or any other.

In: requests. Out: a Reply each, as they come, at most `concurrency` under way at a time. 429, 5xx and time-outs are
tried again with growing, jittered waits; what fails to the end is a value in its row. A wrong key, address or model,
or a server that nobody can connect to, is an error at once, since no prompt could be asked. The key comes from
LAKE_LLM_KEY, goes into the header and nowhere else. The server says its token counts; it sees the prompts. Requests
and tokens a minute, tokens and money in all are limited by LAKE_LLM_REQUESTS_PER_MINUTE, LAKE_LLM_TOKENS_PER_MINUTE,
LAKE_LLM_MAX_TOKENS and LAKE_LLM_MAX_COST (at LAKE_LLM_PRICE): a request beyond the last two is "over_budget" and not
sent.
"""

from __future__ import annotations

import math
import os
import random
import re
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from resources.language_models.look_ahead import Source, handed_over
from resources.language_models.protocol import (
    NOTHING_UNDER_WAY,
    Flight,
    LanguageModel,
    Reply,
    Request,
    failed,
    to_shares,
)
from resources.language_models.spending import limits_of, spending_at

NUM_TRIES = 6
FIRST_WAIT_S = 0.5  # doubled at each try: 0.5 to 16 s, some 30 s in all
LONGEST_WAIT_S = 60.0
TOP_LOGPROBS = 20  # the most that the interface allows


class EndpointModel(LanguageModel):
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
        limits = limits_of(os.environ)
        self.price = limits.price
        self._model = model or self._first_model()
        self._spending = spending_at(self.url, self._model, limits)
        self.name = f"{self._model}@{urlsplit(self.url).netloc.rpartition('@')[2]}"

    def ask(self, requests: Iterable[Request | None]) -> Flight:
        """Replies as they come; draws `concurrency` requests to send and up to LOOK_AHEAD more to put them in order.

        `choose` reads the first token's logprobs, of which the server names only the 20 likeliest: an option not among
        them has probability 0, and a prompt with no option among them is "malformed".
        """
        source = Source(handed_over(requests))
        places: dict[Future[Reply], int] = {}
        stopped = threading.Event()
        pool = ThreadPoolExecutor(self._concurrency)
        try:
            while True:
                while len(places) < self._concurrency and (item := source.take()) is not None:
                    places[pool.submit(self._ask, item[1], stopped)] = item[0]
                if not places:
                    if source.has_ended:
                        return
                    raise ValueError(NOTHING_UNDER_WAY)
                for future in wait(places, return_when=FIRST_COMPLETED).done:
                    yield places.pop(future), future.result()
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)

    def _payload(self, request: Request) -> dict[str, Any]:
        before = [{"role": "system", "content": request.system}] if request.system else []
        messages = [*before, {"role": "user", "content": request.prompt}]
        payload: dict[str, Any] = {"model": self._model, "messages": messages}
        if request.options:
            return payload | {"max_tokens": 1, "temperature": 0.0, "logprobs": True, "top_logprobs": TOP_LOGPROBS}
        payload |= {"max_tokens": request.max_tokens, "temperature": request.temperature, "seed": request.sample}
        if request.json_schema is not None:
            schema = {"name": "reply", "schema": request.json_schema, "strict": True}
            payload["response_format"] = {"type": "json_schema", "json_schema": schema}
        return payload

    def _ask(self, request: Request, stopped: threading.Event) -> Reply:
        if not self._spending.reserve(request):
            return failed("over_budget")
        reply = None
        started = time.perf_counter()
        try:
            reply = replace(self._tried(request, stopped), seconds=round(time.perf_counter() - started, 4))
        finally:
            self._spending.settle(request, reply)
        return reply

    def _tried(self, request: Request, stopped: threading.Event) -> Reply:
        payload = self._payload(request)
        for attempt in range(NUM_TRIES):
            if stopped.wait(self._spending.wait_s(request)):
                break  # nobody waits for the reply any more
            response = None
            try:
                response = self._client.post(f"{self.url}/chat/completions", json=payload)
            except httpx.TransportError as error:
                # A time-out, or a connection that broke in the middle of a reply: worth another try.
                if isinstance(error, httpx.ConnectError) and attempt == NUM_TRIES - 1:
                    raise RuntimeError(f"no server answers at {self.url}: {error}") from error
            if response is not None and response.status_code != 429 and response.status_code < 500:
                return self._read(response, request)
            if attempt < NUM_TRIES - 1:
                # Jitter keeps sixteen refused requests from coming back at the same moment.
                wait_s = self._first_wait_s * 2**attempt * random.uniform(0.5, 1.5)
                if response is not None and (asked_s := asked_wait_s(response.headers.get("Retry-After", ""))):
                    self._spending.pause(min(asked_s, LONGEST_WAIT_S))
                stopped.wait(min(wait_s, LONGEST_WAIT_S))
        return failed("timed_out")

    def _read(self, response: httpx.Response, request: Request) -> Reply:
        if response.status_code in (401, 403, 404):
            raise RuntimeError(
                f"{self.url} refuses model {self._model!r}: {response.status_code} {response.text[:200]!r} "
                "(the key is read from LAKE_LLM_KEY, the model from LAKE_LLM_MODEL or what follows # in the URL)"
            )
        if response.is_error:
            # Servers word it differently; OpenAI and vLLM both name the context length.
            return failed("too_long" if "context" in response.text and "length" in response.text else "refused")
        try:
            body = response.json()
            return (
                _chosen(body, request.options) if request.options else _written(body, request.json_schema is not None)
            )
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


def asked_wait_s(header: str) -> float:
    """The seconds that a `Retry-After` header asks for, by number or by date; 0 where it says nothing of use.

    >>> asked_wait_s("2.5"), asked_wait_s("Wed, 21 Oct 2015 07:28:00 GMT"), asked_wait_s("soon")
    (2.5, 0.0, 0.0)
    """
    if re.fullmatch(r"\d+(\.\d+)?", header):
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return 0.0


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
