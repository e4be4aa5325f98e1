r"""Exercises of the chapter "One language for learned features"."""

import numpy as np

from afp_utils.book.exercises import exercise

# ---- the tangent kernel of a network that is not linear ----


def _networks(rng):
    for m, d, n in (3, 2, 4), (2, 4, 3), (4, 3, 2):
        yield rng.normal(size=(m, d)), rng.normal(size=m), rng.normal(size=(n, d))


@exercise(
    minutes=10,
    inputs=_networks,
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


_kernel = tangent_kernel.solution

tangent_kernel.mistake("that is the Gram matrix: the first layer is trained too")(lambda w, u, x: _kernel(w, 0 * u, x))

tangent_kernel.mistake("the derivative of a square has a factor 2, and it enters squared")(
    lambda w, u, x: _kernel(w, u / 2, x)
)

tangent_kernel.mistake("the readout is missing: df/du_i = (w_i . x)^2")(
    lambda w, u, x: _kernel(w, u, x) - _kernel(w, 0 * u, x)
)

tangent_kernel.mistake("df/dw_i has the factor u_i, so its inner product has the square of it")(
    lambda w, u, x: _kernel(w, np.sqrt(u + 0j), x).real
)

# ---- the feature error measure ----


def _spectra(rng):
    for levels, weights, noise in (
        ([4, 3, 2, 1], [0.1, 1, 0.05, 0.5], 0.04),
        ([2, 1], [0.1, 0.2], 0.8),  # nothing is worth keeping
        ([1, 3, 2], [0.05, 1, 0.1], 0.04),  # not sorted
        ([2, 4, 3, 1], [0.1, 1, 0.8, 0.05], 0.04),
        ([1, 1], [1, 0.1], 0.1),  # tied
        ([1, 2, 1], [1, 0.1, 0.1], 0.1),
        ([3, 2, 0], [0.05, 0.5, 3], 0.01),  # one is not there
    ):
        scale, *near = rng.uniform(0.8, 1.2, len(weights) + 1)
        yield scale * np.array(levels), np.array(weights) * near, noise * scale


# fmt: off

@exercise(
    minutes=15,
    inputs=_spectra,
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
        np.sum(coefficients[eigenvalues < level] ** 2)
        + noise * np.sum(eigenvalues >= level)
        for level in thresholds
    )

# fmt: on


@feature_error.mistake("that is the ideal sum of min(c^2, noise): FEM may only cut along the order of the eigenvalues")
def _(eigenvalues, coefficients, noise):
    return np.sum(np.minimum(coefficients**2, noise))


feature_error.mistake("the energy of a feature is its coefficient squared")(
    lambda eigenvalues, coefficients, noise: feature_error.solution(eigenvalues, abs(coefficients) ** 0.5, noise)
)

feature_error.mistake("the noise in the measure is a variance already: it is not squared")(
    lambda eigenvalues, coefficients, noise: feature_error.solution(eigenvalues, coefficients, noise**2)
)


def _prices(eigenvalues, coefficients, noise, levels):
    return [np.sum(coefficients[eigenvalues < level] ** 2) + noise * np.sum(eigenvalues >= level) for level in levels]


@feature_error.mistake("keeping no feature at all is allowed, and sometimes the best")
def _(eigenvalues, coefficients, noise):
    return min(_prices(eigenvalues, coefficients, noise, eigenvalues[eigenvalues > 0]))


@feature_error.mistake("a feature of eigenvalue zero is not there: never keep it")
def _(eigenvalues, coefficients, noise):
    return min(_prices(eigenvalues, coefficients, noise, [np.inf, *eigenvalues]))


@feature_error.mistake("equal eigenvalues enter or leave together")
def _(eigenvalues, coefficients, noise):
    places = np.empty(len(eigenvalues))
    places[np.argsort(-eigenvalues, kind="stable")] = np.arange(len(eigenvalues))
    return min(_prices(-places, coefficients, noise, [np.inf, *-places]))


@feature_error.mistake("the eigenvalues may stand in any order: the cut goes by size")
def _(eigenvalues, coefficients, noise):
    places = np.arange(len(eigenvalues))
    return min(_prices(-places, coefficients, noise, [np.inf, *-places]))


# ---- how large must the start be? ----


def _targets(rng):
    z = rng.uniform(0.4, 0.8, 5) * [1, -1, 3, -4, 2]
    return zip(z, rng.uniform(0.7, 1.4, 5) * [0.01, 0.5, 2, 0.1, 0.3])


@exercise(
    minutes=10,
    inputs=_targets,
    hint=r"Divide (1.1) by $\alpha^2$: the relative change depends on $\kappa=|z|/\alpha^2$ alone. Set it equal to the tolerance.",
    worked=r"With $\kappa=|z|/\alpha^2$ and the tolerance $q$ we need $\tfrac12(\sqrt{1+4\kappa^2}-1)=q$, so "
    r"$1+4\kappa^2=(1+2q)^2$ and $\kappa^2=q+q^2$. Hence $\alpha=\big(z^2/(q+q^2)\big)^{1/4}$. For small $q$ it is "
    r"$\sqrt{|z|}\,q^{-1/4}$: to be a hundred times lazier, a start $\sqrt{10}$ times larger is enough.",
)
def lazy_enough(z, tolerance):
    r"""Smallest start at which a^2 changes by at most `tolerance`.

    The smallest network $f(x)=\beta ax$ starts at $\beta=0$ and has the target $z$ (of either sign). How large must
    $\alpha=a(0)$ be for the squared feature $a^2$ to change by a relative amount of at most `tolerance` during the whole
    training? Exactly, not only for small tolerances.
    """
    return (z**2 / (tolerance + tolerance**2)) ** 0.25


lazy_enough.mistake("right for small tolerances only: solve the square root exactly")(
    lambda z, tolerance: (z**2 / tolerance) ** 0.25
)

lazy_enough.mistake("half of the root enters: a^2 is the mean of alpha^2 and of the root of alpha^4 + 4 z^2")(
    lambda z, tolerance: (4 * z**2 / (2 * tolerance + tolerance**2)) ** 0.25
)

lazy_enough.mistake("the target may be negative, and a start is a real number")(
    lambda z, tolerance: z**0.5 / (tolerance + tolerance**2) ** 0.25
)

lazy_enough.mistake("a start is a positive number")(lambda z, tolerance: -lazy_enough.solution(z, tolerance))

lazy_enough.mistake("(1 + 2q)^2 = 1 + 4q + 4q^2 for a tolerance q: divide all of it by 4")(
    lambda z, tolerance: (z**2 / (tolerance + 2 * tolerance**2)) ** 0.25
)

# ---- alignment of gradients ----


def _gradients(rng):
    for shape, model, target in ((5, 2), 1, 1), ((3, 4), 1, 1), ((6, 3), 1, 1), ((4, 2), 0, 1), ((4, 3), 1, 0):
        yield model * rng.normal(size=shape), target * rng.normal(size=shape)


@exercise(
    minutes=10,
    inputs=_gradients,
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


@np.errstate(invalid="ignore")  # zero has no direction
def _cosine(one, other):
    return np.sum(one * other) / (np.linalg.norm(one) * np.linalg.norm(other))


gradient_alignment.mistake("that is the cosine of the gradients themselves; average outer products first")(_cosine)

gradient_alignment.mistake("opposite gradients must not cancel: average g g^T, not g")(
    lambda gradient, target: _cosine(gradient.mean(axis=0), target.mean(axis=0)) ** 2
)

gradient_alignment.mistake("that compares points (n, n); the outer product lives on the input directions (d, d)")(
    lambda gradient, target: _cosine(gradient @ gradient.T, target @ target.T)
)

gradient_alignment.mistake("a constant predictor or target has alignment 0")(
    lambda gradient, target: _cosine(gradient.T @ gradient, target.T @ target)
)


@gradient_alignment.mistake("a Frobenius cosine has the roots of the sums of squares below, not the traces")
@np.errstate(invalid="ignore")
def _(gradient, target):
    return np.sum((gradient @ target.T) ** 2) / (np.sum(gradient**2) * np.sum(target**2))
