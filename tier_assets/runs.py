"""`lake run`: the same assets on the same instance as the UI's, one run a partition, in this process."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import dagster as dg

from resources.engines import Engines
from resources.lake import Lake
from tier_assets import plan
from tier_assets.instance import PROCESS_TAG, end_dead_runs, this_process
from tier_assets.partitions import add_keys

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Outcome:
    """What a `lake run` did: runs that succeeded, and problems by what they are about."""

    made: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


def run(
    lake: Lake,
    instance: dg.DagsterInstance,
    keys: Sequence[str],
    to: str,
    refresh_scorer: bool = False,
    engines: Engines | None = None,
    force: bool = False,
) -> Outcome:
    """Make what is stale in the partitions `keys`, up to tier `to`; a failing partition does not stop the others.

    With `force` every tier up to `to` is made again, stale or not.
    """
    os.environ["LAKE_ROOT"] = lake.root
    from tier_assets.definitions import build  # what it imports is not needed by `lake sql`

    engines = engines or Engines()
    definitions = build(lake.root, engines)
    end_dead_runs(instance)
    add_keys(instance, lake)
    outcome = Outcome()

    def make(job: str, assets: Sequence[str], key: str | None) -> None:
        name = f"{', '.join(assets)}{f' of {key}' if key else ''}"
        result = definitions.resolve_job_def(job).execute_in_process(
            instance=instance,
            partition_key=key,
            asset_selection=[dg.AssetKey(a) for a in assets],
            raise_on_error=False,
            run_config=QUIET,
            tags={PROCESS_TAG: this_process()},
        )
        if result.success:
            outcome.made.append(name)
        else:
            outcome.problems[key or ", ".join(assets)] = problem_of(result)

    def make_partitions(first: str, last: str, among: Sequence[str]) -> None:
        for key in keys:
            if force:
                assets = tuple(step.asset for step in plan.STEPS if first <= step.tier <= last)
            else:
                assets = plan.stale_assets(lake, engines, key, last)
            chosen = [asset for asset in assets if asset in among]
            if chosen and key not in outcome.problems:
                make("all_tiers", chosen, key)

    make_partitions("l0", min(to, "l1"), plan.BEFORE_DUPLICATES)
    if to >= "l1":
        if compared := plan.COMPARED if force else plan.stale_duplicates(lake):
            make("find_duplicates", compared, None)
        make_partitions("l1", "l1", ["l1_filtered"])
    if to >= "l2":
        learn = plan.LEARNT if refresh_scorer else plan.stale_scorer(lake, engines)
        if learn and lake.partitions("l1_filtered"):
            make("learn_scorer", learn, None)
        make_partitions("l2", to, [step.asset for step in plan.STEPS if step.tier >= "l2"])
    if outcome.made:
        make("report", ["funnel"], None)
    return outcome


def problem_of(result: dg.ExecuteInProcessResult) -> str:
    """The first failure of a run, in a line: a step's own error, or the checks that stopped it."""
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.error is not None:
            error = event.step_failure_data.error
            while error.cause is not None:
                error = error.cause
            # "package.module.SomeError: what is wrong": the last part is for the reader.
            return re.sub(r"^[\w.]+: ", "", " ".join(error.message.split()))
    checks = [c.check_name for c in result.get_asset_check_evaluations() if not c.passed]
    return f"checks failed: {', '.join(checks)}" if checks else "the run failed; see it in the UI"
