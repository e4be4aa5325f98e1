r"""Exercises of the chapter "Do a network's weights show what it has learned?"."""

import numpy as np

from afp_utils.book.exercises import exercise

# ---- how much a cosine forgives ----


def _missed(rng):
    yield from ((2, 3, 16), (1, 4, 9))
    for d in rng.integers(6, 30, 3).tolist():
        wanted = int(rng.integers(3, d - 1))
        yield int(rng.integers(2, wanted)), wanted, d


@exercise(
    minutes=10,
    inputs=_missed,
    hint=r"Take the multiple of the identity out of a projection of rank $k$: its diagonal, in a basis that suits, is then $1-\frac kd$ "
    r"in $k$ places and $-\frac kd$ in the others.",
    worked=r"Let $P_k$ and $P_j$ be the projections. $\operatorname{tr}(P_jP_k)=j$, so without the traces their inner product is "
    r"$j-\frac{jk}d=\frac{j(d-k)}d$, and for $j=k$ the squared length is $\frac{k(d-k)}d$. The cosine is"
    "\n\n$$\\sqrt{\\frac{j\\,(d-k)}{k\\,(d-j)}} .$$\n\n"
    r"With two of three directions among sixteen it is 0.79, with one of three 0.54. A cosine of 0.8 may mean that a third of what "
    r"matters is missing.",
)
def missed_directions(found, wanted, d):
    r"""Return the deviatoric cosine of the two matrices.

    A target depends on `wanted` orthonormal directions among $d$, and its AGOP is the projection onto them. A network's
    $W_1^\top W_1$ is the projection onto `found` of them, and zero elsewhere. How alike are the two?
    """
    share = found / wanted
    return np.sqrt(share * (d - wanted) / (d - found))


missed_directions.mistake("that is the cosine as they are: take the multiple of the identity out of both first")(
    lambda found, wanted, d: np.sqrt(found / wanted)
)

missed_directions.mistake("that is the share of the directions, not a cosine")(lambda found, wanted, d: found / wanted)

missed_directions.mistake("that is the square of the cosine: divide by lengths, not by their squares")(
    lambda found, wanted, d: missed_directions.solution(found, wanted, d) ** 2
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
