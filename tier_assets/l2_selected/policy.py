"""Selection policies: typed values, as TOML and back, and the built-in ones.

A policy says which documents of a partition are L2; `select.py` carries it out. In: a name or a .toml file. Out: a
`Policy` that has been checked. A policy as TOML:

    name = "strict"
    scorer = "quality_encoder"
    [[rules]]                   # the first that fits a slice holds; the last fits every slice
    keep_share = 0.2
    language = "de"
    [[rules]]
    min_quality = 3.0
    [[floors]]
    keep_share = 0.5
    domain = "mathematics"
    [[maximums]]
    scorer = "perplexity"
    at_most = 8.0
    [diversity]
    max_similarity = 0.95
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import tomllib
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Final, get_args, get_origin, get_type_hints

NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
# Columns of a candidate that are no score: a bound on one of them would be read from the wrong column.
NOT_BOUND: Final = ("doc_id", "corpus", "snapshot", "domain", "language", "num_tokens", "quality", "influence")


@dataclass(frozen=True, slots=True)
class Rule:
    """What is kept of a slice: the best `keep_share` of its documents, none of them below `min_quality` (0 to 5).

    `corpus` and `language` name the slice; None stands for any. By a threshold alone: a `keep_share` of 1.
    """

    keep_share: float = 1.0
    min_quality: float = 0.0
    corpus: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Floor:
    """The best `keep_share` of the documents of a domain, language or corpus are kept, whatever their slice's rule.

    None stands for any; of several names all must fit.
    """

    keep_share: float
    domain: str | None = None
    language: str | None = None
    corpus: str | None = None

    @property
    def reason(self) -> str:
        """Why a document that only this floor keeps is in L2."""
        if self.domain is not None:
            return "domain_floor"
        return "language_floor" if self.language is not None else "corpus_floor"


@dataclass(frozen=True, slots=True)
class Minimum:
    """No document is kept whose score by `scorer` is below `at_least`, or is missing."""

    scorer: str
    at_least: float


@dataclass(frozen=True, slots=True)
class Maximum:
    """No document is kept whose score by `scorer` is above `at_most`, or is missing."""

    scorer: str
    at_most: float


@dataclass(frozen=True, slots=True)
class Diversity:
    """What is dropped of documents that say the same, by their embeddings.

    Of two documents of one language and cluster whose cosine is above `max_similarity` the lower-valued is dropped
    (1 drops none); an encoder that reads only the beginning of a text compares beginnings. One cluster takes at most
    `cluster_share` of the documents that a slice would keep without it (1 caps none); what a floor guarantees is
    exempt, and takes the cluster's first places.
    """

    max_similarity: float = 1.0
    cluster_share: float = 1.0


@dataclass(frozen=True, slots=True)
class Policy:
    """How L2 is selected.

    A document's value is its quality, the score by `scorer`, plus `influence_weight` standard deviations of quality
    for each standard deviation of influence (higher influence is better; a document without influence counts as
    average). A slice is a language of the partition's corpus, and the first rule that fits it holds. Languages with
    fewer than `min_slice` documents that no rule names are rare: they are one slice together, so that a share of them
    means something, and the best `rare_share` of each is kept whatever the others are worth. The best `domain_floor`
    of each domain are kept, and the best of what `floors` name.

    Nothing is kept below `min_quality` or out of the bounds that `minimums` and `maximums` set. Shares are of all
    documents that have a quality: what a bound, a repetition or a full cluster takes out is not made up by worse ones.

    A member stays until its value is `margin` standard deviations of its slice below the threshold. Where a slice has
    members, another document enters only if it is that much above it: the slice keeps its size, and a noisy influence
    moves few. (A bound is wider for members by `margin` of the scorer's interquartile range in the slice, over 1.349,
    which is the standard deviation of a bell curve and takes no notice of outliers.) A document takes a member's place
    among near-duplicates or in a full cluster only if it is better by more than that, and a cluster's members stay
    until they are `margin` of the cap above it.
    """

    name: str
    rules: tuple[Rule, ...]
    domain_floor: float = 0.1
    min_slice: int = 20
    # Two influence models of one checkpoint, at Spearman .57 with the truth and no error in common, then differ in 5%
    # of the members (.5 and .1: in 15%).
    influence_weight: float = 0.3
    margin: float = 0.2
    scorer: str = "quality"
    rare_share: float = 0.0
    floors: tuple[Floor, ...] = ()
    minimums: tuple[Minimum, ...] = ()
    maximums: tuple[Maximum, ...] = ()
    diversity: Diversity | None = None

    def __post_init__(self) -> None:
        for wrong in _faults(self):
            raise ValueError(f"policy {self.name!r}: {wrong}")

    @property
    def version(self) -> str:
        """Name and hash of all settings, such as `best_half-5d1c0b7e`: the column `policy` of `l2_selected`."""
        return f"{self.name}-{hashlib.sha256(to_toml(self).encode()).hexdigest()[:8]}"

    @property
    def bound_scorers(self) -> tuple[str, ...]:
        """Scorers whose bounds the policy sets, sorted: each is a column of the candidates."""
        return tuple(sorted({b.scorer for b in self.minimums} | {b.scorer for b in self.maximums}))


def _faults(policy: Policy) -> Iterable[str]:
    """What makes a policy one that cannot be carried out, in words."""
    if not NAME.fullmatch(policy.name):
        yield "a name is lower-case letters, digits and underscores"
    if not policy.rules or policy.rules[-1].corpus is not None or policy.rules[-1].language is not None:
        yield "needs a last rule for any corpus and language"
    shares = {f"keep_share of rules[{i}]": rule.keep_share for i, rule in enumerate(policy.rules)}
    shares |= {f"keep_share of floors[{i}]": floor.keep_share for i, floor in enumerate(policy.floors)}
    shares |= {"domain_floor": policy.domain_floor, "rare_share": policy.rare_share}
    for name, share in shares.items():
        if not 0 <= share <= 1:
            yield f"{name} is {share}; shares lie in 0 to 1"
    numbers = {f"min_quality of rules[{i}]": rule.min_quality for i, rule in enumerate(policy.rules)}
    numbers |= {f"at_least of {bound.scorer!r}": bound.at_least for bound in policy.minimums}
    numbers |= {f"at_most of {bound.scorer!r}": bound.at_most for bound in policy.maximums}
    for name, number in (numbers | {"influence_weight": policy.influence_weight}).items():
        if not math.isfinite(number):
            yield f"{name} is {number}; it must be finite"
    if not (math.isfinite(policy.margin) and policy.margin >= 0):
        yield f"margin is {policy.margin}; it is not negative"
    if policy.min_slice < 0:
        yield f"min_slice is {policy.min_slice}; it is not negative"
    if policy.diversity is not None and not 0 < policy.diversity.max_similarity <= 1:
        yield f"max_similarity is {policy.diversity.max_similarity}; it lies above 0, to 1"
    if policy.diversity is not None and not 0 < policy.diversity.cluster_share <= 1:
        yield f"cluster_share is {policy.diversity.cluster_share}; it lies above 0, to 1"
    for scorer in policy.bound_scorers:
        if scorer in NOT_BOUND:
            yield f"{scorer!r} cannot be bound; the bound on quality is the min_quality of a rule"
    for names in ([b.scorer for b in policy.minimums], [b.scorer for b in policy.maximums]):
        if len(set(names)) < len(names):
            yield f"one scorer has two bounds of a kind: {sorted(names)}"


def to_toml(policy: Policy) -> str:
    """The policy as TOML, all settings written out: `from_toml` gives the same policy back."""
    return "\n".join([*_lines(policy, ""), ""])


def _lines(value: Any, path: str) -> list[str]:
    """Lines of a dataclass: its plain settings, then its tables."""
    plain, tables = [], []
    hints = get_type_hints(type(value))
    for name in hints:
        item = getattr(value, name)
        if isinstance(item, tuple):
            for part in item:
                tables += [f"\n[[{path}{name}]]", *_lines(part, f"{path}{name}.")]
        elif isinstance(item, Diversity):
            tables += [f"\n[{path}{name}]", *_lines(item, f"{path}{name}.")]
        elif item is not None:
            plain.append(f"{name} = {_written(item, hints[name])}")
    return plain + tables


def _written(item: float | str, kind: Any) -> str:
    """A number or a string as TOML. repr gives a float's shortest digits that read back as the same float."""
    if kind is float:
        return repr(float(item))
    # A JSON string is a TOML string but for the one control character that JSON leaves as it is.
    return json.dumps(item, ensure_ascii=False).replace("\x7f", "\\u007f")


def from_toml(text: str) -> Policy:
    """The policy that a TOML text describes.

    Raises:
        ValueError: no TOML, an unknown or missing key, a value of another type, or a policy that cannot hold; the
            message names the key and what is known.
    """
    policy: Policy = _parsed(Policy, tomllib.loads(text), "policy")
    return policy


def _parsed(kind: type, given: Any, where: str) -> Any:
    """A dataclass of type `kind` from a TOML table."""
    if not isinstance(given, dict):
        raise ValueError(f"{where} is {given!r}; a table was expected")
    known = {f.name: f for f in fields(kind)}
    if unknown := sorted(set(given) - set(known)):
        raise ValueError(f"{where} has an unknown key {unknown[0]!r}; known: {sorted(known)}")
    if missing := [name for name, f in known.items() if f.default is MISSING and name not in given]:
        raise ValueError(f"{where} misses the key {missing[0]!r}")
    hints = get_type_hints(kind)
    return kind(**{name: _typed(hints[name], item, f"{where}.{name}") for name, item in given.items()})


def _typed(kind: Any, item: Any, where: str) -> Any:
    """A setting of type `kind` from its TOML value."""
    if get_origin(kind) is tuple:
        if not isinstance(item, list):
            raise ValueError(f"{where} is {item!r}; a list of tables was expected")
        return tuple(_parsed(get_args(kind)[0], part, f"{where}[{i}]") for i, part in enumerate(item))
    if Diversity in get_args(kind):
        return _parsed(Diversity, item, where)
    wanted = next((t for t in (float, int, str) if t is kind or t in get_args(kind)), str)
    right = (int, float) if wanted is float else wanted
    if isinstance(item, bool) or not isinstance(item, right):
        raise ValueError(f"{where} is {item!r}; its type is {wanted.__name__}")
    return wanted(item)


# .95: above it few pairs of 539 texts of four corpora are found by the bundled encoder. No built-in policy has a
# threshold on quality: what a 3 means differs between the models that rate.
POLICIES: Final[dict[str, Policy]] = {
    policy.name: policy
    for policy in (
        Policy("best_half", (Rule(keep_share=0.5),)),
        Policy("best_third", (Rule(keep_share=1 / 3),), rare_share=0.1),
        Policy(
            "strict_and_diverse",
            (Rule(keep_share=0.3),),
            rare_share=0.1,
            diversity=Diversity(max_similarity=0.95, cluster_share=0.2),
        ),
    )
}


def open_policy(name_or_path: str) -> Policy:
    """A built-in policy by its name, or the one in a .toml file.

    Raises:
        ValueError: no such policy, or the file does not describe one.
        FileNotFoundError: the file is not there.
    """
    if not name_or_path.endswith(".toml"):
        if name_or_path not in POLICIES:
            raise ValueError(f"unknown policy {name_or_path!r}; known: {sorted(POLICIES)}, or a .toml file")
        return POLICIES[name_or_path]
    try:
        return from_toml(Path(name_or_path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{name_or_path}: {error}") from error
