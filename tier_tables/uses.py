"""Which verification level each use in training asks of L3's records, where nobody has said otherwise.

A rule is of a use and a task; one without a task holds for every task that has none of its own. A record is fit for a
use where its `verification_level` is at least the rule's. Rows of `training_uses` stand in front of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LOWEST: Final = 1
# Above every level there is: keeps a task out.
NEVER: Final = 5


@dataclass(frozen=True, slots=True)
class Rule:
    """What `use` asks of the records of `task`, or of every task without a rule of its own; and why."""

    use: str
    task: str | None
    min_level: int
    reason: str


_CODE: Final = "code can be run, and more than half of what looks right fails: only what passed its tests teaches"
DEFAULT_USES: Final = (
    Rule("mid_training", None, 1, "breadth counts, and a claim that the source does not bear is what does harm"),
    Rule("mid_training", "code", 4, _CODE),
    Rule("decay", None, 2, "what is seen last, at a falling learning rate, is remembered most: samples must agree"),
    Rule("decay", "code", 4, _CODE),
    *(Rule("decay", task, 1, "its operations cannot change what the source says") for task in ("edit", "repair")),
    Rule("alignment", None, 3, "few records, each imitated as an answer: another prompt or model must agree"),
    Rule("alignment", "code", 4, _CODE),
)
USES: Final = tuple(dict.fromkeys(rule.use for rule in DEFAULT_USES))
