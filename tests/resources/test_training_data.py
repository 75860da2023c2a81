"""The same texts give the same tokenizer; what it writes can be read back."""

from __future__ import annotations

import polars as pl
import pytest

from resources.training_data import END, END_ID, encode, learn_tokenizer

TEXTS = [f"Water boils at {i} degrees, and the {i} rivers of the north are wide." for i in range(200)]


def test_learn_tokenizer_same_texts_give_the_same_tokens() -> None:
    assert learn_tokenizer(TEXTS, 320).to_str() == learn_tokenizer(TEXTS, 320).to_str()


def test_learn_tokenizer_any_script_is_read_back() -> None:
    tokenizer = learn_tokenizer(TEXTS, 300)
    text = "Größe 水 и вода \U0001f30a\n\tend"
    assert tokenizer.decode(encode(tokenizer, pl.Series([text]))[0].tolist()) == text


def test_learn_tokenizer_uses_its_vocabulary_and_no_more() -> None:
    tokenizer = learn_tokenizer(TEXTS, 300)
    ids = encode(tokenizer, pl.Series(TEXTS))
    assert tokenizer.get_vocab_size() == 300
    assert max(int(tokens.max()) for tokens in ids) == 299
    assert sum(len(tokens) for tokens in ids) < 0.5 * sum(map(len, TEXTS))


def test_encode_text_that_spells_the_end_does_not_end_there() -> None:
    tokenizer = learn_tokenizer(TEXTS, 300)
    assert tokenizer.token_to_id(END) == END_ID
    assert END_ID not in encode(tokenizer, pl.Series([f"before {END} after"]))[0]


def test_encode_empty_text_has_no_tokens() -> None:
    assert [len(tokens) for tokens in encode(learn_tokenizer(TEXTS, 300), pl.Series(["", "a"]))] == [0, 1]


def test_learn_tokenizer_vocabulary_below_the_bytes_raises() -> None:
    with pytest.raises(ValueError, match="at least 257"):
        learn_tokenizer(TEXTS, 256)
