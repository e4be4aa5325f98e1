r"""Exercises of the chapter "When learning features hurts"."""

import numpy as np

from afp_utils.book.exercises import exercise, expect


def _draw(*shapes):
    rng = np.random.default_rng(4)
    return [rng.normal(size=shape) for shape in shapes]


def _close(value, truth):
    return np.shape(value) == np.shape(truth) and np.allclose(value, truth, rtol=1e-8, atol=1e-12)


# ---- what a network without biases cannot learn ----


@exercise(
    minutes=10,
    hint=r"$\mathrm{relu}(t)-\mathrm{relu}(-t)=t$ for every $t$.",
    worked=r"Term by term, $f(x)-f(-x)=\sum_hu_h[\mathrm{relu}(w_h\cdot x)-\mathrm{relu}(-w_h\cdot x)]=\sum_hu_h\,w_h\cdot x$, "
    r"so $b=\sum_hu_hw_h$. The left side is twice the odd part of $f$. It is linear, that is of degree one, so the "
    r"coefficients of all odd degrees $k>1$ vanish: the network can learn an even function plus a linear one, whatever its "
    r"width and weights.",
)
def linear_part(w, u):
    r"""Return the vector b (d,) with f(x) - f(-x) = b . x for all x.

    A network $f(x)=\sum_hu_h\,\mathrm{relu}(w_h\cdot x)$ has first layer $w$ (shape $m\times d$) and readout $u$ (shape
    $m$). Show that $f(x)-f(-x)$ is a linear function $b\cdot x$, and compute $b$. What does this say about the odd
    degrees of $f$?
    """
    return u @ w


@linear_part.checker
def _(answer):
    w, u = _draw((5, 3), 5)
    value = answer(w, u)
    expect(
        np.shape(value) == (3,),
        f"b must have shape (3,) for three coordinates, got {np.shape(value)}",
    )
    expect(
        not _close(value, u @ w / 2),
        "that is the slope of the odd part of f; f(x) - f(-x) is twice the odd part",
    )
    expect(
        not _close(value, np.abs(u) @ w),
        "the readout enters with its sign: a neuron may be subtracted",
    )
    expect(
        _close(value, u @ w),
        "try one neuron: f(x) - f(-x) = u (relu(w . x) - relu(-w . x))",
    )


@linear_part.wrong("twice the odd part")
def _(w, u):
    return u @ w / 2


@linear_part.wrong("the readout enters with its sign")
def _(w, u):
    return np.abs(u) @ w


@linear_part.wrong("try one neuron")
def _(w, u):
    return w.sum(axis=0)


@linear_part.wrong("b must have shape (3,) for three coordinates")
def _(w, u):
    return u[:, None] * w


@linear_part.unusual
def _(w, u):
    axes = np.eye(w.shape[1])
    return np.array([np.maximum(w @ e, 0) @ u - np.maximum(-w @ e, 0) @ u for e in axes])


# ---- where the exponents part ----


@exercise(
    minutes=15,
    hint=r"Read off $s$ by comparing with the exponent $-(d-1)/2-s$ of a filter, for one neuron and for its square. "
    r"Which of the two predictors saturates first?",
    worked=r"A neuron falls as $k^{-(d-1)/2-s}$ with $s=a+\frac12$, so the sparse predictor has "
    r"$\beta=\min(2\nu_t,2a+1+d-1)/(d-1)$ and saturates at $\nu_t=a+\frac d2$. The kernel is the square of a neuron and "
    r"falls as $k^{-(d-1)-1-2a}$, so $s=\frac{d-1}2+1+2a$: it saturates at $\nu_t=s+\frac{d-1}2=d+2a$, which is later in every "
    r"dimension. Up to the first of the two both exponents are $2\nu_t/(d-1)$. The answer is $a+\frac d2$; for $a=1$ it is the "
    r"$\frac{d+2}2$ of the chapter. Rounder kinks push the harm to smoother targets, and do not remove it.",
)
def break_even(dimension, kink):
    r"""Return the smoothness above which sparse is slower than lazy.

    Replace the kink of the neurons by one of order $a$, $|\theta\cdot x|^a$ (the chapter has $a=1$; $a$ is not an even
    integer). The coefficients of one neuron then fall as $k^{-(d-1)/2-\frac12-a}$, and those of the random-feature kernel
    of such neurons as their square. Redo the argument of the chapter with these filters: above which $\nu_t$ is the exponent
    of the sparse predictor smaller than that of random features?
    """
    return kink + dimension / 2


@break_even.checker
def _(answer):
    cases = [(d, a) for d in (2, 3, 5, 12) for a in (1.0, 3.0, 0.7)]
    values = np.array([float(answer(d, a)) for d, a in cases])
    d, a = np.array(cases, dtype=float).T
    expect(
        not _close(values, (d + 2) / 2),
        "that is right for a = 1 only: the order of the kink must enter",
    )
    expect(
        not _close(values, d + 2 * a),
        "twice too much: solve 2 nu = 2 s + (d - 1) for nu. (It is also where random features saturate, and sparse does so before.)",
    )
    expect(
        not _close(values, a + 0.5),
        "that is s, where the weights start to shrink with n; the exponent saturates (d - 1) / 2 later",
    )
    expect(
        not _close(values, a + (d - 1) / 2),
        "a kink of order a has s = a + 1/2: compare with s = 3/2 at a = 1",
    )
    expect(
        _close(values, a + d / 2),
        "not where the sparse exponent saturates; at a = 1 and d = 3 that is 2.5",
    )


@break_even.wrong("the order of the kink must enter")
def _(dimension, kink):
    return (dimension + 2) / 2


@break_even.wrong("twice too much")
def _(dimension, kink):
    return dimension + 2 * kink


@break_even.wrong("that is s")
def _(dimension, kink):
    return kink + 0.5


@break_even.wrong("s = a + 1/2")
def _(dimension, kink):
    return kink + (dimension - 1) / 2


@break_even.wrong("not where the sparse exponent saturates")
def _(dimension, kink):  # of two halves one is lost
    return kink + dimension


@break_even.unusual
def _(dimension, kink):
    surface = dimension - 1
    sparse = 2 * (kink + 0.5) + surface
    lazy = 2 * (surface / 2 + 1 + 2 * kink) + surface
    return min(sparse, lazy) / 2


# ---- the circle, exactly ----


@exercise(
    minutes=15,
    hint=r"$f-f^*=\big(\sum_qr_q\cos((j+2nq)\varphi)-S\cos j\varphi\big)/(1+S)$ with $S=\sum_qr_q$. Cosines of different "
    r"frequencies are orthogonal.",
    worked=r"Divide numerator and denominator by $M_j$: $f=(\cos j\varphi+\sum_qr_q\cos((j+2nq)\varphi))/(1+S)$. So "
    r"$f-f^*=(\sum_qr_q\cos((j+2nq)\varphi)-S\cos j\varphi)/(1+S)$. For $0<j<n$ all frequencies $|j+2nq|$ are different and none is zero, "
    r"and the mean square of each cosine is $\frac12$: $\mathrm{MSE}=\frac12(S^2+\sum_qr_q^2)/(1+S)^2$. For the constant the "
    r"frequencies $2nq$ and $-2nq$ fall on each other, and the cosine of frequency zero has mean square one, which is why the formula of the chapter looks different.",
)
def lattice_error(shares):
    r"""Return the mean squared error from the shares, in any order.

    The chapter interpolates the constant at $n$ equal spacings of the half circle. Now take $f^*(\varphi)=\cos j\varphi$ with even $j$,
    $0<j<n$. On the lattice the frequencies $j+2nq$, $q=\pm1,\pm2,\dots$, cannot be told from $j$, and the interpolant by copies of
    a function with coefficients $M_k$ is

    $$
    f(\varphi)=\frac{\sum_qM_{j+2nq}\cos((j+2nq)\varphi)}{\sum_qM_{j+2nq}} ,
    $$

    with sums over all integers $q$. Given the shares $r_q=M_{j+2nq}/M_j$ for $q\ne0$ (both signs of $q$, all in one list),
    what is the mean of $(f-f^*)^2$ over the circle?
    """
    total = np.sum(shares)
    return (total**2 + np.sum(shares**2)) / (2 * (1 + total) ** 2)


@lattice_error.checker
def _(answer):
    shares = np.array([0.1, -0.03, 0.02, 0.06])
    total, energy = shares.sum(), np.sum(shares**2)
    value = answer(shares)
    expect(
        np.ndim(value) == 0,
        f"the error must be one number, got shape {np.shape(value)}",
    )
    expect(
        not _close(value, (4 * total**2 + 2 * energy) / (1 + 2 * total) ** 2),
        "that is the formula for the constant, where q and -q give the same cosine; here every share stands for itself",
    )
    expect(
        not _close(value, energy / (2 * (1 + total) ** 2)),
        "the coefficient of cos(j phi) in f is 1 / (1 + S), not 1: it errs too",
    )
    expect(
        not _close(value, (total**2 + energy) / (1 + total) ** 2),
        "the mean square of a cosine is one half",
    )
    expect(
        not _close(value, (total**2 + energy / 2) / (1 + total) ** 2),
        "the target is a cosine too: its part of the error has mean square one half as well",
    )
    expect(
        not _close(value, (total**2 + energy) / 2),
        "f is divided by 1 + S, so that it is right at the data",
    )
    expect(
        _close(value, (total**2 + energy) / (2 * (1 + total) ** 2)),
        "not the mean of (f - f*)^2",
    )


@lattice_error.wrong("the formula for the constant")
def _(shares):
    total = 2 * np.sum(shares)
    return (total**2 + 2 * np.sum(shares**2)) / (1 + total) ** 2


@lattice_error.wrong("it errs too")
def _(shares):
    return np.sum(shares**2) / 2 / (1 + np.sum(shares)) ** 2


@lattice_error.wrong("the mean square of a cosine is one half")
def _(shares):
    total = np.sum(shares)
    return (total**2 + np.sum(shares**2)) / (1 + total) ** 2


@lattice_error.wrong("f is divided by 1 + S")
def _(shares):
    return (np.sum(shares) ** 2 + np.sum(shares**2)) / 2


@lattice_error.wrong("the error must be one number")
def _(shares):
    return (np.sum(shares) ** 2 + shares**2) / (2 * (1 + np.sum(shares)) ** 2)


@lattice_error.wrong("the target is a cosine too")
def _(shares):
    total = np.sum(shares)
    return (total**2 + np.sum(shares**2) / 2) / (1 + total) ** 2


@lattice_error.wrong("not the mean of (f - f*)^2")
def _(shares):  # not squared
    total = np.sum(shares)
    return (total**2 + np.sum(shares**2)) / (2 * (1 + total))


@lattice_error.unusual
def _(shares):
    angle = 2 * np.pi * np.arange(64) / 64
    waves = np.cos(np.outer(angle, np.arange(2, len(shares) + 2)))
    f = (np.cos(angle) + waves @ shares) / (1 + np.sum(shares))
    return np.mean((f - np.cos(angle)) ** 2)


# ---- a certificate from any numbers ----


@exercise(
    minutes=20,
    hint=r"Two conditions: $x^\top\lambda=0$ (subtract from $\lambda$ its projection onto the columns of $x$) and "
    r"$|\eta|\le1$ (divide).",
    worked=r"The bound needs $x^\top\lambda=0$, since the linear part $b$ is free and would otherwise contribute "
    r"$b\cdot x^\top\lambda$. The projection is $\lambda-x(x^\top x)^{-1}x^\top\lambda$. Then $\eta_i=\sum_j\lambda_j|\theta_i\cdot x_j|$ "
    r"is `ridges.T @ multipliers`, and dividing by $\max_i|\eta_i|$ makes it feasible. For any interpolant "
    r"$\lambda\cdot y=\sum_iA_i\eta_i\le\sum_i|A_i|$. The sign of $\lambda$ is free, so take the absolute value. At the optimum the "
    r"bound is attained, which is how the solver proves that it is done.",
)
def lower_bound(ridges, x, y, multipliers):
    r"""Return a lower bound on the norm of all interpolants.

    Let `ridges[j, i]` $=|\theta_i\cdot x_j|$ for a dictionary of directions. Somebody hands you $n$ numbers. Turn
    them into dual variables that are feasible, $x^\top\lambda=0$ and $|\eta(\theta_i)|\le1$ for all $i$, and return the
    lower bound $|\lambda\cdot y|$ on the norm of every function $\sum_iA_i|\theta_i\cdot x|+b\cdot x$ through the data.
    """
    multipliers = multipliers - x @ np.linalg.solve(x.T @ x, x.T @ multipliers)
    return abs(multipliers @ y) / np.abs(ridges.T @ multipliers).max()


@lower_bound.checker
def _(answer):
    x, theta, weights, linear, multipliers = _draw((9, 3), (40, 3), 40, 3, 9)
    ridges = np.abs(x @ theta.T)
    y = ridges @ weights + x @ linear
    free = multipliers - x @ np.linalg.lstsq(x, multipliers, rcond=None)[0]
    right = abs(free @ y) / np.abs(ridges.T @ free).max()
    value = answer(ridges, x, y, multipliers)
    expect(
        np.ndim(value) == 0,
        f"the bound must be one number, got shape {np.shape(value)}",
    )
    no_projection = abs(multipliers @ y) / np.abs(ridges.T @ multipliers).max()
    expect(
        not _close(value, no_projection),
        "the linear part is free, so the multipliers must satisfy x^T lambda = 0 first",
    )
    expect(
        not _close(value, abs(free @ y)),
        "eta exceeds one: divide by its largest absolute value",
    )
    expect(
        not _close(value, abs(free @ y) / (ridges.T @ free).max()),
        "eta may also fall below minus one: take absolute values before the maximum",
    )
    expect(_close(value, right), "not |lambda . y| of the feasible multipliers")
    flipped = answer(ridges, x, y, -multipliers)
    expect(
        _close(flipped, right),
        "the sign of the multipliers is free: with lambda also -lambda is feasible",
    )


@lower_bound.wrong("the linear part is free")
def _(ridges, x, y, multipliers):
    return abs(multipliers @ y) / np.abs(ridges.T @ multipliers).max()


@lower_bound.wrong("divide by its largest absolute value")
def _(ridges, x, y, multipliers):
    return abs((multipliers - x @ np.linalg.solve(x.T @ x, x.T @ multipliers)) @ y)


@lower_bound.wrong("the bound must be one number")
def _(ridges, x, y, multipliers):  # divided direction by direction
    free = multipliers - x @ np.linalg.lstsq(x, multipliers, rcond=None)[0]
    return abs(free @ y) / np.abs(ridges.T @ free)


@lower_bound.wrong("take absolute values before the maximum")
def _(ridges, x, y, multipliers):
    free = multipliers - x @ np.linalg.lstsq(x, multipliers, rcond=None)[0]
    return abs(free @ y) / (ridges.T @ free).max()


@lower_bound.wrong("of the feasible multipliers")
def _(ridges, x, y, multipliers):  # divided by a norm that is too large
    free = multipliers - x @ np.linalg.lstsq(x, multipliers, rcond=None)[0]
    return abs(free @ y) / np.linalg.norm(ridges.T @ free)


@lower_bound.wrong("the sign of the multipliers is free")
def _(ridges, x, y, multipliers):
    free = multipliers - x @ np.linalg.lstsq(x, multipliers, rcond=None)[0]
    return (free @ y) / np.abs(ridges.T @ free).max()


@lower_bound.unusual
def _(ridges, x, y, multipliers):
    basis = np.linalg.qr(x)[0]
    free = multipliers - basis @ (basis.T @ multipliers)
    free = free / np.max(np.abs(free @ ridges))
    return max(free @ y, -free @ y)
