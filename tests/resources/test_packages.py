"""Packages: fetched once, unpacked safely, and a failure told in one line."""

import io
import shutil
import tarfile
from pathlib import Path

import pytest

from resources.packages import CLIENTS, Package, Unavailable, cache_folder, fetch


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def test_cached_package_is_not_fetched_again(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    folder = tmp_path / "packages" / "npm" / "@a_b@1.0"
    folder.mkdir(parents=True)
    assert fetch(Package("npm", "@a/b", "1.0"), tmp_path) == folder


@pytest.mark.parametrize(
    ("client", "line"),
    [("npm", "x: npm not found on this machine"), ("apt", "x: apt-get and dpkg-deb not found on this machine")],
)
def test_missing_client_is_one_line(tmp_path, monkeypatch, client, line):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unavailable, match=line):
        fetch(Package(client, "x", None), tmp_path)


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt is missing")
def test_package_that_apt_does_not_know_is_one_line_with_what_to_do(tmp_path):
    with pytest.raises(Unavailable, match=r"no-such-package-x: apt failed \(E: .*apt-get update") as raised:
        fetch(Package("apt", "no-such-package-x", None), tmp_path)
    assert "\n" not in str(raised.value)
    assert [file.name for file in (tmp_path / "packages" / "apt").iterdir()] == [".no-such-package-x@release.lock"]


def test_unknown_client_names_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="unknown package client 'gem'; known: apt, npm, pip"):
        fetch(Package("gem", "x", None), tmp_path)


def test_tar_is_unpacked(tmp_path):
    npm = next(client for client in CLIENTS if client.name == "npm")
    npm.unpack(tar_of(tmp_path / "a.tgz", (tarfile.TarInfo("package/a.txt"), b"one")), tmp_path / "to")
    assert (tmp_path / "to" / "package" / "a.txt").read_text() == "one"


@pytest.mark.parametrize(
    "member",
    [tarfile.TarInfo("../out.txt"), link("out", "/etc"), link("out", "../../x")],
    ids=["parent", "absolute link", "parent link"],
)
def test_tar_that_leads_out_of_its_folder_is_refused(tmp_path, member):
    npm = next(client for client in CLIENTS if client.name == "npm")
    with pytest.raises(tarfile.FilterError):
        npm.unpack(tar_of(tmp_path / "a.tgz", (member, b"")), tmp_path / "deep" / "to")
    assert not (tmp_path / "deep" / "out.txt").exists()


def test_cache_folder_is_the_named_one_or_below_home(monkeypatch, tmp_path):
    monkeypatch.setenv("TIERLAKE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("TIERLAKE_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "tierlake"
