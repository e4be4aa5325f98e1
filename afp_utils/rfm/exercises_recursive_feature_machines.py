r"""Exercises of the chapter "Can a kernel machine learn features?"."""

import numpy as np

from afp_utils.book.exercises import exercise

# ---- the outer product of a target ----


def _quadratics(rng):
    for d in 4, 3, 2, 5:
        yield rng.normal(size=(d, d)), rng.normal(size=d)


@exercise(
    minutes=10,
    inputs=_quadratics,
    hint=r"The gradient is linear in $x$. Of the products of entries of $x$, which have a mean that is not zero?",
    worked=r"The gradient is $\nabla f=Sx+b$ with $S=Q+Q^\top$. In the mean of $(Sx+b)(Sx+b)^\top$ the terms with one $x$ vanish, and "
    r"$\mathbb E\,xx^\top=I$ leaves $SS^\top+bb^\top=(Q+Q^\top)^2+bb^\top$. For $x_1x_2$ it is $\mathrm{diag}(1,1,0,\dots)$, the "
    r"oracle's metric. A linear target shows its direction in every gradient alike, and a centred outer product, "
    r"which subtracts the mean gradient $b$, loses it.",
)
def quadratic_agop(q, b):
    r"""Return the outer product (d, d) of the gradients, in the mean over x.

    A target is $f(x)=x^\top Qx+b^\top x$, with any square matrix $Q$, and $x$ is standard normal. What is $\mathbb E\,\nabla f\,\nabla f^\top$?
    """
    slope = q + q.T
    return slope @ slope + np.outer(b, b)


quadratic_agop.mistake("Q need not be symmetric: the gradient of x' Q x is (Q + Q') x")(
    lambda q, b: 4 * q @ q.T + np.outer(b, b)
)

quadratic_agop.mistake("the linear part has a gradient, too")(lambda q, b: (q + q.T) @ (q + q.T))

quadratic_agop.mistake("first the outer product, then the mean: the mean gradient is b alone")(
    lambda q, b: np.outer(b, b)
)

quadratic_agop.mistake("a factor is missing: the derivative of a square is twice its root")(
    lambda q, b: (q + q.T) @ (q + q.T) / 4 + np.outer(b, b)
)

# ---- the closed form, for another kernel ----


def _predictors(rng):
    for n, d in (9, 4), (5, 3), (12, 2), (7, 5):
        root = rng.normal(size=(d, d - 1))
        yield rng.normal(size=(n, d)), rng.normal(size=n), root @ root.T


@exercise(
    minutes=15,
    inputs=_predictors,
    hint=r"$\nabla_x(x^\top Mx_i)=Mx_i$. There is no difference $x-x_i$ here, and so no kink: what becomes of the term $j=i$?",
    worked=r"By the chain rule $\nabla_x(1+x^\top Mx_i)^2=2(1+x^\top Mx_i)\,Mx_i$, so with $W=2(1+XMX^\top)$ (entry by entry, "
    r"one added to each) the gradients at the training points are the rows of $G=W(\alpha\odot X)M$, and the AGOP is $G^\top G/n$. "
    r"Again one matrix product. This kernel is smooth, so the term $j=i$ is an honest part of the gradient and "
    r"must stay: setting $H_{jj}=0$ was right for the kink of the Laplace kernel, not as a ritual. In the "
    r"chapter the own term of a *smooth* kernel of the distance does vanish by itself, because $z_j-z_j=0$.",
)
def polynomial_agop(x, alpha, metric):
    r"""Return the average gradient outer product (d, d) of the predictor.

    The loop of the chapter works with other kernels. Take $k(x,z)=(1+x^\top Mz)^2$, which is not a function of a distance,
    and $f(x)=\sum_i\alpha_ik(x,x_i)$ with one output. Points are the rows of $x$ ($n\times d$), `alpha` has $n$ entries. What
    is the AGOP over the training points (not centred), in closed form?
    """
    weights = 2 * (1 + x @ metric @ x.T)
    gradients = weights @ (alpha[:, None] * x) @ metric
    return gradients.T @ gradients / len(x)


def _average(g):
    return g.T @ g / len(g)


def _gradients(x, alpha, metric, one=1):
    return 2 * (one + x @ metric @ x.T) @ (alpha[:, None] * x) @ metric


@polynomial_agop.mistake(
    "keep the own terms: this kernel has no kink, its gradient at a centre is as good as any other"
)
def _(x, alpha, metric):
    weights = 2 * (1 + x @ metric @ x.T)
    np.fill_diagonal(weights, 0)
    return _average(weights @ (alpha[:, None] * x) @ metric)


polynomial_agop.mistake("that is the sum over the points: the average divides by n")(
    lambda x, alpha, metric: len(x) * polynomial_agop.solution(x, alpha, metric)
)

polynomial_agop.mistake("a factor is missing: the derivative of a square is twice its root")(
    lambda x, alpha, metric: polynomial_agop.solution(x, alpha / 2, metric)
)

polynomial_agop.mistake("the gradient of x' M z with respect to x is M z, not z")(
    lambda x, alpha, metric: _average(2 * (1 + x @ metric @ x.T) @ (alpha[:, None] * x))
)

polynomial_agop.mistake("that is the centred one: do not subtract the mean gradient")(
    lambda x, alpha, metric: np.cov(_gradients(x, alpha, metric), rowvar=False, bias=True)
)


@polynomial_agop.mistake(
    "that is the formula for kernels of a distance: this kernel's gradient has no difference x - x_i"
)
def _(x, alpha, metric):
    own = 2 * (1 + x @ metric @ x.T) @ alpha
    return _average(_gradients(x, alpha, metric) - own[:, None] * (x @ metric))


polynomial_agop.mistake("the root of this kernel is 1 + x' M z: where is the one?")(
    lambda x, alpha, metric: _average(_gradients(x, alpha, metric, one=0))
)

# ---- units of the target ----


def _units(rng):
    powers = 0.25, 0.5, 1.0, *rng.uniform(0.6, 0.8, 2)
    return zip(rng.uniform(2, 20, 5), rng.uniform(0.2, 0.7, 5) ** [1, -1, -1, 1, -1], powers)


@exercise(
    minutes=10,
    inputs=_units,
    hint=r"The first solve does not know the metric: $\alpha_0\to c\,\alpha_0$. What happens to its AGOP, and to the power of it?",
    worked=r"The first solve is linear in the target: $f_0\to c\,f_0$, its gradients are multiplied by $c$, its AGOP by $c^2$ and "
    r"$\mathrm{AGOP}^s$ by $c^{2s}$. With $M\to c^{2s}M$ all distances are multiplied by $c^s$, and the bandwidth that undoes it "
    r"is $L\,c^s$. (In the next update the gradients are those of $c$ times the old predictor again, so the same bandwidth serves "
    r"in all later solves, while the first keeps $L$.) Metres instead of kilometres change the result of an unnormalised machine: "
    r"a reason to normalise the metric, or the target.",
)
def bandwidth_in_other_units(bandwidth, factor, power):
    r"""Return the bandwidth of the second solve that undoes the change.

    A machine is fitted without normalisation: $M_1=\mathrm{AGOP}(f_0)^s$, all solves with bandwidth $L$. Now the target is given in
    other units: $y\to c\,y$ with $c>0$ (`factor`). The first solve stays at $L$. Which bandwidth must the second solve use so that its
    predictions are $c$ times those of before? (`power` is $s$.)
    """
    return bandwidth * factor**power


bandwidth_in_other_units.mistake("the metric changes with the units: gradients of c f are c times those of f")(
    lambda bandwidth, factor, power: bandwidth
)

bandwidth_in_other_units.mistake("that is the factor of the metric; a distance is the root of a quadratic form")(
    lambda bandwidth, factor, power: bandwidth * factor ** (2 * power)
)

bandwidth_in_other_units.mistake("the power of the metric must enter")(
    lambda bandwidth, factor, power: bandwidth * factor
)

bandwidth_in_other_units.mistake("an outer product has two gradients in it, so the AGOP gets the square of the factor")(
    lambda bandwidth, factor, power: bandwidth * factor ** (power / 2)
)

bandwidth_in_other_units.mistake("the wrong way round: distances grow with c, so the bandwidth must grow too")(
    lambda bandwidth, factor, power: bandwidth / factor**power
)

bandwidth_in_other_units.mistake("the power of a multiple has the power of the factor, not a multiple of it")(
    lambda bandwidth, factor, power: bandwidth * factor * power
)
