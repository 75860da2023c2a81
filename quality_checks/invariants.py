"""What must hold between tables, a tuple of values a tier.

In goes the lake and one partition, out comes one finding an invariant. Each invariant is a function that gives the
failing rows as a lazy frame of (key, found); everything runs on ids, lazily and streamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quality_checks import accounts, evidence, loop, refinement, scores, slice_audit
from quality_checks.accounts import Failing
from quality_checks.check_result import MAX_FAILING_KEYS, Finding, Partition, Severity
from resources.lake import Lake


@dataclass(frozen=True)
class Invariant:
    """`failing(lake, tier, partition)` gives a row of (key, found) for each way in which the partition breaks it."""

    failing: Failing
    reason: str
    severity: Severity = "error"

    @property
    def name(self) -> str:
        """The function's name, which says what holds."""
        return self.failing.__name__


EVERY_TIER = (
    Invariant(accounts.ids_are_unique_in_the_lake, "an id names one row of the whole table"),
    Invariant(accounts.ledger_counts_rows, "rows in = rows kept + rows with a verdict"),
    Invariant(accounts.verdicts_are_unique, "one verdict a (tier, doc_id, record_id)"),
    Invariant(accounts.verdicts_have_reasons, "a reason is a name, such as too_few_words"),
    Invariant(accounts.nothing_is_kept_and_rejected, "a row is kept or rejected, not both"),
    Invariant(
        accounts.commits_are_finished, "files that no ledger row names were left by a kill or put by hand", "warn"
    ),
)
FROM_PARENT = (
    Invariant(accounts.documents_have_parents, "every row and verdict has its row in the tier below"),
    Invariant(accounts.parents_are_accounted_for, "every row of the tier below is kept or rejected"),
)
LOOP = (
    Invariant(loop.references_hold_their_ancestors_out, "what a reference is made from leaves the pool"),
    Invariant(loop.held_out_documents_are_not_probed, "selection must not find the reference itself"),
    Invariant(loop.held_out_documents_bear_no_influence, "selection must not find the reference itself"),
    Invariant(loop.held_out_documents_are_not_drawn, "training must not see the reference"),
    Invariant(loop.influence_is_the_score_of_the_model_in_force, "what selected a row stands beside it"),
    Invariant(loop.mixture_weights_sum_to_one, "weights are shares of the arm's tokens"),
    Invariant(loop.stages_keep_a_control_arm, "without a random arm no benefit can be measured"),
    Invariant(loop.documents_are_drawn_once, "an arm draws a document once in a run's stages"),
    Invariant(loop.influence_is_fresh, "influence is that of the model as it is now", "warn"),
    Invariant(loop.influence_drifts_slowly, "models of two checkpoints rank documents alike", "warn"),
)
REFINEMENT = (
    Invariant(refinement.spans_lie_in_their_documents, "a record leads to the text that it was made from"),
    Invariant(refinement.spans_are_of_their_sources, "what the model saw is named among the sources"),
    Invariant(refinement.records_have_their_parents, "a record made from another can be followed back to it"),
    Invariant(refinement.edits_have_records, "an operation belongs to a record or to a rejected candidate"),
    Invariant(refinement.edits_give_the_text, "an edited text is its parent and the operations, to the letter"),
    Invariant(refinement.some_candidates_survive, "a model that loses every candidate is not read or asked rightly"),
    Invariant(
        refinement.every_task_keeps_something, "a task whose candidates are all rejected costs for nothing", "warn"
    ),
    Invariant(refinement.languages_are_refined, "a gate that is harder on one language is blind in it", "warn"),
    Invariant(refinement.topics_are_refined, "a gate that is harder on one topic is blind in it", "warn"),
    Invariant(
        refinement.records_are_as_varied_as_their_sources, "a model that repeats itself teaches little else", "warn"
    ),
)
INVARIANTS: Mapping[str, tuple[Invariant, ...]] = {
    "l0": (
        *EVERY_TIER,
        Invariant(accounts.sources_are_registered, "every record was read from a registered file"),
    ),
    "l1": (
        *EVERY_TIER,
        *FROM_PARENT,
        Invariant(accounts.duplicates_name_a_kept_row, "what a duplicate was dropped for is still there", "warn"),
        Invariant(slice_audit.some_documents_survive, "a corpus that loses all its documents is read wrongly"),
        Invariant(slice_audit.most_documents_survive, "rules that take most of a corpus need a look", "warn"),
        Invariant(slice_audit.languages_survive, "a rule that is harder on one language is blind in it", "warn"),
        Invariant(slice_audit.rare_words_survive, "a rule that takes rare words whole takes a subject", "warn"),
    ),
    "l2": (
        *EVERY_TIER,
        *FROM_PARENT,
        Invariant(accounts.moves_are_unique, "a document moves once a round"),
        Invariant(accounts.moves_give_the_membership, "the moves alone reproduce l2"),
        Invariant(accounts.what_is_out_of_policy_has_left, "what is marked descends from a document that left l2"),
        Invariant(scores.documents_have_one_quality, "a document without a score cannot be selected"),
        Invariant(scores.scores_are_unique, "one score a document and scorer"),
        Invariant(scores.scores_are_on_their_scales, "ratings go from 0 to 5, shares and margins from 0 to 1"),
        Invariant(scores.quality_is_the_score_that_selected, "what selected a row stands beside it"),
        Invariant(
            scores.scorers_know_every_document, "a document that a scorer passes over is out of its reach", "warn"
        ),
        Invariant(scores.policies_are_known, "each selected row names its policy", "warn"),
        Invariant(scores.annotations_lie_in_their_documents, "texts changed since they were annotated", "warn"),
        Invariant(scores.embeddings_have_length_one, "similarities are products of embeddings", "warn"),
        *LOOP,
    ),
    "l3": (
        *EVERY_TIER,
        Invariant(accounts.parents_are_accounted_for, "every l2 document has a record or a verdict"),
        Invariant(accounts.records_have_selected_sources, "records in policy are made from l2 documents"),
        Invariant(accounts.records_have_lineage, "every derived row knows its parents"),
        *REFINEMENT,
    ),
    "l4": (
        *EVERY_TIER,
        Invariant(accounts.parents_are_accounted_for, "every l2 document has a fact or a verdict"),
        Invariant(evidence.facts_have_parents, "every derived row knows its parents"),
        Invariant(evidence.facts_have_documents, "a fact leads to a document's text"),
        Invariant(evidence.facts_and_evidence_agree, "a fact stands by its evidence"),
        Invariant(evidence.quotes_are_in_the_text, "a quote is the text, to the letter"),
        Invariant(evidence.evidence_names_its_bytes, "a fact leads to the l0 byte range"),
    ),
}


def run_invariants(lake: Lake, tier: str, partition: Partition) -> list[Finding]:
    """Judge the partition by its tier's invariants; one finding each, in their order."""
    return [_run(invariant, lake, tier, partition) for invariant in INVARIANTS[tier]]


def _run(invariant: Invariant, lake: Lake, tier: str, partition: Partition) -> Finding:
    rows = invariant.failing(lake, tier, partition).collect(engine="streaming")
    first = rows.sort("key", "found").head(MAX_FAILING_KEYS)
    found = f"; found {first['found'][0]}" if first.height else ""
    keys = tuple(first["key"].to_list())
    return Finding(invariant.name, invariant.severity, rows.height, keys, invariant.reason + found)
