"""What a demo corpus is: packages, which of their files, licence, and what to expect of its documents."""

from __future__ import annotations

from dataclasses import dataclass

from resources.packages import Package


@dataclass(frozen=True)
class Part:
    """Files of one package: below `root`, those that match one of the `globs`; a uri is the path below `root`."""

    package: Package
    root: str
    globs: tuple[str, ...]


@dataclass(frozen=True)
class Corpus:
    """A corpus that comes from packages.

    `snapshot` names the packages' release; `format` is the reader's, with its option if it has one
    (`xml:PubmedArticle`); `language` is the ISO 639 code to expect (None: several); `num_quick` is the number of files
    of the quick set.
    """

    name: str
    snapshot: str
    parts: tuple[Part, ...]
    licence: str
    format: str
    language: str | None
    num_quick: int

    @property
    def domain(self) -> str:
        """The training domain of its documents."""
        return self.name
