r"""Exercises of the chapter "What does a learned metric explain?"."""

from functools import partial

import numpy as np

from afp_utils.book.exercises import exercise, expect

# ---- a block that is partly circulant ----


@exercise(
    minutes=10,
    inputs=lambda rng: [(t,) for t in (0.5, 2.0, *rng.uniform(0.1, 0.9, 3))],
    hint=r"Write each term as a matrix. What is the mean of $\cos\theta(a+b)$ over the entries with the same $a-b$? What is the inner "
    r"product of the two terms?",
    worked=r"Along a line of equal $a-b$ the sum $a+b$ runs through all residues, since $p$ is odd, so $\Pi$ keeps the first term and "
    r"takes the second to zero. Both means are zero. Each cosine has the squared norm $p^2/2$, and the two are orthogonal, so"
    "\n\n$$\\text{residual}=\\frac{t^2\\,p^2/2}{(1+t^2)\\,p^2/2}=\\frac{t^2}{1+t^2} .$$\n\n"
    r"A Hankel term of a third of the size is seen as a tenth: the residual counts squares.",
)
def residual_of_mixture(t):
    r"""Return the residual of the block.

    A block of the metric for addition is not yet pure: $C_{ab}=\cos\theta(a-b)+t\cos\theta(a+b)$ with $\theta=2\pi k/p$, $p$ odd and
    $0<k<p$. Which share of it is not circulant?
    """
    return t**2 / (1 + t**2)


residual_of_mixture.mistake("that is the share that is circulant")(lambda t: 1 / (1 + t**2))

residual_of_mixture.mistake("the residual compares squared norms")(lambda t: t / (1 + t))

residual_of_mixture.mistake("divide by the norm of the whole block, not by that of its circulant part")(lambda t: t**2)

residual_of_mixture.mistake("the two terms are orthogonal: their squares add")(lambda t: t**2 / (1 + t) ** 2)

# ---- what a reused metric has carried over ----


def _leaks(rng):
    for classes, seen, recalled in (2, 0.5, 0.3), (3, 1.0, 0.2), (10, 0.5, 0.6), (4, *rng.uniform(0.2, 0.9, 2)):
        yield 1 / classes + seen * recalled * (1 - 1 / classes), classes, seen


@exercise(
    minutes=10,
    inputs=_leaks,
    hint=r"A test point is answered right if its label is recalled, or if it is not and the guess is right. Write the accuracy.",
    worked=r"A label is recalled with probability $uq$, where $u$ is the share that was seen and $q$ the answer. Else a guess is right with $\frac1c$. So "
    r"the accuracy is $uq+(1-uq)\frac1c$, which gives $q=\dfrac{a-1/c}{u\,(1-1/c)}$. With two classes and half of the rows seen, each "
    r"point of accuracy above one half stands for four of every hundred labels that were seen.",
)
def carried_labels(accuracy, classes, seen):
    r"""Return the share of the labels seen that the metric has carried over.

    The labels of a table are coin tosses with `classes` equally likely sides. A metric was learned from a share `seen` of the rows. When
    tested on all rows, suppose that the machine recalls a share $q$ of the labels that the metric has seen, and guesses at random everywhere else.
    Its accuracy is given. What is $q$?
    """
    chance = 1 / classes
    return (accuracy - chance) / (seen * (1 - chance))


carried_labels.mistake("a recalled label may have been guessed right anyway: it adds 1 - 1/c, not 1")(
    lambda accuracy, classes, seen: (accuracy - 1 / classes) / seen
)

carried_labels.mistake("only labels that were seen can be recalled: divide by their share")(
    lambda accuracy, classes, seen: (accuracy - 1 / classes) / (1 - 1 / classes)
)

carried_labels.mistake("some right answers are guesses")(lambda accuracy, classes, seen: accuracy / seen)

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
