"""Spherical k-means against the slow obvious version, and its properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms import spherical_kmeans


def directions(num: int, size: int = 8, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(num, size)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_fit_bundles_apart_are_found_whole() -> None:
    poles = np.eye(4, dtype=np.float32)
    vectors = np.concatenate([poles[[k] * (10 * (k + 1))] + 0.05 * directions(10 * (k + 1), 4, k) for k in range(4)])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    centroids = spherical_kmeans.fit(vectors, k=4, seed=3, rounds=20)
    # The largest first: the last bundle has 40.
    assert centroids.argmax(axis=1).tolist() == [3, 2, 1, 0]
    assert spherical_kmeans.assign(vectors, centroids).tolist() == [3] * 10 + [2] * 20 + [1] * 30 + [0] * 40


@given(num=st.integers(1, 60), k=st.integers(1, 12), seed=st.integers(0, 5))
def test_fit_any_input_gives_unit_centroids_that_repeat(num: int, k: int, seed: int) -> None:
    vectors = directions(num, seed=seed)
    centroids = spherical_kmeans.fit(vectors, k, seed, rounds=5)
    assert centroids.shape == (min(k, num), 8)
    assert centroids.dtype == np.float32
    assert np.allclose(np.linalg.norm(centroids, axis=1), 1, atol=1e-5)
    assert np.array_equal(centroids, spherical_kmeans.fit(vectors.copy(), k, seed, rounds=5))


def test_fit_a_round_is_lloyds() -> None:
    vectors = directions(300)
    before = spherical_kmeans._seeds(vectors, 6, np.random.default_rng(1))
    nearest, likeness = spherical_kmeans._nearest(vectors, before)
    after = spherical_kmeans._centroids(vectors, nearest, likeness, 6)
    for k in range(6):
        total = sum(vector for vector, own in zip(vectors, nearest, strict=True) if own == k)
        assert np.allclose(after[k], total / np.linalg.norm(total), atol=1e-5)


def test_fit_more_rounds_never_loosen_the_clusters() -> None:
    vectors = directions(500, seed=2)
    likeness = []
    for rounds in (1, 2, 4, 8, 16):
        centroids = spherical_kmeans.fit(vectors, 10, seed=1, rounds=rounds)
        likeness.append((vectors @ centroids.T).max(axis=1).mean())
    assert likeness == sorted(likeness)
    assert likeness[-1] > likeness[0]


def test_fit_copies_make_no_more_clusters_than_there_are_vectors() -> None:
    # 1 - <x, x> is not always 0 in float32: that makes no further vector.
    vectors = np.repeat(directions(3, size=100), 20, axis=0)
    centroids = spherical_kmeans.fit(vectors, k=8, seed=0, rounds=5)
    assert len(centroids) == 3
    assert np.allclose((vectors @ centroids.T).max(axis=1), 1, atol=1e-5)


def test_centroids_empty_cluster_takes_the_vector_farthest_from_its_own() -> None:
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], dtype=np.float32)
    found = spherical_kmeans._centroids(vectors, np.array([0, 0, 0], np.int32), vectors[:, 0].copy(), k=2)
    assert np.array_equal(found[1], vectors[2])


def test_assign_equals_the_obvious_version_across_batches() -> None:
    vectors, centroids = directions(spherical_kmeans.BATCH + 100), directions(7, seed=9)
    obvious = [max(range(7), key=lambda k: (vector @ centroids[k], -k)) for vector in vectors]
    found = spherical_kmeans.assign(vectors, centroids)
    assert found.tolist() == obvious
    assert found.dtype == np.int32
    assert spherical_kmeans.assign(vectors[:0], centroids).shape == (0,)


@pytest.mark.parametrize(
    ("vectors", "k", "rounds", "message"),
    [
        (directions(3), 0, 1, "k and rounds"),
        (directions(3), 1, 0, "k and rounds"),
        (directions(0), 1, 1, "got 0 rows"),
        (2 * directions(3), 1, 1, "of length 1"),
        (np.full((3, 8), np.nan, np.float32), 1, 1, "of length 1"),
    ],
)
def test_fit_unusable_input_raises(vectors: np.ndarray, k: int, rounds: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spherical_kmeans.fit(vectors, k, 0, rounds)
