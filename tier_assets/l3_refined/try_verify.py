"""`lake try verify`: is an output borne out by its source, and, where the answer is given, is it the right one?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from algorithms.answer_equivalence import equivalent, final_answer
from resources.encoder import Encoder
from tier_assets.l3_refined.entailment import scores
from tier_assets.l3_refined.task import Reason
from tier_assets.l3_refined.verify import ungrounded


def try_verify(lines: Iterable[dict[str, Any]], encoder: Encoder | None = None) -> Iterator[dict[str, Any]]:
    """{id, source, output, answer?} gives {id, level, accepted, reasons}.

    Level 1 is grounded: `reasons`, of {reason, detail}, says why not. Accepted is what is grounded; where `answer` is
    given, that the output's final answer is the same (`other_answer` where not). With `encoder`: `entailment` too.

    Raises:
        ValueError: `source` or `output` is no text, or `answer` neither text nor number; the message names its id.
    """
    for line in lines:
        source, output = (_text(line, name) for name in ("source", "output"))
        reasons = ungrounded(output, source)
        level, accepted = (0 if reasons else 1), not reasons
        answer = line.get("answer")
        if answer is not None:
            expected = str(answer) if isinstance(answer, int | float) else _text(line, "answer")
            given = final_answer(output)
            accepted = given is not None and equivalent(given, expected)
            if not accepted:
                reasons.append(Reason("other_answer", f"{given!r}, not {expected!r}"))
        found: dict[str, Any] = {"id": line["id"], "level": level, "accepted": accepted}
        found["reasons"] = [{"reason": r.reason, "detail": r.detail} for r in reasons]
        if encoder is not None:
            found["entailment"] = scores([output], [source], encoder)[0]
        yield found


def _text(line: dict[str, Any], name: str) -> str:
    if not isinstance(line.get(name), str):
        raise ValueError(f"{line['id']}: {name!r} is a text, got {line.get(name)!r}")
    return str(line[name])
