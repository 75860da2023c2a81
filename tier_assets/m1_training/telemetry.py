"""Training speaks back: what a run reports becomes rows of `training_telemetry`, or of `telemetry_refused`.

In: reports, a mapping each of run, step (from 1), domain, tokens (seen so far in the run, all domains), loss (nats a
token), lr, and where there are any domain_tokens, checkpoint (its folder) and optimizer (its state's file). They come
from a loop in the same process (`TelemetryWriter`; `callbacks.py` for Hugging Face and Lightning) or from a file of
JSON Lines that another process appends to (`tail`). Out: rows of both tables. A report is a row of one of them, or the
very same report again, which is ignored: reports in = rows + refused + ignored.

Reports may come in any order and are read in the order of steps. The first report of a run, step and domain counts.
A run that does not say `domain_tokens` is taken to divide its tokens evenly among its domains.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import polars as pl

from resources.lake import Lake
from tier_assets.m1_training.reports import (
    FIELDS,
    Refusal,
    Report,
    is_count,
    is_number,
    is_text,
    located,
    parse,
    read,
    short,
)
from tier_tables import table

# The domain of a run that does not tell its domains apart: any lake takes it.
ALL_DOMAINS: Final = "all"
# Steps that a writer holds back: each append to the lake is a file.
FLUSH_STEPS: Final = 64
# Lines that `tail` takes at once: about 2 MB.
TAIL_LINES: Final = 10_000
KEY: Final = ("run", "step", "domain")


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of some reports: `rows` of training_telemetry, `refused` of telemetry_refused, and how many were the
    very same report again."""

    rows: pl.DataFrame
    refused: pl.DataFrame
    num_ignored: int


def accept(
    reports: Sequence[Mapping[str, Any]], known: pl.DataFrame, domains: Collection[str] | None, now: datetime
) -> Accepted:
    """Judge each report by itself, by the `known` rows of training_telemetry and by the reports before it.

    `domains`: those that a report may name, beside "all"; None where it may name any. `now` is when the reports came.
    A report is refused for the first of: missing_field, ill_typed_field, step_out_of_range, tokens_out_of_range,
    lr_out_of_range, loss_not_finite, unknown_domain, replayed_step (this step of the run and domain is known with other
    values), tokens_went_back (fewer tokens than at an earlier step, or more than at a later one), checkpoint_not_found
    (a local path that is not there).

    >>> report = {"run": "r", "step": 1, "domain": "web", "tokens": 512, "loss": 7.5, "lr": 0.001}
    >>> nothing = table("training_telemetry").empty()
    >>> taken = accept([report, report, report | {"loss": float("nan")}], nothing, None, datetime.now(UTC))
    >>> taken.rows.height, taken.refused["reason"].to_list(), taken.num_ignored
    (1, ['loss_not_finite'], 1)
    """
    found = [read(report) for report in reports]
    books = _Books.of(known, [report for report in found if isinstance(report, Report)])
    rows: list[dict[str, object]] = []
    refused: dict[str, dict[str, object]] = {}
    for given, report in zip(reports, found):
        if isinstance(report, Report) and books.is_repeat(report):
            continue
        refusal = report if isinstance(report, Refusal) else _refusal(report, books, domains)
        if isinstance(report, Report) and refusal is None:
            rows.append({**_values(books.take(report)), "received_at": now})
        elif refusal is not None:
            line = json.dumps(given, default=str)
            refused.setdefault(line, _refused_row(given, line, refusal, now))
    return Accepted(
        pl.DataFrame(rows, schema=table("training_telemetry").schema),
        pl.DataFrame(list(refused.values()), schema=table("telemetry_refused").schema),
        len(reports) - len(rows) - len(refused),
    )


def take(lake: Lake, reports: Sequence[Mapping[str, Any]], domains: Collection[str] | None) -> Accepted:
    """`accept` by what the lake knows of the runs, and append what came of it to the lake."""
    runs = sorted({str(run) for report in reports if is_text(run := report.get("run"))})
    known = lake.scan("training_telemetry").filter(pl.col("run").is_in(runs)).collect()
    accepted = accept(reports, known, domains, datetime.now(UTC))
    _append(lake, accepted)
    return accepted


def tail(lake: Lake, file: str | Path, from_byte: int = 0) -> int:
    """Take the lines that `file` holds from `from_byte` on; returns where to go on.

    A last line without its end waits until it is a whole JSON object. A line that is none is refused. A file that is
    shorter than `from_byte` was begun anew and is read from its start: what the lake knows already is ignored.

    Raises:
        FileNotFoundError: no such file.
    """
    domains = known_domains(lake)
    position = from_byte if from_byte <= Path(file).stat().st_size else 0
    with open(file, "rb") as lines:
        while True:
            # Back to the end of the last whole line: the rest of a torn one may have come meanwhile.
            lines.seek(position)
            whole = [line for _, line in zip(range(TAIL_LINES), lines) if _is_whole(line)]
            if not whole:
                return position
            _take_lines(lake, [line for line in whole if line.strip()], domains)
            position += sum(map(len, whole))


def _is_whole(line: bytes) -> bool:
    return line.endswith(b"\n") or not isinstance(parse(line), Refusal)


def _take_lines(lake: Lake, lines: Sequence[bytes], domains: Collection[str] | None) -> None:
    parsed = [parse(line) for line in lines]
    take(lake, [report for report in parsed if not isinstance(report, Refusal)], domains)
    now = datetime.now(UTC)
    unread = {
        line: _refused_row({}, line.decode("utf-8", "replace").rstrip("\r\n"), refusal, now)
        for line, refusal in zip(lines, parsed)
        if isinstance(refusal, Refusal)
    }
    refused = pl.DataFrame(list(unread.values()), schema=table("telemetry_refused").schema)
    _append(lake, Accepted(table("training_telemetry").empty(), refused, 0))


def known_domains(lake: Lake) -> frozenset[str] | None:
    """The domains of the lake's documents; None where it has no documents yet."""
    found = lake.scan("l1_filtered").select(pl.col("domain").unique()).collect(engine="streaming")["domain"]
    return frozenset(found.to_list()) or None


class TelemetryWriter:
    """Reports of one run to a lake, for a plain training loop; a context manager.

    It counts the tokens and appends rows every FLUSH_STEPS steps, at once with a checkpoint, and at the end. A run that
    is resumed goes on from the lake's counts at the step before the first one that it reports.

        with TelemetryWriter(lake, "run-7") as telemetry:
            for step in range(1, steps + 1):
                ...
                telemetry.report(step, {"web": (8_192, 3.21), "code": (4_096, 1.87)}, lr=3e-4)
    """

    def __init__(self, lake: Lake, run: str) -> None:
        self.lake, self.run = lake, run
        self._domains = known_domains(lake)
        self._known = lake.scan("training_telemetry").filter(pl.col("run") == run).collect()
        self._last_step = 0
        self._tokens = 0
        self._domain_tokens: dict[str, int] = {}
        self._waiting: list[dict[str, object]] = []
        self._waiting_steps = 0

    def report(
        self,
        step: int,
        losses: Mapping[str, tuple[int, float]],
        lr: float,
        checkpoint: str | Path | None = None,
        optimizer: str | Path | None = None,
    ) -> None:
        """Report one optimizer step.

        Args:
            step: from 1, each later than the one before.
            losses: domain -> (tokens of it in this step, their mean loss in nats a token).
            lr: the step's learning rate.
            checkpoint: folder of the checkpoint that was written after this step.
            optimizer: file of the optimizer's state there.

        Raises:
            ValueError: the step is no later one, or a number of tokens is none.
        """
        if step <= self._last_step:
            raise ValueError(f"steps of run {self.run!r} come in order: {step} after {self._last_step}")
        # Whatever stands for a number in the loop: of numpy, of torch.
        seen = {domain: (int(tokens), float(loss)) for domain, (tokens, loss) in losses.items()}
        if wrong := {domain: tokens for domain, (tokens, _) in seen.items() if tokens < 0}:
            raise ValueError(f"a step has 0 or more tokens of a domain, not {wrong}")
        if self._last_step == 0:
            self._resume(step)
        self._last_step = step
        self._tokens += sum(tokens for tokens, _ in seen.values())
        common = {"run": self.run, "step": int(step), "tokens": self._tokens, "lr": float(lr)}
        files = {"checkpoint": located(checkpoint), "optimizer": located(optimizer)}
        for domain, (tokens, loss) in seen.items():
            so_far = self._domain_tokens[domain] = self._domain_tokens.get(domain, 0) + tokens
            self._waiting.append({**common, "domain": domain, "domain_tokens": so_far, "loss": loss, **files})
        self._waiting_steps += 1
        if checkpoint is not None or self._waiting_steps >= FLUSH_STEPS:
            self.flush()

    def flush(self) -> None:
        """Append what is held back."""
        accepted = accept(self._waiting, self._known, self._domains, datetime.now(UTC))
        _append(self.lake, accepted)
        # Reports come in order: earlier steps than the last one say nothing of those to come.
        known = pl.concat([self._known, accepted.rows])
        self._known = known.filter(pl.col("step") >= self._last_step)
        self._waiting, self._waiting_steps = [], 0

    def _resume(self, step: int) -> None:
        before = self._known.filter(pl.col("step") < step).sort("step")
        self._tokens = before["tokens"][-1] if before.height else 0
        last = before.group_by("domain").agg(pl.col("domain_tokens").last())
        self._domain_tokens = {domain: tokens for domain, tokens in last.iter_rows()}

    def __enter__(self) -> TelemetryWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # What was reported before an error is reported all the same.
        self.flush()


def _refusal(report: Report, books: _Books, domains: Collection[str] | None) -> Refusal | None:
    """What is wrong with a sound report that nobody has told yet; None where nothing is."""
    if domains is not None and report.domain != ALL_DOMAINS and report.domain not in domains:
        return Refusal("unknown_domain", f"domain={short(report.domain)}; the lake has {sorted(domains)}")
    told = books.told.get(report.key)
    if told is not None:
        return Refusal("replayed_step", f"told before: tokens={told.tokens}, loss={told.loss}, lr={told.lr}")
    least, most = books.runs[report.run].bounds(report.step)
    if report.tokens < least:
        return Refusal("tokens_went_back", f"tokens={report.tokens}, but {least} at an earlier step")
    if most is not None and report.tokens > most:
        return Refusal("tokens_went_back", f"tokens={report.tokens}, but {most} at a later step")
    checkpoint = report.checkpoint
    # Path.exists() raises for a name that is too long.
    if checkpoint is not None and "://" not in checkpoint and not os.path.exists(checkpoint):
        return Refusal("checkpoint_not_found", f"there is no {checkpoint}")
    return None


@dataclass(slots=True)
class _Run:
    """What is known of a run: its domains, its steps in order, and the least and most tokens told at each."""

    domains: set[str] = field(default_factory=set)
    steps: list[int] = field(default_factory=list)
    tokens: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, step: int, least: int, most: int) -> None:
        if step not in self.tokens:
            insort(self.steps, step)
        low, high = self.tokens.get(step, (least, most))
        self.tokens[step] = min(low, least), max(high, most)

    def bounds(self, step: int) -> tuple[int, int | None]:
        """The tokens at the step before, and those at the step after where there is one."""
        before, after = bisect_left(self.steps, step), bisect_right(self.steps, step)
        return (
            self.tokens[self.steps[before - 1]][1] if before else 0,
            self.tokens[self.steps[after]][0] if after < len(self.steps) else None,
        )


@dataclass(slots=True)
class _Books:
    """What is known of the runs that report, and what was told of the steps and domains that they report."""

    runs: dict[str, _Run]
    told: dict[tuple[str, int, str], Report]

    @classmethod
    def of(cls, known: pl.DataFrame, reports: Sequence[Report]) -> _Books:
        runs = {report.run: _Run(set()) for report in reports}
        rows = known.filter(pl.col("run").is_in(list(runs)))
        steps = rows.group_by("run", "step").agg(least=pl.col("tokens").min(), most=pl.col("tokens").max())
        for run, step, least, most in steps.sort("run", "step").iter_rows():
            runs[run].add(step, least, most)
        named = rows.select("run", "domain").unique().rows()
        for run, domain in (*named, *((report.run, report.domain) for report in reports)):
            runs[run].domains.add(domain)
        keys = pl.DataFrame([report.key for report in reports], {c: known.schema[c] for c in KEY}, orient="row")
        first = rows.sort("received_at", maintain_order=True).join(keys, on=KEY, how="semi", maintain_order="left")
        told: dict[tuple[str, int, str], Report] = {}
        for row in first.select(f.name for f in fields(Report)).iter_rows():
            told.setdefault(row[:3], Report(*row))
        return cls(runs, told)

    def is_repeat(self, report: Report) -> bool:
        """Whether the very same was told before; a report that says no `domain_tokens` is the same whatever it got."""
        told = self.told.get(report.key)
        if told is None:
            return False
        return told == (
            report if report.domain_tokens is not None else replace(report, domain_tokens=told.domain_tokens)
        )

    def take(self, report: Report) -> Report:
        """The report, whole, which is known from now on."""
        run = self.runs[report.run]
        if report.domain_tokens is None:
            report = replace(report, domain_tokens=report.tokens // len(run.domains))
        run.add(report.step, report.tokens, report.tokens)
        self.told[report.key] = report
        return report


def _values(report: Report) -> dict[str, object]:
    return {name: getattr(report, name) for name in FIELDS}


def _refused_row(given: Mapping[str, Any], line: str, refusal: Refusal, now: datetime) -> dict[str, object]:
    run, domain, step = (given.get(name) for name in ("run", "domain", "step"))
    return {
        "run": run if is_text(run) else None,
        "step": int(step) if is_count(step) and is_number(int(step)) else None,  # type: ignore[arg-type]
        "domain": domain if is_text(domain) else None,
        "reason": refusal.reason,
        "detail": refusal.detail,
        "line": line,
        "received_at": now,
    }


def _append(lake: Lake, accepted: Accepted) -> None:
    """Append the rows to the lake, and what was refused and was not refused before: a file may be read again."""
    if accepted.rows.height:
        lake.append("training_telemetry", accepted.rows)
    if accepted.refused.height:
        before = lake.scan("telemetry_refused").select("line")
        new = accepted.refused.lazy().join(before, on="line", how="anti", maintain_order="left").collect()
        if new.height:
            lake.append("telemetry_refused", new)
