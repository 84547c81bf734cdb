"""The report for an auditor: gather it, judge it, write it."""

from refactorkit.commands.audit.report.use_case import (
    ReportRequest,
    ReportResult,
    audit_report,
)

__all__ = ["ReportRequest", "ReportResult", "audit_report"]
