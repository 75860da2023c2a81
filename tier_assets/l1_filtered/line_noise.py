"""Noise among the lines of a web page's text: navigation, pagination, buttons, notices on cookies and licences.

In: the text that an extractor made of a page, as Markdown. Out: the lines that go. Two ways lead there: `RULES` are
phrases that only a page's frame says; a model (`learn_line_noise.py` fits it) adds up what each line's hashed words
speak for, and boosted trees judge that sum with the line's shape and the lines around it, first alone and then by what
the first said of those around. Only what is almost sure goes: a good line lost is worse than a bad one kept. About 0.3
ms a page. Code, formulas and tables are never touched, nor by the model lines in other scripts than Latin, on which it
was never measured.
"""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from algorithms.boosted_trees import Trees
from tier_assets.l1_filtered.edits import Edit
from tier_assets.l1_filtered.line_features import Lines, read_lines, with_context

MODEL_FILE: Final = Path(__file__).with_name("line_noise_model.json")
# Chosen by folds on the half of the lines that the model learnt from: there .97 of what goes is noise, of the lines of
# whole pages as of those that our extractor leaves, and the extractor's F1 stays what it was.
MIN_NOISE: Final = 0.9
MAX_LINES: Final = 5000  # of a page: longer ones, all of them tables and logs, are left to the rules
MAX_BEYOND_LATIN: Final = 0.2  # share of a line's letters


@dataclass(frozen=True)
class NoiseRule:
    """Lines of up to `max_chars` that in small letters match `whole` from end to end are noise, with or without marks
    and blanks around; `anywhere`, or only among the first and last NUM_EDGE_LINES of a text."""

    reason: str
    max_chars: int
    anywhere: bool
    whole: re.Pattern[str]


def _rule(reason: str, max_chars: int, anywhere: bool, *phrases: str) -> NoiseRule:
    return NoiseRule(reason, max_chars, anywhere, re.compile("|".join(phrases)))


NUM_EDGE_LINES: Final = 10
RULES: Final = (
    _rule(
        *("button", 45, True),
        r"(?:click here to )?(?:read|show|view|load|see|learn) (?:more|less|all|comments|full (?:article|story|bio))",
        r"continue reading|keep reading|(?:back|scroll) to top|skip to (?:main )?content|(?:jump|skip) to navigation",
        r"(?:share|tweet|pin|email|print|like|follow)(?: (?:this|it|us|on (?:facebook|twitter|pinterest|linkedin)))*",
        r"(?:log|sign) (?:in|out|up)|register|subscribe(?: now)?|add to (?:cart|basket|bag|wishlist)|download app",
        r"leave a (?:reply|comment)|post a comment|cancel reply|reply|report abuse|toggle navigation|main menu|menu",
        r"weiterlesen|mehr (?:lesen|erfahren|anzeigen)|nach oben|zum (?:inhalt|warenkorb)(?: springen| hinzufügen)?",
        r"(?:beitrag )?teilen|anmelden|registrieren|einloggen|drucken|in den warenkorb|kommentar schreiben",
        r"lire la suite(?: »)?|en savoir plus|voir (?:plus|tout)|retour en haut|partager(?: sur \w+)?|se connecter",
        r"s'inscrire|ajouter au panier|imprimer|laisser un commentaire|leer más|ver (?:más|todo)|seguir leyendo",
        r"compartir(?: en \w+)?|iniciar sesión|registrarse|añadir al carrito|volver arriba|deja (?:un|tu) comentario",
        r"läs (?:mer|hela artikeln)|visa (?:mer|alla)|logga in|dela(?: på \w+)?|skriv ut|kommentera(?: inlägget här)?",
        r"lue (?:lisää|koko juttu)|näytä (?:lisää|kaikki)|kirjaudu(?: sisään)?|jaa(?: \w+)?|tulosta|lisää ostoskoriin",
        r"leggi (?:tutto|di più)|condividi|accedi|lees (?:meer|verder)|meer lezen|delen|leia mais|continue lendo",
    ),
    _rule(
        *("pagination", 45, True),
        r"page \d+ (?:of|von|sur|de|av) \d+|(?:\d+\W+){3,}(?:next|last|weiter|suivant|nästa|siguiente)",
        r"(?:previous|next|older|newer)(?: (?:page|post|article|entries|posts|topic|thread))?",
        r"(?:vorherige|nächste)r? (?:seite|beitrag|artikel)|(?:page|article) (?:précédente?|suivante?)",
        r"(?:äldre|nyare) inlägg|(?:nästa|föregående)(?: sida)?|(?:página |entrada )?(?:anterior|siguiente)",
        r"(?:seuraava|edellinen)(?: sivu)?",
    ),
    _rule(
        *("cookie_notice", 300, False),
        r"(?:accept|reject|allow|manage) (?:all )?cookies?(?: settings)?|cookie (?:policy|settings|notice)",
        r"(?:this|our) (?:web)?site uses cookies\b.*|we use cookies\b.*|by (?:continuing|using)\b.{0,80}\bcookies\b.*",
        r"(?:diese (?:web)?seite|wir) (?:verwendet|verwenden|nutzt|nutzen|benutzt|benutzen) cookies\b.*",
        r".{0,60}(?:utilise|utilisons) des cookies\b.*|.{0,60}(?:utiliza|utilizamos|usa|usamos) cookies\b.*",
        r".{0,60}(?:använder|använda) (?:cookies|kakor)\b.*|.{0,60}(?:käyttää|käytämme) evästeitä\b.*",
    ),
    _rule(
        *("licence_notice", 200, False),
        r"(?:copyright|©).{0,120}|.{0,100}\ball rights reserved\b.{0,60}|.{0,80}alle rechte vorbehalten.{0,40}",
        r".{0,80}tous droits réservés.{0,40}|.{0,80}todos los derechos reservados.{0,40}|terms (?:of|and) \w+",
        r"privacy policy|datenschutz(?:erklärung)?|impressum|mentions légales|politique de confidentialité|aviso legal",
        r"please enable javascript\b.*|.{0,60}javascript is (?:disabled|required)\b.*",
    ),
)
MAX_SHORT: Final = 60  # characters of a line with one of SHORT_RULES, marks around it and all
MAX_RULE_CHARS: Final = max(rule.max_chars for rule in RULES)
SHORT_RULES: Final = tuple(rule for rule in RULES if rule.anywhere)
# One pattern for all of them, a third of the time: most lines of a page are short.
SHORT_WHOLE: Final = re.compile("|".join(rule.whole.pattern for rule in SHORT_RULES))
SHORT_CHARS: Final = min(rule.max_chars for rule in SHORT_RULES)
EDGES: Final = " \t\u00a0#*|»«›‹→←▲▼•·–—-_>:.…!+[]()✓▾"
CODE_FENCE: Final = re.compile(r"\s*(?:>\s*)*(?:```|~~~)")
TABLE_RULE: Final = re.compile(r"\s*\|?\s*:?-{3,}:?\s*\|[\s|:-]*$")
FORMULA: Final = re.compile(r"\$|\\[A-Za-z]|^ {4}|^\t")
LETTERS: Final = re.compile(r"[^\W\d_]")
NOT_LATIN: Final = re.compile(r"[\u0370-\u1dff\u2c00-\ua71f\ua800-\ufaff\ufe70-\ufeff]")


@dataclass(frozen=True)
class LineModel:
    """`weight_W`: what each bucket of words speaks for, on average over a line; `first` and `second`: the trees."""

    weight_W: np.ndarray
    bias: float
    first: Trees
    second: Trees

    def shares(self, lines: Lines) -> np.ndarray:
        """Of each line how likely it is noise, 0 to 1."""
        words_L = word_scores(lines, self.weight_W, self.bias)
        first_L = self.first.predict(with_context(lines, words_L))
        return (first_L + self.second.predict(with_context(lines, first_L))) / 2

    def to_json(self) -> str:
        """The model as text, for a file that lies in version control."""
        scale = float(np.abs(self.weight_W).max()) / 127 or 1.0
        arrays = {"weight": np.round(self.weight_W / scale).astype(np.int8)}
        for name, trees in (("first", self.first), ("second", self.second)):
            arrays |= {f"{name}_feature": trees.feature_TM, f"{name}_threshold": trees.threshold_TM}
            arrays[f"{name}_leaf"] = trees.leaf_TL
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        numbers = {"scale": scale, "bias": self.bias, "first": self.first.bias, "second": self.second.bias}
        return json.dumps(numbers | {"arrays": base64.b64encode(buffer.getvalue()).decode()}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> LineModel:
        """The model that `to_json` wrote, its weights rounded to 255 steps."""
        found = json.loads(text)
        arrays = np.load(io.BytesIO(base64.b64decode(found["arrays"])), allow_pickle=False)
        trees = [
            Trees(arrays[f"{name}_feature"], arrays[f"{name}_threshold"], arrays[f"{name}_leaf"], found[name])
            for name in ("first", "second")
        ]
        return cls(arrays["weight"] * found["scale"], found["bias"], *trees)


def word_scores(lines: Lines, weight_W: np.ndarray, bias: float) -> np.ndarray:
    """What the words of each line speak for: their weights' sum over the root of their number."""
    total_W = np.concatenate([[0.0], np.cumsum(weight_W[lines.bucket_W])])
    num_L = np.diff(lines.first_L)
    return bias + (total_W[lines.first_L[1:]] - total_W[lines.first_L[:-1]]) / np.sqrt(np.maximum(num_L, 1))


def noise_edits(text: str) -> tuple[Edit, ...]:
    """The edits that take the noise out of the text of a web page, `remove_all` where nothing else is in it.

    >>> [edit.op for edit in noise_edits("The river rose in the night.\\n\\nRead more »")]
    ['remove_lines']
    """
    rows = text.split("\n")
    noise = noise_lines(text, rows)
    if not noise:
        return ()
    if not any(row.strip() for number, row in enumerate(rows) if number not in noise):
        return (Edit("remove_all", 0, len(text), ""),)
    return tuple(Edit("remove_lines", start, end, "") for start, end in _spans(rows, noise))


def noise_lines(text: str, rows: list[str]) -> set[int]:
    """Numbers of the lines of `text` (its `rows`, none of them blank) that are noise."""
    lines = read_lines(text)
    numbers = lines.number_L.tolist()
    noise = {n for n in numbers if len(rows[n]) < MAX_SHORT and _is_short_noise(rows[n])}
    noise.update(n for n in (*numbers[:NUM_EDGE_LINES], *numbers[-NUM_EDGE_LINES:]) if rule_of(rows[n]))
    if len(numbers) <= MAX_LINES:
        share_L = shipped_model().shares(lines)
        noise.update(n for n in lines.number_L[share_L > MIN_NOISE].tolist() if not _beyond_latin(rows[n]))
    return {n for n in noise if not FORMULA.search(rows[n])} - _kept_whole(rows) if noise else noise


def rule_of(line: str) -> str | None:
    """Reason of the rule by which `line` is noise, or None.

    >>> rule_of("« Previous page")
    'pagination'
    """
    phrase = line.strip(EDGES)
    # A small letter: a sentence that the break of a line cut.
    if len(phrase) > MAX_RULE_CHARS or phrase[:1].islower():
        return None
    lowered = phrase.lower()
    return next((r.reason for r in RULES if len(phrase) <= r.max_chars and r.whole.fullmatch(lowered)), None)


def _is_short_noise(line: str) -> bool:
    """Whether the line is noise by one of SHORT_RULES, or only what Markdown left of an empty cell or a break."""
    phrase = line.strip(EDGES)
    if len(phrase) <= 1:  # no rule's phrase is that short
        return line.strip(" \t\u00a0|") in ("", "\\")
    if len(phrase) > SHORT_CHARS or phrase[0].islower():
        return False
    return SHORT_WHOLE.fullmatch(phrase.lower()) is not None


def _beyond_latin(line: str) -> bool:
    if line.isascii():
        return False
    return len(NOT_LATIN.findall(line)) > MAX_BEYOND_LATIN * len(LETTERS.findall(line))


def _kept_whole(rows: list[str]) -> set[int]:
    """Numbers of the lines within fenced code, and of those of tables."""
    kept: set[int] = set()
    fenced = False
    for number, row in enumerate(rows):
        is_fence = "``" in row or "~~~" in row
        if is_fence and CODE_FENCE.match(row):
            fenced = not fenced
            kept.add(number)
        elif fenced:
            kept.add(number)
        elif number not in kept and "---" in row and TABLE_RULE.match(row):
            kept |= _table(rows, number)
    return kept


def _table(rows: list[str], rule: int) -> set[int]:
    """Numbers of the lines around line `rule` that are rows of the same table."""
    start, end = rule, rule + 1
    while start and "|" in rows[start - 1]:
        start -= 1
    while end < len(rows) and "|" in rows[end]:
        end += 1
    return set(range(start, end))


def _spans(rows: list[str], noise: set[int]) -> list[tuple[int, int]]:
    """Spans to cut, one for each run of noise lines, so that what stays is as far apart as it was.

    A blank line before the run stays and those behind it go; without one before, those behind stay.
    """
    starts = [0]
    for row in rows:
        starts.append(starts[-1] + len(row) + 1)
    spans: list[tuple[int, int]] = []
    solid = [number for number, row in enumerate(rows) if row.strip()]
    i = 0
    while i < len(solid):
        if solid[i] not in noise:
            i += 1
            continue
        first = i
        while i < len(solid) and solid[i] in noise:
            i += 1
        if i == len(solid):  # the text ends with the last line that stays
            begin = starts[solid[first - 1] + 1] - 1
            spans.append((begin, starts[-1] - 1))
        elif first == 0 or solid[first - 1] < solid[first] - 1:
            spans.append((starts[solid[first]], starts[solid[i]]))
        else:
            spans.append((starts[solid[first]], starts[solid[i - 1] + 1]))
    return spans


@cache
def shipped_model() -> LineModel:
    """The model that lies beside this file."""
    return LineModel.from_json(MODEL_FILE.read_text(encoding="ascii"))


__all__ = [
    "MIN_NOISE",
    "MODEL_FILE",
    "RULES",
    "LineModel",
    "noise_edits",
    "noise_lines",
    "rule_of",
    "shipped_model",
    "word_scores",
]
