"""German prose: the help pages of LibreOffice."""

from resources.packages import Package
from tier_assets.l0_raw.corpora.corpus import Corpus, Part

CORPUS = Corpus(
    name="german_help",
    snapshot="bookworm",
    parts=(
        Part(
            Package("apt", "libreoffice-help-de", None),
            root="usr/share/libreoffice/help/de/text",
            globs=("**/*.html",),
        ),
    ),
    licence="MPL-2.0",
    format="html",
    language="de",
    num_quick=450,
)
