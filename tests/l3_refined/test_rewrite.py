from __future__ import annotations

import pytest

from resources.language_models.scripted import ScriptedModel
from tests.l3_refined.test_refine import documents
from tier_assets.l3_refined.flight import Limits
from tier_assets.l3_refined.refine import Models, Refined, Settings, refine, refine_all
from tier_assets.l3_refined.task import Passage
from tier_assets.l3_refined.tasks.rewrite import PROMPT, REWRITE, STYLES

PASSAGE = (
    "Queen Victoria opened the iron bridge over the Tay at Dundee on 20 June 1887. "
    "The first bridge had been destroyed by a storm in 1879 while a train was crossing it. "
    "Nobody on the train survived the fall."
)
GOOD = (
    "The iron bridge at Dundee, over the Tay, was opened by Queen Victoria on 20 June 1887. "
    "In 1879 a storm had destroyed the first bridge with a train crossing. On this train nobody survived."
)

# (reply, reason against it or None)
REPLIES = (
    (GOOD, None),
    (GOOD.replace("1887", "1888"), "new_number"),
    (GOOD.replace("Dundee", "Perth"), "new_name"),
    (GOOD.replace("had destroyed", "had not destroyed"), "negation_changed"),
    (GOOD.replace("On this train nobody", "Everybody"), "unsupported_claim"),
    (f"{GOOD} The queen opened the fall in a storm.", "rearranged_claim"),
    (GOOD.replace("On this train nobody", "On this Dundee train nobody"), "misplaced_name"),
    (f"{GOOD} The bridge over the Tay is the iron bridge over the Tay.", "circular_claim"),
    (f"On this train nobody survived. {GOOD.replace(' On this train nobody survived.', '')}", None),
    (f"{GOOD[: GOOD.index(' In 1879')]} It fell, and nobody on the train survived.", "dangling_claim"),
    (f"The text says that nobody survived on the train. {GOOD}", "refers_to_text"),
    (PASSAGE, "copied"),
    (f"{GOOD} Purple elephants often devour ripe bananas.", "invented_sentence"),
    (f"{GOOD} The storm greatly improved iron production elsewhere.", "unsupported_claim"),
    (f"{GOOD} {GOOD}", "repeats_itself"),
    ("The iron bridge was opened by Queen Victoria.", "too_short"),
    ("The bridge over the Tay, the iron bridge, the Tay bridge: it was opened on the Tay.", "too_little_told"),
    ("I'm sorry, but I cannot rewrite this text.", "refusal"),
    (f"{GOOD} Keep every fact, name and number of it.", "prompt_echo"),
    ("Die Eisenbrücke bei Dundee über den Tay wurde am 20. Juni 1887 eröffnet, und sie stand dort.", "other_language"),
    ("The iron bridge over the Tay, opened by the queen on", "empty"),
)


def rewritten(reply: str, style: str = "blog") -> Refined:
    tasks = (REWRITE,)
    settings = Settings(num_documents=1, num_passages=1, passage_tokens=128, min_passage_words=5, tasks=tasks)
    return refine(documents(d=PASSAGE), ScriptedModel(lambda p: reply), settings)


def reasons(reply: str) -> list[str]:
    passage = Passage("d", PASSAGE, 0, len(PASSAGE))
    (candidate,) = REWRITE.parse(reply, passage, REWRITE.plan(passage)[0])
    found = REWRITE.accept(candidate, passage)
    return [r.reason for r in (*found.reasons, *found.doubts)]


@pytest.mark.parametrize(("reply", "reason"), REPLIES)
def test_accept_of_rewrite_gives_the_reason_against_it(reply: str, reason: str | None) -> None:
    found = reasons(reply)
    assert reason in found if reason else found == []


def test_plan_of_prose_asks_for_every_style_and_of_a_list_for_none() -> None:
    asks = REWRITE.plan(Passage("d", PASSAGE, 0, len(PASSAGE)))
    assert [a.style for a in asks] == list(STYLES) == list(PROMPT.styles)
    assert len(STYLES) == 7
    assert REWRITE.plan(Passage("d", "Name: a\nPlace: b\nDate: c", 0, 25)) == []
    assert REWRITE.prompt.fill(asks[0].fill, asks[0].style).startswith(f"Text:\n{PASSAGE}\n\nRewrite")


@pytest.mark.parametrize(
    "reply",
    [
        f"Sure! Here is the text, rewritten as a blog post:\n\n{GOOD}",
        f"Here's a rewritten version: {GOOD}",
        f"{GOOD} The bridge that was then built is",
        f"{GOOD}\n\nNote: I have kept every number.",
        f"  {GOOD}\n\nI hope this helps!",
    ],
)
def test_parse_of_reply_leaves_out_what_is_not_the_text(reply: str) -> None:
    passage = Passage("d", PASSAGE, 0, len(PASSAGE))
    (candidate,) = REWRITE.parse(reply, passage, REWRITE.plan(passage)[0])
    assert candidate.output == GOOD


def test_refine_rewrite_is_a_row_whose_user_gives_the_text() -> None:
    rows = rewritten(GOOD).rows.to_dicts()
    assert {r["style"] for r in rows} == set(STYLES)
    (blog,) = (r for r in rows if r["style"] == "blog")
    assert blog["messages"][0]["content"] == f"Rewrite this text as a blog post.\n\n{PASSAGE}"
    assert blog["messages"][1]["content"] == blog["text"] == GOOD
    assert blog["verification_level"] == 1


# Half of its words stand in the passage, and whether it says so words do not settle.
PARAPHRASED = GOOD.replace("On this train nobody survived", "On this train nobody survived the terrible drop")


@pytest.mark.parametrize(
    ("reply", "says", "levels", "found"),
    [
        (PARAPHRASED, None, [], ["unsupported_claim"]),
        (PARAPHRASED, "Yes.", [[1, 3]], []),
        (PARAPHRASED, "No, it does not.", [], ["unsupported_claim"]),
        (PARAPHRASED, "!timed_out", [], ["unsupported_claim"]),
        (GOOD, "No.", [[1]], []),
        (f"{GOOD} The storm greatly improved iron production elsewhere.", "Yes.", [], ["unsupported_claim"]),
        (GOOD.replace("1887", "1888"), "Yes.", [], ["new_number"]),
    ],
)
def test_refine_doubtful_retelling_is_kept_where_a_checking_model_says_that_the_passage_tells_it(
    reply: str, says: str | None, levels: list[list[int]], found: list[str]
) -> None:
    settings = Settings(1, 1, passage_tokens=128, min_passage_words=5, limits=Limits(1, 1), tasks=(REWRITE,))
    checker = ScriptedModel(lambda p: says or "") if says else None
    (refined,) = refine_all([documents(d=PASSAGE)], Models(ScriptedModel(lambda p: reply), checker), settings)
    assert refined.rows["levels"].to_list() == levels
    assert refined.verdicts["reason"].to_list() == found
    if checker:
        assert len(checker.prompts) == (reply == PARAPHRASED)
