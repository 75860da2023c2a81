from __future__ import annotations

import pytest

from resources.encoder import ScriptedEncoder
from tier_assets.l3_refined.try_verify import try_verify

SOURCE = "Dundee had 48 ships and sold half of them."


def verified(**line: object) -> dict[str, object]:
    (found,) = try_verify([{"id": "a", "source": SOURCE, **line}])
    return found


def test_try_verify_of_grounded_output_is_accepted_at_level_1() -> None:
    assert verified(output="Dundee had 48 ships.") == {"id": "a", "level": 1, "accepted": True, "reasons": []}


def test_try_verify_of_ungrounded_output_says_why() -> None:
    reasons = [{"reason": "new_number", "detail": "49"}]
    assert verified(output="Dundee had 49 ships.") == {"id": "a", "level": 0, "accepted": False, "reasons": reasons}


def test_try_verify_of_number_that_shown_arithmetic_derives_is_grounded() -> None:
    assert verified(output="It sold 48 / 2 = 24 ships.")["level"] == 1
    assert verified(output="It sold 24 ships.")["level"] == 0


@pytest.mark.parametrize(
    ("output", "answer", "accepted"),
    [
        ("So 48 / 2 = 24.\n#### 24", "24", True),
        ("So 48 / 2 = 24.\n#### 24", "24.0", True),
        ("So 48 / 2 = 24.\n#### 24", 24, True),
        ("So 48 / 2 = 24.\n#### 24", "25", False),
        ("I do not know.", "24", False),
        ("Elephants in Rome had 77.\n#### 24", "24", True),  # ungrounded, but the final answers are equal
    ],
)
def test_try_verify_with_answer_accepts_equal_final_answers(output: str, answer: object, accepted: bool) -> None:
    found = verified(output=output, answer=answer)
    assert found["accepted"] is accepted
    assert ("other_answer" in {r["reason"] for r in found["reasons"]}) is not accepted  # type: ignore[attr-defined, index]


def test_try_verify_with_encoder_adds_the_entailment_score() -> None:
    (found,) = try_verify([{"id": 1, "source": SOURCE, "output": SOURCE}], ScriptedEncoder())
    assert found["entailment"] == 1.0


@pytest.mark.parametrize(
    "line", [{"output": "x"}, {"output": "x", "source": 3}, {"output": "x", "source": "y", "answer": ["4"]}]
)
def test_try_verify_of_line_without_its_texts_is_refused(line: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="a: '"):
        list(try_verify([{"id": "a", **line}]))
