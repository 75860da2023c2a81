"""`lake try ado`: the power law of each domain's loss, from what a run reports, and the weights that would follow.

In: reports {run, step, domain, tokens, loss, lr}, tokens seen so far in the run, all domains. Out: a line a run and
domain, with loss = epsilon + beta * tokens^-alpha, 95% intervals, the slope n dL/dn at the domain's last report (nats a
token by e times the tokens) and the weight that the slope rule gives the domain for the mean of all losses; and an SVG
picture of curves and laws. All reports are held in memory; 100,000 take some seconds, most of them for judging them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from algorithms.scaling_laws import Intervals, Laws, fit, intervals, smoothed
from algorithms.slope_rule import preferred
from algorithms.variable_projection import problem
from tier_assets.m1_training.telemetry import accept
from tier_tables import table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A rate of at least this share of the run's highest is at the top of its schedule.
TOP: Final = 0.99
PICTURED_POINTS: Final = 200
SMOOTHED: Final = 0.9


@dataclass(frozen=True, slots=True)
class Fitted:
    """A run's laws: its rows by domain, what is wrong with those that have no law, and the laws of the others."""

    run: str
    rows: dict[str, pl.DataFrame]
    wrong: dict[str, str]
    laws: Laws | None
    intervals: Intervals | None
    weights: dict[str, float]

    @property
    def domains(self) -> list[str]:
        """The domains that have a law, in the order of the laws."""
        return [domain for domain in self.rows if domain not in self.wrong]


def try_ado(
    lines: Iterable[Mapping[str, Any]], skip_steps: int = 0, picture: Path | None = None
) -> Iterator[dict[str, Any]]:
    """A line a run and domain: its law, or why it has none; reports that telemetry refuses are counted by reason.

    The first `skip_steps` steps are not read; nor, where the learning rate is at its top in most reports, those in
    which it is not. `picture` is the file to draw to; without a curve none is drawn.

    Raises:
        ValueError: a negative number of steps.
    """
    if skip_steps < 0:
        raise ValueError(f"{skip_steps} steps to skip; 0 or more")
    accepted = accept(list(lines), table("training_telemetry").empty(), None, datetime.now(UTC))
    refused = accepted.refused.group_by("run", "domain", "reason").len().sort("run", "domain", "reason")
    rows = accepted.rows.filter(pl.col("step") > skip_steps).sort("run", "domain", "step")
    runs = [laws_of(own["run"][0], own) for own in rows.partition_by("run", maintain_order=True)]
    if picture is not None and runs:
        draw(runs, picture)
    counts: dict[tuple[str | None, str | None], dict[str, int]] = {}
    for run, domain, reason, count in refused.iter_rows():
        counts.setdefault((run, domain), {})[reason] = count
    for fitted in runs:
        for domain in fitted.rows:
            yield _line(fitted, domain) | {"refused_reports": counts.pop((fitted.run, domain), {})}
    skipped = accepted.rows.join(rows, on=["run", "domain"], how="anti").select("run", "domain").unique()
    for run, domain in sorted({*skipped.iter_rows(), *counts}, key=str):
        yield {"run": run, "domain": domain, "wrong": "no report left"} | {
            "refused_reports": counts.get((run, domain), {})
        }


def laws_of(run: str, rows: pl.DataFrame) -> Fitted:
    """The laws of one run's rows of `training_telemetry`, sorted by domain and step."""
    at_top = pl.col("lr") >= TOP * pl.col("lr").max()
    steady = rows.filter(at_top) if 2 * rows.select(at_top.sum()).item() >= len(rows) else rows
    parts = {domain: steady.filter(domain=domain) for domain in rows["domain"].unique(maintain_order=True)}
    wrong = {
        domain: found
        for domain, own in parts.items()
        if (found := problem(own["tokens"].to_numpy().astype(np.float64), own["loss"].to_numpy()))
    }
    sound = [own for domain, own in parts.items() if domain not in wrong]
    weights = dict.fromkeys(parts, 1 / len(parts))
    if not sound:
        return Fitted(run, parts, wrong, None, None, weights)
    tokens_DT, losses_DT, seen_DT = (np.zeros((len(sound), max(map(len, sound)))) for _ in range(3))
    for number, own in enumerate(sound):
        tokens_DT[number, : len(own)] = own["tokens"].to_numpy()
        losses_DT[number, : len(own)] = own["loss"].to_numpy()
        seen_DT[number, : len(own)] = 1.0
    laws = fit(tokens_DT, losses_DT, seen_DT)
    seen = intervals(tokens_DT, losses_DT, seen_DT, laws=laws)
    uniform_D = np.full(len(sound), 1 / len(sound))
    share_D = preferred(laws, seen, float(tokens_DT.max()), "mean", uniform_D, uniform_D, len(sound) / len(parts))
    weights |= dict(zip((domain for domain in parts if domain not in wrong), share_D.tolist()))
    return Fitted(run, parts, wrong, laws, seen, weights)


def draw(runs: list[Fitted], file: Path) -> None:
    """An SVG picture: a panel a run, each domain's reports as dots, their moving average as a thin line, its law as a
    thick one. The same laws give the same bytes."""
    import matplotlib

    matplotlib.use("Agg", force=True)
    from matplotlib import pyplot

    with matplotlib.rc_context({"svg.hashsalt": "laws"}):
        figure, axes = pyplot.subplots(len(runs), figsize=(10, 4.5 * len(runs)), squeeze=False, layout="constrained")
        for panel, fitted in zip(axes[:, 0], runs):
            _panel(panel, fitted)
        figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
        pyplot.close(figure)


def _panel(axes: Axes, fitted: Fitted) -> None:
    from matplotlib import pyplot

    colours = pyplot.get_cmap("tab10")
    for number, (domain, rows) in enumerate(fitted.rows.items()):
        shown = rows.filter(pl.col("loss") > 0).gather_every(max(1, math.ceil(len(rows) / PICTURED_POINTS)))
        colour = colours(number % colours.N)
        axes.scatter(shown["tokens"], shown["loss"], s=4, color=colour, alpha=0.4, linewidths=0)
        if len(rows):
            n_T, losses_T = np.log(rows["tokens"].cast(pl.Float64).clip(1).to_numpy()), rows["loss"].to_numpy()
            step = max(1, len(rows) // PICTURED_POINTS)
            drawn = smoothed(np.stack((n_T, losses_T)), SMOOTHED)[:, ::step]
            axes.plot(np.exp(drawn[0]), drawn[1], color=colour, alpha=0.5, linewidth=0.8)
        label = domain
        if fitted.laws is not None and domain not in fitted.wrong:
            place = fitted.domains.index(domain)
            epsilon, beta, alpha = (
                float(values[place]) for values in (fitted.laws.epsilon_D, fitted.laws.beta_D, fitted.laws.alpha_D)
            )
            n = np.geomspace(rows["tokens"][0], rows["tokens"][-1], 100)
            axes.plot(n, epsilon + beta * n**-alpha, color=colour, linewidth=2)
            label = f"{domain}: {epsilon:.3g} + {beta:.3g} n^-{alpha:.3g}"
        axes.plot([], [], color=colour, label=label)
    axes.set_title(f"{fitted.run}: loss by tokens, and the laws")
    axes.set_xscale("log")
    axes.set_xlabel("tokens seen in the run")
    axes.set_ylabel("nats a token")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _line(fitted: Fitted, domain: str) -> dict[str, Any]:
    """The domain's law as `lake try` tells it."""
    told: dict[str, Any] = {"run": fitted.run, "domain": domain}
    if fitted.laws is None or fitted.intervals is None or domain in fitted.wrong:
        return told | {"weight": round(fitted.weights[domain], 9), "wrong": fitted.wrong[domain]}
    place = fitted.domains.index(domain)
    laws, found = fitted.laws, fitted.intervals
    return told | {
        "epsilon": _short(laws.epsilon_D[place]),
        "beta": _short(laws.beta_D[place]),
        "alpha": _short(laws.alpha_D[place]),
        "intervals": {
            name: [_short(end) for end in ends[place]]
            for name, ends in (("epsilon", found.epsilon_D2), ("alpha", found.alpha_D2), ("slope", found.slope_D2))
        },
        "slope": _short(found.slope_D[place]),
        "slope_deviation": _short(found.slope_std_D[place]),
        "weight": round(fitted.weights[domain], 9),
        "num_points": len(fitted.rows[domain]),
        "on_bound": list(laws.on_bound[place]),
    }


def _short(value: float) -> float:
    return float(f"{value:.6g}")
