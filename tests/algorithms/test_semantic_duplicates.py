"""Semantic near-duplicates against the slow obvious version, and what a block must not change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms import semantic_duplicates as blocks
from algorithms.semantic_duplicates import semantic_duplicates


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def on_circle(*degrees: float) -> np.ndarray:
    return unit(np.array([[np.cos(np.radians(d)), np.sin(np.radians(d))] for d in degrees]))


def slow(vectors: np.ndarray, order: np.ndarray, clusters: np.ndarray, max_similarity: float) -> list[int]:
    repeats, kept = [-1] * len(vectors), []
    for row in order:
        same = [k for k in kept if clusters[k] == clusters[row] >= 0]
        near = [k for k in same if vectors[row].astype(float) @ vectors[k].astype(float) > max_similarity + 1e-6]
        if near:
            repeats[row] = near[0]
        else:
            kept.append(row)
    return repeats


@given(st.integers(0, 2**32 - 1), st.integers(0, 80), st.sampled_from([2, 3, 8]), st.sampled_from([0.3, 0.9, 0.99]))
def test_semantic_duplicates_any_vectors_are_those_of_the_slow_version(
    seed: int, num: int, dimensions: int, max_similarity: float
) -> None:
    draw = np.random.default_rng(seed)
    vectors = unit(draw.normal(size=(num, dimensions)))
    clusters, order = draw.integers(-1, 3, num), draw.permutation(num)[: num - num // 5]
    kept, similarity = semantic_duplicates(vectors, order, clusters, max_similarity)
    assert kept.tolist() == slow(vectors, order, clusters, max_similarity)
    assert (np.isnan(similarity) == (kept < 0)).all()
    assert (similarity[kept >= 0] >= max_similarity).all()


def test_semantic_duplicates_more_rows_than_blocks_hold_are_all_held_against_each_other() -> None:
    draw = np.random.default_rng(1)
    vectors = unit(draw.normal(size=(9_600, 12)))
    vectors[9_000:] = vectors[draw.permutation(9_000)[:600]]
    kept, _ = semantic_duplicates(vectors, np.arange(9_600), np.zeros(9_600, int), 0.9)
    best, expected = np.empty((9_600, 12)), np.full(9_600, -1)
    rows: list[int] = []
    for row, vector in enumerate(vectors.astype(float)):
        near = np.flatnonzero(best[: len(rows)] @ vector > 0.9 + 1e-6)
        if len(near):
            expected[row] = rows[near[0]]
        else:
            best[len(rows)] = vector
            rows.append(row)
    assert blocks.CHUNK < len(rows) < 9_000
    assert np.array_equal(kept, expected)


def test_semantic_duplicates_a_chain_of_small_steps_keeps_its_ends() -> None:
    kept, similarity = semantic_duplicates(on_circle(0, 10, 20), np.array([0, 1, 2]), np.zeros(3, int), 0.98)
    assert kept.tolist() == [-1, 0, -1]
    assert similarity[1] == round(np.cos(np.radians(10)), 4)
    middle_first = semantic_duplicates(on_circle(0, 10, 20), np.array([1, 0, 2]), np.zeros(3, int), 0.98)[0]
    assert middle_first.tolist() == [1, -1, 1]


@pytest.mark.parametrize(("max_similarity", "expected"), [(0.6 - 1e-5, [-1, 0]), (0.6, [-1, -1])])
def test_semantic_duplicates_a_cosine_at_the_limit_is_kept(max_similarity: float, expected: list[int]) -> None:
    vectors = np.array([[1, 0], [0.6, 0.8]], np.float32)
    assert semantic_duplicates(vectors, np.array([0, 1]), np.zeros(2, int), max_similarity)[0].tolist() == expected


def test_semantic_duplicates_a_cosine_closer_to_the_limit_than_float32_can_tell_is_judged_right() -> None:
    draw = np.random.default_rng(2)
    base = draw.normal(size=(50, 1, 384))
    pairs = [unit(pair) for pair in base + 0.5 * draw.normal(size=(50, 2, 384))]
    for pair in pairs:
        exact = float(pair[0].astype(float) @ pair[1].astype(float)) - blocks.TOLERANCE
        found = [semantic_duplicates(pair, np.arange(2), np.zeros(2, int), exact + d)[0][1] for d in (-1e-9, 1e-9)]
        assert found == [0, -1]


def test_semantic_duplicates_the_best_kept_row_is_named_not_the_nearest() -> None:
    kept, _ = semantic_duplicates(on_circle(0, 16, 10), np.array([0, 1, 2]), np.zeros(3, int), 0.97)
    assert kept.tolist() == [-1, -1, 0]


def test_semantic_duplicates_other_clusters_and_rows_without_one_are_not_compared() -> None:
    same = on_circle(0, 0, 0, 0)
    assert semantic_duplicates(same, np.arange(4), np.array([0, 1, -1, -1]), 0.9)[0].tolist() == [-1] * 4
    assert semantic_duplicates(same, np.arange(4), np.array([0, 1, 1, 0]), 0.9)[0].tolist() == [-1, -1, 1, 0]


def test_semantic_duplicates_of_nothing_are_none() -> None:
    kept, similarity = semantic_duplicates(np.zeros((0, 4), np.float32), np.empty(0, int), np.empty(0, int), 0.9)
    assert len(kept) == len(similarity) == 0
