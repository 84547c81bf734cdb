"""The report for an auditor, as a value, and its views: a page, JSON, CSV. No value of any row.

Nothing is read from a database here, and nothing is written.
"""
