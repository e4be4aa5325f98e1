"""Exercises of the chapter on features that are directions."""

import numpy as np

from afp_utils.book.exercises import exercise, expect


@exercise(
    minutes=15,
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


@worth_of_direction.checker
def _(answer):
    steep, flat = np.array([0.0, 0.6, 0.8]), np.array([0.0, 0.9, 0.0, 0.3])
    expect(
        not np.isclose(answer(steep, 0.9), 0.419904),
        "a cut keeps all degrees up to its own: it cannot pick the best one alone",
    )
    expect(
        not np.isclose(answer(steep, 0.9), (0.2916 + 0.419904) / 2),
        "one feature is missing from the count: degree 0 costs noise as well",
    )
    expect(
        not np.isclose(answer(flat, 0.6), 0.81 * 0.6 / 2),
        "energies are squares: the coefficient is g ρ^r, its energy g² ρ^(2r)",
    )
    expect(
        not np.isclose(answer(flat, 0.6), (0.2916 + 0.09 * 0.6**6) / 4),
        "not every degree has to be kept: compare all cuts",
    )
    expect(
        np.isclose(answer(flat, -0.6), answer(flat, 0.6)),
        "the sign of the overlap cannot matter: only energies count",
    )
    rng = np.random.default_rng(0)
    for _ in range(8):
        link, rho = rng.normal(size=5), rng.uniform(-1, 1)
        worth = max(sum(link[r] ** 2 * rho ** (2 * r) for r in range(m)) / m for m in range(1, 6))
        expect(
            np.isclose(answer(link, rho), worth),
            "the largest of the running averages of the captured energies",
        )


@worth_of_direction.wrong("it cannot pick the best one alone")
def _(link, overlap):
    return max((g * overlap**r) ** 2 for r, g in enumerate(link))


@worth_of_direction.wrong("one feature is missing from the count")
def _(link, overlap):
    captured = np.cumsum((np.asarray(link) * overlap ** np.arange(len(link))) ** 2)
    return np.max(captured[1:] / np.arange(1, len(link)))


@worth_of_direction.wrong("energies are squares")
def _(link, overlap):
    degree = np.arange(len(link))
    captured = np.cumsum(np.asarray(link) ** 2 * overlap**degree)
    return np.max(captured / (degree + 1))


@worth_of_direction.wrong("compare all cuts")
def _(link, overlap):
    return np.mean((np.asarray(link) * overlap ** np.arange(len(link))) ** 2)


@worth_of_direction.wrong("the sign of the overlap cannot matter")
def _(link, overlap):  # a coefficient below zero is taken for a loss
    degree = np.arange(len(link))
    seen = np.maximum(np.asarray(link) * overlap**degree, 0)
    return np.max(np.cumsum(seen**2) / (degree + 1))


@worth_of_direction.wrong("the largest of the running averages")
def _(link, overlap):  # the overlap to the first power in every degree
    degree = np.arange(len(link))
    energy = (np.asarray(link) * np.where(degree > 0, overlap, 1)) ** 2
    return np.max(np.cumsum(energy) / (degree + 1))


@worth_of_direction.unusual
def _(link, overlap):
    total = sum(g * g for g in link)

    def fem(noise):
        left = best = total
        for r, g in enumerate(link):
            left += noise - (g * overlap**r) ** 2
            best = min(best, left)
        return best

    low, high = 0.0, total
    for _ in range(200):
        middle = (low + high) / 2
        if fem(middle) < total:
            low = middle
        else:
            high = middle
    return high


@exercise(
    minutes=20,
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


@escape_times.checker
def _(answer):
    pair = answer(400, -0.5, 0.03)
    expect(np.shape(pair) == (2,), "return two times: (known link, slow ones)")
    known, slow = pair
    expect(
        not np.isclose(known, 400**2 / (12 * 0.25)),
        "that is the time when β has to be learned and follows at once; here it is known from the start",
    )
    expect(
        not np.isclose(known, 20 / 0.25),
        "known: the derivative of ρ³ has a factor 3",
    )
    expect(
        np.isclose(known, 20 / 0.75),
        "known: integrate dρ / (3 g² ρ²) from d^(-1/2)",
    )
    expect(slow > 0, "a time is positive: the sign of g cannot matter")
    expect(
        not np.isclose(slow, np.pi / 2 * 20 / (0.06**0.5 * 0.5)),
        "slow: that is the law of index 2; start again from β' = √λ g ρ³",
    )
    expect(
        not np.isclose(slow, 20 / (0.3 * 0.5)),
        "slow: the integral is 1/ρ0², and that is d, not its square root",
    )
    expect(
        not np.isclose(slow, 400 / (0.03**0.5 * 0.5)),
        "slow: 3 β² = ρ² - ρ0², the 3 is not gone",
    )
    expect(
        np.isclose(slow, 400 / (0.3 * 0.5)),
        "slow: 3 β² = ρ² - ρ0², so ρ' = √(3λ) |g| ρ² √(ρ² - ρ0²)",
    )
    known, slow = answer(90, 0.7, 0.3)
    expect(
        np.isclose(known, 90**0.5 / 1.47),
        "known: right for one d and g, but not for others: check their powers",
    )
    expect(
        np.isclose(slow, 90 / (0.9**0.5 * 0.7)),
        "right for one d, g and λ, but not for others: check the powers of each",
    )


@escape_times.wrong("here it is known from the start")
def _(d, g, eigenvalue):
    return d**2 / (12 * g**2), d / (np.sqrt(3 * eigenvalue) * abs(g))


@escape_times.wrong("that is the law of index 2")
def _(d, g, eigenvalue):
    slow = np.pi / 2 * np.sqrt(d) / (np.sqrt(2 * eigenvalue) * abs(g))
    return np.sqrt(d) / (3 * g**2), slow


@escape_times.wrong("a time is positive")
def _(d, g, eigenvalue):
    return np.sqrt(d) / (3 * g**2), d / (np.sqrt(3 * eigenvalue) * g)


@escape_times.wrong("not its square root")
def _(d, g, eigenvalue):
    return np.sqrt(d) / (3 * g**2), np.sqrt(d / (3 * eigenvalue)) / abs(g)


@escape_times.wrong("check the powers of each")
def _(d, g, eigenvalue):
    return np.sqrt(d) / (3 * g**2), d * abs(g) / (np.sqrt(3 * eigenvalue) * 0.25)


@escape_times.wrong("known: right for one d and g")
def _(d, g, eigenvalue):
    known = np.sqrt(d) / (1.5 * abs(g))
    return known, d / (np.sqrt(3 * eigenvalue) * abs(g))


@escape_times.wrong("return two times")
def _(d, g, eigenvalue):
    return np.sqrt(d) / (3 * g**2)


@escape_times.wrong("the derivative of ρ³ has a factor 3")
def _(d, g, eigenvalue):
    return np.sqrt(d) / g**2, d / (np.sqrt(3 * eigenvalue) * abs(g))


@escape_times.wrong("from d^(-1/2)")
def _(d, g, eigenvalue):  # from 1/d
    return d / (3 * g**2), d / (np.sqrt(3 * eigenvalue) * abs(g))


@escape_times.wrong("the 3 is not gone")
def _(d, g, eigenvalue):
    return np.sqrt(d) / (3 * g**2), d / (np.sqrt(eigenvalue) * abs(g))


@escape_times.wrong("so ρ' = √(3λ) |g| ρ² √(ρ² - ρ0²)")
def _(d, g, eigenvalue):  # ρ0 is dropped beside ρ
    slow = d / (2 * np.sqrt(3 * eigenvalue) * abs(g))
    return np.sqrt(d) / (3 * g**2), slow


@escape_times.unusual
def _(d, g, eigenvalue):
    angle = np.linspace(0, np.pi / 2, 2001)  # ρ = ρ0 / cos(angle)
    known = np.trapezoid(np.sin(angle), angle) * d**0.5 / (3 * g * g)
    slow = np.trapezoid(np.cos(angle), angle) * d
    return np.array([known, slow / np.sqrt(3 * eigenvalue * g * g)])


@exercise(
    minutes=20,
    hint="Go through the derivation of the floor again. What is the variance of an entry of $\\varepsilon\\sum_r g_r v_r$ "
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


@noise_floor.checker
def _(answer):
    link = np.array([0.5, 0.0, 0.8, 0.6])
    noise = np.array([9e-4, 9e-4, 1e-4, 4e-4])
    energy, degree = link**2, np.arange(4)
    weight = degree * energy
    right = 29 * weight @ noise / weight.sum() ** 2
    value = answer(link, 30, noise)
    expect(np.ndim(value) == 0, "one number is asked for, not one a degree")
    expect(
        not np.isclose(value, right * 30 / 29),
        "a direction has d - 1 free coordinates, not d",
    )
    expect(
        not np.isclose(value, 29 * noise.mean() / weight.sum()),
        "the plain mean of the noise: degrees without energy do not push, and steep ones push more",
    )
    expect(
        not np.isclose(value, 29 * energy @ noise / energy.sum() ** 2),
        "degree 0 does not see the direction; weigh each degree by r",
    )
    expect(
        not np.isclose(value, 29 * energy @ noise / weight.sum() ** 2),
        "the gradient of the noise grows with the degree too: its variance is r",
    )
    expect(
        not np.isclose(
            value,
            29 * (degree**2 * energy) @ noise / (degree**2 * energy).sum() ** 2,
        ),
        "the weight is r, not r²: r is already the variance of a gradient",
    )
    expect(
        not np.isclose(value, 29 * weight @ noise / weight.sum()),
        "that is the excess of the FEM; divide by the steepness once more",
    )
    expect(
        not np.isclose(value, 29 / np.sum(weight[2:] / noise[2:])),
        "that is the best floor with known noise levels; the flow weighs the degrees by g alone",
    )
    expect(
        np.isclose(value, right),
        "compute the variance of an entry of the sum of ε_r g_r v_r, and divide by the square of the steepness",
    )
    expect(
        np.isclose(
            answer(np.array([0, 0.6, 0.8]), 5, np.array([0, 1e-4, 1e-4])),
            4e-4 / 1.64,
        ),
        "equal levels must give the floor of the chapter",
    )


@noise_floor.wrong("a direction has d - 1 free coordinates")
def _(link, d, noise):
    weight = np.arange(len(link)) * np.asarray(link) ** 2
    return d * np.sum(weight * noise) / np.sum(weight) ** 2


@noise_floor.wrong("the plain mean of the noise")
def _(link, d, noise):
    return (d - 1) * np.mean(noise) / np.sum(np.arange(len(link)) * np.asarray(link) ** 2)


@noise_floor.wrong("degree 0 does not see the direction")
def _(link, d, noise):
    energy = np.asarray(link) ** 2
    return (d - 1) * np.sum(energy * noise) / np.sum(energy) ** 2


@noise_floor.wrong("the weight is r, not r²")
def _(link, d, noise):
    weight = (np.arange(len(link)) * np.asarray(link)) ** 2
    return (d - 1) * np.sum(weight * noise) / np.sum(weight) ** 2


@noise_floor.wrong("that is the excess of the FEM")
def _(link, d, noise):
    weight = np.arange(len(link)) * np.asarray(link) ** 2
    return (d - 1) * np.sum(weight * noise) / np.sum(weight)


@noise_floor.wrong("the best floor with known noise levels")
def _(link, d, noise):
    with np.errstate(invalid="ignore"):
        weight = np.arange(len(link)) * np.asarray(link) ** 2 / noise
    return (d - 1) / np.nansum(weight)


@noise_floor.wrong("not one a degree")
def _(link, d, noise):
    weight = np.arange(len(link)) * np.asarray(link) ** 2
    return (d - 1) * weight * np.asarray(noise) / np.sum(weight) ** 2


@noise_floor.wrong("the gradient of the noise grows with the degree too")
def _(link, d, noise):
    energy = np.asarray(link) ** 2
    steepness = np.sum(np.arange(len(link)) * energy)
    return (d - 1) * np.sum(energy * noise) / steepness**2


@noise_floor.wrong("divide by the square of the steepness")
def _(link, d, noise):  # both noise terms of a difference
    weight = np.arange(len(link)) * np.asarray(link) ** 2
    return 2 * (d - 1) * np.sum(weight * noise) / np.sum(weight) ** 2


@noise_floor.wrong("equal levels must give the floor")
def _(link, d, noise):  # degree 1 is taken for no feature
    weight = np.arange(len(link)) * np.asarray(link) ** 2
    weight[1] = 0
    return (d - 1) * np.sum(weight * noise) / np.sum(weight) ** 2


@noise_floor.unusual
def _(link, d, noise):
    steepness = sum(r * g * g for r, g in enumerate(link))
    push = sum(r * (g / steepness) ** 2 * e for r, (g, e) in enumerate(zip(link, noise)))
    return sum([push] * (d - 1))


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
        answer([{1, 2}, {1, 2, 3}]) != 1,
        "u1 u2 comes first, and then neither is known: that it comes again in u1 u2 u3 does not help",
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
        answer([{1}, {1, 2}, {1, 2, 3}, {3, 4}]) != 2,
        "sorting by size once is not enough: after u1 u2 u3 the product u3 u4 costs one",
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


@leap.wrong("sorting by size once is not enough")
def _(supports):
    known, hardest = set(), 0
    for support in sorted(supports, key=len):
        hardest = max(hardest, len(set(support) - known))
        known |= set(support)
    return hardest


@leap.wrong("one new direction a step")
def _(supports):  # counts what a step costs beyond one direction
    return leap.solution(supports) - 1


@leap.wrong("no first step with one direction")
def _(supports):
    return 1


@leap.wrong("three new directions at once")
def _(supports):  # all that is known is taken off, in the monomial or not
    known, hardest = set(), 0
    for support in sorted(supports, key=len):
        hardest = max(hardest, len(support) - len(known))
        known |= set(support)
    return hardest


@leap.wrong("come one at a time")
def _(supports):  # most known directions, not fewest new ones
    left = list(supports)
    known = set(min(left, key=len))
    hardest = len(known)
    while left:
        support = max(left, key=lambda support: len(known & support))
        hardest = max(hardest, len(support - known))
        known |= support
        left.remove(support)
    return hardest


@leap.wrong("that it comes again in u1 u2 u3 does not help")
def _(supports):
    own = [
        set(support).difference(*(other for j, other in enumerate(supports) if j != i))
        for i, support in enumerate(supports)
    ]
    return max(1, *map(len, own)) if len(own) > 1 else len(own[0])


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
