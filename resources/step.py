"""One step of a tier: reads slices, writes slices, and ends in one ledger row.

    reads = reads_of(lake, {"l0_raw": partition})
    with Step(lake, "l1", "l1_filtered", partition, run_id, version, reads) as step:
        ...
        step.commit(verdicts_stage)
        step.commit(rows_stage)
        step.counts(rows_in=10, rows_kept=9, rows_rejected=1)

Leaving the block without an error writes the ledger row and refreshes the catalog; with an error nothing that was
committed ever shows.
"""

from __future__ import annotations

import hashlib
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType

from resources.catalog import refresh
from resources.lake import Lake, RacingWriterError, Stage, Written

COUNTS = (
    "rows_in", "rows_kept", "rows_rejected", "tokens_in", "tokens_kept", "tokens_rejected",
    "prompt_tokens", "cached_prompt_tokens", "output_tokens",
)  # fmt: skip


def code_version(*parts: object) -> str:
    """Version of a step: a hash of what shapes its rows (its own version number, settings, prompts, model)."""
    return hashlib.blake2b("|".join(repr(p) for p in parts).encode(), digest_size=6).hexdigest()


def reads_of(lake: Lake, inputs: Mapping[str, Mapping[str, str]]) -> list[dict[str, object]]:
    """What a step over these inputs would read now: table, version and state of its slices, in table order."""
    found = []
    for name, partition in sorted(inputs.items()):
        slices = lake.slices(name, partition)
        version = max((s.version for s in slices), default=-1)
        found.append({"table": name, "version": version, "state": lake.state(name, partition)})
    return found


@dataclass
class Staged:
    """The handle that one op of a step gives to the next: staged files (verdicts first) and costs, never a frame."""

    partition: dict[str, str]
    reads: list[dict[str, object]]
    stages: list[Stage] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    cpu_s: float = 0.0
    gpu_s: float = 0.0
    llm_s: float = 0.0


class Step:
    """A step being run; see the module."""

    def __init__(
        self,
        lake: Lake,
        tier: str,
        step: str,
        partition: Mapping[str, str] | None,
        run_id: str,
        code_version: str,
        reads: Sequence[Mapping[str, object]],
        round_: int | None = None,
    ) -> None:
        self.lake, self.tier, self.step, self.run_id = lake, tier, step, run_id
        self.partition = dict(partition or {})
        self.round = round_
        self._code_version = code_version
        self._reads = list(reads)
        self._outputs: list[Written] = []
        self._carried: list[dict[str, object]] = []
        self._counts = dict.fromkeys(COUNTS, 0)
        self._gpu_s = self._llm_s = self._extra_cpu_s = 0.0

    def __enter__(self) -> Step:
        self._started_at, self._cpu = datetime.now(UTC), cpu_seconds()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            return
        if overtaken := [f"{w.table} {w.slice}" for w in self.lake.overtaken(self._outputs)]:
            raise RacingWriterError(f"another step committed {overtaken} meanwhile: {self.step} is not finished")
        self.lake.finish(
            {
                "tier": self.tier,
                "step": self.step,
                "corpus": self.partition.get("corpus"),
                "snapshot": self.partition.get("snapshot"),
                "round": self.round,
                "run_id": self.run_id,
                "input_versions": self._reads,
                "output_versions": [
                    {"table": w.table, "slice": w.slice, "version": w.version, "token": w.token} for w in self._outputs
                ]
                + self._carried,
                **self._counts,
                "cpu_s": round(cpu_seconds() - self._cpu + self._extra_cpu_s, 3),
                "gpu_s": round(self._gpu_s, 3),
                "llm_s": round(self._llm_s, 3),
                "code_version": self._code_version,
                "started_at": self._started_at,
            }
        )
        if self.lake.is_local:
            refresh(self.lake)

    def stage(self, table: str, **extra: str) -> Stage:
        """Begin writing this step's slice of `table`; `extra` names partition columns beyond corpus and snapshot."""
        return self.lake.stage(table, {**self.partition, **extra})

    def commit(self, stage: Stage, mode: str = "replace") -> Written:
        """Commit a staged slice; it shows when the step ends."""
        written = self.lake.commit(stage, mode, self.run_id)
        self._outputs.append(written)
        return written

    def stages(self, table: str, column: str, values: Sequence[str]) -> dict[str, Stage]:
        """Begin writing this step's slices of `table`, one for each of `values` of the partition column `column`."""
        partitions = [{**self.partition, column: value} for value in values]
        return dict(zip(values, self.lake.stages(table, partitions), strict=True))

    def commit_together(self, stages: Sequence[Stage]) -> None:
        """Commit slices that were begun together, in one version; they show when the step ends."""
        self._outputs += self.lake.commit_together(stages, self.run_id)

    def carry(self) -> None:
        """Stand by what this step wrote the last time: its slices stay as they are."""
        last = self.lake.last_step(self.step, self.partition)
        self._carried = list(last["output_versions"]) if last else []  # type: ignore[call-overload]

    def counts(self, **counts: int) -> None:
        """Add to the step's counts; names as in the ledger.

        Raises:
            ValueError: an unknown count.
        """
        unknown = set(counts) - set(COUNTS)
        if unknown:
            raise ValueError(f"unknown counts {sorted(unknown)}; known: {list(COUNTS)}")
        for name, value in counts.items():
            self._counts[name] += int(value)

    def all_counts(self) -> dict[str, int]:
        """The counts as they stand."""
        return dict(self._counts)

    def take(self, staged: Staged) -> None:
        """Commit what an earlier op staged, in its order, and take over its counts and costs."""
        for stage in staged.stages:
            self.commit(stage)
        self.counts(**staged.counts)
        self._extra_cpu_s += staged.cpu_s
        self._gpu_s += staged.gpu_s
        self._llm_s += staged.llm_s


def same_reads(last: Mapping[str, object] | None, reads: Sequence[Mapping[str, object]]) -> bool:
    """Whether a ledger row's step saw the very slices of `reads`."""
    if last is None:
        return False
    seen = {read["table"]: read["state"] for read in last["input_versions"]}  # type: ignore[attr-defined]
    return seen == {read["table"]: read["state"] for read in reads}


def is_current(
    lake: Lake, step: str, partition: Mapping[str, str] | None, inputs: Mapping[str, Mapping[str, str]], version: str
) -> bool:
    """Whether the step's last ledger row came from these very inputs and this code: nothing to redo."""
    last = lake.last_step(step, partition)
    if last is None or last["code_version"] != version:
        return False
    return same_reads(last, reads_of(lake, inputs))


def cpu_seconds() -> float:
    """CPU seconds of this process and its finished children."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
