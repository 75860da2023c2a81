"""`lake try`: one stage's own function on JSON Lines, a line out for each line in."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resources.lake import Lake
from tier_assets.l1_filtered.try_stages import (
    try_clean,
    try_dedup,
    try_extract,
    try_judge,
    try_language,
    try_private,
)

Lines = Iterator[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Options:
    """What some stages take beside the lines."""

    scorer: str = "quality"
    checkpoint: Path | None = None
    reference: Path | None = None
    skip_steps: int = 0
    picture: Path | None = None
    task: str | None = None


def _score(lake: Lake, lines: Lines, options: Options) -> Lines:
    from resources.encoder_resource import GpuEncoder
    from tier_assets.l2_selected.in_force import QUALITY, in_force, load_fit
    from tier_assets.l2_selected.scorer import try_score
    from tier_assets.l2_selected.scoring import try_scorer

    try:
        fit = load_fit(lake, in_force(lake).fit)
    except ValueError as error:
        raise ValueError(f"{error}; `make demo` makes one") from error
    if options.scorer == QUALITY:
        return try_score(lines, fit.linear)
    encoder = GpuEncoder()
    return try_scorer(lines, fit, options.scorer, encoder.open() if encoder.enabled else None)


def _annotate(lake: Lake, lines: Lines, options: Options) -> Lines:
    from resources.language_models import open_model
    from tier_assets.l2_selected.annotate import DEFAULT, try_annotate

    return try_annotate(lines, open_model(), DEFAULT)


def _refine(lake: Lake, lines: Lines, options: Options) -> Lines:
    from resources.language_models import open_model
    from tier_assets.l3_refined.refine import try_refine

    return try_refine(lines, open_model(), options.task)


def _verify(lake: Lake, lines: Lines, options: Options) -> Lines:
    from resources.encoder_resource import GpuEncoder
    from tier_assets.l3_refined.try_verify import try_verify

    encoder = GpuEncoder()
    return try_verify(lines, encoder.open() if encoder.enabled else None)


def _influence(lake: Lake, lines: Lines, options: Options) -> Lines:
    from tier_assets.m2_influence.try_influence import try_influence

    if options.checkpoint is None or options.reference is None:
        raise ValueError("influence is of a checkpoint on a reference: name them by --checkpoint and --reference")
    return try_influence(lines, options.checkpoint, options.reference)


def _ado(lake: Lake, lines: Lines, options: Options) -> Lines:
    from tier_assets.m1_training.try_ado import try_ado

    return try_ado(lines, options.skip_steps, options.picture)


STAGES: dict[str, Callable[[Lake, Lines, Options], Lines]] = {
    "extract": lambda lake, lines, options: try_extract(lines),
    "clean": lambda lake, lines, options: try_clean(lines),
    "private": lambda lake, lines, options: try_private(lines),
    "language": lambda lake, lines, options: try_language(lines),
    "judge": lambda lake, lines, options: try_judge(lines),
    "dedup": lambda lake, lines, options: try_dedup(lines),
    "score": _score,
    "annotate": _annotate,
    "refine": _refine,
    "verify": _verify,
    "influence": _influence,
    "ado": _ado,
}
# Their lines are reports, not documents.
WITHOUT_ID = ("ado",)


def run_stage(lake: Lake, stage: str, file: Path, out: Path | None, options: Options = Options()) -> None:
    """Run `stage` on the lines of `file` (`-`: standard input), to `out` or standard output.

    Raises:
        ValueError: unknown stage, or a line that is no JSON object; the message names it.
        OSError: a file cannot be read or written.
    """
    if stage not in STAGES:
        raise ValueError(f"unknown stage {stage!r}; known: {', '.join(STAGES)}")
    with ExitStack() as stack:
        source = sys.stdin if str(file) == "-" else stack.enter_context(file.open(encoding="utf-8"))
        target = sys.stdout if out is None else stack.enter_context(out.open("w", encoding="utf-8"))
        beside = Path("ado") if str(file) == "-" else file
        options = replace(options, picture=beside.with_suffix(".svg") if stage == "ado" else None)
        for line in STAGES[stage](lake, _objects(source, str(file), stage not in WITHOUT_ID), options):
            target.write(json.dumps(line, ensure_ascii=False) + "\n")


def _objects(lines: Iterable[str], name: str, with_id: bool) -> Lines:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{name}, line {number}: no JSON ({error.msg})") from error
        if not isinstance(found, dict) or (with_id and "id" not in found):
            wanted = "a JSON object with an id" if with_id else "a JSON object"
            raise ValueError(f"{name}, line {number}: each line is {wanted}, got {line[:80].strip()!r}")
        yield found
