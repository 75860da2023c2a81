"""Sensors and schedules: new files in the landing folder become sources, partitions and runs by themselves; what is
stale is made again at night."""

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
from tier_assets.partitions import corpora, partition_of, registered_keys

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

report = dg.define_asset_job("report", selection=["funnel"], description="The funnel of the whole lake")


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
            asset_selection=[dg.AssetKey(asset) for asset in learn],
        )


def _selected(assets: Sequence[str]) -> list[dg.AssetKey]:
    """The assets, and between a partition's new texts and its l1 the comparison with the whole lake."""
    both = set(assets) & set(plan.BEFORE_DUPLICATES) and "l1_filtered" in assets
    return [dg.AssetKey(asset) for asset in (*assets, *(plan.COMPARED if both else ()))]


def _situation(lake: Lake, key: str) -> str:
    """What a run of the partition would start from: its sources, what was verified, and what was decided on it."""
    partition = partition_of(key)
    own = ("sources", "withdrawals", "l1_duplicates")
    states = [*(lake.state(name, partition) for name in own), lake.state("verifications"), lake.state("benchmarks")]
    return _hashed(repr(states))


def _hashed(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
