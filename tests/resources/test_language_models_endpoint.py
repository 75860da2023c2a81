"""The endpoint model against a real HTTP server on the loopback."""

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from resources.lake import Lake
from resources.language_models import Replayed
from resources.language_models.endpoint import NUM_TRIES, EndpointModel, asked_wait_s
from resources.language_models.protocol import Price, Request
from resources.language_models.spending import Limits, limits_of

Answer = Callable[[dict[str, Any], int], tuple[int, Any]]


class Server:
    """Answers `answer(payload, number of times this prompt came)` as (status, body); keeps what was asked."""

    def __init__(self) -> None:
        self.answer: Answer = lambda payload, times: (200, said("ok"))
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.came_at: list[float] = []
        self.sent_headers: dict[str, str] = {}
        self.under_way = self.most_under_way = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(200, {"data": [{"id": "served"}]})

            def do_POST(self) -> None:
                payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer._lock:
                    outer.asked.append(payload)
                    outer.headers.append(dict(self.headers))
                    times = sum(prompt(p) == prompt(payload) for p in outer.asked)
                    outer.under_way += 1
                    outer.most_under_way = max(outer.most_under_way, outer.under_way)
                    outer.came_at.append(time.monotonic())
                status, body = outer.answer(payload, times)
                with outer._lock:
                    outer.under_way -= 1
                self._send(status, body)

            def _send(self, status: int, body: Any) -> None:
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                if status == 429:
                    for name, value in outer.sent_headers.items():
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None:
                """Quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.http.shutdown()
    made.http.server_close()


def model(server: Server, **settings: Any) -> EndpointModel:
    return EndpointModel(server.url, "m", **{"first_wait_s": 0.001, **settings})


def prompt(payload: dict[str, Any]) -> str:
    return payload["messages"][-1]["content"]


def said(text: str | None, finish: str = "stop", **message: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}}
    choice = {"message": {"content": text, **message}, "finish_reason": finish}
    return {"choices": [choice], "usage": usage}


def test_complete_many_prompts_keep_order_within_the_concurrency(server) -> None:
    def answer(payload: dict[str, Any], times: int) -> tuple[int, Any]:
        time.sleep(0.002 * (int(prompt(payload)) % 5))
        return 200, said(prompt(payload))

    server.answer = answer
    done: list[int] = []
    replies = model(server, concurrency=4).complete([str(i) for i in range(40)], max_tokens=5, progress=done.append)
    assert [r.text for r in replies] == [str(i) for i in range(40)]
    assert done == list(range(1, 41))
    assert 1 < server.most_under_way <= 4
    assert (replies[0].prompt_tokens, replies[0].cached_prompt_tokens, replies[0].output_tokens) == (7, 3, 2)


def test_complete_sends_system_schema_and_key(server, monkeypatch) -> None:
    monkeypatch.setenv("LAKE_LLM_KEY", "k-123")
    schema = {"type": "object"}
    model(server).complete(["p"], system="s", max_tokens=5, temperature=0.5, seed=9, json_schema=schema)
    (asked,) = server.asked
    assert asked["messages"] == [{"role": "system", "content": "s"}, {"role": "user", "content": "p"}]
    assert (asked["max_tokens"], asked["temperature"], asked["seed"]) == (5, 0.5, 9)
    assert asked["response_format"]["json_schema"]["schema"] == schema
    assert server.headers[0]["Authorization"] == "Bearer k-123"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, said(None, "content_filter"), "refused"),
        (200, said(None, refusal="I cannot"), "refused"),
        (200, said("  "), "empty"),
        (200, said('{"a": ', "length"), "malformed"),
        (200, b"<html>", "malformed"),
        (200, {"choices": []}, "malformed"),
        (200, [1], "malformed"),
        (400, {"error": {"code": "context_length_exceeded"}}, "too_long"),
        (400, {"error": {"message": "flagged"}}, "refused"),
    ],
)
def test_complete_bad_answer_is_a_value_of_its_row(server, status, body, error) -> None:
    server.answer = lambda payload, times: (status, body) if prompt(payload) == "bad" else (200, said("ok"))
    replies = model(server).complete(["a", "bad", "b"], max_tokens=5, json_schema={"type": "object"})
    assert [r.error for r in replies] == [None, error, None]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_complete_busy_server_is_asked_again(server, status) -> None:
    server.answer = lambda payload, times: (200, said("ok")) if times == 3 else (status, {})
    assert [r.text for r in model(server).complete(["p"], max_tokens=5)] == ["ok"]
    assert len(server.asked) == 3


def test_complete_server_that_stays_busy_times_out_as_a_value(server) -> None:
    server.answer = lambda payload, times: (503, {})
    assert [r.error for r in model(server).complete(["p"], max_tokens=5)] == ["timed_out"]
    assert len(server.asked) == NUM_TRIES


def test_complete_slow_prompt_times_out_as_a_value(server) -> None:
    def answer(payload: dict[str, Any], times: int) -> tuple[int, Any]:
        if prompt(payload) == "slow":
            time.sleep(0.5)
        return 200, said("ok")

    server.answer = answer
    replies = model(server, timeout_s=0.15).complete(["a", "slow"], max_tokens=5)
    assert [r.error for r in replies] == [None, "timed_out"]


def test_complete_wrong_key_is_one_error_that_does_not_tell_the_key(server, monkeypatch) -> None:
    monkeypatch.setenv("LAKE_LLM_KEY", "k-123")
    server.answer = lambda payload, times: (401, {"error": "no"})
    with pytest.raises(RuntimeError, match="refuses model 'm': 401") as caught:
        model(server).complete(["p"] * 3, max_tokens=5)
    assert "k-123" not in str(caught.value)


def test_complete_no_server_is_one_error(server) -> None:
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(RuntimeError, match="no server answers at"):
        model(server).complete(["p"], max_tokens=5)


def test_model_not_named_takes_the_first_served(server) -> None:
    assert EndpointModel(server.url).name == f"served@127.0.0.1:{server.http.server_port}"


def test_choose_options_from_top_logprobs(server) -> None:
    def top(*tokens: tuple[str, float]) -> dict[str, Any]:
        listed = [{"token": t, "logprob": math.log(p)} for t, p in tokens]
        return said("x") | {"choices": [{"logprobs": {"content": [{"top_logprobs": listed}]}}]}

    answers = {"a": top(("Yes", 0.5), (" Yes", 0.1), ("No", 0.2), ("The", 0.1)), "b": top(("The", 0.9))}
    server.answer = lambda payload, times: (200, answers[prompt(payload)])
    replies = model(server).choose(["a", "b"], ["Yes", "No", "Maybe"])
    assert [(r.probabilities, r.error) for r in replies] == [((0.75, 0.25, 0.0), None), (None, "malformed")]
    assert (server.asked[0]["max_tokens"], server.asked[0]["logprobs"]) == (1, True)


def test_ask_requests_of_every_kind_are_under_way_together(server) -> None:
    server.answer = lambda payload, times: (200, said(prompt(payload).upper()))
    asked = [
        Request("a", 5, system="s"),
        Request("b", 7, temperature=0.5, sample=3),
        Request("c", 9, json_schema={"type": "object"}),
    ]
    replies = dict(model(server).ask(asked))
    assert [replies[place].text for place in range(3)] == ["A", "B", "C"]
    assert all(reply.seconds > 0 for reply in replies.values())
    sent = {prompt(payload): payload for payload in server.asked}
    assert (sent["a"]["messages"][0]["content"], sent["b"]["seed"], sent["c"]["max_tokens"]) == ("s", 3, 9)
    assert ["response_format" in sent[name] for name in "abc"] == [False, False, True]


def test_ask_follow_up_to_a_reply_joins_the_flight(server) -> None:
    server.answer = lambda payload, times: (200, said(prompt(payload)))
    seen: list[str] = []

    def requests() -> Iterator[Request | None]:
        yield Request("first", 5)
        while "first" not in seen:
            yield None
        yield Request("second", 5)

    for _, reply in model(server).ask(requests()):
        seen.append(reply.text or "")
    assert seen == ["first", "second"]


def test_ask_iterable_that_waits_for_nothing_is_an_error(server) -> None:
    with pytest.raises(ValueError, match="none is under way"):
        list(model(server).ask([None]))


def test_ask_flight_that_is_closed_tries_nothing_again(server) -> None:
    server.answer = lambda payload, times: (200, said("ok")) if prompt(payload) == "0" else (503, {})
    flight = model(server, concurrency=4, first_wait_s=30.0).ask([Request(str(i), 5) for i in range(9)])
    assert next(flight)[0] == 0
    started = time.monotonic()
    flight.close()
    assert time.monotonic() - started < 5
    assert len(server.asked) <= 5


def test_ask_requests_a_minute_are_spread(server, monkeypatch) -> None:
    monkeypatch.setenv("LAKE_LLM_REQUESTS_PER_MINUTE", "600")
    model(server).complete([str(i) for i in range(16)], max_tokens=5)
    # Ten a second: a second's worth and the next at once, the other five 0.1 s apart.
    came = sorted(server.came_at)
    assert came[-1] - came[0] >= 0.45
    assert sum(at - came[0] < 0.09 for at in came) <= 12


def test_ask_tokens_a_minute_are_spread(server, monkeypatch) -> None:
    monkeypatch.setenv("LAKE_LLM_TOKENS_PER_MINUTE", "60000")
    started = time.monotonic()
    model(server, concurrency=1).complete(["p"] * 4, max_tokens=500)
    # A thousand a second: each reserves 516, of which the reply gives back all but 9.
    assert time.monotonic() - started < 1
    server.answer = lambda payload, times: (
        200,
        said("ok") | {"usage": {"prompt_tokens": 16, "completion_tokens": 500}},
    )
    started = time.monotonic()
    model(server, concurrency=1).complete(["p"] * 4, max_tokens=500)
    assert 0.4 <= time.monotonic() - started < 2.5


@pytest.mark.parametrize("how", ["seconds", "date"])
def test_ask_retry_after_holds_up_every_request(server, how) -> None:
    server.sent_headers = {"Retry-After": "1" if how == "seconds" else formatdate(time.time() + 2, usegmt=True)}
    server.answer = lambda payload, times: (429, {}) if len(server.asked) == 1 else (200, said("ok"))
    replies = model(server, concurrency=1).complete(["a", "b"], max_tokens=5)
    assert [r.text for r in replies] == ["ok", "ok"]
    assert 0.8 <= server.came_at[1] - server.came_at[0] < 2.5


@pytest.mark.parametrize("header", ["", "soon", "-1", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_asked_wait_s_nothing_of_use_is_no_wait(header) -> None:
    assert asked_wait_s(header) == 0


def test_ask_beyond_the_tokens_is_over_budget_and_not_sent(server, monkeypatch) -> None:
    monkeypatch.setenv("LAKE_LLM_MAX_TOKENS", "60")
    # Each reply uses 9; a request reserves 17 for its prompt and 5 for its reply.
    replies = model(server, concurrency=4).complete([str(i) for i in range(20)], max_tokens=5)
    assert sorted(r.error or "" for r in replies) == [""] * 5 + ["over_budget"] * 15
    assert len(server.asked) == 5
    # The same process has spent it, whoever opens the model again.
    assert [r.error for r in model(server).complete(["p"], max_tokens=5)] == ["over_budget"]


def test_ask_beyond_the_cost_is_over_budget_and_usage_says_what_was_spent(server, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("LAKE_LLM_PRICE", "100000/500000")  # a prompt of 7 costs 0.7, a reply of 2 costs 1
    monkeypatch.setenv("LAKE_LLM_MAX_COST", "8")
    lake = Lake(root=str(tmp_path / "lake"))
    replayed = Replayed(model(server, concurrency=1), lake, "edit@1")
    replies = replayed.complete([str(i) for i in range(9)], max_tokens=2)
    assert [r.error for r in replies] == [None] * 4 + ["over_budget"] * 5
    assert replayed.usage.cost == pytest.approx(4 * 1.7)
    assert replayed.usage.num_asked == 4
    # With more money the rest is asked: what was over the budget is not kept.
    monkeypatch.setenv("LAKE_LLM_MAX_COST", "80")
    again = Replayed(model(server), lake, "edit@1")
    assert [r.text for r in again.complete([str(i) for i in range(9)], max_tokens=2)] == ["ok"] * 9
    assert (again.usage.num_asked, again.usage.num_replayed) == (5, 4)


def test_limits_of_environment() -> None:
    assert limits_of({}) == Limits()
    named = {"LAKE_LLM_MAX_TOKENS": "5e6", "LAKE_LLM_PRICE": "0.15/0.60", "LAKE_LLM_MAX_COST": "2"}
    assert limits_of(named) == Limits(max_tokens=5e6, max_cost=2.0, price=Price(0.15, 0.6))
    assert Price(0.15, 0.6).of(2_000_000, 1_000_000) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"LAKE_LLM_MAX_TOKENS": "many"}, "LAKE_LLM_MAX_TOKENS is 'many'"),
        ({"LAKE_LLM_PRICE": "0.15"}, "two prices such as"),
        ({"LAKE_LLM_PRICE": "0.15/-1"}, "LAKE_LLM_PRICE is '-1'"),
        ({"LAKE_LLM_MAX_COST": "2"}, "needs LAKE_LLM_PRICE"),
        ({"LAKE_LLM_REQUESTS_PER_MINUTE": "nan"}, "must be a number"),
    ],
)
def test_limits_of_what_makes_no_sense_names_it(environment, says) -> None:
    with pytest.raises(ValueError, match=says):
        limits_of(environment)
