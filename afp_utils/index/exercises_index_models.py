"""Exercises of the chapter on features that are directions."""

import numpy as np

from afp_utils.book.exercises import exercise


def _links(rng):
    for degrees, sign, low in (3, 1, 0.8), (5, -1, 0.4), (4, -1, 0.8), (6, 1, 0.6), (5, 1, 0.4):
        link = rng.uniform(0.5, 1.5, degrees) * rng.choice([-1, 1], degrees)
        link[0] *= 0.2  # a cut that keeps degree 0 alone is rarely best
        yield link, sign * (low + rng.uniform(0, 0.15))
    yield np.array([2.0, 0.6, -0.3]), rng.uniform(-0.9, -0.5)  # here it is


@exercise(
    minutes=15,
    inputs=_links,
    hint="Keeping the degrees 0 to m pays if what they capture exceeds (m + 1) times the noise. Some cut has to pay.",
    worked=r"""The target's coefficient in the feature $H_r(\langle w,x\rangle)$ is $g_r\rho^r$, so the degrees $0,\dots,m$ capture
$\sum_{r\le m} g_r^2\rho^{2r}$ and cost $(m+1)\varepsilon^2$: degree 0 is a feature too. A cut is better than keeping
nothing if $\varepsilon^2$ is below the *average* captured energy $\frac1{m+1}\sum_{r\le m} g_r^2\rho^{2r}$, and the FEM
is below $\|f^*\|^2$ if this holds for at least one cut. So the answer is the largest of the running averages.""",
)
def worth_of_direction(link, overlap):
    r"""Noise level from which on the features of a direction are worthless.

    The target has Hermite coefficients $g_0, g_1, \dots$ (`link`), the direction has overlap $\rho$ with the target's.
    The features are the Hermite polynomials of the degrees of `link`, with eigenvalues that fall with the degree. If a
    coefficient is estimated with a large variance $\varepsilon^2$, the best cut keeps no feature at all and the FEM is
    $\|f^*\|^2$. Return the smallest $\varepsilon^2$ at which that happens.
    """
    degree = np.arange(len(link))
    captured = np.cumsum((np.asarray(link) * overlap**degree) ** 2)
    return np.max(captured / (degree + 1))


@worth_of_direction.mistake("a cut keeps all degrees up to its own: it cannot pick the best one alone")
def _(link, overlap):
    return max((g * overlap**r) ** 2 for r, g in enumerate(link))


@worth_of_direction.mistake("one feature is missing from the count: degree 0 costs noise as well")
def _(link, overlap):
    captured = np.cumsum((link * overlap ** np.arange(len(link))) ** 2)
    return np.max(captured[1:] / np.arange(1, len(link)))


@worth_of_direction.mistake("energies are squares: the coefficient is g ρ^r, its energy g² ρ^(2r)")
def _(link, overlap):
    degree = np.arange(len(link))
    return np.max(np.cumsum(link**2 * overlap**degree) / (degree + 1))


worth_of_direction.mistake("not every degree has to be kept: compare all cuts")(
    lambda link, overlap: np.mean((link * overlap ** np.arange(len(link))) ** 2)
)


@worth_of_direction.mistake("the sign of the overlap cannot matter: only energies count")
def _(link, overlap):  # a coefficient below zero is taken for a loss
    seen = np.maximum(link * overlap ** np.arange(len(link)), 0)
    return worth_of_direction.solution(seen, 1.0)


@worth_of_direction.mistake("degree r sees the overlap to the power r, not to the first power")
def _(link, overlap):
    return worth_of_direction.solution(link * np.where(np.arange(len(link)) > 0, overlap, 1), 1.0)


@exercise(
    minutes=20,
    inputs=lambda rng: zip([400, 90, 30, 1000], rng.uniform(0.3, 0.8, 4) * [-1, 1, 1, -1], rng.uniform(0.02, 0.3, 4)),
    hint="Known link: β is the constant that fits at ρ = 1. Slow coefficients: divide one equation by the other, so that "
    "time drops out and dβ/dρ can be integrated.",
    worked=r"""**Known link.** With $\sqrt\lambda\,\beta=g$ from the start, $\dot\rho\approx3\sqrt\lambda\,\beta\,g\rho^2=3g^2\rho^2$, so

$$
T\approx\int_{\rho_0}^\infty\frac{d\rho}{3g^2\rho^2}=\frac1{3g^2\rho_0}=\frac{\sqrt d}{3g^2}.
$$

**Slow coefficients.** $\dot\beta=\sqrt\lambda\,g\rho^3$ and $\dot\rho=3\sqrt\lambda\,g\,\beta\rho^2$. Divide:
$d\beta/d\rho=\rho/(3\beta)$, hence $3\beta^2=\rho^2-\rho_0^2$ and
$\dot\rho=\sqrt{3\lambda}\,|g|\,\rho^2\sqrt{\rho^2-\rho_0^2}$. With $\rho=\rho_0/\cos\theta$

$$
\begin{aligned}
T&\approx\frac1{\sqrt{3\lambda}|g|}\int_{\rho_0}^{\infty}\frac{d\rho}{\rho^2\sqrt{\rho^2-\rho_0^2}}\\
&=\frac1{\sqrt{3\lambda}|g|\,\rho_0^2}\int_0^{\pi/2}\cos\theta\,d\theta=\frac{d}{\sqrt{3\lambda}\,|g|}.
\end{aligned}
$$

Between them lies the model of the chapter, whose coefficient follows at once: $T\approx d^2/(12g^2)$.""",
)
def escape_times(d, g, eigenvalue):
    r"""Escape times for the link g H_3: (known link, slow coefficients).

    Take the link $g\,H_3$, the single eigenvalue $\lambda$ and a small $\rho_0=d^{-1/2}$. Find the leading term of the
    escape time (a) when $\beta$ is fixed from the start at the value that is right for $\rho=1$, (b) when $\beta$ starts
    at zero and $\lambda$ is so small that $\beta$ only integrates its drive. Return both.
    """
    known = np.sqrt(d) / (3 * g**2)
    slow = d / (np.sqrt(3 * eigenvalue) * abs(g))
    return known, slow


def _known(d, g):
    return np.sqrt(d) / (3 * g**2)


def _slow(d, g, eigenvalue):
    return d / (np.sqrt(3 * eigenvalue) * abs(g))


escape_times.mistake("that is the time when β has to be learned and follows at once; here it is known from the start")(
    lambda d, g, eigenvalue: (d**2 / (12 * g**2), _slow(d, g, eigenvalue))
)

escape_times.mistake("known: the derivative of ρ³ has a factor 3")(
    lambda d, g, eigenvalue: (3 * _known(d, g), _slow(d, g, eigenvalue))
)

escape_times.mistake("known: integrate dρ / (3 g² ρ²) from d^(-1/2)")(
    lambda d, g, eigenvalue: (_known(d**2, g), _slow(d, g, eigenvalue))
)

escape_times.mistake("known: β is itself proportional to g, so that the speed has the square of g")(
    lambda d, g, eigenvalue: (_known(d, g) * abs(g), _slow(d, g, eigenvalue))
)

escape_times.mistake("a time is positive: the sign of g cannot matter")(
    lambda d, g, eigenvalue: (_known(d, g), _slow(d, g, eigenvalue) * np.sign(g))
)

escape_times.mistake("slow: that is the law of index 2; start again from β' = √λ g ρ³")(
    lambda d, g, eigenvalue: (_known(d, g), np.pi / 2 * np.sqrt(d) / (np.sqrt(2 * eigenvalue) * abs(g)))
)

escape_times.mistake("slow: the integral is 1/ρ0², and that is d, not its square root")(
    lambda d, g, eigenvalue: (_known(d, g), _slow(np.sqrt(d), g, eigenvalue))
)

escape_times.mistake("slow: 3 β² = ρ² - ρ0², the 3 is not gone")(
    lambda d, g, eigenvalue: (_known(d, g), _slow(d, g, eigenvalue / 3))
)

escape_times.mistake("slow: ρ0 may not be dropped beside ρ: ρ' = √(3λ) |g| ρ² √(ρ² - ρ0²)")(
    lambda d, g, eigenvalue: (_known(d, g), _slow(d / 2, g, eigenvalue))
)


def _noises(rng):
    for degrees, d in (4, 30), (3, 5), (6, 80), (5, 12):
        yield rng.uniform(0.3, 0.9, degrees) * rng.choice([-1, 1], degrees), d, rng.uniform(1e-4, 1e-3, degrees)
    yield rng.normal(size=4), 50, np.full(4, 4e-4)  # the floor of the chapter


@exercise(
    minutes=20,
    inputs=_noises,
    hint="With equal levels the floor is derived in the sceptic's part. What is the variance of an entry of $\\varepsilon\\sum_r g_r v_r$ "
    "if each degree has an $\\varepsilon_r$ of its own?",
    worked=r"""Put $w=e_1+\delta$ up to normalisation, so that $1-\rho^2\approx|\delta|^2$. The signal part of $\frac12\sum_rS_r^2$ loses
$\frac12\sum_r r g_r^2|\delta|^2$ and the noise part gains $\sum_r \varepsilon_r g_r\langle v_r,\delta\rangle$. Each of the
$d-1$ entries of $v_r$ has the variance $r$, and different degrees are independent, so an entry of
$\sum_r\varepsilon_rg_rv_r$ has the variance $\sum_r r g_r^2\varepsilon_r^2$. The maximum is at
$\delta=\sum_r\varepsilon_r g_r v_r/\sum_r r g_r^2$, and

$$
\mathbb E(1-\rho_\infty^2)=\frac{(d-1)\sum_r r g_r^2\varepsilon_r^2}{\big(\sum_r r g_r^2\big)^2}.
$$

The flow weighs the degrees by $g_r$ whatever their noise. For equal levels this is the floor of the chapter. It is *not*
the best that can be done: with known levels, weights $1/\varepsilon_r^2$ would give $(d-1)/\sum_r (r g_r^2/\varepsilon_r^2)$,
which is never larger.""",
)
def noise_floor(link, d, noise):
    r"""Expected 1 - rho^2 after training, one noise level a degree.

    Suppose the coefficients of degree $r$ come with a variance $\varepsilon_r^2$ of their own (`noise`, one for each
    degree), say because they were estimated from different samples. The target has the Hermite coefficients `link`, the
    dimension is $d$, all noise is small. Where does the white-noise flow end? Return $\mathbb E(1-\rho_\infty^2)$ to
    leading order.
    """
    weight = np.arange(len(link)) * np.asarray(link) ** 2
    return (d - 1) * np.sum(weight * noise) / np.sum(weight) ** 2


def _floor(weights, d, noise):
    return (d - 1) * np.sum(weights * noise) / np.sum(weights) ** 2


def _weights(link, power=1):
    return np.arange(len(link)) ** power * link**2


noise_floor.mistake("a direction has d - 1 free coordinates, not d")(
    lambda link, d, noise: noise_floor.solution(link, d + 1, noise)
)

noise_floor.mistake("the plain mean of the noise: degrees without energy do not push, and steep ones push more")(
    lambda link, d, noise: (d - 1) * np.mean(noise) / np.sum(_weights(link))
)

noise_floor.mistake("degree 0 does not see the direction; weigh each degree by r")(
    lambda link, d, noise: _floor(_weights(link, 0), d, noise)
)

noise_floor.mistake("the gradient of the noise grows with the degree too: its variance is r")(
    lambda link, d, noise: (d - 1) * np.sum(link**2 * noise) / np.sum(_weights(link)) ** 2
)

noise_floor.mistake("the weight is r, not r²: r is already the variance of a gradient")(
    lambda link, d, noise: _floor(_weights(link, 2), d, noise)
)

noise_floor.mistake("that is the excess of the FEM; divide by the steepness once more")(
    lambda link, d, noise: (d - 1) * np.sum(_weights(link) * noise) / np.sum(_weights(link))
)

noise_floor.mistake("that is the best floor with known noise levels; the flow weighs the degrees by g alone")(
    lambda link, d, noise: (d - 1) / np.sum(_weights(link) / noise)
)

noise_floor.mistake("that counts the noise twice: compute the variance of an entry of the sum of ε_r g_r v_r")(
    lambda link, d, noise: 2 * noise_floor.solution(link, d, noise)
)

noise_floor.mistake("degree 1 sees the direction as well: equal levels must give the floor of the chapter")(
    lambda link, d, noise: _floor(_weights(link) * (np.arange(len(link)) != 1), d, noise)
)


def _supports(rng):
    for system in (
        [{1}, {1, 2}],
        [{1, 2, 3}, {1}, {1, 2}],
        [{1, 2}],
        [{1, 2}, {1, 2, 3}],
        [{1}, {2, 3, 4}],
        [{1}, {1, 2}, {1, 2, 3}, {3, 4}],
        [{4, 5}, {1, 2, 3}, {1, 4}, {2, 5}, {5}],
    ):
        names = rng.permutation(9).tolist()
        yield ([{names[i] for i in support} for support in system],)
    for count in (3, 4, 5):
        yield ([set(rng.choice(6, size, replace=False).tolist()) for size in rng.integers(1, 5, count)],)


@exercise(
    minutes=15,
    inputs=_supports,
    hint="Greedy is right: a monomial that needs few new directions now never needs more later. Take the cheapest "
    "remaining monomial, add its directions to the known ones, repeat.",
    worked=r"""Once some directions are known, a monomial acts on the others like a monomial of the degree that is left: its known factors
are constants for the escape. So the time of the next step is set by the number of *new* directions, and the hardest step
of the best order sets the power of $d$. Choosing the cheapest monomial first is optimal, since learning a direction can
only lower the cost of the others. Two directions at once escape like a link of information index 2, in time of order $d$;
one alone in time of order $\ln d$. So $u_1+u_1u_2+u_1u_2u_3$ has leap 1, $u_1u_2$ has leap 2, and $u_1+u_2u_3u_4$ leap 3.""",
)
def leap(supports):
    r"""Leap of a sum of monomials: hardest step of the easiest order.

    `supports` lists, for each monomial of the target, the set of its directions: $u_1+u_1u_2$ is `[{1}, {1, 2}]`, each
    direction to the first power. A step learns one monomial, and its cost is the number of directions in it that are not
    yet known. Return the largest cost in the best order.
    """
    known, hardest = set(), 0
    left = [set(support) for support in supports]
    while left:
        cheapest = min(left, key=lambda support: len(support - known))
        hardest = max(hardest, len(cheapest - known))
        known |= cheapest
        left.remove(cheapest)
    return hardest


def _hardest(supports, cost=lambda support, known: len(support - known)):
    """The largest cost in the order of the list."""
    known, costs = set(), []
    for support in supports:
        costs.append(cost(support, known))
        known = known | support
    return max(costs)


leap.mistake("after u1 is known, u1 u2 needs one new direction only")(
    lambda supports: max(len(support) for support in supports)
)

leap.mistake("u1, then u2 through u1 u2: one new direction a step is a leap of 1, not 0")(
    lambda supports: leap.solution(supports) - 1
)

leap.mistake("the order of the list does not bind: start with the cheapest monomial")(_hardest)

leap.mistake("u1 u2 alone has no first step with one direction")(lambda supports: 1)

leap.mistake("the leap is the hardest step, not the first one")(
    lambda supports: min(len(support) for support in supports)
)

leap.mistake("sorting by size once is not enough: after u1 u2 u3 the product u3 u4 costs one")(
    lambda supports: _hardest(sorted(supports, key=len))
)

leap.mistake("u2 u3 u4 gets no help from u1: three new directions at once")(
    lambda supports: _hardest(sorted(supports, key=len), lambda support, known: len(support) - len(known))
)


@leap.mistake("the next monomial is the one with the fewest new directions, not with the most known ones")
def _(supports):
    left, known = list(supports), min(supports, key=len)
    order = [known]
    while left:
        order.append(max(left, key=lambda support: len(known & support)))
        left.remove(order[-1])
        known = known | order[-1]
    return _hardest(order)


@leap.mistake("u1 u2 comes first, and then neither is known: that it comes again in u1 u2 u3 does not help")
def _(supports):
    own = [support.difference(*supports[:i], *supports[i + 1 :]) for i, support in enumerate(supports)]
    return max(1, *map(len, own)) if len(own) > 1 else len(own[0])
