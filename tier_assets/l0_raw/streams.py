"""Bytes of a file as a stream: decompressed by content, cut into lines or read whole, in bounded memory.

gzip, bzip2, xz and Zstandard are recognised by their first bytes, members and frames one after another are joined.
What a damaged stream gave before its damage is always handed on. Cost: one pass, a few MiB.
"""

from __future__ import annotations

import bz2
import hashlib
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import zstandard

from tier_assets.l0_raw.records import RECORD_LIMIT

CHUNK_BYTES: Final = 1024 * 1024
# Compressed bytes decoded at once. bzip2 and Zstandard expand up to 20,000 and 30,000 times: 2 KiB stay under 64 MiB.
SLICE_BYTES: Final = 2048
HEAD_BYTES: Final = 64 * 1024
# `xz -9` asks for 65 MiB, a hostile header for 4 GiB.
XZ_MEMORY_BYTES: Final = 128 * 1024 * 1024
# What decodes to more than FREE_BYTES and to more than RATIO_LIMIT times its stored bytes is a bomb: text shrinks to a
# twentieth, logs to a hundredth.
FREE_BYTES: Final = 256 * 1024 * 1024
RATIO_LIMIT: Final = 1000


class Decoder(Protocol):
    """What the decompressors of zlib, bz2, lzma and zstandard have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


@dataclass(frozen=True)
class Compression:
    """One compressed format: its first bytes and a fresh decoder of one member."""

    name: str
    suffix: str
    magic: bytes
    decoder: Callable[[], Decoder]


COMPRESSIONS: Final = (
    Compression("gzip", ".gz", b"\x1f\x8b\x08", lambda: zlib.decompressobj(31)),
    Compression("zstd", ".zst", b"\x28\xb5\x2f\xfd", lambda: zstandard.ZstdDecompressor().decompressobj()),
    Compression("bzip2", ".bz2", b"BZh", bz2.BZ2Decompressor),
    Compression("xz", ".xz", b"\xfd7zXZ\x00", lambda: lzma.LZMADecompressor(memlimit=XZ_MEMORY_BYTES)),
)
DECODE_ERRORS: Final = (zlib.error, OSError, EOFError, lzma.LZMAError, zstandard.ZstdError)


class DamagedStream(Exception):  # noqa: N818 (a state of the file, told to the reader)
    """The file's compressed bytes end early, do not decode or are a bomb; all bytes before that were handed on."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its break. `data` is None where it is over the limit (then `dropped_sha256` is its hash);
    `damage` ends a damaged stream."""

    byte_offset: int
    num_bytes: int
    data: bytes | None
    dropped_sha256: str | None = None
    damage: DamagedStream | None = None

    @property
    def sha256(self) -> str:
        """Of the line's bytes, kept or dropped."""
        return self.dropped_sha256 or hashlib.sha256(self.data or b"").hexdigest()


def compression_of(first_bytes: bytes) -> Compression | None:
    """The compression whose mark `first_bytes` begin with, None for plain bytes."""
    return next((c for c in COMPRESSIONS if first_bytes.startswith(c.magic)), None)


def chunks(path: Path) -> Iterator[bytes]:
    """The decompressed bytes of a file, in pieces of at most some 64 MiB.

    Raises:
        DamagedStream: after all good bytes, where the compressed stream is cut or broken, or goes on as a bomb.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        compression = compression_of(file.read(8))
        file.seek(0)
        if compression is None:
            yield from iter(lambda: file.read(CHUNK_BYTES), b"")
        else:
            yield from _decoded(iter(lambda: file.read(SLICE_BYTES), b""), compression)


def _decoded(slices: Iterator[bytes], compression: Compression) -> Iterator[bytes]:
    decoder = compression.decoder()
    position, num_bytes, fed = 0, 0, False
    for data in slices:
        while data:
            if decoder.eof:
                # NUL padding after the last member is common on tapes and in block devices: not damage.
                if not data.strip(b"\0"):
                    break
                decoder, fed = compression.decoder(), False
            try:
                decoded = decoder.decompress(data)
            except DECODE_ERRORS as error:
                what = f"{compression.name} does not decode near stored byte {position:,}: {error}"
                raise DamagedStream("damaged", what) from error
            fed = True
            num_bytes += len(decoded)
            if num_bytes > max(FREE_BYTES, RATIO_LIMIT * (position + len(data))):
                what = f"{compression.name}: {num_bytes:,} bytes from the first {position + len(data):,}"
                raise DamagedStream("decompression_bomb", what)
            if decoded:
                yield decoded
            left = decoder.unused_data if decoder.eof else b""
            position += len(data) - len(left)
            data = left
    if fed and not decoder.eof:
        raise DamagedStream("truncated", f"{compression.name} ends early, at stored byte {position:,}")


def head(path: Path) -> bytes:
    """The first decompressed bytes of a file, up to `HEAD_BYTES`; what there is of a damaged one."""
    data = bytearray()
    try:
        for chunk in chunks(path):
            data += chunk
            if len(data) >= HEAD_BYTES:
                break
    except DamagedStream:
        return bytes(data[:HEAD_BYTES])  # the reader meets the damage again and makes it a verdict
    return bytes(data[:HEAD_BYTES])


def lines(path: Path, limit: int = RECORD_LIMIT) -> Iterator[Line]:
    """The lines of a (decompressed) file, at most `limit` bytes of one held; a longer one is hashed and dropped.

    A damaged stream ends with a `Line` that bears the damage and what stood on its last, unfinished line.
    """
    offset = 0
    rest = _Growing(limit)
    try:
        for chunk in chunks(path):
            start = 0
            while (end := chunk.find(b"\n", start)) >= 0:
                rest.add(chunk[start:end])
                yield (line := rest.line(offset))
                offset += line.num_bytes + 1
                rest = _Growing(limit)
                start = end + 1
            rest.add(chunk[start:])
    except DamagedStream as damage:
        yield rest.line(offset, damage)
        return
    if rest.num_bytes:
        yield rest.line(offset)


def whole(path: Path, limit: int = RECORD_LIMIT) -> Line:
    """The (decompressed) file as one `Line`."""
    content = _Growing(limit)
    try:
        for chunk in chunks(path):
            content.add(chunk)
    except DamagedStream as damage:
        return content.line(0, damage)
    return content.line(0)


class _Growing:
    """Bytes that come in pieces: kept up to a limit, beyond it only counted and hashed."""

    __slots__ = ("hash", "limit", "num_bytes", "parts")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.num_bytes = 0
        self.parts: list[bytes] = []
        self.hash: hashlib._Hash | None = None

    def add(self, data: bytes) -> None:
        self.num_bytes += len(data)
        self.parts.append(data)
        if self.num_bytes > self.limit:
            self.hash = self.hash or hashlib.sha256()
            for part in self.parts:
                self.hash.update(part)
            self.parts.clear()

    def line(self, offset: int, damage: DamagedStream | None = None) -> Line:
        if self.hash is not None:
            return Line(offset, self.num_bytes, None, self.hash.hexdigest(), damage)
        return Line(offset, self.num_bytes, b"".join(self.parts), None, damage)
