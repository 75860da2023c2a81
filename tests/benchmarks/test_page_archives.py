"""Archives for measuring: what is written is what a reader finds, and no two records are alike."""

from __future__ import annotations

from benchmarks.page_archives import Page, write_archive
from tier_assets.l0_raw.readers import read_source
from tier_assets.l0_raw.records import Record

PAGES = [
    Page("one", f"https://one.example/{n}", f"<html><body><p>Page {n}</p></body></html>".encode()) for n in range(3)
]


def test_write_archive_pages_come_back_as_they_were(tmp_path):
    path = tmp_path / "pages.warc.gz"
    assert write_archive(path, PAGES, 2) == {"one": 2}
    found = [entry for entry in read_source(path, "warc", "pages.warc.gz") if isinstance(entry, Record)]
    assert [(entry.uri, entry.raw) for entry in found] == [(page.url, page.html) for page in PAGES[:2]]


def test_write_archive_more_pages_than_there_are_gives_marked_repeats(tmp_path):
    path = tmp_path / "pages.warc.gz"
    write_archive(path, PAGES, 7)
    found = [entry for entry in read_source(path, "warc", "pages.warc.gz") if isinstance(entry, Record)]
    assert len({entry.uri for entry in found}) == len({entry.raw for entry in found}) == 7
    assert found[3].raw == b"<html><body><p>Page 0</p><p>Copy 1 of this page.</p></body></html>"
