"""A lake's page in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.ui._served import PATIENCE_S

# A container's root has no sandbox; the rest keeps the browser from asking anything of the outside.
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the distribution's chromium."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    return path


@pytest.fixture
def page(chromium: str) -> Iterator[Page]:
    """A page of a browser, whose waits are as patient as the tests."""
    expect.set_options(timeout=PATIENCE_S * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        opened = browser.new_page(viewport={"width": 1500, "height": 1300})
        opened.set_default_timeout(PATIENCE_S / 2 * 1000)
        yield opened
        browser.close()
