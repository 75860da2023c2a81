from __future__ import annotations

import pytest

from tier_assets.l3_refined.task import Prompt, read_prompt
from tier_assets.l3_refined.verify import GROUNDED, copied, echo, score, ungrounded, wrong_answer

SOURCE = (
    "Queen Victoria opened the bridge over the Tay in 1878, and the engineer said “it will stand for ever” "
    "to the people who had come by train from Dundee to see it."
)

# (output, reason against it or None): both sides of every check
OUTPUTS = (
    ("In 1878 the bridge was opened.", None),
    ("In 1879 the bridge was opened.", "new_number"),
    ("The old queen travelled north by 1878 ships.", "misplaced_number"),
    ("He said that 1878 was when they opened it.", None),
    ("They came from Dundee.", None),
    ("They came from Perth.", "new_name"),
    ('He said "it will stand for ever".', None),
    ('He said "it will fall very soon".', "new_quote"),
    ("...", "empty"),
    ("1878", None),
    ("I'm sorry, but I cannot answer that.", "refusal"),
    ("The people came by train to see it.", None),
    ("Die Leute kamen mit dem Zug und sie sahen alles, was dort war.", "other_language"),
    ("女王开通了大桥", "other_language"),
    ("Dundee (女王)", None),
    ("The bridge was not opened by the queen.", "negation_changed"),
    ("Nobody saw the iron bridge fall in the storm.", None),  # no sentence of the source says nearly the same
    ("It stood. Purple elephants often devour ripe bananas.", "invented_sentence"),
    ("It stood. Purple people often devour a train.", None),
    ("und sie kamen alle mit ihr.", None),  # too short for a judgement of its language
)


@pytest.mark.parametrize(("output", "reason"), OUTPUTS)
def test_ungrounded_of_output_names_what_the_source_does_not_say(output: str, reason: str | None) -> None:
    found = {r.reason for r in ungrounded(output, SOURCE)}
    assert reason in found if reason else not found


def test_checks_are_all_shown_on_both_sides_here() -> None:
    assert {check.reason for check in GROUNDED} == {reason for _, reason in OUTPUTS if reason}


def test_ungrounded_of_two_faults_names_both_with_what_decided() -> None:
    found = ungrounded("Perth had 12 men.", "Dundee had 11 men. It is near Fife.")
    assert [(r.reason, r.detail) for r in found] == [("new_number", "12")]
    found = ungrounded("So Perth had 12 men.", "Dundee had 11 men. It is near Fife.")
    assert [(r.reason, r.detail) for r in found] == [("new_number", "12"), ("new_name", "Perth")]


PROMPT = Prompt("p-0", "Copy every name and number of the passage.", "{passage}")


@pytest.mark.parametrize(
    ("output", "source", "echoes"),
    [
        ("Copy every name and number of it", "a text", True),
        ("Copy every name and number it has", "a text", False),
        ("Copy every name and number of it", "One must copy every name and number of it.", False),
    ],
)
def test_echo_of_six_words_of_the_instructions_is_found(output: str, source: str, echoes: bool) -> None:
    assert [r.reason for r in echo(output, PROMPT, source)] == ["prompt_echo"] * echoes


def test_read_prompt_of_another_wording_has_another_version(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "task.txt"
    path.write_text("System.\n---\nUser {passage}\n")
    first = read_prompt(path)
    path.write_text("System!\n---\nUser {passage}\n")
    assert (first.system, first.user) == ("System.", "User {passage}")
    assert first.fill((("passage", "{x}"),)) == "User {x}"
    assert first.version.startswith("task-")
    assert first.version != read_prompt(path).version


@pytest.mark.parametrize("content", ["System. {passage}", "System.\n---\nUser"])
def test_read_prompt_without_its_parts_is_refused(tmp_path, content: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "task.txt"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"task\.txt"):
        read_prompt(path)


WORDS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()


@pytest.mark.parametrize(
    ("num_taken", "num_own", "is_copy"),
    [
        (8, 7, True),
        (8, 8, False),  # half of it is its own
        (7, 0, False),  # too short a run to be no chance
        (16, 0, True),
    ],
)
def test_copied_output_is_one_that_stands_in_the_source_by_more_than_half(
    num_taken: int, num_own: int, is_copy: bool
) -> None:
    output = " ".join(WORDS[:num_taken] + ["own"] * num_own)
    assert [r.reason for r in copied(output, " ".join(WORDS))] == ["copied"] * is_copy


def test_copied_of_nothing_is_no_copy() -> None:
    assert copied("", SOURCE) == []


@pytest.mark.parametrize(
    ("question", "answer", "wrong"),
    [
        ("When was the bridge opened by the queen?", "1878", False),
        ("When was the bridge opened by the queen?", "Dundee", True),
        ("How many people came?", "by train", True),
        ("Who opened the bridge over the Tay?", "Queen Victoria", False),
        ("Who opened the bridge over the Tay?", "1878", True),
        ("Where did the people come from?", "a town in Scotland", False),  # its own words: only the kind counts
    ],
)
def test_wrong_answer_is_of_another_kind_or_place(question: str, answer: str, wrong: bool) -> None:
    assert [r.reason for r in wrong_answer(question, answer, SOURCE)] == ["wrong_answer"] * wrong


def test_wrong_answer_far_from_the_words_of_its_question_is_found() -> None:
    source = f"{SOURCE} Many years later 250 sheep died in a storm beside the castle of Glamis, as 20 shepherds said."
    question = "What died in a storm beside the castle of Glamis?"
    assert wrong_answer(question, "250 sheep", source) == []
    (reason,) = wrong_answer(question, "train", source)
    assert reason.detail.startswith("fit 0.0")


def test_score_orders_answers_and_statements() -> None:
    assert score("1878", SOURCE, "When was the bridge opened?") > score("Dundee", SOURCE, "When was the bridge opened?")
    assert score("The queen opened it in 1878.", SOURCE) > score("The train came with 1878 people.", SOURCE)
