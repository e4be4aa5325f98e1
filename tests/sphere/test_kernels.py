"""Kernels, kernel machines and exponents on the sphere: against Monte Carlo, spectra, slopes and hand-solved cases."""

import math

import numpy as np
import pytest
from scipy.linalg import expm

from afp_utils.core.models import Model
from afp_utils.sphere import kernels
from afp_utils.sphere.harmonics import zonal_coefficients

KERNELS = [kernels.random_feature_kernel, kernels.tangent_kernel]
MACHINES = [kernels.RandomFeatureMachine, kernels.TangentMachine]
DIAGONAL = {kernels.random_feature_kernel: 1.0, kernels.tangent_kernel: 2.0}
EACH_KERNEL = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)
EACH_MACHINE = pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.__name__)


def points(n, d, seed=0):
    return kernels.uniform_points(n, d, rng=np.random.default_rng(seed))


def of_inner_product(kernel):
    pole = np.array([[1.0, 0.0]])
    return lambda t: kernel(pole, np.stack([t, np.sqrt(1 - t**2)], axis=1))[0]


@pytest.mark.parametrize("d", [2, 3, 7])
def test_points_are_uniform(d):
    x = points(40_000, d)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(x.T @ x / len(x), np.eye(d) / d, atol=0.01)
    moment = 3 / (d * (d + 2))  # of the fourth power of a coordinate
    np.testing.assert_allclose(np.mean(x**4, axis=0), moment, atol=0.01)


def test_kernels_by_hand():
    x = np.array([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])
    phi = np.array([[0, 1, 2], [1, 0, 1], [2, 1, 0]]) * np.pi / 2
    size = np.outer([2, 3, 1], [2, 3, 1])
    features = size * np.array([1, 1 / np.pi, 0])[(phi * 2 / np.pi).astype(int)]
    tangent = size * np.array([2, 1 / np.pi, 0])[(phi * 2 / np.pi).astype(int)]
    np.testing.assert_allclose(kernels.random_feature_kernel(x, x), features, atol=1e-15)
    np.testing.assert_allclose(kernels.tangent_kernel(x, x), tangent, atol=1e-15)
    sixty = np.array([[0.5, np.sqrt(3) / 2]])
    value = (np.sqrt(3) / 2 + np.pi / 3) / np.pi
    np.testing.assert_allclose(kernels.random_feature_kernel(sixty, x[:1]), [[2 * value]], rtol=1e-14)
    np.testing.assert_allclose(kernels.tangent_kernel(sixty, x[:1]), [[2 * (value + 1 / 3)]], rtol=1e-14)


@pytest.mark.parametrize("d", [2, 5])
def test_kernels_are_means_over_random_neurons(d):
    rng = np.random.default_rng(1)
    x, z = rng.normal(size=(4, d)), rng.normal(size=(3, d))
    w, u = rng.normal(size=(400_000, d)), rng.normal(size=400_000)
    first, second = (np.maximum(p @ w.T, 0) for p in (x, z))
    readout = first @ second.T
    hidden = ((first > 0) * u**2) @ (second > 0).T * (x @ z.T)
    tolerance = 8 * np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(z, axis=1)).max() / np.sqrt(len(w))
    np.testing.assert_allclose(2 * readout / len(w), kernels.random_feature_kernel(x, z), atol=tolerance)
    np.testing.assert_allclose(2 * (readout + hidden) / len(w), kernels.tangent_kernel(x, z), atol=tolerance)


def test_spectra_on_the_circle_are_the_closed_forms():
    k = np.arange(2, 41, 2)
    features = zonal_coefficients(of_inner_product(kernels.random_feature_kernel), 2, 40)
    tangent = zonal_coefficients(of_inner_product(kernels.tangent_kernel), 2, 40)
    np.testing.assert_allclose(features[k], 4 / (np.pi * (k**2 - 1)) ** 2, atol=1e-11)
    np.testing.assert_allclose(tangent[k], (2 * k**2 + 6) / (np.pi * (k**2 - 1)) ** 2, atol=1e-11)
    assert np.abs(features[3::2]).max() < 1e-11
    assert np.abs(tangent[3::2]).max() < 1e-11


@pytest.mark.parametrize("d", [2, 3, 5])
def test_the_kernel_is_the_square_of_the_neuron(d):
    neuron = zonal_coefficients(lambda t: np.maximum(t, 0), d, 12)
    kernel = zonal_coefficients(of_inner_product(kernels.random_feature_kernel), d, 12)
    np.testing.assert_allclose(kernel, 2 * d * neuron**2, atol=1e-9)


@EACH_KERNEL
def test_kernels_are_homogeneous_symmetric_positive_and_turn_with_their_points(kernel):
    rng = np.random.default_rng(2)
    x, size = points(30, 4), rng.uniform(0.3, 3.0, size=30)
    values = kernel(x, x)
    np.testing.assert_allclose(np.diag(values), DIAGONAL[kernel], atol=1e-14)
    np.testing.assert_allclose(values, values.T, atol=1e-15)
    assert np.linalg.eigvalsh(values).min() > 0
    np.testing.assert_allclose(kernel(x * size[:, None], x), size[:, None] * values, rtol=1e-12, atol=1e-14)
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    np.testing.assert_allclose(kernel(x @ turn, x @ turn), values, atol=1e-13)
    np.testing.assert_array_equal(kernel(np.zeros((1, 4)), x), 0)


@EACH_MACHINE
@pytest.mark.parametrize("d", [2, 3, 5])
def test_interpolants_interpolate(machine, d):
    x, y = points(50, d), np.random.default_rng(3).normal(size=50)
    fit = machine.interpolate(x, y)
    # a backward stable solution: its residual is rounding times the size of matrix and coefficients
    size = np.abs(machine.kernel(x, x)).sum(axis=1).max() * np.abs(fit.coefficients).max()
    np.testing.assert_allclose(fit.predict(x), y, rtol=0, atol=np.finfo(float).eps * size)
    assert isinstance(fit, Model)
    scaled = machine.interpolate(3 * x, y)  # homogeneous: the same function along rays
    np.testing.assert_allclose(scaled.predict(3 * x[:5] / 2), y[:5] / 2, atol=1e-8)


@EACH_MACHINE
def test_a_linear_function_of_few_points_is_the_solution_of_a_small_system(machine):
    x, y = np.array([[1.0, 0], [0, 1.0]]), np.array([2.0, -1.0])
    off, on = (1 / np.pi, 1.0) if machine is kernels.RandomFeatureMachine else (1 / np.pi, 2.0)
    expected = np.array([on * 2 + off, -on - 2 * off]) / (on**2 - off**2)
    np.testing.assert_allclose(machine.interpolate(x, y).coefficients, expected, rtol=1e-13)


@EACH_MACHINE
def test_a_ridge_is_the_penalised_solution(machine):
    x, y = points(20, 3), np.random.default_rng(4).normal(size=20)
    fit = machine.interpolate(x, y, ridge=0.3)
    np.testing.assert_allclose(fit.predict(x) + 0.3 * fit.coefficients, y, atol=1e-10)
    again = machine.interpolate(np.repeat(x, 2, axis=0), np.repeat(y, 2), ridge=0.6)  # repeats are fine with a ridge
    np.testing.assert_allclose(again.predict(x), fit.predict(x), atol=1e-10)


@EACH_MACHINE
def test_gradient_is_the_slope(machine):
    x, y = points(15, 4), np.random.default_rng(5).normal(size=15)
    fit = machine.interpolate(x * np.linspace(0.5, 2, 15)[:, None], y)
    at = np.random.default_rng(6).normal(size=(8, 4))
    for axis in np.eye(4):
        slope = (fit.predict(at + 1e-6 * axis) - fit.predict(at - 1e-6 * axis)) / 2e-6
        np.testing.assert_allclose(fit.gradient(at) @ axis, slope, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(np.sum(fit.gradient(at) * at, axis=1), fit.predict(at), rtol=1e-10)  # homogeneous


@EACH_MACHINE
def test_kernels_of_a_machine(machine):
    x = points(9, 3)
    fit = machine.interpolate(x[:4], x[:4, 0])
    np.testing.assert_array_equal(fit.gram(x), kernels.random_feature_kernel(x, x))
    np.testing.assert_array_equal(fit.tangent(x), machine.kernel(x, x))
    assert np.linalg.eigvalsh(fit.tangent(x) - fit.gram(x)).min() > -1e-12


@EACH_MACHINE
def test_flow_is_the_solution_of_its_equation_and_ends_at_the_interpolant(machine):
    x, y = points(12, 3), np.random.default_rng(7).normal(size=12)
    times = np.array([0.0, 0.7, 20.0, 1e9])
    run = machine.flow(x, y, times)
    kernel = machine.kernel(x, x)
    for time, state, risk in zip(times[:3], run.states, run.risk):
        left = expm(-kernel * time / 12) @ y
        np.testing.assert_allclose(state.predict(x), y - left, atol=1e-10)
        np.testing.assert_allclose(risk, np.mean(left**2), atol=1e-10)
    end = machine.interpolate(x, y)
    at = points(30, 3, seed=8)
    np.testing.assert_allclose(run.states[-1].predict(at), end.predict(at), atol=1e-8)


@EACH_MACHINE
@pytest.mark.parametrize("n", [5, 100, 700])
@pytest.mark.parametrize("stretch", [1.0, 1.7])
def test_repeated_directions_are_refused(machine, n, stretch):
    x = points(n, 3)
    x[-1] = stretch * x[2]
    with pytest.raises(ValueError, match=rf"distinct directions.*points (2 and {n - 1}|{n - 1} and 2)"):
        machine.interpolate(x, np.ones(n))


def test_bad_input_is_refused():
    x, y = points(5, 3), np.ones(5)
    with pytest.raises(ValueError, match="y must be finite"):
        kernels.TangentMachine.interpolate(x, y * np.nan)
    with pytest.raises(ValueError, match=r"x must be finite, got inf at index \(0, 0\)"):
        kernels.TangentMachine.interpolate(x * np.inf, y)
    with pytest.raises(ValueError, match="x must be not empty"):
        kernels.TangentMachine.interpolate(x[:0], y[:0])
    with pytest.raises(ValueError, match="ridge must be non-negative"):
        kernels.TangentMachine.interpolate(x, y, ridge=-1.0)
    with pytest.raises(TypeError):
        kernels.RandomFeatureMachine.interpolate(x, y[:4])
    with pytest.raises(TypeError):
        kernels.random_feature_kernel(x, x[:, :2])
    with pytest.raises(ValueError, match="times must be strictly increasing"):
        kernels.TangentMachine.flow(x, y, np.array([1.0, 0.5]))
    with pytest.raises(ValueError, match="dimension must be at least 2"):
        kernels.uniform_points(3, 1, rng=np.random.default_rng(0))


# ---- exponents ----


@pytest.mark.parametrize(("machine", "power", "leading"), [(0, 8, math.factorial(9)), (1, 4, 1080)])
def test_error_on_a_lattice_of_the_circle(machine, power, leading):
    """Constant target at 2n equal spacings: pi^8 / (9! n^8) and pi^4 / (1080 n^4) to leading order."""
    n = 16
    angle = np.pi * np.arange(2 * n) / n
    lattice = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    fine = np.pi * (np.arange(4000) + 0.5) / 2000
    # at equal spacings odd degrees are missing, so odd data cannot be fitted; the even data alone fix the solution
    fit = MACHINES[machine](lattice, np.full(2 * n, 1 / KERNELS[machine](lattice, lattice)[0].sum()))
    error = np.mean((fit.predict(np.stack([np.cos(fine), np.sin(fine)], axis=1)) - 1) ** 2)
    np.testing.assert_allclose(error * leading * n**power / np.pi**power, 1, rtol=0.01)


def test_a_machine_without_a_kernel_is_refused():
    with pytest.raises(TypeError, match="kernel must be that of RandomFeatureMachine or TangentMachine"):
        kernels.KernelMachine.interpolate(np.eye(2), np.ones(2))
