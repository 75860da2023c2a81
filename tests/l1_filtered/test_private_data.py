"""Private data: what gives way to a placeholder, what stays, and how much is found."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.l1_filtered.private_sample import draw_cases
from tier_assets.l1_filtered.edits import apply_edits
from tier_assets.l1_filtered.private_data import (
    IN_KEYS,
    INNER_PARTS,
    IPV4,
    IPV6,
    KEYS,
    PLACEHOLDERS,
    TWO_COLONS,
    _is_private_ip,
    count_private,
    hide_private,
)


def hidden(text: str) -> str:
    return apply_edits(text, hide_private(text))


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("Write to jane.doe@mail.bahn.de.", "Write to <EMAIL>."),
        ("Bob <bob@sub.gmail.com>; bob(at)gmail.com", "Bob <<EMAIL>>; <EMAIL>"),
        ("jane [at] mail [dot] com", "<EMAIL>"),
        ("from 52.23.11.9:8080 to 2a00:1450:4001:81b::200e", "from <IP_ADDRESS>:8080 to <IP_ADDRESS>"),
        ("Call (212) 736-5000 or +44 20 7946 0018.", "Call <PHONE> or <PHONE>."),
        ("our number (1-212-736-5000, toll-free)", "our number (<PHONE>, toll-free)"),
        ("AKIAQYLPMN5HXAMPLZZZ", "<KEY>"),  # the shortest key
        ("reach us (+44) 20 7946 0018", "reach us <PHONE>"),
        ("Tel. 030/901820, Fax: 030 9018-2500", "Tel. <PHONE>, Fax: <PHONE>"),
        ("0049 30 901820; 01 42 68 53 00", "<PHONE>; <PHONE>"),
        ("电话：13812345678", "电话：<PHONE>"),
        ("DE89 3704 0044 0532 0130 00 AND GB29NWBK60161331926819.", "<IBAN> AND <IBAN>."),
        ("5500-0000-0000-0004 or 3782 822463 10005", "<CARD> or <CARD>"),
        ("SSN 219-09-9998, DNI 12345678Z", "SSN <NATIONAL_ID>, DNI <NATIONAL_ID>"),
        ("RSSMRA85T10A562S / AB 12 34 56 C / 131052-308T", "<NATIONAL_ID> / <NATIONAL_ID> / <NATIONAL_ID>"),
        ("personnummer 640823-3234", "personnummer <NATIONAL_ID>"),
        ("http://bob:hunter2@host.de/x?token=abcdef1234", "http://bob:<PASSWORD>@host.de/x?token=<KEY>"),
        ("key ghp_abcdefghijklmnopqrstuvwxyz0123456789.", "key <KEY>."),
        (f"-----BEGIN RSA PRIVATE KEY-----\n{'MIIEabcd' * 12}\n-----END RSA PRIVATE KEY-----", "<KEY>"),
    ],
)
def test_hide_private_value_gives_way_to_placeholder(text, after):
    assert hidden(text) == after


@pytest.mark.parametrize(
    "text",
    [
        "someone@example.com and root@localhost, a@host.example, git@github.com:a/b",
        "@app.route('/x')\n@pytest.mark.slow\ndef f(): return x@y.T, a@b.mean(1)",
        "logo@2x.png, react@18.2.0, @babel/core@7.1.0",
        "127.0.0.1, 192.168.1.20, 10.0.0.1, 8.8.8.8, 203.0.113.5, 2001:db8::1, ::1, 12:30:45",
        "239.1.2.3, version 45.2.3.40, section 3.1.4.2, 1.2.3.4, openresty/1.9.7.1, v87.0.42.88, 300.1.2.3, 1.2.3.4.5",
        "ISBN 978-0-306-40615-7, 0-306-40615-2, ISSN 1234-5679, doi:10.1000/182345678, arXiv:1607.01759",
        "2020-11-22 01:28:48, 12/05/2019, 12.05.2019, 1999-2000, phone 12.10.2019, call me on 2020-10-12",
        "$1,234,567.00, 1 234 567,89 €, EUR 12.000.000, 52.520008, 13.404954",
        "$\\frac{123456789}{10^{12}}$ & 1234567890 \\\\ 3.14159265358979",
        "0,5500000000000004 https://shop.de/?id=5500000000000004 2,73750212",
        "#ff00aa #12345678 0x4111111111111111 sha 4111111111111111a9f0",
        "01 23 45 67 89 10 11 12\n98 76 54 32 10 01 42 68 53 00 11 22",  # a matrix
        "Order 1234567890123456, Visa 4111 1111 1111 1112, tracking 9400 1000 0000 0000 0000 00, part A-212-736-5000",
        "2147483647 4294967295 18446744073709551615 1600000000000",
        "AKIAIOSFODNN7EXAMPLE, postgres://user:password@localhost/x, ?token={token}&a=1",
        "PAN ABCDE1234F is one; BSN 123456789 is none",  # check digits, holder's letter
    ],
)
def test_hide_private_public_or_other_value_stays(text):
    assert hidden(text) == text


def test_hide_private_national_id_of_plain_shape_needs_its_name():
    assert hidden("PESEL 44051401359") == "PESEL <NATIONAL_ID>"
    assert hidden("Nr. 44051401359") == "Nr. 44051401359"


def test_hide_private_edits_never_hold_what_was_there():
    edits = hide_private("jane.doe@mail.bahn.de, https://x.de/?api_key=abcdef1234, DE89370400440532013000")
    assert [edit.text for edit in edits] == ["<EMAIL>", "<KEY>", "<IBAN>"]
    assert {edit.op for edit in edits} == {"replace_str"}
    assert count_private(edits) == {"<EMAIL>": 1, "<IBAN>": 1, "<KEY>": 1}


def test_hide_private_values_of_many_countries_are_found():
    found: dict[str, list[bool]] = defaultdict(list)
    for case in draw_cases(seed=2, count=60):
        found[case.placeholder].append(hidden(case.text) == case.text.replace(case.value, case.placeholder))
    recall = {placeholder: sum(hits) / len(hits) for placeholder, hits in found.items()}
    assert sorted(recall) == sorted(PLACEHOLDERS)
    assert min(recall.values()) >= 0.95, recall


@given(st.text(st.sampled_from("a@b.de+49 30:/=(-)\n1234567890DE<>éZ"), max_size=60))
def test_hide_private_any_text_twice_is_once(text):
    edits = hide_private(text)
    assert all(a.char_end <= b.char_start for a, b in pairwise(edits))
    assert all(edit.text in PLACEHOLDERS for edit in edits)
    once = apply_edits(text, edits)
    assert all(placeholder in once for placeholder in count_private(edits))


@given(st.lists(st.sampled_from(["2a00", "2001", "f0", "1", "", "8.", "77.5", "."]), max_size=8).map(":".join))
@example("2a00::1")
@example("77.5.77.5")
def test_gates_of_addresses_pass_all_that_their_patterns_find(text):
    assert not IPV4.search(text) or INNER_PARTS.search(text)
    assert TWO_COLONS.search(text) or not any(_is_private_ip(found.rstrip(":")) for found in IPV6.findall(text))


def test_key_prefixes_stand_in_long_tokens_unless_they_hold_a_blank():
    assert all(IN_KEYS[list(key.prefix.replace(" ", "").encode())].all() for key in KEYS)
    assert [key.prefix for key in KEYS if " " in key.prefix] == ["PRIVATE KEY"]
