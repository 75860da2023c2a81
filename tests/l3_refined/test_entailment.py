from __future__ import annotations

import pytest

from resources.encoder import ScriptedEncoder
from tier_assets.l3_refined.entailment import scores

SOURCE = "The bridge over the Tay fell. It rained hard all day."


def test_scores_of_repeated_sentence_is_one_and_of_a_strange_one_less() -> None:
    same, other = scores(
        ["The bridge over the Tay fell.", "Elephants eat bananas."], [SOURCE, SOURCE], ScriptedEncoder()
    )
    assert same == 1.0
    assert 0.0 <= other < 0.5


def test_scores_of_known_words_are_half_by_their_words() -> None:
    known, new = scores(["Rained.", "Snowed."], [SOURCE, SOURCE], ScriptedEncoder(size=256))
    assert known >= 0.5 > new


def test_scores_of_a_sentence_made_of_two_is_that_of_both_together() -> None:
    (joined,) = scores(["The bridge over the Tay fell. It rained hard all day."], [SOURCE], ScriptedEncoder())
    assert joined == 1.0


def test_scores_of_nothing_are_zero_and_none() -> None:
    assert scores(["", "A word."], [SOURCE, ""], ScriptedEncoder()) == [0.0, 0.0]
    assert scores([], [], ScriptedEncoder()) == []


def test_scores_without_a_source_for_each_output_are_refused() -> None:
    with pytest.raises(ValueError, match="2 outputs and 1 sources"):
        scores(["a b", "c d"], [SOURCE], ScriptedEncoder())
