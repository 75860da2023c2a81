"""Policies: as TOML and back to the digit, refused with the bad key named, versions that any setting moves."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tier_assets.l2_selected.policy import (
    NOT_BOUND,
    POLICIES,
    Diversity,
    Floor,
    Maximum,
    Minimum,
    Policy,
    Rule,
    from_toml,
    open_policy,
    to_toml,
)

RULES = "[[rules]]\nkeep_share = 0.5\n"

share = st.floats(0, 1)
positive = st.floats(0, 1, exclude_min=True)
number = st.floats(allow_nan=False, allow_infinity=False)
some = st.one_of(st.none(), st.text())
rules = st.lists(st.builds(Rule, share, number, some, some), max_size=3)
scorers = st.lists(st.text(min_size=1).filter(lambda name: name not in NOT_BOUND), unique=True, max_size=2)
policies = st.builds(
    lambda first, last, least, most, limit, **other: Policy(
        rules=(*first, dataclasses.replace(last, corpus=None, language=None)),
        minimums=tuple(Minimum(name, limit) for name in least),
        maximums=tuple(Maximum(name, limit) for name in most),
        **other,
    ),
    rules,
    st.builds(Rule, share, number),
    scorers,
    scorers,
    number,
    name=st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True),
    domain_floor=share,
    min_slice=st.integers(0, 10**6),
    influence_weight=number,
    margin=st.floats(0, 10),
    scorer=st.text(min_size=1),
    rare_share=share,
    floors=st.lists(st.builds(Floor, share, some, some, some), max_size=2).map(tuple),
    diversity=st.one_of(st.none(), st.builds(Diversity, positive, positive)),
)


@given(policies)
def test_policy_any_goes_through_toml_and_back(policy: Policy) -> None:
    again = from_toml(to_toml(policy))
    assert again == policy
    assert again.version == policy.version
    assert to_toml(again) == to_toml(policy)


def test_policy_all_written_out_reads_as_expected() -> None:
    policy = Policy(
        "strict",
        (Rule(0.2, language="de"), Rule(min_quality=3)),
        floors=(Floor(0.5, domain='a "b"\n\x7f'),),
        maximums=(Maximum("perplexity", 200),),
        diversity=Diversity(0.95),
    )
    assert tomllib.loads(to_toml(policy)) == {
        "name": "strict",
        "domain_floor": 0.1,
        "min_slice": 20,
        "influence_weight": 0.3,
        "margin": 0.2,
        "scorer": "quality",
        "rare_share": 0.0,
        "rules": [
            {"keep_share": 0.2, "min_quality": 0.0, "language": "de"},
            {"keep_share": 1.0, "min_quality": 3.0},
        ],
        "floors": [{"keep_share": 0.5, "domain": 'a "b"\n\x7f'}],
        "maximums": [{"scorer": "perplexity", "at_most": 200.0}],
        "diversity": {"max_similarity": 0.95, "cluster_share": 1.0},
    }


def test_policy_a_short_toml_takes_the_defaults_and_whole_numbers_for_decimal_ones() -> None:
    policy = from_toml('name = "all"\nmargin = 0\n[[rules]]\nkeep_share = 1\n')
    assert policy == Policy("all", (Rule(1.0),), margin=0.0)
    assert isinstance(policy.rules[0].keep_share, float)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "Invalid value"),
        ('name = "p"', "policy misses the key 'rules'"),
        (RULES, "policy misses the key 'name'"),
        (f'name = "p"\nkeep = 1\n{RULES}', r"policy has an unknown key 'keep'; known: \['diversity', 'domain_floor'"),
        (f"name = 3\n{RULES}", "policy.name is 3; its type is str"),
        (f'name = "p"\nmin_slice = 1.5\n{RULES}', "policy.min_slice is 1.5; its type is int"),
        (f'name = "p"\nmargin = true\n{RULES}', "policy.margin is True; its type is float"),
        ('name = "p"\nrules = 3', "policy.rules is 3; a list of tables was expected"),
        ('name = "p"\nrules = [3]', r"policy.rules\[0\] is 3; a table was expected"),
        (f'name = "p"\ndiversity = 3\n{RULES}', "policy.diversity is 3; a table was expected"),
        ('name = "p"\n[[rules]]\nkeep_share = "a"', r"policy.rules\[0\].keep_share is 'a'; its type is float"),
        ('name = "p"\n[[rules]]\nshare = 1', r"policy.rules\[0\] has an unknown key 'share'; known: \['corpus'"),
        (f'name = "p"\n{RULES}[[minimums]]\nscorer = "safety"', r"policy.minimums\[0\] misses the key 'at_least'"),
        (f'name = "P"\n{RULES}', "policy 'P': a name is lower-case letters"),
    ],
)
def test_policy_bad_toml_is_refused_and_the_key_named(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_toml(text)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rules": ()}, "needs a last rule"),
        ({"rules": (Rule(0.5, language="de"),)}, "needs a last rule"),
        ({"rules": (Rule(1.5),)}, r"keep_share of rules\[0\] is 1.5"),
        ({"rules": (Rule(float("nan")),)}, r"keep_share of rules\[0\] is nan"),
        ({"rules": (Rule(min_quality=float("inf")),)}, r"min_quality of rules\[0\] is inf"),
        ({"floors": (Floor(-0.1),)}, r"keep_share of floors\[0\] is -0.1"),
        ({"domain_floor": 2.0}, "domain_floor is 2.0"),
        ({"rare_share": 2.0}, "rare_share is 2.0"),
        ({"margin": -0.1}, "margin is -0.1"),
        ({"min_slice": -1}, "min_slice is -1"),
        ({"influence_weight": float("nan")}, "influence_weight is nan"),
        ({"diversity": Diversity(max_similarity=1.1)}, "max_similarity is 1.1"),
        ({"diversity": Diversity(cluster_share=0.0)}, "cluster_share is 0.0"),
        ({"minimums": (Minimum("quality", 1.0),)}, "'quality' cannot be bound"),
        ({"maximums": (Maximum("perplexity", float("inf")),)}, "at_most of 'perplexity' is inf"),
        ({"minimums": (Minimum("safety", 1.0), Minimum("safety", 2.0))}, "one scorer has two bounds of a kind"),
    ],
)
def test_policy_that_cannot_hold_is_refused(settings: dict, said: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=f"policy 'p': .*{said}"):
        Policy(**{"name": "p", "rules": (Rule(0.5),)} | settings)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "other"},
        {"rules": (Rule(0.4),)},
        {"domain_floor": 0.2},
        {"min_slice": 21},
        {"influence_weight": 0.4},
        {"margin": 0.1},
        {"scorer": "quality_encoder"},
        {"rare_share": 0.2},
        {"floors": (Floor(0.1),)},
        {"minimums": (Minimum("safety", 1.0),)},
        {"maximums": (Maximum("safety", 1.0),)},
        {"diversity": Diversity()},
    ],
)
def test_policy_version_changes_with_any_setting(changed: dict) -> None:  # type: ignore[type-arg]
    best = POLICIES["best_half"]
    assert best.version == Policy("best_half", (Rule(keep_share=0.5),)).version
    assert dataclasses.replace(best, **changed).version != best.version


def test_policy_version_is_the_same_for_whole_and_decimal_numbers() -> None:
    assert Policy("p", (Rule(1),), margin=0).version == Policy("p", (Rule(1.0),), margin=0.0).version


def test_policies_are_known_by_name_or_read_from_a_file(tmp_path: Path) -> None:
    assert {name: policy.name for name, policy in POLICIES.items()} == {name: name for name in POLICIES}
    assert open_policy("best_third") is POLICIES["best_third"]
    file = tmp_path / "mine.toml"
    file.write_text(to_toml(dataclasses.replace(POLICIES["strict_and_diverse"], name="mine")))
    assert open_policy(str(file)).diversity == POLICIES["strict_and_diverse"].diversity
    with pytest.raises(ValueError, match=r"unknown policy 'best'; known: \['best_half'"):
        open_policy("best")
    file.write_text("name = 'mine'")
    with pytest.raises(ValueError, match=r"mine.toml: policy misses the key 'rules'"):
        open_policy(str(file))


def test_policy_names_the_scorers_that_it_bounds() -> None:
    bounds = Policy(
        "p",
        (Rule(0.5),),
        minimums=(Minimum("safety", 1), Minimum("density", 2)),
        maximums=(Maximum("safety", 5), Maximum("perplexity", 200)),
    )
    assert bounds.bound_scorers == ("density", "perplexity", "safety")
