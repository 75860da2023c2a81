"""Tables and the picture of `benchmarks.ado`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from algorithms.variable_projection import Floats
from benchmarks.ado_curves import Compared, cpu_ms_of_six, simulated
from benchmarks.ado_training import HELD_OUT, UNLEARNABLE, Run
from benchmarks.mixture_simulator import NULL, SCENARIOS, best_static, goal, policy_for, train

MEASURES: Final = ("mean", "by prior", "worst", HELD_OUT)
SIMULATED: Final = (
    ("natural", "mean"),
    ("uniform", "mean"),
    ("ado", "mean"),
    ("ado_uniform", "mean"),
    ("slope", "mean"),
    ("slope", "prior"),
    ("slope", "worst"),
)
SIMULATED_SEEDS: Final = 2


def measures(run: Run, prior: Mapping[str, float]) -> dict[str, float]:
    """A run's losses as each target sees them, and the held-out domain's; the worst is of what can be learnt."""
    own = {name: run.losses[name] for name in prior}
    return {
        "mean": float(np.mean(list(own.values()))),
        "by prior": sum(prior[name] * loss for name, loss in own.items()),
        "worst": max(loss for name, loss in own.items() if name != UNLEARNABLE),
        HELD_OUT: run.losses[HELD_OUT],
    }


def runs_report(runs: Sequence[Run], prior: Mapping[str, float], base: str) -> str:
    """Losses, paired differences to `base`, losses by domain, average shares, and costs, as Markdown."""
    arms, seeds = _arms(runs), sorted({run.seed for run in runs})
    found = {(run.arm, run.seed): run for run in runs}
    of = {key: measures(run, prior) for key, run in found.items()}
    parts = [
        f"Loss on chunks that no arm trained on, nats a byte, mean ± standard deviation over {len(seeds)} seeds",
        _table(
            ["arm", *MEASURES],
            [[arm, *(_spread([of[arm, s][m] for s in seeds]) for m in MEASURES)] for arm in arms],
        ),
        f"Difference to {base}, paired by seed; below 0 is better",
        _table(
            ["arm", *MEASURES],
            [
                [arm, *(_spread([of[arm, s][m] - of[base, s][m] for s in seeds], "+") for m in MEASURES)]
                for arm in arms
                if arm != base
            ],
        ),
        "Loss by domain",
        _table(
            ["arm", *prior],
            [[arm, *(f"{np.mean([found[arm, s].losses[d] for s in seeds]):.3f}" for d in prior)] for arm in arms],
        ),
        "Average shares",
        _table(
            ["arm", *prior],
            [
                [arm, *(f"{np.mean([found[arm, s].average_shares[d] for s in seeds]):.3f}" for d in prior)]
                for arm in arms
            ],
        ),
        "Costs of a run (a pilot's own adaptive run comes on top)",
        _table(
            ["arm", "CPU s", "policy, CPU s", "share", "FLOPs"],
            [[arm, *_costs([found[arm, s] for s in seeds])] for arm in arms],
        ),
    ]
    return "\n\n".join(parts)


def fits(compared: Sequence[Compared]) -> str:
    """How good and how fast the fits are against L-BFGS."""
    kinds = sorted({one.kind for one in compared})
    rows = []
    for kind in [*kinds, "all"]:
        own = [one for one in compared if kind in (one.kind, "all")]
        excess = np.array([one.excess for one in own]) * 100
        rows.append(
            [
                kind,
                str(len(own)),
                f"{np.median(excess):.4f}%",
                f"{excess.max():.4f}%",
                f"{np.mean([bool(one.on_bound) for one in own]):.0%}",
                f"{np.mean([one.cpu_s for one in own]) * 1000:.1f} ms",
                f"{np.mean([one.peer_cpu_s for one in own]):.2f} s",
            ]
        )
    six = cpu_ms_of_six(list(simulated(24, seed=3)))
    return "\n\n".join(
        [
            "Published objective against the least of 512 starts of L-BFGS-B: how much higher",
            _table(["curves", "number", "median", "most", "on a bound", "a fit", "512 starts"], rows),
            f"Six domains of 128 points in one fit: {six:.1f} CPU ms",
        ]
    )


def simulator_report() -> str:
    """Losses of the policies on the simulator, by mean, by prior and worst, beside the best static mixture."""
    rows = []
    for scenario in (*SCENARIOS, NULL):
        goals = {target: goal(scenario, target) for target in ("mean", "prior", "worst")}
        for policy, target in SIMULATED:
            ends = [train(scenario, policy_for(scenario, policy, target), seed) for seed in range(SIMULATED_SEEDS)]
            name = f"{policy}:{target}" if policy == "slope" else policy
            rows.append([scenario.name, name, *(f"{np.mean([g(e) for e in ends]):.4f}" for g in goals.values())])
        rows.append([scenario.name, "best static", *(f"{best_static(scenario, target):.4f}" for target in goals)])
    return "Simulator\n\n" + _table(["scenario", "policy", "mean", "by prior", "worst"], rows)


def picture(runs: Sequence[Run], prior: Mapping[str, float], base: str, file: Path) -> None:
    """An SVG: each arm's difference to `base` by measure, with error bars, and the adaptive arms' weights by step."""
    import matplotlib

    matplotlib.use("Agg", force=True)
    from matplotlib import pyplot

    arms, seeds = _arms(runs), sorted({run.seed for run in runs})
    of = {(run.arm, run.seed): measures(run, prior) for run in runs}
    moving = [run for run in runs if run.seed == seeds[0] and len({tuple(w.values()) for _, w in run.weights}) > 1]
    with matplotlib.rc_context({"svg.hashsalt": "tierlake", "svg.fonttype": "none"}):
        figure, axes = pyplot.subplots(1 + len(moving), figsize=(10, 5 + 2.5 * len(moving)), squeeze=False)
        top, colours = axes[0, 0], pyplot.get_cmap("tab10")
        for number, measure in enumerate(MEASURES):
            gaps = [
                np.array([of[arm, s][measure] - of[base, s][measure] for s in seeds]) for arm in arms if arm != base
            ]
            places = np.arange(len(gaps)) + (number - 1.5) * 0.18
            spread = [_std(gap) for gap in gaps]
            means = [float(gap.mean()) for gap in gaps]
            top.errorbar(means, places, xerr=spread, fmt="o", color=colours(number), label=measure, capsize=3)
        top.axvline(0, color="grey", linewidth=0.7)
        top.set_yticks(range(len(arms) - 1), [arm for arm in arms if arm != base])
        top.invert_yaxis()
        top.set_xlabel(f"loss, difference to {base}, nats a byte; left is better")
        top.legend(fontsize="small")
        for panel, run in zip(axes[1:, 0], moving):
            steps = [step for step, _ in run.weights]
            panel.stackplot(steps, [[w[name] for _, w in run.weights] for name in prior], labels=list(prior))
            panel.set_title(run.arm, fontsize="medium")
            panel.set_ylabel("weight")
            panel.margins(0)
        if moving:
            axes[-1, 0].set_xlabel("step")
            axes[1, 0].legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
        figure.tight_layout()
        figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
        pyplot.close(figure)


def _arms(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(run.arm for run in runs))


def _costs(runs: Sequence[Run]) -> list[str]:
    cpu_s, policy_s = (float(np.mean([getattr(run, name) for run in runs])) for name in ("cpu_s", "policy_cpu_s"))
    return [f"{cpu_s:.1f}", f"{policy_s:.3f}", f"{policy_s / cpu_s:.2%}", f"{runs[0].flops:.2e}"]


def _std(values: Floats) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def _spread(values: Sequence[float], sign: str = "") -> str:
    array = np.array(values)
    return f"{array.mean():{sign}.3f} ± {_std(array):.3f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines)
