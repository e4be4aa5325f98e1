"""Exercises of the chapter on sequence models."""

import numpy as np

from afp_utils.book.exercises import exercise, expect
from afp_utils.core.measures import feature_error_measure
from afp_utils.sequence import flows


@exercise(
    minutes=15,
    hint=r"The residual in the flow becomes $w\,r$; nothing else changes. Differentiate $\beta = \sqrt\lambda\,\sinh(u/2)$ and compare.",
    worked=r"""
The flow is $\dot a = w\beta r$, $\dot\beta = w a r$ with $r = z-\theta$, so $\frac{d}{dt}(a^2-\beta^2) = 2w\,a\beta r - 2w\,\beta a r = 0$
whatever the weight: the hyperbola $a=\sqrt\lambda\cosh(u/2)$, $\beta=\sqrt\lambda\sinh(u/2)$ is the same.
Then $\dot\beta = \tfrac12 a\,\dot u$ must equal $w a r$, so $\dot u = 2wr$. With $\theta = a\beta = \tfrac\lambda2\sinh u$ this is
$\dot u = w\,(2z-\lambda\sinh u)$: the old flow with its clock running $w$ times as fast.

So the half-time is the old one divided by the weight, $\ln(4z/\lambda)/(2wz)$. A weight decides *when* a coordinate is learned as
much as its signal does, and not what is learned.
""",
)
def velocity(u, z, eigenvalue, weight):
    r"""Return du/dt of the adaptive flow, depth 0, on the weighted loss.

    Let coordinates count differently: the loss is $\frac w2(z-a\beta)^2$ with a weight $w>0$. Is $a^2-\beta^2$ still conserved? Put
    $a=\sqrt\lambda\cosh(u/2)$ and $\beta=\sqrt\lambda\sinh(u/2)$ and find $\dot u$ as a function of $u$, $z$,
    $\lambda$ (`eigenvalue`) and $w$ (`weight`). Then say, for yourself, how the half-time depends on $w$ when $\lambda \ll z$.
    """
    return weight * (2 * z - eigenvalue * np.sinh(u))


@velocity.checker
def _(answer):
    u, z, eigenvalue, weight = 1.3, 0.7, 0.4, 3.0
    right = weight * (2 * z - eigenvalue * np.sinh(u))
    got = answer(u, z, eigenvalue, weight)
    expect(
        np.ndim(got) == 0,
        f"numbers in, a number out: got an answer of shape {np.shape(got)}",
    )
    expect(
        not np.isclose(got, right / weight),
        "that is the flow of the unweighted loss: what does w do to both gradients?",
    )
    expect(
        not np.isclose(got, 2 * weight * z - eigenvalue * np.sinh(u)),
        "w multiplies the whole residual z - theta, not z alone",
    )
    expect(
        not np.isclose(got, right / 2),
        "half of what it should be: u/2 stands in the hyperbolic functions, not u",
    )
    expect(
        not np.isclose(got, weight * (2 * z - eigenvalue * np.sinh(u / 2))),
        "theta = a beta doubles the angle: sinh(u/2) cosh(u/2) = sinh(u) / 2",
    )
    expect(
        np.isclose(got, right),
        "compare d beta/dt = w a r with the derivative of sqrt(lambda) sinh(u/2)",
    )
    expect(
        np.isclose(answer(0.0, -0.5, 2.0, 0.5), -0.5),
        "the sign of z must carry over",
    )


@velocity.wrong("unweighted loss")
def _(u, z, eigenvalue, weight):
    return 2 * z - eigenvalue * np.sinh(u)


@velocity.wrong("not z alone")
def _(u, z, eigenvalue, weight):
    return 2 * weight * z - eigenvalue * np.sinh(u)


@velocity.wrong("half of what it should be")
def _(u, z, eigenvalue, weight):
    return weight * (z - eigenvalue * np.sinh(u) / 2)


@velocity.wrong("doubles the angle")
def _(u, z, eigenvalue, weight):
    return weight * (2 * z - eigenvalue * np.sinh(u / 2))


@velocity.wrong("numbers in, a number out")
def _(u, z, eigenvalue, weight):
    return np.array([weight * (2 * z - eigenvalue * np.sinh(u))])


@velocity.wrong("with the derivative of sqrt(lambda) sinh(u/2)")
def _(u, z, eigenvalue, weight):
    return weight * (2 * z - eigenvalue * np.cosh(u))


@velocity.wrong("the sign of z must carry over")
def _(u, z, eigenvalue, weight):
    return weight * (2 * abs(z) - eigenvalue * np.sinh(u))


@velocity.unusual
def _(u, z, eigenvalue, weight):
    return 2 * weight * z - weight * eigenvalue * (np.exp(u) - np.exp(-u)) / 2


@exercise(
    minutes=20,
    hint=r"You need $F(h) \le K\nu\,h^2$ and $1-F(h) \le K(1-h)^2$ for every weight $h$. Add the two: which $h$ asks for the largest $K$?",
    worked=r"""
As in the text, draw $U$ with distribution function $F$ and keep the coordinates with $h_i \ge U$: a cut, so at least the FEM. Its mean
price is $\sum_i \theta_i^2\,(1-F(h_i)) + \varepsilon^2 F(h_i)$, at most $K$ times $\sum_i (1-h_i)^2\theta_i^2 + \nu\,\varepsilon^2h_i^2$ if
$1-F(h)\le K(1-h)^2$ and $F(h) \le K\nu\,h^2$. Adding them, $1 \le K\,[(1-h)^2 + \nu\,h^2]$ for every $h$. The bracket is smallest at
$h=1/(1+\nu)$, where it is $\nu/(1+\nu)$. So $K = 1+1/\nu$ is needed, and it suffices: take the upper bound $F = K\nu\,h^2 = (1+\nu)\,h^2$ up to
$h=1/(1+\nu)$ and the lower bound $F=1-K(1-h)^2$ above; they meet at $F=1/(1+\nu)$.

With $\nu=1$ this is the theorem of the text. With half of the sample for the features and half for the estimator $\nu$ is 2 in units of the full
sample: $K=3/2$. One coordinate with $\theta=\varepsilon$ attains it for every $\nu$: its best weight is $1/(1+\nu)$, its risk
$\varepsilon^2\nu/(1+\nu)$, its FEM $\varepsilon^2$.
""",
)
def kept(h, ratio):
    r"""Return the smallest factor K and the probability F(h), as a pair.

    The estimator gets data of another noise level, $\nu\,\varepsilon^2$, than the one in the FEM: a filter with weights $h_i \in [0,1]$ has the
    risk $\sum_i (1-h_i)^2\theta_i^2 + \nu\,\varepsilon^2h_i^2$. Replace it, as in the proof of the theorem, by a random cut that keeps coordinate
    $i$ with probability $F(h_i)$ and is priced as in the FEM, with $\varepsilon^2$. Find the smallest $K(\nu)$ for which a non-decreasing $F$ with $F(0)=0$,
    $F(1)=1$ makes the mean price of the cut at most $K$ times the risk of the filter, whatever $\theta$ and $\varepsilon$, and such an $F$.
    (`h` is an array, `ratio`, in formulas $\nu$, a positive number. Several $F$ are right, and all are accepted. Which single coordinate attains $K$ is for you to answer: it is
    not checked.)
    """
    factor = 1 + 1 / ratio
    low, high = 1 - factor * (1 - h) ** 2, factor * ratio * h**2
    return factor, np.where(h <= 1 / (1 + ratio), high, low)


@kept.checker
def _(answer):
    for ratio in (1.0, 2.0, 0.25):
        h = np.linspace(0, 1, 201)
        got = answer(h, ratio)
        expect(
            isinstance(got, tuple | list) and len(got) == 2,
            "return a pair: the factor K and the probabilities F(h)",
        )
        expect(np.ndim(got[0]) == 0, "the factor K must be one number")
        factor, chance = float(got[0]), np.asarray(got[1], dtype=float)
        expect(
            chance.shape == h.shape,
            f"h is an array: F must have its shape {h.shape}, got {chance.shape}",
        )
        expect(
            np.allclose(chance[[0, -1]], [0, 1]),
            "weight 0 is never kept and weight 1 always: F(0) = 0 and F(1) = 1",
        )
        expect(
            (np.diff(chance) > -1e-12).all(),
            "F must not decrease, or the random set is no cut",
        )
        expect(
            ratio == 1 or not np.isclose(factor, 2),
            "K = 2 is the factor for equal noise: it must depend on ratio",
        )
        expect(
            factor <= (1 + 1 / ratio) * (1 + 1e-9),
            f"at ratio = {ratio} a smaller factor than {factor:.4g} will do",
        )
        expect(
            factor >= (1 + 1 / ratio) * (1 - 1e-9),
            f"at ratio = {ratio} no F can have the factor {factor:.4g}: add the two bounds",
        )
        expect(
            (chance <= factor * ratio * h**2 + 1e-12).all(),
            "the noise is not paid: F(h) > K ratio h^2 for a small weight",
        )
        expect(
            (1 - chance <= factor * (1 - h) ** 2 + 1e-12).all(),
            "the signal is not paid: 1 - F(h) > K (1 - h)^2 for a weight near 1",
        )


@kept.wrong("K = 2 is the factor for equal noise")
def _(h, ratio):
    return 2.0, np.where(h <= 0.5, 2 * h**2, 1 - 2 * (1 - h) ** 2)


@kept.wrong("a smaller factor")
def _(h, ratio):
    return 2 + 2 / ratio, np.clip((1 + ratio) * h**2, 0, 1)


@kept.wrong("no F can have the factor")
def _(h, ratio):
    return 2 / ratio, np.clip((1 + ratio) * h**2, 0, 1)


@kept.wrong("the noise is not paid")
def _(h, ratio):
    return 1 + 1 / ratio, h


@kept.wrong("the signal is not paid")
def _(h, ratio):
    return 1 + 1 / ratio, h**2 / (1 + ratio) + ratio / (1 + ratio) * h**4


@kept.wrong("return a pair")
def _(h, c):
    return 1 + 1 / c


@kept.wrong("the factor K must be one number")
def _(h, c):
    return kept.solution(h, c)[1], kept.solution(h, c)[1]


@kept.wrong("F must have its shape")
def _(h, c):
    return 1 + 1 / c, 1 / (1 + c)


@kept.wrong("weight 0 is never kept and weight 1 always")
def _(h, c):  # a lower bound that falls below zero
    return 1 + 1 / c, 1 - (1 + 1 / c) * (1 - h) ** 2


@kept.wrong("F must not decrease")
def _(h, c):
    return 1 + 1 / c, np.where(h <= 1 / (1 + c), (1 + c) * h**2, h**2)


@kept.unusual
def _(h, ratio):
    return [
        (ratio + 1) / ratio,
        np.clip(1 - (1 + 1 / ratio) * (1 - h) ** 2, 0, 1),
    ]


@exercise(
    minutes=20,
    hint=r"Count: how many frequencies have norm at most $M$ in $d$ dimensions, and how many of them carry signal? That gives $q$; then $p$ and $\gamma$.",
    worked=r"""
*Translation.* Order the frequencies $k\in\mathbb Z^d$ by their norm. Up to $|k|=M$ there are about $M^d$, of which about $M^{d_0}$ carry signal. The $i$-th
signal therefore has norm $i^{1/d_0}$ and sits at position $\ell(i)\asymp i^{d/d_0}$: $q=d/d_0$. Its size is
$i^{-(s+d_0/2)/d_0}=i^{-(p+1)/2}$ with $p=2s/d_0$. The $j$-th eigenvalue is $j^{-2\alpha/d}$: $\gamma=2\alpha/d$.

*Lazy.* $p/(p+q)=2s/(2s+d)$: the rate of a function of all $d$ variables.

*Adaptive.* The signal terms give $p/(p+1)=2s/(2s+d_0)$, the rate of a function of $d_0$ variables. The growing noise gives
$1-1/((D+2)\gamma)=1-d/(2\alpha(D+2))$. The larger risk wins, so the exponent is the smaller one.

The bound loses to the lazy flow where $d/(2\alpha(D+2)) > d/(2s+d)$, that is where $2\alpha(D+2) < 2s+d$: a kernel too rough for its depth, whatever $d_0$.
""",
)
def exponents(s, d, d0, alpha, depth):
    r"""Return the lazy exponent and the adaptive one, as a pair.

    A function on the $d$-dimensional torus depends on $d_0$ of its $d$ variables only and has smoothness $s$: its Fourier coefficients are of size
    $|k|^{-(s+d_0/2)}$ at the frequencies $k$ in these $d_0$ directions, and zero elsewhere. The kernel does not know which variables matter: its
    eigenvalues are $|k|^{-2\alpha}$ over all of $\mathbb Z^d$, with $\alpha>d/2$. The risk falls as a power of $1/n$, up to logarithms. Find $p$, $q$ and
    $\gamma$ of the truth class, and from them this power for the lazy flow at its best time and for the bound on the adaptive flow of depth $D$.
    (Where does the bound lose to the lazy flow? That is for you to answer: it is not checked.)
    """
    noise = 1 - d / (2 * alpha * (depth + 2))
    return 2 * s / (2 * s + d), min(2 * s / (2 * s + d0), noise)


@exponents.checker
def _(answer):
    # smooth kernels first, so that the signal decides; then rough ones
    cases = [(1.0, 3, 1, 20.0, 0), (0.7, 5, 2, 30.0, 1)]
    cases += [(3.0, 4, 1, 2.2, 0), (6.0, 5, 2, 2.7, 2), (2.5, 3, 1, 1.6, 1)]
    for s, d, d0, alpha, depth in cases:
        got = answer(s, d, d0, alpha, depth)
        expect(
            np.shape(got) == (2,),
            "return a pair of numbers: the lazy exponent, the adaptive one",
        )
        lazy, adaptive = got
        right = 2 * s / (2 * s + d)
        signal = 2 * s / (2 * s + d0)
        noise = 1 - d / (2 * alpha * (depth + 2))
        expect(
            not np.isclose(lazy, 2 * right),
            "that is the power of eps: n = 1 / eps^2, so halve it",
        )
        expect(
            not np.isclose(lazy, signal),
            "the lazy flow does not know which variables matter: it pays for all d",
        )
        expect(
            np.isclose(lazy, right),
            "lazy: p / (p + q) with p = 2 s / d0 and q = d / d0",
        )
        expect(
            not np.isclose(adaptive, 2 * min(signal, noise)),
            "adaptive: that is the power of eps, not of n",
        )
        if noise < signal:
            expect(
                not np.isclose(adaptive, signal),
                "the growing noise is missing: 1 - 1 / ((D + 2) gamma)",
            )
            expect(
                not np.isclose(adaptive, min(signal, 1 - d / (2 * alpha * (depth + 1)))),
                "depth D has D + 2 factors, not D + 1",
            )
            expect(
                depth == 0 or not np.isclose(adaptive, min(signal, 1 - d / (4 * alpha))),
                "depth is missing: b starts small too, so D + 2 and not 2",
            )
            expect(
                np.isclose(adaptive, noise),
                f"not right at depth {depth} with a rough kernel: gamma = 2 alpha / d, and the smaller exponent counts",
            )
        expect(
            np.isclose(adaptive, signal) or noise < signal,
            "adaptive, smooth kernel: as if the basis were sorted, p / (p + 1)",
        )


@exponents.wrong("it pays for all d")
def _(s, d, d0, alpha, depth):
    signal = 2 * s / (2 * s + d0)
    return signal, min(signal, 1 - d / (2 * alpha * (depth + 2)))


@exponents.wrong("the growing noise is missing")
def _(s, d, d0, alpha, depth):
    return 2 * s / (2 * s + d), 2 * s / (2 * s + d0)


@exponents.wrong("halve it")
def _(s, d, d0, alpha, depth):
    noise = 1 - d / (2 * alpha * (depth + 2))
    return 4 * s / (2 * s + d), 2 * min(2 * s / (2 * s + d0), noise)


@exponents.wrong("D + 2 factors, not D + 1")
def _(s, d, d0, alpha, depth):
    noise = 1 - d / (2 * alpha * (depth + 1))
    return 2 * s / (2 * s + d), min(2 * s / (2 * s + d0), noise)


@exponents.wrong("depth is missing")
def _(s, d, d0, alpha, depth):
    return 2 * s / (2 * s + d), min(2 * s / (2 * s + d0), 1 - d / (4 * alpha))


@exponents.wrong("with a rough kernel")
def _(s, d, d0, alpha, depth):
    noise = 1 - 1 / (alpha * (depth + 2))
    return 2 * s / (2 * s + d), min(2 * s / (2 * s + d0), noise)


@exponents.wrong("p = 2 s / d0 and q = d / d0")
def _(s, d, d0, alpha, depth):
    return s / (s + d), min(2 * s / (2 * s + d0), 1 - d / (2 * alpha * (depth + 2)))


@exponents.wrong("return a pair of numbers")
def _(s, d, d0, alpha, depth):
    return exponents.solution(s, d, d0, alpha, depth)[1]


@exponents.wrong("adaptive: that is the power of eps")
def _(s, d, d0, alpha, depth):
    vanilla, adaptive = exponents.solution(s, d, d0, alpha, depth)
    return vanilla, 2 * adaptive


@exponents.wrong("as if the basis were sorted")
def _(s, d, d0, alpha, depth):
    vanilla, adaptive = exponents.solution(s, d, d0, alpha, depth)
    return vanilla, min(vanilla, adaptive)


@exponents.unusual
def _(s, d, d0, alpha, depth):
    p, q, gamma = 2 * s / d0, d / d0, 2 * alpha / d
    lost = max(1 / ((depth + 2) * gamma), 1 / (p + 1))
    return np.array([1 - q / (p + q), 1 - lost])


@exercise(
    minutes=25,
    hint=r"You need two features that change order twice. Let the weaker signal start ahead, by so little that the stronger one "
    r"passes it only just: at the end $a^2 = (\lambda + \sqrt{\lambda^2+4z^2})/2$. Solve for the $\lambda_2$ that ends in a tie, and stay below it.",
    worked=r"""
With noise between the two energies one feature is worth keeping, and only if it is the stronger: the FEM is smaller while that one
leads. Let $z = (1, 1.2)$ and start the weaker signal ahead, $\lambda_1 = 0.8$. It ends at
$a_1^2=(\lambda_1+\sqrt{\lambda_1^2+4z_1^2})/2 = 1.47703$. The second ends at the same value if $a_1^4-\lambda_2a_1^2=z_2^2$, that is at
$\lambda_2 = a_1^2-z_2^2/a_1^2 = 0.50211$. A little less, and it stays behind in the end; but it grows faster in the middle of the flow, so it
overtakes first and is overtaken again. A fall of one part in ten thousand will do: $\lambda_2 = 0.50205$ crosses twice, at $t \approx 3.3$ and
$t\approx 5$. With $\varepsilon^2 = 1.3$ the FEM is $z_2^2+\varepsilon^2$ when the weaker leads, or $z_1^2+z_2^2=2.44$ without any feature if
that is less, and $z_1^2+\varepsilon^2=2.3$ while the stronger leads. So: 2.44, 2.3, 2.44.

The window is narrow, about half a part in a thousand of $\lambda_2$. That the FEM decreases is a theorem for signals and eigenvalues in the
same order, and here they are not.
""",
)
def counterexample():
    r"""Return (z, eigenvalues, noise) whose FEM falls and rises again.

    Train on the truth itself, $z = \theta^*$, at depth 0. Find two coordinates whose signals differ by at least a fifth, $\max|z_j| \ge 1.2\,\min|z_j|$, initial
    eigenvalues, and a noise level $\varepsilon^2$ in the definition of the FEM (`noise`), such that the FEM first falls and later rises again, each time by more than
    one part in a thousand. (`z` and `eigenvalues` are arrays of length 2; the checker looks at 1501 even times up to $30/\max_j|z_j|$.)
    """
    tie = 0.8 / 2 + np.sqrt(0.8**2 / 4 + 1)
    behind = (tie**2 - 1.2**2) / tie * 0.9999
    return np.array([1.0, 1.2]), np.array([0.8, behind]), 1.3


@counterexample.checker
def _(answer):
    got = answer()
    expect(
        isinstance(got, tuple | list) and len(got) == 3,
        "return three things: z, eigenvalues, noise",
    )
    z, eigenvalues = (np.asarray(item, dtype=float) for item in got[:2])
    expect(
        z.shape == eigenvalues.shape == (2,),
        "z and eigenvalues must be arrays of length 2",
    )
    expect(
        np.ndim(got[2]) == 0 and np.isfinite(got[2]) and got[2] > 0,
        "the noise must be one positive number",
    )
    expect(
        np.isfinite(z).all() and (z != 0).all(),
        "both signals must be finite and not zero: a coordinate without signal never moves",
    )
    expect(
        np.isfinite(eigenvalues).all() and (eigenvalues > 0).all(),
        "initial eigenvalues must be positive: a feature that starts at zero never moves",
    )
    size = np.abs(z)
    expect(
        size.max() >= 1.2 * size.min() * (1 - 1e-12),
        "the signals are too close: the larger must be at least 1.2 times the smaller",
    )
    expect(
        eigenvalues[0] != eigenvalues[1],
        "tied eigenvalues: the FEM falls at once when the tie breaks, and stays there",
    )
    times = np.linspace(0, 30 / size.max(), 1501)
    states = flows.gradient_flow(z, eigenvalues, times).states
    leads = [state.eigenvalues[0] > state.eigenvalues[1] for state in states]
    changes = int(np.count_nonzero(np.diff(leads)))
    expect(
        changes > 0,
        "the order of the two features does not change in time (as far as 1501 times show)",
    )
    expect(changes > 1, "the order changes only once, so the FEM cannot come back")
    fem = np.array([feature_error_measure(state.eigenvalues, z, float(got[2])) for state in states])
    best = fem.argmin()
    expect(
        fem[0] > fem[best] * (1 + 1e-3) and fem[best:].max() > fem[best] * (1 + 1e-3),
        "the order changes twice, as it should, but the FEM hardly sees it: with this noise "
        "keeping one feature is no better than keeping both or none",
    )


@counterexample.wrong("does not change in time")
def _():
    return np.array([1.0, 1.2]), np.array([0.8, 0.4]), 1.3


@counterexample.wrong("the order changes only once")
def _():
    return np.array([1.0, 1.2]), np.array([0.8, 0.6]), 1.3


@counterexample.wrong("tied eigenvalues")
def _():
    return np.array([1.0, 1.2]), np.array([0.8, 0.8]), 1.3


@counterexample.wrong("the signals are too close")
def _():
    return np.array([1.0, 1.05]), np.array([0.8, 0.730555]), 1.05


@counterexample.wrong("the FEM hardly sees it")
def _():
    return np.array([1.0, 1.2]), np.array([0.8, 0.50205]), 0.1


@counterexample.wrong("one positive number")
def _():
    return np.array([1.0, 1.2]), np.array([0.8, 0.50205]), -1.0


@counterexample.wrong("not zero")
def _():
    return np.array([1.0, 0.0]), np.array([0.8, 0.50205]), 1.3


@counterexample.wrong("return three things")
def _():
    return np.array([1.0, 1.2]), np.array([0.8, 0.50205])


@counterexample.wrong("must be arrays of length 2")
def _():
    return np.array([1.0, 1.2, 1.5]), np.array([0.8, 0.50205, 0.1]), 1.3


@counterexample.wrong("initial eigenvalues must be positive")
def _():
    return np.array([1.0, 1.2]), np.array([0.8, 0.0]), 1.3


@counterexample.unusual
def _():
    return [-2.6, 2.0], [2 * 0.573557 * 0.9998, 2.0], 5.0
