"""Hermite features against quadrature, numpy's Hermite polynomials, autodiff and finite differences."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import hermite_e
from scipy.special import comb, factorial

from afp_utils.core.models import Model
from afp_utils.index.features import IndexModel, excess_risk, hermite, hermite_tensor, orthonormal, velocity


def gauss(axes, nodes=24):
    """Points (n, axes) and weights of the product Gauss-Hermite rule of the standard normal law."""
    z, w = hermite_e.hermegauss(nodes)
    grid = np.stack(np.meshgrid(*[z] * axes, indexing="ij"), axis=-1).reshape(-1, axes)
    weight = np.stack(np.meshgrid(*[w / w.sum()] * axes, indexing="ij"), axis=-1).reshape(-1, axes).prod(1)
    return grid, weight


def symmetric(rng, p, r):
    from itertools import permutations

    x = rng.normal(size=(p,) * r)
    orders = list(permutations(range(r)))
    return sum(np.transpose(x, order) for order in orders) / len(orders)


def model(seed=0, p=2, k=4, degrees=4):
    rng = np.random.default_rng(seed)
    b = tuple(symmetric(rng, p, r).ravel() for r in range(degrees))
    w = orthonormal(rng.normal(size=(1, k, p)))[0]
    return IndexModel(rng.uniform(0.2, 2.0, degrees), b, w)


def test_hermite_polynomials_are_those_of_numpy():
    x = np.linspace(-3, 3, 7)
    expected = [hermite_e.hermeval(x, np.eye(6)[r]) / np.sqrt(factorial(r)) for r in range(6)]
    np.testing.assert_allclose(hermite(x, 6), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(hermite(np.array(2.0), 3), [1, 2, 3 / np.sqrt(2)])
    assert hermite(x, 1).shape == (1, 7)


@settings(max_examples=25, deadline=None)
@given(rho=st.floats(-1, 1), degree=st.integers(0, 6), other=st.integers(0, 6))
def test_two_directions_see_each_other_through_a_power_of_their_overlap(rho, degree, other):
    z, weight = gauss(2)
    turned = rho * z[:, 0] + np.sqrt(1 - rho**2) * z[:, 1]
    inner = weight @ (hermite(turned, 7)[degree] * hermite(z[:, 0], 7)[other])
    assert inner == pytest.approx(rho**degree * (degree == other), abs=1e-10)


@pytest.mark.parametrize("p, degree", [(1, 3), (2, 2), (2, 3), (3, 2)])
def test_hermite_tensor_makes_symmetric_tensors_functions_of_the_same_norm(p, degree):
    z, weight = gauss(p, 12)
    features = hermite_tensor(z, degree)
    one, two = (symmetric(np.random.default_rng(seed), p, degree).ravel() for seed in (0, 1))
    assert weight @ (features @ one) ** 2 == pytest.approx(one @ one)
    assert weight @ ((features @ one) * (features @ two)) == pytest.approx(one @ two)
    covariance = features.T @ (weight[:, None] * features)
    assert np.linalg.matrix_rank(covariance, tol=1e-8) == comb(degree + p - 1, degree)


def test_hermite_tensor_by_hand():
    z = np.array([[2.0, -1.0]])
    np.testing.assert_allclose(hermite_tensor(z, 2)[0], [3 / 2**0.5, -2 / 2**0.5, -2 / 2**0.5, 0.0], atol=1e-14)


def test_tensors_turn_with_the_directions():
    rng = np.random.default_rng(3)
    z, turn = rng.normal(size=(5, 2)), np.linalg.qr(rng.normal(size=(2, 2)))[0]
    for r in (1, 2, 3):
        one, two = hermite_tensor(z, r), hermite_tensor(z @ turn, r)
        np.testing.assert_allclose(one @ one.T, two @ two.T, atol=1e-12)


def test_a_model_answers_the_four_questions():
    assert isinstance(model(), Model)


def test_gradient_is_the_derivative_of_predict():
    x = np.random.default_rng(1).normal(size=(6, 5))
    one, step = model(), 1e-5
    numeric = [(one.predict(x + step * e) - one.predict(x - step * e)) / (2 * step) for e in np.eye(5)]
    np.testing.assert_allclose(one.gradient(x), np.transpose(numeric), rtol=1e-7, atol=1e-8)


def torch_predict(x, eigenvalues, coefficients, w):
    """The same predictor for autodiff, degrees 0 to 3 written out for two directions."""
    z = x @ w
    a, b = z[:, 0], z[:, 1]
    h2 = torch.stack([a**2 - 1, a * b, a * b, b**2 - 1], 1) / 2**0.5
    aab, abb = b * (a**2 - 1), a * (b**2 - 1)
    h3 = torch.stack([a**3 - 3 * a, aab, aab, abb, aab, abb, abb, b**3 - 3 * b], 1) / 6**0.5
    features = [torch.ones(len(x), 1, dtype=x.dtype), z, h2, h3]
    return sum(v**0.5 * h @ c for h, v, c in zip(features, eigenvalues, coefficients))


def test_tangent_is_the_kernel_of_parameter_gradients_on_the_manifold():
    one, x = model(), np.random.default_rng(2).normal(size=(5, 4))
    points, w = torch.tensor(x), torch.tensor(one.directions, requires_grad=True)
    scales = [float(v) for v in one.eigenvalues]
    coefficients = [torch.tensor(b, requires_grad=True) for b in one.coefficients]
    out = torch_predict(points, scales, coefficients, w)
    np.testing.assert_allclose(one.predict(x), out.detach(), rtol=1e-12)
    rows = []
    for value in out:
        *gb, gw = torch.autograd.grad(value, [*coefficients, w], retain_graph=True)
        inner = one.directions.T @ gw.numpy()
        turn = gw.numpy() - one.directions @ (inner + inner.T) / 2
        rows.append(np.concatenate([*[g.numpy() for g in gb], turn.ravel()]))
    np.testing.assert_allclose(one.tangent(x), np.array(rows) @ np.array(rows).T, rtol=1e-10, atol=1e-10)


def test_gram_is_the_kernel_of_the_coefficients_alone():
    one, x = model(), np.random.default_rng(2).normal(size=(5, 4))
    z = x @ one.directions
    features = np.concatenate([np.sqrt(v) * hermite_tensor(z, r) for r, v in enumerate(one.eigenvalues)], axis=1)
    np.testing.assert_allclose(one.gram(x), features @ features.T)


def test_one_direction_has_the_tangent_of_the_sphere():
    one, x = model(p=1, k=3), np.random.default_rng(2).normal(size=(5, 3))
    z, u = x @ one.directions, one.slope(x)
    expected = one.gram(x) + (u @ u.T) * (x @ x.T - z @ z.T)
    np.testing.assert_allclose(one.tangent(x), expected, atol=1e-12)


def test_further_coordinates_of_the_probe_only_enter_the_tangent():
    one, rng = model(), np.random.default_rng(5)
    x = rng.normal(size=(4, 4))
    wide = np.concatenate([x, rng.normal(size=(4, 3))], axis=1)
    np.testing.assert_array_equal(one.predict(x), one.predict(wide))
    np.testing.assert_array_equal(one.gradient(wide)[:, 4:], 0)
    assert np.abs(one.tangent(wide) - one.tangent(x)).max() > 0.1


def test_velocity_descends_the_population_risk_along_its_gradient():
    """Autodiff of the closed-form risk gives the velocities: dB = -grad_B / 2, dW = -projected grad_W / 2."""
    rng = np.random.default_rng(7)
    k, p, eigenvalues = 3, 2, np.array([1.0, 0.7, 0.5, 0.3])
    link = [symmetric(rng, k, r) for r in range(4)]
    one = model(seed=9, p=p, k=k)
    b = [torch.tensor(part, requires_grad=True) for part in one.coefficients]
    w = torch.tensor(one.directions, requires_grad=True)
    risk = torch.tensor(sum(np.sum(tensor**2) for tensor in link))
    letters, slots = "abc", "xyz"
    for r in range(4):
        factors = ",".join(f"{letters[i]}{slots[i]}" for i in range(r))
        rule = f"{letters[:r]}{',' + factors if r else ''}->{slots[:r]}"
        c = torch.einsum(rule, torch.tensor(link[r]), *[w] * r).reshape(-1)
        root = float(np.sqrt(eigenvalues[r]))
        risk = risk - 2 * root * b[r] @ c + root**2 * b[r] @ b[r]
    *gb, gw = torch.autograd.grad(risk, [*b, w])
    inner = one.directions.T @ gw.numpy()
    expected = -(gw.numpy() - one.directions @ (inner + inner.T) / 2) / 2
    got = velocity(
        [tensor[None] for tensor in link], eigenvalues, [part[None] for part in one.coefficients], one.directions[None]
    )
    for part, g in zip(got, gb):
        np.testing.assert_allclose(part[0], -g.numpy() / 2, atol=1e-12)
    np.testing.assert_allclose(got[-1][0], expected, atol=1e-12)
    state = IndexModel(eigenvalues, one.coefficients, one.directions)
    assert excess_risk(link, state) == pytest.approx(float(risk.detach()))


def test_excess_risk_is_the_mean_square_of_the_difference():
    rng = np.random.default_rng(11)
    link = [symmetric(rng, 2, r) for r in range(4)]
    one = model(seed=4, p=2, k=4)
    x, weight = gauss(4, 7)
    target = sum(hermite_tensor(x[:, :2], r) @ tensor.ravel() for r, tensor in enumerate(link))
    assert excess_risk(link, one) == pytest.approx(weight @ (one.predict(x) - target) ** 2)


def test_orthonormal_is_nearest_and_leaves_orthonormal_matrices_alone():
    w = np.random.default_rng(0).normal(size=(3, 5, 2))
    polar = orthonormal(w)
    np.testing.assert_allclose(polar.swapaxes(1, 2) @ polar, np.tile(np.eye(2), (3, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(orthonormal(polar), polar, atol=1e-12)


def test_refusals():
    with pytest.raises(ValueError, match="coefficients must have"):
        IndexModel(np.ones(2), (np.ones(1), np.ones(3)), np.eye(3)[:, :2])
    with pytest.raises(ValueError, match="x must have at least 4 coordinates"):
        model().predict(np.ones((2, 3)))
    with pytest.raises(TypeError):
        hermite_tensor(np.ones((2, 3, 4)), 1)
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        hermite(np.ones(2), 0)
    with pytest.raises(ValueError, match="degree must be at least 0, got -1"):
        hermite_tensor(np.ones((2, 3)), -1)
    with pytest.raises(ValueError, match="one tensor per eigenvalue"):
        excess_risk([0.0, np.ones(2)], model())
