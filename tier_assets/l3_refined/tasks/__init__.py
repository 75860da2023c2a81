"""The tasks of L3, in the order in which they are asked. One file a task: prompt, parser and judge together."""

from tier_assets.l3_refined.tasks.edit import EDIT
from tier_assets.l3_refined.tasks.qa import QA
from tier_assets.l3_refined.tasks.task import Candidate, Judgement, Passage, Prompt, Reason, Task

TASKS: tuple[Task, ...] = (EDIT, QA)

__all__ = ["TASKS", "Candidate", "Judgement", "Passage", "Prompt", "Reason", "Task"]
