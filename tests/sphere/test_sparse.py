"""The sparse interpolant against hand-solved cases, the plain linear program, the network's own problem and its laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from afp_utils.core.models import Model
from afp_utils.sphere import kernels, sparse


def problem(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return kernels.uniform_points(n, d, rng=rng), rng.normal(size=n)


def solved(n, d, seed=0, **options):
    x, y = problem(n, d, seed)
    return x, y, sparse.sparse_interpolant(x, y, rng=np.random.default_rng(seed), **options)


def plain_program(x, y, theta, linear=True):
    ridges = np.abs(x @ theta.T)
    free = x if linear else x[:, :0]
    return linprog(
        np.append(np.ones(2 * len(theta)), np.zeros(free.shape[1])),
        A_eq=np.hstack([ridges, -ridges, free]),
        b_eq=y,
        bounds=[(0, None)] * (2 * len(theta)) + [(None, None)] * free.shape[1],
    ).fun


def test_one_atom_by_hand():
    """Constant data at (1, 0), (-1, 0), (0, 1), (0, -1): no linear part; the cheapest are the two diagonals.

    |theta . x| of the diagonals (1, 1) / sqrt 2 and (1, -1) / sqrt 2 is 1 / sqrt 2 at all four points, so weights of sum
    sqrt 2 fit. Dual: lambda = sqrt 2 / 4 at each point gives eta = (|cos| + |sin|) / sqrt 2 <= 1 and the same value.
    """
    x = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    fit = sparse.sparse_interpolant(x, np.ones(4), rng=np.random.default_rng(0), resolution=2)
    assert abs(fit.norm - np.sqrt(2)) < 1e-12
    assert abs(fit.dual.sum() - np.sqrt(2)) < 1e-9
    np.testing.assert_allclose(fit.linear, 0, atol=1e-12)
    np.testing.assert_allclose(np.abs(fit.atoms), np.sqrt(0.5), rtol=1e-12)


@pytest.mark.parametrize(("n", "d"), [(14, 3), (25, 3), (20, 5), (12, 2), (20, 2)])
def test_it_is_the_optimum_over_the_whole_dictionary(n, d):
    x, y, fit = solved(n, d, resolution=12)
    theta = sparse.dictionary(x, rng=np.random.default_rng(0), resolution=12)
    np.testing.assert_allclose(fit.norm, plain_program(x, y, theta), rtol=1e-8)
    for atom in fit.atoms:
        assert np.abs(theta - atom).max(axis=1).min() < 1e-14


@pytest.mark.parametrize(("n", "d"), [(60, 3), (60, 2), (50, 5)])
def test_certificate(n, d):
    x, y, fit = solved(n, d)
    theta = sparse.dictionary(x, rng=np.random.default_rng(0))
    np.testing.assert_allclose(fit.predict(x), y, atol=1e-12)
    assert len(fit.atoms) == n - d
    assert np.abs(sparse.dual_function(fit, x, theta)).max() < 1 + 1e-5
    np.testing.assert_allclose(fit.dual @ y, fit.norm, rtol=1e-6)
    np.testing.assert_allclose(x.T @ fit.dual, 0, atol=1e-9)
    np.testing.assert_allclose(sparse.dual_function(fit, x, fit.atoms), np.sign(fit.weights), atol=1e-5)


@pytest.mark.parametrize(("n", "d", "target"), [(16, 3, "constant"), (20, 4, "rough")])
def test_twice_the_norm_is_the_value_of_the_problem_over_neurons(n, d, target):
    x, y = problem(n, d)
    y = np.ones(n) if target == "constant" else y
    theta = sparse.dictionary(x, rng=np.random.default_rng(1))
    fit = sparse.sparse_interpolant(x, y, rng=np.random.default_rng(1))
    neurons = np.maximum(x @ np.concatenate([theta, -theta]).T, 0)
    answer = linprog(np.ones(2 * neurons.shape[1]), A_eq=np.hstack([neurons, -neurons]), b_eq=y, method="highs-ds")
    np.testing.assert_allclose(answer.fun, 2 * fit.norm, rtol=1e-6)
    assert np.count_nonzero(answer.x > 1e-10) <= n


def over_neurons(x, y, theta):
    """Value of the problem over ReLU neurons along the directions and against them, by another route."""
    neurons = np.maximum(x @ np.concatenate([theta, -theta]).T, 0)
    return linprog(np.ones(2 * neurons.shape[1]), A_eq=np.hstack([neurons, -neurons]), b_eq=y, method="highs-ds").fun


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0, 1.5, 3.0])
def test_a_tilted_ridge_costs_more_than_twice_if_it_is_steep(slope):
    """|theta . x| + slope theta . x weighs one as an atom, whatever the slope, and 2 max(1, |slope|) in neurons."""
    x, _ = problem(30, 3)
    theta = sparse.dictionary(x, rng=np.random.default_rng(2))
    y = np.abs(x @ theta[0]) + slope * x @ theta[0]
    fit = sparse.sparse_interpolant(x, y, rng=np.random.default_rng(2))
    np.testing.assert_allclose(fit.norm, 1, rtol=1e-9)
    np.testing.assert_allclose([over_neurons(x, y, theta), fit.neuron_weight], 2 * max(1, slope), rtol=1e-7)


@pytest.mark.parametrize("n", [8, 16])
@pytest.mark.parametrize("seed", range(6))
def test_the_network_costs_at_least_twice_and_exactly_twice_where_the_linear_part_is_free(n, seed):
    x, _ = problem(n, 3, seed)
    theta = sparse.dictionary(x, rng=np.random.default_rng(seed))
    fit = sparse.sparse_interpolant(x, np.ones(n), rng=np.random.default_rng(seed))
    value = over_neurons(x, np.ones(n), theta) / (2 * fit.norm)
    assert 1 - 1e-7 < value < fit.neuron_weight / (2 * fit.norm) + 1e-7
    assert (value < 1 + 1e-7) == (fit.neuron_weight < 2 * fit.norm * (1 + 1e-7))


def test_neuron_weight_by_hand():
    def of(atoms, weights, linear):
        return sparse.SparseInterpolant(np.array(atoms), np.array(weights), np.array(linear), np.zeros(3)).neuron_weight

    axes = np.eye(2)
    assert abs(of(axes, [1.0, -2.0], [0.5, -1.5]) - 6) < 1e-9  # free
    assert abs(of(axes, [1.0, -2.0], [3.0, 0.0]) - 10) < 1e-9  # the first atom pays 3 for its slope
    assert of(axes[:1], [1.0], [0.0, 0.1]) == np.inf  # out of reach of the only atom
    assert of(np.zeros((0, 2)), np.zeros(0), [0.0, 0.0]) == 0
    assert of(np.zeros((0, 2)), np.zeros(0), [0.0, 1.0]) == np.inf


def test_the_linear_part_is_free():
    x, y = problem(24, 3)
    slope = np.array([3.0, -5.0, 0.7])
    fit = sparse.sparse_interpolant(x, y, rng=np.random.default_rng(2))
    tilted = sparse.sparse_interpolant(x, y + x @ slope, rng=np.random.default_rng(2))
    np.testing.assert_allclose(tilted.norm, fit.norm, rtol=1e-8)
    np.testing.assert_allclose(tilted.linear, fit.linear + slope, atol=1e-6)
    theta = sparse.dictionary(x, rng=np.random.default_rng(2))
    assert plain_program(x, y, theta, linear=False) > 1.02 * fit.norm  # so a missing linear part is seen


def test_linear_data_cost_nothing():
    x, _ = problem(10, 3)
    fit = sparse.sparse_interpolant(x, x @ np.array([1.0, 2.0, -1.0]), rng=np.random.default_rng(0))
    assert fit.norm == 0 and fit.atoms.shape == (0, 3)
    np.testing.assert_allclose(fit.linear, [1, 2, -1], atol=1e-12)
    few, y = problem(3, 5)
    exact = sparse.sparse_interpolant(few, y, rng=np.random.default_rng(0))
    assert exact.norm == 0
    np.testing.assert_allclose(exact.predict(few), y, atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-9, 1e9), st.sampled_from([2, 3, 4]))
def test_laws(seed, factor, d):
    """The norm scales with the data, and more data never cost less."""
    x, y = problem(12, d, seed)
    fit, scaled = (
        sparse.sparse_interpolant(x, c * y, rng=np.random.default_rng(seed), resolution=10) for c in (1, factor)
    )
    np.testing.assert_allclose(scaled.norm, factor * fit.norm, rtol=1e-7)
    np.testing.assert_allclose(scaled.predict(x), factor * y, rtol=1e-7, atol=1e-9 * factor)
    theta = sparse.dictionary(x, rng=np.random.default_rng(seed), resolution=10)
    assert plain_program(x[:9], y[:9], theta) <= fit.norm * (1 + 1e-7)


def test_a_constant_costs_at_most_one_over_the_mean():
    for d, mean in ((2, 2 / np.pi), (3, 0.5), (5, 0.375)):
        x, _ = problem(40, d)
        norm = sparse.sparse_interpolant(x, np.ones(40), rng=np.random.default_rng(0)).norm
        assert 0.8 / mean < norm < 1.005 / mean


def test_on_an_equally_spaced_circle_kinks_lie_midway_between_the_data():
    n = 16
    angle = np.pi * np.arange(n) / n
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = np.concatenate([x, -x])
    fit = sparse.sparse_interpolant(x, np.ones(2 * n), rng=np.random.default_rng(0), resolution=8)
    np.testing.assert_allclose(fit.norm, n * np.sin(np.pi / (2 * n)), rtol=1e-9)  # perimeter of the inscribed polygon
    kinks = np.arctan2(fit.atoms[:, 0], -fit.atoms[:, 1]) % np.pi * n / np.pi
    np.testing.assert_allclose(kinks % 1, 0.5, atol=1e-9)
    ridges = np.abs(x[:n] @ np.stack([-x[:n, 1], x[:n, 0]]))  # kinks at the data cost more
    np.testing.assert_allclose(np.linalg.solve(ridges, np.ones(n)).sum(), n * np.tan(np.pi / (2 * n)), rtol=1e-9)


def test_an_atom_of_the_dictionary_is_recovered():
    x, _ = problem(30, 5)
    theta = sparse.dictionary(x, rng=np.random.default_rng(3))[17]
    fit = sparse.sparse_interpolant(x, 2.5 * np.abs(x @ theta), rng=np.random.default_rng(3))
    assert len(fit.atoms) == 1
    np.testing.assert_allclose(fit.weights, [2.5], rtol=1e-9)
    np.testing.assert_allclose(fit.atoms[0], theta, atol=1e-12)


def test_refining_lowers_the_norm_and_finds_a_direction_outside_the_dictionary():
    x, _ = problem(40, 4)
    y = np.abs(x[:, 0])
    fit = sparse.sparse_interpolant(x, y, rng=np.random.default_rng(4))
    finer = sparse.refine(fit, x, y, rng=np.random.default_rng(5), rounds=6)
    assert 1 - 1e-9 <= finer.norm < 1 + 0.5 * (fit.norm - 1)
    np.testing.assert_allclose(finer.predict(x), y, atol=1e-10)
    assert sparse.refine(fit, x, y, rng=np.random.default_rng(5), rounds=0) is fit
    test = kernels.uniform_points(500, 4, rng=np.random.default_rng(6))
    errors = [np.mean((f.predict(test) - np.abs(test[:, 0])) ** 2) for f in (fit, finer)]
    assert errors[1] < 0.1 * errors[0]


def test_each_round_of_refining_looks_nearer_to_the_atoms(monkeypatch):
    x, y, fit = solved(40, 3)
    seen, k = [], len(fit.atoms)

    def unchanged(x, y, directions, *_):
        seen.append(directions)
        return fit

    monkeypatch.setattr(sparse, "_column_generation", unchanged)
    sparse.refine(fit, x, y, rng=np.random.default_rng(0), rounds=5)
    distance = [np.linalg.norm(at[k : 11 * k] - np.repeat(fit.atoms, 10, axis=0), axis=1).mean() for at in seen]
    np.testing.assert_allclose(np.divide(distance[1:], distance[:-1]), 0.7, atol=0.1)


def test_it_is_a_model():
    fit = solved(12, 3)[2]
    assert isinstance(fit, Model)
    at = np.random.default_rng(7).normal(size=(6, 3))
    rows = np.concatenate([np.abs(at @ fit.atoms.T), at], axis=1)
    np.testing.assert_allclose(fit.gram(at), rows @ rows.T, rtol=1e-12)
    move = 1e-6
    for axis in np.eye(3):
        slope = (fit.predict(at + move * axis) - fit.predict(at - move * axis)) / (2 * move)
        np.testing.assert_allclose(fit.gradient(at) @ axis, slope, rtol=1e-7, atol=1e-8)

    def moved(i, j, by):
        atoms = fit.atoms.copy()
        atoms[i, j] += by
        return sparse.SparseInterpolant(atoms, fit.weights, fit.linear, fit.dual).predict(at)

    k, d = fit.atoms.shape
    slopes = [(moved(i, j, move) - moved(i, j, -move)) / (2 * move) for i in range(k) for j in range(d)]
    jacobian = np.concatenate([rows, np.array(slopes).T], axis=1)
    np.testing.assert_allclose(fit.tangent(at), jacobian @ jacobian.T, rtol=1e-6)


def test_dictionary_of_the_circle_has_its_kinks_at_the_data():
    x, _ = problem(9, 2)
    theta = sparse.dictionary(x, rng=np.random.default_rng(0), resolution=5)
    assert theta.shape == (45, 2)
    np.testing.assert_allclose(np.linalg.norm(theta, axis=1), 1)
    assert np.abs(theta @ x.T).min(axis=0).max() < 1e-12
    kinks = np.sort(np.arctan2(-theta[:, 0], theta[:, 1]) % np.pi)
    data = np.sort(np.arctan2(x[:, 1], x[:, 0]) % np.pi)
    gaps, spacing = (np.diff(np.append(angle, angle[0] + np.pi)) for angle in (data, kinks))
    np.testing.assert_allclose(np.sort(spacing), np.sort(np.repeat(gaps / 5, 5)), atol=1e-12)
    other = sparse.dictionary(x, rng=np.random.default_rng(1), resolution=5)
    np.testing.assert_array_equal(theta, other)


def test_same_generator_same_result():
    first, second = solved(20, 3)[2], solved(20, 3)[2]
    np.testing.assert_array_equal(first.atoms, second.atoms)
    np.testing.assert_array_equal(first.weights, second.weights)


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (np.ones((4, 1)), np.ones(4), {}, "number of coordinates of x must be at least 2, got 1"),
        (np.eye(4), np.array([1, np.nan, 1, 1]), {}, "y must be finite"),
        (np.zeros((4, 3)), np.ones(4), {}, "length of x must be positive and finite, got 0.0 at index 0"),
        (np.eye(4), np.ones(4), {"resolution": 0}, "resolution must be at least 1"),
        (np.repeat(np.eye(3), 2, axis=0), np.arange(6.0), {}, "different values at one point"),
        (problem(40, 3)[0][[*range(40), 0]], np.arange(41.0), {}, "different values at one point"),
    ],
)
def test_bad_input_is_refused(x, y, options, message):
    with pytest.raises(ValueError, match=message):
        sparse.sparse_interpolant(x, y, rng=np.random.default_rng(0), **options)


def test_wrong_shapes_are_refused():
    x, y = problem(6, 3)
    with pytest.raises(TypeError):
        sparse.sparse_interpolant(x, y[:5], rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="rounds must be at least 0"):
        sparse.refine(solved(6, 3)[2], x, y, rng=np.random.default_rng(0), rounds=-1)
