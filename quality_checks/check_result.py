"""What a check says: one small value, the same for suites and invariants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["error", "warn"]
Partition = Mapping[str, str]  # {"corpus": ..., "snapshot": ...}
MAX_FAILING_KEYS: Final = 20


@dataclass(frozen=True)
class Finding:
    """What one check found in the rows at hand.

    `severity` "error" blocks the next tier, "warn" only tells. `num_failed` counts failing rows, `failing_keys` holds
    the first `MAX_FAILING_KEYS` of their keys in order, `detail` says what is expected and, of a failure, what was
    found.
    """

    check: str
    severity: Severity
    num_failed: int
    failing_keys: tuple[str, ...]
    detail: str

    @property
    def passed(self) -> bool:
        """Whether no row failed."""
        return self.num_failed == 0


@dataclass(frozen=True)
class CheckResult(Finding):
    """A finding about one partition of one tier; `state` is the fingerprint of the files that were judged."""

    tier: str
    corpus: str
    snapshot: str
    state: str

    @property
    def blocks(self) -> bool:
        """Whether the next tier must not be made from this partition."""
        return not self.passed and self.severity == "error"


def partition_key(partition: Partition) -> str:
    """`corpus@snapshot`, as Dagster names the partition."""
    return f"{partition['corpus']}@{partition['snapshot']}"
