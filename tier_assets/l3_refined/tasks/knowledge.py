"""Task knowledge: definitions, theorems, properties and methods that a passage states, each with its name.

In: a passage that explains something. Out: a name and a statement, accepted where the statement is of its kind, can be
understood alone and says no more, and under no fewer conditions, than one or two neighbouring sentences of the
passage. Another prompt then has the model fill the name into the statement: where it does, the level is 3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from algorithms import grounding
from algorithms.sentences import sentences
from algorithms.word_lists import DANGLING
from tier_assets.l3_refined.claims import nearest, unbound
from tier_assets.l3_refined.explaining import (
    CALLED,
    CONDITIONS,
    FORMS,
    explains,
    is_clause,
    is_fragment,
    is_kind,
    tells,
)
from tier_assets.l3_refined.self_contained import ASKING_WORDS, unclear
from tier_assets.l3_refined.task import Ask, Candidate, Check, Judgement, Passage, Reason, Task, judged, read_prompt
from tier_assets.l3_refined.verify import echo, language, ungrounded
from tier_assets.l3_refined.worked import MIN_STATEMENT_WORDS, fields, garbled, repeats, schema

PROMPT: Final = read_prompt(Path(__file__).with_name("knowledge.txt"))
CHECK_PROMPT: Final = read_prompt(Path(__file__).with_name("knowledge_check.txt"))
MAX_WORDS: Final = {"name": 6, "statement": 40}
# Share of a statement's content words that a sentence of the passage and the one before it have.
STATEMENT_SUPPORT: Final = 0.85
GAP: Final = "____"
# Words around the name in a reply that still gives it.
MAX_WORDS_AROUND: Final = 3

# What a user would say, by language and kind.
_ASKED: Final = {
    "en": ("What is {}?", "State this theorem: {}", "Name a property of {}.", "Describe this method: {}"),
    "de": ("Was ist {}?", "Wie lautet dieser Satz: {}", "Nenne eine Eigenschaft: {}", "Beschreibe diese Methode: {}"),
    "fr": ("Définition : {}", "Énoncez ce théorème : {}", "Citez une propriété : {}", "Décrivez cette méthode : {}"),
    "es": ("Definición: {}", "Enuncie este teorema: {}", "Nombre una propiedad: {}", "Describa este método: {}"),
    "zh": ("什么是{}？", "请陈述定理：{}", "请说出{}的一个性质。", "请描述方法：{}"),
}


def plan(passage: Passage) -> list[Ask]:
    """One ask a kind, about the first sentence of the passage that explains something in that form."""
    told = [" ".join(passage.text[a:b].split()) for a, b in sentences(passage.text)]
    explaining = [s for s in told if explains(s)]
    form = schema(passage.text, MAX_WORDS)
    asks = []
    for kind in FORMS:
        sentence = next((s for s in explaining if is_kind(s, kind)), None)
        if sentence is not None:
            asks.append(Ask((("passage", passage.text), ("sentence", sentence)), style=kind, json_schema=form))
    return asks


def parse(reply: str, passage: Passage, ask: Ask) -> list[Candidate]:
    """The name and the statement of a JSON reply.

    Raises:
        ValueError: no JSON object with these two strings.
    """
    name, statement = fields(reply, tuple(MAX_WORDS))
    name = name.rstrip(".,;:")
    kinds = list(FORMS)
    wordings = _ASKED.get(language(passage.text)[0], _ASKED["en"])
    asked = wordings[kinds.index(ask.style)] if ask.style in kinds else wordings[0]
    return [Candidate(asked.format(name), statement, f"{name}\n{statement}", reply, passage.text, ask.style)]


def name_of(candidate: Candidate) -> str:
    """The name of an accepted piece of knowledge."""
    return candidate.text.partition("\n")[0]


def accept(candidate: Candidate, passage: Passage) -> Judgement:
    """Level 1 where name and statement stand in the passage, as a piece of knowledge of their kind."""
    name, statement, source = name_of(candidate), candidate.output, passage.text
    reasons = _form(statement) + _kind(name, statement, candidate.style or "")
    reasons += unclear(statement, language(source)[0]) + garbled(f"{name} {statement}", source) + repeats(statement)
    reasons += ungrounded(statement, source) + _claim(statement, source) + _named(name, statement, source)
    reasons += echo(f"{name}\n{statement}", PROMPT, source)
    return judged(reasons)


def _form(statement: str) -> list[Reason]:
    reasons = []
    found = grounding.words(statement)
    whole = statement.endswith((".", "。")) and not statement.endswith("..") and not is_fragment(statement)
    if not whole or "?" in statement or len(found) < MIN_STATEMENT_WORDS:
        reasons.append(Reason("not_a_statement", statement))
    if found and found[0] in DANGLING:
        reasons.append(Reason("dangling_reference", found[0]))
    if tells(statement):
        reasons.append(Reason("tells_an_event", statement))
    return reasons


def _kind(name: str, statement: str, kind: str) -> list[Reason]:
    """The reason `other_kind` where the statement has not the form of its kind, or defines something else."""
    if kind not in FORMS:
        return []
    if not is_kind(statement, kind):
        return [Reason("other_kind", f"no {kind}: {statement}")]
    place = grounding.fold(statement).find(grounding.fold(name))
    if kind in ("definition", "property") and place < 0:
        return [Reason("name_not_in_statement", name)]
    if kind == "definition" and not _says_what(name, statement, place):
        return [Reason("other_kind", f"does not say what {name} is: {statement}")]
    return []


def _says_what(name: str, statement: str, place: int) -> bool:
    """Whether the statement of a definition, with the name at `place`, says something of the name, and of it first."""
    folded = grounding.fold(statement)
    verb = FORMS["definition"].search(folded)
    rest = set(grounding.content_stems(statement)) - set(grounding.content_stems(name))
    return verb is not None and len(rest) >= 2 and (place < verb.start() or bool(CALLED.search(folded)))


def _claim(statement: str, source: str) -> list[Reason]:
    """What the statement says beyond the place of the source nearest to it, or without its conditions."""
    why = unbound(statement, source, least=STATEMENT_SUPPORT)
    if why:
        return [Reason("statement_not_in_source", why)]
    place = nearest(statement, source)
    said = set(grounding.words(statement))
    lost = [w for w in grounding.words(place.sentence if place else "") if w in CONDITIONS and w not in said]
    return [Reason("condition_dropped", ", ".join(lost))] if lost else []


def _named(name: str, statement: str, source: str) -> list[Reason]:
    """What speaks against the name: empty of meaning, or not of the passage."""
    stems = [w for w in grounding.words(name) if w not in grounding.STOPWORDS]
    sentence = set(grounding.content_stems(statement)) <= set(grounding.content_stems(name))
    if not stems or all(w in ASKING_WORDS or w in FORMS for w in stems) or sentence or is_clause(name):
        return [Reason("no_name", name)]
    if len(name.split()) > MAX_WORDS["name"] or not _inside(name, f"{source}\n{statement}"):
        return [Reason("name_not_in_source", name)]
    return []


def _inside(name: str, text: str) -> bool:
    """Whether `name` stands in `text`, or all its words do, in another form."""
    known = set(grounding.content_stems(text))
    return grounding.fold(name) in grounding.fold(text) or all(w in known for w in grounding.content_stems(name))


def ask_name(candidate: Candidate, passage: Passage) -> Ask | None:
    """The statement with a gap where its name stood; None where it does not stand there."""
    gapped = re.sub(re.escape(name_of(candidate)), GAP, candidate.output, flags=re.IGNORECASE)
    if gapped == candidate.output:
        return None
    return Ask((("passage", passage.text), ("gap", gapped)))


def agrees(replies: Sequence[str], candidate: Candidate) -> bool:
    """Whether the reply fills the gap with the name, and not with the whole sentence."""
    name = grounding.words(name_of(candidate))
    for reply in replies:
        said = grounding.words(reply)
        if f" {' '.join(name)} " not in f" {' '.join(said)} " or len(said) > len(name) + MAX_WORDS_AROUND:
            return False
    return True


CHECK: Final = Check(3, CHECK_PROMPT, 24, ask=ask_name, agrees=agrees, by_other=True)
KNOWLEDGE: Final = Task("knowledge", PROMPT, max_tokens=96, plan=plan, parse=parse, accept=accept, checks=(CHECK,))
