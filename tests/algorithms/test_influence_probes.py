"""Slopes along a direction against their closed form; the floor under the moments; weights put back bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.influence_probes import direction, norm, quantile, read, slopes


def tensors(*values: list[float]) -> list:  # type: ignore[type-arg]
    import torch

    return [torch.tensor(numbers) for numbers in values]


def test_slopes_of_a_quadratic_are_its_gradient_along_the_direction() -> None:
    # A central difference has no error on x**2: 2 * x * d, here 2 * (1 * 3 + 2 * 0 + 2 * -1).
    weights, along = tensors([1.0, 2.0], [2.0]), tensors([3.0, 0.0], [-1.0])
    found = slopes(lambda: np.array([sum(float((w**2).sum()) for w in weights), 0.0]), weights, along)
    np.testing.assert_allclose(found, [2.0, 0.0], rtol=1e-4)
    assert [w.tolist() for w in weights] == [[1.0, 2.0], [2.0]]


def test_slopes_along_no_direction_are_refused() -> None:
    with pytest.raises(ValueError, match="the reference has no gradient"):
        slopes(lambda: np.zeros(1), tensors([1.0]), tensors([0.0]))


def test_shifted_weights_are_back_bit_for_bit_also_after_an_error() -> None:
    weights = tensors([0.1, 1e-20, 1e20])
    before = weights[0].clone()
    seen: list[float] = []

    def broken() -> np.ndarray:
        seen.append(float(weights[0][0]))
        raise FloatingPointError

    with pytest.raises(FloatingPointError):
        slopes(broken, weights, tensors([1.0, 0.0, 0.0]))
    assert seen[0] == pytest.approx(1e18)
    assert weights[0].equal(before)


def test_direction_divides_by_the_root_of_moments_not_below_their_floor() -> None:
    moments = tensors([1e-12, *[4.0] * 10, 16.0], [0.0])
    (found, unseen) = direction(tensors([2.0] * 12, [2.0]), moments, 0.25)
    assert found.tolist() == [*[1.0] * 11, 0.5]
    assert unseen.tolist() == [1.0]


@pytest.mark.parametrize("moments", [None, [[0.0, 0.0]]])
def test_direction_without_moments_is_the_gradient(moments: list[list[float]] | None) -> None:
    found = direction(tensors([2.0, 3.0]), None if moments is None else tensors(*moments))
    assert [part.tolist() for part in found] == [[2.0, 3.0]]


def test_quantile_leaves_zeros_out_and_takes_every_nth_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    values = tensors([0.0, 0.0, 3.0, 1.0], [2.0, 4.0])
    assert [quantile(values, share) for share in (0.25, 0.5, 1.0)] == [1.0, 2.0, 4.0]
    assert quantile(tensors([0.0]), 0.5) is None
    monkeypatch.setattr("algorithms.influence_probes.QUANTILE_OF", 3)
    assert quantile(values, 1.0) == 3.0


def test_norm_is_that_of_all_tensors_together() -> None:
    assert norm(tensors([3.0], [0.0, 4.0])) == 5.0


@pytest.mark.parametrize(("length", "expected"), [(129, 110), (9, 8), (2, 2)])
def test_read_is_85_percent_of_the_predicted_tokens(length: int, expected: int) -> None:
    assert read(length) == expected
