"""The version, and the distribution's name, in one place."""

__version__ = "0.1.0"
DISTRIBUTION = "tessy-synth"
"""On PyPI, `tessy` is another project."""
