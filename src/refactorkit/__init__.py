"""Destructive PostgreSQL refactors that can be undone without losing a row, and proved so."""

from importlib.metadata import version

__version__ = version("refactorkit")
