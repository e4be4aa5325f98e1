r"""Exercises of the chapter "One language for learned features"."""

import numpy as np

from afp_utils.book.exercises import exercise, expect
from afp_utils.core.measures import feature_error_measure

RNG_SEED = 20


def _draw(*shapes):
    rng = np.random.default_rng(RNG_SEED)
    return [rng.normal(size=shape) for shape in shapes]


def _close(value, truth):
    return np.shape(value) == np.shape(truth) and np.allclose(value, truth, rtol=1e-8, atol=1e-10)


# ---- the tangent kernel of a network that is not linear ----


@exercise(
    minutes=10,
    hint=r"The parameters are $w$ and $u$: $\partial f/\partial u_i=(w_i\cdot x)^2$ and "
    r"$\partial f/\partial w_i = 2u_i\,(w_i\cdot x)\,x$.",
    worked=r"The kernel is the sum of one Gram matrix per layer. With $h_{ki}=w_i\cdot x_k$ the readout contributes "
    r"$\sum_i h_{ki}^2h_{li}^2$, which is the Gram matrix of the features $h^2$. The first layer contributes "
    r"$\sum_i 2u_ih_{ki}\,2u_ih_{li}\,(x_k\cdot x_l) = 4\,(x_k\cdot x_l)\sum_iu_i^2h_{ki}h_{li}$.",
)
def tangent_kernel(w, u, x):
    r"""Tangent kernel (n, n) of sum_i u_i (w_i . x)^2 at the rows of x.

    The two-layer network $f(x)=\sum_i u_i\,(w_i\cdot x)^2$ has first layer $w$ (shape $m\times d$) and second layer $u$
    (shape $m$), both trained. Compute its tangent kernel at the rows of $x$ (shape $n\times d$).
    """
    hidden = x @ w.T
    readout = hidden**2 @ (hidden**2).T
    return readout + 4 * (x @ x.T) * ((hidden * u**2) @ hidden.T)


def _tangent_parts():
    w, u, x = _draw((3, 2), 3, (4, 2))
    hidden = x @ w.T
    return (
        (w, u, x),
        hidden**2 @ (hidden**2).T,
        (x @ x.T) * ((hidden * u**2) @ hidden.T),
    )


@tangent_kernel.checker
def _(answer):
    arguments, readout, first = _tangent_parts()
    value = answer(*arguments)
    expect(
        np.shape(value) == (4, 4),
        f"the kernel must have shape (4, 4) for 4 points, got {np.shape(value)}",
    )
    expect(
        not _close(value, readout),
        "that is the Gram matrix: the first layer is trained too",
    )
    expect(
        not _close(value, readout + first),
        "the derivative of a square has a factor 2, and it enters squared",
    )
    expect(
        not _close(value, 4 * first),
        "the readout is missing: df/du_i = (w_i . x)^2",
    )
    expect(
        _close(value, readout + 4 * first),
        "not the inner products of the parameter gradients",
    )


@tangent_kernel.wrong("that is the Gram matrix")
def _(w, u, x):
    hidden = x @ w.T
    return hidden**2 @ (hidden**2).T


@tangent_kernel.wrong("has a factor 2, and it enters squared")
def _(w, u, x):
    hidden = x @ w.T
    return hidden**2 @ (hidden**2).T + (x @ x.T) * ((hidden * u**2) @ hidden.T)


@tangent_kernel.wrong("the readout is missing")
def _(w, u, x):
    hidden = x @ w.T
    return 4 * (x @ x.T) * ((hidden * u**2) @ hidden.T)


@tangent_kernel.wrong("the kernel must have shape (4, 4) for 4 points")
def _(w, u, x):  # over the hidden neurons
    hidden = x @ w.T
    return (hidden**2).T @ hidden**2 + 4 * (hidden * u**2).T @ hidden


@tangent_kernel.wrong("not the inner products of the parameter gradients")
def _(w, u, x):  # u enters once
    hidden = x @ w.T
    readout = hidden**2 @ (hidden**2).T
    return readout + 4 * (x @ x.T) * ((hidden * u) @ hidden.T)


@tangent_kernel.unusual
def _(w, u, x):
    rows = [np.concatenate([(w @ p) ** 2, (2 * (u * (w @ p))[:, None] * p).ravel()]) for p in x]
    return np.array(rows) @ np.array(rows).T


# ---- the feature error measure ----


@exercise(
    minutes=15,
    hint=r"Try every threshold that changes anything: $\delta=\infty$ (keep nothing) and each positive eigenvalue.",
    worked=r"Between two neighbouring eigenvalues nothing changes, so the infimum over $\delta$ is a minimum over "
    r"$\delta=\infty$ and the positive eigenvalues themselves. For each, add the energy $c_i^2$ of what lies below and "
    r"$\varepsilon^2$ for each feature at or above. Thresholds handle ties by themselves, and $\delta>0$ keeps null "
    r"features out.",
)
def feature_error(eigenvalues, coefficients, noise):
    r"""Feature error measure, its thresholds tried one by one.

    Write the feature error measure from its definition, without sorting. Mind ties, null features, and the possibility
    of keeping nothing.
    """
    thresholds = [np.inf, *eigenvalues[eigenvalues > 0]]
    return min(
        np.sum(coefficients[eigenvalues < level] ** 2) + noise * np.sum(eigenvalues >= level) for level in thresholds
    )


_FEM_CASES = {
    "plain": ([4.0, 3.0, 2.0, 1.0], [0.1, 1.0, 0.05, 0.5], 0.04),
    "nothing": ([2.0, 1.0], [0.1, 0.2], 1.0),
    "unsorted": ([1.0, 2.0], [0.1, 1.0], 0.04),
    "ties": ([1.0, 1.0], [1.0, 0.1], 0.1),
    "null": ([1.0, 0.0], [0.5, 3.0], 0.01),
}


@feature_error.checker
def _(answer):
    values = {}
    for name, (levels, weights, noise) in _FEM_CASES.items():
        values[name] = float(answer(np.array(levels), np.array(weights), noise))
    truth = {
        name: feature_error_measure(np.array(levels), np.array(weights), noise)
        for name, (levels, weights, noise) in _FEM_CASES.items()
    }
    expect(
        not np.isclose(values["plain"], 0.0925),
        "that is the ideal sum of min(c^2, noise): FEM may only cut along the order of the eigenvalues",
    )
    expect(
        np.isclose(values["plain"], truth["plain"]),
        f"for {_FEM_CASES['plain']} it is 0.16, got {values['plain']}",
    )
    expect(
        not np.isclose(values["nothing"], 0.3),
        "the energy of a feature is its coefficient squared",
    )
    expect(
        np.isclose(values["nothing"], truth["nothing"]),
        "keeping no feature at all is allowed, and sometimes the best",
    )
    expect(
        np.isclose(values["unsorted"], truth["unsorted"]),
        "the eigenvalues may stand in any order: the cut goes by size",
    )
    expect(
        np.isclose(values["ties"], truth["ties"]),
        "equal eigenvalues enter or leave together",
    )
    expect(
        np.isclose(values["null"], truth["null"]),
        "a feature of eigenvalue zero is not there: never keep it",
    )


@feature_error.wrong("that is the ideal sum")
def _(eigenvalues, coefficients, noise):
    return np.sum(np.minimum(coefficients**2, noise))


@feature_error.wrong("the energy of a feature is its coefficient squared")
def _(eigenvalues, coefficients, noise):
    return min(
        np.sum(np.abs(coefficients[eigenvalues < level])) + noise * np.sum(eigenvalues >= level)
        for level in [np.inf, *eigenvalues[eigenvalues > 0]]
    )


@feature_error.wrong("keeping no feature at all is allowed")
def _(eigenvalues, coefficients, noise):
    return min(
        np.sum(coefficients[eigenvalues < level] ** 2) + noise * np.sum(eigenvalues >= level)
        for level in eigenvalues[eigenvalues > 0]
    )


def _cut_anywhere(eigenvalues, coefficients, noise):
    energy = coefficients[np.argsort(-eigenvalues, kind="stable")] ** 2
    return min(energy[m:].sum() + noise * m for m in range(len(energy) + 1))


@feature_error.wrong("equal eigenvalues enter or leave together")
def _(eigenvalues, coefficients, noise):
    return _cut_anywhere(eigenvalues, coefficients, noise)


@feature_error.wrong("a feature of eigenvalue zero is not there")
def _(eigenvalues, coefficients, noise):
    thresholds = [np.inf, *eigenvalues]
    return min(
        np.sum(coefficients[eigenvalues < level] ** 2) + noise * np.sum(eigenvalues >= level) for level in thresholds
    )


@feature_error.wrong("it is 0.16, got")
def _(eigenvalues, coefficients, noise):  # the noise is squared once more
    return feature_error.solution(eigenvalues, coefficients, noise**2)


@feature_error.wrong("the eigenvalues may stand in any order")
def _(eigenvalues, coefficients, noise):  # the first m are kept
    ends = np.flatnonzero(np.diff(eigenvalues, append=0.0)) + 1
    return min(np.sum(coefficients[m:] ** 2) + noise * m for m in [0, *ends[eigenvalues[ends - 1] > 0]])


@feature_error.unusual
def _(eigenvalues, coefficients, noise):
    levels = sorted(set(eigenvalues[eigenvalues > 0].tolist()), reverse=True)
    best = total = float(np.sum(coefficients**2))
    for level in levels:
        here = eigenvalues == level
        total += noise * here.sum() - np.sum(coefficients[here] ** 2)
        best = min(best, total)
    return best


# ---- how large must the start be? ----


@exercise(
    minutes=10,
    hint=r"Write $\kappa=|z|/\alpha^2$. The relative change is $\tfrac12(\sqrt{1+4\kappa^2}-1)$; set it equal to the tolerance.",
    worked=r"With $\kappa=|z|/\alpha^2$ and the tolerance $q$ we need $\tfrac12(\sqrt{1+4\kappa^2}-1)=q$, so "
    r"$1+4\kappa^2=(1+2q)^2$ and $\kappa^2=q+q^2$. Hence $\alpha=\big(z^2/(q+q^2)\big)^{1/4}$. For small $q$ it is "
    r"$\sqrt{|z|}\,q^{-1/4}$: to be a hundred times lazier, a start $\sqrt{10}$ times larger is enough.",
)
def lazy_enough(z, tolerance):
    r"""Smallest start at which a^2 changes by at most `tolerance`.

    In the smallest network $f(x)=\beta ax$ with target $z$ (of either sign), how large must $\alpha=a(0)$ be for the
    squared feature $a^2$ to change by a relative amount of at most `tolerance` during the whole training? Exactly, not
    only for small tolerances.
    """
    return (z**2 / (tolerance + tolerance**2)) ** 0.25


@lazy_enough.checker
def _(answer):
    for z, tolerance in [(1.0, 0.01), (-0.7, 0.5), (3.0, 2.0)]:
        value = answer(z, tolerance)
        expect(
            np.isrealobj(value) and np.isfinite(value),
            f"the target may be negative: z = {z} gives {value}",
        )
        expect(value > 0, f"a start is a positive number, got {value}")
        truth = (z**2 / (tolerance + tolerance**2)) ** 0.25
        expect(
            not np.isclose(value, truth**2),
            "that is alpha squared: take one more root",
        )
        expect(
            not np.isclose(value, (z**2 / tolerance) ** 0.25, rtol=1e-9),
            "right for small tolerances only: solve the square root exactly",
        )
        change = (np.sqrt(1 + 4 * z**2 / value**4) - 1) / 2
        expect(
            np.isclose(change, tolerance, rtol=1e-6),
            f"from alpha = {value:.4g} the feature changes by {change:.3g}, not {tolerance} (z = {z})",
        )


@lazy_enough.wrong("right for small tolerances only")
def _(z, tolerance):
    return (z**2 / tolerance) ** 0.25


@lazy_enough.wrong("the target may be negative")
def _(z, tolerance):
    return np.sqrt(z + 0j if z < 0 else z) / (tolerance + tolerance**2) ** 0.25 if z > 0 else float("nan")


@lazy_enough.wrong("that is alpha squared")
def _(z, tolerance):
    return np.sqrt(z**2 / (tolerance + tolerance**2))


@lazy_enough.wrong("the feature changes by")
def _(z, tolerance):
    return (z**2 / (tolerance + 2 * tolerance**2)) ** 0.25


@lazy_enough.wrong("a start is a positive number")
def _(z, tolerance):
    return -((z**2 / (tolerance + tolerance**2)) ** 0.25)


@lazy_enough.unusual
def _(z, tolerance):
    low, high = 1e-6, 1e6
    for _ in range(200):
        middle = np.sqrt(low * high)
        too_rich = (np.sqrt(1 + 4 * z**2 / middle**4) - 1) / 2 > tolerance
        low, high = (middle, high) if too_rich else (low, middle)
    return high


# ---- alignment of gradients ----


@exercise(
    minutes=10,
    hint=r"The outer products are averaged, not the gradients: opposite gradients do not cancel.",
    worked=r"With rows $g_k$ and $g^*_k$: $M=\frac1n g^\top g$ and $M^*=\frac1n g^{*\top}g^*$, both $d\times d$, and the "
    r"alignment is their cosine in the Frobenius inner product. A zero matrix has no direction; its alignment is 0 by "
    r"definition.",
)
def gradient_alignment(gradient, target_gradient):
    r"""Cosine of the average outer products of gradients (n, d).

    Given the gradients of the predictor and of the target at the same $n$ points (rows), return the AGOP alignment. A
    constant predictor or target has alignment 0.
    """
    model = gradient.T @ gradient / len(gradient)
    target = target_gradient.T @ target_gradient / len(target_gradient)
    scale = np.linalg.norm(model) * np.linalg.norm(target)
    return np.sum(model * target) / scale if scale > 0 else 0.0


@gradient_alignment.checker
def _(answer):
    first, second = _draw((5, 2), (5, 2))
    folded = np.concatenate([first, -first])
    truth = gradient_alignment.solution(first, second)
    value = answer(first, second)
    flat = np.sum(first * second) / np.linalg.norm(first) / np.linalg.norm(second)
    expect(
        np.ndim(value) == 0,
        f"the alignment is one number, got shape {np.shape(value)}",
    )
    expect(
        not np.isclose(value, flat),
        "that is the cosine of the gradients themselves; average outer products first",
    )
    points = np.sum((first @ first.T) * (second @ second.T)) / np.linalg.norm(first @ first.T)
    expect(
        not np.isclose(value, points / np.linalg.norm(second @ second.T)),
        "that compares points (n, n); the outer product lives on the input directions (d, d)",
    )
    doubled = answer(folded, np.concatenate([second, second]))
    expect(
        np.isclose(doubled, value),
        "opposite gradients must not cancel: average g g^T, not g",
    )
    expect(
        np.isclose(value, truth),
        f"not the Frobenius cosine: expected {truth:.4f}, got {value:.4f}",
    )
    for still in [(np.zeros((5, 2)), second), (first, np.zeros((5, 2)))]:
        constant = answer(*still)
        expect(
            constant == 0,
            f"a constant predictor or target has alignment 0, got {constant}",
        )


@gradient_alignment.wrong("that is the cosine of the gradients themselves")
def _(gradient, target_gradient):
    return np.sum(gradient * target_gradient) / np.linalg.norm(gradient) / np.linalg.norm(target_gradient)


@gradient_alignment.wrong("opposite gradients must not cancel")
def _(gradient, target_gradient):
    one, two = gradient.mean(axis=0), target_gradient.mean(axis=0)
    scale = (one @ one) * (two @ two)
    return (one @ two) ** 2 / scale if scale > 1e-20 else 0.0


@gradient_alignment.wrong("that compares points")
def _(gradient, target_gradient):
    one, two = gradient @ gradient.T, target_gradient @ target_gradient.T
    scale = np.linalg.norm(one) * np.linalg.norm(two)
    return np.sum(one * two) / scale if scale > 0 else 0.0


@gradient_alignment.wrong("not the Frobenius cosine")
def _(gradient, target_gradient):
    one, two = gradient.T @ gradient, target_gradient.T @ target_gradient
    scale = np.trace(one) * np.trace(two)
    return np.sum(one * two) / scale if scale > 0 else 0.0


@gradient_alignment.wrong("a constant predictor or target has alignment 0")
def _(gradient, target_gradient):
    one, two = gradient.T @ gradient, target_gradient.T @ target_gradient
    with np.errstate(invalid="ignore"):
        return np.sum(one * two) / (np.linalg.norm(one) * np.linalg.norm(two))


@gradient_alignment.wrong("the alignment is one number")
def _(gradient, target_gradient):  # one for each point
    inner = np.sum(gradient * target_gradient, axis=1)
    lengths = np.linalg.norm(gradient, axis=1)
    return inner / lengths / np.linalg.norm(target_gradient, axis=1)


@gradient_alignment.unusual
def _(gradient, target_gradient):
    cross = np.sum((gradient @ target_gradient.T) ** 2)
    scale = np.linalg.norm(gradient @ gradient.T) * np.linalg.norm(target_gradient @ target_gradient.T)
    return cross / scale if scale else 0.0
