"""What kind of answer a question asks for, and of what kinds an answer is: time, number, name.

In: a question or an answer, English, German, Spanish or Chinese. Out: sets of kinds, empty where the form does not say
(a "what" may ask for anything). Closed lists of question words; no model.
"""

from __future__ import annotations

import re

from algorithms.folded_words import words
from algorithms.grounded_numbers import FIGURES
from algorithms.word_lists import NUMBER_WORDS

TIME, NUMBER, NAME = "time", "number", "name"

_ASKED = (
    (
        TIME,
        r"^(?:\w+ ){0,2}when\b|\b(?:what|which) (?:year|month|date|day|decade|century)\b|\bwann\b"
        r"|\bwelche[mrs]? (?:jahr|monat|tag|jahrzehnt|jahrhundert|datum)|\bcuándo\b"
        r"|\bqué (?:año|fecha|mes|día|siglo|década)\b"
        r"|什么时候|何时|哪一?年|哪个?月|哪个?世纪|哪一?天",
    ),
    (NUMBER, r"\bhow (?:many|much)\b|\bwie ?viele?n?\b|\bcuánt[oa]s\b|多少|几[个次年种位名]"),
    (NAME, r"^(?:\w+ ){0,1}(?:who|whose|whom)\b|\bwer\b|\bwem\b|\bwen\b|\bwessen\b|\bqui[eé]n(?:es)?\b|谁|哪位"),
)
_ASKED_PATTERNS = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _ASKED)
_TIMES = re.compile(
    r"\b(?:1\d{3}|20\d\d|\d{3,4}s)\b|\d{1,2}(?:st|nd|rd|th)\b|\d年|\d月|\d日|世纪|年|\b(?:january|february|march|april|may|june|july"
    r"|august|september|october|november|december|januar|februar|märz|mai|juni|juli|oktober|dezember|enero|febrero|marzo"
    r"|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre)\b"
    r"|centur|jahrhundert|siglo|year|jahr|año|day|tag\b|tage\b|día|week|woche|month|monat|mes\b|before|after|during|while|until"
    r"|vor|nach|während|seit|bis|antes|después|durante|cuando|als|when|age|war\b|krieg|guerra|period|season|spring|summer"
    r"|autumn|fall|winter|night|morning|\bbc\b|\bad\b|v\. ?chr|a\. ?c\.",
    re.IGNORECASE,
)
_WORDS_OF_NUMBER = re.compile(
    r"\b(?:half|third|quarter|several|many|few|dozens?|hundreds?|thousands?|millions?|billions?|none|no|both|single|once"
    r"|twice|most|majority|hälfte|viertel|drittel|viele|wenige|mehrere|keine?|beide|millionen|milliarden|tausende?"
    r"|mitad|tercio|cuarto|varios|muchos|pocos|millones|ningun[oa]?|ambos|un[oa]?|dos|tres|cuatro|cinco|seis|siete|ocho"
    r"|nueve|diez|doce|cien|mil)\b|[一二三四五六七八九十百千万亿两半几]",
    re.IGNORECASE,
)


def asked(question: str) -> frozenset[str]:
    """The kinds of answer that `question` asks for; empty where its form leaves that open.

    >>> asked("How many men came?")
    frozenset({'number'})
    """
    return frozenset(next(([kind] for kind, pattern in _ASKED_PATTERNS if pattern.search(question)), []))


def kinds(answer: str) -> frozenset[str]:
    """The kinds that `answer` can pass for."""
    found = set()
    figures = bool(FIGURES.search(answer))
    if figures or any(w in NUMBER_WORDS for w in words(answer)) or _WORDS_OF_NUMBER.search(answer):
        found.add(NUMBER)
    if figures or _TIMES.search(answer):
        found.add(TIME)
    if not figures or re.search(r"[^\W\d_]{2}", re.sub(r"\d+\w*", "", answer)):
        found.add(NAME)
    return frozenset(found)
