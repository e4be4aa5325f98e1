"""What a feature is, and how one sees that it was learned: the chapter One language.

It needs no simulation of its own: sequence models in two dimensions, and the measures of `core`. Here are its claims and
exercises.
"""
