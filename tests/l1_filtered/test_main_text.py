"""The learnt choice of main text, its Markdown, and mathematics in it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import turbohtml

from tier_assets.l1_filtered import asciimath
from tier_assets.l1_filtered.html_text import main_text
from tier_assets.l1_filtered.learn_main_text import _align, _shares, fold_of, labelled, learn, read_pages
from tier_assets.l1_filtered.main_text import BlockModel, choose, shipped_model, to_markdown
from tier_assets.l1_filtered.mathematics import dollars, restore_mathematics
from tier_assets.l1_filtered.mathml import to_tex

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
        "<p>" + "\\(\\newcommand" * 20_000 + PROSE * 5,
        "<p>" + "<code>ab</code>" * 30_000 + PROSE * 5,
        "<math>" + "<mrow>" * 50_000 + PROSE * 5,
        "<script src=ASCIIMath.js></script><p>" + "` x" * 50_000 + PROSE * 5,
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
        ("<p><code>a = </code><code>1</code><code>;</code> <code>b</code></p>", "`a = 1;` `b`"),
        (
            "<div><div class='line'><code>if a:</code></div><div class='line'>&nbsp;&nbsp;<code>b</code></div></div>",
            "```\nif a:\n  b\n```",
        ),
        (
            "<table><tr><td><h2>T</h2><table><tr><td>a<td>b<tr><td>c<td>d</table></table>",
            "## T\n\n| a | b |\n| --- | --- |\n| c | d |",
        ),
        ("<table><tr><td><table><tr><td><p>one</table><td>two</table>", "one\n\ntwo"),
        ("<p>so \\(x^2\\) is <code>\\(y\\)</code></p>", "so $x^2$ is `\\(y\\)`"),
        ("<p>a<br>b<br><br>c</p>", "a  \nb  \n\nc"),
        ("<ol><li>a<li>b</ol><blockquote>q</blockquote>", "1. a\n2. b\n\n> q"),
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
        ('<math alttext="{\\displaystyle a+b}"><mi>a</mi></math>', "${\\displaystyle a+b}$"),
        ('<math alttext="x over two"><mi>x</mi></math>', "$x$"),
        ('<math display="block"><mi>π</mi></math>', "$$\\pi$$"),
        ('<img class="latex" alt="$\\pi$" src="p.png">', "$\\pi$"),
        ('<img class="tex" alt="a &lt;br /&gt; b" src="p.png">', "$a   b$"),
        ('<img src="https://latex.codecogs.com/gif.latex?x%5E2">', "$x^2$"),
        ('<img src="https://s0.wp.com/latex.php?latex=x%5E2+y&bg=ffffff">', "$x^2 y$"),
        ('<span class="ztext-math" data-tex="e^x">e x</span>', "$e^x$"),
        ('<span class="MathJax" data-mathml="&lt;math&gt;&lt;mi&gt;x&lt;/mi&gt;&lt;/math&gt;">x</span>', "$x$"),
        ('<span class="katex"><span class="katex-html">x1</span></span>', "x1"),
        ('<script type="math/asciimath">x/2</script>', "$\\frac{x}{2}$"),
        ('<script type="math/mml"><math><mi>x</mi></math></script>', "$x$"),
        ('<script src="/ASCIIMathML.js"></script>so `x^2` and <code>`y^2`</code>', "so ${x}^{2}$ and `y^2`"),
        ("<p>no formula</p>", "no formula"),
    ],
)
def test_restore_mathematics_formula_becomes_its_source(html, text):
    page = turbohtml.parse(f"<body><div>{html}</div></body>")
    assert restore_mathematics(page) == (html != "<p>no formula</p>")
    assert page.select_one("div").text == text


@pytest.mark.parametrize(
    ("mathml", "tex"),
    [
        ("<mi>x</mi><mo>+</mo><mn>2</mn>", "x+2"),
        ("<mi>sin</mi><mi>α</mi>", "\\mathrm{sin}\\alpha"),
        ("<mi mathvariant=bold>v</mi><mi>ℝ</mi>", "\\mathbf{v}\\mathbb{R}"),
        ("<mfrac><mn>1</mn><mi>n</mi></mfrac>", "\\frac{1}{n}"),
        ("<mfrac linethickness=0><mi>n</mi><mi>k</mi></mfrac>", "\\genfrac{}{}{0pt}{}{n}{k}"),
        ("<msqrt><mi>x</mi><mo>−</mo><mn>1</mn></msqrt>", "\\sqrt{x-1}"),
        ("<mroot><mi>x</mi><mn>3</mn></mroot>", "\\sqrt[3]{x}"),
        ("<msub><mi>a</mi><mi>k</mi></msub>", "{a}_{k}"),
        ("<msubsup><mi>a</mi><mi>k</mi><mn>2</mn></msubsup>", "{a}_{k}^{2}"),
        ("<munderover><mo>∑</mo><mrow><mi>k</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover>",
         "\\sum _{k=1}^{n}"),
        ("<mover><mi>x</mi><mo>¯</mo></mover><mover><mi>v</mi><mo>→</mo></mover>",
         "\\overline{x}\\stackrel{\\to }{v}"),
        ("<munder><mi>lim</mi><mi>n</mi></munder>", "\\mathrm{lim} _{n}"),
        ("<mo>(</mo><mi>x</mi><mo>)</mo><mo>(</mo>", "\\left(x\\right)("),
        ("<mfenced open='[' close=']'><mi>a</mi><mi>b</mi></mfenced>", "\\left[a,b\\right]"),
        ("<mtable columnalign='right left'><mtr><mtd><mi>a</mi></mtd><mtd><mi>b</mi></mtd></mtr>"
         "<mtr><mtd><mi>c</mi></mtd></mtr></mtable>", "\\begin{array}{rl}a& b\\\\ c\\end{array}"),
        ("<mtext>for all</mtext><mspace/><mphantom><mi>z</mi></mphantom><mi>x</mi>", "\\text{for all} x"),
        ("<mfrac><mi>x</mi></mfrac>", "x"),
        ("<mrow>" * 1000 + "<mi>x</mi>", "x"),
    ],
)  # fmt: skip
def test_to_tex_mathml_becomes(mathml, tex):
    assert to_tex(turbohtml.parse(f"<math>{mathml}</math>").select_one("math")) == tex


@pytest.mark.parametrize(
    ("formula", "tex"),
    [
        ("x=(-b +- sqrt(b^2-4ac))/(2a)", "x=\\frac{-b\\pm \\sqrt{{b}^{2}-4ac}}{2a}"),
        ("sum_(i=1)^n i^3", "\\sum _{i=1}^{n}{i}^{3}"),
        ("[[a,b],[c,d]]", "\\left[\\begin{matrix}a& b\\\\ c& d\\end{matrix}\\right]"),
        ("f(x,y)", "f\\left(x,y\\right)"),
        ("AA x in RR", "\\forall x\\in \\mathbb{R}"),
        ('text(for all) "x y" a_10', "\\text{for all}\\text{x y}{a}_{10}"),
        ("frac(1)(2) root 3 x", "\\frac{1}{2}\\sqrt[3]{x}"),
        ("{(x, if x>=0):}", "\\left\\{\\left(x,\\text{ if }x\\ge 0\\right)\\right."),
        ("(", "\\left(\\right."),
        ("x/", "\\frac{x}{}"),
        ("", ""),
    ],
)
def test_asciimath_formula_becomes(formula, tex):
    assert asciimath.to_tex(formula) == tex


@pytest.mark.parametrize("formula", ["(" * 5000, "sqrt " * 5000, "frac " * 5000, "x/" * 5000, "x_" * 5000, "[[" * 999])
def test_asciimath_nesting_without_end_is_read(formula):
    assert asciimath.to_tex(formula)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"so \(x_1\) is", "so $x_1$ is"),
        ("\\[\nx^2\n\\]", "$$x^2$$"),
        ("[tex]a[/tex] [itex]b[/itex] [MATH]c[/MATH]", "$a$ $b$ $c$"),
        (r"`\(x\)` \(y\)", r"`\(x\)` $y$"),
        ("```\nf\\(x\\)\n```\n", "```\nf\\(x\\)\n```\n"),
        ("\\( \\newcommand{\\id}{\\mathrm{id}}\\) ( \\newcommand{\\a}{b}\\)\nText \\(x\\)", "Text $x$"),
        (r"$\newcommand{\R}{\mathbb R}$ Let \(x\)", r"$\newcommand{\R}{\mathbb R}$ Let $x$"),
        (r"\(unclosed", r"\(unclosed"),
        ("a [b](c) [/d]", "a [b](c) [/d]"),
    ],
)
def test_dollars_formula_in_text_becomes(text, expected):
    assert dollars(text) == expected


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
    model = shipped_model()
    again = BlockModel.from_json(model.to_json())
    assert (again.second.leaf_TL == model.second.leaf_TL).all()
    assert again.first.bias == model.first.bias


@pytest.mark.slow
@pytest.mark.skipif(not GOLD.exists(), reason=f"no gold pages at {GOLD}")
def test_main_text_of_sites_not_learnt_from_is_near_the_gold_text():
    files = ["extract_scrapinghub/articles.jsonl.gz", "extract_wcxb/wcxb_dev_sample.jsonl.gz"]
    articles, mixed = ([page for page in read_pages([GOLD / file]) if page[3].strip()] for file in files)
    learnt_from = [page for page in articles + mixed if fold_of(page[0], page[2], 2) == 0]
    pages = [labelled(html, url, gold) for _, html, url, gold in learnt_from]
    model = learn([page for page in pages if page is not None])
    for name_pages, at_least in ((articles, 0.95), (mixed, 0.82)):
        scores = []
        for name, html, url, gold in name_pages:
            if fold_of(name, url, 2) == 1:
                found = main_text(html, url, model)
                scores.append(f1(found[1] if found else "", gold))
        assert np.mean(scores) >= at_least
