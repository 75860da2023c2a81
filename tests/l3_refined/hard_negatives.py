"""Hard negatives for the gate of L3: outputs whose words stand in the source and that are wrong all the same. Frozen.

XQuAD: the answer to another question of the same paragraph, as near in length as there is one. PubMedQA: the same long
answer with its direction turned round (an antonym, or a negation put in or taken out), or with a number changed for
another number of its source (of the answer, where the source has none). Nothing here was changed after the gate was
first measured with it.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = ("en", "de", "es", "zh")
_NUMBER = re.compile(r"(?<![\w.,])\d+(?:[.,]\d+)*(?![\w])")
_NEGATION = re.compile(r"\b(?:not|never|no) ")
_AUXILIARY = re.compile(r"\b(?:is|are|was|were|has|have|had|can|could|will|would|did|does|do|may|might|should)\b")
_OPPOSITES = (
    ("increase", "decrease"), ("increases", "decreases"), ("increased", "decreased"), ("increasing", "decreasing"),
    ("higher", "lower"), ("highest", "lowest"), ("high", "low"), ("more", "less"), ("greater", "smaller"),
    ("better", "worse"), ("best", "worst"), ("positive", "negative"), ("positively", "negatively"),
    ("improve", "worsen"), ("improves", "worsens"), ("improved", "worsened"), ("improving", "worsening"),
    ("effective", "ineffective"), ("safe", "unsafe"), ("useful", "useless"), ("appropriate", "inappropriate"),
    ("necessary", "unnecessary"), ("likely", "unlikely"), ("similar", "different"), ("early", "late"),
    ("earlier", "later"), ("longer", "shorter"), ("long", "short"), ("strong", "weak"), ("common", "rare"),
    ("superior", "inferior"), ("benefit", "harm"), ("beneficial", "harmful"), ("sufficient", "insufficient"),
    ("with", "without"), ("before", "after"), ("adequate", "inadequate"), ("reliable", "unreliable"),
    ("significant", "insignificant"), ("significantly", "insignificantly"), ("feasible", "infeasible"),
    ("accurate", "inaccurate"), ("dependent", "independent"), ("younger", "older"), ("reduces", "raises"),
    ("reduce", "raise"), ("reduced", "raised"), ("reduction", "rise"), ("important", "unimportant"),
)  # fmt: skip
OPPOSITES = {a: b for a, b in _OPPOSITES} | {b: a for a, b in _OPPOSITES}
_TURNED = re.compile(rf"\b(?:{'|'.join(sorted(OPPOSITES, key=len, reverse=True))})\b")
# The weakest pairs, taken only where nothing else can be turned.
_WEAK = frozenset({"with", "without", "before", "after"})


@dataclass(frozen=True, slots=True)
class Pair:
    """A right and a wrong output of one source; `question` is empty where the output stands alone."""

    id: str
    group: str
    source: str
    question: str
    right: str
    wrong: str
    kind: str


def other_spans(folder: Path, language: str) -> list[Pair]:
    """XQuAD's questions of one language, each with its answer and another question's answer out of its paragraph."""
    data = json.loads((folder / "qa_xquad" / f"xquad.{language}.json").read_text(encoding="utf-8"))["data"]
    found = []
    for document in data:
        for number, paragraph in enumerate(document["paragraphs"]):
            asked = [(qa["id"], qa["question"], qa["answers"][0]["text"]) for qa in paragraph["qas"]]
            for key, question, answer in asked:
                others = sorted({a for _, _, a in asked if not _overlap(a, answer)})
                near = [a for a in others if 2 * min(len(a), len(answer)) >= max(len(a), len(answer))]
                if not near:
                    continue
                wrong = min(near, key=lambda a: (abs(len(a) - len(answer)), a))
                group = f"{document['title']}-{number}"
                found.append(Pair(key, group, paragraph["context"], question, answer, wrong, f"span_{language}"))
    return found


def _overlap(a: str, b: str) -> bool:
    return a.casefold() in b.casefold() or b.casefold() in a.casefold()


def turned_answers(folder: Path, seed: int) -> list[Pair]:
    """PubMedQA's long answers with their direction turned (all that can be), and with a number changed (likewise)."""
    rng = random.Random(seed)
    data = json.loads((folder / "qa_pubmedqa" / "ori_pqal.json").read_text(encoding="utf-8"))
    found = []
    for key, entry in sorted(data.items()):
        source, right = "\n".join(entry["CONTEXTS"]), entry["LONG_ANSWER"]
        for kind, wrong in (("direction", _turned(right, rng)), ("number", _number(right, source, rng))):
            if wrong is not None and wrong != right:
                found.append(Pair(key, key, source, "", right, wrong, f"pubmedqa_{kind}"))
    return found


def _turned(text: str, rng: random.Random) -> str | None:
    """One place of `text` turned round: of all antonyms and negations that can be, one by chance."""
    changes = [(m.start(), m.end(), OPPOSITES[m.group()]) for m in _TURNED.finditer(text) if m.group() not in _WEAK]
    changes += [(m.start(), m.end(), "") for m in _NEGATION.finditer(text)]
    # A negation is put in where there is none, so that no sentence comes to deny itself twice.
    if not _NEGATION.search(text):
        changes += [(m.end(), m.end(), " not") for m in _AUXILIARY.finditer(text)]
    changes = changes or [(m.start(), m.end(), OPPOSITES[m.group()]) for m in _TURNED.finditer(text)]
    if not changes:
        return None
    start, end, new = rng.choice(changes)
    return text[:start] + new + text[end:]


def _number(text: str, source: str, rng: random.Random) -> str | None:
    """One number of `text` changed for another one of `source`, else of `text`."""
    places = list(_NUMBER.finditer(text))
    if not places:
        return None
    match = rng.choice(places)
    for pool in (source, text):
        others = sorted({n for n in _NUMBER.findall(pool) if n != match.group()})
        if others:
            return text[: match.start()] + rng.choice(others) + text[match.end() :]
    return None
