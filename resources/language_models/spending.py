"""What an endpoint may be asked: so much a minute, and so much in all, in tokens and in money.

In: limits, from the environment. Out: how long to wait before a request, and whether the budget has room for it. A
request reserves what it may cost at most (its prompt, estimated, and all of `max_tokens`) before it is sent, so that
the budget is not overrun by what is under way. What was spent adds up over the models that a process opens at one
address; what a server charges for requests that time out is not known here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from resources.language_models.protocol import FREE, Price, Reply, Request

# UTF-8 bytes of a token, at the least: English has 4, Chinese 3; the template of a chat adds a few tokens.
TOKEN_BYTES = 3
TEMPLATE_TOKENS = 16
BURST_S = 1.0  # what may be asked at once: a second's share


@dataclass(frozen=True, slots=True)
class Limits:
    """None: without limit. `max_tokens` counts those of prompts and replies; `max_cost` is in the price's currency."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    max_tokens: float | None = None
    max_cost: float | None = None
    price: Price = FREE


def limits_of(environment: Mapping[str, str]) -> Limits:
    """The limits that LAKE_LLM_REQUESTS_PER_MINUTE, LAKE_LLM_TOKENS_PER_MINUTE, LAKE_LLM_MAX_TOKENS, LAKE_LLM_MAX_COST
    and LAKE_LLM_PRICE (of a million prompt and output tokens, such as 0.15/0.60) name.

    Raises:
        ValueError: one of them is no positive number; there is a most cost without a price.
    """

    def positive(name: str, text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not 0 <= number < float("inf"):
            raise ValueError(f"{name} is {text!r}; it must be a number, not negative")
        return number

    def limit(name: str) -> float | None:
        return positive(name, environment[name]) if environment.get(name) else None

    price = FREE
    if stated := environment.get("LAKE_LLM_PRICE"):
        if stated.count("/") != 1:
            raise ValueError(f"LAKE_LLM_PRICE is {stated!r}; it must be two prices such as 0.15/0.60")
        price = Price(*(positive("LAKE_LLM_PRICE", part) for part in stated.split("/")))
    max_cost = limit("LAKE_LLM_MAX_COST")
    if max_cost is not None and price == FREE:
        raise ValueError("LAKE_LLM_MAX_COST needs LAKE_LLM_PRICE, the price of a million prompt and output tokens")
    return Limits(
        limit("LAKE_LLM_REQUESTS_PER_MINUTE"),
        limit("LAKE_LLM_TOKENS_PER_MINUTE"),
        limit("LAKE_LLM_MAX_TOKENS"),
        max_cost,
        price,
    )


def prompt_estimate(request: Request) -> int:
    """Tokens of the request's prompt, rather too many than too few."""
    return (len(request.prompt.encode()) + len(request.system.encode())) // TOKEN_BYTES + TEMPLATE_TOKENS


class Spending:
    """What the requests to one endpoint have spent, and when the next may be sent; shared by threads."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._changed = threading.Condition()
        self._spent_tokens, self._spent_cost = 0, 0.0
        self._reserved_tokens, self._reserved_cost = 0, 0.0
        self._num_under_way = 0
        self._is_over = False
        self._requests = _Pace(limits.requests_per_minute)
        self._tokens = _Pace(limits.tokens_per_minute)
        self._paused_until = 0.0

    def reserve(self, request: Request) -> bool:
        """Whether the budget has room for the request; where only what is under way may tell, wait for that.

        Once there was no room for one request, there is none for any later one.
        """
        num_prompt = prompt_estimate(request)
        tokens = num_prompt + request.max_tokens
        cost = self.limits.price.of(num_prompt, request.max_tokens)
        with self._changed:
            while not self._is_over and not self._fits(tokens, cost):
                if self._num_under_way == 0:
                    self._is_over = True
                else:
                    self._changed.wait()
            if self._is_over:
                self._changed.notify_all()
                return False
            self._num_under_way += 1
            self._reserved_tokens += tokens
            self._reserved_cost += cost
            return True

    def settle(self, request: Request, reply: Reply | None) -> None:
        """Spend what the reply cost, in place of what was reserved for it."""
        num_prompt = prompt_estimate(request)
        num_used = 0 if reply is None else reply.prompt_tokens + reply.output_tokens
        with self._changed:
            self._num_under_way -= 1
            self._reserved_tokens -= num_prompt + request.max_tokens
            self._reserved_cost -= self.limits.price.of(num_prompt, request.max_tokens)
            if reply is not None:
                self._spent_tokens += num_used
                self._spent_cost += self.limits.price.of(reply.prompt_tokens, reply.output_tokens)
            self._tokens.give_back(num_prompt + request.max_tokens - num_used)
            self._changed.notify_all()

    def wait_s(self, request: Request) -> float:
        """Seconds to wait before the request is sent, which is counted as sent then."""
        now = time.monotonic()
        with self._changed:
            tokens = prompt_estimate(request) + request.max_tokens
            waits = (self._requests.take(1, now), self._tokens.take(tokens, now), self._paused_until - now)
        return max(0.0, *waits)

    def pause(self, seconds: float) -> None:
        """Send nothing for so long: the server asked for it."""
        with self._changed:
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def _fits(self, tokens: int, cost: float) -> bool:
        most_tokens, most_cost = self.limits.max_tokens, self.limits.max_cost
        if most_tokens is not None and self._spent_tokens + self._reserved_tokens + tokens > most_tokens:
            return False
        return most_cost is None or self._spent_cost + self._reserved_cost + cost <= most_cost


class _Pace:
    """Lets `per_minute` pass, evenly, BURST_S worth of it at once."""

    def __init__(self, per_minute: float | None) -> None:
        self._each_s = 60 / per_minute if per_minute else 0.0
        self._free_at = 0.0

    def take(self, amount: float, now: float) -> float:
        """Seconds until `amount` may pass."""
        start = max(self._free_at, now - BURST_S)
        self._free_at = start + amount * self._each_s
        return start - now

    def give_back(self, amount: float) -> None:
        """So much was not needed after all."""
        self._free_at -= amount * self._each_s


_SPENDING: dict[tuple[str, str], Spending] = {}
_LOCK = threading.Lock()


def spending_at(url: str, model: str, limits: Limits) -> Spending:
    """The process's spending for this model at this address; other limits begin it anew."""
    with _LOCK:
        held = _SPENDING.get((url, model))
        if held is None or held.limits != limits:
            held = _SPENDING[url, model] = Spending(limits)
        return held
