from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.ado import ARMS, all_runs
from benchmarks.ado_curves import Curve, compared, of_runs
from benchmarks.ado_report import fits, measures, picture, runs_report
from benchmarks.ado_training import HELD_OUT, LATE, UNLEARNABLE, Run, Texts

PRIOR = {"wiki": 0.85, UNLEARNABLE: 0.10, LATE: 0.05}


def run(arm: str, seed: int, wiki: float) -> Run:
    """A run that ends at this loss of wiki."""
    losses = {"wiki": wiki, UNLEARNABLE: 5.5, LATE: 3.0, HELD_OUT: 2.5}
    weights = [(0, PRIOR), (100, dict(zip(PRIOR, (0.9, 0.05, 0.05)) if arm != "natural" else PRIOR.items()))]
    curve = {"wiki": [(2048 * step, 2 + 30 * (2048 * step) ** -0.3) for step in range(1, 200)]}
    return Run(arm, seed, losses, PRIOR, 0.01, 10.0, 1e12, weights, curve)


def test_measures_worst_domain_is_of_what_can_be_learnt() -> None:
    found = measures(run("natural", 0, 2.0), PRIOR)
    assert found == {"mean": 3.5, "by prior": pytest.approx(2.4), "worst": 3.0, HELD_OUT: 2.5}


def test_report_of_two_seeds_pairs_differences(tmp_path: Path) -> None:
    runs = [run("natural", 0, 2.0), run("natural", 1, 2.3), run("slope", 0, 1.7), run("slope", 1, 2.0)]
    report = runs_report(runs, PRIOR, "natural")
    assert "| slope | -0.100 ± 0.000 | -0.255 ± 0.000 |" in report
    assert "0.10%" in report
    picture(runs, PRIOR, "natural", tmp_path / "ado.svg")
    assert (tmp_path / "ado.svg").stat().st_size > 10_000


def test_real_curves_of_runs_are_means_without_the_first_sixth() -> None:
    (curve,) = of_runs([run("natural", 0, 2.0)], 5)
    assert curve.n_T[0] * 128 == pytest.approx(2048 * np.arange(34, 42).mean())
    assert len(curve.n_T) == (199 - 33) // 8


def test_compared_curve_says_how_much_higher_ours_is() -> None:
    n_T = np.linspace(500, 5000, 40)
    losses_T = (2 + 30 * n_T**-0.3) * np.exp(0.01 * np.random.default_rng(0).standard_normal(40))
    found = compared(Curve("noise", n_T, losses_T))
    assert found.excess <= 1e-3
    assert found.peer_cpu_s > 10 * found.cpu_s
    assert "| noise | 1 |" in fits([found])


@pytest.mark.slow
def test_runs_of_three_arms_train_and_replay_shares() -> None:
    random = np.random.default_rng(0)
    texts = {
        name: pl.Series([" ".join(random.choice(words, 400)) for _ in range(40)])
        for name, words in (("one", ["red", "green"]), ("two", ["a", "of", "the"]))
    }
    arms = [arm for arm in ARMS if arm.name in ("natural", "slope, mean", "pilot of slope, mean")]
    runs = all_runs(Texts(texts, texts["one"]), arms, seeds=2, steps=32, processes=1)
    assert [(one.arm, one.seed) for one in runs[-2:]] == [("pilot of slope, mean", 0), ("pilot of slope, mean", 1)]
    slope = next(one for one in runs if one.arm == "slope, mean" and one.seed == 1)
    assert runs[-2].average_shares == pytest.approx(slope.average_shares)
    assert all(0 < loss < 6 for one in runs for loss in one.losses.values())
