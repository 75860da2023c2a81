"""Reference sets: which items, in which domains, and which documents leave the pool for them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from algorithms.held_out import role
from tier_assets.m2_influence.near_items import NEAR, near_items
from tier_assets.m2_influence.references import Held, Settings, build, read_items
from tier_tables import HELD_OUT, REFERENCE_ITEMS, REFERENCE_SETS

START = datetime(2025, 1, 1, tzinfo=UTC)
NOTHING_ASKED = REFERENCE_SETS.empty()
DOMAINS = ("web", "mail", "law")
SMALL = Settings(items=12, window_chars=200)
DERIVED = {"item_id": pl.String, "text": pl.String, "doc_ids": pl.List(pl.String)}


def words(seed: str, count: int = 120) -> str:
    """A text that shares no 5-gram with another seed's."""
    return " ".join(f"word{n}{seed}" for n in range(count))


def pool(count: int = 400, domains: tuple[str, ...] = DOMAINS) -> pl.DataFrame:
    """Documents d0, d1, ... in turn of the domains, all of one partition."""
    return pl.DataFrame(
        {
            "doc_id": [f"d{n}" for n in range(count)],
            "corpus": ["c"] * count,
            "snapshot": ["s"] * count,
            "domain": [domains[n % len(domains)] for n in range(count)],
            "text": [words(str(n)) for n in range(count)],
        }
    )


def held_by(pages: pl.DataFrame, batch: int = 64, **changes: Any) -> Held:
    """A lake's documents; each is rated by its number."""
    number = pages["doc_id"].str.extract(r"(\d+)").cast(pl.Float64)
    held = Held(
        documents=pages.select("doc_id", "corpus", "snapshot", "domain", num_chars=pl.col("text").str.len_chars()),
        ratings=pages.select("doc_id").with_columns(quality=number),
        records=pl.LazyFrame(schema=DERIVED),
        facts=pl.LazyFrame(schema=DERIVED),
        texts=lambda rows: pages.join(rows.select("doc_id"), on="doc_id", how="semi"),
        pool=list(pages.select("doc_id", "corpus", "snapshot", "text").iter_slices(batch)),
    )
    return replace(held, **changes)


def asked(*rows: tuple[str, str, str], items: Iterable[dict[str, Any]] = ()) -> pl.DataFrame:
    """Rows of reference_sets (role, name, source), one after the other."""
    given = [{"role": r, "name": n, "source": s, "items": list(items) if s == "file" else [], "added_at": START}
             for r, n, s in rows]  # fmt: skip
    return pl.DataFrame(given, schema=REFERENCE_SETS.schema)


def of_role(items: pl.DataFrame, name: str) -> pl.DataFrame:
    return items.filter(pl.col("role") == name)


def test_default_reference_is_the_best_of_the_rated_documents_held_out_for_it() -> None:
    items, _ = build(NOTHING_ASKED, held_by(pool()), seed=0)
    rated = [f"d{n}" for n in range(400) if role(f"d{n}") == "reference"]
    best = sorted(rated, key=lambda i: -int(i[1:]))[: round(0.3 * len(rated))]
    reference = of_role(items, "reference")
    assert sorted(reference["item_id"]) == sorted(best)
    assert reference["doc_ids"].to_list() == [[i] for i in reference["item_id"]]
    assert reference["name"].unique().to_list() == ["rated"]


def test_default_guard_has_the_domains_alike_of_documents_held_out_for_it() -> None:
    texts = pool(900, ("web", "web", "web", "web", "mail", "law"))
    items, _ = build(NOTHING_ASKED, held_by(texts), seed=0, settings=SMALL)
    guard = of_role(items, "guard")
    assert guard["domain"].value_counts().sort("domain").rows() == [("law", 4), ("mail", 4), ("web", 4)]
    assert {role(i) for i in guard["item_id"]} == {"general"}


def test_rows_are_those_of_the_tables_with_one_version() -> None:
    items, held_out = build(NOTHING_ASKED, held_by(pool()), seed=0)
    assert (items.schema, held_out.schema) == (REFERENCE_ITEMS.schema, HELD_OUT.schema)
    assert items["reference_version"].n_unique() == 1
    assert held_out["reference_version"].unique().to_list() == items["reference_version"].unique().to_list()
    assert not items.select(REFERENCE_ITEMS.key).is_duplicated().any()


def test_same_lake_gives_the_same_rows_in_any_order_and_batches() -> None:
    texts = pool()
    first = build(NOTHING_ASKED, held_by(texts), seed=3, settings=SMALL)
    again = build(NOTHING_ASKED, held_by(texts.sample(fraction=1, shuffle=True, seed=1), 7), seed=3, settings=SMALL)
    assert all(one.equals(other) for one, other in zip(first, again))
    other = build(NOTHING_ASKED, held_by(texts), seed=4, settings=SMALL)
    assert other[0]["item_id"].to_list() != first[0]["item_id"].to_list()
    assert other[0]["reference_version"][0] != first[0]["reference_version"][0]


def test_version_is_that_of_items_and_roles() -> None:
    held = held_by(pool())
    items = [{"item_id": "a", "domain": None, "text": "x"}]

    def version(rows: list[tuple[str, str, str]], given: list[dict[str, Any]]) -> str:
        return str(build(asked(*rows, items=given), held, seed=0)[0]["reference_version"][0])

    as_reference = version([("reference", "mine", "file")], items)
    assert version([("reference", "mine", "file")], items) == as_reference
    assert version([("guard", "mine", "file")], items) != as_reference
    assert version([("reference", "mine", "file")], [items[0] | {"text": "y"}]) != as_reference


def test_version_tells_which_role_an_item_has() -> None:
    a, b, c = ({"item_id": i, "domain": "x", "text": i} for i in "abc")

    def version(guard: list[dict[str, str]], reference: list[dict[str, str]]) -> str:
        rows = [asked(("guard", "mine", "file"), items=guard), asked(("reference", "mine", "file"), items=reference)]
        return str(build(pl.concat(rows), held_by(pool()), seed=0)[0]["reference_version"][0])

    assert version([a, b], [c]) != version([a], [b, c])


def test_windows_are_cut_from_anywhere_in_the_text_at_a_word() -> None:
    texts = pool().with_columns(
        pl.col("doc_id").map_elements(lambda i: words(i, 2_000), return_dtype=pl.String).alias("text")
    )
    items, _ = build(NOTHING_ASKED, held_by(texts), seed=0, settings=SMALL)
    whole = items.join(texts, left_on="item_id", right_on="doc_id")
    starts = [text_right.index(text) for text, text_right in whole.select("text", "text_right").iter_rows()]
    assert items["text"].str.len_chars().max() <= SMALL.window_chars
    assert items["text"].str.len_chars().min() > SMALL.window_chars - 40
    assert max(starts) > 10_000
    assert len(set(starts)) > len(starts) // 2
    assert all(text.startswith("word") for text in items["text"])


@pytest.mark.parametrize(("items", "chars"), [(1, 50), (3, 150), (1_000, 200)])
def test_windows_of_few_items_are_longer(items: int, chars: int) -> None:
    file = [{"item_id": "a", "domain": None, "text": "x" * 10_000}]
    settings = Settings(items=items, window_chars=50)
    found, _ = build(asked(("reference", "a", "file"), items=file), held_by(pool()), 0, settings)
    assert of_role(found, "reference")["text"].str.len_chars().to_list() == [chars]


def test_last_request_of_a_role_counts() -> None:
    rows = asked(("reference", "first", "general"), ("reference", "second", "general"), ("guard", "g", "rated"))
    items, _ = build(rows.with_columns(added_at=pl.col("added_at") + pl.duration(seconds=pl.int_range(3))),
                     held_by(pool()), seed=0)  # fmt: skip
    assert items.select("role", "name").unique().sort("role").rows() == [("guard", "g"), ("reference", "second")]
    earlier = rows.with_columns(added_at=pl.col("added_at") - pl.duration(seconds=pl.int_range(3)))
    assert of_role(build(earlier, held_by(pool()), seed=0)[0], "reference")["name"].unique().to_list() == ["first"]


def derived(count: int = 100) -> pl.LazyFrame:
    """Records r0, r1, ...: rN of the documents dN and d(N+1)."""
    rows = [{"item_id": f"r{n}", "text": words(f"r{n}"), "doc_ids": [f"d{n}", f"d{n + 1}"]} for n in range(count)]
    return pl.LazyFrame(rows, schema=DERIVED)


@pytest.mark.parametrize(("source", "column"), [("l3_refined", "records"), ("l4_facts", "facts")])
@pytest.mark.parametrize(("of", "kept"), [("reference", "reference"), ("guard", "general")])
def test_records_and_facts_are_held_out_by_their_id_with_all_their_documents(
    source: str, column: str, of: str, kept: str
) -> None:
    items, held_out = build(asked((of, "mine", source)), held_by(pool(), **{column: derived()}), seed=0)
    mine = items.filter(pl.col("name") == "mine")
    wanted = [f"r{n}" for n in range(100) if role(f"r{n}") == kept]
    assert sorted(mine["item_id"]) == sorted(wanted)
    parents = {f"d{int(i[1:]) + step}" for i in wanted for step in (0, 1)}
    ancestors = held_out.filter((pl.col("reason") == "ancestor") & pl.col("item_id").str.starts_with("r"))
    others = set(items.filter(pl.col("name") != "mine")["item_id"])
    assert parents - others <= set(ancestors["doc_id"]) <= parents
    domain_of = dict(zip(pool()["doc_id"], pool()["domain"]))
    assert mine["domain"].to_list() == [domain_of[f"d{i[1:]}"] for i in mine["item_id"]]


def test_ancestor_that_left_the_lake_is_not_held_out() -> None:
    gone = pl.LazyFrame([{"item_id": f"r{n}", "text": "x", "doc_ids": ["gone"]} for n in range(100)], schema=DERIVED)
    items, held_out = build(asked(("reference", "mine", "l3_refined")), held_by(pool(), records=gone), seed=0)
    assert "gone" not in held_out["doc_id"]
    assert of_role(items, "reference")["domain"].unique().to_list() == ["mine"]


def test_items_of_a_file_have_no_ancestors_and_their_copies_leave_the_pool() -> None:
    texts = pool()
    copied = next(i for i in texts["doc_id"] if role(i) == "pool")
    text = texts.filter(pl.col("doc_id") == copied)["text"][0]
    given = [{"item_id": "a", "domain": "exam", "text": text}, {"item_id": "b", "domain": None, "text": words("new")}]
    items, held_out = build(asked(("reference", "mine", "file"), items=given), held_by(texts), seed=0)
    reference = of_role(items, "reference")
    assert reference.select("item_id", "domain", "doc_ids").rows() == [("a", "exam", []), ("b", "mine", [])]
    found = held_out.filter(pl.col("item_id").is_in(["a", "b"]))
    assert found.select("doc_id", "reason", "item_id", "similarity").rows() == [(copied, "near_duplicate", "a", 1.0)]


def test_document_is_held_out_once_and_as_an_ancestor_first() -> None:
    texts = pool().with_columns(text=pl.when(pl.col("doc_id") == "d399").then(pl.lit(words("398"))).otherwise("text"))
    _, held_out = build(NOTHING_ASKED, held_by(texts), seed=0)
    assert not held_out["doc_id"].is_duplicated().any()
    ancestors = held_out.filter(pl.col("reason") == "ancestor")
    assert ancestors["similarity"].null_count() == ancestors.height
    assert {role(i) for i in ancestors["doc_id"]} == {"reference", "general"}


@pytest.mark.parametrize(
    ("rows", "changes", "count", "message"),
    [
        ([], {}, 60, "no reference set can be made: .* rate about 80 documents"),
        ([("reference", "a", "general")], {}, 30, "documents are held out for it, 8 are needed; ingest more"),
        ([("guard", "a", "l4_facts")], {}, 400, "0 of 0 rows of l4_facts are held out, 8 are needed; materialise"),
        ([("reference", "a", "l3_refined")], {"records": derived(20)}, 400, "of 20 rows of l3_refined are held out"),
        ([("reference", "a", "file")], {}, 400, "the file's set holds no items"),
        ([("exam", "a", "general")], {}, 400, "unknown role 'exam' of 'a'; known: .*guard"),
        ([("guard", "a", "web")], {}, 400, "unknown source 'web' of 'a'; known: .*general"),
        ([], {"texts": lambda rows: pl.DataFrame(schema={"doc_id": pl.String, "text": pl.String})}, 400, "no text for"),
    ],
)
def test_too_little_is_refused_and_says_what_to_do(
    rows: list[tuple[str, str, str]], changes: dict[str, Any], count: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build(asked(*rows), held_by(pool(count), **changes), seed=0)


# --- near duplicates -----------------------------------------------------------------------------------------------


def documents(*texts: str) -> list[pl.DataFrame]:
    return [pl.DataFrame([{"doc_id": f"d{n}", "corpus": "c", "snapshot": "s", "text": t}]) for n, t in enumerate(texts)]


def naive(item: str, text: str) -> float:
    """The share of the item's distinct 5-grams, word by word."""
    grams = [{tuple(t.lower().split()[i : i + 5]) for i in range(len(t.split()) - 4)} for t in (item, text)]
    return round(len(grams[0] & grams[1]) / len(grams[0]), 4)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.49, 0.51, 0.6, 1.0])
def test_near_item_is_found_from_the_threshold_on(share: float) -> None:
    item = words("item", 104)
    page = f"{words('before', 50)} {' '.join(item.split()[: 4 + round(100 * share)])} {words('after', 300)}"
    found = near_items(pl.DataFrame({"item_id": "i", "text": item}), documents(page, words("other")), 0.5)
    assert naive(item, page) == share
    assert found.select("doc_id", "item_id", "similarity").rows() == ([("d0", "i", share)] if share >= 0.5 else [])


def test_near_item_with_words_changed_here_and_there_is_found() -> None:
    item = words("item", 200)
    changed = " ".join("other" if n % 12 == 5 else word for n, word in enumerate(item.split()))
    found = near_items(pl.DataFrame({"item_id": "i", "text": item}), documents(changed.upper()), 0.5)
    assert found["similarity"].to_list() == [naive(item, changed)]
    assert 0.5 < found["similarity"][0] < 0.7


def test_near_item_that_is_repeated_most_is_named() -> None:
    items = pl.DataFrame({"item_id": ["a", "b"], "text": [words("a") + " " + words("c", 20), words("a")]})
    found = near_items(items, documents(words("a")), 0.5)
    assert found.rows() == [("d0", "c", "s", "b", 1.0)]


def test_near_items_of_an_empty_pool_or_of_short_items_are_none() -> None:
    items = pl.DataFrame({"item_id": "i", "text": "five words are too few"})
    assert near_items(items, [], 0.5).schema == NEAR
    assert near_items(items, documents("five words are too few"), 0.5).is_empty()
    assert near_items(items, documents("", "?"), 0.5).is_empty()


# --- files of items ------------------------------------------------------------------------------------------------


def test_file_of_items_is_read_in_order(tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    rows = [{"id": "a", "text": "x", "domain": "law", "more": 1}, {"id": 7, "text": "y", "domain": None}]
    file.write_text("\n\n".join(json.dumps(row) for row in rows))
    assert read_items(file).rows() == [("a", "law", "x"), ("7", None, "y")]
    given = REFERENCE_SETS.schema["items"]
    assert pl.Series([read_items(file).to_dicts()], dtype=given).dtype == given


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no json", "line 2 of items.jsonl is no JSON"),
        ("[" * 100_000, "line 2 of items.jsonl is no JSON"),
        ("[1]", "line 2 of items.jsonl is no object"),
        ('{"text": "x"}', "line 2 of items.jsonl: `id` is a text or a whole number, not None"),
        ('{"id": true, "text": "x"}', "`id` is a text or a whole number, not True"),
        ('{"id": "", "text": "x"}', "`id` is a text"),
        ('{"id": "b"}', "line 2 of items.jsonl: `text` is missing or empty"),
        ('{"id": "b", "text": " "}', "`text` is missing or empty"),
        ('{"id": "b", "text": "x", "domain": 3}', "`domain` is a text, not 3"),
        ('{"id": "a", "text": "x"}', "line 2 of items.jsonl: the id 'a' stands twice"),
    ],
)
def test_file_with_a_wrong_line_is_refused_and_names_it(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "items.jsonl"
    file.write_text('{"id": "a", "text": "x"}\n' + line + "\n")
    with pytest.raises(ValueError, match=message):
        read_items(file)


def test_file_without_items_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    file.write_text("\n")
    with pytest.raises(ValueError, match="holds no item"):
        read_items(file)
    with pytest.raises(FileNotFoundError):
        read_items(tmp_path / "none.jsonl")
