"""Mathematics of a web page as LaTeX between dollar signs, in place of what renders it.

In: a parsed page. It is changed: KaTeX, MathJax, MathML with a TeX source and images of formulas become text.
"""

from __future__ import annotations

from typing import Final

from turbohtml import Document, Element, Text

# What a page with formulas has somewhere; substrings, since a pattern over 150 kB costs more than the parse.
MARKERS: Final = ("katex", "math/tex", "<math", "latex")
TEX_SOURCE: Final = 'annotation[encoding="application/x-tex"]'
RENDERED: Final = ".MathJax, .MathJax_Display, .MathJax_Preview, .MathJax_SVG, .MathJax_CHTML, mjx-container"
IMAGES: Final = 'img.tex, img.latex, img.mwe-math-fallback-image-inline, img[src*="latex"], img[src*="codecogs"]'


def restore_mathematics(page: Document) -> None:
    """Replace every formula of `page` whose TeX source is in it by `$source$` (`$$` where it is displayed)."""
    scripts = page.select('script[type^="math/tex"]')
    if scripts:
        page.remove(RENDERED)
    for script in scripts:
        _replace(script, script.text, "display" in str(script.attrs.get("type")))
    for formula in page.select(".katex-display, .katex, .mwe-math-element, math"):
        source = formula if formula.tag == "math" else formula.select_one("math")
        annotation = formula.select_one(TEX_SOURCE)
        tex = annotation.text if annotation else (source.attrs.get("alttext") if source else None)
        if tex and formula.closest("body, html"):  # one inside a formula replaced already has no root
            shown = source is not None and source.attrs.get("display") == "block"
            _replace(formula, str(tex), shown or "display" in str(formula.attrs.get("class")))
    for image in page.select(IMAGES):
        if tex := image.attrs.get("alt"):
            _replace(image, str(tex), display=False)


def _replace(formula: Element, tex: str, display: bool) -> None:
    """Put the formula's source in its place, without the styling that MediaWiki wraps it in."""
    source = tex.strip().strip("$").strip()
    if source.startswith("{\\displaystyle") and source.endswith("}"):
        source = source[len("{\\displaystyle") : -1].strip()
    sign = "$$" if display else "$"
    formula.replace_with(Text(f"{sign}{source}{sign}" if source else ""))


__all__ = ["MARKERS", "restore_mathematics"]
