"""The report for an auditor: gather it, judge it, write it."""

from refactorkit.commands.audit.report.request import Format, ReportRequest, ReportResult
from refactorkit.commands.audit.report.use_case import audit_report

__all__ = ["Format", "ReportRequest", "ReportResult", "audit_report"]
