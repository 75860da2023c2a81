"""Which of L3's records a use in training takes: rules by use and task, each the lowest verification level it asks for.

In: rows of `training_uses`. Out: the rules in force. The defaults and their reasons are in `tier_tables.uses`; the view
`l3_for_training` gives the records that meet the rules, `uses_in_force` the rules themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

import polars as pl

from tier_tables.refinement import TRAINING_USES
from tier_tables.uses import DEFAULT_USES, LOWEST, NEVER, USES, Rule

__all__ = ["DEFAULT_USES", "LOWEST", "NEVER", "USES", "Rule", "row_of", "rule_for", "standing"]


def standing(rows: pl.DataFrame) -> dict[tuple[str, str | None], Rule]:
    """The rule in force of each use and task: the last of `training_uses`, else the default; task None is all others.

    A rule of a task goes before one of all tasks, even where that is later.
    """
    found = {(rule.use, rule.task): rule for rule in DEFAULT_USES}
    for use, task, level, reason in rows.sort("set_at").select("use", "task", "min_level", "reason").iter_rows():
        found[use, task] = Rule(use, task, level, reason)
    return found


def rule_for(rules: Mapping[tuple[str, str | None], Rule], use: str, task: str) -> Rule:
    """The rule that holds for the records of `task` in `use`.

    Raises:
        KeyError: no rule of this use.
    """
    return rules.get((use, task)) or rules[use, None]


def row_of(use: str, task: str | None, level: int, reason: str, tasks: Collection[str]) -> pl.DataFrame:
    """A row of `training_uses` that sets a rule from now on.

    Raises:
        ValueError: unknown use, task or level, or no reason; the message names the good values.
    """
    known = sorted({*tasks, *(rule.task for rule in DEFAULT_USES if rule.task is not None)})
    if use not in USES:
        raise ValueError(f"unknown use {use!r}; known: {', '.join(USES)}")
    if task is not None and task not in known:
        raise ValueError(f"unknown task {task!r}; known: {', '.join(known)}")
    if not LOWEST <= level <= NEVER:
        levels = "1 grounded, 2 consistent, 3 checked, 4 executed, 5 keeps out"
        raise ValueError(f"unknown level {level}; known: {levels}")
    if not reason.strip():
        raise ValueError("a rule needs a reason: say why by --reason")
    row = {"use": use, "task": task, "min_level": level, "reason": reason.strip(), "set_at": datetime.now(UTC)}
    return pl.DataFrame([row], schema=TRAINING_USES.schema)
