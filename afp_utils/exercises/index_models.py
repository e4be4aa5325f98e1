"""Exercises of the chapter on features that are directions."""

import numpy as np

from afp_utils.exercises import exercise, expect


@exercise(
    minutes=10,
    hint="What is lost has two parts: what no feature of this direction can express, $g_r^2(1-\\rho^{2r})$ in every "
    "degree, and what a feature could express but is cut. Write both as one difference from $\\sum_r g_r^2$.",
    worked=r"""The target's coefficient in the feature $H_r(\langle w,x\rangle)$ is $g_r\rho^r$, so keeping the degrees
$0,\dots,m$ captures $\sum_{r\le m} g_r^2\rho^{2r}$ and costs $(m+1)\varepsilon^2$: degree 0 is a feature too. All other
energy of the target is missed, whether it lies in a degree that was cut or outside what the direction can express.
Keeping nothing is allowed and costs $\sum_r g_r^2$. With `np.cumsum` the totals for all cuts come at once; the
appended zero is the cut that keeps nothing.""",
)
def error_of_direction(link, overlap, noise):
    r"""FEM of one direction whose degrees come in the order 0, 1, 2, ...

    The target has Hermite coefficients $g_0, g_1, \dots$ (`link`), the direction has overlap $\rho$ with the target's,
    and an estimated coefficient has the variance $\varepsilon^2$ (`noise`). The eigenvalues fall with the degree.
    Return the FEM.
    """
    link = np.asarray(link)
    captured = link**2 * overlap ** (2 * np.arange(len(link)))
    gain = np.append(0.0, np.cumsum(captured - noise))
    return np.sum(link**2) - gain.max()


@error_of_direction.checker
def _(answer):
    link = np.array([0.0, 0.6, 0.8])
    expect(
        not np.isclose(
            answer(link, 0.9, 0.01), 1.02 - 0.36 * 0.81 - 0.64 * 0.9**4
        ),
        "one feature is missing from the count: degree 0 costs noise as well",
    )
    expect(
        not np.isclose(
            answer(link, 0.9, 0.01), 1.03 - 0.36 * 0.9 - 0.64 * 0.81
        ),
        "energies are squares: the coefficient is g ρ^r, its energy g² ρ^(2r)",
    )
    expect(
        not np.isclose(answer(link, 0.9, 0.01), 0.03),
        "what the direction cannot express is lost too, however many degrees are kept",
    )
    expect(
        np.isclose(answer(link, 0.1, 0.3), 1.0),
        "with so poor a direction it is best to keep nothing",
    )
    rng = np.random.default_rng(0)
    for _ in range(5):
        link, rho, noise = (
            rng.normal(size=4),
            rng.uniform(-1, 1),
            rng.uniform(0, 0.3),
        )
        totals = [
            np.sum(link**2)
            - sum(link[r] ** 2 * rho ** (2 * r) for r in range(m))
            + m * noise
            for m in range(5)
        ]
        expect(
            np.isclose(answer(link, rho, noise), min(totals)),
            "compare all cuts: after 0, 1, ..., all degrees",
        )


@error_of_direction.wrong("one feature is missing from the count")
def _(link, overlap, noise):
    captured = np.cumsum(
        np.asarray(link) ** 2 * overlap ** (2 * np.arange(len(link)))
    )
    return min(
        np.sum(link**2),
        min(np.sum(link**2) - captured + noise * np.arange(len(link))),
    )


@error_of_direction.wrong("energies are squares")
def _(link, overlap, noise):
    captured = np.cumsum(
        np.asarray(link) ** 2 * overlap ** np.arange(len(link)) - noise
    )
    return np.sum(link**2) - max(0, captured.max())


@error_of_direction.wrong("what the direction cannot express is lost too")
def _(link, overlap, noise):
    tails = np.append(np.cumsum((np.asarray(link) ** 2)[::-1])[::-1], 0.0)
    return min(tails + noise * np.arange(len(link) + 1))


@error_of_direction.unusual
def _(link, overlap, noise):
    best = total = sum(g * g for g in link)
    for r, g in enumerate(link):
        total += noise - (g * overlap**r) ** 2
        best = min(best, total)
    return float(best)


@exercise(
    minutes=20,
    hint="Fast coefficients: put $\\beta=g\\rho^2/\\sqrt\\lambda$ into $\\dot\\rho$ and integrate $d\\rho/\\rho^3$. Slow "
    "ones: with $L=\\ln\\rho$ show that $\\dot L^2 = 2\\lambda g^2(\\rho^2-\\rho_0^2)$.",
    worked=r"""**Monotone.** Take $\rho(0)>0$. The first equation gives
$\beta_r(t)=\sqrt{\lambda_r}\,g_r\int_0^t e^{-\lambda_r(t-s)}\rho(s)^r\,ds$, which has the sign of $g_r$ as long as $\rho$ stays
positive; then every term of $\dot\rho$ is non-negative, so $\rho$ grows and does stay positive. For $\rho(0)<0$ flip
the sign of $w^*$ and of the odd $g_r$.

**Fast coefficients.** $\beta=g\rho^2/\sqrt\lambda$ gives $\dot\rho\approx 2g^2\rho^3$ while $\rho$ is small, so

$$
T\approx\int_{\rho_0}^{\infty}\frac{d\rho}{2g^2\rho^3}=\frac1{4g^2\rho_0^2}=\frac d{4g^2}.
$$

**Slow coefficients.** $\dot\beta=\sqrt\lambda\,g\rho^2$ and $\dot\rho=2\sqrt\lambda\,\beta g\rho$. With $L=\ln\rho$:
$\dot L=2\sqrt\lambda\,g\beta$ and $\ddot L=2\lambda g^2\rho^2$. Multiply by $2\dot L$ and integrate:
$\dot L^2=2\lambda g^2(\rho^2-\rho_0^2)$. Hence

$$
\begin{aligned}
T&=\frac1{\sqrt{2\lambda}|g|}\int_{\rho_0}^{\infty}\frac{d\rho}{\rho\sqrt{\rho^2-\rho_0^2}}\\
&=\frac{\pi}{2\sqrt{2\lambda}\,|g|\,\rho_0}=\frac\pi2\frac{\sqrt d}{\sqrt{2\lambda}\,|g|}.
\end{aligned}
$$

The slow regime escapes after fewer multiples of $d$, but it pays $\lambda^{-1/2}$.""",
)
def escape_times(d, g, eigenvalue):
    r"""Escape times for the link g H_2: (fast, slow coefficients).

    Prove first that $\rho^2$ never falls, for any link, if $\beta(0)=0$. Then take the link $g\,H_2$ with the single
    eigenvalue $\lambda$ and $\rho_0=d^{-1/2}$ small, and find the leading term of the escape time (a) when $\beta$ follows
    $\rho$ at once, (b) when $\lambda$ is so small that $\beta$ only integrates its drive. Return both.
    """
    fast = d / (4 * g**2)
    slow = np.pi / 2 * np.sqrt(d) / (np.sqrt(2 * eigenvalue) * abs(g))
    return fast, slow


@escape_times.checker
def _(answer):
    fast, slow = answer(400, -0.5, 0.02)
    expect(
        not np.isclose(fast, 200),
        "the squared overlap grows at twice the rate, but T is for ρ: check the factor 2",
    )
    expect(
        not np.isclose(fast, 20),
        "that is the power of a known link, d^(r/2 - 1/2): here β has to grow as well",
    )
    expect(slow > 0, "a time is positive: the sign of g cannot matter")
    expect(
        np.isclose(fast, 400), "fast: integrate dρ / (2 g² ρ³) from d^(-1/2)"
    )
    expect(
        not np.isclose(slow, np.pi / 2 * 400 / (0.2 * 0.5)),
        "slow: 1/ρ0 is the square root of d, not d",
    )
    expect(
        np.isclose(slow, np.pi / 2 * 20 / (0.2 * 0.5)),
        "slow: L'^2 = 2 λ g² (ρ² - ρ0²) with L = ln ρ",
    )
    expect(
        np.isclose(answer(90, 0.7, 0.3)[0], 90 / (4 * 0.49)),
        "fast: the eigenvalue drops out",
    )


@escape_times.wrong("check the factor 2")
def _(d, g, eigenvalue):
    return d / (8 * g**2), np.pi / 2 * np.sqrt(d) / (
        np.sqrt(2 * eigenvalue) * abs(g)
    )


@escape_times.wrong("a time is positive")
def _(d, g, eigenvalue):
    return d / (4 * g**2), np.pi / 2 * np.sqrt(d) / (
        np.sqrt(2 * eigenvalue) * g
    )


@escape_times.wrong("not d")
def _(d, g, eigenvalue):
    return d / (4 * g**2), np.pi / 2 * d / (np.sqrt(2 * eigenvalue) * abs(g))


@escape_times.unusual
def _(d, g, eigenvalue):
    angle = np.linspace(
        0, np.pi / 2, 2001
    )  # ρ = ρ0 / cos(angle) turns both integrals into smooth ones
    fast = np.trapezoid(np.sin(angle) * np.cos(angle), angle) * d / (2 * g * g)
    return fast, np.trapezoid(np.ones(2001), angle) * np.sqrt(
        d / (2 * eigenvalue * g * g)
    )


@exercise(
    minutes=15,
    hint="Write $w=e_1+\\delta$ with $\\delta\\perp e_1$ small and maximise $\\frac12\\sum_r S_r(w)^2$ to second order in "
    "$\\delta$ and $\\varepsilon$. The noise in direction $\\delta$ of degree $r$ has the variance $r\\varepsilon^2$ for "
    "$\\nabla S_r$.",
    worked=r"""At rest $\beta_r=S_r(w)/\sqrt{\lambda_r}$, and $w$ is stationary for $\frac12\sum_r S_r(w)^2$. Put $w=e_1+\delta$ up to
normalisation, so $\rho\approx1-|\delta|^2/2$. The signal part loses $\frac12\sum_r r g_r^2|\delta|^2$. The noise part gains
$\varepsilon\sum_r g_r\langle v_r,\delta\rangle$, where $v_r$ is the tangent gradient of the field $\langle X_r,w^{\otimes r}\rangle$ at
$e_1$. That field has the covariance $\langle w,w'\rangle^r$, so each of the $d-1$ entries of $v_r$ has the variance $r$
(differentiate once in $w$ and once in $w'$). The maximum is
$\delta=\varepsilon\sum_r g_r v_r/\sum_r r g_r^2$, and

$$
\mathbb E|\delta|^2=\frac{(d-1)\,\varepsilon^2\sum_r r g_r^2}{(\sum_r r g_r^2)^2}
=\frac{(d-1)\varepsilon^2}{\sum_r r g_r^2}.
$$

Multiplied by $\sum_r r g_r^2$, the energy lost per unit of $1-\rho^2$, this is $(d-1)\varepsilon^2$: one estimated
coefficient for every coordinate of the direction, whatever the link.""",
)
def noise_floor(link, d, noise):
    r"""Expected 1 - rho^2 after training on noisy coefficients.

    The white-noise flow ends near $w^*$ with a small error. Its noise level is $\varepsilon^2$ (`noise`), the target has
    the Hermite coefficients `link`, the dimension is $d$. Return $\mathbb E(1-\rho_\infty^2)$ to leading order.
    """
    degree = np.arange(len(link))
    return (d - 1) * noise / np.sum(degree * np.asarray(link) ** 2)


@noise_floor.checker
def _(answer):
    link = np.array([0.5, 0.0, 0.8, 0.6])
    right = 29 * 1e-4 / (2 * 0.64 + 3 * 0.36)
    value = answer(link, 30, 1e-4)
    expect(
        not np.isclose(value, 29e-4),
        "that is the excess of the FEM; a steep link holds the direction better",
    )
    expect(
        not np.isclose(value, right * 30 / 29),
        "a direction has d - 1 free coordinates, not d",
    )
    expect(
        not np.isclose(value, 29e-4 / 1.0),
        "degrees count: H_r turns r times as fast with the direction",
    )
    expect(
        not np.isclose(value, 29e-4 / 1.25),
        "degree 0 does not see the direction; weigh each degree by r",
    )
    expect(
        not np.isclose(value, 29e-4 / (4 * 0.64 + 9 * 0.36)),
        "the weight is r, not r²: the gradient noise grows too",
    )
    expect(
        np.isclose(value, right),
        "(d - 1) times the noise over the sum of r g_r²",
    )


@noise_floor.wrong("that is the excess of the FEM")
def _(link, d, noise):
    return (d - 1) * noise


@noise_floor.wrong("a direction has d - 1 free coordinates")
def _(link, d, noise):
    return d * noise / np.sum(np.arange(len(link)) * np.asarray(link) ** 2)


@noise_floor.wrong("degree 0 does not see the direction")
def _(link, d, noise):
    return (d - 1) * noise / np.sum(np.asarray(link) ** 2)


@noise_floor.wrong("the weight is r, not r²")
def _(link, d, noise):
    return (
        (d - 1)
        * noise
        / np.sum((np.arange(len(link)) * np.asarray(link)) ** 2)
    )


@noise_floor.unusual
def _(link, d, noise):
    steepness = sum(r * g * g for r, g in enumerate(link))
    return sum([noise / steepness] * (d - 1))


@exercise(
    minutes=15,
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


@leap.checker
def _(answer):
    expect(
        answer([{1}, {1, 2}]) != 2,
        "after u1 is known, u1 u2 needs one new direction only",
    )
    expect(
        answer([{1}, {1, 2}]) == 1,
        "u1, then u2 through u1 u2: one new direction a step",
    )
    expect(
        answer([{1, 2, 3}, {1}, {1, 2}]) != 3,
        "the order of the list does not bind: start with the cheapest monomial",
    )
    expect(
        answer([{1, 2}]) == 2,
        "u1 u2 alone has no first step with one direction",
    )
    expect(
        answer([{1}, {2, 3, 4}]) != 1,
        "the leap is the hardest step, not the first one",
    )
    expect(
        answer([{1}, {2, 3, 4}]) == 3,
        "u2 u3 u4 gets no help from u1: three new directions at once",
    )
    expect(
        answer([{4, 5}, {1, 2, 3}, {1, 4}, {2, 5}, {5}]) == 1,
        "5, then 4, 2, 1 and 3 come one at a time",
    )


@leap.wrong("one new direction only")
def _(supports):
    return max(len(support) for support in supports)


@leap.wrong("the order of the list does not bind")
def _(supports):
    known, hardest = set(), 0
    for support in supports:
        hardest = max(hardest, len(set(support) - known))
        known |= set(support)
    return hardest


@leap.wrong("the hardest step, not the first one")
def _(supports):
    return min(len(support) for support in supports)


@leap.unusual
def _(supports):
    from itertools import permutations

    def hardest(order):
        known, costs = set(), [0]
        for support in order:
            costs.append(len(set(support) - known))
            known = known | set(support)
        return max(costs)

    return min(hardest(order) for order in permutations(supports))
