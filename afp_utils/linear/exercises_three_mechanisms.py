r"""Exercises of the chapter "Alignment, disalignment, rescaling"."""

import math

import numpy as np

from afp_utils.book.exercises import exercise, expect
from afp_utils.linear.phases import Exponents, phase

RNG_SEED = 30


# ---- alignment under weight decay ----


@exercise(
    minutes=15,
    hint=r"Differentiate $G=\lvert u\rvert^2\lvert w\rvert^2-(u\cdot w)^2$. The terms with $r$ cancel, as without decay. What do the "
    r"others do to $\lvert u\rvert^2\lvert w\rvert^2$, and what to $(u\cdot w)^2$?",
    worked=r"The loss contributes $2\gamma r\,\eta_u\,u\cdot w$ to $\frac{d}{dt}\lvert u\rvert^2$, $2\gamma r\,\eta_w\,u\cdot w$ to "
    r"$\frac{d}{dt}\lvert w\rvert^2$ and $\gamma r(\eta_u\lvert w\rvert^2+\eta_w\lvert u\rvert^2)$ to $\frac{d}{dt}(u\cdot w)$. In $\dot G$ "
    r"this is"
    "\n\n"
    r"$$\begin{aligned}&2\gamma r\,(u\cdot w)\big(\eta_u\lvert w\rvert^2+\eta_w\lvert u\rvert^2\big)\\"
    r"&\quad-2\,(u\cdot w)\,\gamma r\,\big(\eta_u\lvert w\rvert^2+\eta_w\lvert u\rvert^2\big)=0 .\end{aligned}$$"
    "\n\n"
    r"The decay contributes $-2\lambda_u\lvert u\rvert^2$, $-2\lambda_w\lvert w\rvert^2$ and $-(\lambda_u+\lambda_w)\,u\cdot w$, so both terms of $G$ "
    r"shrink at the rate $2(\lambda_u+\lambda_w)$: $G(t)=e^{-2(\lambda_u+\lambda_w)t}G(0)$. With $\varphi=\gamma\,u\cdot w$ known, "
    r"$\gamma^2\lvert u\rvert^2\lvert w\rvert^2=\varphi^2+\gamma^2G(t)$ and "
    r"$\zeta=\varphi/\sqrt{\varphi^2+\gamma^2e^{-2(\lambda_u+\lambda_w)t}G(0)}$. The point still lives in the half-plane, but its line sinks: "
    r"with decay every network that keeps an output ends aligned.",
)
def final_alignment(u, w, gamma, decay, time, slope):
    r"""Return the cosine between the layers at a time, under weight decay.

    Add weight decay: $\dot u=\eta_u\gamma r\,w-\lambda_uu$ and $\dot w=\eta_w\gamma r\,u-\lambda_ww$, from the weights $u,w$ at the
    start. At the time $t$ somebody measures the slope $\varphi=\gamma\,u\cdot w$ (of either sign). What is the cosine between
    the layers then? The argument `decay` is the pair $(\lambda_u,\lambda_w)$; rates and data are not needed.
    """
    area = (u @ u) * (w @ w) - (u @ w) ** 2
    area *= np.exp(-2 * sum(decay) * time)
    return slope / np.sqrt(slope**2 + gamma**2 * area)


def _starts():
    rng = np.random.default_rng(RNG_SEED)
    return [
        (rng.normal(size=m), rng.normal(size=m), *rest)
        for m, *rest in (
            (2, 0.7, (0.1, 0.4), 1.3, 1.5),
            (5, 0.4, (0.3, 0.05), 0.6, -0.9),
            (3, 2.0, (0.0, 0.2), 2.0, 0.3),
        )
    ]


@final_alignment.checker
def _(answer):
    for u, w, gamma, decay, time, slope in _starts():
        value = float(answer(u.copy(), w.copy(), gamma, decay, time, slope))
        lengths, product = (u @ u) * (w @ w), (u @ w) ** 2
        rate = sum(decay) * time

        def law(area, scale=gamma**2, slope=slope):
            return slope / math.sqrt(slope**2 + scale * area)

        left = math.exp(-2 * rate)
        truth = law((lengths - product) * left)
        for slip, message in (
            (
                law(lengths - product),
                "that is the law without decay: the area shrinks",
            ),
            (
                law((lengths - product) * math.exp(-rate)),
                "|u||w| shrinks at the rate of both decays together: its square, the area G, twice as fast",
            ),
            (
                law((lengths - product) * math.exp(-4 * decay[0] * time)),
                "the layers decay at different rates: both enter",
            ),
            (
                law(lengths * left),
                "that takes |u||w| for the conserved area: subtract (u . w)^2",
            ),
            (
                law((lengths - product) * left, 1.0),
                "the network's slope is gamma u . w: the area must be scaled by gamma^2",
            ),
            (-truth, "the alignment has the sign of the slope"),
        ):
            expect(
                np.isclose(value, truth) or not np.isclose(value, slip),
                message,
            )
        expect(
            np.isclose(value, truth, rtol=1e-8),
            f"expected {truth:.6f}, got {value:.6f}",
        )


@final_alignment.wrong("the law without decay")
def _(u, w, gamma, decay, time, slope):
    area = (u @ u) * (w @ w) - (u @ w) ** 2
    return slope / np.sqrt(slope**2 + gamma**2 * area)


@final_alignment.wrong("twice as fast")
def _(u, w, gamma, decay, time, slope):
    area = (u @ u) * (w @ w) - (u @ w) ** 2
    area *= np.exp(-sum(decay) * time)
    return slope / np.sqrt(slope**2 + gamma**2 * area)


@final_alignment.wrong("must be scaled by gamma^2")
def _(u, w, gamma, decay, time, slope):
    area = (u @ u) * (w @ w) - (u @ w) ** 2
    area *= np.exp(-2 * sum(decay) * time)
    return slope / np.sqrt(slope**2 + area)


@final_alignment.wrong("has the sign of the slope")
def _(u, w, gamma, decay, time, slope):
    area = (u @ u) * (w @ w) - (u @ w) ** 2
    area *= np.exp(-2 * sum(decay) * time)
    return abs(slope) / np.sqrt(slope**2 + gamma**2 * area)


@final_alignment.wrong("the layers decay at different rates")
def _(u, w, gamma, decay, time, slope):
    return final_alignment.solution(u, w, gamma, decay[:1] * 2, time, slope)


@final_alignment.wrong("for the conserved area")
def _(u, w, gamma, decay, time, slope):
    product = (u @ u) * (w @ w) * np.exp(-2 * sum(decay) * time)
    return slope / np.sqrt(slope**2 + gamma**2 * product)


@final_alignment.wrong("expected 0.")
def _(u, w, gamma, decay, time, slope):  # the area grows
    decay = [-rate for rate in decay]
    return final_alignment.solution(u, w, gamma, decay, time, slope)


@final_alignment.unusual
def _(u, w, gamma, decay, time, slope):
    across = w - u * (u @ w) / (u @ u)
    height = gamma * np.linalg.norm(u) * np.linalg.norm(across)
    for rate in decay:
        height *= np.exp(-rate * time)
    return np.cos(np.arctan2(height, slope))


# ---- how much the kernel moves in the lazy limit ----


@exercise(
    minutes=15,
    hint=r"$\hat K=\gamma^2(\lvert u\rvert^2+\lvert w\rvert^2)$ is about $2$ at the start, and "
    r"$\hat K_\infty^2-\hat K_0^2=4\,(\varphi^{*2}-\varphi_0^2)\,\gamma^2$.",
    worked=r"From $\hat K=2\gamma^2\sqrt{X^2+4PQ}$ with $X=\varphi/\gamma$ and unit rates, "
    r"$\hat K_\infty^2-\hat K_0^2=4\gamma^2(\varphi^{*2}-\varphi_0^2)=4(\varphi^{*2}-\varphi_0^2)/m$. At the start "
    r"$\hat K_0=(\lvert u\rvert^2+\lvert w\rvert^2)/m\approx2$, so $\hat K_\infty^2/\hat K_0^2-1\approx(\varphi^{*2}-"
    r"\varphi_0^2)/m$, and half of that for $\hat K$ itself. The first slope $\varphi_0=u\cdot w/\sqrt m$ has variance one, so "
    r"the mean is $(\varphi^{*2}-1)/(2m)$. At $\varphi^*=1$ it vanishes although the kernel of each network moves: up where "
    r"$\lvert\varphi_0\rvert<1$, down elsewhere. There the cosine rises or falls by order $m^{-1/2}$: alignment and "
    r"disalignment, with a kernel that moves by $1/m$ only.",
)
def mean_kernel_change(target_slope, m):
    r"""Return the mean relative change of the tangent kernel.

    In the NTK parameterisation, $f=m^{-1/2}\sum_iu_iw_i\,a$ with standard Gaussian $u_i,w_i$ and unit rates, the tangent kernel
    moves by a relative amount of order $1/m$ during training. Compute the mean of $\hat K_\infty/\hat K_0-1$ over random
    starts, to leading order, for a target slope $\varphi^*$ of order one.
    """
    return (target_slope**2 - 1) / (2 * m)


@mean_kernel_change.checker
def _(answer):
    for target, m in ((1.7, 100), (0.4, 1000), (1.0, 50)):
        value = float(answer(target, m))
        truth = (target**2 - 1) / (2 * m)
        expect(
            not np.isclose(value, target**2 / (2 * m)),
            "the first slope is not zero: its square, one in the mean, must be subtracted",
        )
        expect(
            truth == 0 or not np.isclose(value, 2 * truth),
            "that is the change of the squared kernel: the kernel changes by half of it",
        )
        expect(
            truth == 0 or not np.isclose(value, -truth),
            "the kernel grows if the slope has to grow: check the sign",
        )
        expect(
            np.isclose(value, truth, atol=1e-12),
            f"at m = {m}, target {target}: expected {truth:.3g}, got {value:.3g}",
        )


@mean_kernel_change.wrong("the first slope is not zero")
def _(target_slope, m):
    return target_slope**2 / (2 * m)


@mean_kernel_change.wrong("that is the change of the squared kernel")
def _(target_slope, m):
    return (target_slope**2 - 1) / m


@mean_kernel_change.wrong("check the sign")
def _(target_slope, m):
    return (1 - target_slope**2) / (2 * m)


@mean_kernel_change.wrong("at m = 100, target 1.7: expected")
def _(target_slope, m):  # not the mean of the square, the square of the mean
    return (target_slope - 1) ** 2 / (2 * m)


@mean_kernel_change.unusual
def _(target_slope, m):
    node, weight = np.polynomial.hermite_e.hermegauss(20)
    return weight @ (target_slope**2 - node**2) / weight.sum() / 2 / m


# ---- a learning rate that learns ----


@exercise(
    minutes=15,
    hint=r"With equal rates the imbalance is $\rho=c_u-c_w$. The speed must be zero: $c_\gamma+c_\eta+\max(0,\Lambda)=0$.",
    worked=r"The size of the output goes as $m^\nu$ with $\nu=c_\gamma+1+c_u+c_w$, the laziness is $\Lambda=\nu+\lvert c_u-c_w"
    r"\rvert$ and a unit step moves the network at the rate $m^\tau$, $\tau=c_\gamma+c_\eta+\max(0,\Lambda)$. So "
    r"$c_\eta=-c_\gamma-\max(0,\Lambda)$. PyTorch's default is uniform on $\pm1/\sqrt{\text{fan-in}}$, a standard deviation "
    r"of $1/\sqrt{3\,\text{fan-in}}$: $c_u=-\tfrac12$, $c_w=c_\gamma=0$. Then $\nu=\tfrac12$, $\rho=-\tfrac12$, $\Lambda=1$, and "
    r"the rate must fall as $1/m$: a lazy network, in which the readout does the work. muP, Xavier and mean field all have "
    r"$\Lambda=0$; by moving factors between $\gamma$, the weights and the rates each becomes the other.",
)
def rate_power(gamma, sigma_u, sigma_w):
    r"""Return the power of the width for a common learning rate.

    A network of width $m$ has output scale $m^{c_\gamma}$ and Gaussian weights with *standard deviations* $m^{c_u}$ and
    $m^{c_w}$. Both layers get the same learning rate $m^{c_\eta}$. Which $c_\eta$ makes unit steps neither explode nor
    stand still? What is it for PyTorch's default (both layers uniform on $\pm1/\sqrt{\text{fan-in}}$)?
    """
    output = gamma + 1 + sigma_u + sigma_w
    laziness = output + abs(sigma_u - sigma_w)
    return -gamma - max(0.0, laziness)


_POWERS = [
    (0.0, -0.5, 0.0),
    (-0.5, 0.0, 0.0),
    (-1.0, 0.0, 0.0),
    (-1.5, 0.0, 0.0),
    (0.0, -0.25, -1.0),
    (0.3, -1.2, -1.0),
]


@rate_power.checker
def _(answer):
    for powers in _POWERS:
        gamma, sigma_u, sigma_w = powers
        value = float(answer(*powers))
        output, imbalance = (
            gamma + 1 + sigma_u + sigma_w,
            abs(sigma_u - sigma_w),
        )
        truth = -gamma - max(0.0, output + imbalance)
        speed = phase(Exponents(1.0, *powers, value, value)).speed
        where = f"at (gamma, sigma_u, sigma_w) = {powers}"
        expect(
            np.isclose(value, truth) or not np.isclose(value, -gamma - max(0.0, output)),
            f"{where}: the larger layer alone drives the kernel: the imbalance |c_u - c_w| is missing",
        )
        expect(
            np.isclose(value, truth) or not np.isclose(value, -gamma - output - imbalance),
            f"{where}: a small start does not slow the end of training: the laziness counts only if positive",
        )
        doubled = gamma + 1 + (sigma_u + sigma_w) / 2 + imbalance / 2
        expect(
            np.isclose(value, truth) or not np.isclose(value, -gamma - max(0.0, doubled)),
            f"{where}: the powers are those of standard deviations, not of variances",
        )
        expect(
            np.isclose(value, truth),
            f"{where}: with {value:.3g} the speed per step goes as the power {speed:.3g}",
        )


@rate_power.wrong("the imbalance |c_u - c_w| is missing")
def _(gamma, sigma_u, sigma_w):
    return -gamma - max(0.0, gamma + 1 + sigma_u + sigma_w)


@rate_power.wrong("the laziness counts only if positive")
def _(gamma, sigma_u, sigma_w):
    return -gamma - (gamma + 1 + sigma_u + sigma_w + abs(sigma_u - sigma_w))


@rate_power.wrong("not of variances")
def _(gamma, sigma_u, sigma_w):
    return -gamma - max(0.0, gamma + 1 + (sigma_u + sigma_w) / 2 + abs(sigma_u - sigma_w) / 2)


@rate_power.wrong("the speed per step goes as the power")
def _(gamma, sigma_u, sigma_w):  # gamma forgotten: it is not in the weights
    return rate_power.solution(gamma, sigma_u, sigma_w) + gamma


@rate_power.unusual
def _(gamma, sigma_u, sigma_w):
    return -max(gamma, 2 * gamma + 1 + 2 * max(sigma_u, sigma_w))


# ---- the largest step ----


@exercise(
    minutes=20,
    hint=r"Put $\xi=\gamma^2A\sqrt\mu\,\eta_u\,u\cdot w$. A step gives $\xi\to \xi(1-k+\xi^2)$ with which $k$? And what does it do to $k$?",
    worked=r"With that $\xi$ one step is $u\to u-\mu^{-1/2}\xi\,w$, $w\to w-\mu^{1/2}\xi\,u$. With "
    r"$k=\eta_u\gamma^2A(\lvert w\rvert^2+\mu\lvert u\rvert^2)$, the step times the curvature, it gives "
    r"$\xi\to \xi(1-k+\xi^2)$ and $k\to k-4\xi^2+k\xi^2=k-\xi^2(4-k)$. So $4-k\to(4-k)(1+\xi^2)$: the sign of $4-k$ never changes. If $k_0<4$, "
    r"then $k$ falls at every step and is never negative, so $\sum \xi^2(4-k)$ converges and $\xi\to0$. If $k_0>4$, then $k$ grows, and "
    r"$\xi$ cannot tend to zero, because $1-k<-3$ repels it; so $\sum \xi^2$ and with it $k$ diverges. (Unless a step hits $\xi=0$ "
    r"exactly, as when $\xi^2=k-1$: for a given start that happens at isolated steps only.) Hence the bound is "
    r"$\eta_u=4/[\gamma^2A(\lvert w\rvert^2+\mu\lvert u\rvert^2)]$, twice what the curvature at the start allows. Note that the rate of one "
    r"layer multiplies the square of the *other*.",
)
def largest_step(u, w, gamma, second_moment, ratio):
    r"""Return the bound on the step below which training converges.

    The target is zero: the loss is $\tfrac12A(\gamma\,u\cdot w)^2$. Both layers make gradient steps at the same time, $u$ of
    size $\eta_u$ and $w$ of size $\eta_w=\mu\,\eta_u$. Up to which $\eta_u$ does training converge, for almost every start? (Not only while
    the loss falls at every step.) The arguments are $\gamma$, $A$ (`second_moment`) and $\mu$ (`ratio`).
    """
    return 4 / (gamma**2 * second_moment * (w @ w + ratio * (u @ u)))


def _converges(u, w, scale, ratio, step):
    for _ in range(3000):
        product = scale * (u @ w)
        u, w = u - step * product * w, w - ratio * step * product * u
        if not abs(u @ w) < 1e6:
            return False
    return abs(u @ w) < 1e-3


@largest_step.checker
def _(answer):
    for u, w, gamma, second, ratio in (
        (np.array([2.0, 1.0]), np.array([1.01, -1.7]), 0.7, 1.5, 0.4),
        (np.array([0.3, 1.0, 2.0]), np.array([1.0, 0.5, 0.1]), 1.3, 0.6, 2.5),
    ):
        value = float(answer(u.copy(), w.copy(), gamma, second, ratio))
        scale = gamma**2 * second
        square = scale * (w @ w + ratio * (u @ u))
        for slip, message in (
            (
                2 / square,
                "that is what the curvature at the start allows; training still converges beyond, at a flatter place",
            ),
            (
                4 / (scale * (u @ u + ratio * (w @ w))),
                "the rate of a layer multiplies the square of the other layer",
            ),
            (
                4 / (scale * (u @ u + w @ w)),
                "the two layers have different rates: where does the ratio enter?",
            ),
            (
                4 * scale / square,
                "the curvature has the factors gamma^2 and A",
            ),
        ):
            expect(not np.isclose(value, slip, rtol=1e-3), message)
        expect(
            _converges(u, w, scale, ratio, 0.995 * value),
            f"gradient descent does not converge with 0.995 x {value:.4g}",
        )
        expect(
            not _converges(u, w, scale, ratio, 1.005 * value),
            f"gradient descent still converges with 1.005 x {value:.4g}",
        )


@largest_step.wrong("what the curvature at the start allows")
def _(u, w, gamma, second_moment, ratio):
    return 2 / (gamma**2 * second_moment * (w @ w + ratio * (u @ u)))


@largest_step.wrong("the square of the other layer")
def _(u, w, gamma, second_moment, ratio):
    return 4 / (gamma**2 * second_moment * (u @ u + ratio * (w @ w)))


@largest_step.wrong("the factors gamma^2 and A")
def _(u, w, gamma, second_moment, ratio):
    return 4 / (w @ w + ratio * (u @ u))


@largest_step.wrong("gradient descent still converges")
def _(u, w, gamma, second_moment, ratio):
    return 1 / (gamma**2 * second_moment * (w @ w + ratio * (u @ u)))


@largest_step.wrong("where does the ratio enter?")
def _(u, w, gamma, second_moment, ratio):
    return 4 / (gamma**2 * second_moment * (w @ w + u @ u))


@largest_step.wrong("gradient descent does not converge")
def _(u, w, gamma, second_moment, ratio):  # the loss has a half in it
    return 8 / (gamma**2 * second_moment * (w @ w + ratio * (u @ u)))


@largest_step.unusual
def _(u, w, gamma, second_moment, ratio):
    low, high = 0.0, 100.0
    for _ in range(60):
        step = (low + high) / 2 * gamma**2 * second_moment
        x = step * math.sqrt(ratio) * (u @ w)
        k = step * (w @ w + ratio * (u @ u))
        for _ in range(50):
            x, k = x * (1 - k + x * x), k - x * x * (4 - k)
            if k > 4:
                break
        middle = (low + high) / 2
        low, high = (low, middle) if k > 4 else (middle, high)
    return low
