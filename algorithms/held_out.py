"""Which documents are held out of training to judge it by: a hash of the id, the same in every trial and round.

In: a document's id. Out: its role: `pool` documents train, `reference` documents are what training should become better
at, `general` documents of all domains say what that costs.
"""

from __future__ import annotations

import hashlib
from typing import Final, Literal

Role = Literal["pool", "reference", "general"]

# Only rated documents can be the reference, and a seed sample is small: a fifth of it is held out.
REFERENCE_SHARE: Final = 0.2
GENERAL_SHARE: Final = 0.1


def role(doc_id: str) -> Role:
    """What the document is to every trial.

    >>> [role(f"d{i}") for i in range(4)]
    ['pool', 'pool', 'reference', 'pool']
    """
    at = share(doc_id)
    if at < REFERENCE_SHARE:
        return "reference"
    return "general" if at < REFERENCE_SHARE + GENERAL_SHARE else "pool"


def share(doc_id: str) -> float:
    """A number from 0 to 1, evenly spread, always the same for a document."""
    return int.from_bytes(hashlib.blake2b(f"verify:{doc_id}".encode(), digest_size=8).digest(), "big") / 2**64
