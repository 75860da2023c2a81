"""The gate: a tier is made only from a parent partition that passed its blocking checks as it stands now.

Dagster's blocking checks stop only the run they are in. The gate holds across runs: it reads the last recorded
results; a partition whose files changed since then, or that was never judged, is judged on the spot and recorded.

Tier rooms cannot import this module (imports run downward): their assets take a resource `gate` with the one method
`require`, and definitions.py binds `gate_resource` to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from quality_checks.check_result import CheckResult, partition_key
from quality_checks.judge import check_names, judge_partition, last_results, record
from quality_checks.rows import parent_of
from resources.lake import Lake
from tier_tables import MAIN_TABLES, TIERS


class UnsoundParentError(RuntimeError):
    """The parent partition failed a blocking check, or was never made; the message says what to do."""


@dataclass(frozen=True)
class Refused:
    """A partition that must not be built on: its key, and why in one paragraph."""

    key: str
    why: str


@dataclass(frozen=True)
class Sound:
    """Parent partitions of a tier that may be built on (`keys`, sorted) and those that may not."""

    keys: tuple[str, ...]
    refused: tuple[Refused, ...]


def require_sound_parent(lake: Lake, tier: str, corpus: str, snapshot: str, run_id: str = "gate") -> None:
    """Let the step of `tier` on this partition begin, or raise; l0 has no parent and always may.

    Raises:
        UnsoundParentError: the parent partition failed a blocking check or was never made.
        ValueError: unknown tier.
    """
    if tier == TIERS[0]:
        return
    parent = parent_of(tier)
    name, key = MAIN_TABLES[parent].name, partition_key({"corpus": corpus, "snapshot": snapshot})
    again = f"`lake run --corpus {corpus} --snapshot {snapshot} --to {parent} --force`"
    if lake.last_step(name, {"corpus": corpus, "snapshot": snapshot}) is None:
        raise UnsoundParentError(f"{name} of {key} was never made, so {tier} cannot be made from it: run {again} first")
    failed = [r for r in results_now(lake, parent, corpus, snapshot, run_id) if r.blocks]
    if failed:
        raise UnsoundParentError(
            f"{tier} is not made from {name} of {key}: {'; '.join(_said(r) for r in failed)}. "
            f"Mend the source or the step, run {again}, then this again; "
            f"`lake check --tier {parent}` shows all its checks."
        )


def results_now(lake: Lake, tier: str, corpus: str, snapshot: str, run_id: str = "gate") -> list[CheckResult]:
    """The results that hold for the partition as it stands: recorded ones, or judged and recorded now."""
    state = lake.state(MAIN_TABLES[tier].name, {"corpus": corpus, "snapshot": snapshot})
    last = [r for r in last_results(lake, tier, corpus, snapshot) if r.state == state]
    if {r.check for r in last} == set(check_names(tier)):
        return last
    results = judge_partition(lake, tier, corpus, snapshot)
    record(lake, results, run_id)
    return results


def sound_partitions(lake: Lake, tier: str, run_id: str = "gate") -> Sound:
    """Which parent partitions a step of `tier` over all partitions may read.

    Raises:
        ValueError: unknown tier, or l0, which has no parent.
    """
    made = lake.ledger().filter(step=MAIN_TABLES[parent_of(tier)].name).select("corpus", "snapshot").drop_nulls()
    keys: list[str] = []
    refused: list[Refused] = []
    for corpus, snapshot in sorted(made.unique().iter_rows()):
        key = partition_key({"corpus": corpus, "snapshot": snapshot})
        try:
            require_sound_parent(lake, tier, corpus, snapshot, run_id)
        except UnsoundParentError as error:
            refused.append(Refused(key, str(error)))
        else:
            keys.append(key)
    return Sound(tuple(keys), tuple(refused))


def _said(result: CheckResult) -> str:
    keys = ", ".join(result.failing_keys[:5])
    more = ", ..." if result.num_failed > 5 else ""
    return f"check {result.check} failed in {result.num_failed} ({keys}{more}): {result.detail}"


@dataclass(frozen=True)
class LakeGate:
    """The gate of one lake, as assets take it."""

    lake: Lake

    def require(self, tier: str, corpus: str, snapshot: str) -> None:
        """As `require_sound_parent`, as a failure that Dagster does not try again."""
        try:
            require_sound_parent(self.lake, tier, corpus, snapshot)
        except UnsoundParentError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error

    def sound(self, tier: str) -> Sound:
        """As `sound_partitions`."""
        return sound_partitions(self.lake, tier)


@dg.resource(required_resource_keys={"lake"})
def gate_resource(context: dg.InitResourceContext) -> LakeGate:
    """The gate of the code location's lake (resource key `lake`)."""
    return LakeGate(context.resources.lake)
