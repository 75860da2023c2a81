"""The checks as Dagster shows them: for each tier's main asset a blocking suite and blocking invariants.

Each run judges every partition key it holds, records what it found in `check_results`, and reports each partition
with a table of all checks: failing keys and numbers in the metadata. Where a blocking check failed, the evaluation
fails with severity ERROR and stops what is downstream in the run. Where only warnings did, it passes with severity
WARN and says them: Dagster shows every failed evaluation in red, whatever its severity.
"""

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import dagster as dg
from dagster import AssetCheckEvaluation

# Not among Dagster's public names; dagster is pinned.
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData

from quality_checks.check_result import CheckResult
from quality_checks.judge import judge_invariants, judge_suite, record
from resources.lake import Lake
from tier_tables import MAIN_TABLES

Judge = Callable[[Lake, str, str, str], list[CheckResult]]
JUDGES: Final[tuple[tuple[str, Judge, str], ...]] = (
    ("suite", judge_suite, "great-expectations: what each row and the partition must be"),
    ("invariants", judge_invariants, "what must hold between tables: parents, accounts, identities, evidence"),
)
MAX_NAMED: Final = 3  # failed checks named in the description, which has one line on the page
# great-expectations' type and arguments, at the end of what is expected: `check_results` keeps them.
EXPECTATION: Final = re.compile(r" \[expect_\w+\(.*\)\](?=; found |$)", re.DOTALL)
COLUMNS: Final = dg.TableSchema(
    columns=[
        dg.TableColumn("check", "string", "name of the check"),
        dg.TableColumn("severity", "string", "error blocks the next tier, warn only tells"),
        dg.TableColumn("passed", "bool", "whether no row failed"),
        dg.TableColumn("num_failed", "int", "failing rows"),
        dg.TableColumn("failing_keys", "string", "keys of up to 20 failing rows"),
        dg.TableColumn("detail", "string", "what is expected and found"),
    ]
)


def build_checks(partitions_def: dg.PartitionsDefinition) -> list[dg.AssetChecksDefinition]:
    """`<tier>_suite` and `<tier>_invariants` of every tier's main asset; they take the resource `lake`."""
    with warnings.catch_warnings():
        # Partitioned checks are a preview feature in Dagster 1.13; the warning would show at every load.
        warnings.filterwarnings(
            "ignore", message="Specifying a partitions_def on an AssetCheckSpec", category=dg.PreviewWarning
        )
        return [
            _build_check(tier, kind, judge, description, partitions_def)
            for tier in MAIN_TABLES
            for kind, judge, description in JUDGES
        ]


def _build_check(
    tier: str, kind: str, judge: Judge, description: str, partitions_def: dg.PartitionsDefinition
) -> dg.AssetChecksDefinition:
    @dg.asset_check(  # type: ignore[arg-type]  # typed for one result; the op takes a generator of evaluations
        asset=MAIN_TABLES[tier].name,
        name=f"{tier}_{kind}",
        description=description,
        blocking=True,
        required_resource_keys={"lake"},
        partitions_def=partitions_def,
    )
    def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.Output | AssetCheckEvaluation]:
        lake: Lake = context.resources.lake
        # One AssetCheckResult would stand for the whole run; an evaluation a partition shows each on its own.
        yield dg.Output(None)
        for key in context.op_execution_context.partition_keys:
            corpus, _, snapshot = key.partition("@")
            results = judge(lake, tier, corpus, snapshot)
            record(lake, results, context.run.run_id)
            yield _as_evaluation(context, key, results)

    return check


def _as_evaluation(
    context: dg.AssetCheckExecutionContext, key: str, results: Sequence[CheckResult]
) -> AssetCheckEvaluation:
    (spec,) = context.check_specs
    failed = [r for r in results if not r.passed]
    blocking = [r for r in failed if r.blocks]
    return AssetCheckEvaluation(
        asset_key=spec.asset_key,
        check_name=spec.name,
        passed=not blocking,
        severity=dg.AssetCheckSeverity.ERROR if blocking or not failed else dg.AssetCheckSeverity.WARN,
        blocking=spec.blocking,
        partition=key,
        description=_description(results),
        metadata={
            "num_checks": len(results),
            "num_failed_checks": len(blocking),
            "num_warnings": len(failed) - len(blocking),
            "num_failing_rows": sum(r.num_failed for r in failed),
            "failing_keys": dg.MetadataValue.json({r.check: list(r.failing_keys) for r in failed}),
            "checks": dg.MetadataValue.table(records=[_as_record(r) for r in results], schema=COLUMNS),
            "state": results[0].state,
        },
        target_materialization_data=_last_materialization(context, spec.asset_key, key),
    )


def _description(results: Sequence[CheckResult]) -> str:
    """One line: the checks that failed, errors first, and in how many rows; or that all passed."""
    failed = sorted((r for r in results if not r.passed), key=lambda r: not r.blocks)
    said = [f"{'' if r.blocks else 'warning: '}{r.check} ({r.num_failed})" for r in failed[:MAX_NAMED]]
    more = [f"{len(failed) - MAX_NAMED} more"] if len(failed) > MAX_NAMED else []
    return "; ".join(said + more) or f"{len(results)} checks passed"


def _as_record(result: CheckResult) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "check": result.check,
            "severity": result.severity,
            "passed": result.passed,
            "num_failed": result.num_failed,
            "failing_keys": ", ".join(result.failing_keys),
            "detail": EXPECTATION.sub("", result.detail),
        }
    )


def _last_materialization(
    context: dg.AssetCheckExecutionContext, asset: dg.AssetKey, key: str
) -> AssetCheckEvaluationTargetMaterializationData | None:
    """What was judged, so that the page shows a result as out of date after the next materialisation."""
    wanted = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[key])
    records = context.instance.fetch_materializations(wanted, limit=1).records
    if not records:
        return None
    last = records[0]
    return AssetCheckEvaluationTargetMaterializationData(
        storage_id=last.storage_id, run_id=last.event_log_entry.run_id, timestamp=last.timestamp
    )
