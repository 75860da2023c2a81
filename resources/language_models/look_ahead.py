"""How models draw requests, and the order in which they hand them to an engine: as many as are looked ahead at, those
that share a beginning side by side, so that the engine's prefix cache still holds it, and those of like length after
one another."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from resources.language_models.protocol import Request

LOOK_AHEAD = 512
# Characters: requests that begin alike for so long are about the same document.
SHARED_BEGINNING = 200
# Characters: groups whose longest prompts differ by less are of one length.
LENGTH_STEP = 400

Item = TypeVar("Item")


class Source(Generic[Item]):
    """An iterable, drawn one by one, that waits where it yields None."""

    def __init__(self, items: Iterable[Item | None]) -> None:
        self._items = iter(items)
        self.has_ended = False

    def take(self) -> Item | None:
        """The next item; None where there is none before a further reply, or (`has_ended`) none at all."""
        if self.has_ended:
            return None
        try:
            return next(self._items)
        except StopIteration:
            self.has_ended = True
            return None


def in_lots(source: Iterable[Item | None], size: int) -> Iterator[list[Item]]:
    """What `source` yields, up to `size` at a time: fewer where it ends or, by a None, waits; an empty list where it
    waits and has given nothing since."""
    lot: list[Item] = []
    for item in source:
        if item is not None:
            lot.append(item)
        if item is None or len(lot) == size:
            yield lot
            lot = []
    if lot:
        yield lot


def handed_over(requests: Iterable[Request | None]) -> Iterator[tuple[int, Request] | None]:
    """Each request with its place, LOOK_AHEAD of them at a time in the order that suits an engine; None where the
    iterable waits. The next lot is drawn when the last is handed over: nothing is passed over for long."""
    places = itertools.count()
    for lot in in_lots(requests, LOOK_AHEAD):
        if lot:
            yield from ordered([(next(places), request) for request in lot])
        else:
            yield None


def ordered(lot: list[tuple[int, Request]]) -> list[tuple[int, Request]]:
    """A lot by beginnings, then, within what begins alike, by length; long beginnings' groups last."""
    groups: dict[tuple[str, str], list[tuple[int, Request]]] = {}
    for item in lot:
        groups.setdefault((item[1].system, item[1].prompt[:SHARED_BEGINNING]), []).append(item)
    for group in groups.values():
        group.sort(key=lambda item: (len(item[1].prompt), item[1].max_tokens))
    # A stable sort: groups of one system and length stay in the order in which they came.
    found = sorted(groups.values(), key=lambda group: (group[0][1].system, len(group[-1][1].prompt) // LENGTH_STEP))
    return [item for group in found for item in group]
