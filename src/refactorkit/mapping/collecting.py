"""The guards of a migration as a query: what they would refuse, as a list, and nothing raised.

It is the same template, rendered another way, so that what is foretold cannot drift from what the
migration does.
"""

import re
from enum import StrEnum
from typing import Final

from refactorkit.mapping.compile import environment
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Direction

FOUND: Final = "refactorkit.refusals"
"""The setting that holds what was found: ``{"refusals": [...], "groups": ["0 columns", ...]}``.

The number before a group's name says how many refusals there were before its own.
"""
ACCEPT: Final = "refactorkit.accept"
RUNNER: Final = "refactorkit.run_by"
"""The setting that must name the role that is going to run the migration."""

# to_regclass() fails for a role that may not use the schema; the catalog tells everybody.
_TO_REGCLASS: Final = re.compile(r"to_regclass\(([^()]*)\)")
_LOOKED_UP: Final = (
    r"(SELECT rk_c.oid::regclass FROM pg_class AS rk_c"
    r" JOIN pg_namespace AS rk_n ON rk_n.oid = rk_c.relnamespace"
    r" WHERE rk_n.nspname || '.' || rk_c.relname = \1)"
)
_OPEN, _CLOSE = "DO $guards$", "$guards$;"


class Part(StrEnum):
    """Which guards: those that ask the catalog alone, or those that look at rows."""

    CATALOG = "catalog"
    DATA = "data"


def collected_guards(mapping: Mapping, direction: Direction, part: Part) -> str:
    """Return the block that collects: one ``DO`` that only reads, and leaves a setting behind.

    Its names need ``search_path = pg_catalog``, and every table that the direction touches.
    """
    made = environment(mapping, collecting=part.value)
    text = made.get_template(f"{direction.value}.sql.j2").render()
    _, opening, rest = text.partition(_OPEN)
    body, closing, _ = rest.partition(_CLOSE)
    if not opening or not closing:
        raise RuntimeError(f"the template of {direction} has no guards")
    return _TO_REGCLASS.sub(_LOOKED_UP, opening + body + closing)
