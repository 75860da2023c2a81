"""The tasks of L3, one file each: prompt, parser, judge and checks together."""

from tier_assets.l3_refined.task import Ask, Candidate, Judgement, Passage, Prompt, Reason, Task
from tier_assets.l3_refined.tasks.code import CODE
from tier_assets.l3_refined.tasks.conversation import CONVERSATION
from tier_assets.l3_refined.tasks.edit import EDIT
from tier_assets.l3_refined.tasks.exercise import EXERCISE
from tier_assets.l3_refined.tasks.knowledge import KNOWLEDGE
from tier_assets.l3_refined.tasks.lookup import LOOKUP
from tier_assets.l3_refined.tasks.qa import QA
from tier_assets.l3_refined.tasks.repair import REPAIR
from tier_assets.l3_refined.tasks.rewrite import REWRITE

TASKS: tuple[Task, ...] = (EDIT, REPAIR, LOOKUP, QA, KNOWLEDGE, EXERCISE, CONVERSATION, REWRITE, CODE)

__all__ = ["TASKS", "Ask", "Candidate", "Judgement", "Passage", "Prompt", "Reason", "Task"]
