"""Private data in a text gives way to typed placeholders: `<EMAIL>`, `<IP_ADDRESS>`, `<PHONE>`, `<IBAN>`, `<CARD>`,
`<NATIONAL_ID>`, `<KEY>`, `<PASSWORD>`.

In: clean text. Out: edits whose texts are placeholders; what was there is in none of them. Public and reserved values
stay (example.com, 127.0.0.1, 8.8.8.8, AKIA...EXAMPLE), and so do numbers of other kinds: versions, dates, prices,
ISBNs, DOIs. Each finder first asks for a character or prefix without which there is nothing to find: a text without any
costs little more than these scans. Names and postal addresses are not looked for: that takes a model.
"""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from stdnum import iban
from tld import get_tld

from tier_assets.l1_filtered.edits import Edit
from tier_assets.l1_filtered.private_numbers import CARD, NATIONAL_ID, PHONE, Span, find_numbers

EMAIL, IP_ADDRESS, IBAN, KEY, PASSWORD = "<EMAIL>", "<IP_ADDRESS>", "<IBAN>", "<KEY>", "<PASSWORD>"
PLACEHOLDERS: Final = (EMAIL, IP_ADDRESS, PHONE, IBAN, CARD, NATIONAL_ID, KEY, PASSWORD)

LOCAL_PART: Final = re.compile(r"[\w.+'%&~-]{1,64}$")
DOMAIN: Final = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_]{2,24}(?![\w(-])")
SPELT_AT: Final = re.compile(r"[(\[{<] ?[Aa][Tt] ?[)\]}>] ?")  # searched faster than with IGNORECASE
SPELT_DOMAIN: Final = re.compile(
    r"((?:[\w-]{1,63} ?(?:\.|[(\[{<] ?(?:dot|punkt|point) ?[)\]}>]) ?){1,4})([a-z]{2,24})\b", re.IGNORECASE
)
# RFC 2606 and 6761; git@host is a protocol's address, nobody's.
RESERVED_DOMAIN: Final = re.compile(r"(?:^|\.)(?:example\.(?:com|net|org|edu)|example|invalid|test|localhost)$", re.I)
NOBODY: Final = frozenset(("git", "hg", "svn"))

IPV4: Final = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?![\w-]|\.[0-9])")
INNER_PARTS: Final = re.compile(r"\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]")  # within every IPV4; begins where IPV4 may not
IPV6: Final = re.compile(r"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{2,34}(?![\w:])")  # 2000::/3, the only part in use
TWO_COLONS: Final = re.compile(r":[0-9A-Fa-f]{0,4}:")  # in every valid one
VERSION_WORD: Final = re.compile(
    r"(?:v|ver|vers|version|release|build|section|sec|chapter|firmware|update|§)[\s.:]*$", re.I
)
ADDRESS_WORD: Final = re.compile(r"(?:\bip|host|addr|server|ping|from|\bdns|client|gateway|peer)\b[^.]{0,20}$", re.I)
MAX_SECTION: Final = 30  # 3.1.4.2 numbers a section or a release: addresses have a larger part nearly always
PUBLIC_IPS: Final = frozenset(("1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9", "4.4.4.4", "208.67.222.222"))

IBAN_START: Final = re.compile(r"[A-Z][A-Z][0-9]{2}[ -]?[A-Z0-9]{4}[ -]?[A-Z0-9]{4}")
IBAN_BODY: Final = re.compile(r"[A-Z0-9]+(?:[ -][A-Z0-9]+)*")
IBAN_LENGTHS: Final = (15, 34)

URL_PASSWORD: Final = re.compile(r"://[^\s:/?#\[\]@]{0,64}:([^\s:/?#\[\]@<>{}$]{1,128})@")
URL_TOKEN: Final = re.compile(
    r"[?&;](?:access_?token|api_?key|auth(?:_?token)?|client_?secret|refresh_?token|id_?token|password|passwd|pwd|secret"
    r"|signature|sig|token|x-amz-signature|x-amz-security-token)=([^\s&#\"'<>()\[\]{}$]{6,})",
    re.IGNORECASE,
)
# What manuals write where a password goes.
STAND_INS: Final = frozenset(
    ("guest", "pass", "passwd", "password", "pwd", "pw", "secret", "token", "user", "username", "xxx", "your_password")
)


@dataclass(frozen=True)
class SecretKey:
    """Keys of one issuer: all hold `prefix`, by which they are looked for."""

    prefix: str
    pattern: re.Pattern[str]


def _key(prefix: str, rest: str) -> SecretKey:
    return SecretKey(prefix, re.compile(rf"(?<![A-Za-z0-9_]){re.escape(prefix)}{rest}(?![A-Za-z0-9_])"))


# Formats as in gitleaks' rules (github.com/gitleaks/gitleaks, config/gitleaks.toml, MIT) and Yelp's detect-secrets.
KEYS: Final = (
    *(_key(prefix, r"[A-Z0-9]{16}") for prefix in ("AKIA", "ASIA", "ABIA", "ACCA")),
    *(_key(prefix, r"[A-Za-z0-9]{36,251}") for prefix in ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),
    _key("github_pat_", r"\w{82}"),
    *(_key(prefix, r"[\w-]{20,50}") for prefix in ("glpat-", "gldt-", "glrt-", "glft-", "glsoat-")),
    _key("xox", r"[abopers]-[A-Za-z0-9-]{15,250}"),
    SecretKey("hooks.slack.com", re.compile(r"https://hooks\.slack\.com/(?:services|workflows)/[\w/+-]{30,60}")),
    _key("sk-ant-", r"[\w-]{80,120}"),
    _key("sk-proj-", r"[\w-]{40,200}"),
    SecretKey("T3BlbkFJ", re.compile(r"(?<!\w)sk-[\w-]*[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}")),
    _key("AIza", r"[\w-]{35}"),
    _key("GOCSPX-", r"[\w-]{28}"),
    _key("ya29.", r"[\w-]{30,400}"),
    _key("hf_", r"[A-Za-z]{34}"),
    _key("npm_", r"[A-Za-z0-9]{36}"),
    _key("pypi-AgE", r"[\w-]{50,1000}"),
    _key("SG.", r"[\w-]{22}\.[\w-]{43}"),
    *(_key(f"{kind}_{mode}_", r"[A-Za-z0-9]{16,99}") for kind in ("sk", "rk") for mode in ("live", "test", "prod")),
    _key("whsec_", r"[A-Za-z0-9+/=]{32,64}"),
    *(_key(prefix, r"[A-Fa-f0-9]{32}") for prefix in ("shpat_", "shpca_", "shppa_", "shpss_")),
    *(_key(prefix, r"[a-f0-9]{64}") for prefix in ("dop_v1_", "doo_v1_", "dor_v1_")),
    _key("sq0csp-", r"[\w-]{43}"),
    _key("dckr_pat_", r"[\w-]{27}"),
    _key("hvs.", r"[\w-]{90,120}"),
    _key("AGE-SECRET-KEY-1", r"[A-Z0-9]{58}"),
    SecretKey("AccountKey=", re.compile(r"(?<=AccountKey=)[A-Za-z0-9+/=]{86,88}")),
    SecretKey("-us", re.compile(r"(?<![A-Za-z0-9])[0-9a-f]{32}-us[0-9]{1,2}(?!\w)")),
    SecretKey(":AA", re.compile(r"(?<!\w)[0-9]{8,10}:AA[\w-]{33}(?![\w-])")),
    SecretKey("eyJ", re.compile(r"(?<![A-Za-z0-9_])eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}")),
    SecretKey(
        "PRIVATE KEY",
        re.compile(
            r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?:[^-]{40,20000}-----END [A-Z ]{0,30}PRIVATE KEY"
            r"(?: BLOCK)?-----|(?:\s*[A-Za-z0-9+/=]{40,}){1,200})"
        ),
    ),
)
MIN_KEY_CHARS: Final = 20  # of every key, its prefix included
IN_KEYS: Final = np.zeros(256, np.bool_)
IN_KEYS[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.+/=:")] = True
EXAMPLE_KEY: Final = re.compile(r"EXAMPLE|example|x{8}|X{8}|0{10}|\*{4}")


@dataclass(frozen=True)
class Finder:
    """Where to look for one kind of data: in texts that hold all of `needed` and as many as `num_digits`."""

    needed: tuple[str, ...]
    num_digits: int
    find: Callable[[str], Iterator[Span]]


def hide_private(text: str) -> tuple[Edit, ...]:
    """The edits that replace private data in `text` by placeholders, in order.

    >>> [edit.text for edit in hide_private("Write to jane.doe@mail.bahn.de or call +49 30 901820.")]
    ['<EMAIL>', '<PHONE>']
    """
    taken: list[Span] = []
    num_digits = _num_digits(text)
    for finder in FINDERS:
        if num_digits >= finder.num_digits and all(part in text for part in finder.needed):
            taken = _with(taken, finder.find(text))
    return tuple(Edit("replace_str", start, end, placeholder) for start, end, placeholder in taken)


def count_private(edits: Sequence[Edit]) -> dict[str, int]:
    """How many of each placeholder stand in `edits`, in alphabetical order.

    >>> count_private(hide_private("jane.doe@mail.bahn.de"))
    {'<EMAIL>': 1}
    """
    return dict(sorted(Counter(edit.text for edit in edits if edit.text in PLACEHOLDERS).items()))


def _with(taken: list[Span], found: Iterator[Span]) -> list[Span]:
    """`taken` (in order, apart) and those of `found` that meet none before them, in order."""
    starts, new = [start for start, _, _ in taken], list[Span]()
    for span in sorted(found):
        i = bisect_left(starts, span[1])  # taken[:i] begin before the span ends
        if not (i and taken[i - 1][1] > span[0]) and not (new and new[-1][1] > span[0]):
            new.append(span)
    return sorted(taken + new) if new else taken


def _find_url_secrets(text: str) -> Iterator[Span]:
    if "@" in text:
        for found in URL_PASSWORD.finditer(text):
            if found[1].lower() not in STAND_INS:
                yield *found.span(1), PASSWORD
    if "=" in text:
        for found in URL_TOKEN.finditer(text):
            if found[1].lower() not in STAND_INS:
                yield *found.span(1), KEY


def _find_keys(text: str) -> Iterator[Span]:
    tokens = _long_tokens(text)
    for key in KEYS if tokens else ():
        # The one prefix with a blank is in no token.
        if key.prefix in tokens or (" " in key.prefix and key.prefix in text):
            for found in key.pattern.finditer(text):
                if not EXAMPLE_KEY.search(found[0]):
                    yield *found.span(), KEY


def _num_digits(text: str) -> int:
    return int(np.count_nonzero(np.frombuffer(text.encode(), np.uint8) - np.uint8(48) < 10))


def _long_tokens(text: str) -> str:
    """All of MIN_KEY_CHARS and more in a row of which keys are made, apart: a look at every byte, 3 ms/MB."""
    written = f" {text} ".encode()
    breaks = np.flatnonzero(~IN_KEYS[np.frombuffer(written, np.uint8)])
    before = np.flatnonzero(np.diff(breaks) > MIN_KEY_CHARS)
    spans = zip(breaks[before].tolist(), breaks[before + 1].tolist())
    return b"".join(written[start:end] for start, end in spans).decode(errors="replace")


def _find_emails(text: str) -> Iterator[Span]:
    at = text.find("@")
    while at >= 0:
        local, domain = LOCAL_PART.search(text, max(0, at - 64), at), DOMAIN.match(text, at + 1)
        if local and domain and _is_private_address(local[0], domain[0]):
            yield local.start(), domain.end(), EMAIL
        at = text.find("@", at + 1)


def _find_spelt_emails(text: str) -> Iterator[Span]:
    for at in SPELT_AT.finditer(text):
        before = at.start() - (text[at.start() - 1 : at.start()] == " ")
        local, domain = LOCAL_PART.search(text, max(0, before - 64), before), SPELT_DOMAIN.match(text, at.end())
        if local and domain and _is_private_address(local[0], f"mail.{domain[2]}"):
            yield local.start(), domain.end(), EMAIL


def _is_private_address(local: str, domain: str) -> bool:
    if RESERVED_DOMAIN.search(domain) or local in NOBODY or not any(c.isalnum() for c in local):
        return False
    return get_tld(f"http://{domain}", fail_silently=True) is not None


def _find_ips(text: str) -> Iterator[Span]:
    for found in IPV4.finditer(text) if INNER_PARTS.search(text) else ():
        before = text[max(0, found.start() - 30) : found.start()]
        if before[-1:].isalnum() or before[-1:] in (".", "-", "_") or not _is_private_ip(found[0]):
            continue
        if before[-1:] == "/" and before[-2:-1].isalnum():  # openresty/1.9.7.1
            continue
        if all(int(part) < MAX_SECTION for part in found[0].split(".")) and not ADDRESS_WORD.search(before):
            continue
        if not VERSION_WORD.search(before):
            yield *found.span(), IP_ADDRESS


def _find_ipv6(text: str) -> Iterator[Span]:
    for found in IPV6.finditer(text) if TWO_COLONS.search(text) else ():
        if not (text[found.start() - 1 : found.start()].isalnum()) and _is_private_ip(found[0].rstrip(":")):
            yield found.start(), found.start() + len(found[0].rstrip(":")), IP_ADDRESS


def _is_private_ip(address: str) -> bool:
    """Whether it is some machine's own address: routed worldwide, no resolver that all the world uses."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False  # a part above 255 or with a leading zero, groups too few: no address
    return found.is_global and not found.is_multicast and address not in PUBLIC_IPS


def _find_ibans(text: str) -> Iterator[Span]:
    for found in IBAN_START.finditer(text):
        start = found.start()
        if text[start - 1 : start].isalnum():
            continue
        body = IBAN_BODY.match(text, start, start + IBAN_LENGTHS[1] + 10)
        ends = [start + place for place, c in enumerate(body[0]) if c in " -"] if body else []
        for end in [*ends, body.end() if body else start][::-1]:
            if IBAN_LENGTHS[0] <= end - start and not text[end : end + 1].isalnum() and iban.is_valid(text[start:end]):
                yield start, end, IBAN
                break


FINDERS: Final = (
    Finder(("://",), 0, _find_url_secrets),
    Finder((), 0, _find_keys),
    Finder(("@",), 0, _find_emails),
    Finder((), 0, _find_spelt_emails),
    Finder((), 4, _find_ibans),
    Finder((".",), 4, _find_ips),
    Finder((":",), 2, _find_ipv6),
    Finder((), 4, find_numbers),
)

__all__ = ["PLACEHOLDERS", "count_private", "hide_private"]
