"""Embedding a batch: what is known is taken over, the rest encoded once."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from resources.encoder import ScriptedEncoder
from tier_assets.l2_selected import embed
from tier_tables import EMBEDDINGS

NOTHING = pl.DataFrame(schema={"doc_id": pl.String, "text_hash": pl.String, "vector": pl.List(pl.Float32)})


def batch(**texts: str | None) -> pl.DataFrame:
    rows = [(name, "c", "1", text) for name, text in texts.items()]
    return pl.DataFrame(rows, schema=dict.fromkeys(("doc_id", "corpus", "snapshot", "text"), pl.String), orient="row")


def test_text_hash_is_stable_and_tells_texts_apart() -> None:
    found = embed.text_hash(pl.Series(["a", "b", "a", "", None]))
    assert found[0] == "27c35e6e9373877f29e562464e46497e"
    assert found[0] == found[2] != found[1]
    assert found[3] == found[4]


def test_embed_batch_new_texts_become_rows_of_the_table_in_order() -> None:
    encoder, done = ScriptedEncoder(), []
    found = embed.embed_batch(batch(b="one two", a="three", c=None), NOTHING, encoder, done.append)
    assert found.schema == EMBEDDINGS.schema
    assert found["doc_id"].to_list() == ["b", "a", "c"]
    assert found["encoder"].unique().to_list() == ["scripted-1"]
    assert np.array_equal(embed.vectors_of(found), encoder.encode(["one two", "three", ""]))
    assert done == [3]


def test_embed_batch_known_texts_are_not_encoded_again() -> None:
    encoder, done = ScriptedEncoder(), []
    first = embed.embed_batch(batch(a="one", b="two", c="three"), NOTHING, encoder)
    encoder.texts.clear()
    found = embed.embed_batch(batch(c="three", new="four", a="one"), first, encoder, done.append)
    assert encoder.texts == ["four"]
    assert done == [3]
    expected = embed.embed_batch(batch(c="three", new="four", a="one"), NOTHING, ScriptedEncoder())
    assert found.equals(expected)


def test_embed_batch_changed_text_of_a_known_document_is_encoded() -> None:
    encoder = ScriptedEncoder()
    first = embed.embed_batch(batch(a="one", b="two"), NOTHING, encoder)
    found = embed.embed_batch(batch(a="another", b="two"), first, encoder)
    assert encoder.texts == ["one", "two", "another"]
    assert np.array_equal(embed.vectors_of(found)[0], encoder.encode(["another"])[0])


def test_embed_batch_all_known_or_nothing_at_all_asks_nothing() -> None:
    encoder, done = ScriptedEncoder(), []
    first = embed.embed_batch(batch(a="one"), NOTHING, encoder)
    assert embed.embed_batch(batch(a="one"), first, encoder, done.append).equals(first)
    assert embed.embed_batch(batch(), first, encoder, done.append).schema == EMBEDDINGS.schema
    assert encoder.texts == ["one"]
    assert done == [1, 0]


def test_embed_batch_known_vectors_of_another_size_raise() -> None:
    first = embed.embed_batch(batch(a="one"), NOTHING, ScriptedEncoder(size=8))
    with pytest.raises(ValueError, match="must have 16 numbers"):
        embed.embed_batch(batch(a="one"), first, ScriptedEncoder(size=16))
