"""The gate on gold records: a sample of the reporting half of `benchmarks.verification`, against the measured floor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.quality_measures import measured
from benchmarks.quality_sets import gold_folder
from benchmarks.verification import by_group, overlap
from benchmarks.verification_sets import (
    REPORTING,
    corruptions,
    good_records,
    in_half,
    sampled,
    span_pairs,
    titled,
    turned_pairs,
)
from tier_assets.l3_refined.verify import score

NUM_EACH = 40
NUM_PAIRS = 150


@pytest.fixture(scope="module")
def folder() -> Path:
    found = gold_folder()
    if not (found / "qa_xquad").exists() or not (found / "qa_pubmedqa").exists():
        pytest.skip("no gold data: qa_xquad and qa_pubmedqa under TIERLAKE_GOLD or shared/data beside the repository")
    return found


# About three standard errors under the figures of the whole half, at this sample's size.
FLOORS = {"number": 0.88, "language": 0.92, "invented_sentence": 0.9}


def test_gate_on_corruptions_catches_its_measured_share(folder: Path) -> None:
    bad = sampled(in_half(corruptions(good_records(folder)), REPORTING), NUM_EACH)
    found = by_group(bad)
    assert len(bad) >= 300
    for kind, floor in FLOORS.items():
        caught = [r for (k, _), group in found.items() if k == kind for r in group]
        assert np.mean(caught) >= floor, kind
    assert np.mean(found["name", "xquad-en"] + found["name", "pubmedqa"]) >= 0.88
    assert np.mean(found["negation", "xquad-en"] + found["negation", "xquad-de"]) >= 0.8


def test_gate_on_good_records_loses_no_more_than_measured(folder: Path) -> None:
    good = titled(folder, sampled(in_half(good_records(folder), REPORTING), 2 * NUM_EACH))
    assert np.mean([r for group in by_group(good).values() for r in group]) <= 0.13


def test_score_on_hard_negatives_is_above_lexical_overlap(folder: Path) -> None:
    for pairs in (span_pairs(folder), turned_pairs(folder)):
        chosen = in_half(pairs, REPORTING)[:: max(1, len(pairs) // 2 // NUM_PAIRS)]
        rows = [(pair, text) for pair in chosen for text in (pair.right, pair.wrong)]
        columns = {
            "gate": np.array([score(text, pair.source, pair.question) for pair, text in rows]),
            "overlap": np.array([overlap(f"{pair.question} {text}", pair.source) for pair, text in rows]),
        }
        truth = np.tile([1.0, 0.0], len(chosen))
        result = measured(columns, truth, pl.Series([pair.group for pair, _ in rows]), binary=True)
        assert result.difference("gate", "overlap")[1] > 0
