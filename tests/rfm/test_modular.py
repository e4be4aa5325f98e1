"""Modular arithmetic against tables by hand, brute force, and the machine that completes them."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afp_utils.rfm import kernels, metrics, modular, predictor
from afp_utils.rfm.modular import ADD, DIVIDE, MULTIPLY, SUBTRACT
from afp_utils.rfm.solve import solve

ALL = {"+": ADD, "-": SUBTRACT, "*": MULTIPLY, "/": DIVIDE}
EACH = pytest.mark.parametrize("operation", ALL.values(), ids=ALL)
PRIMES = st.sampled_from([2, 3, 5, 7, 11, 13, 23, 31, 61])


def test_table_by_hand():
    x, answers = modular.table(3, SUBTRACT)
    np.testing.assert_array_equal(answers, [0, 2, 1, 1, 0, 2, 2, 1, 0])
    np.testing.assert_array_equal(x[5], [0, 1, 0, 0, 0, 1])  # 1 - 2
    x, answers = modular.table(5, DIVIDE)
    assert x.shape == (20, 10)
    np.testing.assert_array_equal(answers[12:16], [3, 4, 1, 2])  # 3 / 1, 3 / 2, 3 / 3, 3 / 4
    np.testing.assert_array_equal(x[13], np.eye(10)[3] + np.eye(10)[5 + 2])


@given(p=PRIMES, which=st.sampled_from(list(ALL)))
def test_answers_solve_their_equation(p, which):
    x, answers = modular.table(p, ALL[which])
    a, b = x[:, :p].argmax(axis=1), x[:, p:].argmax(axis=1)
    left, right = {"+": (a + b, answers), "-": (a, answers + b), "*": (a * b, answers), "/": (a, answers * b)}[which]
    np.testing.assert_array_equal(left % p, right % p)
    assert np.all((answers >= 0) & (answers < p))
    np.testing.assert_array_equal(x.sum(axis=1), 2)
    assert len(np.unique(x, axis=0)) == len(x) == p * (p - (which == "/"))


def test_sums_need_no_prime():
    assert modular.table(6, ADD)[0].shape == (36, 12)
    assert modular.table(6, SUBTRACT)[1].max() == 5


def test_split_is_the_start_of_a_permutation():
    train, test = modular.split(961, 0.7, rng=np.random.default_rng(0))
    assert (len(train), len(test)) == (672, 289)
    np.testing.assert_array_equal(np.concatenate([train, test]), np.random.default_rng(0).permutation(961))
    assert not np.array_equal(train, modular.split(961, 0.7, rng=np.random.default_rng(1))[0])


def test_primitive_roots_of_the_books():
    assert [modular.primitive_root(p) for p in (2, 3, 5, 7, 11, 13, 23, 31, 41, 71, 191)] == [
        *(1, 2, 2, 3, 2, 2, 5, 3, 6, 7, 19)
    ]


@given(p=PRIMES)
def test_logarithmic_order_turns_products_into_sums(p):
    order = modular.logarithmic_order(p)
    assert sorted(order) == list(range(1, p))
    products = np.outer(order, order) % p
    exponents = (np.arange(p - 1)[:, None] + np.arange(p - 1)) % (p - 1)
    np.testing.assert_array_equal(products, order[exponents])


@given(p=PRIMES.filter(lambda p: p > 7), seed=st.integers(0, 10**6))
def test_each_operation_sees_its_own_structure_and_no_other(p, seed):
    rng = np.random.default_rng(seed)
    order = modular.logarithmic_order(p)
    indices = {"+": np.arange(p), "-": np.arange(p), "*": order, "/": order}
    for name, operation in ALL.items():
        index, sign = indices[name], 1 if name in "-/" else -1
        q = len(index)
        entries = rng.random(q)
        metric = np.zeros((2 * p, 2 * p))
        for i in range(q):
            for j in range(q):
                metric[index[i], p + index[j]] = entries[(i + sign * j) % q]
        assert modular.structure_residual(metric, operation) < 1e-20
        mirror = {"+": SUBTRACT, "-": ADD, "*": DIVIDE, "/": MULTIPLY}[name]
        assert modular.structure_residual(metric, mirror) > 0.02


def test_the_table_of_products_turns_circulant():
    p = 11
    wanted = 4
    x, answers = modular.table(p, DIVIDE)
    rows = x[answers == wanted]  # the pairs with a / b = 4: one a for each b
    metric = rows.T @ rows
    assert metrics.circulant_residual(metric[:p, p:]) > 0.5
    assert modular.structure_residual(metric, MULTIPLY) < 1e-20  # a = 4 b, a shift of logarithms
    block = modular.structured_block(metric, MULTIPLY)
    np.testing.assert_array_equal(block.sum(axis=0), 1)
    np.testing.assert_array_equal(block, np.roll(block, (1, 1), axis=(0, 1)))


@EACH
def test_random_metric_is_the_root_of_a_positive_part_of_its_structure(operation):
    p, rng = 23, np.random.default_rng(3)
    metric = modular.random_metric(p, operation, rng=rng)
    assert np.linalg.eigvalsh(metric).min() > -1e-12
    assert modular.structure_residual(metric, operation) < 1e-20
    order = modular.logarithmic_order(p) if operation.multiplicative else np.arange(p)
    rows, q = np.concatenate([order, p + order]), len(order)
    entries = np.random.default_rng(3).random(q)
    entries -= entries.mean()
    whole = np.zeros((2 * p, 2 * p))
    for i in range(q):
        for j in range(q):
            own = (i == j) - 1 / q
            whole[rows[i], rows[j]] = whole[rows[q + i], rows[q + j]] = own
            value = entries[(i + j if operation.reflected else i - j) % q]
            whole[rows[i], rows[q + j]] = whole[rows[q + j], rows[i]] = value
    levels, vectors = np.linalg.eigh(whole)
    assert levels[0] < -0.01  # the positive part is a part
    np.testing.assert_allclose(metric @ metric, (vectors * np.maximum(levels, 0)) @ vectors.T, atol=1e-12)


def accuracy(p, operation, metric, seed=0, fraction=0.5):
    x, answers = modular.table(p, operation)
    train, test = modular.split(len(x), fraction, rng=np.random.default_rng(seed))
    factor, kernel = metrics.metric_factor(metric), kernels.Gaussian(2.5)
    coefficients = solve(kernel, x[train] @ factor, np.eye(p)[answers[train]], 0.0)
    machine = predictor.Machine(x[train], coefficients, kernel, factor)
    return float(np.mean(machine.predict(x[test]).argmax(axis=1) == answers[test]))


def test_random_structure_completes_the_table_and_the_wrong_one_does_not():
    metrics = {name: modular.random_metric(31, one, rng=np.random.default_rng(1)) for name, one in ALL.items()}
    assert accuracy(31, ADD, metrics["+"]) > 0.8
    assert accuracy(31, SUBTRACT, metrics["-"]) > 0.8
    assert accuracy(31, SUBTRACT, metrics["+"]) < 0.1
    assert accuracy(31, ADD, np.eye(62)) < 0.02


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: modular.primitive_root(9), "p must be prime, got 9"),
        (lambda: modular.primitive_root(1), "p must be prime, got 1"),
        (lambda: modular.logarithmic_order(15), "p must be prime, got 15"),
        (lambda: modular.table(25, MULTIPLY), "p must be prime, got 25"),
        (lambda: modular.table(4, DIVIDE), "p must be prime, got 4"),
        (lambda: modular.table(1, ADD), "p must be at least 2, got 1"),
        (lambda: modular.table(-7, ADD), "p must be at least 2, got -7"),
        (lambda: modular.structure_residual(np.eye(7), ADD), "metric must have 2 p rows .* got 7"),
        (lambda: modular.structured_block(np.eye(2), SUBTRACT), "2 p rows with p at least 2, got 2"),
        (lambda: modular.structure_residual(np.eye(8), MULTIPLY), "p must be prime, got 4"),
        (lambda: modular.structure_residual(np.full((6, 6), np.nan), ADD), "block must be finite"),
        (lambda: modular.random_metric(2, ADD, rng=np.random.default_rng(0)), "p must be at least 3, got 2"),
        (lambda: modular.random_metric(9, MULTIPLY, rng=np.random.default_rng(0)), "p must be prime, got 9"),
        (lambda: modular.split(10, 1.0, rng=np.random.default_rng(0)), "fraction must leave some of 10 rows"),
        (lambda: modular.split(10, 0.05, rng=np.random.default_rng(0)), "fraction must leave some of 10 rows"),
        (lambda: modular.split(10, np.nan, rng=np.random.default_rng(0)), r"fraction must be in \[0, 1\], got nan"),
    ],
)
def test_refusals(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize("operation", [modular.ADD, modular.SUBTRACT, modular.MULTIPLY, modular.DIVIDE])
def test_operations_can_be_sent_to_another_process(operation):
    assert pickle.loads(pickle.dumps(operation)) == operation
