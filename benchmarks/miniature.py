"""The miniature in which the loop is tried: a pool of chunks by domain, a reference, guards, and a model of 0.4 million
parameters that trains on them in seconds.

In: a folder of text corpora (`--data`, the setting of record: `corpus_wikitext2` is the reference, absent from the
pool) or a lake's L1 (`--lake`, one domain held out as the reference). Out: `Miniature`. Pool, warm-up text, reference
and guards are drawn anew by each seed, and no document gives chunks to two of them. A chunk is a document here: it has
an id, a domain, a text, and `context` tokens to predict. Nothing is stored.

A model is trained for 400 steps on text of the pool's natural mix (`warmed_up`, 20 s on a core); from its state every
arm trains a stage of 200 steps on a fifth of the pool (`run_stage`, 10 s) and is measured on four kinds of held-out
chunks (`losses`): the reference, the general guard by domain, and sets that are neither reference nor pool.

`python -m benchmarks.miniature --data FOLDER [--seed 0]` shows what is in it.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from algorithms.learning_rates import wsd
from algorithms.packing import Tokens, pack
from resources.trainer import ModelSettings, OptimizerSettings, Trainer
from resources.training_data import END_ID, encode, learn_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

REFERENCE: Final = "wikitext2"
NOISE: Final = "noise"
# A domain's weight in the pool is its number of characters, cut here: the largest would be nearly half of it.
MAX_DOMAIN_CHARS: Final = 8_000_000
NOISE_SHARE: Final = 0.05
# Long documents are cut here, so that a few books do not fill a domain's share of the pool.
WINDOW_CHARS: Final = 2_000
# Text fetched for a token of a vocabulary of 2,048, whose tokens have 2.5 to 3.5 characters; of some scripts 1.
CHARS_PER_TOKEN: Final = 4
TOKENIZER_CHARS: Final = 2_000_000
# Shares of a pool domain's documents that are guard (selection may read it) and general (nobody does).
GUARD_SHARE: Final = 0.08
GENERAL_SHARE: Final = 0.08
# Half of the reference's documents is the target of selection, the other half measures.
TARGET_SHARE: Final = 0.5
MIN_DOMAIN_CHUNKS: Final = 64
# At the full rate to the end, the same documents in another order gave a reference loss of 5.34 and of 5.51.
DECAY_SHARE: Final = 0.25


@dataclass(frozen=True, slots=True)
class Settings:
    """Sizes in chunks; the trainer's are those of the miniature of record."""

    pool: int = 16_000
    target: int = 512
    guard: int = 64
    measured: int = 128
    general: int = 48
    warmup_steps: int = 400
    stage_steps: int = 200
    batch: int = 16
    lr: float = 4e-3
    ramp_steps: int = 40
    model: ModelSettings = field(default_factory=lambda: ModelSettings(vocab=2048, context=128))

    @property
    def stage(self) -> int:
        """Chunks of a stage: a fifth of the pool."""
        return self.stage_steps * self.batch


@dataclass(frozen=True, slots=True)
class Sources:
    """Texts: of the pool by domain, of the reference, and of sets that are neither."""

    pool: Mapping[str, pl.Series]
    reference: pl.Series
    evaluation: Mapping[str, pl.Series]


@dataclass(frozen=True, slots=True)
class Miniature:
    """`documents` [doc_id, corpus, snapshot, domain, num_tokens, text] of the pool in the order of `chunks_NC`, whose
    chunks have `context + 1` tokens. `target_RC` is the reference that selection may read (its texts in `target`),
    `guard` [domain, text] what it may read of the pool's own domains (`guard_GC` its chunks); `measured` holds what
    nobody reads, by kind (reference, general, evaluation) and name. `tokenizer` made all chunks."""

    documents: pl.DataFrame
    chunks_NC: Tokens
    warmup_WC: Tokens
    warmup: pl.DataFrame
    target_RC: Tokens
    target: pl.Series
    guard_GC: Tokens
    guard: pl.DataFrame
    measured: Mapping[tuple[str, str], Tokens]
    tokenizer: Tokenizer


def gold(folder: Path) -> Sources:
    """The setting of record: six corpora as the pool, wikitext-2 as the reference; excerpts, abstracts, health pages
    and paragraphs of an encyclopedia as sets that are neither.

    Raises:
        FileNotFoundError: the folder lacks a corpus.
    """
    lines = {name: folder / f"corpus_{name}" for name in ("code_python", "math_stacks", "news_de", "news_reuters")}
    lines |= {"reviews_imdb": folder / "corpus_reviews_imdb", "literature": folder / "corpus_literature"}
    pool = {name: pl.Series(name, list(_texts(path))) for name, path in lines.items()}
    wiki = (folder / "corpus_wikitext2" / "valid.txt").read_text(encoding="utf-8")
    paragraphs = json.loads((folder / "qa_xquad" / "xquad.en.json").read_text(encoding="utf-8"))["data"]
    abstracts = json.loads((folder / "qa_pubmedqa" / "ori_pqal.json").read_text(encoding="utf-8")).values()
    evaluation = {
        "xquad": [paragraph["context"] for article in paragraphs for paragraph in article["paragraphs"]],
        "pubmed": [" ".join(item["CONTEXTS"]) for item in abstracts],
        "medquad": [pair["a"] for line in _lines(folder / "qa_medquad") for pair in line["qa"] if pair["a"]],
        "clear": [line["Excerpt"] for line in _lines(folder / "quality_clear")],
    }
    return Sources(pool, _articles(wiki), {name: pl.Series(name, texts) for name, texts in evaluation.items()})


def of_lake(root: str, reference: str | None = None) -> Sources:
    """A lake's L1: `reference` (default: the domain with the median amount of text) and the domain next below it in
    size are held out, the second as a set that is neither; the others are the pool.

    Raises:
        ValueError: fewer than four domains, or no such domain.
    """
    import duckdb

    from resources.catalog import catalog_path
    from resources.lake import Lake

    with duckdb.connect(str(catalog_path(Lake(root))), read_only=True) as connection:
        rows = connection.sql("SELECT domain, text FROM l1_filtered ORDER BY doc_id").pl()
    return of_documents(rows, reference)


def of_documents(rows: pl.DataFrame, reference: str | None = None) -> Sources:
    """As `of_lake`, of documents [domain, text]."""
    sizes = rows.group_by("domain").agg(chars=pl.col("text").str.len_chars().sum()).sort("chars", "domain")
    names = sizes["domain"].to_list()
    if len(names) < 4:
        raise ValueError(f"a miniature needs four domains, two of them held out, not {names}")
    if reference is not None and reference not in names:
        raise ValueError(f"no domain {reference!r}; there are {sorted(names)}")
    at = names.index(reference) if reference is not None else len(names) // 2
    neither = names[at - 1] if at > 0 else names[1]
    texts = {name: rows.filter(pl.col("domain") == name)["text"] for name in names}
    pool = {name: texts[name] for name in sorted(names) if name not in (names[at], neither)}
    return Sources(pool, texts[names[at]], {neither: texts[neither]})


def make(sources: Sources, seed: int, settings: Settings | None = None) -> Miniature:
    """The miniature of a seed. Cost: encoding some 10 MB, 6 CPU seconds.

    Raises:
        ValueError: too little text for the pool or the reference.
    """
    settings = settings or Settings()
    random = np.random.default_rng([seed, 1])
    length = settings.model.context + 1
    roles = {name: _roles(texts, random, (GUARD_SHARE, GENERAL_SHARE)) for name, texts in sources.pool.items()}
    tokenizer = learn_tokenizer(_sample(roles), settings.model.vocab)
    weights = {name: min(MAX_DOMAIN_CHARS, int(texts.str.len_chars().sum())) for name, texts in sources.pool.items()}

    def chunks(texts: pl.Series, count: int) -> Tokens:
        chars = texts.str.len_chars()
        taken = texts.filter(chars.cum_sum() - chars < (count + 1) * length * CHARS_PER_TOKEN)
        return pack(encode(tokenizer, taken), length, END_ID)[:count]

    def texts_of(chunks_NC: Tokens) -> pl.Series:
        return pl.Series("text", tokenizer.decode_batch(chunks_NC[:, 1:].tolist()), dtype=pl.String)

    wanted = settings.pool + settings.warmup_steps * settings.batch
    share = (1 - NOISE_SHARE) / sum(weights.values())
    drawn = {name: chunks(roles[name][2], round(wanted * weights[name] * share)) for name in weights}
    salad = _salad(pl.concat([texts[2].rename("text").head(200) for texts in roles.values()]), random)
    drawn[NOISE] = chunks(salad, round(wanted * NOISE_SHARE))
    guards = {name: chunks(roles[name][0], settings.guard) for name in weights}
    target_texts, measured_texts = _roles(sources.reference, random, (TARGET_SHARE,))
    measured = {("reference", "reference"): chunks(measured_texts, settings.measured)}
    measured |= {("general", name): chunks(roles[name][1], settings.general) for name in weights}
    for name, texts in sources.evaluation.items():
        measured["evaluation", name] = chunks(_roles(texts, random, ())[0], settings.general)
    target = chunks(target_texts, settings.target)
    _check(drawn, target, measured)
    rows, warmup, order = _split(drawn, texts_of, settings, random)
    chunks_NC = np.concatenate(list(drawn.values()))[order]
    return Miniature(
        documents=rows,
        chunks_NC=chunks_NC[: len(rows)],
        warmup_WC=chunks_NC[len(rows) :],
        warmup=warmup,
        target_RC=target,
        target=texts_of(target),
        guard_GC=np.concatenate(list(guards.values())),
        guard=pl.DataFrame(
            {
                "domain": np.repeat(list(guards), [len(found) for found in guards.values()]),
                "text": texts_of(np.concatenate(list(guards.values()))),
            }
        ),
        measured=measured,
        tokenizer=tokenizer,
    )


def warmed_up(miniature: Miniature, seed: int, settings: Settings | None = None) -> Trainer:
    """A model trained on the miniature's warm-up chunks, each seen once."""
    settings = settings or Settings()
    trainer = Trainer(settings.model, OptimizerSettings(), seed)
    for step in range(settings.warmup_steps):
        rate = settings.lr * min(1.0, (step + 1) / settings.ramp_steps)
        trainer.step(miniature.warmup_WC[step * settings.batch : (step + 1) * settings.batch], rate)
    return trainer


def run_stage(trainer: Trainer, chunks_NC: Tokens, settings: Settings | None = None) -> None:
    """Train on the chunks in their order, a batch a step, at the full rate and then at a falling one."""
    settings = settings or Settings()
    steps = len(chunks_NC) // settings.batch
    decay = round(steps * DECAY_SHARE)
    for step in range(steps):
        rate = wsd(step, 0, steps - decay, decay, settings.lr)
        trainer.step(chunks_NC[step * settings.batch : (step + 1) * settings.batch], rate)


def losses(trainer: Trainer, miniature: Miniature) -> dict[tuple[str, str], float]:
    """The mean loss, nats a token, of every measured set by kind and name."""
    return {key: float(trainer.token_losses(chunks).mean()) for key, chunks in miniature.measured.items()}


def stage_flops(trainer: Trainer, settings: Settings | None = None) -> float:
    """6 x parameters x tokens of a stage."""
    settings = settings or Settings()
    return 6.0 * trainer.num_parameters * settings.stage * settings.model.context


def _roles(texts: pl.Series, random: np.random.Generator, shares: tuple[float, ...]) -> list[pl.Series]:
    """The documents in parts of these shares and the rest, at random; each part as windows in a random order."""
    order = random.permutation(len(texts))
    parts = np.split(order, np.cumsum([round(share * len(texts)) for share in shares]).astype(int))
    return [_windows(texts.gather(part), random) for part in parts]


def _windows(texts: pl.Series, random: np.random.Generator) -> pl.Series:
    frame = texts.rename("text").to_frame().with_columns(size=pl.col("text").str.len_chars()).filter(pl.col("size") > 0)
    starts = frame.with_columns(start=pl.int_ranges(0, pl.col("size"), WINDOW_CHARS)).explode("start")
    cut = starts.select(pl.col("text").str.slice(pl.col("start"), WINDOW_CHARS)).to_series()
    return cut.gather(random.permutation(len(cut)))


def _sample(roles: Mapping[str, list[pl.Series]]) -> list[str]:
    """The same amount of every domain's pool text, for the tokenizer."""
    size = TOKENIZER_CHARS // len(roles)
    return [text for parts in roles.values() for text in parts[-1].filter(parts[-1].str.len_chars().cum_sum() < size)]


def _salad(texts: pl.Series, random: np.random.Generator) -> pl.Series:
    """Windows of words of all domains in a random order: what nobody should learn from."""
    words = np.array(" ".join(texts).split(), dtype=object)
    shuffled = [" ".join(random.choice(words, WINDOW_CHARS // 6)) for _ in range(400)]
    return pl.Series("text", shuffled, dtype=pl.String)


def _split(
    drawn: Mapping[str, Tokens],
    texts_of: Callable[[Tokens], pl.Series],
    settings: Settings,
    random: np.random.Generator,
) -> tuple[pl.DataFrame, pl.DataFrame, np.ndarray]:
    """Rows of the pool and of the warm-up, and where they stand among the drawn chunks."""
    total = sum(len(chunks) for chunks in drawn.values())
    order = random.permutation(total)
    domains = np.repeat(list(drawn), [len(chunks) for chunks in drawn.values()])
    texts = pl.concat([texts_of(chunks) for chunks in drawn.values()])
    rows = pl.DataFrame({"domain": domains, "text": texts})[order].select(
        doc_id=pl.format("chunk-{}", pl.Series(order)),
        corpus=pl.col("domain"),
        snapshot=pl.lit("miniature"),
        domain=pl.col("domain"),
        num_tokens=pl.lit(settings.model.context, dtype=pl.Int64),
        text=pl.col("text"),
    )
    pool = total - settings.warmup_steps * settings.batch
    return rows.head(pool), rows.tail(total - pool), order


def _check(drawn: Mapping[str, Tokens], target: Tokens, measured: Mapping[tuple[str, str], Tokens]) -> None:
    sizes = {f"pool of {name}": len(chunks) for name, chunks in drawn.items()} | {"reference": len(target)}
    small = [f"{name}: {size} chunks" for name, size in sizes.items() if size < MIN_DOMAIN_CHUNKS]
    small += [f"{kind} {name}: no chunk" for (kind, name), chunks in measured.items() if len(chunks) == 0]
    if small:
        raise ValueError(f"too little text for a miniature: {'; '.join(small)}; {MIN_DOMAIN_CHUNKS} chunks are needed")


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    (file,) = sorted(folder.glob("*.jsonl.gz"))
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _texts(folder: Path) -> Iterator[str]:
    for line in _lines(folder):
        yield str(line["text"]) if "text" in line else _page(str(line["raw"]))


def _page(raw: str) -> str:
    """What a page of a book says."""
    import lxml.html

    found: str = lxml.html.fromstring(raw.encode()).text_content()
    return found.strip()


def _articles(wiki: str) -> pl.Series:
    """The articles of wikitext: each begins with a line ` = Title = `."""
    frame = pl.DataFrame({"line": wiki.split("\n")})
    title = pl.col("line").str.contains(r"^ = [^=]+ = $")
    joined = frame.group_by(title.cast(pl.Int32).cum_sum().alias("article"), maintain_order=True).agg(
        pl.col("line").str.join("\n")
    )
    return joined["line"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--data` or `--lake`, one of them; `--reference` of a lake."""
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--data", type=Path, help="folder of text corpora: the setting of record")
    group.add_argument("--lake", help="a lake, whose L1 is the pool")
    parser.add_argument("--reference", help="with --lake: the domain held out as the reference")


def sources_of(arguments: argparse.Namespace) -> Sources:
    """What the arguments name."""
    return gold(arguments.data) if arguments.data else of_lake(arguments.lake, arguments.reference)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    add_arguments(parser)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    made = make(sources_of(arguments), arguments.seed)
    counts = made.documents.group_by("domain").len().sort("len", descending=True)
    print("pool  ", dict(counts.iter_rows()), "warm-up", len(made.warmup_WC))
    print("target", len(made.target_RC), "guard", len(made.guard_GC))
    for (kind, name), chunks in made.measured.items():
        print(f"{kind:<10} {name:<14} {len(chunks)}")


if __name__ == "__main__":
    main()
