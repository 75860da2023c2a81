"""Tables and the picture of `benchmarks/influence.py`, from its measured losses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from benchmarks.influence_stages import ARMS, CYNICAL, GROUPS, MINIATURE, RANDOM, Arm, Measured

# Passes over a document's counts: two n-grams a word, a multiplication and an addition each, in every round.
FLOPS_A_TOKEN: Final = 4.0
WITHIN: Final = "within domains"


def report(seeds: Sequence[Measured]) -> str:
    """All tables as Markdown: by group, by measured set, against cynical selection, and what it costs."""
    losses = _losses(seeds)
    parts = [
        f"Difference of loss to random, nats a token, mean ± deviation over {len(seeds)} seeds; below 0 is better",
        _table(losses, RANDOM, [*GROUPS, WITHIN], seeds),
        "By measured set, difference to random",
        _table(losses, RANDOM, [c for c in losses.columns if "/" in c], None),
        "Costs, as shares of the stage's FLOPs where not said otherwise",
        _costs(seeds),
    ]
    if CYNICAL in set(losses["arm"]):
        parts[2:2] = [f"Difference to {CYNICAL}", _table(losses, CYNICAL, list(GROUPS), None)]
    return "\n\n".join(parts)


def picture(seeds: Sequence[Measured], file: Path) -> None:
    """An SVG: what each arm gains on the reference against what it costs in general loss, with error bars."""
    import matplotlib

    matplotlib.use("Agg", force=True)
    from matplotlib import pyplot

    losses = _losses(seeds)
    with matplotlib.rc_context({"svg.hashsalt": "tierlake", "svg.fonttype": "none"}):
        figure, axes = pyplot.subplots(figsize=(9, 6))
        colours = pyplot.get_cmap("tab20")
        for number, arm in enumerate(arm.name for arm in _arms(losses)):
            general, reference = (_difference(losses, arm, RANDOM, group) for group in ("general", "reference"))
            axes.errorbar(
                general.mean(),
                reference.mean(),
                xerr=_spread(general),
                yerr=_spread(reference),
                fmt="o",
                color=colours(number % 20),
                label=arm,
                capsize=3,
            )
        axes.axhline(0, color="grey", linewidth=0.7)
        axes.axvline(0, color="grey", linewidth=0.7)
        axes.set_xlabel("general loss, difference to random (nats a token; left is better)")
        axes.set_ylabel("reference loss, difference to random (lower is better)")
        axes.set_title(f"A stage of {MINIATURE.stage_steps} steps, by how its documents were chosen")
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
        figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
        pyplot.close(figure)


def _losses(seeds: Sequence[Measured]) -> pl.DataFrame:
    """[seed, arm, measured sets as kind/name, their means by group]."""
    found = [{"seed": one.seed, "arm": arm, **losses} for one in seeds for arm, losses in one.losses.items()]
    groups = [pl.mean_horizontal(pl.selectors.starts_with(f"{group}/")).alias(group) for group in GROUPS]
    return pl.DataFrame(found).with_columns(groups)


def _arms(losses: pl.DataFrame) -> list[Arm]:
    """Those that were trained."""
    trained = set(losses["arm"])
    return [arm for arm in ARMS if arm.name in trained]


def _difference(losses: pl.DataFrame, arm: str, base: str, column: str) -> np.ndarray:
    """Paired by seed."""
    pair = [losses.filter(arm=name).sort("seed")[column].to_numpy() for name in (arm, base)]
    return np.asarray(pair[0] - pair[1])


def _spread(differences: np.ndarray) -> float:
    return float(differences.std(ddof=1)) if len(differences) > 1 else 0.0


def _told(differences: np.ndarray) -> str:
    return f"{differences.mean():+.3f}±{_spread(differences):.3f}"


def _table(losses: pl.DataFrame, base: str, columns: list[str], seeds: Sequence[Measured] | None) -> str:
    heads = [*columns, *(["overhead", "with audit"] if seeds else [])]
    lines = [f"| arm | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for arm in _arms(losses):
        cells = []
        for column in columns:
            if column == WITHIN:
                cells.append(_within(losses, arm.name))
            else:
                cells.append(_told(_difference(losses, arm.name, base, column)) if arm.name != base else "0")
        if seeds:
            cells += [f"{share:.1%}" for share in _overhead(seeds, arm)]
        lines.append(f"| {arm.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _within(losses: pl.DataFrame, name: str) -> str:
    """Against random documents of the arm's own mix, where they were trained on."""
    mix = next((arm.name for arm in _arms(losses) if arm.mix_of == name), None)
    return _told(_difference(losses, name, mix, "reference")) if mix else ""


def _overhead(seeds: Sequence[Measured], arm: Arm) -> tuple[float, float]:
    """Share of the stage's FLOPs that choosing took, without and with the audit."""
    if arm.mix_of is not None:
        return _overhead(seeds, next(other for other in ARMS if other.name == arm.mix_of))
    figures = [one.figures for one in seeds]
    spent, audit = 0.0, 0.0
    if arm.influence:
        spent += _mean(figures, "probes") + sum(
            _mean(figures, f"{arm.influence} {part}") for part in ("fit", "predict")
        )
        audit = _mean(figures, "audit")
    if arm.residual:
        spent += _mean(figures, "residual")
    if arm.settings.arm not in ("random", "influence"):
        spent += _mean(figures, "pool tokens / stage FLOPs") * FLOPS_A_TOKEN * arm.settings.rounds
    return spent, spent + audit


def _mean(figures: Sequence[dict[str, float]], name: str) -> float:
    return float(np.mean([found[name] for found in figures]))


def _costs(seeds: Sequence[Measured]) -> str:
    """What labels, models and draws took, and how well the models did: means over seeds."""
    figures = [one.figures for one in seeds]
    lines = [f"| {name} | {_mean(figures, name):.4g} |" for name in figures[0]]
    return "\n".join(["| figure | mean over seeds |", "|---|---|", *lines])


__all__ = ["picture", "report"]
