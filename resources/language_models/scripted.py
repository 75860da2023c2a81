"""A language model whose answers are functions: for tests of logic. It counts white-space words as tokens."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

from resources.language_models.look_ahead import Source
from resources.language_models.protocol import (
    NOTHING_UNDER_WAY,
    Flight,
    LanguageModel,
    Reply,
    Request,
    failed,
    to_shares,
)

WINDOW = 4


class ScriptedModel(LanguageModel):
    """Answers `answer(prompt)` and chooses by the weights `choice(prompt, options)`; `prompts` keeps what was asked.

    An answer that is one of the errors with a leading "!", such as "!timed_out", becomes that error. As with an
    engine, `window` requests are under way at a time, and replies come in another order than the requests.
    """

    name = "scripted@1"

    def __init__(
        self,
        answer: Callable[[str], str] = lambda prompt: prompt,
        choice: Callable[[str, Sequence[str]], Sequence[float]] = lambda prompt, options: [1.0] * len(options),
        window: int = WINDOW,
    ) -> None:
        self._answer = answer
        self._choice = choice
        self._window = window
        self.prompts: list[str] = []

    def ask(self, requests: Iterable[Request | None]) -> Flight:
        """The scripted replies, cut to `max_tokens` words; draws `window` requests ahead of them."""
        source = Source(requests)
        places = itertools.count()
        under_way: list[tuple[int, Request]] = []
        while True:
            while len(under_way) < self._window and (drawn := source.take()) is not None:
                self.prompts.append(drawn.prompt)
                under_way.append((next(places), drawn))
            if under_way:
                place, request = under_way.pop(len(under_way) // 2)
                yield place, self._reply(request)
            elif source.has_ended:
                return
            else:
                raise ValueError(NOTHING_UNDER_WAY)

    def _reply(self, request: Request) -> Reply:
        num_read = len(request.system.split()) + len(request.prompt.split())
        if request.options:
            return Reply(None, to_shares(self._choice(request.prompt, request.options)), None, num_read, 0, 1)
        text = self._answer(request.prompt)
        words = text.split()
        if text.startswith("!"):
            return failed(text[1:], num_read)
        if not words:
            return failed("empty", num_read)
        cut = text if len(words) <= request.max_tokens else " ".join(words[: request.max_tokens])
        return Reply(cut, None, None, num_read, 0, min(len(words), request.max_tokens))
