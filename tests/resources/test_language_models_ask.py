"""Flights of requests: drawn as there is room, follow-ups, places, the order for the prefix cache, the replay cache."""

import random
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.lake import Lake
from resources.language_models import Replayed, Reply, Request, kept
from resources.language_models.kept import Hashes, KeptReplies, spans
from resources.language_models.look_ahead import LENGTH_STEP, SHARED_BEGINNING, handed_over, in_lots, ordered
from resources.language_models.protocol import LanguageModel
from resources.language_models.replay import LEAST_LOT
from resources.language_models.scripted import ScriptedModel


@pytest.fixture
def lake(tmp_path) -> Lake:
    made = Lake(root=str(tmp_path / "lake"))
    made.create()
    return made


def numbered(num: int) -> list[Request]:
    return [Request(f"p{i}", 9) for i in range(num)]


def models(lake: Lake) -> list[LanguageModel]:
    """A model bare, and another behind the cache."""
    return [ScriptedModel(), Replayed(ScriptedModel(), lake, "edit@1")]


def test_ask_replies_come_out_of_order_with_their_places(lake) -> None:
    for model in models(lake):
        found = list(model.ask(numbered(20)))
        assert sorted(place for place, _ in found) == list(range(20))
        assert [place for place, _ in found] != list(range(20))
        assert all(reply.text == f"p{place}" for place, reply in found)


def test_ask_nothing_gives_nothing(lake) -> None:
    for model in models(lake):
        assert list(model.ask([])) == []


def chain(first: int, depth: int, seen: list[str]) -> Iterator[Request | None]:
    """`first` requests, and `depth` follow-ups to each, asked once its reply is there."""
    yield from numbered(first)
    num_read, num_expected = 0, first * (depth + 1)
    while len(seen) < num_expected:
        while num_read < len(seen):
            text = seen[num_read]
            num_read += 1
            if text.count("+") < depth:
                yield Request(text + "+", 9)
        if len(seen) < num_expected:
            yield None


def test_ask_follow_ups_to_replies_join_the_flight(lake) -> None:
    for model in [*models(lake), Replayed(ScriptedModel(), lake, "edit@1")]:  # the last has every reply in the cache
        seen: list[str] = []
        for _, reply in model.ask(chain(100, 3, seen)):
            seen.append(reply.text or "")
        assert sorted(seen) == sorted(f"p{i}{'+' * depth}" for i in range(100) for depth in range(4))


def test_ask_iterable_that_waits_for_nothing_is_an_error(lake) -> None:
    for model in models(lake):
        with pytest.raises(ValueError, match="none is under way"):
            list(model.ask([Request("p", 9), None, None, None, None, None]))


def test_ask_draws_no_further_ahead_than_there_is_room(lake) -> None:
    for model, most in zip(models(lake), (4, 4 + LEAST_LOT), strict=True):
        drawn = 0

        def requests() -> Iterator[Request]:
            nonlocal drawn
            for request in numbered(1_000):
                drawn += 1
                yield request

        with closing(model.ask(requests())) as flight:
            for num_replies in range(1, 50):
                next(flight)
                assert drawn - num_replies <= most


def test_replayed_flight_of_kinds_and_versions_shares_nothing(lake) -> None:
    asked = [
        Request("a", 9),
        Request("a", 8),
        Request("a", 9, system="s"),
        Request("a", 9, temperature=0.5),
        Request("a", 9, temperature=0.5, sample=1),
        Request("a", 9, json_schema={"type": "object"}),
        Request("a", 9, prompt_version="edit@2"),
        Request("a", 1, options=("0", "1")),
    ]
    model = ScriptedModel()
    first = dict(Replayed(model, lake, "edit@1").ask(asked))
    assert len(model.prompts) == len(asked)
    assert dict(Replayed(model, lake, "edit@1").ask(asked)) == first
    assert len(model.prompts) == len(asked)
    rows = lake.scan("model_replies").select("prompt_version").collect()["prompt_version"]
    assert sorted(rows) == ["edit@1"] * 7 + ["edit@2"]


def test_replayed_key_stays_that_of_caches_written_before(lake) -> None:
    replayed = Replayed(ScriptedModel(), lake, "edit@1")
    assert replayed.key(Request("a b", 9)) == "2ba40a0a36ffef03028d44425f907fcb"
    assert replayed.key(Request("a b", 1, options=("0", "1"))) == "b92fb6348efdfa759a668b3a6b920e8e"


def test_replayed_same_request_twice_in_a_flight_is_asked_once(lake) -> None:
    draw = random.Random(0)
    numbers = [draw.randrange(300) for _ in range(2_000)]
    model = ScriptedModel(window=16)
    replayed = Replayed(model, lake, "edit@1")
    found = dict(replayed.ask(Request(f"p{i}", 9) for i in numbers))
    assert [found[place].text for place in range(2_000)] == [f"p{i}" for i in numbers]
    assert sorted(model.prompts) == sorted({f"p{i}" for i in numbers})
    assert replayed.usage.num_asked + replayed.usage.num_replayed == 2_000


def test_replayed_some_known_asks_the_others_in_one_flight(lake) -> None:
    class Counted(ScriptedModel):
        num_flights = 0

        def ask(self, requests):  # type: ignore[no-untyped-def]
            self.num_flights += 1
            return super().ask(requests)

    list(Replayed(ScriptedModel(), lake, "edit@1").ask(numbered(3_000)[::3]))
    model = Counted()
    found = dict(Replayed(model, lake, "edit@1").ask(numbered(3_000)))
    assert [found[place].text for place in range(3_000)] == [f"p{i}" for i in range(3_000)]
    assert (model.num_flights, len(model.prompts)) == (1, 2_000)


def test_replayed_caller_that_stops_keeps_what_came(lake) -> None:
    with closing(Replayed(ScriptedModel(), lake, "edit@1").ask(numbered(500))) as flight:
        for _ in range(100):
            next(flight)
    assert lake.scan("model_replies").select(pl.len()).collect().item() == 100


def test_replayed_replies_are_saved_while_the_flight_goes_on(lake, monkeypatch) -> None:
    monkeypatch.setattr(kept, "FLUSH_S", 0.0)
    with closing(Replayed(ScriptedModel(), lake, "edit@1").ask(numbered(500))) as flight:
        for num in range(1, 4):
            next(flight)
            assert lake.scan("model_replies").select(pl.len()).collect().item() >= num - 1


def test_kept_replies_are_found_wherever_they_lie(lake) -> None:
    draw = random.Random(1)
    keys = [f"{draw.getrandbits(128):032x}" for _ in range(3_000)]
    writing = KeptReplies(lake, "m@1")
    for number, key in enumerate(keys):
        writing.keep(key, "v", Reply(str(number), None, None, 1, 0, 1))
        if number % 700 == 0:
            writing.save()
    writing.save()
    for reading in (writing, KeptReplies(lake, "m@1")):
        for wanted in (keys[5:9], keys[::50], keys[:1] + keys[-1:], ["0" * 32], []):
            found = reading.find([*wanted, "f" * 32])
            assert {key: reply.text for key, reply in found.items()} == {
                key: str(keys.index(key)) for key in wanted if key in keys
            }
    assert KeptReplies(lake, "m@2").find(keys[:9]) == {}


@given(st.sets(st.integers(0, 60_000), min_size=1))
def test_spans_hold_every_row_in_few_parts(rows: set[int]) -> None:
    found = spans(np.array(sorted(rows)))
    assert len(found) <= kept.MOST_READS
    assert all(any(first <= row <= last for first, last in found) for row in rows)
    assert {first for first, _ in found} | {last for _, last in found} <= rows


@given(st.lists(st.lists(st.integers(0, 200), max_size=40), max_size=8), st.lists(st.integers(0, 200)))
def test_hashes_are_a_set(added: list[list[int]], asked: list[int]) -> None:
    numbers = Hashes(recent=10)
    for batch in added:
        numbers.add(batch)
    assert numbers.contain(np.array(asked, dtype=np.int64)) == [any(a in batch for batch in added) for a in asked]


def test_in_lots_waits_where_the_iterable_does() -> None:
    assert list(in_lots([1, 2, 3, None, None, 4], 2)) == [[1, 2], [3], [], [4]]


def test_handed_over_every_request_once_with_its_place() -> None:
    asked = [Request("x" * (i % 700) + str(i), 9, system="ab"[i % 2]) for i in range(1_300)]
    found = [item for item in handed_over(asked) if item is not None]
    assert sorted(place for place, _ in found) == list(range(1_300))
    assert all(asked[place] is request for place, request in found)


def test_ordered_keeps_a_passage_together_and_short_passages_first() -> None:
    long, short = "l" * (SHARED_BEGINNING + LENGTH_STEP), "s" * SHARED_BEGINNING
    lot = [Request(passage + f" task {task}", 9 * task) for task in (3, 1, 2) for passage in (long, short)]
    found = [request.prompt for _, request in ordered(list(enumerate(lot)))]
    assert [prompt[0] for prompt in found] == ["s"] * 3 + ["l"] * 3
    assert [prompt[-1] for prompt in found] == ["1", "2", "3"] * 2
