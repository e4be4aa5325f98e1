"""Exercises of the chapter on sequence models."""

import numpy as np

from afp_utils.book.exercises import exercise, expect
from afp_utils.core.measures import feature_error_measure
from afp_utils.sequence import flows


def _points(rng):
    return rng.uniform(0.4, 0.9, (5, 4)) * [
        [2, 1, 1, 3],
        [-1, 1, 2, 0.5],
        [1, -1, 1, 2],
        [-2, -1, 3, 4],
        [1.5, -1, 3, 1],
    ]


@exercise(
    minutes=15,
    inputs=_points,
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


_flow = velocity.solution

velocity.mistake("that is the flow of the unweighted loss: what does w do to both gradients?")(
    lambda u, z, eigenvalue, weight: _flow(u, z, eigenvalue, 1)
)

velocity.mistake("w multiplies the whole residual z - theta, not z alone")(
    lambda u, z, eigenvalue, weight: _flow(u, weight * z, eigenvalue, 1)
)

velocity.mistake("half of what it should be: u/2 stands in the hyperbolic functions, not u")(
    lambda *given: _flow(*given) / 2
)

velocity.mistake("theta = a beta doubles the angle: sinh(u/2) cosh(u/2) = sinh(u) / 2")(
    lambda u, z, eigenvalue, weight: _flow(u / 2, z, eigenvalue, weight)
)

velocity.mistake("lambda cosh(u) is a^2 + beta^2; the residual has theta = a beta")(
    lambda u, z, eigenvalue, weight: weight * (2 * z - eigenvalue * np.cosh(u))
)

velocity.mistake("the sign of z must carry over")(lambda u, z, eigenvalue, weight: _flow(u, abs(z), eigenvalue, weight))


@exercise(
    minutes=20,
    hint=r"You need $F(h) \le K\nu\,h^2$ and $1-F(h) \le K(1-h)^2$ for every weight $h$. Add the two: which $h$ asks for the largest $K$?",
    worked=r"""
As in that proof, draw $U$ with distribution function $F$ and keep the coordinates with $h_i \ge U$: a cut, so at least the FEM. Its mean
price is $\sum_i {\theta^*_i}^2\,(1-F(h_i)) + \varepsilon^2 F(h_i)$, at most $K$ times $\sum_i (1-h_i)^2{\theta^*_i}^2 + \nu\,\varepsilon^2h_i^2$ if
$1-F(h)\le K(1-h)^2$ and $F(h) \le K\nu\,h^2$. Adding them, $1 \le K\,[(1-h)^2 + \nu\,h^2]$ for every $h$. The bracket is smallest at
$h=1/(1+\nu)$, where it is $\nu/(1+\nu)$. So $K = 1+1/\nu$ is needed, and it suffices: take the upper bound $F = K\nu\,h^2 = (1+\nu)\,h^2$ up to
$h=1/(1+\nu)$ and the lower bound $F=1-K(1-h)^2$ above; they meet at $F=1/(1+\nu)$.

With $\nu=1$ this is the theorem of the text. With half of the sample for the features and half for the estimator $\nu$ is 2 in units of the full
sample: $K=3/2$. One coordinate with $\theta^*=\varepsilon$ attains it for every $\nu$: its best weight is $1/(1+\nu)$, its risk
$\varepsilon^2\nu/(1+\nu)$, its FEM $\varepsilon^2$.
""",
)
def kept(h, ratio):
    r"""Return the smallest factor K and the probability F(h), as a pair.

    The estimator gets data of another noise level, $\nu\,\varepsilon^2$, than the one in the FEM: a filter with weights $h_i \in [0,1]$ has the
    risk $\sum_i (1-h_i)^2{\theta^*_i}^2 + \nu\,\varepsilon^2h_i^2$. Replace it, as in the proof of the theorem (it stands in the sceptic's part), by a random cut that keeps coordinate
    $i$ with probability $F(h_i)$ and is priced as in the FEM, with $\varepsilon^2$. Find the smallest $K(\nu)$ for which a non-decreasing $F$ with $F(0)=0$,
    $F(1)=1$ makes the mean price of the cut at most $K$ times the risk of the filter, whatever $\theta^*$ and $\varepsilon$, and such an $F$.
    (`h` is an array, `ratio`, in formulas $\nu$, a positive number. Several $F$ are right, and all are accepted. Which single coordinate attains $K$ is for you to answer: it is
    not checked.)
    """
    factor = 1 + 1 / ratio
    low, high = 1 - factor * (1 - h) ** 2, factor * ratio * h**2
    return factor, np.where(h <= 1 / (1 + ratio), high, low)


@kept.checker
def _(answer):
    for ratio in (1.0, 2.0, 0.25):
        h, least = np.linspace(0, 1, 201), 1 + 1 / ratio
        got = answer(h, ratio)
        expect(
            isinstance(got, tuple | list) and len(got) == 2, "return a pair: the factor K and the probabilities F(h)"
        )
        expect(np.ndim(got[0]) == 0, "the factor K must be one number")
        factor, chance = float(got[0]), np.asarray(got[1], dtype=float)
        expect(chance.shape == h.shape, f"h is an array: F must have its shape {h.shape}, got {chance.shape}")
        expect(
            np.allclose(chance[[0, -1]], [0, 1]), "weight 0 is never kept and weight 1 always: F(0) = 0 and F(1) = 1"
        )
        expect((np.diff(chance) > -1e-12).all(), "F must not decrease, or the random set is no cut")
        finite = np.isfinite(factor) and np.isfinite(chance).all()
        expect(finite, "K and F(h) must be finite numbers")
        equal = ratio != 1 and np.isclose(factor, 2)
        expect(not equal, "K = 2 is the factor for equal noise: it must depend on ratio")
        expect(factor <= least * (1 + 1e-9), f"at ratio = {ratio} a smaller factor than {factor:.4g} will do")
        bound = factor >= least * (1 - 1e-9)
        expect(bound, f"at ratio = {ratio} no F can have the factor {factor:.4g}: add the two bounds")
        noise, signal = factor * ratio * h**2 - chance, factor * (1 - h) ** 2 - (1 - chance)
        expect((noise >= -1e-12).all(), "the noise is not paid: F(h) > K ratio h^2 for a small weight")
        expect((signal >= -1e-12).all(), "the signal is not paid: 1 - F(h) > K (1 - h)^2 for a weight near 1")


kept.mistake("K = 2 is the factor for equal noise")(lambda h, ratio: kept.solution(h, 1.0))

kept.mistake("a smaller factor")(lambda h, ratio: (2 + 2 / ratio, np.clip((1 + ratio) * h**2, 0, 1)))

kept.mistake("no F can have the factor")(lambda h, ratio: (2 / ratio, np.clip((1 + ratio) * h**2, 0, 1)))

kept.mistake("the noise is not paid")(lambda h, ratio: (1 + 1 / ratio, h))

kept.mistake("the signal is not paid")(lambda h, ratio: (1 + 1 / ratio, (h**2 + ratio * h**4) / (1 + ratio)))

kept.mistake("must be finite numbers")(lambda h, ratio: (np.inf, h))

kept.mistake("return a pair")(lambda h, ratio: 1 + 1 / ratio)

kept.mistake("the factor K must be one number")(lambda h, ratio: (h, h))

kept.mistake("F must have its shape")(lambda h, ratio: (1 + 1 / ratio, 1 / (1 + ratio)))


@kept.mistake("weight 0 is never kept and weight 1 always")
def _(h, ratio):  # a lower bound that falls below zero
    return 1 + 1 / ratio, 1 - (1 + 1 / ratio) * (1 - h) ** 2


@kept.mistake("F must not decrease")
def _(h, ratio):
    return 1 + 1 / ratio, np.where(h <= 1 / (1 + ratio), (1 + ratio) * h**2, h**2)


def _classes(rng):
    smooth = [(1.0, 3, 1, 12, 0), (0.7, 5, 2, 10, 1), (1.6, 4, 2, 15, 2)]  # the signal decides
    rough = [(3.0, 4, 1, 1.1, 0), (6.0, 5, 2, 1.05, 2), (2.5, 3, 1, 1.1, 1), (6.0, 5, 4, 1.05, 0)]
    for s, d, d0, gamma, depth in smooth + rough:
        near = rng.uniform(1, 1.15, 2)
        yield s * near[0], d, d0, near[1] * gamma * d / 2, depth


@exercise(
    minutes=20,
    inputs=_classes,
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


_powers = exponents.solution

exponents.mistake("the lazy flow does not know which variables matter: it pays for all d")(
    lambda s, d, d0, *kernel: (2 * s / (2 * s + d0), _powers(s, d, d0, *kernel)[1])
)

exponents.mistake("that is the power of eps: n = 1 / eps^2, so halve it")(
    lambda *given: tuple(2 * power for power in _powers(*given))
)

exponents.mistake("adaptive: that is the power of eps, not of n")(
    lambda *given: (_powers(*given)[0], 2 * _powers(*given)[1])
)

exponents.mistake("lazy: half of p is lost: it counts energies, the squares of the coefficients")(
    lambda s, d, *given: (s / (s + d), _powers(s, d, *given)[1])
)

exponents.mistake("adaptive, smooth kernel: as if the basis were sorted, q plays no part")(
    lambda *given: (_powers(*given)[0], min(_powers(*given)))
)

exponents.mistake("the growing noise is missing: with a rough kernel it is the larger risk")(
    lambda s, d, d0, alpha, depth: _powers(s, d, d0, np.inf, depth)
)

exponents.mistake("depth D has D + 2 factors, not D + 1")(
    lambda s, d, d0, alpha, depth: _powers(s, d, d0, alpha, depth - 1)
)

exponents.mistake("depth is missing: b starts small too, so D + 2 and not 2")(
    lambda s, d, d0, alpha, depth: _powers(s, d, d0, alpha, 0)
)

exponents.mistake("not right with a rough kernel: gamma is a power of the place j, not of the norm |k|")(
    lambda s, d, d0, alpha, depth: _powers(s, d, d0, alpha * d / 2, depth)
)


@exponents.mistake("the larger risk wins, so the smaller exponent counts")
def _(s, d, d0, alpha, depth):
    return 2 * s / (2 * s + d), max(2 * s / (2 * s + d0), 1 - d / (2 * alpha * (depth + 2)))


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
    expect(isinstance(got, tuple | list) and len(got) == 3, "return three things: z, eigenvalues, noise")
    z, eigenvalues = (np.asarray(item, dtype=float) for item in got[:2])
    expect(z.shape == eigenvalues.shape == (2,), "z and eigenvalues must be arrays of length 2")
    expect(np.ndim(got[2]) == 0 and np.isfinite(got[2]) and got[2] > 0, "the noise must be one positive number")
    moving = np.isfinite(z).all() and (z != 0).all()
    expect(moving, "both signals must be finite and not zero: a coordinate without signal never moves")
    started = np.isfinite(eigenvalues).all() and (eigenvalues > 0).all()
    expect(started, "initial eigenvalues must be positive: a feature that starts at zero never moves")
    apart = abs(z).max() >= 1.2 * abs(z).min() * (1 - 1e-12)
    expect(apart, "the signals are too close: the larger must be at least 1.2 times the smaller")
    tied = eigenvalues[0] == eigenvalues[1]
    expect(not tied, "tied eigenvalues: the FEM falls at once when the tie breaks, and stays there")
    states = flows.gradient_flow(z, eigenvalues, np.linspace(0, 30 / abs(z).max(), 1501)).states
    changes = np.count_nonzero(np.diff([state.eigenvalues[0] > state.eigenvalues[1] for state in states]))
    expect(changes > 0, "the order of the two features does not change in time (as far as 1501 times show)")
    expect(changes > 1, "the order changes only once, so the FEM cannot come back")
    fem = np.array([feature_error_measure(state.eigenvalues, z, float(got[2])) for state in states])
    best = fem.argmin()
    expect(
        min(fem[0], fem[best:].max()) > fem[best] * (1 + 1e-3),
        "the order changes twice, as it should, but the FEM hardly sees it: with this noise keeping one feature is no "
        "better than keeping both or none",
    )


for _sentence, *_given in (
    ("does not change in time", [1.0, 1.2], [0.8, 0.4], 1.3),
    ("the order changes only once", [1.0, 1.2], [0.8, 0.6], 1.3),
    ("tied eigenvalues", [1.0, 1.2], [0.8, 0.8], 1.3),
    ("the signals are too close", [1.0, 1.05], [0.8, 0.730555], 1.05),
    ("the FEM hardly sees it", [1.0, 1.2], [0.8, 0.50205], 0.1),
    ("one positive number", [1.0, 1.2], [0.8, 0.50205], -1.0),
    ("not zero", [1.0, 0.0], [0.8, 0.50205], 1.3),
    ("return three things", [1.0, 1.2], [0.8, 0.50205]),
    ("must be arrays of length 2", [1.0, 1.2, 1.5], [0.8, 0.50205, 0.1], 1.3),
    ("initial eigenvalues must be positive", [1.0, 1.2], [0.8, 0.0], 1.3),
):
    counterexample.mistake(_sentence)(lambda given=_given: given)
