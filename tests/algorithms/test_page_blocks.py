"""A page's blocks, and the page cut down to some of them."""

from __future__ import annotations

import numpy as np
import pytest
import turbohtml
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.block_features import NUM_CONTEXT, NUM_FEATURES, block_features, context_features
from algorithms.page_blocks import BLOCK_NUMBERS, Blocks, cut, read_blocks
from algorithms.page_hints import Metadata, is_article, page_hints

PAGE = (
    '<html><body><div class="navBar"><a href="/">Home</a></div><p>One <b>two</b>, <a href="x">three four</a>.</p>'
    "<ul><li>Item A</li><li>Item &amp; B<br>next</li></ul>tail</body></html>"
)
HINTS = page_hints(Metadata("", "", "", False, "https://example.org/blog/a-b"))
FRAGMENTS = st.lists(
    st.sampled_from(
        (
            "<div class='a nav'>|</div>|<p>|</p>|<a href=x>|</a>|<b>|<br>|<img src=q>|<table>|<tr><td>|some words| |"
            'x &lt; y|ü 日本|<!-- c -->|<li>|<h1>|</h1>|<p =a>|<p ="b" =c=d \'=>|<pre>\n a</pre>'
        ).split("|")
    ),
    max_size=40,
)


def serialised(page: str) -> str:
    return turbohtml.parse(page).serialize()


def visible(page: str) -> str:
    return "".join(turbohtml.parse(page).root.text.split())


def texts(blocks: Blocks) -> list[str]:
    return [blocks.page[start:end].tobytes().decode() for start, end in blocks.numbers_BK[:, :2]]


def numbers(blocks: Blocks, name: str) -> list[int]:
    return blocks.numbers_BK[:, BLOCK_NUMBERS.index(name)].tolist()


def test_read_blocks_page_gives_texts_between_block_tags():
    blocks = read_blocks(serialised(PAGE))
    assert [text.replace("</a>", "") for text in texts(blocks)] == [
        "Home",
        'One <b>two</b>, <a href="x">three four.',
        "Item A",
        "Item &amp; B<br>next",
        "tail",
    ]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("words", [1, 4, 2, 3, 1]),
        ("link_chars", [4, 10, 0, 0, 0]),
        ("num_links", [1, 1, 0, 0, 0]),
        ("breaks", [0, 0, 0, 1, 0]),
        ("capitals", [1, 1, 2, 2, 0]),
    ],
)
def test_read_blocks_counts_are(name, values):
    assert numbers(read_blocks(serialised(PAGE)), name) == values


def test_read_blocks_page_without_text_has_none():
    assert len(read_blocks("<html><head></head><body><div> \n </div></body></html>").numbers_BK) == 0


def test_cut_some_blocks_keeps_them_and_the_elements_around():
    blocks = read_blocks(serialised(PAGE))
    assert cut(blocks, np.array([True, False, False, True, False])) == (
        '<html><body><div class="navBar"><a href="/">Home</a></div><ul><li>Item &amp; B<br>next</li></ul></body></html>'
    )


def test_cut_no_block_leaves_nothing():
    assert cut(read_blocks(serialised(PAGE)), np.zeros(5, np.bool_)) == ""


@settings(deadline=None, max_examples=300)
@given(FRAGMENTS)
def test_cut_all_blocks_of_any_page_keeps_its_text(fragments):
    page = serialised("".join(fragments))
    blocks = read_blocks(page)
    assert visible(cut(blocks, np.ones(len(blocks.numbers_BK), np.bool_))) == visible(page)


@settings(deadline=None, max_examples=300)
@given(FRAGMENTS, st.integers(0, 2**40))
def test_cut_any_choice_shows_the_text_of_the_chosen_blocks(fragments, choice):
    blocks = read_blocks(serialised("".join(fragments)))
    keep = np.array([choice >> block & 1 == 1 for block in range(len(blocks.numbers_BK))], np.bool_)
    chosen = [text for text, kept in zip(texts(blocks), keep) if kept]
    assert visible(cut(blocks, keep)) == "".join(map(visible, chosen))


@settings(deadline=None)
@given(st.text(alphabet="<>/=\"' !-abp&;\n"))
def test_read_blocks_any_text_ends(text):
    for page in (text, serialised(text)):
        blocks = read_blocks(page)
        cut(blocks, np.ones(len(blocks.numbers_BK), np.bool_))


def test_read_blocks_nesting_without_end_is_read():
    depth = 50_000
    page = "<body>" + "<div>" * depth + "deep <b>words</b>" + "</div>" * depth + "<p>after</p></body>"
    assert numbers(read_blocks(page), "words") == [2, 1]


@settings(deadline=None)
@given(FRAGMENTS)
def test_block_features_of_any_page_are_finite(fragments):
    page = serialised("".join(fragments))
    blocks = read_blocks(page)
    features = block_features(blocks, HINTS)
    assert features.shape == (len(blocks.numbers_BK), NUM_FEATURES)
    context = context_features(blocks, features, np.full(len(features), 0.5))
    assert context.shape == (len(features), NUM_FEATURES + NUM_CONTEXT)
    assert np.isfinite(context).all()


def test_block_features_tell_copies_and_class_words():
    page = serialised("<div class='side-bar'><p>same words</p></div><div class=mainContent><p>same words</p></div>")
    first, second = block_features(read_blocks(page), HINTS)
    assert (first != second).any()
    alike = serialised("<p class=item-1>a b</p><p class=item-2>c d</p><p>e f</p>")
    blocks = read_blocks(alike)
    # The last five features count the blocks on the same path; numbers in class names make no difference.
    assert block_features(blocks, HINTS)[:, -5].tolist() == [2, 2, 1]


@pytest.mark.parametrize(
    ("metadata", "article"),
    [
        (Metadata('{"@type": "NewsArticle"}', "", "", False, "https://a.b/2024/x-y-z"), True),
        (Metadata("", "article", "", False, ""), True),
        (Metadata("", "", "", True, ""), True),
        (Metadata('{"@type": "NewsArticle"}, {"@type": "Comment"}', "", "", False, ""), False),
        (Metadata("", "article", "generator content=discourse", False, ""), False),
        (Metadata("", "article", "", False, "https://a.b/t/topic/12"), False),
        (Metadata("", "", "", False, ""), False),
    ],
)
def test_is_article_what_a_page_says_of_itself_decides(metadata, article):
    assert is_article(page_hints(metadata)) == article


def test_page_hints_address_gives_depth_hyphens_and_length():
    assert page_hints(Metadata("", "", "", False, "https://a.b/2024/x-y-z"))[-3:].tolist() == [2, 2, 5]
    assert page_hints(Metadata("", "", "", False, ""))[-3:].tolist() == [-1, 0, 0]
