"""The pool `gpu`: one step at a time over all runs of a lake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from dagster import GraphDefinition, OpDefinition

from resources.engines import Engines
from resources.lake import Lake
from tier_assets.definitions import build
from tier_assets.instance import open_instance

# A run whose one step holds the pool that is named for a while, and prints from when to when.
RUN = """
import sys, time
import dagster as dg
from resources.lake import Lake
from tier_assets.instance import open_instance

@dg.op(pool=sys.argv[2] or None)
def hold():
    start = time.monotonic()
    time.sleep(1.5)
    print(start, time.monotonic())

@dg.job
def holding():
    hold()

with open_instance(Lake(sys.argv[1])) as instance:
    sys.stdin.readline()  # both begin at once
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    assert holding.execute_in_process(instance=instance, run_config=quiet).success
"""


def spans_of_two_runs(lake: Lake, pool: str) -> list[tuple[float, ...]]:
    """From when to when each of two processes held the step, in order."""
    with open_instance(lake):
        pass  # the instance's databases are made
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", RUN, lake.root, pool]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": env}
    runs = [subprocess.Popen(command, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    for run in runs:
        run.stdin.write("go\n")
        run.stdin.flush()
    spans = [tuple(map(float, run.communicate(timeout=240)[0].split())) for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    return sorted(spans)


@pytest.mark.slow
def test_two_runs_at_once_hold_the_pool_in_turns(tmp_path: Path) -> None:
    (_, first_end), (second_start, _) = spans_of_two_runs(Lake(str(tmp_path / "lake")), "gpu")
    assert second_start >= first_end


def test_steps_that_ask_a_language_model_are_in_the_pool(tmp_path: Path) -> None:
    definitions = build(str(tmp_path / "lake"), Engines())
    nodes = [made.node_def for made in definitions.resolve_asset_graph().assets_defs if made.is_executable]
    ops: list[OpDefinition] = []
    for node in nodes:
        ops += node.iterate_op_defs() if isinstance(node, GraphDefinition) else [node]  # type: ignore[list-item]
    # Steps that only commit what others staged need the model for its name; they pass no gate.
    asking = {op.name: op.pool for op in ops if {"llm", "gate"} <= set(op.required_resource_keys)}
    assert len(asking) >= 2
    assert set(asking.values()) == {"gpu"}
