"""Task conversation: two people talk about a passage, in one of seven styles.

In: a passage. Out: four to six turns, accepted where every turn is borne out by the passage, none is said twice, and
the conversation is of its style as far as that can be checked: who asks, asks; who is asked, states something.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from algorithms import grounding
from algorithms.claims import is_negation
from algorithms.word_lists import word_set
from tier_assets.l3_refined.retelling import (
    CHECK,
    is_tellable,
    off_the_question,
    questions,
    repeated,
    split,
    statements,
    too_little,
    unsupported,
)
from tier_assets.l3_refined.self_contained import mentions_text, unclear
from tier_assets.l3_refined.task import (
    Ask,
    Candidate,
    JsonSchema,
    Judgement,
    Message,
    Passage,
    Reason,
    Task,
    json_object,
    judged,
    read_prompt,
)
from tier_assets.l3_refined.verify import copied, echo, language, ungrounded, wrong_answer

PROMPT: Final = read_prompt(Path(__file__).with_name("conversation.txt"))
# A turn's JSON costs 15 tokens beside its words: six turns of 16 words of 1.4 tokens fit the task's tokens.
MIN_TURNS, MAX_TURNS = 4, 6
MAX_WORDS: Final = 16
MIN_COVERAGE: Final = 0.3
# What objects in a debate, beside negations, in the languages of the word lists.
_OBJECTIONS: Final = word_set(
    """
    but however yet though although still whereas instead nevertheless nonetheless despite rather against
    aber doch jedoch dennoch trotzdem hingegen dagegen allerdings sondern obwohl zwar
    mais pourtant cependant toutefois néanmoins malgré pero sino embargo aunque mientras
    """
)
_OBJECTING_LANGUAGES: Final = ("en", "de", "fr", "es")

# The bound is on words because xgrammar 0.2 refuses long counts of characters. It reads the pattern on the raw JSON, so
# quotation marks and backslashes are out. A word has two marks inside at most ("3.5", "z.B"): without a bound a small
# model writes "it's...it's..." to its last token.
_PART: Final = r'[^ "\\\n.,;:!?…]+'
_WORD: Final = f"{_PART}([.,:]{_PART}){{0,2}}"


@dataclass(frozen=True, slots=True)
class Style:
    """Who speaks, the first speaker first. With `asks`, the first asks in every turn and the other never only asks."""

    first: str
    second: str
    asks: bool


# The first speaker is the record's user, so it is who asks, where one does: a model learns to answer.
STYLES: Final = {
    "teacher_student": Style("Student", "Teacher", asks=True),
    "two_students": Style("Anna", "Ben", asks=False),
    "two_professors": Style("Professor Adams", "Professor Brown", asks=False),
    "interview": Style("Interviewer", "Expert", asks=True),
    "problem_solving": Style("Asker", "Helper", asks=True),
    "layman_expert": Style("Layman", "Expert", asks=True),
    "debate": Style("Proponent", "Opponent", asks=False),
}


def schema(style: Style) -> JsonSchema:
    """The form of a reply: turns of the two speakers in turn, each of 1 to MAX_WORDS words."""
    speakers = [style.first, style.second] * (MAX_TURNS // 2)
    turns = {"type": "array", "prefixItems": [_turn(s, style) for s in speakers], "items": False}
    return {
        "type": "object",
        "properties": {"turns": turns | {"minItems": MIN_TURNS, "maxItems": MAX_TURNS}},
        "required": ["turns"],
        "additionalProperties": False,
    }


def _turn(speaker: str, style: Style) -> JsonSchema:
    end = "[?]" if style.asks and speaker == style.first else "[.!?]"
    text = f"^({_WORD}[.,;:!?]? ){{0,{MAX_WORDS - 1}}}{_WORD}{end}$"
    return {
        "type": "object",
        "properties": {"speaker": {"type": "string", "enum": [speaker]}, "text": {"type": "string", "pattern": text}},
        "required": ["speaker", "text"],
        "additionalProperties": False,
    }


SCHEMAS: Final = {name: schema(style) for name, style in STYLES.items()}


def plan(passage: Passage) -> list[Ask]:
    """One conversation in each style; nothing where the passage has no whole sentences."""
    if not is_tellable(passage.text):
        return []
    return [Ask((("passage", passage.text),), style=name, json_schema=SCHEMAS[name]) for name in STYLES]


def parse(reply: str, passage: Passage, ask: Ask) -> list[Candidate]:
    """The turns of a JSON reply, up to the last one of the second speaker: a closing word that nobody answers goes.

    Raises:
        ValueError: no JSON object whose `turns` are MIN_TURNS to MAX_TURNS objects with strings `speaker` and `text`,
            the two speakers of the style in turn.
    """
    style = STYLES[ask.style or ""]
    said = _turns(reply)
    expected = [(style.first, style.second)[i % 2] for i in range(len(said))]
    if [speaker for speaker, _ in said] != expected:
        raise ValueError(f"the speakers are not {style.first} and {style.second} in turn")
    if len(said) % 2:
        said.pop()
    turns = tuple(Message("user" if i % 2 == 0 else "assistant", text) for i, (_, text) in enumerate(said))
    lines = [f"{speaker}: {text}" for speaker, text in said]
    return [Candidate(turns[0].content, "\n".join(lines[1:]), "\n".join(lines), reply, passage.text, ask.style, turns)]


def _turns(reply: str) -> list[tuple[str, str]]:
    """Speaker and text of each turn.

    Raises:
        ValueError: the reply has not the form of the schema.
    """
    fields = json_object(reply)
    turns = fields.get("turns")
    if not isinstance(turns, list) or not MIN_TURNS <= len(turns) <= MAX_TURNS:
        raise ValueError(f"JSON without a list 'turns' of {MIN_TURNS} to {MAX_TURNS}")
    found = []
    for turn in turns:
        if not isinstance(turn, dict) or not all(isinstance(turn.get(k), str) for k in ("speaker", "text")):
            raise ValueError("a turn without strings 'speaker' and 'text'")
        found.append((turn["speaker"], " ".join(turn["text"].split())))
    return found


def accept(candidate: Candidate, passage: Passage) -> Judgement:
    """Level 1 where the passage bears out every turn and the turns make a conversation of the style."""
    source = passage.text
    turns = [turn.content for turn in candidate.turns]
    whole = "\n".join(turns)
    reasons = _form(turns)
    reasons += copied(whole, source)
    reasons += repeated(whole, source)
    reasons += echo(whole, PROMPT, source)
    reasons += _grounded(turns, source)
    against, doubts = split(unsupported(whole, source), whole, source)
    reasons += against
    reasons += _of_style(turns, STYLES[candidate.style or ""], source)
    reasons += unclear(turns[0], language(source)[0])
    reasons += [] if mentions_text(source) else mentions_text("\n".join(turns[1:]))
    reasons += too_little(whole, source, MIN_COVERAGE)
    return judged(reasons, doubts)


def _form(turns: list[str]) -> list[Reason]:
    reasons = []
    if any(not any(c.isalnum() for c in turn) for turn in turns):
        reasons.append(Reason("empty_turn", "a turn without a word"))
    folded = [grounding.fold(turn) for turn in turns]
    # The form ends a turn at its last word, wherever the sentence was to go.
    cut_off = [turn for turn in turns if len(turn.split()) >= MAX_WORDS]
    if cut_off:
        reasons.append(Reason("cut_off", cut_off[0]))
    again = [turn for i, turn in enumerate(folded) if turn in folded[:i]]
    if again:
        reasons.append(Reason("turn_repeated", again[0][:80]))
    return reasons


def _of_style(turns: list[str], style: Style, source: str) -> list[Reason]:
    """What speaks against the style: who asks does not ask, who is asked does not answer, who shall state does not."""
    reasons: list[Reason] = []
    stating = turns[1::2] if style.asks else turns[-2:]
    silent = [turn for turn in turns[::2] if not questions(turn)] if style.asks else []
    silent += [turn for turn in stating if not statements(turn)]
    if silent:
        reasons.append(Reason("not_of_its_style", silent[0][:80]))
    if style == STYLES["debate"] and language(source)[0] in _OBJECTING_LANGUAGES:
        said = grounding.words("\n".join(turns[1:]))
        if not any(w in _OBJECTIONS or is_negation(w) for w in said):
            reasons.append(Reason("not_of_its_style", "nobody objects"))
    if style.asks:
        for question, answer in zip(turns[::2], turns[1::2], strict=True):
            reasons += off_the_question(question, answer, source) + wrong_answer(question, answer, source)
    return reasons


def _grounded(turns: list[str], source: str) -> list[Reason]:
    """What the gate says of each turn and of the whole, each reason once."""
    found = [r for text in (*turns, "\n".join(turns)) for r in ungrounded(text, source)]
    return list({r.reason: r for r in reversed(found)}.values())[::-1]


CONVERSATION: Final = Task(
    "conversation", PROMPT, max_tokens=256, plan=plan, parse=parse, accept=accept, checks=(CHECK,)
)
