"""A training stage's draw: which documents of L2 a stage trains on, by which arm, and in which order.

In: candidates [doc_id, corpus, snapshot, domain, num_tokens, influence], their texts by batch (any order; of consumed
documents too, where an arm shall know what training has seen), the texts of the reference and of the general guard, a
budget in tokens. Out: rows of `stage_draws` without the stage. Two arms stand in them: the settings' own, and
`control`, a random share of the budget drawn before it from all candidates, by which its benefit can be measured.

| arm | draws |
|---|---|
| `random` | evenly |
| `domain_matched` | evenly within domains, in the domain mix that the arm `matched` would draw |
| `influence` | Gumbel-top-k over influence (MATES) |
| `dsir` | Gumbel-top-k over the likelihood ratio of reference and pool |
| `cynical` | the set that holds the n-grams of the reference which training has seen least (greedy, in rounds) |
| `cynical_guarded` | the same, each domain keeping a share of its own; its target may be part guard |
| `cynical_influence` | the same, its gains moved by what of the influence they do not explain |

**Rules.** A consumed document is never drawn again; one without tokens is never drawn. The rows do not depend on the
order of candidates or texts, only on them and the seed. An arm stops at the document that meets the budget; where the
candidates are fewer, all are drawn, and `shortfall` says by how much. A missing influence counts as the mean of those
known; where none is known, or all are equal, the influence arms are what is left of them: `influence` draws evenly,
`cynical_influence` is `cynical_guarded`. Places are shuffled over both arms, so that any run of steps sees both.

Cost: counting n-grams, 3 us a kB (the first 16 kB of a document), and 16 passes over the counts; memory as
`count_blocks` bounds it plus some 100 bytes a candidate. Arms that need no text read none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from algorithms import cynical_selection, gumbel_top_k, importance_resampling, ngram_counts
from resources.count_blocks import CountBlocks
from resources.training_data import encode
from tier_tables import table

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Arm = Literal["influence", "dsir", "cynical", "cynical_guarded", "cynical_influence", "random", "domain_matched"]
ARMS: Final = get_args(Arm)
CONTROL: Final = "control"
GUARDED: Final = ("cynical_guarded", "cynical_influence")
READS_TEXT: Final = ("dsir", "cynical", *GUARDED)
SCHEMA: Final = {name: dtype for name, dtype in table("stage_draws").schema.items() if name != "stage"}

Units = Literal["tokens", "words"]
# The first 16 kB of a document, some 2,500 words, stand for the whole.
MAX_BYTES: Final = 1 << 14

Values = npt.NDArray[np.float64]
Counter = Callable[[pl.Series], sparse.csr_matrix]
Positions = npt.NDArray[np.int64]


class NothingToDraw(ValueError):  # noqa: N818 - it is what the lake has, not what went wrong
    """No candidate is left that has tokens and was not consumed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a stage draws.

    `control_share` of the budget is the control arm's. `temperature` is that of `influence` (in the influence's own
    standard deviations) and `dsir` (1: as published); `redundancy` lowers their scores by so much, before the division,
    for a document whose n-grams are all drawn already (their share of the pool's is what counts). Of the guarded arms,
    `guard_share` of the target is the guard's, and each domain keeps `quota` of its share of the candidates;
    `influence_weight` standard deviations of gain are worth one of influence. `units` are what the n-gram arms count:
    the model's tokens, or words without their case and spaces (as published for DSIR).
    """

    arm: Arm = "cynical_guarded"
    control_share: float = 0.05
    temperature: float = 1.0
    redundancy: float = 0.0
    quota: float = 0.5
    guard_share: float = 0.0
    influence_weight: float = 0.5
    rounds: int = cynical_selection.ROUNDS
    matched: Arm = "cynical_guarded"
    units: Units = "tokens"

    def __post_init__(self) -> None:
        unknown = {self.arm, self.matched} - set(ARMS)
        if unknown:
            raise ValueError(f"unknown arm {sorted(unknown)}; known: {sorted(ARMS)}")
        if self.matched == "domain_matched":
            raise ValueError("domain_matched matches the mix of another arm, not its own")
        for name in ("control_share", "quota", "guard_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} lies in 0 to 1, not {getattr(self, name)}")
        if not self.temperature >= 0 or not self.redundancy >= 0 or self.rounds < 1:
            raise ValueError(f"temperature and redundancy are not below 0, and there is a round at least: {self}")


@dataclass(frozen=True, slots=True)
class _Stage:
    """What an arm draws from: candidates by doc_id, of which `left` may be drawn, to `budget` tokens. `counted` holds
    the counts of their texts where the arm reads them, `warmup_H` those of consumed documents and the control arm's;
    `influence_N` has mean 0 and standard deviation 1, or is 0 throughout."""

    settings: Settings
    left: Positions
    budget: float
    tokens_N: Positions
    groups_N: Positions
    influence_N: Values
    counted: cynical_selection.Pool | None
    warmup_H: Values
    count: Counter
    residual_H: Values | None
    reference_texts: pl.Series
    guard_texts: pl.Series
    random: np.random.Generator


def draw(
    candidates: pl.DataFrame,
    texts: Iterable[pl.DataFrame],
    settings: Settings,
    reference_texts: pl.Series,
    guard_texts: pl.Series,
    budget_tokens: int,
    seed: int,
    consumed: pl.Series,
    tokenizer: Tokenizer | None = None,
    residual_H: Values | None = None,
) -> pl.DataFrame:
    """The documents that a stage consumes, by arm, in order: `stage_draws` without `stage`.

    `tokenizer` is the training model's: what it makes of a text is what n-gram arms count. Without one they count words
    that case and the space before them tell apart. `residual_H` (`token_residual.target`, of that tokenizer's tokens)
    is the cynical arms' target in place of the reference's plain counts: what the training model lacks of it.

    Raises:
        NothingToDraw: no candidate is left.
        ValueError: a budget below 1 token; an id twice among the candidates; of an arm that reads texts, a candidate
            without text, or no reference (no guard for the guarded arms).
    """
    if budget_tokens < 1:
        raise ValueError(f"a stage draws at least a token, not {budget_tokens}")
    if residual_H is not None and (tokenizer is None or settings.units != "tokens"):
        raise ValueError("a residual counts the model's tokens: the draw must count them too, by the same tokenizer")
    rows = _left(candidates, consumed)
    random = np.random.default_rng([seed, 2])
    tokens_N = rows["num_tokens"].to_numpy()
    control = _until(random.permutation(rows.height), tokens_N, budget_tokens * settings.control_share)
    count = _counter(settings, tokenizer)
    with CountBlocks() as blocks:
        counted, warmup_H = None, np.zeros(ngram_counts.BUCKETS)
        if reads_text(settings):
            counted, warmup_H = _count(rows, texts, control, blocks, consumed, count)
        stage = _Stage(
            settings=settings,
            left=np.setdiff1d(np.arange(rows.height), control),
            budget=float(budget_tokens - tokens_N[control].sum()),
            tokens_N=tokens_N,
            groups_N=rows["domain"].rank("dense").to_numpy().astype(np.int64) - 1,
            influence_N=_standardised(rows["influence"]),
            counted=counted,
            warmup_H=warmup_H,
            count=count,
            residual_H=residual_H,
            reference_texts=reference_texts,
            guard_texts=guard_texts,
            random=random,
        )
        chosen, value_N = _drawn(settings.arm, stage)
    if settings.arm == "influence":
        value_N = rows["influence"].cast(pl.Float64).gather(chosen).to_numpy()
    return _placed(rows, control, chosen, value_N, settings.arm, random)


def _counter(settings: Settings, tokenizer: Tokenizer | None) -> Counter:
    """How the settings count a batch of texts."""
    if settings.units == "tokens" and tokenizer is not None:
        return lambda texts: ngram_counts.count_tokens(encode(tokenizer, texts.fill_null("").str.slice(0, MAX_BYTES)))
    return lambda texts: ngram_counts.count(texts, MAX_BYTES, folded=settings.units == "words")


def shortfall(rows: pl.DataFrame, budget_tokens: int) -> int:
    """Tokens by which a draw misses its budget, because no more candidates were left; 0 where it is met."""
    return max(0, budget_tokens - int(rows["num_tokens"].sum()))


def reads_text(settings: Settings) -> bool:
    """Whether the arm needs the candidates' texts."""
    arm = settings.matched if settings.arm == "domain_matched" else settings.arm
    return arm in READS_TEXT or (arm == "influence" and settings.redundancy > 0)


def _left(candidates: pl.DataFrame, consumed: pl.Series) -> pl.DataFrame:
    """The candidates that may be drawn, by doc_id."""
    if candidates["doc_id"].is_duplicated().any():
        raise ValueError(
            f"a candidate stands twice: {candidates['doc_id'].filter(candidates['doc_id'].is_duplicated())[0]}"
        )
    known = consumed.cast(pl.String).implode()
    rows = candidates.filter(~pl.col("doc_id").is_in(known) & (pl.col("num_tokens") > 0)).sort("doc_id")
    if rows.is_empty():
        raise NothingToDraw(f"none of {candidates.height} candidates is left: {len(consumed)} documents were consumed")
    return rows


def _count(
    rows: pl.DataFrame,
    texts: Iterable[pl.DataFrame],
    control: Positions,
    blocks: CountBlocks,
    consumed: pl.Series,
    count: Counter,
) -> tuple[cynical_selection.Pool, Values]:
    """Counts of the candidates' texts, and of what training has seen or will see anyway."""
    places = dict(zip(rows["doc_id"], range(rows.height)))
    seen = set(consumed)
    found: list[int] = []
    warmup_H = np.zeros(ngram_counts.BUCKETS)
    for batch in texts:
        at = [places.get(doc_id, -1) for doc_id in batch["doc_id"]]
        blocks.add(count(batch["text"].filter(pl.Series(at, dtype=pl.Int64) >= 0)))
        found += [place for place in at if place >= 0]
        before = batch["text"].filter(pl.Series([doc_id in seen for doc_id in batch["doc_id"]], dtype=pl.Boolean))
        if len(before):
            warmup_H += importance_resampling.totals([count(before)])
    places_N = np.array(found, dtype=np.int64)
    if len(places_N) != rows.height or len(np.unique(places_N)) != rows.height:
        raise ValueError(f"{rows.height} candidates have {len(places_N)} texts; each needs one")
    open_N = np.ones(rows.height, dtype=bool)
    open_N[control] = False
    groups_N = rows["domain"].rank("dense").to_numpy().astype(np.int64) - 1
    pool = cynical_selection.Pool(blocks, places_N, rows["num_tokens"].to_numpy(), groups_N, open_N)
    if len(control):
        warmup_H += cynical_selection.counts_of(pool, control)
    return pool, warmup_H


def _drawn(arm: Arm, stage: _Stage) -> tuple[Positions, Values]:
    """The documents that the arm draws, first drawn first, and what it drew each by (NaN: nothing)."""
    if not len(stage.left) or stage.budget <= 0:
        return np.empty(0, np.int64), np.empty(0)
    if arm == "random":
        chosen = _until(stage.random.permutation(stage.left), stage.tokens_N, stage.budget)
        return chosen, np.full(len(chosen), np.nan)
    if arm == "domain_matched":
        return _matched(stage)
    if arm == "influence":
        return _by_score(stage.influence_N, stage)
    if arm == "dsir":
        assert stage.counted is not None
        ratios_H = importance_resampling.log_ratios(
            _total("reference", stage.reference_texts, stage.count), importance_resampling.totals(stage.counted.blocks)
        )
        weights = importance_resampling.log_weights(stage.counted.blocks, ratios_H)
        weight_N = np.empty(len(weights))
        weight_N[stage.counted.places_N] = weights
        return _by_score(weight_N, stage)
    return _cynical(arm, stage)


def _cynical(arm: Arm, stage: _Stage) -> tuple[Positions, Values]:
    assert stage.counted is not None
    settings = stage.settings
    guarded = arm in GUARDED
    wanted_H = stage.residual_H
    if wanted_H is None:
        wanted_H = _total("reference", stage.reference_texts, stage.count)
    target_H = cynical_selection.mixed_target([wanted_H], [1.0])
    if guarded and settings.guard_share > 0:
        totals = [target_H, _total("guard", stage.guard_texts, stage.count)]
        target_H = cynical_selection.mixed_target(totals, [1 - settings.guard_share, settings.guard_share])
    how = cynical_selection.Settings(rounds=settings.rounds, quota=settings.quota if guarded else 0.0)
    correction_N = None
    if arm == "cynical_influence" and stage.influence_N.any():
        gain_N = cynical_selection.gains(stage.counted, target_H / (stage.warmup_H + how.floor))
        correction_N = settings.influence_weight * _unexplained(stage.influence_N, gain_N)
    chosen = cynical_selection.select(stage.counted, stage.budget, target_H, stage.warmup_H, how, correction_N)
    return chosen.positions, chosen.gains


def _matched(stage: _Stage) -> tuple[Positions, Values]:
    """Evenly within domains, in the mix of another arm."""
    drawn, _ = _drawn(stage.settings.matched, stage)
    wanted = np.bincount(stage.groups_N[drawn], weights=stage.tokens_N[drawn])
    order = stage.random.permutation(stage.left)
    parts = [
        _until(order[stage.groups_N[order] == group], stage.tokens_N, tokens) for group, tokens in enumerate(wanted)
    ]
    # Each domain's last document goes beyond its share: together no more than one does.
    chosen = _until(stage.random.permutation(np.concatenate(parts)), stage.tokens_N, stage.budget)
    return chosen, np.full(len(chosen), np.nan)


def _by_score(score_N: Values, stage: _Stage) -> tuple[Positions, Values]:
    """Gumbel-top-k, in rounds where a redundancy penalty needs to see what was drawn before."""
    settings, left = stage.settings, stage.left
    key_N = np.full(len(score_N), -np.inf)
    key_N[left] = gumbel_top_k.keys(score_N[left], settings.temperature, stage.random)
    if settings.redundancy == 0 or stage.counted is None:
        chosen = _until(left[np.argsort(-key_N[left], kind="stable")], stage.tokens_N, stage.budget)
        return chosen, score_N[chosen]
    pool_H = np.maximum(importance_resampling.totals(stage.counted.blocks), 1.0)
    drawn_H, scale = stage.warmup_H * 0.0, settings.redundancy / (settings.temperature or 1.0)
    parts: list[Positions] = []
    for number in range(1, settings.rounds + 1):
        overlap_N = cynical_selection.overlap(stage.counted, drawn_H / pool_H)
        value = key_N[left] - scale * overlap_N[left]
        goal = stage.budget * number / settings.rounds - sum(int(stage.tokens_N[part].sum()) for part in parts)
        part = _until(left[np.argsort(-value, kind="stable")], stage.tokens_N, goal)
        left = np.setdiff1d(left, part)
        drawn_H = drawn_H + (cynical_selection.counts_of(stage.counted, part) if len(part) else 0.0)
        parts.append(part)
    chosen = np.concatenate(parts)
    return chosen, score_N[chosen]


def _total(name: str, texts: pl.Series, count: Counter) -> Values:
    """The counts of a target's texts."""
    if texts.is_empty():
        raise ValueError(f"this arm draws by the {name}, and there are no {name} texts")
    return importance_resampling.totals([count(texts)])


def _standardised(influence: pl.Series) -> Values:
    """Influence with mean 0 and standard deviation 1; what is missing is 0, and so is all where all are equal."""
    known = influence.cast(pl.Float64).fill_nan(None)
    centred = (known - (known.mean() or 0.0)).fill_null(0.0).to_numpy()
    spread = float(centred.std())
    return centred / spread if spread > 1e-9 else np.zeros(len(centred))


def _unexplained(influence_N: Values, gain_N: Values) -> Values:
    """What of the influence is no linear function of the gain, standardised."""
    centred = gain_N - gain_N.mean()
    slope = float(centred @ influence_N) / max(float(centred @ centred), 1e-300)
    rest: Values = influence_N - slope * centred
    return rest / max(float(rest.std()), 1e-9)


def _until(order: Positions, tokens_N: Positions, budget: float) -> Positions:
    """The first of `order` whose tokens meet the budget, the one that meets it with them."""
    tokens = tokens_N[order]
    return order[np.cumsum(tokens) - tokens < budget]


def _placed(
    rows: pl.DataFrame, control: Positions, chosen: Positions, value_N: Values, arm: str, random: np.random.Generator
) -> pl.DataFrame:
    values = pl.Series([None] * len(control) + value_N.tolist(), dtype=pl.Float64).fill_nan(None)
    drawn = rows[np.concatenate([control, chosen])].with_columns(
        arm=pl.Series([CONTROL] * len(control) + [arm] * len(chosen), dtype=pl.String),
        place=pl.Series(random.permutation(len(control) + len(chosen)), dtype=pl.Int64),
        value=values.round(4),
    )
    return drawn.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()).sort("place")


__all__ = ["ARMS", "CONTROL", "Arm", "NothingToDraw", "Settings", "draw", "reads_text", "shortfall"]
