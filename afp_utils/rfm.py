"""Recursive Feature Machines: kernel machines that learn features, by making their average gradient outer product the
metric in which the kernel measures distance. The names of this mechanism, from the modules that hold them.
"""

from afp_utils.rfm_estimators import RFMClassifier, RFMRegressor
from afp_utils.rfm_fit import best_state, fit
from afp_utils.rfm_kernels import Gaussian, GeneralisedLaplace, Kernel, Laplace, kernel_matrix
from afp_utils.rfm_machine import Machine, agop
from afp_utils.rfm_metrics import (
    circulant_residual,
    deviatoric_cosine,
    feature_power,
    hankel_residual,
    metric_factor,
    unit_max,
    unit_trace,
    unnormalised,
)
from afp_utils.rfm_nystrom import fit_nystrom, solve_nystrom
from afp_utils.rfm_solve import solve

__all__ = [
    "Gaussian",
    "GeneralisedLaplace",
    "Kernel",
    "Laplace",
    "Machine",
    "RFMClassifier",
    "RFMRegressor",
    "agop",
    "best_state",
    "circulant_residual",
    "deviatoric_cosine",
    "feature_power",
    "fit",
    "fit_nystrom",
    "hankel_residual",
    "kernel_matrix",
    "metric_factor",
    "solve",
    "solve_nystrom",
    "unit_max",
    "unit_trace",
    "unnormalised",
]
