"""Published quality heuristics as values: each says what is wrong, when, and where its number comes from.

In: texts with extractor and language. Out: the first rule that rejects each, or how far it is from all of them. A rule
holds for the kinds of document and the languages it was made for: line shape says nothing of verse or a dictionary,
English stop words nothing of German.

For a page they are those of datatrove's fineweb.py, but for three readings (`AS_DATATROVE` are the rules with its own:
the same verdict on 99% of news, reviews and literature; `benchmarks/rules.py` counts what differs):
- the share of words with letters is one of words, as published: datatrove counts punctuation marks as words without
  letters, which takes one news item in thirteen, one page in twelve;
- a line that ends in a quotation mark is finished, as in C4 and when FineWeb was made: datatrove has since dropped
  quotation marks from its list, which takes fiction for its dialogue, one passage in 35;
- repeated lines may be 10% of the characters, as published and in FineWeb-2: datatrove's default is 1%, which takes
  one page in twelve.
It also takes pages of code and mathematics for prose, and counts blank lines among those that end in an ellipsis.
FineWeb's rules look at the lines that C4 keeps, but the text keeps all its lines: headings are no noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import reduce
from typing import Final

import polars as pl

from algorithms.text_statistics import DUP_SIZES, TOP_SIZES, text_statistics

GOPHER: Final = "Gopher, arXiv:2112.11446, A1.1"
LOWERED, RAISED = f"{GOPHER}, lowered", f"{GOPHER}, raised"
FINEWEB: Final = "FineWeb, arXiv:2406.17557, 3.6"
C4: Final = "C4, arXiv:1910.10683, 2.2"
# Scripts that put no blanks between words: lengths and counts of words mean nothing there.
UNSPACED: Final = ("zh", "ja", "th", "lo", "km", "my", "bo", "wuu", "yue")
# Of them those that put no mark at a sentence's end either.
UNSTOPPED: Final = ("th", "lo", "km", "my", "bo")


class Kind(StrEnum):
    """What a text was before extraction, as far as rules care."""

    PAGE = "page"  # a web page: navigation, boilerplate and search-engine spam are to be expected
    TECHNICAL = "technical"  # a page of code or mathematics
    RECORD = "record"  # a mail, a dictionary or data-set entry, a file of text: somebody's unit, however short


KINDS: Final = (Kind.PAGE, Kind.TECHNICAL, Kind.RECORD)
LENIENT: Final = (Kind.TECHNICAL, Kind.RECORD)
# Share of tokens that are signs of code or mathematics: 95% of news pages lie below .07, three quarters of the pages
# of programming docs and of mathematics above .14 (measured on 89, 350 and 500 pages).
TECHNICAL_SHARE: Final = 0.10
RECORD_EXTRACTORS: Final = ("plain", "mail_plain", "mail_html", "json_field", "json_leaves", "xml_text")


class Side(StrEnum):
    """Where a rule's limit is passed: a value equal to the limit is kept."""

    ABOVE = "above"
    BELOW = "below"


@dataclass(frozen=True)
class Rule:
    """Rejects a text whose `value` lies on the wrong `side` of `limit`; at `far` the rule is of no concern any more."""

    reason: str
    value: pl.Expr
    side: Side
    limit: float
    far: float
    source: str
    kinds: tuple[Kind, ...] = KINDS
    languages: tuple[str, ...] | None = None  # None: all
    not_languages: tuple[str, ...] = ()

    @property
    def reject(self) -> pl.Expr:
        """Whether the value is beyond the limit."""
        return self.value > self.limit if self.side is Side.ABOVE else self.value < self.limit

    @property
    def margin(self) -> pl.Expr:
        """How much of the way from the limit (0) to `far` (1) the value has gone."""
        return ((self.value - self.limit) / (self.far - self.limit)).clip(0.0, 1.0)

    @property
    def is_graded(self) -> bool:
        """Whether there is a way to go: a limit of nothing at all is a yes or no."""
        return self.far != self.limit

    @property
    def applies(self) -> pl.Expr:
        """Whether the rule is meant for a text's kind and language."""
        language = pl.col("language")
        fits = pl.col("kind").is_in([kind.value for kind in self.kinds])
        if self.languages is not None:
            fits &= language.is_in(list(self.languages))
        return fits & ~language.is_in(list(self.not_languages)) if self.not_languages else fits


def _above(
    reason: str,
    value: pl.Expr,
    limit: float,
    source: str,
    kinds: tuple[Kind, ...] = KINDS,
    not_languages: tuple[str, ...] = (),
) -> Rule:
    """What has more than `limit` is rejected; what has nothing is far from it."""
    return Rule(reason, value, Side.ABOVE, limit, 0.0, source, kinds, None, not_languages)


def _below(
    reason: str,
    value: pl.Expr,
    limit: float,
    source: str,
    kinds: tuple[Kind, ...] = KINDS,
    languages: tuple[str, ...] | None = None,
    not_languages: tuple[str, ...] = (),
    most: float = math.inf,
) -> Rule:
    """What has less than `limit` is rejected; what has twice as much, or the `most` there can be, is far from it."""
    return Rule(reason, value, Side.BELOW, limit, min(2.0 * limit, most), source, kinds, languages, not_languages)


def _share(part: str, whole: str) -> pl.Expr:
    """`part` / `whole`; 0 where there is nothing to share."""
    return pl.when(pl.col(whole) > 0).then(pl.col(part) / pl.col(whole)).otherwise(0.0)


_chars, _words, _mean_length = pl.col("num_chars"), pl.col("num_words"), _share("word_chars", "num_words")
_sign_share = _share("num_signs", "num_all_tokens")
_letter_share = _share("num_alpha_tokens", "num_words")
_stops = pl.col("num_stop_words")
_finished_share = _share("stopped_lines", "prose_lines") + _share("quoted_lines", "prose_lines")
_short_share = _share("short_lines", "prose_lines")
_repeated_share = _share("dup_prose_chars", "prose_chars")
_sentences = pl.col("num_sentences")
_breaks = (pl.col("prose_lines") - 1) / pl.max_horizontal("prose_tokens", 1)
# Gopher's limits by n: commonest 2- to 4-grams, repeated 5- to 10-grams.
_TOP_LIMITS: Final = {2: 0.20, 3: 0.18, 4: 0.16}
_DUP_LIMITS: Final = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}

RULES: Final[tuple[Rule, ...]] = (
    _below("too_few_words", _words, 50, GOPHER, (Kind.PAGE,), not_languages=UNSPACED),
    # Where a record is a unit by itself, Gopher's 50 would take most mails and dictionary entries.
    _below("too_few_words", _words, 10, LOWERED, LENIENT, not_languages=UNSPACED),
    _below("too_few_characters", _chars, 50, f"{GOPHER}, for unspaced scripts", languages=UNSPACED),
    # Books and manuals are longer than any honest page.
    _above("too_many_words", _words, 100_000, GOPHER, (Kind.PAGE,)),
    _below("words_too_short", _mean_length, 3, GOPHER, (Kind.PAGE,), not_languages=UNSPACED),
    _below("words_too_short", _mean_length, 2, LOWERED, LENIENT, None, UNSPACED),
    _above("words_too_long", _mean_length, 10, GOPHER, not_languages=UNSPACED),
    _above("too_many_hashes", _share("num_hashes", "num_words"), 0.1, GOPHER, (Kind.PAGE,)),
    _above("too_many_ellipses", _share("num_ellipses", "num_words"), 0.1, GOPHER),
    _above("too_many_bullet_lines", _share("bullet_lines", "num_lines"), 0.9, GOPHER, (Kind.PAGE,)),
    _above("too_many_ellipsis_lines", _share("ellipsis_lines", "num_lines"), 0.3, GOPHER),
    # Of words, as published: datatrove counts punctuation marks as words here, which takes a quarter of news pages.
    _below("too_few_words_with_letters", _letter_share, 0.8, GOPHER, (Kind.PAGE,), most=1.0),
    # Mathematics, code and data have their numbers; what has still fewer words with letters is a table or noise.
    _below("too_few_words_with_letters", _letter_share, 0.33, LOWERED, LENIENT),
    _below("too_few_stop_words", _stops, 2, GOPHER, (Kind.PAGE,), ("en", "und")),
    _above("repeated_lines", _share("dup_lines", "num_lines"), 0.3, GOPHER, (Kind.PAGE,)),
    _above("repeated_paragraphs", _share("dup_paragraphs", "num_paragraphs"), 0.3, GOPHER, (Kind.PAGE,)),
    _above("repeated_line_characters", _share("dup_line_chars", "num_chars"), 0.2, GOPHER, (Kind.PAGE,)),
    _above("repeated_paragraph_characters", _share("dup_paragraph_chars", "num_chars"), 0.2, GOPHER, (Kind.PAGE,)),
    # LaTeX, code and forms repeat short lines of their syntax; a record is noise when most of its characters repeat.
    _above("repeated_line_characters", _share("dup_line_chars", "num_chars"), 0.5, RAISED, LENIENT),
    # In a text of some lines the commonest n-gram is a large share whatever it says: pages only.
    *(_above(f"repeated_{n}_gram", pl.col(f"top_{n}"), _TOP_LIMITS[n], GOPHER, (Kind.PAGE,)) for n in TOP_SIZES),
    *(_above(f"repeated_{n}_grams", pl.col(f"dup_{n}"), _DUP_LIMITS[n], GOPHER, (Kind.PAGE,)) for n in DUP_SIZES),
    _above("repeated_10_grams", pl.col("dup_10"), 0.5, RAISED, LENIENT),
    _above("lorem_ipsum", pl.col("lorem_ipsum"), 0, C4, (Kind.PAGE,)),
    # Brackets of code and formulas are not counted: there they are no sign of a script that was taken for text.
    _above("curly_brackets", pl.col("num_curly"), 0, C4, (Kind.PAGE,)),
    _below("too_few_sentences", _sentences, 5, C4, (Kind.PAGE,), not_languages=UNSPACED),
    _above("word_too_long", pl.col("longest_word"), 1000, C4),
    _below("too_few_finished_lines", _finished_share, 0.12, FINEWEB, (Kind.PAGE,), None, UNSTOPPED),
    _above("too_many_short_lines", _short_share, 0.67, FINEWEB, (Kind.PAGE,)),
    _above("too_many_repeated_lines", _repeated_share, 0.1, FINEWEB, (Kind.PAGE,)),
    _above("too_many_breaks", _breaks, 0.3, FINEWEB, (Kind.PAGE,)),
)
DATATROVE: Final = "datatrove 0.10.1"
_letter_token_share = _share("num_alpha_tokens", "num_all_tokens")
_stopped_share = _share("stopped_lines", "prose_lines")
# By reason, what datatrove reads otherwise.
_READINGS: Final = {
    "too_few_words_with_letters": (_letter_token_share, 0.8),
    "too_few_finished_lines": (_stopped_share, 0.12),
    "too_many_repeated_lines": (_repeated_share, 0.01),
}


def _as_datatrove(rule: Rule) -> Rule:
    value, limit = _READINGS.get(rule.reason, (rule.value, rule.limit))
    source = DATATROVE if rule.reason in _READINGS else rule.source
    return replace(rule, value=value, limit=limit, source=source, kinds=KINDS)


# Its readings, and every text a page: of code or mathematics too.
AS_DATATROVE: Final = tuple(_as_datatrove(rule) for rule in RULES if Kind.PAGE in rule.kinds)


def judge(texts: pl.DataFrame, rules: tuple[Rule, ...] = RULES) -> pl.DataFrame:
    """For each row of `texts` (column `text`; `extractor` and `language` where known) its `reason` and `detail`, both
    null where none of `rules` rejects, and its `margin`, null where one does: how far the text is from the nearest
    limit of the graded rules that apply to it, 0 (at it) to 1, rounded to 1e-4. A text of unknown extractor counts as a
    page, one of unknown language as English.

    >>> judge(pl.DataFrame({"text": ["Too short."]}))["reason"].to_list()
    ['too_few_words']
    """
    columns = texts.columns
    extractor = pl.col("extractor") if "extractor" in columns else pl.lit(None, pl.String)
    language = pl.col("language") if "language" in columns else pl.lit(None, pl.String)
    page = pl.when(_sign_share >= TECHNICAL_SHARE).then(pl.lit(Kind.TECHNICAL.value)).otherwise(pl.lit(Kind.PAGE.value))
    judged = (
        texts.select(
            record=extractor.is_in(list(RECORD_EXTRACTORS)).fill_null(False),
            language=language.fill_null("en"),
            lorem_ipsum=pl.col("text").str.count_matches("(?i)lorem ipsum"),
        )
        .hstack(text_statistics(texts["text"]))
        .with_columns(kind=pl.when("record").then(pl.lit(Kind.RECORD.value)).otherwise(page))
    )
    number = reduce(
        lambda later, indexed: pl.when(indexed[1].applies & indexed[1].reject).then(indexed[0]).otherwise(later),
        reversed(list(enumerate(rules))),
        pl.lit(None, pl.Int64),
    )
    hits = judged.with_columns(rule=number)  # the first rule that rejects
    values = reduce(
        lambda later, indexed: pl.when(pl.col("rule") == indexed[0]).then(indexed[1].value).otherwise(later),
        enumerate(rules),
        pl.lit(None, pl.Float64),
    )
    margins = [pl.when(rule.applies).then(rule.margin) for rule in rules if rule.is_graded]
    reasons = {position: rule.reason for position, rule in enumerate(rules)}
    return hits.select(
        reason=pl.col("rule").replace_strict(reasons, return_dtype=pl.String),
        detail=values.round(4).cast(pl.String),
        margin=pl.when(pl.col("rule").is_null()).then(pl.min_horizontal(margins).round(4)),
    )


__all__ = ["AS_DATATROVE", "RULES", "Kind", "Rule", "Side", "judge"]
