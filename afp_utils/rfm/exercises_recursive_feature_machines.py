r"""Exercises of the chapter "Can a kernel machine learn features?"."""

import numpy as np

from afp_utils.book.exercises import exercise, expect


def _draw(*shapes, seed=6):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


def _close(value, truth, rtol=1e-8):
    return np.shape(value) == np.shape(truth) and np.allclose(value, truth, rtol=rtol, atol=rtol * np.abs(truth).max())


# ---- the closed form, for another kernel ----


def _polynomial_gradients(x, alpha, metric, own=True):
    weights = 2 * (1 + x @ metric @ x.T)
    if not own:
        np.fill_diagonal(weights, 0)
    return weights @ (alpha[:, None] * x) @ metric


@exercise(
    minutes=15,
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


@polynomial_agop.checker
def _(answer):
    x, alpha, root = _draw((9, 4), 9, (4, 3))
    metric = root @ root.T
    value = answer(x.copy(), alpha.copy(), metric.copy())
    expect(
        np.shape(value) == (4, 4),
        f"the matrix must have shape (4, 4) for four coordinates, got {np.shape(value)}",
    )
    g = _polynomial_gradients(x, alpha, metric)
    truth = g.T @ g / 9
    dropped = _polynomial_gradients(x, alpha, metric, own=False)
    expect(
        not _close(value, dropped.T @ dropped / 9),
        "keep the own terms: this kernel has no kink, its gradient at a centre is as good as any other",
    )
    expect(
        not _close(value, truth * 9),
        "that is the sum over the points: the average divides by n",
    )
    expect(
        not _close(value, truth / 4),
        "a factor is missing: the derivative of a square is twice its root",
    )
    z = x @ root
    inner = 2 * (1 + z @ z.T) @ (alpha[:, None] * x)
    expect(
        not _close(value, inner.T @ inner / 9),
        "the gradient of x' M z with respect to x is M z, not z",
    )
    expect(
        not _close(value, truth - np.outer(g.mean(0), g.mean(0))),
        "that is the centred one: do not subtract the mean gradient",
    )
    weights = 2 * (1 + x @ metric @ x.T)
    apart = g - (weights @ alpha)[:, None] * (x @ metric)
    expect(
        not _close(value, apart.T @ apart / 9),
        "that is the formula for kernels of a distance: this kernel's gradient has no difference x - x_i",
    )
    expect(
        _close(value, truth),
        "compare with finite differences of f(x) = sum_i alpha_i (1 + x' M x_i)^2",
    )


@polynomial_agop.wrong("keep the own terms")
def _(x, alpha, metric):
    g = _polynomial_gradients(x, alpha, metric, own=False)
    return g.T @ g / len(x)


@polynomial_agop.wrong("the average divides by n")
def _(x, alpha, metric):
    g = _polynomial_gradients(x, alpha, metric)
    return g.T @ g


@polynomial_agop.wrong("twice its root")
def _(x, alpha, metric):
    g = _polynomial_gradients(x, alpha, metric) / 2
    return g.T @ g / len(x)


@polynomial_agop.wrong("is M z, not z")
def _(x, alpha, metric):
    g = 2 * (1 + x @ metric @ x.T) @ (alpha[:, None] * x)
    return g.T @ g / len(x)


@polynomial_agop.wrong("kernels of a distance")
def _(x, alpha, metric):
    weights = 2 * (1 + x @ metric @ x.T)
    g = weights @ (alpha[:, None] * x) - (weights @ alpha)[:, None] * x
    return metric @ g.T @ g @ metric / len(x)


@polynomial_agop.wrong("do not subtract the mean")
def _(x, alpha, metric):
    g = _polynomial_gradients(x, alpha, metric)
    return np.cov(g, rowvar=False, bias=True)


@polynomial_agop.wrong("shape (4, 4) for four coordinates")
def _(x, alpha, metric):
    g = _polynomial_gradients(x, alpha, metric)
    return g @ g.T / len(x)


@polynomial_agop.wrong("compare with finite differences")
def _(x, alpha, metric):  # the one in (1 + x' M z) is lost
    g = 2 * (x @ metric @ x.T) @ (alpha[:, None] * x) @ metric
    return g.T @ g / len(x)


@polynomial_agop.unusual
def _(x, alpha, metric):
    # f is a quadratic form: its gradient is linear in x
    linear = 2 * metric @ (alpha @ x)
    square = 2 * metric @ (x.T * alpha) @ x @ metric
    rows = [np.outer(g, g) for g in linear + x @ square]
    return np.mean(rows, axis=0)


# ---- units of the target ----


@exercise(
    minutes=10,
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


@bandwidth_in_other_units.checker
def _(answer):
    cases = [(10.0, 3.0, 1.0), (10.0, 3.0, 0.5), (2.0, 0.2, 0.25)]
    values = np.array([float(answer(*case)) for case in cases])
    length, c, s = np.array(cases).T
    expect(
        not _close(values, length),
        "the metric changes with the units: gradients of c f are c times those of f",
    )
    expect(
        not _close(values, length * c ** (2 * s)),
        "that is the factor of the metric; a distance is the root of a quadratic form",
    )
    expect(not _close(values, length * c), "the power of the metric must enter")
    expect(
        not _close(values, length * c ** (s / 2)),
        "an outer product has two gradients in it, so the AGOP gets the square of the factor",
    )
    expect(
        not _close(values, length / c**s),
        "the wrong way round: distances grow with c, so the bandwidth must grow too",
    )
    expect(
        _close(values, length * c**s),
        "follow the factor c through solve, gradient, outer product, power, distance",
    )


@bandwidth_in_other_units.wrong("the metric changes with the units")
def _(bandwidth, factor, power):
    return bandwidth


@bandwidth_in_other_units.wrong("that is the factor of the metric")
def _(bandwidth, factor, power):
    return bandwidth * factor ** (2 * power)


@bandwidth_in_other_units.wrong("the power of the metric must enter")
def _(bandwidth, factor, power):
    return bandwidth * factor


@bandwidth_in_other_units.wrong("two gradients")
def _(bandwidth, factor, power):
    return bandwidth * factor ** (power / 2)


@bandwidth_in_other_units.wrong("the wrong way round")
def _(bandwidth, factor, power):
    return bandwidth / factor**power


@bandwidth_in_other_units.wrong("follow the factor c")
def _(bandwidth, factor, power):
    return bandwidth * factor * power


@bandwidth_in_other_units.unusual
def _(bandwidth, factor, power):
    metric = (factor * factor) ** power
    return np.sqrt(metric) * bandwidth


# ---- deep linear networks that are not balanced ----


def _psd(levels, seed=3):
    (a,) = _draw((len(levels),) * 2, seed=seed)
    q, _ = np.linalg.qr(a)
    return (q * levels) @ q.T


@exercise(
    minutes=15,
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


@first_layer_matrix.checker
def _(answer):
    levels = np.array([0.1, 0.3, 1.1, 2.4])
    truth = _psd(levels)
    for c in (0.7, 0.0, 3.0):
        value = answer(truth @ truth + c * truth, c)
        agop = truth @ truth + c * truth
        expect(
            np.shape(value) == (4, 4),
            f"the matrix must have shape (4, 4), got {np.shape(value)}",
        )
        root = _psd(np.sqrt(levels**2 + c * levels))
        if c:
            expect(
                not _close(value, root, 1e-6),
                "that is right for balanced layers only: the imbalance must enter",
            )
            expect(
                not _close(value, agop / c, 1e-6),
                "that holds in the limit of a large imbalance only",
            )
            other = (np.sqrt(c**2 + 4 * (levels**2 + c * levels)) + c) / 2
            expect(
                not _close(value, _psd(other), 1e-6),
                "that solves N N - c N = AGOP: c has the wrong sign, and a direction without gradient would keep weights",
            )
        elementwise = (np.sqrt(np.abs(c**2 + 4 * agop)) - c) / 2
        expect(
            not _close(value, elementwise, 1e-6),
            "the square root of a matrix is not that of its entries: use its eigenvectors",
        )
        expect(
            _close(value, truth, 1e-6),
            "check that N N + c N gives back the AGOP for your N",
        )


@first_layer_matrix.wrong("right for balanced layers only")
def _(agop, imbalance):
    levels, vectors = np.linalg.eigh(agop)
    return (vectors * np.sqrt(np.maximum(levels, 0))) @ vectors.T


@first_layer_matrix.wrong("c has the wrong sign")
def _(agop, imbalance):
    levels, vectors = np.linalg.eigh(agop)
    roots = np.sqrt(imbalance**2 + 4 * np.maximum(levels, 0)) + imbalance
    return (vectors * roots / 2) @ vectors.T


@first_layer_matrix.wrong("not that of its entries")
def _(agop, imbalance):
    return (np.sqrt(np.abs(imbalance**2 + 4 * agop)) - imbalance) / 2


@first_layer_matrix.wrong("the matrix must have shape (4, 4), got")
def _(agop, imbalance):
    levels = np.maximum(np.linalg.eigvalsh(agop), 0)
    return (np.sqrt(imbalance**2 + 4 * levels) - imbalance) / 2


@first_layer_matrix.wrong("in the limit of a large imbalance only")
def _(agop, imbalance):
    return agop / imbalance


@first_layer_matrix.wrong("N N + c N gives back the AGOP")
def _(agop, imbalance):  # the halves of the quadratic formula are lost
    return 2 * first_layer_matrix.solution(agop, imbalance)


@first_layer_matrix.unusual
def _(agop, imbalance):
    # complete the square: (N + c/2)^2 = AGOP + c^2/4
    square = agop + imbalance**2 / 4 * np.eye(len(agop))
    left, levels, right = np.linalg.svd(square)
    root = (left * np.sqrt(levels)) @ right
    return root - imbalance / 2 * np.eye(len(agop))


# ---- correlation for free ----


@exercise(
    minutes=20,
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


@correlation_of_strangers.checker
def _(answer):
    cases = [(128, 16), (40, 30), (1000, 5)]
    values = np.array([float(answer(*case)) for case in cases])
    m, d = np.array(cases, dtype=float).T
    truth = m * (d - 1) / (m * (d - 1) + d * (d + 1))
    expect(
        not np.allclose(values, 0, atol=1e-3),
        "independent matrices, yes, but their entries are not centred: the diagonal is large in both",
    )
    expect(
        not np.allclose(values, 1, atol=1e-6),
        "that is the limit of infinite width; entries off the diagonal fluctuate",
    )
    expect(
        not _close(values, np.sqrt(truth)),
        "the covariance is divided by the product of both standard deviations, the variance of one matrix",
    )
    expect(
        not _close(values, m / (m + d + 1)),
        "Pearson subtracts the grand mean m/d first: the pattern has variance m^2 (d - 1) / d^2, not m^2 / d",
    )
    expect(
        np.allclose(values, truth, atol=0.006),
        "draw two such matrices and compare: np.corrcoef of the flattened entries",
    )


@correlation_of_strangers.wrong("their entries are not centred")
def _(m, d):
    return 0.0


@correlation_of_strangers.wrong("limit of infinite width")
def _(m, d):
    return 1.0


@correlation_of_strangers.wrong("divided by the product")
def _(m, d):
    return np.sqrt(m * (d - 1) / (m * (d - 1) + d * (d + 1)))


@correlation_of_strangers.wrong("subtracts the grand mean")
def _(m, d):
    return m / (m + d + 1)


@correlation_of_strangers.wrong("draw two such matrices and compare")
def _(m, d):  # all entries fluctuate like those off the diagonal
    return m / (m + 2 * d)


@correlation_of_strangers.unusual
def _(m, d):
    rng, seen = np.random.default_rng(0), []
    for _ in range(300):
        v, w = rng.normal(size=(2, m, d))
        both = np.corrcoef((v.T @ v).ravel(), (w.T @ w).ravel())
        seen.append(both[0, 1])
    return np.mean(seen)


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


def _outside(x, test):
    train = np.setdiff1d(np.arange(len(x)), test)
    return train, train[::3], np.setdiff1d(train, train[::3])


@honest_accuracy.wrong("the metric has seen labels")
def _(x, y, folds, ridges, learn, score):
    metrics, scores = [learn(x, y, ridge) for ridge in ridges], []
    for test in folds:
        train, _, _ = _outside(x, test)
        best = score(metrics[0], ridges[0], x[train], y[train], x[test], y[test])
        scores.append(best)
    return np.mean(scores)


@honest_accuracy.wrong("the test part must not choose")
def _(x, y, folds, ridges, learn, score):
    scores = []
    for test in folds:
        fit = [part[_outside(x, test)[0]] for part in (x, y)]
        trials = [score(learn(*fit, r), r, *fit, x[test], y[test]) for r in ridges]
        scores.append(max(trials))
    return np.mean(scores)


@honest_accuracy.wrong("that the machine was fitted to")
def _(x, y, folds, ridges, learn, score):
    scores = []
    for test in folds:
        fit = [part[_outside(x, test)[0]] for part in (x, y)]
        trials = [score(learn(*fit, r), r, *fit, *fit) for r in ridges]
        best = ridges[int(np.argmax(trials))]
        scores.append(score(learn(*fit, best), best, *fit, x[test], y[test]))
    return np.mean(scores)


@honest_accuracy.wrong("rows of the test part took part in the choice")
def _(x, y, folds, ridges, learn, score):
    half, other = np.array_split(np.arange(len(x)), 2)
    fit, unseen, scores = (x[half], y[half]), (x[other], y[other]), []
    trials = [score(learn(*fit, r), r, *fit, *unseen) for r in ridges]
    best = ridges[int(np.argmax(trials))]
    for test in folds:
        fit = [part[_outside(x, test)[0]] for part in (x, y)]
        scores.append(score(learn(*fit, best), best, *fit, x[test], y[test]))
    return np.mean(scores)


@honest_accuracy.wrong("choose the ridge, too")
def _(x, y, folds, ridges, learn, score):
    scores = []
    for test in folds:
        fit = [part[_outside(x, test)[0]] for part in (x, y)]
        metric = learn(*fit, ridges[1])
        scores.append(score(metric, ridges[1], *fit, x[test], y[test]))
    return np.mean(scores)


@honest_accuracy.wrong("anew on the whole training part")
def _(x, y, folds, ridges, learn, score):
    scores = []
    for test in folds:
        _, held, rest = _outside(x, test)
        fit, unseen = (x[rest], y[rest]), (x[held], y[held])
        metrics = [learn(*fit, r) for r in ridges]
        trials = [score(m, r, *fit, *unseen) for m, r in zip(metrics, ridges)]
        k = int(np.argmax(trials))
        scores.append(score(metrics[k], ridges[k], *fit, x[test], y[test]))
    return np.mean(scores)


@honest_accuracy.wrong("learn must get as many labels as points")
def _(x, y, folds, ridges, learn, score):
    train, _, rest = _outside(x, folds[0])
    return learn(x[rest], y[train], ridges[0])


@honest_accuracy.wrong("a metric that learn has returned")
def _(x, y, folds, ridges, learn, score):
    _, held, rest = _outside(x, folds[0])
    plain = np.eye(x.shape[1])
    return score(plain, ridges[0], x[rest], y[rest], x[held], y[held])


@honest_accuracy.wrong("score must get as many labels as points")
def _(x, y, folds, ridges, learn, score):
    _, held, rest = _outside(x, folds[0])
    metric = learn(x[rest], y[rest], ridges[0])
    return score(metric, ridges[0], x[rest], y[rest], x[held], y)


def _nested(x, y, folds, ridges, learn, score, pick=np.argmax, anew=True):
    scores = []
    for test in folds:
        train, held, rest = _outside(x, test)
        fit, unseen = (x[rest], y[rest]), (x[held], y[held])
        metrics = [learn(*fit, r) for r in ridges]
        trials = [score(m, r, *fit, *unseen) for m, r in zip(metrics, ridges)]
        k, fit = int(pick(trials)), (x[train], y[train])
        metric = learn(*fit, ridges[k]) if anew else metrics[k]
        scores.append(score(metric, ridges[k], *fit, x[test], y[test]))
    return scores


@honest_accuracy.wrong("learn from all points outside the fold")
def _(*given):  # the machine is fitted anew, the metric is the trial's
    return np.mean(_nested(*given, anew=False))


@honest_accuracy.wrong("take the ridge with the largest accuracy")
def _(*given):  # accuracies taken for errors
    return np.mean(_nested(*given, pick=np.argmin))


@honest_accuracy.wrong("return the mean of the scores of the folds")
def _(*given):
    return _nested(*given)


@honest_accuracy.unusual
def _(x, y, folds, ridges, learn, score):
    # the other folds take turns inside
    total = 0.0
    for k, test in enumerate(folds):
        others, trials = [f for i, f in enumerate(folds) if i != k], []
        for ridge in ridges:
            trials.append(0.0)
            for held in others:
                rest = np.concatenate([f for f in others if f is not held])
                fit = x[rest], y[rest]
                metric = learn(*fit, ridge)
                trials[-1] += score(metric, ridge, *fit, x[held], y[held])
        best, rest = ridges[np.argmax(trials)], np.concatenate(others)
        metric = learn(x[rest], y[rest], best)
        total += score(metric, best, x[rest], y[rest], x[test], y[test])
    return total / len(folds)
