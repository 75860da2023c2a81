"""A small sound lake of two partitions through all tiers, and a way to plant bad rows in it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import polars as pl

from resources.lake import Lake
from tier_assets.l2_selected.policy import POLICIES
from tier_tables import MAIN_TABLES, TABLES, table

NEWS = {"corpus": "news", "snapshot": "2024"}
MAIL = {"corpus": "mail", "snapshot": "2024"}
TEXTS = {f"d{n}": f"Zürich 😀 number {n} lies on the Limmat." for n in range(6)}
QUOTE = "lies on the Limmat"
START = TEXTS["d0"].index(QUOTE)


def small_lake(root: str) -> Lake:
    """Six documents of `news` (four in l1, three in l2, two records, three facts) and one of `mail`."""
    lake = Lake(root)
    for partition, rows in ((NEWS, news_rows()), (MAIL, mail_rows())):
        for tier, described in MAIN_TABLES.items():
            own = {name: frame for name, frame in rows.items() if name.split("/")[0] in WRITTEN_BY[tier]}
            slices = [name for name in own if not name.startswith("verdicts/") or name == f"verdicts/{tier}"]
            kept, rejected = rows[described.name].height, own.get(f"verdicts/{tier}", pl.DataFrame()).height
            write(lake, tier, described.name, partition, {n: own[n] for n in slices}, kept, rejected)
    sources = pl.DataFrame(
        [{"source_id": f"src-{p['corpus']}", **p, "uri": "a", "path": "a", "num_bytes": 1} for p in (NEWS, MAIL)]
    )
    lake.append("sources", fill("sources", sources))
    return lake


WRITTEN_BY = {
    "l0": ("l0_raw", "verdicts"),
    "l1": ("l1_filtered", "verdicts"),
    "l2": ("l2_scores", "embeddings", "l2_selected", "tier_moves", "verdicts"),
    "l3": ("l3_refined", "lineage", "verdicts"),
    "l4": ("l4_facts", "l4_evidence", "lineage", "verdicts"),
}


def write(
    lake: Lake,
    tier: str,
    step: str,
    partition: Mapping[str, str],
    frames: Mapping[str, pl.DataFrame],
    kept: int,
    rejected: int,
) -> None:
    """Write the frames (`table`, or `table/value of its first partition column`) and the step's ledger row."""
    outputs = []
    for name, frame in frames.items():
        table_name, _, first = name.partition("/")
        described = table(table_name)
        first_column = described.partition_by[0]
        wanted = partition if first_column == "corpus" else {first_column: first, **partition}
        if table_name == "lineage" and first != step:
            continue
        named = frame if first_column in frame.columns else frame.with_columns(pl.lit(first).alias(first_column))
        written = lake.replace(table_name, wanted, fill(table_name, named))
        outputs.append(
            {"table": written.table, "slice": written.slice, "version": written.version, "token": written.token}
        )
    counts = {"rows_in": kept + rejected, "rows_kept": kept, "rows_rejected": rejected, "tokens_kept": kept * 10}
    zeros = dict.fromkeys(("tokens_in", "tokens_rejected", "prompt_tokens", "cached_prompt_tokens", "output_tokens"), 0)
    lake.finish(
        {"tier": tier, "step": step, **partition, "run_id": "test", "output_versions": outputs, **counts, **zeros}
    )


def plant(
    lake: Lake, name: str, change: Callable[[pl.DataFrame], pl.DataFrame], partition: Mapping[str, str] = NEWS
) -> None:
    """Replace a slice by its changed rows, through a step of its own, so that readers see them."""
    table_name, _, first = name.partition("/")
    described = table(table_name)
    wanted = (
        dict(partition) if described.partition_by[0] == "corpus" else {described.partition_by[0]: first, **partition}
    )
    rows = change(lake.scan(table_name, wanted).collect())
    written = lake.replace(table_name, wanted, rows)
    output = {"table": written.table, "slice": written.slice, "version": written.version, "token": written.token}
    lake.finish({"tier": "l0", "step": "planted", **partition, "output_versions": [output]})


def fill(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with every column of the table: what is absent is null or, where null is not allowed, a harmless value."""
    described = table(name)
    harmless = {pl.String: "x", pl.Int64: 1, pl.Float64: 0.5}
    missing = [
        pl.lit(None if c.nullable else harmless.get(c.dtype), c.dtype).alias(c.name)
        for c in described.columns
        if c.name not in rows.columns
    ]
    return rows.with_columns(missing).select(pl.col(c).cast(t) for c, t in described.schema.items())


def documents(ids: list[str], partition: Mapping[str, str]) -> pl.DataFrame:
    return pl.DataFrame({"doc_id": ids}, schema={"doc_id": pl.String}).with_columns(
        pl.lit(partition["corpus"]).alias("corpus"), pl.lit(partition["snapshot"]).alias("snapshot")
    )


def raw_rows(texts: Mapping[str, str], partition: Mapping[str, str]) -> pl.DataFrame:
    raws = [f"<p>{t}</p>".encode() for t in texts.values()]
    return documents(list(texts), partition).with_columns(
        raw=pl.Series(raws, dtype=pl.Binary),
        raw_sha256=pl.Series([hashlib.sha256(r).hexdigest() for r in raws]),
        num_bytes=pl.Series([len(r) for r in raws]),
        byte_offset=pl.int_range(pl.len()) * 100,
        source_id=pl.lit(f"src-{partition['corpus']}"),
    )


def text_rows(texts: Mapping[str, str], partition: Mapping[str, str]) -> pl.DataFrame:
    return documents(list(texts), partition).with_columns(
        text=pl.Series(list(texts.values())),
        language=pl.lit("en"),
        num_chars=pl.Series([len(t) for t in texts.values()]),
        edits=pl.lit([], dtype=table("l1_filtered").schema["edits"]),
    )


def selected_rows(
    ids: list[str], quality: list[float], rounds: list[int], partition: Mapping[str, str]
) -> pl.DataFrame:
    return documents(ids, partition).with_columns(
        quality=pl.Series(quality), round=pl.Series(rounds), policy=pl.lit(POLICIES["best_half"].version)
    )


def score_rows(ids: list[str], scores: list[float], partition: Mapping[str, str]) -> pl.DataFrame:
    return documents(ids, partition).with_columns(score=pl.Series(scores))


def embedding_rows(ids: list[str], partition: Mapping[str, str]) -> pl.DataFrame:
    return documents(ids, partition).with_columns(vector=pl.Series([[0.6, -0.8]] * len(ids)))


def annotate(lake: Lake, ids: list[str], starts: list[int], ends: list[int]) -> None:
    """Replace the lake's annotations by windows of documents of `news`."""
    rows = documents(ids, NEWS).with_columns(char_start=pl.Series(starts), char_end=pl.Series(ends))
    written = lake.replace("l2_annotations", {}, fill("l2_annotations", rows))
    output = {"table": written.table, "slice": written.slice, "version": written.version, "token": written.token}
    lake.finish({"tier": "l2", "step": "l2_annotations", "output_versions": [output]})


def evidence_rows(facts: Mapping[str, str], raw: pl.DataFrame, partition: Mapping[str, str]) -> pl.DataFrame:
    return (
        documents(list(facts.values()), partition)
        .with_columns(
            fact_id=pl.Series(list(facts)),
            char_start=pl.lit(START),
            char_end=pl.lit(START + len(QUOTE)),
            quote=pl.lit(QUOTE),
        )
        .join(raw.select("doc_id", "byte_offset", "num_bytes"), on="doc_id", how="left")
    )


def record_rows(sources: Mapping[str, list[str]], partition: Mapping[str, str]) -> pl.DataFrame:
    turns = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "On the Limmat."}]
    spans = [[{"doc_id": d, "char_start": 0, "char_end": 6} for d in found] for found in sources.values()]
    return documents([s[0] for s in sources.values()], partition).with_columns(
        record_id=pl.Series(list(sources)),
        source_doc_ids=pl.Series(list(sources.values())),
        messages=pl.Series([turns] * len(sources), dtype=table("l3_refined").schema["messages"]),
        source_spans=pl.Series(spans, dtype=table("l3_refined").schema["source_spans"]),
        levels=pl.Series([[1]] * len(sources)),
        verification_level=pl.lit(1),
    )


def lineage_rows(parents: list[tuple[str, str, str]], child: str, partition: Mapping[str, str]) -> pl.DataFrame:
    return pl.DataFrame(
        [{"child_table": child, **partition, "child_id": c, "parent_table": t, "parent_id": p} for c, t, p in parents]
    )


def news_rows() -> dict[str, pl.DataFrame]:
    """Table (or `table/first partition value`) -> rows of `news`."""
    raw = raw_rows(TEXTS, NEWS)
    kept = ["d0", "d1", "d2", "d3"]
    l2 = selected_rows(["d0", "d1", "d2"], [3.5, 3.25, 3.0], [1, 1, 2], NEWS)
    facts = {"f0": "d0", "f1": "d1", "f2": "gone"}
    return {
        "l0_raw": raw,
        "verdicts/l1": documents(["d4", "d5"], NEWS).with_columns(
            tier=pl.lit("l1"), reason=pl.Series(["too_few_words", "duplicate"]), kept_doc_id=pl.Series([None, "d0"])
        ),
        "l1_filtered": text_rows({d: TEXTS[d] for d in ("d0", "d1", "d2", "d3")}, NEWS),
        "verdicts/l2": documents(["d3"], NEWS).with_columns(tier=pl.lit("l2"), reason=pl.lit("demoted_quality")),
        "l2_scores/quality": score_rows(kept, [3.5, 3.25, 3.0, 1.0], NEWS),
        "l2_scores/perplexity": score_rows(kept, [6.5, 7.25, 6.0, 11.0], NEWS),
        "embeddings/made_up": embedding_rows(kept, NEWS),
        "l2_selected": l2,
        "tier_moves/1": documents(["d0", "d1", "d3"], NEWS).with_columns(round=pl.lit(1), to_tier=pl.lit("l2")),
        "tier_moves/2": documents(["d2", "d3"], NEWS).with_columns(round=pl.lit(2), to_tier=pl.Series(["l2", "l1"])),
        "verdicts/l3": documents(["d0"], NEWS).with_columns(
            tier=pl.lit("l3"), record_id=pl.lit("r9"), reason=pl.lit("not_grounded")
        ),
        "l3_refined": record_rows({"r0": ["d0"], "r1": ["d1", "d2", "m0"]}, NEWS),
        "lineage/l3_refined": lineage_rows(
            [("r0", "l2_selected", "d0"), *(("r1", "l2_selected", d) for d in ("d1", "d2", "m0"))], "l3_refined", NEWS
        ),
        "verdicts/l4": documents(["d0", "d2"], NEWS).with_columns(
            tier=pl.lit("l4"), record_id=pl.Series(["f9", None]), reason=pl.Series(["quote_not_found", "no_candidate"])
        ),
        "l4_facts": documents(list(facts.values()), NEWS).with_columns(
            fact_id=pl.Series(list(facts)), state=pl.Series(["verified", "verified", "withdrawn"])
        ),
        "l4_evidence": evidence_rows(facts, raw, NEWS).with_columns(pl.col("byte_offset", "num_bytes").fill_null(0)),
        "lineage/l4_facts": lineage_rows(
            [("f0", "l1_filtered", "d0"), ("f1", "l3_refined", "r1"), ("f2", "l1_filtered", "gone")], "l4_facts", NEWS
        ),
    }


def mail_rows() -> dict[str, pl.DataFrame]:
    """One document that goes all the way, without a verdict."""
    texts = {"m0": TEXTS["d0"]}
    raw = raw_rows(texts, MAIL)
    return {
        "l0_raw": raw,
        "l1_filtered": text_rows(texts, MAIL),
        "l2_scores/quality": score_rows(["m0"], [4.0], MAIL),
        "l2_selected": selected_rows(["m0"], [4.0], [1], MAIL),
        "tier_moves/1": documents(["m0"], MAIL).with_columns(round=pl.lit(1), to_tier=pl.lit("l2")),
        "l3_refined": record_rows({"mr0": ["m0"]}, MAIL),
        "lineage/l3_refined": lineage_rows([("mr0", "l2_selected", "m0")], "l3_refined", MAIL),
        "l4_facts": documents(["m0"], MAIL).with_columns(fact_id=pl.lit("mf0"), state=pl.lit("verified")),
        "l4_evidence": evidence_rows({"mf0": "m0"}, raw, MAIL),
        "lineage/l4_facts": lineage_rows([("mf0", "l2_selected", "m0")], "l4_facts", MAIL),
    }


__all__ = ["MAIL", "NEWS", "TABLES", "plant", "small_lake"]
