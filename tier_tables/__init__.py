"""What a row is: every Delta table of the lake, its columns, types, units, keys and partitions."""

from tier_tables.books import CHECK_RESULTS, LINEAGE, MODEL_REPLIES, TIER_LEDGER, VERDICTS, WITHDRAWALS
from tier_tables.contract import ROLES, TIERS, Column, Table
from tier_tables.documents import (
    BENCHMARKS,
    CORPORA,
    L0_RAW,
    L1_CONTAMINATED,
    L1_DUPLICATES,
    L1_FILTERED,
    L1_TEXTS,
    SOURCES,
)
from tier_tables.refinement import (
    EDIT_UNDOS,
    L3_DIVERSITY,
    L3_EDITS,
    L3_REFINED,
    L4_EVIDENCE,
    L4_FACTS,
    TRAINING_USES,
)
from tier_tables.selection import (
    EMBEDDINGS,
    L2_ANNOTATIONS,
    L2_PAGE_LABELS,
    L2_SCORES,
    L2_SELECTED,
    POLICIES,
    SCORERS,
    TIER_MOVES,
    VERIFICATION_CURVES,
    VERIFICATIONS,
)
from tier_tables.training import (
    HELD_OUT,
    INFLUENCE_MODELS,
    INFLUENCE_PROBES,
    INFLUENCE_ROUNDS,
    INFLUENCE_SCORES,
    MIXTURES,
    OUT_OF_POLICY,
    REFERENCE_ITEMS,
    REFERENCE_SETS,
    STAGE_DRAWS,
    STEERING_RUNS,
    TELEMETRY_REFUSED,
    TRAINING_TELEMETRY,
)

TABLES: tuple[Table, ...] = (
    SOURCES,
    CORPORA,
    L0_RAW,
    L1_TEXTS,
    BENCHMARKS,
    L1_CONTAMINATED,
    L1_DUPLICATES,
    WITHDRAWALS,
    L1_FILTERED,
    L2_ANNOTATIONS,
    L2_PAGE_LABELS,
    EMBEDDINGS,
    SCORERS,
    POLICIES,
    VERIFICATIONS,
    VERIFICATION_CURVES,
    L2_SCORES,
    L2_SELECTED,
    TIER_MOVES,
    L3_REFINED,
    L3_EDITS,
    EDIT_UNDOS,
    L3_DIVERSITY,
    TRAINING_USES,
    L4_FACTS,
    L4_EVIDENCE,
    VERDICTS,
    LINEAGE,
    TIER_LEDGER,
    CHECK_RESULTS,
    MODEL_REPLIES,
    TRAINING_TELEMETRY,
    TELEMETRY_REFUSED,
    STEERING_RUNS,
    REFERENCE_SETS,
    REFERENCE_ITEMS,
    HELD_OUT,
    INFLUENCE_PROBES,
    INFLUENCE_MODELS,
    INFLUENCE_SCORES,
    INFLUENCE_ROUNDS,
    OUT_OF_POLICY,
    MIXTURES,
    STAGE_DRAWS,
)
MAIN_TABLES = {"l0": L0_RAW, "l1": L1_FILTERED, "l2": L2_SELECTED, "l3": L3_REFINED, "l4": L4_FACTS}


def table(name: str) -> Table:
    """The table called `name`.

    Raises:
        ValueError: no such table; the message lists the known ones.
    """
    for known in TABLES:
        if known.name == name:
            return known
    raise ValueError(f"unknown table {name!r}; known: {sorted(t.name for t in TABLES)}")


__all__ = ["MAIN_TABLES", "ROLES", "TABLES", "TIERS", "Column", "Table", "table"]
