r"""Exercises of the chapter "When learning features hurts"."""

import numpy as np

from afp_utils.book.exercises import exercise

# ---- what a network without biases cannot learn ----


@exercise(
    minutes=10,
    inputs=lambda rng: ((rng.normal(size=(m, d)), rng.normal(size=m)) for m, d in ((5, 3), (2, 4), (9, 2), (4, 5))),
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


linear_part.mistake("that is the slope of the odd part of f; f(x) - f(-x) is twice the odd part")(
    lambda w, u: u @ w / 2
)

linear_part.mistake("the readout enters with its sign: a neuron may be subtracted")(lambda w, u: abs(u) @ w)

linear_part.mistake("try one neuron: f(x) - f(-x) = u (relu(w . x) - relu(-w . x))")(lambda w, u: w.sum(axis=0))

linear_part.mistake("the weights enter with their signs: relu(t) - relu(-t) is negative where t is")(
    lambda w, u: u @ abs(w)
)

# ---- where the exponents part ----


@exercise(
    minutes=15,
    inputs=lambda rng: zip((2, 3, 5, 12, 7), (1.0, 2.5, *rng.uniform(0.4, 1.8, 3))),
    hint=r"Read off $s$ by comparing with the exponent $-(d-1)/2-s$ of a filter, for one neuron and for its square. "
    r"Which of the two predictors saturates first?",
    worked=r"A neuron falls as $k^{-(d-1)/2-s}$ with $s=a+\frac12$, so the sparse predictor has "
    r"$\beta=\min(2\nu_t,2a+1+d-1)/(d-1)$ and saturates at $\nu_t=a+\frac d2$. The kernel is the square of a neuron and "
    r"falls as $k^{-(d-1)-1-2a}$, so $s=\frac{d-1}2+1+2a$: it saturates at $\nu_t=s+\frac{d-1}2=d+2a$, which is later in every "
    r"dimension. Up to the first of the two both exponents are $2\nu_t/(d-1)$. The answer is $a+\frac d2$; for $a=1$ it is "
    r"$\frac{d+2}2$, where $2\nu_t$ meets $2s+d-1$ in (5.7). Rounder kinks push the harm to smoother targets, and do not remove it.",
)
def break_even(dimension, kink):
    r"""Return the smoothness above which sparse is slower than lazy.

    Replace the kink of the neurons by one of order $a$, $|\theta\cdot x|^a$ (the chapter has $a=1$; $a$ is not an even
    integer). The coefficients of one neuron then fall as $k^{-(d-1)/2-\frac12-a}$, and those of the random-feature kernel
    of such neurons as their square. Redo the argument of the chapter with these filters: above which $\nu_t$ is the exponent
    of the sparse predictor smaller than that of random features?
    """
    return kink + dimension / 2


break_even.mistake("that is right for a = 1 only: the order of the kink must enter")(lambda d, a: (d + 2) / 2)

break_even.mistake(
    "twice too much: solve 2 nu = 2 s + (d - 1) for nu. (It is also where random features saturate, and sparse does so before.)"
)(lambda d, a: d + 2 * a)

break_even.mistake("that is s, where the weights start to shrink with n; the exponent saturates (d - 1) / 2 later")(
    lambda d, a: a + 0.5
)

break_even.mistake("a kink of order a has s = a + 1/2: compare with s = 3/2 at a = 1")(lambda d, a: a + (d - 1) / 2)

break_even.mistake("only the kink is halved: solve 2 nu = 2 s + (d - 1) for nu")(lambda d, a: a + d)

# ---- the circle, exactly ----


@exercise(
    minutes=15,
    inputs=lambda rng: ((rng.uniform(0.02, 0.15, n) * rng.choice([-1, 1, 1], n),) for n in (4, 2, 6, 3)),
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


def _error(shares, *, target=0.5, aliases=0.5, power=2):
    total = np.sum(shares)
    return (target * total**2 + aliases * np.sum(shares**2)) / (1 + total) ** power


lattice_error.mistake(
    "that is the formula for the constant, where q and -q give the same cosine; here every share stands for itself"
)(lambda shares: _error(2 * shares, target=1))

lattice_error.mistake("the coefficient of cos(j phi) in f is 1 / (1 + S), not 1: it errs too")(
    lambda shares: _error(shares, target=0)
)

lattice_error.mistake("the mean square of a cosine is one half")(lambda shares: _error(shares, target=1, aliases=1))

lattice_error.mistake("the target is a cosine too: its part of the error has mean square one half as well")(
    lambda shares: _error(shares, target=1)
)

lattice_error.mistake("f is divided by 1 + S, so that it is right at the data")(lambda shares: _error(shares, power=0))

lattice_error.mistake("every alias leaves a cosine of its own in the error")(lambda shares: _error(shares, aliases=0))

lattice_error.mistake("the aliases are different cosines: square each share before the sum")(
    lambda shares: _error(shares, target=1, aliases=0)
)

lattice_error.mistake("a share may be negative: its sign counts in S")(lambda shares: _error(np.abs(shares)))

lattice_error.mistake("what is squared is the error of a coefficient: of cos(j phi) it is that of 1 / (1 + S) to 1")(
    lambda shares: (1 + np.sum(shares**2)) / (2 * (1 + np.sum(shares)) ** 2)
)

lattice_error.mistake("the mean is that of (f - f*)^2: the divisor 1 + S is squared as well")(
    lambda shares: _error(shares, power=1)
)

# ---- a certificate from any numbers ----


def _data(rng):
    for n, d, directions in (9, 3, 40), (6, 2, 15), (8, 4, 30):
        x, theta = rng.normal(size=(n, d)), rng.normal(size=(directions, d))
        ridges, multipliers, small = np.abs(x @ theta.T), rng.normal(size=n), 0.01 * rng.normal(size=n)
        y = ridges @ rng.normal(size=directions) + x @ rng.normal(size=d)
        yield from ((ridges, x, y, given) for given in (multipliers, -multipliers, small))


@exercise(
    minutes=20,
    inputs=_data,
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


def _free(x, multipliers):
    return multipliers - x @ np.linalg.solve(x.T @ x, x.T @ multipliers)


lower_bound.mistake("the linear part is free, so the multipliers must satisfy x^T lambda = 0 first")(
    lambda ridges, x, y, multipliers: abs(multipliers @ y) / np.abs(ridges.T @ multipliers).max()
)

lower_bound.mistake("eta exceeds one: divide by its largest absolute value")(
    lambda ridges, x, y, multipliers: abs(_free(x, multipliers) @ y)
)

lower_bound.mistake("eta may also fall below minus one: take absolute values before the maximum")(
    lambda ridges, x, y, multipliers: abs(_free(x, multipliers) @ y) / (ridges.T @ _free(x, multipliers)).max()
)

lower_bound.mistake("each eta may reach one: divide by the largest absolute value, not by another norm")(
    lambda ridges, x, y, multipliers: abs(_free(x, multipliers) @ y) / np.linalg.norm(ridges.T @ _free(x, multipliers))
)

lower_bound.mistake("the sign of the multipliers is free: with lambda also -lambda is feasible")(
    lambda ridges, x, y, multipliers: _free(x, multipliers) @ y / np.abs(ridges.T @ _free(x, multipliers)).max()
)

lower_bound.mistake("the same multipliers belong above and below: project them for the denominator as well")(
    lambda ridges, x, y, multipliers: abs(_free(x, multipliers) @ y) / np.abs(ridges.T @ multipliers).max()
)

lower_bound.mistake("the same multipliers belong above and below: project them for the numerator as well")(
    lambda ridges, x, y, multipliers: abs(multipliers @ y) / np.abs(ridges.T @ _free(x, multipliers)).max()
)

lower_bound.mistake("neither eta nor the bound has a sign: both absolute values are missing")(
    lambda ridges, x, y, multipliers: _free(x, multipliers) @ y / (ridges.T @ _free(x, multipliers)).max()
)

lower_bound.mistake("multipliers with a small eta can be scaled up, for a larger bound: divide always")(
    lambda ridges, x, y, multipliers: (
        abs(_free(x, multipliers) @ y) / max(1, np.abs(ridges.T @ _free(x, multipliers)).max())
    )
)


@lower_bound.mistake("the columns of x are not orthonormal: the projection needs the inverse of x^T x")
def _(ridges, x, y, multipliers):
    multipliers = multipliers - x @ (x.T @ multipliers)
    return abs(multipliers @ y) / np.abs(ridges.T @ multipliers).max()
