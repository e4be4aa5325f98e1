"""The package behind the book: mechanisms of feature learning, one probe, one set of measures."""

__version__ = "0.1.0"
