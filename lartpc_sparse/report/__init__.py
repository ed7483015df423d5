"""The HTML report of a run: one file that opens without a network."""

from lartpc_sparse.report.report import ReportConfig, write_report

__all__ = ["ReportConfig", "write_report"]
