"""Shares of topics: sums and shapes with a scripted encoder, meaning with the bundled one (slow)."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from resources.encoder import ScriptedEncoder, open_encoder
from tier_assets.l2_selected import topics

NAMES = [f"topic_{topic.name}" for topic in topics.TOPICS]


def test_topics_have_different_names_and_sentences() -> None:
    sentences = [sentence for topic in topics.TOPICS for sentence in topic.sentences]
    assert len(set(NAMES)) == len(NAMES)
    assert len(set(sentences)) == len(sentences)
    assert all(name.replace("_", "").isalpha() and name.islower() for name in NAMES)


def test_topic_shares_are_multiples_that_sum_to_one() -> None:
    encoder = ScriptedEncoder(size=32)
    shares = topics.topic_shares(encoder.encode([f"text number {n}" for n in range(50)]), encoder)
    units = shares.to_numpy() * 10_000
    assert shares.schema == dict.fromkeys(NAMES, pl.Float64)
    assert np.allclose(units, np.rint(units), atol=1e-6)
    assert (np.rint(units).sum(axis=1) == 10_000).all()
    assert (units >= 0).all()


def test_topic_shares_a_topics_own_sentences_are_mostly_of_it() -> None:
    encoder = ScriptedEncoder(size=256)
    for number, topic in enumerate(topics.TOPICS):
        shares = topics.topic_shares(encoder.encode(topic.sentences), encoder).to_numpy()
        assert (shares.argmax(axis=1) == number).all()


def test_topic_shares_no_documents_are_no_rows_and_sentences_are_encoded_once() -> None:
    encoder = ScriptedEncoder()
    none = topics.topic_shares(np.empty((0, 16), np.float32), encoder)
    topics.topic_shares(np.eye(2, 16, dtype=np.float32), encoder)
    assert none.shape == (0, len(NAMES))
    assert len(encoder.texts) == sum(len(topic.sentences) for topic in topics.TOPICS)


def test_whole_units_the_largest_remainders_are_rounded_up() -> None:
    shares = np.array([[1 / 3, 1 / 3, 1 / 3], [0.5, 0.00006, 0.49994], [1.0, 0.0, 0.0]])
    assert topics._whole_units(shares).tolist() == [[3334, 3333, 3333], [5000, 1, 4999], [10000, 0, 0]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("The patient was given penicillin, and the fever and the infection of the lungs receded.", "health"),
        ("The derivative of a polynomial is a polynomial of lower degree, by induction on its degree.", "mathematics"),
        ("The striker scored twice in the second half and the team went top of the league.", "sport"),
        ("Preheat the oven, mix flour, butter and sugar, and bake for forty minutes.", "home_and_hobbies"),
        ("def area(radius):\n    return 3.14159 * radius ** 2\n\nprint(area(2))", "computing"),
        ("The central bank raised interest rates as inflation and unemployment grew.", "business"),
        ("Act now! Lowest prices guaranteed, free shipping on all orders. Click here!", "advertising"),
    ],
)
def test_topic_shares_bundled_encoder_names_the_topic(text: str, topic: str) -> None:
    encoder = open_encoder("bundled")
    shares = topics.topic_shares(encoder.encode([text]), encoder).row(0, named=True)
    assert max(shares, key=shares.__getitem__) == f"topic_{topic}"
