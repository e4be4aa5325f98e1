"""The exactly solved linear network: reference values, 60 digits, two solvers, autodiff, laws, edges, refusals."""

import math
import time

import mpmath as mp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from afp_utils.linear import solution
from afp_utils.linear.solution import Problem
from tests.linear.cases import CANONICAL, CASES, RNG, TIMES, U, W, problem

EACH = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def reference(given, u, w, t):
    """All fields of the solution in 400-digit arithmetic (60 are left of any difference), by the formulas as derived."""
    with mp.workdps(400):
        gamma, eta_u, eta_w, second, cross, target = (mp.mpf(value) for value in vars(given).values())
        u, w = [mp.mpf(float(x)) for x in u], [mp.mpf(float(x)) for x in w]
        e = mp.sqrt(eta_u * eta_w)
        p = [(mp.sqrt(eta_w) * a + mp.sqrt(eta_u) * b) / 2 for a, b in zip(u, w)]
        q = [(mp.sqrt(eta_w) * a - mp.sqrt(eta_u) * b) / 2 for a, b in zip(u, w)]
        big_p, big_q = mp.fsum(x * x for x in p), mp.fsum(x * x for x in q)
        alpha, delta, beta = 2 * gamma**2 * second * big_q, 2 * gamma**2 * second * big_p, gamma * e * cross
        kappa = mp.sqrt(beta**2 + alpha * delta)
        plus, minus = kappa + beta, kappa - beta
        if minus == 0:
            minus = alpha * delta / (2 * kappa) if kappa else mp.mpf(0)
        if plus == 0:
            plus = alpha * delta / (2 * kappa) if kappa else mp.mpf(0)
        if t == math.inf:
            top, bottom = (alpha + plus, delta + minus) if kappa else (1 + alpha, delta)
            if kappa == 0 and delta > 0:
                top, bottom = mp.mpf(0), mp.mpf(1)
            if kappa == 0 and alpha == delta == 0:
                top = bottom = mp.mpf(1)
        elif kappa == 0:
            top, bottom = 1 + alpha * t, 1 + delta * t
        else:
            left = mp.exp(-2 * kappa * t)
            top = alpha * (1 - left) + plus + minus * left
            bottom = delta * (1 - left) + minus + plus * left
        p = [x * mp.sqrt(top / bottom) if x else x for x in p]
        q = [x * mp.sqrt(bottom / top) if x else x for x in q]
        u = [(a + b) / mp.sqrt(eta_w) for a, b in zip(p, q)]
        w = [(a - b) / mp.sqrt(eta_u) for a, b in zip(p, q)]
        slope = gamma * mp.fsum(a * b for a, b in zip(u, w))
        uu, ww = mp.fsum(a * a for a in u), mp.fsum(a * a for a in w)
        size = gamma * mp.sqrt(uu * ww)
        tangent = gamma**2 * (eta_u * ww + eta_w * uu)
        risk = (target - 2 * cross * slope + second * slope**2) / 2
        return u, w, slope, slope / size if size else mp.mpf(0), tangent, risk


def norm(values):
    return mp.sqrt(mp.fsum(mp.mpf(x) ** 2 for x in values))


def relative(got, expected):
    """Relative error of a vector."""
    error = norm([mp.mpf(float(a)) - b for a, b in zip(got, expected)])
    return float(error / norm(expected)) if norm(expected) else float(error)


def solved(given, u, w, times):
    """The same flow by DOP853 on the weights themselves."""
    m = len(u)

    def flow(_, state):
        u, w = state[:m], state[m:]
        r = given.gamma * (given.cross_moment - given.gamma * given.second_moment * (u @ w))
        return np.concatenate([given.eta_u * r * w, given.eta_w * r * u])

    return solve_ivp(flow, (0, times[-1]), np.append(u, w), method="DOP853", t_eval=times, rtol=1e-12, atol=1e-14).y.T


def test_the_canonical_vector_to_twelve_digits():
    path = solution.exact(CANONICAL, U, W, np.array([0.0, 0.5, 1.0, 2.0, 4.0, math.inf]))
    reference = """
        -.16          -.636284762976 .5696         1.2112        .3            .1
        .154066850656 .621922281817  .565397065651 .832922225066 .35926689061  .407787683426
        .415528118201 .906119145171  .837213843387 .630863970921 .440110920104 .651759532327
        .724933259623 .966010921074  1.26659402775 .524226261633 .531724576183 .883699100185
        .798691510385 .971747634288  1.37548281328 .520001284109 .552011536788 .932130327254
        .8            .971836114047  1.37742809613 .52           .552366138169 .932970204446"""
    got = np.stack([path.slope, path.alignment, path.tangent, path.risk, path.u[:, 0], path.w[:, 0]], axis=1)
    np.testing.assert_allclose(got, np.array(reference.split(), float).reshape(6, 6), rtol=6e-12)


def test_two_neurons_by_hand():
    """u = (1, 0), w = (0, 1), all constants one: P = Q = 1/2, kappa = sqrt 2, z -> 1 + sqrt 2."""
    u, w = np.eye(2)
    path = solution.exact(problem(), u, w, np.array([1.0, math.inf]))
    np.testing.assert_allclose(path.slope, [0.9065882889, 1.0], rtol=1e-10)
    np.testing.assert_allclose(path.alignment, [0.6716570220, 1 / math.sqrt(2)], rtol=1e-10)
    grown = math.sqrt(1 + math.sqrt(2))
    np.testing.assert_allclose(path.u[1], [(grown + 1 / grown) / 2, (grown - 1 / grown) / 2], rtol=1e-14)
    np.testing.assert_allclose(path.tangent[1], 2 * math.sqrt(2), rtol=1e-14)
    np.testing.assert_allclose(path.risk, [0.5 + (1 - path.slope[0]) ** 2 / 2, 0.5], rtol=1e-14)


def test_problem_knows_its_best_slope_and_least_risk():
    assert CANONICAL.target_slope == pytest.approx(0.8, rel=1e-15)
    assert CANONICAL.least_risk == pytest.approx(0.52, rel=1e-15)
    assert Problem(1.0, 1.0, 1.0, 0.1, 0.3, 0.3**2 / 0.1).least_risk >= 0  # consistent up to rounding


@EACH
def test_many_digits(case):
    """Relative error below 1e-13. A slope that crosses zero is measured by the smaller of its two ends."""
    given, u, w = case
    path = solution.exact(given, u, w, TIMES)
    ends = min(abs(given.gamma * (u @ w)), abs(given.target_slope))
    size = given.gamma * np.linalg.norm(path.u, axis=1) * np.linalg.norm(path.w, axis=1)
    for k, t in enumerate(TIMES):
        ru, rw, slope, aligned, tangent, risk = reference(given, u, w, t)
        if norm(ru) < 1e-150:  # beyond the range of double precision
            assert norm(path.u[k]) < 1e-150
            continue
        assert relative(path.u[k], ru) < 1e-13
        assert relative(path.w[k], rw) < 1e-13
        scale = max(abs(slope), mp.mpf(ends), mp.mpf(1e-200))
        assert abs(mp.mpf(path.slope[k]) - slope) < 1e-13 * scale
        assert abs(mp.mpf(path.alignment[k]) - aligned) < 1e-13 * min(1, scale / size[k] if size[k] else 1)
        assert abs(mp.mpf(path.tangent[k]) - tangent) <= 1e-13 * tangent
        assert abs(mp.mpf(path.risk[k]) - risk) < 1e-13 * risk


@pytest.mark.parametrize("name", ["canonical", "negative target", "zero target", "one neuron", "algebraic", "lazy"])
def test_against_a_solver(name):
    given, u, w = CASES[name]
    times = np.array([0.0, 0.3, 1.0, 2.5, 6.0])
    path, reference = solution.exact(given, u, w, times), solved(given, u, w, times)
    np.testing.assert_allclose(path.u, reference[:, : len(u)], rtol=1e-10, atol=1e-10 * np.abs(u).max())
    np.testing.assert_allclose(path.w, reference[:, len(u) :], rtol=1e-10, atol=1e-10 * np.abs(u).max())


@EACH
def test_fields_agree_with_the_weights(case):
    given, u, w = case
    path = solution.exact(given, u, w, TIMES)
    uu, ww, uw = (np.einsum("tm,tm->t", a, b) for a, b in ((path.u, path.u), (path.w, path.w), (path.u, path.w)))
    assert all(np.isfinite(field).all() for name, field in vars(path).items() if name != "time")
    np.testing.assert_allclose(path.slope, given.gamma * uw, rtol=1e-9, atol=1e-13 * given.gamma * (uu + ww).max())
    np.testing.assert_allclose(path.tangent, given.gamma**2 * (given.eta_u * ww + given.eta_w * uu), rtol=1e-12)
    seen = uu * ww > 1e-250
    np.testing.assert_allclose(path.alignment[seen], uw[seen] / np.sqrt(uu * ww)[seen], rtol=1e-7, atol=1e-12)
    np.testing.assert_array_equal(path.risk >= given.least_risk, True)


def test_first_row_is_the_start_and_last_the_limit():
    path = solution.exact(CANONICAL, U, W, TIMES)
    np.testing.assert_array_equal(path.u[0], U)
    np.testing.assert_array_equal(path.w[0], W)
    last = solution.limit(CANONICAL, U, W)
    for name, field in vars(last).items():
        np.testing.assert_allclose(field[0], getattr(path, name)[-1], rtol=1e-15)
    single = solution.exact(CANONICAL, U, W, TIMES[4:5])
    np.testing.assert_allclose(single.u[0], path.u[4], rtol=1e-15)


def test_the_saddle_and_algebraic_decay():
    stuck = solution.exact(problem(), U, -U, np.array([50.0, 1e4, math.inf]))
    assert np.abs(stuck.u).max() < 1e-20
    np.testing.assert_allclose(stuck.risk, 1.0)  # half of E y^2: the saddle
    given = problem(0.7, 2.0, 0.3, 0.9, 0.0, 0.0)
    p = (math.sqrt(0.3) * U, math.sqrt(2.0) * U)
    late = solution.exact(given, p[1], p[0], np.array([1e7]))  # Q = 0
    np.testing.assert_allclose(late.risk[0] * 1e14, 1 / (8 * 0.7**2 * 0.9 * 0.6), rtol=1e-4)


def test_a_start_that_cannot_grow_escapes_when_perturbed():
    """Escape time grows by ln(1e4) / beta = 9.21 when the perturbation is 1e4 times smaller."""
    base = np.array([1.0, 0.5])
    escape = [solution.time_to_slope(problem(), base + np.array([tiny, 0.0]), -base, 0.5) for tiny in (1e-8, 1e-12)]
    assert escape[1] - escape[0] == pytest.approx(math.log(1e4), abs=1e-3)


def test_speed():
    draws = [(problem(cross_moment=c), *RNG.normal(size=(2, 300))) for c in RNG.uniform(-1, 1, size=1000)]
    times = np.linspace(0, 5, 100)
    best = math.inf
    for _ in range(3):
        start = time.process_time()
        for draw in draws:
            solution.exact(*draw, times)
        best = min(best, time.process_time() - start)
        if best < 2:
            break
    assert best < 2


POWER = st.floats(-1.0, 1.0).map(lambda power: 10**power)


@st.composite
def draws(draw):
    """A random problem with weights of random width and size."""
    second, cross = draw(POWER), draw(POWER) * draw(st.sampled_from([-1, 1]))
    given = Problem(draw(POWER), draw(POWER), draw(POWER), second, cross, cross**2 / second + draw(POWER))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    u, w = draw(POWER) * rng.normal(size=(2, draw(st.sampled_from([2, 3, 17]))))
    return given, u, w


@settings(max_examples=60, deadline=None)
@given(draws())
def test_conserved_and_monotone(case):
    given, u, w = case
    path = solution.exact(given, u, w, np.linspace(0, 3, 12))
    first = solution.invariants(given, u, w)
    for u_t, w_t in zip(path.u, path.w):
        now = solution.invariants(given, u_t, w_t)
        scale = given.eta_w * (u_t**2).max() + given.eta_u * (w_t**2).max()
        np.testing.assert_allclose(now.imbalance, first.imbalance, atol=1e-12 * scale)
        assert now.area == pytest.approx(first.area, rel=1e-9, abs=1e-13 * (u_t @ u_t) * (w_t @ w_t))
    toward = math.copysign(1.0, given.target_slope - path.slope[0])
    rounding = 1e-14 * max(abs(path.slope[0]), abs(given.target_slope))
    assert (np.diff(path.slope) * toward >= -rounding).all()
    assert (np.diff(path.alignment) * toward >= -1e-14).all()
    assert (np.diff(path.risk) <= 1e-14 * path.risk[0]).all()


@settings(max_examples=60, deadline=None)
@given(draws())
def test_the_end_depends_on_the_start_and_the_target_alone(case):
    given, u, w = case
    end = solution.limit(given, u, w)
    tall = solution.height(given, u, w)
    assert end.slope[0] == pytest.approx(given.target_slope, rel=1e-13)
    assert end.alignment[0] == pytest.approx(solution.alignment(given.target_slope, tall), rel=1e-9)
    size = given.gamma * np.linalg.norm(u) * np.linalg.norm(w)
    cosine = given.gamma * (u @ w) / size
    law = given.target_slope / math.hypot(given.target_slope, size * math.sqrt(1 - cosine**2))
    assert end.alignment[0] == pytest.approx(law, rel=1e-9)
    assert (abs(end.alignment[0]) > abs(cosine)) == (abs(given.target_slope) > abs(given.gamma * (u @ w)))


@settings(max_examples=60, deadline=None)
@given(draws(), st.floats(0.01, 0.99))
def test_time_to_slope_inverts_the_flow(case, share):
    given, u, w = case
    first, last = given.gamma * (u @ w), given.target_slope
    slope = first + share * (last - first)
    when = solution.time_to_slope(given, u, w, slope)
    at = solution.exact(given, u, w, np.array([when]))
    assert at.slope[0] == pytest.approx(slope, rel=1e-9, abs=1e-12 * max(abs(first), abs(last)))


@settings(max_examples=30, deadline=None)
@given(draws(), POWER)
def test_rescaling_a_layer_changes_nothing_that_can_be_seen(case, scale):
    """(gamma, u, eta_u) -> (gamma / s, s u, s^2 eta_u) is the same network; so for w; so is a turn of the neurons."""
    given, u, w = case
    times = np.array([0.3, 2.0])
    path = solution.exact(given, u, w, times)
    values = vars(given)
    by_u = Problem(**values | {"gamma": given.gamma / scale, "eta_u": scale**2 * given.eta_u})
    by_w = Problem(**values | {"gamma": given.gamma / scale, "eta_w": scale**2 * given.eta_w})
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(len(u), len(u))))[0]
    others = [(by_u, scale * u, w), (by_w, u, scale * w), (given, turn @ u, turn @ w)]
    for other in (solution.exact(*changed, times) for changed in others):
        for field in ("slope", "alignment", "tangent", "risk"):
            np.testing.assert_allclose(getattr(other, field), getattr(path, field), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "name", ["hardly grows", "nothing grows", "nothing fades", "algebraic", "algebraic, mirrored", "zero target"]
)
def test_time_to_slope_at_the_edges(name):
    given, u, w = CASES[name]
    for t in (0.2, 1.7, 5.0):
        at = solution.exact(given, u, w, np.array([t]))
        assert solution.time_to_slope(given, u, w, float(at.slope[0])) == pytest.approx(t, rel=1e-9)


def test_time_to_the_ends():
    first = 0.8 * float(U @ W)
    assert solution.time_to_slope(CANONICAL, U, W, first) == 0.0
    assert solution.time_to_slope(problem(), U, W, 1.0) == math.inf


def test_split_is_the_derivative_of_the_logarithms():
    given = problem(0.9, 0.5, 2.0)
    step = 1e-5
    for t in (0.2, 0.6, 1.5):
        low, mid, high = (solution.exact(given, U, W, np.array([t + k * step])) for k in (-1, 0, 1))
        rotation, rescaling = solution.split(mid.slope, np.full(1, solution.height(given, U, W)))
        rates = [
            math.log(abs(b / a)) for a, b in ((low.slope[0], high.slope[0]), (low.alignment[0], high.alignment[0]))
        ]
        assert rotation == pytest.approx(rates[1] / rates[0], abs=1e-6)
        assert rescaling == pytest.approx(1 - rates[1] / rates[0], abs=1e-6)


def test_split_and_alignment_by_hand():
    assert solution.alignment(3.0, 4.0) == pytest.approx(0.6)
    assert solution.alignment(-3.0, 4.0) == pytest.approx(-0.6)
    assert solution.split(3.0, 4.0) == pytest.approx((0.64, 0.36))
    assert solution.alignment(0.0, 0.0) == 0.0
    assert solution.split(0.0, 0.0) == (1.0, 0.0)


def test_parts_and_invariants_by_hand():
    p, q = solution.parts(problem(eta_u=4.0, eta_w=9.0), np.array([2.0, 0.0]), np.array([1.0, 3.0]))
    np.testing.assert_allclose([p, q], [[4.0, 3.0], [2.0, -3.0]])
    kept = solution.invariants(problem(eta_u=4.0, eta_w=9.0), np.array([2.0, 0.0]), np.array([1.0, 3.0]))
    np.testing.assert_allclose(kept.imbalance, [32.0, -36.0])
    assert kept.area == pytest.approx(36.0)
    assert solution.height(problem(gamma=0.5), np.array([2.0, 0.0]), np.array([1.0, 3.0])) == pytest.approx(3.0)


@pytest.mark.parametrize(("angle", "tolerance"), [(1e-3, 1e-10), (1e-6, 1e-8), (1e-8, 1e-6)])
def test_area_of_nearly_parallel_layers_does_not_cancel(angle, tolerance):
    u, w = np.array([0.6, 0.8]), np.array([0.6 - 0.8 * angle, 0.8 + 0.6 * angle])
    assert solution.invariants(problem(), u, w).area == pytest.approx(angle**2, rel=tolerance)
    assert solution.invariants(problem(), U, 0.1 * U).area == 0.0


def test_weighted_tangent_kernel_by_autodiff():
    u, w = (torch.tensor(values, requires_grad=True) for values in (U, W))
    by_u, by_w = torch.autograd.grad(0.8 * (u @ w), (u, w))
    expected = (0.5 * (by_u**2).sum() + 2.0 * (by_w**2).sum()).item()
    assert solution.exact(CANONICAL, U, W, np.zeros(1)).tangent[0] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("name", ["gamma", "eta_u", "eta_w", "second_moment"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_problem_refuses_what_is_not_positive(name, value):
    with pytest.raises(ValueError, match=f"{name} must be positive and finite, got {value}"):
        problem(**{name: value})


def test_problem_refuses_inconsistent_moments():
    with pytest.raises(
        ValueError, match=r"target_moment must be at least cross_moment\*\*2 / second_moment = 2, got 1.9"
    ):
        problem(second_moment=0.5, target_moment=1.9)
    with pytest.raises(ValueError, match="cross_moment must be finite, got nan"):
        problem(cross_moment=math.nan)
    with pytest.raises(ValueError, match="target_moment must be non-negative and finite, got inf"):
        problem(target_moment=math.inf)


@pytest.mark.parametrize(
    ("times", "message"),
    [([-1.0, 2.0], "times must be at least 0"), ([0.0, 2.0, 1.0], "times must be strictly increasing, got 1.0 at index 2"),
     ([math.nan], "times must be"), ([-math.inf], "times must be at least 0"), ([math.inf, math.inf], "increasing")],
)  # fmt: skip
def test_exact_refuses_times(times, message):
    with pytest.raises(ValueError, match=message):
        solution.exact(CANONICAL, U, W, np.array(times))


def test_weights_must_be_finite_and_of_one_width():
    for function in (solution.parts, solution.invariants, solution.limit, solution.height):
        with pytest.raises(ValueError, match="u must be finite, got nan at index 1"):
            function(CANONICAL, np.array([1.0, math.nan, 0.0]), W)
        with pytest.raises(TypeError):
            function(CANONICAL, U, W[:2])
    with pytest.raises(TypeError):
        solution.exact(CANONICAL, U, W, 1.0)


def test_slopes_off_the_way_are_refused():
    with pytest.raises(ValueError, match="slope must lie on the way, between -0.16 and 0.8, got 0.9"):
        solution.time_to_slope(CANONICAL, U, W, 0.9)
    with pytest.raises(ValueError, match="slope must lie on the way, .* got nan"):
        solution.time_to_slope(CANONICAL, U, W, math.nan)
    with pytest.raises(ValueError, match="slope must lie on the way, between -0.38 and 0, got 0.1"):
        solution.time_to_slope(problem(), U, -U, 0.1)


@pytest.mark.parametrize("function", [solution.alignment, solution.split])
@pytest.mark.parametrize("height", [-1.0, math.nan, np.array([1.0, -1.0])])
def test_heights_must_not_be_negative(function, height):
    with pytest.raises(ValueError, match="height must be non-negative"):
        function(0 * height, height)


def test_inputs_are_not_changed():
    u, w, times = U.copy(), W.copy(), TIMES.copy()
    solution.exact(CANONICAL, u, w, times)
    for kept, now in ((U, u), (W, w), (TIMES, times)):
        np.testing.assert_array_equal(kept, now)


@pytest.mark.parametrize("cross", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("size", [1e-70, 1.0, 1e74])
def test_the_range_of_sizes_is_solved(size, cross):
    given, times = solution.Problem(1, 1, 1, 1, cross, 2), np.array([0.0, 1e-160, 1.0, math.inf])
    path = solution.exact(given, size * U, size * W, times)
    assert all(np.isfinite(part).all() for part in vars(path).values() if part is not path.time)


@pytest.mark.parametrize("size", [1e76, 1e80, 1e200])
def test_sizes_whose_products_overflow_are_refused(size):
    given = solution.Problem(1, 1, 1, 1, 1, 2)
    with pytest.raises(ValueError, match=r"problem, u and w must have lengths .* at most 1e\+150, got (inf|.*e\+1..)"):
        solution.limit(given, size * U, size * W)
    with pytest.raises(ValueError, match="problem, u and w must have lengths"):
        solution.time_to_slope(given, size * U, size * W, 0.0)


def test_a_problem_whose_answer_overflows_is_refused():
    given = solution.Problem(1e-140, 1, 1, 1, 1e20, 1e41)
    with pytest.raises(ValueError, match="problem, u and w must"):
        solution.limit(given, U, W)
    tiny = solution.Problem(1, 1, 1, 1, -1, 2)
    with pytest.raises(ValueError, match="problem, u and w must be of sizes whose quotients are finite"):
        solution.limit(tiny, 1e-140 * U, 1e-140 * W)
