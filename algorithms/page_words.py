"""Tags, class names and words that tell the parts of a web page, as tables of hashes for `page_blocks`.

The groups of class names follow the patterns that Readability, Boilerpipe and trafilatura look for; which of them speak
for main text and which against is for a model to learn.
"""

from __future__ import annotations

from typing import Final

import numpy as np

FNV_BASIS, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3  # Fowler-Noll-Vo hash, 64 bits
INLINE_TAGS: Final = (
    "a abbr acronym b bdi bdo big cite code data del dfn em font i img ins kbd label mark math q s samp small span "
    "strike strong sub sup time tt u var wbr br"
).split()  # fmt: skip
VOID_TAGS: Final = "area base br col embed hr img input link meta param source track wbr".split()
# The order is the code that features hold; what is not listed is 0.
NAMED_TAGS: Final = (
    "p li td th div h1 h2 h3 h4 h5 h6 pre blockquote dt dd figcaption button option article main nav header footer "
    "aside section form table ul ol dl figure fieldset body summary caption address label center details tr tbody"
).split()
ABOVE_TAGS: Final = (
    "article main nav header footer aside section form table ul ol dl figure blockquote button p noscript".split()
)
CLASS_GROUPS: Final = tuple(
    words.split()
    for words in (
        "article articlebody story entry blog blogpost newsarticle",
        "content body text main richtext markdown prose copy maincontent page wysiwyg rte",
        "post posts message messages thread topic forum reply replies answer answers question discussion conversation",
        "comment comments disqus commentlist respond",
        "nav navigation navbar menu submenu breadcrumb breadcrumbs pagination pager toc sitemap nextprev",
        "header masthead top topbar hero head",
        "footer bottom copyright legal colophon contentinfo",
        "sidebar side aside rail widget widgets secondary column complementary",
        "related recommended recommendations more popular trending recent latest similar suggested teaser also",
        "share social sharing follow facebook twitter addthis sharebar",
        "ad ads advert advertisement sponsor sponsored promo promoted banner dfp",
        "meta byline author date time published info tags tag category categories credit timestamp",
        "product products price cart shop item items sku buy grid catalog collection collections",
        "list listing results search feed cards card archive loop tile tiles",
        "form login signup subscribe newsletter signin register email input subscription",
        "cookie cookies consent gdpr modal popup overlay dialog notice alert tooltip dropdown",
        "hidden hide sr screen visually skip noprint collapsed none",
        "caption figure image gallery photo media video slider carousel thumb swiper slick",
        "title headline heading subtitle name",
        "description desc summary detail details features specs specifications about overview intro excerpt lead",
        "review reviews rating ratings testimonial testimonials stars",
        "faq accordion tab tabs panel feature step steps",
        "signature user profile avatar username member poster bio",
        "quote blockquote bbcodeblockquote quoted",
        "code highlight example syntax snippet",
    )
)
WORD_GROUPS: Final = tuple(
    words.split()
    for words in (
        "share follow subscribe login log sign register newsletter account join facebook twitter",
        "copyright rights reserved terms privacy cookie cookies policy disclaimer",
        "comment comments reply posted replies joined messages likes views",
        "related more read next previous latest popular trending recommended view all",
        "add cart buy price checkout shipping sale stock wishlist",
        "menu home about contact search skip",
        "by author published updated ago min",
    )
)


def _hash(word: str) -> int:
    state = FNV_BASIS
    for byte in word.encode():
        state = ((state ^ byte) * FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return state


def _table(entries: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Sorted hashes of the keys, and their values in that order."""
    ordered = sorted((_hash(key), value) for key, value in entries.items())
    return np.array([key for key, _ in ordered], np.uint64), np.array([value for _, value in ordered], np.int64)


def _tag_codes() -> dict[str, int]:
    """Bits 0-7: place in NAMED_TAGS + 1; 8: inline; 9: void; 10: link; from 16 on: one bit for each of ABOVE_TAGS."""
    codes: dict[str, int] = {}
    for name in {*INLINE_TAGS, *VOID_TAGS, *NAMED_TAGS, *ABOVE_TAGS}:
        code = NAMED_TAGS.index(name) + 1 if name in NAMED_TAGS else 0
        code |= (name in INLINE_TAGS) << 8 | (name in VOID_TAGS) << 9 | (name == "a") << 10
        codes[name] = code | (1 << (16 + ABOVE_TAGS.index(name)) if name in ABOVE_TAGS else 0)
    return codes


def _masks(groups: tuple[list[str], ...]) -> dict[str, int]:
    masks: dict[str, int] = {}
    for position, words in enumerate(groups):
        for word in words:
            masks[word] = masks.get(word, 0) | 1 << position
    return masks


READ_ATTRIBUTES: Final = np.array(sorted(map(_hash, ("class", "id", "role", "itemprop", "hidden"))), np.uint64)
TABLES: Final = (
    *_table(_tag_codes()),
    *_table(_masks(CLASS_GROUPS)),
    *_table(_masks(WORD_GROUPS)),
    READ_ATTRIBUTES,
)

__all__ = ["ABOVE_TAGS", "CLASS_GROUPS", "FNV_BASIS", "FNV_PRIME", "NAMED_TAGS", "TABLES", "WORD_GROUPS"]
