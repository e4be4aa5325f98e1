r"""Exercises of the chapter "Models, data and features"."""

from math import comb

import numpy as np

from afp_utils.book.exercises import exercise, expect
from afp_utils.interaction.framework import FeatureType, accuracy, agreement, gap

# ---- two hits with the same feature ----


@exercise(
    minutes=20,
    hint=r"Given that the models share $k$ features, the question is whether the point carries one of those $k$. That is a "
    r"single set again. Then average over $k$.",
    worked=r"The number $k$ of shared features is hypergeometric: of the $c$ features of the second model, $k$ lie among the "
    r"$c$ of the first and $c-k$ among the other $t-c$, so $P(k)=\binom ck\binom{t-c}{c-k}/\binom tc$. Given $k$, the shared "
    r"features are a uniform set of size $k$, and the point misses it with probability $q(t,k,n)$. The answer is "
    r"$\sum_kP(k)\,(1-q(t,k,n))$. With $t=6$, $c=n=2$: $P=(\frac{6}{15},\frac8{15},\frac1{15})$ and "
    r"$1-q=(0,\frac13,\frac35)$, together $\frac{49}{225}\approx0.218$. Two hits have the probability $\frac9{25}=0.36$: in "
    r"four cases of ten in which both models hit they do so for different reasons, and would still agree.",
)
def same_reason(t, c, n):
    r"""Return the chance that two models and a point share a feature.

    Two models learn $c$ of $t$ features each, a point carries $n$; all three sets are uniform and independent. Both
    models may hit the point with *different* features. How likely is it that there is one feature which both models know
    and the point carries? Compare with the chance $u^2$ of two hits.
    """
    from math import comb

    total = 0.0
    for k in range(max(0, 2 * c - t), c + 1):
        share = comb(c, k) * comb(t - c, c - k) / comb(t, c)
        total += share * (1 - comb(t - k, n) / comb(t, n))
    return total


def _common(t, c, n):
    """The same by counting which of the point's features the first model has, and whether the second has one of them."""
    total = 0.0
    for j in range(1, min(c, n) + 1):
        share = comb(n, j) * comb(t - n, c - j) / comb(t, c)
        total += share * (1 - comb(t - j, c) / comb(t, c))
    return total


_COUNTS = [(7, 3, 2), (6, 2, 2), (9, 2, 4), (5, 4, 2), (8, 1, 3)]


@same_reason.checker
def _(answer):
    first = float(answer(7, 3, 2))
    hit, meet = 5 / 7, 31 / 35
    expect(
        not np.isclose(first, hit),
        "that is the chance that one model hits",
    )
    expect(
        not np.isclose(first, hit**2),
        "that is the chance that both hit, perhaps with different features",
    )
    expect(
        not (np.isclose(first, meet) or np.isclose(first, 1 - meet)),
        "that is about the two models alone: where is the point?",
    )
    expect(
        not np.isclose(first, 1 - (1 - 9 / 49) ** 2),
        "that takes the features of a point as independent; they are drawn without repetition",
    )
    for t, c, n in _COUNTS:
        value, truth = float(answer(t, c, n)), _common(t, c, n)
        where = f"for t, c, n = {t}, {c}, {n} it is {truth:.6g}, got {value:.6g}"
        expect(
            np.isclose(value, truth, rtol=1e-7) or not np.isclose(value, truth, rtol=0.01, atol=0.003),
            f"{where}: near, but not exact; simulated, or a distribution of k that is only about right?",
        )
        expect(
            np.isclose(value, truth, rtol=1e-7),
            f"{where}: is the distribution of k right (k among c, c - k among t - c, and k at least 2c - t)?",
        )


@same_reason.wrong("that is the chance that both hit")
def _(t, c, n):
    from math import comb

    return (1 - comb(t - n, c) / comb(t, c)) ** 2


@same_reason.wrong("drawn without repetition")
def _(t, c, n):
    return 1 - (1 - (c / t) ** 2) ** n


@same_reason.wrong("is the distribution of k right")
def _(t, c, n):
    from math import comb

    return sum(
        comb(c, k) * comb(t, c - k) / comb(t, c) * (1 - comb(t - k, n) / comb(t, n))
        for k in range(max(0, 2 * c - t), c + 1)
    )


@same_reason.wrong("the chance that one model hits")
def _(t, c, n):
    from math import comb

    return 1 - comb(t - n, c) / comb(t, c)


@same_reason.wrong("where is the point?")
def _(t, c, n):
    from math import comb

    return 1 - comb(t - c, c) / comb(t, c)


@same_reason.wrong("near, but not exact")
def _(t, c, n):
    return round(_common(t, c, n), 3)


@same_reason.unusual
def _(t, c, n):
    from itertools import combinations

    models = [set(one) for one in combinations(range(t), c)]
    point = set(range(n))
    return np.mean([bool(a & b & point) for a in models for b in models])


# ---- the largest gap ----


@exercise(
    minutes=15,
    hint=r"Write the gap of one type with misleading features as $u\,(\alpha-\beta u)$. A parabola has its top half-way between "
    r"its zeros; but $u$ is a probability.",
    worked=r"The gap is $u\left[(1-\varepsilon-\tfrac1C)-(1-\tfrac1C)u\right]$, zero at $u=0$ and at "
    r"$u=1-\varepsilon/(1-\tfrac1C)$, so largest half-way: $u^*=\tfrac12-\tfrac{\varepsilon}{2(1-1/C)}$. If "
    r"$\varepsilon\ge1-\tfrac1C$ this is not positive, the gap is nowhere above zero, and the best is $u^*=0$. Accuracy and "
    r"agreement follow by inserting; the largest gap is $(1-\varepsilon-\tfrac1C)^2/(4(1-\tfrac1C))$. For two "
    r"classes and $\varepsilon=0.2$: $u^*=0.3$, accuracy 0.59, agreement 0.545, gap 0.045, a third of what it is without noise.",
)
def largest_gap(classes, misleading):
    r"""Return u, accuracy, agreement and gap where the gap is largest.

    A world has one type of points, and features mislead with probability $\varepsilon$ (`misleading`). For which chance
    $u$ of a hit, from 0 to 1, is disagreement minus error largest, and what are accuracy, agreement and gap there? Answer
    for any number of classes and any $\varepsilon$ from 0 to 1.
    """
    chance = 1 / classes
    u = max(0.0, 0.5 - misleading / (2 * (1 - chance)))
    right = chance + u * (1 - misleading - chance)
    alike = chance + (1 - chance) * u**2
    return u, right, alike, right - alike


@largest_gap.checker
def _(answer):
    value = answer(2, 0.2)
    expect(
        np.shape(value) == (4,),
        f"return four numbers (u, accuracy, agreement, gap), got {value}",
    )
    expect(
        not np.isclose(value[0], 0.5),
        "u = 1/2 is right without misleading features: with them the gap has another zero",
    )
    expect(
        not np.isclose(value[0], 0.6, atol=1e-3),
        "there the gap is zero: that is the other end of the parabola",
    )
    expect(
        not np.isclose(value[3], -0.045, atol=2e-4),
        "the gap is disagreement minus error: the other sign",
    )
    for classes, misleading in ((2, 0.2), (5, 0.0), (4, 0.3), (2, 0.6)):
        value = answer(classes, misleading)
        top = max(0.0, 0.5 - misleading / (2 - 2 / classes))
        pool = 10  # all four tops are tenths
        kind = FeatureType(1.0, pool, 1, round(top * pool), misleading)
        truth = [top] + [law([kind], classes) for law in (accuracy, agreement, gap)]
        where = f"{classes} classes and misleading {misleading}"
        expect(
            value[0] >= -1e-9,
            f"for {where} you say u = {value[0]:.4g}: a probability cannot be negative",
        )
        for name, own, right in zip(("u", "accuracy", "agreement", "gap"), value, truth):
            expect(
                np.isclose(own, right, rtol=0, atol=2e-4),
                f"for {where} {name} is {right:.4g}, got {own:.4g}",
            )


@largest_gap.wrong("u = 1/2 is right without misleading features")
def _(classes, misleading):
    chance = 1 / classes
    right = chance + 0.5 * (1 - misleading - chance)
    alike = chance + (1 - chance) / 4
    return 0.5, right, alike, right - alike


@largest_gap.wrong("a probability cannot be negative")
def _(classes, misleading):
    chance = 1 / classes
    u = 0.5 - misleading / (2 * (1 - chance))
    right = chance + u * (1 - misleading - chance)
    alike = chance + (1 - chance) * u**2
    return u, right, alike, right - alike


@largest_gap.wrong("for 4 classes and misleading 0.3 u is")
def _(classes, misleading):  # the noise at which two classes would be balanced
    chance = 1 / classes
    u = max(0.0, 0.5 - misleading)
    right = chance + u * (1 - misleading - chance)
    alike = chance + (1 - chance) * u**2
    return u, right, alike, right - alike


@largest_gap.wrong("return four numbers")
def _(classes, misleading):
    return max(0.0, 0.5 - misleading / (2 - 2 / classes))


@largest_gap.wrong("the other end of the parabola")
def _(classes, misleading):
    chance = 1 / classes
    u = max(0.0, 1 - misleading / (1 - chance))
    alike = chance + (1 - chance) * u**2
    return u, alike, alike, 0.0


@largest_gap.wrong("the other sign")
def _(classes, misleading):
    u, right, alike, difference = largest_gap.solution(classes, misleading)
    return u, right, alike, -difference


@largest_gap.unusual
def _(classes, misleading):
    u = np.linspace(0, 1, 100_001)
    right = 1 / classes + u * (1 - misleading - 1 / classes)
    alike = 1 / classes + (1 - 1 / classes) * u**2
    best = np.argmax(right - alike)
    return u[best], right[best], alike[best], (right - alike)[best]


# ---- a noise that restores the equality, and what it does to calibration ----


@exercise(
    minutes=25,
    hint=r"Set the sum of the gaps of all types to zero and solve for $\varepsilon$. For the calibration error look at one "
    r"type: which share of the votes does the indicated class get, and how often is it right? The other $C-1$ "
    r"classes err by the same amount together, the other way.",
    worked=r"$\sum p\,u\,[(1-\varepsilon-\tfrac1C)-(1-\tfrac1C)u]=0$ gives "
    r"$\varepsilon=(1-\tfrac1C)\,\frac{\sum p\,u(1-u)}{\sum p\,u}$: an average of $(1-\tfrac1C)(1-u)$, in which each type "
    r"weighs by how often it is *hit*. In a large ensemble the indicated class gets the share $s=\tfrac1C+u(1-\tfrac1C)$ of "
    r"the votes and is right with probability $1-\varepsilon$; the others get $1-s$ together and are right with probability "
    r"$\varepsilon$. So the calibration error is $2\sum p\,|1-\varepsilon-s|$. For one type it is zero: the equality and "
    r"calibration are the same condition. For two types, $p=(\frac12,\frac12)$, $u=(1,0.4)$, $C=2$: $\varepsilon=0.0857$ and "
    r"the error is 0.3. The GDE holds because an over-confident and an under-confident type cancel.",
)
def balancing_noise(p, u, classes):
    r"""Return the noise that balances the world, and its calibration error.

    A world has types of points with probabilities `p`, hit with *different* probabilities `u`, all positive (arrays).
    Which probability $\varepsilon$ of a misleading feature, the same for all types, makes disagreement and error exactly
    equal? And what is the class-aggregated calibration error of infinitely many models then?
    """
    most = 1 - 1 / classes
    noise = most * np.sum(p * u * (1 - u)) / np.sum(p * u)
    share = 1 / classes + most * u
    return noise, 2 * np.sum(p * np.abs(1 - noise - share))


@balancing_noise.checker
def _(answer):
    for shares, known, pool, classes in (
        ((0.5, 0.5), (5, 2), 5, 2),
        ((0.3, 0.7), (6, 3), 10, 4),
        ((1.0,), (3,), 5, 3),
    ):
        p, u = np.array(shares), np.array(known) / pool
        noise, error = answer(p.copy(), u.copy(), classes)
        most = 1 - 1 / classes
        where = f"p = {shares}, u = {tuple(u.tolist())}, {classes} classes"
        expect(
            len(p) == 1 or not np.isclose(noise, most * np.sum(p * (1 - u))),
            "that averages the noise that each type needs: weigh each type by how often it is hit",
        )
        expect(
            0 <= noise <= 1,
            f"a probability is from 0 to 1, got {noise:.4g} ({where})",
        )
        types = [FeatureType(float(s), pool, 1, c, float(noise)) for s, c in zip(shares, known)]
        left = gap(types, classes)
        expect(
            abs(left) < 1e-7,
            f"with noise {noise:.4g} disagreement minus error is {left:.4g} ({where})",
        )
        off = p * (1 - noise - 1 / classes - most * u)
        truth = 2 * np.sum(np.abs(off))
        expect(
            len(p) == 1 or not np.isclose(error, abs(2 * np.sum(off))),
            "the signs of the types must not cancel in a calibration error: sum absolute values",
        )
        expect(
            truth < 1e-9 or not np.isclose(error, truth / 2),
            "that counts the indicated class alone; the other classes are wrong by as much together",
        )
        expect(
            np.isclose(error, truth, atol=1e-7),
            f"the calibration error is {truth:.4g}, got {error:.4g} ({where})",
        )


@balancing_noise.wrong("weigh each type by how often it is hit")
def _(p, u, classes):
    noise = (1 - 1 / classes) * np.sum(p * (1 - u))
    return noise, 0.0


@balancing_noise.wrong("the other classes are wrong by as much")
def _(p, u, classes):
    most = 1 - 1 / classes
    noise = most * np.sum(p * u * (1 - u)) / np.sum(p * u)
    return noise, np.sum(p * np.abs(1 - noise - 1 / classes - most * u))


@balancing_noise.wrong("the calibration error is 0.3, got 0")
def _(p, u, classes):  # "the GDE holds, so it is calibrated"
    most = 1 - 1 / classes
    return most * np.sum(p * u * (1 - u)) / np.sum(p * u), 0.0


@balancing_noise.wrong("disagreement minus error is")
def _(p, u, classes):  # right for two classes only
    noise = 0.5 * np.sum(p * u * (1 - u)) / np.sum(p * u)
    return noise, 2 * np.sum(p * np.abs(0.5 - noise - 0.5 * u))


@balancing_noise.wrong("a probability is from 0 to 1")
def _(p, u, classes):
    noise, error = balancing_noise.solution(p, u, classes)
    return -noise, error


@balancing_noise.wrong("the signs of the types must not cancel")
def _(p, u, classes):
    most = 1 - 1 / classes
    noise = most * np.sum(p * u * (1 - u)) / np.sum(p * u)
    return noise, 2 * abs(np.sum(p * (1 - noise - 1 / classes - most * u)))


@balancing_noise.unusual
def _(p, u, classes):
    low, high, chance = 0.0, 1.0, 1 / classes
    agree = np.sum(p * (chance + (1 - chance) * u**2))
    for _ in range(100):
        middle = (low + high) / 2
        right = np.sum(p * (chance + u * (1 - middle - chance)))
        low, high = (middle, high) if right > agree else (low, middle)
    votes = np.stack([u + (1 - u) / classes] + (classes - 1) * [(1 - u) / classes])
    truth = np.array([1 - low] + (classes - 1) * [low / (classes - 1)])
    return low, np.sum(p * np.abs(votes - truth[:, None]))


# ---- disagreement from a learning curve ----


@exercise(
    minutes=15,
    hint=r"The law holds for two sets of different size. How many points does their union have?",
    worked=r"The union of $N$ and $\tau N$ points that share $wN$ has $(1+\tau-w)N$. In units of $\mathrm{Err}(N)$ the union law "
    r"says $\mathrm{Dis}=1+\tau^{-\beta}-(1+\tau-w)^{-\beta}$, and the mean error is "
    r"$(1+\tau^{-\beta})/2$. For $\beta=\tfrac12$, $\tau=4$: separate sets give 1.404, nested sets ($w=1$) give 4/3. Nested "
    r"sets are an equality of another kind: the union is the larger set, so $\mathrm{Dis}=\mathrm{Err}(N)$, the error of the "
    r"*smaller* network. Only for $\tau=w=1$ is the ratio 1, the GDE.",
)
def disagreement_ratio(beta, times, overlap):
    r"""Return disagreement / mean error when the error falls as N ** -beta.

    Models follow the union law, and their error falls as $N^{-\beta}$ with the number $N$ of training points. One is
    trained on $N$ points, the other on `times` as many ($\tau\ge1$), and a fraction `overlap` ($w$) of the $N$ points of the
    first is also in the set of the second. What is disagreement, divided by the mean error of the two?
    """
    other = times**-beta
    union = (1 + times - overlap) ** -beta
    return (1 + other - union) / ((1 + other) / 2)


@disagreement_ratio.checker
def _(answer):
    value = answer(0.5, 4.0, 0.0)
    other, union = 4**-0.5, 5**-0.5
    expect(
        not np.isclose(value, (3 - 5**0.5) / 1.5),
        "the error falls with more data: N ** -beta, with a minus",
    )
    expect(
        not np.isclose(value, 1 + other - union),
        "that is disagreement over the error of the first model: divide by the mean of the two",
    )
    expect(
        not np.isclose(value, 2 - 2**-0.5),
        "that holds for two sets of equal size",
    )
    expect(
        not np.isclose(value, (1 + other - union) / (1 + other)),
        "the mean of the two errors is half of their sum",
    )
    nested = answer(0.5, 4.0, 1.0)
    expect(
        not np.isclose(nested, value),
        "the overlap must matter: the union has fewer points than both sets together",
    )
    for beta, times, overlap in (
        (0.5, 4.0, 0.0),
        (0.5, 4.0, 1.0),
        (0.3, 1.0, 0.5),
        (0.8, 2.5, 0.4),
    ):
        value = answer(beta, times, overlap)
        other, union = times**-beta, (1 + times - overlap) ** -beta
        truth = 2 * (1 + other - union) / (1 + other)
        expect(
            np.isclose(value, truth),
            f"for beta {beta}, times {times}, overlap {overlap} it is {truth:.4g}, got {value:.4g}: the union has "
            "(1 + times - overlap) N points",
        )


@disagreement_ratio.wrong("divide by the mean of the two")
def _(beta, times, overlap):
    return 1 + times**-beta - (1 + times - overlap) ** -beta


@disagreement_ratio.wrong("the overlap must matter")
def _(beta, times, overlap):
    other = times**-beta
    return 2 * (1 + other - (1 + times) ** -beta) / (1 + other)


@disagreement_ratio.wrong("the union has (1 + times - overlap) N points")
def _(beta, times, overlap):  # a fraction of both sets
    other, union = times**-beta, ((1 + times) * (1 - overlap / 2)) ** -beta
    return 2 * (1 + other - union) / (1 + other)


@disagreement_ratio.wrong("two sets of equal size")
def _(beta, times, overlap):
    return 2 - (2 - overlap) ** -beta


@disagreement_ratio.wrong("N ** -beta, with a minus")
def _(beta, times, overlap):
    other, union = times**beta, (1 + times - overlap) ** beta
    return 2 * (1 + other - union) / (1 + other)


@disagreement_ratio.wrong("half of their sum")
def _(beta, times, overlap):
    other, union = times**-beta, (1 + times - overlap) ** -beta
    return (1 + other - union) / (1 + other)


@disagreement_ratio.unusual
def _(beta, times, overlap):
    n = 1000.0
    one, other = n**-beta, (times * n) ** -beta
    union = (n + times * n - overlap * n) ** -beta
    return (one + other - union) / np.mean([one, other])
