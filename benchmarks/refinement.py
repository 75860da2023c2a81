"""`python -m benchmarks.refinement [memory] [throughput]`: the engine of refinement, its memory and its speed.

memory: a flight of 100,000 and of 1,000,000 requests through the replay cache of a real lake, with a simulated engine,
    each in a process of its own, and again with every reply in the cache. Some two minutes on two idle cores.
throughput: passages of 128 tokens, five requests each of different lengths, a third of them under a JSON schema,
    through the replay cache of a real lake, beside vLLM's own `generate` on the same token ids, made beforehand. Both
    begin with an empty prefix cache and run in turns, in one process, on one engine. Some five minutes on two cores.
"""

from __future__ import annotations

import functools
import itertools
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from resources.lake import Lake
from resources.language_models import Replayed, Reply, Request, open_model
from resources.language_models.look_ahead import Source
from resources.language_models.protocol import Flight, LanguageModel
from resources.language_models.vllm_engine import VllmModel, engine
from resources.language_models.vllm_flight import SamplingOf

SIZES = (100_000, 1_000_000)
WINDOW = 512
EACH_PASSAGE = 5
NUM_PASSAGES = 30
REPEATS = 5
LENGTHS = (16, 32, 48, 64, 96)  # max_tokens of each of the EACH_PASSAGE requests
SYSTEM = "You turn texts into training data. You state nothing that the text does not say."
SCHEMA = {
    "type": "object",
    "properties": {"question": {"type": "string"}, "answer": {"type": "string"}},
    "required": ["question", "answer"],
    "additionalProperties": False,
}
SYLLABLES = ("ba", "de", "fi", "go", "lu", "ma", "ne", "pi", "ro", "su", "ta", "ver", "wen", "kor", "lis", "tan")


class Simulated(LanguageModel):
    """An engine that holds WINDOW requests, finishes them in no order, and answers with some of the prompt's words."""

    name = "simulated@1"

    def __init__(self) -> None:
        self.num_asked = 0

    def ask(self, requests: Iterable[Request | None]) -> Flight:
        """A reply a request; draws WINDOW requests ahead."""
        source = Source(requests)
        places = itertools.count()
        draw = random.Random(0)
        under_way: list[tuple[int, Request]] = []
        while not source.has_ended or under_way:
            while len(under_way) < WINDOW and (drawn := source.take()) is not None:
                under_way.append((next(places), drawn))
            if under_way:
                chosen = draw.randrange(len(under_way))
                under_way[chosen], under_way[-1] = under_way[-1], under_way[chosen]
                place, request = under_way.pop()
                self.num_asked += 1
                text = request.prompt[: 4 * request.max_tokens]
                yield place, Reply(text, None, None, 150, 128, request.max_tokens, 0.5)


def made_up_words(draw: random.Random, num: int) -> str:
    """So many words of two syllables, three tokens each or so."""
    return " ".join(map("".join, zip(draw.choices(SYLLABLES, k=num), draw.choices(SYLLABLES, k=num), strict=True)))


def made_up_requests(num: int) -> Iterator[Request]:
    """Requests as refinement asks them: EACH_PASSAGE in turn about one passage, of different tasks and lengths."""
    draw = random.Random(0)
    for number in range(num):
        if number % EACH_PASSAGE == 0:
            passage = f"{number} {made_up_words(draw, 40)}"
        task = number % EACH_PASSAGE
        prompt = f"Text:\n{passage}\n\nTask {task}: write a question that the text answers, and its answer."
        yield Request(prompt, 32 + 16 * task, prompt_version=f"task{task}@1")


def measured(num: int, root: str) -> dict[str, float]:
    """Peak memory (MB), seconds, and requests asked, of `num` requests through the cache in the lake at `root`."""
    model = Simulated()
    started, cpu = time.perf_counter(), time.process_time()
    num_replies = sum(1 for _ in Replayed(model, Lake(root)).ask(made_up_requests(num)))
    if num_replies != num:
        raise RuntimeError(f"{num_replies} replies to {num} requests")
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return {
        "peak_mb": int(peak.split()[1]) / 1024,
        "wall_s": time.perf_counter() - started,
        "cpu_s": time.process_time() - cpu,
        "num_asked": model.num_asked,
    }


def memory() -> None:
    """Print peak memory and time of flights of SIZES, first asked, then replayed."""
    program = "import sys, json; from benchmarks.refinement import measured; "
    program += "print(json.dumps(measured(int(sys.argv[1]), sys.argv[2])))"
    for num in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            for way in ("asked", "replayed"):
                command = [sys.executable, "-c", program, str(num), folder]
                found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                print(
                    f"{num:>9,} requests, {way:<8}: peak {found['peak_mb']:,.0f} MB, {found['cpu_s']:.1f} CPU s, "
                    f"{found['wall_s']:.1f} s; {found['num_asked']:,} asked",
                    flush=True,
                )


def mixed_requests(draw: random.Random) -> list[Request]:
    """NUM_PASSAGES passages of 128 tokens or so; of each EACH_PASSAGE requests, in all a third under a schema."""
    found = []
    for number in range(NUM_PASSAGES):
        passage = made_up_words(draw, 40)
        for task, max_tokens in enumerate(LENGTHS):
            prompt = f"Text:\n{passage}\n\nTask {task}: write a question that the text answers, and its answer."
            schema = SCHEMA if (number * EACH_PASSAGE + task) % 3 == 0 else None
            temperature = 0.7 if task == 3 else 0.0
            version = f"task{task}@1"
            found.append(Request(prompt, max_tokens, SYSTEM, temperature, number, schema, prompt_version=version))
    return found


def timed(work: Callable[[], int]) -> tuple[float, float, int]:
    """Wall and CPU seconds (of all threads) of `work`, and the tokens that it says it wrote."""
    wall, cpu = time.perf_counter(), time.process_time()
    num_tokens = work()
    return time.perf_counter() - wall, time.process_time() - cpu, num_tokens


def compared(scratch: Path) -> list[tuple[tuple[float, float, int], tuple[float, float, int]]]:
    """REPEATS pairs of passes over the same requests: ours, and vLLM bare, in turns; each pair has fresh passages."""
    model = open_model("bundled")
    assert isinstance(model, VllmModel)
    model.complete(["Say hello."], max_tokens=2, json_schema=SCHEMA)  # starts the engine
    bare = engine(str(model._folder), model.max_model_len)

    def ours(asked: list[Request], number: int) -> int:
        lake = Lake(str(scratch / f"lake-{number}"))
        return sum(reply.output_tokens for _, reply in Replayed(model, lake).ask(asked))

    def theirs(ids: list[Any], params: list[Any]) -> int:
        outputs = bare.generate(ids, params, use_tqdm=False)
        return sum(len(output.outputs[0].token_ids) for output in outputs)

    found = []
    for number in range(REPEATS + 1):
        asked = mixed_requests(random.Random(number))
        ids: list[Any] = [{"prompt_token_ids": i} for i in model._token_ids([r.prompt for r in asked], SYSTEM)]
        sampling = SamplingOf(model.option_ids)
        params = [sampling.params(request) for request in asked]
        passes = (functools.partial(ours, asked, number), functools.partial(theirs, ids, params))
        runs = {}
        for which in (0, 1) if number % 2 else (1, 0):
            bare.reset_prefix_cache()
            runs[which] = timed(passes[which])
        found.append((runs[0], runs[1]))
    return found[1:]  # the first warms what is compiled or allocated once


def throughput() -> None:
    """Print output tokens a second of both, by wall and by CPU seconds, and the share of vLLM's that ours reaches."""
    with tempfile.TemporaryDirectory() as scratch:
        pairs = compared(Path(scratch))
    num_requests = NUM_PASSAGES * EACH_PASSAGE
    print(f"{num_requests} requests a pass, {statistics.mean(ours[2] for ours, _ in pairs):,.0f} tokens written")
    for name, place in (("wall", 0), ("CPU", 1)):
        speeds = [[run[2] / run[place] for run in pair] for pair in pairs]
        shares = sorted(ours / theirs for ours, theirs in speeds)
        ours, theirs = (statistics.median(column) for column in zip(*speeds, strict=True))
        print(
            f"by {name:<4} seconds: ours {ours:,.0f} tokens/s, vLLM bare {theirs:,.0f}; share "
            f"{statistics.median(shares):.3f} (of {len(pairs)} pairs {shares[0]:.3f} to {shares[-1]:.3f})",
            flush=True,
        )


SECTIONS = {"memory": memory, "throughput": throughput}


def main() -> None:
    """Run the sections that are named, or all of them."""
    for name in sys.argv[1:] or SECTIONS:
        SECTIONS[name]()


if __name__ == "__main__":
    main()
