"""The demo lake, made with the real language model: what a newcomer sees, checked row by row."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import duckdb
import polars as pl
import pytest

from tests.demo.conftest import Demo, Run, lake_command

pytestmark = pytest.mark.slow
MAIN = {"l0": "l0_raw", "l1": "l1_filtered", "l2": "l2_selected", "l3": "l3_refined", "l4": "l4_facts"}


def ask(demo: Demo, query: str) -> list[tuple]:
    with duckdb.connect(str(demo.root / "lake.duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_demo_every_tier_has_rows_of_five_corpora(demo: Demo) -> None:
    for table in MAIN.values():
        found = ask(demo, f"SELECT count(*), count(DISTINCT corpus) FROM {table}")[0]
        assert found[0] > 0
        assert found[1] >= 5, table


def test_demo_rows_in_are_kept_plus_verdicts_in_every_tier_and_corpus(demo: Demo) -> None:
    rows = ask(demo, "SELECT tier, corpus, rows_in, rows_kept, rows_rejected FROM funnel")
    assert len(rows) >= 25
    for tier, corpus, rows_in, kept, rejected in rows:
        assert rows_in == kept + rejected
        counted = ask(demo, f"SELECT count(*) FROM {MAIN[tier]} WHERE corpus = '{corpus}'")[0][0]
        verdicts = ask(demo, f"SELECT count(*) FROM verdicts WHERE tier = '{tier}' AND corpus = '{corpus}'")[0][0]
        assert (counted, verdicts) == (kept, rejected), (tier, corpus)


def test_demo_language_model_stays_within_its_share(demo: Demo) -> None:
    query = "SELECT sum(prompt_tokens - cached_prompt_tokens), sum(output_tokens) FROM tier_ledger"
    prompt, output = ask(demo, query)[0]
    assert 0 < prompt <= 200_000
    assert 0 < output <= 60_000


def test_demo_again_redoes_nothing(demo: Demo) -> None:
    before = ask(demo, "SELECT count(*) FROM tier_ledger")
    done = lake_command(demo.root, "demo")
    assert "nothing has changed" in done.stderr
    assert ask(demo, "SELECT count(*) FROM tier_ledger") == before


def test_demo_every_fact_quotes_its_text_and_leads_to_its_bytes(demo: Demo) -> None:
    rows = ask(
        demo,
        """SELECT e.quote, e.char_start, e.char_end, t.text, e.byte_offset, e.num_bytes, r.byte_offset, r.num_bytes,
                  r.raw, r.raw_sha256
           FROM l4_evidence e JOIN l1_filtered t USING (doc_id) JOIN l0_raw r USING (doc_id)""",
    )
    assert len(rows) == ask(demo, "SELECT count(*) FROM l4_evidence")[0][0] > 100
    for quote, start, end, text, offset, size, raw_offset, raw_size, raw, sha256 in rows:
        assert text[start:end] == quote
        assert (offset, size) == (raw_offset, raw_size)
        assert hashlib.sha256(raw).hexdigest() == sha256


def test_trace_three_facts_reach_the_bytes_in_their_files(demo: Demo, run_lake: Run) -> None:
    query = """SELECT fact_id, r.raw, r.byte_offset, r.num_bytes, s.path, s.format
               FROM l4_facts JOIN l0_raw r USING (doc_id) JOIN sources s USING (source_id)
               ORDER BY hash(fact_id) LIMIT 3"""
    for fact_id, raw, offset, size, path, kind in ask(demo, query):
        printed = run_lake("trace", fact_id).stdout
        assert f"from byte {offset} of {demo.root / path}" in printed
        assert "agrees" in printed
        stored = Path(demo.root, path).read_bytes()
        stored = gzip.decompress(stored) if path.endswith(".gz") else stored
        assert stored[offset : offset + size] == raw, kind


def test_trace_unknown_id_is_one_clear_line(run_lake: Run) -> None:
    done = run_lake("trace", "nothing", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == (
        "lake: no fact, record or document has the id 'nothing'; ids are in l4_facts, l3_refined, l0_raw"
    )


def test_check_all_tiers_pass_and_the_report_opens_offline(demo: Demo, run_lake: Run) -> None:
    done = run_lake("check")
    assert "error" not in done.stdout
    page = (demo.root / "reports" / "checks.html").read_text()
    assert "l1_filtered" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_sql_json_lines_and_csv(run_lake: Run) -> None:
    query = "SELECT tier, count(*) AS n FROM verdicts GROUP BY tier ORDER BY tier"
    rows = [json.loads(line) for line in run_lake("sql", query, "--format", "json").stdout.splitlines()]
    assert {"l1", "l2"} <= {row["tier"] for row in rows}
    assert run_lake("sql", query, "--format", "csv").stdout.splitlines()[0] == "tier,n"


def test_search_finds_a_fact_by_its_own_words(demo: Demo, run_lake: Run) -> None:
    statement, fact_id = ask(demo, "SELECT statement, fact_id FROM l4_facts ORDER BY hash(fact_id) LIMIT 1")[0]
    assert fact_id in run_lake("search", statement, "-k", "10").stdout


def test_l3_every_record_is_verified_and_every_reject_keeps_its_reply(demo: Demo) -> None:
    assert ask(demo, "SELECT min(verification_level) FROM l3_refined")[0][0] >= 1
    silent = "SELECT count(*) FROM verdicts WHERE tier = 'l3' AND record_id IS NOT NULL AND reply IS NULL"
    assert ask(demo, silent) == [(0,)]


def test_try_score_and_refine_give_a_line_a_line(demo: Demo, run_lake: Run, tmp_path: Path) -> None:
    texts = ask(demo, "SELECT doc_id, text FROM l2_selected ORDER BY hash(doc_id) LIMIT 4")
    lines = tmp_path / "in.jsonl"
    lines.write_text("".join(json.dumps({"id": i, "text": text[:2000]}) + "\n" for i, text in texts))
    for stage, keys in (("score", {"id", "score", "dimensions"}), ("refine", {"id", "records", "rejected"})):
        run_lake("try", stage, str(lines), "--out", str(tmp_path / "out.jsonl"))
        out = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
        assert [line["id"] for line in out] == [i for i, _ in texts]
        assert all(set(line) == keys for line in out)


def test_scores_of_one_published_fit_compare_over_all_partitions(demo: Demo) -> None:
    versions = ask(demo, "SELECT scorer, count(DISTINCT scorer_version) FROM l2_scores GROUP BY ALL")
    assert {"quality", "quality_encoder", "perplexity", "rule_margin", "topic_science"} <= {
        name for name, _ in versions
    }
    assert {count for _, count in versions} == {1}
    documents = ask(demo, "SELECT count(*) FROM l1_filtered")
    assert ask(demo, "SELECT count(*) FROM l2_scores WHERE scorer = 'quality'") == documents
    scores = pl.Series([s for (s,) in ask(demo, "SELECT score FROM l2_scores WHERE scorer = 'quality'")])
    assert scores.is_between(0, 5).all()
    assert scores.n_unique() > 100


def test_verification_was_trained_stored_and_claims_no_gain(demo: Demo) -> None:
    found = ask(demo, "SELECT settings, gates, num_seeds, reference_error, detail FROM verifications")
    assert [(settings, gates) for settings, gates, *_ in found] == [("smoke", False)]
    _, _, seeds, error, detail = found[0]
    assert seeds >= 2
    assert error > 0
    assert detail.startswith("too small to gate: no gain is claimed")
    arms = ask(demo, "SELECT DISTINCT arm FROM verification_curves WHERE measure = 'reference' ORDER BY ALL")
    assert arms == [("base",), ("candidate",)]


def test_tier_rounds_say_what_a_kept_million_tokens_cost(demo: Demo) -> None:
    rows = ask(demo, "SELECT tier, round, cpu_s, tokens_kept FROM tier_rounds ORDER BY round, tier")
    first = [(tier, 1) for tier in ("l0", "l1", "l2", "l3", "l4")]
    assert [(tier, round_) for tier, round_, *_ in rows] == [*first, ("l2", 2), ("l3", 2), ("l4", 2)]
    assert all(cpu_s > 0 for _, _, cpu_s, _ in rows)


def test_try_annotate_gives_a_distribution_a_line(demo: Demo, run_lake: Run, tmp_path: Path) -> None:
    lines = tmp_path / "in.jsonl"
    lines.write_text(
        "".join(
            json.dumps({"id": i, "text": text}) + "\n"
            for i, text in enumerate(("Water boils at a lower temperature on high mountains.", ""))
        )
    )
    out = [json.loads(line) for line in run_lake("try", "annotate", str(lines)).stdout.splitlines()]
    assert [line["id"] for line in out] == [0, 1]
    for found in out[0]["dimensions"].values():
        assert sum(found["distribution"]) == pytest.approx(1, abs=1e-3)
        assert 0 <= found["rating"] <= 5
    assert out[1]["error"] == "no_text"


def test_select_dry_run_shows_the_margin_and_moves_nothing(demo: Demo, run_lake: Run) -> None:
    before = ask(demo, "SELECT count(*) FROM tier_ledger")
    said = run_lake("select", "--policy", "strict_and_diverse", "--dry-run").stdout
    assert "just kept" in said
    assert "just dropped" in said
    assert "semantic_duplicate" in said
    assert ask(demo, "SELECT count(*) FROM tier_ledger") == before
