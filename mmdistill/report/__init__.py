"""One HTML page on a finished run: curves, answers, cost, config."""

from mmdistill.report.report import make_report

__all__ = ['make_report']
