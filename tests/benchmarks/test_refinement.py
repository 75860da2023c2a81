"""What the benchmark of refinement's engine asks, and that its simulated engine answers all of it."""

from __future__ import annotations

import random
from collections import Counter

from benchmarks.refinement import EACH_PASSAGE, NUM_PASSAGES, Simulated, made_up_requests, measured, mixed_requests


def test_measured_second_run_is_replayed(tmp_path) -> None:
    assert measured(2_000, str(tmp_path / "lake"))["num_asked"] == 2_000
    found = measured(2_000, str(tmp_path / "lake"))
    assert found["num_asked"] == 0
    assert found["peak_mb"] > 0


def test_simulated_engine_answers_every_request_in_no_order() -> None:
    places = [place for place, _ in Simulated().ask(made_up_requests(3_000))]
    assert sorted(places) == list(range(3_000))
    assert places != sorted(places)


def test_mixed_requests_share_passages_and_a_third_has_a_schema() -> None:
    found = mixed_requests(random.Random(0))
    assert found == mixed_requests(random.Random(0))
    assert found != mixed_requests(random.Random(1))
    assert set(Counter(request.prompt.split("\n")[1] for request in found).values()) == {EACH_PASSAGE}
    assert sum(request.json_schema is not None for request in found) == NUM_PASSAGES * EACH_PASSAGE // 3
