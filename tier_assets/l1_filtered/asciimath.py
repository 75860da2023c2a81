"""AsciiMath to LaTeX, for pages whose formulas MathJax or ASCIIMathML.js would set.

The language and its grammar: https://asciimath.org. In: a formula. Out: LaTeX without dollar signs. The packages that
translate AsciiMath either clash with `lark` or misread fractions (`x=a/b`), hence these few rules:

    expression    term term ...          term    part / part | part
    part          simple [_ simple] [^ simple]
    simple        symbol | bracket expression bracket | unary simple | binary simple simple | "text"
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_NESTING: Final = 40  # what is nested deeper stays as it is
SAME: Final = (
    "alpha beta chi delta Delta epsilon varepsilon eta gamma Gamma iota kappa lambda Lambda mu nu omega Omega phi Phi "
    "varphi pi Pi psi Psi rho sigma Sigma tau theta Theta upsilon xi Xi zeta sum prod int oint in cdots vdots ddots "
    "ldots aleph sin cos tan sec csc cot sinh cosh tanh log ln exp det dim lim max min gcd times div"
).split()
_PAIRS: Final = (
    "+- pm -+ mp xx times -: div ** ast * cdot @ circ o+ oplus ox otimes ^^ wedge vv vee nn cap uu cup <= le >= ge "
    "!= ne -< prec >- succ !in notin sub subset sube subseteq supe supseteq -= equiv ~= cong ~~ approx prop propto "
    "not neg => Rightarrow <=> Leftrightarrow AA forall EE exists _|_ bot TT top |-- vdash del partial grad nabla "
    "O/ emptyset oo infty ... ldots /_ angle :. therefore uarr uparrow darr downarrow rarr rightarrow -> to "
    "|-> mapsto larr leftarrow harr leftrightarrow rArr Rightarrow lArr Leftarrow hArr Leftrightarrow"
).split()
SYMBOLS: Final = (
    {name: f"\\{name} " for name in SAME}
    | {ascii_name: f"\\{tex} " for ascii_name, tex in zip(_PAIRS[::2], _PAIRS[1::2])}
    | {letter * 2: f"\\mathbb{{{letter}}}" for letter in "CNQRZ"}
    | {"//": "/", "and": "\\text{ and }", "or": "\\text{ or }", "if": "\\text{ if }", "dx": "dx", "dy": "dy"}
)
UNARY: Final = {
    "sqrt": "\\sqrt{%s}", "text": "\\text{%s}", "bb": "\\mathbf{%s}", "bbb": "\\mathbb{%s}", "cc": "\\mathcal{%s}",
    "fr": "\\mathfrak{%s}", "tt": "\\mathtt{%s}", "sf": "\\mathsf{%s}", "hat": "\\hat{%s}", "bar": "\\overline{%s}",
    "ul": "\\underline{%s}", "vec": "\\vec{%s}", "dot": "\\dot{%s}", "ddot": "\\ddot{%s}", "abs": "\\left|%s\\right|",
    "norm": "\\left\\|%s\\right\\|", "floor": "\\lfloor %s\\rfloor ", "ceil": "\\lceil %s\\rceil ",
}  # fmt: skip
BINARY: Final = {"frac": "\\frac{%s}{%s}", "root": "\\sqrt[%s]{%s}", "stackrel": "\\stackrel{%s}{%s}",
                 "overset": "\\overset{%s}{%s}", "underset": "\\underset{%s}{%s}"}  # fmt: skip
OPEN: Final = {"(": "(", "[": "[", "{": "\\{", "(:": "\\langle ", "<<": "\\langle ", "{:": "."}
CLOSE: Final = {")": ")", "]": "]", "}": "\\}", ":)": "\\rangle ", ">>": "\\rangle ", ":}": "."}
_NAMES: Final = sorted({*SYMBOLS, *UNARY, *BINARY, *OPEN, *CLOSE}, key=len, reverse=True)
TOKEN: Final = re.compile(r'"[^"]*"|text\([^)]*\)|\d+(?:\.\d+)?|' + "|".join(map(re.escape, _NAMES)) + r"|\S")


@dataclass(frozen=True)
class _Part:
    """A part of a formula: its LaTeX; where brackets hold it, what is in them; the rows of a matrix."""

    tex: str
    inner: str | None = None
    cells: tuple[str, ...] = ()

    @property
    def bare(self) -> str:
        """Without the brackets that only group."""
        return self.inner if self.inner is not None else self.tex


def to_tex(formula: str) -> str:
    """The formula as LaTeX.

    >>> to_tex("x=(-b +- sqrt(b^2-4ac))/(2a)")
    'x=\\\\frac{-b\\\\pm \\\\sqrt{{b}^{2}-4ac}}{2a}'
    """
    tokens = TOKEN.findall(formula)[::-1]
    terms = []
    while tokens:
        terms.append(_term(tokens, 0).tex)
    return "".join(terms).strip()


def _term(tokens: list[str], depth: int) -> _Part:
    part = _part(tokens, depth)
    if tokens and tokens[-1] == "/":
        tokens.pop()
        return _Part(f"\\frac{{{part.bare}}}{{{_part(tokens, depth).bare}}}")
    return part


def _part(tokens: list[str], depth: int) -> _Part:
    part, scripts = _simple(tokens, depth), ""
    for mark in "_^":
        if tokens and tokens[-1] == mark:
            tokens.pop()
            scripts += f"{mark}{{{_simple(tokens, depth).bare}}}"
    large = part.tex.startswith(("\\sum", "\\prod", "\\int", "\\lim"))
    return _Part((part.tex if large else f"{{{part.tex}}}") + scripts) if scripts else part


def _simple(tokens: list[str], depth: int) -> _Part:
    if not tokens:
        return _Part("")
    token = tokens.pop()
    if token in OPEN and depth < MAX_NESTING:
        return _bracket(token, tokens, depth + 1)
    if token.startswith(("text(", '"')):
        words = token.removeprefix("text").strip('()"')
        return _Part(f"\\text{{{words}}}")
    if token in UNARY and depth < MAX_NESTING:
        return _Part(UNARY[token] % _simple(tokens, depth + 1).bare)
    if token in BINARY and depth < MAX_NESTING:
        first = _simple(tokens, depth + 1).bare
        return _Part(BINARY[token] % (first, _simple(tokens, depth + 1).bare))
    return _Part(SYMBOLS.get(token) or CLOSE.get(token) or OPEN.get(token) or token)


def _bracket(opened: str, tokens: list[str], depth: int) -> _Part:
    """What stands up to the closing bracket; bracketed rows of as many cells each are a matrix."""
    parts: list[_Part] = []
    while tokens and tokens[-1] not in CLOSE:
        parts.append(_term(tokens, depth))
    closed = CLOSE[tokens.pop()] if tokens else "."
    inner = "".join(part.tex for part in parts)
    cells = tuple("".join(part.tex if part.tex != "," else "\0" for part in parts).split("\0"))
    rows = [part.cells for part in parts[::2]]
    if len(parts) > 1 and len({len(row) for row in rows}) == 1 and rows[0] and all(p.tex == "," for p in parts[1::2]):
        inner = "\\begin{matrix}" + "\\\\ ".join("& ".join(row) for row in rows) + "\\end{matrix}"
    return _Part(f"\\left{OPEN[opened]}{inner}\\right{closed}", inner, cells)


__all__ = ["to_tex"]
