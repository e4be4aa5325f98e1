"""Expected risks against simulation and full sums, and the best filter against brute force and its theorem."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import zeta

from afp_utils.core.measures import feature_error_measure
from afp_utils.sequence import flows, rates


def mean_risk(truth, eigenvalues, noise, times, depth=0, b0=1.0):
    """Mean of (theta - truth)^2 over the noise, by time and coordinate: 601 even steps over 15 standard deviations."""
    x = np.arange(-300, 301) / 20
    weight = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()
    z = np.add.outer(truth, np.sqrt(noise) * x)
    path = flows.gradient_flow(z.ravel(), np.repeat(eigenvalues, len(x)), times, depth=depth, b0=b0)
    return np.array([(at.theta.reshape(z.shape) - truth[:, None]) ** 2 @ weight for at in path.states])


@pytest.mark.parametrize(("depth", "b0", "q"), [(0, 1.0, 2.0), (1, 0.3, 1.5)])
def test_expected_risk_is_the_sum_over_all_coordinates(depth, b0, q):
    law, n = rates.PowerLaw(p=1.0, q=q, gamma=2.0, size=600.0), 500.0
    times = np.array([0.7, 2.0]) * np.sqrt(n) / b0**depth
    truth, eigenvalues = flows.signal(1.0, q, 600), np.arange(1.0, 601) ** -2.0
    every = mean_risk(truth, eigenvalues, 1 / n, times, depth, b0).sum(axis=1)
    np.testing.assert_allclose(rates.expected_risk(law, 1 / n, times, depth=depth, b0=b0), every, rtol=1e-3)


def by_brute_force(law, n, c, signals, noises=1e13):
    """The same sum written again: 3000 terms one by one, then eight Gauss nodes in every fifth of log j."""

    def mean(truth, eigenvalues):
        return mean_risk(truth, eigenvalues, 1 / n, np.array([c * np.sqrt(n)]))[0]

    def total(terms, last):
        head = np.arange(1.0, 3001)
        edges = np.linspace(np.log(3000.5), np.log(last + 0.5), int(5 * np.log(last / 3000)) + 1)
        node, gauss = np.polynomial.legendre.leggauss(8)
        half = np.diff(edges)[:, None] / 2
        j = np.exp(edges[:-1, None] + half * (node + 1))
        return terms(head).sum() + (terms(j.ravel()).reshape(j.shape) * j * half * gauss).sum()

    def changed(j):
        position = np.where(j <= 3000, np.floor(j**law.q + 0.5), j**law.q)
        truth, eigenvalues = j ** (-(law.p + 1) / 2), position**-law.gamma
        return mean(truth, eigenvalues) - mean(0 * j, eigenvalues)

    noise = total(lambda k: mean(0 * k, k**-law.gamma), noises)
    return noise + total(changed, signals) + zeta(law.p + 1, signals + 1)


@pytest.mark.parametrize(
    ("p", "q", "gamma", "c"), [(1.0, 2.0, 2.0, 1.5), (1.0, 2.0, 3.0, 2.0), (0.6, 1.0, 2.0, 1.5), (3.0, 2.0, 1.5, 1.0)]
)
@pytest.mark.parametrize("n", [1e4, 5e7, 1e10, 1e12, 1e14])
def test_expected_risk_keeps_its_promise_up_to_very_many_samples(p, q, gamma, c, n):
    law = rates.PowerLaw(p, q, gamma)
    got = rates.expected_risk(law, 1 / n, np.array([c * np.sqrt(n)]))[0]
    assert got == pytest.approx(by_brute_force(law, n, c, np.floor(1e3 * n ** (1 / (p + 1)))), rel=1e-3)


@pytest.mark.parametrize("n", [1e4, 1e12])
def test_expected_risk_does_not_hang_on_the_place_of_its_nodes(n, monkeypatch):
    law, b0 = rates.PowerLaw(1.0, 2.0, 2.0), n**-0.125
    times = np.array([1.5]) * np.sqrt(n) / b0**2
    got = rates.expected_risk(law, 1 / n, times, depth=2, b0=b0)
    monkeypatch.setattr(rates, "HEAD", 64)
    monkeypatch.setattr(rates, "PANEL", 1.7)
    np.testing.assert_allclose(rates.expected_risk(law, 1 / n, times, depth=2, b0=b0), got, rtol=3e-4)


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1.0, 1e6])
def test_vanilla_risk_keeps_its_promise_up_to_very_many_samples(scale):
    law, noise = rates.PowerLaw(p=1.0, q=2.0, gamma=1.5), 1e-14
    t = scale * 1e14 ** (law.q * law.gamma / (law.p + law.q))
    k, j = np.arange(1.0, 3001), np.arange(1.0, 3001)

    def tail(terms, a, b):
        pieces = np.geomspace(a, b, 400)
        return sum(quad(terms, low, high)[0] for low, high in itertools.pairwise(pieces))

    def cost(k):
        return noise * np.expm1(-t * k**-1.5) ** 2

    def missed(j):
        return np.exp(-2 * t * j**-3.0) / j**2

    expected = cost(k).sum() + tail(cost, 3000.5, 1e16)
    expected += missed(j).sum() + tail(missed, 3000.5, 1e16) + 1e-16
    assert rates.vanilla_risk(law, noise, np.array([t]))[0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_b_starts_at_one_unless_told_otherwise(depth):
    law, times = rates.PowerLaw(1.0, 2.0, 2.0, size=50.0), np.array([3.0])
    np.testing.assert_array_equal(
        rates.expected_risk(law, 1e-2, times, depth=depth), rates.expected_risk(law, 1e-2, times, depth=depth, b0=1.0)
    )


@pytest.mark.parametrize("size", [1.0, 2.0, 31.0, 32.0, 33.0, 34.0, 70.0])
def test_expected_risk_of_a_few_coordinates_is_their_plain_sum(size):
    law, times = rates.PowerLaw(p=1.0, q=1.0, gamma=1.5, size=size), np.array([20.0])
    j = np.arange(1.0, size + 1)
    every = mean_risk(1 / j, j**-1.5, 1e-2, times).sum()
    assert rates.expected_risk(law, 1e-2, times)[0] == pytest.approx(every, rel=1e-5)
    plain = (np.exp(-2 * 20 * j**-1.5) / j**2 + 1e-2 * np.expm1(-20 * j**-1.5) ** 2).sum()
    assert rates.vanilla_risk(law, 1e-2, times)[0] == pytest.approx(plain, rel=1e-5)


def test_expected_risk_agrees_with_simulation():
    law, n, times = rates.PowerLaw(p=1.0, q=2.0, gamma=1.5, size=4000.0), 2000.0, np.array([60.0])
    truth, eigenvalues = flows.signal(1.0, 2.0, 4000), np.arange(1.0, 4001) ** -1.5
    found = []
    for rng in np.random.default_rng(1).spawn(60):
        z = truth + rng.normal(size=4000) / np.sqrt(n)
        found.append(flows.gradient_flow(z, eigenvalues, times, truth=truth).risk[0])
    error = np.std(found) / np.sqrt(len(found))
    assert abs(rates.expected_risk(law, 1 / n, times)[0] - np.mean(found)) < 4 * error < 0.1 * np.mean(found)


def test_vanilla_risk_is_the_sum_over_all_coordinates():
    law, times = rates.PowerLaw(p=1.0, q=2.0, gamma=1.5, size=30_000.0), np.array([10.0, 300.0, 1e5])
    truth, eigenvalues = flows.signal(1.0, 2.0, 30_000), np.arange(1.0, 30_001) ** -1.5
    missing = np.exp(-np.outer(times, eigenvalues))
    every = (missing**2 * truth**2 + 1e-3 * (1 - missing) ** 2).sum(axis=1)
    np.testing.assert_allclose(rates.vanilla_risk(law, 1e-3, times), every, rtol=1e-4)


def test_infinite_size_is_the_limit_of_large_sizes_and_adds_the_tail():
    times = np.array([100.0])
    law = {"p": 1.0, "q": 2.0, "gamma": 2.0}
    full = rates.expected_risk(rates.PowerLaw(**law), 1e-4, times)[0]
    tail = 1 / 100.5  # sum over j > 100 of j^-2
    cut = [rates.expected_risk(rates.PowerLaw(**law, size=size), 1e-4, times)[0] for size in (1e4, 1e8)]
    assert full - cut[0] == pytest.approx(tail, rel=1e-3)
    assert full - cut[1] == pytest.approx(1e-4, rel=2e-2)


def test_risk_at_the_start_is_the_energy_of_the_target():
    zero = np.array([0.0])
    assert rates.expected_risk(rates.PowerLaw(1.0, 2.0, 2.0), 1e-3, zero)[0] == pytest.approx(np.pi**2 / 6)
    assert rates.vanilla_risk(rates.PowerLaw(3.0, 1.0, 2.0), 1e-3, zero)[0] == pytest.approx(np.pi**4 / 90)
    truth = flows.signal(1.0, 1.7, 50)
    got = rates.vanilla_risk(rates.PowerLaw(1.0, 1.7, 2.0, size=50.0), 1e-3, zero)[0]
    assert got == pytest.approx((truth**2).sum(), rel=1e-12)
    for q, size in ((1.0, 5), (2.0, 24), (2.0, 25), (1.5, 8), (1.5, 7)):
        got = rates.vanilla_risk(rates.PowerLaw(1.0, q, 2.0, size=float(size)), 1e-3, zero)[0]
        assert got == pytest.approx((flows.signal(1.0, q, size) ** 2).sum(), rel=1e-12)


def test_ideal_risk_by_hand():
    assert rates.ideal_risk(np.array([0.1, -1.0, 0.05, 0.5]), 0.04) == pytest.approx(0.0925)


def test_best_filter_by_hand():
    assert rates.monotone_risk(np.ones(1), np.array([0.3]), 0.09) == pytest.approx(0.045)
    # in the right order each coordinate gets its own best weight, sum of t^2 e^2 / (t^2 + e^2)
    assert rates.monotone_risk(np.array([2.0, 1.0]), np.array([2.0, 1.0]), 1.0) == pytest.approx(0.8 + 0.5)
    # in the wrong order they share one: 5 / 7 of the energy weighs in, 5 * 2 / 7
    assert rates.monotone_risk(np.array([1.0, 2.0]), np.array([2.0, 1.0]), 1.0) == pytest.approx(10 / 7)
    assert rates.monotone_risk(np.array([1.0, 1.0]), np.array([2.0, 1.0]), 1.0) == pytest.approx(10 / 7)
    assert rates.monotone_risk(np.array([1.0, 0.0]), np.array([1.0, 2.0]), 1.0) == pytest.approx(0.5 + 4.0)


def test_best_filter_agrees_with_a_general_optimiser():
    rng, noise = np.random.default_rng(2), 0.4
    for _ in range(5):
        truth = rng.normal(size=6)
        steps = [{"type": "ineq", "fun": lambda h, i=i: h[i] - h[i + 1]} for i in range(5)]
        found = minimize(
            lambda h, truth=truth: ((1 - h) ** 2 * truth**2 + noise * h**2).sum(),
            np.linspace(0.9, 0.1, 6),
            constraints=steps,
            bounds=[(0, 1)] * 6,
            options={"ftol": 1e-12},
        )
        assert rates.monotone_risk(np.arange(6.0, 0, -1), truth, noise) == pytest.approx(found.fun, rel=1e-6)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.floats(-10, 10)), min_size=1, max_size=12), st.floats(0.01, 10))
def test_best_filter_lies_between_half_the_fem_and_the_fem(features, noise):
    eigenvalues, truth = np.array(features).T
    best, cut = rates.monotone_risk(eigenvalues, truth, noise), feature_error_measure(eigenvalues, truth, noise)
    assert cut / 2 * (1 - 1e-12) <= best <= cut * (1 + 1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"p": 0.0}, "p must be positive"), ({"q": 0.9}, "q must be at least 1, got 0.9"), ({"gamma": 0.5}, "gamma must be"),
     ({"size": 0.0}, "size must be at least 1"), ({"q": np.nan}, "q must be at least 1, got nan")],
)  # fmt: skip
def test_bad_laws_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        rates.PowerLaw(**{"p": 1.0, "q": 2.0, "gamma": 2.0} | change)


def test_bad_values_are_refused():
    law, one = rates.PowerLaw(1.0, 2.0, 2.0), np.ones(1)
    with pytest.raises(ValueError, match="noise must be non-negative"):
        rates.expected_risk(law, -1.0, one)
    with pytest.raises(ValueError, match="noise must be non-negative"):
        rates.vanilla_risk(law, -1.0, one)
    with pytest.raises(ValueError, match="times must be strictly increasing"):
        rates.vanilla_risk(law, 1.0, np.array([1.0, 0.5]))
    with pytest.raises(ValueError, match="times must be non-negative"):
        rates.vanilla_risk(law, 1.0, -one)
    with pytest.raises(ValueError, match="noise must be positive"):
        rates.monotone_risk(one, one, 0.0)
    with pytest.raises(ValueError, match="eigenvalues must be non-negative"):
        rates.monotone_risk(-one, one, 1.0)
    with pytest.raises(ValueError, match="truth must be finite"):
        rates.ideal_risk(one * np.nan, 1.0)


def noise_sum(gamma, noise, t):
    """Risk of the two-layer flow on pure noise by a finer and wider double sum, up to 1e36 coordinates."""
    x = np.linspace(-30, 30, 1201)
    weight = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()
    head, (node, gauss) = np.arange(1.0, 33), np.polynomial.legendre.leggauss(250)
    width = np.log(1e36 / 32.5) / 2
    tail = 32.5 * np.exp(width * (node + 1))
    k, count = np.append(head, tail), np.append(np.ones(32), gauss * width * tail)
    z, eigenvalues = np.tile(np.sqrt(noise) * x, len(k)), np.repeat(k**-gamma, len(x))
    theta = flows.gradient_flow(z, eigenvalues, np.array([t])).states[0].theta
    return count @ (theta.reshape(len(k), -1) ** 2 @ weight)


@pytest.mark.parametrize(("gamma", "c"), [(1.1, 2.0), (1.1, 2.5), (1.5, 3.5)])
def test_expected_risk_at_late_times_reaches_far_out(gamma, c):
    law = rates.PowerLaw(p=3.0, q=2.0, gamma=gamma)
    got = rates.expected_risk(law, 1e-4, np.array([c * 100]))[0]
    assert got == pytest.approx(noise_sum(gamma, 1e-4, c * 100), rel=0.01)  # the signal is far below 1 % of this


def test_vanilla_risk_at_late_times_reaches_far_out():
    # sum over k of (1 - e^(-t / k))^2, close to t times the integral of (1 - e^(-1/x))^2, which is 2 ln 2
    got = rates.vanilla_risk(rates.PowerLaw(p=1.0, q=2.0, gamma=1.0), 1e-6, np.array([1e12, 1e20]))
    np.testing.assert_allclose(got, 2e-6 * np.log(2) * np.array([1e12, 1e20]), rtol=1e-3)


def test_risks_at_times_too_late_are_refused():
    law = rates.PowerLaw(p=3.0, q=2.0, gamma=1.1)
    with pytest.raises(ValueError, match=r"times must be early enough for a mean to 1%, got 900\.0"):
        rates.expected_risk(law, 1e-4, np.array([100.0, 900.0]))
    with pytest.raises(ValueError, match=r"times must be early enough for a mean to 1%, got 1e\+100"):
        rates.vanilla_risk(rates.PowerLaw(1.0, 2.0, 1.0), 1e-6, np.array([1.0, 1e100]))


def test_integers_and_lists_mean_what_floats_mean():
    law, whole = rates.PowerLaw(1.0, 2.0, 2.0, size=30.0), rates.PowerLaw(1, np.int64(2), np.float32(2), size=30)
    assert law == whole
    for risk in (rates.expected_risk, rates.vanilla_risk):
        np.testing.assert_array_equal(risk(whole, np.float32(0.25), [1, 3]), risk(law, 0.25, np.array([1.0, 3.0])))
    got = rates.expected_risk(law, 1, [2], depth=np.int64(1), b0=2)
    np.testing.assert_array_equal(got, rates.expected_risk(law, 1.0, np.array([2.0]), depth=1, b0=2.0))
    truth, eigenvalues = np.array([2.0, 1.0]), np.array([1.0, 3.0])
    assert rates.ideal_risk([2, 1], 2) == rates.ideal_risk(truth, 2.0)
    assert rates.monotone_risk((1, 3), [2, 1], np.int8(2)) == rates.monotone_risk(eigenvalues, truth, 2.0)
