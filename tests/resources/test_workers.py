"""The pool of killable workers: order, bounds, isolation, clean ends."""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from resources.workers import Died, WorkerError, Workers

# Some 8 s in all.
pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]


def double(number: int) -> int:
    return 2 * number


def process_id(_item: int) -> int:
    return os.getpid()


def behave(item: str) -> str:
    """Do what the item says, good or bad."""
    match item:
        case "loop":
            while True:
                pass
        case "loop in C":
            sum(range(10**12))
        case "swallow":
            while True:
                try:
                    while True:
                        pass
                except BaseException:
                    continue
        case "eat":
            blocks = []
            while True:
                blocks.append(bytearray(64 << 20))
        case "segfault":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(3)
        case "raise":
            raise KeyError("a bug")
        case "sleep":
            time.sleep(1)
        case "big":
            return "x" * 5_000_000
    return item


@pytest.fixture(scope="module")
def pool():
    with Workers(num_workers=2, cpu_s=0.5, memory_bytes=256 << 20, chunk_items=3) as workers:
        yield workers


def test_map_many_items_keeps_order_and_count(pool):
    assert list(pool.map(double, range(100))) == [2 * n for n in range(100)]


def test_map_no_items_yields_nothing(pool):
    assert list(pool.map(double, [])) == []


def test_map_partial_function_runs_with_its_arguments(pool):
    assert list(pool.map(partial(pow, 2), range(5))) == [1, 2, 4, 8, 16]


def test_map_large_results_and_items_do_not_block(pool):
    items = ["big", "y" * 5_000_000] * 6
    assert [len(text) for text in pool.map(behave, items)] == [5_000_000] * 12


def test_map_two_calls_reuse_the_processes(pool):
    first = set(pool.map(process_id, range(50)))
    assert first == set(pool.map(process_id, range(50)))
    assert os.getpid() not in first


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("loop", "timed_out"),
        ("loop in C", "timed_out"),
        ("swallow", "timed_out"),
        ("eat", "out_of_memory"),
        ("kill", "out_of_memory"),
        ("segfault", "crashed"),
        ("exit", "crashed"),
    ],
)
def test_map_bad_item_dies_alone(pool, bad, reason):
    results = list(pool.map(behave, ["a", "b", bad, "c", "d", "e", "f"]))
    assert isinstance(results[2], Died)
    assert results[2].reason == reason
    assert results[:2] + results[3:] == ["a", "b", "c", "d", "e", "f"]


def test_map_item_that_waits_without_cpu_is_no_time_out(pool):
    assert list(pool.map(behave, ["sleep"])) == ["sleep"]


def test_map_function_that_raises_rises_with_its_traceback(pool):
    with pytest.raises(WorkerError, match="a bug"):
        list(pool.map(behave, ["a", "raise", "b"]))
    assert list(pool.map(double, [1])) == [2]


def test_map_lambda_is_refused(pool):
    with pytest.raises(ValueError, match="top of a module"):
        list(pool.map(lambda x: x, [1]))


def test_map_abandoned_early_leaves_the_pool_usable(pool):
    for result in pool.map(double, range(1000)):
        if result == 4:
            break
    assert list(pool.map(double, range(10))) == [2 * n for n in range(10)]


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module `made_up` that runs a line when it is imported; gives its function `same`."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(line: str):
        (tmp_path / "made_up.py").write_text(
            f"import os, threading, time\n{line}\ndef same(x):\n    return behave(x)\n"
        )
        with (tmp_path / "made_up.py").open("a") as file:
            file.write("from tests.resources.test_workers import behave\n")
        return importlib.import_module("made_up").same

    yield make
    sys.modules.pop("made_up", None)


def test_map_many_workers_and_deaths_import_once(module, tmp_path):
    note = tmp_path / "imported"
    same = module(f"open({str(note)!r}, 'a').write('x')")
    note.unlink()
    with Workers(num_workers=3, chunk_items=1) as pool:
        found = list(pool.map(same, ["a", "exit", "b", "segfault", "c", "d"]))
    assert [x for x in found if not isinstance(x, Died)] == ["a", "b", "c", "d"]
    assert note.read_text() == "x"


def test_map_module_with_warm_up_runs_it_once_and_partly_applied_too(module, tmp_path):
    note = tmp_path / "warm"
    same = module(f"def warm_up(): open({str(note)!r}, 'a').write('x')")
    with Workers(num_workers=3, chunk_items=1) as pool:
        assert list(pool.map(partial(same), ["a", "exit", "b", "c"]))[2:] == ["b", "c"]
    assert note.read_text() == "x"


def test_map_warm_up_that_raises_rises(module):
    same = module("def warm_up(): raise KeyError('no model')")
    with Workers(num_workers=2) as pool, pytest.raises(WorkerError, match="no model"):
        list(pool.map(same, ["a"]))


def test_map_function_without_module_answers():
    with Workers(num_workers=1) as pool:
        assert list(pool.map(str.upper, ["a"])) == ["A"]


def test_map_function_whose_imports_start_threads_runs_in_fresh_processes(module):
    same = module("threading.Thread(target=time.sleep, args=(60,), daemon=True).start()")
    with Workers(num_workers=2, chunk_items=1) as pool:
        assert list(pool.map(same, ["a", "b", "c", "d"])) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("line", ["raise KeyError('a bug at import')", "os._exit(7)"])
def test_map_function_that_cannot_be_imported_rises(module, line):
    same = module(f"if __name__ and os.getpid() != {os.getpid()}: {line}")
    with Workers(num_workers=2) as pool, pytest.raises(WorkerError, match=r"a bug at import|status 7"):
        list(pool.map(same, ["a"]))


def test_close_ends_every_process():
    pool = Workers(num_workers=2)
    ids = set(pool.map(process_id, range(200)))
    pool.close()
    assert not any(Path(f"/proc/{number}").exists() for number in ids)
    assert pool.cpu_s > 0


def test_pool_in_a_script_without_guard_does_not_run_it_again(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import math\nfrom resources.workers import Workers\nprint('started')\n"
        "pool = Workers(num_workers=2)\nprint(list(pool.map(math.sqrt, [4.0, 9.0])))\n"
    )
    run = subprocess.run(
        [sys.executable, script], env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True
    )
    assert run.stdout == "started\n[2.0, 3.0]\n"


def test_workers_of_a_killed_parent_end_by_themselves(tmp_path):
    code = (
        "import os, signal\nfrom resources.workers import Workers\nfrom test_workers import process_id\n"
        "pool = Workers(num_workers=1)\nprint(next(pool.map(process_id, [1])), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = os.pathsep.join([str(REPOSITORY), str(Path(__file__).parent)])
    run = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE)
    worker = Path(f"/proc/{int(run.stdout)}/stat")
    for _ in range(100):
        if not worker.exists() or " Z " in worker.read_text():
            return
        time.sleep(0.1)
    pytest.fail("the worker outlived its parent")
