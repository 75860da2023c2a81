from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.sentences import blocks, sentences

# (text, its sentences)
SENTENCES = (
    ("It rained. We left.", ["It rained.", "We left."]),
    ("Dr. Low and Mrs. May met. They ate.", ["Dr. Low and Mrs. May met.", "They ate."]),
    ("J. R. Smith wrote it. Then he left.", ["J. R. Smith wrote it.", "Then he left."]),
    ("He chose plan B. The end.", ["He chose plan B.", "The end."]),
    (
        "It cost 3.5 million. Prices rose by 1,250.75 dollars.",
        ["It cost 3.5 million.", "Prices rose by 1,250.75 dollars."],
    ),
    ("The U.S. Army came. It left.", ["The U.S. Army came.", "It left."]),
    ("He lives in the U.S. The rest left.", ["He lives in the U.S.", "The rest left."]),
    ("Dogs, e.g. Rex, bark. Cats, cows, etc. do not.", ["Dogs, e.g. Rex, bark.", "Cats, cows, etc. do not."]),
    ("They sold cars, bikes, etc. The shop closed.", ["They sold cars, bikes, etc.", "The shop closed."]),
    ("See No. 5 there. He said no. Nobody came.", ["See No. 5 there.", "He said no.", "Nobody came."]),
    ("Am 3. Oktober kam er. Am 4. ging er.", ["Am 3. Oktober kam er.", "Am 4. ging er."]),
    ("Im 19. Jahrhundert lebte er. Das war gut.", ["Im 19. Jahrhundert lebte er.", "Das war gut."]),
    ("Es sind z.B. Hunde, d.h. Tiere. Und Katzen.", ["Es sind z.B. Hunde, d.h. Tiere.", "Und Katzen."]),
    ("She was 12. The next year she left.", ["She was 12.", "The next year she left."]),
    ('"Really?" he said. "Yes!" Then he left.', ['"Really?" he said.', '"Yes!"', "Then he left."]),
    ("Er sagte: „Ich komme.“ Dann ging er.", ["Er sagte: „Ich komme.“", "Dann ging er."]),
    ("Well... maybe not. So it goes… Yes.", ["Well... maybe not.", "So it goes…", "Yes."]),
    ("What?! No way!! Right.", ["What?!", "No way!!", "Right."]),
    ("我们走了。你好吗？“好。”他说。", ["我们走了。", "你好吗？", "“好。”", "他说。"]),
    ("वह गया। वह आई।", ["वह गया।", "वह आई।"]),
    ("هل جئت؟ نعم.", ["هل جئت؟", "نعم."]),
    ("A 😀 day. B\u0301 went. 𝔘nd so.", ["A 😀 day.", "B\u0301 went.", "𝔘nd so."]),
    ("# Title here\nFirst one. Second one.", ["Title here", "First one.", "Second one."]),
    ("- one item. More.\n- two items", ["one item.", "More.", "two items"]),
    ("1. First do it.\n2. Then stop.", ["First do it.", "Then stop."]),
    ("> Quoted line here.\nMy reply.", ["Quoted line here.", "My reply."]),
    ("| a | b |\n|---|---|\n| 1 | 2 |", ["a | b |", "1 | 2 |"]),
    ("Code:\n```\nx = 1. Y = 2.\n\nz. Q.\n```\nDone.", ["Code:", "```\nx = 1. Y = 2.\n\nz. Q.\n```", "Done."]),
    ("A paragraph that ends\n\nwithout a stop", ["A paragraph that ends", "without a stop"]),
    (
        "This wrapped line of a mail goes on for sixty characters and\nBerlin comes next. End.",
        ["This wrapped line of a mail goes on for sixty characters and\nBerlin comes next.", "End."],
    ),
    ("Contact us\nWe are here.", ["Contact us", "We are here."]),
    ("The firm said its\nAmerican unit grew.", ["The firm said its\nAmerican unit grew."]),
    ("Title\n=====\nText here.", ["Title", "Text here."]),
    ("", []),
    (" \n\t ", []),
    ("... !!! ---", []),
)


@pytest.mark.parametrize(("text", "expected"), SENTENCES)
def test_sentences_of_text_are_those_a_reader_sees(text: str, expected: list[str]) -> None:
    assert [text[a:b] for a, b in sentences(text)] == expected


ANY_TEXT = st.text(
    alphabet=st.one_of(st.sampled_from(" .!?\n\n\"'“”-*#|>`0123456789ABCabc。？\u0301\u200d😀𝔘مß"), st.characters()),
    max_size=200,
)


@settings(deadline=None)
@given(text=ANY_TEXT)
def test_sentences_of_any_text_are_ordered_trimmed_and_lose_no_letter(text: str) -> None:
    spans = sentences(text)
    end = 0
    for span in spans:
        piece = text[span.start : span.end]
        assert span.start >= end
        assert piece
        assert piece == piece.strip()
        end = span.end
    outside = list(text)
    for span in spans:
        outside[span.start : span.end] = [" "] * (span.end - span.start)
    # Only list numbers ("12.") and rules stand between sentences.
    assert not any(c.isalpha() for c in outside)


@settings(deadline=None)
@given(text=ANY_TEXT)
def test_blocks_of_any_text_are_ordered_and_within_it(text: str) -> None:
    end = 0
    for block in blocks(text):
        assert end <= block.start < block.end <= len(text)
        end = block.end


def test_sentences_of_long_text_without_breaks_take_linear_time() -> None:
    text = "a. " * 50_000
    assert len(sentences(text)) == 1
