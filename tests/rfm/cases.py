"""The kernels that the tests of the machine and of its solver are run with."""

import pytest

from afp_utils.rfm import kernels

KERNELS = [
    kernels.Laplace(3.0),
    kernels.Gaussian(2.5),
    kernels.GeneralisedLaplace(3.0, 0.7),
    kernels.GeneralisedLaplace(2.0, 1.3),
]
EACH_KERNEL = pytest.mark.parametrize("kernel", KERNELS, ids=str)
