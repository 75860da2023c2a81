"""Hostile files through every reader and through extraction: no crash, no hang, bounded memory, all accounted for."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from resources.workers import Died, Workers
from tests.l0_raw.fuzzing import (
    Case,
    Outcome,
    bomb_cases,
    broken_cases,
    crafted_cases,
    lying_cases,
    run_case,
)

CPU_S = 20.0
# A record of 64 MiB is held a few times over: as read, as text, as words.
MEMORY_BYTES = 1 << 30


def outcomes(cases: Iterable[Case]) -> list[Outcome]:
    """What came of each case; none crashed, hung or outgrew its memory."""
    listed = list(cases)
    with Workers(num_workers=1, cpu_s=CPU_S, memory_bytes=MEMORY_BYTES, chunk_items=4) as pool:
        found = list(pool.map(run_case, listed))
    ends = [result if isinstance(result, Died) else result.fault for result in found]
    faults = [f"{case.label}: {end}" for case, end in zip(listed, ends, strict=True) if end]
    assert not faults, "\n".join(faults)
    return [result for result in found if isinstance(result, Outcome)]


def test_broken_files_of_every_format_give_records_and_verdicts():
    found = outcomes(broken_cases(3))
    assert sum(outcome.num_records for outcome in found) > len(found) / 2
    assert sum(outcome.num_texts for outcome in found) > len(found) / 4


def test_deep_nesting_entities_and_paths_that_lead_out_give_verdicts():
    found = {outcome.label: outcome for outcome in outcomes(crafted_cases())}
    assert len(found) > 80
    for label in ("deep zip", "path '../up.txt' in a tar", "path '/tmp/abs.txt' in a zip"):
        assert (found[label].num_records, found[label].num_bad) == (0, 1), label


@pytest.mark.slow
def test_bombs_give_verdicts():
    found = outcomes(bomb_cases())
    assert len(found) > 20
    assert all(outcome.num_bad for outcome in found)


@pytest.mark.slow
def test_files_that_lie_about_what_they_are_give_records_and_verdicts():
    assert len(outcomes(lying_cases())) > 500


@pytest.mark.slow
def test_two_thousand_broken_files_give_records_and_verdicts():
    assert len(outcomes(broken_cases(120))) > 2000
