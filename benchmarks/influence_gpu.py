"""`python -m benchmarks.influence_gpu`: what choosing documents saves at tens of millions of parameters, on one GPU.

    prepare --data FOLDER (or --lake LAKE) --out FILE   pack the pool of `benchmarks.miniature` into a file to carry
    run --file FILE --state DIR --minutes 8             go on with the work, and report
    report --state DIR                                  what the finished arms say; `--picture FILE.svg`

All arms of a seed start from one warm-up on random chunks; then, three rounds long, each draws chunks that it has not
seen by its rule, on its own weights as they are, and trains on them `passes` times. A chunk of `context` tokens is a
document here. The rate is constant after its ramp, so that losses can be compared at any step.

**Headline**: FLOPs that an arm needs to reach random's final score, as a share of all that random took, the warm-up
counted in both. The score is the mean loss over sets that are neither reference nor pool. What choosing costs (probes,
fit, prediction, counts) is counted; the audit by true probes stands in a column of its own and in the last.

The work is a list of pieces, an (arm, round) each, of some 20 seconds on an H100 by its arithmetic. `DIR/pieces.jsonl`
holds what the finished ones measured, folders beside it the checkpoints: a later `run` goes on where the last ended,
and but for its first, it begins no piece that would not fit into `--minutes`. Without its checkpoint an unfinished arm
is done anew; a finished one needs none. `run` and `report` need numpy, scipy, torch and transformers, and no text.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.influence_gpu_report import picture, report
from benchmarks.influence_gpu_rounds import (
    ARMS,
    ROUNDS,
    SIZES,
    START,
    Data,
    Piece,
    Place,
    Settings,
    begun,
    gone_on,
    load,
)
from resources.trainer import OptimizerSettings, Trainer

if TYPE_CHECKING:
    from benchmarks.miniature import Sources

MAX_BYTES: Final = 60 << 20


def prepare(sources: Sources, settings: Settings, file: Path, max_bytes: int) -> None:
    """Write the pool and the sets of `benchmarks.miniature.Sources` as chunks of tokens (uint16).

    Raises:
        ValueError: too little text, or a file of more than `max_bytes`.
    """
    from benchmarks import miniature

    sizes = miniature.Settings(pool=settings.pool, warmup_steps=0, model=settings.model)
    made = miniature.make(sources, 0, sizes)
    domains, groups_N = np.unique(made.documents["domain"].to_numpy().astype(str), return_inverse=True)
    arrays = {f"{kind}/{name}": chunks for (kind, name), chunks in made.measured.items()}
    arrays |= {"pool": made.chunks_NC, "target": made.target_RC}
    packed = {name: chunks.astype(np.uint16) for name, chunks in arrays.items()}
    with file.open("wb") as out:
        np.savez_compressed(out, allow_pickle=False, groups=groups_N.astype(np.uint8), domains=domains, **packed)
    if file.stat().st_size > max_bytes:
        raise ValueError(f"{file} has {file.stat().st_size:,} bytes, more than the {max_bytes:,} that can be carried")


@dataclass(frozen=True, slots=True)
class State:
    """The folder in which the work stands.

    Raises:
        ValueError: it holds the work on another file or of another size.
    """

    folder: Path
    about: dict[str, Any]

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "about.json"
        if not file.exists():
            file.write_text(json.dumps(self.about, indent=2) + "\n", encoding="utf-8")
        elif json.loads(file.read_text(encoding="utf-8")) != self.about:
            raise ValueError(f"{self.folder} holds work on another file or of another size: name another folder")

    def checkpoint(self, seed: int, arm: str, number: int) -> Path:
        """Where the weights after a piece lie."""
        return self.folder / f"{seed}-{arm}-{number}"

    def next_piece(self, done: Mapping[Place, Piece], seeds: Sequence[int], arms: Sequence[str]) -> Place | None:
        """(seed, arm, round) of the first piece that is to be done, None where all are."""
        for seed in seeds:
            for arm in arms:
                if (seed, arm, ROUNDS) in done:
                    continue
                for number in range(ROUNDS - 1, 0, -1):
                    if (seed, arm, number) in done and self.checkpoint(seed, arm, number).exists():
                        return seed, arm, number + 1
                started = (seed, START, 0) in done and self.checkpoint(seed, START, 0).exists()
                return (seed, arm, 1) if started else (seed, START, 0)
        return None

    def add(self, pieces: Sequence[Piece]) -> None:
        """Write all pieces, in one move."""
        partial = self.folder / "pieces.partial"
        partial.write_text("".join(json.dumps(asdict(piece)) + "\n" for piece in pieces), encoding="utf-8")
        os.replace(partial, self.folder / "pieces.jsonl")


def pieces_in(folder: Path) -> dict[Place, Piece]:
    """What is done, by (seed, arm, round)."""
    file = folder / "pieces.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    found = [Piece(**json.loads(line)) for line in lines]
    return {(piece.seed, piece.arm, piece.round): piece for piece in found}


def run(data: Data, settings: Settings, folder: Path, seeds: Sequence[int], arms: Sequence[str], minutes: float) -> int:
    """Go on, by a piece at least, until all is done or the next would end after `minutes`; how many were done."""
    state = State(folder, {"file": data.version, **asdict(settings)})
    began, num = time.monotonic(), 0
    done = pieces_in(folder)
    while (place := state.next_piece(done, seeds, arms)) is not None:
        longest = max((piece.seconds for piece in done.values()), default=0.0)
        if num and time.monotonic() - began + longest > 60 * minutes:
            print(f"{place} would take up to {longest:.0f} s and not end in time: `run` again goes on with it")
            break
        started = time.monotonic()
        piece = _work(data, settings, state, done, place)
        done[place] = replace(piece, seconds=round(time.monotonic() - started, 1))
        state.add(list(done.values()))
        _forget(state, place)
        num += 1
        print(f"{place} done in {done[place].seconds} s", flush=True)
    return num


def _work(data: Data, settings: Settings, state: State, done: Mapping[Place, Piece], place: Place) -> Piece:
    """Do a piece, and leave its checkpoint where another follows."""
    seed, arm, number = place
    if arm == START:
        trainer = Trainer(settings.model, OptimizerSettings(), seed)
        piece = begun(data, settings, seed, trainer)
    else:
        before = [(seed, START, 0), *((seed, arm, earlier) for earlier in range(1, number))]
        trainer = Trainer.load(state.checkpoint(*before[-1]))
        seen = np.concatenate([done[earlier].drawn for earlier in before]).astype(np.int64)
        piece = gone_on(data, settings, place, trainer, seen)
    if number < ROUNDS:
        # Of a piece that ended before it was written down.
        shutil.rmtree(state.checkpoint(*place), ignore_errors=True)
        trainer.save(state.checkpoint(*place))
    return piece


def _forget(state: State, place: Place) -> None:
    """Delete the checkpoint that no piece needs any more: 430 MB each."""
    seed, arm, number = place
    if number > 1:
        shutil.rmtree(state.checkpoint(seed, arm, number - 1), ignore_errors=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    packs, runs, tells = (commands.add_parser(name) for name in ("prepare", "run", "report"))
    # As `miniature.add_arguments`, which needs polars.
    group = packs.add_mutually_exclusive_group(required=True)
    group.add_argument("--data", type=Path, help="folder of text corpora: the setting of record")
    group.add_argument("--lake", help="a lake, whose L1 is the pool")
    packs.add_argument("--reference", help="with --lake: the domain held out as the reference")
    packs.add_argument("--out", type=Path, required=True)
    runs.add_argument("--file", type=Path, required=True, help="what `prepare` wrote")
    runs.add_argument("--minutes", type=float, default=8.0)
    runs.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    runs.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    for command in (packs, runs):
        command.add_argument("--size", default="gpu", choices=list(SIZES))
    for command in (runs, tells):
        command.add_argument("--state", type=Path, required=True, help="folder in which the work stands")
        command.add_argument("--picture", type=Path, help="write an SVG here")
    found = parser.parse_args(arguments)
    if found.command == "prepare":
        from benchmarks.miniature import sources_of

        prepare(sources_of(found), SIZES[found.size], found.out, MAX_BYTES)
        print(f"{found.out}: {found.out.stat().st_size / 2**20:.1f} MiB")
        return
    if found.command == "run":
        run(load(found.file), SIZES[found.size], found.state, found.seeds, found.arms, found.minutes)
    print(report(list(pieces_in(found.state).values())))
    if found.picture:
        picture(list(pieces_in(found.state).values()), found.picture)


if __name__ == "__main__":
    main()
