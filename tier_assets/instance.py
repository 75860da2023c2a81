"""The Dagster instance of a lake: `<lake>/dagster`, made from the project's dagster.yaml."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import dagster as dg

from resources.lake import Lake

PROJECT = Path(__file__).resolve().parent.parent


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
