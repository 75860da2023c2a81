"""Documents follow each other with a separator between; only the last incomplete chunk is lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.packing import pack


@given(st.lists(st.lists(st.integers(1, 9), max_size=7), max_size=6), st.integers(1, 5))
def test_pack_any_documents_hold_every_token_in_order(documents: list[list[int]], length: int) -> None:
    expected = [token for document in documents for token in (*document, 0)]
    chunks = pack((np.array(document, dtype=np.int32) for document in documents), length, 0)
    assert chunks.shape == (len(expected) // length, length)
    assert chunks.flatten().tolist() == expected[: chunks.size]


def test_pack_nothing_gives_no_chunk_of_the_length() -> None:
    assert pack([], 3, 0).shape == (0, 3)


def test_pack_length_of_zero_raises() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        pack([], 0, 0)
