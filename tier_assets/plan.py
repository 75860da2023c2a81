"""What is stale: which steps have not been made from their inputs as they stand now.

One plan serves `lake run`, the sensors and the nightly schedule, so that nothing is redone that has not changed. A
step is stale when it never ran, when the slices it reads changed, when its code version (settings, prompts, model)
did, or when a step that it reads from is stale itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from resources.lake import Lake
from resources.language_models.resource import GpuLanguageModel
from resources.step import is_current
from tier_assets.l0_raw import assets as l0
from tier_assets.l1_filtered import assets as l1
from tier_assets.l2_selected import assets as l2
from tier_assets.l3_refined import assets as l3
from tier_assets.l4_organized import assets as l4
from tier_assets.partitions import partition_of, registered_keys

Partition = dict[str, str]


@dataclass(frozen=True)
class PartitionStep:
    """A partitioned step: its asset, tier, what it reads of a partition, and its code version."""

    asset: str
    tier: str
    inputs: Callable[[Partition], dict[str, Partition]]
    version: Callable[[Lake, GpuLanguageModel], str]


STEPS: tuple[PartitionStep, ...] = (
    PartitionStep("l0_raw", "l0", l0.raw_inputs, lambda lake, model: l0.STEP_VERSION),
    PartitionStep("l1_texts", "l1", l1.texts_inputs, lambda lake, model: l1.TEXTS_VERSION),
    PartitionStep("l1_contaminated", "l1", l1.contaminated_inputs, lambda lake, model: l1.CONTAMINATED_VERSION),
    PartitionStep("l1_filtered", "l1", l1.filter_inputs, lambda lake, model: l1.FILTERED_VERSION),
    PartitionStep("l2_scores", "l2", l2.scores_inputs, lambda lake, model: l2.SCORES_VERSION),
    PartitionStep("l2_selected", "l2", l2.selection_inputs, lambda lake, model: l2.selection_version(lake)),
    PartitionStep("l3_refined", "l3", l3.refinement_inputs, l3.refinement_version),
    PartitionStep("l4_facts", "l4", l4.organization_inputs, lambda lake, model: l4.organization_version(lake)),
)
# What comes before the whole lake's documents are compared, and what compares them.
BEFORE_DUPLICATES = ("l0_raw", "l1_texts", "l1_contaminated")
COMPARED = ("l1_duplicates",)
LEARNT = ("l2_annotations", "l2_scorer")


@dataclass(frozen=True)
class Stale:
    """Assets of one partition that are to be made again, in order; `state` names the situation they were found in."""

    key: str
    assets: tuple[str, ...]


def stale_partitions(lake: Lake, model: GpuLanguageModel, to: str = "l4") -> Iterator[Stale]:
    """The stale assets of every registered partition up to tier `to`, partitions in order."""
    for key in registered_keys(lake):
        if assets := stale_assets(lake, model, key, to):
            yield Stale(key, assets)


def stale_assets(lake: Lake, model: GpuLanguageModel, key: str, to: str = "l4") -> tuple[str, ...]:
    """The partition's stale assets up to tier `to`, in order; all that come after a stale one are stale."""
    partition = partition_of(key)
    steps = [step for step in STEPS if step.tier <= to]
    for number, step in enumerate(steps):
        if not is_current(lake, step.asset, partition, step.inputs(partition), step.version(lake, model)):
            return tuple(s.asset for s in steps[number:])
    return ()


def stale_duplicates(lake: Lake) -> tuple[str, ...]:
    """The asset that compares the whole lake's documents, where it is to be made again."""
    current = is_current(lake, "l1_duplicates", None, l1.duplicates_inputs(), l1.DUPLICATES_VERSION)
    return () if current or not lake.slices("l1_texts") else COMPARED


def stale_scorer(lake: Lake, model: GpuLanguageModel) -> tuple[str, ...]:
    """The unpartitioned assets that are to be made before any partition can be scored.

    A grown pool alone does not make the seed stale: one published scorer scores every partition until someone asks
    for a new one (`lake run --refresh-scorer`, or by materialising l2_annotations).
    """
    last = lake.last_step("l2_annotations")
    if last is None or last["code_version"] != l2.annotations_version(lake, model):
        return LEARNT
    if not is_current(lake, "l2_scorer", None, {"l2_annotations": {}}, l2.scorer_version(lake)):
        return LEARNT[1:]
    return ()
