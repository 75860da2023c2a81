"""Duplicates by fingerprint: exact and near."""

from __future__ import annotations

import random
import string

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tier_assets.l1_filtered.deduplicate import (
    CLUSTERED,
    PRINTS,
    DuplicateSettings,
    clustered,
    duplicates,
    fingerprint,
    licence_rank,
    update_clusters,
)
from tier_assets.l1_filtered.near_pairs import Bounds


def prints_of(texts: dict[str, str]) -> pl.DataFrame:
    return fingerprint(pl.Series(list(texts.values()), dtype=pl.String)).insert_column(
        0, pl.Series("doc_id", list(texts))
    )


def test_duplicates_exact_near_and_distinct_rows_are_told_apart():
    words = [f"w{number}" for number in range(100)]
    near = [*words[:50], "other", *words[51:]]
    rows = prints_of(
        {
            "a": " ".join(words),
            "b": " ".join(near),
            "c": " ".join(near).upper(),  # a copy of a row that is not kept itself
            "d": " ".join(words) + "!",
            "e": "something else entirely, with words of its own",
        }
    )
    assert sorted(duplicates(rows).rows()) == [
        ("b", "near_duplicate", "a", 0.9010),
        ("c", "near_duplicate", "a", 0.9010),
        ("d", "exact_duplicate", "a", 1.0),
    ]


def test_duplicates_no_rows_give_no_rows():
    assert duplicates(prints_of({"a": "x"}).clear()).is_empty()


NARROW = Bounds(part_bands=40, block_documents=3, batch_rows=5, spill_bytes=100)


def made_up(seed: int, num_texts: int) -> list[str]:
    """Families of texts of some words, from copies to distant cousins."""
    draw = random.Random(seed)
    texts = [[draw.choice(string.ascii_lowercase) for _ in range(draw.randint(30, 60))] for _ in range(3)]
    while len(texts) < num_texts:
        copy = list(draw.choice(texts))
        for _ in range(draw.choice([0, 0, 1, 1, 2, 3])):
            copy[draw.randrange(len(copy))] = draw.choice(string.ascii_lowercase) * 2
        texts.append(copy)
    joined = [draw.choice([" ", ", "]).join(words) for words in texts]
    return ["", "!!", "!!", *joined[:-6], *(text.replace(" ", "_ ") for text in joined[-6:-3]), *joined[-3:]]


def made_up_prints(seed: int, num_texts: int) -> pl.DataFrame:
    draw = random.Random(seed)
    texts = made_up(seed, num_texts)
    size = len(texts)
    return pl.DataFrame(
        {
            "doc_id": [f"d{number:03}" for number in draw.sample(range(1000), size)],
            "corpus": [draw.choice("ab") for _ in range(size)],
            "snapshot": [draw.choice(["2024-10", "2024-9", "2025-01"]) for _ in range(size)],
            "num_chars": [draw.randint(100, 102) for _ in range(size)],
            "licence": [draw.choice(["CC0-1.0", "MIT", None, "?"]) for _ in range(size)],
        }
    ).hstack(fingerprint(pl.Series(texts)))


def slowly_clustered(prints: pl.DataFrame, settings: DuplicateSettings) -> list[tuple]:
    """Every document against all kept before it that are among the first of a bucket of both."""
    rows = sorted(
        prints.iter_rows(named=True),
        key=lambda r: (r["snapshot"], -r["num_chars"], licence_rank(r["licence"]), r["doc_id"]),
    )
    firsts: dict[tuple, dict] = {}
    buckets: dict[int, list[str]] = {}
    kept: dict[str, set] = {}
    gone: dict[str, tuple[str, str, float]] = {}
    for row in rows:
        words = (row["text_hash"], tuple(row["bands"]))
        if (first := firsts.setdefault(words, row)) is not row:
            gone[row["doc_id"]] = gone.get(first["doc_id"], (first["doc_id"], "exact_duplicate", 1.0))
            continue
        sketch = set(np.frombuffer(row["sketch"], np.uint32).tolist())
        partners = list(dict.fromkeys(p for band in row["bands"] for p in buckets.get(band, [])[: settings.partners]))
        near = {p: len(sketch & kept[p]) / len(sketch | kept[p]) for p in partners if p in kept}
        if near and (best := max(near.values())) >= settings.threshold:
            nearest = next(r["doc_id"] for r in rows if near.get(r["doc_id"]) == best)
            gone[row["doc_id"]] = (nearest, "near_duplicate", round(best, 4))
        else:
            kept[row["doc_id"]] = sketch
        for band in row["bands"]:
            buckets.setdefault(band, []).append(row["doc_id"])
    named = {kept_id for kept_id, _, _ in gone.values()}
    found = []
    for row in rows:
        place = (row["doc_id"], row["corpus"], row["snapshot"])
        if row["doc_id"] in gone:
            found.append((*place, gone[row["doc_id"]][0], *gone[row["doc_id"]]))
        elif row["doc_id"] in named:
            found.append((*place, row["doc_id"], None, None, None))
    return sorted(found)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("partners", [1, 3, 32])
def test_clustered_made_up_families_equal_the_slow_version(seed, partners):
    prints = made_up_prints(seed, 60)
    settings = DuplicateSettings(partners=partners, bounds=NARROW)
    expected = slowly_clustered(prints, settings)
    assert {row[5] for row in expected} == {None, "exact_duplicate", "near_duplicate"}
    assert clustered(prints.lazy(), settings).rows() == expected


POOL = [made_up_prints(seed, 24).with_columns(doc_id=made_up_prints(0, 24)["doc_id"]) for seed in (0, 1)]
IDS = POOL[0]["doc_id"]
STATES = st.lists(
    st.lists(st.sampled_from([0, 0, 1, 1, 1, 2]), min_size=len(IDS), max_size=len(IDS)), min_size=2, max_size=4
)


def in_state(state: list[int], shuffle: random.Random) -> pl.DataFrame:
    """Those of the pool that are there, each in its first or its second version, in any order."""
    there = [pool.filter(pl.Series(state) == version) for version, pool in enumerate(POOL, 1)]
    rows = pl.concat(there)
    return rows[shuffle.sample(range(len(rows)), len(rows))]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(STATES, st.randoms(use_true_random=False), st.sampled_from([1, 2, 32]))
def test_update_clusters_arrivals_changes_and_removals_equal_clustering_anew(states, shuffle, partners):
    chosen = DuplicateSettings(partners=partners, bounds=NARROW)
    before, clusters = [0] * len(IDS), CLUSTERED.to_frame()
    for state in states:
        prints = in_state(state, shuffle).lazy()
        moved = [(new, old) for new, old in zip(state, before)]
        new_ids = IDS.filter(pl.Series([new not in (0, old) for new, old in moved]))
        gone_ids = IDS.filter(pl.Series([old not in (0, new) for new, old in moved]))
        clusters = update_clusters(prints, clusters, new_ids, gone_ids, chosen)
        assert clusters.equals(clustered(prints, chosen))
        before = state


def of_one_bucket(sketches: dict[str, list[int]]) -> pl.DataFrame:
    """Documents that share every band, preferred in the order given."""
    return pl.DataFrame(
        {
            "doc_id": list(sketches),
            "corpus": "a",
            "snapshot": "1",
            "num_chars": range(len(sketches), 0, -1),
            "licence": None,
            "text_hash": list(sketches),
            "bands": [[*range(13), 100 + number] for number in range(len(sketches))],
            "sketch": [np.array(hashes, np.uint32).tobytes() for hashes in sketches.values()],
        },
        schema=PRINTS,
    )


def test_update_clusters_partner_of_a_full_bucket_leaves_others_are_compared():
    chosen = DuplicateSettings(partners=1)
    prints = of_one_bucket({"first": [1, 2], "second": [3, 4, 5, 6], "third": [3, 4, 5, 6]})
    before = clustered(prints.lazy(), chosen)
    assert before.is_empty()  # the third is compared with the first only
    now = prints.filter(pl.col("doc_id") != "first").lazy()
    after = update_clusters(now, before, pl.Series([], dtype=pl.String), pl.Series(["first"]), chosen)
    assert after.rows() == [
        ("second", "a", "1", "second", None, None, None),
        ("third", "a", "1", "second", "second", "near_duplicate", 1.0),
    ]


def test_update_clusters_far_from_what_moved_reads_no_sketch():
    prints = made_up_prints(3, 60)
    clusters = clustered(prints.lazy())
    unread = prints.with_columns(sketch=pl.lit(None, pl.Binary))
    new = prints.head(1).with_columns(
        doc_id=pl.lit("new"), text_hash=pl.lit("new"), bands=pl.lit([], pl.List(pl.Int64))
    )
    nothing = pl.Series([], dtype=pl.String)
    assert update_clusters(pl.concat([unread, new]).lazy(), clusters, pl.Series(["new"]), nothing).equals(clusters)


def test_update_clusters_kept_document_leaves_the_next_takes_its_place():
    words = [f"w{number}" for number in range(100)]
    texts = [" ".join(words), " ".join([*words[1:], "x"]), " ".join([*words[2:], "y", "z"]), " ".join(words).upper()]
    prints = (
        prints_of(dict(zip("abcd", texts)))
        .with_columns(
            corpus=pl.lit("c"), snapshot=pl.lit("1"), licence=pl.lit("MIT"), num_chars=pl.Series([9, 8, 7, 6])
        )
        .select(PRINTS.names())
    )
    before = clustered(prints.lazy())
    assert before["cluster"].to_list() == ["a"] * 4
    now = prints.filter(pl.col("doc_id") != "a").lazy()
    after = update_clusters(now, before, pl.Series([], dtype=pl.String), pl.Series(["a"]))
    assert after.select("doc_id", "kept_doc_id", "reason").rows() == [
        ("b", None, None),
        ("c", "b", "near_duplicate"),
        ("d", "b", "near_duplicate"),
    ]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"snapshot": "2024-10", "num_chars": 5}, {"snapshot": "2025-01", "num_chars": 9}),
        ({"num_chars": 9, "licence": None}, {"num_chars": 5, "licence": "CC0-1.0"}),
        ({"licence": "MIT", "doc_id": "z"}, {"licence": None, "doc_id": "a"}),
        ({"doc_id": "a"}, {"doc_id": "z"}),
    ],
)
def test_clustered_two_of_the_same_words_keep_the_preferred(better, worse):
    fields = {"corpus": "c", "snapshot": "1", "num_chars": 5, "licence": "MIT"}
    texts = fingerprint(pl.Series(["some words", "Some words!"]))
    rows = pl.DataFrame([fields | {"doc_id": "n"} | better, fields | {"doc_id": "m"} | worse]).hstack(texts)
    found = clustered(rows.select(PRINTS.names()).reverse().lazy()).drop_nulls("kept_doc_id")
    assert found["kept_doc_id"].to_list() == [better.get("doc_id", "n")]


@pytest.mark.parametrize(
    ("licence", "rank"),
    [
        ("CC0-1.0", 0),
        ("public domain", 0),
        ("PDDL-1.0", 0),
        ("CC-BY-4.0", 1),
        ("MIT", 1),
        ("Apache-2.0 and CC0", 1),
        ("CC BY-SA 3.0", 2),
        ("GPL-2.0-or-later and MIT", 2),
        ("LGPL-3.0", 2),
        ("MPL-2.0", 2),
        ("CC-BY-NC-SA-4.0", 3),
        ("CC-BY-ND-4.0", 3),
        ("research use", 3),
        ("submit", 4),
        ("", 4),
        (None, 4),
    ],
)
def test_licence_rank_names_in_use_are_ranked_by_their_least_free_part(licence, rank):
    assert licence_rank(licence) == rank


def test_clustered_doc_id_twice_is_refused():
    prints = of_one_bucket({"a": [1]})
    with pytest.raises(ValueError, match="more than once"):
        clustered(pl.concat([prints, prints]).lazy())
