"""Why a document is where it is, and samples of what was dropped for a reason: for reading by eye."""

from __future__ import annotations

import duckdb

from resources.catalog import open_catalog
from resources.lake import Lake
from tier_assets.l1_filtered.rules import RULES

SHOWN_CHARS = 400


def why(lake: Lake, doc_id: str) -> str:
    """The document's way through the tiers: where it is kept, where it was dropped, by what, and its text.

    Raises:
        ValueError: no document of the lake has this id.
    """
    with open_catalog(lake) as catalog:
        raw = _rows(
            catalog, "SELECT corpus, snapshot, uri, content_type, num_bytes FROM l0_raw WHERE doc_id = ?", doc_id
        )
        if not raw:
            raise ValueError(f"no document of this lake has the id {doc_id!r}; ids are in l0_raw")
        lines = [f"{doc_id} of {raw[0][0]}@{raw[0][1]}: {raw[0][2]} ({raw[0][3]}, {raw[0][4]:,} bytes)"]
        for tier, table in (("l1", "l1_filtered"), ("l2", "l2_selected")):
            if _rows(catalog, f"SELECT 1 FROM {table} WHERE doc_id = ?", doc_id):
                lines.append(f"{tier}: kept")
            lines += _verdicts(catalog, tier, doc_id)
        lines += [*_verdicts(catalog, "l3", doc_id), *_verdicts(catalog, "l4", doc_id)]
        query = "SELECT extractor, language, num_chars, edits, text FROM l1_texts WHERE doc_id = ? AND text IS NOT NULL"
        for extractor, language, num_chars, edits, text in _rows(catalog, query, doc_id):
            lines.append(f"text: {num_chars:,} characters, {language}, by {extractor}, {len(edits)} edits")
            lines.append(_head(text))
    return "\n".join(lines)


def _verdicts(catalog: duckdb.DuckDBPyConnection, tier: str, doc_id: str) -> list[str]:
    query = """
        SELECT reason, detail, kept_doc_id, similarity, record_id FROM verdicts
        WHERE tier = ? AND doc_id = ? ORDER BY record_id, reason"""
    lines = []
    for reason, detail, kept, similarity, record in _rows(catalog, query, tier, doc_id):
        what = f"record {record} dropped" if record else "dropped"
        lines.append(f"{tier}: {what}: {reason}" + (f" ({detail})" if detail else ""))
        lines += [f"    rule of {rule.source}" for rule in RULES if tier == "l1" and rule.reason == reason][:1]
        if kept:
            measure = "cosine" if tier == "l2" else "Jaccard"
            lines.append(f"    kept in its place: {kept}, {measure} {similarity:.2f}")
            for (text,) in _rows(catalog, "SELECT text FROM l1_texts WHERE doc_id = ?", kept):
                lines.append(f"    {_head(text)}")
    return lines


def sample(lake: Lake, reason: str, tier: str, corpus: str | None, count: int) -> str:
    """Documents of a tier dropped for `reason`, `count` of them, always the same: id, value that decided, text.

    Raises:
        ValueError: nothing was dropped for that reason; the message lists the reasons there are.
    """
    with open_catalog(lake) as catalog:
        query = """
            SELECT v.doc_id, v.corpus, v.snapshot, v.detail, v.kept_doc_id, coalesce(v.reply, t.text, '')
            FROM verdicts v LEFT JOIN l1_texts t USING (corpus, snapshot, doc_id)
            WHERE v.tier = ? AND v.reason = ? AND coalesce(v.corpus = ?, true)
            ORDER BY md5(v.doc_id || coalesce(v.record_id, '')) LIMIT ?"""
        found = _rows(catalog, query, tier, reason, corpus, count)
        if not found:
            known = "SELECT DISTINCT reason FROM verdicts WHERE tier = ? AND coalesce(corpus = ?, true) ORDER BY reason"
            reasons = ", ".join(name for (name,) in _rows(catalog, known, tier, corpus))
            raise ValueError(f"nothing was dropped at {tier} for {reason!r}; reasons there: {reasons or 'none'}")
    lines = []
    for doc_id, name, snapshot, detail, kept, text in found:
        lines.append(f"--- {doc_id} of {name}@{snapshot}: {reason}" + (f" ({detail})" if detail else ""))
        lines += [f"kept in its place: {kept}"] if kept else []
        lines.append(_head(text))
    return "\n".join(lines)


def _rows(catalog: duckdb.DuckDBPyConnection, query: str, *values: object) -> list[tuple]:
    return catalog.execute(query, list(values)).fetchall()


def _head(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARS else line[:SHOWN_CHARS] + " ..."


__all__ = ["sample", "why"]
