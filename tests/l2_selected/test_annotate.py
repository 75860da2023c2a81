"""Ratings come from the options' probabilities, one row a window and dimension; what has none is an error."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from resources.lake import Lake
from resources.language_models import Replayed, Reply
from resources.language_models.scripted import ScriptedModel
from resources.tokenizer import count_tokens
from tier_assets.l2_selected import annotate
from tier_assets.l2_selected.shown import fence
from tier_tables import L2_ANNOTATIONS

FIVE = (0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
PROSE = tuple(d for d in annotate.DIMENSIONS if d not in annotate.CODE_DIMENSIONS)
TWO = annotate.Settings(dimensions=PROSE[:2], max_tokens=100)
CODE = "import os\n\ndef f(x):\n    y = x + 1\n    return y\n"
LONG = "\n\n".join(f"Paragraph {i} has some words in it, and they end here." for i in range(60))


def documents(*texts: str) -> pl.DataFrame:
    return pl.DataFrame({"doc_id": [f"d{i}" for i in range(len(texts))], "text": texts}).with_columns(
        corpus=pl.lit("mail"), snapshot=pl.lit("s1")
    )


def scripted(choice: Sequence[float] = FIVE) -> ScriptedModel:
    return ScriptedModel(answer=lambda prompt: "", choice=lambda prompt, options: choice)


def ignore(done: int) -> None:
    """Progress that nobody watches."""


def test_rate_gives_a_row_for_each_document_and_dimension() -> None:
    model = scripted((0.0, 0.1, 0.2, 0.3, 0.4, 0.0))
    told: list[int] = []
    found = annotate.rate(documents("long " * 50, "short"), model, TWO, told.append)
    assert found.errors.is_empty()
    assert found.annotations.schema == L2_ANNOTATIONS.schema
    assert found.annotations.select("doc_id", "part", "char_start", "char_end", "dimension", "rating").rows() == [
        (doc, 0, 0, end, dimension, 3.0)
        for doc, end in (("d0", 249), ("d1", 5))
        for dimension in sorted(TWO.dimensions)
    ]
    assert found.annotations["distribution"][0].to_list() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.0]
    assert found.annotations["model"].unique().to_list() == [model.name]
    assert told[-1] == 2


def test_rate_long_document_is_rated_in_windows_whose_spans_are_in_its_text() -> None:
    model = scripted()
    found = annotate.rate(documents(LONG), model, replace(TWO, max_tokens=60, max_windows=3), ignore)
    spans = found.annotations.select("part", "char_start", "char_end").unique().sort("part").rows()
    assert [window for window, _, _ in spans] == [0, 1, 2]
    asked = " ".join(model.prompts)
    assert all(fence(LONG[start:end]) in asked for _, start, end in spans)


def test_rate_windows_are_asked_by_length_and_their_dimensions_together() -> None:
    model = scripted()
    annotate.rate(documents("a much longer text than the other", "short"), model, TWO, ignore)
    assert model.prompts == [
        annotate.prompt(text, dimension)
        for text in ("short", "a much longer text than the other")
        for dimension in TWO.dimensions
    ]


def test_rate_algorithmic_content_is_asked_of_programs_only() -> None:
    found = annotate.rate(documents("Some prose.", CODE), scripted(), annotate.DEFAULT, ignore).annotations
    asked = found.filter(pl.col("dimension").is_in(annotate.CODE_DIMENSIONS))
    assert asked["doc_id"].to_list() == ["d1"]
    assert len(found) == 2 * len(PROSE) + len(annotate.CODE_DIMENSIONS)


def test_rate_more_windows_than_a_call_holds_are_all_rated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotate, "BATCH_WINDOWS", 3)
    told: list[int] = []
    found = annotate.rate(documents(*(f"t{i:02}" for i in range(10))), scripted(), TWO, told.append)
    assert found.annotations["doc_id"].n_unique() == 10
    assert told == sorted(told)
    assert set(told) == set(range(11))


class Failing:
    """A model that cannot read the prompts that say so."""

    name = "failing"

    def choose(
        self, prompts: Sequence[str], options: Sequence[str], *, system: str = "", progress: object = None
    ) -> list[Reply]:
        return [
            Reply(None, None, "too_long", 0, 0, 0) if "huge" in p else Reply(None, FIVE, None, 10, 0, 1)
            for p in prompts
        ]

    def complete(self, prompts: Sequence[str], **settings: object) -> list[Reply]:
        raise NotImplementedError


def test_rate_what_has_no_rating_is_an_error_row_and_the_rest_goes_on() -> None:
    found = annotate.rate(documents("huge", "fine", " \n"), Failing(), replace(TWO, dimensions=PROSE[:1]), ignore)
    assert found.errors.rows() == [
        ("d0", "mail", "s1", 0, "general_quality", "too_long"),
        ("d2", "mail", "s1", None, None, "no_text"),
    ]
    assert found.annotations["doc_id"].to_list() == ["d1"]


def test_rate_no_documents_has_no_rows() -> None:
    found = annotate.rate(documents("a").clear(), scripted(), TWO, ignore)
    assert (len(found.annotations), len(found.errors)) == (0, 0)
    assert found.annotations.schema == L2_ANNOTATIONS.schema


def test_rate_killed_run_resumes_without_asking_twice(lake: Lake) -> None:
    texts = documents(*(a + b for a in string.ascii_letters[:20] for b in string.ascii_letters[:20]))
    asked: list[str] = []

    def killed_at(limit: int) -> Callable[[str, Sequence[str]], Sequence[float]]:
        def choice(prompt: str, options: Sequence[str]) -> Sequence[float]:
            if len(asked) == limit:
                raise KeyboardInterrupt
            asked.append(prompt)
            return FIVE

        return choice

    def run(limit: int) -> annotate.Rated:
        model = ScriptedModel(answer=lambda prompt: "", choice=killed_at(limit))
        return annotate.rate(texts, Replayed(model, lake, "ratings"), TWO, ignore)

    with pytest.raises(KeyboardInterrupt):
        run(limit=700)
    kept = list(asked)  # all that was answered
    del asked[:]
    found = run(limit=-1)
    assert len(found.annotations) == len(texts) * len(TWO.dimensions)
    assert len(asked) == 800 - 700
    assert not set(asked) & set(kept)
    del asked[:]
    assert run(limit=0).annotations.equals(found.annotations)


def test_prompt_dimensions_share_the_document_as_prefix() -> None:
    prompts = [annotate.prompt("a {brace} stays", d) for d in PROSE]
    shared = next(i for i, letters in enumerate(zip(*prompts, strict=False)) if len(set(letters)) > 1)
    assert "a {brace} stays\n</document>" in prompts[0][:shared]


@pytest.mark.parametrize("dimension", annotate.DIMENSIONS)
def test_prompt_examples_are_as_they_would_be_shown(dimension: str) -> None:
    examples = re.findall(r"(?s)<document>\n(.*?)\n</document>", annotate.prompt("", dimension))
    assert len(examples) >= 4
    assert [fence(example) for example in examples] == examples


def test_prompt_unknown_dimension_names_the_known() -> None:
    with pytest.raises(ValueError, match=r"no prompt for 'beauty'; known: .*educational_value"):
        annotate.prompt("text", "beauty")


def test_prompt_version_is_the_dimension_and_a_hash() -> None:
    name, mark = annotate.prompt_version("general_quality").rsplit("-", 1)
    assert (name, len(mark)) == ("general_quality", 8)
    assert annotate.prompt_version("coherence").rsplit("-", 1)[1] != mark


def test_smoke_settings_stay_within_their_budget() -> None:
    settings = annotate.SMOKE
    questions = pl.Series([annotate.prompt("", d).rsplit("</document>", 1)[1] for d in PROSE])
    # Computed afresh: the window once; a dimension's question, 8 tokens of the chat template, and of the shared prefix
    # on average half of a block of 32.
    for_document = settings.max_tokens + count_tokens(questions).sum() + (8 + 16) * len(PROSE)
    assert settings.max_windows * settings.size * for_document <= 100_000


def test_ratings_of_a_window_are_a_row_with_a_column_for_each_dimension() -> None:
    ratings = {"general_quality": 0.6, "educational_value": 0.2, "coherence": 0.4}

    def choice(prompt: str, options: Sequence[str]) -> Sequence[float]:
        dimension = next(d for d in PROSE if prompt == annotate.prompt("a", d))
        five = ratings[dimension]
        return (1 - five, 0, 0, 0, 0, five)

    settings = replace(TWO, dimensions=tuple(ratings))
    rated = annotate.rate(documents("a"), ScriptedModel(lambda prompt: "", choice), settings, ignore)
    found = annotate.ratings_of(rated.annotations)
    assert found.columns == ["doc_id", "part", "char_start", "char_end", "quality", *annotate.DIMENSIONS]
    mean = sum(5 * ratings[d] for d in annotate.QUALITY_DIMENSIONS) / len(annotate.QUALITY_DIMENSIONS)
    expected = {"doc_id": "d0", "part": 0, "char_start": 0, "char_end": 1, "quality": pytest.approx(mean)}
    by_dimension = {d: 5 * ratings[d] if d in ratings else None for d in annotate.DIMENSIONS}
    assert found.row(0, named=True) == expected | by_dimension


def test_expected_is_the_mean_option() -> None:
    assert annotate.expected((0.25, 0, 0, 0, 0, 0.75)) == 3.75


def lines(*texts: object) -> Iterator[dict[str, Any]]:
    for i, text in enumerate(texts):
        yield {"id": i, "text": text}


def test_try_annotate_gives_a_line_for_each_in_order() -> None:
    found = list(annotate.try_annotate(lines("fine", " ", 3, "huge", "fine"), Failing(), TWO))
    assert [line["id"] for line in found] == [0, 1, 2, 3, 4]
    assert [line.get("error") for line in found] == [None, "no_text", "no_text", "too_long", None]
    told = {"rating": 5.0, "distribution": list(FIVE)}
    ratings = dict.fromkeys(TWO.dimensions, 5.0)
    assert found[0] == {
        "id": 0,
        "dimensions": dict.fromkeys(TWO.dimensions, told),
        "windows": [{"char_start": 0, "char_end": 4, "ratings": ratings}],
    }


def test_try_annotate_a_document_is_the_mean_of_its_windows() -> None:
    def choice(prompt: str, options: Sequence[str]) -> Sequence[float]:
        return FIVE if "Paragraph #" in prompt and "Paragraph ##" not in prompt else (1.0, 0, 0, 0, 0, 0)

    settings = replace(TWO, dimensions=PROSE[:1], max_tokens=60, max_windows=2)
    (found,) = annotate.try_annotate(lines(LONG), ScriptedModel(lambda prompt: "", choice), settings)
    assert [list(w["ratings"].values()) for w in found["windows"]] == [[5.0], [0.0]]
    assert found["dimensions"] == {"general_quality": {"rating": 2.5, "distribution": [0.5, 0.0, 0.0, 0.0, 0.0, 0.5]}}


def test_try_annotate_reads_no_further_than_it_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotate, "TRY_LINES", 2)
    source = lines("a", "b", "c", "d")
    assert next(annotate.try_annotate(source, scripted(), TWO))["id"] == 0
    assert next(source)["id"] == 2
