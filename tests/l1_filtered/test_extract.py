"""Extraction: every kind of record to text, or a reason."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.l0_raw.samples import pdf
from tier_assets.l1_filtered.decode import decode, tidy
from tier_assets.l1_filtered.extract import Extracted, NoText, extract

SENTENCES = "The river rose in the night and the bridge was closed to all traffic. " * 5
PAGE = (
    "<html><head><title>Floods</title></head><body><nav><a href='/'>Home</a><a href='/b'>Sport</a></nav>"
    f"<article><h1>Floods</h1><p>{SENTENCES}</p><p>{SENTENCES}</p></article><footer>Imprint</footer></body></html>"
)


def test_extract_html_page_gives_main_text_and_title():
    found = extract(PAGE.encode(), "text/html; charset=utf-8", "https://example.org/a")
    assert isinstance(found, Extracted)
    assert (found.title, found.extractor) == ("Floods", "blocks")
    assert SENTENCES.strip() in found.text
    assert "Sport" not in found.text
    assert "Imprint" not in found.text


def test_extract_html_without_declared_type_is_recognised():
    assert extract(PAGE.encode(), None, None).extractor == "blocks"


@pytest.mark.parametrize(
    ("raw", "content_type", "reason"),
    [
        (b"", "text/html", "empty_text"),
        (b" \n\t ", "text/plain", "empty_text"),
        (b"--- ... ---", "text/plain", "empty_text"),
        (b"<html><body></body></html>", "text/html", "no_main_text"),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * 50, "text/html", "not_text"),
        (b"%PDF-1.7 ...", "application/pdf", "malformed_pdf"),
        (b"%PDF-1.7 ...", "text/html", "malformed_pdf"),
        (b"body{}", "text/css", "not_text"),
        (bytes(range(128, 256)) * 20 + b"\x00" * 2000, "text/plain", "not_text"),
        (b'{"a": ', "application/json", "malformed_json"),
        (b"[1, 2]", "application/json", "not_an_object"),
        (b'"just a string"', "application/json", "not_an_object"),
        (b'{"n": 1}', "application/json", "empty_text"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "application/json", "malformed_json"),
        (b"Subject: x\nContent-Type: image/png\n\nabc", "message/rfc822", "empty_text"),
    ],
)
def test_extract_record_without_text_gives_a_reason(raw, content_type, reason):
    found = extract(raw, content_type, None)
    assert isinstance(found, NoText)
    assert found.reason == reason


def test_extract_colspan_beyond_all_bounds_still_gives_text():
    page = PAGE.replace("<article>", "<article><table><tr><td colspan=9007199254740991>cell</td></tr></table>")
    assert SENTENCES.strip() in extract(page.encode(), "text/html", None).text


def test_extract_mail_prefers_plain_part_and_decodes_it():
    mail = (
        b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=b\n\n"
        b"--b\nContent-Type: text/html\n\n<p>HTML</p>\n"
        b"--b\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n"
        b"Sch=F6ne Gr=FC=DFe aus K=\n=F6ln\n--b--\n"
    )
    found = extract(mail, "message/rfc822", None)
    assert (found.title, found.text, found.extractor) == ("Grüße", "Schöne Grüße aus Köln", "mail_plain")


def test_extract_mail_with_html_only_gives_its_main_text():
    mail = f"Subject: Floods\nContent-Type: text/html\n\n{PAGE}".encode()
    found = extract(mail, "message/rfc822", None)
    assert (found.title, found.extractor) == ("Floods", "mail_html")
    assert SENTENCES.strip() in found.text


def test_extract_mail_attachment_is_left_out():
    mail = (
        b"Subject: a\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n"
        b"Content-Disposition: attachment; filename=x.txt\n\nsecret\n--b\nContent-Type: text/plain\n\nbody\n--b--\n"
    )
    assert extract(mail, "message/rfc822", None).text == "body"


def test_extract_mail_with_unknown_charset_and_broken_header_is_read():
    mail = b"Subject: =?x-unknown?q?a?=\nContent-Type: text/plain; charset=klingon\n\nqapla is fine\n"
    assert extract(mail, "message/rfc822", None).text == "qapla is fine"


@pytest.mark.parametrize(
    ("record", "title", "text", "extractor"),
    [
        ({"text": "A body.", "title": "T"}, "T", "A body.", "json_field"),
        ({"content": "A body.", "id": 3}, None, "A body.", "json_field"),
        ({"text": "", "body": "B."}, None, "B.", "json_field"),
        (
            {"Economy": {"GDP": {"text": "$1 billion"}, "n": 3}, "List": ["a", "b"]},
            None,
            "Economy / GDP: $1 billion\nList: a\nList: b",
            "json_leaves",
        ),
    ],
)
def test_extract_json_object_gives_its_text(record, title, text, extractor):
    found = extract(json.dumps(record).encode(), "application/json", "f#1")
    assert (found.title, found.text, found.extractor) == (title, text, extractor)


def test_extract_json_with_html_field_gives_its_main_text():
    found = extract(json.dumps({"html": PAGE, "url": "https://example.org"}).encode(), "application/json", "f#1")
    assert (found.title, found.extractor) == ("Floods", "blocks")


def test_extract_json_with_lone_surrogate_gives_text_that_encodes():
    found = extract(b'{"text": "a\\ud800b, and some more"}', "application/json", None)
    assert found.text.encode() == b"ab, and some more"


def test_extract_xml_entities_are_not_expanded():
    bomb = b'<!DOCTYPE a [<!ENTITY b "bomb bomb">]><a>before &b; after</a>'
    assert "bomb bomb" not in extract(bomb, "application/xml", None).text


PUBMED = (
    b"<PubmedArticle><PMID>1</PMID><Article><ArticleTitle>On <i>rivers</i></ArticleTitle><Abstract>"
    b'<AbstractText Label="AIM">We looked &lt; twice.</AbstractText><AbstractText>So.</AbstractText></Abstract>'
    b"<Author><LastName>Doe</LastName></Author></Article></PubmedArticle>"
)


@pytest.mark.parametrize(
    ("raw", "title", "text", "extractor"),
    [
        (PUBMED, "On rivers", "AIM: We looked < twice.\n\nSo.", "xml_field"),
        (
            b'<row Id="4" Title="T" Body="&lt;p&gt;One &lt;b&gt;two&lt;/b&gt;&lt;/p&gt;" />',
            "T",
            "One two",
            "xml_field",
        ),
        (
            b'<page xmlns="http://wiki"><title>T</title><id>3</id><text>==A==\n\nplain</text></page>',
            "T",
            "==A==\n\nplain",
            "xml_field",
        ),
        (
            b'<item xmlns:c="c"><title>T</title><description>One ...</description><c:encoded>'
            b"<![CDATA[<p>One</p><p>two</p>]]></c:encoded></item>",
            "T",
            "One\n\ntwo",
            "xml_field",
        ),
        (b"<article><body><p>One <i>x</i></p><p>two</p></body></article>", None, "One x\n\ntwo", "xml_field"),
        (b"<a><b>one</b><b>two</b></a>", None, "one\ntwo", "xml_text"),
        (b"<item><x:date>1</x:date><text>undeclared prefix</text></item>", None, "undeclared prefix", "xml_field"),
    ],
)
def test_extract_xml_record_gives_its_text_fields(raw, title, text, extractor):
    found = extract(raw, "application/xml", None)
    assert (found.title, found.text, found.extractor) == (title, text, extractor)


@pytest.mark.parametrize("charset", ["utf-16-le", "iso-8859-1"])
def test_extract_xml_record_is_decoded_as_the_file_that_it_was_cut_from(charset):
    raw = "<item><text>größer</text></item>".encode(charset)
    assert extract(raw, f"application/xml; charset={charset}", None).text == "größer"


def test_extract_source_code_as_it_is():
    raw = b"def rise(x):\n\n\n    return x\n"
    found = extract(raw, "text/x-python", "a.tar!src/rise.py")
    assert (found.text, found.extractor) == ("def rise(x):\n\n\n    return x", "code")
    assert extract(b"body {}", "text/x-css", None).extractor == "code"
    assert extract(b"# Title", "text/x-markdown", None).extractor == "plain"


def test_extract_pdf_gives_its_text_layer_and_title():
    found = extract(pdf("The river rose in the night."), "application/pdf", None)
    assert (found.title, found.text, found.extractor) == ("Rivers", "The river rose in the night.", "pdf_text")
    assert extract(pdf("A lie."), "text/html", None).text == "A lie."


def test_extract_chapter_of_a_book_gives_its_text():
    page = f'<html xmlns="http://www.w3.org/1999/xhtml"><body><h1>I</h1><p>{SENTENCES}</p></body></html>'
    assert SENTENCES.strip() in extract(page.encode(), "application/xhtml+xml", "b.epub!c1.xhtml").text


@pytest.mark.parametrize(
    ("raw", "content_type", "text"),
    [
        ("Übung".encode(), "text/plain; charset=latin-1", "Übung"),  # a wrong label on UTF-8
        ("Übung".encode("cp1252"), "text/plain; charset=windows-1252", "Übung"),
        ("“ja”".encode("cp1252"), "text/plain; charset=iso-8859-1", "“ja”"),  # as browsers read Latin-1
        ("日本".encode("iso-2022-jp"), "text/plain; charset=iso-2022-jp", "日本"),
        ("Übung".encode("utf-16"), "text/plain", "Übung"),
        (b"\xef\xbb\xbfabc", "text/plain", "abc"),
        ("<meta charset=koi8-r>Привет, мир".encode("koi8-r"), "text/html", "<meta charset=koi8-r>Привет, мир"),
        ("Übung".encode("cp1252"), "text/plain; charset=rot13", "Übung"),  # not a charset
        ("Übung".encode("cp1252"), "text/plain; charset=idna", "Übung"),
        (b"plain", "text/plain; charset=utf-16", "plain"),
        ("ab".encode("utf-16-le"), "text/plain; charset=utf-16", "ab"),
    ],
)
def test_decode_declared_or_detected_charset_gives_text(raw, content_type, text):
    assert decode(raw, content_type) == (text, 0)


def test_decode_text_cut_in_mid_character_counts_one_invalid():
    assert decode("aÜ".encode()[:-1], "text/plain") == ("a\ufffd", 1)


@settings(deadline=None, max_examples=200)
@given(
    st.one_of(st.binary(max_size=200), st.tuples(st.integers(0, len(PAGE)), st.binary(max_size=9))),
    st.sampled_from(["text/html", "message/rfc822", "application/json", "application/xml", "text/plain", None])
    | st.text(alphabet="textappl/;charset=utf-816idna", max_size=30),
)
def test_extract_any_bytes_give_text_or_a_reason(noise, content_type):
    if isinstance(noise, tuple):
        noise = PAGE.encode()[: noise[0]] + noise[1] + PAGE.encode()[noise[0] :]
    found = extract(noise, content_type, "http://[::1/bad")
    if isinstance(found, Extracted):
        assert found.text.encode().strip()
    else:
        assert found.reason


def test_tidy_breaks_controls_and_trailing_blanks_are_gone():
    assert tidy("\ufeffa \r\nb\x00\x07\tc\x85d\u2028e\n\n") == "\ufeffa\nb\tc\nd\ne"
