"""The tasks of L3, in the order in which they are asked. One file a task: prompt, parser and judge together."""

from tier_assets.l3_refined.task import Ask, Candidate, Judgement, Passage, Prompt, Reason, Task
from tier_assets.l3_refined.tasks.edit import EDIT
from tier_assets.l3_refined.tasks.lookup import LOOKUP

TASKS: tuple[Task, ...] = (EDIT, LOOKUP)

__all__ = ["TASKS", "Ask", "Candidate", "Judgement", "Passage", "Prompt", "Reason", "Task"]
