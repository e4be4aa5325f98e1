"""The figure types draw what they are given, and nothing else."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from afp_utils.core import plots

X = np.array([1.0, 2.0, 4.0])
RUNS = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [2.0, 5.0, 2.0]])


@pytest.fixture
def ax():
    return Figure().subplots()


def test_theory_is_a_line_without_markers(ax):
    assert plots.theory(ax, X, X**2, "law", series=1) is ax
    (line,) = ax.lines
    assert (line.get_marker(), line.get_color(), line.get_label()) == ("", plots.COLOURS[1], "law")
    np.testing.assert_array_equal(line.get_ydata(), X**2)


def test_simulation_shows_median_and_extremes_as_points(ax):
    plots.simulation(ax, X, RUNS, "runs")
    line = ax.lines[0]
    np.testing.assert_array_equal(line.get_ydata(), [2, 2, 2])
    assert line.get_linestyle() == "None"
    (bars,) = ax.collections
    np.testing.assert_array_equal([segment[:, 1] for segment in bars.get_segments()], [[1, 3], [2, 5], [1, 3]])


def test_paths_shade_the_range(ax):
    plots.paths(ax, X, RUNS)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [2, 2, 2])
    corners = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (corners.min(), corners.max()) == (1, 5)


@pytest.mark.parametrize(("length", "every"), [(2, 1), (8, 1), (15, 1), (16, 2), (80, 10)])
def test_paths_have_about_eight_markers_whatever_their_length(ax, length, every):
    plots.paths(ax, np.arange(float(length)), np.ones((2, length)))
    assert ax.lines[0].get_markevery() == every


def test_series_beyond_the_palette_begin_again(ax):
    last = len(plots.COLOURS)
    plots.paths(ax, X, RUNS, series=last + 1)
    plots.simulation(ax, X, RUNS, series=last - 1)
    assert (ax.lines[0].get_color(), ax.lines[0].get_marker()) == (plots.COLOURS[1], plots.MARKERS[1])
    assert (ax.lines[1].get_color(), ax.lines[1].get_marker()) == (plots.COLOURS[-1], plots.MARKERS[-1])


def test_slope_passes_through_its_anchor_with_its_exponent(ax):
    plots.slope(ax, X, 8.0, -0.5)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [8, 8 / np.sqrt(2), 4])


def test_matrix_names_rows_and_columns(ax):
    plots.matrix(ax, RUNS, ["a", "b", "c"])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["a", "b", "c"]
    np.testing.assert_array_equal(ax.images[0].get_array(), RUNS)


def test_series_differ_in_colour_and_marker():
    assert len(set(plots.COLOURS)) == len(plots.COLOURS) == len(set(plots.MARKERS))


def test_style_is_opaque_and_set_only_on_request():
    with mpl.rc_context():
        before = mpl.rcParams["figure.figsize"]
        plots.use_style()
        assert mpl.rcParams["figure.facecolor"] == mpl.rcParams["savefig.facecolor"] == "white"
        assert mpl.rcParams["figure.figsize"] != before


def test_refuses_runs_of_another_length(ax):
    with pytest.raises(TypeError, match="runs"):
        plots.simulation(ax, X, RUNS[:, :2])
