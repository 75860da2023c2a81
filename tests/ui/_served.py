"""`lake up` on a lake of a test's own: started, asked by GraphQL, and ended with all that it started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

LAKE = str(Path(sys.executable).with_name("lake"))
# Generous: a loaded machine takes ten times as long as an idle one, and a test that waits ends when it may.
PATIENCE_S = 300.0
LOCATION = "tier_assets.definitions"
SENSOR = """query($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) { ... on Sensor {
    id sensorState { status ticks(limit: 20) { status runKeys logEvents { events { level message } } } } } } }"""
STOP = (
    "mutation($id: String!) { stopSensor(id: $id) { ... on StopSensorMutationResult { instigationState { status } } } }"
)
RUNS = "{ runsOrError { ... on Runs { results { jobName status tags { key value } } } } }"

Found = TypeVar("Found")


def lake_command(root: Path, *arguments: str) -> str:
    """Run the `lake` command on a lake; returns what it printed."""
    environment = os.environ | {"LAKE_ROOT": str(root)}
    done = subprocess.run([LAKE, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"lake {' '.join(arguments)} exited {done.returncode}: {done.stderr[-2000:]}"
    return done.stdout


def eventually(look: Callable[[], Found], what: str, every_s: float = 0.5) -> Found:
    """What `look` finds once that is true.

    Raises:
        AssertionError: it was not within PATIENCE_S.
    """
    end = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < end, f"{what}: not within {PATIENCE_S:.0f} s"
        time.sleep(every_s)
    return found


@dataclass(frozen=True)
class Served:
    """A running `lake up`."""

    address: str
    root: Path

    def ask(self, query: str, variables: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Answer of the page's own GraphQL endpoint.

        Raises:
            AssertionError: the answer tells errors.
        """
        asked = {"query": query, "variables": variables or {}}
        answer = httpx.post(f"{self.address}/graphql", json=asked, timeout=PATIENCE_S).raise_for_status().json()
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def sensor(self, name: str) -> dict[str, Any]:
        """Id and state of a sensor, with its last ticks; empty where the page does not know it yet."""
        selector = {"repositoryName": "__repository__", "repositoryLocationName": LOCATION, "sensorName": name}
        found: dict[str, Any] = self.ask(SENSOR, {"selector": selector})["sensorOrError"]
        return found

    def stop_sensor(self, name: str) -> None:
        """Switch a sensor off and wait for the tick that was under way."""
        self.ask(STOP, {"id": self.sensor(name)["id"]})

        def at_rest() -> bool:
            state = self.sensor(name)["sensorState"]
            return state["status"] == "STOPPED" and all(tick["status"] != "STARTED" for tick in state["ticks"])

        eventually(at_rest, f"{name} is switched off")

    def runs(self) -> list[dict[str, Any]]:
        """Job, status and tags of all runs, newest first."""
        found: list[dict[str, Any]] = self.ask(RUNS)["runsOrError"]["results"]
        return found


@contextmanager
def lake_up(root: Path, log: Path) -> Iterator[Served]:
    """`lake up` on the lake at `root` in a process group of its own; what it printed goes with a failure."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served = Served(f"http://127.0.0.1:{port}", root)
    with log.open("wb") as printed:
        process = subprocess.Popen(
            [LAKE, "up", "--port", str(port)],
            env=os.environ | {"LAKE_ROOT": str(root)},
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def answers() -> bool:
        assert process.poll() is None, f"lake up exited {process.returncode}"
        try:
            return bool(served.sensor("landing_sensor"))
        except httpx.TransportError:
            return False  # not listening yet

    try:
        eventually(answers, "the page answers")
        yield served
    except BaseException as error:
        error.add_note(f"lake up printed:\n{log.read_text(errors='replace')[-6000:]}")
        raise
    finally:
        # Its daemon, servers and runs too; the lake is the test's own, so nothing is lost.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
