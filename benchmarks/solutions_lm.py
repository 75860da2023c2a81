"""The bundled model on a sample of GSM8K's example solutions: it reads them, and solves the questions itself.

In: rows of `benchmarks.solutions`. Out: columns for the sampled rows. It solves by the checks of L3 as they are: four
sampled solutions (`consistency`) and a second solver, the last sentence of a question asked about the others. A model
of 135M parameters solves next to none: this says what the checks are worth with it, not what they are worth.
Cost: 60 questions in some CPU minutes.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from typing import Any, Final

import numpy as np
import polars as pl

from algorithms.sentences import sentences
from resources.bundled_model import bundled_folder
from resources.language_models import Request, open_model
from tier_assets.l3_refined.agreement import consistency, gives, second_solver
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
    found = {
        "second solver, greedy": _solved(held, second_solver()),
        "self-consistency, 4 samples of the bundled model": _solved(held, consistency()),
    }
    print(f"\nSolving took {time.process_time() - start:.0f} CPU s")
    start = time.process_time()
    given = [f"Question: {q}\nAnswer:" for q in held["asked"]]
    answers = [f" {a}" for a in held["answer"].fill_null("none")]
    found["second solver, log-probability of the answer"] = _log_probabilities(given, answers)
    found["token probability"] = _log_probabilities(given, [f" {s}" for s in held["solution"]])
    print(f"Reading took {time.process_time() - start:.0f} CPU s")
    return found, sample


def _hash(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()


def _solved(rows: pl.DataFrame, check: Check) -> np.ndarray:
    """Of the replies that `check` asks for, the share that gives each row's answer [N]."""
    requests: list[Request] = []
    places: dict[str, list[int]] = defaultdict(list)
    for question in rows["asked"].unique(maintain_order=True):
        *_, (start, end) = sentences(question)
        passage = Passage(question, question[:start].strip() or question, 0, len(question))
        ask = check.ask(Candidate(question[start:end], "", "", "", passage.text, answer="?"), passage)
        assert ask is not None
        for number in range(check.num_samples):
            places[question].append(len(requests))
            prompt = check.prompt.fill(ask.fill)
            requests.append(
                Request(prompt, check.max_tokens, check.prompt.system, check.temperature, number, ask.json_schema)
            )
    replies: dict[int, str] = {}
    with closing(open_model("bundled").ask(iter(requests))) as flight:
        for place, reply in flight:
            replies[place] = reply.text or ""
    golds = dict(rows.select("asked", "gold").iter_rows())
    right = sum(gives(replies[p], golds[question]) for question, found in places.items() for p in found)
    answered = sum(bool(r) for r in replies.values())
    print(f"level {check.level}: {answered} of {len(requests)} requests answered, {right} of them right")
    shares = [
        sum(gives(replies[p], answer or "") for p in places[question]) / check.num_samples
        for question, answer in rows.select("asked", "answer").iter_rows()
    ]
    return np.array(shares)


def _log_probabilities(given: Sequence[str], texts: Sequence[str]) -> np.ndarray:
    """The mean log-probability of the tokens of each text after what is given [N]."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(bundled_folder())
    model: Any = AutoModelForCausalLM.from_pretrained(bundled_folder(), dtype=torch.bfloat16).eval()
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
