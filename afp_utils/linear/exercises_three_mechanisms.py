r"""Exercises of the chapter "Alignment, disalignment, rescaling"."""

import numpy as np

from afp_utils.book.exercises import exercise

# ---- alignment under weight decay ----


def _starts(rng):
    for m, slope, decay in (2, 1, (1, 1)), (5, -1, (1, 1)), (3, 1, (0, 1)):
        gamma, time, size = rng.uniform(0.4, 2, 3)
        decay = tuple(decay * rng.uniform(0.05, 0.5, 2))
        yield *rng.normal(size=(2, m)), gamma, decay, time, slope * size


@exercise(
    minutes=15,
    inputs=_starts,
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


_law = final_alignment.solution

final_alignment.mistake("that is the law without decay: the area shrinks")(
    lambda u, w, gamma, decay, t, slope: _law(u, w, gamma, (0, 0), t, slope)
)

final_alignment.mistake("|u||w| shrinks at the rate of both decays together: its square, the area G, twice as fast")(
    lambda u, w, gamma, decay, t, slope: _law(u, w, gamma, decay, t / 2, slope)
)

final_alignment.mistake("the layers decay at different rates: both enter")(
    lambda u, w, gamma, decay, t, slope: _law(u, w, gamma, decay[:1] * 2, t, slope)
)


@final_alignment.mistake("that takes |u||w| for the conserved area: subtract (u . w)^2")
def _(u, w, gamma, decay, time, slope):
    product = (u @ u) * (w @ w) * np.exp(-2 * sum(decay) * time)
    return slope / np.sqrt(slope**2 + gamma**2 * product)


final_alignment.mistake("the network's slope is gamma u . w: the area must be scaled by gamma^2")(
    lambda u, w, gamma, decay, t, slope: _law(u, w, 1.0, decay, t, slope)
)

final_alignment.mistake("the alignment has the sign of the slope")(
    lambda u, w, gamma, decay, t, slope: _law(u, w, gamma, decay, t, abs(slope))
)

final_alignment.mistake("decay makes the area shrink, not grow")(
    lambda u, w, gamma, decay, t, slope: _law(u, w, gamma, decay, -t, slope)
)

# ---- how much the kernel moves in the lazy limit ----


@exercise(
    minutes=15,
    inputs=lambda rng: zip([1.0, *rng.uniform(0.2, 3, 3)], (50, 90, 100, 800)),
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


mean_kernel_change.mistake("the first slope is not zero: its square, one in the mean, must be subtracted")(
    lambda target_slope, m: target_slope**2 / (2 * m)
)

mean_kernel_change.mistake("that is the change of the squared kernel: the kernel changes by half of it")(
    lambda target_slope, m: (target_slope**2 - 1) / m
)

mean_kernel_change.mistake("the kernel grows if the slope has to grow: check the sign")(
    lambda target_slope, m: (1 - target_slope**2) / (2 * m)
)

mean_kernel_change.mistake("take the mean of the squares of the slopes, not the square of a mean")(
    lambda target_slope, m: (target_slope - 1) ** 2 / (2 * m)
)

# ---- a learning rate that learns ----


def _powers(rng):
    known = [(0.0, -0.5, 0.0), (-0.5, 0.0, 0.0), (-1.0, 0.0, 0.0)]
    small = [(-1.5, 0.0, 0.0), (0.3, -1.2, -1.0), (-1.0, -0.5, -0.5)]
    return [*known, *small, *map(tuple, rng.uniform(-1, 0.5, (4, 3)))]


@exercise(
    minutes=15,
    inputs=_powers,
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


rate_power.mistake("the larger layer alone drives the kernel: the imbalance |c_u - c_w| is missing")(
    lambda gamma, sigma_u, sigma_w: -gamma - max(0.0, gamma + 1 + sigma_u + sigma_w)
)

rate_power.mistake("a small start does not slow the end of training: the laziness counts only if positive")(
    lambda gamma, sigma_u, sigma_w: -gamma - (gamma + 1 + sigma_u + sigma_w + abs(sigma_u - sigma_w))
)

rate_power.mistake("the powers are those of standard deviations, not of variances")(
    lambda gamma, sigma_u, sigma_w: rate_power.solution(gamma, sigma_u / 2, sigma_w / 2)
)

rate_power.mistake("the speed per step still depends on the width: the output scale is in the step as well")(
    lambda gamma, sigma_u, sigma_w: rate_power.solution(gamma, sigma_u, sigma_w) + gamma
)

# ---- the largest step ----


def _bowls(rng):
    return [
        (*rng.normal(size=(2, m)), *rng.uniform(1.2, 2, 2), ratio)
        for m, ratio in ((2, 0.4), (3, 2.5), (5, 0.2), (4, rng.uniform(3, 5)))
    ]


@exercise(
    minutes=20,
    inputs=_bowls,
    tolerance=5e-3,  # for answers that try steps
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


_bound = largest_step.solution

largest_step.mistake(
    "that is what the curvature at the start allows; training still converges beyond, at a flatter place"
)(lambda *given: _bound(*given) / 2)

largest_step.mistake("the rate of a layer multiplies the square of the other layer")(
    lambda u, w, gamma, a, ratio: _bound(w, u, gamma, a, ratio)
)

largest_step.mistake("the two layers have different rates: where does the ratio enter?")(
    lambda u, w, gamma, a, ratio: _bound(u, w, gamma, a, 1)
)

largest_step.mistake("the curvature has the factors gamma^2 and A")(
    lambda u, w, gamma, a, ratio: _bound(u, w, 1, 1, ratio)
)

largest_step.mistake("gradient descent still converges with larger steps")(lambda *given: _bound(*given) / 4)


@largest_step.mistake("gradient descent does not converge with that step")
def _(*given):  # the loss has a half in it
    return _bound(*given) * 2
