"""The resources that Dagster hands to assets: the lake and its catalog."""

import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import dagster as dg
from dagster_duckdb import DuckDBResource

from resources.lake import Lake


class Refused(Protocol):
    """A partition that must not be built on."""

    @property
    def key(self) -> str:
        """Partition key."""
        ...

    @property
    def why(self) -> str:
        """Which check failed, and what to do."""
        ...


class Sound(Protocol):
    """Which partitions of a parent tier may be built on."""

    @property
    def keys(self) -> Sequence[str]:
        """Partition keys."""
        ...

    @property
    def refused(self) -> Sequence[Refused]:
        """The others."""
        ...


class Gate(Protocol):
    """Says whether a tier may be made from its parent, as that stands now."""

    def require(self, tier: str, corpus: str, snapshot: str) -> None:
        """Raises when the parent tier's partition has not passed its blocking checks."""

    def sound(self, tier: str) -> Sound:
        """The parent tier's partitions, sound and refused."""
        ...


def lake_root() -> str:
    """The lake named by LAKE_ROOT, `.lake` in the current folder by default."""
    return os.environ.get("LAKE_ROOT", ".lake")


@dg.resource(config_schema={"root": dg.Field(str, description="folder or s3://bucket/prefix")})
def lake_resource(context: dg.InitResourceContext) -> Lake:
    """The lake of this code location."""
    return Lake(context.resource_config["root"])


def catalog_resource(root: str) -> DuckDBResource:
    """The catalog, read-only: a reader blocks nobody."""
    return DuckDBResource(
        database=str(Path(root).absolute() / "lake.duckdb"), connection_config={"access_mode": "READ_ONLY"}
    )


class HandleIOManager(dg.ConfigurableIOManager):
    """Keeps the small handles that ops of one run pass on, so that a retried op finds them; never tables."""

    folder: str

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Write a handle below its run."""
        path = self._path(context)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(obj))

    def load_input(self, context: dg.InputContext) -> object:
        """Read the handle that an earlier op of the same run wrote."""
        if context.upstream_output is None:
            raise ValueError("a handle comes from an op of the same run")
        return pickle.loads(self._path(context.upstream_output).read_bytes())

    def _path(self, context: dg.OutputContext) -> Path:
        return Path(self.folder, context.run_id, f"{context.step_key}.{context.name}")
