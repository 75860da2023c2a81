"""The last check results of the whole lake as one HTML page that opens offline: no script, no font, no link outside.

In go check results, out comes the page: a table of tiers by partitions, then every failed check with its keys, then
each tier's checks with what they expect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from quality_checks.check_result import CheckResult, partition_key
from quality_checks.judge import all_last_results
from resources.lake import Lake
from tier_tables import MAIN_TABLES, TIERS

STYLE = """
:root { color-scheme: light dark; --line: #8884; --ok: #2b7a3d; --warn: #9a6700; --bad: #c0392b; --soft: #8881 }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
h1 { margin: 0 } h2 { margin-top: 2.5rem } p.note { opacity: .75; margin: .2rem 0 1.5rem }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .6rem; text-align: left; vertical-align: top }
th { font-weight: 600 } td.num { text-align: right; font-variant-numeric: tabular-nums }
.ok { color: var(--ok) } .warn { color: var(--warn) } .bad { color: var(--bad) } .none { opacity: .5 }
.bad, .warn { font-weight: 600 } code { font: 13px ui-monospace, monospace; word-break: break-all }
details { border: 1px solid var(--line); border-radius: 6px; margin: .6rem 0; padding: .5rem .8rem }
summary { cursor: pointer } details table { margin-top: .6rem } .stale { background: var(--soft) }
"""


def write_report(lake: Lake, path: Path | None = None) -> Path:
    """Write the report of the lake's last results; returns where it lies.

    Args:
        lake: the lake.
        path: where to write; `<lake>/reports/checks.html` where it is not given.

    Raises:
        ValueError: the lake is remote and no path was given.
    """
    if path is None:
        if not lake.is_local:
            raise ValueError(f"{lake.root} is remote: name a local path for the report")
        path = Path(lake.root, "reports", "checks.html")
    path.parent.mkdir(parents=True, exist_ok=True)
    results = all_last_results(lake)
    cells = sorted({(r.tier, r.corpus, r.snapshot) for r in results})
    states = {
        (tier, corpus, snapshot): lake.state(MAIN_TABLES[tier].name, {"corpus": corpus, "snapshot": snapshot})
        for tier, corpus, snapshot in cells
    }
    waiting = path.with_suffix(".html.tmp")
    waiting.write_text(render(results, states, lake.root, datetime.now(UTC)), encoding="utf-8")
    return waiting.replace(path)


def render(results: Sequence[CheckResult], states: Mapping[tuple[str, str, str], str], root: str, now: datetime) -> str:
    """The page.

    Args:
        results: the last result of every check, in order.
        states: (tier, corpus, snapshot) -> fingerprint of the files as they stand; another one marks a result stale.
        root: the lake, as its heading.
        now: time of writing.
    """
    failed = [r for r in results if not r.passed]
    blocking = sum(r.blocks for r in failed)
    verdict = (
        _span("bad", f"{blocking} blocking checks failed")
        if blocking
        else _span("ok" if results else "none", "No blocking check failed" if results else "Nothing was judged yet")
    )
    stale = {(r.tier, r.corpus, r.snapshot) for r in results if states.get((r.tier, r.corpus, r.snapshot)) != r.state}
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Checks of {escape(root)}</title><style>{STYLE}</style></head><body>",
            f"<h1>{verdict}</h1>",
            f'<p class="note">{len(results)} checks, {len(failed) - blocking} warnings, '
            f"written {now:%Y-%m-%d %H:%M} UTC, lake <code>{escape(root)}</code></p>",
            _overview(results, stale),
            _failures(failed),
            *(_tier(tier, [r for r in results if r.tier == tier]) for tier in TIERS),
            "</body></html>\n",
        ]
    )


def _span(kind: str, text: str) -> str:
    return f'<span class="{kind}">{escape(text)}</span>'


def _verdict(results: Sequence[CheckResult]) -> str:
    """One cell: the worst of these results, in words."""
    blocking = [r for r in results if r.blocks]
    warned = [r for r in results if not r.passed and not r.blocks]
    if blocking:
        return _span("bad", f"✗ {len(blocking)} of {len(results)} failed")
    if warned:
        return _span("warn", f"! {len(warned)} of {len(results)} warn")
    return _span("ok", f"✓ {len(results)} passed") if results else _span("none", "not judged")


def _overview(results: Sequence[CheckResult], stale: set[tuple[str, str, str]]) -> str:
    by_cell: dict[tuple[str, str, str], list[CheckResult]] = {}
    for result in results:
        by_cell.setdefault((result.tier, result.corpus, result.snapshot), []).append(result)
    partitions = sorted({(corpus, snapshot) for _, corpus, snapshot in by_cell})
    head = "".join(f"<th>{escape(MAIN_TABLES[tier].name)}</th>" for tier in TIERS)
    rows = []
    for corpus, snapshot in partitions:
        cells = ""
        for tier in TIERS:
            cell = (tier, corpus, snapshot)
            mark = ' class="stale" title="changed since it was judged"' if cell in stale else ""
            note = " <small>(changed since)</small>" if cell in stale else ""
            cells += f"<td{mark}>{_verdict(by_cell.get(cell, []))}{note}</td>"
        key = partition_key({"corpus": corpus, "snapshot": snapshot})
        rows.append(f"<tr><th>{escape(key)}</th>{cells}</tr>")
    return f"<h2>Tiers and partitions</h2><table><tr><th>partition</th>{head}</tr>{''.join(rows)}</table>"


def _failures(failed: Sequence[CheckResult]) -> str:
    if not failed:
        return "<h2>What failed</h2><p>Nothing.</p>"
    columns = ("tier", "partition", "check", "severity", "rows", "failing keys", "expected and found")
    head = "".join(f"<th>{c}</th>" for c in columns)
    rows = []
    for r in sorted(failed, key=lambda r: not r.blocks):
        more = f" and {r.num_failed - len(r.failing_keys)} more" if r.num_failed > len(r.failing_keys) else ""
        key = partition_key({"corpus": r.corpus, "snapshot": r.snapshot})
        keys = ", ".join(f"<code>{escape(k)}</code>" for k in r.failing_keys)
        rows.append(
            f"<tr><td>{escape(r.tier)}</td><td>{escape(key)}</td>"
            f"<td>{escape(r.check)}</td><td>{_span('bad' if r.blocks else 'warn', r.severity)}</td>"
            f'<td class="num">{r.num_failed}</td><td>{keys}{more}</td><td>{escape(r.detail)}</td></tr>'
        )
    return f"<h2>What failed</h2><table><tr>{head}</tr>{''.join(rows)}</table>"


def _tier(tier: str, results: Sequence[CheckResult]) -> str:
    """All checks of a tier, one line each over all its partitions; folded, since most pass."""
    by_check: dict[str, list[CheckResult]] = {}
    for result in results:
        by_check.setdefault(result.check, []).append(result)
    rows = "".join(
        f"<tr><td>{escape(check)}</td><td>{escape(found[0].severity)}</td>"
        f'<td class="num">{sum(r.passed for r in found)} of {len(found)}</td>'
        # What was found stands in the table of failures; the expectation is the same for all partitions.
        f"<td>{escape(found[0].detail.split('; found ')[0])}</td></tr>"
        for check, found in by_check.items()
    )
    head = "<tr><th>check</th><th>severity</th><th>partitions passed</th><th>expected</th></tr>"
    name = MAIN_TABLES[tier].name
    return (
        f"<details><summary><b>{escape(name)}</b>: {_verdict(results)}</summary><table>{head}{rows}</table></details>"
    )
