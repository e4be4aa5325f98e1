r"""Exercises of the chapter "Models, data and features"."""

from math import comb

import numpy as np

from afp_utils.book.exercises import exercise

# ---- two hits with the same feature ----


def _counts(rng):
    yield from [(7, 3, 2), (5, 4, 2), (8, 1, 3)]
    for t in rng.permutation([6, 9, 10]):
        yield t, rng.integers(2, t - 2), rng.integers(2, t - 2)


@exercise(
    minutes=20,
    inputs=_counts,
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


def _miss(t, c, n):
    return comb(t - n, c) / comb(t, c)


same_reason.mistake("that is the chance that one model hits")(lambda t, c, n: 1 - _miss(t, c, n))

same_reason.mistake("that is the chance that both hit, perhaps with different features")(
    lambda t, c, n: (1 - _miss(t, c, n)) ** 2
)

same_reason.mistake("that is about the two models alone: where is the point?")(lambda t, c, n: 1 - _miss(t, c, c))

same_reason.mistake("that takes the features of a point as independent; they are drawn without repetition")(
    lambda t, c, n: 1 - (1 - (c / t) ** 2) ** n
)


@same_reason.mistake("look at the distribution of k: k among c, c - k among t - c, and k at least 2c - t")
def _(t, c, n):
    several = range(max(0, 2 * c - t), c + 1)
    return sum(comb(c, k) * comb(t, c - k) / comb(t, c) * (1 - _miss(t, n, k)) for k in several)


# ---- the largest gap ----


def _worlds(rng):
    return [(2, rng.uniform(0.1, 0.3)), (5, 0.0), *zip((3, 4, 6), rng.uniform(0.2, 0.4, 3)), (2, rng.uniform(0.6, 0.9))]


@exercise(
    minutes=15,
    inputs=_worlds,
    tolerance=1e-3,  # for answers that try values of u
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


def _world(u, classes, misleading):
    chance = 1 / classes
    right, alike = chance + u * (1 - misleading - chance), chance + (1 - chance) * u**2
    return u, right, alike, right - alike


largest_gap.mistake("u = 1/2 is right without misleading features: with them the gap has another zero")(
    lambda classes, misleading: _world(0.5, classes, misleading)
)

largest_gap.mistake("there the gap is zero: that is the other end of the parabola")(
    lambda classes, misleading: _world(max(0.0, 1 - misleading / (1 - 1 / classes)), classes, misleading)
)

largest_gap.mistake("a probability cannot be negative")(
    lambda classes, misleading: _world(0.5 - misleading / (2 - 2 / classes), classes, misleading)
)

largest_gap.mistake("that u is right for two classes only")(
    lambda classes, misleading: _world(max(0.0, 0.5 - misleading), classes, misleading)
)


@largest_gap.mistake("the gap is disagreement minus error: the other sign")
def _(classes, misleading):
    *others, gap = largest_gap.solution(classes, misleading)
    return *others, -gap


# ---- a noise that restores the equality, and what it does to calibration ----


def _types(rng):
    for several, classes in (1, 3), (2, 2), (2, 4), (3, 5), (4, 2):
        yield rng.dirichlet(np.full(several, 5)), rng.permutation(8)[:several] / 10 + 0.1, classes


@exercise(
    minutes=25,
    inputs=_types,
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


_balance = balancing_noise.solution


def _off(noise, p, u, classes):
    """By how much the indicated class of each type is right too often, times the probability of the type."""
    return p * (1 - noise - 1 / classes - (1 - 1 / classes) * u)


@balancing_noise.mistake("that averages the noise that each type needs: weigh each type by how often it is hit")
def _(p, u, classes):
    noise = (1 - 1 / classes) * np.sum(p * (1 - u))
    return noise, 2 * np.sum(np.abs(_off(noise, p, u, classes)))


balancing_noise.mistake("weigh the noise that a type needs by how often it is hit, and sum the absolute errors")(
    lambda p, u, classes: ((1 - 1 / classes) * np.sum(p * (1 - u)), 0.0)
)

balancing_noise.mistake("the equality is one of sums: where types err in opposite ways there is a calibration error")(
    lambda *given: (_balance(*given)[0], 0.0)
)

balancing_noise.mistake("the signs of the types must not cancel in a calibration error: sum absolute values")(
    lambda *given: (_balance(*given)[0], 2 * abs(np.sum(_off(_balance(*given)[0], *given))))
)

balancing_noise.mistake("that counts the indicated class alone; the other classes are wrong by as much together")(
    lambda *given: (_balance(*given)[0], _balance(*given)[1] / 2)
)

balancing_noise.mistake("that is right for two classes only")(lambda p, u, classes: _balance(p, u, 2))

# ---- disagreement from a learning curve ----


def _pairs(rng):
    times, overlap = [1.0, *rng.uniform(1.5, 5, 5)], [0.5, 0.0, 1.0, *rng.uniform(0.2, 0.8, 3)]
    return zip(rng.uniform(0.2, 0.8, 6), times, overlap)


@exercise(
    minutes=15,
    inputs=_pairs,
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


_ratio = disagreement_ratio.solution

disagreement_ratio.mistake("the error falls with more data: N ** -beta, with a minus")(
    lambda beta, times, overlap: _ratio(-beta, times, overlap)
)

disagreement_ratio.mistake("that is disagreement over the error of the first model: divide by the mean of the two")(
    lambda beta, times, overlap: 1 + times**-beta - (1 + times - overlap) ** -beta
)

disagreement_ratio.mistake("the mean of the two errors is half of their sum")(lambda *given: _ratio(*given) / 2)

disagreement_ratio.mistake("that holds for two sets of equal size")(
    lambda beta, times, overlap: _ratio(beta, 1, overlap)
)

disagreement_ratio.mistake("the overlap must matter: the union has fewer points than both sets together")(
    lambda beta, times, overlap: _ratio(beta, times, 0)
)


@disagreement_ratio.mistake("the overlap is a share of the first set: the union has (1 + times - overlap) N points")
def _(beta, times, overlap):  # of both sets
    other, union = times**-beta, ((1 + times) * (1 - overlap / 2)) ** -beta
    return 2 * (1 + other - union) / (1 + other)
