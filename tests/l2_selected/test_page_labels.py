"""Page labels: equal windows of what L1 kept and cut, in the page's own words; a hostile page only teaches nothing."""

from __future__ import annotations

import polars as pl
import pytest

from tier_assets.l2_selected import page_labels as pg
from tier_tables import L2_PAGE_LABELS

SENTENCES = [f"Sentence {i} says that the {w} of water rises, because it is warm." for i, w in enumerate("abcdefghij")]
ARTICLE = "".join(f"<p>{s.replace('water', '<b>water</b>')}</p>" for s in SENTENCES)
MENU = "<ul>" + "".join(f"<li><a href=x>Menu entry {i}</a></li>" for i in range(60)) + "</ul>"
KEPT = "# Title\n\n" + "\n\n".join(SENTENCES)
SCRIPTS = "<script>var hidden = 1</script>" * 40
PAGE = f"<html><head><title>Secret title</title></head><body>{SCRIPTS}{MENU}{SCRIPTS}{ARTICLE}</body></html>"


def test_label_page_windows_hold_each_side_and_are_equally_long() -> None:
    kept, cut = pg.label_page(PAGE.encode(), "text/html", KEPT) or ("", "")
    assert len(kept) == len(cut) > 500
    assert "Menu" not in kept
    assert "water" not in cut
    for line in kept.split("\n")[1:-1]:
        assert line in SENTENCES
    assert {line.rsplit(" ", 1)[0] for line in cut.split("\n")[1:-1]} == {"Menu entry"}
    assert "hidden" not in kept + cut
    assert "Secret" not in kept + cut


def test_label_page_long_sides_are_cut_to_the_maximum_from_a_words_beginning() -> None:
    page = PAGE.replace(MENU, MENU * 5).replace(ARTICLE, ARTICLE * 5)
    kept, cut = pg.label_page(page.encode(), "text/html", KEPT) or ("", "")
    assert len(kept) == len(cut) == pg.MAX_CHARS
    text = "\n".join(SENTENCES * 5)
    assert kept in text
    assert text[text.index(kept) - 1].isspace() or text.startswith(kept)
    assert pg.label_page(page.encode(), "text/html", KEPT) == (kept, cut)


@pytest.mark.parametrize(
    ("menu_chars", "labelled"), [(pg.MIN_CHARS - 1, False), (pg.MIN_CHARS, True)], ids=["below", "at"]
)
def test_label_page_side_shorter_than_the_minimum_gives_no_pair(menu_chars: int, labelled: bool) -> None:
    page = f"<div>{'x' * menu_chars}</div>{ARTICLE}"
    assert (pg.label_page(page.encode(), "text/html", KEPT) is not None) == labelled


@pytest.mark.parametrize(
    ("raw", "content_type"),
    [
        (PAGE.encode(), "application/json"),
        (PAGE.encode(), "text/plain"),
        (b"", "text/html"),
        (b"\x00\xff\xfe", "text/html; charset=no-such"),
        (b"<!-- only a comment -->", None),
    ],
)
def test_label_page_what_is_no_page_gives_no_pair(raw: bytes, content_type: str | None) -> None:
    assert pg.label_page(raw, content_type, KEPT) is None


def test_label_page_without_kept_words_gives_no_pair() -> None:
    assert pg.label_page(PAGE.encode(), "text/html", "...") is None


@pytest.mark.parametrize(
    ("charset", "content_type", "meta"),
    [
        ("utf-8", "text/html", ""),
        ("iso-8859-7", "text/html; charset=iso-8859-7", ""),
        ("windows-1252", "text/html", '<meta charset="windows-1252">'),
    ],
)
def test_label_page_charset_is_the_declared_one(charset: str, content_type: str, meta: str) -> None:
    word = "ζεστό" if charset == "iso-8859-7" else "wärmer"
    page, kept = (text.replace("warm", word) for text in (meta + PAGE, KEPT))
    found, _ = pg.label_page(page.encode(charset), content_type, kept) or ("", "")
    assert word in found


@pytest.mark.parametrize(
    ("part", "share"),
    [
        ("Sentence 1 says that the b of water rises, because it is warm.", 1.0),
        ("Sentence 1 says that nothing holds at all for anybody here", 2 / 9),
        ("Entirely other words here", 0.0),
        ("water", 0.5),  # one word may stand there by chance
        ("Cart", 0.0),
        ("水は百度で沸騰して蒸気になります", 1.0),
    ],
)
def test_share_is_that_of_the_runs_of_three_words_in_the_kept_text(part: str, share: float) -> None:
    kept = " ".join(KEPT.lower().split()) + " 水は百度で沸騰して蒸気になります"
    assert pg._share(part, pg._runs(pg.WORD.findall(kept)), kept) == pytest.approx(share)


def test_label_pages_gives_two_rows_a_page_and_leaves_the_rest_out() -> None:
    deep = "<div>" * 100_000 + "x"
    pages = pl.DataFrame(
        {
            "doc_id": ["b", "a", "deep", "none"],
            "corpus": "web",
            "snapshot": "1",
            "raw": [PAGE.encode(), PAGE.encode(), deep.encode(), b"<p>short</p>"],
            "content_type": "text/html",
            "text": KEPT,
        }
    )
    with pg.open_workers() as pool:
        found = pg.label_pages(pages, pool)
    assert found.schema == L2_PAGE_LABELS.schema
    assert found.select("doc_id", "kept").rows() == [("a", False), ("a", True), ("b", False), ("b", True)]


def test_draw_pages_spreads_over_corpora_and_a_grown_pool_keeps_its_sample() -> None:
    def pool(large: int, small: int) -> pl.DataFrame:
        rows = [(f"l{i}", "large", "1") for i in range(large)] + [(f"s{i}", "small", "1") for i in range(small)]
        return pl.DataFrame(rows, schema=["doc_id", "corpus", "snapshot"], orient="row")

    drawn = pg.draw_pages(pool(500, 10), 60, seed=0)
    assert dict(drawn.group_by("corpus").len().rows()) == {"large": 50, "small": 10}
    assert drawn["doc_id"].is_sorted()
    assert pg.draw_pages(pool(500, 10).reverse(), 60, 0).equals(drawn)
    assert not pg.draw_pages(pool(500, 10), 60, seed=1).equals(drawn)
    grown = pg.draw_pages(pool(520, 10), 60, 0)
    assert len(set(grown["doc_id"]) & set(drawn["doc_id"])) > 52
    assert len(pg.draw_pages(pool(3, 2), 60, 0)) == 5
