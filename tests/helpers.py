"""The smallest model, and a probe for it; a claim to try the ledger on."""

from dataclasses import dataclass

import numpy as np

from afp_utils.book.claims import Claim, Expectation
from afp_utils.core.models import Probe, Trajectory, white


@dataclass(frozen=True)
class Linear:
    """The smallest model: features x_j * scale_j, read out by beta."""

    scale: np.ndarray
    beta: np.ndarray

    def predict(self, x):
        return x @ (self.scale * self.beta)

    def gradient(self, x):
        return np.tile(self.scale * self.beta, (len(x), 1))

    def gram(self, x):
        return (x * self.scale**2) @ x.T

    def tangent(self, x):
        return (x * (self.scale**2 + self.beta**2)) @ x.T


def probe(n=6, d=2, noise=0.1, seed=0):
    x = white(np.random.default_rng(seed).normal(size=(n, d)))
    return Probe(x=x, target=x[:, 0] * 2.0, target_gradient=np.tile([2.0] + [0.0] * (d - 1), (n, 1)), noise=noise)


def run(scales, betas):
    states = tuple(Linear(np.array(s), np.array(b)) for s, b in zip(scales, betas))
    times = np.arange(len(states), dtype=float)
    return Trajectory(time=times, risk=np.ones(len(states)), states=states)


def toy_claim(**changes):
    entry = {
        "id": "toy-slope",
        "chapter": "toy",
        "statement": "The slope is <one>.",
        "kind": "theory against simulation",
        "rival": "The slope is <two>.",
        "source": "this book",
        "known": "derived",
        "expect": Expectation(near=1.0, within=0.1),
        "because": "exact",
    }
    return Claim(**entry | changes)


ENTRY = """\
[small]
statement = "A quarter."
kind = "identity"
source = "this book"
known = "derived"
near = 0.25
within = 0.01
because = "rounding"
"""
"""An entry of the registry, for small books."""
