"""Task code: an exercise, its solution and tests, from a Python function of a passage; kept where the tests pass.

In: a passage with a Python function that stands alone. Out: an exercise (user), a solution (assistant) and tests, in
three styles by how much the model writes beside the exercise:
    from_examples  nothing: the solution is the passage's function, the tests are the examples of its docstring
    from_source    the tests, for the passage's function
    free           the solution and the tests
Accepted where the exercise is about the function, all parse, and the tests assert two different things that can fail.
`execute` then runs them in the sandbox: the tests must pass on the solution, and must fail on solutions whose function
gives nothing, its first argument, or always the same of the values that the tests expect.
Before that the exercise itself is put to the test: a solution that the checking model writes from the exercise alone,
not having seen the text, must pass the same tests (level 3), else the exercise does not ask for what they expect.
"""

from __future__ import annotations

import ast
import copy
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from algorithms import grounding
from resources import sandbox
from tier_assets.l3_refined.python_functions import calls, forbidden, functions, is_literal
from tier_assets.l3_refined.python_functions import parse as parsed
from tier_assets.l3_refined.task import (
    Ask,
    Candidate,
    Check,
    JsonSchema,
    Judgement,
    Passage,
    Reason,
    Task,
    json_object,
    judged,
    read_prompt,
)
from tier_assets.l3_refined.verify import echo, ungrounded

PROMPT: Final = read_prompt(Path(__file__).with_name("code.txt"))
MIN_EXERCISE_WORDS: Final = 6
MIN_TESTS: Final = 2
# Share of the exercise's content words, common words of exercises aside, that the function has.
MIN_SUPPORT: Final = 0.6
# What an exercise must say of the function beside its name.
MIN_SAID: Final = 2
MAX_STUBS: Final = 5
GENERIC: Final = frozenset(
    grounding.content_stems(
        "write implement create define function method program python code student exercise task should must takes "
        "take accepts given gives returns return input output argument arguments parameter parameters value values "
        "called named name that which number integer float string list boolean bool type result compute calculate "
        "determine check find whether two three one first second positive negative non true false none"
    )
)
_FENCED: Final = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_SENTENCE_END: Final = re.compile(r"(?<=[.?!])\s+")
# Words that Python spells with capitals name nothing.
CAPITALS: Final = "Python Boolean True False None"
# Of the checks of prose; the others read code as sentences.
CHECKED: Final = ("empty", "refusal", "new_number", "new_name", "new_quote")
REASONS: Final = {
    "failed": "tests_failed",
    "broken": "solution_broken",
    "timed_out": "timed_out",
    "out_of_memory": "out_of_memory",
    "unavailable": "sandbox_unavailable",
}
_NAME: Final = "[A-Za-z_][A-Za-z0-9_]{0,40}"
# Plain values as Python writes them, lists, tuples, sets and dicts one or two deep: what a test may give and expect.
_ATOM: Final = r"(-?[0-9]{1,12}([.][0-9]{1,16})?(e-?[0-9]{1,2})?|'[^'\"\\\n]{0,40}'|True|False|None)"
_ITEMS: Final = rf"({_ATOM}(, {_ATOM}){{0,11}}(,)?)?"
_NESTED: Final = rf"({_ATOM}|\[{_ITEMS}\]|\({_ITEMS}\))"
_PAIRS: Final = rf"{_ATOM}: {_NESTED}(, {_ATOM}: {_NESTED}){{0,7}}"
VALUE: Final = rf"({_ATOM}|[\[({{]({_NESTED}(, {_NESTED}){{0,11}}(,)?)?[\])}}]|\{{{_PAIRS}\}})"


def plan(passage: Passage) -> list[Ask]:
    """For each function of the passage that stands alone an ask in each style."""
    asks = []
    for function in functions(passage.text):
        given = json.dumps([function.source, *function.examples])
        fill = (("passage", passage.text), ("function", function.name))
        shown = _asserted(_tree("\n".join(function.examples)), function.name)
        styles = [s for s in PROMPT.styles if s != "from_examples" or len(shown) >= MIN_TESTS]
        asks += [Ask(fill, given, style, SCHEMAS[style]) for style in styles]
    return asks


def schema(style: str) -> JsonSchema:
    """The form of a reply in a style."""
    # Any name: a form takes .4 to 3 CPU s to compile, too much for one a function. `accept` asks for the right one.
    # Bounds on words, since xgrammar 0.2 refuses long counts of characters; a word has one mark at most, since a small
    # model that has begun "2,2,2" does not stop.
    opening = f"(Write|Implement|Create|Define) a (Python )?function `{_NAME}` (that|which)"
    exercise = {"type": "string", "pattern": rf'^{opening}( [^ ,.;:"\\\n]+[,.;:]?){{4,40}}[.]$'}
    arguments = rf"([a-z_]{{1,20}}=)?{VALUE}"
    test = {"type": "string", "pattern": rf"^assert {_NAME}\({arguments}(, {arguments}){{0,4}}\) == {VALUE}$"}
    line = {"type": "string", "pattern": r'^( {4}){0,5}[^ "\\\n]{1,40}( [^ "\\\n]{1,40}){0,24}$'}
    fields: dict[str, Any] = {"exercise": exercise}
    if style == "free":
        fields["solution"] = {"type": "array", "items": line, "minItems": 2, "maxItems": 40}
    if style != "from_examples":
        fields["tests"] = {"type": "array", "items": test, "minItems": MIN_TESTS, "maxItems": 5}
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


SCHEMAS: Final = {style: schema(style) for style in PROMPT.styles}


def parse(reply: str, passage: Passage, ask: Ask) -> list[Candidate]:
    """The exercise of a JSON reply, with its solution and tests, or those that were given.

    Raises:
        ValueError: no JSON object with the string and lists that the style asks for.
    """
    fields = json_object(reply)
    source, *examples = json.loads(ask.given)
    if not isinstance(fields.get("exercise"), str):
        raise ValueError("JSON without a string 'exercise'")
    exercise = " ".join(fields["exercise"].split())
    solution = _lines(fields, "solution") if ask.style == "free" else source
    tests = "\n".join(examples) + "\n" if ask.style == "from_examples" else _lines(fields, "tests")
    return [Candidate(exercise, solution, f"{exercise}\n\n{solution}", reply, source, ask.style, tests=tests)]


def _lines(fields: dict[str, Any], name: str) -> str:
    lines = fields.get(name)
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise ValueError(f"JSON without a list of strings {name!r}")
    return "".join(line.rstrip("\n") + "\n" for line in lines)


def accept(candidate: Candidate, passage: Passage) -> Judgement:
    """Level 1 where the exercise is about the passage's function, and solution and tests are what they should be."""
    name = function_name(candidate.source)
    reasons = _exercise(candidate, passage, name)
    reasons += _solution(candidate, name)
    reasons += _tests(candidate.tests or "", name)
    return judged(reasons)


def function_name(source: str) -> str:
    """The name of the last function of `source`: what the exercise asks for."""
    return next(n.name for n in reversed(ast.parse(source).body) if isinstance(n, ast.FunctionDef))


def _exercise(candidate: Candidate, passage: Passage, name: str) -> list[Reason]:
    exercise, reasons = candidate.prompt, []
    if len(exercise.split()) < MIN_EXERCISE_WORDS or "def " in exercise:
        reasons.append(Reason("not_an_exercise", exercise[:80]))
    if not re.search(r"[\w`)\]\"'][.?!]$", exercise):
        reasons.append(Reason("unfinished", exercise[-40:]))  # cut short by the bound on its words
    said_before = [s for s, n in Counter(_SENTENCE_END.split(exercise)).items() if n > 1]
    if said_before:
        reasons.append(Reason("repeats_itself", said_before[0]))
    if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", exercise):
        reasons.append(Reason("function_not_named", name))
    known = f"{passage.text} {CAPITALS}"
    reasons += [r for r in ungrounded(exercise, known) if r.reason in CHECKED]
    reasons += echo(exercise, PROMPT, passage.text)
    words = [w for w in grounding.content_stems(exercise.replace(name, " ")) if w not in GENERIC]
    of_function = set(grounding.content_stems(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", candidate.source)))
    said = [w for w in words if w in of_function]
    if len(set(said)) < MIN_SAID:
        reasons.append(Reason("vague_exercise", f"says of the function only {', '.join(said) or 'its name'}"))
    elif len(said) < MIN_SUPPORT * len(words):
        shown = f"{len(said) / len(words):.2f} of its words are the function's"
        reasons.append(Reason("exercise_off_function", shown))
    return reasons


def _solution(candidate: Candidate, name: str) -> list[Reason]:
    tree = parsed(candidate.output)
    if not isinstance(tree, ast.Module):
        return [Reason("solution_unparsed", tree)]
    found = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name]
    if not found:
        return [Reason("solution_lacks_function", name)]
    reasons = [Reason("forbidden_in_solution", ", ".join(forbidden(tree)))] if forbidden(tree) else []
    others = [n for n in tree.body if not isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom)]
    if any(isinstance(n, ast.Assert) for n in others) or calls(ast.Module(others, []), name):
        reasons.append(Reason("tests_in_solution", "it calls itself at the top"))
    body = _without_docstring(found[-1])
    if all(isinstance(n, ast.Pass | ast.Raise) or _gives_constant(n) for n in body):
        reasons.append(Reason("trivial_solution", "; ".join(map(ast.unparse, body))[:80] or "no body"))
    if candidate.style == "free" and _dumped(body) == _dumped(_without_docstring(_function(candidate.source, name))):
        reasons.append(Reason("solution_copied", "the body is that of the text"))
    return reasons


def _tests(tests: str, name: str) -> list[Reason]:
    tree = parsed(tests)
    if not isinstance(tree, ast.Module):
        return [Reason("tests_unparsed", tree)]
    reasons = [Reason("forbidden_in_tests", ", ".join(forbidden(tree)))] if forbidden(tree) else []
    if _binds(tree, name):
        reasons.append(Reason("tests_replace_solution", name))
    asserted = _asserted(tree, name)
    if len(asserted) < MIN_TESTS:
        reasons.append(Reason("too_few_tests", f"{len(asserted)} that call {name} and can fail"))
    return reasons


def _asserted(tree: ast.Module, name: str) -> set[str]:
    """The different calls of `name` about which something is asserted that can fail."""
    found = set()
    for node in ast.walk(tree):
        test = node.test if isinstance(node, ast.Assert) else None
        if isinstance(test, ast.Compare) and calls(test, name):
            sides = [ast.dump(s) for s in (test.left, *test.comparators)]
            if len(set(sides)) == len(sides):  # f(2) == f(2) says nothing
                found |= {ast.dump(c) for c in calls(test, name)}
        elif isinstance(test, ast.UnaryOp | ast.Call):
            found |= {ast.dump(c) for c in calls(test, name)}
    return found


def _binds(tree: ast.Module, name: str) -> bool:
    """Whether the tests put something else in the function's place."""
    for node in ast.walk(tree):
        bound = (
            (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del) and node.id)
            or (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name)
            or (isinstance(node, ast.alias) and (node.asname or node.name))
            or (isinstance(node, ast.arg) and node.arg)
        )
        if bound == name:
            return True
    return False


def execute(candidate: Candidate) -> tuple[Reason, ...]:
    """What the sandbox has against a candidate that `accept` accepted.

    Where there is no sandbox it is `sandbox_unavailable`: code that was not run is not kept.
    """
    tests = candidate.tests or ""
    ran = sandbox.run(candidate.output, tests)
    if ran.status != "passed":
        return (Reason(REASONS[ran.status], ran.detail),)
    for returned, stub in stubs(candidate.output, tests, function_name(candidate.source)):
        ran = sandbox.run(stub, tests)
        if ran.status == "passed":
            return (Reason("tests_pass_without_solution", f"they pass where it only returns {returned}"),)
    return ()


def stubs(solution: str, tests: str, name: str) -> Iterator[tuple[str, str]]:
    """Solutions whose function does nothing but return something, each with what: no test may take them for good."""
    arguments = _function(solution, name).args
    first = [a.arg for a in (*arguments.posonlyargs, *arguments.args)][:1]
    wanted = (
        side
        for node in ast.walk(_tree(tests))
        if isinstance(node, ast.Compare) and calls(node, name)
        for side in (node.left, *node.comparators)
        if is_literal(side)
    )
    for returned in list(dict.fromkeys(["None", *first, *map(ast.unparse, wanted)]))[:MAX_STUBS]:
        tree = copy.deepcopy(_tree(solution))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                node.body = ast.parse(f"return {returned}").body
        yield returned, ast.unparse(tree)


def _tree(code: str) -> ast.Module:
    """The syntax tree of code that parses.

    Raises:
        ValueError: it does not.
    """
    tree = parsed(code)
    if not isinstance(tree, ast.Module):
        raise ValueError(tree)
    return tree


def _function(code: str, name: str) -> ast.FunctionDef:
    """The function that `name` is in the end; a KeyError where there is none."""
    return {n.name: n for n in _tree(code).body if isinstance(n, ast.FunctionDef)}[name]


def _without_docstring(node: ast.FunctionDef) -> list[ast.stmt]:
    return node.body[1:] if ast.get_docstring(node) is not None else node.body


def _gives_constant(node: ast.stmt) -> bool:
    return isinstance(node, ast.Return) and (node.value is None or is_literal(node.value))


def _dumped(body: list[ast.stmt]) -> list[str]:
    return [ast.dump(n) for n in body]


def ask_blind(candidate: Candidate, passage: Passage) -> Ask:
    """The exercise, and nothing of the text."""
    return Ask((("exercise", candidate.prompt),))


def solves(replies: Sequence[str], candidate: Candidate) -> bool:
    """Whether a solution written from the exercise alone passes the tests: then it asks for what they expect."""
    return any(sandbox.run(unfenced(reply), candidate.tests or "").status == "passed" for reply in replies)


def unfenced(reply: str) -> str:
    """The code of a reply without the marks and words around it."""
    found = _FENCED.search(reply)
    return (found.group(1) if found else reply).strip("\n") + "\n"


CHECK: Final = Check(
    3,
    read_prompt(Path(__file__).with_name("code_solve.txt")),
    max_tokens=300,
    ask=ask_blind,
    agrees=solves,
    needed=lambda candidate: True,
    reason="not_solved_from_exercise",
    by_other=True,
)
CODE: Final = Task(
    "code", PROMPT, max_tokens=400, plan=plan, parse=parse, accept=accept, checks=(CHECK,), execute=execute
)
