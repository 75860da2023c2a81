"""git bundles: every file of the bundle's HEAD is read as what it holds; older commits and other branches are not.

`byte_offset` is of the file's object in the bundle (of the delta, where git stored it as one). The objects are
unpacked by git itself into a bare scratch repository, under bounds of memory and CPU; nothing is checked out, so no
path of the bundle is ever written. Links, submodules and names that lead out are verdicts.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from tier_assets.l0_raw.readers.nested import MEMBER_LIMIT, Licences, is_hidden, unsafe
from tier_assets.l0_raw.readers.reader import Head, Reader
from tier_assets.l0_raw.records import BadRecord, Entry, Member, Skipped
from tier_assets.l0_raw.streams import CHUNK_BYTES, DamagedStream

MARK: Final = re.compile(rb"# v[23] git bundle\n")
HEADER_LIMIT: Final = 16 * 1024 * 1024
MEMORY_KIB: Final = 2 * 1024 * 1024
CPU_S: Final = 3600  # the history of the Linux kernel takes half of it
FILE: Final = re.compile(rb"(\d{6}) (\w+) ([0-9a-f]{40,64}) +(\d+|-)\t(.+)", re.DOTALL)
LINK, SUBMODULE = "120000", "160000"
BRANCHES: Final = (b"HEAD", b"refs/heads/main", b"refs/heads/master")


class _GitError(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class _File:
    """One entry of the commit's tree."""

    name: str
    mode: str
    blob: str
    num_bytes: int


def matches(head: Head) -> bool:
    """A bundle's first line."""
    return MARK.match(head.data) is not None


def read(path: Path, uri: str) -> Iterator[Entry | Member]:
    """The files of HEAD (else main, master, or the first branch) in the order of their paths."""
    try:
        with path.open("rb", buffering=0) as file, tempfile.TemporaryDirectory(prefix="l0-git-") as folder:
            commit, num_others, start = _header(file)
            _git(folder, "init", "--bare", "--quiet", ".")
            file.seek(start)
            _git(folder, "index-pack", "--stdin", "--threads=1", stdin=file)
            offsets = _offsets(Path(folder))
            files = list(_files(folder, commit))
            licences = Licences(f.name for f in files)
            yield from (Skipped("other_branch") for _ in range(num_others))
            with _Blobs(folder) as blobs:
                for found in files:
                    yield _entry(found, start + offsets.get(found.blob, 0), blobs, uri, licences)
    except _GitError as error:
        yield BadRecord(uri, 0, error.reason, str(error))


def _entry(file: _File, place: int, blobs: _Blobs, uri: str, licences: Licences) -> Entry | Member:
    where = f"{uri}!{file.name}"
    if file.mode == SUBMODULE:
        return BadRecord(where, place, "submodule", f"commit {file.blob} of another repository")
    if (fault := unsafe(file.name)) is not None:
        return BadRecord(where, place, "unsafe_path", f"{file.name!r} {fault}"[:500])
    if file.mode == LINK:
        return BadRecord(where, place, "link_in_archive", "a symbolic link")
    if is_hidden(file.name):
        return Skipped("hidden_file")
    if file.num_bytes > MEMBER_LIMIT:
        return BadRecord(where, place, "member_too_large", f"{file.num_bytes:,} bytes")
    return Member(where, file.name, place, blobs.content(file), licences.of(file.name))


def _header(file: IO[bytes]) -> tuple[str, int, int]:
    """The commit to read, the number of other branches and tags, and where the pack starts.

    Raises:
        _GitError: no whole header, or a bundle that only adds to a repository that one must have.
    """
    data = b""
    while b"\n\n" not in data and len(data) < HEADER_LIMIT and (more := file.read(CHUNK_BYTES)):
        data += more
    header, end, _ = data.partition(b"\n\n")
    if not end:
        raise _GitError("truncated", "ends within the header")
    lines = [line for line in header.split(b"\n")[1:] if not line.startswith(b"@")]
    if any(line.startswith(b"-") for line in lines):
        raise _GitError("needs_prerequisites", "holds only what is newer than a commit that is not in it")
    refs: dict[bytes, str] = {}
    for line in lines:
        commit, _, name = line.partition(b" ")
        if re.fullmatch(rb"[0-9a-f]{40}|[0-9a-f]{64}", commit):
            refs.setdefault(name, commit.decode())
    if not refs:
        raise _GitError("damaged", "names no branch")
    chosen = next((refs[name] for name in BRANCHES if name in refs), next(iter(refs.values())))
    return chosen, len(set(refs.values()) - {chosen}), len(header) + 2


def _command(*arguments: str) -> list[str]:
    # The shell's bounds: a hostile delta asks for any amount of memory, and Python's preexec_fn is unsafe with threads.
    settings = ("-c", "core.deltaBaseCacheLimit=64m", "-c", "core.hooksPath=/dev/null")
    bounded = f'ulimit -v {MEMORY_KIB} -t {CPU_S}; exec git "$@"'
    return ["sh", "-c", bounded, "git", *settings, *arguments]


ENVIRONMENT: Final = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_DIR": ".",
    "LC_ALL": "C",
}


def _git(folder: str, *arguments: str, stdin: IO[bytes] | None = None) -> bytes:
    """What a git command prints.

    Raises:
        _GitError: it failed, with what it said; or git is not on this machine.
    """
    done = subprocess.run(
        _command(*arguments), cwd=folder, env=ENVIRONMENT, stdin=stdin or subprocess.DEVNULL, capture_output=True
    )
    if done.returncode == 127:
        raise _GitError("git_missing", "git is not on this machine")
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip() or f"ended with status {done.returncode}"
        raise _GitError("damaged", f"git {arguments[0]}: {said}"[:500])
    return done.stdout


def _offsets(folder: Path) -> dict[str, int]:
    """Where each object starts in the pack."""
    with next(folder.glob("objects/pack/*.idx")).open("rb") as index:
        lines = _git(str(folder), "show-index", stdin=index).decode().splitlines()
    pairs = (line.split(" ")[:2] for line in lines)
    return {blob: int(offset) for offset, blob in pairs}


def _files(folder: str, commit: str) -> Iterator[_File]:
    for line in _git(folder, "ls-tree", "-r", "-z", "--long", "--full-tree", commit).split(b"\0")[:-1]:
        found = FILE.fullmatch(line)
        if found is None:
            raise _GitError("damaged", f"a tree entry {line[:80]!r}")
        mode, _, blob, size, name = found.groups()
        num_bytes = 0 if size == b"-" else int(size)
        yield _File(name.decode("utf-8", "backslashreplace"), mode.decode(), blob.decode(), num_bytes)


class _Blobs:
    """A `git cat-file --batch` that hands out contents one after another."""

    def __init__(self, folder: str) -> None:
        self.process = subprocess.Popen(
            _command("cat-file", "--batch"),
            cwd=folder,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> _Blobs:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def content(self, file: _File) -> Iterator[bytes]:
        """The bytes of a file.

        Raises:
            DamagedStream: git has not the object, or ended.
        """
        ask, answer = self.process.stdin, self.process.stdout
        assert ask is not None
        assert answer is not None
        try:
            ask.write(f"{file.blob}\n".encode())
            ask.flush()
        except BrokenPipeError as error:
            raise DamagedStream("damaged", "git ended before this file") from error
        if answer.readline().split()[1:2] != [b"blob"]:
            raise DamagedStream("damaged", f"the bundle lacks object {file.blob}")
        left = file.num_bytes
        while left > 0:
            data = answer.read(min(left, CHUNK_BYTES))
            if not data:
                raise DamagedStream("damaged", "git ended within this file")
            left -= len(data)
            yield data
        answer.read(1)  # the line break after an object


READER = Reader("git_bundle", matches, read, place="byte of the bundle, its object", seeks=True)
