"""Words and marks as the published quality rules count them: nearly spaCy's English tokens, at 100 times its speed.

In: the code points of a text. Out: where each token ends, its hash and its class. A token is a run of letters and
digits, a run of one and the same mark, or one ideograph; `n't` and `'s` begin one. Inside a word a mark stays where
spaCy's infix rules leave it: `U.S`, `1,000.5`, `9/10`, `TF-1`, but not `end.Next`, `and/or`, `day-to-day`; the point
after an abbreviation or a single capital belongs to it.

Where we differ: addresses and code are split at other marks (`f(x)`, `a_b`), where spaCy keeps what has no blank in
it as one token; a run of marks (`!!!`) is one token.
"""

from __future__ import annotations

from typing import Final

import numba

from algorithms.code_points import DIGIT, IDEOGRAPH, LETTER, PUNCTUATION, SEED, SPACE, SYMBOL, class_of, contains, mix

# Those that spaCy's English tokens keep their point with.
ABBREVIATIONS: Final = tuple(
    """
    Adm Ak Ala Apr Ariz Ark Aug Bros Calif Co Colo Conn Corp Dec Del Dr Feb Fla Ga Gen Gov Ia Id Ill Inc Ind Jan Jr Jul
    Jun Kan Kans Ky La Ltd Mar Mass Md Messrs Mich Minn Miss Mo Mont Mr Mrs Ms Mt Neb Nebr Nev Nov Oct Okla Ore Pa Prof
    Rep Rev Sen Sep Sept St Tenn Va Wash Wis co vs a.m e.g i.e p.m v.s Ph.D
    a b c d e f g h i j k l m n o p q r s t u v w x y z ä ö ü
    """.split()
)


@numba.njit(cache=True, inline="always")
def is_capital(capitals, point):  # type: ignore[no-untyped-def]
    return point < 0x10000 and capitals[point]


@numba.njit(cache=True)
def _joins(points, i, num_points, classes, capitals):  # type: ignore[no-untyped-def]
    """Whether the mark at `i`, after a letter or digit, stays inside the word: spaCy's infix rules."""
    mark = points[i]
    if i + 1 >= num_points:
        return False
    before, after = class_of(classes, points[i - 1]), class_of(classes, points[i + 1])
    if after not in (LETTER, DIGIT):
        return False
    if mark == 46:  # .
        return (
            before == DIGIT
            or after == DIGIT
            or is_capital(capitals, points[i - 1])
            or (not is_capital(capitals, points[i + 1]))
        )
    if mark == 44:  # ,
        return before == DIGIT or after == DIGIT
    if mark == 45:  # -
        return before == LETTER and after == DIGIT
    return (mark == 47 or mark == 58) and after == DIGIT  # / :


@numba.njit(cache=True)
def next_token(points, start, num_points, classes, capitals, short):  # type: ignore[no-untyped-def]
    """End, hash and class of the token at `start` (no blank), and whether it has a letter."""
    point = points[start]
    kind = class_of(classes, point)
    state, alpha, i = mix(SEED, point), kind in (LETTER, IDEOGRAPH), start + 1
    if kind == IDEOGRAPH:
        return i, state, kind, alpha
    quote = (point == 39 or point == 0x2019) and 0 < start < num_points - 1
    if quote and class_of(classes, points[i]) == LETTER and class_of(classes, points[start - 1]) == LETTER:
        kind = LETTER  # 's, 't, 'll
    if kind >= SYMBOL:
        while i < num_points and points[i] == point:
            state = mix(state, point)
            i += 1
        return i, state, kind, alpha
    while i < num_points:
        inner = class_of(classes, points[i])
        if inner not in (LETTER, DIGIT) and not _joins(points, i, num_points, classes, capitals):
            break
        alpha = alpha or inner == LETTER
        state = mix(state, points[i])
        i += 1
    if i < num_points and points[i] == 46:
        last = i + 1 == num_points or class_of(classes, points[i + 1]) in (SPACE, PUNCTUATION)
        initial = is_capital(capitals, points[i - 1]) and not (i - 2 >= start and is_capital(capitals, points[i - 2]))
        if last and (i + 1 == num_points or points[i + 1] != 46) and (initial or contains(short, state)):
            state = mix(state, 46)
            i += 1
    return i, state, kind, alpha


__all__ = ["ABBREVIATIONS", "is_capital", "next_token"]
