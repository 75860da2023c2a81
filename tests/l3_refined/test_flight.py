"""Requests of many documents and tasks in one flight: what is asked, in which order outcomes come, what checks do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest

from resources.language_models import Reply, Request
from resources.language_models.scripted import ScriptedModel
from tier_assets.l3_refined.flight import Flight, Limits, offered
from tier_assets.l3_refined.task import Ask, Candidate, Check, Passage, Prompt, Reason, Task, judged

PROMPT = Prompt("p-0", "system", "{passage} {word}")
AGAIN = Prompt("again-0", "system", "again {output}")
ALL = Limits()


def parse(reply: str, passage: Passage, ask: Ask) -> list[Candidate]:
    return [Candidate("say", word, word, reply, passage.text, ask.style) for word in reply.split(",")]


def task(name: str = "t", words: Iterable[str] = ("a", "b"), **more: object) -> Task:
    def plan(passage: Passage) -> list[Ask]:
        return [Ask((("passage", passage.text), ("word", f"{name}{w}")), style=w) for w in words]

    def accept(candidate: Candidate, passage: Passage) -> object:
        return judged([Reason("bad", candidate.output)] if "bad" in candidate.output else [])

    return Task(name, PROMPT, 9, plan, parse, accept, **more)  # type: ignore[arg-type]


def check(**more: object) -> Check:
    return replace(
        Check(
            level=3,
            prompt=AGAIN,
            max_tokens=5,
            ask=lambda candidate, passage: Ask((("output", candidate.output),)),
            agrees=lambda replies, candidate: all("yes" in r for r in replies),
            needed=lambda candidate: False,
        ),
        **more,
    )


def documents(count: int = 3) -> list[tuple[str, list[Passage]]]:
    return [(f"d{i}", [Passage(f"d{i}", f"text {i}", 0, 6)]) for i in range(count)]


def fly(tasks: list[Task], model: object, count: int = 3, **more: object) -> list[tuple]:
    found = Flight(documents(count), tasks, ALL, model, **more)  # type: ignore[arg-type]
    return [
        (r.doc_id, o.candidate.output if o.candidate else None, sorted(o.levels), [x.reason for x in o.reasons])
        for r in found
        for o in r.finish()
    ]


def test_flight_gives_documents_and_outcomes_in_order_whatever_order_replies_come_in() -> None:
    tasks = [task("x", checks=(check(),)), task("y", words=("c",))]
    answer = lambda prompt: "yes" if prompt.startswith("again") else prompt.replace(" ", "")  # noqa: E731
    expected = fly(tasks, ScriptedModel(answer, window=1), 40)
    assert expected == fly(tasks, ScriptedModel(answer, window=9), 40)
    assert expected[:3] == [
        ("d0", "text0xa", [1, 3], []),
        ("d0", "text0xb", [1, 3], []),
        ("d0", "text0yc", [1], []),
    ]
    assert len(expected) == 120


@pytest.mark.parametrize(
    ("reply", "needed", "levels", "reasons"),
    [("yes", True, [1, 3], []), ("no", False, [1], []), ("no", True, [], ["second_reply_disagrees"])],
)
def test_flight_check_raises_leaves_or_rejects(reply: str, needed: bool, levels: list[int], reasons: list[str]) -> None:
    tasks = [task(words=("a",), checks=(check(needed=lambda candidate: needed),))]
    found = fly(tasks, ScriptedModel(lambda p: reply if p.startswith("again") else "out"), 1)
    assert found == [("d0", "out", levels, reasons)]


def test_flight_rejected_candidate_is_asked_nothing_more() -> None:
    model = ScriptedModel(lambda p: "bad")
    after = replace(
        task("after"), after="t", plan_from=lambda candidate, passage: [Ask((("passage", "p"), ("word", "w")))]
    )
    found = fly([task(words=("a",), checks=(check(),), execute=lambda c: ()), after], model, 2)
    assert found == [("d0", "bad", [], ["bad"]), ("d1", "bad", [], ["bad"])]
    assert len(model.prompts) == 2


def test_flight_of_a_check_with_samples_asks_each_and_weighs_them_together() -> None:
    asked = []

    class Noting(ScriptedModel):
        def ask(self, requests: Iterable[Request | None]) -> Iterator[tuple[int, Reply]]:
            def noted() -> Iterator[Request | None]:
                for request in requests:
                    if request is not None:
                        asked.append((request.prompt_version, request.temperature, request.sample))
                    yield request

            return super().ask(noted())

    three = check(level=2, num_samples=3, temperature=0.7, agrees=lambda replies, candidate: len(replies) == 3)
    found = fly([task(words=("a",), checks=(three,))], Noting(lambda p: "out"), 1)
    assert found == [("d0", "out", [1, 2], [])]
    assert asked == [("p-0", 0.0, 0), *[("again-0", 0.7, sample) for sample in range(3)]]


def test_flight_runs_what_can_be_executed_and_rejects_what_fails() -> None:
    def execute(candidate: Candidate) -> tuple[Reason, ...]:
        return (Reason("tests_failed", "1 of 2"),) if candidate.style == "b" else ()

    found = fly([task(execute=execute)], ScriptedModel(lambda p: p[-1]), 1)
    assert found == [("d0", "a", [1, 4], []), ("d0", "b", [], ["tests_failed"])]


def test_flight_task_after_another_asks_about_what_was_accepted_and_names_it() -> None:
    def plan_from(candidate: Candidate, passage: Passage) -> list[Ask]:
        return [Ask((("passage", passage.text), ("word", f"of {candidate.output}")))]

    after = task("child", after="t", plan_from=plan_from)
    model = ScriptedModel(lambda p: f"child{p[-1]}" if " of " in p else f"out{p[-1]}")
    (refinement,) = Flight(documents(1), [task(), after], ALL, model)
    found = refinement.finish()
    assert [o.candidate.output for o in found if o.candidate] == ["outa", "childa", "outb", "childb"]
    assert [o.writing.parent_id for o in found] == [None, found[0].record_id, None, found[2].record_id]


def test_flight_by_other_asks_the_checking_model_where_there_is_one() -> None:
    writer, checker = ScriptedModel(lambda p: "out"), ScriptedModel(lambda p: "yes")
    tasks = [task(words=("a",), checks=(check(by_other=True),))]
    assert fly(tasks, writer, 2, checker=checker) == [("d0", "out", [1, 3], []), ("d1", "out", [1, 3], [])]
    assert (len(writer.prompts), len(checker.prompts)) == (2, 2)
    assert fly(tasks, writer, 1) == [("d0", "out", [1], [])]


def test_flight_same_output_written_twice_is_one_outcome() -> None:
    found = fly([task(words=("a", "a"))], ScriptedModel(lambda p: "same"), 1)
    assert found == [("d0", "same", [1], [])]


def test_flight_holds_few_documents_open() -> None:
    begun = []

    def counted() -> Iterator[tuple[str, list[Passage]]]:
        for document in documents(50):
            begun.append(document[0])
            yield document

    for done, refinement in enumerate(Flight(counted(), [task()], ALL, ScriptedModel(lambda p: p), max_open=5)):
        assert refinement.doc_id == f"d{done}"
        assert len(begun) - done <= 6
    assert len(begun) == 50


def test_offered_draws_tasks_and_styles_evenly_and_the_same_again() -> None:
    tasks = [task(name, words="abcdefg") for name in ("x", "y", "z")]
    passages = [passages[0] for _, passages in documents(300)]
    drawn = [offered(tasks, passage, Limits(1, 1)) for passage in passages]
    assert drawn == [offered(tasks, passage, Limits(1, 1)) for passage in passages]
    names = [found[0][1].name for found in drawn]
    assert all(len(found) == 1 and len(found[0][2]) == 1 for found in drawn)
    assert all(70 <= names.count(name) <= 130 for name in ("x", "y", "z"))
    assert len({found[0][2][0][0] for found in drawn}) == 7


def test_offered_asks_what_is_always_asked_beside_those_that_are_drawn() -> None:
    tasks = [task(name) for name in ("x", "y", "z")]
    for _, (passage,) in documents(20):
        names = [t.name for _, t, _ in offered(tasks, passage, Limits(1, 1, always=("y",)))]
        assert names in (["x", "y"], ["y", "z"])


def test_offered_passes_over_tasks_that_have_nothing_to_ask() -> None:
    passage = Passage("d", "text", 0, 4)
    found = offered([task("none", words=()), task("some")], passage, Limits(1, None))
    assert [(place, t.name, len(asks)) for place, t, asks in found] == [(1, "some", 2)]


@pytest.mark.parametrize(
    ("settling", "with_checker", "says", "levels", "reasons"),
    [
        (True, True, "yes", [1, 3], []),
        (True, True, "no", [], ["doubt", "second_reply_disagrees"]),
        (True, False, "yes", [], ["doubt"]),
        (False, True, "yes", [], ["doubt"]),
    ],
)
def test_flight_doubts_are_settled_by_a_checking_model_or_reject(
    settling: bool, with_checker: bool, says: str, levels: list[int], reasons: list[str]
) -> None:
    doubtful = replace(
        task(words=("a",), checks=(check(settles=settling),)),
        accept=lambda candidate, passage: judged([], [Reason("doubt", candidate.output)]),
    )
    checker = ScriptedModel(lambda p: says) if with_checker else None
    writer = ScriptedModel(lambda p: "yes" if p.startswith("again") else "out")
    flight = Flight(documents(1), [doubtful], ALL, writer, checker)
    (refinement,) = flight
    (outcome,) = refinement.finish()
    assert (sorted(outcome.levels), [r.reason for r in outcome.reasons]) == (levels, reasons)
    assert (flight.num_judged, flight.num_kept) == (1, int(not reasons))
