from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tier_assets.m1_training.try_ado import try_ado

LAWS = {"code": (1.2, 15.0, 0.2), "wiki": (1.8, 40.0, 0.3)}


def reports(run: str = "r", steps: int = 200, noise: float = 0.003, decay_from: int = 10**9) -> list[dict[str, Any]]:
    """What a run of these laws reports."""
    random = np.random.default_rng(0)
    return [
        {
            "run": run,
            "step": step,
            "domain": domain,
            "tokens": step * 20_000,
            "loss": (epsilon + beta * (step * 20_000) ** -alpha) * float(np.exp(noise * random.standard_normal()))
            - (0.5 if step >= decay_from else 0.0),
            "lr": 1e-4 if step >= decay_from else 1e-3,
        }
        for step in range(1, steps + 1)
        for domain, (epsilon, beta, alpha) in LAWS.items()
    ]


def test_try_ado_known_laws_finds_them_by_domain(tmp_path: Path) -> None:
    code, wiki = try_ado(reports(), picture=tmp_path / "laws.svg")
    assert (code["domain"], wiki["domain"]) == ("code", "wiki")
    for line, (epsilon, _, alpha) in zip((code, wiki), LAWS.values()):
        assert line["epsilon"] == pytest.approx(epsilon, abs=0.1)
        assert line["alpha"] == pytest.approx(alpha, abs=0.03)
        assert line["intervals"]["epsilon"][0] <= epsilon <= line["intervals"]["epsilon"][1]
        assert line["intervals"]["alpha"][0] <= alpha <= line["intervals"]["alpha"][1]
        assert line["intervals"]["slope"][0] <= line["slope"] <= line["intervals"]["slope"][1] < 0
    n = 4e6
    assert code["epsilon"] + code["beta"] * n ** -code["alpha"] == pytest.approx(1.2 + 15 * n**-0.2, abs=0.01)
    assert code["weight"] + wiki["weight"] == pytest.approx(1.0)
    assert code["weight"] > wiki["weight"]
    assert (tmp_path / "laws.svg").read_text().startswith("<?xml")


def test_try_ado_several_runs_gives_a_line_a_run_and_domain() -> None:
    lines = list(try_ado(reports("two") + reports("one")))
    assert [(line["run"], line["domain"]) for line in lines] == [
        ("one", "code"),
        ("one", "wiki"),
        ("two", "code"),
        ("two", "wiki"),
    ]


def test_try_ado_skipped_and_decaying_steps_are_not_read() -> None:
    lines = list(try_ado(reports(noise=0.0, decay_from=150), skip_steps=20))
    assert [line["num_points"] for line in lines] == [129, 129]
    assert lines[1]["epsilon"] == pytest.approx(1.8, abs=1e-3)


def test_try_ado_refused_reports_are_counted_and_no_domain_is_lost() -> None:
    odd = [
        {"run": "r", "step": 201, "domain": "wiki", "tokens": 4_020_000, "loss": float("nan"), "lr": 1e-3},
        {"run": "r", "step": 1, "domain": "rare", "tokens": 20_000, "loss": 3.0, "lr": 1e-3},
        {"run": "r", "step": 300, "domain": "gone", "tokens": 6_000_000, "loss": float("inf"), "lr": 1e-3},
    ]
    found = {line["domain"]: line for line in try_ado(reports() + odd)}
    assert found["wiki"]["refused_reports"] == {"loss_not_finite": 1}
    assert found["rare"]["wrong"] == "1 points; a law takes at least 4"
    assert found["gone"] == {
        "run": "r",
        "domain": "gone",
        "wrong": "no report left",
        "refused_reports": {"loss_not_finite": 1},
    }
    assert sum(line.get("weight", 0.0) for line in found.values()) == pytest.approx(1.0)


def test_try_ado_flat_curve_says_that_beta_sits_on_its_bound() -> None:
    flat = [report | {"loss": 5.5} for report in reports()]
    assert all("beta" in line["on_bound"] for line in try_ado(flat))


def test_try_ado_nothing_reported_gives_nothing() -> None:
    assert list(try_ado([])) == []


def test_try_ado_picture_of_the_same_reports_is_the_same(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        list(try_ado(reports(steps=20), picture=tmp_path / name))
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
