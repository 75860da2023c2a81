"""`python -m benchmarks.annotation`: rating documents as the asset does, beside vLLM called bare.

Ours is `rate` behind the replay cache of a real lake, from texts to rows: windows, prompts, chat template, tokens,
keys, commits. The peer is `LLM.generate` on the same token ids, made beforehand, in the same order, and gives the
probabilities of the same options. Both begin with an empty prefix cache and run in turns, in one process, on one
engine. Some minutes on two cores.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from resources.lake import Lake
from resources.language_models import Replayed, open_model
from resources.language_models.scripted import ScriptedModel
from resources.language_models.vllm_engine import VllmModel, engine
from tier_assets.l2_selected import annotate

NUM_DOCUMENTS = 60
REPEATS = 3
SYLLABLES = ("ba", "de", "fi", "go", "lu", "ma", "ne", "pi", "ro", "su", "ta", "ver", "wen", "kor", "lis", "tan")


@dataclass(frozen=True, slots=True)
class Run:
    """What one pass over the prompts took."""

    wall_s: float
    cpu_s: float


def made_documents(num: int) -> pl.DataFrame:
    """Documents [doc_id, corpus, snapshot, text] of made-up words, of 15 to 1,500 words: long and short in one draw."""
    draw = random.Random(0)
    texts = []
    for _ in range(num):
        words = ["".join(draw.choices(SYLLABLES, k=draw.randint(1, 3))) for _ in range(int(15 * 100 ** draw.random()))]
        texts.append("\n".join(" ".join(words[i : i + 40]) + "." for i in range(0, len(words), 40)))
    ids = [f"d{i:04}" for i in range(num)]
    return pl.DataFrame({"doc_id": ids, "corpus": "made", "snapshot": "1", "text": texts})


def prompts_of(documents: pl.DataFrame, settings: annotate.Settings) -> list[str]:
    """The prompts that rating the documents asks, in order."""
    asked = ScriptedModel(answer=lambda prompt: "")
    annotate.rate(documents, asked, settings, lambda done: None)
    return asked.prompts


def measured(work: Callable[[], object]) -> Run:
    """Wall and CPU seconds (of all threads) of `work`."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Run(time.perf_counter() - wall, time.process_time() - cpu)


def compare(documents: pl.DataFrame, settings: annotate.Settings, scratch: Path) -> tuple[int, list[tuple[Run, Run]]]:
    """Tokens of all prompts of a pass, and REPEATS pairs of passes: ours, and vLLM bare."""
    model = open_model("bundled")
    assert isinstance(model, VllmModel)
    prompts = prompts_of(documents, settings)
    ids = model._token_ids(prompts, "")
    model.choose(prompts[:8], annotate.OPTIONS)  # starts the engine
    bare = engine(str(model._folder), model.max_model_len)
    from vllm import SamplingParams

    options = [model._token(option) for option in annotate.OPTIONS]
    params = SamplingParams(max_tokens=1, temperature=0.0, logprob_token_ids=options, detokenize=False)
    asked: list[Any] = [{"prompt_token_ids": one} for one in ids]

    def ours(number: int) -> Run:
        lake = Lake(str(scratch / f"lake-{number}"))
        lake.create()
        bare.reset_prefix_cache()
        replayed = Replayed(model, lake, "l2_annotations")
        return measured(lambda: annotate.rate(documents, replayed, settings, lambda done: None))

    def theirs() -> Run:
        bare.reset_prefix_cache()
        return measured(lambda: bare.generate(asked, params, use_tqdm=False))

    theirs()  # warms what is compiled or allocated once
    return sum(map(len, ids)), [(ours(number), theirs()) for number in range(REPEATS)]


def main() -> None:
    """Print tokens a second of both, by wall and by CPU seconds, and the share of vLLM's that ours reaches."""
    settings = annotate.Settings()
    with tempfile.TemporaryDirectory() as scratch:
        num_tokens, pairs = compare(made_documents(NUM_DOCUMENTS), settings, Path(scratch))
    for name in ("wall_s", "cpu_s"):
        ours, theirs = zip(*((getattr(a, name), getattr(b, name)) for a, b in pairs), strict=True)
        shares = sorted(b / a for a, b in zip(ours, theirs, strict=True))
        print(
            f"{name:<7} ours {num_tokens / statistics.median(ours):,.0f} tokens/s, vLLM bare "
            f"{num_tokens / statistics.median(theirs):,.0f}; share {statistics.median(shares):.3f} "
            f"(of {len(pairs)} pairs {shares[0]:.3f} to {shares[-1]:.3f})"
        )


if __name__ == "__main__":
    main()
