"""`python -m benchmarks.solutions`: which solutions of word problems are right, told with the answer and without it.

GSM8K's example solutions (https://arxiv.org/abs/2110.14168): four models' solutions of the same questions, each flagged
correct or not. With the gold answer, `accepted` means that the final answers are equal: a smoke test. Without it, each
column is an order of the solutions, and its AUC the chance that a correct one stands above a wrong one, over all
models; intervals draw questions. Nothing is tuned on these figures: what is fitted learns from half 0 of the questions
(by hash) and is reported on half 1, like everything in the last table. With `--llm`, the bundled model reads and solves
a sample of questions (`solutions_lm`, some CPU minutes).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from algorithms import grounding
from algorithms.answer_equivalence import equivalent, final_answer
from algorithms.arithmetic import derived_numbers, equations
from benchmarks.quality_measures import Measured, measured
from benchmarks.quality_sets import gold_folder

FILE: Final = "qa_gsm8k/model_solutions_half.jsonl"
MODELS: Final = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
ARITHMETIC: Final = ("equations that hold", "all equations hold", "operands that follow", "answer follows")
VOTES: Final = "self-consistency"
ALL: Final = "combined"
BASELINES: Final = ("majority class", "length")
# What the combination weighs.
WEIGHED: Final = (*ARITHMETIC, "numbers used", VOTES, "length")
RIDGE: Final = 1.0
NUM_SAMPLED: Final = 40


@dataclass(frozen=True, slots=True)
class Sums:
    """What the equations of a solution show: shares 0 to 1."""

    hold: float
    all_hold: float
    operands_follow: float
    answer_follows: float
    numbers_used: float


def solutions(folder: Path) -> pl.DataFrame:
    """One row a solution: question [int], text of the question, model, solution, answer, gold, is_correct, half."""
    rows = []
    for number, line in enumerate((folder / FILE).read_text(encoding="utf-8").splitlines()):
        record = json.loads(line)
        half = hashlib.sha256(record["question"].encode()).digest()[0] % 2
        gold = final_answer(record["ground_truth"])
        for model in MODELS:
            text, flag = record[model]["solution"], record[model]["is_correct"]
            rows.append((number, record["question"], model, text, final_answer(text), gold, flag, half))
    names = ["question", "asked", "model", "solution", "answer", "gold", "is_correct", "half"]
    return pl.DataFrame(rows, schema=names, orient="row")


def accepted(rows: pl.DataFrame) -> np.ndarray:
    """Whether each final answer equals the gold one [N]."""
    return np.array([equivalent(a or "", g) for a, g in rows.select("answer", "gold").iter_rows()])


def sums(question: str, solution: str, answer: str | None) -> Sums:
    """What the equations of `solution` show, without any answer given.

    A number follows if the question has it, in figures or a word, or an equation that holds made it of such.
    """
    found = equations(solution)
    if not found:
        return Sums(0.0, 0.0, 0.0, 0.0, 0.0)
    given = [*grounding.numbers(question), *re.findall(r"[^\W\d_]+", question)]
    readings = set().union(*(grounding.number_readings(n) for n in grounding.numbers(question)))
    known = readings | derived_numbers(solution, given)
    operands = [n for e in found for n in grounding.numbers(e.left)]
    used = {r for n in operands for r in grounding.number_readings(n)}
    holding = [e.holds for e in found]
    follows = [bool(grounding.number_readings(n) & known) for n in operands]
    final = set().union(*(grounding.number_readings(n) for n in grounding.numbers(answer or "")))
    return Sums(
        hold=float(np.mean(holding)),
        all_hold=float(all(holding)),
        operands_follow=float(np.mean(follows)) if follows else 0.0,
        answer_follows=float(bool(final & known)),
        numbers_used=len(readings & used) / len(readings) if readings else 1.0,
    )


def votes(answers: Sequence[str | None]) -> list[float]:
    """For each of the answers to one question, the share of the others that are equal to it."""
    told = [a if a is not None else f"none {i}" for i, a in enumerate(answers)]
    return [sum(equivalent(a, b) for j, b in enumerate(told) if j != i) / (len(told) - 1) for i, a in enumerate(told)]


def columns(rows: pl.DataFrame) -> dict[str, np.ndarray]:
    """The orders that need no model [N each]; rows of one question stand together."""
    of_sums = [sums(q, s, a) for q, s, a in rows.select("asked", "solution", "answer").iter_rows()]
    answers = rows["answer"].to_list()
    agreed = [v for i in range(0, len(rows), len(MODELS)) for v in votes(answers[i : i + len(MODELS)])]
    return {
        "equations that hold": np.array([s.hold for s in of_sums]),
        "all equations hold": np.array([s.all_hold for s in of_sums]),
        "operands that follow": np.array([s.operands_follow for s in of_sums]),
        "answer follows": np.array([s.answer_follows for s in of_sums]),
        "numbers used": np.array([s.numbers_used for s in of_sums]),
        VOTES: np.array(agreed),
        "majority class": np.zeros(len(rows)),
        "length": -rows["solution"].str.len_chars().to_numpy().astype(np.float64),
    }


def combined(held: dict[str, np.ndarray], names: Sequence[str], truth: np.ndarray, learns: np.ndarray) -> np.ndarray:
    """A logistic regression of the columns `names`, fitted on the rows where `learns` [N], for all rows [N]."""
    x_NF = np.column_stack([held[name] for name in names])
    mean, spread = x_NF[learns].mean(axis=0), x_NF[learns].std(axis=0) + 1e-9
    x_NF = np.column_stack([(x_NF - mean) / spread, np.ones(len(x_NF))])
    weights = np.zeros(x_NF.shape[1])
    for _ in range(30):  # Newton's steps; ten are enough
        share = 1 / (1 + np.exp(-x_NF[learns] @ weights))
        slope = x_NF[learns].T @ (truth[learns] - share) - RIDGE * weights
        curve = (x_NF[learns] * (share * (1 - share))[:, None]).T @ x_NF[learns] + RIDGE * np.eye(len(weights))
        weights += np.linalg.solve(curve, slope)
    return x_NF @ weights


def show(title: str, found: Measured, against: Sequence[str]) -> None:
    """A table of AUCs with their intervals, and of each the paired difference to those of `against`."""
    print(f"\n{title}\n| column | AUC | 95% interval |" + "".join(f" less {name} |" for name in against))
    print("|---|---|---|" + "---|" * len(against))
    for name, figure in found.figures.items():
        low, high = found.interval(name)
        gains = [found.difference(name, other) for other in against]
        told = "".join(f" {d:+.3f} [{a:+.3f}, {b:+.3f}] |" for d, a, b in gains)
        print(f"| {name} | {figure:.3f} | {low:.3f} to {high:.3f} |{told}")


def show_rules(held: dict[str, np.ndarray], truth: np.ndarray) -> None:
    """What accepting by a rule would keep: share of all solutions, and how many of them are right."""
    rules = {
        "no rule": np.ones(len(truth), dtype=bool),
        "all equations hold": held["all equations hold"] > 0,
        "all operands and the answer follow": (held["operands that follow"] == 1) & (held["answer follows"] > 0),
        "more than half of the other models agree": held[VOTES] > 0.5,
        "all other models agree": held[VOTES] == 1,
        "more than half agree, and all follows": (held[VOTES] > 0.5)
        & (held["all equations hold"] > 0)
        & (held["operands that follow"] == 1)
        & (held["answer follows"] > 0),
    }
    print("\n| accepted where | share accepted | right of these | right ones kept |\n|---|---|---|---|")
    for name, kept in rules.items():
        print(f"| {name} | {kept.mean():.3f} | {truth[kept].mean():.3f} | {truth[kept].sum() / truth.sum():.3f} |")


def main() -> None:
    """Measure and print the tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, default=gold_folder(), help="folder of the gold data")
    options.add_argument("--llm", action="store_true", help="the bundled model reads a sample, too")
    chosen = options.parse_args()
    rows = solutions(chosen.data)
    truth = rows["is_correct"].to_numpy().astype(np.float64)
    equal = accepted(rows)
    print(f"{len(rows)} solutions of {rows['question'].n_unique()} questions, {truth.mean():.3f} correct")
    print(f"With the answer: {np.mean(equal == (truth > 0)):.4f} of the verdicts are those of the flags")
    held = columns(rows)
    show("Without the answer, all questions", measured(held, truth, rows["question"], binary=True), ("length",))
    show_rules(held, truth)
    learns = rows["half"].to_numpy() == 0
    held[ALL] = combined(held, WEIGHED, truth, learns)
    held["combined, without self-consistency"] = combined(held, [n for n in WEIGHED if n != VOTES], truth, learns)
    reported = {name: values[~learns] for name, values in held.items()}
    group = rows["question"].filter(pl.Series(~learns))
    show("Half 1 of the questions", measured(reported, truth[~learns], group, binary=True), ("length", VOTES))
    if chosen.llm:
        from benchmarks.solutions_lm import read

        told, sample = read(rows, NUM_SAMPLED)
        held = {name: held[name][sample] for name in (*WEIGHED, "majority class")} | told
        title = f"The first {NUM_SAMPLED} questions of half 1, by hash, read by the bundled model"
        group = rows["question"].gather(sample)
        show(title, measured(held, truth[sample], group, binary=True), ("length", "token probability"))


if __name__ == "__main__":
    main()
