"""Sentences that explain: definitions, theorems, properties and methods, known by how they are made.

In: a sentence in English, German, French, Spanish or Chinese. Out: whether it states something in general, and of which
kinds it can be; the words that limit what it says. Closed lists and regular expressions on folded text: a cheap rule
that saves requests about news, letters and tales, and no proof that a sentence teaches anything.
"""

from __future__ import annotations

import re
from typing import Final

from algorithms import grounding
from algorithms.word_lists import word_set
from tier_assets.l3_refined.answers import stands_alone

_DEFINES: Final = (
    r"\b(?:is|are) (?:called|named|known as|defined|said to be|an?|any|one of|the (?:\w+ )?(?:of|that|which|by))\b"
    r"|\bmeans\b|\brefers? to\b|\bdenotes?\b|\bstands? for\b|\bwe call\b|\bis used to (?:mean|denote)\b",
    r"\b(?:ist|sind) (?:ein\w*|der|die|das|jede\w*)\b|\bhei(?:ß|ss)(?:t|en)\b|\bbezeichne(?:t|n)\b"
    r"|\bbedeute(?:t|n)\b|\bversteht man\b|\bsteht für\b|\bgenannt\b",
    r"\b(?:est|sont) (?:une?|des|le|la|les|l'|appelée?s?)|\bdésigne(?:nt)?\b|\bsignifie(?:nt)?\b|\bon appelle\b"
    r"|\bs'appelle\b",
    r"\b(?:es|son) (?:una?|el|la|los|las)\b|\bse (?:llaman?|denominan?|definen?)\b|\bsignifican?\b",
    r"是(?:一|指)|称为|叫做|定义为",
)
_CONCLUDES: Final = (
    r"\bif and only if\b|\biff\b|\bimpl(?:y|ies)\b|\bit follows that\b|\bfor (?:all|every|any)\b"
    r"|\b(?:if|let|suppose|whenever)\b.*\b(?:then|there (?:is|exists))\b|\b(?:theorem|lemma|corollary|proposition)\b",
    r"\bgenau dann\b|\bwenn\b.*\b(?:dann|so)\b|\bfür (?:alle|jede[nrs]?)\b|\bdaraus folgt\b|\b(?:satz|lemma) von\b",
    r"\bsi et seulement si\b|\bsi\b.*\balors\b|\bpour tou(?:t|te|s)\b|\bthéorème\b",
    r"\bsi y s[oó]lo si\b|\bsi\b.*\bentonces\b|\bpara tod[oa]s?\b|\bteorema\b",
    r"当且仅当|如果.*[则那]|定理|对于?(?:所有|任意)",
)
_DESCRIBES: Final = (
    r"\b(?:is|are|has|have|can|cannot|must|always|never|every|each|contains?|consists?|depends?|supports?|returns?"
    r"|allows?|requires?|accepts?|provides?|uses?|takes?|holds?|lies|creates?|counts?|behaves?)\b",
    r"\b(?:ist|sind|hat|haben|kann|können|muss|müssen|immer|nie|enthält|enthalten|besteht|bestehen|hängt|unterstützt"
    r"|unterstützen|liefert|erlaubt|erfordert|gibt|bietet|wird|werden|zeigt)\b",
    r"\b(?:est|sont|ont|peut|peuvent|doit|toujours|jamais|contient|dépend|permet)\b",
    r"\b(?:es|son|tiene|tienen|puede|pueden|debe|siempre|nunca|contiene|depende|permite)\b",
    r"[是有能可]|必须|包含|总是",
)
_INSTRUCTS: Final = (
    r"^to \w+.*, \w+|\bby \w+ing\b|\busing\b|\buse the\b|\bin order to\b|\b(?:can|may) be \w+ed (?:by|with)\b"
    r"|^(?:click|choose|select|enter|type|press|call|pass|set|add|multiply|divide|replace)\b",
    r"\b\w+en sie\b|\bindem\b|\bum\b.*\bzu \w+en\b|\bmit ?hilfe\b|\bkönnen sie\b",
    r"\ben \w+ant\b|^pour \w+(?:er|ir|re)\b|\butilise[zr]\b",
    r"\b\w+[ai]?endo\b|\b\w+ando\b|^para \w+[aei]r\b|\butili(?:ce|zar)\b",
    r"通过|使用|用于|方法",
)
# How a sentence of each kind is made.
FORMS: Final = {
    "definition": re.compile("|".join(_DEFINES)),
    "theorem": re.compile("|".join(_CONCLUDES)),
    "property": re.compile("|".join(_DESCRIBES)),
    "method": re.compile("|".join(_INSTRUCTS)),
}
# "A set with an inner product is called ...": what is defined may come last.
CALLED: Final = re.compile(
    r"\bcalled\b|\bnamed\b|\bknown as\b|\bwe call\b|\bgenannt\b|\bheißt\b|\bheißen\b|\bversteht man\b|\bbezeichnet\b"
    r"|\bappelle\b|\bappelée?s?\b|\bllaman?\b|\bdenominan?\b|称为|叫做"
)
# What happened once, or is told by somebody to somebody, explains nothing.
_TOLD: Final = re.compile(
    r"\b(?:1\d|20)\d\d\b|\b(?:was|were|had|did|said|says|went|came|became|told|wrote|yesterday|today|tomorrow|tonight"
    r"|last|ago|now|next|will be able|please|thanks|sorry|we|our|january|february|march|april|june|july|august"
    r"|september|october|november|december|dollars?|cents?)\b"
    r"|\b(?:war|waren|hatte|hatten|wurde|wurden|sagte|gestern|heute|morgen|bitte|januar|februar|märz|juni|juli|oktober"
    r"|dezember|euro)\b|\b(?:était|étaient|avait|fut|dit|hier|aujourd'hui|a été|ont été)\b"
    r"|\b(?:fue|fueron|era|eran|había|dijo|ayer|hoy)\b|[!?$€£]|https?:|@"
)
# Subjects come first where a property is stated.
_NO_SUBJECT: Final = word_set(
    "if when while because although as to for in on at by with from among only not some gone return raised starting "
    "alternatively optional presently receive sell see note however until after before without "
    "wenn falls weil um bei mit für in auf an nach vor ohne nur nicht obwohl während "
    "si quand lorsque parce pour dans sur avec sans avant après cuando porque para en con sin antes después"
)
# A statement without such a word of its sentence would hold more often than the text says.
CONDITIONS: Final = word_set(
    "if only unless except when whenever until may might could usually often sometimes some most many few rarely "
    "almost approximately about wenn nur falls außer sofern solange meist meistens oft manchmal manche einige viele "
    "selten fast etwa ungefähr könnte si seulement sauf souvent parfois certains quelques presque sólo solo solamente "
    "salvo excepto cuando algunos algunas muchos pocos casi puede podría quizás"
)
_AIM: Final = re.compile(r"^(?:to|if|when|because|while|although|um|wenn|weil|pour|si|quand|para|cuando|porque)\b")
# Verbs that no name has.
_VERB: Final = re.compile(
    r"\b(?:is|are|was|were|will|would|can|has|have|does|do|ist|sind|hat|haben|wird|werden|kann|est|sont|es|son|tiene)\b"
)


def explains(sentence: str) -> bool:
    """Whether `sentence` states something in general that can be understood alone."""
    whole = sentence.endswith((".", "。")) and sentence[:1] == sentence[:1].upper() and stands_alone(sentence)
    return whole and not tells(sentence) and not is_fragment(sentence)


def is_fragment(sentence: str) -> bool:
    """Whether `sentence` is an aim or a condition without a main clause: "To check that all is well." """
    return bool(_AIM.search(grounding.fold(sentence))) and "," not in sentence


def tells(sentence: str) -> bool:
    """Whether `sentence` speaks of a time, of a sum of money or to somebody."""
    return bool(_TOLD.search(grounding.fold(sentence)))


def is_clause(name: str) -> bool:
    """Whether `name` has a verb, as a piece of a sentence would.

    >>> is_clause("The handler is used"), is_clause("error handler")
    (True, False)
    """
    return bool(_VERB.search(grounding.fold(name)))


def is_kind(sentence: str, kind: str) -> bool:
    """Whether `sentence` is made like one of `kind`, a key of FORMS.

    >>> is_kind("A ring is a set with two operations.", "definition"), is_kind("If it rains, stay.", "property")
    (True, False)
    """
    folded = grounding.fold(sentence)
    found = grounding.words(sentence)
    if kind == "property" and found and found[0] in _NO_SUBJECT:
        return False
    return bool(FORMS[kind].search(folded))
