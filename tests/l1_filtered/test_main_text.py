"""The learnt choice of main text, its Markdown, and mathematics in it."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import turbohtml

from tier_assets.l1_filtered.html_text import main_text
from tier_assets.l1_filtered.learn_main_text import _align, _shares, half_of, labelled
from tier_assets.l1_filtered.main_text import BlockModel, choose, choose_main_text, to_markdown
from tier_assets.l1_filtered.mathematics import restore_mathematics

GOLD = Path(__file__).parents[3] / "shared" / "data"
PROSE = "The river rose in the night, and the bridge was closed to all traffic until noon. "


def page_of(body: str) -> str:
    menu = "".join(f'<li><a href="/{name}">{name}</a></li>' for name in ("Home", "Sport", "Weather", "Contact"))
    return (
        f"<html><head><title>Floods</title></head><body><nav class=menu><ul>{menu}</ul></nav><main><article>{body}"
        f"</article></main><footer>Copyright 2024 All rights reserved <a href=/p>Privacy</a></footer></body></html>"
    )


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.lower()))


def f1(text: str, gold: str) -> float:
    found, wanted = words(text), words(gold)
    return 2 * (found & wanted).total() / max(1, found.total() + wanted.total())


def test_main_text_of_an_article_leaves_menu_and_footer_out():
    title, text, extractor = main_text(page_of(f"<h1>Floods</h1><p>{PROSE * 3}</p><p>{PROSE * 2}</p>"), None)
    assert (title, extractor) == ("Floods", "blocks")
    assert (PROSE * 3).strip() in text
    assert "Weather" not in text
    assert "rights" not in text


def test_main_text_of_a_page_without_text_is_none():
    assert main_text("<html><body><img src=a></body></html>", None) is None


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 100_000 + PROSE * 5 + "</div>" * 100_000,
        "<table><tr><td colspan=9007199254740991 rowspan=65534>" + PROSE * 5,
        "<b><i>" * 20_000 + PROSE * 5,
        "<p>" + "&amp;" * 200_000 + PROSE * 5,
        "<table><tr><td>" * 10_000 + PROSE * 5,
        '<p title="' + "a>" * 100_000 + '">' + PROSE * 5,
        "<!--" * 50_000 + "-->" + PROSE * 5,
    ],
)
def test_main_text_of_a_hostile_page_is_text_or_none(page):
    found = main_text(page, "http://[bad")
    assert found is None or len(found[1]) > 0


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<h2>Head</h2><p>snake_case *x* <b>bo</b>ld</p>", "## Head\n\nsnake_case *x* bold"),
        ("<ul><li>a<li>b<ul><li>c</ul></ul>", "- a\n- b\n  - c"),
        ("<pre><code>a = 1\n  b</code></pre>", "```\na = 1\n  b\n```"),
        ("<table><tr><th>a<th>b<tr><td colspan=9>1<td>2</table>", "| a | b |\n| --- | --- |\n| 1 | 2 |"),
        ("<table><tr><td>a<td>b<tr><td>1</table>", "| a | b |\n| --- | --- |\n| 1 |  |"),
        ("<table><tr><td><p>one</p><td><p>two</p></table>", "one\n\ntwo"),
        ('<p>see <a href="https://x.y">this</a> <img alt=z src=q></p>', "see this"),
        ("<p>run <code>a   b</code></p>", "run `a b`"),
    ],
)
def test_to_markdown_html_becomes(html, markdown):
    assert to_markdown(html).strip() == markdown


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('a <script type="math/tex">x^2</script> b', "a $x^2$ b"),
        ('<span class="MathJax">x2</span><script type="math/tex; mode=display">x^2</script>', "$$x^2$$"),
        (
            '<span class="katex"><math><semantics><mi>x</mi><annotation encoding="application/x-tex">x_1</annotation>'
            '</semantics></math><span class="katex-html">x1</span></span>',
            "$x_1$",
        ),
        ('<math alttext="{\\displaystyle a+b}"><mi>a</mi></math>', "$a+b$"),
        ('<img class="latex" alt="$\\pi$" src="p.png">', "$\\pi$"),
        ("<math><mi>x</mi></math>", "x"),
    ],
)
def test_restore_mathematics_formula_becomes_its_source(html, text):
    page = turbohtml.parse(f"<body><p>{html}</p></body>")
    restore_mathematics(page)
    assert page.select_one("p").text == text


def test_choose_blocks_that_make_the_expected_f1_largest():
    keep, expected = choose(np.array([0.9, 0.1, 0.8]), np.array([50, 10, 40]))
    assert keep.tolist() == [True, False, True]
    assert expected == pytest.approx(2 * (45 + 32) / (90 + 45 + 1 + 32))


@pytest.mark.parametrize("shares", [[], [0.0, 0.0]])
def test_choose_nothing_to_expect_keeps_nothing(shares):
    assert choose(np.array(shares), np.ones(len(shares), np.int64))[0].tolist() == [False] * len(shares)


def test_labelled_page_marks_the_blocks_of_the_gold_text():
    page = labelled(
        page_of(f"<p>{PROSE}</p><p>Share this</p><p>Rain fell again on Monday.</p>"),
        None,
        PROSE + "Rain fell again on Monday.",
    )
    texts = [page.blocks.page[start:end].tobytes().decode() for start, end in page.blocks.numbers_BK[:, :2]]
    kept = [text for text, share in zip(texts, page.share_B) if share > 0.5]
    assert kept == [PROSE, "Rain fell again on Monday."]


def test_align_is_a_longest_common_subsequence():
    places = _align(np.array([5, 1, 2, 9, 3]), np.array([1, 2, 3, 4]))
    assert places.tolist() == [-1, 0, 1, -1, 2]
    assert _shares(places, np.array([0, 5])).tolist() == [0.0]  # no run of three


def test_block_model_written_and_read_is_the_same():
    model = BlockModel.from_json(
        (Path(choose_main_text.__code__.co_filename).parent / "main_text_model.json").read_text()
    )
    again = BlockModel.from_json(model.to_json())
    assert (again.second.leaf_TL == model.second.leaf_TL).all()
    assert again.first.bias == model.first.bias


@pytest.mark.slow
@pytest.mark.skipif(not GOLD.exists(), reason=f"no gold pages at {GOLD}")
@pytest.mark.parametrize(
    ("file", "at_least"),
    [("extract_scrapinghub/articles.jsonl.gz", 0.955), ("extract_wcxb/wcxb_dev_sample.jsonl.gz", 0.84)],
)
def test_main_text_of_pages_not_learnt_from_is_near_the_gold_text(file, at_least):
    scores = []
    with gzip.open(GOLD / file, "rt") as lines:
        for record in map(json.loads, lines):
            if half_of(record["id"]) == 1:  # the model learnt from the other half
                found = main_text(record["html"], record["url"])
                gold = record.get("gold_text") or record["gold"]["main_content"]
                scores.append(f1(found[1] if found else "", gold))
    assert np.mean(scores) >= at_least
