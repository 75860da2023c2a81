"""The landing folder: a file dropped there becomes sources, a partition and tiers by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resources.lake import Lake
from tests.tier_assets.conftest import write_corpus
from tests.ui._served import eventually, lake_command, lake_up

MILLS = {"corpus": "mills", "snapshot": "2026-02"}
NUM_PAGES = 12


@pytest.mark.slow
def test_file_in_the_landing_folder_is_made_and_checked_by_itself(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    lake = Lake(str(root))
    lake.create()
    with lake_up(root, tmp_path / "up.log") as served:
        write_corpus(root / "landing" / "mills" / "2026-02", range(NUM_PAGES), "mill")
        misnamed = write_corpus(root / "landing" / "Old Mills" / "2026-02", range(2), "mill")

        def checked() -> bool:
            found = lake.scan("check_results").filter(tier="l1").collect()
            return bool(len(found))

        eventually(checked, "l1_filtered is made and checked", every_s=2.0)
        eventually(lambda: served.runs()[-1]["status"] == "SUCCESS", "the run ends")

        first = served.runs()[-1]
        tags = {tag["key"]: tag["value"] for tag in first["tags"]}
        assert first["jobName"] == "all_tiers"
        assert tags["dagster/sensor_name"] == "landing_sensor"
        assert tags["dagster/partition"] == "mills@2026-02"
        ticks = served.sensor("landing_sensor")["sensorState"]["ticks"]
        asked = {key for tick in ticks for key in tick["runKeys"] if key.startswith("mills@2026-02:")}
        assert len(asked) == 1, "the same situation is asked for once"
        warnings = {
            event["message"] for tick in ticks for event in tick["logEvents"]["events"] if event["level"] == "WARNING"
        }
        assert len(warnings) == 1, warnings
        assert "Old Mills/2026-02 was left alone: corpus 'Old Mills' is no valid name" in warnings.pop()

    assert misnamed.is_dir()
    assert set(lake.scan("sources").collect()["corpus"]) == {"mills"}
    for step in ("l0_raw", "l1_filtered"):
        row = lake.last_step(step, MILLS)
        assert row is not None
        assert (row["rows_in"], row["rows_kept"]) == (NUM_PAGES, NUM_PAGES)
    results = lake.scan("check_results").filter(**MILLS).collect()
    assert set(results["tier"]) == {"l0", "l1"}
    assert results["passed"].all()
    counted = json.loads(lake_command(root, "sql", "SELECT count(*) AS n FROM l1_filtered", "--format", "json"))
    assert counted == {"n": NUM_PAGES}
