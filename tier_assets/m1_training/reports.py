"""One report of a training step: which fields it has, of which types and within which ranges.

In: a mapping, or a line that should hold one as JSON. Out: a `Report`, or a `Refusal` that says what is wrong with it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

LARGEST: Final = 2**63 - 1
SHOWN_CHARS: Final = 80


@dataclass(frozen=True, slots=True)
class Report:
    """A report whose fields are sound: what a row of training_telemetry says, but for when it came."""

    run: str
    step: int
    domain: str
    tokens: int
    domain_tokens: int | None
    loss: float
    lr: float
    checkpoint: str | None
    optimizer: str | None

    @property
    def key(self) -> tuple[str, int, str]:
        """What of two reports makes the second a repeat."""
        return self.run, self.step, self.domain


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a report is not taken: a name, and the value that decided."""

    reason: str
    detail: str


def read(report: Mapping[str, Any]) -> Report | Refusal:
    """The report's fields; what it has beside them is passed over.

    >>> read({"run": "r", "step": 0, "domain": "web", "tokens": 512, "loss": 7.5, "lr": 0.001})
    Refusal(reason='step_out_of_range', detail='step=0; steps count from 1')
    """
    for name, (is_fit, wanted, is_required) in FIELDS.items():
        value = report.get(name)
        if value is None and is_required:
            return Refusal("missing_field", f"{name} is missing; it is {wanted}")
        if value is not None and not is_fit(value):
            return Refusal("ill_typed_field", f"{name}={short(value)} is not {wanted}")
    step, tokens = int(report["step"]), int(report["tokens"])
    of_domain = None if report.get("domain_tokens") is None else int(report["domain_tokens"])
    loss, lr = float(report["loss"]), float(report["lr"])
    if not 1 <= step <= LARGEST:
        return Refusal("step_out_of_range", f"step={step}; steps count from 1")
    if not 0 <= tokens <= LARGEST:
        return Refusal("tokens_out_of_range", f"tokens={tokens}; tokens count from 0")
    if of_domain is not None and not 0 <= of_domain <= tokens:
        return Refusal("tokens_out_of_range", f"domain_tokens={of_domain} of tokens={tokens}")
    if not 0 <= lr < math.inf:
        return Refusal("lr_out_of_range", f"lr={lr}; a learning rate is a finite number of 0 or more")
    if not math.isfinite(loss):
        return Refusal("loss_not_finite", f"loss={loss}")
    checkpoint, optimizer = (located(report.get(name)) for name in ("checkpoint", "optimizer"))
    return Report(report["run"], step, report["domain"], tokens, of_domain, loss, lr, checkpoint, optimizer)


def parse(line: bytes) -> dict[str, Any] | Refusal:
    """The line's JSON object, or why it has none."""
    try:
        report = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        return Refusal("not_json", str(error))
    if not isinstance(report, dict):
        return Refusal("not_an_object", f"a report is a JSON object, not {short(report)}")
    return report


def located(path: str | Path | None) -> str | None:
    """A local path as it is found from anywhere; an address of a store as it is."""
    if path is None or "://" in str(path):
        return None if path is None else str(path)
    return str(Path(path).absolute())


def is_text(value: object) -> bool:
    """Whether it is a text that a table can hold, and not an empty one."""
    # Half of a surrogate pair is a character to Python and none to UTF-8.
    return isinstance(value, str) and value != "" and not any("\ud800" <= c <= "\udfff" for c in value)


def is_count(value: object) -> bool:
    """Whether it is a whole number: some loggers write all numbers as floats."""
    return is_number(value) and float(value).is_integer()  # type: ignore[arg-type]


def is_number(value: object) -> bool:
    """Whether it is a number that a table can hold, NaN and infinities among them."""
    if isinstance(value, bool):
        return False
    return isinstance(value, float) or (isinstance(value, int) and abs(value) <= LARGEST)


def short(value: object) -> str:
    """The value as it can be shown in a line."""
    shown = ascii(value)
    return shown if len(shown) <= SHOWN_CHARS else f"{shown[:SHOWN_CHARS]}..."


# Field -> whether a value is fit for it, what it is, whether each report has it.
FIELDS: Final[Mapping[str, tuple[Callable[[object], bool], str, bool]]] = {
    "run": (is_text, "a text", True),
    "step": (is_count, "a whole number", True),
    "domain": (is_text, "a text", True),
    "tokens": (is_count, "a whole number", True),
    "loss": (is_number, "a number", True),
    "lr": (is_number, "a number", True),
    "domain_tokens": (is_count, "a whole number", False),
    "checkpoint": (is_text, "the path of a folder", False),
    "optimizer": (is_text, "the path of a file", False),
}
