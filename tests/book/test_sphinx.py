"""Docstrings as the API pages read them."""

import itertools

from afp_utils.book.sphinx import as_rst, signature
from afp_utils.networks import starts

DOCSTRING = """\
A rate of n_steps, as `a_b *
c|d` or a|b.

    x_k = 2 * x

    and on

>>> power(2_0)
20
"""
RST = """\
A rate of n\\_steps, as ``a_b *
c|d`` or a\\|b.

::

    x_k = 2 * x

    and on

>>> power(2_0)
20
"""


def test_prose_is_escaped_code_formulas_and_examples_are_not():
    lines = DOCSTRING.split("\n")
    as_rst(None, "function", "power", None, None, lines)
    assert "\n".join(lines) == RST


def test_defaults_are_shown_by_name_not_by_their_address_in_memory():
    arguments, _ = signature(None, "function", "ensemble_start", starts.ensemble_start, None, "()", "")
    assert "activation: Activation = RELU" in arguments
    assert "gain: float = 1.0" in arguments


def test_the_signature_of_an_imported_thing_is_not_looked_at():
    """Sphinx 9 asks for it; `inspect` finds none, and an error would be a warning of the build."""
    assert signature(None, "class", "repeat", itertools.repeat, None, "()", "") is None
