"""`lake try verify`: is an output borne out by its source, and, where the answer is given, is it the right one?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from resources.encoder import Encoder
from tier_assets.l3_refined.entailment import scores
from tier_assets.l3_refined.verify import ungrounded


def try_verify(lines: Iterable[dict[str, Any]], encoder: Encoder | None = None) -> Iterator[dict[str, Any]]:
    """{id, source, output} gives {id, level, accepted, reasons}: level 1 and accepted where nothing speaks against it.

    `reasons` are {reason, detail}. With `encoder` there is `entailment` too, as in the table.

    Raises:
        ValueError: a line without a text `source` or `output`; the message names its id.
    """
    for line in lines:
        source, output = (_text(line, name) for name in ("source", "output"))
        reasons = ungrounded(output, source)
        found: dict[str, Any] = {"id": line["id"], "level": 0 if reasons else 1, "accepted": not reasons}
        found["reasons"] = [{"reason": r.reason, "detail": r.detail} for r in reasons]
        if encoder is not None:
            found["entailment"] = scores([output], [source], encoder)[0]
        yield found


def _text(line: dict[str, Any], name: str) -> str:
    if not isinstance(line.get(name), str):
        raise ValueError(f"{line['id']}: {name!r} is a text, got {line.get(name)!r}")
    return str(line[name])
