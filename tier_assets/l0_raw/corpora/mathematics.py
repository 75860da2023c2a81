"""Mathematics: the manuals of two computer algebra systems, GAP (formulae in TeX for MathJax) and Giac."""

from resources.packages import Package
from tier_assets.l0_raw.corpora.corpus import Corpus, Part

CORPUS = Corpus(
    name="mathematics",
    snapshot="bookworm",
    parts=(
        # Each GAP chapter is there twice; the other form has its formulae as HTML.
        Part(Package("apt", "gap-doc", None), root="usr/share/gap/doc", globs=("*/chap*_mj.html",)),
        Part(Package("apt", "giac-doc", None), root="usr/share/giac/doc/en", globs=("*/*.html",)),
    ),
    licence="GPL-2.0-or-later and GPL-3.0-or-later",
    format="html",
    language="en",
    num_quick=500,
)
