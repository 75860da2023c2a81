"""The miniature keeps apart what must be apart, and the report pairs seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks import miniature
from benchmarks.influence_report import picture, report
from benchmarks.influence_stages import ARMS, CYNICAL, Measured, needed
from resources.trainer import ModelSettings

SMALL = miniature.Settings(
    pool=1400,
    target=80,
    guard=8,
    measured=16,
    general=8,
    warmup_steps=4,
    stage_steps=5,
    model=ModelSettings(vocab=300, context=8),
)


def sources() -> miniature.Sources:
    """Every document is one word of its own, repeated."""
    random = np.random.default_rng(0)

    def texts(domain: str) -> pl.Series:
        words = ["".join(random.choice(list("abcdefghij"), 5)) for _ in range(300)]
        return pl.Series([f"{domain}{word} " * 24 for word in words])

    return miniature.Sources({"one": texts("p"), "two": texts("q")}, texts("r"), {"other": texts("s")})


def test_make_of_the_same_seed_is_the_same_and_of_another_differs() -> None:
    one, same, other = (miniature.make(sources(), seed, SMALL) for seed in (0, 0, 1))
    assert one.documents.equals(same.documents)
    assert np.array_equal(one.chunks_NC, same.chunks_NC)
    assert not np.array_equal(one.target_RC, other.target_RC)
    assert not one.documents.equals(other.documents)


def test_make_draws_pool_target_guard_and_measured_sets_from_different_documents() -> None:
    made = miniature.make(sources(), 0, SMALL)
    words = pl.col("text").str.extract_all(r"[pqrs][a-j]{5}").explode()
    sets = [made.documents.filter(pl.col("domain") != miniature.NOISE), made.guard]
    sets += [pl.DataFrame({"text": made.target})]
    sets += [
        pl.DataFrame({"text": made.tokenizer.decode_batch(chunks.tolist())})
        for (kind, _), chunks in made.measured.items()
        if kind != "evaluation"
    ]
    found = [set(rows.select(words).to_series().drop_nulls()) for rows in sets]
    general = found[-1] | found[-2]
    assert all(found)
    assert not found[0] & (found[1] | found[2] | found[3] | general)
    assert not found[2] & found[3]
    assert not found[1] & general


def test_make_has_the_sizes_asked_for() -> None:
    made = miniature.make(sources(), 0, SMALL)
    assert made.documents.height == len(made.chunks_NC)
    assert abs(made.documents.height - 1400) <= 3
    assert len(made.warmup_WC) == made.warmup.height == 64
    assert made.chunks_NC.shape[1] == 9
    assert made.documents["doc_id"].is_unique().all()
    assert set(made.documents["domain"]) == {"one", "two", miniature.NOISE}


def test_make_of_too_little_text_raises() -> None:
    few = sources()
    with pytest.raises(
        ValueError, match=r"too little text for a miniature: reference: \d+ chunks; 64 chunks are needed"
    ):
        miniature.make(replace(few, reference=few.reference.head(2)), 0, SMALL)


def test_of_documents_holds_two_domains_out() -> None:
    rows = pl.DataFrame({"domain": list("aabbbccccd"), "text": ["x" * 10] * 10})
    found = miniature.of_documents(rows, "b")
    assert set(found.pool) == {"c", "d"}
    assert set(found.evaluation) == {"a"}
    with pytest.raises(ValueError, match="no domain 'e'"):
        miniature.of_documents(rows, "e")
    with pytest.raises(ValueError, match="four domains"):
        miniature.of_documents(rows.filter(pl.col("domain") < "d"))


def measured() -> list[Measured]:
    """Two seeds: cynical is better than random by .1 and .3 on the reference."""
    found = []
    for seed, gain in enumerate((0.1, 0.3)):
        losses = {"random": {"reference/r": 5.0 + seed, "general/g": 4.0, "general/h": 4.0, "evaluation/e": 3.0}}
        losses[CYNICAL] = {**losses["random"], "reference/r": 5.0 + seed - gain, "general/h": 4.2}
        found.append(Measured(seed, losses, {"pool tokens / stage FLOPs": 1e-6, "stage CPU s": 10.0}))
    return found


def test_report_of_two_seeds_pairs_them() -> None:
    row = next(line for line in report(measured()).splitlines() if line.startswith(f"| {CYNICAL} "))
    assert row == f"| {CYNICAL} | -0.200±0.141 | +0.100±0.000 | +0.000±0.000 |  | 0.0% | 0.0% |"


def test_picture_of_the_same_rows_is_the_same_file(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        picture(measured(), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_needed_arms_hold_those_whose_mix_is_taken() -> None:
    mixes = [arm for arm in ARMS if arm.mix_of]
    assert mixes
    for arm in mixes:
        assert needed([arm.name]) == {arm.name, arm.mix_of}
