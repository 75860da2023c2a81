"""Main text of a web page by a learnt choice among its blocks, as Markdown.

In: a page and its address. Out: the text and how good the choice expects to be. A first model judges each block by its
features, a second one also by what the first said around it; their mean p goes into the choice that makes the expected
F1 over words largest, as `2 sum_chosen(p w) / (sum_chosen(w) + sum_all(p w))` for blocks of w words. About 3 ms of CPU
a page of 150 kB, without recursion, so that no nesting breaks it. `learn_main_text.py` fits the models.
"""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import turbohtml
from turbohtml import Markdown

from algorithms.block_features import block_features, context_features
from algorithms.boosted_trees import Trees
from algorithms.page_blocks import DEPTH, Blocks, cut, read_blocks
from algorithms.page_hints import Metadata, is_article, page_hints
from tier_assets.l1_filtered.mathematics import dollars, restore_mathematics

MODEL_FILE: Final = Path(__file__).with_name("main_text_model.json")
UNREAD: Final = "script, style, svg, template, iframe, link, meta, head, noembed, noframes, plaintext, xmp, textarea"
START_CHARS: Final = 10_000  # within which the software of a forum names itself
MAX_COLUMNS: Final = 50  # to which short rows of a table are filled up
LAYOUT: Final = "data-layout"  # set on tables that only lay out, while they are turned into blocks
MARKDOWN: Final = Markdown(
    escaping=Markdown.Escaping(mode="none", asterisks=False, underscores=False),
    links=Markdown.Links(ignore=True),
    images=Markdown.Images(mode="ignore"),
    inline=Markdown.Inline(ignore_emphasis=True),
    tables=Markdown.Tables(cell_blocks="text", header="first"),
)

NO_TABLES: Final = replace(MARKDOWN, tables=Markdown.Tables(mode="strip"))
# Of two `<br>` in a row the second becomes a line of its own.
BREAK_ALONE: Final = re.compile(r"(?m)^\\$")


@dataclass(frozen=True)
class BlockModel:
    """The two models, `second` over `first`'s shares as well."""

    first: Trees
    second: Trees

    def shares(self, blocks: Blocks, hints_H: np.ndarray) -> np.ndarray:
        """Of each block how much of it is main text, 0 to 1."""
        features_BF = block_features(blocks, hints_H)
        first_B = self.first.predict(features_BF)
        return (first_B + self.second.predict(context_features(blocks, features_BF, first_B))) / 2

    def to_json(self) -> str:
        """The model as text, for a file that lies in version control."""
        stages = {}
        for name, trees in (("first", self.first), ("second", self.second)):
            buffer = io.BytesIO()
            np.savez_compressed(buffer, feature=trees.feature_TM, threshold=trees.threshold_TM, leaf=trees.leaf_TL)
            stages[name] = {"bias": trees.bias, "trees": base64.b64encode(buffer.getvalue()).decode()}
        return json.dumps(stages, indent=1)

    @classmethod
    def from_json(cls, text: str) -> BlockModel:
        """The model that `to_json` wrote."""
        stages = []
        for name in ("first", "second"):
            stage = json.loads(text)[name]
            arrays = np.load(io.BytesIO(base64.b64decode(stage["trees"])), allow_pickle=False)
            stages.append(
                Trees(arrays["feature"].astype(np.uint16), arrays["threshold"], arrays["leaf"], stage["bias"])
            )
        return cls(*stages)


@dataclass(frozen=True)
class ReadPage:
    """A page's own title, its HTML without what is never read and with its formulas as text, the blocks of that HTML,
    and the hints of the page's kind."""

    title: str | None
    html: str
    blocks: Blocks
    hints_H: np.ndarray


@dataclass(frozen=True)
class Chosen:
    """A page's main text. `confidence`: the F1 over words that the choice expects; `article`: whether the page calls
    itself one; `depth`: of its deepest element; `html`: of which the text was chosen."""

    title: str | None
    text: str
    confidence: float
    article: bool
    depth: int
    html: str


def read_page(page: str, url: str | None) -> ReadPage:
    """What the choice needs to know of a page."""
    document = turbohtml.parse(page)
    head = document.select_one("head")
    hints_H = page_hints(_metadata(document, head, page, url))
    title = _title(document, head)
    restore_mathematics(document)
    document.remove(UNREAD)
    html = document.serialize()
    return ReadPage(title, html, read_blocks(html), hints_H)


def choose_main_text(page: str, url: str | None, model: BlockModel) -> Chosen:
    """The main text of `page`; empty where it has none."""
    read = read_page(page, url)
    blocks = read.blocks
    keep_B, confidence = choose(model.shares(blocks, read.hints_H), blocks.num_words)
    text = to_markdown(cut(blocks, keep_B)) if keep_B.any() else ""
    depth = int(blocks.elements_EK[:, DEPTH].max(initial=0))
    return Chosen(read.title, text, confidence, is_article(read.hints_H), depth, read.html)


def whole_text(page: str) -> str:
    """All text of `page`, as Markdown: for mails, which have no navigation around them."""
    document = turbohtml.parse(page)
    restore_mathematics(document)
    document.remove(UNREAD)
    return to_markdown(document.serialize())


def choose(share_B: np.ndarray, num_words_B: np.ndarray) -> tuple[np.ndarray, float]:
    """The blocks (bool) whose expected F1 over words is largest, and that F1.

    >>> choose(np.array([0.9, 0.1, 0.8]), np.array([50, 10, 40]))[0]
    array([ True, False,  True])
    """
    keep_B = np.zeros(len(share_B), np.bool_)
    expected = share_B * num_words_B
    if not expected.sum():
        return keep_B, 0.0
    order = np.argsort(-share_B, kind="stable")
    f1 = 2 * np.cumsum(expected[order]) / (np.cumsum(num_words_B[order]) + expected.sum())
    best = int(np.argmax(f1))
    keep_B[order[: best + 1]] = True
    return keep_B, float(f1[best])


def to_markdown(html: str) -> str:
    """`html` as Markdown: headings, lists, code, tables of data; layout tables as plain blocks."""
    document = turbohtml.parse(html)
    _lay_out(document)
    for cell in document.select("[colspan], [rowspan]"):  # a pipe table has no spans: the renderer would keep the tags
        for name in ("colspan", "rowspan"):
            cell.attrs.pop(name, None)
    for table in document.select("table"):
        _square(table)
    _join_code(document)
    text = document.to_markdown(MARKDOWN)
    if "<table" in text:  # some table that pipes cannot show
        text = document.to_markdown(NO_TABLES)
    return dollars(BREAK_ALONE.sub("", text))


def _lay_out(document: turbohtml.Document) -> None:
    """Turn tables that only lay a page out, and their own rows and cells, into plain blocks."""
    tables = document.select("table:has(table, p, h1, h2, h3, ul, ol, div)")
    for table in tables:
        table.attrs[LAYOUT] = ""
    parts = document.select(f"[{LAYOUT}] :is(tbody, thead, tfoot, tr, td, th)") if tables else []
    # A table of data may stand in a cell of one that lays out: its rows stay.
    own = [part for part in parts if (holder := part.closest("table")) is not None and LAYOUT in holder.attrs]
    for element in (*own, *tables):
        element.tag = "div"


def _join_code(document: turbohtml.Document) -> None:
    """One block for a listing whose lines are elements of their own, one span for pieces of code side by side."""
    for listing in dict.fromkeys(line.parent for line in document.select("div.line:has(> code)") if line.parent):
        lines = [child.text.replace("\xa0", " ") for child in listing.children if isinstance(child, turbohtml.Element)]
        block = turbohtml.Element("pre")
        block.append(turbohtml.Text("\n".join(lines)))
        listing.replace_with(block)
    runs: list[list[turbohtml.Element]] = []
    for code in document.select("code + code"):
        before = code.previous_sibling
        if runs and before == runs[-1][-1]:
            runs[-1].append(code)
        elif isinstance(before, turbohtml.Element) and before.tag == "code":
            runs.append([before, code])
    for first, *others in runs:
        first.text = "".join(code.text for code in (first, *others))
        for code in others:
            code.decompose()
    for code in document.select("code"):
        if not code.closest("pre") and "  " in code.text:
            code.text = " ".join(code.text.split())


def _square(table: turbohtml.Element) -> None:
    """Fill up the short rows of a table: the renderer shows one of unequal rows as HTML."""
    rows = table.select("tr")
    widths = [len(row.select("td, th")) for row in rows]
    for row, width in zip(rows, widths):
        for _ in range(min(max(widths), MAX_COLUMNS) - width):
            row.append(turbohtml.Element("td"))


def _metadata(document: turbohtml.Document, head: turbohtml.Element | None, page: str, url: str | None) -> Metadata:
    json_ld = "\n".join(script.text for script in document.select('script[type="application/ld+json"]'))
    og_type = head.select_one('meta[property="og:type"]') if head else None
    marked = "articleBody" in json_ld or document.select_one('[itemprop="articleBody"], .entry-content') is not None
    shown = str(og_type.attrs.get("content") or "") if og_type else ""
    return Metadata(json_ld, shown.lower(), page[:START_CHARS].lower(), marked, (url or "").lower())


def _title(document: turbohtml.Document, head: turbohtml.Element | None) -> str | None:
    """The page's own name for itself, else its `<title>`, else its first heading."""
    named = head.select_one('meta[property="og:title"]') if head else None
    heading = (head.select_one("title") if head else None) or document.select_one("h1")
    found = (str(named.attrs.get("content") or "") if named else "") or (heading.text if heading else "")
    return " ".join(found.split()) or None


@cache
def shipped_model() -> BlockModel:
    """The model that lies beside this file."""
    return BlockModel.from_json(MODEL_FILE.read_text(encoding="ascii"))


__all__ = [
    "MODEL_FILE",
    "BlockModel",
    "Chosen",
    "ReadPage",
    "choose",
    "choose_main_text",
    "read_page",
    "shipped_model",
    "to_markdown",
    "whole_text",
]
