r"""Exercises of the chapter "Models, data and features"."""

import numpy as np

from afp_utils.exercises import exercise, expect
from afp_utils.interaction_framework import (
    FeatureType,
    accuracy,
    agreement,
    gap,
)


def _near(value, truth):
    return np.shape(value) == np.shape(truth) and np.allclose(
        value, truth, rtol=1e-9, atol=1e-12
    )


# ---- two hits, by the number of shared features ----


@exercise(
    minutes=20,
    hint=r"Given $k$ shared features the union of the two sets has $2c-k$ features. Two hits are what remains when you "
    r"take away *first misses* and *second misses*, and give back *both miss*, which was taken away twice.",
    worked=r"Both models miss the point when the union of their sets does: probability $q(t,2c-k,n)$. By inclusion and "
    r"exclusion both hit with probability $1-2q(t,c,n)+q(t,2c-k,n)$. The number $k$ is hypergeometric: of the $c$ features of "
    r"the second model, $k$ lie among the $c$ of the first and $c-k$ among the other $t-c$. Now sum. The result is "
    r"$(1-q)^2$: fix the point, and the two sets are independent, so both hit with probability $u\cdot u$; by symmetry "
    r"this is the same for every point. Comparing the two gives $\sum_kP(k)\,q(t,2c-k,n)=q(t,c,n)^2$, a Vandermonde-like "
    r"identity that we did not have to prove. With $t=6$, $c=n=2$: $q=2/5$ and both hit in $9/25$ of the cases.",
)
def two_hits(t, c, n):
    r"""Return the chance that two models hit, as a sum over k.

    Two models learn $c$ of $t$ features each, a point carries $n$. Compute the probability that both models share a
    feature with the point by summing over the number $k$ of features that the models share: its distribution times the
    probability given $k$. Then compare with $(1-q)^2$, and explain.
    """
    from math import comb

    def miss(learned):
        return comb(t - n, learned) / comb(t, learned)

    total = 0.0
    for k in range(max(0, 2 * c - t), c + 1):
        share = comb(c, k) * comb(t - c, c - k) / comb(t, c)
        total += share * (1 - 2 * miss(c) + miss(2 * c - k))
    return total


_COUNTS = [(6, 2, 2), (7, 3, 2), (8, 2, 3), (5, 4, 2)]


@two_hits.checker
def _(answer):
    first = float(answer(*_COUNTS[0]))
    expect(
        not np.isclose(first, 3 / 5),
        "that is the chance that one model hits: two have to",
    )
    expect(
        not np.isclose(first, 1 - 2 * 2 / 5 + 1 / 15),
        "that is the answer for k = 0: two sets may share features, average over k",
    )
    expect(
        not np.isclose(first, 2 * 3 / 5 - 9 / 25),
        "that is the chance that at least one hits",
    )
    expect(
        np.isclose(first, 9 / 25),
        f"for t, c, n = 6, 2, 2 it is 9/25 = 0.36, got {first:.4g}; "
        "do the weights of k sum to 1, k among c and c - k among t - c?",
    )
    for t, c, n in _COUNTS[1:]:
        value, truth = answer(t, c, n), float(FeatureType(1.0, t, n, c).hit)
        expect(
            np.isclose(value, truth**2),
            f"for t, c, n = {t}, {c}, {n} it is {truth**2:.4g}, got {value:.4g}: "
            "two sets share at least 2c - t features",
        )


@two_hits.wrong("that is the answer for k = 0")
def _(t, c, n):
    from math import comb

    def miss(learned):
        return comb(t - n, learned) / comb(t, learned)

    return 1 - 2 * miss(c) + miss(2 * c)


@two_hits.wrong("that is the chance that one model hits")
def _(t, c, n):
    from math import comb

    return 1 - comb(t - n, c) / comb(t, c)


@two_hits.wrong("do the weights of k sum to 1")
def _(t, c, n):
    from math import comb

    def miss(learned):
        return comb(t - n, learned) / comb(t, learned)

    return sum(
        comb(c, k)
        * comb(t, c - k)
        / comb(t, c)
        * (1 - 2 * miss(c) + miss(2 * c - k))
        for k in range(max(0, 2 * c - t), c + 1)
    )


@two_hits.unusual
def _(t, c, n):
    missed = np.prod([(t - c - i) / (t - i) for i in range(n)])
    return (1 - missed) ** 2


# ---- the largest gap ----


@exercise(
    minutes=10,
    hint=r"Without misleading features the gap of one type is $(1-\tfrac1C)\,u(1-u)$.",
    worked=r"$u(1-u)$ is largest at $u=\tfrac12$, whatever $C$ is. There the accuracy is "
    r"$\tfrac1C+\tfrac12(1-\tfrac1C)$, the agreement $\tfrac1C+\tfrac14(1-\tfrac1C)$, and the gap their difference, "
    r"$\tfrac14(1-\tfrac1C)$. For two classes: accuracy 3/4, agreement 5/8, gap 1/8. The gap is the chance that "
    r"one model hits and the other misses, times $1-\tfrac1C$: largest where hits are a fair coin.",
)
def largest_gap(classes):
    r"""Return u, accuracy, agreement and gap where the gap is largest.

    A world has one type of points and no misleading features. For which chance $u$ of a hit is disagreement minus error
    largest, and what are accuracy, agreement and gap there? Answer for any number of classes.
    """
    chance = 1 / classes
    return (
        0.5,
        chance + (1 - chance) / 2,
        chance + (1 - chance) / 4,
        (1 - chance) / 4,
    )


@largest_gap.checker
def _(answer):
    two, five = answer(2), answer(5)
    expect(
        np.shape(two) == (4,),
        f"return four numbers (u, accuracy, agreement, gap), got {two}",
    )
    expect(
        not np.isclose(two[0], 1),
        "at u = 1 all points are hit by all models: accuracy and agreement are both 1",
    )
    expect(
        not (_near(two, (0.5, 0.75, 0.625, 0.125)) and _near(five, two)),
        "right for two classes only: a guess is right with probability 1/C",
    )
    expect(
        not _near(two, (0.5, 0.75, 0.25, 0.5)),
        "two models that do not both hit still agree by chance",
    )
    for classes, value in ((2, two), (5, five)):
        u = FeatureType(1.0, 2, 1, 1)  # hit with probability one half
        truth = (
            0.5,
            accuracy([u], classes),
            agreement([u], classes),
            gap([u], classes),
        )
        expect(
            _near(value, truth),
            f"for {classes} classes it is {truth}, got {value}",
        )


@largest_gap.wrong("right for two classes only")
def _(classes):
    return 0.5, 0.75, 0.625, 0.125


@largest_gap.wrong("at u = 1 all points are hit")
def _(classes):
    return 1.0, 1.0, 1.0, 0.0


@largest_gap.wrong("still agree by chance")
def _(classes):
    right = 1 / classes + (1 - 1 / classes) / 2
    return 0.5, right, 0.25, right - 0.25


@largest_gap.unusual
def _(classes):
    u = np.linspace(0, 1, 100_001)
    gaps = (1 - 1 / classes) * u * (1 - u)
    best = u[np.argmax(gaps)]
    right = 1 / classes + (1 - 1 / classes) * best
    return best, right, right - gaps.max(), gaps.max()


# ---- a noise that restores the equality ----


@exercise(
    minutes=15,
    hint=r"Write accuracy and agreement of the one type with misleading features, set them equal, and divide by $u$.",
    worked=r"Accuracy $\tfrac1C+u(1-\varepsilon-\tfrac1C)$ and agreement $\tfrac1C+(1-\tfrac1C)u^2$ are equal when "
    r"$1-\varepsilon-\tfrac1C=(1-\tfrac1C)u$, so $\varepsilon=(1-\tfrac1C)(1-u)$. For two classes and $u=0.6$: "
    r"$\varepsilon=0.2$, error and disagreement 0.32. Is this world calibrated? A large ensemble gives the indicated "
    r"class the share $u+(1-u)/C$ of its votes, and that class is right with probability $1-\varepsilon="
    r"\tfrac1C+(1-\tfrac1C)u$: the same number. With *one* type the equality and calibration are the same condition. "
    r"With two types the equality needs only that the gaps cancel in the sum, and each type may be miscalibrated.",
)
def balancing_noise(u, classes):
    r"""Return the noise for which disagreement equals error, and that error.

    A world has one type of points, hit with probability $u>0$. Which probability $\varepsilon$ of a misleading feature makes
    disagreement and error exactly equal? Return $\varepsilon$ and the common value, for any number of classes. Is
    the infinite ensemble calibrated then? And would it be with two types of points?
    """
    noise = (1 - 1 / classes) * (1 - u)
    error = (1 - 1 / classes) * (1 - u**2)
    return noise, error


@balancing_noise.checker
def _(answer):
    noise, error = answer(0.6, 2)
    expect(
        not np.isclose(noise, 0.4),
        "without guesses it would be 1 - u: but a miss is right with probability 1/C",
    )
    expect(
        not (np.isclose(noise, 0.2) and np.isclose(error, 0.2)),
        "that is the noise, not the error: points that are missed are guessed",
    )
    for u, classes in ((0.6, 2), (0.3, 4)):
        noise, error = answer(u, classes)
        right = 1 / classes + u * (1 - noise - 1 / classes)
        alike = 1 / classes + (1 - 1 / classes) * u**2
        expect(
            np.isclose(right, alike),
            f"with noise {noise:.4g} accuracy is {right:.4g} and agreement {alike:.4g} (u = {u}, {classes} classes)",
        )
        expect(
            np.isclose(error, 1 - right),
            f"the error is {1 - right:.4g}, got {error:.4g}",
        )


@balancing_noise.wrong("without guesses it would be 1 - u")
def _(u, classes):
    return 1 - u, 1 - u**2


@balancing_noise.wrong("that is the noise, not the error")
def _(u, classes):
    noise = (1 - 1 / classes) * (1 - u)
    return noise, noise


@balancing_noise.wrong("4 classes")
def _(u, classes):
    return (1 - u) / 2, (1 - u**2) / 2


@balancing_noise.unusual
def _(u, classes):
    low, high = 0.0, 1.0
    agree = 1 / classes + (1 - 1 / classes) * u**2
    for _ in range(100):
        middle = (low + high) / 2
        right = 1 / classes + u * (1 - middle - 1 / classes)
        low, high = (middle, high) if right > agree else (low, middle)
    return low, 1 - agree


# ---- disagreement from a learning curve ----


@exercise(
    minutes=15,
    hint=r"Two sets of $N$ points that share a fraction $w$ have a union of $(2-w)N$ points.",
    worked=r"The union law says $\mathrm{Dis}=2\,\mathrm{Err}(N)-\mathrm{Err}((2-w)N)$. With "
    r"$\mathrm{Err}(N)=aN^{-\beta}$ the ratio is $2-(2-w)^{-\beta}$. Independent sets, $w=0$ and $\beta=\tfrac12$: "
    r"$2-2^{-1/2}=1.293$. Half shared: $2-1.5^{-1/2}=1.184$. Same set, $w=1$: exactly 1, the GDE. The excess of disagreement "
    r"over error is what an ensemble of two could still gain.",
)
def disagreement_ratio(beta, overlap):
    r"""Return disagreement / error when the error falls as N ** -beta.

    Models follow the union law, and their error falls as $N^{-\beta}$ with the number of training points. Two models are
    trained on $N$ points each, of which a fraction `overlap` is common to both. What is disagreement divided by error?
    """
    return 2 - (2 - overlap) ** -beta


@disagreement_ratio.checker
def _(answer):
    separate, half, same = (answer(0.5, w) for w in (0.0, 0.5, 1.0))
    expect(
        not np.isclose(separate, 2 - 2**0.5),
        "the error falls with more data: N ** -beta, with a minus",
    )
    expect(
        not np.isclose(separate, 2**-0.5),
        "that is the error of the union; disagreement is twice the error minus it",
    )
    expect(
        np.isclose(same, 1),
        f"on the same data the ratio is 1, got {same:.4g}: the union has (2 - overlap) N points",
    )
    expect(
        np.isclose(separate, 2 - 2**-0.5),
        f"on separate data it is 1.293 for beta = 1/2, got {separate:.4g}",
    )
    expect(
        np.isclose(half, 2 - 1.5**-0.5),
        f"half shared it is 1.184 for beta = 1/2, got {half:.4g}",
    )


@disagreement_ratio.wrong("with a minus")
def _(beta, overlap):
    return 2 - (2 - overlap) ** beta


@disagreement_ratio.wrong("on the same data the ratio is 1")
def _(beta, overlap):
    return 2 - 2**-beta


@disagreement_ratio.wrong("that is the error of the union")
def _(beta, overlap):
    return (2 - overlap) ** -beta


@disagreement_ratio.unusual
def _(beta, overlap):
    n = 1000.0
    union = n + n * (1 - overlap)
    return (2 * n**-beta - union**-beta) / n**-beta
