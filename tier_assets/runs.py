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
from tier_assets.m1_training.stages import REFERENCE_RUN
from tier_assets.partitions import add_keys, registered_keys
from tier_assets.steering import steering_run

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Outcome:
    """What a `lake run` did: runs that succeeded, and problems by what they are about."""

    made: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


class Runner:
    """Runs jobs of the lake's definitions in this process, and notes what came of each."""

    def __init__(self, lake: Lake, instance: dg.DagsterInstance, engines: Engines | None) -> None:
        os.environ["LAKE_ROOT"] = lake.root
        from tier_assets.definitions import build  # what it imports is not needed by `lake sql`

        self.lake, self.instance, self.engines = lake, instance, engines or Engines()
        self.outcome = Outcome()
        self._definitions = build(lake.root, self.engines)
        end_dead_runs(instance)
        add_keys(instance, lake)

    def make(self, job: str, assets: Sequence[str], key: str | None = None) -> bool:
        """Run these assets of a job, of one partition where a key is given; whether they succeeded."""
        name = f"{', '.join(assets)}{f' of {key}' if key else ''}"
        result = self._definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=key,
            asset_selection=[dg.AssetKey(a) for a in assets],
            raise_on_error=False,
            run_config=QUIET,
            tags={PROCESS_TAG: this_process()},
        )
        if result.success:
            self.outcome.made.append(name)
        else:
            self.outcome.problems[key or ", ".join(assets)] = problem_of(result)
        return result.success

    def make_partitions(
        self, keys: Sequence[str], first: str, last: str, among: Sequence[str], force: bool = False
    ) -> None:
        """Make what is stale of `among` in the partitions, tiers `first` to `last`; with `force` all of it."""
        for key in keys:
            if force:
                assets = tuple(step.asset for step in plan.STEPS if first <= step.tier <= last)
            else:
                assets = plan.stale_assets(self.lake, self.engines, key, last)
            chosen = [asset for asset in assets if asset in among]
            if chosen and key not in self.outcome.problems:
                self.make("all_tiers", chosen, key)

    def make_upper(self, keys: Sequence[str], to: str, force: bool = False) -> None:
        """Make what is stale from L2 on."""
        self.make_partitions(keys, "l2", to, [step.asset for step in plan.STEPS if step.tier >= "l2"], force)

    def redraw(self) -> None:
        """Draw a training stage again that waits to begin, once no partition waits for the round in force."""
        if not plan.waiting_partitions(self.lake).ready and (drawing := plan.stale_draw(self.lake)):
            self.make("draw_stage", drawing)

    def end(self) -> Outcome:
        """Report what was made, and say it."""
        if self.outcome.made:
            self.make("report", ["funnel"])
        return self.outcome


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
    runner = Runner(lake, instance, engines)
    runner.make_partitions(keys, "l0", min(to, "l1"), plan.BEFORE_DUPLICATES, force)
    if to >= "l1":
        if compared := plan.COMPARED if force else plan.stale_duplicates(lake):
            runner.make("find_duplicates", compared)
        runner.make_partitions(keys, "l1", "l1", ["l1_filtered"], force)
    if to >= "l2":
        learn = plan.LEARNT if refresh_scorer else plan.stale_scorer(lake, runner.engines)
        if learn and lake.partitions("l1_filtered"):
            runner.make("learn_scorer", learn)
        runner.make_upper(keys, to, force)
        runner.redraw()
    return runner.end()


def turn(lake: Lake, instance: dg.DagsterInstance, engines: Engines | None = None, train: bool = True) -> Outcome:
    """One turn of the loop: the next stage is drawn and trained on (where the reference run steers), the checkpoint
    probed, a model learnt, L2 re-tiered by it, what is made of L2 made again, and the stage after drawn.

    Without `train` a checkpoint that a run has reported is probed. A step that fails ends the turn.
    """
    runner = Runner(lake, instance, engines)
    keys = registered_keys(lake)
    drawing = [*plan.stale_references(lake), "mixtures"]
    if train and not runner.make("train_stage", [*drawing, "training_telemetry"]):
        return runner.end()
    if not runner.make("learn_influence", plan.learning(lake, steering_run(lake) or REFERENCE_RUN)):
        return runner.end()
    runner.make_upper(keys, "l4")
    runner.make("draw_stage", [*plan.stale_references(lake), "mixtures"])
    return runner.end()


def retier(lake: Lake, instance: dg.DagsterInstance, keys: Sequence[str], engines: Engines | None = None) -> Outcome:
    """Bring the partitions into the round in force, and make again what is made of their members: L3, L4, and the draw
    of a training stage that has not begun."""
    runner = Runner(lake, instance, engines)
    runner.make_upper(keys, "l4")
    runner.redraw()
    return runner.end()


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
