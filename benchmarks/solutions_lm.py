"""The bundled model on a sample of GSM8K's example solutions: it reads them, and solves the questions itself.

In: rows of `benchmarks.solutions`. Out: columns for the sampled rows. It solves by the check of L3 as it is, the last
sentence of a question asked about the others. A model of 135M parameters solves next to none: this says what a second
solver is worth with it, not what one is worth.
Cost: 40 questions in some CPU minutes.
"""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any, Final

import numpy as np
import polars as pl

from algorithms.sentences import sentences
from resources.bundled_model import bundled_folder
from resources.language_models import Request, open_model
from tier_assets.l3_refined.agreement import gives, second_solver
from tier_assets.l3_refined.task import Candidate, Check, Passage

# Tokens of a prompt and a solution, cut: the longest are under it.
MAX_TOKENS: Final = 768
BATCH: Final = 8


def read(rows: pl.DataFrame, num_questions: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The model's columns and the places in `rows` of the sampled solutions: half 1, first by hash."""
    asked = sorted({q for q, half in rows.select("asked", "half").iter_rows() if half == 1}, key=_hash)
    sample = np.flatnonzero(rows["asked"].is_in(asked[:num_questions]).to_numpy())
    held = rows[sample.tolist()]
    start = time.process_time()
    given = [f"Question: {q}\nAnswer:" for q in held["asked"]]
    answers = [f" {a}" for a in held["answer"].fill_null("none")]
    found = {
        "token probability": _log_probabilities(given, [f" {s}" for s in held["solution"]]),
        "second solver, probability of the answer": _log_probabilities(given, answers),
        "second solver, greedy": _solved(held, second_solver()),
    }
    print(f"Reading and solving took {time.process_time() - start:.0f} CPU s")
    return found, sample


def _hash(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()


def _solved(rows: pl.DataFrame, check: Check) -> np.ndarray:
    """Whether the reply to what `check` asks gives each row's answer [N]."""
    requests: list[Request] = []
    asked: list[str] = []
    for question in rows["asked"].unique(maintain_order=True):
        *_, (start, end) = sentences(question)
        passage = Passage(question, question[:start].strip() or question, 0, len(question))
        ask = check.ask(Candidate(question[start:end], "", "", "", passage.text, answer="?"), passage)
        assert ask is not None
        prompt = check.prompt.fill(ask.fill)
        requests.append(Request(prompt, check.max_tokens, check.prompt.system, json_schema=ask.json_schema))
        asked.append(question)
    replies: dict[int, str] = {}
    with closing(open_model("bundled").ask(iter(requests))) as flight:
        for place, reply in flight:
            replies[place] = reply.text or ""
    said = {question: replies[place] for place, question in enumerate(asked)}
    right = sum(gives(said[q], gold) for q, gold in dict(rows.select("asked", "gold").iter_rows()).items())
    print(f"The second solver answers {sum(map(bool, said.values()))} of {len(asked)} questions, {right} of them right")
    return np.array([float(gives(said[q], a or "")) for q, a in rows.select("asked", "answer").iter_rows()])


@functools.cache
def _tokenizer_and_model() -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(bundled_folder())
    return tokenizer, AutoModelForCausalLM.from_pretrained(bundled_folder(), dtype=torch.bfloat16).eval()


def _log_probabilities(given: Sequence[str], texts: Sequence[str]) -> np.ndarray:
    """The mean log-probability of the tokens of each text after what is given [N]."""
    import torch

    tokenizer, model = _tokenizer_and_model()
    pairs = [(tokenizer(g)["input_ids"], tokenizer(t)["input_ids"]) for g, t in zip(given, texts, strict=True)]
    order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]) + len(pairs[i][1]))
    means = np.zeros(len(pairs))
    for first in range(0, len(order), BATCH):
        batch = order[first : first + BATCH]
        ids = [torch.tensor((pairs[i][0] + pairs[i][1])[:MAX_TOKENS]) for i in batch]
        padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(one) for one in ids], batch_first=True)
        with torch.no_grad():
            logits = model(input_ids=padded, attention_mask=mask).logits.float().log_softmax(-1)
        for row, i in enumerate(batch):
            before, length = len(pairs[i][0]), len(ids[row])
            told = logits[row, before - 1 : length - 1].gather(-1, ids[row][before:, None])
            means[i] = float(told.mean())
    return means
