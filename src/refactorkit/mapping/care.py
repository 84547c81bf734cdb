"""SQL for the care of an archive, from the templates that Up is made of."""

from typing import Any

from refactorkit.mapping.compile import environment
from refactorkit.mapping.model import Mapping


def holds_table(mapping: Mapping) -> str:
    """Return the statement that makes the table of legal holds where it is missing."""
    return str(_statements(mapping).holds_table())


def purges_table(mapping: Mapping) -> str:
    """Return the statement that makes the table of what was destroyed where it is missing."""
    return str(_statements(mapping).purges_table())


def tombstone_signatures_table(mapping: Mapping) -> str:
    """Return the statement that makes the table of the tombstones' signatures."""
    return str(_statements(mapping).tombstone_signatures_table())


def guard_function(mapping: Mapping) -> str:
    """Return the statement that makes the function behind the archive's guards."""
    return str(_statements(mapping).guard_function())


def _statements(mapping: Mapping) -> Any:
    """Return the template's macros, which mypy cannot know, as functions that give SQL."""
    return environment(mapping).get_template("care.sql.j2").make_module()
