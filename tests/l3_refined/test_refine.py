from __future__ import annotations

import json

import polars as pl
import pytest

from resources.language_models.scripted import ScriptedModel
from tier_assets.l3_refined.refine import SMOKE, Refined, Settings, choose, left_out, refine, try_refine
from tier_assets.l3_refined.tasks import EDIT, LOOKUP
from tier_tables import LINEAGE, VERDICTS
from tier_tables.refinement import L3_REFINED

TEXT = (
    "Queen Victoria opened the long bridge over the river Tay in 1878 . "
    "The engineer Thomas Bouch had built it of iron for the railway from Dundee."
)


def documents(**texts: str) -> pl.DataFrame:
    return pl.DataFrame(
        {"doc_id": list(texts), "corpus": "c", "snapshot": "s", "text": list(texts.values())},
        schema={"doc_id": pl.String, "corpus": pl.String, "snapshot": pl.String, "text": pl.String},
    ).with_columns(language=pl.lit("en"), title=pl.lit(None, pl.String))


def only(task) -> Settings:  # type: ignore[no-untyped-def]
    return Settings(num_documents=10, num_passages=1, passage_tokens=128, min_passage_words=5, tasks=(task,))


def verdict(found: Refined) -> tuple[str, str]:
    assert found.rows.is_empty()
    row = found.verdicts.row(0, named=True)
    return row["reason"], row["reply"]


def test_refine_accepted_edit_is_a_row_with_its_parent() -> None:
    found = refine(documents(d=TEXT), ScriptedModel(lambda p: TEXT.replace(" .", ".", 1)), only(EDIT))
    row = found.rows.row(0, named=True)
    assert row["text"] == TEXT.replace(" .", ".", 1)
    assert row["messages"] == [{"role": "user", "content": TEXT}, {"role": "assistant", "content": row["text"]}]
    assert (row["task"], row["verification_level"], row["source_doc_ids"]) == ("edit", 1, ["d"])
    assert (row["model"], row["prompt_version"]) == ("scripted@1", EDIT.prompt.version)
    assert found.lineage.rows() == [("l3_refined", "c", "s", row["record_id"], "l2_selected", "d")]
    assert found.verdicts.is_empty()


def test_refine_has_the_columns_of_its_tables() -> None:
    found = refine(documents(d=TEXT), ScriptedModel(), SMOKE)
    assert found.rows.schema == L3_REFINED.schema
    assert found.verdicts.schema == VERDICTS.schema
    assert found.lineage.schema == LINEAGE.schema


def test_refine_nothing_gives_empty_tables_and_asks_nothing() -> None:
    model = ScriptedModel()
    found = refine(documents(), model, SMOKE)
    assert (found.rows.height, found.verdicts.height, found.num_requests, model.prompts) == (0, 0, 0, [])


@pytest.mark.parametrize(
    ("reply", "reason"),
    [("!too_long", "too_long"), ("!timed_out", "timed_out"), ("!refused", "refused"), ("", "empty")],
)
def test_refine_reply_with_an_error_is_one_verdict(reply: str, reason: str) -> None:
    found = refine(documents(d=TEXT), ScriptedModel(lambda p: reply), only(EDIT))
    assert verdict(found) == (reason, None)


def test_refine_rejected_reply_is_a_verdict_with_the_raw_reply() -> None:
    found = refine(documents(d=TEXT), ScriptedModel(lambda p: "A bridge fell in 1990."), only(EDIT))
    assert verdict(found) == ("rewritten", "A bridge fell in 1990.")


def test_refine_malformed_json_is_a_verdict_that_says_so() -> None:
    found = refine(documents(d=TEXT), ScriptedModel(lambda p: '{"question": 1'), only(LOOKUP))
    assert verdict(found)[0] == "malformed"


def test_refine_document_without_a_passage_is_one_verdict_however_many_tasks() -> None:
    found = refine(documents(d="Title"), ScriptedModel(), SMOKE)
    assert found.verdicts.select("doc_id", "record_id", "task", "reason").rows() == [("d", None, None, "no_passage")]


def test_refine_loses_no_candidate_over_replies_of_every_kind() -> None:
    replies = {"a": TEXT.replace(" .", ".", 1), "b": "!too_long", "c": TEXT, "d": "nothing", "e": "{}"}
    docs = documents(**{k: f"{TEXT} The men who saw it were led by {k.upper() * 3}." for k in replies})

    def answer(prompt: str) -> str:
        return next((v for k, v in replies.items() if f"by {k.upper() * 3}." in prompt), '{"question": "Why?"}')

    found = refine(docs, ScriptedModel(answer), SMOKE)
    ids = [*found.rows["record_id"], *found.verdicts["record_id"]]
    assert len(ids) == len(set(ids)) == len(replies) * 3  # an edit and two questions
    assert found.num_requests >= len(ids)


def test_refine_in_another_order_gives_the_same_records() -> None:
    docs = documents(a=TEXT, b=f"{TEXT} It stood.")
    model = ScriptedModel(lambda p: p.replace(" .", "."))
    first, second = refine(docs, model, only(EDIT)), refine(docs.reverse(), model, only(EDIT))
    assert first.rows.sort("record_id").equals(second.rows.sort("record_id"))
    assert first.rows.height == 2


def test_choose_takes_the_best_and_breaks_ties_by_id() -> None:
    docs = pl.DataFrame({"doc_id": ["c", "a", "b", "d"], "quality": [1.0, 1.0, 2.0, None]})
    few = Settings(num_documents=2, num_passages=1, passage_tokens=128, min_passage_words=5)
    assert choose(docs, few)["doc_id"].to_list() == ["b", "a"]
    assert choose(docs, SMOKE)["doc_id"].to_list() == ["b", "a", "c", "d"]


def test_try_refine_gives_a_line_for_each_line_in_order() -> None:
    lines = [{"id": 7, "text": TEXT}, {"id": "x", "text": "Title"}, {"id": 7, "text": TEXT}]
    out = list(try_refine(lines, ScriptedModel(lambda p: p.replace(" .", ".")), batch=2))
    assert [line["id"] for line in out] == [7, "x", 7]
    assert [r["task"] for r in out[0]["records"]] == ["edit"]
    assert [r["reason"] for r in out[1]["rejected"]] == ["no_passage"]
    assert out[0]["records"] == out[2]["records"]
    assert json.loads(json.dumps(out)) == out


def test_try_refine_of_a_line_without_text_names_it() -> None:
    with pytest.raises(ValueError, match="'x'"):
        list(try_refine([{"id": "x"}], ScriptedModel()))


def test_left_out_documents_beyond_the_budget_get_a_verdict_each() -> None:
    docs = documents(a="x", b="y", c="z").with_columns(quality=pl.Series([1.0, 3.0, 2.0]))
    settings = Settings(num_documents=1, num_passages=1, passage_tokens=128, min_passage_words=5)
    found = left_out(docs, settings)
    assert found["doc_id"].to_list() == ["a", "c"]
    assert found["reason"].unique().to_list() == ["over_budget"]
    assert found.schema == VERDICTS.schema
