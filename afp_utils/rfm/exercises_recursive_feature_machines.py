r"""Exercises of the chapter "Can a kernel machine learn features?"."""

from functools import partial

import numpy as np

from afp_utils.book.exercises import exercise, expect

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

# ---- deep linear networks that are not balanced ----


def _unbalanced(rng):
    for d, imbalance in (4, rng.uniform(0.5, 1)), (3, 0.0), (5, rng.uniform(2, 4)), (2, rng.uniform(1.2, 2)):
        rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
        layer = (rotation * rng.uniform(0.1, 2.5, d)) @ rotation.T
        yield layer @ layer + imbalance * layer, imbalance


@exercise(
    minutes=15,
    inputs=_unbalanced,
    hint=r"Write $N=W_1^\top W_1$ and use $W_2^\top W_2=W_1W_1^\top+cI$ in the AGOP $W_1^\top W_2^\top W_2W_1$. What is the AGOP as a "
    r"polynomial of $N$?",
    worked=r"The gradient of $f=W_2W_1x$ is the same at all $x$, so $\mathrm{AGOP}=W_1^\top W_2^\top W_2W_1=W_1^\top(W_1W_1^\top+cI)W_1="
    r"N^2+cN$. Both matrices share their eigenvectors, and for each eigenvalue $\nu^2+c\nu=\mu$ has the one root "
    r"$\nu=\frac12(\sqrt{c^2+4\mu}-c)\ge0$. For $c=0$ this is the ansatz with power $\frac12$. For $c\gg\sqrt\mu$, where the second "
    r"layer is large from the start, $\nu\approx\mu/c$: the ansatz with power *one*. So the imbalance of the initialisation alone moves the "
    r"power from $\frac12$ to $1$, and there is no single right power to be found in a trained network.",
)
def first_layer_matrix(agop, imbalance):
    r"""Return the matrix W1' W1 of the first layer (d, d).

    A linear network $f(x)=W_2W_1x$ with at least as many outputs as hidden neurons is trained by gradient flow from an
    initialisation that is *not* balanced: $W_2^\top W_2-W_1W_1^\top=c\,I$ with $c\ge0$, which the flow keeps. Its AGOP is given.
    What is $W_1^\top W_1$?
    """
    levels, vectors = np.linalg.eigh(agop)
    levels = np.maximum(levels, 0)
    roots = (np.sqrt(imbalance**2 + 4 * levels) - imbalance) / 2
    return (vectors * roots) @ vectors.T


first_layer_matrix.mistake("that is right for balanced layers only: the imbalance must enter")(
    lambda agop, imbalance: first_layer_matrix.solution(agop, 0)
)


@first_layer_matrix.mistake("that holds in the limit of a large imbalance only")
@np.errstate(divide="ignore")
def _(agop, imbalance):
    return agop / imbalance


first_layer_matrix.mistake(
    "that solves N N - c N = AGOP: c has the wrong sign, and a direction without gradient would keep weights"
)(lambda agop, imbalance: first_layer_matrix.solution(agop, -imbalance))

first_layer_matrix.mistake("the square root of a matrix is not that of its entries: use its eigenvectors")(
    lambda agop, imbalance: (np.sqrt(np.abs(imbalance**2 + 4 * agop)) - imbalance) / 2
)

first_layer_matrix.mistake("where are the halves of the quadratic formula? N N + c N must give back the AGOP")(
    lambda agop, imbalance: 2 * first_layer_matrix.solution(agop, imbalance)
)

# ---- correlation for free ----


def _sizes(rng):  # the formula is good there, and so is the mean of some hundred draws
    return [*rng.integers((50, 36), (80, 46), (4, 2)).tolist(), (int(rng.integers(300, 500)), 40)]


@exercise(
    minutes=20,
    inputs=_sizes,
    tolerance=6e-3,  # for answers that draw matrices
    hint=r"Split the entries: those on the diagonal are about $m$, the others about $0$, both with fluctuations that are independent "
    r"between the two matrices. Only the pattern *diagonal or not* is shared.",
    worked=r"Let $A=V^\top V$ and $B=W^\top W$ with independent standard normal entries. On the diagonal $A_{ii}$ has mean $m$ and variance $2m$, "
    r"elsewhere mean $0$ and variance $m$. The grand mean is $m/d$. Averaged over all $d^2$ entries the mean pattern has the variance "
    r"$\frac{m^2}d-\frac{m^2}{d^2}=m^2\frac{d-1}{d^2}$, which is also the covariance of $A$ and $B$, and the fluctuations add "
    r"$\frac{2m}d+m\frac{d-1}d=m\frac{d+1}d$. So the correlation is about"
    "\n\n$$\\frac{m^2\\,(d-1)/d^2}{m^2\\,(d-1)/d^2+m\\,(d+1)/d}$$\n\nor, expanded by $d^2/m$,\n\n$$\\frac{m(d-1)}{m(d-1)+d(d+1)} .$$\n\n"
    r"It tends to one for wide layers: two matrices that have nothing to do with each other are perfectly correlated, because both are nearly a "
    r"multiple of the identity. The deviatoric cosine of the same two matrices is zero on average. (The mean of a ratio is not the ratio of "
    r"means: the formula is low, by less than 1.5 % if $m$ and $d$ are at least 10, but by 8 % for $m=10$, $d=5$.)",
)
def correlation_of_strangers(m, d):
    r"""Return the expected Pearson correlation of the two matrices' entries.

    Two layers $V$ and $W$ of shape $m\times d$ have independent standard normal entries and have never met. Compute, as the
    ratio of means (good for $m$ and $d$ of at least 10), the Pearson correlation between all $d^2$ entries of $V^\top V$ and those of $W^\top W$.
    """
    shared = m * (d - 1)
    noise = d * (d + 1)
    return shared / (shared + noise)


correlation_of_strangers.mistake(
    "independent matrices, yes, but their entries are not centred: the diagonal is large in both"
)(lambda m, d: 0.0)

correlation_of_strangers.mistake("that is the limit of infinite width; entries off the diagonal fluctuate")(
    lambda m, d: 1.0
)

correlation_of_strangers.mistake(
    "the covariance is divided by the product of both standard deviations, the variance of one matrix"
)(lambda m, d: np.sqrt(correlation_of_strangers.solution(m, d)))

correlation_of_strangers.mistake(
    "Pearson subtracts the grand mean m/d first: the pattern has variance m^2 (d - 1) / d^2, not m^2 / d"
)(lambda m, d: m / (m + d + 1))

correlation_of_strangers.mistake(
    "only the diagonal has the variance 2 m: draw two such matrices and compare, np.corrcoef of the flattened entries"
)(lambda m, d: m / (m + 2 * d))

# ---- nested cross-validation of a learned metric ----

RIDGES = [0.01, 0.1, 1.0, 10.0]
FOLDS = [[0, 5, 9, 10, 16], [1, 2, 3, 4, 12, 17], [6, 7, 8, 11, 13, 14, 15]]


class _Spies:
    """`learn` and `score` that note the rows they are given; row numbers stand in the first column.

    Another ridge is best inside each fold's training part; the smallest is if rows of all folds take part.
    """

    def __init__(self):
        self.learned, self.scored = [], []

    def learn(self, x, y, ridge):
        expect(len(x) == len(y), "learn must get as many labels as points")
        self.learned.append({int(i) for i in x[:, 0]})
        return len(self.learned) - 1

    def score(self, metric, ridge, x, y, x_test, y_test):
        train, test = ({int(i) for i in part[:, 0]} for part in (x, x_test))
        expect(
            isinstance(metric, int) and 0 <= metric < len(self.learned),
            "score must get a metric that learn has returned",
        )
        expect(
            len(x) == len(y) and len(x_test) == len(y_test),
            "score must get as many labels as points",
        )
        self.scored.append((metric, ridge, train, test))
        if test in map(set, FOLDS) and len(train | test) == 18:
            return 0.5 + 0.1 * FOLDS.index(sorted(test)) ** 2
        unseen = [set(fold).isdisjoint(train | test) for fold in FOLDS]
        best = 0 if not any(unseen) or train & test else unseen.index(True) + 1
        return 0.9 if ridge == RIDGES[best] else 0.3


@exercise(
    minutes=20,
    hint=r"The training part of a fold is a small table of its own. What would you do with it if the fold did not exist?",
    worked=r"In each fold everything that looks at labels happens on the training part, and there are two such things. The ridge is chosen by "
    r"rows of the training part that neither the metric nor the machine of the trial has seen; the metric is then learned anew, "
    r"on the whole training part, with the chosen ridge, and the fold is looked at once. It costs one call of `learn` for each ridge and "
    r"fold instead of one in all, and this is the price of a number that can be believed.",
)
def honest_accuracy(x, y, folds, ridges, learn, score):
    r"""Return the mean accuracy over the folds, without any leak.

    `folds` is a list of arrays of row numbers that together cover the table, each once the test part. `learn(x, y, ridge)` returns a
    metric from labelled points. `score(metric, ridge, x, y, x_test, y_test)` fits a kernel machine in that metric to `x, y` and returns
    its accuracy on `x_test, y_test`. In each fold one of `ridges` is to be chosen by its accuracy on some rows that you hold out, and then used on the whole
    training part. Write this so that a coin toss gets no more than chance.
    """
    scores = []
    for test in folds:
        train = np.setdiff1d(np.arange(len(x)), test)
        held, rest = train[::3], np.setdiff1d(train, train[::3])
        fit, unseen = (x[rest], y[rest]), (x[held], y[held])
        trials = [score(learn(*fit, r), r, *fit, *unseen) for r in ridges]
        ridge, fit = ridges[int(np.argmax(trials))], (x[train], y[train])
        scores.append(score(learn(*fit, ridge), ridge, *fit, x[test], y[test]))
    return np.mean(scores)


@honest_accuracy.checker
def _(answer):
    x = np.stack([np.arange(18.0), np.ones(18)], axis=1)
    y = np.arange(18) % 2
    everything, spies = set(range(18)), _Spies()
    folds = [np.array(fold) for fold in FOLDS]
    value = answer(x, y, folds, list(RIDGES), spies.learn, spies.score)
    for metric, _, train, test in spies.scored:
        expect(
            not train & test,
            "accuracy on points that the machine was fitted to says nothing, and cannot choose a ridge either",
        )
        expect(
            not spies.learned[metric] & test,
            "the metric has seen labels of the rows that test it: learn it from the same rows as the machine",
        )
    for k, fold in enumerate(map(set, FOLDS)):
        last = [call for call in spies.scored if call[3] == fold]
        last = [call for call in last if call[2] == everything - fold]
        expect(
            len(last) < 2,
            "the test part must not choose: score each fold once, with the ridge chosen before",
        )
        expect(
            last,
            "score every fold with all points outside it: learn and fit anew on the whole training part",
        )
        metric, ridge, train, _ = last[0]
        expect(
            spies.learned[metric] == train,
            "learn from all points outside the fold, anew on the whole training part",
        )
        inside = [c for c in spies.scored if fold.isdisjoint(c[2] | c[3])]
        expect(
            inside,
            "rows of the test part took part in the choice of the ridge: choose it inside each training part"
            if len(spies.scored) > len(FOLDS)
            else "choose the ridge, too: by its accuracy on rows held out of the training part",
        )
        expect(
            ridge == RIDGES[k + 1],
            "in each fold take the ridge with the largest accuracy on the rows held out of its own training part",
        )
    expect(
        np.shape(value) == () and np.isclose(float(value), 2.0 / 3),
        "return the mean of the scores of the folds",
    )


def _spoilt(*, learn=None, score=None):
    """The solution with another way to call `learn` or `score`."""

    def answer(x, y, folds, ridges, *calls):
        spoilt = [partial(new, call) if new else call for new, call in zip((learn, score), calls)]
        return honest_accuracy.solution(x, y, folds, ridges, *spoilt)

    return answer


def _with(x, y, folds, ridge, learn, score):
    """The accuracy with one ridge for all folds."""
    scores = []
    for test in folds:
        fit = np.delete(x, test, 0), np.delete(y, test)
        scores.append(score(learn(*fit, ridge), ridge, *fit, x[test], y[test]))
    return np.mean(scores)


@honest_accuracy.mistake("the metric has seen labels")
def _(x, y, folds, ridges, learn, score):
    return _spoilt(learn=lambda learn, _x, _y, r: learn(x, y, r))(x, y, folds, ridges, learn, score)


honest_accuracy.mistake("the test part must not choose")(
    lambda x, y, folds, ridges, learn, score: max(_with(x, y, folds, r, learn, score) for r in ridges)
)

honest_accuracy.mistake("that the machine was fitted to")(
    _spoilt(score=lambda score, metric, r, x, y, *_: score(metric, r, x, y, x, y))
)


@honest_accuracy.mistake("rows of the test part took part in the choice")
def _(x, y, folds, ridges, learn, score):
    fit, unseen = (x[::2], y[::2]), (x[1::2], y[1::2])
    trials = [score(learn(*fit, r), r, *fit, *unseen) for r in ridges]
    return _with(x, y, folds, ridges[int(np.argmax(trials))], learn, score)


honest_accuracy.mistake("choose the ridge, too")(
    lambda x, y, folds, ridges, learn, score: _with(x, y, folds, ridges[1], learn, score)
)

honest_accuracy.mistake("score every fold with all points outside it")(
    _spoilt(score=lambda score, metric, r, x, y, *test: score(metric, r, x[1:], y[1:], *test))
)

honest_accuracy.mistake("learn from all points outside the fold")(
    _spoilt(learn=lambda learn, x, y, r: learn(x[1:], y[1:], r))
)

honest_accuracy.mistake("take the ridge with the largest accuracy")(  # accuracies taken for errors
    lambda *given: -_spoilt(score=lambda score, *call: -score(*call))(*given)
)

honest_accuracy.mistake("return the mean of the scores of the folds")(lambda *given: 3 * _spoilt()(*given))

honest_accuracy.mistake("learn must get as many labels as points")(
    _spoilt(learn=lambda learn, x, y, r: learn(x, y[1:], r))
)

honest_accuracy.mistake("a metric that learn has returned")(_spoilt(learn=lambda *_: np.eye(2)))

honest_accuracy.mistake("score must get as many labels as points")(
    _spoilt(score=lambda score, *call: score(*call[:-1], call[-1][1:]))
)
