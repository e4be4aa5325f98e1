"""The Recursive Feature Machine as scikit-learn's estimators, for a table of one's own."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray as Array
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from afp_utils.rfm.kernels import Kernel, Laplace
from afp_utils.rfm.metrics import unit_max
from afp_utils.rfm.recursion import fit
from afp_utils.rfm.solve import SingularError


class _RFM(BaseEstimator):
    """What both share: update 0, 1, ... is chosen on held-out rows, then as many updates are made on all rows.

    The defaults are those of the authors' code: Laplace kernel of bandwidth 10, ridge 1e-3, 5 updates. Columns are
    taken as they are: scale them first. With too few rows to hold any out, or a `validation_fraction` of 0, all updates
    are made. The other settings are those of `fit`.
    """

    def __init__(
        self,
        kernel: Kernel | None = None,
        ridge: float = 1e-3,
        updates: int = 5,
        power: float = 1.0,
        validation_fraction: float = 0.2,
        random_state: Any = None,
        centred: bool = False,
        diagonal: bool = False,
        normalise: Callable[[Array], Array] = unit_max,
    ) -> None:
        self.kernel = kernel
        self.ridge = ridge
        self.updates = updates
        self.power = power
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.centred = centred
        self.diagonal = diagonal
        self.normalise = normalise

    def _fit_values(self, x: Array, y: Array) -> None:
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must lie in [0, 1), got {self.validation_fraction}")
        names = ("ridge", "power", "centred", "diagonal", "normalise")
        recipe = {"kernel": self.kernel or Laplace(10.0)} | {name: getattr(self, name) for name in names}
        self.n_iter_ = self.updates
        held = int(self.validation_fraction * len(x))
        if held:
            order = check_random_state(self.random_state).permutation(len(x))
            out, kept = order[:held], order[held:]
            mean = y[kept].mean(axis=0)
            test = x[out], y[out] - mean
            try:
                chosen = fit(x[kept], y[kept] - mean, updates=self.updates, validation=test, **recipe)
            except SingularError as error:
                raise SingularError(error.ridge, int(kept[error.row])) from None  # of the caller's rows
            self.n_iter_ = int(np.argmin(chosen.risk))
        self.intercept_ = y.mean(axis=0)
        self.machine_ = fit(x, y - self.intercept_, updates=self.n_iter_, **recipe).states[-1]

    def _values(self, x: Any) -> Array:
        check_is_fitted(self)
        x = validate_data(self, x, dtype=[np.float64, np.float32], reset=False)
        return self.machine_.predict(x) + self.intercept_


class RFMRegressor(RegressorMixin, _RFM):
    """Regression with one or several outputs; the mean of the target is taken out first.

    >>> x = np.random.default_rng(0).normal(size=(200, 5))
    >>> found = RFMRegressor(Laplace(5), random_state=0).fit(x, x[:, 0] * x[:, 1] + 7)
    >>> found.predict([[1, 1, 0, 0, 0], [1, -1, 0, 0, 0]]).round().tolist()
    [8.0, 6.0]
    """

    def fit(self, X: Any, y: Any) -> "RFMRegressor":
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=True)
        self._fit_values(X, y.astype(X.dtype))
        return self

    def predict(self, X: Any) -> Array:
        return self._values(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class RFMClassifier(ClassifierMixin, _RFM):
    """Classification by regression on one-hot labels; the class with the largest value wins.

    >>> x = np.random.default_rng(0).normal(size=(200, 5))
    >>> found = RFMClassifier(Laplace(5), random_state=0).fit(x, np.where(x[:, 0] * x[:, 1] > 0, "like", "unlike"))
    >>> found.predict([[2, 2, 0, 0, 0], [2, -2, 0, 0, 0]]).tolist()
    ['like', 'unlike']
    """

    def fit(self, X: Any, y: Any) -> "RFMClassifier":
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y must hold at least 2 classes, got {len(self.classes_)} class: {self.classes_[0]!r}")
        self._fit_values(X, np.eye(len(self.classes_), dtype=X.dtype)[labels])
        return self

    def decision_function(self, X: Any) -> Array:
        """Value of each class; for two classes, the second's minus the first's."""
        values = self._values(X)
        return values[:, 1] - values[:, 0] if len(self.classes_) == 2 else values

    def predict(self, X: Any) -> Array:
        values = self.decision_function(X)
        return self.classes_[(values > 0).astype(int) if values.ndim == 1 else values.argmax(axis=1)]
