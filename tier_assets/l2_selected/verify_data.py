"""What a verification trains on and is judged by, drawn so that nothing held out is ever trained on.

In: L1's documents, the ids that the candidate selects, and the language model's ratings. Out: four sets of documents,
then chunks of token ids. A document's role is a hash of its id, the same in every verification: `pool` documents train,
the best rated of the `reference` documents are what a good selection should help, and the `general` documents, all
domains alike, say what that costs. Near-identical texts were removed in L1. Cost: encoding, about 2 MB a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from algorithms.held_out import REFERENCE_SHARE, role, share
from algorithms.packing import Tokens, pack
from resources.trainer import ModelSettings
from resources.training_data import END_ID, encode, learn_tokenizer

Part = Literal["base", "candidate", "reference", "general"]

# The reference is the best 30% of the held-out rated documents; where these are few, up to half of them.
BEST_SHARE: Final = 0.3
MIN_RATED_DOCUMENTS: Final = 16
MIN_REFERENCE_DOCUMENTS: Final = 8
MIN_GENERAL_DOCUMENTS: Final = 8
# More passes over the same text teach less (arXiv 2305.16264: four are nearly as good as fresh text).
MAX_EPOCHS: Final = 4
# A small vocabulary cuts English into tokens of 2.5 to 3.5 characters; text is fetched for longer ones.
CHARS_PER_TOKEN: Final = 4
# Times the base text that one seed trains on. Of the candidate's there is as much as all seeds train on.
BASE_DRAWS: Final = 2
# Windows are drawn from these, the first by the hash of their ids: 50 bytes a window, some ten windows a document.
MAX_DOCUMENTS: Final = 200_000
MIN_DOMAIN_CHUNKS: Final = 2
TOKENIZER_CHARS: Final = 2_000_000
OPTIONS: Final = 4
# A passage, or the whole context where it is shorter: the first half is shown, the second is to be told from others.
PASSAGE_TOKENS: Final = 64
WINDOW: Final = ("doc_id", "domain", "char_start")


class TooLittle(ValueError):  # noqa: N818 - it is what the lake has, not what went wrong
    """The lake holds too little text, or too few rated documents, for these settings."""


@dataclass(frozen=True, slots=True)
class Settings:
    """A verification: `seeds` pairs of anneals, each after a stable phase of its own. A batch holds `batch` chunks of
    the model's context; in the candidate's anneal `candidate_share` of the chunks are the candidate's."""

    name: str
    gates: bool
    seeds: int
    warmup: int
    stable: int
    anneal: int
    batch: int = 16
    peak_lr: float = 4e-3
    candidate_share: float = 0.3
    model: ModelSettings = field(default_factory=lambda: ModelSettings(vocab=2048, context=128))
    evaluations: int = 8
    reference_chunks: int = 96
    general_chunks: int = 144
    passages: int = 256
    # Nats a token that a candidate may cost before it is refused: which documents happen to be in a random half of
    # the pool moves the reference loss by .003, and any selection shifts the mixture and pays in general loss.
    reference_tolerance: float = 0.005
    general_tolerance: float = 0.05

    def __post_init__(self) -> None:
        if self.seeds < 2 or min(self.stable, self.anneal, self.batch, self.evaluations) < 1 or self.warmup < 0:
            raise ValueError(f"{self.name}: an error bar takes two seeds, and each phase at least one step")
        if not 0 < self.candidate_share <= 1:
            raise ValueError(f"{self.name}: the candidate's share lies in 0 to 1, not {self.candidate_share}")

    @property
    def anneal_chunks(self) -> int:
        """Chunks of one anneal."""
        return self.anneal * self.batch

    @property
    def base_chunks(self) -> int:
        """Chunks of a stable phase and an anneal on base data alone."""
        return (self.warmup + self.stable) * self.batch + self.anneal_chunks

    @property
    def candidate_chunks(self) -> int:
        """Chunks of the candidate in one anneal."""
        return round(self.candidate_share * self.anneal_chunks)

    @property
    def steps(self) -> int:
        """Optimizer steps of all seeds and both arms: what `verify` moves its progress over."""
        return self.seeds * (self.warmup + self.stable + 2 * self.anneal)


@dataclass(frozen=True, slots=True)
class Data:
    """Windows of documents [doc_id, domain, char_start, text] by part. Base and candidate may share some; no document
    of another part is held out."""

    base: pl.DataFrame
    candidate: pl.DataFrame
    reference: pl.DataFrame
    general: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Sample:
    """Data as token ids. A chunk has `context + 1` of them (C).

    `chunks_NC` to train on, with whether each is base data, the candidate's, or both; `reference_RC`; `general` by
    domain; `passages_PKL`: passages with K continuations, the true one first.
    """

    chunks_NC: Tokens
    in_base_N: npt.NDArray[np.bool_]
    in_candidate_N: npt.NDArray[np.bool_]
    reference_RC: Tokens
    general: tuple[tuple[str, Tokens], ...]
    passages_PKL: Tokens


def choose(documents: pl.DataFrame, selected: pl.Series, ratings: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """The windows that a verification reads [part, doc_id, domain, char_start], no text needed to choose them.

    `documents` [doc_id, domain, num_chars] is all of L1; `selected` the ids that the candidate selects; `ratings`
    [doc_id, quality] the language model's own (not a scorer's). Base and candidate are windows drawn at random from
    all text in the pool and from all selected text there: whole documents would be few, and a few documents teach
    less than as many tokens of many. Held-out windows are taken from each document in turn.

    Raises:
        TooLittle: too little text or too few rated documents; the message names the least that will do.
    """
    roles = documents.with_columns(
        role=pl.col("doc_id").map_elements(role, return_dtype=pl.String),
        share=pl.col("doc_id").map_elements(share, return_dtype=pl.Float64),
    ).sort("share", "doc_id")
    pool, rated, general = (roles.filter(pl.col("role") == name) for name in ("pool", "reference", "general"))
    if general.height < MIN_GENERAL_DOCUMENTS:
        raise TooLittle(f"{general.height} held-out documents of all domains; {MIN_GENERAL_DOCUMENTS} are needed")
    from_selected = pool.filter(pl.col("doc_id").is_in(selected.implode()))
    domains = general["domain"].n_unique()
    each = max(MIN_DOMAIN_CHUNKS, settings.general_chunks // domains)
    drawn = {
        "base": _drawn(pool, settings.base_chunks, BASE_DRAWS, settings, "base"),
        "candidate": _drawn(from_selected, settings.candidate_chunks, settings.seeds, settings, "candidate"),
        "reference": _in_turn(_best(rated, ratings), settings).head(2 * settings.reference_chunks),
        "general": _in_turn(general, settings).filter(pl.int_range(pl.len()).over("domain") < 2 * each),
    }
    return pl.concat([rows.select(pl.lit(part).alias("part"), *WINDOW) for part, rows in drawn.items()])


def collect(chosen: pl.DataFrame, texts: pl.DataFrame, settings: Settings) -> Data:
    """The chosen windows with their text; `texts` [doc_id, text] holds the whole documents.

    Raises:
        ValueError: a chosen document has no text.
    """
    missing = chosen.join(texts, on="doc_id", how="anti")
    if missing.height:
        raise ValueError(f"no text for {missing['doc_id'].n_unique()} chosen documents, such as {missing['doc_id'][0]}")
    window = pl.col("text").str.slice(pl.col("char_start"), _window_chars(settings))
    rows = chosen.join(texts.select("doc_id", "text"), on="doc_id", maintain_order="left").with_columns(text=window)
    base, candidate, reference, general = (
        rows.filter(pl.col("part") == part).drop("part") for part in ("base", "candidate", "reference", "general")
    )
    return Data(base, candidate, reference, general)


def assemble(pool: pl.DataFrame, selected_ids: pl.Series, ratings: pl.DataFrame, settings: Settings) -> Data:
    """`choose` and `collect` where the texts are at hand: `pool` is [doc_id, domain, text].

    Raises:
        TooLittle: see `choose`.
    """
    documents = pool.select("doc_id", "domain", num_chars=pl.col("text").str.len_chars())
    return collect(choose(documents, selected_ids, ratings, settings), pool, settings)


def tokenise(data: Data, settings: Settings) -> Sample:
    """The data as chunks, by a tokenizer learnt from the base data: the same data give the same sample.

    Windows that base and candidate share are packed apart from the others, so that their chunks are the same ones.

    Raises:
        TooLittle: the chunks would be trained on more than MAX_EPOCHS times, or a held-out set is too small.
    """
    length = settings.model.context + 1
    key = ["doc_id", "char_start"]
    groups = (
        data.base.join(data.candidate, on=key, how="semi", maintain_order="left"),
        data.base.join(data.candidate, on=key, how="anti", maintain_order="left"),
        data.candidate.join(data.base, on=key, how="anti", maintain_order="left"),
    )
    tokenizer = learn_tokenizer(_some_text(data.base), settings.model.vocab)
    packed = [pack(encode(tokenizer, rows["text"]), length, END_ID) for rows in groups]
    sizes = [len(chunks) for chunks in packed]
    # A window of Chinese is a dozen chunks of single bytes: cut to one, it does not outvote the other windows.
    reference, general = (
        [tokens[:length] for tokens in encode(tokenizer, rows["text"])] for rows in (data.reference, data.general)
    )
    sample = Sample(
        chunks_NC=np.concatenate(packed),
        in_base_N=np.repeat([True, True, False], sizes),
        in_candidate_N=np.repeat([True, False, True], sizes),
        reference_RC=pack(reference, length, END_ID)[: settings.reference_chunks],
        general=_by_domain(data.general["domain"], general, settings, length),
        passages_PKL=_passages(data.general, general, settings),
    )
    _check(sample, settings)
    return sample


def _check(sample: Sample, settings: Settings) -> None:
    needs = (
        ("base", int(sample.in_base_N.sum()), settings.base_chunks / MAX_EPOCHS),
        ("candidate", int(sample.in_candidate_N.sum()), settings.candidate_chunks / MAX_EPOCHS),
        ("reference", len(sample.reference_RC), MIN_REFERENCE_DOCUMENTS),
        ("general", sum(len(chunks) for _, chunks in sample.general), MIN_GENERAL_DOCUMENTS),
        ("passages", len(sample.passages_PKL), MIN_GENERAL_DOCUMENTS),
    )
    for name, found, needed in needs:
        if found < needed:
            raise TooLittle(
                f"{name}: {found} chunks of {settings.model.context} tokens; {settings.name} needs {needed:.0f}"
            )


def _drawn(rows: pl.DataFrame, chunks: int, draws: int, settings: Settings, part: Part) -> pl.DataFrame:
    """Windows of the rows in a random order, enough for so many draws of so many chunks, or all where they make do."""
    tokens = chunks * (settings.model.context + 1)
    windows = _windows(rows, settings)
    if windows["chars"].sum() * MAX_EPOCHS < tokens:  # in most scripts a token has a character or more
        raise TooLittle(
            f"{part}: {windows['chars'].sum():,} characters; {settings.name} needs {tokens // MAX_EPOCHS:,} tokens"
        )
    return windows.filter(pl.col("chars").cum_sum() - pl.col("chars") < draws * tokens * CHARS_PER_TOKEN)


def _in_turn(rows: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Windows of the rows: one of each document, then another of each."""
    windows = _windows(rows, settings).with_columns(turn=pl.int_range(pl.len()).over("doc_id"))
    return windows.sort("turn", maintain_order=True)


def _windows(rows: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """[doc_id, domain, char_start, chars] of every window, in an order drawn for these documents."""
    size = _window_chars(settings)
    windows = (
        rows.filter(pl.col("num_chars") > 0)
        .head(MAX_DOCUMENTS)
        .with_columns(char_start=pl.int_ranges(0, pl.col("num_chars"), size))
        .explode("char_start")
        .with_columns(chars=pl.min_horizontal(pl.col("num_chars") - pl.col("char_start"), size))
    )
    return windows[np.random.default_rng(windows.height).permutation(windows.height)].select(*WINDOW, "chars")


def _window_chars(settings: Settings) -> int:
    """About a chunk."""
    return CHARS_PER_TOKEN * (settings.model.context + 1)


def _best(rows: pl.DataFrame, ratings: pl.DataFrame) -> pl.DataFrame:
    """The best of the rated documents."""
    rated = rows.join(ratings.group_by("doc_id").agg(pl.col("quality").mean()), on="doc_id", maintain_order="left")
    if rated.height < MIN_RATED_DOCUMENTS:
        raise TooLittle(
            f"reference: {rated.height} rated documents are held out; {MIN_RATED_DOCUMENTS} are needed, for which "
            f"about {MIN_RATED_DOCUMENTS / REFERENCE_SHARE:.0f} documents must be rated"
        )
    count = max(MIN_REFERENCE_DOCUMENTS, round(rated.height * BEST_SHARE))
    return rated.sort("quality", "doc_id", descending=[True, False]).head(count)


def _some_text(rows: pl.DataFrame) -> Sequence[str]:
    before = pl.col("text").str.len_chars().cum_sum() - pl.col("text").str.len_chars()
    return rows.filter(before < TOKENIZER_CHARS)["text"].str.slice(0, TOKENIZER_CHARS).to_list()


def _by_domain(
    domains: pl.Series, tokens: list[Tokens], settings: Settings, length: int
) -> tuple[tuple[str, Tokens], ...]:
    """Chunks of each domain, as many of each as `general_chunks` allows; a domain with fewer than two is left out."""
    names = domains.unique().sort().to_list()
    each = max(MIN_DOMAIN_CHUNKS, settings.general_chunks // max(1, len(names)))
    chunks = {
        name: pack([t for t, domain in zip(tokens, domains) if domain == name], length, END_ID)[:each] for name in names
    }
    return tuple((name, found) for name, found in chunks.items() if len(found) >= MIN_DOMAIN_CHUNKS)


def _passages(rows: pl.DataFrame, tokens: list[Tokens], settings: Settings) -> Tokens:
    """[P, OPTIONS, PASSAGE_TOKENS]: what follows half a passage, and what follows one in three other documents of the
    same domain, the domains in turn. Always the same passages for the same documents."""
    random = np.random.default_rng(0)
    count, size = settings.passages, min(PASSAGE_TOKENS, settings.model.context)
    shown = size // 2
    found: dict[str, list[list[Tokens]]] = {}
    for name in rows["domain"].unique().sort():
        documents: dict[str, list[Tokens]] = {}
        for doc_id, domain, window in zip(rows["doc_id"], rows["domain"], tokens):
            if domain == name and len(window) >= size:
                documents.setdefault(doc_id, []).extend(window[: len(window) // size * size].reshape(-1, size))
        ids = list(documents)
        if len(ids) < OPTIONS:
            continue
        texts = [(doc_id, text) for doc_id, texts in documents.items() for text in texts]
        for place in random.permutation(len(texts))[:count]:
            doc_id, text = texts[place]
            others = [other for other in random.permutation(ids) if other != doc_id][: OPTIONS - 1]
            endings = [documents[other][random.integers(len(documents[other]))][shown:] for other in others]
            options = [np.concatenate([text[:shown], ending]) for ending in (text[shown:], *endings)]
            found.setdefault(name, []).append(options)
    in_turn = [options[turn] for turn in range(count) for options in found.values() if turn < len(options)][:count]
    return np.array(in_turn, dtype=np.int32).reshape(-1, OPTIONS, size)
