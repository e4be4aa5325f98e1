"""Population flows of index models against other solvers, closed forms, laws and the measures on a probe."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.special import roots_hermitenorm
from scipy.stats import norm, qmc

from afp_utils.core import measures
from afp_utils.core.models import Model, Probe, observe, white
from afp_utils.index import population
from afp_utils.index.features import hermite, hermite_tensor

LINK = np.array([0.2, 0.3, 0.8, 0.6])
EIGENVALUES = np.array([1.0, 0.8, 0.5, 0.3])


def only(degree, size=5, value=1.0):
    return value * np.eye(size)[degree]


def tensors(link):
    """The same target of one direction, as tensors."""
    return [np.full((1,) * r, g) for r, g in enumerate(link)]


def radau(link, eigenvalues, overlap, times):
    """An independent route: the flow of (beta, rho) written out, with another solver."""
    r, root = np.arange(len(link)), np.sqrt(eigenvalues)

    def flow(_, y):
        beta, rho = y[:-1], y[-1]
        turn = (1 - rho**2) * np.sum((r * root * beta * link)[1:] * rho ** (r[1:] - 1))
        return np.append(root * (link * rho**r - root * beta), turn)

    start = np.append(np.zeros(len(link)), overlap)
    return solve_ivp(flow, (0, times[-1]), start, method="Radau", t_eval=times, rtol=1e-9, atol=1e-12).y


@pytest.mark.parametrize("overlap", [0.3, -0.3, 0.05, -0.05])
def test_single_index_is_the_solution_of_its_equations(overlap):
    times = np.linspace(0, 20, 9)
    run = population.single_index(LINK, EIGENVALUES, overlap, times)
    y = radau(LINK, EIGENVALUES, overlap, times)
    np.testing.assert_allclose(population.overlaps(run)[:, 0, 0], y[-1], atol=1e-7)
    np.testing.assert_allclose([state.beta for state in run.states], y[:-1].T, atol=1e-7)


def test_a_linear_link_has_the_closed_form_of_a_logistic_curve():
    """With beta held at g rho / sqrt(lambda) (large lambda) and r = 1: artanh(rho^2)-type law, solved by hand.

    d rho / dt = (1 - rho^2) g^2 rho, hence rho^2 / (1 - rho^2) grows as exp(2 g^2 t).
    """
    g, rho0, times = 0.7, 0.1, np.linspace(0, 8, 5)
    run = population.single_index(only(1, 2, g), np.array([1.0, 1e5]), rho0, times)
    odds = rho0**2 / (1 - rho0**2) * np.exp(2 * g**2 * times)
    np.testing.assert_allclose(population.overlaps(run)[:, 0, 0] ** 2, odds / (1 + odds), rtol=1e-3)


def test_risk_is_the_mean_square_against_the_target():
    x, w = roots_hermitenorm(12)
    grid = np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 2)
    weight = np.outer(w, w).ravel() / (2 * np.pi)
    run = population.single_index(LINK, EIGENVALUES, -0.3, np.array([0.0, 3.0, 6.0, 30.0]))
    expected = [weight @ (state.predict(grid) - LINK @ hermite(grid[:, 0], 4)) ** 2 for state in run.states]
    np.testing.assert_allclose(run.risk, expected, rtol=1e-6, atol=1e-12)


def test_states_answer_on_probes_of_any_dimension():
    state = population.single_index(LINK, EIGENVALUES, 0.6, np.array([0.0, 2.0])).states[0]
    assert isinstance(state, Model)
    np.testing.assert_allclose(state.directions[:, 0], [0.6, 0.8])
    for d in (2, 7):
        assert state.gradient(np.ones((3, d))).shape == (3, d)
    with pytest.raises(ValueError, match="at least 2 coordinates"):
        state.predict(np.ones((3, 1)))


@settings(max_examples=25, deadline=None)
@given(
    link=st.lists(st.floats(-2, 2), min_size=2, max_size=6),
    overlap=st.floats(0.02, 0.9) | st.floats(-0.9, -0.02),
    noise=st.floats(1e-4, 0.5),
    seed=st.integers(0, 1000),
)
def test_overlap_and_feature_error_are_monotone_for_every_link_and_sign(link, overlap, noise, seed):
    link = np.array(link)
    eigenvalues = np.random.default_rng(seed).uniform(0.05, 2, len(link))
    run = population.single_index(link, eigenvalues, overlap, np.linspace(0, 30, 60))
    rho = population.overlaps(run)[:, 0, 0]
    error = population.single_index_fem(link, eigenvalues, rho, noise)
    assert np.diff(rho**2).min() > -1e-8
    assert np.diff(error).max() < 1e-8 * max(1.0, np.sum(link**2))
    assert np.diff(run.risk).max() < 1e-8 * max(1.0, np.sum(link**2))


def test_both_signs_of_the_start_are_mirror_images():
    times = np.linspace(0, 20, 5)
    one, two = (population.single_index(LINK, EIGENVALUES, rho, times) for rho in (0.3, -0.3))
    signs = (-1.0) ** np.arange(4)
    flipped = population.single_index(LINK * signs, EIGENVALUES, -0.3, times)
    np.testing.assert_allclose(population.overlaps(one), -population.overlaps(flipped), atol=1e-9)
    np.testing.assert_allclose(two.states[-1].beta, LINK / np.sqrt(EIGENVALUES) * signs, atol=0.02)


@pytest.mark.parametrize("d, degree, expected", [(256, 2, 69.64), (1024, 2, 263.37), (64, 3, 357.32), (256, 1, 4.898)])
def test_escape_times_of_the_spec(d, degree, expected):
    got = population.escape_time(only(degree), np.ones(5), d**-0.5)
    assert got == pytest.approx(expected, rel=2e-4)


def test_escape_time_is_where_the_path_crosses_one_half():
    escape = population.escape_time(LINK, EIGENVALUES, -0.05)
    run = population.single_index(LINK, EIGENVALUES, -0.05, np.array([0.9 * escape, escape]))
    before, at = population.overlaps(run)[:, 0, 0] ** 2
    assert before < 0.5
    assert at == pytest.approx(0.5, abs=1e-8)


def test_escape_time_ignores_degrees_without_energy_and_scales_with_the_link():
    """Scaling link by c and eigenvalues by c^2 is the same flow on a clock that runs c^2 times as fast."""
    base = population.escape_time(only(2, 3), np.array([1.0, 9.0, 0.5]), 0.1)
    assert population.escape_time(only(2, 6), np.array([1.0, 0.1, 0.5, 3, 3, 3]), 0.1) == pytest.approx(base, rel=1e-8)
    assert population.escape_time(only(2, 3, 2.0), np.array([1.0, 9.0, 2.0]), 0.1) == pytest.approx(base / 4, rel=1e-8)


@pytest.mark.parametrize("g, eigenvalue", [(1.0, 1 / 9), (0.6, 1.0)])
def test_the_lag_of_the_coefficient_adds_a_logarithm_to_the_escape(g, eigenvalue):
    """Degree 2: T = d / (4 g^2) + (1 / lambda + 1 / (4 g^2)) ln d + O(1)."""
    dims = 2.0 ** np.array([14, 17])
    run = population.escape_time
    rest = [run(only(2, 3, g), np.full(3, eigenvalue), d**-0.5) - d / (4 * g**2) for d in dims]
    assert np.diff(rest)[0] / np.log(8) == pytest.approx(1 / eigenvalue + 1 / (4 * g**2), rel=2e-3)


def test_escape_with_slow_coefficients_of_degree_three():
    """3 beta^2 = rho^2 - rho0^2 gives T = d / (sqrt(3 lambda) |g|): the answer of an exercise."""
    value, g, d = 1e-14, -0.7, 1e4
    predicted = d / (np.sqrt(3 * value) * abs(g))
    assert population.escape_time(only(3, 4, g), np.full(4, value), d**-0.5) == pytest.approx(predicted, rel=2e-3)


def test_escape_in_the_slow_regime_matches_its_closed_form():
    """lambda -> 0, degree 2: L = ln rho has L'^2 = 2 lambda g^2 (rho^2 - rho0^2), so T = (pi / 2) / (sqrt(2 lambda) g rho0)."""
    value, g, rho0 = 1e-9, 0.7, 0.01
    predicted = (np.pi / 2 - np.arcsin(rho0 * 2**0.5)) / (np.sqrt(2 * value) * g * rho0)
    assert population.escape_time(only(2, 3, g), np.full(3, value), rho0) == pytest.approx(predicted, rel=5e-3)


def test_escape_at_once_or_never():
    assert population.escape_time(LINK, EIGENVALUES, -0.8) == 0.0
    assert population.escape_time(LINK, EIGENVALUES, 0.0) == math.inf
    assert population.escape_time(np.array([1.0, 0.0]), np.ones(2), 0.5) == math.inf
    assert population.escape_time(LINK, np.array([1.0, 0.0, 0.0, 0.0]), 0.5) == math.inf


def test_multi_index_with_one_direction_is_single_index():
    times = np.linspace(0, 20, 7)
    single = population.single_index(LINK, EIGENVALUES, -0.3, times)
    multi = population.multi_index(tensors(LINK), EIGENVALUES, np.array([[-0.3]]), times)
    np.testing.assert_allclose(multi.risk, single.risk, atol=1e-9)
    np.testing.assert_allclose(population.overlaps(multi), population.overlaps(single), atol=1e-9)
    np.testing.assert_allclose(multi.states[3].beta, single.states[3].beta, atol=1e-9)


def pair(first=0.8, second=0.6):
    """A degree-2 target on two directions."""
    return [np.array(0.1), np.array([0.3, -0.2]), np.array([[first, 0.1], [0.1, second]])]


def test_multi_index_against_euler_steps_with_qr_retraction():
    """The scheme of the spec, at two step sizes: the distance to ours falls in proportion to the step."""
    link, eigenvalues, psi = pair(), np.array([1.0, 0.6, 0.4]), np.array([[0.3, 0.1], [-0.1, 0.2]])
    ours = population.multi_index(link, eigenvalues, psi, np.array([0.0, 4.0]))
    root = np.sqrt(eigenvalues)

    def steps(dt):
        w, b1, b2 = ours.states[0].directions.copy(), np.zeros(2), np.zeros((2, 2))
        for _ in range(round(4 / dt)):
            p = w[:2]
            c1, c2 = p.T @ link[1], p.T @ link[2] @ p
            g = np.zeros_like(w)
            g[:2] = root[1] * np.outer(link[1], b1) + 2 * root[2] * link[2] @ p @ b2
            b1, b2 = b1 + dt * root[1] * (c1 - root[1] * b1), b2 + dt * root[2] * (c2 - root[2] * b2)
            inner = w.T @ g
            q, upper = np.linalg.qr(w + dt * (g - w @ (inner + inner.T) / 2))
            w = q * np.sign(np.diag(upper))
        return np.abs(w - ours.states[-1].directions).max()

    coarse, fine = steps(4e-3), steps(1e-3)
    assert fine < 1e-3
    assert coarse / fine == pytest.approx(4, rel=0.1)


def test_multi_index_does_not_depend_on_the_basis_of_its_directions():
    """Turning W within its span turns the path with it; turning the target's axes leaves risk and FEM alone."""
    link, eigenvalues, times = pair(), np.array([1.0, 0.6, 0.4]), np.linspace(0, 10, 4)
    psi = np.array([[0.3, 0.1], [-0.1, 0.2]])
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    base = population.multi_index(link, eigenvalues, psi, times)
    inside = population.multi_index(link, eigenvalues, psi @ turn, times)
    outside = population.multi_index(
        [link[0], turn.T @ link[1], turn.T @ link[2] @ turn], eigenvalues, turn.T @ psi, times
    )
    np.testing.assert_allclose(inside.risk, base.risk, atol=1e-8)
    np.testing.assert_allclose(outside.risk, base.risk, atol=1e-8)
    before = population.multi_index_fem(link, eigenvalues, population.overlaps(base, 2), 0.01)
    after = population.multi_index_fem(link, eigenvalues, population.overlaps(inside, 2), 0.01)
    np.testing.assert_allclose(before, after, atol=1e-8)


def test_multi_index_keeps_orthonormal_directions_and_learns_the_target():
    run = population.multi_index(
        pair(), np.array([1.0, 0.6, 0.4]), np.array([[0.3, 0.1], [-0.1, 0.2]]), np.linspace(0, 80, 5)
    )
    for state in run.states:
        np.testing.assert_allclose(state.directions.T @ state.directions, np.eye(2), atol=1e-12)
    assert np.diff(run.risk[:3]).max() < 0 and np.diff(run.risk).max() <= 0  # to the end, where rounding may leave zero
    assert run.risk[-1] < 1e-6


def test_staircase_times_of_the_spec():
    link = [np.array(0.0), np.zeros(2), np.diag([0.8, 0.6])]
    times = np.linspace(0, 110, 441)
    run = population.multi_index(link, np.ones(3), np.eye(2) / np.sqrt(128), times)
    captured = np.sum(population.overlaps(run, 2) ** 2, axis=2)
    escapes = [times[np.argmax(captured[:, i] > 0.5)] for i in range(2)]
    np.testing.assert_allclose(escapes, [55.5, 95.5], atol=0.5)


def cubature(dimension, points):
    """A white probe that fills the normal law evenly."""
    u = qmc.Sobol(dimension, seed=0).random(points)
    return white(norm.ppf(u))


@pytest.mark.parametrize("overlap", [0.2, -0.7, 0.99])
def test_single_index_fem_is_the_measure_on_a_probe(overlap):
    link, eigenvalues, noise = np.array([0.0, 0.5, 0.8]), np.array([0.2, 1.0, 0.5]), 0.02
    x = cubature(2, 1024)
    run = population.single_index(link, eigenvalues, overlap, np.array([0.0, 1.0]))
    target = link @ hermite(x[:, 0], 3)
    slope = np.column_stack([link[1:] @ (np.sqrt([[1], [2]]) * hermite(x[:, 0], 2)), np.zeros(len(x))])
    seen = observe([run], Probe(x=x, target=target, target_gradient=slope, noise=noise))
    rho = population.overlaps(run)[:, 0, 0]
    expected = population.single_index_fem(link, eigenvalues, rho, noise) / np.sum(link**2)
    np.testing.assert_allclose(measures.fem(seen)[0] / np.mean(target**2), expected, atol=0.02)


def test_multi_index_fem_is_the_measure_on_a_probe():
    link, eigenvalues, noise = pair(), np.array([0.1, 1.0, 0.4]), 0.01
    x = cubature(4, 2048)
    run = population.multi_index(link, eigenvalues, np.array([[0.8, 0.1], [-0.1, 0.7]]), np.array([0.0]))
    target = sum(hermite_tensor(x[:, :2], r) @ tensor.ravel() for r, tensor in enumerate(link))
    seen = observe([run], Probe(x=x, target=target, target_gradient=np.zeros_like(x), noise=noise))
    expected = population.multi_index_fem(link, eigenvalues, population.overlaps(run, 2), noise)
    np.testing.assert_allclose(measures.fem(seen)[0], expected, atol=0.03)


def test_fem_by_hand():
    link, noise = np.array([0.0, 0.6, 0.8]), 0.1
    rho = np.array([0.0, 0.5, 1.0])
    # cuts after no degree, after degree 0, 1 and 2: 1, 1.1, 1.2 - .36 rho^2, 1.3 - .36 rho^2 - .64 rho^4
    np.testing.assert_allclose(
        population.single_index_fem(link, np.array([3.0, 2.0, 1.0]), rho, noise), [1.0, 1.0, 0.3]
    )
    # degree 2 first: 1.1 - .64 rho^4; all tied: 1.3 - .36 rho^2 - .64 rho^4 or nothing
    np.testing.assert_allclose(
        population.single_index_fem(link, np.array([0.0, 1.0, 2.0]), rho, noise), [1.0, 1.0, 0.2]
    )
    np.testing.assert_allclose(population.single_index_fem(link, np.ones(3), rho, noise), [1.0, 1.0, 0.3])
    np.testing.assert_allclose(population.single_index_fem(link, np.zeros(3), rho, noise), 1.0)
    # two directions: 1, 2 and 3 features of degree 0, 1 and 2
    two = [np.array(0.0), np.zeros(2), np.diag([0.8, 0.6])]
    psi = np.array([[[1.0, 0.0], [0.0, 0.5]]])
    expected = 1 - 0.64 - 0.36 / 16 + 6 * 0.01
    np.testing.assert_allclose(population.multi_index_fem(two, np.ones(3), psi, 0.01), expected)
    overlap = np.array([0.1, -0.6, 0.6, 1.0])
    np.testing.assert_allclose(population.directional_fem(2.0, overlap, 0.3), [4.0, 2.86, 2.86, 0.3])


def test_fem_agrees_with_the_measure_of_eigenvalues_and_coefficients():
    rng = np.random.default_rng(0)
    for _ in range(20):
        link, eigenvalues, rho = rng.normal(size=4), rng.uniform(size=4), rng.uniform(-1, 1)
        inside = link * rho ** np.arange(4)
        outside = np.sum(link**2 - inside**2)
        expected = outside + measures.feature_error_measure(eigenvalues, inside, 0.05)
        got = population.single_index_fem(link, eigenvalues, np.array(rho), 0.05)
        assert float(got) == pytest.approx(expected)


def test_directional_conserves_its_balance_and_has_the_times_of_the_spec():
    rho0, times = 50**-0.5, np.linspace(0, 8, 4001)
    for scale, expected in [(1.0, 3.68), (0.3, 2.72), (0.1, 2.65), (0.03, 2.64)]:
        run = population.directional(1.0, scale * np.array([rho0, np.sqrt(1 - rho0**2)]), times)
        w, beta = np.array([state.w for state in run.states]), np.array([state.beta for state in run.states])
        np.testing.assert_allclose(beta**2 - np.sum(w**2, axis=1), -(scale**2), atol=1e-9)
        rho = w[:, 0] / np.linalg.norm(w, axis=1)
        assert np.diff(rho).min() > -1e-9
        assert times[np.argmax(rho**2 > 0.5)] == pytest.approx(expected, abs=0.01)


def test_directional_answers_the_four_questions():
    state = population.directional(-2.0, np.array([0.6, 0.8]), np.array([0.0, 1.0])).states[1]
    x, step = np.random.default_rng(0).normal(size=(5, 4)), 1e-6
    assert isinstance(state, Model)
    np.testing.assert_allclose(state.predict(x), state.beta * x[:, :2] @ state.w)
    numeric = [(state.predict(x + step * e) - state.predict(x - step * e)) / (2 * step) for e in np.eye(4)]
    np.testing.assert_allclose(state.gradient(x), np.transpose(numeric), atol=1e-8)
    z = x[:, :2] @ state.w
    rows = np.column_stack([z, state.beta * x])  # derivatives in beta and in all d entries of w
    np.testing.assert_allclose(state.tangent(x), rows @ rows.T)
    np.testing.assert_allclose(state.gram(x), np.outer(z, z))


def test_directional_risk_and_fem_on_a_white_probe():
    run = population.directional(-2.0, np.array([0.3, 0.4]), np.linspace(0, 2, 5))
    x = white(np.random.default_rng(1).normal(size=(50, 3)))
    seen = observe([run], Probe(x=x, target=-2.0 * x[:, 0], target_gradient=np.tile([-2.0, 0, 0], (50, 1)), noise=0.1))
    np.testing.assert_allclose(np.mean((seen.prediction[0] + 2.0 * x[:, 0]) ** 2, axis=1), run.risk, atol=1e-10)
    w = np.array([state.w for state in run.states])
    rho = w[:, 0] / np.linalg.norm(w, axis=1)
    np.testing.assert_allclose(measures.fem(seen)[0], population.directional_fem(-2.0, rho, 0.1), atol=1e-10)


def precise(flow, start, times):
    return solve_ivp(flow, (0, times[-1]), start, method="DOP853", t_eval=times, rtol=1e-13, atol=1e-14).y.T


def test_the_solver_is_as_accurate_as_it_says():
    """Against another solver at 1e-13: with a relative tolerance of 1e-8 in place of 1e-10 each of these fails."""
    times, r, root = np.linspace(0, 15, 7), np.arange(4), np.sqrt(EIGENVALUES)

    def single(_, y):
        beta, rho = y[:-1], y[-1]
        turn = (1 - rho**2) * np.sum((r * root * beta * LINK)[1:] * rho ** (r[1:] - 1))
        return np.append(root * (LINK * rho**r - root * beta), turn)

    def linear(_, y):
        beta, along, across = y
        return np.array([along - beta * (along**2 + across**2), beta * (1 - beta * along), -(beta**2) * across])

    path = precise(single, np.array([0.0, 0, 0, 0, 0.1]), times)
    run = population.single_index(LINK, EIGENVALUES, 0.1, times)
    np.testing.assert_allclose(population.overlaps(run)[:, 0, 0], path[:, -1], rtol=0, atol=1.5e-9)
    many = population.multi_index(tensors(LINK), EIGENVALUES, np.array([[0.1]]), times)
    np.testing.assert_allclose(population.overlaps(many)[:, 0, 0], path[:, -1], rtol=0, atol=1.5e-9)
    path = precise(linear, np.array([0.0, 0.01, 0.03]), times)
    line = population.directional(1.0, np.array([0.01, 0.03]), times)
    np.testing.assert_allclose([[s.beta, *s.w] for s in line.states], path, rtol=0, atol=1.5e-9)


def test_constants_alone_and_more_directions_than_the_target_has():
    times = np.array([0.0, 5.0, 50.0])
    run = population.multi_index([0.5], np.array([2.0]), np.zeros((0, 1)), times)
    np.testing.assert_allclose(run.risk, 0.25 * np.exp(-4 * times), atol=1e-9)
    wide = population.multi_index(tensors(LINK), EIGENVALUES, np.array([[0.3, 0.2]]), times)
    assert wide.risk[-1] < 1e-6
    captured = np.sum(population.overlaps(wide) ** 2, axis=(1, 2))
    assert np.all(np.diff(captured) > 0)
    assert captured[-1] == pytest.approx(1, abs=1e-6)


def test_a_known_link_may_turn_away_where_a_learned_one_never_does():
    """From rho < 0 odd degrees push a model with fixed coefficients back through zero: the rival of the theorem."""
    link, rho0 = np.array([0.0, 0.8, 0.6]), -0.3
    known = solve_ivp(lambda _, rho: (1 - rho**2) * (0.64 + 0.72 * rho), (0, 20), [rho0], rtol=1e-9).y[0]
    assert np.diff(known**2).min() < -1e-3
    run = population.single_index(link, np.ones(3), rho0, np.linspace(0, 20, 41))
    assert np.diff(population.overlaps(run)[:, 0, 0] ** 2).min() > -1e-9


def test_one_time_alone_and_long_times():
    assert population.single_index(LINK, EIGENVALUES, 0.3, np.array([0.0])).risk[0] == pytest.approx(np.sum(LINK**2))
    late = population.single_index(LINK, EIGENVALUES, 0.3, np.array([1e4]))
    assert late.risk[0] < 1e-15
    assert population.directional(1.0, np.array([1.0, 0.0]), np.array([0.0])).risk[0] == 1.0


@pytest.mark.parametrize(
    "change, message",
    [
        ({"overlap": 1.0}, "overlap must be strictly between -1 and 1"),
        ({"overlap": float("nan")}, "overlap must be strictly between -1 and 1"),
        ({"eigenvalues": -EIGENVALUES}, "eigenvalues must be non-negative"),
        ({"link": np.array([0, np.nan, 1, 1])}, "link must be finite"),
        ({"times": np.array([1.0, 0.5])}, "times must be strictly increasing"),
        ({"times": np.array([-1.0, 0.5])}, "times must be non-negative"),
    ],
)
def test_single_index_refuses(change, message):
    given = {"link": LINK, "eigenvalues": EIGENVALUES, "overlap": 0.3, "times": np.array([0.0, 1.0])} | change
    with pytest.raises(ValueError, match=message):
        population.single_index(**given)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"overlap": 1.1 * np.eye(2)}, "overlap must be of singular values up to 1, got float64"),
        ({"overlap": np.full((2, 2), np.nan)}, "overlap must be finite"),
        ({"link": pair()[:2]}, "one tensor per eigenvalue"),
        ({"link": [np.array(0.0), np.zeros(3), np.eye(2)]}, r"link\[1\] must have shape \(2,\)"),
        ({"link": [np.array(0.0), np.zeros(2), np.array([[0.0, 1.0], [0.0, 0.0]])]}, r"link\[2\] must be symmetric"),
        ({"eigenvalues": np.array([1.0, -1.0, 1.0])}, "eigenvalues must be non-negative"),
        ({"times": np.array([0.0, 0.0])}, "times must be strictly increasing"),
    ],
)
def test_multi_index_refuses(change, message):
    given = {
        "link": pair(),
        "eigenvalues": np.ones(3),
        "overlap": 0.1 * np.eye(2),
        "times": np.array([0.0, 1.0]),
    } | change
    with pytest.raises(ValueError, match=message):
        population.multi_index(**given)


def test_the_link_may_hold_plain_numbers_and_lists():
    one = population.multi_index([0.1, [0.3, -0.2]], np.ones(2), 0.1 * np.eye(2), np.array([0.0, 2.0]))
    two = population.multi_index(
        [np.array(0.1), np.array([0.3, -0.2])], np.ones(2), 0.1 * np.eye(2), np.array([0.0, 2.0])
    )
    np.testing.assert_array_equal(one.risk, two.risk)


def test_other_refusals():
    with pytest.raises(TypeError):
        population.single_index(LINK, EIGENVALUES[:3], 0.3, np.array([0.0]))
    with pytest.raises(TypeError):
        population.escape_time(LINK, EIGENVALUES, "small")
    with pytest.raises(ValueError, match="overlap must be large enough"):
        population.escape_time(only(3), np.ones(5), 1e-80)
    with pytest.raises(ValueError, match="noise must be non-negative"):
        population.single_index_fem(LINK, EIGENVALUES, np.array([0.1]), -1.0)
    with pytest.raises(ValueError, match="noise must be non-negative"):
        population.directional_fem(1.0, np.array([0.1]), -1.0)
    with pytest.raises(ValueError, match="slope must be finite"):
        population.directional(np.nan, np.ones(2), np.array([0.0]))
    with pytest.raises(ValueError, match=r"link\[2\] must have shape"):
        population.multi_index_fem(pair()[:2] + [np.zeros(2)], np.ones(3), 0.1 * np.eye(2), 0.1)


@pytest.mark.parametrize("wrong", [1.1, -1.5, np.nan])
def test_feature_error_measures_refuse_what_is_no_overlap(wrong):
    several = np.array([0.5, 1.0, wrong])
    with pytest.raises(ValueError, match=r"overlap must be in \[-1, 1\], got .* at index 2"):
        population.single_index_fem(LINK, EIGENVALUES, several, 0.1)
    with pytest.raises(ValueError, match=r"overlap must be in \[-1, 1\]"):
        population.directional_fem(1.0, wrong, 0.1)
    with pytest.raises(ValueError, match="overlap must be (of singular values up to 1|finite)"):
        population.multi_index_fem(pair(), np.ones(3), several[:, None, None] * np.eye(2), 0.1)


def test_feature_error_measures_take_overlaps_that_round_beyond_one():
    one = 1 + 1e-15
    np.testing.assert_allclose(population.directional_fem(1.0, one, 0.1), 0.1, rtol=1e-12)
    assert np.isfinite(population.single_index_fem(LINK, EIGENVALUES, [one, -one], 0.1)).all()
    assert population.multi_index_fem(pair(), np.ones(3), one * np.eye(2)[None], 0.1).shape == (1,)


def test_a_direction_needs_its_coordinates():
    (state,) = population.directional(1.0, np.ones(2), np.array([0.0])).states
    for question in (state.predict, state.gram, state.tangent):
        with pytest.raises(ValueError, match="x must have at least 2 coordinates, got 1"):
            question(np.ones((3, 1)))
