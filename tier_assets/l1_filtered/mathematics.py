"""Mathematics of a web page as LaTeX between dollar signs, in place of what renders it.

In: a parsed page. It is changed: KaTeX, MathJax (TeX, AsciiMath), MathML (its TeX source, else converted) and images of
formulas become text. Then, in the Markdown: `\\(…\\)`, `\\[…\\]` and `[tex]…[/tex]` become dollar signs, and lines of
macros go.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

import turbohtml
from turbohtml import Document, Element, Text

from tier_assets.l1_filtered import asciimath
from tier_assets.l1_filtered.mathml import to_tex

TEX_SOURCE: Final = 'annotation[encoding="application/x-tex"]'
RENDERED: Final = ".MathJax, .MathJax_Display, .MathJax_Preview, .MathJax_SVG, .MathJax_CHTML, mjx-container"
KATEX_OR_MATHML: Final = ".katex-display, .katex, .mwe-math-element, math"
HELD_TEX: Final = "[data-tex], [data-mathml]"  # zhihu's formulas, MathJax 2 without its scripts
IMAGES: Final = 'img.tex, img.latex, img.mwe-math-fallback-image-inline, img[src*="latex"], img[src*="codecogs"]'
ASCIIMATH: Final = 'script[src*="ASCIIMath"], script[src*="asciimath"]'
BACKTICKS: Final = re.compile(r"(?<!\\)`([^`]{1,1000})`")
FORMULAS: Final = f'script[type^="math/"], {ASCIIMATH}, {KATEX_OR_MATHML}, {HELD_TEX}, {IMAGES}'
MAX_FORMULA: Final = 20_000  # characters; what is longer is no formula
IN_ADDRESS: Final = re.compile(r"(?:^|&)latex=([^&]*)")
TAG: Final = re.compile(r"<br\s*/?>")
MACRO: Final = re.compile(r"\\(?:re)?newcommand\b")
BREAKS: Final = re.compile(r"\n{3,}")
IN_DOLLARS: Final = re.compile(r"\$[^$\n]*\$|\(\s*\\(?:re)?newcommand\b.{0,2000}?\\\)")
DISPLAYED: Final = re.compile(r"\\\[([^$]{1,2000}?)\\\]", re.DOTALL)
TEX: Final = re.compile(r"[\\^_={]")  # in brackets without any of these stands a note, not a formula
INLINE: Final = re.compile(r"\\\(([^$\n]{1,1000}?)\\\)")
FORUM_TAGS: Final = re.compile(r"\[(tex|itex|latex|math)\]([^$]{1,2000}?)\[/\1\]", re.DOTALL | re.IGNORECASE)
CODE: Final = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.DOTALL | re.MULTILINE)


def restore_mathematics(page: Document) -> bool:
    """Replace every formula of `page` by `$source$` (`$$` where it is displayed); MathML without one is converted.
    Whether the page has any."""
    if page.select_one(FORMULAS) is None:
        return False
    scripts = page.select('script[type^="math/"]')
    if scripts:
        page.remove(RENDERED)
    for script in scripts:
        kind = str(script.attrs.get("type"))
        _replace(script, _scripted(kind, script.text), "display" in kind)
    if page.select_one(ASCIIMATH):
        _restore_backticks(page)
    for formula in page.select(KATEX_OR_MATHML):
        source = formula if formula.tag == "math" else formula.select_one("math")
        if formula.closest("body, html"):  # one inside a formula replaced already has no root
            shown = source is not None and source.attrs.get("display") == "block"
            _replace(formula, _source(formula, source), shown or "display" in str(formula.attrs.get("class")))
    for held in page.select(HELD_TEX):
        if held.closest("body, html"):
            tex = held.attrs.get("data-tex") or _from_mathml(str(held.attrs.get("data-mathml")))
            _replace(held, str(tex), display=False)
    for image in page.select(IMAGES):
        if tex := str(image.attrs.get("alt") or "") or _from_address(str(image.attrs.get("src") or "")):
            _replace(image, tex, display=False)
    return True


def _restore_backticks(page: Document) -> None:
    """Put formulas between backticks, which ASCIIMathML.js would set, between dollar signs; code stays as it is."""
    for text in [node for node in page.descendants if isinstance(node, Text) and "`" in node.data]:
        if not text.parent or not text.parent.closest("code, pre, script, style, textarea"):
            text.replace_with(Text(BACKTICKS.sub(lambda match: f"${asciimath.to_tex(match[1])}$", text.data)))


def _source(formula: Element, math: Element | None) -> str:
    """The TeX source that the formula carries, else its MathML as TeX, else nothing."""
    if annotation := formula.select_one(TEX_SOURCE):
        return annotation.text
    if math is None:
        return ""
    spoken = str(math.attrs.get("alttext") or "")  # TeX in most pages, words to be read out in some
    return spoken if spoken and (" " not in spoken or any(sign in spoken for sign in "\\^_{")) else to_tex(math)


def _scripted(kind: str, source: str) -> str:
    """The TeX of a formula in a script of that media type."""
    if "asciimath" in kind:
        return asciimath.to_tex(source)
    return _from_mathml(source) if "mml" in kind else source


def _from_mathml(markup: str) -> str:
    found = turbohtml.parse(markup).select_one("math")
    return to_tex(found) if found else ""


def _from_address(address: str) -> str:
    """The formula in the address of an image that a TeX service draws."""
    query = address.partition("?")[2]
    named = IN_ADDRESS.search(query)
    return unquote(named[1].replace("+", " ") if named else query)


def _replace(formula: Element, tex: str, display: bool) -> None:
    """Put the formula's source, if there is one, in its place."""
    source = TAG.sub(" ", tex).strip().strip("$").strip()
    sign = "$$" if display else "$"
    if 0 < len(source) <= MAX_FORMULA:
        formula.replace_with(Text(f"{sign}{source}{sign}"))


def dollars(markdown: str) -> str:
    r"""Formulas that MathJax or a forum would find in the text, between dollar signs; code stays as it is.

    >>> dollars(r"so \(x\) and [tex]y[/tex], `\(z\)`")
    'so $x$ and $y$, `\\(z\\)`'
    """
    if not any(mark in markdown for mark in ("\\(", "\\[", "[/", "newcommand")):
        return markdown
    parts = CODE.split(markdown)
    parts[::2] = map(_dollars, parts[::2])
    return "".join(parts)


def _dollars(text: str) -> str:
    text = DISPLAYED.sub(lambda match: f"$${match[1].strip()}$$" if TEX.search(match[1]) else match[0], text)
    text = INLINE.sub(lambda match: f"${match[1].strip()}$", text)
    text = FORUM_TAGS.sub(lambda match: f"${match[2].strip()}$", text)
    if not MACRO.search(text):
        return text
    lines = [line for line in text.split("\n") if not _defines(line)]
    return BREAKS.sub("\n\n", "\n".join(lines))


def _defines(line: str) -> bool:
    """Whether a line holds definitions of macros and no words beside formulas."""
    return bool(MACRO.search(line)) and not any(map(str.isalnum, IN_DOLLARS.sub("", line)))


__all__ = ["dollars", "restore_mathematics"]
