"""The page in a browser: a tier is materialised by clicks and turns green; the lake holds its rows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from resources.lake import Lake
from tests.tier_assets.conftest import page as prose
from tests.ui._served import Served, eventually, lake_command, lake_up

KEY, BRIDGES = "bridges@2026-01", {"corpus": "bridges", "snapshot": "2026-01"}
NUM_GOOD, NUM_SHORT = 12, 3


def write_corpus(folder: Path) -> Path:
    """JSON Lines of pages that L1 keeps, and of pages with too few words."""
    folder.mkdir()
    texts = [*map(prose, range(NUM_GOOD)), *(f"Bridge {number} is closed today." for number in range(NUM_SHORT))]
    lines = (json.dumps({"id": number, "text": text}) for number, text in enumerate(texts))
    (folder / "pages.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def materialise(page: Page, served: Served, asset: str, new: bool = False) -> None:
    """Launch the asset's partition from its page, and wait until the page shows it as materialised."""
    page.goto(f"{served.address}/assets/{asset}?view=overview")
    page.get_by_role("button", name="Materialize").first.click()
    if new:
        page.get_by_text("Add a partition").click()
        page.get_by_placeholder("name").fill(KEY)
        page.get_by_role("button", name="Save").click()
    else:
        page.get_by_role("button", name="Missing", exact=True).click()
    page.get_by_role("button", name="Launch 1 run").click()
    expect(page.get_by_text("Launch runs to materialize")).to_have_count(0)
    page.goto(f"{served.address}/assets/{asset}?view=partitions&partition={KEY.replace('@', '%40')}")
    expect(page.get_by_text("Materialized (1)")).to_be_visible()
    expect(page.get_by_text("Failed (0)")).to_be_visible()


def is_green(label: Locator) -> bool:
    """Whether the label's own background is greener than it is red or blue."""
    found = label.evaluate("""element => {
        const colour = node => getComputedStyle(node).backgroundColor;
        while (/, 0\\)$/.test(colour(element))) element = element.parentElement;
        return colour(element); }""")
    red, green, blue = (int(part) for part in re.findall(r"\d+", found)[:3])
    return green > red and green > blue


@pytest.mark.slow
def test_tiers_materialised_from_their_pages_turn_green(tmp_path: Path, page: Page) -> None:
    root = tmp_path / "lake"
    with lake_up(root, tmp_path / "up.log") as served:
        served.stop_sensor("landing_sensor")  # else it makes the tiers before the page is asked to
        lake_command(
            root, "ingest", str(write_corpus(tmp_path / "bridges")), "--corpus", "bridges", "--snapshot", "2026-01"
        )

        materialise(page, served, "l0_raw", new=True)
        for asset in ("l1_texts", "l1_contaminated"):
            materialise(page, served, asset)
        page.goto(f"{served.address}/assets/l1_duplicates?view=overview")
        page.get_by_role("button", name="Materialize").first.click()
        compared = Lake(str(root))
        eventually(lambda: compared.last_step("l1_duplicates") is not None, "the lake's documents are compared")
        materialise(page, served, "l1_filtered")
        page.reload()  # the list of partitions is live, what is told of the chosen one is not
        label = page.get_by_text("Materialized", exact=True)
        expect(label).to_be_visible()
        assert is_green(label)
        # The funnel, the drop reasons as bars, and the samples stand on the page, not behind a click.
        metadata = page.locator("table").first
        expect(metadata).to_contain_text(re.compile(rf"rows\s*{NUM_GOOD + NUM_SHORT}\s*{NUM_GOOD}\s*{NUM_SHORT}"))
        expect(metadata).to_contain_text(re.compile(rf"too_few_words\s*{NUM_SHORT}\s*█+"))
        expect(metadata).to_contain_text("was opened in 1850")
        expect(page.get_by_text("[Show Markdown]")).to_have_count(0)
        page.screenshot(path=tmp_path / "l1_partition.png", full_page=True)

        for asset, tier in (("l0_raw", "l0"), ("l1_filtered", "l1")):
            page.goto(f"{served.address}/assets/{asset}?view=checks")
            expect(page.get_by_text(f"{tier}_invariants").first).to_be_visible()
            expect(page.get_by_text("Succeeded")).to_have_count(2)
        page.screenshot(path=tmp_path / "l1_checks.png", full_page=True)
        page.goto(f"{served.address}/assets/l1_filtered?view=overview")
        expect(page.get_by_text("ISO 639 code")).to_be_visible()  # the table's contract: what a column means
        page.screenshot(path=tmp_path / "l1_overview.png", full_page=True)
        assert {run["status"] for run in served.runs()} == {"SUCCESS"}

    lake = Lake(str(root))
    assert len(lake.scan("l0_raw", BRIDGES).collect()) == NUM_GOOD + NUM_SHORT
    assert len(lake.scan("l1_filtered", BRIDGES).collect()) == NUM_GOOD
    assert (
        lake.scan("verdicts", {"tier": "l1", **BRIDGES}).collect()["reason"].to_list() == ["too_few_words"] * NUM_SHORT
    )
    results = lake.scan("check_results").collect()
    assert set(results["tier"]) == {"l0", "l1"}
    assert results["passed"].all()
