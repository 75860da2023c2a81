from __future__ import annotations

import json

import pytest

from resources.language_models.scripted import ScriptedModel
from tests.l3_refined.test_refine import documents, only
from tier_assets.l3_refined.explaining import FORMS, explains, is_kind
from tier_assets.l3_refined.refine import refine
from tier_assets.l3_refined.task import Ask, Passage
from tier_assets.l3_refined.tasks.knowledge import KNOWLEDGE, agrees, ask_name

TEXT = (
    "A monoid is a set with an associative operation and a neutral element. "
    "Every group is a monoid, but the natural numbers usually form a monoid without inverses. "
    "If every element of a monoid has an inverse, then the monoid is a group. "
    "A finite monoid can be stored by writing its operation as a table of 2 columns."
)
GERMAN = "Ein Monoid ist eine Menge mit einer assoziativen Verknüpfung und einem neutralen Element."
FRENCH = "Un monoïde est un ensemble muni d'une opération associative et d'un élément neutre."
SPANISH = "Un monoide es un conjunto con una operación asociativa y un elemento neutro."
SET = "A monoid is a set with an associative operation and a neutral element."

# (passage, kind, name, statement, reason against it or None)
RECORDS = (
    (TEXT, "definition", "monoid", SET, None),
    (TEXT, "definition", "Monoid", "A monoid is a set with an associative operation and a neutral element.", None),
    (
        TEXT,
        "definition",
        "monoid",
        "A monoid is a set with an associative operation and a neutral element",
        "not_a_statement",
    ),
    (TEXT, "definition", "monoid", "A monoid is a set with...", "not_a_statement"),
    (
        TEXT,
        "definition",
        "monoid",
        "This is a set with an associative operation and a neutral element.",
        "dangling_reference",
    ),
    (TEXT, "definition", "monoid", "In the text a monoid is a set with an associative operation.", "refers_to_text"),
    (TEXT, "definition", "neutral element", SET, "other_kind"),
    (TEXT, "definition", "monoid", "A monoid has an associative operation.", "other_kind"),
    (TEXT, "definition", "ring", SET, "name_not_in_source"),
    (TEXT, "definition", "name", SET, "no_name"),
    (TEXT, "definition", "A monoid is a set", SET, "no_name"),
    (
        TEXT,
        "definition",
        "monoid",
        "A monoid is a group with a neutral element and a table.",
        "statement_not_in_source",
    ),
    (TEXT, "definition", "monoid", "A monoid is a list of 3 associative operations.", "new_number"),
    (TEXT, "definition", "monoid", "A monoid was a set with an associative operation.", "tells_an_event"),
    (TEXT, "definition", "monoid", "A monoid is a set with no associative operation.", "negation_changed"),
    (TEXT, "definition", "monoid", "A monoid is a set that keeps every condition and adds nothing.", "prompt_echo"),
    (TEXT, "definition", "monoid", "A monoid is a set with an element, is a set with an element.", "repeats_itself"),
    (TEXT, "definition", "monoid", "A monoid is a set with an associative,operation and element.", "garbled_word"),
    (TEXT, "theorem", "group", "If every element of a monoid has an inverse, then the monoid is a group.", None),
    (
        TEXT,
        "theorem",
        "group",
        "For every monoid, each element has an inverse and the monoid is a group.",
        "condition_dropped",
    ),
    (TEXT, "theorem", "monoid", SET, "other_kind"),
    (
        TEXT,
        "property",
        "natural numbers",
        "The natural numbers usually form a monoid without inverses and can be.",
        None,
    ),
    (TEXT, "property", "natural numbers", "The natural numbers are a monoid without inverses.", "condition_dropped"),
    (TEXT, "property", "group", "Every monoid can form an inverse.", "name_not_in_statement"),
    (TEXT, "method", "finite monoid", "A finite monoid can be stored by writing its operation as a table.", None),
    (TEXT, "method", "finite monoid", "A finite monoid is stored.", "other_kind"),
    (TEXT, "method", "finite monoid", "To store a finite monoid by writing its operation.", "not_a_statement"),
    (GERMAN, "definition", "Monoid", GERMAN, None),
    (
        GERMAN,
        "definition",
        "Monoid",
        "Ein Monoid ist eine Gruppe mit einem Ring und einer Tabelle.",
        "statement_not_in_source",
    ),
    (FRENCH, "definition", "monoïde", FRENCH, None),
    (SPANISH, "definition", "monoide", SPANISH, None),
)


def passage(text: str) -> Passage:
    return Passage("d", text, 0, len(text))


def judged(text: str, kind: str, name: str, statement: str) -> list[str]:
    ask = Ask((("passage", text), ("sentence", "")), style=kind)
    candidate = KNOWLEDGE.parse(json.dumps({"name": name, "statement": statement}), passage(text), ask)[0]
    judgement = KNOWLEDGE.accept(candidate, passage(text))
    assert judgement.level == (0 if judgement.reasons else 1)
    return [r.reason for r in judgement.reasons]


@pytest.mark.parametrize(("text", "kind", "name", "statement", "reason"), RECORDS)
def test_knowledge_accept_of_record_gives_the_reason_against_it(
    text: str, kind: str, name: str, statement: str, reason: str | None
) -> None:
    found = judged(text, kind, name, statement)
    assert reason in found if reason else found == []


def test_knowledge_plan_asks_for_each_kind_that_a_sentence_has_the_form_of() -> None:
    asks = {a.style: dict(a.fill)["sentence"] for a in KNOWLEDGE.plan(passage(TEXT))}
    assert list(asks) == ["definition", "theorem", "property", "method"]
    assert asks["definition"] == SET
    assert asks["theorem"].startswith("If every element")
    assert asks["method"].startswith("A finite monoid")


# (sentence, whether it explains)
SENTENCES = (
    (SET, True),
    (GERMAN, True),
    (FRENCH, True),
    (SPANISH, True),
    ("The museum was opened by the queen on a rainy day.", False),
    ("Laos became a member of the trade group in 1997.", False),
    ("I think a monoid is a set with an operation.", False),
    ("It is a set with an operation and an element.", False),
    ("Please send us your order before the end of June.", False),
    ("a monoid is a set with an associative operation.", False),
    ("A monoid is a set with an associative operation", False),
)


@pytest.mark.parametrize(("sentence", "expected"), SENTENCES)
def test_explains_general_statements_and_no_tales(sentence: str, expected: bool) -> None:
    assert explains(sentence) is expected


def test_plan_of_news_asks_for_no_knowledge() -> None:
    news = "The mayor opened the bridge on Friday in 1998. He said that the traffic was heavy. We were there."
    assert KNOWLEDGE.plan(passage(news)) == []


def test_is_kind_knows_each_form_in_four_languages() -> None:
    for sentence in (SET, GERMAN, FRENCH, SPANISH):
        assert is_kind(sentence, "definition")
    assert all(
        is_kind(s, "theorem")
        for s in ("Wenn n gerade ist, dann ist n durch zwei teilbar.", "Si n est pair, alors n se divise.")
    )
    assert is_kind("Öffnen Sie das Menü mit der rechten Maustaste.", "method")
    assert not is_kind("The weather.", "property")
    assert set(FORMS) == set(KNOWLEDGE.prompt.styles)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (TEXT, "What is monoid?"),
        (GERMAN, "Was ist monoid?"),
        (FRENCH, "Définition : monoid"),
        (SPANISH, "Definición: monoid"),
    ],
)
def test_parse_asks_in_the_language_of_the_passage(text: str, asked: str) -> None:
    reply = json.dumps({"name": "monoid.", "statement": SET})
    candidate = KNOWLEDGE.parse(reply, passage(text), Ask((), style="definition"))[0]
    assert (candidate.prompt, candidate.output, candidate.text) == (asked, SET, f"monoid\n{SET}")


@pytest.mark.parametrize("reply", ["", "[]", '{"name": "x"}', '{"name": "", "statement": "y"}'])
def test_knowledge_parse_of_anything_but_two_strings_is_refused(reply: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        KNOWLEDGE.parse(reply, passage(TEXT), Ask((), style="definition"))


def test_check_asks_for_the_name_in_a_gap_and_takes_it_alone() -> None:
    reply = json.dumps({"name": "Monoid", "statement": SET})
    candidate = KNOWLEDGE.parse(reply, passage(TEXT), Ask((), style="definition"))[0]
    ask = ask_name(candidate, passage(TEXT))
    assert ask is not None
    assert dict(ask.fill)["gap"] == SET.replace("monoid", "____")
    assert agrees(["The monoid."], candidate)
    assert not agrees(["A group."], candidate)
    assert not agrees([SET], candidate)


@pytest.mark.parametrize(("filled", "levels"), [("monoid", [1, 3]), ("group", [1])])
def test_refine_knowledge_is_checked_where_the_gap_is_filled_with_the_name(filled: str, levels: list[int]) -> None:
    def answer(prompt: str) -> str:
        if "____" in prompt:
            return filled
        return json.dumps({"name": "monoid", "statement": SET}) if "What is defined" in prompt else "{}"

    found = refine(documents(d=TEXT), ScriptedModel(answer), only(KNOWLEDGE))
    assert found.rows["levels"].to_list() == [levels]
    assert found.rows["style"].to_list() == ["definition"]
