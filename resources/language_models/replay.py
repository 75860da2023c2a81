"""The replay cache: whatever a model answered once is read from `model_replies` instead of being asked again.

In: any language model, the lake, the version of the prompt. Out: the same Replies, to the token counts, so that a
re-run writes the same rows; `usage` counts only what was really asked. What is missing is asked in one flight, however
much of it there is; replies are saved as they come: a killed run asks only the rest. Not kept are time-outs, which may
pass, and prompts that are too long or over the budget, which depend on the model's settings.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from resources.language_models.kept import KeptReplies, ReplyStore
from resources.language_models.look_ahead import Source
from resources.language_models.protocol import NOTHING_UNDER_WAY, Flight, LanguageModel, Reply, Request, Usage

# Requests looked up at a time: the least, while the model is asked, and the most, while all of them are known.
LEAST_LOT, MOST_LOT = 64, 8_192


class Replayed(LanguageModel):
    """`model` behind the cache in `lake`; `prompt_version` names the prompt of requests that name none.

    `usage` adds up over the calls since construction.
    """

    def __init__(self, model: LanguageModel, lake: ReplyStore, prompt_version: str = "") -> None:
        self.name = model.name
        self.price = model.price
        self.prompt_version = prompt_version
        self.usage = Usage()
        self._model = model
        self._lake = lake

    def ask(self, requests: Iterable[Request | None]) -> Flight:
        """As the model's `ask`; another `sample` is another request, but at temperature 0.

        Draws as far ahead as the model does and LEAST_LOT requests more, up to MOST_LOT while all of them are known.
        """
        flight = _Flight(self, self._model, KeptReplies(self._lake, self.name), requests)
        replies = flight.replies()
        try:
            while True:
                started = time.monotonic()
                try:
                    found = next(replies, None)
                finally:
                    self.usage += Usage(seconds=time.monotonic() - started)
                if found is None:
                    return
                yield found
        finally:
            replies.close()

    def key(self, request: Request) -> str:
        """The request's key: hash(model, prompt version, system, parameters, prompt)."""
        if request.options:
            parameters: dict[str, Any] = {"call": "choose", "options": list(request.options)}
        else:
            parameters = {
                "call": "complete",
                "max_tokens": request.max_tokens,
                "temperature": request.temperature,
                "seed": request.sample if request.temperature > 0 else 0,
                "json_schema": request.json_schema,
            }
        said = {
            "model": self.name,
            "prompt_version": request.prompt_version or self.prompt_version,
            "system": request.system,
            "parameters": parameters,
        }
        # JSON keeps the parts apart: no two different sets of parts are the same bytes.
        digest = hashlib.blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=16)
        digest.update(b"\0" + request.prompt.encode())
        return digest.hexdigest()


class _Flight:
    """One call of `ask`: requests drawn in lots; known ones answered from the cache, missing ones by the model."""

    def __init__(
        self, replayed: Replayed, model: LanguageModel, kept: KeptReplies, requests: Iterable[Request | None]
    ) -> None:
        self._replayed = replayed
        self._model = model
        self._kept = kept
        self._source = Source(requests)
        self._num_drawn = 0
        self._lot_size = LEAST_LOT
        self._known: deque[tuple[int, Reply]] = deque()  # to be yielded
        self._missing: deque[tuple[str, Request]] = deque()  # to be handed to the model
        self._under_way: dict[int, tuple[str, Request]] = {}  # by the model's places
        self._places: dict[str, list[int]] = {}  # of each key that is missing or under way

    def replies(self) -> Flight:
        """The replies with their places; what came is saved however it ends."""
        asked = self._model.ask(self._handed())
        try:
            while True:
                while self._known:
                    yield self._known.popleft()
                if not self._missing and not self._under_way:
                    if self._draw():
                        continue
                    if self._source.has_ended:
                        return
                    raise ValueError(NOTHING_UNDER_WAY)
                found = next(asked, None)
                if found is None:
                    raise RuntimeError(f"{self._replayed.name} gave no reply to {len(self._under_way)} requests")
                yield from self._answered(*found)
                self._kept.save_if_due()
        finally:
            try:
                self._kept.save()
            finally:
                asked.close()

    def _answered(self, place: int, reply: Reply) -> Iterator[tuple[int, Reply]]:
        key, request = self._under_way.pop(place)
        self._kept.keep(key, request.prompt_version or self._replayed.prompt_version, reply)
        places = self._places.pop(key)
        self._replayed.usage += self._cost(reply) + Usage(num_replayed=len(places) - 1)
        for one in places:
            yield one, reply

    def _cost(self, reply: Reply) -> Usage:
        # A prompt that is too long, or over the budget, never reached the model.
        if reply.error in ("too_long", "over_budget"):
            return Usage()
        cost = self._replayed.price.of(reply.prompt_tokens, reply.output_tokens)
        cached = reply.cached_prompt_tokens
        return Usage(reply.prompt_tokens, cached, reply.output_tokens, num_asked=1, cost=cost)

    def _handed(self) -> Iterator[Request | None]:
        """The missing requests, as the model draws them; None where what is known has to be yielded first."""
        num_handed = 0
        while True:
            while self._missing:
                key, request = self._missing.popleft()
                self._under_way[num_handed] = (key, request)
                num_handed += 1
                yield request
            if len(self._known) >= MOST_LOT or not self._draw():
                if self._source.has_ended:
                    return
                yield None

    def _draw(self) -> bool:
        """Draw a lot and look it up; False where there was none."""
        lot: list[tuple[int, str, Request]] = []
        while len(lot) < self._lot_size and (request := self._source.take()) is not None:
            lot.append((self._num_drawn, self._replayed.key(request), request))
            self._num_drawn += 1
        known = self._kept.find([key for _, key, _ in lot])
        num_known = 0
        for place, key, request in lot:
            if key in known:
                num_known += 1
                self._known.append((place, known[key]))
            elif key in self._places:
                self._places[key].append(place)  # asked once, answered twice
            else:
                self._places[key] = [place]
                self._missing.append((key, request))
        self._replayed.usage += Usage(num_replayed=num_known)
        if lot:
            self._lot_size = min(self._lot_size * 2, MOST_LOT) if num_known == len(lot) else LEAST_LOT
        return bool(lot)
