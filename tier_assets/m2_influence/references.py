"""What influence is measured on: the reference (to become better at) and the guard (not to become worse at), and the
documents that leave the pool for it.

In: what was asked for (rows of `reference_sets`; "rated" and "general" where nothing was) and what the lake holds. Out:
rows of `reference_items`, and of `held_out`: the items' ancestors, and documents that repeat a large share of an item.
Where such a document stayed in the pool, selection would find the reference itself.

    rated        the best 30% of the rated documents that `algorithms.held_out` gives the reference
    general      documents that it gives the general set, domains alike
    l3_refined   records that it holds out by their id; their ancestors are their source documents
    l4_facts     facts likewise
    file         items of a file (`read_items`), which have no ancestors

An item is a window of its document: texts differ in length, and the reference must not be one long document. The same
input gives the same rows. Cost: the items' texts, and one pass over the pool's (`near_items.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from algorithms import held_out
from tier_assets.m2_influence.near_items import near_items
from tier_tables import HELD_OUT, REFERENCE_ITEMS

ROLES: Final = {"reference": "rated", "guard": "general"}  # and what serves where nothing was asked for
SOURCES: Final = ("rated", "general", "l3_refined", "l4_facts", "file")
# The reference is the best 30% of the held-out rated documents; where these are few, up to half of them.
BEST_SHARE: Final = 0.3
MIN_RATED_DOCUMENTS: Final = 16
MIN_ITEMS: Final = 8
# Where items are few, a window is up to this many times as long, so that there is as much text.
MAX_STRETCH: Final = 4
ITEM: Final = ("item_id", "domain", "text", "doc_ids")


@dataclass(frozen=True, slots=True)
class Settings:
    """`items` of each role at most, each of `window_chars` (about 400 tokens). A document that holds `near_share` of an
    item's distinct word 5-grams leaves the pool."""

    items: int = 256
    window_chars: int = 1_600
    # Pages of one form (a table of facts a country) share .3 to .5 of their 5-grams: .3 held out whole corpora.
    near_share: float = 0.5


DEFAULT: Final = Settings()


@dataclass(frozen=True, slots=True)
class Held:
    """What a lake holds.

    `documents` [doc_id, corpus, snapshot, domain, num_chars]: L1. `ratings` [doc_id, quality]: of documents by the
    language model. `records` and `facts` [item_id, text, doc_ids]: those in force, with the documents that they descend
    from. `texts` gives [doc_id, text] of some rows of `documents`; `pool` gives the texts of all, in batches [doc_id,
    corpus, snapshot, text].
    """

    documents: pl.DataFrame
    ratings: pl.DataFrame
    records: pl.LazyFrame
    facts: pl.LazyFrame
    texts: Callable[[pl.DataFrame], pl.DataFrame]
    pool: Iterable[pl.DataFrame]


def build(
    requests: pl.DataFrame, held: Held, seed: int, settings: Settings = DEFAULT
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The items of both roles (rows of `reference_items`), and what leaves the pool for them (rows of `held_out`).

    `requests` are rows of `reference_sets`, of which the last of each role counts.

    Raises:
        ValueError: an unknown role or source, or too little to make a set of: what is missing, and what to do.
    """
    sets = []
    for role, name, source, given in _in_force(requests):
        found = _cut(_items(role, source, given, held, seed, settings), settings)
        named = found.with_columns(role=pl.lit(role), name=pl.lit(name), domain=pl.col("domain").fill_null(name))
        sets.append(named.sort("item_id"))
    items = pl.concat([rows.select("role", "name", *ITEM) for rows in sets])
    version = _version(items)
    rows = items.with_columns(reference_version=pl.lit(version))
    return rows.select(pl.col(c).cast(t) for c, t in REFERENCE_ITEMS.schema.items()), _held_out(rows, held, settings)


def read_items(file: Path) -> pl.DataFrame:
    """Items [item_id, domain, text] of a file of JSON Lines {id, text, domain?}; a domain that is not said is null.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line is no such object, an id stands twice, or there is no item; the message names the line.
    """
    rows: dict[str, dict[str, str | None]] = {}
    with open(file, "rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            row = _read_item(line, f"line {number} of {Path(file).name}")
            item_id = str(row["item_id"])
            if item_id in rows:
                raise ValueError(f"line {number} of {Path(file).name}: the id {item_id!r} stands twice")
            rows[item_id] = row
    if not rows:
        raise ValueError(f"{Path(file).name} holds no item; a line is {{id, text, domain?}}")
    return pl.DataFrame(list(rows.values()), schema={"item_id": pl.String, "domain": pl.String, "text": pl.String})


def _read_item(line: bytes, where: str) -> dict[str, str | None]:
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is no JSON: {error}") from error
    if not isinstance(row, dict):
        raise ValueError(f"{where} is no object {{id, text, domain?}}")
    item_id, text, domain = (row.get(name) for name in ("id", "text", "domain"))
    if isinstance(item_id, bool) or not isinstance(item_id, str | int) or item_id == "":
        raise ValueError(f"{where}: `id` is a text or a whole number, not {item_id!r}")
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{where}: `text` is missing or empty")
    if domain is not None and (not isinstance(domain, str) or not domain):
        raise ValueError(f"{where}: `domain` is a text, not {domain!r}")
    return {"item_id": str(item_id), "domain": domain, "text": text}


def _in_force(requests: pl.DataFrame) -> list[tuple[str, str, str, list[dict[str, str]]]]:
    """(role, name, source, items of a file) of each role, in the order of ROLES."""
    asked: dict[str, tuple[str, str, list[dict[str, str]]]] = {
        role: (source, source, []) for role, source in ROLES.items()
    }
    for row in requests.sort("added_at", maintain_order=True).iter_rows(named=True):
        if row["role"] not in ROLES:
            raise ValueError(f"unknown role {row['role']!r} of {row['name']!r}; known: {sorted(ROLES)}")
        if row["source"] not in SOURCES:
            raise ValueError(f"unknown source {row['source']!r} of {row['name']!r}; known: {sorted(SOURCES)}")
        asked[row["role"]] = row["name"], row["source"], row["items"] or []
    return [(role, *found) for role, found in asked.items()]


def _items(
    role: str, source: str, given: list[dict[str, str]], held: Held, seed: int, settings: Settings
) -> pl.DataFrame:
    """[ITEM, start_share]: the set's items with whole texts; where in its text an item's window lies, from 0 to 1."""
    if source == "rated":
        return _windows_of(_in_order(_best_rated(held), "doc_id", seed).head(settings.items), held, seed)
    if source == "general":
        return _windows_of(_general(held, seed, settings), held, seed)
    if source == "file":
        schema = {"item_id": pl.String, "domain": pl.String, "text": pl.String}
        items = pl.DataFrame(given, schema=schema).with_columns(doc_ids=pl.lit([], pl.List(pl.String)))
        _require(items.height, 1, role, "the file's set holds no items", "add it again from a file with some")
        return _in_order(items, "item_id", seed).head(settings.items).with_columns(start_share=pl.lit(0.0))
    return _derived(role, source, held, seed, settings).with_columns(start_share=pl.lit(0.0))


def _best_rated(held: Held) -> pl.DataFrame:
    """Documents: the best of those that are rated and held out for the reference."""
    quality = held.ratings.group_by("doc_id").agg(pl.col("quality").mean()).drop_nulls()
    rated = _with_role(held.documents, "doc_id", "reference").join(quality, on="doc_id")
    _require(
        rated.height,
        MIN_RATED_DOCUMENTS,
        "reference",
        f"{rated.height} rated documents are held out",
        f"rate about {MIN_RATED_DOCUMENTS / held_out.REFERENCE_SHARE:.0f} documents (materialise `l2_annotations` of "
        "more documents), or name a reference of your own",
    )
    count = max(MIN_ITEMS, round(rated.height * BEST_SHARE))
    return rated.sort("quality", "doc_id", descending=[True, False]).head(count)


def _general(held: Held, seed: int, settings: Settings) -> pl.DataFrame:
    """Documents that are held out for the general set, a domain's as many as another's while there are some."""
    rows = _in_order(_with_role(held.documents, "doc_id", "general"), "doc_id", seed)
    _require(
        rows.height,
        MIN_ITEMS,
        "guard",
        f"{rows.height} documents are held out for it",
        f"ingest more (about {MIN_ITEMS / held_out.GENERAL_SHARE:.0f} documents in L1), or name a guard of your own",
    )
    turn = pl.int_range(pl.len()).over("domain")
    return rows.with_columns(turn=turn).sort("turn", "domain").head(settings.items)


def _derived(role: str, source: str, held: Held, seed: int, settings: Settings) -> pl.DataFrame:
    """Records of L3 or facts of L4 that are held out by their id, in the domain of their first document."""
    rows = held.records if source == "l3_refined" else held.facts
    kept = "reference" if role == "reference" else "general"
    every = rows.select("item_id").collect(engine="streaming")
    ids = _in_order(_with_role(every, "item_id", kept), "item_id", seed).head(settings.items)
    _require(
        ids.height,
        MIN_ITEMS,
        role,
        f"{ids.height} of {every.height} rows of {source} are held out",
        f"materialise `{source}` over more documents, or name another source",
    )
    items = rows.join(ids.select("item_id").lazy(), on="item_id", how="semi").collect(engine="streaming")
    domains = held.documents.select("doc_id", "domain")
    first = pl.col("doc_ids").list.first()
    return items.with_columns(doc_id=first).join(domains, on="doc_id", how="left").select(ITEM)


def _require(found: int, needed: int, role: str, what: str, to_do: str) -> None:
    if found < needed:
        raise ValueError(f"no {role} set can be made: {what}, {needed} are needed; {to_do}")


def _with_role(rows: pl.DataFrame, column: str, role: str) -> pl.DataFrame:
    """Rows whose id has this role."""
    return rows.filter(pl.col(column).map_elements(held_out.role, return_dtype=pl.String) == role)


def _in_order(rows: pl.DataFrame, column: str, seed: int) -> pl.DataFrame:
    """The rows in a random order that their ids and the seed give."""
    return rows.with_columns(_share=_shares(rows[column], seed)).sort("_share", column).drop("_share")


def _shares(ids: pl.Series, seed: int) -> pl.Series:
    """A number from 0 to 1 of each id."""
    hashes = [hashlib.blake2b(f"{seed}:{i}".encode(), digest_size=8).digest() for i in ids]
    return pl.Series([int.from_bytes(h, "big") / 2**64 for h in hashes], dtype=pl.Float64)


def _windows_of(documents: pl.DataFrame, held: Held, seed: int) -> pl.DataFrame:
    """[ITEM, start_share] of documents.

    Raises:
        ValueError: one of them has no text.
    """
    texts = held.texts(documents).select("doc_id", "text")
    rows = documents.select("doc_id", "domain").join(texts, on="doc_id", how="left", maintain_order="left")
    if rows["text"].null_count():
        raise ValueError(f"no text for the document {rows.filter(pl.col('text').is_null())['doc_id'][0]}")
    return rows.with_columns(
        item_id=pl.col("doc_id"), doc_ids=pl.concat_list("doc_id"), start_share=_shares(rows["doc_id"], seed)
    ).select(*ITEM, "start_share")


def _cut(items: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """The items with a window of their texts: it begins anywhere that a whole one fits, after a blank."""
    stretch = max(1, min(MAX_STRETCH, settings.items // max(1, items.height)))
    size = settings.window_chars * stretch
    room = (pl.col("text").str.len_chars().cast(pl.Int64) - size).clip(0)
    start = (room * pl.col("start_share")).cast(pl.Int64)
    window = pl.col("text").str.slice(start, size)
    # A script without blanks begins where it begins.
    after_blank = window.str.replace(r"^\S{0,40}\s", "")
    return items.with_columns(text=pl.when(start > 0).then(after_blank).otherwise(window)).select(ITEM)


def _version(items: pl.DataFrame) -> str:
    """Hash of all items and what they are for."""
    digest = hashlib.blake2b(digest_size=8)
    for row in items.sort("role", "item_id").select("role", "name", *ITEM).iter_rows():
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()


def _held_out(items: pl.DataFrame, held: Held, settings: Settings) -> pl.DataFrame:
    """One row a document: that it is an ancestor counts more than what it repeats."""
    place = held.documents.select("doc_id", "corpus", "snapshot")
    ancestors = (
        items.select("item_id", doc_id="doc_ids")
        .explode("doc_id")
        .drop_nulls("doc_id")
        .join(place, on="doc_id")
        .with_columns(reason=pl.lit("ancestor"), similarity=pl.lit(None, pl.Float64))
    )
    others = (batch.join(ancestors, on="doc_id", how="anti", maintain_order="left") for batch in held.pool)
    near = near_items(items.select("item_id", "text"), others, settings.near_share).with_columns(
        reason=pl.lit("near_duplicate")
    )
    version = items["reference_version"][0]
    return (
        pl.concat([ancestors.select(near.columns), near])
        .sort("doc_id", "similarity", "item_id", descending=[False, True, False])
        .unique("doc_id", keep="first", maintain_order=True)
        .with_columns(reference_version=pl.lit(version))
        .select(pl.col(c).cast(t) for c, t in HELD_OUT.schema.items())
    )
