"""Exercises of the chapter on sequence models."""

import numpy as np

from afp_utils import sequence
from afp_utils.exercises import exercise, expect
from afp_utils.measures import feature_error_measure


@exercise(
    minutes=15,
    hint=r"Differentiate $\beta = \sqrt\lambda\,\sinh(u/2)$ and compare with $\dot\beta = a\,r$; then write $r = z - \theta$ in $u$.",
    worked=r"""
$\frac{d}{dt}(a^2-\beta^2) = 2a\,\beta r - 2\beta\,a r = 0$, so $a^2-\beta^2$ keeps its first value $\lambda$ and the hyperbola
is drawn by $a=\sqrt\lambda\cosh(u/2)$, $\beta=\sqrt\lambda\sinh(u/2)$.
Then $\dot\beta = \tfrac12\sqrt\lambda\cosh(u/2)\,\dot u = \tfrac12 a\,\dot u$, and $\dot\beta = a r$ gives $\dot u = 2r$.
With $\theta = a\beta = \tfrac\lambda2\sinh u$ this is $\dot u = 2z-\lambda\sinh u$.

Early on $\sinh u \approx 0$ in comparison, so $u \approx 2zt$ and, once $u \gtrsim 1$, $\theta \approx \tfrac\lambda4 e^{2zt}$: exponential
growth from $\lambda/4$. It stops where $\theta \approx z$. Half of $z$ is reached when the logistic curve
$\theta = z/(1+Ce^{-2zt})$ with $C = 4z/\lambda$ is at its middle, $Ce^{-2zt}=1$, that is $t = \ln(4z/\lambda)/(2z)$.
""",
)
def velocity(u, z, eigenvalue):
    r"""Return du/dt of the two-layer flow.

    Show that $a^2-\beta^2$ is conserved by $\dot a = \beta r$, $\dot\beta = a r$, $r = z - a\beta$. Put
    $a=\sqrt\lambda\cosh(u/2)$ and $\beta=\sqrt\lambda\sinh(u/2)$, and find $\dot u$ as a function of $u$, $z$ and
    $\lambda$ (`eigenvalue`). Then find the time at which $\theta$ reaches $z/2$ when $\lambda \ll z$.
    """
    return 2 * z - eigenvalue * np.sinh(u)


@velocity.checker
def _(answer):
    u, z, eigenvalue = 1.3, 0.7, 0.4
    right = 2 * z - eigenvalue * np.sinh(u)
    got = answer(u, z, eigenvalue)
    expect(
        not np.isclose(got, right / 2),
        "half of what it should be: u/2 stands in the hyperbolic functions, not u",
    )
    expect(
        not np.isclose(got, 2 * z - eigenvalue * np.sinh(u / 2)),
        "theta = a beta doubles the angle: sinh(u/2) cosh(u/2) = sinh(u) / 2",
    )
    expect(
        np.isclose(got, right),
        "compare d beta/dt = a r with the derivative of sqrt(lambda) sinh(u/2)",
    )
    expect(
        np.isclose(answer(0.0, -0.5, 2.0), -1.0),
        "the sign of z must carry over",
    )


@velocity.wrong("half of what it should be")
def _(u, z, eigenvalue):
    return z - eigenvalue * np.sinh(u) / 2


@velocity.wrong("doubles the angle")
def _(u, z, eigenvalue):
    return 2 * z - eigenvalue * np.sinh(u / 2)


@velocity.unusual
def _(u, z, eigenvalue):
    return 2 * (z - eigenvalue * (np.exp(u) - np.exp(-u)) / 4)


@exercise(
    minutes=20,
    hint=r"You need $F(h) \le 2h^2$ and $1-F(h) \le 2(1-h)^2$ for every weight $h$. What do the two say together at $h = 1/2$?",
    worked=r"""
Draw $U$ with distribution function $F$ and keep the coordinates with $h_i \ge U$. As $h$ is non-increasing along the spectrum
this is a cut, so its risk is at least the FEM. Averaged over $U$ the risk is
$\sum_i \theta_i^2\,(1-F(h_i)) + \varepsilon^2 F(h_i)$. If $F(h) \le 2h^2$ and $1-F(h)\le 2(1-h)^2$, that is at most twice
$\sum_i \theta_i^2(1-h_i)^2 + \varepsilon^2h_i^2$, the risk of the filter.

Both bounds can hold together: $1-2(1-h)^2 \le 2h^2$ is $(2h-1)^2 \ge 0$. Take $F = 2h^2$ up to one half and
$F = 1-2(1-h)^2$ above. At $h = 1/2$ the two bounds leave one value, $F = 1/2$; the loss of a factor 2 happens only there.
One coordinate with $\theta = \varepsilon$ has its best weight exactly at $1/2$: risk $\varepsilon^2/2$, FEM $\varepsilon^2$.
""",
)
def kept(h):
    r"""Return the probability that the random cut keeps weight h.

    In the proof that no monotone filter beats half of the FEM, a filter with weights $h_i \in [0,1]$ is replaced by a
    random cut that keeps coordinate $i$ with probability $F(h_i)$. Find a non-decreasing $F$ with $F(0)=0$, $F(1)=1$
    such that the cut's mean risk is at most twice the filter's risk $\sum_i (1-h_i)^2\theta_i^2 + \varepsilon^2h_i^2$,
    whatever $\theta$ and $\varepsilon$. (`h` is an array.) For which single coordinate is the factor 2 attained?
    """
    return np.where(h <= 0.5, 2 * h**2, 1 - 2 * (1 - h) ** 2)


@kept.checker
def _(answer):
    h = np.linspace(0, 1, 201)
    got = np.asarray(answer(h), dtype=float)
    expect(
        got.shape == h.shape,
        f"h is an array: the answer must have its shape {h.shape}, got {got.shape}",
    )
    expect(
        np.allclose(got[[0, -1]], [0, 1]),
        "weight 0 is never kept and weight 1 always: F(0) = 0 and F(1) = 1",
    )
    expect(
        (np.diff(got) > -1e-12).all(),
        "F must not decrease, or the random set is no cut",
    )
    expect(
        (got <= 2 * h**2 + 1e-12).all(),
        "the noise is not paid: F(h) > 2 h^2 for a small weight",
    )
    expect(
        (1 - got <= 2 * (1 - h) ** 2 + 1e-12).all(),
        "the signal is not paid: 1 - F(h) > 2 (1 - h)^2 for a weight near 1",
    )


@kept.wrong("the noise is not paid")
def _(h):
    return h


@kept.wrong("the signal is not paid")
def _(h):
    return h**2


@kept.unusual
def _(h):
    return np.clip(1 - 2 * (1 - h) ** 2, 0, 1)


@exercise(
    minutes=15,
    hint=r"Vanilla: keep the first $J$ positions of the basis, and count how many signals lie behind them.",
    worked=r"""
*Vanilla.* At time $t$ the flow has learned the coordinates with $\lambda_j t \gtrsim 1$, the first $J = t^{1/\gamma}$. They cost
$\varepsilon^2J$. The $k$-th signal lies at $k^q$, so the signals with $k > J^{1/q}$ are missed:
$\sum_{k>J^{1/q}} k^{-(p+1)} \asymp J^{-p/q}$. Balance: $J = \varepsilon^{-2q/(p+q)}$, risk
$\varepsilon^{2p/(p+q)} = n^{-p/(p+q)}$, time $t = J^\gamma = n^{q\gamma/(p+q)}$.

*Adaptive.* The bound of the paper has two parts. Signals: $n^{-p/(p+1)}$ up to logarithms, as if the basis were sorted. Noise
that grows because its initial eigenvalue is large: $\varepsilon^2\varepsilon^{-2/((D+2)\gamma)}$, that is
$n^{-(1-1/((D+2)\gamma))}$. The larger risk wins, so the exponent is the smaller one.

Vanilla wins where $p/(p+q) > 1-1/((D+2)\gamma)$, that is $1/((D+2)\gamma) > q/(p+q)$. With $p=3$, $q=2$, $\gamma=1.1$, $D=0$:
$0.4545 > 0.4$, vanilla wins. With $D=1$: $0.303 < 0.4$, the adaptive flow wins.
""",
)
def exponents(p, q, gamma, depth):
    r"""Return the vanilla exponent and the adaptive one, as a pair.

    The risk falls as $n^{-r}$ at the best time, up to logarithms. For the truth class with decay $p$ and misalignment
    $q$ and eigenvalues $j^{-\gamma}$, derive $r$ for the vanilla flow, and for the adaptive flow of depth $D$ from the
    bound in the table above (both of its terms). For which $(p,q,\gamma,D)$ does the adaptive bound lose?
    """
    return p / (p + q), min(p / (p + 1), 1 - 1 / ((depth + 2) * gamma))


@exponents.checker
def _(answer):
    vanilla, adaptive = answer(1.0, 2.0, 3.0, 0)
    expect(
        not np.isclose(vanilla, 1 / 2),
        "the vanilla flow pays for the misalignment q: it keeps the basis in its order",
    )
    expect(
        np.isclose(vanilla, 1 / 3),
        "vanilla: balance noise * J against the missed energy J^(-p/q); gamma drops out",
    )
    expect(
        np.isclose(adaptive, 1 / 2),
        "adaptive, large gamma: as if the basis were sorted, p / (p + 1)",
    )
    expect(
        not np.isclose(answer(3.0, 2.0, 1.1, 0)[1], 3 / 4),
        "the growing noise is missing: 1 - 1 / ((D + 2) gamma)",
    )
    for depth in (0, 1, 2):
        expected = 0.6, min(0.75, 1 - 1 / ((depth + 2) * 1.1))
        expect(
            np.allclose(answer(3.0, 2.0, 1.1, depth), expected),
            f"not right at depth {depth}: the smaller exponent counts",
        )


@exponents.wrong("pays for the misalignment")
def _(p, q, gamma, depth):
    return p / (p + 1), min(p / (p + 1), 1 - 1 / ((depth + 2) * gamma))


@exponents.wrong("the growing noise is missing")
def _(p, q, gamma, depth):
    return p / (p + q), p / (p + 1)


@exponents.wrong("gamma drops out")
def _(p, q, gamma, depth):
    return p / (p + q * gamma), min(p / (p + 1), 1 - 1 / ((depth + 2) * gamma))


@exponents.unusual
def _(p, q, gamma, depth):
    noise, signal = 1 / ((depth + 2) * gamma), 1 / (p + 1)
    return np.array([1 - q / (p + q), 1 - max(noise, signal)])


@exercise(
    minutes=25,
    hint=r"You need two features that change order twice. Let the weaker signal start ahead, by so little that the stronger one "
    r"passes it only just: at the end $a^2 = (\lambda + \sqrt{\lambda^2+4z^2})/2$, and you can tune that tie.",
    worked=r"""
With noise between the two energies the FEM keeps at most one feature well: it is $\min(z_1^2+z_2^2,\; \text{missed} + \varepsilon^2)$,
smaller when the stronger signal leads. Let $z = (1, 1.05)$ and start the weaker signal ahead, $\lambda_1 = 0.8$. The
stronger one overtakes it for good if $\lambda_2$ is larger than some value, never if it is smaller. Just at the edge of *never*
it overtakes and is overtaken again: $z_2$ grows faster in the middle of the flow, but at the end
$a^2 = (\lambda+\sqrt{\lambda^2+4z^2})/2$ is larger for the first. That end is a tie at $\lambda_2 = 0.73060$ or so; try values around
it: $\lambda_2 = 0.730555$ crosses twice, at $t \approx 3.35$ and $t \approx 4.1$. With
$\varepsilon^2 = 1.05$ the FEM is 2.10, then 2.05, then 2.10 again. The window is narrow: in the fourth digit of
$\lambda_2$. So monotone decrease is the rule and not a theorem.
""",
)
def counterexample():
    r"""Return (z, eigenvalues, noise) whose FEM falls and rises again.

    Train on the truth itself, $z = \theta^*$, at depth 0. Find two coordinates, initial eigenvalues, and a noise level
    in the definition of the FEM, such that the FEM first falls and later rises again. (`z` and `eigenvalues` are arrays
    of length 2; the checker looks at times up to $30/\max_j|z_j|$.)
    """
    return np.array([1.0, 1.05]), np.array([0.8, 0.730555]), 1.05


@counterexample.checker
def _(answer):
    z, eigenvalues, noise = answer()
    z, eigenvalues = (
        np.asarray(z, dtype=float),
        np.asarray(eigenvalues, dtype=float),
    )
    expect(
        z.shape == eigenvalues.shape == (2,),
        "z and eigenvalues must be arrays of length 2",
    )
    expect(
        (eigenvalues > 0).all(),
        "initial eigenvalues must be positive: a feature that starts at zero never moves",
    )
    expect(
        eigenvalues[0] != eigenvalues[1],
        "tied eigenvalues: the FEM falls at once when the tie breaks, and stays there",
    )
    times = np.linspace(0, 30 / np.abs(z).max(), 1501)
    path = sequence.gradient_flow(z, eigenvalues, times)
    fem = np.array(
        [
            feature_error_measure(state.eigenvalues, z, float(noise))
            for state in path.states
        ]
    )
    best = fem.argmin()
    expect(
        fem[best] < fem[0] * (1 - 1e-3),
        "the FEM never falls: the order of the two features does not change in time",
    )
    expect(
        fem[best:].max() > fem[best] * (1 + 1e-3),
        "the FEM falls but never rises: the order changes only once",
    )


@counterexample.wrong("the FEM never falls")
def _():
    return np.array([1.0, 1.05]), np.array([0.8, 0.5]), 1.05


@counterexample.wrong("the order changes only once")
def _():
    return np.array([1.0, 1.05]), np.array([0.8, 0.75]), 1.05


@counterexample.wrong("tied eigenvalues")
def _():
    return np.array([1.0, 1.05]), np.array([0.8, 0.8]), 1.05


@counterexample.unusual
def _():
    return np.array([-2.1, 2.0]), np.array([2 * 0.730555, 1.6]), 4.2
