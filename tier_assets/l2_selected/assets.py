"""L2 in Dagster, partition by partition: documents are embedded, scored by what is in force, and selected."""

from dataclasses import dataclass

import dagster as dg
import numpy as np
import polars as pl

from resources.dagster_resources import Gate
from resources.encoder_resource import GpuEncoder
from resources.lake import Lake
from resources.progress import bar
from resources.report import described, materialisation
from resources.step import Step, code_version, reads_of
from resources.vectors import open_vectors
from tier_assets.l2_selected import embed, learn_assets
from tier_assets.l2_selected.cascade import out_of_policy
from tier_assets.l2_selected.in_force import Fit, InForce, in_force, load_fit
from tier_assets.l2_selected.rollback import restore
from tier_assets.l2_selected.samples import needs_vectors
from tier_assets.l2_selected.scoring import RULE_MARGIN, in_long_form, score_batch, scorers_of
from tier_assets.l2_selected.select import Selection, membership_at, select
from tier_assets.partitions import backfill, corpora, partition_of
from tier_assets.rounds import Round, round_in_force
from tier_tables.training import OUT_OF_POLICY

BATCH_ROWS = 2_048
FLUSH_BATCHES = 64  # rows of all scorers that wait to be written: some 130,000 documents
RETRY = dg.RetryPolicy(max_retries=2, delay=5)
Partition = dict[str, str]


def embeddings_inputs(partition: Partition) -> dict[str, Partition]:
    """What embedding a partition reads."""
    return {"l1_filtered": partition}


def embeddings_version(encoder: GpuEncoder) -> str:
    """Version of the embedding: the encoder."""
    return code_version("l2_embeddings", 1, encoder.identity)


@dg.asset(
    deps=["l1_filtered"],
    partitions_def=corpora,
    backfill_policy=backfill,
    group_name="l2_selected",
    kinds={"delta", "torch"},
    metadata=described("embeddings"),
    pool="gpu",
    retry_policy=RETRY,
)
def l2_embeddings(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], encoder: GpuEncoder, gate: dg.ResourceParam[Gate]
) -> None:
    """Sentence embeddings of every document; a text that was embedded before is not again."""
    for key in context.partition_keys:
        partition = partition_of(key)
        gate.require("l2", **partition)
        reads = reads_of(lake, embeddings_inputs(partition))
        version = embeddings_version(encoder)
        with Step(lake, "l2", "l2_embeddings", partition, context.run.run_id, version, reads) as step:
            if encoder.enabled:
                rows, embedded = embed_partition(lake, step, partition, encoder, key)
                step.counts(rows_in=rows, rows_kept=rows)
                context.add_asset_metadata(
                    {"dagster/row_count": rows, "embedded": embedded, "encoder": encoder.open().name},
                    asset_key="l2_embeddings",
                    partition_key=key,
                )


def embed_partition(lake: Lake, step: Step, partition: Partition, encoder: GpuEncoder, key: str) -> tuple[int, int]:
    """Embed the partition's texts that are new, keep the embeddings of those that stayed; documents, and new ones."""
    model = encoder.open()
    stage = step.stage("embeddings", encoder=model.name)
    known = lake.scan("embeddings", {"encoder": model.name, **partition}).select("doc_id", "text_hash").collect()
    columns = ["doc_id", "corpus", "snapshot", "text"]
    hashes = [known.clear()]
    for batch in lake.batches("l1_filtered", partition, columns, BATCH_ROWS):
        hashes.append(batch.select("doc_id", embed.text_hash(batch["text"])))
    now = pl.concat(hashes)
    valid = known.join(now, on=["doc_id", "text_hash"], how="semi")
    missing = now.join(valid, on="doc_id", how="anti")
    if missing.is_empty() and len(valid) == len(known) and len(known):
        step.carry()
        return len(now), 0
    extends = len(valid) == len(known)
    if not extends:
        old = lake.scan("embeddings", {"encoder": model.name, **partition})
        stage.write(old.join(valid.lazy(), on="doc_id", how="semi"))
    done = 0
    with bar(f"embedding {key}", len(missing)) as move:
        for batch in lake.batches("l1_filtered", partition, columns, BATCH_ROWS):
            new = batch.join(missing, on="doc_id", how="semi")
            stage.write(embed.embed_batch(new, known_vectors(), model))
            move(done := done + len(new))
    step.commit(stage, "extend" if extends and len(known) else "replace")
    return len(now), len(missing)


def known_vectors() -> pl.DataFrame:
    """None: what is known was sorted out before."""
    return pl.DataFrame(schema={"doc_id": pl.String, "text_hash": pl.String, "vector": pl.List(pl.Float32)})


def pair_in_force(lake: Lake) -> InForce | None:
    """Fit and policy in force; None before the first verification."""
    try:
        return in_force(lake)
    except ValueError:
        return None


def encoder_name(encoder: GpuEncoder) -> str:
    """Name of the encoder's slices of `embeddings`; opening costs no model."""
    return encoder.open().name if encoder.enabled else "off"


def scores_inputs(partition: Partition, encoder: GpuEncoder) -> dict[str, Partition]:
    """What scoring a partition reads; the fit enters the version."""
    return {"l1_filtered": partition, "embeddings": {"encoder": encoder_name(encoder), **partition}}


def scores_version(lake: Lake, encoder: GpuEncoder) -> str:
    """Version of the scores: the fit in force and the encoder."""
    pair = pair_in_force(lake)
    return code_version("l2_scores", 3, pair.fit if pair else None, encoder.identity)


@dg.asset(
    deps=["l1_filtered", "l2_embeddings", "l2_verification"],
    partitions_def=corpora,
    backfill_policy=backfill,
    group_name="l2_selected",
    kinds={"delta"},
    metadata=described("l2_scores"),
    pool="gpu",
    retry_policy=RETRY,
)
def l2_scores(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], encoder: GpuEncoder, gate: dg.ResourceParam[Gate]
) -> None:
    """Every document's scores by the fit in force: quality, its dimensions, perplexity, topics, the rules' margin."""
    fit = load_fit(lake, in_force(lake).fit)
    for key in context.partition_keys:
        partition = partition_of(key)
        gate.require("l2", **partition)
        reads = reads_of(lake, scores_inputs(partition, encoder))
        version = scores_version(lake, encoder)
        with Step(lake, "l2", "l2_scores", partition, context.run.run_id, version, reads) as step:
            total = score_partition(lake, step, partition, fit, encoder, key)
            step.counts(rows_in=total, rows_kept=total)
        scores = lake.scan("l2_scores", {"scorer": "quality", **partition}).select("score").collect()["score"]
        context.add_asset_metadata(
            materialisation(step.all_counts(), pl.DataFrame({"reason": [], "count": []}), pl.DataFrame(), scores),
            asset_key="l2_scores",
            partition_key=key,
        )


def score_partition(lake: Lake, step: Step, partition: Partition, fit: Fit, encoder: GpuEncoder, key: str) -> int:
    """Write every scorer's slice of the partition in one pass over its texts; returns the documents."""
    ids = [batch["doc_id"] for batch in lake.batches("l1_filtered", partition, ["doc_id"], BATCH_ROWS)]
    doc_ids = pl.concat(ids) if ids else pl.Series("doc_id", [], pl.String)
    model = encoder.open() if encoder.enabled else None
    with (
        open_vectors(lake, encoder_name(encoder), partition, doc_ids) as vectors,
        bar(f"scoring {key}", len(doc_ids)) as move,
    ):
        names = (*scorers_of(fit, vectors is not None), RULE_MARGIN)
        versions = versions_of(fit, names)
        # A scorer that is no more leaves no scores behind.
        gone = {s.partition["scorer"] for s in lake.slices("l2_scores", partition) if s.num_rows} - set(names)
        stages = step.stages("l2_scores", "scorer", [*names, *sorted(gone)])
        columns = ["doc_id", "corpus", "snapshot", RULE_MARGIN, "text"]
        done = 0
        for number, batch in enumerate(lake.batches("l1_filtered", partition, columns, BATCH_ROWS), 1):
            held = None if vectors is None else np.asarray(vectors[done : done + len(batch)])
            scores = score_batch(fit, batch["text"], held, model).with_columns(batch[RULE_MARGIN])
            for name, rows in in_long_form(batch, scores, names, versions).items():
                stages[name].write(rows)
                if number % FLUSH_BATCHES == 0:
                    stages[name].close()
            move(done := done + len(batch))
    step.commit_together(list(stages.values()))
    return len(doc_ids)


def versions_of(fit: Fit, names: tuple[str, ...]) -> dict[str, str]:
    """The version of each scorer: its artefact's, or that of the fit that it belongs to."""
    linear = fit.versions["quality"]
    of_linear = dict.fromkeys(fit.linear.names, linear)
    return {name: of_linear.get(name) or fit.versions.get(name) or fit.name for name in names}


def selection_inputs(partition: Partition, encoder: GpuEncoder) -> dict[str, Partition]:
    """What selecting in a partition reads."""
    return {
        "l1_filtered": partition,
        "l2_scores": partition,
        "embeddings": {"encoder": encoder_name(encoder), **partition},
        "influence_scores": partition,
        "influence_rounds": {},
    }


def selection_version(lake: Lake) -> str:
    """Version of the selection: its fit and policy."""
    pair = pair_in_force(lake)
    return code_version("l2_selected", 4, pair and (pair.fit, pair.policy.version))


def candidates_of(lake: Lake, partition: Partition, pair: InForce, now: Round) -> pl.DataFrame:
    """The partition's candidates with quality, bound scores, and influence by the model of round `now`, by doc_id.

    Raises:
        ValueError: the policy names a scorer that the lake does not have; the message lists those it has.
    """
    known = {s.partition["scorer"] for s in lake.slices("l2_scores", partition)}
    if unknown := sorted({pair.policy.scorer, *pair.policy.bound_scorers} - known):
        raise ValueError(f"policy {pair.policy.name!r} names the scorer {unknown[0]!r}; known: {sorted(known)}")
    numbers = ["doc_id", "corpus", "snapshot", "domain", "language", "num_tokens"]
    influence = lake.scan("influence_scores", {"model_version": now.model_version or "none", **partition})
    rows = lake.scan("l1_filtered", partition).select(numbers)
    for name, column in [(pair.policy.scorer, "quality"), *((name, name) for name in pair.policy.bound_scorers)]:
        scores = lake.scan("l2_scores", {"scorer": name, **partition}).select("doc_id", pl.col("score").alias(column))
        rows = rows.join(scores, on="doc_id", how="left")
    rows = rows.join(influence.select("doc_id", influence="score"), on="doc_id", how="left")
    return rows.sort("doc_id").collect()


def select_partition(
    lake: Lake, partition: Partition, pair: InForce, encoder: GpuEncoder, now: Round | None = None
) -> tuple[Selection, pl.DataFrame, int]:
    """What the pair selects of a partition as it stands, its candidates, and the round: that in force, or `now`.

    A rollback restores its members; a partition that had none by then is selected as in any round.
    """
    now = now or round_in_force(lake)
    candidates = candidates_of(lake, partition, pair, now)
    moves = lake.scan("tier_moves", partition).filter(pl.col("round") < now.number).collect()
    previous = membership_at(moves, now.number - 1)
    if now.restores is not None and len(then := membership_at(moves, now.restores)):
        return restore(candidates, then, previous, pair.policy, now.number), candidates, now.number
    if not needs_vectors(pair.policy) or pair.policy.diversity is None:
        return select(candidates, previous, pair.policy, now.number), candidates, now.number
    centroids = load_fit(lake, pair.fit).centroids
    with open_vectors(lake, encoder_name(encoder), partition, candidates["doc_id"]) as vectors:
        return select(candidates, previous, pair.policy, now.number, vectors, centroids), candidates, now.number


@dataclass(frozen=True)
class Retiered:
    """A selection as it was written: what was chosen of which candidates, the round, the ledger's counts."""

    chosen: Selection
    candidates: pl.DataFrame
    round: int
    counts: dict[str, int]


def fallen_children(lake: Lake, partition: Partition, chosen: Selection, round_: int) -> pl.DataFrame:
    """Standing records and facts of the partition whose document `chosen` leaves out, as in `out_of_policy`."""
    records = lake.scan("l3_refined", partition).select("record_id", "source_doc_ids").collect()
    facts = lake.scan("l4_facts", partition).select("fact_id", "doc_id").collect()
    if records.is_empty() and facts.is_empty():
        return OUT_OF_POLICY.empty()
    lineage = lake.scan("lineage", {"child_table": "l4_facts", **partition}).collect()
    before = lake.scan("tier_moves", partition).filter(pl.col("round") < round_).collect()
    moves = pl.concat([before, chosen.moves])
    return out_of_policy(records, facts, lineage, chosen.verdicts, moves, round_)


def retier_partition(lake: Lake, partition: Partition, pair: InForce, encoder: GpuEncoder, run_id: str) -> Retiered:
    """Select in a partition, and write what comes of it as one step; no text is read."""
    reads = reads_of(lake, selection_inputs(partition, encoder))
    chosen, candidates, round_ = select_partition(lake, partition, pair, encoder)
    version = selection_version(lake)
    with Step(lake, "l2", "l2_selected", partition, run_id, version, reads, round_) as step:
        for table, rows, extra in (
            ("verdicts", chosen.verdicts, {"tier": "l2"}),
            ("tier_moves", chosen.moves, {"round": str(round_)}),
            ("out_of_policy", fallen_children(lake, partition, chosen, round_), {}),
            ("l2_selected", chosen.rows, {}),
        ):
            stage = step.stage(table, **extra)
            stage.write(rows)
            step.commit(stage)
        tokens = candidates.select("doc_id", "num_tokens")
        kept_tokens = int(tokens.join(chosen.rows.select("doc_id"), on="doc_id", how="semi")["num_tokens"].sum())
        all_tokens = int(tokens["num_tokens"].sum())
        step.counts(
            rows_in=len(candidates),
            rows_kept=len(chosen.rows),
            rows_rejected=len(chosen.verdicts),
            tokens_in=all_tokens,
            tokens_kept=kept_tokens,
            tokens_rejected=all_tokens - kept_tokens,
        )
    return Retiered(chosen, candidates, round_, step.all_counts())


@dg.asset(
    deps=["l2_scores", "l1_filtered", "l2_embeddings", "influence_scores"],
    partitions_def=corpora,
    backfill_policy=backfill,
    group_name="l2_selected",
    kinds={"delta"},
    metadata=described("l2_selected"),
)
def l2_selected(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], encoder: GpuEncoder, gate: dg.ResourceParam[Gate]
) -> None:
    """L2: documents selected by models. Core pre-training."""
    pair = in_force(lake)
    for key in context.partition_keys:
        partition = partition_of(key)
        gate.require("l2", **partition)
        made = retier_partition(lake, partition, pair, encoder, context.run.run_id)
        best = made.chosen.rows.sort("quality", "doc_id", descending=[True, False]).head(3)
        shown = pl.col("doc_id").is_in(best["doc_id"].implode())
        text = lake.scan("l1_filtered", partition).filter(shown).select("doc_id", "title", "text").collect()
        context.add_asset_metadata(
            materialisation(
                made.counts,
                made.chosen.verdicts.group_by("reason").agg(pl.len().alias("count")),
                best.select("doc_id", "quality", "reason")
                .join(text, on="doc_id", how="left", maintain_order="left")
                .drop("doc_id"),
                made.candidates["quality"],
                policy=pair.policy.version,
                round=made.round,
                promoted=len(made.chosen.moves.filter(to_tier="l2")),
                demoted=len(made.chosen.moves.filter(to_tier="l1")),
            ),
            asset_key="l2_selected",
            partition_key=key,
        )


assets = [*learn_assets.assets, l2_embeddings, l2_scores, l2_selected]
