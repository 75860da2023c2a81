"""Names of a text that another text does not have: no tagger, a name is what is capitalised though no sentence opens.

In: an output and its source. Out: what is missing, as written. German capitalises all nouns: there a new one is a name
only where it looks like one. Cost: regular expressions, about 2 MB/s, and for a new name a look at the source's words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from algorithms.folded_words import SOURCES_KEPT, WIDE, WORD, fold, words
from algorithms.word_lists import DERIVATIONS, ENGLISH_WORDS, GERMAN_DETERMINERS, GERMAN_NOUNS, GERMAN_WORDS, STOPWORDS

_SENTENCE_START = re.compile(r"(?:^|[.!?:;…。！？]|\n|^\W+)[\s\"'“”„«»‘’(\[*_#>\-–—|]*$")
_NOUN_ENDING = re.compile(
    r"(?:ung|heit|keit|schaft|tion|tat|ismus|nis|tum|ment|anz|enz|ling|chen|lein|ur|ik|graph|ist|rate)(?:e?n|e?s|e)?$"
)

# Letters that German common nouns hardly have: after an article too such a word is a name.
_FOREIGN = re.compile(
    r"[aiouy]s?$|c(?![hk])|(?<!s)sh|oo|ou|ea|gh|ow|wn|ia|lle|tt?on$|rs$|[^aeiouhr]y|ll$|sk|kh|zh|jo|ean|ian|[bcdgmpt]s$"
)
# Longer German words are compounds of common ones.
MAX_NAME_CHARS = 10
# Up to so many words after a question answer it and do no more.
ANSWER_WORDS = 8

# Capitalised by rule, names of nobody: the English I, German forms of address.
_NO_NAMES = STOPWORDS | {"i'm", "i've", "i'll", "i'd", "ihnen", "ihren", "ihrem", "ihrer"}


def _capitals(text: str) -> Iterator[tuple[re.Match[str], str, bool]]:
    """Each capitalised part of a word of no closed class, with the word's match and whether a sentence opens there."""
    for match in WORD.finditer(text):
        # Capitals beside a script without spaces are part of one long run there, not a word of their own.
        if WIDE.search(match.group()):
            continue
        opens = bool(_SENTENCE_START.search(text[max(0, match.start() - 12) : match.start()]))
        for part in match.group().split("-"):
            if part[:1].isupper() and part.casefold() not in _NO_NAMES:
                yield match, part, opens


def names(text: str) -> list[str]:
    """Words of `text` that are capitalised although no sentence starts there, and acronyms anywhere.

    Of a compound only the capitalised parts count: "AD-related" names AD.
    """
    return [part for _, part, opens in _capitals(unicodedata.normalize("NFKC", text)) if _is_acronym(part) or not opens]


def _is_acronym(word: str) -> bool:
    return len(word) > 1 and word.removesuffix("s").isupper()


def missing_names(output: str, source: str) -> list[str]:
    """Names of `output` that `source` has neither as such, nor inflected, derived (Brazil, Brazilian), misspelt by a
    letter of many, nor spelt out (WHO, World Health ...). German nouns are names only where they look like one."""
    plain, stems = _known(source)
    output = unicodedata.normalize("NFKC", output)
    german = is_german(output) or (is_german(source) and not _num_words(output, ENGLISH_WORDS))
    free_until = _answer_start(output) if german else 0
    missing = []
    for match, name, opens in _capitals(output):
        folded = _plain(fold(name))
        if (opens and not _is_acronym(name)) or folded in plain or _name_stem(folded) in stems:
            continue
        if len(_name_stem(folded)) < 2 or any(_same_name(folded, word) for word in plain):
            continue
        if match.start() < free_until and not _is_german_name(output, match, name, plain):
            continue
        if not (_is_acronym(name) and _is_spelt_out(name, source, output)):
            missing.append(name)
    return missing


@lru_cache(maxsize=SOURCES_KEPT)
def _known(source: str) -> tuple[frozenset[str], frozenset[str]]:
    """The words of `source` and their parts, without accents, and the stems of them as names."""
    known = set(words(source))
    known |= {part for word in known for part in re.split(r"['\-]", word)}
    plain = frozenset(_plain(word) for word in known)
    return plain, frozenset(_name_stem(w) for w in plain)


def _plain(word: str) -> str:
    """`word` without accents."""
    if word.isascii():
        return word
    return "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))


def _same_name(name: str, word: str) -> bool:
    """Whether both are forms of one name: derived from each other, or one slip of the pen apart."""
    short, long = sorted((name, word), key=len)
    if len(short) < 4 or name[0] != word[0]:
        return False
    base = short.rstrip("aeyo") if len(short) > 4 else short
    if len(base) >= 4 and long.startswith(base) and long[len(base) :] in DERIVATIONS:
        return True
    if len(short) < 6 or len(long) - len(short) > 1:
        return False
    if len(short) == len(long) and sorted(short) == sorted(long):
        return True
    same = next((i for i, (a, b) in enumerate(zip(short, long)) if a != b), len(short))
    return short[same:] == long[same + 1 :] or (len(short) == len(long) and short[same + 1 :] == long[same + 1 :])


def is_german(text: str) -> bool:
    """Whether `text` has German words of the closed classes, two or more, and more than English ones."""
    german = _num_words(text, GERMAN_WORDS)
    return german >= 2 and german > _num_words(text, ENGLISH_WORDS)


def _num_words(text: str, known: frozenset[str]) -> int:
    return sum(w in known for w in WORD.findall(text.casefold()))


def _is_german_name(text: str, match: re.Match[str], name: str, known: frozenset[str]) -> bool:
    """Whether a capitalised German word that the source lacks is a name: all nouns have capitals there.

    It is none after an article or an adjective, with the ending of a noun, as one of the commonest nouns, or as a part
    or compound of a word of the source; it is one beside another capital that is new too.
    """
    folded = _plain(fold(name))
    if _is_acronym(name):
        return True
    if folded in GERMAN_NOUNS or not 3 <= len(folded) <= MAX_NAME_CHARS or _NOUN_ENDING.search(folded):
        return False
    if any((len(w) >= 4 and (w in folded or folded in w)) or _common_start(w, folded) for w in known):
        return False
    before = (WORD.findall(text[max(0, match.start() - 24) : match.start()]) or [""])[-1]
    after_article = before.casefold() in GERMAN_DETERMINERS or bool(re.search(r"[a-zß](?:en|er|es|em|e)$", before))
    return not after_article or bool(_FOREIGN.search(folded))


def _answer_start(text: str) -> int:
    """Where the short answer after a last question begins, of which every noun is in the source; else the end."""
    question, mark, answer = text.rpartition("?")
    return len(question) if mark and 0 < len(answer.split()) <= ANSWER_WORDS else len(text)


def _common_start(a: str, b: str) -> bool:
    num = max(5, round(0.7 * max(len(a), len(b))))
    return a[:num] == b[:num]


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
    return word.removesuffix("'s").removesuffix("s'").removesuffix("s") if len(word) > 3 else word.removesuffix("'s")
