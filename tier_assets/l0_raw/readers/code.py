"""Source code: one file of a repository is one record, `text/x-LANGUAGE` by its name or its `#!` line.

Languages are named as Pygments names them. The licence is that of the nearest licence file, in the file's folder or in
one above it below the ingested folder; what is named at ingest goes before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final

from pygments.lexers import find_lexer_class_by_name, find_lexer_class_for_filename
from pygments.util import ClassNotFound

from tier_assets.l0_raw.readers.nested import LICENCE_FILE
from tier_assets.l0_raw.readers.reader import Head, Reader, is_binary, whole_file
from tier_assets.l0_raw.records import Entry, Record
from tier_assets.l0_raw.streams import COMPRESSIONS, head

# What Pygments highlights and is no source code: prose, data, logs; some have readers of their own.
NOT_CODE: Final = frozenset({"text", "markdown", "restructuredtext", "output", "html", "xml", "json", "email", "pot"})
SHEBANG: Final = re.compile(rb"#!\s*\S*?/(?:env\s+(?:-\S+\s+)*)?([a-z]+)[\d.]*(?=\s|$)")


def matches(head: Head) -> bool:
    """Text under a source file's name, or with a `#!` line."""
    return not is_binary(head.data) and language_of(head.name, head.data) is not None


def language_of(name: str, data: bytes) -> str | None:
    """The programming language of a file by its name, else by its `#!` line; None for what is no source code.

    >>> language_of("src/main.rs", b""), language_of("run", b"#!/usr/bin/env python3"), language_of("a.txt", b"")
    ('rust', 'python', None)
    """
    return _by_name(PurePosixPath(name).name) or (_by_interpreter(found[1]) if (found := SHEBANG.match(data)) else None)


@lru_cache(maxsize=4096)
def _by_name(name: str) -> str | None:
    # Makefile and CMakeLists.txt are known in this case only, suffixes in lower case.
    lexer = find_lexer_class_for_filename(name) or find_lexer_class_for_filename(name.capitalize())
    language = lexer.aliases[0] if lexer and lexer.aliases else None
    return None if language in NOT_CODE else language


@lru_cache(maxsize=256)
def _by_interpreter(name: bytes) -> str | None:
    try:
        return str(find_lexer_class_by_name(name.decode("ascii")).aliases[0])
    except ClassNotFound:
        return None


def read(path: Path, uri: str) -> Iterator[Entry]:
    """One record, `text/x-LANGUAGE`, or `text/x-source` where the language is not known."""
    name = uri.rpartition("!")[2]
    for compression in COMPRESSIONS:
        name = name.removesuffix(compression.suffix)
    language = language_of(name, head(path)[:200]) or "source"
    licence = None if "!" in uri else _licence_beside(path, uri)
    for entry in whole_file(path, uri, f"text/x-{language}"):
        yield replace(entry, licence=licence) if isinstance(entry, Record) else entry


def _licence_beside(path: Path, uri: str) -> str | None:
    """`see NAME` of the licence file nearest above a file, no higher than the folder that its uri starts from."""
    parents = PurePosixPath(uri).parents
    for folder, place in zip(path.parents, parents):
        if names := _licence_files(folder, folder.stat().st_mtime_ns):
            return f"see {(place / names[0]).as_posix()}"
    return None


@lru_cache(maxsize=1024)
def _licence_files(folder: Path, changed_ns: int) -> tuple[str, ...]:
    """Names of the licence files in a folder as it was at its last change, which keeps the cache true."""
    return tuple(sorted(file.name for file in folder.iterdir() if LICENCE_FILE.fullmatch(file.name)))


READER = Reader("code", matches, read)
