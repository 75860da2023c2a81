"""Where blocks stand in the outline of a page, written out for small pages."""

from __future__ import annotations

import numpy as np
import turbohtml

from algorithms.page_blocks import read_blocks
from algorithms.page_outline import NUM_OUTLINE, outline

LONG = "word " * 20  # 99 characters, for the last blank is not counted as the element ends
PAGE = (
    f"<body><h1>Site</h1><div><article><h1>Head</h1><p>{LONG}</p><p>{LONG}</p></article>"
    f"<article><p>{LONG}</p></article></div><p>short</p></body>"
)


def columns(page: str) -> np.ndarray:
    blocks = read_blocks(turbohtml.parse(page).serialize())
    out_BO = np.zeros((len(blocks.numbers_BK), NUM_OUTLINE), np.float32)
    outline(blocks.numbers_BK, blocks.elements_EK, out_BO)
    return out_BO


def test_outline_of_two_articles_finds_the_one_with_most_prose():
    out_BO = columns(PAGE)  # Site, Head, long, long, long, short
    assert np.allclose(out_BO[:, 0], [0, 0, 2 / 3, 2 / 3, 1 / 3, 0])
    assert np.allclose(out_BO[:, 1], [0, 0, 1, 1, 0.5, 0])
    assert np.allclose(out_BO[:, 2], 2 / 3)
    assert out_BO[:, 3].tolist() == [0, 1, 1, 1, 0, 0]  # in that article
    assert out_BO[:, 4].tolist() == [0, 1, 1, 1, 1, 0]  # in its parent
    assert out_BO[:, 5].tolist() == [1, 1, 1, 1, 1, 1]  # in the body
    assert out_BO[:, 6].tolist() == [-1, -1, 0, 0, 1, 1]
    assert out_BO[5, 7] > out_BO[4, 7] == 0
    assert out_BO[0, 7] > out_BO[1, 7] > 0
    assert out_BO[:, 8].tolist() == [1, 2, 2, 2, 2, 2]  # h1 so far
    assert out_BO[:, 9].tolist() == [0, 1, 1, 1, 2, 2]  # articles so far
    assert out_BO[:, 10].tolist() == [2] * 6
    assert out_BO[:, 11].tolist() == [0, 0, 1, 1, 2, 2]  # holders of at least half as much prose
    assert out_BO[:, 12].tolist() == [2] * 6


def test_outline_prose_in_links_or_short_does_not_count():
    out_BO = columns(f"<body><div><p><a href=x>{LONG}</a></p></div><div><p>{'a' * 49}</p></div></body>")
    assert out_BO[:, :2].tolist() == [[0, 0], [0, 0]]


def test_outline_of_text_without_elements_is_finite():
    assert np.isfinite(columns("text")).all()
