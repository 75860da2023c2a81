"""The slice audit over a real lake: each alarm raised by planted verdicts, and none in the sound lake."""

from __future__ import annotations

import polars as pl
from _small_lake import MAIL, NEWS, documents, fill, plant

from quality_checks import slice_audit
from quality_checks.accounts import Failing
from resources.lake import Lake

CHECKS: tuple[Failing, ...] = (
    slice_audit.some_documents_survive,
    slice_audit.most_documents_survive,
    slice_audit.languages_survive,
    slice_audit.rare_words_survive,
)


def judged(lake: Lake, kept: dict[str, list[str]], removed: dict[tuple[str, str], list[str]]) -> None:
    """Texts by language that are kept, and by (reason, language) that are not, as the partition's l1."""
    slices = [(None, language, text) for language, texts in kept.items() for text in texts]
    slices += [(reason, language, text) for (reason, language), texts in removed.items() for text in texts]
    rows = documents([f"d{number:03}" for number in range(len(slices))], NEWS).with_columns(
        reason=pl.Series([reason for reason, _, _ in slices], dtype=pl.String),
        language=pl.Series([language for _, language, _ in slices]),
        text=pl.Series([text for _, _, text in slices]),
    )
    plant(lake, "l1_texts", lambda _: fill("l1_texts", rows.drop("reason")))
    gone = rows.drop_nulls("reason").select("doc_id", "corpus", "snapshot", "reason", tier=pl.lit("l1"))
    plant(lake, "verdicts/l1", lambda _: fill("verdicts", gone))


def found(lake: Lake, partition: dict[str, str] = NEWS) -> dict[str, list[tuple[str, str]]]:
    """Check -> (key, found), of checks that fail."""
    rows = {check.__name__: check(lake, "l1", partition).collect().rows() for check in CHECKS}
    return {name: failing for name, failing in rows.items() if failing}


def test_audit_of_an_even_cut_finds_nothing(lake: Lake) -> None:
    judged(lake, {"en": ["a text"] * 40, "de": ["ein Text"] * 40}, {("too_short", "en"): ["a"] * 4})
    assert found(lake) == {}


def test_audit_of_a_partition_without_texts_finds_nothing(lake: Lake) -> None:
    assert found(lake, MAIL) == {}


def test_audit_of_a_corpus_that_loses_all_says_so(lake: Lake) -> None:
    judged(lake, {}, {("too_short", "en"): ["a"] * 20})
    told = "none of 20 documents survives; too_short most (e.g. d000, d001, d002, d003, d004)"
    assert found(lake) == {"some_documents_survive": [("too_short", told)]}


def test_audit_of_a_rule_that_takes_most_says_so(lake: Lake) -> None:
    judged(lake, {"en": ["a text"] * 10}, {("too_short", "en"): ["a"] * 30})
    assert [key for key, _ in found(lake)["most_documents_survive"]] == ["too_short"]


def test_audit_of_a_language_that_is_lost_says_so(lake: Lake) -> None:
    judged(lake, {"en": ["a text"] * 40}, {("too_few_stop_words", "de"): ["ein Text"] * 20})
    told = "none of 20 documents in de survives; too_few_stop_words takes 100% (e.g. d040, d041, d042, d043, d044)"
    assert found(lake) == {"languages_survive": [("too_few_stop_words/de", told)]}


def test_audit_of_a_rule_that_takes_a_subject_names_its_words(lake: Lake) -> None:
    subject = "sheaf cohomology functor morphism colimit topos presheaf adjoint monad abelian"
    judged(lake, {"en": ["a plain text"] * 60}, {("listed_words", "en"): [subject] * 5})
    ((key, told),) = found(lake)["rare_words_survive"]
    assert key == "listed_words"
    assert "10 rare words (100.0% of such words): abelian, adjoint, cohomology, colimit, functor" in told
    assert set(found(lake)) == {"rare_words_survive"}
