"""Probes become rows of standardised scores, and a model is promoted only where it measures what it says."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tier_assets.m2_influence.probe import Probed
from tier_assets.m2_influence.turn import DEFAULT, SMOKE, audit, probe_rows, refusal, settings_of

WINDOWS = pl.DataFrame({"doc_id": ["a", "b", "c"], "text": ["x", "y", "z"], "char_start": [0, 0, 0]})


def rows(effects: list[float], kind: str, ids: int = 3) -> pl.DataFrame:
    """Rows of probes with these effects."""
    probed = Probed(np.array(effects), 0.5, 30.0, 0.3)
    return probe_rows(WINDOWS.head(ids), probed, kind, run="r", checkpoint="c", reference_version="v")


def test_probe_rows_what_lowers_the_reference_loss_has_the_higher_score() -> None:
    found = rows([-0.02, 0.0, 0.02], "first_order")
    assert found["score"].to_list() == [1.2247, 0.0, -1.2247]
    assert found["effect"].to_list() == [-0.02, 0.0, 0.02]
    assert found["flops"].to_list() == [10.0] * 3
    assert "text" not in found.columns


def test_probe_rows_equal_effects_score_nothing() -> None:
    assert rows([0.1, 0.1, 0.1], "true")["score"].to_list() == [0.0, 0.0, 0.0]


def test_audit_compares_the_documents_that_have_both() -> None:
    both = pl.concat([rows([1.0, 2.0, 3.0], "first_order"), rows([5.0, 4.0], "true", 2)])
    assert audit(both) == (-1.0, 2)


def test_audit_without_variation_is_not_measurable() -> None:
    assert audit(pl.concat([rows([1.0, 2.0, 3.0], "first_order"), rows([0.0, 0.0, 0.0], "true")])) == (None, 3)
    assert audit(rows([1.0, 2.0, 3.0], "first_order")) == (None, 0)


@pytest.mark.parametrize(
    ("beats", "agreement", "why"),
    [
        (True, 0.8, None),
        (False, 0.8, "does not beat"),
        (True, 0.1, "agree with the true ones at 0.1"),
        (True, None, "agree with the true ones at None"),
    ],
)
def test_refusal_says_what_a_model_lacks(beats: bool, agreement: float | None, why: str | None) -> None:
    found = refusal(0.2, beats, agreement)
    assert found is None if why is None else why in str(found)


def test_settings_of_a_lake_audit_a_hundred_true_probes() -> None:
    assert settings_of("smoke") == SMOKE
    assert settings_of("default") == DEFAULT
    assert min(SMOKE.audited, DEFAULT.audited) >= 100
