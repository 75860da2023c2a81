"""The Dagster instance of a lake: `<lake>/dagster`, made from the project's dagster.yaml."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import dagster as dg

from resources.lake import Lake

PROJECT = Path(__file__).resolve().parent.parent
# Which process a run runs in: its host, id, and when it was started (ids are used again).
PROCESS_TAG = "lake/process"


def dagster_home(lake: Lake) -> Path:
    """The instance's folder, with its dagster.yaml; made where there is none.

    A remote lake's instance is named by DAGSTER_HOME.

    Raises:
        ValueError: the lake is remote and DAGSTER_HOME names no folder.
    """
    if not lake.is_local:
        if not os.environ.get("DAGSTER_HOME"):
            raise ValueError(f"the lake {lake.root!r} is remote: name its Dagster instance by DAGSTER_HOME")
        return Path(os.environ["DAGSTER_HOME"])
    lake.create()
    home = Path(lake.root, "dagster")
    home.mkdir(exist_ok=True)
    if not (home / "dagster.yaml").exists():
        waiting = home / f".dagster.yaml.{os.getpid()}"
        shutil.copyfile(PROJECT / "dagster.yaml", waiting)
        os.replace(waiting, home / "dagster.yaml")
    return home


def open_instance(lake: Lake) -> dg.DagsterInstance:
    """The lake's instance; DAGSTER_HOME is set for what runs below this process."""
    home = dagster_home(lake)
    os.environ["DAGSTER_HOME"] = str(home)
    return dg.DagsterInstance.from_config(str(home))


def this_process() -> str:
    """Names this process as PROCESS_TAG does."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def end_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report as failed the runs whose process on this host is gone (killed, out of memory), and free the slots of the
    pools that they hold: else the next run waits for them for ever. Returns the runs' ids."""
    ended = []
    running = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
    for run in instance.get_runs(running):
        host, _, process = run.tags.get(PROCESS_TAG, "").partition(":")
        if host != socket.gethostname() or not process:
            continue
        pid, _, started = process.partition(":")
        if _started(int(pid)) != started:
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            instance.report_run_failed(run, f"process {pid} of the run is gone")
            ended.append(run.run_id)
    return ended


def _started(pid: int) -> str:
    """When a process was started, in ticks since the machine's start; empty where there is none (or no /proc)."""
    try:
        stat = Path("/proc", str(pid), "stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]
