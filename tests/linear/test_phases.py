"""Phases: the table of parameterisations, random networks, invariance under rescaling, refusals."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afp_utils.linear import phases, solution
from afp_utils.linear.phases import PARAMETERISATIONS, Exponents
from tests.linear.cases import problem

TABLE = {
    "NTK": (0.5, 0.0, 0.5, 0.0, "lazy"),
    "standard, rate 1/m": (0.5, -0.5, 1.0, 0.0, "lazy"),
    "standard, rate 1": (0.5, -0.5, 1.0, 1.0, "unstable"),
    "Xavier": (0.0, 0.0, 0.0, 0.0, "rich"),
    "mean field": (0.0, 0.0, 0.0, 0.0, "rich"),
    "mean field, rate 1": (0.0, 0.0, 0.0, -1.0, "frozen"),
    "muP": (0.0, 0.0, 0.0, 0.0, "rich"),
    "beyond mean field": (-0.5, 0.0, -0.5, 0.0, "diverging"),
    "imbalanced lazy": (-0.25, 0.75, 0.5, 0.0, "lazy"),
    "lazy by scale": (1.0, 0.0, 1.0, 0.0, "disalignment"),
}


@pytest.mark.parametrize("name", PARAMETERISATIONS)
def test_the_table_of_parameterisations(name):
    found = phases.phase(PARAMETERISATIONS[name])
    assert (found.output, found.imbalance, found.laziness, found.speed, found.name) == pytest.approx(TABLE[name])


@pytest.mark.parametrize("shift", [0.0, 3e-10, -3e-10])
def test_powers_that_are_equal_up_to_rounding_are_equal(shift):
    """Sums of decimal fractions are not exact; the phases on the line must not depend on it."""
    third = 1 / 3
    off = phase_of(gamma=-1 + shift, eta_u=0.1 + 0.2 + 0.7, eta_w=3 * third)
    assert off.name == "rich"
    assert phase_of(gamma=-1 + 1e-6, eta_u=1.0, eta_w=1.0).name == "unstable"
    assert phase_of(width=1e-6, gamma=1.0, eta_u=-2.0 - 1e-6, eta_w=-2.0 - 1e-6).name == "lazy"
    assert phase_of(width=1e-12, gamma=1.0, eta_u=-2.0, eta_w=-2.0).name == "disalignment"


def phase_of(**powers):
    return phases.phase(Exponents(**powers))


def test_the_larger_layer_makes_lazy_whichever_it_is():
    """The whole imbalance counts, and of either sign: half of it would call both networks rich."""
    for layer in ("eta_u", "eta_w"):
        found = phase_of(gamma=-1.25, sigma_u=0.0, **{layer: 1.5}, **{"eta_w" if layer == "eta_u" else "eta_u": 0.5})
        assert (found.output, abs(found.imbalance), found.laziness) == pytest.approx((-0.25, 0.5, 0.25))
        assert found.name == "lazy"


def test_a_start_at_zero_makes_lazy_by_scale_lazy():
    assert phases.phase(PARAMETERISATIONS["lazy by scale"], zero_start=True).name == "lazy"


def drawn(exponents, size, rng):
    """Problem, u, w of one family at one size."""
    at = exponents.at(size)
    u, w = rng.normal(size=(2, round(at["width"]))) * [[at["sigma_u"]], [at["sigma_w"]]]
    return problem(at["gamma"], at["eta_u"], at["eta_w"]), u, w


@pytest.mark.parametrize("name", [name for name in TABLE if name != "lazy by scale"])
def test_exponents_are_those_of_random_networks(name):
    """Powers of output size, imbalance, and final rate, fitted between two widths."""
    exponents, sizes, found = PARAMETERISATIONS[name], (2**8, 2**14), []
    for size in sizes:
        given, u, w = drawn(exponents, size, np.random.default_rng(size))
        lengths = np.linalg.norm(u), np.linalg.norm(w)
        rate = solution.limit(given, u, w).tangent[0] * given.second_moment
        found.append(
            [given.gamma * lengths[0] * lengths[1], rate, (given.eta_w / given.eta_u) ** 0.5 * lengths[0] / lengths[1]]
        )
    powers = np.log(np.divide(*found[::-1])) / math.log(sizes[1] / sizes[0])
    law = phases.phase(exponents)
    np.testing.assert_allclose(powers, [law.output, law.speed, law.imbalance], atol=0.03)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-2, 2), min_size=5, max_size=5), st.floats(-1, 1))
def test_phase_is_that_of_the_rescaled_network(powers, shift):
    names = ("gamma", "sigma_u", "sigma_w", "eta_u", "eta_w")
    first = dict(zip(names, powers))
    second = first | {
        "gamma": first["gamma"] - shift,
        "sigma_u": first["sigma_u"] + shift,
        "eta_u": first["eta_u"] + 2 * shift,
    }
    one, other = (phases.phase(Exponents(**case)) for case in (first, second))
    np.testing.assert_allclose(
        [one.output, one.imbalance, one.laziness, one.speed],
        [other.output, other.imbalance, other.laziness, other.speed],
        atol=1e-12,
    )


def test_powers_without_sense_are_refused():
    with pytest.raises(ValueError, match="width must be non-negative and finite, got -1"):
        Exponents(width=-1.0)
    with pytest.raises(ValueError, match="gamma must be finite"):
        Exponents(gamma=math.nan)
    with pytest.raises(ValueError, match="size must be positive"):
        Exponents().at(0.0)
