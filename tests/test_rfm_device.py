"""The route through torch: against the route through NumPy on the processor, on CUDA where there is one, refusals."""

import numpy as np
import pytest
import torch

from afp_utils import rfm, rfm_device

KERNELS = [rfm.Laplace(3.0), rfm.Gaussian(2.5), rfm.GeneralisedLaplace(3.0, 0.7), rfm.GeneralisedLaplace(2.0, 1.3)]


def sample(n=150, d=5, outputs=(), dtype=np.float64, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, d)).astype(dtype)
    y = x[:, 0] * x[:, 1]
    return x, np.stack([y, x[:, 2] ** 2 - 1], axis=1) if outputs else y


def both(x, y, device="cpu", **settings):
    recipe = {"kernel": rfm.Laplace(3.0), "ridge": 0.1, "updates": 2} | settings
    return rfm.fit(x, y, **recipe), rfm.fit(x, y, device=device, **recipe)


def agree(pair, within):
    for one, other in zip(pair[0].states, pair[1].states):
        np.testing.assert_allclose(other.metric, one.metric, atol=within)
        np.testing.assert_allclose(other.coefficients, one.coefficients, atol=within * np.abs(one.coefficients).max())
        assert other.coefficients.dtype == one.coefficients.dtype
        assert other.coefficients.shape == one.coefficients.shape
    np.testing.assert_allclose(pair[1].risk, pair[0].risk, rtol=within)


@pytest.mark.parametrize("outputs", [(), (2,)], ids=["one output", "two outputs"])
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_it_agrees_with_numpy(kernel, outputs, monkeypatch):
    monkeypatch.setattr(rfm_device, "ROWS", 64)  # several blocks, the last of them short
    monkeypatch.setattr(rfm_device, "COLUMNS", 6)  # one output at a time
    x, y = sample(outputs=outputs)
    for settings in (
        {},
        {"power": 0.5, "centred": True, "normalise": rfm.unnormalised},
        {"diagonal": True, "normalise": rfm.unit_trace, "validation": sample(40, outputs=outputs, seed=1)},
    ):
        agree(both(x + 3, y, kernel=kernel, **settings), 1e-9)


@pytest.mark.parametrize("kernel", KERNELS[:2], ids=str)
def test_precision_is_that_of_numpy(kernel):
    x, y = sample(dtype=np.float32)
    agree(both(x, y, kernel=kernel, ridge=1e-2, validation=sample(40, dtype=np.float32, seed=1)), 1e-4)
    agree(both(x, y, kernel=kernel, ridge=1e-6, updates=0), 1e-4)
    # far from the origin, where single precision could not tell distances
    agree(both(x + np.float32(100), y, kernel=kernel, ridge=1e-2), 1e-4)


def test_a_ridge_too_small_for_single_precision_is_solved_in_double():
    side = np.arange(-7.5, 8, dtype=np.float32) / 8  # centred and exact in single precision
    x = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    y = np.sin(2 * x[:, 0]) + x[:, 1]
    agree(both(x, y, kernel=rfm.Laplace(1000.0), ridge=0.0, updates=0), 1e-4)


def test_a_factor_that_fails_in_single_precision_is_made_in_double():
    # two distant clusters around the origin: within each, single precision cannot tell distances
    cluster = sample(50, 3, dtype=np.float32)[0] + np.float32(1000)
    x = np.concatenate([cluster, -cluster])
    y = np.sin(x[:, 0])
    exact = rfm.fit(*(a.astype(np.float64) for a in (x, y)), kernel=rfm.Laplace(3.0), ridge=1e-3, updates=0)
    for run in both(x, y, ridge=1e-3, updates=0):
        expected = exact.states[0].coefficients
        assert np.linalg.norm(run.states[0].coefficients - expected) < 1e-5 * np.linalg.norm(expected)


def test_a_vanishing_target_and_reversed_rows():
    x, y = sample()
    agree(both(x[::-1], y[::-1] * 0), 0)
    agree(both(x[::-1], y[::-1]), 1e-9)
    agree(both(np.repeat(x, 2, axis=0), np.repeat(y, 2)), 1e-5)


def test_a_singular_matrix_is_refused():
    x, y = (np.repeat(a, 2, axis=0) for a in sample(10))
    for dtype in (np.float32, np.float64):
        with pytest.raises(ValueError, match=r"positive definite.*larger ridge; got ridge 0.0 and .* at point"):
            both(x.astype(dtype), y.astype(dtype), ridge=0.0)[1]
        with pytest.raises(ValueError, match=r"positive definite.*larger ridge; got ridge 0.0 and .* at point"):
            rfm.fit(x.astype(dtype), y.astype(dtype), kernel=rfm.Laplace(1.0), ridge=0.0, updates=1, device="cpu")
    with pytest.raises(ValueError, match="vanishing pivot at point 1"):  # both pivots are positive, one is rounding
        rfm.fit(np.array([[0.0], [3e-16]]), np.ones(2), kernel=rfm.Laplace(1.0), ridge=0.0, updates=0, device="cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_it_agrees_with_numpy_on_cuda(kernel):
    settings = {"kernel": kernel, "centred": True, "validation": sample(40, seed=1)}
    agree(both(*sample(), device="cuda", **settings), 1e-9)
    single = both(*sample(dtype=np.float32), device="cuda:0", **settings | {"validation": None})
    agree(single, 1e-4)


def test_estimators_take_a_device():
    x, y = sample()
    one, other = (rfm.RFMRegressor(random_state=0, device=device).fit(x, y) for device in (None, "cpu"))
    np.testing.assert_allclose(other.predict(x), one.predict(x), atol=1e-8)
    labels = np.where(y > 0, "up", "down")
    one, other = (rfm.RFMClassifier(random_state=0, device=device).fit(x, labels) for device in (None, "cpu"))
    np.testing.assert_array_equal(other.predict(x), one.predict(x))


class Other:
    """A kernel that only NumPy knows."""

    single_is_safe = True

    def value(self, square):
        return 1 / (1 + square)

    def slope(self, square):
        return 2 / (1 + square) ** 2


def test_refusals():
    x, y = sample(20)
    recipe = {"kernel": rfm.Laplace(1.0), "ridge": 0.1, "updates": 1}
    absent = ["abacus", "cuda:99", "meta"] + ([] if torch.cuda.is_available() else ["cuda"])
    for name in absent:
        with pytest.raises(ValueError, match=f"device must be one that torch can use here .*, got '{name}': "):
            rfm.fit(x, y, device=name, **recipe)
    assert len(rfm.fit(x, y, **recipe | {"kernel": Other()}).states) == 2
    with pytest.raises(ValueError, match="kernel must be Laplace, Gaussian or GeneralisedLaplace on a device, got <"):
        rfm.fit(x, y, device="cpu", **recipe | {"kernel": Other()})
    with pytest.raises(ValueError, match="y must be finite, got nan"):
        rfm.fit(x, y * np.nan, device="cpu", **recipe)
