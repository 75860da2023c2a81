"""Spilling arrays: parts come back as they were appended, whether from memory or from files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.spill import open_scratch


@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(-9, 9)))), st.sampled_from([0, 30, 10_000]))
def test_spill_scattered_values_come_back_part_by_part_in_order(batches, memory_bytes):
    with open_scratch(memory_bytes) as scratch:
        spill = scratch.spill("values", np.dtype(np.int64), 4)
        for batch in batches:
            spill.scatter(np.array([value for _, value in batch], np.int64), np.array([p for p, _ in batch], np.int64))
        found = [spill.take(part).tolist() for part in range(4)]
    assert found == [[value for batch in batches for part, value in batch if part == wanted] for wanted in range(4)]


@pytest.mark.parametrize(("memory_bytes", "num_files"), [(80, 0), (79, 1)])
def test_spill_beyond_its_bound_lies_in_files_until_taken(memory_bytes, num_files):
    with open_scratch(memory_bytes) as scratch:
        spill = scratch.spill("values", np.dtype(np.int64), 2)
        spill.append(1, np.arange(10))
        assert len(list(scratch.folder.iterdir())) == num_files
        assert spill.take(1).tolist() == list(range(10))
        assert spill.take(1).tolist() == []
        assert list(scratch.folder.iterdir()) == []
    assert not scratch.folder.exists()


def test_spill_given_values_may_change_afterwards():
    with open_scratch(1000) as scratch:
        spill = scratch.spill("values", np.dtype(np.int64), 1)
        values = np.array([1, 2])
        spill.append(0, values)
        values[:] = 0
        assert spill.take(0).tolist() == [1, 2]
