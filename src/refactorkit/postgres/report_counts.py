"""What the report counts in a database, and the references by which it means people.

Inside ``verification.snapshot``: one state. No value of a row leaves this module.
"""

from dataclasses import dataclass
from typing import Any

from refactorkit.mapping import report_people
from refactorkit.mapping.report_classes import Distributions
from refactorkit.mapping.report_columns import CountedTable
from refactorkit.mapping.report_rows import Rows
from refactorkit.postgres.archive_log import exists
from refactorkit.postgres.connection import Connection


@dataclass(frozen=True, kw_only=True)
class Counted:
    """How the values of one column are spread.

    Attributes:
        octets: of all texts; None for what is no text.
    """

    rows: int
    nulls: int
    octets: int | None
    distinct: int


def distributions(
    connection: Connection, asked: Distributions
) -> dict[tuple[int, bool], dict[int | None, int]]:
    """Return counts by class (None: no value), by place in ``asked.classes`` and is-before."""
    query = asked.query()
    found: dict[tuple[int, bool], dict[int | None, int]] = {}
    rows = connection.execute(query.encode()).fetchall() if query else []
    for place, number, count in rows:
        found.setdefault(asked.counted[place], {})[number] = count
    return found


def columns(connection: Connection, table: CountedTable) -> list[Counted]:
    """Count the values of each column of a table, in the table's order."""
    facts: Any = connection.execute(table.facts.encode()).fetchone()
    distinct: dict[int, int] = dict(connection.execute(table.distinct.encode()).fetchall())
    rows = facts[0]
    return [
        Counted(
            rows=rows,
            nulls=rows - facts[1 + 2 * place],
            octets=facts[2 + 2 * place],
            distinct=distinct.get(place, 0),
        )
        for place, _ in enumerate(table.columns)
    ]


def sample(
    connection: Connection, rows: Rows, *, seed: str, people: int
) -> list[tuple[str, list[str]]]:
    """Draw some people: a reference, and a word for each column; none without salts."""
    query = report_people.sample(rows)
    if query is None or not exists(connection, f"{rows.mapping.name}_salts"):
        return []
    found = connection.execute(query.encode(), {"seed": seed, "people": people}).fetchall()
    return [(reference, list(words)) for reference, words in found]


def references(
    connection: Connection, rows: Rows, ids: list[str], *, of_source: bool
) -> dict[str, str]:
    """Return the references of people by their ids; those without a salt are left out."""
    if not ids or not exists(connection, f"{rows.mapping.name}_salts"):
        return {}
    query = report_people.references(rows.mapping, of_source=of_source)
    return dict(connection.execute(query.encode(), {"ids": ids}).fetchall())


def living_subjects(connection: Connection, rows: Rows) -> int:
    """Return how many subjects are in the target."""
    row: Any = connection.execute(rows.living_subjects().encode()).fetchone()
    return int(row[0])


def linked(connection: Connection, rows: Rows) -> dict[str, tuple[int, int]]:
    """Return, for each table of links, its rows and those of them that have a person."""
    found = {}
    for table, query in rows.linked().items():
        row: Any = connection.execute(query.encode()).fetchone()
        found[table] = (row[0], row[1])
    return found
