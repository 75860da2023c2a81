"""Pairs of buckets and their components, against the slow obvious version."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.candidate_pairs import Components, bucket_pairs, crowded

RECORDS = st.sets(st.tuples(st.integers(-3, 3), st.integers(0, 9))).flatmap(lambda some: st.permutations(sorted(some)))


def pairs_of(records: list[tuple[int, int]], partners: int, chunk: int = 1000) -> list[tuple[int, int]]:
    hashes = np.array([h for h, _ in records], np.int64)
    ranks = np.array([r for _, r in records], np.int32)
    found = np.concatenate([np.empty(0, np.int64), *bucket_pairs(hashes, ranks, partners, chunk)])
    return sorted({(int(pair >> 32), int(pair & 0xFFFFFFFF)) for pair in found})


def buckets_of(records: list[tuple[int, int]]) -> list[list[int]]:
    return [sorted(r for h, r in records if h == hash) for hash in {h for h, _ in records}]


@given(RECORDS, st.integers(1, 4), st.integers(1, 9))
def test_bucket_pairs_any_records_equal_the_slow_version(records, partners, chunk):
    expected = {
        (later, earlier)
        for bucket in buckets_of(records)
        for place, later in enumerate(bucket)
        for earlier in bucket[: min(place, partners)]
    }
    assert pairs_of(records, partners, chunk) == sorted(expected)


@given(RECORDS, st.integers(-5, 6))
def test_crowded_any_records_name_one_of_each_full_bucket(records, size):
    hashes, ranks = np.array([h for h, _ in records], np.int64), np.array([r for _, r in records], np.int32)
    expected = {bucket[0] for bucket in buckets_of(records) if len(bucket) >= max(size, 2)}
    assert set(crowded(hashes, ranks, size).tolist()) == expected


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11))))
def test_components_any_pairs_are_tied_to_their_first(edges):
    label = list(range(12))
    for left, right in edges:
        one, other = label[left], label[right]
        label = [min(one, other) if each in (one, other) else each for each in label]
    components = Components(12)
    for some in (edges[:3], edges[3:]):
        components.join(np.array([left << 32 | right for left, right in some], np.int64))
    assert components.labels().tolist() == label


@pytest.mark.parametrize("partners", [1, 32])
def test_bucket_pairs_one_bucket_of_many_stays_linear(partners):
    size = 100_000
    found = bucket_pairs(np.zeros(size, np.int64), np.arange(size, dtype=np.int32), partners)
    assert sum(map(len, found)) == partners * size - partners * (partners + 1) // 2
