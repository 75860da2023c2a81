"""What a check says: one small value, the same for suites and invariants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["error", "warn"]
Partition = Mapping[str, str]  # {"corpus": ..., "snapshot": ...}
MAX_FAILING_KEYS: Final = 20


@dataclass(frozen=True)
class CheckResult:
    """One check on one partition of one tier.

    `severity` "error" blocks the next tier, "warn" only tells. `num_failed` counts failing rows, `failing_keys` holds
    the first `MAX_FAILING_KEYS` of their keys in order, `detail` says what was expected and, of a failure, what was
    found.
    """

    check: str
    tier: str
    severity: Severity
    passed: bool
    num_failed: int
    failing_keys: tuple[str, ...]
    detail: str


def partition_key(partition: Partition) -> str:
    """`corpus@snapshot`, as Dagster names the partition."""
    return f"{partition['corpus']}@{partition['snapshot']}"
