"""Can a question or statement be understood by a reader who has not seen the text it was made from?

In: one question or statement, in English, German, French or Spanish (of Chinese only mentions of the text are known).
Out: what stands in the way: a mention of "the text", a pronoun or demonstrative without anything it could mean, a
president, company or island without a name. Closed lists and regular expressions; where they cannot tell, they say so:
a good question lost costs less than one that nobody can answer.
"""

from __future__ import annotations

import re
from typing import Final

from algorithms import grounding
from algorithms.word_lists import word_set
from tier_assets.l3_refined.task import Reason

_MENTIONS: Final = re.compile(
    r"\b(?:the|this|that|given|provided|above|following|previous|same|whole|a) "
    r"(?:\w+ )?(?:text|passage|paragraph|excerpt|author|narrator|speaker|extract|snippet)(?:'s|s)?\b"
    r"|\b(?:this|given|provided|above|following|below) (?:\w+ )?(?:article|document|section|chapter|page|story|table"
    r"|figure|list|sentence|statement|code|quote|message|e-?mail|example|information|context|word|line|function)s?\b"
    r"|\b(?:according to|in|from|based on) the (?:article|document|section|chapter|page|story|quote|e-?mail"
    r"|information|context|statement|sentence|example)\b"
    r"|\b(?:mentioned|described|stated|given|listed|provided|shown|discussed|quoted) (?:above|below|here|in the)\b"
    r"|\b(?:is|are|was|were) (?:\w+ )?(?:mentioned|stated|discussed|quoted|being (?:described|discussed))\b"
    r"|\b(?:dem|der|den|des|im|vom|laut|diese[mnrs]?) (?:\w+ )?(?:texte?s?|textes|abschnitts?|absatz(?:es)?|auszugs?"
    r"|autors?|autorin|passage|textstelle)\b|\b(?:oben|unten|hier|im folgenden) (?:genannt|erwähnt|beschrieben)\w*"
    r"|\b(?:obige|folgende|genannte|erwähnte)[mnrs]?\b"
    r"|\b(?:le|la|du|de la|au|ce|cet|cette|l'|cet) ?(?:texte|passage|paragraphe|extrait|auteure?|article)\b"
    r"|\bci-(?:dessus|dessous)\b|\b(?:el|la|del|al|este|esta) (?:texto|pasaje|párrafo|fragmento|extracto|autora?)\b"
    r"|\b(?:mencionad|citad)[oa]s?\b|文中|本文|上文|原文|作者|这段|这篇|下列|以下|文章"
)
# Personal and possessive words that need somebody named before them.
_PRONOUNS: Final = word_set(
    "he she it they him them her hers his its their theirs er es ihn ihm ihr ihre ihren ihrem ihrer sein seine seinen "
    "seinem seiner il ils elle elles lui leur leurs él ella ellos ellas su sus"
)
_POINTING: Final = word_set(
    "this these those here such dies diese dieser dieses diesem diesen jene jener jenes hier ce cet cette ces celui "
    "celle esta este estas estos esa ese eso esto aquí"
)
_FIRST_PERSON: Final = word_set(
    "i me my mine we us our ours ich mich mir mein meine meinen meiner wir uns unser unsere unseren je moi mon mes "
    "nous notre nos yo mis nosotros nuestro nuestra"
)
# "Is it", "es gibt", "est-il": the pronoun means nothing there.
_EMPTY_SUBJECT: Final = re.compile(
    r"\b(?:is|was|does|do|would|will|can|makes?|if|when|that|because|while) it (?:is |was |be |to )?(?:possible"
    r"|necessary|important|true|mean|take|useful|safe|common|rain\w*|snow\w*)"
    r"|\bes (?:gibt|gab)|\b(?:gibt|gab|ist|kann|handelt) es\b"
    r"|\bil (?:y a|faut|est)\b"
)
_ARTICLES: Final = word_set(
    "the a an every each der die das den dem des ein eine einen einem einer jede jeder jedes le la les un une chaque "
    "el los las una cada"
)
# What a question asks for; none of them is what a pronoun behind it means.
ASKING_WORDS: Final = word_set(
    "name purpose reason reasons main meaning difference result effect cause number amount kind type way role "
    "function significance importance example year date term definition answer question happen happens explain "
    "describe define state give list identify compare find determine calculate compute many much often long using "
    "used use zweck grund gründe bedeutung unterschied ergebnis wirkung ursache anzahl art weise rolle funktion "
    "beispiel jahr begriff erklären beschreiben nennen nom but raison signification différence résultat effet nombre "
    "rôle fonction exemple année expliquer décrire razón significado diferencia resultado efecto causa número papel "
    "función ejemplo año explicar describir warum wieso weshalb wie wann wo wohin woher wodurch womit wozu welche "
    "welcher welches welchen welchem viele lange weit hoch groß pourquoi comment combien quand où quel quelle quels "
    "quelles quoi qué quién quiénes cuándo cuánto cuánta cuántos cuántas cómo dónde cuál cuáles"
)
# With a capital it is the German you.
_SHE: Final = re.compile(r"(?<=\w )sie\b")
# "The president resigned": which? Only a name tells.
_NAMELESS: Final = re.compile(
    r"\b(?:the|der|die|das|den|dem|des|le|la|les|el|los|las) (?:(?:new|old|first|last|former|next|young|other|whole) )?"
    r"(?:president|king|queen|minister|government|company|firm|man|men|woman|women|boy|girl|captain|ship"
    r"|country|nation|state|city|town|island|war|house|team|speaker|writer|customer|bank|party|treaty"
    r"|agreement|event|movie|film|offer|website|site|mail|e-?mail|letter"
    r"|situation|report|story|narrator|office|election|coup"
    r"|präsident\w*|könig\w*|regierung|firma|unternehmen\w*|mann\w*|frau\w*|land\w*|stadt|insel|krieg\w*|partei|menschen"
    r"|président|roi|reine|gouvernement|entreprise|homme|femme|pays|ville|île|guerre|presidente|rey|reina|gobierno"
    r"|empresa|hombre|mujer|país|ciudad|isla|guerra)s?\b"
)
_TWO_CAPITALS: Final = re.compile(r"(?<=\w )[A-ZÄÖÜ][\w.-]+ [A-ZÄÖÜ]\w+")
_YEAR: Final = re.compile(r"\b(?:1\d|20)\d\d\b")


def mentions_text(text: str) -> list[Reason]:
    """The reason `refers_to_text` where `text` speaks of the text that it was made from."""
    found = _MENTIONS.search(grounding.fold(text))
    return [Reason("refers_to_text", found.group())] if found else []


def unclear(text: str, language: str) -> list[Reason]:
    """Why a reader of `text`, which is in `language` (ISO 639), cannot know what it speaks of."""
    folded = grounding.fold(text)
    reasons = mentions_text(text)
    found = grounding.words(_EMPTY_SUBJECT.sub(" ", folded))
    pointing = [w for w in found if w in _POINTING or w in _FIRST_PERSON]
    dangling = [w for i, w in enumerate(found) if w in _PRONOUNS and not _has_subject(found[:i], text)]
    if _SHE.search(text) and not _has_subject(found[: found.index("sie")], text):
        dangling.append("sie")
    if pointing or dangling:
        reasons.append(Reason("dangling_reference", ", ".join(pointing + dangling)))
    nameless = _NAMELESS.search(folded)
    if nameless and not _specific(text, language):
        reasons.append(Reason("unclear_subject", nameless.group()))
    return reasons


def _has_subject(before: list[str], text: str) -> bool:
    """Whether a pronoun after the words `before` has a name or a noun with an article that it may stand for."""
    if any(grounding.fold(name) in before for name in grounding.names(text)):
        return True
    for i, word in enumerate(before):
        if word in _ARTICLES:
            later = [w for w in before[i + 1 :] if w not in grounding.STOPWORDS]
            if any(w not in ASKING_WORDS for w in later):
                return True
    return False


def _specific(text: str, language: str) -> bool:
    """Whether `text` has a year or a name; German writes all nouns like names, so there it takes two in a row."""
    named = bool(_TWO_CAPITALS.search(text)) if language == "de" else bool(grounding.names(text))
    return named or bool(_YEAR.search(text))
