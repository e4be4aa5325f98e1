"""The cover shows what the package computes today."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from tools import cover


def test_the_cover_is_drawn_anew_as_it_is_stored(tmp_path: Path) -> None:
    cover.main(tmp_path)
    for drawn in [tmp_path / "cover.png", *sorted((tmp_path / "cover").iterdir())]:
        stored = plt.imread(cover.STATIC / drawn.relative_to(tmp_path))
        assert stored.shape == plt.imread(drawn).shape, drawn.name
        # fonts and rounding may move an edge by a pixel
        assert np.abs(stored - plt.imread(drawn)).mean() < 0.01, drawn.name
