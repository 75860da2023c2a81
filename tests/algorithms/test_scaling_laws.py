import numpy as np
import pytest
from scipy.optimize import minimize

from algorithms.scaling_laws import PUBLISHED_BOUNDS, PUBLISHED_DELTA, fit, intervals, smoothed
from algorithms.variable_projection import Bounds, Floats
from benchmarks.ado_curves import STARTS, objective, simulated

N_T = np.linspace(1e5, 4e6, 200)


def random_laws(seed: int, noise: float, domains: int = 6) -> tuple[Floats, Floats, Floats, Floats]:
    """epsilon, the fall b at the last point, alpha [D each], and their losses [D, T] with noise and a few spikes."""
    random = np.random.default_rng(seed)
    epsilon_D, b_D = random.uniform(1.0, 3.0, domains), random.uniform(0.3, 1.5, domains)
    alpha_D = random.uniform(0.2, 0.7, domains)
    losses_DT = epsilon_D[:, None] + b_D[:, None] * (N_T / N_T[-1]) ** -alpha_D[:, None]
    losses_DT *= np.exp(noise * random.standard_normal(losses_DT.shape))
    losses_DT[:, random.integers(0, len(N_T), 3)] *= 1.5
    return epsilon_D, b_D, alpha_D, losses_DT


def test_fit_losses_without_noise_gives_the_law() -> None:
    losses_DT = np.array([2.0 + 30.0 * N_T**-0.3, 1.0 + 500.0 * N_T**-0.6])
    laws = fit(N_T, losses_DT)
    assert np.allclose(laws.epsilon_D, [2.0, 1.0], atol=1e-5)
    assert np.allclose(laws.alpha_D, [0.3, 0.6], atol=1e-5)
    assert np.allclose(laws.beta_D, [30.0, 500.0], rtol=1e-4)
    assert laws.on_bound == ((), ())
    assert np.allclose(laws.losses(8e6), [2.0 + 30.0 * 8e6**-0.3, 1.0 + 500.0 * 8e6**-0.6], atol=1e-6)


def test_fit_ten_sets_of_noisy_laws_finds_them_and_what_it_does_not_know() -> None:
    near, inside, ahead = [], [], []
    for seed in range(10):
        epsilon_D, b_D, alpha_D, losses_DT = random_laws(seed, noise=0.003)
        laws = fit(N_T, losses_DT)
        found = intervals(N_T, losses_DT, laws=laws)
        for truth_D, value_D, interval_D2 in (
            (epsilon_D, laws.epsilon_D, found.epsilon_D2),
            (alpha_D, laws.alpha_D, found.alpha_D2),
            (-alpha_D * b_D, found.slope_D, found.slope_D2),
        ):
            near.append(np.abs(value_D - truth_D) <= 0.1)
            inside.append((interval_D2[:, 0] <= truth_D) & (truth_D <= interval_D2[:, 1]))
        truth_D = epsilon_D + b_D * 2.0**-alpha_D
        ahead.append(np.abs(laws.losses(2 * N_T[-1]) - truth_D))
    assert np.mean(near) >= 0.95
    assert np.mean(inside) >= 0.9
    assert np.max(ahead) <= 0.02


def test_slope_of_noisy_laws_is_off_by_its_deviation() -> None:
    off = []
    for seed in range(20):
        _, b_D, alpha_D, losses_DT = random_laws(seed, noise=0.02)
        found = intervals(N_T, losses_DT)
        off.append((found.slope_D + alpha_D * b_D) / found.slope_std_D)
    assert 0.8 <= np.std(off) <= 1.25


def test_fit_beside_many_starts_of_lbfgs_is_as_low() -> None:
    for curve in simulated(8, seed=5):
        laws = fit(curve.n_T, curve.losses_T[None], delta=PUBLISHED_DELTA, bounds=PUBLISHED_BOUNDS)
        limits = [(None, 6.5), (0.5, None), (0.001, 0.8)]
        data = np.log(curve.n_T), np.log(curve.losses_T)
        least = min(
            minimize(objective, start, args=data, jac=True, method="L-BFGS-B", bounds=limits).fun
            for start in STARTS[::37]
        )
        assert laws.objective_D[0] <= 1.001 * least
        found = np.array([np.log(laws.beta_D[0]), np.log(laws.epsilon_D[0]), laws.alpha_D[0]])
        assert laws.objective_D[0] == pytest.approx(objective(found, *data)[0])


def test_objective_of_the_peer_has_the_gradient_it_says() -> None:
    curve = next(simulated(1, seed=2))
    at, data = np.array([2.0, 0.7, 0.3]), (np.log(curve.n_T), np.log(curve.losses_T))
    _, gradient = objective(at, *data)
    for place in range(3):
        step = 1e-6 * np.eye(3)[place]
        slope = (objective(at + step, *data)[0] - objective(at - step, *data)[0]) / 2e-6
        assert gradient[place] == pytest.approx(slope, rel=1e-3, abs=1e-6)


def test_fit_constant_curve_sits_on_betas_bound() -> None:
    laws = fit(N_T, np.full((1, len(N_T)), 5.5))
    assert "beta" in laws.on_bound[0]
    assert laws.epsilon_D[0] == pytest.approx(5.5)
    assert intervals(N_T, np.full((1, len(N_T)), 5.5)).slope_D[0] == pytest.approx(0.0, abs=1e-6)


def test_fit_rising_curve_sits_on_betas_bound() -> None:
    laws = fit(N_T, (2.0 + N_T / 1e7)[None])
    assert "beta" in laws.on_bound[0]
    assert laws.epsilon_D[0] == pytest.approx(2.2, abs=0.02)


def test_fit_law_beyond_a_bound_says_which() -> None:
    losses_1T = (1.0 + 30.0 * N_T**-0.3)[None]
    assert fit(N_T, losses_1T, bounds=Bounds(min_epsilon=1.5)).on_bound == (("epsilon",),)
    assert "alpha" in fit(N_T, losses_1T, bounds=Bounds(max_alpha=0.1)).on_bound[0]


def test_fit_points_of_no_weight_are_not_read() -> None:
    losses_2T = np.vstack((2.0 + 30.0 * N_T**-0.3, np.full(len(N_T), np.nan)))
    losses_2T[1, ::2] = losses_2T[0, ::2]
    weights_2T = np.where(np.isnan(losses_2T), 0.0, 1.0)
    assert np.allclose(fit(N_T, losses_2T, weights_2T).alpha_D, 0.3, atol=1e-4)


@pytest.mark.parametrize(
    ("tokens", "losses", "message"),
    [
        ([1, 2, 3, 4], [3.0, 2.0, float("nan"), 1.0], "domain 0: a loss or a number of tokens is not finite"),
        ([1], [3.0], "domain 0: 1 points"),
        ([1, 2, 3], [3.0, 2.0, 1.0], "domain 0: 3 points"),
        ([1, 2, 2, 4], [3.0, 2.0, 1.5, 1.0], "domain 0: the tokens do not increase"),
        ([0, 1, 2, 4], [3.0, 2.0, 1.5, 1.0], "domain 0: 0 tokens at the first point"),
        ([1, 2, 3, 4], [3.0, 2.0, 0.0, 1.0], "domain 0: a loss of 0"),
    ],
)
def test_fit_bad_curve_is_refused(tokens: list[float], losses: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(np.array(tokens, dtype=float), np.array([losses]))


def test_fit_four_points_of_a_law_gives_it_and_wide_intervals() -> None:
    n_T = np.array([1e5, 2e5, 4e5, 8e5])
    losses_1T = (2.0 + 30.0 * n_T**-0.3)[None] * np.array([1.003, 0.997, 1.002, 0.999])
    found = intervals(n_T, losses_1T)
    assert found.slope_D2[0, 0] < -0.3 * 30.0 * 8e5**-0.3 < found.slope_D2[0, 1]
    assert found.epsilon_D2[0, 0] < 2.0 < found.epsilon_D2[0, 1]


def test_fit_of_an_average_corrected_for_its_start_gives_the_law_and_without_does_not() -> None:
    losses_1T = (2.0 + 30.0 * N_T**-0.3)[None]
    n_1T = np.exp(smoothed(np.log(N_T)[None], 0.95))
    corrected = fit(n_1T, smoothed(losses_1T, 0.95))
    from_the_start = losses_1T.copy()
    for place in range(1, len(N_T)):
        from_the_start[0, place] = 0.95 * from_the_start[0, place - 1] + 0.05 * losses_1T[0, place]
    assert corrected.alpha_D[0] == pytest.approx(0.3, abs=0.02)
    assert abs(fit(N_T, from_the_start).alpha_D[0] - 0.3) > 0.04


def test_smoothed_decay_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="a decay of 1"):
        smoothed(np.ones((1, 3)), 1.0)
