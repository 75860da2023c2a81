"""Main text of a web page, as Markdown.

In: an HTML string and its address. Out: title, text and the name of the extractor that made it. trafilatura (fast
settings) first, resiliparse where that finds nothing.
"""

from __future__ import annotations

import logging
from typing import Final

import trafilatura
from lxml import etree, html
from resiliparse.extract.html2text import extract_plain_text

MIN_CHARS: Final = 25  # what is shorter is a stray line, not a main text
COLSPAN_LIMIT: Final = 1000  # the HTML standard's own limit
logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # every odd page is a warning; we keep verdicts instead


def main_text(page: str, url: str | None) -> tuple[str | None, str, str] | None:
    """Title, main text and extractor of `page`, or None where no extractor finds a main text."""
    tree = _tree(page)
    if tree is None:
        return None
    title = _title(tree)
    text = trafilatura.extract(
        tree, url=url, fast=True, include_comments=False, output_format="markdown", with_metadata=False
    )
    if text and len(text) >= MIN_CHARS:
        return title, text, "trafilatura"
    text = extract_plain_text(page, main_content=True, preserve_formatting=True)
    return (title, text, "resiliparse") if len(text) >= MIN_CHARS else None


def _tree(page: str) -> html.HtmlElement | None:
    """The parsed page, with column spans bounded (extractors multiply by them)."""
    parser = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=False)
    try:
        tree = html.document_fromstring(page.encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError):
        return None
    for cell in tree.iter("td", "th"):
        for name in ("colspan", "rowspan"):
            value = cell.get(name)
            if value and not (value.isdecimal() and int(value[:5]) <= COLSPAN_LIMIT):
                del cell.attrib[name]
    return tree


def _title(tree: html.HtmlElement) -> str | None:
    """The page's own name for itself, else its `<title>`, else its first heading."""
    for path in ('//meta[@property="og:title"]/@content', "//title/text()", "//h1"):
        found = tree.xpath(path)
        if found:
            value = found[0] if isinstance(found[0], str) else found[0].text_content()
            if title := " ".join(value.split()):
                return title
    return None


__all__ = ["main_text"]
