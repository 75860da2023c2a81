"""Tables and the picture of `benchmarks/influence_gpu.py`, from its finished pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Final

from benchmarks.influence_gpu_rounds import ARMS, RANDOM, ROUNDS, START, Piece

GROUPS: Final = ("evaluation", "reference", "general")
AUDIT: Final = "audit"


@dataclass(frozen=True, slots=True)
class Point:
    """All FLOPs so far but the audit's, the audit's, and the mean loss of each group of sets."""

    flops: float
    audit: float
    losses: dict[str, float]

    @property
    def score(self) -> float:
        """Mean loss of the sets that are neither reference nor pool."""
        return self.losses["evaluation"]


def report(pieces: Sequence[Piece]) -> str:
    """Of the arms all of whose rounds are there, in the seeds that have random too: Markdown."""
    paths = paths_of(pieces)
    seeds = sorted({seed for seed, arm in paths if arm == RANDOM})
    if not seeds:
        return f"no report yet: {RANDOM} has not run its {ROUNDS} rounds"
    arms = [arm for arm in ARMS if any((seed, arm) in paths for seed in seeds)]
    lines = [_regime(pieces, seeds), ""]
    heads = ("arm", "seeds", "FLOPs to random's score", "audit", "with audit", *(f"{group} loss" for group in GROUPS))
    lines += [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [_row(arm, paths, seeds) for arm in arms]
    lines += ["", "What choosing took, as shares of the arm's training FLOPs in its rounds, and figures: means", ""]
    return "\n".join([*lines, *_costs(pieces, arms, seeds)])


def paths_of(pieces: Sequence[Piece]) -> dict[tuple[int, str], list[Point]]:
    """By seed and arm, what was measured along the way, from the end of the warm-up on; whole arms only."""
    known = {(piece.seed, piece.arm, piece.round): piece for piece in pieces}
    found = {}
    for seed, arm, number in known:
        if number == ROUNDS:
            rounds = [known[seed, START, 0], *(known[seed, arm, each] for each in range(1, ROUNDS + 1))]
            found[seed, arm] = list(_points(rounds))
    return found


def _points(rounds: Sequence[Piece]) -> Iterator[Point]:
    flops, audit = 0.0, 0.0
    losses: dict[str, float] = {}
    for piece in rounds:
        flops += sum(spent for purpose, spent in piece.flops.items() if purpose != AUDIT)
        audit += piece.flops.get(AUDIT, 0.0)
        if losses:
            # Choosing costs before it helps.
            yield Point(flops, audit, losses)
        for trained, measured in piece.curve:
            losses = {group: mean(v for name, v in measured.items() if name.startswith(group)) for group in GROUPS}
            if piece.arm != START or trained == piece.curve[-1][0]:
                yield Point(flops + trained, audit, losses)
        flops += piece.curve[-1][0]


def reached(path: Sequence[Point], score: float) -> tuple[float, float] | None:
    """FLOPs at which the score is first as low, and the audit's till then; linear between points. None: never."""
    before = path[0]
    for point in path:
        if point.score <= score:
            fall = before.score - point.score
            share = (before.score - score) / fall if fall > 0 else 0.0
            return before.flops + share * (point.flops - before.flops), point.audit
        before = point
    return None


def _row(arm: str, paths: dict[tuple[int, str], list[Point]], seeds: Sequence[int]) -> str:
    own = [seed for seed in seeds if (seed, arm) in paths]
    ends = {(seed, name): paths[seed, name][-1] for seed in own for name in (arm, RANDOM)}
    cells = [arm, str(len(own))]
    if arm == RANDOM:
        cells += ["100%", "0%", "100%", *(_told([ends[s, arm].losses[group] for s in own]) for group in GROUPS)]
        return f"| {' | '.join(cells)} |"
    found = [(reached(paths[seed, arm], ends[seed, RANDOM].score), ends[seed, RANDOM].flops) for seed in own]
    there = [(at[0] / whole, at[1] / whole) for at, whole in found if at is not None]
    never = len(found) - len(there)
    for shares in ([f for f, _ in there], [a for _, a in there], [f + a for f, a in there]):
        cells.append(_told(shares, "%") if there else "")
    if never:
        cells[2] += f" (not reached in {never})"
    for group in GROUPS:
        cells.append(_told([ends[seed, arm].losses[group] - ends[seed, RANDOM].losses[group] for seed in own], "+"))
    return f"| {' | '.join(cells)} |"


def _told(values: Sequence[float], form: str = "") -> str:
    """Mean and deviation: of shares, of differences (`+`) or as they are."""
    spread = stdev(values) if len(values) > 1 else None
    style = {"%": "{:.1%}", "+": "{:+.3f}", "": "{:.3f}"}[form]
    wide = "" if spread is None else f"±{spread:.1%}" if form == "%" else f"±{spread:.3f}"
    return style.format(mean(values)) + wide


def _regime(pieces: Sequence[Piece], seeds: Sequence[int]) -> str:
    """What was run, and how far from where large models are trained."""
    of = [piece for piece in pieces if piece.arm in (START, RANDOM) and piece.seed == seeds[0]]
    parameters = of[0].parameters
    tokens = sum(piece.curve[-1][0] for piece in of) / (6 * parameters)
    figures = of[0].figures
    unique = sum(len(piece.drawn) for piece in of) * figures["context"]
    return (
        f"Regime: {parameters / 1e6:.1f} million parameters; {tokens / 1e6:.1f} million tokens an arm "
        f"({tokens / parameters:.2f} a parameter), of which {unique / 1e6:.1f} million different, "
        f"{figures['passes']:.0f} passes over each; a pool of {figures['pool tokens'] / 1e6:.1f} million tokens, "
        f"{unique / figures['pool tokens']:.0%} of it drawn; {of[0].device}; a constant rate. Losses in nats a token, "
        "mean ± deviation over seeds; those of other arms are differences to random's, paired by seed."
    )


def _costs(pieces: Sequence[Piece], arms: Sequence[str], seeds: Sequence[int]) -> list[str]:
    lines = []
    for arm in arms:
        own = [piece for piece in pieces if piece.arm == arm and piece.seed in seeds]
        trained = sum(piece.curve[-1][0] for piece in own)
        spent = {name: sum(piece.flops.get(name, 0.0) for piece in own) for name in own[0].flops}
        figures = {name: mean(piece.figures[name] for piece in own) for name in own[0].figures}
        told = [f"{name} {value / trained:.2%}" for name, value in spent.items()]
        told += [f"{name} {value:.3g}" for name, value in figures.items()]
        told.append(f"seconds a round {mean(piece.seconds for piece in own):.0f}")
        lines.append(f"- {arm}: {', '.join(told)}")
    return lines


def picture(pieces: Sequence[Piece], file: Path) -> None:
    """An SVG: the score by all FLOPs but the audit's, the mean over seeds of each arm.

    Raises:
        ValueError: no arm has all its rounds.
    """
    paths = paths_of(pieces)
    if not paths:
        raise ValueError("no arm has all its rounds: there is nothing to draw")
    import matplotlib

    matplotlib.use("Agg", force=True)
    from matplotlib import pyplot

    with matplotlib.rc_context({"svg.hashsalt": "tierlake", "svg.fonttype": "none"}):
        figure, axes = pyplot.subplots(figsize=(9, 6))
        for arm in ARMS:
            own = [path for (_, name), path in sorted(paths.items()) if name == arm]
            if own:
                columns = list(zip(*own, strict=True))
                flops = [mean(point.flops for point in column) for column in columns]
                axes.plot(flops, [mean(point.score for point in column) for column in columns], label=arm)
        axes.set_xlabel("FLOPs of training and choosing, without the audit")
        axes.set_ylabel("loss on sets that are neither reference nor pool (nats a token)")
        axes.legend()
        figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
        pyplot.close(figure)


__all__ = ["picture", "reached", "report"]
