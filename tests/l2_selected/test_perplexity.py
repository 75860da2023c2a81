"""Perplexity as a score: learnt from batches, kept as bytes, told on texts that it has not seen."""

from __future__ import annotations

import random

import polars as pl
import pytest

from tier_assets.l2_selected import perplexity
from tier_assets.l2_selected.perplexity import SMOKE

WORDS = "river bridge night storm council market school winter summer garden letter engine planet doctor music".split()


def prose(num: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    lines = ["The {} was near the {}.", "In the {} they saw a {} again.", "Nobody had heard of the {} in that {}."]
    return [" ".join(draw.choice(lines).format(*draw.choices(WORDS, k=2)) for _ in range(8)) for _ in range(num)]


@pytest.fixture(scope="module")
def model() -> perplexity.Model:
    return perplexity.fit([pl.Series(prose(300)), pl.Series([None, "The river."])], SMOKE)


def test_fit_tells_its_surprise_on_texts_not_learnt_from(model: perplexity.Model) -> None:
    assert model.num_held_out == pytest.approx(30, abs=15)
    assert model.held_out is not None
    assert model.learnt_from is not None
    assert 0.5 < model.held_out < 3.0
    # The sample's texts are no more usual to the model than the others, by much.
    assert abs(model.held_out - model.learnt_from) < 0.1


def test_fit_of_few_texts_has_no_figure_where_none_is_held_out() -> None:
    found = perplexity.fit([pl.Series(["One text."])], SMOKE)
    assert (found.num_held_out, found.held_out) == (0, None)


def test_fit_of_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        perplexity.fit([pl.Series([], dtype=pl.String)], SMOKE)


def test_score_of_garbled_text_is_higher_than_of_the_text(model: perplexity.Model) -> None:
    texts = prose(50, seed=1)
    draw = random.Random(2)
    garbled = ["".join(c if draw.random() > 0.05 else draw.choice("xqzjv#%") for c in text) for text in texts]
    shuffled = [" ".join(draw.sample(words := text.split(), len(words))) for text in texts]
    plain = perplexity.score(model, pl.Series(texts))
    assert (perplexity.score(model, pl.Series(garbled)) > plain + 0.5).all()
    assert (perplexity.score(model, pl.Series(shuffled)) > plain + 0.5).all()


def test_score_is_rounded_and_null_without_a_token(model: perplexity.Model) -> None:
    found = perplexity.score(model, pl.Series("text", ["The river.", "", None]))
    assert found.name == "score"
    assert found.dtype == pl.Float64
    assert found[0] == round(found[0], 4)
    assert found[1:].null_count() == 2


def test_dump_and_load_keep_the_model(model: perplexity.Model) -> None:
    artefact = perplexity.dump(model)
    again = perplexity.load(artefact)
    texts = pl.Series(prose(20, seed=3))
    assert perplexity.score(again, texts).equals(perplexity.score(model, texts))
    assert (again.settings, again.held_out, again.num_held_out) == (model.settings, model.held_out, model.num_held_out)
    assert perplexity.dump(again) == artefact


def test_dump_same_texts_in_other_batches_give_the_same_bytes() -> None:
    texts = prose(120)
    one = perplexity.dump(perplexity.fit([pl.Series(texts)], SMOKE))
    many = perplexity.dump(perplexity.fit((pl.Series(texts[i : i + 7]) for i in range(0, 120, 7)), SMOKE))
    assert perplexity.version(one) == perplexity.version(many)


@pytest.mark.parametrize("artefact", [b"", b"no npz", b"PK\x03\x04 broken"])
def test_load_of_other_bytes_is_refused(artefact: bytes) -> None:
    with pytest.raises(ValueError, match="not a model of perplexity"):
        perplexity.load(artefact)
