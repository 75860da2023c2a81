"""Sentences with private values of many countries' formats, drawn by a seed: what recall is measured on."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import phonenumbers
from stdnum import iban, luhn
from stdnum.br import cpf
from stdnum.cn import ric
from stdnum.es import dni
from stdnum.fr import nir
from stdnum.it import codicefiscale
from stdnum.pl import pesel

Draw = random.Random
PHONE_REGIONS = tuple("US GB DE FR ES IT NL BE AT CH SE NO DK FI PL PT IE IN JP AU BR MX ZA KR".split())
INTERNATIONAL, NATIONAL = phonenumbers.PhoneNumberFormat.INTERNATIONAL, phonenumbers.PhoneNumberFormat.NATIONAL
IBAN_BODIES = {
    "DE": "nnnnnnnnnnnnnnnnnn",
    "GB": "aaaannnnnnnnnnnnnn",
    "NL": "aaaannnnnnnnnn",
    "AT": "nnnnnnnnnnnnnnnn",
    "CH": "nnnnncccccccccccc",
    "SE": "nnnnnnnnnnnnnnnnnnnn",
    "PL": "nnnnnnnnnnnnnnnnnnnnnnnn",
    "DK": "nnnnnnnnnnnnnn",
}
LETTERS_DIGITS = string.ascii_letters + string.digits


@dataclass(frozen=True)
class Case:
    """A sentence, the private value in it, and the placeholder that should take its place."""

    text: str
    value: str
    placeholder: str


def digits(draw: Draw, count: int) -> str:
    return "".join(draw.choice(string.digits) for _ in range(count))


def email(draw: Draw) -> Case:
    name = draw.choice(("jane.doe", "m_mueller", "li.wei+news", "o'brien", "r2d2", "josé.garcía", "A.Kowalski-Nowak"))
    host = draw.choice(("gmail.com", "mail.bahn.de", "uni-wien.ac.at", "bbc.co.uk", "yandex.ru", "orange.fr", "nic.in"))
    value = f"{name}@{host}"
    frame = draw.choice(("Write to {} today.", "<{}>", "E-Mail: {}", "mailto:{}", "Kontakt ({})", "«{}», dit-il"))
    return Case(frame.format(value), value, "<EMAIL>")


def address(draw: Draw) -> Case:
    value = f"{draw.randint(31, 99)}.{draw.randint(100, 255)}.{draw.randint(1, 255)}.{draw.randint(1, 255)}"
    if draw.random() < 0.3:
        value = f"2a00:{draw.randrange(1, 1 << 16):x}:{draw.randrange(1, 1 << 16):x}::{draw.randrange(1, 1 << 16):x}"
    frame = draw.choice(("Failed login from {} at 10:31:07", "http://{}/index.html", "host {} down", "[{}]"))
    if ":" in value:
        frame = draw.choice(("Failed login from {} at 10:31:07", "host {} down", "[{}]"))
    return Case(frame.format(value), value, "<IP_ADDRESS>")


def phone(draw: Draw) -> Case:
    region = draw.choice(PHONE_REGIONS)
    kind = draw.choice((phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE))
    number = phonenumbers.example_number_for_type(region, kind)
    assert number is not None
    # Another number of the plan than the one that every manual shows.
    while True:
        drawn = phonenumbers.PhoneNumber()
        drawn.merge_from(number)
        drawn.national_number = number.national_number - draw.randrange(1, 5000)
        if phonenumbers.is_valid_number_for_region(drawn, region):
            break
    if draw.random() < 0.5:
        value = phonenumbers.format_number(drawn, INTERNATIONAL)
        frame = draw.choice(("You reach me under {}.", "Tel.: {}", "{}", "WhatsApp {} (Anna)"))
    else:
        value = phonenumbers.format_number(drawn, NATIONAL)
        frame = draw.choice(("Tel.: {}", "Phone: {}", "Call us at {}.", "Fax {}", "Mobile: {}", "Téléphone : {}"))
    return Case(frame.format(value), value, "<PHONE>")


def account(draw: Draw) -> Case:
    country = draw.choice(tuple(IBAN_BODIES))
    alphabets = {"n": string.digits, "a": string.ascii_uppercase, "c": string.digits + string.ascii_uppercase}
    while True:
        body = "".join(draw.choice(alphabets[kind]) for kind in IBAN_BODIES[country])
        value = f"{country}{iban.calc_check_digits(f'{country}00{body}')}{body}"
        if iban.is_valid(value):
            break
    if draw.random() < 0.6:
        value = iban.format(value)
    return Case(draw.choice(("IBAN {}", "Pay to {} by Friday.", "Konto: {}, BIC")).format(value), value, "<IBAN>")


def card(draw: Draw) -> Case:
    prefix, length, groups = draw.choice(
        (("4", 16, (4, 4, 4, 4)), ("53", 16, (4, 4, 4, 4)), ("37", 15, (4, 6, 5)), ("6011", 16, (4, 4, 4, 4)))
    )
    number = prefix + digits(draw, length - len(prefix) - 1)
    number += luhn.calc_check_digit(number)
    parts, place = [], 0
    for size in groups:
        parts.append(number[place : place + size])
        place += size
    value = draw.choice((" ", "-", "")).join(parts)
    return Case(draw.choice(("Card {} exp 10/27", "Kartennummer: {}", "{}", "({})")).format(value), value, "<CARD>")


def _us(draw: Draw) -> tuple[str, str]:
    return "SSN", f"{draw.randint(100, 665)}-{draw.randint(10, 99)}-{draw.randint(1000, 9999)}"


def _spain(draw: Draw) -> tuple[str, str]:
    number = digits(draw, 8)
    return "DNI", f"{number}{dni.calc_check_digit(number)}"


def _italy(draw: Draw) -> tuple[str, str]:
    letters = "".join(draw.choice("BCDFGLMNPRST") for _ in range(6))
    body = f"{letters}{draw.randint(50, 99)}{draw.choice('ABCDEHLMPRST')}{draw.randint(10, 28)}H501"
    return "codice fiscale", f"{body}{codicefiscale.calc_check_digit(body)}"


def _france(draw: Draw) -> tuple[str, str]:
    body = f"{draw.choice('12')}{draw.randint(50, 99)}{draw.randint(1, 12):02}{draw.randint(10, 19)}{digits(draw, 6)}"
    return "n°", f"{nir.format(body + nir.calc_check_digits(body), separator=' ')}"


def _poland(draw: Draw) -> tuple[str, str]:
    body = f"{draw.randint(50, 99)}{draw.randint(1, 12):02}{draw.randint(1, 28):02}{digits(draw, 4)}"
    return "PESEL:", f"{body}{pesel.calc_check_digit(body)}"


def _brazil(draw: Draw) -> tuple[str, str]:
    body = digits(draw, 9)
    return "CPF", f"{cpf.format(body + cpf._calc_check_digits(body))}"


def _china(draw: Draw) -> tuple[str, str]:
    body = f"110105{draw.randint(1950, 1999)}{draw.randint(1, 12):02}{draw.randint(1, 28):02}{digits(draw, 3)}"
    return "身份证", f"{body}{ric.calc_check_digit(body + '0')}"


def _britain(draw: Draw) -> tuple[str, str]:
    return (
        "NI number",
        f"{draw.choice('ABCEHJL')}{draw.choice('ABCEHJL')} {' '.join(digits(draw, 2) for _ in range(3))} A",
    )


NATIONAL_IDS: tuple[Callable[[Draw], tuple[str, str]], ...] = (
    _us,
    _spain,
    _italy,
    _france,
    _poland,
    _brazil,
    _china,
    _britain,
)


def national_id(draw: Draw) -> Case:
    name, value = draw.choice(NATIONAL_IDS)(draw)
    return Case(f"{name} {value}, born in May", value, "<NATIONAL_ID>")


def key(draw: Draw) -> Case:
    drawn = lambda count, letters=LETTERS_DIGITS: "".join(draw.choice(letters) for _ in range(count))  # noqa: E731
    value = draw.choice(
        (
            f"ghp_{drawn(36)}",
            f"AKIA{drawn(16, string.ascii_uppercase + string.digits)}",
            f"xoxb-{digits(draw, 12)}-{digits(draw, 12)}-{drawn(24)}",
            f"AIza{drawn(35)}",
            f"sk_live_{drawn(24)}",
            f"glpat-{drawn(20)}",
            f"SG.{drawn(22)}.{drawn(43)}",
            f"npm_{drawn(36)}",
            f"eyJ{drawn(30)}.eyJ{drawn(60)}.{drawn(43)}",
        )
    )
    return Case(draw.choice(('TOKEN = "{}"', "export KEY={}", "Bearer {}", "{}\n")).format(value), value, "<KEY>")


def password(draw: Draw) -> Case:
    value = "".join(draw.choice(LETTERS_DIGITS + "!.~-") for _ in range(12))
    scheme = draw.choice(("https", "postgres", "mongodb+srv", "ftp"))
    return Case(f"{scheme}://admin:{value}@db.host.de:5432/x", value, "<PASSWORD>")


KINDS = (email, address, phone, account, card, national_id, key, password)


def draw_cases(seed: int, count: int) -> Iterator[Case]:
    """`count` cases of each kind."""
    draw = random.Random(seed)
    for kind in KINDS:
        for _ in range(count):
            yield kind(draw)
