"""Sensors and schedules: new files become sources, partitions and runs by themselves; new telemetry becomes an
influence model, and a promoted model new members of L2; what is stale is made again at night."""

import hashlib
from collections.abc import Iterator, Sequence

import dagster as dg

from resources.encoder_resource import GpuEncoder
from resources.engines import Engines
from resources.lake import Lake
from resources.language_models.resource import GpuLanguageModel
from tier_assets import plan
from tier_assets.l0_raw.ingest import register_landing
from tier_assets.l1_filtered import assets as l1
from tier_assets.m1_training import assets as m1
from tier_assets.m2_influence import reference_assets as references
from tier_assets.partitions import corpora, partition_of, registered_keys
from tier_assets.rounds import round_in_force
from tier_assets.steering import steering_run

# Partitions that one look of the sensor asks for: it looks again when they are done.
RETIERED_AT_ONCE = 20
TIER_ASSETS = tuple(step.asset for step in plan.STEPS)

all_tiers = dg.define_asset_job(
    "all_tiers", selection=[*TIER_ASSETS, *plan.COMPARED], description="L0 to L4 of one partition, with checks"
)
find_duplicates = dg.define_asset_job(
    "find_duplicates", selection=[*plan.COMPARED], description="Compare the whole lake's documents"
)
learn_scorer = dg.define_asset_job(
    "learn_scorer", selection=[*plan.LEARNT], description="Rate the seed and publish a new scorer"
)

train_stage = dg.define_asset_job(
    "train_stage",
    selection=["reference_items", "mixtures", "training_telemetry"],
    description="Draw the next stage from L2 and train the reference model on it",
)
learn_influence = dg.define_asset_job(
    "learn_influence",
    selection=["reference_items", "influence_probes", "influence_models", "mixture_weights"],
    description="Probe the steering run's last checkpoint, learn an influence model, and weigh the domains",
)
draw_stage = dg.define_asset_job(
    "draw_stage", selection=["reference_items", "mixtures"], description="Draw the next training stage from L2"
)
retier = dg.define_asset_job(
    "retier",
    selection=[*plan.RETIERED],
    description="Scores and members of one partition in the round in force; no text is touched",
)
report = dg.define_asset_job("report", selection=["funnel"], description="The funnel of the whole lake")

JOBS = (all_tiers, find_duplicates, learn_scorer, train_stage, learn_influence, draw_stage, retier, report)


@dg.sensor(
    jobs=[all_tiers, find_duplicates, learn_scorer],
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def landing_sensor(
    context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake], llm: GpuLanguageModel, encoder: GpuEncoder
) -> dg.SensorResult:
    """Registers new files below `<lake>/landing/<corpus>/<snapshot>/` and asks for the runs that they need."""
    registered = register_landing(lake)
    for name, problem in registered.refused:
        context.log.warning(f"{name} was left alone: {problem}")
    known = set(context.instance.get_dynamic_partitions("corpora"))
    fresh = [key for key in registered_keys(lake) if key not in known]
    requests = list(_requests(lake, Engines(llm, encoder)))
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else "nothing has landed and every partition is current",
        dynamic_partitions_requests=[corpora.build_add_request(fresh)] if fresh else [],
    )


@dg.schedule(job=all_tiers, cron_schedule="0 3 * * *", default_status=dg.DefaultScheduleStatus.RUNNING)
def nightly(
    context: dg.ScheduleEvaluationContext, lake: dg.ResourceParam[Lake], llm: GpuLanguageModel, encoder: GpuEncoder
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Makes again what is stale: after a change of settings, prompts or model, or a run that failed."""
    night = f"{context.scheduled_execution_time:%Y-%m-%d}"
    engines = Engines(llm, encoder)
    stale = list(plan.stale_partitions(lake, engines, "l1" if plan.stale_scorer(lake, engines) else "l4"))
    for found in stale:
        yield dg.RunRequest(
            run_key=f"nightly:{night}:{found.key}",
            partition_key=found.key,
            asset_selection=_selected(found.assets),
        )
    if not stale:
        yield dg.SkipReason("every partition is current")


@dg.sensor(job=learn_influence, minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def telemetry_sensor(
    context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Asks for probes and an influence model once the steering run has left a checkpoint that is far enough."""
    run = steering_run(lake)
    if run is None:
        yield dg.SkipReason("no training run has reported yet")
        return
    checkpoint = plan.due_checkpoint(lake)
    if checkpoint is None:
        yield dg.SkipReason(f"{run!r} has no new checkpoint that is due")
    elif not checkpoint.folder.is_dir():
        yield dg.SkipReason(f"the checkpoint of step {checkpoint.step} of {run!r} is gone: {checkpoint.folder}")
    else:
        yield dg.RunRequest(
            run_key=f"influence:{run}:{checkpoint.step}",
            asset_selection=_named(plan.learning(lake, run)),
        )


@dg.sensor(jobs=[retier, draw_stage], minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def retier_sensor(context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]) -> dg.SensorResult:
    """Asks for the partitions that are still in an earlier round, RETIERED_AT_ONCE at a time, ahead of other runs; once
    none is left, for the draw of a training stage that waits to begin and was drawn from other members.

    A partition whose L1 failed a blocking check is left as it is. The cursor is the round and its model.
    """
    now = round_in_force(lake)
    waiting = plan.waiting_partitions(lake)
    for key in waiting.unsound:
        context.log.warning(f"{key} stays in its round: a blocking check of its L1 failed")
    requests = [
        dg.RunRequest(
            job_name="retier",
            run_key=f"retier:{now.number}:{key}",
            partition_key=key,
            tags={"dagster/priority": "10", "lake/round": str(now.number)},
        )
        for key in waiting.ready[:RETIERED_AT_ONCE]
    ]
    if not waiting.ready and (drawing := plan.stale_draw(lake)):
        requests.append(_drawing(lake, drawing))
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else f"every sound partition is in round {now.number}",
        cursor=f"{now.number}:{now.model_version}",
    )


def _drawing(lake: Lake, assets: Sequence[str]) -> dg.RunRequest:
    """A run that draws; its key names what it would draw from, so that it is asked for once."""
    read = sorted({*m1.draw_inputs(lake), *references.references_inputs()})
    situation = "".join(lake.state(name) for name in read)
    return dg.RunRequest(
        job_name="draw_stage",
        run_key=f"draw:{m1.draw_version(lake)}:{_hashed(situation)}:{assets[0]}",
        asset_selection=_named(assets),
    )


def _requests(lake: Lake, engines: Engines) -> Iterator[dg.RunRequest]:
    """Runs for what is stale; the run key names the situation, so that each is asked for once.

    New text is compared with the whole lake's in its own run. What that changes elsewhere, and what a withdrawal or a
    benchmark changes, comes in the next ones: first the comparison, then what it made stale.
    """
    learn = plan.stale_scorer(lake, engines)
    below = "l1" if learn else "l4"
    stale = list(plan.stale_partitions(lake, engines, below))
    extracting = any(set(found.assets) & set(plan.BEFORE_DUPLICATES) for found in stale)
    if plan.stale_duplicates(lake) and not extracting:
        situation = "".join(lake.state(name) for name in (*l1.duplicates_inputs(), "l1_duplicates"))
        yield dg.RunRequest(job_name="find_duplicates", run_key=f"duplicates:{_hashed(situation)}")
        return
    for found in stale:
        if found.assets[0] in plan.RETIERED and plan.awaits_round(lake, found.key):
            continue  # the retier sensor's
        # Often the same rows come out of L1 again: then nothing above it is stale any more.
        assets = ("l1_filtered",) if found.assets[0] == "l1_filtered" else found.assets
        yield dg.RunRequest(
            job_name="all_tiers",
            run_key=f"{found.key}:{_situation(lake, found.key)}:{below}:{assets[0]}",
            partition_key=found.key,
            asset_selection=_selected(assets),
        )
    if learn and not stale and lake.partitions("l1_filtered"):
        states = [lake.state(name) for name in ("l1_filtered", "scorers", "policies")]
        yield dg.RunRequest(
            job_name="learn_scorer",
            run_key=f"learn:{_hashed(repr(states))}:{learn[0]}",
            asset_selection=_named(learn),
        )


def _named(assets: Sequence[str]) -> list[dg.AssetKey]:
    return [dg.AssetKey(asset) for asset in assets]


def _selected(assets: Sequence[str]) -> list[dg.AssetKey]:
    """The assets, and between a partition's new texts and its l1 the comparison with the whole lake."""
    both = set(assets) & set(plan.BEFORE_DUPLICATES) and "l1_filtered" in assets
    return _named((*assets, *(plan.COMPARED if both else ())))


def _situation(lake: Lake, key: str) -> str:
    """What a run of the partition would start from: its sources, what was verified, and what was decided on it."""
    partition = partition_of(key)
    own = ("sources", "withdrawals", "l1_duplicates")
    whole = ("verifications", "benchmarks", "influence_rounds")
    states = [*(lake.state(name, partition) for name in own), *(lake.state(name) for name in whole)]
    return _hashed(repr(states))


def _hashed(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
