"""What runs inside the sandbox: a warden, the code under test, and the tests, each a process of its own.

In, on standard input: limits, the code, the tests. Out, on standard output: {status, detail, seconds}; on standard
error, only what kept the walls from standing.
The warden raises the walls and forks twice: first the process of the code, which never holds the tests' text, then the
process of the tests, whose functions of the code's names are calls over a pipe. Only the tests' process can write to
the warden, and only the warden can write the result.
Only the standard library is imported: this runs in a bare interpreter.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import functools
import json
import os
import resource
import select
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Final

from resources import sandbox_walls as walls
from resources.sandbox_exchange import MAX_TEXT, ClosedError, Peer, read, write

_LENGTH: Final = struct.Struct("<I")
_MAX_REPORT_BYTES: Final = 1 << 14
_GRACE_S: Final = 1.0  # for a process that closed its pipes to be gone
_TESTS_FILE: Final = "<tests>"
_REACHED: Final = "__assertion_reached__"
_REPORTED: Final = ("passed", "failed", "broken", "out_of_memory")  # what the tests' process may say of itself


def main() -> None:
    """Read a request, judge it and say so. Never returns to the interpreter's own clean-up."""
    try:
        limits = json.loads(_frame())
        walls.leave_namespaces()
        walls.die_with_parent()
        spent = time.process_time()
        warden = os.fork()  # the first process of the new process namespace: when it ends, all in it do
        if warden == 0:
            _ward(limits, spent)
            os._exit(0)
        _, status = os.waitpid(warden, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    except BaseException:
        # Standard error is the parent's to read; neither the code nor the tests can write there.
        traceback.print_exc()
        os._exit(1)


def _ward(limits: dict[str, int], cpu_s: float) -> None:
    """Raise the walls, start both processes, wait for a verdict within the time, end everything, say the verdict."""
    library, hidden = _library()
    nowhere = os.open(os.devnull, os.O_RDWR)
    walls.enter_new_root(library, hidden, limits["scratch_bytes"])
    walls.drop_privileges()
    walls.die_with_parent()  # the kernel forgets it where privileges change
    deadline = time.monotonic() + limits["wall_s"]
    bounds = limits["cpu_s"], limits["memory_bytes"], limits["scratch_bytes"]
    confine = functools.partial(walls.confine, library, *bounds)
    asked, answered, report = os.pipe(), os.pipe(), os.pipe()
    code = _frame()
    solution = _fork(_solve, (asked[0], answered[1]), nowhere, confine, code)
    tests = _fork(_test, (answered[0], asked[1], report[1]), nowhere, confine, code, _frame())
    for descriptor in (*asked, *answered, report[1]):
        os.close(descriptor)
    said = _report(report[0], deadline)
    status, detail = _verdict(said, solution, tests, deadline)
    os.kill(-1, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = cpu_s + time.process_time() + used.ru_utime + used.ru_stime
    write(1, json.dumps({"status": status, "detail": detail, "seconds": spent}).encode())


def _fork(
    function: Callable[..., None], keep: Sequence[int], nowhere: int, confine: Callable[[], None], *texts: bytes
) -> int:
    """A process behind all walls that holds the descriptors `keep` and, as its standard ones, those that lead nowhere.

    It runs `function`, and no line after it.
    """
    pid = os.fork()
    if pid:
        return pid
    try:
        confine()
        for standard in (0, 1, 2):
            os.dup2(nowhere, standard)
        kept = sorted({*keep, 0, 1, 2})
        for low, high in zip(kept, [*kept[1:], walls.MAX_DESCRIPTORS]):
            os.closerange(low + 1, high)
        function(*keep, *(t.decode("utf-8", "surrogatepass") for t in texts))
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _solve(reader: int, writer: int, code: str) -> None:
    """The code's process: run it as the module `solution`, then serve calls of its functions."""
    functions: dict[str, Callable[..., Any]] = {}
    peer = Peer(reader, writer, functions)
    module = type(sys)("solution")
    sys.modules["solution"] = module
    try:
        _same_random_numbers(code)
        exec(compile(code, "<solution>", "exec"), module.__dict__)
    except BaseException as error:
        status = "out_of_memory" if isinstance(error, MemoryError) else "broken"
        peer.send({"broken": status, "detail": _told(error, "<solution>", code)})
        return
    functions |= {name: value for name, value in vars(module).items() if callable(value)}
    peer.send({"ready": True})
    peer.serve()


def _test(reader: int, writer: int, report: int, code: str, tests: str) -> None:
    """The tests' process: run them against the code's functions and report."""
    peer = Peer(reader, writer, {})
    try:
        status, detail = _judge(peer, code, tests)
    except MemoryError:
        status, detail = "out_of_memory", "in the tests' process"
    write(report, json.dumps({"status": status, "detail": detail}).encode())


def _judge(peer: Peer, code: str, tests: str) -> tuple[str, str]:
    reached = 0

    def count() -> None:
        nonlocal reached
        reached += 1

    try:
        first = peer.receive()
    except ClosedError:
        return "ended", "the code ended its process"
    if "broken" in first:
        return str(first["broken"]), str(first.get("detail"))
    names = _functions(code)
    space: dict[str, Any] = {"__name__": "tests", _REACHED: count}
    space |= {name: peer.proxy(name) for name in names}
    solution = type(sys)("solution")
    vars(solution).update(space)
    sys.modules["solution"] = solution
    try:
        _same_random_numbers(tests)
        tree = _Counted().visit(ast.parse(tests, _TESTS_FILE))
        exec(compile(ast.fix_missing_locations(tree), _TESTS_FILE, "exec"), space)
        for name, value in list(space.items()):
            if name.startswith("test_") and callable(value) and name not in names:
                value()
    except ClosedError:
        return "ended", "the code ended its process"
    except MemoryError:
        return "out_of_memory", "MemoryError"
    except BaseException as error:
        return "failed", _told(error, _TESTS_FILE, tests)
    return ("passed", f"assertions reached: {reached}") if reached else ("failed", "no assertion was reached")


class _Counted(ast.NodeTransformer):
    """Puts a call of the counter before every assertion."""

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        counter = ast.Expr(ast.Call(ast.Name(_REACHED, ast.Load()), [], []))
        return [ast.copy_location(counter, node), node]


def _functions(code: str) -> list[str]:
    """Names that the tests get from the code: its own functions, but none that would replace a built-in one."""
    defined = (node.name for node in ast.parse(code).body if isinstance(node, ast.FunctionDef))
    return [name for name in dict.fromkeys(defined) if not hasattr(builtins, name)]


def _same_random_numbers(text: str) -> None:
    """Seed the generator where a text may use it: the same code and tests get the same verdict."""
    if "random" in text:
        import random

        random.seed(0)


def _told(error: BaseException, file: str, text: str) -> str:
    """One line on what was raised: the line of `text`, the kind and the message."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    number = lines[-1] if lines else getattr(error, "lineno", None)
    source = text.splitlines()[number - 1].strip() if number and number <= len(text.splitlines()) else ""
    try:
        said = f"{type(error).__name__}: {error}"
    except Exception:  # its own __str__ may do anything
        said = type(error).__name__
    return f"line {number}: {source}: {said}"[:MAX_TEXT]


def _report(reader: int, deadline: float) -> dict[str, Any] | None:
    """What the tests' process reported, or None where it ended or the time did."""
    content = b""
    while len(content) < _MAX_REPORT_BYTES:
        ready, _, _ = select.select([reader], [], [], max(0.0, deadline - time.monotonic()))
        part = os.read(reader, _MAX_REPORT_BYTES) if ready else b""
        if not part:
            break
        content += part
    try:
        said = json.loads(content)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def _verdict(said: dict[str, Any] | None, solution: int, tests: int, deadline: float) -> tuple[str, str]:
    """Status and detail, from the tests' report and from how both processes ended."""
    if said is None and time.monotonic() >= deadline:
        return "timed_out", "wall-clock limit"
    if said is not None and said.get("status") in _REPORTED:
        return said["status"], str(said.get("detail"))[:MAX_TEXT]
    whose, pid = ("the tests' process", tests) if said is None else ("the code's process", solution)
    ended = _ending(pid)
    if ended in (-signal.SIGXCPU, -signal.SIGKILL):
        return "timed_out", f"CPU limit, in {whose}"
    if ended is None:
        return "failed", f"{whose} closed its pipe"
    return "failed", f"{whose} ended {f'by signal {-ended}' if ended < 0 else f'with status {ended}'}"


def _ending(pid: int) -> int | None:
    """The exit status of a process that is ending, below 0 a signal; None where it goes on."""
    until = time.monotonic() + _GRACE_S
    while time.monotonic() < until:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def _library() -> tuple[list[str], list[str]]:
    """Folders that the interpreter needs, none in another, and those in them that hold other people's packages."""
    wanted = {os.path.realpath(p) for p in sys.path if os.path.isdir(p)}
    with open("/proc/self/maps") as maps:
        mapped = {line.split(maxsplit=5)[5].strip() for line in maps if len(line.split(maxsplit=5)) == 6}
    # Where the C library stands, so do those that modules of the standard library load.
    wanted |= {os.path.dirname(m) for m in mapped if os.path.basename(m).startswith(("libc.so", "libc-2"))}
    library = [p for p in sorted(wanted) if not any(p != q and p.startswith(q + "/") for q in wanted)]
    packages = (os.path.join(p, name) for p in wanted for name in ("site-packages", "dist-packages"))
    return library, [p for p in sorted(packages) if os.path.isdir(p)]


def _frame() -> bytes:
    (length,) = _LENGTH.unpack(read(0, _LENGTH.size))
    return read(0, length)
