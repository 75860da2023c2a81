"""What a language model is to the lake: requests in, one Reply a request out, always.

A prompt that does not fit, a refusal or a time-out is a value in its Reply; an exception means that nothing can be
asked at all. Prompts are user messages: the model applies its own chat template.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, Protocol

# Called with the number of prompts of the call that are done so far.
Progress = Callable[[int], None]
JsonSchema = dict[str, Any]

ERRORS = ("too_long", "refused", "timed_out", "empty", "malformed", "over_budget")
PROBABILITY_UNITS = 10_000  # probabilities are multiples of 1e-4


@dataclass(frozen=True, slots=True)
class Reply:
    """One prompt's reply.

    `text` is None for `choose` and for an error, but for "malformed": there it is what the model wrote.
    `probabilities` are those of the options, in their order, in steps of 1e-4, summing to 1.
    `prompt_tokens` counts all tokens of the prompt, `cached_prompt_tokens` those of them served from a prefix cache.
    `seconds` is the time from handing the request to the engine to its reply, others under way beside it.
    """

    text: str | None
    probabilities: tuple[float, ...] | None
    error: str | None
    prompt_tokens: int
    cached_prompt_tokens: int
    output_tokens: int
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt and all that shapes its reply; all of it enters the replay cache's key.

    `sample` tells apart the samples of one prompt and seeds the sampling; at temperature 0 it changes nothing.
    With `options` the reply is the probability of each of them as its first token, and nothing is written.
    An empty `prompt_version` stands for that of the cache asked.
    """

    prompt: str
    max_tokens: int
    system: str = ""
    temperature: float = 0.0
    sample: int = 0
    json_schema: JsonSchema | None = None
    prompt_version: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost, in the currency of whoever pays."""

    prompt: float = 0.0
    output: float = 0.0

    def of(self, prompt_tokens: int, output_tokens: int) -> float:
        """The cost of so many tokens."""
        return (prompt_tokens * self.prompt + output_tokens * self.output) / 1e6


FREE: Final = Price()
# Replies as they finish, each with its request's place; closing it ends what is under way.
Flight = Generator[tuple[int, Reply], None, None]


class LanguageModel(Protocol):
    """A model that writes and chooses. `name` is its id with revision: it enters every row and every cache key."""

    name: str
    price: Price = FREE

    def ask(self, requests: Iterable[Request | None]) -> Flight:
        """Replies as they finish, in any order, each with its request's place in the iterable (from 0).

        Requests of any system, schema, length and sampling are under way together. The iterable may be a generator
        whose next items depend on replies already yielded: it is drawn from only as there is room, and `None` in it
        (which has no place) says that nothing can be asked before a further reply has been yielded. How far a model
        draws ahead of the replies is said in its docstring. A caller that may stop early closes the flight
        (`with contextlib.closing(model.ask(requests)) as flight`), which ends what is under way.

        Raises:
            ValueError: the iterable waits for a reply while none is under way; an option is not a single token.
        """

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
        """A text for each prompt, in their order; with `json_schema`, a text that parses under it."""
        asked = (Request(p, max_tokens, system, temperature, seed, json_schema) for p in prompts)
        return _in_place(self.ask(asked), len(prompts), progress)

    def choose(
        self, prompts: Sequence[str], options: Sequence[str], *, system: str = "", progress: Progress | None = None
    ) -> list[Reply]:
        """The probability of each option as the first word of the reply; one forward pass a prompt.

        Raises:
            ValueError: an option is not a single token; the message names it.
        """
        asked = (Request(p, 1, system, options=tuple(options)) for p in prompts)
        return _in_place(self.ask(asked), len(prompts), progress)


def _in_place(replies_of: Flight, num: int, progress: Progress | None) -> list[Reply]:
    replies: dict[int, Reply] = {}
    with closing(replies_of) as flight:
        for place, reply in flight:
            replies[place] = reply
            if progress is not None:
                progress(len(replies))
    return [replies[place] for place in range(num)]


NOTHING_UNDER_WAY = "the requests wait for a reply while none is under way"


@dataclass(frozen=True, slots=True)
class Usage:
    """What calls cost: tokens of the prompts asked (`cached_prompt_tokens` of them from a prefix cache) and of their
    replies, prompts asked and replayed, wall seconds, money by the model's price. Replayed prompts cost nothing."""

    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    output_tokens: int = 0
    num_asked: int = 0
    num_replayed: int = 0
    seconds: float = 0.0
    cost: float = 0.0

    def counts(self) -> dict[str, int]:
        """The token counts by their names in the ledger."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "cached_prompt_tokens": self.cached_prompt_tokens,
            "output_tokens": self.output_tokens,
        }

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_prompt_tokens + other.cached_prompt_tokens,
            self.output_tokens + other.output_tokens,
            self.num_asked + other.num_asked,
            self.num_replayed + other.num_replayed,
            self.seconds + other.seconds,
            self.cost + other.cost,
        )


def failed(error: str, prompt_tokens: int = 0, text: str | None = None, output_tokens: int = 0) -> Reply:
    """A Reply that bears `error` (one of ERRORS)."""
    return Reply(text, None, error, prompt_tokens, 0, output_tokens)


def to_shares(weights: Sequence[float]) -> tuple[float, ...]:
    """Weights (not negative, not all zero) as probabilities in steps of 1e-4 that sum to 1.

    What rounding down leaves over goes to the largest remainders, the first option before later ones.

    >>> to_shares([1, 1, 1])
    (0.3334, 0.3333, 0.3333)
    """
    total = sum(weights)
    exact = [w / total * PROBABILITY_UNITS for w in weights]
    units = [int(e) for e in exact]
    by_remainder = sorted(range(len(units)), key=lambda i: units[i] - exact[i])
    for i in by_remainder[: PROBABILITY_UNITS - sum(units)]:
        units[i] += 1
    return tuple(u / PROBABILITY_UNITS for u in units)
