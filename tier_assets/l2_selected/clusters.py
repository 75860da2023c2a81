"""The clusters of a lake's embeddings as an artefact: centroids and the encoder whose vectors they are of.

`algorithms.spherical_kmeans` fits and assigns; here they are written and read. Same centroids, same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Clusters:
    """`centroids` float32 [K, D] of length 1, and the encoder's name."""

    centroids: np.ndarray
    encoder: str


def dump(centroids: np.ndarray, encoder_name: str) -> bytes:
    """The centroids [K, D] as npz bytes with a JSON header."""
    file = io.BytesIO()
    header = json.dumps({"encoder": encoder_name}, sort_keys=True)
    np.savez_compressed(
        file, header=np.frombuffer(header.encode(), dtype=np.uint8), centroids=centroids.astype(np.float32)
    )
    return file.getvalue()


def load(artefact: bytes) -> Clusters:
    """The clusters that `dump` wrote.

    Raises:
        ValueError: the bytes are no clusters of this version of the code.
    """
    try:
        with np.load(io.BytesIO(artefact), allow_pickle=False) as arrays:
            header = json.loads(arrays["header"].tobytes())
            return Clusters(arrays["centroids"], header["encoder"])
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"not clusters of this version: {error}") from error


def version(artefact: bytes) -> str:
    """The clusters' version: a hash of what `dump` wrote."""
    return hashlib.sha256(artefact).hexdigest()[:16]
