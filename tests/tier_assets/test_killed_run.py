"""A run that was killed while it held the accelerator's slot does not hold up the next one."""

from __future__ import annotations

import subprocess
import sys

import dagster as dg

from resources.lake import Lake
from tier_assets.instance import PROCESS_TAG, end_dead_runs, open_instance, this_process


def claimed(instance: dg.DagsterInstance, process: str) -> str:
    """A run of `process` that has begun and holds the slot of the pool `gpu`; its id."""
    run_id = instance.create_run_for_job(
        dg.GraphDefinition("none").to_job(), tags={PROCESS_TAG: process}, status=dg.DagsterRunStatus.STARTED
    ).run_id
    instance.event_log_storage.initialize_concurrency_limit_to_default("gpu")
    instance.event_log_storage.claim_concurrency_slot("gpu", run_id, "step")
    return run_id


def holders(instance: dg.DagsterInstance) -> set[str]:
    return instance.event_log_storage.get_concurrency_info("gpu").active_run_ids


def process_that_has_ended() -> str:
    """The name of a process that named itself and is gone."""
    program = "from tier_assets.instance import this_process; print(this_process())"
    return subprocess.check_output([sys.executable, "-c", program], text=True).strip()


def test_dead_run_is_ended_and_its_slot_is_free(lake: Lake) -> None:
    with open_instance(lake) as instance:
        dead = claimed(instance, process_that_has_ended())
        assert holders(instance) == {dead}
        assert end_dead_runs(instance) == [dead]
        assert holders(instance) == set()
        run = instance.get_run_by_id(dead)
        assert run is not None
        assert run.status == dg.DagsterRunStatus.FAILURE


def test_live_run_and_runs_of_other_hosts_keep_their_slots(lake: Lake) -> None:
    with open_instance(lake) as instance:
        live = claimed(instance, this_process())
        assert end_dead_runs(instance) == []
        assert holders(instance) == {live}
        instance.event_log_storage.free_concurrency_slots_for_run(live)
        elsewhere = claimed(instance, "another-host:1:1")
        assert end_dead_runs(instance) == []
        assert holders(instance) == {elsewhere}
