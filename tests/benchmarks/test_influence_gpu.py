"""The benchmark on one GPU at its toy size: resumed work gives the same figures, and its FLOPs add up."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from benchmarks.influence_gpu import MAX_BYTES, main, pieces_in, prepare, run
from benchmarks.influence_gpu_report import Point, paths_of, picture, reached, report
from benchmarks.influence_gpu_rounds import ARMS, RIDGES, ROUNDS, START, TOY, Data, Piece, draw, load, ridge
from benchmarks.miniature import Sources

SETTINGS = replace(TOY, labels=24, audited=2, ramp_steps=2)


def sources() -> Sources:
    """Every document is one word of its own, repeated."""
    random = np.random.default_rng(0)

    def texts(domain: str) -> pl.Series:
        words = ["".join(random.choice(list("abcdefghij"), 5)) for _ in range(300)]
        return pl.Series([f"{domain}{word} " * 24 for word in words])

    return Sources({"one": texts("p"), "two": texts("q")}, texts("r"), {"other": texts("s")})


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "pool.npz"
    prepare(sources(), SETTINGS, path, MAX_BYTES)
    return path


@pytest.fixture(scope="module")
def data(file: Path) -> Data:
    return load(file)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def state(data: Data, tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """All of random and cynical_influence, in one go."""
    folder = tmp_path_factory.mktemp("state")
    assert run(data, SETTINGS, folder, [0], ["random", "cynical_influence"], 60) == 1 + 2 * ROUNDS
    return folder


def unclocked(folder: Path) -> dict[tuple[int, str, int], Piece]:
    return {place: replace(piece, seconds=0.0) for place, piece in pieces_in(folder).items()}


def test_prepare_packs_pool_target_and_measured_sets(data: Data, file: Path) -> None:
    assert data.chunks_NC.shape[1] == data.target_RC.shape[1] == SETTINGS.model.context + 1
    assert set(data.measured) == {"reference/reference", "general/one", "general/two", "evaluation/other"}
    assert len(data.groups_N) == len(data.chunks_NC)
    assert data.domains == ["noise", "one", "two"]
    with np.load(file) as arrays:
        assert arrays["pool"].dtype == np.uint16


def test_prepare_beyond_the_size_to_carry_raises(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than the 1,000 that can be carried"):
        prepare(sources(), SETTINGS, tmp_path / "pool.npz", 1_000)


def test_import_without_polars_works() -> None:
    code = "import sys; sys.modules['polars'] = None; import benchmarks.influence_gpu"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("arm", ARMS)
def test_draw_of_every_arm_takes_the_number_asked_for_of_what_was_not_seen(data: Data, arm: str) -> None:
    seen = np.arange(0, len(data.chunks_NC), 3)
    influence_N = np.random.default_rng(1).normal(size=len(data.chunks_NC))
    drawn = draw(arm, data, seen, 100, influence_N, np.random.default_rng(2))
    assert len(np.unique(drawn)) == 100
    assert not np.isin(drawn, seen).any()


def test_draw_of_domain_matched_has_the_mix_of_cynical_and_other_chunks(data: Data) -> None:
    seen = np.arange(50)
    one, other = (draw(arm, data, seen, 100, None, np.random.default_rng(2)) for arm in ("cynical", "domain_matched"))
    assert np.bincount(data.groups_N[one]).tolist() == np.bincount(data.groups_N[other]).tolist()
    assert set(one) != set(other)


def test_draw_by_influence_prefers_what_has_much_of_it(data: Data) -> None:
    influence_N = np.where(np.arange(len(data.chunks_NC)) % 4 == 0, 20.0, 0.0)
    drawn = draw("influence", data, np.arange(10), 100, influence_N, np.random.default_rng(2))
    assert (drawn % 4 == 0).all()


def test_ridge_is_the_best_of_its_strengths_with_each_row_left_out() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(30, 50)) / 7
    labels = rows[:, 0] + 0.3 * random.normal(size=30)

    def fitted(x: np.ndarray, y: np.ndarray, strength: float) -> np.ndarray:
        return np.asarray(np.linalg.solve(x.T @ x + strength * np.eye(50), x.T @ y))

    unseen = {
        strength: np.array([rows[n] @ fitted(np.delete(rows, n, 0), np.delete(labels, n), strength) for n in range(30)])
        for strength in RIDGES
    }
    best = min(RIDGES, key=lambda strength: float(np.square(unseen[strength] - labels).mean()))
    weights, unseen_N = ridge(sparse.csr_matrix(rows), labels)
    assert np.allclose(weights, fitted(rows, labels, best))
    assert np.allclose(unseen_N, unseen[best])


def point(flops: float, score: float, audit: float = 0.0) -> Point:
    return Point(flops, audit, {"evaluation": score})


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ([point(10, 6.0), point(20, 5.0)], (15.0, 0.0)),
        # What choosing costs comes before what it brings.
        ([point(10, 6.0), point(14, 6.0, 3.0), point(24, 5.0, 3.0)], (19.0, 3.0)),
        ([point(10, 6.0), point(20, 5.5)], (20.0, 0.0)),
        ([point(10, 6.0), point(20, 5.51)], None),
        ([point(10, 5.5), point(20, 5.0)], (10.0, 0.0)),
    ],
)
def test_reached_of_a_path_is_where_the_score_is_first_as_low(
    path: list[Point], expected: tuple[float, float] | None
) -> None:
    assert reached(path, 5.5) == expected


def test_report_without_random_says_so() -> None:
    assert report([]) == "no report yet: random has not run its 3 rounds"


@pytest.mark.slow
def test_run_stopped_after_every_piece_gives_the_same_figures(
    data: Data, state: Path, tmp_path: Path, one_thread: None
) -> None:
    calls = 0
    while run(data, SETTINGS, tmp_path, [0], ["random", "cynical_influence"], 0.0):
        calls += 1
    assert calls == 1 + 2 * ROUNDS
    assert unclocked(tmp_path) == unclocked(state)


@pytest.mark.slow
def test_run_of_finished_work_does_nothing_even_without_checkpoints(data: Data, state: Path, tmp_path: Path) -> None:
    shutil.copy(state / "pieces.jsonl", tmp_path)
    shutil.copy(state / "about.json", tmp_path)
    before = (tmp_path / "pieces.jsonl").read_bytes()
    assert run(data, SETTINGS, tmp_path, [0], ["random", "cynical_influence"], 60) == 0
    assert (tmp_path / "pieces.jsonl").read_bytes() == before


@pytest.mark.slow
def test_run_of_an_arm_whose_checkpoint_is_gone_begins_it_anew(
    data: Data, state: Path, tmp_path: Path, one_thread: None
) -> None:
    for _ in range(3):
        run(data, SETTINGS, tmp_path, [0], ["random"], 0.0)
    shutil.rmtree(tmp_path / "0-random-2")
    assert run(data, SETTINGS, tmp_path, [0], ["random"], 60) == ROUNDS
    assert (
        paths_of(list(pieces_in(tmp_path).values()))[0, "random"]
        == paths_of(list(pieces_in(state).values()))[0, "random"]
    )


@pytest.mark.slow
def test_run_on_the_state_of_another_size_raises(data: Data, state: Path) -> None:
    with pytest.raises(ValueError, match="holds work on another file or of another size"):
        run(data, replace(SETTINGS, passes=3), state, [0], ["random"], 60)


@pytest.mark.slow
def test_paths_hold_all_flops_of_the_pieces(state: Path) -> None:
    pieces = pieces_in(state)
    path = paths_of(list(pieces.values()))[0, "cynical_influence"]
    rounds = [pieces[0, START, 0], *(pieces[0, "cynical_influence", number] for number in range(1, ROUNDS + 1))]
    assert all(set(piece.flops) == {"probes", "fit", "predict", "audit", "select"} for piece in rounds[1:])
    spent = sum(piece.curve[-1][0] for piece in rounds)
    spent += sum(value for piece in rounds for purpose, value in piece.flops.items() if purpose != "audit")
    assert path[-1].flops == pytest.approx(spent, rel=1e-12)
    assert path[-1].audit == pytest.approx(sum(piece.flops.get("audit", 0.0) for piece in rounds), rel=1e-12)
    tokens = SETTINGS.batch * SETTINGS.model.context
    steps = [len(piece.drawn) * SETTINGS.passes // SETTINGS.batch for piece in rounds]
    assert [piece.curve[-1][0] for piece in rounds] == [6.0 * rounds[0].parameters * tokens * num for num in steps]


@pytest.mark.slow
def test_no_chunk_is_drawn_twice_by_an_arm(state: Path) -> None:
    pieces = pieces_in(state)
    for arm in ("random", "cynical_influence"):
        drawn = [pieces[0, START, 0], *(pieces[0, arm, number] for number in range(1, ROUNDS + 1))]
        chunks = [chunk for piece in drawn for chunk in piece.drawn]
        assert len(set(chunks)) == len(chunks)


@pytest.mark.slow
def test_report_and_picture_of_a_state_are_the_same_every_time(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one.svg", "two.svg"):
        main(["report", "--state", str(state), "--picture", str(tmp_path / name)])
    shown = capsys.readouterr().out
    row = next(line for line in shown.splitlines() if line.startswith("| random "))
    assert row.startswith("| random | 1 | 100% | 0% | 100% | ")
    assert "a constant rate" in shown
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    with pytest.raises(ValueError, match="nothing to draw"):
        picture([], tmp_path / "three.svg")
