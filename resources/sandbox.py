"""Runs code that nobody has read, with tests that nobody has read either, and says whether the tests passed.

In: Python code that defines functions, tests that call them and assert. Out: a status, a line of detail, CPU seconds.
Cost: an interpreter and two forks of it, 46 ms of CPU a run (median of 60), of which 31 are the start and its imports.

What holds while it runs (`sandbox_walls` says how; each of the first three has two walls of the kernel before it):
    network    none: no interface, no address, no socket but a pair connected to itself
    files      the interpreter's standard library, to read; a private scratch folder in memory (`scratch_bytes`, 256
               files) that vanishes; no other file exists there, nor /proc, /sys, /dev, /etc
    processes  one for the code and one for the tests; neither can start a process or thread, run a program, signal,
               trace or outlive; environment, descriptors and standard streams of the lake are not passed on
    time       `cpu_s` for each process, `wall_s` in all; `memory_bytes` of address space for each; one line comes out
The same code and tests get the same status: hashes and the random generator start alike, unless the clock is asked.

What "passed" means: the tests' process ran the tests to their end, reached at least one assertion, and none failed.
The code cannot forge that: it never runs in the tests' process, does not have the tests' text, and only plain values
come from it (`sandbox_exchange`). Exiting, printing, patching `unittest`, an `__eq__` that is always true, replacing
`len` or reading frames and memory therefore change nothing but its own values. It follows that only functions can be
tested, on plain values, iterators and functions; instances of the code's own classes do not cross.
What is not guaranteed: that the tests are any good. They may assert what is always true, and since they come from the
same model they may be written to deceive: run them on code that must fail too, and refuse tests that import more than
they need (the task `code` does both). Bugs of the kernel, and time measured to tell things apart, are beyond it.
Without user namespaces, seccomp or the architecture that the filter is written for, nothing is run at all.
"""

from __future__ import annotations

import functools
import json
import math
import platform
import struct
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, get_args

Status = Literal["passed", "failed", "broken", "timed_out", "out_of_memory", "unavailable"]
ARCHITECTURE: Final = "x86_64"  # whose system calls the filter knows
_GRACE_S: Final = 10  # beyond the wall-clock limit, for a start on a busy machine
_BOOTSTRAP: Final = (
    "import sys; sys.path.append({root!r}); from resources.sandbox_inside import main; sys.path.pop(); main()"
)
# Every attempt must fail for the sandbox to be one; the tests' process looks at the list of those that did not.
_TRIAL_CODE: Final = """
import os, socket

def succeeded():
    attempts = {
        "read a file": lambda: open("/etc/passwd"),
        "write a file": lambda: open(os.__file__ + ".tried", "w"),
        "make a socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "make a process": os.fork,
        "signal a process": lambda: os.kill(1, 0),
    }
    found = []
    for name, attempt in attempts.items():
        try:
            attempt()
        except OSError:
            continue
        found.append(name)
    return found
"""
_TRIAL_TESTS: Final = "found = succeeded()\nassert found == [], found\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one run: CPU seconds of each process, wall seconds of all, address space of each, scratch folder."""

    cpu_s: int
    wall_s: int
    memory_bytes: int
    scratch_bytes: int


# The wall-clock limit is for code that waits: on a busy machine two seconds of CPU may take long.
DEFAULT: Final = Limits(cpu_s=2, wall_s=60, memory_bytes=512 << 20, scratch_bytes=16 << 20)


@dataclass(frozen=True, slots=True)
class Ran:
    """`status`: `passed`; `failed`: a test did, or a process ended early; `broken`: the code raised before the tests.

    `detail` is one line of at most 300 characters, written by what ran but for `unavailable`. `seconds` of CPU, the
    interpreter's start included.
    """

    status: Status
    detail: str
    seconds: float


def run(code: str, tests: str, limits: Limits = DEFAULT) -> Ran:
    """What became of `tests` on `code`; `unavailable`, and nothing was run, where `available` says why not."""
    why = available()
    return _run(code, tests, limits) if why is None else Ran("unavailable", why, 0.0)


@functools.cache
def available() -> str | None:
    """None where code can be run behind all walls here, else why not. Tried once, by a program that must fail."""
    if sys.platform != "linux" or platform.machine() != ARCHITECTURE:
        return f"the sandbox needs Linux on {ARCHITECTURE}; this is {sys.platform} on {platform.machine()}"
    tried = _run(_TRIAL_CODE, _TRIAL_TESTS, DEFAULT)
    return None if tried.status == "passed" else f"the sandbox does not hold here: {tried.detail}"


def _run(code: str, tests: str, limits: Limits) -> Ran:
    frames = (json.dumps(asdict(limits)), code, tests)
    request = b"".join(_frame(text.encode("utf-8", "surrogatepass")) for text in frames)
    root = str(Path(__file__).parents[1])
    process = subprocess.Popen(
        # No site packages, no user's, none of the working folder's, no cache files, UTF-8.
        [sys.executable, "-S", "-s", "-P", "-B", "-X", "utf8", "-c", _BOOTSTRAP.format(root=root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env={"PYTHONHASHSEED": "0", "TMPDIR": "/scratch"},
        start_new_session=True,
    )
    try:
        said, errors = process.communicate(request, timeout=limits.wall_s + _GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()  # the kernel ends the warden with it, and with the warden all that it started
        process.communicate()
        return Ran("timed_out", "wall-clock limit", 0.0)
    except BaseException:
        process.kill()
        process.wait()
        raise
    if errors or process.returncode or not said:
        lines = errors.decode("utf-8", "replace").strip().splitlines() or [f"status {process.returncode}"]
        return Ran("unavailable", lines[-1], 0.0)
    return _read(said)


def _read(said: bytes) -> Ran:
    fields = json.loads(said)
    status, detail = fields["status"], str(fields["detail"])
    if status not in get_args(Status):
        raise ValueError(f"the sandbox said {status!r}")
    # What ran chose the words: they must be storable, and one line.
    plain = " ".join(detail.encode("utf-8", "replace").decode().split())
    return Ran(status, plain, math.ceil(fields["seconds"] * 1e4) / 1e4)


def _frame(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content
