"""Calls between two processes that do not trust each other: names and plain values over a pair of pipes, nothing else.

In: functions of one side. Out: on the other side, functions of the same names. What crosses is None, bool, int, float,
complex, str, bytes, list, tuple, set, frozenset, dict, range and, by value, what is derived from them; iterators as
their first MAX_ITEMS items; functions as functions that call back; exceptions as the nearest built-in one. A value of
another kind is a TypeError of the call. No object, and so no `__eq__`, of one side is ever run or built on the other.
What a call changes in a list, dict or set that it was given is changed on the caller's side too.
Cost: some 50 µs a call.
"""

from __future__ import annotations

import builtins
import itertools
import json
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

MAX_MESSAGE_BYTES: Final = 4 << 20
MAX_ITEMS: Final = 1000  # of an iterator, which may have no end
MAX_TEXT: Final = 300  # characters of an exception's message
_LENGTH: Final = struct.Struct("<I")
_MUTABLE: Final = (list, dict, set, bytearray)


class ClosedError(RuntimeError):
    """The other side has ended or speaks no sense."""


class Peer:
    """One side: calls the other's functions and serves its own."""

    def __init__(self, reader: int, writer: int, functions: dict[str, Callable[..., Any]]) -> None:
        self._reader, self._writer = reader, writer
        self._functions = functions

    def proxy(self, name: str) -> Callable[..., Any]:
        """A function that calls the other side's `name`."""

        def remote(*args: Any, **kwargs: Any) -> Any:
            return self.call(name, args, kwargs)

        remote.__name__ = name
        return remote

    def call(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """What the other side's function returns.

        Raises:
            ClosedError: the other side has ended.
            TypeError: an argument or the result cannot cross.
            Exception: the built-in exception nearest to what the function raised.
        """
        self.send({"call": name, "args": self.encode(list(args)), "kwargs": self.encode(dict(kwargs))})
        while "call" in (message := self.receive()):
            self._serve(message)
        for given, changed in zip(args, message.get("changed") or [], strict=False):
            if isinstance(given, _MUTABLE):
                _write_back(given, self.decode(changed))
        if "raised" in message:
            raise _exception(message["raised"], message.get("text"))
        return self.decode(message.get("value"))

    def serve(self) -> None:
        """Serve calls until the other side ends."""
        while True:
            try:
                message = self.receive()
            except ClosedError:
                return
            self._serve(message)

    def _serve(self, message: dict[str, Any]) -> None:
        """Answer one call; whatever it raises, the end of the process included, is its answer."""
        try:
            function = self._functions[message["call"]]
            args, kwargs = self.decode(message["args"]), self.decode(message["kwargs"])
            value = self.encode(function(*args, **kwargs))
            before = message["args"][1]
            after = [self.encode(a) if isinstance(a, _MUTABLE) else b for a, b in zip(args, before, strict=True)]
            self.send({"value": value, "changed": after if after != before else []})
        except BaseException as error:
            self.send({"raised": _name(error), "text": _text(error)})

    def send(self, message: dict[str, Any]) -> None:
        """Write one message.

        Raises:
            ValueError: it is too long.
            ClosedError: nobody reads.
        """
        content = json.dumps(message).encode()
        if len(content) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a value of {len(content):,} bytes; at most {MAX_MESSAGE_BYTES:,} can be passed on")
        try:
            write(self._writer, _LENGTH.pack(len(content)) + content)
        except OSError:
            raise ClosedError("the other process has ended") from None

    def receive(self) -> dict[str, Any]:
        """Read one message.

        Raises:
            ClosedError: the other side has ended, or what it wrote is no message.
        """
        (length,) = _LENGTH.unpack(read(self._reader, _LENGTH.size))
        if length > MAX_MESSAGE_BYTES:
            raise ClosedError("the other process wrote no message")
        try:
            message = json.loads(read(self._reader, length))
        except ValueError:
            raise ClosedError("the other process wrote no message") from None
        if not isinstance(message, dict):
            raise ClosedError("the other process wrote no message")
        return message

    def encode(self, value: Any) -> Any:
        """`value` as JSON: a scalar, or a list of its kind and its parts.

        Raises:
            TypeError: a value of another kind.
        """
        if value is None or value is True or value is False:
            return value
        for kind, (base, parts) in _KINDS.items():
            if isinstance(value, base):
                return [kind, parts(value, self.encode)]
        if isinstance(value, Iterator):
            return ["iterator", [self.encode(v) for v in itertools.islice(value, MAX_ITEMS)]]
        if callable(value) and not isinstance(value, type):
            name = f"function {len(self._functions)}"
            self._functions[name] = value
            return ["function", name]
        raise TypeError(f"a {type(value).__name__} cannot be passed on, only plain values")

    def decode(self, coded: Any) -> Any:
        """The value of `encode`.

        Raises:
            ClosedError: it is none.
        """
        if coded is None or coded is True or coded is False:
            return coded
        try:
            kind, parts = coded
            if kind == "function":
                return self.proxy(str(parts))
            return _BUILDERS[kind](parts, self.decode)
        except (KeyError, ValueError, TypeError, AttributeError):
            raise ClosedError("the other process wrote no value") from None


def _each(values: Any, code: Callable[[Any], Any]) -> list[Any]:
    return [code(v) for v in values]


def _unordered(values: Any, code: Callable[[Any], Any]) -> list[Any]:
    """In the order of their JSON, so that equal sets are coded alike."""
    return sorted((code(v) for v in values), key=json.dumps)


# Kind: what has it, and its parts. A subclass is passed on as what it is derived from.
_KINDS: Final[dict[str, tuple[type, Callable[[Any, Callable[[Any], Any]], Any]]]] = {
    "int": (int, lambda v, _: hex(int.__index__(v))),  # decimals of more than 4,300 digits are refused
    "float": (float, lambda v, _: float.hex(v)),
    "complex": (complex, lambda v, _: [float.hex(v.real), float.hex(v.imag)]),
    "str": (str, lambda v, _: str.__str__(v)),
    "bytes": (bytes, lambda v, _: bytes.hex(v)),
    "bytearray": (bytearray, lambda v, _: bytearray.hex(v)),
    "list": (list, _each),
    "tuple": (tuple, _each),
    "set": (set, _unordered),
    "frozenset": (frozenset, _unordered),
    "dict": (dict, lambda v, code: [[code(k), code(x)] for k, x in v.items()]),
    "range": (range, lambda v, _: [hex(v.start), hex(v.stop), hex(v.step)]),
}
_BUILDERS: Final[dict[str, Callable[[Any, Callable[[Any], Any]], Any]]] = {
    "int": lambda parts, _: int(parts, 16),
    "float": lambda parts, _: float.fromhex(parts),
    "complex": lambda parts, _: complex(*map(float.fromhex, parts)),
    "str": lambda parts, _: str(parts),
    "bytes": lambda parts, _: bytes.fromhex(parts),
    "bytearray": lambda parts, _: bytearray.fromhex(parts),
    "list": _each,
    "tuple": lambda parts, code: tuple(_each(parts, code)),
    "set": lambda parts, code: set(_each(parts, code)),
    "frozenset": lambda parts, code: frozenset(_each(parts, code)),
    "dict": lambda parts, code: {code(k): code(x) for k, x in parts},
    "range": lambda parts, _: range(*(int(p, 16) for p in parts)),
    "iterator": lambda parts, code: _first(_each(parts, code)),
}


def _first(items: list[Any]) -> Iterator[Any]:
    """The items of an iterator that crossed.

    Raises:
        RuntimeError: more are asked for than cross.
    """
    yield from items
    if len(items) == MAX_ITEMS:
        raise RuntimeError(f"only the first {MAX_ITEMS:,} items of an iterator are passed on")


def _write_back(given: Any, changed: Any) -> None:
    if isinstance(given, (list, bytearray)) and type(changed) in (list, bytearray):
        given[:] = changed
    elif isinstance(given, (dict, set)) and type(changed) in (dict, set):
        given.clear()
        given.update(changed)


def _name(error: BaseException) -> str:
    """The built-in exception nearest to `error`; for one that would end the process, RuntimeError."""
    if not isinstance(error, Exception):
        return "RuntimeError"
    return next(c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins")


def _text(error: BaseException) -> str:
    try:
        said = str(error)[:MAX_TEXT]
    except Exception:  # its own __str__ may do anything
        said = "?"
    return said if isinstance(error, Exception) else f"{type(error).__name__} {said}".strip()


def _exception(name: Any, text: Any) -> Exception:
    found = getattr(builtins, str(name), None)
    said = str(text)[:MAX_TEXT]
    if not (isinstance(found, type) and issubclass(found, Exception)):
        return RuntimeError(said)
    try:
        return found(said)
    except TypeError:  # UnicodeDecodeError wants five arguments
        return ValueError(said) if issubclass(found, ValueError) else RuntimeError(said)


def read(descriptor: int, length: int) -> bytes:
    """Exactly `length` bytes.

    Raises:
        ClosedError: there are fewer.
    """
    parts = []
    while length > 0:
        part = os.read(descriptor, min(length, 1 << 16))
        if not part:
            raise ClosedError("the other process has ended")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def write(descriptor: int, content: bytes) -> None:
    """All of `content`."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
