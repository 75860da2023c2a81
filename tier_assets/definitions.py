"""The one place where everything meets: what `dagster` loads, for the lake that LAKE_ROOT names."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from quality_checks.asset_checks import build_checks
from quality_checks.gate import gate_resource
from resources.dagster_resources import HandleIOManager, catalog_resource, lake_resource, lake_root
from resources.engines import Engines
from tier_assets import funnel, retiering
from tier_assets.l0_raw import assets as l0
from tier_assets.l1_filtered import assets as l1
from tier_assets.l2_selected import assets as l2
from tier_assets.l3_refined import assets as l3
from tier_assets.l4_organized import assets as l4
from tier_assets.m1_training import assets as m1
from tier_assets.m2_influence import assets as m2
from tier_assets.partitions import corpora


def build(root: str, engines: Engines | None = None) -> dg.Definitions:
    """Definitions over the lake at `root`; `engines` are its models, by default the environment's."""
    engines = engines or Engines()
    return dg.Definitions(
        assets=[*l0.assets, *l1.assets, *l2.assets, *l3.assets, *l4.assets, *m1.assets, *m2.assets, funnel.funnel],
        asset_checks=build_checks(corpora),
        jobs=list(retiering.JOBS),
        sensors=[retiering.landing_sensor, retiering.telemetry_sensor, retiering.retier_sensor],
        schedules=[retiering.nightly],
        resources={
            "lake": lake_resource.configured({"root": root}),
            "gate": gate_resource,
            "llm": engines.llm,
            "encoder": engines.encoder,
            "catalog": catalog_resource(root),
            "io_manager": HandleIOManager(folder=str(Path(root, "dagster", "handles").absolute())),
        },
        # One engine per process: steps of a run share the language model's.
        executor=dg.in_process_executor,
    )


defs = build(lake_root())
