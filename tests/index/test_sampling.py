"""Index models on data: covariance of the noise, the noise-free limit, finite differences, the closed-form floor."""

import numpy as np
import pytest
from scipy.optimize import root

from afp_utils.index import population, sampling
from afp_utils.index.features import IndexModel, contract, hermite

LINK = np.array([0.1, 0.3, 0.8, 0.6])
EIGENVALUES = np.array([1.0, 0.8, 0.5, 0.3])


def tensors(link):
    return [np.full((1,) * r, g) for r, g in enumerate(link)]


def value(tensor, w):
    """<T, w^(x r)> of each run."""
    return (contract(tensor, w) @ w)[:, 0, 0]


def test_noise_has_the_covariance_of_an_estimated_coefficient():
    """cov(S_r(w), S_r(w')) = noise <w, w'>^r: 4000 draws, standard error below 0.025 of the variance."""
    rng, runs, noise = np.random.default_rng(0), 4000, 0.3
    data = sampling.hermite_data(tensors([0.0, 0.0, 0.0, 0.0]), 5, np.full(runs, noise), rng)
    w = sampling.random_directions(2, 5, 1, rng)
    overlap = float(w[0, :, 0] @ w[1, :, 0])
    for r in (1, 2, 3):
        one, two = (value(data.tensors[r], np.tile(w[i], (runs, 1, 1))) for i in (0, 1))
        assert np.mean(one * one) == pytest.approx(noise, rel=0.08)
        assert np.mean(one * two) == pytest.approx(noise * overlap**r, abs=0.08 * noise)


def test_tensors_are_symmetric_around_the_target():
    data = sampling.hermite_data(
        [np.array(0.5), np.array([0.3, 0.4]), np.diag([0.8, 0.6])], 4, np.zeros(3), np.random.default_rng(0)
    )
    np.testing.assert_array_equal(data.tensors[0], [0.5] * 3)
    np.testing.assert_array_equal(data.tensors[1][1], [0.3, 0.4, 0, 0])
    np.testing.assert_array_equal(data.tensors[2][2], np.diag([0.8, 0.6, 0, 0]))
    noisy = sampling.hermite_data(tensors(LINK), 4, np.ones(2), np.random.default_rng(0)).tensors[3]
    np.testing.assert_allclose(noisy, noisy.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(noisy, noisy.transpose(0, 2, 1, 3))


def test_each_run_has_its_own_noise_level():
    data = sampling.hermite_data(tensors(LINK), 20, np.array([0.0, 1.0, 4.0]), np.random.default_rng(0))
    spread = data.tensors[2].reshape(3, -1).std(axis=1)
    assert spread[0] == pytest.approx(0.8 / 20, rel=0.1)  # the target's one entry
    assert spread[2] / spread[1] == pytest.approx(2, rel=0.1)


def test_random_directions_are_orthonormal_and_uniform():
    w = sampling.random_directions(4000, 5, 2, np.random.default_rng(1))
    np.testing.assert_allclose(w.swapaxes(1, 2) @ w, np.tile(np.eye(2), (4000, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.mean(w[:, :, 0] ** 2, axis=0), 0.2, atol=0.02)
    np.testing.assert_allclose(np.mean(w, axis=0), 0, atol=0.03)


@pytest.mark.parametrize("overlap", [0.4, -0.4])
def test_without_noise_it_is_the_population_flow(overlap):
    times = np.linspace(0, 12, 5)
    data = sampling.hermite_data(tensors(LINK), 5, np.zeros(2), np.random.default_rng(0))
    w = np.zeros((2, 5, 1))
    w[:, 0, 0], w[:, 3, 0] = overlap, np.sqrt(1 - overlap**2)
    ours = population.single_index(LINK, EIGENVALUES, overlap, times)
    for run in sampling.white_noise_flow(data, EIGENVALUES, w, times):
        np.testing.assert_allclose(run.risk, ours.risk, atol=1e-5)
        np.testing.assert_allclose(population.overlaps(run), population.overlaps(ours), atol=1e-5)
        np.testing.assert_allclose(run.states[-1].beta, ours.states[-1].beta, atol=1e-5)


def test_without_noise_two_directions_follow_multi_index():
    link, times = [np.array(0.1), np.array([0.3, -0.2]), np.diag([0.8, 0.6])], np.linspace(0, 12, 4)
    psi = np.array([[0.3, 0.1], [-0.1, 0.2]])
    ours = population.multi_index(link, EIGENVALUES[:3], psi, times)
    w = np.zeros((1, 6, 2))
    w[0, :4] = ours.states[0].directions
    data = sampling.hermite_data(link, 6, np.zeros(1), np.random.default_rng(0))
    run = sampling.white_noise_flow(data, EIGENVALUES[:3], w, times)[0]
    np.testing.assert_allclose(run.risk, ours.risk, atol=1e-5)
    np.testing.assert_allclose(population.overlaps(run, 2), population.overlaps(ours, 2), atol=1e-5)


def test_a_linear_link_ends_at_the_noisy_direction():
    """Degree 1 alone: the energy <T_1, w>^2 / 2 has its maximum at T_1 / |T_1|, whatever the start."""
    data = sampling.hermite_data(tensors([0.0, 1.0]), 6, np.full(3, 0.2), np.random.default_rng(2))
    w = sampling.random_directions(3, 6, 1, np.random.default_rng(3))
    runs = sampling.white_noise_flow(data, np.ones(2), w, np.array([0.0, 60.0]))
    for run, target in zip(runs, data.tensors[1]):
        cosine = run.states[-1].directions[:, 0] @ target / np.linalg.norm(target)
        assert abs(cosine) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("link", [[0.0, 0.0, 1.0], [0.0, 0.0, 0.8, 0.6], [0.0, 0.6, 0.64, 0.48]])
def test_noise_floor_of_one_direction(link):
    """1 - rho^2 = |delta|^2 run by run, on average (d - 1) noise / sum r g_r^2: d in place of d - 1 would be 7.7 errors off."""
    d, noise, runs, link = 6, 1e-4, 600, np.array(link)
    data = sampling.hermite_data(tensors(link), d, np.full(runs, noise), np.random.default_rng(1))
    w = np.zeros((runs, d, 1))
    w[:, :2, 0] = 0.5, np.sqrt(0.75)
    trained = sampling.white_noise_flow(data, np.ones(len(link)), w, np.array([30.0]))
    gap = np.array([1 - population.overlaps(run)[-1, 0, 0] ** 2 for run in trained])
    steepness = np.arange(len(link)) @ link**2
    pull = sum(r * g * data.tensors[r].reshape(runs, d, -1)[:, 1:, 0] for r, g in enumerate(link) if r)
    own = np.sum((pull / steepness) ** 2, axis=1)
    assert np.mean(gap) / np.mean(own) == pytest.approx(1, abs=0.01)
    assert np.sqrt(np.mean((gap / own - 1) ** 2)) < 0.05
    assert gap.mean() * steepness / ((d - 1) * noise) == pytest.approx(1, abs=0.078)


def test_entries_off_the_diagonal_have_the_variance_of_a_symmetrised_tensor():
    """An entry hit by r indices has the noise over the number of its distinct orders: 1, 1/2; 1, 1/3, 1/6."""
    data = sampling.hermite_data(tensors(np.zeros(4)), 3, np.full(20_000, 4.0), np.random.default_rng(0))
    spread = [data.tensors[2][:, 0, 0], data.tensors[2][:, 0, 1]]
    spread += [data.tensors[3][:, 0, 0, 0], data.tensors[3][:, 0, 0, 1], data.tensors[3][:, 0, 1, 2]]
    np.testing.assert_allclose([np.var(one) / 4 for one in spread], [1, 1 / 2, 1, 1 / 3, 1 / 6], rtol=0.04)


def test_below_its_edge_index_two_is_lost_and_above_it_ends_at_the_top_eigenvector():
    """rho^2 = 1 - d noise / 2 of the top eigenvector, 0 for noise above 2 / d; the flow ends there if its sign is right."""
    d, runs = 100, 40
    for ratio, expected, error in [(0.25, 0.0, 0.06), (2.0, 0.75, 0.04), (4.0, 0.875, 0.02)]:
        data = sampling.hermite_data(tensors([0, 0, 1.0]), d, np.full(runs, 1 / (ratio * d)), np.random.default_rng(0))
        top = np.linalg.eigh(data.tensors[2])[1][:, 0, -1] ** 2
        assert np.mean(top) == pytest.approx(expected, abs=error)
    w = np.zeros((runs, d, 1))
    w[:, 0, 0], w[:, 1, 0] = 0.6, 0.8
    for run, end in zip(sampling.white_noise_flow(data, np.array([0.0, 0.0, 1.0]), w, np.array([60.0])), top):
        assert population.overlaps(run)[0, 0, 0] ** 2 == pytest.approx(end, abs=1e-3)


def moments():
    """Points of equal weight in the plane with the moments of the normal law up to degree 6."""
    radii, angles = 32, 8
    start = -2 * np.log1p(-(np.arange(radii) + 0.5) / radii)
    powers, degree = start ** np.arange(1, 4)[:, None], np.arange(1, 4)[:, None]
    goal = np.array([2, 8, 48])
    bend = root(lambda b: np.mean((b @ powers) ** degree, axis=1) / goal - 1, [1.0, 0.0, 0.0], tol=1e-13).x
    points = np.outer(np.sqrt(bend @ powers), np.exp(2j * np.pi * np.arange(angles) / angles)).ravel()
    return np.column_stack([points.real, points.imag])


@pytest.mark.parametrize("overlap", [0.25, -0.4])
def test_on_a_sample_with_the_moments_of_the_normal_law_the_sample_flow_is_the_population_flow(overlap):
    x, times = moments(), np.linspace(0, 12, 7)
    w = np.array([[overlap], [np.sqrt(1 - overlap**2)]])
    run = sampling.sample_flow(x, LINK @ hermite(x[:, 0], 4), EIGENVALUES, w, times)
    limit = population.single_index(LINK, EIGENVALUES, overlap, times)
    np.testing.assert_allclose(population.overlaps(run), population.overlaps(limit), atol=2e-5)
    np.testing.assert_allclose(run.risk, limit.risk, atol=2e-5)
    np.testing.assert_allclose(run.states[-1].beta, limit.states[-1].beta, atol=2e-5)


def test_data_of_a_constant():
    data = sampling.hermite_data([0.5], 3, np.zeros(2), np.random.default_rng(0))
    np.testing.assert_array_equal(data.tensors[0], [0.5, 0.5])


def test_noise_floor_with_a_level_for_each_degree():
    """E(1 - rho^2) = (d - 1) sum r g_r^2 e_r / (sum r g_r^2)^2: the answer of an exercise, by simulation."""
    d, link, noise = 30, np.array([0.0, 0.0, 0.8, 0.6]), np.array([9e-4, 0.0, 1e-4, 4e-4])
    clean, noisy = (
        sampling.hermite_data(tensors(link), d, np.full(60, level), np.random.default_rng(3)) for level in (0.0, 1.0)
    )
    mixed = tuple(a + np.sqrt(e) * (b - a) for a, b, e in zip(clean.tensors, noisy.tensors, noise))
    w = np.zeros((60, d, 1))
    w[:, :2, 0] = 0.5, np.sqrt(0.75)
    runs = sampling.white_noise_flow(sampling.HermiteData(mixed, clean.link), np.ones(4), w, np.array([30.0]))
    gap = np.mean([1 - population.overlaps(run)[-1, 0, 0] ** 2 for run in runs])
    weight = np.arange(4) * link**2
    assert gap == pytest.approx((d - 1) * weight @ noise / weight.sum() ** 2, rel=0.1)


@pytest.mark.parametrize("degree", [2, 3])
def test_in_a_single_degree_the_sign_of_the_signal_is_kept(degree):
    """|S_r(w)| never falls from beta = 0, whatever lambda: the sign theorem of the chapter."""
    data = sampling.hermite_data(tensors(np.eye(degree + 1)[degree]), 8, np.full(20, 0.3), np.random.default_rng(6))
    w = sampling.random_directions(20, 8, 1, np.random.default_rng(7))
    for scale in (0.05, 3.0):
        runs = sampling.white_noise_flow(data, scale * np.eye(degree + 1)[degree], w, np.linspace(0, 30, 31))
        for i, run in enumerate(runs):
            signal = [value(data.tensors[degree][[i]], state.directions[None])[0] for state in run.states]
            signs = np.array(signal) * np.sign(signal[0])
            assert np.diff(signs).min() > -1e-5


def sample(n=300, d=4, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    return x, LINK @ hermite(x[:, 0], 4) + 0.3 * rng.standard_normal(n), sampling.random_directions(1, d, 2, rng)[0]


def test_sample_flow_moves_against_the_gradient_of_the_loss():
    """Finite differences of the training loss in every coefficient, and in W along the sphere's tangent directions."""
    x, y, w = sample()
    step = 1e-5
    before, after = sampling.sample_flow(x, y, EIGENVALUES, w, np.array([2.0, 2.0 + step])).states
    model = before

    def loss(coefficients, directions):
        return np.mean((IndexModel(EIGENVALUES, coefficients, directions).predict(x) - y) ** 2) / 2

    speed = [(b - a) / step for a, b in zip(before.coefficients, after.coefficients)]
    turn = (after.directions - before.directions) / step
    for r, b in enumerate(model.coefficients):
        for i in range(len(b)):
            shift = np.zeros(len(b))
            shift[i] = 1e-5
            up, down = (
                loss(tuple(c + s * shift if q == r else c for q, c in enumerate(model.coefficients)), model.directions)
                for s in (1, -1)
            )
            assert speed[r][i] == pytest.approx(-(up - down) / 2e-5, abs=2e-4)
    gradient = np.zeros_like(w)
    for i, j in np.ndindex(*w.shape):
        shift = np.zeros_like(w)
        shift[i, j] = 1e-5
        up, down = (loss(model.coefficients, model.directions + s * shift) for s in (1, -1))
        gradient[i, j] = (up - down) / 2e-5
    inner = model.directions.T @ gradient
    expected = -(gradient - model.directions @ (inner + inner.T) / 2)
    np.testing.assert_allclose(turn, expected, atol=2e-4)
    assert np.abs(turn).max() > 0.01


def test_sample_flow_lowers_the_training_error_and_tends_to_the_population():
    x, y, _ = sample(n=20000, seed=1)
    y = LINK @ hermite(x[:, 0], 4)
    w = np.array([[0.5], [np.sqrt(0.75)], [0.0], [0.0]])
    times = np.linspace(0, 12, 7)
    run = sampling.sample_flow(x, y, EIGENVALUES, w, times)
    limit = population.single_index(LINK, EIGENVALUES, 0.5, times)
    assert np.diff(run.risk).max() < 0
    np.testing.assert_allclose(population.overlaps(run), population.overlaps(limit), atol=0.05)


def test_refusals():
    rng, times = np.random.default_rng(0), np.array([0.0, 1.0])
    data = sampling.hermite_data(tensors(LINK), 4, np.ones(2), rng)
    w = sampling.random_directions(2, 4, 1, rng)
    with pytest.raises(ValueError, match="noise must be non-negative"):
        sampling.hermite_data(tensors(LINK), 4, np.array([-1.0]), rng)
    with pytest.raises(ValueError, match="dimension must be at least that of the link"):
        sampling.hermite_data([np.array(0.0), np.ones(5)], 4, np.ones(1), rng)
    with pytest.raises(ValueError, match="eigenvalues must be one per degree"):
        sampling.white_noise_flow(data, EIGENVALUES[:3], w, times)
    with pytest.raises(ValueError, match="directions must fit data"):
        sampling.white_noise_flow(data, EIGENVALUES, w[:1], times)
    with pytest.raises(ValueError, match="times must be strictly increasing"):
        sampling.white_noise_flow(data, EIGENVALUES, w, times[::-1].copy())
    with pytest.raises(ValueError, match="directions must be of orthonormal columns"):
        sampling.white_noise_flow(data, EIGENVALUES, 1.1 * w, times)
    with pytest.raises(ValueError, match=r"link\[2\] must be symmetric"):
        sampling.hermite_data([0.0, [0.0, 0.0], [[0.0, 1.0], [0.0, 0.0]]], 4, np.ones(1), rng)
    with pytest.raises(ValueError, match=r"link\[1\] must have shape \(2,\)"):
        sampling.hermite_data([0.0, [0.0], np.eye(2)], 4, np.ones(1), rng)
    x, y, w = sample()
    with pytest.raises(ValueError, match="directions must be of orthonormal columns"):
        sampling.sample_flow(x, y, EIGENVALUES, w @ np.array([[1.0, 0.3], [0.0, 1.0]]), times)
    with pytest.raises(ValueError, match="directions must be finite"):
        sampling.sample_flow(x, y, EIGENVALUES, w * np.nan, times)
    with pytest.raises(ValueError, match="y must be finite"):
        sampling.sample_flow(x, y * np.nan, EIGENVALUES, w, times)
    with pytest.raises(ValueError, match="eigenvalues must be non-negative"):
        sampling.sample_flow(x, y, -EIGENVALUES, w, times)
    with pytest.raises(ValueError, match="eigenvalues must be not empty"):
        sampling.sample_flow(x, y, np.zeros(0), w, times)
    with pytest.raises(ValueError, match="link must be not empty"):
        sampling.hermite_data([], 4, np.ones(1), rng)
    with pytest.raises(ValueError, match=r"width must be in \[1, 2\], got 3"):
        sampling.random_directions(1, 2, 3, rng)
    with pytest.raises(TypeError):
        sampling.sample_flow(x, y[:-1], EIGENVALUES, w, times)


def test_runs_do_not_see_each_other():
    """A batch of two starts gives each the path it has alone."""
    link, times = [0.1, [0.5, 0.0], np.diag([0.8, 0.6])], np.array([0.0, 3.0, 6.0])
    w = sampling.random_directions(2, 4, 2, np.random.default_rng(4))
    data = sampling.hermite_data(link, 4, np.full(2, 0.05), np.random.default_rng(5))
    together = sampling.white_noise_flow(data, EIGENVALUES[:3], w, times)
    for run in range(2):
        one = sampling.HermiteData(tuple(tensor[[run]] for tensor in data.tensors), data.link)
        alone = sampling.white_noise_flow(one, EIGENVALUES[:3], w[[run]], times)[0]
        np.testing.assert_allclose(together[run].states[1].beta, alone.states[1].beta, atol=1e-4)
        np.testing.assert_allclose(together[run].states[1].directions, alone.states[1].directions, atol=1e-4)
        np.testing.assert_allclose(together[run].risk, alone.risk, atol=1e-4)


def test_integers_and_lists_mean_what_floats_mean():
    """Of all three modules of the room."""
    link, whole, ones = [0.0, np.array([1.0, 0.0])], [0, [1, 0]], np.ones(2)
    times, w = np.array([0.0, 2.0]), np.array([[[1.0], [0.0], [0.0]]])

    def data(link, dimension, noise):
        return sampling.hermite_data(link, dimension, noise, np.random.default_rng(0))

    usual, same = data(link, 3, np.array([1.0])), data(whole, np.int64(3), [1])
    np.testing.assert_array_equal(same.tensors[1], usual.tensors[1])
    x, y = [[1, 0], [0, 2], [1, 1]], [1, -1, 2]
    p, overlap = population, [[1], [0]]
    pairs = [
        (
            sampling.white_noise_flow(same, [1, 1], w.astype(int), [0, 2])[0],
            sampling.white_noise_flow(usual, ones, w, times)[0],
        ),
        (
            sampling.sample_flow(x, y, [1, 1], overlap, [0, 2]),
            sampling.sample_flow(np.array(x, float), np.array(y, float), ones, np.array(overlap, float), times),
        ),
        (p.single_index([0, 1], [1, 1], np.float32(0.5), [0, 2]), p.single_index(np.eye(2)[1], ones, 0.5, times)),
        (p.multi_index(whole, [1, 1], overlap, [0, 2]), p.multi_index(link, ones, np.array(overlap, float), times)),
    ]
    for one, other in pairs:
        np.testing.assert_array_equal(one.risk, other.risk)
        np.testing.assert_array_equal(p.overlaps(one, np.int64(1)), p.overlaps(other))
    got, wanted = p.directional(2, [0, 1], [0, 2]), p.directional(2.0, np.array([0.0, 1.0]), times)
    np.testing.assert_array_equal(got.risk, wanted.risk)
    assert p.escape_time([0, 1], [1, 1], np.float32(0.5)) == p.escape_time(np.eye(2)[1], ones, 0.5)
    assert p.single_index_fem([0, 1], [1, 1], 1, 1) == p.single_index_fem(np.eye(2)[1], ones, np.array(1.0), 1.0)
    assert p.multi_index_fem(whole, [1, 1], overlap, 1) == p.multi_index_fem(link, ones, np.array(overlap, float), 1.0)
    assert p.directional_fem(2, 1, np.int8(1)) == p.directional_fem(2.0, np.array(1.0), 1.0)
    np.testing.assert_array_equal(hermite([[1, 2]], np.int64(3)), hermite(np.array([[1.0, 2.0]]), 3))
