"""Pairs differ by the candidate's chunks alone; the gate refuses what is clearly worse and nothing else."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from resources.trainer import ModelSettings
from tier_assets.l2_selected import verify as verify_module
from tier_assets.l2_selected.verify import (
    CURVE_SCHEMA,
    Data,
    Difference,
    Settings,
    difference,
    draw_order,
    loss_curves,
    refusals,
    verify,
)
from tier_assets.l2_selected.verify_data import Sample
from tier_tables import VERIFICATION_CURVES, VERIFICATIONS

TINY = Settings(
    "tiny",
    gates=True,
    seeds=3,
    warmup=5,
    stable=35,
    anneal=40,
    batch=16,
    peak_lr=2e-2,
    candidate_share=0.5,
    model=ModelSettings(vocab=300, context=16, width=32, layers=1, heads=2),
    evaluations=4,
    reference_chunks=32,
    general_chunks=32,
    passages=40,
)


def sample(base: int, shared: int, candidate: int) -> Sample:
    """Chunks of base data, of both and of the candidate; each chunk is its own number."""
    sizes = [base, shared, candidate]
    return Sample(
        chunks_NC=np.arange(sum(sizes), dtype=np.int32)[:, None],
        in_base_N=np.repeat([True, True, False], sizes),
        in_candidate_N=np.repeat([False, True, True], sizes),
        reference_RC=np.zeros((1, 1), np.int32),
        general=(),
        passages_PKL=np.zeros((1, 4, 2), np.int32),
    )


def windows(start: int, count: int, follow: float) -> pl.DataFrame:
    """Windows of sentences in which a word is followed by the same other word in a share `follow` of cases."""
    random = np.random.default_rng(start)
    words = ["ka", "lo", "mi", "nu", "pe", "ri", "so", "ta", "vu", "we", "xi", "zo"]
    texts = []
    for _ in range(count):
        chain = [int(random.integers(12))]
        for _ in range(20):
            chain.append((5 * chain[-1] + 1) % 12 if random.random() < follow else int(random.integers(12)))
        texts.append(" ".join(words[word] for word in chain))
    ids = [f"w{start + i:05}" for i in range(count)]
    return pl.DataFrame({"doc_id": ids, "domain": [f"d{i % 2}" for i in range(count)], "text": texts}).with_columns(
        char_start=pl.lit(0, pl.Int64)
    )


def planted(base: float, candidate: float) -> Data:
    """Base and candidate whose words follow each other so often, judged by windows in which they always do."""
    return Data(
        windows(0, 600, base), windows(10_000, 300, candidate), windows(20_000, 60, 1.0), windows(30_000, 60, 0.9)
    )


def test_draw_order_arms_differ_in_the_candidates_places_alone() -> None:
    order = draw_order(sample(1200, 200, 800), TINY, seed=1)
    assert order.stable.shape == (40, 16)
    assert order.base.shape == order.candidate.shape == (40, 16)
    changed = order.base != order.candidate
    # A place may hold by chance the same chunk of both.
    assert changed.sum() == pytest.approx(TINY.candidate_chunks, abs=8)
    assert (order.candidate[changed] >= 1200).all()
    assert (order.base < 1400).all()


def test_draw_order_chunks_not_seen_before_come_first() -> None:
    # 320 places for 360 chunks, 60 of them also base data that the pair may have seen.
    order = draw_order(sample(1300, 60, 300), TINY, seed=1)
    assert len(np.unique(np.concatenate([order.stable, order.base]))) == 1280
    assert len(np.unique(np.concatenate([order.stable, order.candidate]))) == 1280
    # Without a rest the seen ones stand in too.
    scarce = draw_order(sample(1300, 60, 260), TINY, seed=1)
    assert len(np.unique(scarce.candidate[scarce.candidate >= 1300])) == 320


def test_draw_order_seeds_draw_different_chunks_while_there_are_enough() -> None:
    chunks = sample(1300, 0, 3 * 320)
    drawn = [set(order[order >= 1300]) for order in (draw_order(chunks, TINY, seed).candidate for seed in range(3))]
    assert [len(ids) for ids in drawn] == [320, 320, 320]
    assert len(set.union(*drawn)) == 960


def test_draw_order_scarce_chunks_are_used_alike() -> None:
    order = draw_order(sample(200, 0, 80), TINY, seed=1)
    counts = np.bincount(order.candidate[order.candidate >= 200])[200:]
    assert set(counts) == {4}
    base_counts = np.bincount(np.concatenate([order.stable, order.base]).flatten())
    assert set(base_counts) == {6, 7}


def test_draw_order_is_the_seeds() -> None:
    chunks = sample(1400, 100, 400)
    first, again, other = (draw_order(chunks, TINY, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.candidate, again.candidate)
    assert (first.stable != other.stable).any()


def test_difference_interval_is_that_of_students_t() -> None:
    gains = np.array([0.31, -0.12, 0.24, 0.05, 0.44])
    found = difference(gains)
    error = gains.std(ddof=1) / math.sqrt(5)
    assert found.error == pytest.approx(error, abs=1e-4)
    # The 97.5% quantile with four degrees of freedom, from the tables.
    expected = (0.184 - 2.7764 * error, 0.184 + 2.7764 * error)
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-4)


def test_difference_equal_gains_are_no_surer_than_the_least_deviation() -> None:
    assert difference(np.full(3, -0.01), least_deviation=0.02).high > 0
    assert difference(np.full(3, -0.01)).high < 0


NOTHING = Difference(0.0, 0.01, -0.03, 0.03)


@pytest.mark.parametrize(
    ("reference", "general", "accuracy", "expected"),
    [
        (NOTHING, NOTHING, NOTHING, []),
        (Difference(0.1, 0.01, 0.07, 0.13), NOTHING, NOTHING, []),
        # Worse, but by chance it could be better.
        (Difference(-0.04, 0.02, -0.08, 0.0), NOTHING, NOTHING, []),
        # Worse, but by no more than other documents would move it; then clearly worse.
        (Difference(-0.04, 0.01, -0.075, -0.005), NOTHING, NOTHING, []),
        (Difference(-0.04, 0.01, -0.0749, -0.0051), NOTHING, NOTHING, ["the reference loss is worse"]),
        (NOTHING, NOTHING, Difference(-0.04, 0.01, -0.08, 0.0), []),
        (NOTHING, NOTHING, Difference(-0.04, 0.01, -0.07, -0.01), ["the accuracy is worse"]),
        (NOTHING, NOTHING, Difference(-0.04, 0.02, -0.09, 0.01), []),
        # General loss: clearly worse, but within what is tolerated; perhaps beyond it; clearly beyond it.
        (NOTHING, Difference(-0.04, 0.002, -0.045, -0.035), NOTHING, []),
        (NOTHING, Difference(-0.07, 0.01, -0.09, -0.05), NOTHING, []),
        (NOTHING, Difference(-0.07, 0.005, -0.085, -0.0501), NOTHING, ["the general loss is worse"]),
        # A gain on the reference does not pay for it.
        (Difference(0.1, 0.01, 0.07, 0.13), Difference(-0.2, 0.01, -0.2, -0.1), NOTHING, ["the general loss"]),
    ],
)
def test_refusals_only_what_is_clearly_worse(
    reference: Difference, general: Difference, accuracy: Difference, expected: list[str]
) -> None:
    found = refusals(reference, general, accuracy, TINY)
    assert len(found) == len(expected)
    assert all(reason.startswith(begins) for reason, begins in zip(found, expected))


def test_refusals_of_gains_that_are_noise_are_rare() -> None:
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(2_000):
        reference, general, accuracy = (difference(random.normal(0, 0.02, 5)) for _ in range(3))
        refused += bool(refusals(reference, general, accuracy, TINY))
    assert 0.02 < refused / 2_000 < 0.05


@pytest.mark.slow
def test_verify_clean_candidate_on_noisy_base_gains() -> None:
    moved: list[int] = []
    found = verify(planted(base=0.5, candidate=1.0), TINY, moved.append, cores=1)
    assert found.passed
    assert moved == [120, 240, 360] == [TINY.steps // 3 * i for i in (1, 2, 3)]
    summary = found.summary
    assert summary["reference_gain"] > 4 * summary["reference_error"] > 0
    assert summary["accuracy_gain"] > 0
    assert summary["num_seeds"] == 3
    assert summary["num_tokens"] == 360 * 16 * 16
    assert found.detail.startswith("not clearly worse; reference gain +")
    numeric = {c.name for c in VERIFICATIONS.columns if c.dtype in (pl.Int64, pl.Float64)}
    assert set(summary) == numeric - {"round"}
    columns = [c.name for c in VERIFICATION_CURVES.columns if c.name != "verification"]
    assert found.curves.columns == columns == list(CURVE_SCHEMA)
    assert not found.curves.select("arm", "seed", "step", "measure").is_duplicated().any()
    # Six a token and parameter in training, two in evaluation.
    per_token = summary["flops"] / summary["num_parameters"] / summary["num_tokens"]
    assert 6 < per_token < 12


def test_verify_noise_on_clean_base_is_refused() -> None:
    found = verify(planted(base=1.0, candidate=0.0), TINY, lambda done: None, cores=1)
    assert not found.passed
    assert found.detail.startswith("refused: the reference loss is worse by at least 0.")


def test_verify_settings_that_do_not_gate_refuse_nothing_and_claim_nothing() -> None:
    found = verify(planted(base=1.0, candidate=0.0), replace(TINY, gates=False, seeds=2), lambda done: None, cores=1)
    assert found.passed
    assert found.detail.startswith("too small to gate: no gain is claimed; reference gain -")


def test_verify_again_gives_the_same_curves() -> None:
    settings = replace(TINY, seeds=2, stable=5, anneal=8)
    first, again = (verify(planted(0.5, 1.0), settings, lambda done: None, cores=1) for _ in range(2))
    assert first.curves.equals(again.curves)
    assert first.detail == again.detail


@pytest.mark.slow
def test_verify_in_two_processes_gives_the_curves_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    settings = replace(TINY, seeds=2, stable=5, anneal=8)
    moved: list[int] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        one = verify(planted(0.5, 1.0), settings, lambda done: None, cores=1)
    finally:
        torch.set_num_threads(threads)
    two = verify(planted(0.5, 1.0), settings, moved.append, cores=2)
    assert two.curves.equals(one.curves)
    assert moved == [settings.steps // 2, settings.steps]
    monkeypatch.setattr(verify_module, "WORKER_CPU_S", 0.3)
    with pytest.raises(RuntimeError, match="verification tiny: a worker"):
        verify(planted(0.5, 1.0), TINY, lambda done: None, cores=2)


def test_loss_curves_are_the_mean_over_seeds_of_each_arm() -> None:
    rows = [
        ("stable", 0, 10, "train", 9.0),
        ("base", 0, 20, "reference", 5.0),
        ("base", 1, 20, "reference", 6.0),
        ("base", 0, 20, "general", 8.0),
        ("candidate", 0, 20, "reference", 4.0),
        ("base", 0, 30, "reference", 3.0),
    ]
    curves = pl.DataFrame(rows, schema=CURVE_SCHEMA, orient="row")
    assert loss_curves(curves).rows() == [("base", 20, 5.5), ("base", 30, 3.0), ("candidate", 20, 4.0)]
