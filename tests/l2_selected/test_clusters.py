"""Clusters as an artefact."""

from __future__ import annotations

import numpy as np
import pytest

from tier_assets.l2_selected import clusters

CENTROIDS = np.eye(3, 5, dtype=np.float32)


def test_dump_same_centroids_give_the_same_bytes_and_come_back() -> None:
    artefact = clusters.dump(CENTROIDS, "scripted-1")
    found = clusters.load(artefact)
    assert artefact == clusters.dump(CENTROIDS.copy(), "scripted-1")
    assert np.array_equal(found.centroids, CENTROIDS)
    assert found.centroids.dtype == np.float32
    assert found.encoder == "scripted-1"


def test_version_tells_centroids_and_encoders_apart() -> None:
    artefacts = [(CENTROIDS, "a"), (CENTROIDS, "b"), (CENTROIDS[::-1], "a")]
    assert len({clusters.version(clusters.dump(*each)) for each in artefacts}) == 3


@pytest.mark.parametrize("artefact", [b"", b"PK\x03\x04 broken", clusters.dump(CENTROIDS, "a")[:100]])
def test_load_what_is_no_artefact_raises(artefact: bytes) -> None:
    with pytest.raises(ValueError, match="not clusters of this version"):
        clusters.load(artefact)
