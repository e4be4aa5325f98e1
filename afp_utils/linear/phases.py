"""Phases of the one-direction linear network: how scales that grow with the size of the network decide what it learns.

Every quantity is a power of one size, usually the width. Two numbers made of the powers tell the phases apart: how lazy
the network is, and how fast one step of unit size moves it. That there is such a diagram is due to Xu & Ziyin (2025);
these formulas are derived in this book.
"""

from dataclasses import dataclass

from afp_utils.core.refuse import Finite, NonNegative, Positive, checked

EXACT = 1e-9
"""Powers closer than this are equal: sums of decimal fractions are not exact."""


@checked
@dataclass(frozen=True)
class Exponents:
    """Powers of the size: width, output scale, standard deviations of both layers' weights, and both learning rates."""

    width: NonNegative = 1.0
    gamma: Finite = 0.0
    sigma_u: Finite = 0.0
    sigma_w: Finite = 0.0
    eta_u: Finite = 0.0
    eta_w: Finite = 0.0

    @checked
    def at(self, size: Positive) -> dict[str, float]:
        """The quantities themselves, with prefactors one."""
        return {name: size**power for name, power in vars(self).items()}


@checked
@dataclass(frozen=True)
class Phase:
    """Powers of the size that decide the phase, and its name.

    `output` nu: of gamma |u| |w|. `imbalance` rho: of sqrt(eta_w) |u| / (sqrt(eta_u) |w|). `laziness` = nu + |rho|: of the
    tangent kernel relative to what the target asks of it. `speed` tau: of the rate of convergence per unit of time.
    """

    output: float
    imbalance: float
    laziness: float
    speed: float
    name: str


PARAMETERISATIONS = {
    "NTK": Exponents(gamma=-0.5),
    "standard, rate 1/m": Exponents(sigma_u=-0.5, eta_u=-1.0, eta_w=-1.0),
    "standard, rate 1": Exponents(sigma_u=-0.5),
    "Xavier": Exponents(sigma_u=-0.5, sigma_w=-0.5),
    "mean field": Exponents(gamma=-1.0, eta_u=1.0, eta_w=1.0),
    "mean field, rate 1": Exponents(gamma=-1.0),
    "muP": Exponents(sigma_u=-1.0, eta_u=-1.0, eta_w=1.0),
    "beyond mean field": Exponents(gamma=-1.5, eta_u=1.5, eta_w=1.5),
    "imbalanced lazy": Exponents(gamma=-0.75, sigma_w=-0.5, eta_w=0.5),
    "lazy by scale": Exponents(width=0.0, gamma=1.0, eta_u=-2.0, eta_w=-2.0),
}
"""Common choices for inputs of fixed dimension, where a layer's fan-in is 1 for w and the width m for u.

The size is the width, except for "lazy by scale": there the width is fixed and the output scale grows.
"""


@checked
def phase(exponents: Exponents, zero_start: bool = False) -> Phase:
    """Which phase a family of networks is in, for Gaussian weights and a target of size one, trained in unit steps.

    nu = gamma + width + sigma_u + sigma_w, rho = (eta_w - eta_u) / 2 + sigma_u - sigma_w, Lambda = nu + |rho|,
    tau = gamma + (eta_u + eta_w) / 2 + max(0, Lambda). This book.

    tau < 0 is "frozen" (unit steps do nothing; it would take size^-tau of them), tau > 0 "unstable". Else Lambda < 0 is
    "diverging" (rich: the tangent kernel grows without bound), Lambda = 0 "rich", Lambda > 0 "lazy"; except that where
    neither width nor imbalance makes the first output small beside the weights it is "disalignment": the tangent
    kernel changes while a large first output is unlearned. `zero_start` says that this output is zero by construction.

    >>> {name: phase(powers).name for name, powers in PARAMETERISATIONS.items() if name in ("NTK", "mean field")}
    {'NTK': 'lazy', 'mean field': 'rich'}
    """
    e = exponents
    output = e.gamma + e.width + e.sigma_u + e.sigma_w
    imbalance = (e.eta_w - e.eta_u) / 2 + e.sigma_u - e.sigma_w
    laziness = output + abs(imbalance)
    speed = e.gamma + (e.eta_u + e.eta_w) / 2 + max(0.0, laziness)
    small_start = zero_start or e.width > EXACT or abs(imbalance) > EXACT
    if abs(speed) > EXACT:
        name = "frozen" if speed < 0 else "unstable"
    elif abs(laziness) <= EXACT:
        name = "rich"
    elif laziness < 0:
        name = "diverging"
    else:
        name = "lazy" if small_start else "disalignment"
    return Phase(output, imbalance, laziness, speed, name)
