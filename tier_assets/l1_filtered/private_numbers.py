"""Numbers that name a person or an account: cards, national ids, telephones, told from all the others.

In: a text. Out: spans with their placeholder. A first scan finds runs of six digits and more with their separators; the
shape of such a run (`000-00-0000`, letters as A) leads by one look-up to the few numbers it may be, and their own
check digits (python-stdnum) or numbering plan (phonenumbers) decide. A shape that anything may have, such as nine
digits in a row, must stand behind a word that names the number. A run that is part of an address on the web is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from string import ascii_letters
from typing import Final

import phonenumbers
from stdnum import luhn

Span = tuple[int, int, str]  # start, end, placeholder
CARD, NATIONAL_ID, PHONE = "<CARD>", "<NATIONAL_ID>", "<PHONE>"
SEPARATORS: Final = r" \u00a0.\-/()\u2010-\u2013"
RUN: Final = re.compile(rf"[0-9](?:[{SEPARATORS}]{{0,3}}[0-9]){{5,}}")
# Dashes as "-", odd spaces as " ", digits as "0", letters as "A": the shape of a token.
SHAPE: Final = (
    {ord(digit): "0" for digit in "123456789"}
    | {ord(dash): "-" for dash in "\u2010\u2011\u2012\u2013"}
    | {ord(letter): "A" for letter in ascii_letters}
    | {0xA0: " "}
)
CONTEXT_CHARS: Final = 40
MAX_GROWN: Final = 25  # letters grown to a number; more than any shape has


@dataclass(frozen=True)
class NationalId:
    """A country's number: python-stdnum's module, the shapes it is written in, and those that need the `names` near."""

    module: str
    shapes: tuple[str, ...] = ()
    named_shapes: tuple[str, ...] = ()
    names: str = ""


NATIONAL_IDS: Final = (
    NationalId("us.ssn", ("000-00-0000",), ("000 00 0000", "000000000"), "ssn|social security"),
    NationalId("ca.sin", (), ("000-000-000", "000 000 000", "000000000"), r"sin\b|social insurance|nas\b"),
    NationalId("gb.nhs", (), ("000 000 0000", "000-000-0000", "0000000000"), "nhs"),
    NationalId("ie.pps", (), ("0000000A", "0000000AA"), r"pps"),
    NationalId("fr.nir", ("0 00 00 00 000 000 00", "000000000000000"), ("0000000000000 00",), "nir|sécu|insee"),
    NationalId("be.nn", ("00.00.00-000.00",), ("00000000000",), "rijksregister|registre national|niss|insz"),
    NationalId("nl.bsn", (), ("000000000", "0000.00.000", "000.000.000"), "bsn|burgerservice|sofi"),
    NationalId("de.idnr", (), ("00000000000", "00 000 000 000"), r"steuer-?id|idnr|identifikationsnummer|tax id"),
    NationalId("at.vnr", (), ("0000 000000", "0000000000"), r"svnr|sozialversicherung|sv-nr"),
    NationalId("ch.ssn", ("000.0000.0000.00",), ("0000000000000",), "ahv|avs|oasi"),
    NationalId("es.dni", ("00000000A", "00000000-A"), ("00.000.000-A", "00000000 A"), r"dni|nif\b"),
    NationalId("es.nie", ("A0000000A", "A-0000000-A"), ("A0000000-A",), r"nie\b"),
    NationalId("pt.nif", (), ("000000000", "000 000 000"), r"nif\b|contribuinte"),
    NationalId("it.codicefiscale", ("AAAAAA00A00A000A",)),
    NationalId("pl.pesel", (), ("00000000000",), "pesel"),
    NationalId("cz.rc", ("000000/0000",), ("0000000000",), "rodné číslo|rodne cislo|rč"),
    NationalId("ro.cnp", (), ("0000000000000",), "cnp"),
    NationalId("bg.egn", (), ("0000000000",), "егн|egn"),
    NationalId("hr.oib", (), ("00000000000",), "oib"),
    NationalId("gr.amka", (), ("00000000000",), "αμκα|amka"),
    NationalId("tr.tckimlik", (), ("00000000000",), "kimlik|tckn|t.c."),
    NationalId("se.personnummer", (), ("000000-0000", "00000000-0000", "000000000000"), "person(?:al )?n(?:ummer|r)"),
    NationalId("no.fodselsnummer", (), ("00000000000", "000000 00000"), "fødselsn|personn"),
    NationalId("dk.cpr", (), ("000000-0000", "0000000000"), "cpr|personn"),
    NationalId("fi.hetu", ("000000-000A", "000000A000A", "000000-0000"), ("000000A0000",), "hetu|henkilötunnus"),
    NationalId("is_.kennitala", (), ("000000-0000",), "kennitala"),
    NationalId("ee.ik", (), ("00000000000",), "isikukood"),
    NationalId("lt.asmens", (), ("00000000000",), "asmens kod"),
    NationalId("br.cpf", ("000.000.000-00",), ("00000000000",), "cpf"),
    NationalId("mx.curp", ("AAAA000000AAAAAA00", "AAAA000000AAAAAAA0")),
    NationalId("cl.rut", ("00.000.000-0", "00.000.000-A"), ("00000000-0", "00000000-A"), r"rut\b|run\b"),
    NationalId("cn.ric", ("000000000000000000", "00000000000000000A")),
    NationalId("kr.rrn", ("000000-0000000",)),
    NationalId("in_.aadhaar", (), ("0000 0000 0000", "0000-0000-0000", "000000000000"), "aadhaar|aadhar|uidai|आधार"),
    NationalId("in_.pan", (), ("AAAAA0000A",), r"pan\b|permanent account"),
    NationalId("th.pin", ("0-0000-00000-00-0",)),
    NationalId("za.idnr", (), ("0000000000000",), r"id (?:no|number)|identity"),
    NationalId("il.idnr", (), ("000000000",), r"teudat|ת\.?ז|מספר זהות|israeli id"),
    NationalId("au.tfn", (), ("000 000 000", "000000000"), r"tfn|tax file"),
)
CARD_SHAPES: Final = (
    *("0000 0000 0000 0000", "0000-0000-0000-0000", "0000 000000 00000", "0000-000000-00000", "0000 000000 0000"),
    *("0000000000000000", "000000000000000", "00000000000000"),
)
# Issuers by their first digits and length (ISO/IEC 7812): Visa, Mastercard, American Express, Diners, Discover, JCB,
# UnionPay. Luhn alone lets every tenth number pass.
CARD_ISSUER: Final = re.compile(
    r"4\d{15}|5[1-5]\d{14}|2(?:2[2-9]|[3-6]\d|7[01])\d{13}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|6(?:011|5\d\d|4[4-9]\d)"
    r"\d{12}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14}"
)
# Shapes that are a telephone number without a word before, where the region's plan holds it. A first digit of 0 is
# the trunk prefix: asked for where the shape alone is too plain.
PHONE_SHAPES: Final = {
    **dict.fromkeys(
        ("(000) 000-0000", "(000)000-0000", "000-000-0000", "000.000.0000", "0-000-000-0000"), ("US", "JP")
    ),
    **dict.fromkeys(("(00) 00000-0000", "(00) 0000-0000"), ("BR",)),
    **dict.fromkeys(("00 00 00 00 00", "00.00.00.00.00", "00-00-00-00-00"), ("FR",)),
    **dict.fromkeys(("000 0000 0000", "00000 000000", "0000 000 0000", "00000 000 000"), ("GB",)),
    **dict.fromkeys(("(000) 0000 0000", "(00000) 000000", "(0000) 000 0000"), ("GB",)),
    **dict.fromkeys(("00 0000 0000", "(00) 0000 0000", "0000 000 000"), ("AU",)),
    **dict.fromkeys(("00-0000-0000", "000-0000-0000"), ("JP", "KR")),
    **dict.fromkeys(
        ("000/0000000", "0000/000000", "0000/0000000", "0000/00000000", "00000/000000", "0000 0000000"), ("DE", "AT")
    ),
}
TRUNK_SHAPES: Final = frozenset(shape for shape, regions in PHONE_SHAPES.items() if regions[0] not in ("US", "BR"))
OF_BLANKS: Final = frozenset(shape for shape in PHONE_SHAPES if not set(shape) - set("0 "))
LOCAL_SHAPES: Final = ("000-0000", "000.0000")  # no plan tells those, the word before must do
REGIONS: Final = (
    *("US", "GB", "DE", "FR", "ES", "IT", "NL", "BE", "AT", "CH", "SE", "NO", "DK", "FI", "PL", "CZ", "PT", "IE", "GR"),
    *("TR", "RU", "UA", "RO", "HU", "IN", "CN", "JP", "KR", "AU", "NZ", "BR", "MX", "AR", "CL", "ZA", "IL", "SG", "ID"),
)
PHONE_WORD: Final = re.compile(
    r"(?:\b(?:tel(?:ephone|efon|éfono|efono|efone|ef|f)?|(?:tele)?ph(?:one)?|(?:tele)?fax|telefax|call|cell(?:ular)?"
    r"|mobil(?:e|nummer|telefon)?|mob|handy|fon|téléphone|tél|portable|móvil|movil|celular|telefoon|gsm|puh(?:elin)?"
    r"|hotline|whatsapp|sms|dial|ring|text me|(?:telefon|ruf|handy|mobil)(?:nummer|nr)|cellulare|tlf|телефон|тел|моб"
    r"|(?:my|your|meine|mon|mi|il mio) n(?:umber|ummer|uméro|úmero|umero)|contact(?: us)?)\b|☎|📞|电话|手机|電話|전화)"
    r"(?:[ \t\u00a0：.;()\[\]*_|#+-]|:\n?)*"  # a break only behind a colon
    r"(?:(?:us|me|him|her|number|no|nr|at|on|toll[- ]free|is|der|unter|au)\b[ .:;(*_-]*){0,4}\Z",
    re.IGNORECASE,
)
DATE_SHAPE: Final = re.compile(r"0{1,2}([./-])0{1,2}\1(?:00){1,2}(?: .*)?|0000([./-])00?\2?00?(?: .*)?|0000-0000")
ADDRESS_MARKS: Final = ("://", "www.", "doi")
JOINED_BEFORE, JOINED_AFTER = frozenset("-/._$€£#@\\"), frozenset("-/_%@€$")
# Numbers with few digits in a row: Italy's codice fiscale, India's PAN, Britain's national insurance number.
LETTERED: Final = re.compile(
    r"[A-Z][A-Z](?:[A-Z]{3}(?:[A-Z][0-9]{2}[A-EHLMPRST][0-9]{2}[A-Z][0-9]{3}|[0-9]{4})[A-Z]| ?(?:[0-9]{2} ?){3}[A-D])"
)
# Letters that a British number never has in its two first places, and pairs that are not given out (HMRC NIM39110).
NINO: Final = re.compile(r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]( ?[0-9]{2}){3} ?[A-D]")


def find_numbers(text: str) -> Iterator[Span]:
    """Cards, national ids and telephone numbers in `text`."""
    for run in RUN.finditer(text):
        if not _is_part(text, run.start()):
            yield from _in_run(text, run.start(), run.end())
    for found in LETTERED.finditer(text):
        start, end = found.span()
        if text[start - 1 : start].isalnum() or text[end : end + 1].isalnum():
            continue
        if (" " in found[0] and NINO.fullmatch(found[0])) or _kind(
            found[0].translate(SHAPE), text, start, end, (start, end)
        ):
            yield start, end, NATIONAL_ID


def _in_run(text: str, start: int, end: int) -> Iterator[Span]:
    if phone := _named_phone(text, start - _opens(text, start, end), end):
        yield phone
        return
    first, last = _token(text, start, end)
    if text[first - 1 : first] in JOINED_BEFORE or text[last : last + 1] in JOINED_AFTER:
        return
    for found in _shapes().finditer(text[first:last].translate(SHAPE)):
        at, to = first + found.start(), first + found.end()
        if placeholder := _kind(found[0], text, at, to, (first, last)):
            yield at, to, placeholder


def _is_part(text: str, start: int) -> bool:
    """Whether the number at `start` stands behind a decimal point or within an address on the web."""
    if text[start - 1 : start] in (".", ",") and text[max(0, start - 2) : start - 1].isdigit():
        return True
    before = text[max(0, start - 100) : start]
    word = before[max(before.rfind(" "), before.rfind("\n")) + 1 :].lower()
    return any(mark in word for mark in ADDRESS_MARKS)


def _token(text: str, start: int, end: int) -> tuple[int, int]:
    """The span of the run with the letters grown to it, a bracket before, and a check letter set apart (12345678-Z)."""
    lowest, highest = max(0, start - MAX_GROWN), min(len(text), end + MAX_GROWN)
    while start > lowest and text[start - 1].isalnum():
        start -= 1
    start -= _opens(text, start, end)
    end += text[end : end + 1] == "-" and text[end + 1 : end + 2].isalpha()
    while end < highest and text[end].isalnum():
        end += 1
    return start, end


def _opens(text: str, start: int, end: int) -> bool:
    """Whether a bracket before the number closes within it."""
    return text[start - 1 : start] == "(" and ")" in text[start:end]


@cache
def _shapes() -> re.Pattern[str]:
    """All shapes there are, the longest first, between blanks or the ends."""
    shapes = {*CARD_SHAPES, *_ids_of_shape(), *PHONE_SHAPES}
    ordered = sorted(shapes, key=lambda shape: (-len(shape), shape))
    return re.compile(rf"(?<![^ (])(?:{'|'.join(map(re.escape, ordered))})(?![^ )])")


@cache
def _ids_of_shape() -> dict[str, list[tuple[str, re.Pattern[str] | None]]]:
    """The modules of the national ids of each shape, with the names that must stand before, if any must."""
    found: dict[str, list[tuple[str, re.Pattern[str] | None]]] = {}
    for known in NATIONAL_IDS:
        for shape in known.shapes:
            found.setdefault(shape, []).append((f"stdnum.{known.module}", None))
        for shape in known.named_shapes:
            names = re.compile(rf"\b(?:{known.names})", re.IGNORECASE)
            found.setdefault(shape, []).append((f"stdnum.{known.module}", names))
    return found


def _kind(shape: str, text: str, start: int, end: int, whole: tuple[int, int]) -> str | None:
    """The placeholder for the number of that shape, or None where it is nobody's; `whole`: of the token it is in."""
    number = text[start:end]
    if shape in CARD_SHAPES:
        digits = "".join(character for character in number if character.isdigit())
        if CARD_ISSUER.fullmatch(digits) and luhn.is_valid(digits):
            return CARD
    before = text[max(0, start - CONTEXT_CHARS) : start]
    for module, names in _ids_of_shape().get(shape, ()) if number == number.upper() else ():
        if (names is None or names.search(before)) and import_module(module).is_valid(number):
            return NATIONAL_ID
    regions = PHONE_SHAPES.get(shape, ())
    if shape in OF_BLANKS and (start, end) != whole:
        return None  # among other numbers, in a table
    if shape in TRUNK_SHAPES and not number.lstrip("(").startswith("0"):
        return None
    return PHONE if any(_is_phone(number, region) for region in regions) else None


def _named_phone(text: str, start: int, end: int) -> Span | None:
    """The run as a telephone number, where a + or 00 or a word before it says that it is one."""
    before = text[max(0, start - CONTEXT_CHARS) : start]
    plus = before.endswith(("+", "+("))
    begin = start - (len(before) - before.rindex("+")) if plus else start
    if text[begin - 1 : begin].isalnum() or (text[end : end + 1].isalnum() and text[end] not in "xXe"):
        return None
    number = text[begin:end]
    if plus or number.startswith("00"):
        # Germany stands for all who dial out with 00.
        found = next(iter(phonenumbers.PhoneNumberMatcher(number, None if plus else "DE")), None)
        if found is None:
            return None
        opened = text[begin - 1 : begin] == "(" and found.start == 0 and found.raw_string.count(")") > number.count("(")
        return begin + found.start - opened, begin + found.end, PHONE
    shape = number.translate(SHAPE)
    if not 7 <= shape.count("0") <= 15 or DATE_SHAPE.fullmatch(shape) or not PHONE_WORD.search(before):
        return None
    if shape in LOCAL_SHAPES or any(_is_phone(number, region) for region in REGIONS):
        return begin, end, PHONE
    return None


def _is_phone(number: str, region: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False  # what is no number at all is none of the region


__all__ = ["CARD", "NATIONAL_ID", "PHONE", "Span", "find_numbers"]
