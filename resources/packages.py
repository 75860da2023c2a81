"""Packages from the machine's own registry clients (apt, npm, pip), fetched without root and unpacked safely.

In: a package's client, name and version. Out: a folder of its files in the cache, which is `$TIERLAKE_CACHE` or
`~/.cache/tierlake`; a package that is there is not fetched again. Nothing is installed and no script of a package runs
but, for a source distribution, what pip itself runs to learn its metadata.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TIMEOUT_S: Final = 600
HINTS: Final = {
    "apt": "are the package lists there? `apt-get update` fetches them",
    "npm": "is the registry reachable?",
    "pip": "is the index reachable?",
}


class Unavailable(Exception):  # noqa: N818 (a state of the machine, told to the user in one line)
    """A package cannot be had on this machine: its client is missing or fails. The message is one line."""


@dataclass(frozen=True)
class Package:
    """A package of a registry; `version` None is the release's own (Debian)."""

    client: str
    name: str
    version: str | None


@dataclass(frozen=True)
class Client:
    """A registry's client: programs it needs, the command that puts one archive into the working folder, and how the
    archive is unpacked."""

    name: str
    programs: tuple[str, ...]
    command: Callable[[Package], Sequence[str]]
    unpack: Callable[[Path, Path], None]


def cache_folder() -> Path:
    """Where fetched packages are kept."""
    chosen = os.environ.get("TIERLAKE_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "tierlake"


def fetch(package: Package, cache: Path) -> Path:
    """The folder that holds the files of `package`, fetched if it is not in `cache`.

    Raises:
        Unavailable: the client is missing or fails.
        ValueError: unknown client.
    """
    client = _client(package.client)
    name = f"{package.name.replace('/', '_')}@{package.version or 'release'}"
    target = cache / "packages" / client.name / name
    if target.is_dir():
        return target
    missing = [program for program in client.programs if shutil.which(program) is None]
    if missing:
        raise Unavailable(f"{package.name}: {' and '.join(missing)} not found on this machine")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lock(target.with_name(f".{name}.lock")):
        if not target.is_dir():  # else another thread or process was faster
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as folder:
                unpacked = Path(folder, "unpacked")
                unpacked.mkdir()
                client.unpack(_download(client, package, Path(folder)), unpacked)
                os.rename(unpacked, target)
    return target


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _client(name: str) -> Client:
    for client in CLIENTS:
        if client.name == name:
            return client
    raise ValueError(f"unknown package client {name!r}; known: {', '.join(c.name for c in CLIENTS)}")


def _download(client: Client, package: Package, folder: Path) -> Path:
    try:
        done = subprocess.run(
            client.command(package), cwd=folder, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{package.name}: {client.name} took more than {TIMEOUT_S} s") from error
    archives = [file for file in folder.iterdir() if file.is_file()]
    if done.returncode or len(archives) != 1:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip() and not line.startswith("W:")]
        raise Unavailable(
            f"{package.name}: {client.name} failed ({said[-1] if said else 'no message'}); {HINTS[client.name]}"
        )
    return archives[0]


def _apt(package: Package) -> Sequence[str]:
    return (
        "apt-get",
        "download",
        "-qq",
        package.name if package.version is None else f"{package.name}={package.version}",
    )


def _npm(package: Package) -> Sequence[str]:
    return ("npm", "pack", "--silent", "--ignore-scripts", f"{package.name}@{package.version}")


def _pip(package: Package) -> Sequence[str]:
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:")
    return (sys.executable, "-m", "pip", "download", *options, f"{package.name}=={package.version}")


def _unpack_deb(archive: Path, target: Path) -> None:
    subprocess.run(("dpkg-deb", "-x", str(archive), str(target)), check=True, capture_output=True, timeout=TIMEOUT_S)


def _unpack_tar(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")  # refuses members and links that lead out of the folder, and devices


CLIENTS: Final = (
    Client("apt", ("apt-get", "dpkg-deb"), _apt, _unpack_deb),
    Client("npm", ("npm",), _npm, _unpack_tar),
    Client("pip", (sys.executable,), _pip, _unpack_tar),
)
