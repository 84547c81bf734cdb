"""Every table's rows, referenced tables first."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, LiteralString

from refactorkit.seed import big_tables, ids, small_tables
from refactorkit.seed.ids import Size, Taken
from refactorkit.seed.table_rows import TableRows

TABLES_WITH_ID: Final[tuple[LiteralString, ...]] = (
    "users",
    "clinics",
    "refresh_tokens",
    "model_runs",
    "audit_events",
    "patients",
    "assessments",
)
TABLES: Final[tuple[LiteralString, ...]] = (*TABLES_WITH_ID, "user_clinics")


def tables(
    size: Size, taken: Mapping[str, Taken], password_hashes: Sequence[str] = ()
) -> Iterator[TableRows]:
    """Yield what each table gets: the same text for the same arguments, on every machine.

    Args:
        size: how much.
        taken: the ids in use, for each of ``TABLES_WITH_ID``.
        password_hashes: for the first users; the others get one that no password has.
    """
    users = ids.user_ids(size, taken["users"], taken["patients"])
    yield from small_tables.tables(size, users, taken, password_hashes)
    yield from big_tables.tables(size, users, taken["patients"], taken["assessments"])
