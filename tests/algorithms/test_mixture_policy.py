import json
import logging
import math

import numpy as np
import pytest

from algorithms.mixture_policy import MixturePolicy
from algorithms.slope_rule import CAPACITY, Curves, shrunk, trusted
from benchmarks.mixture_simulator import NULL, SCENARIOS, best_static, goal, policy_for, train

DOMAINS = ["a", "b", "c"]
PRIOR = {"a": 6.0, "b": 3.0, "c": 1.0}
COUNTS = {"a": 4096, "b": 2048, "c": 1024}


def law(tokens: float) -> dict[str, float]:
    """Losses that fall fast, slowly, and not at all."""
    return {"a": 1.0 + 300 * tokens**-0.4, "b": 2.0 + 3 * tokens**-0.1, "c": 5.5}


def run(policy: MixturePolicy, steps: int, noise: float = 0.0, seed: int = 0) -> dict[str, float]:
    """The weights after so many steps on those losses."""
    random = np.random.default_rng(seed)
    weights, start = policy.weights, 0
    for step in range(start, steps):
        losses = law((step + 1) * 7168.0)
        weights = policy.update(
            {name: loss + noise * random.standard_normal() for name, loss in losses.items()}, COUNTS
        )
    return weights


@pytest.mark.parametrize(
    ("policy", "target", "start"),
    [
        ("slope", "mean", [1 / 3] * 3),
        ("slope", "prior", [0.6, 0.3, 0.1]),
        ("slope", "worst", [1 / 3] * 3),
        ("ado", "mean", [0.6, 0.3, 0.1]),
        ("ado_uniform", "mean", [1 / 3] * 3),
        ("natural", "mean", [0.6, 0.3, 0.1]),
        ("uniform", "mean", [1 / 3] * 3),
    ],
)
def test_policy_starts_at_its_own_mix_and_stays_in_the_warm_up(policy: str, target: str, start: list[float]) -> None:
    mixing = MixturePolicy(DOMAINS, PRIOR, policy, target, warmup_steps=50, fit_every=10)
    assert list(mixing.weights.values()) == pytest.approx(start)
    assert list(run(mixing, 50).values()) == pytest.approx(start)


@pytest.mark.parametrize("policy", ["slope", "ado", "ado_uniform"])
def test_adaptive_policies_after_the_warm_up_move_from_what_does_not_learn(policy: str) -> None:
    mixing = MixturePolicy(DOMAINS, PRIOR, policy, "mean", warmup_steps=50, fit_every=50)
    start = mixing.weights
    weights = run(mixing, 600)
    assert sum(weights.values()) == pytest.approx(1.0, abs=1e-12)
    assert weights["a"] > start["a"]
    assert weights["c"] < start["c"]


def test_slope_rule_stays_within_its_trust_region() -> None:
    weights = run(MixturePolicy(DOMAINS, PRIOR, "slope", "prior", warmup_steps=20, fit_every=20), 2000)
    assert weights["c"] == pytest.approx(0.1 / 3, rel=0.01)
    assert weights["a"] <= 1.8


def test_slope_rule_from_the_decay_on_keeps_its_weights() -> None:
    mixing = MixturePolicy(DOMAINS, PRIOR, warmup_steps=20, fit_every=20, decay_from=200)
    before = run(mixing, 199)
    assert before != {name: pytest.approx(1 / 3) for name in DOMAINS}
    for step in range(200, 400):
        assert mixing.update(law(step * 1e5), COUNTS) == before


def test_target_worst_leads_to_the_highest_loss_that_still_falls() -> None:
    mixing = MixturePolicy(DOMAINS, PRIOR, "slope", "worst", warmup_steps=20, fit_every=20)
    assert run(mixing, 1000)["b"] > 1 / 3


def test_published_rule_step_is_the_published_formula() -> None:
    mixing = MixturePolicy(DOMAINS, PRIOR, "ado", warmup_steps=100, fit_every=100)
    run(mixing, 249)
    rule = mixing._published
    history_K, average_K = np.array(rule._history), np.array(rule._average)
    weights = mixing.update(law(250 * 7168.0), COUNTS)
    assert rule._laws is not None
    epsilon_K, beta_K, alpha_K = np.array(rule._laws)
    n, share_K, prior_K = 250 * 7.0, np.array([4, 2, 1]) / 7, np.array([0.6, 0.3, 0.1])
    history_K = 0.9 * history_K + 0.1 * share_K
    potential_K = np.maximum(alpha_K, 0.05) * (epsilon_K + beta_K * n**-alpha_K - epsilon_K) / n
    rho_K = potential_K * prior_K * (history_K * (1 - history_K)) ** 0.5
    rho_K = np.maximum(rho_K / rho_K.sum(), 0.01)
    rho_K /= rho_K.sum()
    assert list(weights.values()) == pytest.approx(list(0.9 * average_K + 0.1 * rho_K))
    assert rule._average == pytest.approx(((1 - 1 / 250) * average_K + rho_K / 250).tolist())


def test_published_rule_smooths_as_savitzky_and_golay() -> None:
    from scipy.signal import savgol_filter

    mixing = MixturePolicy(["a"], {"a": 1.0}, "ado", warmup_steps=0, fit_every=10_000)
    losses = np.random.default_rng(0).uniform(2, 3, 305)
    for loss in losses:
        mixing.update({"a": float(loss)}, {"a": 1024})
    rule = mixing._published
    tokens, tail = rule._smoothed(51, 101)
    assert np.array(rule._kept + tail)[:, 0] == pytest.approx(savgol_filter(losses, 101, 3)[::10])
    assert rule._kept_tokens + tokens == [1024 * (1 + 10 * place) for place in range(31)]


def test_published_rule_parameter_on_a_bound_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        run(MixturePolicy(DOMAINS, PRIOR, "ado", warmup_steps=20, fit_every=100), 300)
    assert "parameters on a bound" in caplog.text
    assert "c (" in caplog.text


def test_pilot_keeps_the_average_shares_of_an_adaptive_run() -> None:
    adaptive = MixturePolicy(DOMAINS, PRIOR, warmup_steps=20, fit_every=20)
    run(adaptive, 400)
    shares = adaptive.average_shares
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares["a"] > 1 / 3
    pilot = MixturePolicy(DOMAINS, PRIOR, "pilot", shares=shares)
    assert run(pilot, 100) == pytest.approx(shares)


@pytest.mark.parametrize("policy", ["slope", "ado", "pilot"])
def test_state_after_a_restart_gives_the_same_weights(policy: str) -> None:
    shares = {"a": 0.5, "b": 0.25, "c": 0.25} if policy == "pilot" else None
    one = MixturePolicy(DOMAINS, PRIOR, policy, warmup_steps=50, fit_every=50, shares=shares)
    run(one, 333, noise=0.01)
    other = MixturePolicy.from_state(json.loads(json.dumps(one.state())))
    for step in range(333, 700):
        losses = law(step * 7168.0)
        assert one.update(losses, COUNTS) == other.update(losses, COUNTS)
    assert one.average_shares == other.average_shares
    assert one.state() == other.state()


def test_memory_of_a_long_run_is_constant() -> None:
    adaptive = MixturePolicy(DOMAINS, PRIOR, warmup_steps=0, fit_every=10**6)
    published = MixturePolicy(DOMAINS, PRIOR, "ado", warmup_steps=0, fit_every=10**6)
    run(adaptive, 12_000)
    run(published, 12_000)
    assert len(adaptive._curves.bins()[0]) <= CAPACITY
    assert len(published._published._kept) <= 512


def test_curves_merged_in_pairs_keep_means() -> None:
    curves = Curves(1)
    for step in range(1, 2 * CAPACITY + 2):
        curves.add(step, [float(step)], [2.0])
    tokens_B, losses_1B, weights_1B = curves.bins()
    assert tokens_B.tolist() == [2.5 + 4 * place for place in range(CAPACITY // 2)]
    assert losses_1B[0].tolist() == tokens_B.tolist()
    assert set(weights_1B[0].tolist()) == {1.0}


def test_domain_without_data_keeps_its_weight() -> None:
    mixing = MixturePolicy(DOMAINS, PRIOR, "slope", "prior", warmup_steps=0, fit_every=20)
    for step in range(1, 200):
        losses = law(step * 7168.0)
        weights = mixing.update({"a": losses["a"], "c": losses["c"]}, {"a": 4096, "b": 0, "c": 1024})
    assert weights["b"] == pytest.approx(0.3)
    assert weights["a"] > 0.6
    assert sum(weights.values()) == pytest.approx(1.0)


def test_update_without_tokens_changes_nothing_but_the_step() -> None:
    mixing = MixturePolicy(DOMAINS, PRIOR, warmup_steps=0, fit_every=10)
    for step in range(1, 30):
        weights = mixing.update(law(step * 7168.0), COUNTS)
        assert mixing.update({}, {}, step=mixing.state()["step"] + 1) == weights


def test_one_domain_has_all_the_weight() -> None:
    mixing = MixturePolicy(["a"], {"a": 1.0}, warmup_steps=0, fit_every=10)
    for step in range(1, 40):
        assert mixing.update({"a": 2.0 + 1 / step}, {"a": 10}) == {"a": pytest.approx(1.0)}


@pytest.mark.parametrize(
    ("losses", "counts", "step", "message"),
    [
        ({"a": math.nan}, {"a": 1}, None, "domain 'a': a loss of nan"),
        ({"a": math.inf}, {"a": 1}, None, "domain 'a': a loss of inf"),
        ({"a": 0.0}, {"a": 1}, None, "domain 'a': a loss of 0"),
        ({"x": 1.0}, {"a": 1}, None, "unknown domain 'x'; known: a, b, c"),
        ({"a": 1.0}, {"x": 1}, None, "unknown domain 'x'"),
        ({"a": 1.0}, {"b": 1}, None, "domain 'a' has a loss but no count"),
        ({"a": 1.0}, {"a": -1}, None, "domain 'a': a count of -1"),
        ({"a": 1.0}, {"a": 1}, 0, "step 0 is not after step 0"),
    ],
)
def test_update_of_bad_input_is_refused_and_changes_nothing(
    losses: dict[str, float], counts: dict[str, int], step: int | None, message: str
) -> None:
    mixing = MixturePolicy(DOMAINS, PRIOR)
    before = mixing.state()
    with pytest.raises(ValueError, match=message):
        mixing.update(losses, counts, step)
    assert mixing.state() == before


@pytest.mark.parametrize(
    ("domains", "prior", "policy", "target", "message"),
    [
        (["a", "a"], {"a": 1.0}, "slope", "mean", "each once"),
        ([], {}, "slope", "mean", "at least one"),
        (["a", "b"], {"a": 1.0}, "slope", "mean", "prior of other domains"),
        (["a", "b"], {"a": 1.0, "b": 0.0}, "slope", "mean", "domain 'b': a share of 0.0 in prior"),
        (["a"], {"a": 1.0}, "best", "mean", "unknown policy 'best'; known: slope"),
        (["a"], {"a": 1.0}, "slope", "median", "unknown target 'median'"),
        (["a"], {"a": 1.0}, "pilot", "mean", "shares are given for policy pilot"),
    ],
)
def test_policy_of_bad_settings_is_refused(
    domains: list[str], prior: dict[str, float], policy: str, target: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        MixturePolicy(domains, prior, policy, target)


def test_trusted_shares_are_as_wanted_but_for_the_region() -> None:
    mix_K = np.full(4, 0.25)
    assert trusted(np.array([4.0, 3.0, 2.0, 1.0]), mix_K, 1.0).tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert trusted(np.array([1.0, 0.0, 0.0, 0.0]), mix_K, 1.0).tolist() == pytest.approx([0.75] + [1 / 12] * 3)
    assert trusted(np.zeros(4), mix_K, 0.5).tolist() == [0.125] * 4


def test_shrunk_speeds_keep_only_what_noise_does_not_explain() -> None:
    speed_K = np.array([0.1, 0.2, 0.3])
    assert shrunk(speed_K, np.full(3, 1e-6)).tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert shrunk(speed_K, np.full(3, 0.5)).tolist() == pytest.approx([0.2, 0.2, 0.2])


def test_slope_rule_on_identical_laws_stays_at_the_natural_loss() -> None:
    natural = goal(NULL, "mean")(train(NULL, policy_for(NULL, "natural", "mean"), seed=3))
    for target in ("mean", "prior", "worst"):
        assert goal(NULL, "mean")(train(NULL, policy_for(NULL, "slope", target), seed=3)) <= 1.001 * natural


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_slope_rule_for_the_mean_lies_between_natural_and_the_best_static_mix(scenario) -> None:  # type: ignore[no-untyped-def]
    measure = goal(scenario, "mean")
    natural = measure(train(scenario, policy_for(scenario, "natural", "mean"), seed=4))
    found = measure(train(scenario, policy_for(scenario, "slope", "mean"), seed=4))
    assert best_static(scenario, "mean") - 0.002 <= found < natural
