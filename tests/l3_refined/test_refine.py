from __future__ import annotations

import json
from dataclasses import replace

import polars as pl
import pytest

from resources.encoder import ScriptedEncoder
from resources.language_models.scripted import ScriptedModel
from tier_assets.l3_refined.flight import NO_LIMITS
from tier_assets.l3_refined.programs import replay
from tier_assets.l3_refined.refine import (
    SMOKE,
    Models,
    Refined,
    Settings,
    choose,
    left_out,
    refine,
    refine_all,
    try_refine,
)
from tier_assets.l3_refined.tasks.edit import EDIT
from tier_assets.l3_refined.tasks.lookup import LOOKUP
from tier_tables import LINEAGE, VERDICTS
from tier_tables.refinement import L3_EDITS, L3_REFINED

TEXT = (
    "Queen Victoria opened the long bridge over the river Tay in 1878 . "
    "The engineer Thomas Bouch had built it of iron for the railway from Dundee."
)


# Its first style: the model writes the edited text.
EDITED = replace(EDIT, plan=lambda passage: EDIT.plan(passage)[:1])


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
    found = refine(documents(d=TEXT), ScriptedModel(lambda p: TEXT.replace(" .", ".", 1)), only(EDITED))
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
    assert (found.rows.height, found.verdicts.height, model.prompts) == (0, 0, [])


@pytest.mark.parametrize(
    ("reply", "reason"),
    [("!too_long", "too_long"), ("!timed_out", "timed_out"), ("!refused", "refused"), ("", "empty")],
)
def test_refine_reply_with_an_error_is_one_verdict(reply: str, reason: str) -> None:
    found = refine(documents(d=TEXT), ScriptedModel(lambda p: reply), only(EDITED))
    assert verdict(found) == (reason, None)


def test_refine_rejected_reply_is_a_verdict_with_the_raw_reply() -> None:
    found = refine(documents(d=TEXT), ScriptedModel(lambda p: "A bridge fell in 1990."), only(EDITED))
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

    found = refine(docs, ScriptedModel(answer), replace(SMOKE, tasks=(EDITED, LOOKUP), limits=NO_LIMITS))
    ids = [*found.rows["record_id"], *found.verdicts["record_id"]]
    assert len(ids) == len(set(ids)) == len(replies) * 3  # an edit and two questions


def test_refine_in_another_order_gives_the_same_records() -> None:
    docs = documents(a=TEXT, b=f"{TEXT} It stood.")
    model = ScriptedModel(lambda p: p.replace(" .", "."))
    first, second = refine(docs, model, only(EDITED)), refine(docs.reverse(), model, only(EDITED))
    assert first.rows.sort("record_id").equals(second.rows.sort("record_id"))
    assert first.rows.height == 2


def test_choose_takes_the_best_and_breaks_ties_by_id() -> None:
    docs = pl.DataFrame({"doc_id": ["c", "a", "b", "d"], "quality": [1.0, 1.0, 2.0, None]})
    few = Settings(num_documents=2, num_passages=1, passage_tokens=128, min_passage_words=5)
    assert choose(docs, few)["doc_id"].to_list() == ["b", "a"]
    assert choose(docs, SMOKE)["doc_id"].to_list() == ["b", "a", "c", "d"]


def test_try_refine_gives_a_line_for_each_line_in_order() -> None:
    lines = [{"id": 7, "text": TEXT}, {"id": "x", "text": "Title"}, {"id": 7, "text": TEXT}]
    out = list(try_refine(lines, ScriptedModel(lambda p: p.replace(" .", ".")), "edit", batch=2))
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


def test_refine_names_the_span_that_the_model_saw_and_what_it_cost() -> None:
    text = f"It rained.\n\n{TEXT}"
    found = refine(documents(d=text), ScriptedModel(lambda p: text.replace(" .", ".", 1)), only(EDITED))
    row = found.rows.row(0, named=True)
    assert row["source_spans"] == [{"doc_id": "d", "char_start": 0, "char_end": len(text)}]
    assert found.sources.to_list() == [text]
    assert (row["temperature"], row["seed"], row["max_tokens"]) == (0.0, 0, EDIT.max_tokens)
    assert row["prompt_tokens"] > 0
    assert row["output_tokens"] > 0
    assert row["levels"] == [1]


def test_refine_writes_the_operations_that_made_an_edited_text() -> None:
    found = refine(documents(d=TEXT), ScriptedModel(lambda p: TEXT.replace(" .", ".", 1)), only(EDITED))
    assert found.edits.schema == L3_EDITS.schema
    (record_id,) = found.rows["record_id"]
    applied = found.edits.filter(pl.col("state") == "applied")
    assert applied["record_id"].unique().to_list() == [record_id]
    assert replay(TEXT, applied, 0) == found.rows["text"][0]


def test_refine_leaves_out_operations_that_a_person_took_back() -> None:
    text = TEXT.replace("Thomas", "Thomas  ")
    edited = TEXT.replace(" .", ".", 1)
    model = ScriptedModel(lambda p: edited)
    (before,) = refine_all([documents(d=text)], Models(model), only(EDITED))
    applied = before.edits.filter(pl.col("state") == "applied")
    taken = applied.filter(pl.col("old").str.contains(" ", literal=True) & (pl.col("char_start") > 70))
    assert 0 < len(taken) < len(applied)
    (after,) = refine_all([documents(d=text)], Models(model), only(EDITED), undone=set(taken["operation_id"]))
    assert "Thomas   Bouch" in after.rows["text"][0]
    assert set(after.edits.filter(pl.col("state") == "undone")["operation_id"]) == set(taken["operation_id"])


def test_refine_with_an_encoder_scores_entailment() -> None:
    model = ScriptedModel(lambda p: TEXT.replace(" .", ".", 1))
    (found,) = refine_all([documents(d=TEXT)], Models(model, encoder=ScriptedEncoder()), only(EDITED))
    assert 0.5 < found.rows["entailment"][0] <= 1.0
    assert refine(documents(d=TEXT), model, only(EDITED)).rows["entailment"].to_list() == [None]


def test_refine_in_batches_reports_progress_and_loses_nothing() -> None:
    docs = [documents(**{f"d{i}_{j}": f"{TEXT} It stood {i * 300 + j} years." for j in range(300)}) for i in range(4)]
    told: list[tuple[int, int, int]] = []

    def tell(done: int, *, tokens: int, judged: int, kept: int) -> None:
        told.append((done, judged, kept))

    model = ScriptedModel(lambda p: p.replace(" .", "."))
    found = list(refine_all(docs, Models(model), only(EDITED), progress=tell))
    assert [len(f.rows) for f in found] == [512, 512, 176]
    assert pl.concat([f.rows for f in found])["doc_id"].to_list() == pl.concat(docs)["doc_id"].to_list()
    assert [done for done, *_ in told] == list(range(1, 1201))
    assert told[-1] == (1200, 1200, 1200)


def test_settings_of_a_task_take_what_it_comes_after() -> None:
    after = replace(EDIT, name="after", after="edit")
    settings = replace(SMOKE, tasks=(EDIT, LOOKUP, after))
    assert [task.name for task in settings.of("after").tasks] == ["edit", "after"]
    assert settings.of("after").limits == NO_LIMITS
    with pytest.raises(ValueError, match=r"unknown task 'dance'; known: edit"):
        SMOKE.of("dance")
