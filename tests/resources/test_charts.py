"""Pictures: what is drawn can be seen, in its own colour, and the same numbers give the same bytes."""

from __future__ import annotations

import base64
import io

import polars as pl

from resources.charts import bars, lines, stacked_bars

FIRST, SECOND, THIRD = (31, 119, 180), (174, 199, 232), (255, 127, 14)


def pixels(markdown: str, colour: tuple[int, int, int], near: int = 0) -> set[tuple[int, int]]:
    """Where the picture is of this colour, or as `near` to it, as (row, column)."""
    from matplotlib import image

    data = markdown.removesuffix(")").split("base64,")[1]
    found = (image.imread(io.BytesIO(base64.b64decode(data)), format="png")[:, :, :3] * 255).round().astype(int)
    return {(int(y), int(x)) for y, x in zip(*(abs(found - colour) <= near).all(axis=2).nonzero())}


def test_bars_of_two_parts_are_side_by_side() -> None:
    values = {"name": ["l1", "l2", "l1", "l2"], "part": ["1", "1", "2", "2"], "value": [1.0, 1_000.0, 10.0, 100.0]}
    drawn = bars(pl.DataFrame(values), "cost", "CPU s")
    assert drawn.startswith("![cost](data:image/png;base64,")
    first, second = pixels(drawn, FIRST), pixels(drawn, SECOND)
    assert first
    assert second
    # On a logarithmic scale 1 and 1,000 are as much as 10 and 100, and no bar is a speck.
    assert 0.5 < len(first) / len(second) < 2


def test_bars_of_a_part_that_lacks_a_name_leave_its_place_empty() -> None:
    both = pl.DataFrame({"name": ["l1", "l2", "l1"], "part": ["1", "1", "2"], "value": [5.0, 50.0, 50.0]})
    assert len(pixels(bars(both, "t", "s"), SECOND)) < len(pixels(bars(both, "t", "s"), FIRST))


def test_lines_of_two_series_have_two_colours_and_a_band() -> None:
    points = pl.DataFrame(
        {"series": ["base"] * 3 + ["candidate"] * 3, "x": [0, 1, 2] * 2, "y": [3.0, 2.0, 1.5, 5.0, 4.0, 3.5]}
    )
    plain = lines(points, "loss", "step", "nats")
    assert pixels(plain, FIRST)
    assert pixels(plain, THIRD)
    band = lines(points.with_columns(low=pl.col("y") - 0.1, high=pl.col("y") + 0.1), "loss", "step", "nats")
    pale = (210, 228, 240)  # a fifth of the colour over white
    assert len(pixels(band, pale, near=2)) > 100 > len(pixels(plain, pale, near=2))


def test_lines_with_a_null_have_a_gap() -> None:
    points = pl.DataFrame({"series": ["a"] * 5, "x": range(5), "y": [1.0, 5.0, 1.0, 5.0, 1.0]})
    gap = points.with_columns(y=pl.when(pl.col("x") != 2).then("y"))
    whole = len(pixels(lines(points, "t", "x", "y"), FIRST, near=60))
    assert 0.4 * whole < len(pixels(lines(gap, "t", "x", "y"), FIRST, near=60)) < 0.7 * whole


def test_stacked_bars_sum_rare_parts_up() -> None:
    counts = pl.DataFrame({"name": ["a"] * 20, "part": [f"p{n:02}" for n in range(20)], "count": range(100, 120)})
    drawn = stacked_bars(counts, "t")
    other = (227, 119, 194)  # the colour after those of the twelve commonest
    assert len(pixels(drawn, other)) > 5 * len(pixels(drawn, FIRST))


def test_pictures_of_the_same_numbers_are_the_same_bytes() -> None:
    points = pl.DataFrame({"series": ["a", "a"], "x": [0, 1], "y": [1.0, 2.0]})
    assert lines(points, "t", "x", "y") == lines(points, "t", "x", "y")
