"""Docstrings as the API pages read them."""

from afp_utils.book.sphinx import as_rst

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
