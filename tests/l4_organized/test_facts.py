from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.sentences import sentences
from tier_assets.l4_organized.facts import SMOKE, Organized, Settings, answering_sentence, organize, topic
from tier_tables import LINEAGE, VERDICTS
from tier_tables.refinement import L3_REFINED, L4_EVIDENCE, L4_FACTS

BRIDGE = "Queen Victoria opened the bridge over the Tay in 1878."
TOWER = "The tower of London was built of white stone."


def documents(*texts: str, title: str | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "doc_id": [f"d{i}" for i in range(len(texts))],
            "corpus": "c",
            "snapshot": "s",
            "text": texts,
            "title": [title] * len(texts),
            "byte_offset": [100 * i for i in range(len(texts))],
            "num_bytes": [len(t.encode("utf-8", "surrogatepass")) for t in texts],
        },
        schema_overrides={"text": pl.String, "title": pl.String, "doc_id": pl.String},
    )


def qa_record(doc_id: str, question: str, answer: str, record_id: str = "r0") -> pl.DataFrame:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    row = {"record_id": record_id, "doc_id": doc_id, "corpus": "c", "snapshot": "s", "task": "lookup"}
    return pl.DataFrame([row | {"messages": messages}], schema=L3_REFINED.schema)


def edit_record(doc_id: str, before: str, after: str) -> pl.DataFrame:
    return qa_record(doc_id, before, after, "e0").with_columns(task=pl.lit("edit"))


NO_RECORDS = L3_REFINED.empty()


def outcomes(found: Organized) -> tuple[list[str], list[tuple[str, str]]]:
    return found.facts["statement"].to_list(), list(found.verdicts.select("task", "reason").iter_rows())


def test_organize_document_gives_facts_with_the_exact_span() -> None:
    found = organize(documents(f"Intro\n\n{BRIDGE} It rained."), NO_RECORDS, SMOKE)
    assert outcomes(found) == ([BRIDGE], [("sentence", "too_short"), ("sentence", "too_short")])
    evidence = found.evidence.row(0, named=True)
    assert (evidence["char_start"], evidence["char_end"], evidence["quote"]) == (7, 7 + len(BRIDGE), BRIDGE)
    assert (evidence["byte_offset"], evidence["num_bytes"]) == (0, 72)
    assert found.lineage.select("child_table", "parent_table", "parent_id").rows() == [
        ("l4_facts", "l2_selected", "d0")
    ]


def test_organize_has_the_columns_of_its_tables() -> None:
    found = organize(documents(BRIDGE), NO_RECORDS, SMOKE)
    assert found.facts.schema == L4_FACTS.schema
    assert found.evidence.schema == L4_EVIDENCE.schema
    assert found.lineage.schema == LINEAGE.schema
    assert found.verdicts.schema == VERDICTS.schema


def test_organize_nothing_gives_empty_tables() -> None:
    found = organize(documents(), NO_RECORDS, SMOKE)
    assert [f.height for f in (found.facts, found.evidence, found.lineage, found.verdicts)] == [0, 0, 0, 0]


def test_organize_document_without_a_sentence_gives_one_verdict() -> None:
    found = organize(documents("...", ""), NO_RECORDS, SMOKE)
    assert found.verdicts.select("doc_id", "record_id", "reason").rows() == [
        ("d0", None, "no_sentence"),
        ("d1", None, "no_sentence"),
    ]


def test_organize_wrapped_sentence_is_stated_on_one_line_and_quoted_to_the_letter() -> None:
    wrapped = "The long bridge over the wide river Tay in Scotland was\nopened in 1878."
    found = organize(documents(wrapped), NO_RECORDS, SMOKE)
    assert found.facts["statement"].to_list() == [wrapped.replace("\n", " ")]
    assert found.evidence["quote"].to_list() == [wrapped]


def test_organize_same_sentence_in_two_documents_keeps_the_first_with_more_confidence() -> None:
    alone = organize(documents(BRIDGE), NO_RECORDS, SMOKE)
    found = organize(documents(BRIDGE, BRIDGE.replace("Queen", "QUEEN")), NO_RECORDS, SMOKE)
    assert outcomes(found) == ([BRIDGE], [("sentence", "duplicate")])
    assert found.verdicts.select("doc_id", "kept_doc_id", "similarity").rows() == [("d1", "d0", 1.0)]
    assert (alone.facts["confidence"][0], found.facts["confidence"][0]) == (0.8, 0.9)


def test_organize_same_sentence_twice_in_a_document_is_one_fact() -> None:
    found = organize(documents(f"{BRIDGE} {BRIDGE}"), NO_RECORDS, SMOKE)
    assert outcomes(found) == ([BRIDGE], [("sentence", "duplicate")])


def test_organize_answer_of_a_record_adds_its_sentence_and_its_parent() -> None:
    text = f"{BRIDGE} {TOWER}"
    record = qa_record("d0", "Of what was the tower of London built?", "white stone")
    found = organize(documents(text), record, Settings(num_candidates=1))
    assert found.facts["statement"].to_list() == [BRIDGE, TOWER]
    assert ("l3_refined", "r0") in found.lineage.select("parent_table", "parent_id").rows()
    assert found.verdicts.is_empty()


def test_organize_answer_in_a_proposed_sentence_joins_it() -> None:
    record = qa_record("d0", "When was the bridge over the Tay opened?", "1878")
    found = organize(documents(BRIDGE), record, SMOKE)
    assert outcomes(found) == ([BRIDGE], [("lookup", "duplicate")])
    assert found.facts["confidence"].to_list() == [0.9]
    assert found.lineage["parent_table"].to_list() == ["l2_selected", "l3_refined"]


@pytest.mark.parametrize(("answer", "reason"), [("1879", "answer_not_in_text"), ("rained", "too_short")])
def test_organize_answer_that_proves_nothing_is_a_verdict(answer: str, reason: str) -> None:
    record = qa_record("d0", "What happened then?", answer)
    found = organize(documents(f"{BRIDGE} It rained."), record, Settings(num_candidates=1))
    assert outcomes(found) == ([BRIDGE], [("lookup", reason)])


def test_organize_edited_sentence_is_stated_as_edited_with_the_quote_as_it_was() -> None:
    raw = BRIDGE.replace("bridge over", "bridge , over")
    text = f"It rained. {raw} {TOWER}"
    found = organize(documents(text), edit_record("d0", text, text.replace(" ,", ",")), SMOKE)
    assert found.facts["statement"].to_list() == [raw.replace(" ,", ","), TOWER]
    assert found.evidence["quote"].to_list() == [raw, TOWER]
    assert found.lineage["parent_id"].to_list() == ["d0", "e0", "d0"]
    assert found.verdicts["reason"].to_list() == ["too_short"]
    assert found.facts["confidence"].to_list() == [0.8, 0.7]


def test_organize_edited_sentence_that_says_more_is_a_verdict_and_the_plain_one_stands() -> None:
    found = organize(documents(BRIDGE), edit_record("d0", BRIDGE, BRIDGE.replace("1878", "1879")), SMOKE)
    assert outcomes(found) == ([BRIDGE], [("edit", "not_entailed")])


def test_organize_edit_of_another_text_is_left_alone() -> None:
    found = organize(documents(BRIDGE), edit_record("d0", "Another text.", "Another text"), SMOKE)
    assert outcomes(found) == ([BRIDGE], [])


def test_organize_record_of_another_document_is_left_alone() -> None:
    found = organize(documents(BRIDGE), qa_record("other", "When?", "1878"), SMOKE)
    assert outcomes(found) == ([BRIDGE], [])


def test_organize_in_another_order_gives_the_same_rows() -> None:
    docs = documents(f"{BRIDGE} {TOWER}", TOWER, BRIDGE)
    first, second = (organize(d, NO_RECORDS, SMOKE) for d in (docs, docs.reverse()))
    assert first.facts.equals(second.facts)
    assert first.verdicts.equals(second.verdicts)


def test_organize_never_has_more_proposals_than_its_settings_allow() -> None:
    found = organize(documents(" ".join(f"Rome was built in the year {i}." for i in range(50))), NO_RECORDS, SMOKE)
    assert found.facts.height + found.verdicts.height == SMOKE.num_candidates


def test_answering_sentence_of_two_is_the_one_with_the_questions_words() -> None:
    text = "The fort fell in 1878. The bridge was opened in 1878."
    span = answering_sentence(text, sentences(text), "When was the bridge opened?", "1878")
    assert span is not None
    assert text[span.start : span.end] == "The bridge was opened in 1878."


def test_topic_is_the_title_or_the_commonest_word() -> None:
    assert topic(" The\nTay ", "bridge bridge") == "The Tay"
    assert topic(None, "The bridge and bridges over a bridge fell") == "bridge"
    assert topic("", "1 2 3") is None


PIECES = (BRIDGE, TOWER, "Er kam. ", "😀 ", "e\u0301tude ", "𝔘\u0300nd ", "\n\n", "\n", " ", "- ", "?! ")
ANY_TEXT = st.lists(st.sampled_from((*PIECES, "维多利亚女王在1878年开放了大桥。")), max_size=12).map("".join)


@settings(deadline=None)
@given(text=ANY_TEXT)
def test_organize_any_text_quotes_its_span_and_loses_no_candidate(text: str) -> None:
    found = organize(documents(text), NO_RECORDS, Settings(num_candidates=1000))
    for row in found.evidence.iter_rows(named=True):
        assert text[row["char_start"] : row["char_end"]] == row["quote"]
    num_candidates = max(1, len(sentences(text)))
    assert found.facts.height + found.verdicts.height == num_candidates
    assert found.facts["fact_id"].n_unique() == found.facts.height
    assert found.verdicts["record_id"].n_unique() == found.verdicts.height
