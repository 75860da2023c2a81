"""What is stale: which steps have not been made from their inputs as they stand now.

One plan serves `lake run`, the sensors and the nightly schedule, so that nothing is redone that has not changed. A
step is stale when it never ran, when the slices it reads changed, when its code version (settings, prompts, model)
did, or when a step that it reads from is stale itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl

from quality_checks.gate import sound_partitions
from resources.engines import Engines
from resources.lake import Lake
from resources.step import is_current
from tier_assets.l0_raw import assets as l0
from tier_assets.l1_filtered import assets as l1
from tier_assets.l2_selected import assets as l2
from tier_assets.l2_selected import learn_assets as learnt
from tier_assets.l3_refined import assets as l3
from tier_assets.l4_organized import assets as l4
from tier_assets.m1_training import assets as m1
from tier_assets.m1_training.stages import REFERENCE_RUN, stands_drawn
from tier_assets.m2_influence import reference_assets as references
from tier_assets.m2_influence import score_assets as influence
from tier_assets.partitions import partition_of, registered_keys
from tier_assets.rounds import round_in_force
from tier_assets.steering import Checkpoint, last_checkpoint, steering_run, tokens_between

Partition = dict[str, str]


@dataclass(frozen=True)
class PartitionStep:
    """A partitioned step: its asset, tier, what it reads of a partition, and its code version."""

    asset: str
    tier: str
    inputs: Callable[[Partition, Engines], dict[str, Partition]]
    version: Callable[[Lake, Engines], str]


def _reading(
    inputs: Callable[[Partition], dict[str, Partition]],
) -> Callable[[Partition, Engines], dict[str, Partition]]:
    """`inputs` of a step that reads the same whatever the models."""
    return lambda partition, engines: inputs(partition)


STEPS: tuple[PartitionStep, ...] = (
    PartitionStep("l0_raw", "l0", _reading(l0.raw_inputs), lambda lake, engines: l0.STEP_VERSION),
    PartitionStep("l1_texts", "l1", _reading(l1.texts_inputs), lambda lake, engines: l1.TEXTS_VERSION),
    PartitionStep(
        "l1_contaminated", "l1", _reading(l1.contaminated_inputs), lambda lake, engines: l1.CONTAMINATED_VERSION
    ),
    PartitionStep("l1_filtered", "l1", _reading(l1.filter_inputs), lambda lake, engines: l1.FILTERED_VERSION),
    PartitionStep(
        "l2_embeddings",
        "l2",
        _reading(l2.embeddings_inputs),
        lambda lake, engines: l2.embeddings_version(engines.encoder),
    ),
    PartitionStep(
        "l2_scores",
        "l2",
        lambda partition, engines: l2.scores_inputs(partition, engines.encoder),
        lambda lake, engines: l2.scores_version(lake, engines.encoder),
    ),
    PartitionStep(
        "influence_scores",
        "l2",
        _reading(influence.scores_inputs),
        lambda lake, engines: influence.scores_version(lake),
    ),
    PartitionStep(
        "l2_selected",
        "l2",
        lambda partition, engines: l2.selection_inputs(partition, engines.encoder),
        lambda lake, engines: l2.selection_version(lake),
    ),
    PartitionStep(
        "l3_refined",
        "l3",
        _reading(l3.refinement_inputs),
        lambda lake, engines: l3.refinement_version(lake, engines.llm, engines.encoder),
    ),
    PartitionStep(
        "l4_facts", "l4", _reading(l4.organization_inputs), lambda lake, engines: l4.organization_version(lake)
    ),
)
# What comes before the whole lake's documents are compared, and what compares them.
BEFORE_DUPLICATES = ("l0_raw", "l1_texts", "l1_contaminated")
COMPARED = ("l1_duplicates",)
LEARNT = ("l2_annotations", "l2_page_labels", "l2_scorer", "l2_verification")
# What a new round of influence makes again; what is made of its members follows as any stale step does.
RETIERED = ("influence_scores", "l2_selected")


@dataclass(frozen=True)
class Stale:
    """Assets of one partition that are to be made again, in order; `state` names the situation they were found in."""

    key: str
    assets: tuple[str, ...]


def stale_partitions(lake: Lake, engines: Engines, to: str = "l4") -> Iterator[Stale]:
    """The stale assets of every registered partition up to tier `to`, partitions in order."""
    for key in registered_keys(lake):
        if assets := stale_assets(lake, engines, key, to):
            yield Stale(key, assets)


def stale_assets(lake: Lake, engines: Engines, key: str, to: str = "l4") -> tuple[str, ...]:
    """The partition's stale assets up to tier `to`, in order; all that come after a stale one are stale."""
    partition = partition_of(key)
    steps = [step for step in STEPS if step.tier <= to]
    for number, step in enumerate(steps):
        if not is_current(lake, step.asset, partition, step.inputs(partition, engines), step.version(lake, engines)):
            return tuple(s.asset for s in steps[number:])
    return ()


def stale_duplicates(lake: Lake) -> tuple[str, ...]:
    """The asset that compares the whole lake's documents, where it is to be made again."""
    current = is_current(lake, "l1_duplicates", None, l1.duplicates_inputs(), l1.DUPLICATES_VERSION)
    return () if current or not lake.slices("l1_texts") else COMPARED


def stale_scorer(lake: Lake, engines: Engines) -> tuple[str, ...]:
    """The unpartitioned assets that are to be made before any partition can be scored, in order.

    A grown pool alone does not make the seed stale: one published fit scores every partition until someone asks for a
    new one (`lake run --refresh-scorer`, or by materialising l2_annotations). A policy that was adopted is verified
    with the fit that stands.
    """
    wanted = (
        ("l2_annotations", learnt.annotations_version(lake, engines.llm)),
        ("l2_page_labels", learnt.page_labels_version(lake)),
    )
    stale = []
    for step, version in wanted:
        last = lake.last_step(step)
        if last is None or last["code_version"] != version:
            stale.append(step)
    fit = learnt.fit_version(lake, engines.encoder)
    if stale or not is_current(lake, "l2_scorer", None, learnt.fit_inputs(), fit):
        return (*stale, "l2_scorer", "l2_verification")
    version = learnt.verification_version(lake)
    current = is_current(lake, "l2_verification", None, learnt.VERIFICATION_INPUTS, version)
    return () if current else ("l2_verification",)


def awaits_round(lake: Lake, key: str) -> bool:
    """Whether the partition was selected in an earlier round than the one in force."""
    last = lake.last_step("l2_selected", partition_of(key))
    if last is None or last["round"] is None:
        return False
    return int(str(last["round"])) < round_in_force(lake).number


def stale_references(lake: Lake) -> tuple[str, ...]:
    """The asset that builds the reference sets, where it is to be made again."""
    version = references.references_version(lake)
    return (
        ()
        if is_current(lake, "reference_items", None, references.references_inputs(), version)
        else ("reference_items",)
    )


def stale_draw(lake: Lake) -> tuple[str, ...]:
    """The assets that draw again a stage that waits to begin, where L2 or its references have changed since.

    A stage that has begun stays as it was drawn, and the one after it waits until someone asks for it: its run may be
    in the middle of a stage.
    """
    if not stands_drawn(lake, steering_run(lake) or REFERENCE_RUN):
        return ()
    references_first = stale_references(lake)
    current = is_current(lake, "mixtures", None, m1.draw_inputs(lake), m1.draw_version(lake))
    return () if current and not references_first else (*references_first, "mixtures")


@dataclass(frozen=True)
class Waiting:
    """Partitions of an earlier round than the one in force: those that may be re-tiered, and those whose L1 failed a
    blocking check; they stay where they are."""

    ready: tuple[str, ...]
    unsound: tuple[str, ...]


def waiting_partitions(lake: Lake) -> Waiting:
    """The partitions that are not in the round in force, in order."""
    waiting = [key for key in registered_keys(lake) if awaits_round(lake, key)]
    sound = set(sound_partitions(lake, "l2").keys) if waiting else set()
    return Waiting(tuple(k for k in waiting if k in sound), tuple(sorted(set(waiting) - sound)))


def learning(lake: Lake, run: str) -> tuple[str, ...]:
    """What a new checkpoint of the run asks for: probes and a model; of a run that trains elsewhere, a mixture too."""
    weighed = () if run == REFERENCE_RUN else ("mixture_weights",)
    return (*stale_references(lake), "influence_probes", "influence_models", *weighed)


def due_checkpoint(lake: Lake) -> Checkpoint | None:
    """The steering run's checkpoint that is to be probed: one that no model was learnt on, once the run is
    LAKE_PROBE_STEPS steps and LAKE_PROBE_TOKENS tokens (default: any) further than the last that was probed.

    Raises:
        ValueError: one of the two is no whole number.
    """
    run = steering_run(lake)
    checkpoint = None if run is None else last_checkpoint(lake, run)
    if run is None or checkpoint is None:
        return None
    probed = lake.scan("influence_models").filter(pl.col("run") == run).select(pl.col("step").max()).collect().item()
    probed = probed or 0
    if checkpoint.step <= probed or checkpoint.step - probed < _setting("LAKE_PROBE_STEPS"):
        return None
    return checkpoint if tokens_between(lake, run, probed, checkpoint.step) >= _setting("LAKE_PROBE_TOKENS") else None


def _setting(name: str) -> int:
    value = os.environ.get(name, "0")
    if not value.isdigit():
        raise ValueError(f"{name} is {value!r}; a whole number was expected")
    return int(value)
