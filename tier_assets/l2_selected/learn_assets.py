"""L2's learning in Dagster: a seed is rated, pages are labelled, scorers are learnt from both and judged by training.

These assets have no partitions: one published fit scores every partition, so that scores compare.
"""

import hashlib
import time
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from resources.charts import lines
from resources.dagster_resources import Gate
from resources.encoder_resource import GpuEncoder
from resources.lake import Lake
from resources.language_models.resource import GpuLanguageModel
from resources.progress import bar
from resources.report import described, materialisation, table_of
from resources.step import Staged, Step, code_version, cpu_seconds, reads_of, same_reads
from tier_assets.l2_selected import annotate, learn, page_labels, samples, verify
from tier_assets.l2_selected.draw import draw_seed
from tier_assets.l2_selected.in_force import QUALITY, InForce, adopt, candidates, in_force
from tier_assets.partitions import sound_partitions
from tier_assets.rounds import round_in_force
from tier_tables import VERIFICATION_CURVES, VERIFICATIONS

# Raised when artefacts change: those of older code cannot be read.
FIT_FORMAT = 4
# Documents of L1 that a candidate is tried on.
TRIAL_DOCUMENTS = {"smoke": 2_000, "default": 20_000}
RETRY = dg.RetryPolicy(max_retries=2, delay=5)
Partition = dict[str, str]
Told = dict[str, dg.MetadataValue | str | float | int | bool]


def settings_of(lake: Lake, module):  # type: ignore[no-untyped-def]
    """A module's settings for this lake: `make demo` makes a lake of smoke settings."""
    return module.SMOKE if lake.settings == "smoke" else module.DEFAULT


def annotations_version(lake: Lake, model: GpuLanguageModel) -> str:
    """Version of the rating: model, prompts and settings."""
    settings = settings_of(lake, annotate)
    prompts = [annotate.prompt_version(d) for d in settings.dimensions]
    return code_version("l2_annotations", 2, model.identity, settings, prompts)


@dg.op(ins={"start": dg.In(dg.Nothing)}, pool="gpu", retry_policy=RETRY)
def rate_seed(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], llm: GpuLanguageModel, gate: dg.ResourceParam[Gate]
) -> Staged:
    """Draw the seed over all partitions and have the language model rate it."""
    cpu, start = cpu_seconds(), time.perf_counter()
    settings = settings_of(lake, annotate)
    staged = Staged({}, reads_of(lake, {"l1_filtered": {}}))
    pool = [lake.scan("l1_filtered", partition) for partition in sound_partitions(context, gate, "l2")]
    seed = draw_seed(pl.concat([lake.scan("l1_filtered").head(0), *pool]), settings.size, settings.seed)
    if seed.is_empty():
        raise ValueError("no document in l1_filtered to rate; run the tiers below first")
    model = llm.replayed(lake, "l2_annotations")
    with bar("rating the seed", len(seed)) as move:
        rated = annotate.rate(seed, model, settings, move)
    stage = lake.stage("l2_annotations", {})
    stage.write(rated.annotations)
    staged.stages.append(stage.close())
    kept = rated.annotations["doc_id"].n_unique()
    staged.counts = {"rows_in": len(seed), "rows_kept": kept, "rows_rejected": len(seed) - kept} | model.usage.counts()
    staged.cpu_s, staged.gpu_s = cpu_seconds() - cpu, llm.gpu_seconds(time.perf_counter() - start)
    staged.llm_s = model.usage.seconds
    context.add_output_metadata({"documents": len(seed), "rated": kept})
    return staged


@dg.op(out=dg.Out(dg.Nothing))
def keep_annotations(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], llm: GpuLanguageModel, staged: Staged
) -> None:
    """Commit the ratings and write the ledger row."""
    with Step(
        lake, "l2", "l2_annotations", None, context.run.run_id, annotations_version(lake, llm), staged.reads
    ) as step:
        step.take(staged)
    rows = lake.scan("l2_annotations").collect()
    shown = rows.group_by("dimension").agg(
        mean=pl.col("rating").mean().round(3), spread=pl.col("rating").std().round(3), windows=pl.len()
    )
    context.add_asset_metadata(
        materialisation(
            step.all_counts(), pl.DataFrame({"reason": [], "count": []}), shown.sort("dimension"), rows["rating"]
        )
    )


@dg.graph_asset(
    name="l2_annotations",
    group_name="l2_selected",
    kinds={"delta", "vllm"},
    metadata=described("l2_annotations"),
    ins={"start": dg.AssetIn("l1_filtered", dagster_type=dg.Nothing)},
)
def l2_annotations(start):  # type: ignore[no-untyped-def]
    """A language model's ratings of a seed sample over all partitions."""
    return keep_annotations(rate_seed(start))


def page_labels_version(lake: Lake) -> str:
    """Version of the page labels: their settings."""
    return code_version("l2_page_labels", 2, settings_of(lake, page_labels))


@dg.asset(deps=["l1_filtered"], group_name="l2_selected", kinds={"delta"}, metadata=described("l2_page_labels"))
def l2_page_labels(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], gate: dg.ResourceParam[Gate]
) -> dg.MaterializeResult:
    """What L1 kept of web pages, and what it cut from them: labels that the lake makes itself."""
    reads = reads_of(lake, {"l1_filtered": {}})
    with Step(lake, "l2", "l2_page_labels", None, context.run.run_id, page_labels_version(lake), reads) as step:
        pages = samples.pages(lake, sound_partitions(context, gate, "l2"), settings_of(lake, page_labels))
        with page_labels.open_workers() as pool:
            labels = page_labels.label_pages(pages, pool)
        stage = step.stage("l2_page_labels")
        stage.write(labels)
        step.commit(stage)
        step.counts(rows_in=len(pages), rows_kept=labels["doc_id"].n_unique())
    return dg.MaterializeResult(metadata={"pages": len(pages), "labelled": labels["doc_id"].n_unique()})


def fit_inputs() -> dict[str, Partition]:
    """What a fit learns from; a grown pool alone does not ask for a new one."""
    return {"l2_annotations": {}, "l2_page_labels": {}}


def fit_version(lake: Lake, encoder: GpuEncoder) -> str:
    """Version of the fit: its settings and the encoder."""
    return code_version("l2_scorer", FIT_FORMAT, settings_of(lake, learn), encoder.identity)


@dg.asset(
    deps=["l2_annotations", "l2_page_labels"],
    group_name="l2_selected",
    kinds={"delta", "torch"},
    metadata=described("scorers"),
    pool="gpu",
    retry_policy=RETRY,
)
def l2_scorer(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    encoder: GpuEncoder,
    gate: dg.ResourceParam[Gate],
) -> dg.MaterializeResult:
    """A fit: the scorers distilled from the ratings and the lake's own labels, one candidate for every partition."""
    settings = settings_of(lake, learn)
    reads = reads_of(lake, fit_inputs())
    with Step(lake, "l2", "l2_scorer", None, context.run.run_id, fit_version(lake, encoder), reads) as step:
        stage = step.stage("scorers")
        annotations = lake.scan("l2_annotations").collect()
        windows = learn.windows_of(annotations, lake.scan("l1_filtered").select("doc_id", "corpus", "text"))
        new = learn.fit(
            windows,
            lake.scan("l2_page_labels").collect(),
            samples.pool_texts(lake, sound_partitions(context, gate, "l2"), settings.pool_documents),
            encoder.open() if encoder.enabled else None,
            max(s.version for s in lake.slices("l2_annotations")),
            settings,
        )
        new = learn.refused(new, samples.standing_scorer(lake))
        # The last fit stands last; earlier ones are kept.
        stage.write(pl.concat([lake.scan("scorers").filter(pl.col("fit") != new["fit"][0]).collect(), new]))
        step.commit(stage)
        step.counts(rows_in=len(windows), rows_kept=len(windows))
    return dg.MaterializeResult(metadata=told_of_fit(new))


def told_of_fit(rows: pl.DataFrame) -> Told:
    """A fit for the page: what each scorer learnt from and how well it does."""
    quality = rows.row(by_predicate=pl.col("scorer") == QUALITY, named=True)
    columns = ("scorer", "kind", "num_labels", "num_page_labels", "spearman", "spearman_low", "spearman_high",
               "spearman_across", "calibration_error", "refused")  # fmt: skip
    return {
        "fit": quality["fit"],
        "num_labels": quality["num_labels"],
        "spearman": quality["spearman"] if quality["spearman"] is not None else "not measurable",
        "calibration_error": quality["calibration_error"],
        "scorers": table_of(rows.select(columns)),
        "by_corpus": table_of(pl.DataFrame(quality["by_corpus"] or [], schema=["corpus", "num_labels", "spearman"])),
    }


VERIFICATION_INPUTS: dict[str, Partition] = {"scorers": {}, "policies": {}}


def verification_version(lake: Lake) -> str:
    """Version of the verification: its settings."""
    return code_version("l2_verification", 1, settings_of(lake, verify))


@dg.asset(
    deps=["l2_scorer"],
    group_name="l2_selected",
    kinds={"delta", "torch"},
    metadata=described("verifications"),
    pool="gpu",
)
def l2_verification(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    encoder: GpuEncoder,
    gate: dg.ResourceParam[Gate],
) -> dg.MaterializeResult:
    """A short anneal of the reference model on what the last fit and policy select: they take force if it passes."""
    pair = candidates(lake)
    if pair is None:
        raise ValueError("no fit to verify: materialise l2_scorer")
    if lake.scan("policies").filter(pl.col("policy") == pair.policy.version).head(1).collect().is_empty():
        adopt(lake, pair.policy)
    reads = reads_of(lake, VERIFICATION_INPUTS)
    last = lake.last_step("l2_verification")
    version = verification_version(lake)
    # With nothing new to read it was asked for again: by hand.
    again = last is not None and last["code_version"] == version and same_reads(last, reads)
    with Step(lake, "l2", "l2_verification", None, context.run.run_id, version, reads) as step:
        judged = lake.scan("verifications").sort("judged_at").collect()
        settings = settings_of(lake, verify)
        name = hashlib.sha256(repr((pair.fit, pair.policy.version, settings)).encode()).hexdigest()[:16]
        if last is not None and not again and name in judged["verification"].to_list()[-1:]:
            step.carry()
        else:
            verified = tried(lake, sound_partitions(context, gate, "l2"), pair, settings, encoder)
            summaries, curves = step.stage("verifications"), step.stage("verification_curves")
            summaries.write(
                pl.concat(
                    [
                        judged.filter(pl.col("verification") != name),
                        row_of(name, pair, settings, verified, round_in_force(lake).number),
                    ]
                )
            )
            curves.write(lake.scan("verification_curves").filter(pl.col("verification") != name).collect())
            curves.write(
                verified.curves.with_columns(verification=pl.lit(name)).select(VERIFICATION_CURVES.schema.names())
            )
            step.commit(curves)
            step.commit(summaries)
    return dg.MaterializeResult(metadata=told_of_verification(lake, name))


def tried(
    lake: Lake, partitions: list[Partition], pair: InForce, settings: verify.Settings, encoder: GpuEncoder
) -> verify.Verified:
    """The pair's verification; where the lake holds too little text for one, that is what it says."""
    pool = samples.trial_pool(lake, partitions, TRIAL_DOCUMENTS[lake.settings])
    chosen = samples.trial_selection(lake, pool, pair, encoder.open() if encoder.enabled else None)
    try:
        data = verify.assemble(
            pool.select("doc_id", "domain", "text"), chosen, samples.document_ratings(lake), settings
        )
        with bar("verifying by short anneals", settings.steps) as move:
            return verify.verify(data, settings, move)
    except verify.TooLittle as error:
        curves = VERIFICATION_CURVES.empty().drop("verification")
        return verify.Verified({}, curves, f"too little to verify: {error}", passed=True)


def row_of(name: str, pair: InForce, settings: verify.Settings, verified: verify.Verified, round_: int) -> pl.DataFrame:
    """The verification's row; one that could not train gates nothing."""
    row = {
        "verification": name,
        "fit": pair.fit,
        "policy": pair.policy.version,
        "settings": settings.name,
        "round": round_,
        "judged_at": datetime.now(UTC),
        "gates": settings.gates and bool(verified.summary),
        "passed": verified.passed,
        "detail": verified.detail,
    }
    counts = dict.fromkeys(("num_seeds", "num_parameters", "num_tokens"), 0) | dict.fromkeys(("flops", "cpu_s"), 0.0)
    return pl.DataFrame([counts | verified.summary | row], schema=VERIFICATIONS.schema)


def told_of_verification(lake: Lake, name: str) -> Told:
    """A verification for the page: gains with their errors, what it decides, and both arms' loss curves."""
    row = lake.scan("verifications").filter(pl.col("verification") == name).collect().row(0, named=True)
    curves = lake.scan("verification_curves").filter(pl.col("verification") == name).collect()
    standing = in_force(lake)
    shown = {key: value for key, value in row.items() if value is not None and key.endswith(("_gain", "_error"))}
    told: Told = {
        "detail": row["detail"],
        "passed": row["passed"],
        "gates": row["gates"],
        "fit_in_force": standing.fit,
        "policy_in_force": standing.policy.version,
        **shown,
    }
    if len(curves):
        points = verify.loss_curves(curves)
        told["loss_curves"] = dg.MetadataValue.md(
            lines(points, "held-out loss during the anneal", "step", "nats a token")
        )
    return told


assets = [l2_annotations, l2_page_labels, l2_scorer, l2_verification]
