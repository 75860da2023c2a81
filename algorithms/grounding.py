"""Is a text grounded in its source? Numbers, names, quotations, words and negations, compared without a model.

In: an output and its source, in any script. Out: what the output says that the source does not. The measures are those
of precision-oriented factuality checks (QAGS/"Asking and Answering Questions", arXiv 2004.04228, names numbers and
entities as the main errors of abstractive models; entity precision: arXiv 2102.09130).
Where we differ: no tagger and no encoder, so a name is what is capitalised where its language would not capitalise it.
Cost: regular expressions, about 2 MB/s.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from algorithms.word_lists import BASE_FORMS, NEGATIONS, NUMBER_WORDS, STOPWORDS

_NUMBER = re.compile(r"\d+(?:[.,'’\u00a0\u202f ](?=\d{3}(?!\d))\d{3})*(?:[.,]\d+)*|[½¼¾⅓⅔⅛]")
_WORD = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")
_QUOTED = re.compile(r"“([^”]+)”|„([^“”]+)[“”]|«([^»]+)»|»([^«]+)«|\"([^\"\n]+)\"|「([^」]+)」")
_SENTENCE_START = re.compile(r"(?:^|[.!?:;…。！？]|\n|^\W+)[\s\"'“”„«»‘’(\[*_#>\-–—|]*$")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")

# Capitalised by rule, names of nobody: the English I, German forms of address.
_NO_NAMES = STOPWORDS | {"i'm", "i've", "i'll", "i'd", "ihnen", "ihren", "ihrem", "ihrer"}
_REFUSALS = re.compile(
    r"\b(?:as an ai\b|i(?:'m| am) (?:sorry|unable|an ai)|i can(?:no|')t (?:assist|help|provide|fulfil)"
    r"|as a language model|i do not have (?:access|the ability)|es tut mir leid, (?:aber )?ich)",
    re.IGNORECASE,
)


def fold(text: str) -> str:
    """Compatibility form, case folded, apostrophes and quotation marks made plain, white space single."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = plain.translate({0x2019: "'", 0x2018: "'", 0x201C: '"', 0x201D: '"', 0x201E: '"', 0x2013: "-", 0x2014: "-"})
    return " ".join(plain.split())


def words(text: str) -> list[str]:
    """The folded words of `text`; scripts written without spaces give overlapping pairs of characters."""
    found: list[str] = []
    for word in _WORD.findall(fold(text)):
        if _WIDE.search(word):
            found += [word[i : i + 2] for i in range(max(1, len(word) - 1))]
        else:
            found.append(word)
    return found


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """`word` as its base form, or without its commonest English and German endings; never under three letters."""
    word = word.removesuffix("'s").removesuffix("n't").removesuffix("'")
    word = BASE_FORMS.get(word, word)
    for suffix in (
        "ingly",
        "edly",
        "ings",
        "ing",
        "ied",
        "ies",
        "ed",
        "ern",
        "en",
        "er",
        "es",
        "em",
        "ly",
        "s",
        "e",
        "n",
    ):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)].rstrip("i")
    return word.rstrip("y") if len(word) > 3 else word


def content_stems(text: str) -> list[str]:
    """Stems of the words that carry meaning, in order."""
    return [stem(w) for w in words(text) if w not in STOPWORDS and w not in NEGATIONS]


def number_readings(number: str) -> frozenset[str]:
    """What `number` may mean as plain decimals: `1.234` is 1234 or 1.234, `1,5` is 1.5.

    >>> sorted(number_readings("1,234"))
    ['1.234', '1234']
    """
    text = unicodedata.normalize("NFKC", number).replace("⁄", "/")
    bare = re.sub(r"['’\s]", "", text)
    marks = re.findall(r"[.,]", bare)
    readings = {re.sub(r"[.,]", "", bare)} if _grouped(bare) or not marks else set()
    if marks and bare.count(marks[-1]) == 1:
        whole, _, decimals = bare.rpartition(marks[-1])
        readings.add(f"{re.sub(r'[.,]', '', whole)}.{decimals}")
    return frozenset(_canonical(r) for r in readings or {bare})


def _grouped(number: str) -> bool:
    return bool(re.fullmatch(r"\d{1,3}(?:([.,])\d{3})(?:\1\d{3})*", number))


def _canonical(number: str) -> str:
    """Digits of any script as ASCII, without leading zeros and idle decimals."""
    digits = "".join(str(unicodedata.digit(c)) if c.isdigit() else c for c in number)
    whole, dot, decimals = digits.partition(".")
    decimals = decimals.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{decimals}" if dot and decimals else "")


def numbers(text: str) -> list[str]:
    """The numbers of `text` in figures, as written, in order."""
    return _NUMBER.findall(text)


def missing_numbers(output: str, source: str) -> list[str]:
    """Numbers of `output`, in figures or words, of which no reading occurs in `source`."""
    known = {r for n in numbers(source) for r in number_readings(n)}
    spelt = {str(NUMBER_WORDS[w]) for w in words(source) if w in NUMBER_WORDS}
    missing = [n for n in numbers(output) if not number_readings(n) & (known | spelt)]
    source_words = set(words(source))
    for word in words(output):
        value = NUMBER_WORDS.get(word)
        if value is not None and value > 1 and word not in source_words and str(value) not in known | spelt:
            missing.append(word)
    return missing


def names(text: str) -> list[str]:
    """Words of `text` that are capitalised although no sentence starts there, and acronyms anywhere.

    Of a compound only the capitalised parts count: "AD-related" names AD.
    """
    found = []
    text = unicodedata.normalize("NFKC", text)
    for match in _WORD.finditer(text):
        # Capitals beside a script without spaces are part of one long run there, not a word of their own.
        if _WIDE.search(match.group()):
            continue
        opens = bool(_SENTENCE_START.search(text[max(0, match.start() - 12) : match.start()]))
        for part in match.group().split("-"):
            acronym = len(part) > 1 and part.removesuffix("s").isupper()
            if part[:1].isupper() and (acronym or not opens) and part.casefold() not in _NO_NAMES:
                found.append(part)
    return found


def missing_names(output: str, source: str) -> list[str]:
    """Names of `output` that `source` has neither as such, nor inflected, nor spelt out (WHO, World Health ...)."""
    known = set(words(source))
    known |= {part for word in known for part in re.split(r"['\-]", word)}
    stems = {_name_stem(w) for w in known}
    missing = [name for name in names(output) if fold(name) not in known and _name_stem(fold(name)) not in stems]
    return [name for name in missing if not (name.removesuffix("s").isupper() and _is_spelt_out(name, source, output))]


def _is_spelt_out(acronym: str, *texts: str) -> bool:
    """Whether the letters of `acronym` begin neighbouring words of a text, short words between them left out or not."""
    letters = acronym.removesuffix("s").casefold()
    for text in texts:
        found = [w for w in re.split(r"[^\w]+", fold(text)) if w]
        initials = "".join(w[0] for w in found)
        without_short = "".join(w[0] for w in found if w not in STOPWORDS)
        if len(letters) > 1 and (letters in initials or letters in without_short):
            return True
    return False


def _name_stem(word: str) -> str:
    """Without a possessive or plural; shorter than `stem`, since Austria must not meet Australia."""
    return word.removesuffix("'s").removesuffix("s'").removesuffix("s") if len(word) > 3 else word


def missing_quotes(output: str, source: str) -> list[str]:
    """Quotations of two words or more in `output` that do not stand in `source`."""
    known = fold(source)
    quoted = ["".join(groups) for groups in _QUOTED.findall(output)]
    return [q for q in quoted if (" " in q.strip() or _WIDE.search(q)) and fold(q).strip(" .,;:!?") not in known]


def support(output: str, source: str) -> float:
    """Share of the content words of `output` whose stem `source` has; 1.0 where there are none."""
    wanted = content_stems(output)
    known = set(content_stems(source))
    return sum(w in known for w in wanted) / len(wanted) if wanted else 1.0


def num_negations(text: str) -> int:
    """Negating words in `text`."""
    return sum(w in NEGATIONS or w.endswith("n't") for w in words(text))


def entails(quote: str, statement: str) -> list[str]:
    """Why `statement` does not follow from `quote` by its words alone; empty where it does.

    A statement follows if it only says less: no new number, name, quotation or content word, and as many negations.
    """
    reasons = [("new_number", missing_numbers(statement, quote)), ("new_name", missing_names(statement, quote))]
    reasons.append(("new_quote", missing_quotes(statement, quote)))
    found = [reason for reason, missing in reasons if missing]
    if support(statement, quote) < 1.0:
        found.append("new_word")
    if num_negations(statement) != num_negations(quote):
        found.append("negation_changed")
    return found


def is_refusal(text: str) -> bool:
    """Whether `text` speaks as a model that declines."""
    return bool(_REFUSALS.search(text))


def has_number_word(text: str) -> bool:
    """Whether `text` spells a number (zero to ninety, dozen, hundred, thousand; German to twelve)."""
    return any(w in NUMBER_WORDS for w in words(text))
