"""The over-parameterised sequence model: both solutions against a stiff solver, laws, the protocol, refusals."""

import itertools
import time

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad, solve_ivp
from scipy.optimize import brentq

from afp_utils.core.measures import feature_error_measure, fem, ntk_drift
from afp_utils.core.models import Model, Probe, observe, white
from afp_utils.sequence import flows

DEPTHS = (0, 1, 2, 3)


def solved(z, eigenvalue, times, depth, b0):
    """The factors a, b, beta by a stiff solver on the full flow, written out again here."""

    def flow(_, y):
        a, b, beta = y
        r = z - a * b**depth * beta
        return [b**depth * beta * r, depth * a * b ** max(depth - 1, 0) * beta * r, a * b**depth * r]

    start = [np.sqrt(eigenvalue), b0, 0.0]
    return solve_ivp(flow, (0, times[-1]), start, method="LSODA", t_eval=times, rtol=1e-11, atol=1e-14).y


def one(z, eigenvalue, t, depth=0, b0=1.0):
    """State of a single coordinate at a single time."""
    path = flows.gradient_flow(np.array([z]), np.array([eigenvalue]), np.array([t]), depth=depth, b0=b0)
    return path.states[0]


# ---- known answers ----


@pytest.mark.parametrize(
    ("eigenvalue", "z", "t", "theta", "feature"),
    [(0.01, 0.5, 10.0, 0.49554699, 0.50057221), (0.2, -0.3, 5.0, -0.24838246, 0.36775706)],
)
def test_closed_form_has_the_reference_values(eigenvalue, z, t, theta, feature):
    state = one(z, eigenvalue, t)
    np.testing.assert_allclose([state.theta[0], state.eigenvalues[0]], [theta, feature], rtol=3e-8)


@pytest.mark.parametrize(
    ("depth", "eigenvalue", "z", "b0", "t", "theta", "factor"),
    [
        (1, 0.01, 0.5, 0.3, 12.0, 0.058665, 0.167687),
        (2, 0.05, 0.8, 0.4, 12.0, 0.799997, 1.049705),
        (3, 0.01, 0.6, 0.5, 20.0, 0.115760, 0.280845),
    ],
)
def test_deep_flow_has_the_reference_values(depth, eigenvalue, z, b0, t, theta, factor):
    state = one(z, eigenvalue, t, depth, b0)
    np.testing.assert_allclose([state.theta[0], state.eigenvalues[0] ** 0.5], [theta, factor], rtol=2e-5)


@pytest.mark.parametrize(("depth", "tolerance"), [(0, 1e-6), (1, 1e-4), (2, 1e-4), (3, 1e-4)])
def test_flow_agrees_with_a_stiff_solver(depth, tolerance):
    rng = np.random.default_rng(depth)
    for _ in range(30):
        eigenvalue, z, b0 = 10 ** rng.uniform([-6, -3, -1.5], [0.5, 0.6, 0.3])
        z *= rng.choice([-1, 1])
        times = 10 ** rng.uniform(-1, 3.5) * np.array([0.03, 0.3, 0.7, 1.0])
        expected = solved(z, eigenvalue, times, depth, b0)
        path = flows.gradient_flow(np.array([z]), np.array([eigenvalue]), times, depth=depth, b0=b0)
        got = np.array([[state.a[0], state.b[0], state.beta[0]] for state in path.states]).T
        np.testing.assert_allclose(got, expected, rtol=tolerance)
        theta = np.array([state.theta[0] for state in path.states])
        np.testing.assert_allclose(theta, expected[0] * expected[1] ** depth * expected[2], rtol=tolerance)


def test_vanilla_flow_agrees_with_a_solver():
    z, eigenvalues = np.array([1.5, -0.4, 0.0]), np.array([0.8, 0.05, 2.0])
    path = flows.vanilla_flow(z, eigenvalues, np.array([0.3, 7.0]))
    expected = solve_ivp(lambda _, y: eigenvalues * (z - y), (0, 7), 0 * z, t_eval=[0.3, 7], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose([state.theta for state in path.states], expected.y.T, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(path.states[1].a * path.states[1].beta, path.states[1].theta, rtol=1e-15)


def test_closed_form_is_exact_to_rounding_in_every_corner():
    digits = mpmath.MPContext()
    digits.dps = 700
    for eigenvalue, z, t in itertools.product(
        (1e-300, 1e-30, 1e-8, 0.3, 1e4), (1e-12, 0.02, 1.7, 1e3), (1e-9, 0.4, 40.0)
    ):
        lam, signal, time = map(digits.mpf, (eigenvalue, z, t))
        rate = digits.sqrt(lam**2 + 4 * signal**2)
        fade = digits.exp(-rate * time)
        y = 1 + 4 * signal * (1 - fade) / (rate + lam - 2 * signal + (rate - lam + 2 * signal) * fade)
        state = one(z, eigenvalue, t)
        assert state.theta[0] == pytest.approx(float(lam * (y - 1 / y) / 4), rel=1e-13)
        assert state.eigenvalues[0] == pytest.approx(float(lam * (y + 1) ** 2 / (4 * y)), rel=1e-13)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("b0", [1e-4, 0.03, 1.0, 20.0])
@pytest.mark.parametrize("eigenvalue", [1e-12, 1e-4, 1.0, 100.0])
def test_deep_flow_is_that_of_a_time_off_by_the_stated_error(depth, b0, eigenvalue):
    z = 0.9

    def factor(s):
        return np.sqrt(eigenvalue + s**2) * (b0**2 + depth * s**2) ** (depth / 2)

    def reached(beta):
        nodes = np.append(0.0, np.geomspace(1e-6 * min(beta, b0, eigenvalue**0.5), beta, 60))
        return sum(
            quad(lambda s: 1 / (factor(s) * (z - factor(s) * s)), *piece, epsrel=1e-11)[0]
            for piece in itertools.pairwise(nodes)
        )

    end = np.exp(brentq(lambda x: x + np.log(factor(np.exp(x)) / z), -60, 5, xtol=1e-14))
    times = np.unique([reached(share * end) for share in (1e-9, 1e-4, 0.03, 0.3, 0.5, 0.8, 0.97)])
    path = flows.gradient_flow(np.array([z]), np.array([eigenvalue]), times, depth=depth, b0=b0)
    for t, state in zip(path.time, path.states):
        assert reached(state.beta[0]) == pytest.approx(t, rel=1e-5)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_halving_the_panels_shows_the_stated_error_and_no_more(depth, monkeypatch):
    z, eigenvalues = np.array([0.03, 0.4, 2.0]), np.array([1e-6, 0.01, 0.5])
    times = np.geomspace(1.0, 3e4, 40)
    coarse = flows.gradient_flow(z, eigenvalues, times, depth=depth, b0=0.1)
    monkeypatch.setattr(flows, "PANEL", flows.PANEL / 8)
    fine = flows.gradient_flow(z, eigenvalues, times, depth=depth, b0=0.1)
    off = max(np.abs(a.theta / b.theta - 1).max() for a, b in zip(coarse.states, fine.states))
    assert 1e-9 < off < 3e-5


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_newtons_steps_have_converged(depth, monkeypatch):
    z, eigenvalues, times = np.array([0.8, 0.1]), np.array([1e-5, 0.2]), np.geomspace(0.1, 3e4, 300)
    found = {}
    for steps in (1, flows.NEWTON, 12):
        monkeypatch.setattr(flows, "NEWTON", steps)
        path = flows.gradient_flow(z, eigenvalues, times, depth=depth, b0=0.1)
        found[steps] = np.stack([state.theta for state in path.states])
    np.testing.assert_allclose(found[4], found[12], rtol=1e-12)
    assert np.abs(found[1] / found[12] - 1).max() > 1e-9


def test_half_time_is_exact_over_the_range_of_doubles():
    digits = mpmath.MPContext()
    digits.dps = 500
    for eigenvalue, z in itertools.product((1e-200, 1e-12, 0.7, 1e5), (1e-6, 0.3, 50.0)):
        lam, signal = digits.mpf(eigenvalue), digits.mpf(z)
        rate, grown = digits.sqrt(lam**2 + 4 * signal**2), digits.exp(digits.asinh(signal / lam)) - 1
        rest, fading = rate + lam - 2 * signal, rate - lam + 2 * signal
        expected = digits.log((4 * signal + grown * fading) / (4 * signal - grown * rest)) / rate
        got = flows.half_time(np.array([z]), np.array([eigenvalue]))[0]
        assert got == pytest.approx(float(expected), rel=1e-11)


# ---- laws ----


@settings(max_examples=60, deadline=None)
@given(
    z=st.floats(-4, 4).filter(lambda z: abs(z) > 1e-3),
    log_eigenvalue=st.floats(-12, 1),
    log_t=st.floats(-2, 6),
    depth=st.sampled_from(DEPTHS),
    b0=st.floats(0.02, 2),
)
def test_conserved_quantities_signs_and_bounds(z, log_eigenvalue, log_t, depth, b0):
    eigenvalue = 10**log_eigenvalue
    state = one(z, eigenvalue, 10**log_t, depth, b0)
    a, b, beta, theta = (float(value[0]) for value in (state.a, state.b, state.beta, state.theta))
    assert a**2 - beta**2 == pytest.approx(eigenvalue, rel=1e-9, abs=1e-12 * a**2)
    assert b**2 - depth * beta**2 == pytest.approx(b0**2, rel=1e-9, abs=1e-12 * b**2)
    assert np.sign(theta) == np.sign(z)
    assert abs(theta) <= abs(z) * (1 + 1e-12)
    assert state.eigenvalues[0] >= eigenvalue * b0 ** (2 * depth) * (1 - 1e-12)


@settings(max_examples=40, deadline=None)
@given(z=st.floats(1e-3, 4), log_eigenvalue=st.floats(-8, 1), t=st.floats(0.01, 200))
def test_closed_form_lies_in_the_sandwich_of_lemma_d1(z, log_eigenvalue, t):
    eigenvalue = 10**log_eigenvalue

    def bound(t):
        clock = (2 * z + eigenvalue) * t
        return eigenvalue * z * -np.expm1(-clock) / (2 * z * np.exp(-clock) + eigenvalue)

    theta = one(z, eigenvalue, t).theta[0]
    assert bound(t / np.sqrt(2)) * (1 - 1e-9) <= theta <= bound(t) * (1 + 1e-9)


@pytest.mark.parametrize("depth", DEPTHS)
def test_flow_has_no_preferred_sign_and_no_preferred_order(depth):
    rng = np.random.default_rng(3)
    z, eigenvalues, times = rng.normal(size=7), rng.uniform(0.01, 1, 7), np.array([0.5, 4.0])
    path = flows.gradient_flow(z, eigenvalues, times, depth=depth, b0=0.4)
    mirrored = flows.gradient_flow(-z, eigenvalues, times, depth=depth, b0=0.4)
    turned = flows.gradient_flow(z[::-1].copy(), eigenvalues[::-1].copy(), times, depth=depth, b0=0.4)
    for one, other, back in zip(path.states, mirrored.states, turned.states):
        np.testing.assert_array_equal(one.theta, -other.theta)
        np.testing.assert_array_equal(one.eigenvalues, other.eigenvalues)
        np.testing.assert_allclose(one.theta, back.theta[::-1], rtol=1e-6)


@pytest.mark.parametrize("depth", DEPTHS)
def test_all_times_at_once_equal_one_call_per_time(depth):
    z, eigenvalues = np.array([0.7, -1.2, 0.05]), np.array([0.3, 0.01, 0.001])
    times = np.array([0.0, 0.2, 3.0, 50.0, 1e4])
    path = flows.gradient_flow(z, eigenvalues, times, depth=depth, b0=0.5)
    for t, state in zip(times, path.states):
        alone = flows.gradient_flow(z, eigenvalues, np.array([t]), depth=depth, b0=0.5).states[0]
        np.testing.assert_array_equal(alone.theta, state.theta)


@pytest.mark.parametrize("depth", DEPTHS)
def test_start_end_and_coordinates_that_never_move(depth):
    z, eigenvalues = np.array([0.0, -1.3, 0.8, 0.0, 1e-8]), np.array([0.5, 0.2, 0.0, 0.0, 1.0])
    times = np.array([0.0, 1e-12, 5.0, 1e9, 1e300])
    path = flows.gradient_flow(z, eigenvalues, times, depth=depth, b0=0.6)
    start, soon, *_, end = path.states
    np.testing.assert_array_equal(start.theta, np.zeros(5))
    np.testing.assert_allclose(start.eigenvalues, eigenvalues * 0.6 ** (2 * depth), rtol=1e-14)
    np.testing.assert_allclose(soon.theta, eigenvalues * 0.6 ** (2 * depth) * z * 1e-12, rtol=1e-9)
    np.testing.assert_allclose(end.theta, [0.0, -1.3, 0.0, 0.0, 1e-8], rtol=1e-9)
    assert path.risk[0] == pytest.approx((z**2).sum())
    assert path.risk[-1] == pytest.approx(0.8**2)


@pytest.mark.parametrize("depth", DEPTHS)
def test_extreme_scales_stay_finite_and_silent(depth):
    z, eigenvalues = np.array([1e-9, 30.0, 1e-3, 5.0]), np.array([1e-9, 1e-14, 40.0, 1e-3])
    with np.errstate(all="raise", under="ignore"):
        path = flows.gradient_flow(z, eigenvalues, np.array([1e-6, 1.0, 1e5]), depth=depth, b0=1e-3)
    assert all(
        np.isfinite(state.theta).all() and (np.abs(state.theta) <= z * (1 + 1e-9)).all() for state in path.states
    )


def test_risk_is_the_distance_to_the_truth_and_by_default_to_the_data():
    z, eigenvalues, times = np.array([1.0, -0.5]), np.array([0.3, 0.2]), np.array([2.0])
    truth = np.array([0.9, 0.1])
    path = flows.gradient_flow(z, eigenvalues, times, truth=truth)
    theta = path.states[0].theta
    assert path.risk[0] == pytest.approx(((theta - truth) ** 2).sum())
    assert flows.gradient_flow(z, eigenvalues, times).risk[0] == pytest.approx(((theta - z) ** 2).sum())
    fixed = flows.vanilla_flow(z, eigenvalues, times, truth=truth)
    assert fixed.risk[0] == pytest.approx(((fixed.states[0].theta - truth) ** 2).sum())


def test_half_time_is_when_half_is_reached():
    z, eigenvalues = np.array([0.5, -0.5, 2.0, 0.01]), np.array([0.01, 1e-4, 0.7, 3.0])
    at = flows.half_time(z, eigenvalues)
    for i, t in enumerate(at):
        assert one(z[i], eigenvalues[i], t).theta[0] == pytest.approx(z[i] / 2, rel=1e-10)
    np.testing.assert_allclose(at[:2], [5.2883, 9.90339], atol=5e-5)


@pytest.mark.parametrize("depth", DEPTHS)
def test_eigenvalue_law_is_the_limit_of_a_small_start(depth):
    z = np.array([-1.7, 0.2, 0.9])
    path = flows.gradient_flow(z, np.full(3, 1e-10), np.array([1e30]), depth=depth, b0=1e-4)
    np.testing.assert_allclose(path.states[0].eigenvalues ** 0.5, flows.eigenvalue_law(z, depth), rtol=1e-5)


def test_eigenvalue_law_by_hand():
    np.testing.assert_allclose(flows.eigenvalue_law(np.array([-4.0]), 0), [2.0])
    np.testing.assert_allclose(flows.eigenvalue_law(np.array([8.0]), 1), [4.0])
    np.testing.assert_allclose(flows.eigenvalue_law(np.array([16.0]), 2), [8.0 * 2**0.25])
    np.testing.assert_allclose(flows.eigenvalue_law(np.ones(1), 3), [1.3904], rtol=1e-4)


# ---- the protocol ----


@pytest.mark.parametrize("depth", DEPTHS)
def test_tangent_is_the_kernel_of_the_parameter_gradients(depth):
    state = one(0.8, 0.3, 2.0, depth, 0.7)
    factors = np.array([state.a[0], state.b[0], state.beta[0]])
    h, slopes = 1e-6, []
    for step in np.eye(3) * h:
        (a, b, beta), (a2, b2, beta2) = factors + step, factors - step
        slopes.append((a * b**depth * beta - a2 * b2**depth * beta2) / (2 * h))
    x = np.array([[1.5], [-2.0]])
    np.testing.assert_allclose(state.tangent(x), np.sum(np.square(slopes)) * x @ x.T, rtol=1e-8)
    np.testing.assert_allclose(state.gram(x), slopes[2] ** 2 * x @ x.T, rtol=1e-8)
    lazy = flows.vanilla_flow(np.array([0.8]), np.array([0.3]), np.array([2.0])).states[0]
    np.testing.assert_allclose(lazy.tangent(x), 0.3 * x @ x.T, rtol=1e-14)
    assert state.tangent(x)[0, 0] > 0 > state.tangent(x)[0, 1]


def test_states_answer_the_protocol_and_gradient_is_that_of_predict():
    rng = np.random.default_rng(5)
    z, eigenvalues, times = rng.normal(size=3), rng.uniform(0.1, 1, 3), np.array([0.0, 1.0])
    x = rng.normal(size=(4, 3))
    for path in (flows.gradient_flow(z, eigenvalues, times, depth=2), flows.vanilla_flow(z, eigenvalues, times)):
        state = path.states[1]
        assert isinstance(state, Model)
        np.testing.assert_allclose(state.predict(x), x @ state.theta)
        shift = np.array([1e-6, 0, 0])
        slope = (state.predict(x + shift) - state.predict(x - shift)) / 2e-6
        np.testing.assert_allclose(state.gradient(x)[:, 0], slope, rtol=1e-6)


def test_only_the_adaptive_flow_moves_its_kernel():
    rng = np.random.default_rng(6)
    x = white(rng.normal(size=(9, 3)))
    z, eigenvalues, times = np.array([0.1, -1.0, 0.5]), np.array([1.0, 0.1, 0.01]), np.array([0.0, 2.0, 20.0])
    probe = Probe(x=x, target=x @ z, target_gradient=np.tile(z, (9, 1)), noise=0.02)
    lazy = observe([flows.vanilla_flow(z, eigenvalues, times)], probe)
    rich = observe([flows.gradient_flow(z, eigenvalues, times)], probe)
    np.testing.assert_allclose(ntk_drift(lazy), np.zeros((1, 3)), atol=1e-12)
    assert (np.diff(ntk_drift(rich)[0]) > 0.01).all()
    np.testing.assert_array_equal(lazy.gram, lazy.tangent)
    path = flows.gradient_flow(z, eigenvalues, times)
    by_hand = [feature_error_measure(state.eigenvalues, z, 0.02) for state in path.states]
    np.testing.assert_allclose(fem(rich)[0], by_hand, rtol=1e-9)


# ---- the truth class ----


def test_signal_by_hand():
    theta = flows.signal(1.0, 1.5, 9)
    np.testing.assert_allclose(theta, [1, 0, 1 / 2, 0, 1 / 3, 0, 0, 1 / 4, 0])
    np.testing.assert_allclose(flows.signal(3.0, 1.0, 3), [1, 1 / 4, 1 / 9])


@given(p=st.floats(0.3, 4), q=st.floats(1, 3), size=st.integers(1, 500))
def test_signal_counts_and_decays_as_its_class(p, q, size):
    theta = flows.signal(p, q, size)
    j = np.arange(1, np.count_nonzero(theta) + 1)
    np.testing.assert_allclose(theta[theta != 0], j ** (-(p + 1) / 2))
    assert np.flatnonzero(theta)[-1] == np.floor(j[-1] ** q + 0.5) - 1
    assert np.floor((j[-1] + 1.0) ** q + 0.5) > size


# ---- speed and refusals ----


@pytest.mark.parametrize("depth", [1, 3])
def test_many_coordinates_and_times_are_quick(depth):
    z = 0.1 * np.random.default_rng(0).normal(size=20_000)
    start = time.process_time()
    flows.gradient_flow(z, np.arange(1.0, 20_001) ** -2, np.linspace(0, 500, 50), depth=depth, b0=0.1)
    assert time.process_time() - start < 3


GOOD = {"z": np.array([1.0, -0.5]), "eigenvalues": np.array([0.3, 0.2]), "times": np.array([0.0, 1.0])}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"z": np.array([1.0, np.nan])}, "z must be finite, got nan at index 1"),
        ({"eigenvalues": np.array([0.3, -0.2])}, "eigenvalues must be non-negative and finite, got -0.2 at index 1"),
        ({"eigenvalues": np.array([np.inf, 0.2])}, "eigenvalues must be non-negative and finite, got inf"),
        ({"times": np.array([-1.0, 1.0])}, "times must be non-negative and finite, got -1.0"),
        ({"times": np.array([1.0, 1.0])}, "times must be strictly increasing, got 1.0 at index 1"),
        ({"times": np.array([2.0, 1.0])}, "times must be strictly increasing"),
        ({"truth": np.array([np.inf, 0.0])}, "truth must be finite"),
    ],
)
def test_bad_values_are_refused(change, message):
    for flow in (flows.gradient_flow, flows.vanilla_flow):
        with pytest.raises(ValueError, match=message):
            flow(**GOOD | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": -1}, "depth must be non-negative"),
        ({"b0": 0.0}, "b0 must be positive"),
        ({"b0": np.nan}, "b0 must be"),
    ],
)
def test_bad_depth_and_start_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        flows.gradient_flow(**GOOD | change)


@pytest.mark.parametrize(
    "change",
    [{"z": np.ones(3)}, {"z": np.ones((2, 1))}, {"times": np.array([1, 2])}, {"depth": 0.5}, {"truth": np.ones(3)}],
)
def test_bad_shapes_and_types_are_refused(change):
    with pytest.raises(TypeError):
        flows.gradient_flow(**GOOD | change)


def test_other_functions_refuse_bad_values():
    with pytest.raises(ValueError, match="p must be positive"):
        flows.signal(0.0, 1.0, 5)
    with pytest.raises(ValueError, match="q must be at least 1, got 0.5"):
        flows.signal(1.0, 0.5, 5)
    with pytest.raises(ValueError, match="size must be positive"):
        flows.signal(1.0, 1.0, 0)
    with pytest.raises(ValueError, match="absolute value of z must be positive"):
        flows.half_time(np.array([0.0]), np.ones(1))
    with pytest.raises(ValueError, match="eigenvalues must be positive"):
        flows.half_time(np.ones(1), np.zeros(1))
    with pytest.raises(ValueError, match="depth must be non-negative"):
        flows.eigenvalue_law(np.ones(1), -1)
