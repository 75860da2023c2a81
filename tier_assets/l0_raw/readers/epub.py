"""EPUB: each XHTML document of the book's reading order is a record, in that order.

What is no part of the reading order (images, styles, fonts, tables of contents) is counted. `byte_offset` is of the
member's local header in the file. A book is not one record, since its chapters alone are longer than most pages.
"""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from lxml import etree

from tier_assets.l0_raw.readers import zip_file
from tier_assets.l0_raw.readers.nested import Licences
from tier_assets.l0_raw.readers.reader import Head, Reader
from tier_assets.l0_raw.records import RECORD_LIMIT, BadRecord, Entry, Member, Record, Skipped, too_large
from tier_assets.l0_raw.streams import DamagedStream

MIMETYPE: Final = b"mimetypeapplication/epub+zip"
CONTAINER: Final = "META-INF/container.xml"
XML_LIMIT: Final = 8 * 1024 * 1024


class _NoBookError(Exception):
    pass


def matches(head: Head) -> bool:
    """A ZIP whose first member says so, as the standard asks; else one so named."""
    return head.data.startswith(zip_file.MARKS) and (head.data[30:].startswith(MIMETYPE) or head.name.endswith(".epub"))


def read(path: Path, uri: str) -> Iterator[Entry]:
    """One record a document of the reading order, `application/xhtml+xml`, named `file!member`."""
    with zip_file.opened(path) as archive:
        if isinstance(archive, BadRecord):
            yield BadRecord(uri, archive.byte_offset, archive.reason, archive.detail)
            return
        try:
            order = _reading_order(archive)
        except _NoBookError as error:
            yield BadRecord(uri, 0, "damaged", str(error))
            return
        licences = Licences(())
        by_name = {info.filename: info for info in archive.infolist()}
        for name in order:
            if name in by_name:
                yield _document(zip_file.member(archive, by_name[name], uri, licences))
            else:
                yield BadRecord(f"{uri}!{name}", 0, "truncated", "named in the reading order, but not there")
        for _ in range(len(archive.infolist()) - len(order & by_name.keys())):
            yield Skipped("not_in_reading_order")


def _document(item: Entry | Member) -> Entry:
    if not isinstance(item, Member):
        return item
    parts, num_bytes, place = [], 0, item.byte_offset or 0
    try:
        for chunk in item.chunks:
            num_bytes += len(chunk)
            parts.append(chunk)
            if num_bytes > RECORD_LIMIT:
                return too_large(item.uri, place, num_bytes)
    except DamagedStream as damage:
        return BadRecord(item.uri, place, damage.reason, damage.detail)
    return Record(item.uri, "application/xhtml+xml", b"".join(parts), place)


def _reading_order(archive: zipfile.ZipFile) -> dict[str, None]:
    """Names of the documents in reading order, each once: container file -> package file -> spine.

    Raises:
        _NoBookError: one of them is missing or malformed.
    """
    package = next((e.get("full-path") for e in _named(_xml(archive, CONTAINER), "rootfile")), None)
    if not package:
        raise _NoBookError(f"{CONTAINER} names no package file")
    tree = _xml(archive, package)
    folder = posixpath.dirname(package)
    items = {e.get("id"): e.get("href") for e in _named(tree, "item") if e.get("href")}
    hrefs = [items.get(e.get("idref")) for e in _named(tree, "itemref")]
    names = [posixpath.normpath(posixpath.join(folder, unquote(href.partition("#")[0]))) for href in hrefs if href]
    if not names:
        raise _NoBookError(f"{package} names no documents in reading order")
    return dict.fromkeys(names)


def _xml(archive: zipfile.ZipFile, name: str) -> etree._Element:
    try:
        with archive.open(name) as file:
            data = file.read(XML_LIMIT)
        parser = etree.XMLParser(resolve_entities=False, recover=True, huge_tree=False, no_network=True)
        tree = etree.fromstring(data, parser=parser)
    except (KeyError, etree.XMLSyntaxError, *zip_file.ZIP_ERRORS) as error:
        raise _NoBookError(f"{name}: {error}"[:500]) from error
    if tree is None:
        raise _NoBookError(f"{name} is no XML")
    return tree


def _named(tree: etree._Element, name: str) -> Iterator[etree._Element]:
    return tree.iter(f"{{*}}{name}")


READER = Reader("epub", matches, read, place="byte of the ZIP, its member's header", seeks=True)
