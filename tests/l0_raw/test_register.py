"""Registration: what is found, copied, known; and names that are refused."""

import logging
import os
from pathlib import Path

import polars as pl
import pytest

from tier_assets.l0_raw.register import find_files, register
from tier_tables import SOURCES


def tree(root: Path) -> Path:
    (root / "src" / "b").mkdir(parents=True)
    (root / "src" / "b" / "page.html").write_text("<html>one</html>")
    (root / "src" / "a.txt").write_text("two")
    return root / "src"


def ingest(path: Path, landing: Path, registered: pl.DataFrame | None = None, **changed) -> pl.DataFrame:
    settings = {"corpus": "news", "snapshot": "2024", "licence": "CC0", "format": "auto", "link": False} | changed
    known = SOURCES.empty() if registered is None else registered
    return register(path, landing=landing, registered=known, **settings)


def test_register_folder_copies_its_files_and_gives_a_row_each(tmp_path):
    rows = ingest(tree(tmp_path), tmp_path / "landing")
    assert rows.schema == SOURCES.schema
    assert rows.select("uri", "format", "num_bytes", "licence").rows() == [
        ("a.txt", "text", 3, "CC0"),
        ("b/page.html", "html", 16, "CC0"),
    ]
    assert [Path(p) for p in rows["path"]] == [tmp_path / "landing/news/2024" / uri for uri in rows["uri"]]
    assert [Path(p).read_text() for p in rows["path"]] == ["two", "<html>one</html>"]
    assert sum(p.is_file() for p in (tmp_path / "landing").rglob("*")) == 2  # no temporary file is left


def test_register_again_gives_no_rows_and_a_changed_file_one(tmp_path):
    first = ingest(tree(tmp_path), tmp_path / "landing")
    assert ingest(tmp_path / "src", tmp_path / "landing", first).is_empty()
    (tmp_path / "src" / "a.txt").write_text("changed")
    again = ingest(tmp_path / "src", tmp_path / "landing", first)
    assert again["uri"].to_list() == ["a.txt"]
    assert (tmp_path / "landing/news/2024/a.txt").read_text() == "changed"
    assert set(again["source_id"]).isdisjoint(first["source_id"])
    other = ingest(tmp_path / "src", tmp_path / "landing", pl.concat([first, again]), snapshot="2025")
    assert len(other) == 2


def test_register_with_link_leaves_the_files_where_they_are(tmp_path):
    rows = ingest(tree(tmp_path), tmp_path / "landing", link=True)
    assert [Path(p) for p in rows["path"]] == [tmp_path / "src" / uri for uri in rows["uri"]]
    assert not (tmp_path / "landing").exists()


def test_register_of_the_landing_folder_is_the_same_as_of_the_files(tmp_path):
    rows = ingest(tree(tmp_path), tmp_path / "landing")
    landed = tmp_path / "landing" / "news" / "2024"
    assert ingest(landed, tmp_path / "landing", rows).is_empty()
    assert ingest(landed / "b", tmp_path / "landing", rows).is_empty()
    assert ingest(landed / "a.txt", tmp_path / "landing")["uri"].to_list() == ["a.txt"]


def test_register_one_file_names_it_by_its_name(tmp_path):
    assert ingest(tree(tmp_path) / "b" / "page.html", tmp_path / "landing")["uri"].to_list() == ["page.html"]


@pytest.mark.parametrize("name", ["", "News", "a b", "../x", ".x", "a" * 64, "a@b", "a/b", "ä"])
@pytest.mark.parametrize("kind", ["corpus", "snapshot"])
def test_register_refuses_a_name_that_is_no_folder_name(tmp_path, kind, name):
    with pytest.raises(ValueError, match="is no valid name; a name is 1 to 63 of a-z 0-9"):
        ingest(tree(tmp_path), tmp_path / "landing", **{kind: name})


@pytest.mark.parametrize("name", ["a", "2024-05", "a" * 63, "x_1.y"])
def test_register_takes_a_plain_name(tmp_path, name):
    assert len(ingest(tree(tmp_path), tmp_path / "landing", corpus=name, snapshot=name)) == 2


def test_register_unknown_format_or_missing_folder_is_one_clear_error(tmp_path):
    with pytest.raises(ValueError, match="unknown format 'docx'; known: auto, arc, code"):
        ingest(tree(tmp_path), tmp_path / "landing", format="docx")
    with pytest.raises(FileNotFoundError, match=r"no file or folder '.*gone'"):
        ingest(tmp_path / "gone", tmp_path / "landing")


def test_find_files_passes_over_links_circles_hidden_and_special_files(tmp_path, caplog):
    src = tree(tmp_path)
    (tmp_path / "secret.txt").write_text("outside")
    (src / "out.txt").symlink_to(tmp_path / "secret.txt")
    (src / "up").symlink_to(tmp_path)
    (src / "b" / "circle").symlink_to(src)
    (src / ".hidden").write_text("x")
    (src / ".git").mkdir()
    (src / ".git" / "config").write_text("x")
    os.mkfifo(src / "pipe")
    with caplog.at_level(logging.WARNING):
        assert [f.uri for f in find_files(src)] == ["a.txt", "b/page.html"]
    assert "passed over 5" in caplog.text


def test_find_files_of_a_linked_root_follows_it(tmp_path):
    (tmp_path / "link").symlink_to(tree(tmp_path))
    assert [f.uri for f in find_files(tmp_path / "link")] == ["a.txt", "b/page.html"]


def test_copy_that_fails_leaves_no_temporary_file(tmp_path):
    (tmp_path / "landing/news/2024/a.txt").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        ingest(tree(tmp_path) / "a.txt", tmp_path / "landing")
    assert [file.name for file in (tmp_path / "landing/news/2024").iterdir()] == ["a.txt"]


def test_register_file_name_that_is_no_utf8_becomes_storable(tmp_path):
    (tmp_path / "src").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "src") + b"/caf\xe9.txt")).write_text("x")
    rows = ingest(tmp_path / "src", tmp_path / "landing")
    assert rows["uri"].to_list() == ["caf\\xe9.txt"]
    assert Path(rows["path"][0]).read_text() == "x"
