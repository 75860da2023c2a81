"""The endpoint model against a real HTTP server on the loopback."""

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from resources.language_models.endpoint import NUM_TRIES, EndpointModel

Answer = Callable[[dict[str, Any], int], tuple[int, Any]]


class Server:
    """Answers `answer(payload, number of times this prompt came)` as (status, body); keeps what was asked."""

    def __init__(self) -> None:
        self.answer: Answer = lambda payload, times: (200, said("ok"))
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
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
                status, body = outer.answer(payload, times)
                with outer._lock:
                    outer.under_way -= 1
                self._send(status, body)

            def _send(self, status: int, body: Any) -> None:
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
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
