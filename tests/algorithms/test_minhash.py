"""MinHash near-duplicates against the slow obvious version, and recall on pairs of known Jaccard."""

from __future__ import annotations

import csv
import gzip
import json
import random
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.candidate_pairs import bucket_pairs
from algorithms.minhash import SKETCH_SIZE, Sketches, fingerprints, nearest_kept, sketch_hashes

GOLD = Path(__file__).parents[3] / "shared" / "data" / "neardup_exact"
THRESHOLD = 0.75


def near_duplicates(texts: list[str], partners: int = 1000) -> dict[int, tuple[int, float]]:
    """For each text to drop, the text kept in its place (both by number) and their J."""
    prints = fingerprints(pl.Series(texts, dtype=pl.String))
    rows = prints["bands"].list.len()
    ranks = np.repeat(np.arange(len(texts)), rows)
    bands = prints["bands"].explode().drop_nulls().to_numpy()
    pairs = np.unique(np.concatenate([np.empty(0, np.int64), *bucket_pairs(bands, ranks, partners)]))
    hashes, lengths = sketch_hashes(prints["sketch"])
    sketches = Sketches(hashes, np.cumsum(lengths) - lengths, lengths)
    kept = np.ones(len(texts), np.bool_)
    found = nearest_kept(pairs, sketches, kept, THRESHOLD)
    assert np.flatnonzero(~kept).tolist() == found[0].tolist()
    return {row: (other, j) for row, other, j in zip(*(array.tolist() for array in found))}


def shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))} if words else set()


def jaccard(left: str, right: str) -> float:
    a, b = shingles(left), shingles(right)
    return len(a & b) / len(a | b) if a | b else 0.0


def slow_near_duplicates(texts: list[str], bands: list[list[int]]) -> dict[int, tuple[int, float]]:
    """Each row against every row kept before it that shares a band."""
    kept: list[int] = []
    dropped = {}
    for row, text in enumerate(texts):
        near = [other for other in kept if set(enumerate(bands[row])) & set(enumerate(bands[other]))]
        scored = sorted((-jaccard(text, texts[other]), other) for other in near)
        if scored and -scored[0][0] >= THRESHOLD:
            dropped[row] = (scored[0][1], -scored[0][0])
        else:
            kept.append(row)
    return dropped


def variations(seed: int, num_texts: int) -> list[str]:
    """Texts of some words, each a copy of an earlier one with some words changed."""
    draw = random.Random(seed)
    texts = [[draw.choice("abcdefghijklmnopqrstuvwxyz") * draw.randint(1, 3) for _ in range(draw.randint(1, 120))]]
    while len(texts) < num_texts:
        copy = list(draw.choice(texts))
        for _ in range(draw.choice([0, 1, 2, 5, 40])):
            copy[draw.randrange(len(copy))] = f"Wort{draw.randrange(50)}ß"
        texts.append(copy)
    return [" ".join(words) for words in texts]


@pytest.mark.parametrize("seed", range(20))
def test_nearest_kept_of_variations_equals_the_slow_version(seed):
    texts = variations(seed, 60)
    found = near_duplicates(texts)
    expected = slow_near_duplicates(texts, fingerprints(pl.Series(texts))["bands"].to_list())
    assert {row: kept for row, (kept, _) in found.items()} == {row: kept for row, (kept, _) in expected.items()}
    assert all(found[row][1] == pytest.approx(j) for row, (_, j) in expected.items())


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_fingerprints_sketch_of_any_text_has_one_hash_a_shingle(text):
    prints = fingerprints(pl.Series([text]))
    assert len(prints["sketch"][0]) == 4 * len(shingles(text))
    assert len(prints["bands"][0]) == (14 if shingles(text) else 0)


def test_fingerprints_long_text_keeps_a_bounded_sketch():
    text = " ".join(str(number) for number in range(5000))
    assert len(fingerprints(pl.Series([text]))["sketch"][0]) == 4 * SKETCH_SIZE


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("One two.", "one,  TWO", True),
        ("snake_case", "snake case", False),
        ("ab", "a b", False),
        ("a b", "b a", False),
        ("a a", "a", False),
        ("x²", "x", False),
        ("übel", "ubel", False),
        ("!!!", "???", False),
        ("!!!", "!!", False),
        ("", "", True),
    ],
)
def test_fingerprints_text_hash_is_equal_where_the_words_are(left, right, same):
    one, other = fingerprints(pl.Series([left, right]))["text_hash"]
    assert (one == other) is same
    assert len(one) == 32


def test_fingerprints_text_hash_of_many_texts_differs_in_both_halves():
    texts = pl.Series([f"{number % 317} {number}" for number in range(100_000)])
    hashes = fingerprints(texts)["text_hash"]
    assert hashes.str.slice(0, 16).n_unique() == hashes.str.slice(16).n_unique() == len(texts)


def test_nearest_kept_long_texts_are_estimated_within_four_deviations():
    words = [str(number) for number in range(20_000)]
    changed = [word if number % 60 else "x" for number, word in enumerate(words)]
    texts = [" ".join(words), " ".join(changed)]
    assert near_duplicates(texts)[1] == (0, pytest.approx(jaccard(*texts), abs=0.05))


def test_nearest_kept_row_tied_by_a_chain_only_stays():
    words = [f"w{number}" for number in range(200)]
    steps = [" ".join(words[shift : shift + 100]) for shift in range(0, 100, 8)]  # neighbours .85, next but one .71
    found = near_duplicates(steps)
    assert all(jaccard(steps[row], steps[kept]) >= THRESHOLD for row, (kept, _) in found.items())
    assert 2 not in found


def test_nearest_kept_texts_without_words_are_kept():
    assert near_duplicates(["", "!!!", "!!!"]) == {}


def test_nearest_kept_no_texts_give_no_rows():
    assert near_duplicates([]) == {}


@pytest.mark.parametrize(("num_common", "expected"), [(5, []), (6, [1])])
def test_nearest_kept_both_sides_of_the_threshold(num_common, expected):
    # Of num_common + 2 shingles; 6 / 8 is the threshold itself.
    texts = [f"a b c d {' '.join(f'w{n}' for n in range(num_common))} {end}" for end in ("x", "y")]
    hashes, lengths = sketch_hashes(fingerprints(pl.Series(texts))["sketch"])
    sketches = Sketches(hashes, np.cumsum(lengths) - lengths, lengths)
    found = nearest_kept(np.array([1 << 32]), sketches, np.ones(2, np.bool_), THRESHOLD)
    assert found[0].tolist() == expected


@pytest.mark.skipif(not GOLD.exists(), reason=f"no gold pairs at {GOLD}")
def test_nearest_kept_gold_pairs_are_found_and_removals_are_near():
    with gzip.open(GOLD / "docs.jsonl.gz", "rt") as file:
        texts = {record["id"]: record["text"] for record in map(json.loads, file)}
    with open(GOLD / "pairs.tsv") as file:
        pairs = [r for r in csv.DictReader(file, delimiter="\t") if r["id_a"] != r["id_b"]]
    ids = list(texts)
    dropped = {ids[row]: ids[kept] for row, (kept, _) in near_duplicates(list(texts.values())).items()}
    near = [(r["id_a"], r["id_b"]) for r in pairs if float(r["jaccard_word5"]) >= 0.8]
    recall = sum(a in dropped or b in dropped for a, b in near) / len(near)
    sound = sum(jaccard(texts[row], texts[kept]) >= 0.7 for row, kept in dropped.items()) / len(dropped)
    assert recall >= 0.99
    assert sound >= 0.97
    assert not set(dropped) & set(dropped.values())
