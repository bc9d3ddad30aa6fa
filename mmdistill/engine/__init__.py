"""Runs: the runner, its hooks and loops, what the tools share."""

# First of all: it silences what the import of MMPretrain's prints.
import mmdistill.datasets  # noqa: F401
