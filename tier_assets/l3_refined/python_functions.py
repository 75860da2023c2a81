"""Python functions of a text that can stand alone, and what speaks against running a piece of Python.

In: a text that holds Python at the left margin, whole or cut off anywhere. Out: its functions of at least one parameter
that give a value, each with the imports, constants and helpers of the text that it needs, and with the examples of its
docstring as assertions. Nothing is run. Cost: about 1 ms a function.
"""

from __future__ import annotations

import ast
import builtins
import re
import symtable
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAX_CHARS: Final = 8_000
# Modules that compute; those that reach for files, processes or the interpreter are left out.
ALLOWED_MODULES: Final = frozenset(
    "__future__ abc base64 bisect calendar cmath collections copy dataclasses datetime decimal difflib enum fractions "
    "functools hashlib heapq itertools json math numbers operator queue random re statistics string struct textwrap "
    "time typing unicodedata zlib".split()
)
FORBIDDEN_NAMES: Final = frozenset(
    "__import__ breakpoint compile delattr eval exec exit globals input locals open quit setattr vars".split()
)
_BUILT_IN: Final = frozenset(dir(builtins)) | {"__name__"}


@dataclass(frozen=True, slots=True)
class Function:
    """`source` runs alone and ends with the function; `examples` are assertions from its docstring."""

    name: str
    source: str
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A statement at the left margin: its text, the names that it binds and those that it takes from elsewhere."""

    text: str
    node: ast.stmt
    binds: tuple[str, ...]
    needs: frozenset[str]


def parse(code: str) -> ast.Module | str:
    """The syntax tree, or what is wrong with the code in a line."""
    if len(code) > MAX_CHARS:
        return f"{len(code):,} characters"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a plain string
            return ast.parse(code)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:  # null bytes; nesting without end
        return f"{type(error).__name__}: {error}"


def functions(text: str) -> list[Function]:
    """The functions of `text` that can stand alone, in order."""
    pieces = {name: piece for piece in _pieces(text) for name in piece.binds}
    found = []
    for name, piece in pieces.items():
        if not isinstance(piece.node, ast.FunctionDef) or not _worth_asking(piece.node):
            continue
        source = _standing_alone(piece, pieces)
        tree = parse(source) if source else "needs what the text does not have"
        if isinstance(tree, ast.Module) and not forbidden(tree):
            found.append(Function(name, source, _examples(name, ast.get_docstring(piece.node) or "")))
    return found


def forbidden(tree: ast.Module) -> list[str]:
    """Imports, names and attributes that an exercise has no need of."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] not in ALLOWED_MODULES]
        elif isinstance(node, ast.ImportFrom):
            found += [] if (node.module or "").split(".")[0] in ALLOWED_MODULES else [node.module or "."]
        elif isinstance(node, ast.Name) and node.id in FORBIDDEN_NAMES:
            found.append(node.id)
        elif isinstance(node, ast.Attribute) and re.fullmatch(r"__(?!init__|name__)\w+__", node.attr):
            found.append(node.attr)
    return found


def _pieces(text: str) -> Iterator[_Piece]:
    """The statements at the left margin that parse: imports, constants, functions, classes."""
    lines = text.split("\n")
    starts = [
        i for i, line in enumerate(lines) if re.match(r"@|import |from |def |class |[A-Za-z_]\w*(?::.*)? = ", line)
    ]
    covered = 0
    for start in starts:
        if start < covered:
            continue
        end = start + 1
        while end < len(lines) and (not lines[end].strip() or lines[end][0] in " \t)]}" or lines[end - 1][:1] == "@"):
            end += 1
        block = "\n".join(lines[start:end]).strip()
        tree = parse(block)
        whole = end < len(lines) or (isinstance(tree, ast.Module) and _ends_with_return(tree))
        if isinstance(tree, ast.Module) and len(tree.body) == 1 and whole:
            covered = end
            yield _Piece(block, tree.body[0], _bound(tree.body[0]), _free(block))


def _ends_with_return(tree: ast.Module) -> bool:
    """Whether what stands last in a text is a function to its end: others may have been cut off."""
    last = tree.body[-1]
    return isinstance(last, ast.FunctionDef) and isinstance(last.body[-1], ast.Return)


def _bound(node: ast.stmt) -> tuple[str, ...]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return tuple((a.asname or a.name).split(".")[0] for a in node.names)
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return (node.name,)
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return tuple(t.id for t in targets if isinstance(t, ast.Name))


def _free(code: str) -> frozenset[str]:
    """Names that a statement takes from its module."""
    found: set[str] = set()
    tables = [symtable.symtable(code, "<text>", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        inner = table.get_type() != "module"
        found |= {
            s.get_name()
            for s in table.get_symbols()
            if s.is_referenced() and (s.is_global() if inner else not s.is_assigned())
        }
    return frozenset(found - _BUILT_IN)


def _worth_asking(node: ast.FunctionDef) -> bool:
    """Whether calling the function with something gives something."""
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    gives = any(
        isinstance(n, ast.Yield | ast.YieldFrom) or (isinstance(n, ast.Return) and n.value is not None)
        for n in ast.walk(node)
    )
    named = not node.name.startswith(("_", "test")) and node.name != "main" and node.name not in _BUILT_IN
    return named and gives and bool(given) and given[0].arg not in ("self", "cls")


def _standing_alone(piece: _Piece, pieces: dict[str, _Piece]) -> str:
    """The piece after all that it needs; empty where the text does not have it."""
    order: list[_Piece] = []
    waiting, seen = [piece], {piece.text}
    while waiting:
        current = waiting.pop()
        order.append(current)
        for name in sorted(current.needs - set(current.binds)):
            if name not in pieces:
                return ""
            if pieces[name].text not in seen:
                seen.add(pieces[name].text)
                waiting.append(pieces[name])
    future = [p for p in pieces.values() if isinstance(p.node, ast.ImportFrom) and p.node.module == "__future__"]
    first = [p.text for p in future[:1]]
    imports = [p.text for p in order if isinstance(p.node, ast.Import | ast.ImportFrom)]
    # What is needed by what stands later comes first; a constant may call a helper.
    others = [p.text for p in reversed(order) if p.text not in imports]
    return "\n\n".join(part for part in ("\n".join([*first, *imports]), *others) if part) + "\n"


def _examples(name: str, docstring: str) -> tuple[str, ...]:
    """The examples of a docstring that call the function and show a plain value, as assertions."""
    from doctest import DocTestParser  # brings the debugger with it

    try:
        examples = DocTestParser().get_examples(docstring)
    except ValueError:  # prompts without a space
        return ()
    found = []
    for example in examples:
        tree, wanted = parse(example.source), parse(example.want)
        if not isinstance(tree, ast.Module) or not isinstance(wanted, ast.Module) or example.exc_msg:
            continue
        values = [n.value for n in (*tree.body, *wanted.body) if isinstance(n, ast.Expr)]
        if (len(tree.body), len(wanted.body), len(values)) != (1, 1, 2):
            continue
        call, value = values
        if is_literal(value) and calls(call, name) and not _free(example.source) - {name}:
            compared = ast.Compare(call, [ast.Eq()], [value])
            found.append(f"assert {ast.unparse(compared)}")
    return tuple(dict.fromkeys(found))


def is_literal(node: ast.expr) -> bool:
    """Whether an expression is a plain value, written out."""
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return False
    return True


def calls(tree: ast.AST, name: str) -> list[ast.Call]:
    """The calls of the function `name` in `tree`."""
    nodes = (n for n in ast.walk(tree) if isinstance(n, ast.Call))
    return [n for n in nodes if isinstance(n.func, ast.Name) and n.func.id == name]
