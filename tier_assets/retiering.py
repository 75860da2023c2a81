"""Sensors and schedules: new files in the landing folder become sources, partitions and runs by themselves; what is
stale is made again at night."""

import hashlib
from collections.abc import Iterator

import dagster as dg

from resources.lake import Lake
from resources.language_models.resource import GpuLanguageModel
from tier_assets import plan
from tier_assets.l0_raw.ingest import register_landing
from tier_assets.partitions import corpora, partition_of, registered_keys

TIER_ASSETS = tuple(step.asset for step in plan.STEPS)

all_tiers = dg.define_asset_job(
    "all_tiers", selection=[*TIER_ASSETS], description="L0 to L4 of one partition, with checks"
)
learn_scorer = dg.define_asset_job(
    "learn_scorer", selection=[*plan.LEARNT], description="Rate the seed and publish a new scorer"
)

report = dg.define_asset_job("report", selection=["funnel"], description="The funnel of the whole lake")


@dg.sensor(jobs=[all_tiers, learn_scorer], minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def landing_sensor(
    context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake], llm: GpuLanguageModel
) -> dg.SensorResult:
    """Registers new files below `<lake>/landing/<corpus>/<snapshot>/` and asks for the runs that they need."""
    registered = register_landing(lake)
    for name, problem in registered.refused:
        context.log.warning(f"{name} was left alone: {problem}")
    known = set(context.instance.get_dynamic_partitions("corpora"))
    fresh = [key for key in registered_keys(lake) if key not in known]
    requests = list(_requests(lake, llm))
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else "nothing has landed and every partition is current",
        dynamic_partitions_requests=[corpora.build_add_request(fresh)] if fresh else [],
    )


@dg.schedule(job=all_tiers, cron_schedule="0 3 * * *", default_status=dg.DefaultScheduleStatus.RUNNING)
def nightly(
    context: dg.ScheduleEvaluationContext, lake: dg.ResourceParam[Lake], llm: GpuLanguageModel
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Makes again what is stale: after a change of settings, prompts or model, or a run that failed."""
    night = f"{context.scheduled_execution_time:%Y-%m-%d}"
    stale = list(plan.stale_partitions(lake, llm))
    for found in stale:
        yield dg.RunRequest(
            run_key=f"nightly:{night}:{found.key}",
            partition_key=found.key,
            asset_selection=[dg.AssetKey(a) for a in found.assets],
        )
    if not stale:
        yield dg.SkipReason("every partition is current")


def _requests(lake: Lake, model: GpuLanguageModel) -> Iterator[dg.RunRequest]:
    """Runs for what is stale; the run key names the situation, so that each is asked for once."""
    learn = plan.stale_scorer(lake, model)
    below = "l1" if learn else "l4"
    stale = list(plan.stale_partitions(lake, model, below))
    for found in stale:
        yield dg.RunRequest(
            job_name="all_tiers",
            run_key=f"{found.key}:{_situation(lake, found.key)}:{below}",
            partition_key=found.key,
            asset_selection=[dg.AssetKey(a) for a in found.assets],
        )
    if learn and not stale and lake.partitions("l1_filtered"):
        yield dg.RunRequest(job_name="learn_scorer", run_key=f"learn:{lake.state('l1_filtered')}")


def _situation(lake: Lake, key: str) -> str:
    """What a run of the partition would start from: its sources and the published scorer."""
    states = (lake.state("sources", partition_of(key)), lake.state("scorers"))
    return hashlib.blake2b(repr(states).encode(), digest_size=8).hexdigest()
