"""Programming documentation: the manuals of Python 3.11, without indexes."""

from resources.packages import Package
from tier_assets.l0_raw.corpora.corpus import Corpus, Part

CHAPTERS = ("c-api", "extending", "faq", "howto", "library", "reference", "tutorial", "using", "whatsnew")
CORPUS = Corpus(
    name="python_docs",
    snapshot="bookworm",
    parts=(
        Part(
            Package("apt", "python3.11-doc", None),
            root="usr/share/doc/python3.11/html",
            globs=tuple(f"{chapter}/*.html" for chapter in CHAPTERS),
        ),
    ),
    licence="PSF-2.0",
    format="html",
    language="en",
    num_quick=350,
)
