"""One record through all stages: their edits are one list over the extracted text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tier_assets.l1_filtered.decode import tidy
from tier_assets.l1_filtered.edits import apply_edits
from tier_assets.l1_filtered.extract import NoText, extract
from tier_assets.l1_filtered.read import WARM_UP_PAGE, Record, Text, read_record, tidied

RIVER = "The river rose in the night, and nobody in the town had slept when it came over the old wall."
PIECES = tuple(
    f"{RIVER}|\n|\n\n|\n\n\n\n|Read more »|Accept all cookies| jane\u200b.doe@bahn.de |schÃ¶n|\u00a0|x|\\|\u00ad|"
    "+49 30 90\u00a01820| https://a:hunter2@x.de |# Menu|- a".split("|")
)


def test_read_record_mail_loses_the_private_data_of_body_and_title():
    mail = b"From: a@bahn.de\nSubject: Write to jane@bahn.de\n\n" + f"{RIVER}\nCall +49 30 901820.".encode()
    read = read_record(Record(mail, "message/rfc822", None))
    assert isinstance(read, Text)
    assert (read.title, read.text.split("\n")[-1]) == ("Write to <EMAIL>", "Call <PHONE>.")
    assert [(edit.op, edit.text) for edit in read.edits] == [("replace_str", "<PHONE>")]
    assert "901820" not in repr(read)


@pytest.mark.parametrize(("content_type", "stays"), [("text/html", False), ("text/plain", True)])
def test_read_record_noise_line_goes_from_pages_only(content_type, stays):
    page = f"<html><body><article><p>{RIVER}</p><p>{RIVER} Twice.</p><p>Read more »</p></article></body></html>"
    raw = page.encode() if content_type == "text/html" else f"{RIVER}\n\nRead more »".encode()
    read = read_record(Record(raw, content_type, None))
    assert isinstance(read, Text)
    assert ("Read more" in read.text) is stays
    found = extract(raw, content_type, None)
    assert not isinstance(found, NoText)
    assert apply_edits(found.text, read.edits) == read.text


def test_warm_up_page_passes_through_every_stage():
    read = read_record(Record(WARM_UP_PAGE.encode(), "text/html", None))
    assert isinstance(read, Text)
    assert (read.extractor, read.language) == ("blocks", "en")
    assert "<PHONE>" in read.text


def test_tidied_page_of_noise_alone_is_removed_whole():
    text, edits = tidied("Read more\n\nAccept all cookies", of_page=True)
    assert (text, [(edit.op, edit.char_start, edit.char_end) for edit in edits]) == ("", [("remove_all", 0, 29)])


@settings(max_examples=120)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join).map(tidy), st.booleans(), st.data())
def test_tidied_edits_of_all_stages_compose(text, of_page, data):
    after, edits = tidied(text, of_page)
    assert apply_edits(text, edits) == after
    assert all(a.char_end <= b.char_start for a, b in pairwise(edits))
    assert all("doe@" not in edit.text and "hunter2" not in edit.text for edit in edits)
    some = [edit for edit in edits if data.draw(st.booleans())]
    partly = apply_edits(text, some)
    assert len(partly) == len(text) + sum(len(e.text) - (e.char_end - e.char_start) for e in some)
