from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resources.language_models.scripted import ScriptedModel
from resources.sandbox import available
from tests.l3_refined.test_refine import documents
from tier_assets.l3_refined.python_functions import functions
from tier_assets.l3_refined.refine import Settings, refine
from tier_assets.l3_refined.task import Ask, Candidate, Passage
from tier_assets.l3_refined.tasks.code import CODE, execute, function_name, solves, stubs

ROOT = Path(__file__).parents[2]
WHY_NOT = available()
sandboxed = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

SOURCE = '''def mean_gap(times):
    """
    The mean gap between neighbouring times of a sorted list.

    >>> mean_gap([1, 3, 8])
    3.5
    >>> mean_gap([2, 4])
    2.0
    """
    gaps = [b - a for a, b in zip(times, times[1:])]
    return sum(gaps) / len(gaps)
'''
PASSAGE = Passage("d", f"Gaps of departure times.\n\n{SOURCE}\n\nprint(1)\n", 0, len(SOURCE) + 40)
EXERCISE = (
    "Write a function `mean_gap` that takes a sorted list of times and returns the mean gap between neighbouring times."
)
TESTS = ["assert mean_gap([0, 4]) == 4.0", "assert mean_gap([1, 2, 5]) == 2.0"]
SOLUTION = ["def mean_gap(times):", "    return (times[-1] - times[0]) / (len(times) - 1)"]


def ask_of(style: str, passage: Passage = PASSAGE) -> Ask:
    return next(a for a in CODE.plan(passage) if a.style == style)


def candidate(style: str = "free", **changed: Any) -> Candidate:
    fields = {"exercise": EXERCISE, "solution": SOLUTION, "tests": TESTS} | changed
    return CODE.parse(json.dumps(fields), PASSAGE, ask_of(style))[0]


HELPED = """import math
from os import getcwd
import numpy as np

SCALE = 2

def twice(x):
    return SCALE * x

def area(r):
    return math.pi * twice(r)

def here(path):
    return getcwd() + path

def norm(v):
    return np.sum(v)

def shown(x):
    print(x)

def _private(x):
    return x

class Box:
    def size(self):
        return 1

def box(n):
    return [Box() for _ in range(n)]

def no_arguments():
    return 1

def unknown(x):
    return something(x)

def last(x):
    if x:
        return 1
"""


def test_functions_of_a_text_are_those_that_stand_alone_and_give_something() -> None:
    found = {f.name: f.source for f in functions(HELPED)}
    assert list(found) == ["twice", "area", "box"]
    assert found["twice"] == "SCALE = 2\n\ndef twice(x):\n    return SCALE * x\n"
    assert found["area"] == (f"import math\n\n{found['twice']}\ndef area(r):\n    return math.pi * twice(r)\n")
    assert found["box"].startswith("class Box:")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("We define a function of x.\nclass war\ndef initely not(", []),
        ("def f(x):\n    return x", ["f"]),
        ("def f(x):\n    y = x\n", []),  # may go on
        ("def f(x):\n    if x:\n        return x\n", []),
        ("def f(x):\n    if x:\n        return x\n\nEnd.", ["f"]),
        ("```\ndef f(\n    x,\n):\n    return x\n```", ["f"]),
        ("@cached\ndef f(x):\n    return x\n", []),
        ("from functools import cache\n\n@cache\ndef f(x):\n    return x\n", ["f"]),
        ("async def f(x):\n    return x\n", []),
        ("def f(x):\n    return eval(x)\n", []),
        ("def f(x):\n    return x.__class__\n", []),
        ("def sum(x):\n    return x\n", []),
        ("def f(x):\n    yield x\n\nx = 1", ["f"]),
        ("def f(x):\n    return (x\n\ndef g(x):\n    return x\n", ["g"]),
        ("def f(x):\n    return " + "(" * 5000 + ")" * 5000 + "\n", []),
    ],
)
def test_functions_of_a_piece_of_text_are_whole(text: str, names: list[str]) -> None:
    assert [f.name for f in functions(text)] == names


def test_examples_of_a_docstring_become_assertions_where_they_show_plain_values() -> None:
    doc = (
        ">>> f(1)\n    1\n    >>> f(1) is None\n    False\n    >>> f(y)\n    2\n    >>> g(1)\n    1\n"
        "    >>> f('a')\n    Traceback (most recent call last):\n    ValueError: a\n    >>> f(2)\n    <object at 0x1>\n"
    )
    (found,) = functions(f'def f(x):\n    """\n    {doc}    """\n    return x\n')
    assert found.examples == ("assert f(1) == 1", "assert (f(1) is None) == False")


def test_plan_asks_in_each_style_and_in_that_of_examples_where_there_are_two() -> None:
    assert [a.style for a in CODE.plan(PASSAGE)] == ["from_examples", "from_source", "free"]
    without = Passage("d", "def f(x):\n    return x * 2\n", 0, 30)
    assert [a.style for a in CODE.plan(without)] == ["from_source", "free"]
    assert CODE.plan(Passage("d", "No code stands here. It is prose about a function of x.", 0, 55)) == []


def test_plan_form_of_a_reply_is_one_a_style_whatever_the_function() -> None:
    asks = [*CODE.plan(PASSAGE), *CODE.plan(Passage("d", HELPED, 0, len(HELPED)))]
    assert len({a.given for a in asks}) > 2
    assert len({json.dumps(a.json_schema) for a in asks}) == len({a.style for a in asks}) == 3
    schema = ask_of("free").json_schema
    assert schema is not None
    exercise, tests = (schema["properties"][name] for name in ("exercise", "tests"))
    assert re.search(exercise["pattern"], EXERCISE)
    assert all(re.search(tests["items"]["pattern"], line) for line in TESTS)
    assert not re.search(tests["items"]["pattern"], "assert True")


def test_parse_takes_what_the_style_asks_for_from_the_model_and_the_rest_from_the_passage() -> None:
    free, source, examples = (candidate(style) for style in ("free", "from_source", "from_examples"))
    assert free.output == "\n".join(SOLUTION) + "\n"
    assert free.tests == source.tests == "\n".join(TESTS) + "\n"
    assert source.output == examples.output == SOURCE
    assert examples.tests == "assert mean_gap([1, 3, 8]) == 3.5\nassert mean_gap([2, 4]) == 2.0\n"
    assert [m.role for m in free.messages] == ["user", "assistant"]
    assert free.text == f"{EXERCISE}\n\n{free.output}"


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "no",
        "[]",
        "{}",
        '{"exercise": 1}',
        '{"exercise": "x"}',
        '{"exercise": "x", "solution": "y", "tests": []}',
        '{"exercise": "x", "solution": [1], "tests": []}',
        '{"exercise": "x", "solution": [], "tests": "z"}',
    ],
)
def test_parse_of_anything_else_is_refused(reply: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        CODE.parse(reply, PASSAGE, ask_of("free"))


# (what is changed in an acceptable reply, reason against it or None)
REPLIES: tuple[tuple[dict[str, Any], str | None], ...] = (
    ({}, None),
    ({"exercise": "Write `mean_gap`."}, "not_an_exercise"),
    ({"exercise": EXERCISE.replace("times.", "times, which,.")}, "unfinished"),
    ({"exercise": EXERCISE.removesuffix(".")}, "unfinished"),
    ({"exercise": f"{EXERCISE} {EXERCISE}"}, "repeats_itself"),
    ({"exercise": EXERCISE.replace("mean_gap", "gap")}, "function_not_named"),
    ({"exercise": EXERCISE.replace("list", "list of 12")}, "new_number"),
    ({"exercise": EXERCISE.replace("neighbouring", "Danish")}, "new_name"),
    ({"exercise": "Write a function `mean_gap` that takes a list and returns a number."}, "vague_exercise"),
    (
        {"exercise": "Write a function `mean_gap` that sorts times by their mean colour, weight, sound and price."},
        "exercise_off_function",
    ),
    ({"exercise": f"Say what its arguments are, what it does with them, for times. {EXERCISE}"}, "prompt_echo"),
    ({"solution": ["def mean_gap(times)", "    return 1"]}, "solution_unparsed"),
    ({"solution": ["def gap(times):", "    return times[0]"]}, "solution_lacks_function"),
    ({"solution": ["import os", *SOLUTION]}, "forbidden_in_solution"),
    ({"solution": ["def mean_gap(times):", "    return eval(times)"]}, "forbidden_in_solution"),
    ({"solution": [*SOLUTION, *TESTS]}, "tests_in_solution"),
    ({"solution": ["def mean_gap(times):", "    return 4.0"]}, "trivial_solution"),
    ({"solution": ["def mean_gap(times):", "    '''Mean.'''", "    pass"]}, "trivial_solution"),
    ({"solution": SOURCE.splitlines()}, "solution_copied"),
    ({"tests": ["assert mean_gap([0, 4]) =="]}, "tests_unparsed"),
    ({"tests": ["import os", *TESTS]}, "forbidden_in_tests"),
    ({"tests": ["import sys", "sys.exit(0)", *TESTS]}, "forbidden_in_tests"),
    ({"tests": [*TESTS, "assert mean_gap.__globals__ != {}"]}, "forbidden_in_tests"),
    ({"tests": [*SOLUTION, *TESTS]}, "tests_replace_solution"),
    ({"tests": ["mean_gap = lambda t: 4", *TESTS]}, "tests_replace_solution"),
    ({"tests": ["from solution import mean_gap", *TESTS]}, "forbidden_in_tests"),
    ({"tests": TESTS[:1]}, "too_few_tests"),
    ({"tests": [TESTS[0], TESTS[0]]}, "too_few_tests"),
    ({"tests": [TESTS[0], "assert True", "assert mean_gap([1, 2]) == mean_gap([1, 2])"]}, "too_few_tests"),
    ({"tests": ["mean_gap([1, 2])", "mean_gap([1, 3])"]}, "too_few_tests"),
    ({"tests": ["def test_one():", f"    {TESTS[0]}", "def test_two():", f"    {TESTS[1]}"]}, None),
)


@pytest.mark.parametrize(("changed", "reason"), REPLIES)
def test_accept_of_a_reply_gives_the_reason_against_it(changed: dict[str, Any], reason: str | None) -> None:
    judgement = CODE.accept(candidate(**changed), PASSAGE)
    found = [r.reason for r in judgement.reasons]
    assert judgement.level == (0 if found else 1)
    assert (reason in found) if reason else found == []


@pytest.mark.parametrize("style", ["from_examples", "from_source"])
def test_accept_of_the_passage_s_own_function_is_no_copy(style: str) -> None:
    assert CODE.accept(candidate(style), PASSAGE).reasons == ()


def test_stubs_give_nothing_the_first_argument_or_what_the_tests_expect() -> None:
    found = dict(stubs(candidate().output, candidate().tests or "", "mean_gap"))
    assert list(found) == ["None", "times", "4.0", "2.0"]
    assert found["4.0"] == "def mean_gap(times):\n    return 4.0"
    assert function_name(SOURCE) == "mean_gap"


# (what is changed in a candidate that passes, reason against it or None)
EXECUTED: tuple[tuple[dict[str, Any], str | None], ...] = (
    ({}, None),
    ({"tests": ["assert mean_gap([0, 4]) == 4.0", "assert mean_gap([1, 2, 5]) == 3.0"]}, "tests_failed"),
    ({"solution": ["def mean_gap(times):", "    return times[0] / 0"]}, "tests_failed"),
    ({"solution": ["gap = 1 / 0", *SOLUTION]}, "solution_broken"),
    ({"solution": ["def mean_gap(times):", "    while times: pass"]}, "timed_out"),
    ({"solution": ["def mean_gap(times):", "    return [0] * 10 ** 10"]}, "out_of_memory"),
    ({"solution": ["import sys", *SOLUTION, "sys.exit(0)"]}, "solution_broken"),
    ({"tests": ["assert mean_gap([0, 4]) != 0", "assert mean_gap([1, 2, 5]) != 0"]}, "tests_pass_without_solution"),
    ({"tests": ["assert mean_gap([0, 4]) == 4.0", "assert mean_gap([1, 5]) == 4.0"]}, "tests_pass_without_solution"),
    ({"tests": ["try:", *(f"    {t}" for t in TESTS), "except Exception:", "    pass"]}, "tests_pass_without_solution"),
)


@sandboxed
@pytest.mark.parametrize(("changed", "reason"), EXECUTED)
def test_execute_of_a_candidate_gives_the_reason_against_it(changed: dict[str, Any], reason: str | None) -> None:
    found = execute(candidate(**changed))
    assert [r.reason for r in found] == ([reason] if reason else [])
    assert all(r.detail for r in found)


@sandboxed
@pytest.mark.parametrize("style", ["from_examples", "from_source"])
def test_execute_of_the_passage_s_own_function_passes(style: str) -> None:
    assert execute(candidate(style)) == ()


SOLVED = "\n".join(SOLUTION)


@sandboxed
@pytest.mark.parametrize(
    ("reply", "solved"),
    [
        (SOLVED, True),
        (f"Here it is:\n```python\n{SOLVED}\n```\nIt divides.", True),
        (f"```\n{SOLVED}", True),
        ("def mean_gap(times):\n    return len(times)", False),
        ("It cannot be done.", False),
    ],
)
def test_solves_where_code_written_from_the_exercise_passes_the_tests(reply: str, solved: bool) -> None:
    assert solves([reply], candidate()) is solved


@sandboxed
@pytest.mark.parametrize(("blind", "kept"), [(SOLVED, [4]), ("def mean_gap(times):\n    return 1", [])])
def test_refine_code_is_kept_where_a_blind_solution_passes_too(blind: str, kept: list[int]) -> None:
    reply = json.dumps({"exercise": EXERCISE, "solution": SOLUTION, "tests": TESTS})
    free = replace(CODE, plan=lambda passage: [a for a in CODE.plan(passage) if a.style == "free"])
    settings = Settings(1, num_passages=1, passage_tokens=256, min_passage_words=5, tasks=(free,))
    model = ScriptedModel(lambda p: reply if p.startswith("Text:") else blind)
    found = refine(documents(d=PASSAGE.text), model, settings)
    assert found.rows["verification_level"].to_list() == kept
    assert found.rows["levels"].to_list() == [[1, 3, 4] for _ in kept]
    assert found.verdicts["reason"].to_list() == ["not_solved_from_exercise"] * (1 - len(kept))
    blind_asks = [p for p in model.prompts if not p.startswith("Text:")]
    assert blind_asks == [EXERCISE]


def test_execute_without_a_sandbox_does_not_keep_the_candidate() -> None:
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare of util-linux to forbid namespaces")
    program = (
        "from tests.l3_refined.test_code import candidate, execute; print(*(r.reason for r in execute(candidate())))"
    )
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    command = ["unshare", "-Ur", "sh", "-c", forbid, "sh", sys.executable, "-c", program]
    assert (
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == "sandbox_unavailable\n"
    )
